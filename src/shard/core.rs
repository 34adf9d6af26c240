//! What stands under a shard's lock, and every act on it.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use bytes::Bytes;

use super::contents::{Contents, Fate, cost};
use super::seats::{Seat, Seats};
use super::trash::Trash;
use crate::clock::{Moment, Now};
use crate::encoded::Encoded;
use crate::flight::Flight;
use crate::hash::Hashing;
use crate::options::TagNames;
use crate::stats::CacheStats;
use crate::store::{Entry, Id};
use crate::sync::Arc;
use crate::tags::{Doom, Held};
use crate::text::{Key, Text};
use crate::types::TypeTag;

/// How many entries a write gives back at most of each kind: flushed, invalidated,
/// expired. A write adds one, so writes catch up with any backlog.
const TIDIED_BY_A_WRITE: usize = 32;

/// Room for so many entries, tags and loads is kept however few there are, so that
/// a small cache does not reserve it again and again.
const ROOM_KEPT: usize = 1024;

/// Room is given back when less than one part in so many is used.
const SPARSE: usize = 8;

/// How many entries a write moves at most on their way to be due.
const MOVED_BY_A_WRITE: usize = 64;

/// What a shard may keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) entries: usize,
    /// The sum of what the entries cost: see [`cost`](super::contents::cost).
    pub(crate) bytes: usize,
    /// The largest value.
    pub(crate) entry_bytes: usize,
}

/// A value to store.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) value: Encoded,
    pub(crate) ttl: Option<Duration>,
}

/// What a loading call looks for.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// The type that its own load would be of.
    pub(crate) ty: TypeTag,
    /// The tags that its own load would have.
    pub(crate) tags: &'a TagNames,
    /// Whether this look is the one that is counted.
    pub(crate) counted: bool,
    /// What it found before and could not decode: as long as that is still what is
    /// stored, it counts as missing.
    pub(crate) undecodable: Option<&'a Encoded>,
}

/// What a loading call comes upon.
#[derive(Debug)]
pub(crate) enum Look {
    /// A live entry.
    Hit(Encoded),
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
    flushed: VecDeque<(Box<Contents>, Moment)>,
    pub(super) stats: CacheStats,
    /// How many values were stored, or would have been.
    writes: usize,
}

