//! Keys and values, in the order of eviction and in the order of expiry.
//!
//! Plain data: no lock, no clock, no code of the caller. The store knows neither the meaning
//! of a value nor the bound on entries. The code above asks the store for the next entry to
//! evict or to expire, and removes the entry.
//!
//! An entry with the key is 64 bytes, one line of the processor's cache. The table for
//! finding entries takes five bytes for each of its places. Data of only some entries, such
//! as a place in the order of expiry or tags, is kept outside the entry, by id, and costs
//! other entries nothing.

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

/// Entries, the table, the eviction policy and the order of expiry.
#[derive(Debug)]
pub(crate) struct Store<V> {
    hashing: Hashing,
    /// Finds an entry by key.
    table: HashTable<EntryId>,
    entries: Slab<Entry<V>>,
    policy: Policy,
    wheel: TimingWheel,
    lifetimes: Lifetimes,
}

impl<V> Store<V> {
    /// The largest number of entries. Ids can name more, but the numbers of the policy's queues
    /// also count holes: a queue has up to twice as many slots as entries.
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

    /// Finds an entry by key, fresh or not.
    #[inline]
    pub(crate) fn find(&self, key: impl Lookup) -> Option<EntryId> {
        let same = |&id: &EntryId| key.matches(&self.entries[id as usize].key);
        self.table.find(key.hash(), same).copied()
    }

    /// Finds an entry like `find`, and reads the clock before a comparison with a key on the
    /// heap if the entry can expire.
    #[inline]
    pub(crate) fn find_timed(&self, key: impl Lookup, now: &Now<'_>) -> Option<EntryId> {
        let same = |&id: &EntryId| {
            let entry = &self.entries[id as usize];
            // A comparison with a key on the heap waits for one line of memory, and the
            // caller's next step waits for another line (the reference count of the value). The
            // processor waits for both together, but not across a call of the clock. So the
            // clock is read first.
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

    /// Returns the time up to which the entry is fresh without a look at other times.
    #[inline]
    pub(crate) fn surely_fresh_until(&self, id: EntryId) -> Moment {
        self.entries[id as usize].surely_fresh_until
    }

    /// Returns the deadlines of an entry with more than one time.
    #[inline]
    pub(crate) fn deadlines(&self, id: EntryId) -> Option<&Deadlines> {
        self.lifetimes.get(id)
    }

    /// Returns the end of an entry's time to live, and the deadlines, if there are more times.
    pub(crate) fn end_and_deadlines(&self, id: EntryId) -> (Moment, Option<&Deadlines>) {
        let deadlines = self.lifetimes.get(id);
        let end = deadlines.map_or_else(|| self.surely_fresh_until(id), |times| times.fresh_until);
        (end, deadlines)
    }

    /// Returns the state of an entry according to the entry's times. Tags are not considered.
    #[inline]
    pub(crate) fn state(&self, id: EntryId, now: &Now<'_>) -> State {
        // Most hits end here: the entry alone was read, and not the deadlines.
        if !now.is_past(self.surely_fresh_until(id)) {
            return State::Fresh;
        }
        let deadlines = self.lifetimes.get(id);
        deadlines.map_or(State::Expired, |deadlines| deadlines.state(now.get()))
    }

    /// Ends the freshness of an entry. Returns `true` if the value may still be served after a
    /// failed load, `false` if the entry is expired for every call.
    pub(crate) fn expire(&mut self, id: EntryId, at: Moment) -> bool {
        // The wheel files an entry under the end, so the entry leaves the wheel before the end
        // changes.
        let expires_at = self.expires_at(id);
        let Some(deadlines) = self.lifetimes.get_mut(id) else {
            return false;
        };
        deadlines.expire(at);
        self.wheel.remove(id, expires_at);
        // At the origin of time: the entry stays ended if the clock goes back.
        self.entries[id as usize].surely_fresh_until = Moment::ZERO;
        let expires_at = self.expires_at(id);
        self.wheel.insert(id, expires_at);
        expires_at > at
    }

    /// Returns the time from which the entry is expired for every call.
    #[inline]
    fn expires_at(&self, id: EntryId) -> Moment {
        let deadlines = self.lifetimes.get(id);
        deadlines.map_or_else(|| self.surely_fresh_until(id), Deadlines::expires_at)
    }

    /// Files an entry that was just stored in the order of expiry.
    #[inline]
    fn start_lifetime(&mut self, id: EntryId, lifetime: Lifetime) {
        self.wheel.insert(id, lifetime.expires_at());
        if let Lifetime::Timed(deadlines) = lifetime {
            self.lifetimes.set(id, deadlines);
        }
    }

    /// Removes and returns the times of an entry, before a removal or a replacement.
    #[inline]
    fn take_lifetime(&mut self, id: EntryId) -> Lifetime {
        let expires_at = self.expires_at(id);
        self.wheel.remove(id, expires_at);
        let deadlines = self.lifetimes.take(id);
        deadlines.map_or(Lifetime::Plain(expires_at), Lifetime::Timed)
    }

    /// Returns the number of entries with a reserved place.
    pub(crate) fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    /// Stores an entry under a key that is not stored yet.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        key: SmallBytes,
        hash: u64,
        value: V,
        lifetime: Lifetime,
    ) -> EntryId {
        // 1. Reserve a place. A slab would double, and leave much memory unused.
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(growth(self.entries.len()));
        }
        // 2. Store the entry; the place gives the id.
        let entry = Entry {
            key,
            value,
            surely_fresh_until: lifetime.surely_fresh_until(),
        };
        let id = to_index(self.entries.insert(entry));
        // 3. Make the entry findable. The table keeps no hashes: growth hashes the keys again.
        let (entries, hashing) = (&self.entries, &self.hashing);
        let rehash = |&id: &EntryId| hash_key(hashing, entries[id as usize].key.as_bytes());
        self.table.insert_unique(hash, id, rehash);
        // 4. Tell the policy, and file the entry in the order of expiry.
        self.policy.insert(id, hash);
        self.start_lifetime(id, lifetime);
        id
    }

