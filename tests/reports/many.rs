//! Calls for many keys: repeated keys, small caches, and loaders with hits beside failures.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;

use hydracache::HydraCache;

use crate::parts::*;
use crate::support::*;

#[test]
fn repeated_key_loads_once_though_nothing_is_stored() {
    let cache = HydraCache::local().max_capacity(0).build();
    let typed = cache.typed::<u32, u32>("numbers");
    let given = RefCell::new(Vec::new());
    let load = |keys: Vec<u32>| {
        given.borrow_mut().extend(keys.clone());
        async move { Ok::<_, Infallible>(keys.into_iter().map(|it| it * 10).collect::<Vec<_>>()) }
    };
    let found = block_on(typed.get_or_load_many([1, 2, 1, 1, 3, 2], options(), load));
    let found: Vec<u32> = found.into_iter().map(|it| *it.unwrap()).collect();
    assert_eq!(found, [10, 20, 10, 10, 30, 20]);
    assert_eq!(*given.borrow(), [1, 2, 3]);
    assert_eq!((cache.stats().loads, cache.entry_count()), (3, 0));
}

#[test]
fn many_keys_in_a_small_cache_all_get_their_values() {
    for capacity in [1, 3] {
        let cache = HydraCache::local().max_capacity(capacity).build();
        let typed = numbers(&cache);
        store(&typed, 5, 55, options());
        let runs = Cell::new(0);
        let load = |keys: Vec<u64>| {
            runs.set(runs.get() + 1);
            let values = keys
                .into_iter()
                .map(|key| Number(u32::try_from(key).unwrap()));
            let values: Vec<Number> = values.collect();
            async move { Ok::<_, Infallible>(values) }
        };
        let found = all(block_on(typed.get_or_load_many(0..100, options(), load)));
        // If the loads have evicted key 5, found first, the second look loads the key again.
        let again = runs.get() == 2;
        let five = if again { 5 } else { 55 };
        let expected = (0..100).map(|key| if key == 5 { five } else { key });
        assert_eq!(found, expected.collect::<Vec<u32>>());
        assert!(again || (capacity > 1 && runs.get() == 1));
        assert!(cache.entry_count() <= capacity);
    }
}

#[test]
fn failed_load_of_many_keys_keeps_the_hits() {
    let cache = HydraCache::local().build();
    let typed = numbers(&cache);
    store(&typed, 1, 10, options());
    store(&typed, 3, 30, options());
    let down = |_: Vec<u64>| async { Err::<Vec<Number>, _>("down") };
    let found = each(block_on(typed.get_or_load_many(1..5, options(), down)));
    assert_eq!((&found[0], &found[2]), (&Ok(10), &Ok(30)));
    assert!(found[1].is_err() && found[3].is_err());
    assert_eq!((cache.stats().hits, cache.stats().misses), (2, 2));
}

#[test]
fn values_of_many_keys_belong_to_keys_by_position() {
    let cache = HydraCache::local().build();
    let typed = cache.typed::<u32, u32>("rows");
    // The rows as a database returns them, in an order of its own.
    let rows = [(3, 30), (1, 10), (2, 20)];
    let unsorted =
        |_: Vec<u32>| async move { Ok::<_, Infallible>(rows.map(|(_, value)| value).to_vec()) };
    let found = block_on(typed.get_or_load_many([1, 2, 3], options(), unsorted));
    let found: Vec<u32> = found.into_iter().map(|it| *it.unwrap()).collect();
    assert_eq!(found, [30, 10, 20], "the documented limit: nobody can tell");
    block_on(cache.flush()).unwrap();

    // The remedy: a value or an error for each key, looked up by the key.
    let sorted = |keys: Vec<u32>| async move {
        let row = |key| rows.iter().find(|row| row.0 == key).map(|row| row.1);
        let found = keys.into_iter().map(|key| row(key).ok_or("no row"));
        found.collect::<Vec<Result<u32, &str>>>()
    };
    let found = block_on(typed.get_or_load_many([4, 3, 2, 1], options(), sorted));
    assert!(found[0].as_ref().unwrap_err().is_load());
    let found: Vec<u32> = found[1..].iter().map(|it| **it.as_ref().unwrap()).collect();
    assert_eq!(found, [30, 20, 10]);
}

#[test]
fn loader_of_many_keys_may_put_keys_of_its_own_call() {
    let cache = HydraCache::local().build();
    let typed = cache.typed::<u32, u32>("rows");
    let load = |keys: Vec<u32>| {
        let typed = &typed;
        async move {
            // Puts a key of the call, and a key of nobody.
            typed.put(&1, 111, options()).await?;
            typed.put(&9, 999, options()).await?;
            let values = keys.into_iter().map(|key| key * 10).collect();
            Ok::<Vec<u32>, hydracache::CacheError>(values)
        }
    };
    let found = block_on(typed.get_or_load_many([1, 2], options(), load));
    let found: Vec<u32> = found.into_iter().map(|it| *it.unwrap()).collect();
    // The call gets the loaded values; the put of a loading key is newer than its load.
    assert_eq!(found, [10, 20]);
    let found = block_on(typed.get_many([1, 2, 9]));
    let found: Vec<u32> = found.into_iter().map(|it| *it.unwrap().unwrap()).collect();
    assert_eq!(found, [111, 20, 999]);
    assert_eq!(cache.stats().stale_load_discards, 1);
}
