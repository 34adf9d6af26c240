//! `update` and `put_if_absent` write depending on the current value.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hydracache::{Bytes, CacheOptions, HydraCache, ManualClock};

use crate::stale::*;
use crate::support::*;

#[track_caller]
fn update(
    cache: &HydraCache,
    options: CacheOptions,
    change: impl FnMut(Option<u32>) -> Option<u32>,
) -> Option<u32> {
    Hand::hold(cache.update("key", options, change))
        .ends()
        .unwrap()
}

#[track_caller]
fn put_if_absent(cache: &HydraCache, value: u32, options: CacheOptions) -> bool {
    let call = cache.put_if_absent("key", value, options);
    Hand::hold(call).ends().unwrap()
}

fn plus(n: u32) -> impl FnMut(Option<u32>) -> Option<u32> {
    move |current| Some(current.unwrap_or(0) + n)
}

#[test]
fn update_stores_the_result_of_the_closure() {
    let (cache, clock) = clocked(100);
    assert_eq!(update(&cache, options(), plus(1)), Some(1));
    assert_eq!(update(&cache, lasting(10).tag("tag"), plus(1)), Some(2));
    assert_eq!(get(&cache, "key"), Some(2));
    clock.advance(SECOND * 10);
    assert_eq!(update(&cache, tagged("tag"), plus(5)), Some(5));
    assert_eq!(invalidate(&cache, "tag"), 1);
}

#[test]
fn update_and_put_if_absent_move_no_counter() {
    let (cache, _) = clocked(100);
    update(&cache, options(), plus(1));
    update(&cache, options(), plus(1));
    assert!(!put_if_absent(&cache, 7, options()));
    assert_stats(cache.stats(), |_| {});
}

#[test]
fn update_to_none_removes_the_entry() {
    let (cache, _) = clocked(100);
    put(&cache, "key", 1, options());
    assert_eq!(update(&cache, options(), |_| None), None);
    assert_eq!(get(&cache, "key"), None);
    assert_eq!(cache.stats().invalidations, 1);
    assert_eq!(update(&cache, options(), |_| None), None);
    assert_eq!(cache.stats().invalidations, 1);
}

#[test]
fn update_neither_sees_nor_keeps_a_stale_value() {
    for change in [None, Some(7)] {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, kept(100));
        clock.advance(SECOND * 10);
        let seen = Cell::new(Some(0));
        let result = update(&cache, lasting(10), |current| {
            seen.set(current);
            change
        });
        assert_eq!((result, seen.get()), (change, None));
        clock.advance(SECOND * 10);
        assert!(fail(&cache, "key").is_err());
    }
}

type Race = (fn(&HydraCache, &ManualClock), Option<u32>);

/// A change of the key while the closure runs, and the value seen by the second run.
const RACES: [Race; 8] = [
    (|cache, _| put(cache, "key", 10, options()), Some(10)),
    (|cache, _| put(cache, "key", 1, options()), Some(1)),
    (|cache, _| assert!(remove(cache, "key")), None),
    (|cache, _| assert_eq!(invalidate(cache, "tag"), 1), None),
    (|cache, _| assert!(expire(cache, "key")), None),
    (|cache, _| flush(cache), None),
    (|_, clock| clock.advance(SECOND * 10), None),
    (
        |cache, _| assert_eq!(update(cache, options(), plus(1)), Some(2)),
        Some(2),
    ),
];

#[test]
fn closure_runs_again_if_the_entry_changed_meanwhile() {
    for (race, expected) in RACES {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, kept(100).tag("tag"));
        let seen = Cell::new(Vec::new());
        let result = update(&cache, options(), |current| {
            let mut all = seen.take();
            all.push(current);
            // 1. The first run reads 1. 2. The entry changes. 3. A second run reads the change.
            if all.len() == 1 {
                race(&cache, &clock);
            }
            seen.set(all);
            plus(100)(current)
        });
        assert_eq!(seen.take(), [Some(1), expected]);
        assert_eq!(result, Some(expected.unwrap_or(0) + 100));
        assert_eq!(get(&cache, "key"), result);
    }
}

