use std::time::Duration;

use super::*;
use crate::key::Key;

fn key(text: &str) -> Key<'_> {
    let bytes = text.as_bytes();
    let hash = Hashing::Colliding.hash(bytes);
    Key { hash, bytes }
}

fn at(seconds: u64) -> Moment {
    Moment::of(Duration::from_secs(seconds))
}

fn insert(store: &mut Store<&'static str>, text: &'static str, deadline: Moment) -> EntryId {
    store.insert(text.into(), key(text).hash, text, Lifetime::Plain(deadline))
}

fn store(keys: &[&'static str]) -> Store<&'static str> {
    let mut store = Store::new(Hashing::Colliding);
    for &text in keys {
        insert(&mut store, text, Moment::NEVER);
    }
    store
}

// The layout is chosen for 64 bits. With pointers of 32 bits an entry is smaller, and no line is
// promised.
#[cfg(target_pointer_width = "64")]
#[test]
fn an_entry_with_key_is_one_cache_line() {
    assert_eq!(size_of::<Slab<Entry<bytes::Bytes>>>(), 40);
    assert_eq!(size_of::<Entry<bytes::Bytes>>(), 64);
    assert_eq!(size_of::<Option<Entry<bytes::Bytes>>>(), 64);
}

#[test]
fn keys_with_equal_hashes_are_told_apart() {
    // `Hashing::Colliding` gives these three keys one hash.
    let mut store = store(&["a", "d", "g"]);
    let d = store.find(key("d")).unwrap();
    assert_eq!(store.remove(d).0.value, "d");
    assert_eq!(store.validate().len(), 2);
    assert!(store.find(key("d")).is_none());
    let g = store.find(key("g")).unwrap();
    assert_eq!(*store.value(g), "g");
}

#[test]
fn evict_keeps_a_read_entry_longest() {
    let mut store = store(&["a", "b", "c"]);
    let a = store.find(key("a")).unwrap();
    // Two reads move the entry to the main queue before the end of young.
    store.record_read(a);
    store.record_read(a);
    while store.len() > 1 {
        assert_eq!(
            store.evict(1, |_, entry, _| assert_ne!(entry.value, "a")),
            1
        );
        store.validate();
    }
}

#[test]
fn evict_in_batches_removes_each_entry_once() {
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let mut store = store(&keys);
    let mut evicted = Vec::new();
    // Batches of every size, until nothing is left.
    for max in (1..=MAX_EVICTED_AT_ONCE).rev().cycle() {
        let before = evicted.len();
        let count = store.evict(max, |_, entry, _| evicted.push(entry.value));
        assert_eq!(evicted.len(), before + count);
        assert!(count <= max);
        store.validate();
        if count == 0 {
            break;
        }
    }
    // Each key exactly once.
    evicted.sort_unstable();
    assert_eq!(evicted, keys);
}

#[test]
fn insert_after_remove_uses_the_id_again() {
    let mut store = store(&["a", "b"]);
    let a = store.find(key("a")).unwrap();
    store.remove(a);
    insert(&mut store, "c", Moment::NEVER);
    assert_eq!(store.find(key("c")), Some(a));
    store.validate();
}

#[test]
fn replace_sets_a_new_deadline() {
    let mut store = store(&[]);
    let id = insert(&mut store, "a", at(1));
    assert_eq!(store.replace(id, "new", Lifetime::Plain(at(5))), "a");
    store.validate();
    // The old deadline, 1, must not be found.
    assert_eq!(store.next_expired(at(4), &mut 100), None);
    assert_eq!(store.next_expired(at(5), &mut 100), Some(id));
    store.replace(id, "newest", Lifetime::Plain(Moment::NEVER));
    store.validate();
    assert!(!store.can_expire());
}
