//! What stands under a shard's lock, and every act on it.

mod loading;
mod storing;
mod sweeping;

use std::collections::VecDeque;

use bytes::Bytes;

use super::backoffs::Backoffs;
use super::contents::Contents;
use super::entry_status::{Fate, Found};
use super::in_flight::{Seat, Seats};
use super::requests::Write;
use super::trash::Trash;
use crate::key::{Hashing, Key, Lookup, Text, is_text, shown};
use crate::options::TagNames;
use crate::removal::RemovalCause;
use crate::runtime::{Moment, Now};
use crate::stats::{CacheStats, count};
use crate::store::{Id, State};
use crate::sync::Arc;
use crate::tags::{Doom, Held, Kind};
use crate::value::{Form, Read};

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

#[derive(Debug)]
pub(super) struct Core {
    limits: Limits,
    contents: Contents,
    seats: Seats,
    backoffs: Backoffs,
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
            backoffs: Backoffs::default(),
            flushed: VecDeque::new(),
            stats: CacheStats::default(),
            writes: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.contents.len()
    }

    pub(super) fn contains(&self, key: Key<'_>, now: &Now<'_>) -> bool {
        self.contents.find_fresh(key, now).is_some()
    }

    #[inline]
    pub(super) fn peek(&self, key: Key<'_>, now: &Now<'_>) -> Option<Read> {
        let id = self.contents.find_fresh(key, now)?;
        Some(self.contents.value(id))
    }

    /// Whether what a read without a loader sees is what was read before.
    pub(super) fn is_still(&self, key: Key<'_>, read: Option<&Read>, now: &Now<'_>) -> bool {
        match (self.peek(key, now), read) {
            (Some(stored), Some(read)) => read.is_still(&stored),
            (None, None) => true,
            _ => false,
        }
    }

    #[inline]
    pub(super) fn value(&self, id: Id) -> Read {
        self.contents.value(id)
    }

    #[inline]
    pub(super) fn bytes(&self, id: Id) -> Bytes {
        self.contents.bytes(id).clone()
    }

    #[inline]
    pub(super) fn pick<T: Form>(&self, id: Id) -> T::Picked {
        self.contents.pick::<T>(id)
    }

    /// Looks a key up, and tells the policy if what is there is fresh.
    #[inline]
    pub(super) fn look_up(&self, key: impl Lookup, now: &Now<'_>) -> Found {
        let found = self.contents.look_up(key, now);
        if let Some(id) = found.fresh() {
            self.contents.touch(id, now);
        }
        found
    }

    /// Reads an entry that is fresh, beyond question, and need not be loaded ahead.
    #[inline]
    pub(super) fn read_sure<T: Form>(&self, key: impl Lookup, now: &Now<'_>) -> Option<T::Picked> {
        let Found::Fresh(id) = self.contents.look_up(key, now) else {
            return None;
        };
        self.contents.touch(id, now);
        Some(self.contents.pick::<T>(id))
    }

    /// Takes out what a look-up found gone, if it still is.
    pub(super) fn take_gone(&mut self, key: Key<'_>, now: &Now<'_>, trash: &mut Trash) {
        if let Some(id) = self.contents.find(key) {
            if self.contents.state(id, now) == State::Gone {
                let fate = self.contents.fate(id, now);
                self.take(id, &fate, RemovalCause::Invalidated, trash);
            }
        }
    }

    pub(super) fn remove(&mut self, key: Key<'_>, now: &Now<'_>, trash: &mut Trash) -> bool {
        let id = self.contents.find(key);
        let fate = id.map(|id| self.contents.fate(id, now));
        let live = matches!(fate, Some(Fate::Live));
        count(&mut self.stats.invalidations, live.into());
        if let (Some(id), Some(fate)) = (id, fate) {
            self.take(id, &fate, RemovalCause::Invalidated, trash);
        }
        self.fence(key);
        self.forgive(key, trash);
        live
    }

    /// Ends the freshness of an entry and fences the load of its key. Whether it was fresh.
    pub(super) fn expire(&mut self, key: Key<'_>, now: &Now<'_>, trash: &mut Trash) -> bool {
        let id = self.contents.find(key);
        let fate = id.map(|id| self.contents.fate(id, now));
        let live = matches!(fate, Some(Fate::Live));
        match (id, fate) {
            (Some(id), Some(Fate::Live | Fate::Expired)) if self.contents.expire(id, now.get()) => {
            }
            // Its tag was expired, and it may have something left all the same.
            (Some(id), Some(Fate::Doomed(doom))) if self.contents.outlives(id) => doom.count_one(),
            (Some(id), Some(fate)) => {
                let fate = if live { Fate::Expired } else { fate };
                self.take(id, &fate, RemovalCause::Invalidated, trash);
            }
            _ => {}
        }
        self.fence(key);
        live
    }

    #[inline]
    pub(super) fn put(
        &mut self,
        key: Key<'_>,
        write: &mut Write<'_>,
        tags: &TagNames,
        now: &Now<'_>,
        trash: &mut Trash,
    ) -> usize {
        self.ask_time(write.needs_time(), now);
        self.fence(key);
        let tags = self.hold(tags);
        self.store(key, write, tags, now, trash);
        self.compact(trash);
        self.writes
    }

    pub(super) fn keys(&self, all: bool, now: &Now<'_>) -> Vec<String> {
        let text = |key: &Text| {
            let bytes = key.as_bytes();
            is_text(bytes).then(|| shown(bytes, usize::MAX).into_owned())
        };
        let mut keys = Vec::new();
        let mut next = Some(0);
        while let Some(id) = next.and_then(|id| self.contents.next_from(id)) {
            let state = self.contents.state(id, now);
            if state.is_fresh() || (all && state != State::Gone) {
                keys.extend(text(self.contents.key(id)));
            }
            next = id.checked_add(1);
        }
        if all {
            keys.extend(self.seats.keys().filter_map(text));
            keys.sort_unstable();
            keys.dedup();
        }
        keys
    }

    pub(super) fn doom(&mut self, names: &[Text], doom: &Arc<Doom>) {
        for name in names {
            self.contents.tags.doom(name, doom);
        }
    }

    /// Takes an entry out and counts it as its fate says. `cause` is that of the act.
    #[inline]
    fn take(&mut self, id: Id, fate: &Fate, cause: RemovalCause, trash: &mut Trash) {
        trash.entry(self.contents.remove(id), fate.cause(cause));
        self.count_fate(fate);
    }

    #[inline]
    fn count_fate(&mut self, fate: &Fate) {
        match fate {
            // It leaves by an act of its own, which has its own counter or none.
            Fate::Live => {}
            Fate::Expired => count(&mut self.stats.expirations, 1),
            Fate::Doomed(doom) => {
                match doom.kind {
                    Kind::Remove => count(&mut self.stats.invalidations, 1),
                    Kind::Expire => count(&mut self.stats.expirations, 1),
                }
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

    /// Lets a key be loaded though a load of it failed.
    #[inline]
    fn forgive(&mut self, key: Key<'_>, trash: &mut Trash) {
        if !self.backoffs.is_empty() {
            trash.backoff(self.backoffs.take(key));
        }
    }

    /// Lets go of what a seat held. Its flight lives on in its leader.
    #[inline]
    fn vacate(&mut self, seat: Option<Seat>) {
        if let Some(seat) = seat {
            self.contents.tags.release(seat.tags);
            self.contents.tags.release(seat.old_tags);
        }
    }

    /// Asks the time if a write may need it, while nothing is changed yet: a clock
    /// is foreign code and may panic.
    #[inline]
    fn ask_time(&self, needed: bool, now: &Now<'_>) {
        if needed || self.contents.may_ask_time() {
            now.get();
        }
    }
}

#[cfg(any(test, fuzzing))]
impl Core {
    /// Checks every inner invariant.
    pub(super) fn validate(&self) {
        self.contents.validate();
        for flushed in &self.flushed {
            flushed.contents.validate();
        }
        assert!(self.contents.len() <= self.limits.entries);
        assert!(self.contents.cost() <= self.limits.bytes);
        assert_eq!(self.contents.tags.promised(), self.seats.held());
    }

    /// How much is in the tables: entries, tags, loads in progress, failures remembered.
    pub(super) fn tables(&self) -> [usize; 4] {
        let contents = &self.contents;
        let loads = self.seats.places().0;
        [
            contents.len(),
            contents.tags.places().0,
            loads,
            self.backoffs.len(),
        ]
    }
}

#[cfg(test)]
mod full;
#[cfg(test)]
mod tests;