#[test]
fn update_to_none_runs_again_if_the_entry_changed() {
    for (race, _) in RACES {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, kept(100).tag("tag"));
        let calls = Cell::new(0);
        let result = update(&cache, options(), |_| {
            calls.set(calls.get() + 1);
            // 1. The first run starts. 2. The entry changes. 3. The second run removes.
            if calls.get() == 1 {
                race(&cache, &clock);
            }
            None
        });
        assert_eq!((result, calls.get()), (None, 2));
        assert_eq!(get(&cache, "key"), None);
    }
}

#[test]
fn update_of_an_absent_key_sees_a_put_made_meanwhile() {
    let (cache, _) = clocked(100);
    let calls = Cell::new(0);
    let result = update(&cache, options(), |current| {
        calls.set(calls.get() + 1);
        // Three runs each find a newer put; the fourth run is stored.
        if calls.get() <= 3 {
            put(&cache, "key", 10 * calls.get(), options());
        }
        plus(1)(current)
    });
    assert_eq!((result, calls.get()), (Some(31), 4));
}

#[test]
fn closure_runs_once_if_only_other_keys_change() {
    let (cache, _) = clocked(100);
    put(&cache, "key", 1, options());
    let calls = Cell::new(0);
    update(&cache, options(), |current| {
        calls.set(calls.get() + 1);
        put(&cache, "other", 1, options());
        assert_eq!(get(&cache, "key"), Some(1));
        plus(1)(current)
    });
    assert_eq!(calls.get(), 1);
}

#[test]
fn concurrent_updates_lose_no_change() {
    let cache = HydraCache::local().build();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    update(&cache, options(), plus(1));
                }
            });
        }
    });
    assert_eq!(get(&cache, "key"), Some(2000));
}

#[test]
fn update_as_another_type_is_an_error_and_keeps_the_entry() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, lasting(10));
    let text = || cache.update("key", options(), |_: Option<String>| Some("a".into()));
    assert!(block_on(text()).unwrap_err().is_wrong_type());
    assert_eq!(get(&cache, "key"), Some(1));
    clock.advance(SECOND * 10);
    assert_eq!(block_on(text()).unwrap().as_deref(), Some("a"));
}

#[test]
fn update_of_an_undecodable_entry_fails_and_keeps_the_entry() {
    let (cache, _) = clocked(100);
    let garbage = Bytes::from_static(&[0xff; 20]);
    block_on(cache.put_bytes("key", garbage.clone(), options())).unwrap();
    let call = cache.update("key", options(), |_: Option<u32>| panic!("must not run"));
    assert!(block_on(call).unwrap_err().is_decode());
    assert_eq!(block_on(cache.get_bytes("key")).unwrap(), Some(garbage));
}

#[test]
fn panicking_closure_changes_nothing() {
    let (cache, _) = clocked(100);
    put(&cache, "key", 1, options());
    let call = || block_on(cache.update("key", options(), |_: Option<u32>| panic!("boom")));
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert_eq!(get(&cache, "key"), Some(1));
}

#[test]
fn update_and_put_if_absent_fence_running_loads() {
    let writes: [fn(&HydraCache); 3] = [
        |cache| assert_eq!(update(cache, options(), plus(7)), Some(7)),
        |cache| assert_eq!(update(cache, options(), |_| None), None),
        |cache| assert!(put_if_absent(cache, 7, options())),
    ];
    for (write, expected) in writes.into_iter().zip([Some(7), None, Some(7)]) {
        let (cache, _) = clocked(100);
        let door = Door::default();
        // 1. A load starts, a call joins. 2. The write runs. 3. The load ends, not stored.
        let mut leader = lead(&cache, "key", 1, options(), &door);
        let mut waiter = join(&cache, "key");
        write(&cache);
        door.open();
        assert_eq!((leader.ends().unwrap(), waiter.ends().unwrap()), (1, 1));
        assert_eq!(get(&cache, "key"), expected);
        assert_eq!(cache.stats().stale_load_discards, 1);
    }
}

