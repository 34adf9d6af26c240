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

#[test]
fn an_entry_with_its_key_is_one_line_of_the_cache() {
    assert_eq!(size_of::<Slab<Entry<bytes::Bytes>>>(), 40);
    assert_eq!(size_of::<Entry<bytes::Bytes>>(), 64);
    assert_eq!(size_of::<Option<Entry<bytes::Bytes>>>(), 64);
}

#[test]
fn colliding_hashes_are_told_apart_by_key() {
    let mut store = store(&["a", "d", "g"]);
    let d = store.find(key("d")).unwrap();
    assert_eq!(store.remove(d).0.value, "d");
    assert_eq!(store.validate().len(), 2);
    assert!(store.find(key("d")).is_none());
    let g = store.find(key("g")).unwrap();
    assert_eq!(*store.value(g), "g");
}

#[test]
fn what_was_read_outlives_what_was_not() {
    let mut store = store(&["a", "b", "c"]);
    let a = store.find(key("a")).unwrap();
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
fn many_leave_at_once_and_each_once() {
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let mut store = store(&keys);
    let mut left = Vec::new();
    for most in (1..=MAX_EVICTED_AT_ONCE).rev().cycle() {
        let before = left.len();
        let count = store.evict(most, |_, entry, _| left.push(entry.value));
        assert_eq!(left.len(), before + count);
        assert!(count <= most);
        store.validate();
        if count == 0 {
            break;
        }
    }
    left.sort_unstable();
    assert_eq!(left, keys);
}

#[test]
fn ids_are_used_again() {
    let mut store = store(&["a", "b"]);
    let a = store.find(key("a")).unwrap();
    store.remove(a);
    insert(&mut store, "c", Moment::NEVER);
    assert_eq!(store.find(key("c")), Some(a));
    store.validate();
}

#[test]
fn a_value_that_is_replaced_has_a_deadline_of_its_own() {
    let mut store = store(&[]);
    let id = insert(&mut store, "a", at(1));
    assert_eq!(store.replace(id, "new", Lifetime::Plain(at(5))), "a");
    store.validate();
    assert_eq!(store.next_expired(at(4), &mut 100), None);
    assert_eq!(store.next_expired(at(5), &mut 100), Some(id));
    store.replace(id, "newest", Lifetime::Plain(Moment::NEVER));
    store.validate();
    assert!(!store.can_expire());
}
