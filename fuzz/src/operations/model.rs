//! A simple model of the guarantees: entries, slots of loads, back-offs, counters.
//!
//! The model has no policy. The removal listener of the cache reports the evicted entry, and
//! the model checks that the entry was allowed to be evicted.

use std::collections::BTreeMap;

use hydracache::{CacheStats, RemovalCause};

use super::entry::{Entry, State, names_cost};
use super::loading::Flight;

/// A key: a small number.
pub(crate) type Key = u16;

/// The kind of an expected error.
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
    /// Removed values that the listener has not reported yet, with their causes.
    pub(crate) unreported: Vec<(u32, RemovalCause)>,
    /// The loads of each key that may be stored, in the order of their starts.
    pub(super) slots: BTreeMap<Key, Vec<usize>>,
    pub(crate) flights: Vec<Flight>,
    /// The end, the error and the tags of the failed load.
    pub(super) backoffs: BTreeMap<Key, (u64, Fault, u8)>,
    /// The tags of every invalidation so far, in order.
    pub(super) tag_invalidations: Vec<u8>,
    /// All counters except `decode_failures`.
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
            unreported: Vec::new(),
            slots: BTreeMap::new(),
            flights: Vec::new(),
            backoffs: BTreeMap::new(),
            tag_invalidations: Vec::new(),
            stats: CacheStats::default(),
            stored: 0,
        }
    }

    pub(crate) fn find_fresh(&self, key: Key) -> Option<&Entry> {
        let found = self.entries.get(&key);
        found.filter(|entry| entry.is_fresh(self.now))
    }

    /// A counted read.
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

    /// Removes an entry, to be reported later. Returns whether the entry was live.
    fn remove_entry(&mut self, key: Key, cause: RemovalCause) -> bool {
        let Some(entry) = self.entries.remove(&key) else {
            return false;
        };
        let live = entry.is_fresh(self.now);
        let cause = if live { cause } else { RemovalCause::Expired };
        self.unreported.push((entry.id, cause));
        live
    }

    pub(crate) fn fence(&mut self, key: Key) {
        self.slots.remove(&key);
    }

    /// Stores an entry, if its size allows and the caller wants the entry stored. The old entry is
    /// removed in any case.
    pub(crate) fn store(&mut self, key: Key, entry: Entry, size: usize, is_wanted: bool) {
        self.backoffs.remove(&key);
        self.remove_entry(key, RemovalCause::Replaced);
        let Bounds {
            entries,
            bytes,
            entry_bytes,
        } = self.bounds;
        let alone = entry.cost + names_cost(entry.tags);
        if size > entry_bytes || alone > bytes || entries == 0 {
            self.stats.rejections += 1;
        } else if is_wanted {
            self.stored += 1;
            self.entries.insert(key, entry);
        }
    }

    pub(crate) fn remove(&mut self, key: Key) -> bool {
        self.fence(key);
        self.backoffs.remove(&key);
        self.remove_entry(key, RemovalCause::Invalidated)
    }

    /// Ends the freshness of an entry. Returns whether the entry was fresh.
    fn expire_entry(&mut self, key: Key) -> bool {
        let now = self.now;
        let Some(entry) = self.entries.get_mut(&key) else {
            return false;
        };
        // An expired entry is removed now, or when a write reclaims the entry.
        if entry.state(now) == State::Expired {
            return false;
        }
        let live = entry.is_fresh(now);
        entry.expire(now);
        if entry.state(now) == State::Expired {
            self.remove_entry(key, RemovalCause::Expired);
        }
        live
    }

    pub(crate) fn expire(&mut self, key: Key) -> bool {
        self.fence(key);
        self.backoffs.remove(&key);
        self.expire_entry(key)
    }

    fn tagged(&self, tags: u8) -> Vec<Key> {
        let carries = |entry: &Entry| entry.tags & tags != 0;
        let found = self.entries.iter().filter(|(_, entry)| carries(entry));
        found.map(|(&key, _)| key).collect()
    }

    fn record_invalidation(&mut self, tags: u8) {
        self.tag_invalidations.push(tags);
        let flights = &self.flights;
        self.slots.retain(|_, loads| {
            loads.retain(|&flight| flights[flight].tags & tags == 0);
            !loads.is_empty()
        });
        self.backoffs.retain(|_, (_, _, of)| *of & tags == 0);
    }

    pub(crate) fn invalidate(&mut self, tags: u8) -> u64 {
        self.record_invalidation(tags);
        let mut count = 0;
        for key in self.tagged(tags) {
            count += u64::from(self.remove_entry(key, RemovalCause::Invalidated));
        }
        count
    }

    pub(crate) fn expire_tags(&mut self, tags: u8) -> u64 {
        self.record_invalidation(tags);
        let mut count = 0;
        for key in self.tagged(tags) {
            count += u64::from(self.expire_entry(key));
        }
        count
    }

    pub(crate) fn flush(&mut self) {
        self.slots.clear();
        self.backoffs.clear();
        let keys: Vec<Key> = self.entries.keys().copied().collect();
        for key in keys {
            self.remove_entry(key, RemovalCause::Flushed);
        }
    }

    /// The cost of all entries, and of an entry that has just left.
    pub(crate) fn cost_with(&self, left: Option<&Entry>) -> usize {
        let all = || self.entries.values().chain(left);
        let tags = all().fold(0, |tags, entry| tags | entry.tags);
        all().map(|entry| entry.cost).sum::<usize>() + names_cost(tags)
    }

    /// The keys that a `retain` must pass to its closure.
    pub(crate) fn known_keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.entries.keys().copied().collect();
        keys.extend(self.slots.keys());
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}