#[test]
fn put_if_absent_over_a_fresh_value_fences_no_load() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, lasting(10).refresh_ahead(0.5));
    clock.advance(SECOND * 5);
    let door = Door::default();
    // 1. A refresh ahead starts. 2. `put_if_absent` finds a fresh value. 3. The load is stored.
    let mut leader = lead(&cache, "key", 2, options(), &door);
    assert!(!put_if_absent(&cache, 7, options()));
    assert_eq!(get(&cache, "key"), Some(1));
    door.open();
    leader.ends().unwrap();
    assert_eq!(get(&cache, "key"), Some(2));
}

#[test]
fn put_if_absent_treats_a_stale_value_as_absent() {
    for kept in [lasting(10), kept(100), revalidated(100)] {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, kept);
        clock.advance(nearly(10));
        assert!(!put_if_absent(&cache, 2, options()));
        clock.advance(NANO);
        assert!(put_if_absent(&cache, 2, lasting(5).tag("tag")));
        assert_eq!(get(&cache, "key"), Some(2));
        assert_eq!(invalidate(&cache, "tag"), 1);
        assert!(fail(&cache, "key").is_err(), "the stale value is removed");
    }
}

#[test]
fn put_if_absent_keeps_a_value_of_another_type() {
    let (cache, _) = clocked(100);
    put(&cache, "key", 1, options());
    let call = cache.put_if_absent("key", "text", options());
    assert!(!block_on(call).unwrap());
    assert_eq!(get(&cache, "key"), Some(1));
}

#[test]
fn unpolled_update_and_put_if_absent_do_nothing() {
    let (cache, _) = clocked(100);
    drop(cache.put_if_absent("key", 1_u32, options()));
    drop(cache.update("key", options(), |_: Option<u32>| panic!("must not run")));
    assert_eq!(get(&cache, "key"), None);
}

/// A value that was not stored was not stored by this call: the answer is `false`.
#[test]
fn put_if_absent_returns_whether_its_value_was_stored() {
    let plain = || HydraCache::local();
    let refused: [(&str, HydraCache, CacheOptions); 6] = [
        ("capacity", plain().max_capacity(0).build(), options()),
        ("length", plain().max_entry_bytes(0).build(), options()),
        ("cost", plain().max_bytes(50).build(), options()),
        ("zero", plain().build(), lasting(0)),
        (
            "default",
            plain().default_ttl(std::time::Duration::ZERO).build(),
            options(),
        ),
        ("jitter", plain().build(), lasting(0).jitter(0.5)),
    ];
    for (name, cache, options) in refused {
        let door = Door::default();
        // 1. A load starts. 2. The call stores nothing, and fences the load like any put.
        let mut leader = lead(&cache, "key", 1, CacheOptions::new(), &door);
        assert!(!put_if_absent(&cache, 7, options), "{name}");
        door.open();
        leader.ends().unwrap();
        assert_eq!(cache.entry_count(), 0, "{name}");
        assert_eq!(cache.stats().stale_load_discards, 1, "{name}");
    }
    // A full cache makes room: the value is stored.
    let cache = plain().max_capacity(1).build();
    put(&cache, "other", 1, options());
    assert!(put_if_absent(&cache, 7, options()));
    assert_eq!(get(&cache, "key"), Some(7));
    // Stored stale is stored.
    let cache = plain().build();
    assert!(put_if_absent(&cache, 7, lasting(0).stale_if_error(SECOND)));
}

#[test]
fn refused_put_if_absent_removes_a_stale_entry() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(100));
    clock.advance(SECOND * 10);
    assert!(!put_if_absent(&cache, 7, lasting(0)));
    assert!(fail(&cache, "key").is_err());
}
