//! What stands under a shard's lock, and every act on it.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::contents::{Contents, Fate, Found};
use super::seats::{Seat, Seats};
use super::trash::Trash;
use crate::clock::Now;
use crate::flight::Flight;
use crate::options::TagNames;
use crate::stats::CacheStats;
use crate::store::{Id, Key};
use crate::tags::{Doom, Held};
use crate::text::Text;
use crate::types::TypeTag;

/// How many entries a write gives back at most of each kind: flushed, invalidated,
/// expired. A write adds one, so writes catch up with any backlog.
const TIDIED_BY_A_WRITE: usize = 32;

/// What a shard may keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) entries: usize,
    pub(crate) entry_bytes: usize,
}

/// A value to store.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) found: Found,
    pub(crate) ttl: Option<Duration>,
}

/// What a loading call looks for.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// The type that its own load would be of.
    pub(crate) kind: TypeTag,
    /// The tags that its own load would have.
    pub(crate) tags: &'a TagNames,
    /// Whether this look is the one that is counted.
    pub(crate) counted: bool,
    /// Bytes that it could not decode: an entry that has them counts as missing.
    pub(crate) undecodable: Option<&'a Bytes>,
}

/// What a loading call comes upon.
#[derive(Debug)]
pub(crate) enum Look {
    /// A live entry.
    Hit(Found),
    /// Another call's load.
    Join(Arc<Flight>),
    /// Nothing: this call has the seat now.
    Lead(Arc<Flight>),
}

#[derive(Debug)]
pub(super) struct Core {
    limits: Limits,
    contents: Contents,
    seats: Seats,
    /// What flushes made unreachable, and when; the oldest at the front.
    flushed: VecDeque<(Contents, Duration)>,
    pub(super) stats: CacheStats,
}