    /// Replaces the value and the times of an entry. Returns the old value. Counts as a read.
    #[inline]
    pub(crate) fn replace(&mut self, id: EntryId, value: V, lifetime: Lifetime) -> V {
        self.policy.record_read(id);
        // Only times are dropped here; the caller drops the old value after the unlock.
        drop(self.take_lifetime(id));
        let entry = &mut self.entries[id as usize];
        entry.surely_fresh_until = lifetime.surely_fresh_until();
        let old = std::mem::replace(&mut entry.value, value);
        self.start_lifetime(id, lifetime);
        old
    }

    /// Removes an entry and the entry's times.
    #[inline]
    pub(crate) fn remove(&mut self, id: EntryId) -> (Entry<V>, Lifetime) {
        self.policy.remove(id);
        self.remove_from_table(id, self.hash_of(id));
        self.take_entry(id)
    }

    /// Removes up to `max` entries chosen by the policy, and passes each to `out`. Returns the
    /// number of removed entries.
    ///
    /// Each step runs for all entries of the batch before the next step. An eviction waits for
    /// a line of memory, then for another line named by the first, and so on. In a batch, the
    /// processor waits for the lines of one step together.
    #[inline]
    pub(crate) fn evict(
        &mut self,
        max: usize,
        mut out: impl FnMut(EntryId, Entry<V>, Lifetime),
    ) -> usize {
        // 1. Choose the victims. `vacant` counts the places freed so far in this batch.
        let chosen = (0..max).map_while(|vacant| Some((self.policy.choose_victim(vacant)?, 0)));
        let mut batch: SmallVec<[_; MAX_EVICTED_AT_ONCE]> = chosen.collect();
        // 2. Hash the keys: the first access to the entries.
        for (victim, hash) in &mut batch {
            *hash = self.hash_of(victim.id);
        }
        for (victim, hash) in &batch {
            // 3. Add the ghosts: one line of memory for each.
            self.policy.add_ghost(victim, *hash);
        }
        for (victim, hash) in &batch {
            // 4. Remove from the table.
            self.remove_from_table(victim.id, *hash);
        }
        for (victim, _) in &batch {
            // 5. Remove from the arrays, and pass the entry on.
            let (entry, lifetime) = self.take_entry(victim.id);
            out(victim.id, entry, lifetime);
        }
        batch.len()
    }

