//! What stands under a shard's lock, and every act on it.

mod storing;
mod sweeping;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

pub(super) use super::contents::Found;
use super::contents::{Contents, Fate};
use super::seats::{Seat, Seats};
use super::trash::Trash;
use crate::clock::{Moment, Now};
use crate::encoded::Encoded;
use crate::flight::Flight;
use crate::hash::Hashing;
use crate::options::TagNames;
use crate::stats::CacheStats;
use crate::store::Id;
use crate::sync::Arc;
use crate::tags::{Doom, Held};
use crate::text::{Key, Text};
use crate::types::TypeTag;

/// What a shard may keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) entries: usize,
    /// The sum of what the entries cost: see [`cost`](super::contents::cost).
    pub(crate) bytes: usize,
    /// The largest value.
    pub(crate) entry_bytes: usize,
    /// How many entries may leave at once to make room for one, if there are many.
    pub(crate) evicted_at_once: usize,
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
    /// What flushes made unreachable; the oldest at the front.
    flushed: VecDeque<Flushed>,
    pub(super) stats: CacheStats,
    /// How many values were stored, or would have been.
    writes: usize,
}

/// What a flush made unreachable and that still takes up room.
#[derive(Debug)]
struct Flushed {
    contents: Box<Contents>,
    /// When it was flushed.
    at: Moment,
    /// No entry with a smaller id is left.
    next: Id,
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

    #[inline]
    pub(super) fn peek(&self, key: Key<'_>, now: &Now<'_>) -> Option<Encoded> {
        let id = self.contents.find_live(key, now)?;
        Some(self.contents.value(id))
    }

    #[inline]
    pub(super) fn value(&self, id: Id) -> Encoded {
        self.contents.value(id)
    }

    #[inline]
    pub(super) fn bytes(&self, id: Id) -> Bytes {
        self.contents.bytes(id).clone()
    }

    /// Looks a key up, and tells the policy if it is there.
    #[inline]
    pub(super) fn look_up(&self, key: Key<'_>, now: &Now<'_>) -> Found {
        let found = self.contents.look_up(key, now);
        if let Found::Live(id) = found {
            self.contents.touch(id);
        }
        found
    }

    /// Takes out what a look-up found gone, if it still is.
    pub(super) fn take_gone(&mut self, key: Key<'_>, now: &Now<'_>, trash: &mut Trash) {
        if let Some(id) = self.contents.find(key) {
            let fate = self.contents.fate(id, now);
            if !matches!(fate, Fate::Live) {
                self.take(id, &fate, trash);
            }
        }
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

    #[inline]
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
        let tags = self.hold(tags);
        self.store(key, write, tags, now, trash);
        self.compact(trash);
        self.writes
    }

    /// Looks for an entry that a loading call can use, and tells the policy; or for a
    /// load to join.
    #[inline]
    pub(super) fn look_for(
        &self,
        key: Key<'_>,
        request: &Request<'_>,
        now: &Now<'_>,
    ) -> Option<Look> {
        if let Some(id) = self.contents.find_live(key, now) {
            let stored = self.contents.value(id);
            if !request.undecodable.is_some_and(|it| it.is_still(&stored)) {
                self.contents.touch(id);
                return Some(Look::Hit(stored));
            }
        }
        let seat = self.seats.get(key)?;
        let fenced = self.contents.tags.any_dead(&seat.tags);
        (!fenced).then(|| Look::Join(Arc::clone(&seat.flight)))
    }

    /// Takes nothing out: what is expired stays until the load lands or a write
    /// reclaims it.
    pub(super) fn look(&mut self, key: Key<'_>, request: &Request<'_>, now: &Now<'_>) -> Look {
        if let Some(found) = self.look_for(key, request, now) {
            return found;
        }
        // A load that is left has a dead tag.
        self.fence(key);
        let flight = Arc::new(Flight::new(request.ty));
        let tags = self.hold(request.tags);
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
    ) -> (usize, Option<Encoded>) {
        self.ask_time(write.ttl, now);
        let seat = self.seats.take_from(key, flight);
        // The seat and the leader have a handle each, and so has everybody who waits;
        // others can only join by the seat.
        let waiting = Arc::strong_count(flight) > 1 + usize::from(seat.is_some());
        let for_waiters = waiting.then(|| write.value.clone());
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
        (self.writes, for_waiters)
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

    /// Takes an entry out and counts it as its fate says.
    #[inline]
    fn take(&mut self, id: Id, fate: &Fate, trash: &mut Trash) {
        trash.entry(self.contents.remove(id));
        self.count_fate(fate);
    }

    #[inline]
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

    #[inline]
    fn hold(&mut self, tags: &TagNames) -> Held {
        if tags.is_empty() {
            return Held::default();
        }
        self.contents.tags.hold(tags.iter())
    }

    /// Fences the load of a key: it will find its seat taken, and not store.
    #[inline]
    fn fence(&mut self, key: Key<'_>) {
        let seat = self.seats.take(key);
        self.vacate(seat);
    }

    /// Lets go of what a seat held. Its flight lives on in its leader.
    #[inline]
    fn vacate(&mut self, seat: Option<Seat>) {
        if let Some(seat) = seat {
            self.contents.tags.release(seat.tags);
        }
    }

    /// Asks the time if a write may need it, while nothing is changed yet: a clock
    /// is foreign code and may panic.
    #[inline]
    fn ask_time(&self, ttl: Option<Duration>, now: &Now<'_>) {
        if ttl.is_some() || self.contents.can_expire() {
            now.get();
        }
    }
}

#[cfg(test)]
mod tests;
