//! Keys and their values, in the order to evict them and the order they expire.
//!
//! Plain data: no lock, no clock, nothing of the caller's. It knows neither what
//! a value is nor how many may be kept; the floor above asks it what to take out
//! next and takes it out.
//!
//! An entry with its key is 64 bytes, a line of the processor's cache, and the table
//! that finds it is five bytes for each of its places. What only some entries have, a place
//! in the order of expiry or tags, is kept beside them, by id, and costs the others
//! nothing.

mod entry;
mod freshness;
mod lifetimes;
mod policy;
mod timing_wheel;

use hashbrown::HashTable;
use slab::Slab;
use smallvec::SmallVec;

pub(crate) use self::entry::{Entry, EntryId};
pub(crate) use self::freshness::{Deadlines, Lifetime, State};
use self::lifetimes::Lifetimes;
use self::policy::Policy;
pub(crate) use self::policy::{MAX_EVICTED_AT_ONCE, Rank};
use self::timing_wheel::TimingWheel;
use crate::index::{Index, growth, to_index};
use crate::key::{Hashing, Lookup, SmallBytes, hash_key};
use crate::runtime::{Moment, Now};

#[derive(Debug)]
pub(crate) struct Store<V> {
    hashing: Hashing,
    /// Finds an entry by its key.
    table: HashTable<EntryId>,
    entries: Slab<Entry<V>>,
    policy: Policy,
    wheel: TimingWheel,
    lifetimes: Lifetimes,
}

impl<V> Store<V> {
    /// The most entries that ids can name, and that the policy's queues can number: they
    /// have twice as many places, since some are holes.
    pub(crate) const MAX_ENTRIES: usize = (Index::MAX / 4) as usize;

    pub(crate) fn new(hashing: Hashing) -> Self {
        Self {
            hashing,
            table: HashTable::new(),
            entries: Slab::new(),
            policy: Policy::default(),
            wheel: TimingWheel::default(),
            lifetimes: Lifetimes::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    pub(crate) fn find(&self, key: impl Lookup) -> Option<EntryId> {
        let same = |&id: &EntryId| key.matches(&self.entries[id as usize].key);
        self.table.find(key.hash(), same).copied()
    }

    /// As `find`, and asks the time before it looks at a key on the heap, if the entry can
    /// expire: asking between the two, the lines of the key and of the value's count would
    /// be waited for one after the other.
    #[inline]
    pub(crate) fn find_timed(&self, key: impl Lookup, now: &Now<'_>) -> Option<EntryId> {
        let same = |&id: &EntryId| {
            let entry = &self.entries[id as usize];
            if entry.key.is_on_heap() && entry.surely_fresh_until != Moment::NEVER {
                now.get();
            }
            key.matches(&entry.key)
        };
        self.table.find(key.hash(), same).copied()
    }

    #[inline]
    pub(crate) fn key(&self, id: EntryId) -> &SmallBytes {
        &self.entries[id as usize].key
    }

    #[inline]
    pub(crate) fn value(&self, id: EntryId) -> &V {
        &self.entries[id as usize].value
    }

    /// Until then an entry is fresh, and nothing else need be asked.
    #[inline]
    pub(crate) fn surely_fresh_until(&self, id: EntryId) -> Moment {
        self.entries[id as usize].surely_fresh_until
    }

    /// The times of an entry that has more than one.
    #[inline]
    pub(crate) fn deadlines(&self, id: EntryId) -> Option<&Deadlines> {
        self.lifetimes.get(id)
    }

    /// How it stands with an entry, as far as its times say.
    #[inline]
    pub(crate) fn state(&self, id: EntryId, now: &Now<'_>) -> State {
        if !now.is_past(self.surely_fresh_until(id)) {
            return State::Fresh;
        }
        let times = self.lifetimes.get(id);
        times.map_or(State::Expired, |times| times.state(now.get()))
    }

    /// Ends the freshness of an entry. Whether there is anything left to be served.
    pub(crate) fn expire(&mut self, id: EntryId, at: Moment) -> bool {
        let end = self.expires_at(id);
        let Some(times) = self.lifetimes.get_mut(id) else {
            return false;
        };
        times.expire(at);
        self.wheel.remove(id, end);
        self.entries[id as usize].surely_fresh_until = Moment::ZERO;
        let end = self.expires_at(id);
        self.wheel.insert(id, end);
        end > at
    }

    /// From then on an entry is gone.
    #[inline]
    fn expires_at(&self, id: EntryId) -> Moment {
        let times = self.lifetimes.get(id);
        times.map_or_else(|| self.surely_fresh_until(id), Deadlines::expires_at)
    }

    /// Puts an entry, which is stored anew, in the order of expiry.
    #[inline]
    fn start_lifetime(&mut self, id: EntryId, life: Lifetime) {
        self.wheel.insert(id, life.expires_at());
        if let Lifetime::Timed(times) = life {
            self.lifetimes.set(id, times);
        }
    }

    /// Takes the times of an entry that ends, or begins anew.
    #[inline]
    fn take_lifetime(&mut self, id: EntryId) -> Lifetime {
        let end = self.expires_at(id);
        self.wheel.remove(id, end);
        let times = self.lifetimes.take(id);
        times.map_or(Lifetime::Plain(end), Lifetime::Timed)
    }

    /// How many entries have a place reserved.
    pub(crate) fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    /// Stores an entry whose key is not stored.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        key: SmallBytes,
        hash: u64,
        value: V,
        life: Lifetime,
    ) -> EntryId {
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(growth(self.entries.len()));
        }
        let entry = Entry {
            key,
            value,
            surely_fresh_until: life.surely_fresh_until(),
        };
        let id = to_index(self.entries.insert(entry));
        let (entries, hashing) = (&self.entries, &self.hashing);
        let rehash = |&id: &EntryId| hash_key(hashing, entries[id as usize].key.as_bytes());
        self.table.insert_unique(hash, id, rehash);
        self.policy.insert(id, hash);
        self.start_lifetime(id, life);
        id
    }