impl Core {
    pub(super) fn new(limits: Limits, hashing: Hashing) -> Self {
        let entries = limits.entries.min(Contents::MOST);
        Self {
            limits: Limits { entries, ..limits },
            contents: Contents::new(hashing),
            seats: Seats::default(),
            flushed: VecDeque::new(),
            stats: CacheStats::default(),
            writes: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.contents.len()
    }

    pub(super) fn contains(&self, key: Key<'_>, now: &Now<'_>) -> bool {
        self.contents.find_live(key, now).is_some()
    }

    pub(super) fn peek(&self, key: Key<'_>, now: &Now<'_>) -> Option<Encoded> {
        let id = self.contents.find_live(key, now)?;
        Some(self.contents.value(id))
    }

    pub(super) fn read(
        &mut self,
        key: Key<'_>,
        now: &Now<'_>,
        gone: &mut Option<Entry<Bytes>>,
    ) -> Option<Encoded> {
        let id = self.look_up(key, now, gone)?;
        Some(self.contents.value(id))
    }

    #[inline]
    pub(super) fn read_bytes(
        &mut self,
        key: Key<'_>,
        now: &Now<'_>,
        gone: &mut Option<Entry<Bytes>>,
    ) -> Option<Bytes> {
        let id = self.look_up(key, now, gone)?;
        Some(self.contents.bytes(id).clone())
    }

    /// Finds a live entry, counts that and tells the policy. One that is not live
    /// leaves, and is in `gone`: less to set up than a `Trash`.
    #[inline]
    fn look_up(
        &mut self,
        key: Key<'_>,
        now: &Now<'_>,
        gone: &mut Option<Entry<Bytes>>,
    ) -> Option<Id> {
        let found = self.contents.find_live(key, now);
        if let Some(id) = found {
            self.stats.hits += 1;
            self.contents.touch(id);
        } else {
            self.stats.misses += 1;
            *gone = self.take_dead(key, now);
        }
        found
    }

    #[cold]
    fn take_dead(&mut self, key: Key<'_>, now: &Now<'_>) -> Option<Entry<Bytes>> {
        let id = self.contents.find(key)?;
        let fate = self.contents.fate(id, now);
        self.count_fate(&fate);
        Some(self.contents.remove(id))
    }

    pub(super) fn remove(&mut self, key: Key<'_>, now: &Now<'_>, trash: &mut Trash) -> bool {
        let id = self.contents.find(key);
        let fate = id.map(|id| self.contents.fate(id, now));
        let live = matches!(fate, Some(Fate::Live));
        self.stats.invalidations += u64::from(live);
        if let (Some(id), Some(fate)) = (id, fate) {
            self.take(id, &fate, trash);
        }
        self.fence(key);
        live
    }

    pub(super) fn put(
        &mut self,
        key: Key<'_>,
        write: &mut Write,
        tags: &TagNames,
        now: &Now<'_>,
        trash: &mut Trash,
    ) -> usize {
        self.ask_time(write.ttl, now);
        self.fence(key);
        let tags = self.contents.tags.hold(tags.iter());
        self.store(key, write, tags, now, trash);
        self.compact(trash);
        self.writes
    }

    /// Takes nothing out: what is expired stays until the load lands or a write
    /// reclaims it. So there is nothing whose `Drop` could come between a call and
    /// the seat that it has taken.
    pub(super) fn look(&mut self, key: Key<'_>, request: &Request<'_>, now: &Now<'_>) -> Look {
        if let Some(id) = self.contents.find_live(key, now) {
            let stored = self.contents.value(id);
            if !request.undecodable.is_some_and(|it| it.is_still(&stored)) {
                self.stats.hits += u64::from(request.counted);
                self.contents.touch(id);
                return Look::Hit(stored);
            }
        }
        self.stats.misses += u64::from(request.counted);
        if let Some(seat) = self.seats.get(key) {
            if !self.contents.tags.any_dead(&seat.tags) {
                return Look::Join(Arc::clone(&seat.flight));
            }
            self.fence(key);
        }
        let flight = Arc::new(Flight::new(request.ty));
        let tags = self.contents.tags.hold(request.tags.iter());
        self.seats.insert(key, Arc::clone(&flight), tags);
        self.stats.loads += 1;
        Look::Lead(flight)
    }

    pub(super) fn land(
        &mut self,
        key: Key<'_>,
        flight: &Arc<Flight>,
        write: &mut Write,
        now: &Now<'_>,
        trash: &mut Trash,
    ) -> usize {
        self.ask_time(write.ttl, now);
        let seat = self.seats.take_from(key, flight);
        match seat {
            Some(seat) if !self.contents.tags.any_dead(&seat.tags) => {
                self.store(key, write, seat.tags, now, trash);
                self.compact(trash);
            }
            fenced => {
                self.stats.stale_load_discards += 1;
                self.vacate(fenced);
            }
        }
        self.writes
    }

    pub(super) fn give_up(&mut self, key: Key<'_>, flight: &Arc<Flight>, failed: bool) {
        self.stats.load_failures += u64::from(failed);
        let seat = self.seats.take_from(key, flight);
        self.vacate(seat);
    }

    pub(super) fn doom(&mut self, names: &[Text], doom: &Arc<Doom>) {
        for name in names {
            self.contents.tags.doom(name, doom);
        }
    }

    pub(super) fn flush(&mut self, at: Moment, trash: &mut Trash) {
        trash.seats = Some(mem::take(&mut self.seats));
        let empty = self.contents.anew();
        let contents = mem::replace(&mut self.contents, empty);
        if contents.len() > 0 {
            self.flushed.push_back((Box::new(contents), at));
        } else {
            trash.contents.push(contents);
        }
    }

    /// Takes out up to `most` unreachable entries, the longest unreachable first.
    pub(super) fn sweep(&mut self, most: usize, trash: &mut Trash) -> usize {
        for swept in 0..most {
            if !(self.sweep_flushed(trash) || self.sweep_doomed(trash)) {
                self.compact(trash);
                return swept;
            }
        }
        most
    }

    fn sweep_flushed(&mut self, trash: &mut Trash) -> bool {
        while let Some((contents, at)) = self.flushed.front_mut() {
            if let Some(id) = contents.victim() {
                let fate = contents.fate(id, &Now::Known(*at));
                trash.entry(contents.remove(id));
                self.count_fate(&fate);
                return true;
            }
            let empty = self.flushed.pop_front();
            trash.contents.extend(empty.map(|(contents, _)| *contents));
        }
        false
    }

    fn sweep_doomed(&mut self, trash: &mut Trash) -> bool {
        let dead = self.contents.next_doomed();
        if let Some((id, fate)) = &dead {
            self.take(*id, fate, trash);
        }
        dead.is_some()
    }

    /// Takes an entry out and counts it as its fate says.
    fn take(&mut self, id: Id, fate: &Fate, trash: &mut Trash) {
        trash.entry(self.contents.remove(id));
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
    fn fence(&mut self, key: Key<'_>) {
        let seat = self.seats.take(key);
        self.vacate(seat);
    }

    /// Lets go of what a seat held. Its flight lives on in its leader.
    fn vacate(&mut self, seat: Option<Seat>) {
        if let Some(seat) = seat {
            self.contents.tags.release(seat.tags);
        }
    }

    /// Asks the time if a write may need it, while nothing is changed yet: a clock
    /// is foreign code and may panic.
    fn ask_time(&self, ttl: Option<Duration>, now: &Now<'_>) {
        if ttl.is_some() || self.contents.can_expire() {
            now.get();
        }
    }

    /// Puts a value in the place of what is there, if it may be kept.
    fn store(
        &mut self,
        key: Key<'_>,
        write: &mut Write,
        tags: Held,
        now: &Now<'_>,
        trash: &mut Trash,
    ) {
        self.writes = self.writes.wrapping_add(1);
        self.tidy(now, trash);
        let old = self.contents.find(key);
        let fate = old.map_or(Fate::Live, |id| self.contents.fate(id, now));
        let cost = cost(key.text.len(), write.value.bytes.len(), tags.len());
        let refused = write.value.bytes.len() > self.limits.entry_bytes
            || cost > self.limits.bytes
            || self.limits.entries == 0;
        if refused || write.ttl == Some(Duration::ZERO) {
            self.stats.rejections += u64::from(refused);
            self.contents.tags.release(tags);
            if let Some(id) = old {
                self.take(id, &fate, trash);
            }
            return;
        }
        let deadline = write.ttl.map_or(Moment::NEVER, |ttl| now.get().after(ttl));
        let value = mem::take(&mut write.value);
        if let Some(id) = old {
            if self.contents.cost() - self.contents.cost_of(id) + cost <= self.limits.bytes {
                let replaced = self.contents.replace(id, value, deadline, tags);
                trash.value = Some(replaced);
                self.count_fate(&fate);
                return;
            }
            self.take(id, &fate, trash);
        }
        self.make_room(cost, now, trash);
        self.contents.insert(key.text.into(), value, deadline, tags);
    }

    /// Gives back a little of each kind that is gone but still takes up room.
    pub(super) fn tidy(&mut self, now: &Now<'_>, trash: &mut Trash) {
        let most = 0..TIDIED_BY_A_WRITE;
        if !self.flushed.is_empty() {
            most.clone().all(|_| self.sweep_flushed(trash));
        }
        if self.contents.tags.is_dying() {
            most.clone().all(|_| self.sweep_doomed(trash));
        }
        if self.contents.can_expire() {
            let mut patience = MOVED_BY_A_WRITE;
            most.clone()
                .all(|_| self.sweep_expired(now, &mut patience, trash));
        }
    }

    fn sweep_expired(&mut self, now: &Now<'_>, patience: &mut usize, trash: &mut Trash) -> bool {
        let Some(id) = self.contents.next_expired(now, patience) else {
            return false;
        };
        let fate = self.contents.fate(id, now);
        self.take(id, &fate, trash);
        true
    }

    /// Makes room for one entry. What is gone goes first: a live entry leaves only a
    /// shard in which every entry is live.
    fn make_room(&mut self, cost: usize, now: &Now<'_>, trash: &mut Trash) {
        while self.contents.len() >= self.limits.entries
            || self.contents.cost() + cost > self.limits.bytes
        {
            let mut patience = usize::MAX;
            if self.sweep_doomed(trash) || self.sweep_expired(now, &mut patience, trash) {
                continue;
            }
            let Some(id) = self.contents.victim() else {
                return;
            };
            self.stats.evictions += 1;
            trash.entry(self.contents.remove(id));
        }
    }

    /// Moves what is left to smaller tables when most of the room is unused. The many
    /// that have left pay for it: room must grow eightfold before it happens again.
    fn compact(&mut self, trash: &mut Trash) {
        let (contents, seats) = (self.contents.places(), self.seats.places());
        let (used, reserved) = (contents.0 + seats.0, contents.1 + seats.1);
        let dying = self.contents.tags.is_dying();
        if !dying && reserved > ROOM_KEPT && used < reserved / SPARSE {
            self.move_to_new_tables(trash);
        }
    }

    /// Must not be called while a member of a dead tag is left.
    fn move_to_new_tables(&mut self, trash: &mut Trash) {
        // A load with a dead tag is fenced: with or without a seat, it will not store.
        let tags = &self.contents.tags;
        self.seats.compact(|seat| !tags.any_dead(&seat.tags));
        let old = self.contents.compact(self.seats.tags_mut());
        trash.contents.push(old);
    }
}

#[cfg(test)]
mod tests;
