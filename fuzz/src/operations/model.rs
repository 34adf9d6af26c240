//! What the guarantees promise, as plainly as it can be said: entries, seats of loads,
//! back-offs, counters. It has no order of eviction: which entry left, the cache's own
//! listener tells, and the model sees to it that it was one that might.

use std::collections::BTreeMap;

use hydracache::{CacheStats, RemovalCause};

use super::entry::{Entry, State};
use super::loading::Flight;

/// A key: a small number.
pub(crate) type Key = u16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Load,
    Panic,
    Timeout,
    WrongType,
    Undecodable,
}

/// The bounds of the cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
    pub(crate) entry_bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) bounds: Bounds,
    pub(crate) now: u64,
    /// The number of the step.
    pub(crate) step: u64,
    pub(crate) entries: BTreeMap<Key, Entry>,
    /// What can no longer be reached, and the cause that it is to be told of.
    pub(crate) dead: Vec<(u32, RemovalCause)>,
    pub(super) seats: BTreeMap<Key, usize>,
    pub(crate) flights: Vec<Flight>,
    pub(super) backoffs: BTreeMap<Key, (u64, Fault)>,
    /// Every invalidation of a tag, one after the other.
    pub(super) marks: Vec<u8>,
    /// All but `decode_failures`.
    pub(crate) stats: CacheStats,
    pub(crate) stored: u64,
}

impl Model {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            now: 0,
            step: 0,
            entries: BTreeMap::new(),
            dead: Vec::new(),
            seats: BTreeMap::new(),
            flights: Vec::new(),
            backoffs: BTreeMap::new(),
            marks: Vec::new(),
            stats: CacheStats::default(),
            stored: 0,
        }
    }

    pub(crate) fn find_fresh(&self, key: Key) -> Option<&Entry> {
        let found = self.entries.get(&key);
        found.filter(|entry| entry.is_fresh(self.now))
    }

    /// A read that counts, of the bytes.
    pub(crate) fn read(&mut self, key: Key) -> Option<&Entry> {
        let now = self.now;
        let found = self.entries.get_mut(&key).filter(|it| it.is_fresh(now));
        if let Some(entry) = found {
            self.stats.hits += 1;
            entry.touch(now);
            Some(entry)
        } else {
            self.stats.misses += 1;
            None
        }
    }

    /// What leaves now is told of sooner or later. Whether it was live.
    fn end(&mut self, key: Key, cause: RemovalCause) -> bool {
        let Some(entry) = self.entries.remove(&key) else {
            return false;
        };
        let live = entry.is_fresh(self.now);
        let cause = if live { cause } else { RemovalCause::Expired };
        self.dead.push((entry.id, cause));
        live
    }

    pub(crate) fn fence(&mut self, key: Key) {
        self.seats.remove(&key);
    }

    /// Stores, if it may be kept. What was there is gone either way.
    pub(crate) fn store(&mut self, key: Key, entry: Entry, size: usize, ttl: Option<u64>) {
        self.backoffs.remove(&key);
        self.end(key, RemovalCause::Replaced);
        let Bounds {
            entries,
            bytes,
            entry_bytes,
        } = self.bounds;
        if size > entry_bytes || entry.cost > bytes || entries == 0 {
            self.stats.rejections += 1;
        } else if ttl != Some(0) {
            self.stored += 1;
            self.entries.insert(key, entry);
        }
    }

    pub(crate) fn remove(&mut self, key: Key) -> bool {
        self.fence(key);
        self.backoffs.remove(&key);
        self.end(key, RemovalCause::Invalidated)
    }

    /// Ends the freshness of an entry. Whether it was fresh.
    fn expire_entry(&mut self, key: Key) -> bool {
        let now = self.now;
        let Some(entry) = self.entries.get_mut(&key) else {
            return false;
        };
        // What is gone leaves now or when a write reclaims it.
        if entry.state(now) == State::Gone {
            return false;
        }
        let live = entry.is_fresh(now);
        entry.expire(now);
        if entry.state(now) == State::Gone {
            self.end(key, RemovalCause::Expired);
        }
        live
    }

    pub(crate) fn expire(&mut self, key: Key) -> bool {
        self.fence(key);
        self.expire_entry(key)
    }

    fn tagged(&self, tags: u8) -> Vec<Key> {
        let carries = |entry: &Entry| entry.tags & tags != 0;
        let found = self.entries.iter().filter(|(_, entry)| carries(entry));
        found.map(|(&key, _)| key).collect()
    }

    fn mark(&mut self, tags: u8) {
        self.marks.push(tags);
        let flights = &self.flights;
        self.seats
            .retain(|_, &mut flight| flights[flight].tags & tags == 0);
    }

    pub(crate) fn invalidate(&mut self, tags: u8) -> u64 {
        self.mark(tags);
        let mut count = 0;
        for key in self.tagged(tags) {
            count += u64::from(self.end(key, RemovalCause::Invalidated));
        }
        count
    }

    pub(crate) fn expire_tags(&mut self, tags: u8) -> u64 {
        self.mark(tags);
        let mut count = 0;
        for key in self.tagged(tags) {
            count += u64::from(self.expire_entry(key));
        }
        count
    }

    pub(crate) fn flush(&mut self) {
        self.seats.clear();
        self.backoffs.clear();
        let keys: Vec<Key> = self.entries.keys().copied().collect();
        for key in keys {
            self.end(key, RemovalCause::Flushed);
        }
    }

    /// The keys that a `retain` asks about at least.
    pub(crate) fn known_keys(&self) -> Vec<Key> {
        let kept = |entry: &Entry| entry.state(self.now) != State::Gone;
        let entries = self.entries.iter().filter(|(_, entry)| kept(entry));
        let mut keys: Vec<Key> = entries.map(|(&key, _)| key).collect();
        keys.extend(self.seats.keys());
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}