    /// Puts a value in the place of another. Gives the old one.
    #[inline]
    pub(crate) fn replace(&mut self, id: EntryId, value: V, life: Lifetime) -> V {
        self.policy.record_read(id);
        drop(self.take_lifetime(id));
        let entry = &mut self.entries[id as usize];
        entry.surely_fresh_until = life.surely_fresh_until();
        let old = std::mem::replace(&mut entry.value, value);
        self.start_lifetime(id, life);
        old
    }

    /// Takes an entry out, and its times.
    #[inline]
    pub(crate) fn remove(&mut self, id: EntryId) -> (Entry<V>, Lifetime) {
        self.policy.remove(id);
        self.remove_from_table(id, self.hash_of(id));
        self.take_entry(id)
    }

    /// Takes out up to `most` entries that the policy lets go.
    ///
    /// Each step is done for all of them before the next. What it takes to evict one is
    /// to wait for a line of memory, then for another that the first one names, and so
    /// on; the lines of one step are waited for together.
    #[inline]
    pub(crate) fn evict(
        &mut self,
        most: usize,
        mut out: impl FnMut(EntryId, Entry<V>, Lifetime),
    ) -> usize {
        let chosen = (0..most).map_while(|vacant| Some((self.policy.choose_victim(vacant)?, 0)));
        let mut batch: SmallVec<[_; MAX_EVICTED_AT_ONCE]> = chosen.collect();
        for (victim, hash) in &mut batch {
            *hash = self.hash_of(victim.id);
        }
        for (victim, hash) in &batch {
            self.policy.add_ghost(victim, *hash);
        }
        for (victim, hash) in &batch {
            self.remove_from_table(victim.id, *hash);
        }
        for (victim, _) in &batch {
            let (entry, life) = self.take_entry(victim.id);
            out(victim.id, entry, life);
        }
        batch.len()
    }

    /// Hashes are not kept: a key is hashed again in a few nanoseconds.
    #[inline]
    pub(crate) fn hash_of(&self, id: EntryId) -> u64 {
        hash_key(&self.hashing, self.key(id).as_bytes())
    }

    /// Makes an entry one that cannot be found.
    #[inline]
    fn remove_from_table(&mut self, id: EntryId, hash: u64) {
        if let Ok(found) = self.table.find_entry(hash, |&other| other == id) {
            found.remove();
        }
    }

    /// Takes out an entry that is neither in the table nor known to the policy.
    #[inline]
    fn take_entry(&mut self, id: EntryId) -> (Entry<V>, Lifetime) {
        let life = self.take_lifetime(id);
        (self.entries.remove(id as usize), life)
    }

    /// The first id from this one on that names an entry.
    pub(crate) fn next_from(&self, id: EntryId) -> Option<EntryId> {
        let mut ids = id as usize..self.entries.capacity();
        ids.find(|&id| self.entries.contains(id)).map(to_index)
    }

    /// Tells the policy that an entry was read.
    #[inline]
    pub(crate) fn record_read(&self, id: EntryId) {
        self.policy.record_read(id);
    }

    /// See [`Policy::rank`].
    pub(crate) fn rank(&self, id: EntryId) -> Rank {
        self.policy.rank(id)
    }

    /// See [`Policy::restore_rank`].
    pub(crate) fn restore_rank(&mut self, id: EntryId, rank: Rank) {
        self.policy.restore_rank(id, rank);
    }

    /// Whether any entry has more times than one.
    pub(crate) fn has_deadlines(&self) -> bool {
        self.lifetimes.len() > 0
    }

    /// Whether any entry can expire.
    pub(crate) fn can_expire(&self) -> bool {
        self.wheel.len() > 0
    }

    /// An entry whose time has come: see [`TimingWheel::next_due`].
    #[inline]
    pub(crate) fn next_expired(&mut self, now: Moment, budget: &mut usize) -> Option<EntryId> {
        let (entries, lifetimes) = (&self.entries, &self.lifetimes);
        let end = |id: EntryId| {
            let times = lifetimes.get(id);
            times.map_or_else(
                || entries[id as usize].surely_fresh_until,
                Deadlines::expires_at,
            )
        };
        self.wheel.next_due(now, budget, end)
    }
}

#[cfg(any(test, fuzzing))]
impl<V> Store<V> {
    /// Checks every inner invariant, and gives the ids.
    pub(crate) fn validate(&self) -> Vec<EntryId> {
        assert_eq!(self.table.len(), self.entries.len());
        let mut ids = Vec::new();
        for (index, entry) in &self.entries {
            let id = to_index(index);
            let hash = hash_key(&self.hashing, entry.key.as_bytes());
            let found = self.table.find(hash, |&other| other == id);
            assert_eq!(found, Some(&id), "an entry cannot be found");
            ids.push(id);
        }
        let mut ordered = self.policy.validate();
        ordered.sort_unstable();
        assert_eq!(ordered, ids, "the policy knows other entries");
        let expiring = self.entries.iter().map(|(index, _)| {
            let id = to_index(index);
            (id, self.expires_at(id))
        });
        self.lifetimes.validate();
        self.wheel.validate(&expiring.collect::<Vec<_>>());
        ids
    }
}

#[cfg(test)]
mod tests;
