//! Fills caches before a measurement.

use crate::draw;
use crate::peer::{Contender, Loops};
use crate::requests::{Keys, Requests};
use crate::rounds::count;
use crate::value;

/// A capacity of a tenth and a thousand above the number of entries.
///
/// Shards fill unevenly, small shards most of all, so a cache with a capacity of exactly its
/// entries would evict some.
pub fn roomy(entries: u32) -> usize {
    entries as usize + entries as usize / 10 + 1_000
}

/// Builds a cache with the ids below `entries`, and reads each once.
///
/// The ids are put in random order: in numeric order, adjacent ids would be adjacent in
/// memory.
pub fn full(contender: Contender, keys: Keys, entries: u32) -> Box<dyn Loops> {
    let cache = contender.build(roomy(entries));
    let ids = draw::shuffled(entries, 1);
    for &id in &ids {
        cache.insert(id, &keys.text(id), value::value(id));
    }
    let held = cache.entries();
    assert_eq!(
        held,
        u64::from(entries),
        "{} lost entries",
        contender.name()
    );
    for &id in &ids {
        check(cache.as_ref(), id, &keys.text(id));
    }
    cache
}

/// Builds a cache of `capacity` entries and makes more puts than the cache can hold.
pub fn overfull(contender: Contender, keys: Keys, capacity: u32, puts: u32) -> Box<dyn Loops> {
    let cache = contender.build(capacity as usize);
    for id in 0..puts {
        cache.insert(id, &keys.text(id), value::value(id));
    }
    check_bound(contender, cache.as_ref(), capacity);
    cache
}

/// Asserts that every request finds the value of its id.
pub fn check_all(cache: &dyn Loops, requests: &Requests) {
    for (id, key) in requests.iter() {
        check(cache, id, key);
    }
}

fn check(cache: &dyn Loops, id: u32, key: &str) {
    let bytes = cache.get(key).expect("the key was put");
    value::check(id, &bytes);
}

/// Asserts that a full cache holds about its capacity, and no more.
///
/// hydracache must hold its bound exactly; peers round the bound up to a multiple of their
/// shards.
pub fn check_bound(contender: Contender, cache: &dyn Loops, capacity: u32) {
    if !contender.is_bounded() {
        return;
    }
    cache.settle();
    let name = contender.name();
    let held = count(usize::try_from(cache.entries()).expect("the entries fit into memory"));
    let capacity = f64::from(capacity);
    let slack = if name.starts_with("hydracache") {
        0.0
    } else {
        0.01 * capacity + 64.0
    };
    assert!(
        held <= capacity + slack,
        "{name} holds {held}, for {capacity} at most"
    );
    assert!(
        held >= 0.9 * capacity,
        "{name} holds {held}, with room for {capacity}"
    );
}