    /// Returns the hash of an entry's key. Hashes are not stored: hashing a key again takes a
    /// few nanoseconds.
    #[inline]
    pub(crate) fn hash_of(&self, id: EntryId) -> u64 {
        hash_key(&self.hashing, self.key(id).as_bytes())
    }

    /// Removes an entry from the table: the entry cannot be found any more.
    #[inline]
    fn remove_from_table(&mut self, id: EntryId, hash: u64) {
        if let Ok(found) = self.table.find_entry(hash, |&other| other == id) {
            found.remove();
        }
    }

    /// Removes an entry already removed from the table and from the policy.
    #[inline]
    fn take_entry(&mut self, id: EntryId) -> (Entry<V>, Lifetime) {
        let lifetime = self.take_lifetime(id);
        (self.entries.remove(id as usize), lifetime)
    }

    /// Returns the smallest id of a stored entry that is not below `id`.
    pub(crate) fn next_from(&self, id: EntryId) -> Option<EntryId> {
        let mut ids = id as usize..self.entries.capacity();
        ids.find(|&id| self.entries.contains(id)).map(to_index)
    }

    /// Records a read of an entry in the policy.
    #[inline]
    pub(crate) fn record_read(&self, id: EntryId) {
        self.policy.record_read(id);
    }

    /// Returns the rank of an entry: see [`Policy::rank`].
    pub(crate) fn rank(&self, id: EntryId) -> Rank {
        self.policy.rank(id)
    }

    /// Sets the rank of an entry: see [`Policy::restore_rank`].
    pub(crate) fn restore_rank(&mut self, id: EntryId, rank: Rank) {
        self.policy.restore_rank(id, rank);
    }

    /// Returns `true` if any entry has more than one time, `false` if none has.
    pub(crate) fn has_deadlines(&self) -> bool {
        self.lifetimes.len() > 0
    }

    /// Returns `true` if any entry can expire, `false` if all entries stay until removed.
    pub(crate) fn can_expire(&self) -> bool {
        self.wheel.len() > 0
    }

    /// Returns an expired entry: see [`TimingWheel::next_due`].
    #[inline]
    pub(crate) fn next_expired(&mut self, now: Moment, budget: &mut usize) -> Option<EntryId> {
        let (entries, lifetimes) = (&self.entries, &self.lifetimes);
        // As `expires_at`, which would borrow all of `self`.
        let expires_at = |id: EntryId| {
            let deadlines = lifetimes.get(id);
            deadlines.map_or_else(
                || entries[id as usize].surely_fresh_until,
                Deadlines::expires_at,
            )
        };
        self.wheel.next_due(now, budget, expires_at)
    }
}

#[cfg(any(test, fuzzing))]
impl<V> Store<V> {
    /// Checks every invariant inside, and returns the ids of all entries.
    pub(crate) fn validate(&self) -> Vec<EntryId> {
        assert_eq!(
            self.table.len(),
            self.entries.len(),
            "table and entries differ"
        );
        // The table, the policy, the wheel and the deadlines must know the same entries.
        let mut ids = Vec::new();
        for (index, entry) in &self.entries {
            let id = to_index(index);
            let hash = hash_key(&self.hashing, entry.key.as_bytes());
            let found = self.table.find(hash, |&other| other == id);
            assert_eq!(found, Some(&id), "the table does not find entry {id}");
            ids.push(id);
        }
        let mut ordered = self.policy.validate();
        ordered.sort_unstable();
        assert_eq!(ordered, ids, "the policy has other entries");
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
