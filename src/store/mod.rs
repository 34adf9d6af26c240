//! Keys and their values, in the order to evict them and the order they expire.
//!
//! Plain data: no lock, no clock, nothing of the caller's. It knows neither what
//! a value is nor how many may be kept; the floor above asks it what to take out
//! next and takes it out.

mod deadlines;
mod policy;

use std::time::Duration;

use hashbrown::HashTable;
use slab::Slab;

use self::deadlines::Deadlines;
use self::policy::Policy;
use crate::text::{Key, Text};

/// Names an entry as long as it is stored; then another may get the name.
pub(crate) type Id = u32;

#[derive(Debug)]
pub(crate) struct Store<V> {
    /// Finds an entry by its key.
    table: HashTable<Id>,
    entries: Slab<Entry<V>>,
    policy: Policy,
    deadlines: Deadlines,
}

#[derive(Debug)]
pub(crate) struct Entry<V> {
    pub(crate) key: Text,
    /// Kept so that growing the table and taking an entry out hash nothing.
    pub(crate) hash: u64,
    /// When it expires; `None` is never.
    pub(crate) deadline: Option<Duration>,
    pub(crate) value: V,
}

impl<V> Entry<V> {
    pub(crate) fn map<U>(self, change: impl FnOnce(V) -> U) -> Entry<U> {
        Entry {
            key: self.key,
            hash: self.hash,
            deadline: self.deadline,
            value: change(self.value),
        }
    }
}

impl<V> Store<V> {
    /// The most entries that ids can name.
    pub(crate) const MOST: usize = u32::MAX as usize;

    pub(crate) fn new() -> Self {
        Self {
            table: HashTable::new(),
            entries: Slab::new(),
            policy: Policy::default(),
            deadlines: Deadlines::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn find(&self, key: Key<'_>) -> Option<Id> {
        let same = |&id: &Id| {
            let entry = &self.entries[id as usize];
            key.is(entry.hash, &entry.key)
        };
        self.table.find(key.hash, same).copied()
    }

    pub(crate) fn value(&self, id: Id) -> &V {
        &self.entries[id as usize].value
    }

    pub(crate) fn deadline(&self, id: Id) -> Option<Duration> {
        self.entries[id as usize].deadline
    }

    pub(crate) fn value_mut(&mut self, id: Id) -> &mut V {
        &mut self.entries[id as usize].value
    }

    /// How many entries have a place reserved.
    pub(crate) fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    /// Stores an entry whose key is not stored.
    pub(crate) fn insert(&mut self, entry: Entry<V>) -> Id {
        let (hash, deadline) = (entry.hash, entry.deadline);
        let id = narrow(self.entries.insert(entry));
        let entries = &self.entries;
        self.table
            .insert_unique(hash, id, |&id| entries[id as usize].hash);
        self.policy.stored(id);
        if let Some(deadline) = deadline {
            self.deadlines.insert(deadline, id);
        }
        id
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, id: Id) -> Entry<V> {
        let entry = self.entries.remove(id as usize);
        if let Ok(found) = self.table.find_entry(entry.hash, |&other| other == id) {
            found.remove();
        }
        self.policy.removed(id);
        if let Some(deadline) = entry.deadline {
            self.deadlines.remove(deadline, id);
        }
        entry
    }

    /// Tells the policy that an entry was read.
    pub(crate) fn touch(&mut self, id: Id) {
        self.policy.read(id);
    }

    /// The entry that the policy would let go first.
    pub(crate) fn victim(&self) -> Option<Id> {
        self.policy.victim()
    }

    /// The entry that expires first, and when.
    pub(crate) fn first_to_expire(&self) -> Option<(Duration, Id)> {
        self.deadlines.first()
    }
}

/// Ids count from zero without gaps, and a shard keeps at most `MOST` entries.
fn narrow(index: usize) -> Id {
    debug_assert!(index < u32::MAX as usize, "more entries than ids");
    #[allow(clippy::cast_possible_truncation, reason = "bounded by `MOST`")]
    let id = index as Id;
    id
}

#[cfg(test)]
impl<V> Store<V> {
    /// Checks every inner invariant, and gives the ids.
    pub(crate) fn validate(&self) -> Vec<Id> {
        assert_eq!(self.table.len(), self.entries.len());
        for (index, entry) in &self.entries {
            let id = narrow(index);
            let found = self.table.find(entry.hash, |&other| other == id);
            assert_eq!(found, Some(&id), "an entry cannot be found");
        }
        let mut ids: Vec<Id> = self
            .entries
            .iter()
            .map(|(index, _)| narrow(index))
            .collect();
        let mut ordered = self.policy.validate();
        ordered.sort_unstable();
        assert_eq!(ordered, ids, "the policy knows other entries");
        let expiring = self.entries.iter().filter_map(|(index, entry)| {
            let deadline = entry.deadline?;
            Some((deadline, narrow(index)))
        });
        self.deadlines.validate(&expiring.collect());
        ids.sort_unstable();
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key<'_> {
        // All in one bucket: the worst table there is.
        Key { hash: 0, text }
    }

    fn insert(store: &mut Store<&'static str>, text: &'static str, seconds: Option<u64>) {
        store.insert(Entry {
            key: text.into(),
            hash: 0,
            deadline: seconds.map(Duration::from_secs),
            value: text,
        });
    }

    fn store(keys: &[&'static str]) -> Store<&'static str> {
        let mut store = Store::new();
        for text in keys {
            insert(&mut store, text, None);
        }
        store
    }

    #[test]
    fn colliding_hashes_are_told_apart_by_key() {
        let mut store = store(&["a", "b", "c"]);
        let b = store.find(key("b")).unwrap();
        assert_eq!(store.remove(b).value, "b");
        assert_eq!(store.validate().len(), 2);
        assert!(store.find(key("b")).is_none());
        let c = store.find(key("c")).unwrap();
        assert_eq!(*store.value(c), "c");
    }

    #[test]
    fn the_least_recently_read_goes_first() {
        let mut store = store(&["a", "b", "c"]);
        let a = store.find(key("a")).unwrap();
        store.touch(a);
        let victim = store.victim().unwrap();
        assert_eq!(store.remove(victim).value, "b");
        store.validate();
    }

    #[test]
    fn entries_expire_in_order_of_their_deadlines() {
        let mut store = Store::new();
        for (text, seconds) in [("late", 9), ("early", 1), ("later", 20)] {
            insert(&mut store, text, Some(seconds));
        }
        insert(&mut store, "never", None);
        let mut order = Vec::new();
        while let Some((_, id)) = store.first_to_expire() {
            order.push(store.remove(id).value);
            store.validate();
        }
        assert_eq!(order, ["early", "late", "later"]);
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn ids_are_used_again() {
        let mut store = store(&["a", "b"]);
        let a = store.find(key("a")).unwrap();
        store.remove(a);
        insert(&mut store, "c", None);
        assert_eq!(store.find(key("c")), Some(a));
        store.validate();
    }
}