impl Core {
    pub(super) fn new(limits: Limits) -> Self {
        let entries = limits.entries.min(Contents::MOST);
        Self {
            limits: Limits { entries, ..limits },
            contents: Contents::new(),
            seats: Seats::default(),
            flushed: VecDeque::new(),
            stats: CacheStats::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.contents.len()
    }

    pub(super) fn peek(&self, key: Key<'_>, now: &Now<'_>) -> Option<&Found> {
        let id = self.contents.find(key)?;
        match self.contents.fate(id, now) {
            Fate::Live => Some(self.contents.found(id)),
            Fate::Expired | Fate::Doomed(_) => None,
        }
    }

    pub(super) fn read(&mut self, key: Key<'_>, now: &Now<'_>, trash: &mut Trash) -> Option<Found> {
        let Some(id) = self.find_live(key, now, trash) else {
            self.stats.misses += 1;
            return None;
        };
        self.stats.hits += 1;
        self.contents.touch(id);
        Some(self.contents.found(id).clone())
    }

    pub(super) fn remove(&mut self, key: Key<'_>, now: &Now<'_>, trash: &mut Trash) -> bool {
        let live = self.find_live(key, now, trash);
        if let Some(id) = live {
            self.stats.invalidations += 1;
            trash.found.push(self.contents.remove(id));
        }
        self.fence(key, trash);
        live.is_some()
    }

    pub(super) fn put(
        &mut self,
        key: Key<'_>,
        write: Write,
        tags: &TagNames,
        now: &Now<'_>,
        trash: &mut Trash,
    ) {
        self.ask_time(write.ttl, now);
        self.fence(key, trash);
        let tags = self.contents.tags.hold(tags.iter());
        self.store(key, write, tags, now, trash);
    }

    pub(super) fn board(
        &mut self,
        key: Key<'_>,
        request: &Request<'_>,
        now: &Now<'_>,
        trash: &mut Trash,
    ) -> Look {
        if let Some(id) = self.find_live(key, now, trash) {
            let found = self.contents.found(id).clone();
            let undecodable = request.undecodable;
            if !undecodable.is_some_and(|bytes| same_memory(bytes, &found.bytes)) {
                self.stats.hits += u64::from(request.counted);
                self.contents.touch(id);
                return Look::Hit(found);
            }
        }
        self.stats.misses += u64::from(request.counted);
        if let Some(seat) = self.seats.get(key) {
            if !self.contents.tags.any_dead(&seat.tags) {
                return Look::Join(Arc::clone(&seat.flight));
            }
            self.fence(key, trash);
        }
        let flight = Arc::new(Flight::new(request.kind));
        let tags = self.contents.tags.hold(request.tags.iter());
        self.seats.insert(key, Arc::clone(&flight), tags);
        self.stats.loads += 1;
        Look::Lead(flight)
    }

    pub(super) fn land(
        &mut self,
        key: Key<'_>,
        flight: &Arc<Flight>,
        write: Write,
        now: &Now<'_>,
        trash: &mut Trash,
    ) {
        self.ask_time(write.ttl, now);
        let Some(seat) = self.seats.take_from(key, flight) else {
            self.stats.stale_load_discards += 1;
            trash.found.push(write.found);
            return;
        };
        if self.contents.tags.any_dead(&seat.tags) {
            self.stats.stale_load_discards += 1;
            trash.found.push(write.found);
            self.vacate(seat, trash);
            return;
        }
        let Seat { flight, tags, .. } = seat;
        trash.flights.push(flight);
        self.store(key, write, tags, now, trash);
    }

    pub(super) fn give_up(
        &mut self,
        key: Key<'_>,
        flight: &Arc<Flight>,
        counted: bool,
        trash: &mut Trash,
    ) {
        self.stats.load_failures += u64::from(counted);
        if let Some(seat) = self.seats.take_from(key, flight) {
            self.vacate(seat, trash);
        }
    }

    pub(super) fn doom(&mut self, names: &[Text], doom: &Arc<Doom>) {
        for name in names {
            self.contents.tags.doom(name, doom);
        }
    }

    pub(super) fn flush(&mut self, at: Duration, trash: &mut Trash) {
        trash.seats = Some(mem::take(&mut self.seats));
        let contents = mem::replace(&mut self.contents, Contents::new());
        if contents.len() > 0 {
            self.flushed.push_back((contents, at));
        } else {
            trash.contents.push(contents);
        }
    }

    /// Takes out up to `most` unreachable entries, those longest so first.
    pub(super) fn sweep(&mut self, most: usize, trash: &mut Trash) -> usize {
        for swept in 0..most {
            if !(self.sweep_flushed(trash) || self.sweep_doomed(trash)) {
                trash.contents.extend(self.contents.shed());
                return swept;
            }
        }
        most
    }

    fn sweep_flushed(&mut self, trash: &mut Trash) -> bool {
        while let Some((contents, at)) = self.flushed.front_mut() {
            if let Some(id) = contents.victim() {
                let fate = contents.fate(id, &Now::at(*at));
                trash.found.push(contents.remove(id));
                self.count_fate(&fate);
                return true;
            }
            let empty = self.flushed.pop_front();
            trash.contents.extend(empty.map(|(contents, _)| contents));
        }
        false
    }

    fn sweep_doomed(&mut self, trash: &mut Trash) -> bool {
        let Some(id) = self.contents.next_dead() else {
            return false;
        };
        // A dead entry's fate was settled by its doom: the time is not asked.
        let fate = self.contents.fate(id, &Now::at(Duration::ZERO));
        self.take(id, &fate, trash);
        true
    }

    /// The entry of a key if it is live; if it is not, it leaves.
    fn find_live(&mut self, key: Key<'_>, now: &Now<'_>, trash: &mut Trash) -> Option<Id> {
        let id = self.contents.find(key)?;
        match self.contents.fate(id, now) {
            Fate::Live => Some(id),
            fate => {
                self.take(id, &fate, trash);
                None
            }
        }
    }

    /// Takes an entry out and counts it as its fate says.
    fn take(&mut self, id: Id, fate: &Fate, trash: &mut Trash) {
        trash.found.push(self.contents.remove(id));
        self.count_fate(fate);
    }

    fn count_fate(&mut self, fate: &Fate) {
        match fate {
            // It leaves by an act of its own, which has its own counter or none.
            Fate::Live => {}
            Fate::Expired => self.stats.expirations += 1,
            Fate::Doomed(doom) => {
                self.stats.invalidations += 1;
                doom.count_one();
            }
        }
    }

    /// Fences the load of a key: it will find its seat taken, and not store.
    fn fence(&mut self, key: Key<'_>, trash: &mut Trash) {
        if let Some(seat) = self.seats.take(key) {
            self.vacate(seat, trash);
        }
    }

    /// Lets go of what a seat held.
    fn vacate(&mut self, seat: Seat, trash: &mut Trash) {
        self.contents.tags.release(seat.tags);
        trash.flights.push(seat.flight);
    }

    /// Asks the time if a write may need it, while nothing is changed yet: a clock
    /// is foreign code and may panic.
    fn ask_time(&self, ttl: Option<Duration>, now: &Now<'_>) {
        if ttl.is_some() || self.contents.can_expire() {
            now.get();
        }
    }

    /// Puts a value in the place of what is there, if it may be kept.
    fn store(&mut self, key: Key<'_>, write: Write, tags: Held, now: &Now<'_>, trash: &mut Trash) {
        if let Some(id) = self.contents.find(key) {
            let fate = self.contents.fate(id, now);
            self.take(id, &fate, trash);
        }
        self.tidy(now, trash);
        let Write { found, ttl } = write;
        let too_large = found.bytes.len() > self.limits.entry_bytes;
        if too_large || self.limits.entries == 0 {
            self.stats.rejections += 1;
        } else if ttl != Some(Duration::ZERO) {
            // A sum that overflows is a time that never comes.
            let deadline = ttl.and_then(|ttl| now.get().checked_add(ttl));
            self.make_room(trash);
            self.contents.insert(key, found, deadline, tags);
            return;
        }
        self.contents.tags.release(tags);
        trash.found.push(found);
    }

    /// Gives back a little of each kind that is gone but still takes up room.
    fn tidy(&mut self, now: &Now<'_>, trash: &mut Trash) {
        for _ in 0..TIDIED_BY_A_WRITE {
            if !self.sweep_flushed(trash) {
                break;
            }
        }
        for _ in 0..TIDIED_BY_A_WRITE {
            if !self.sweep_doomed(trash) {
                break;
            }
        }
        for _ in 0..TIDIED_BY_A_WRITE {
            if !self.sweep_expired(now, trash) {
                break;
            }
        }
        trash.contents.extend(self.contents.shed());
    }

    fn sweep_expired(&mut self, now: &Now<'_>, trash: &mut Trash) -> bool {
        let Some(id) = self.contents.next_expired(now) else {
            return false;
        };
        let fate = self.contents.fate(id, now);
        self.take(id, &fate, trash);
        true
    }

    /// Makes room for one entry. What is gone has gone first: `tidy` leaves a full
    /// shard full only if every entry in it is live.
    fn make_room(&mut self, trash: &mut Trash) {
        while self.contents.len() >= self.limits.entries {
            let Some(id) = self.contents.victim() else {
                return;
            };
            self.stats.evictions += 1;
            trash.found.push(self.contents.remove(id));
        }
    }
}

/// Whether two handles share one memory. Whoever holds a handle can be sure that
/// the memory was not used again, so the same memory is the same value.
fn same_memory(a: &Bytes, b: &Bytes) -> bool {
    a.as_ptr() == b.as_ptr() && a.len() == b.len()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
