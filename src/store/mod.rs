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

pub(crate) use self::entry::{Entry, Id};
pub(crate) use self::freshness::{Life, State, Times};
use self::lifetimes::Lives;
use self::policy::Policy;
pub(crate) use self::policy::{AT_ONCE, Standing};
use self::timing_wheel::Deadlines;
use crate::index::{Index, more, narrow};
use crate::key::{Hashing, Lookup, Text, hash_key};
use crate::runtime::{Moment, Now};

#[derive(Debug)]
pub(crate) struct Store<V> {
    hashing: Hashing,
    /// Finds an entry by its key.
    table: HashTable<Id>,
    entries: Slab<Entry<V>>,
    policy: Policy,
    deadlines: Deadlines,
    lives: Lives,
}

impl<V> Store<V> {
    /// The most entries that ids can name, and that the policy's queues can number: they
    /// have twice as many places, since some are holes.
    pub(crate) const MOST: usize = (Index::MAX / 4) as usize;

    pub(crate) fn new(hashing: Hashing) -> Self {
        Self {
            hashing,
            table: HashTable::new(),
            entries: Slab::new(),
            policy: Policy::default(),
            deadlines: Deadlines::default(),
            lives: Lives::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    pub(crate) fn find(&self, key: impl Lookup) -> Option<Id> {
        let same = |&id: &Id| key.is(&self.entries[id as usize].key);
        self.table.find(key.hash(), same).copied()
    }

    /// As `find`, and asks the time before it looks at a key on the heap, if the entry can
    /// expire: asking between the two, the lines of the key and of the value's count would
    /// be waited for one after the other.
    #[inline]
    pub(crate) fn find_at(&self, key: impl Lookup, now: &Now<'_>) -> Option<Id> {
        let same = |&id: &Id| {
            let entry = &self.entries[id as usize];
            if entry.key.is_apart() && entry.sure_until != Moment::NEVER {
                now.get();
            }
            key.is(&entry.key)
        };
        self.table.find(key.hash(), same).copied()
    }

    #[inline]
    pub(crate) fn key(&self, id: Id) -> &Text {
        &self.entries[id as usize].key
    }

    #[inline]
    pub(crate) fn value(&self, id: Id) -> &V {
        &self.entries[id as usize].value
    }

    /// Until then an entry is fresh, and nothing else need be asked.
    #[inline]
    pub(crate) fn sure_until(&self, id: Id) -> Moment {
        self.entries[id as usize].sure_until
    }

    /// The times of an entry that has more than one.
    #[inline]
    pub(crate) fn times(&self, id: Id) -> Option<&Times> {
        self.lives.of(id)
    }

    /// How it stands with an entry, as far as its times say.
    #[inline]
    pub(crate) fn state(&self, id: Id, now: &Now<'_>) -> State {
        if !now.is_past(self.sure_until(id)) {
            return State::Fresh;
        }
        let times = self.lives.of(id);
        times.map_or(State::Gone, |times| times.state(now.get()))
    }

    /// Ends the freshness of an entry. Whether there is anything left to be served.
    pub(crate) fn expire(&mut self, id: Id, at: Moment) -> bool {
        let end = self.end(id);
        let Some(times) = self.lives.of_mut(id) else {
            return false;
        };
        times.expire(at);
        self.deadlines.remove(id, end);
        self.entries[id as usize].sure_until = Moment::ZERO;
        let (end, capacity) = (self.end(id), self.entries.capacity());
        self.deadlines.insert(id, end, capacity);
        end > at
    }

    /// From then on an entry is gone.
    #[inline]
    fn end(&self, id: Id) -> Moment {
        let times = self.lives.of(id);
        times.map_or_else(|| self.sure_until(id), Times::end)
    }

    /// Puts an entry, which is stored anew, in the order of expiry.
    #[inline]
    fn begin(&mut self, id: Id, life: Life) {
        let capacity = self.entries.capacity();
        self.deadlines.insert(id, life.end(), capacity);
        if let Life::Timed(times) = life {
            self.lives.set(id, times, capacity);
        }
    }

    /// Takes the times of an entry that ends, or begins anew.
    #[inline]
    fn take_life(&mut self, id: Id) -> Life {
        let end = self.end(id);
        self.deadlines.remove(id, end);
        let times = self.lives.take(id);
        times.map_or(Life::Plain(end), Life::Timed)
    }

    /// How many entries have a place reserved.
    pub(crate) fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    /// Stores an entry whose key is not stored.
    #[inline]
    pub(crate) fn insert(&mut self, key: Text, hash: u64, value: V, life: Life) -> Id {
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(more(self.entries.len()));
        }
        let capacity = self.entries.capacity();
        let entry = Entry {
            key,
            value,
            sure_until: life.sure_until(),
        };
        let id = narrow(self.entries.insert(entry));
        let (entries, hashing) = (&self.entries, &self.hashing);
        let rehash = |&id: &Id| hash_key(hashing, entries[id as usize].key.as_bytes());
        self.table.insert_unique(hash, id, rehash);
        self.policy.stored(id, hash, capacity);
        self.begin(id, life);
        id
    }

    /// Puts a value in the place of another. Gives the old one.
    #[inline]
    pub(crate) fn replace(&mut self, id: Id, value: V, life: Life) -> V {
        self.policy.read(id);
        drop(self.take_life(id));
        let entry = &mut self.entries[id as usize];
        entry.sure_until = life.sure_until();
        let old = std::mem::replace(&mut entry.value, value);
        self.begin(id, life);
        old
    }

    /// Takes an entry out, and its times.
    #[inline]
    pub(crate) fn remove(&mut self, id: Id) -> (Entry<V>, Life) {
        self.policy.removed(id);
        self.unlist(id, self.hash_of(id));
        self.take(id)
    }

    /// Takes out up to `most` entries that the policy lets go.
    ///
    /// Each step is done for all of them before the next. What it takes to evict one is
    /// to wait for a line of memory, then for another that the first one names, and so
    /// on; the lines of one step are waited for together.
    #[inline]
    pub(crate) fn evict(&mut self, most: usize, mut out: impl FnMut(Id, Entry<V>, Life)) -> usize {
        let chosen = (0..most).map_while(|vacant| Some((self.policy.choose(vacant)?, 0)));
        let mut batch: SmallVec<[_; AT_ONCE]> = chosen.collect();
        for (victim, hash) in &mut batch {
            *hash = self.hash_of(victim.id);
        }
        for (victim, hash) in &batch {
            self.policy.bury(victim, *hash);
        }
        for (victim, hash) in &batch {
            self.unlist(victim.id, *hash);
        }
        for (victim, _) in &batch {
            let (entry, life) = self.take(victim.id);
            out(victim.id, entry, life);
        }
        batch.len()
    }

    /// Hashes are not kept: a key is hashed again in a few nanoseconds.
    #[inline]
    pub(crate) fn hash_of(&self, id: Id) -> u64 {
        hash_key(&self.hashing, self.key(id).as_bytes())
    }

    /// Makes an entry one that cannot be found.
    #[inline]
    fn unlist(&mut self, id: Id, hash: u64) {
        if let Ok(found) = self.table.find_entry(hash, |&other| other == id) {
            found.remove();
        }
    }

    /// Takes out an entry that is neither in the table nor known to the policy.
    #[inline]
    fn take(&mut self, id: Id) -> (Entry<V>, Life) {
        let life = self.take_life(id);
        (self.entries.remove(id as usize), life)
    }

    /// The first id from this one on that names an entry.
    pub(crate) fn next_from(&self, id: Id) -> Option<Id> {
        let mut ids = id as usize..self.entries.capacity();
        ids.find(|&id| self.entries.contains(id)).map(narrow)
    }

    /// Tells the policy that an entry was read.
    #[inline]
    pub(crate) fn touch(&self, id: Id) {
        self.policy.read(id);
    }

    /// See [`Policy::standing`].
    pub(crate) fn standing(&self, id: Id) -> Standing {
        self.policy.standing(id)
    }

    /// See [`Policy::reinstate`].
    pub(crate) fn reinstate(&mut self, id: Id, standing: Standing) {
        self.policy.reinstate(id, standing);
    }

    /// Whether any entry has more times than one.
    pub(crate) fn has_times(&self) -> bool {
        self.lives.len() > 0
    }

    /// Whether any entry can expire.
    pub(crate) fn can_expire(&self) -> bool {
        self.deadlines.len() > 0
    }

    /// An entry whose time has come: see [`Deadlines::next_due`].
    #[inline]
    pub(crate) fn next_expired(&mut self, now: Moment, patience: &mut usize) -> Option<Id> {
        let (entries, lives) = (&self.entries, &self.lives);
        let end = |id: Id| {
            let times = lives.of(id);
            times.map_or_else(|| entries[id as usize].sure_until, Times::end)
        };
        self.deadlines.next_due(now, patience, end)
    }
}

#[cfg(any(test, fuzzing))]
impl<V> Store<V> {
    /// Checks every inner invariant, and gives the ids.
    pub(crate) fn validate(&self) -> Vec<Id> {
        assert_eq!(self.table.len(), self.entries.len());
        let mut ids = Vec::new();
        for (index, entry) in &self.entries {
            let id = narrow(index);
            let hash = hash_key(&self.hashing, entry.key.as_bytes());
            let found = self.table.find(hash, |&other| other == id);
            assert_eq!(found, Some(&id), "an entry cannot be found");
            ids.push(id);
        }
        let mut ordered = self.policy.validate();
        ordered.sort_unstable();
        assert_eq!(ordered, ids, "the policy knows other entries");
        let expiring = self.entries.iter().map(|(index, _)| {
            let id = narrow(index);
            (id, self.end(id))
        });
        self.lives.validate();
        self.deadlines.validate(&expiring.collect::<Vec<_>>());
        ids
    }
}

#[cfg(test)]
mod tests;
