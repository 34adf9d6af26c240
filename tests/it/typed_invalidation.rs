//! `invalidate_all` reaches all entries and loads of the typed cache and no other; tags reach typed
//! entries and loads too.

use std::convert::Infallible;
use std::sync::Arc;

use hydracache::{CacheOptions, HydraCache};

use crate::parts::*;
use crate::stale::*;
use crate::support::*;

#[test]
fn invalidate_all_counts_fresh_entries_of_its_name_only() {
    let (cache, clock) = clocked(9999);
    let typed = numbers(&cache);
    let other_name = cache.typed::<u64, u64>("number");
    block_on(other_name.put(&7, 7, options())).unwrap();
    put(&cache, "numbers", 7, options());
    (0..600).for_each(|key| store(&typed, key, 1, options()));
    (0..100).for_each(|key| store(&typed, key, 2, options()));
    (600..650).for_each(|key| store(&typed, key, 1, lasting(1)));
    (650..660).for_each(|key| store(&typed, key, 1, lasting(1).stale_if_error(SECOND * 9)));
    (0..10).for_each(|key| assert!(block_on(typed.remove(&key)).unwrap()));
    clock.advance(SECOND);
    let mut call = Hand::start(typed.invalidate_all());
    assert_eq!(call.finish().unwrap(), 590);
    assert_eq!(clear(&typed), 0);
    assert_eq!(block_on(other_name.get(&7)).unwrap().as_deref(), Some(&7));
    assert_eq!(get(&cache, "numbers"), Some(7));
    assert_eq!(cache.entry_count(), 2);
    assert_eq!(cache.stats().invalidations, 600);
    assert_eq!(cache.stats().expirations, 60);
    let call = typed.get_or_load(&650, options(), failing_loader);
    assert!(
        block_on(call).unwrap_err().is_load(),
        "no stale value is served"
    );
}

#[test]
fn invalidate_all_does_not_count_evicted_entries() {
    let (cache, _) = clocked(10);
    let typed = numbers(&cache);
    (0..100).for_each(|key| store(&typed, key, 1, options()));
    assert_eq!(clear(&typed), 10);
    assert_eq!(cache.stats().evictions, 90);
}

#[test]
fn invalidate_all_takes_effect_at_its_first_poll() {
    let cache = HydraCache::local().build();
    let typed = numbers(&cache);
    (0..600).for_each(|key| store(&typed, key, 1, options()));
    drop(typed.invalidate_all());
    assert_eq!(read(&typed, 0), Some(1), "an unpolled call must do nothing");
    drop(Hand::start(typed.invalidate_all()));
    assert!((0..600).all(|key| read(&typed, key).is_none()));
    assert_eq!(load_one(&typed, 7, 2), 2);
    assert_eq!(clear(&typed), 1);
    assert_eq!(cache.entry_count(), 0);
}

#[test]
fn invalidate_all_fences_loads_of_its_name_only() {
    let ends: [fn(&Numbers); 2] = [
        |typed| assert_eq!(clear(typed), 0),
        |typed| drop(Hand::hold(typed.invalidate_all()).poll()),
    ];
    for end in ends {
        let cache = HydraCache::local().build();
        let (typed, others) = (numbers(&cache), cache.typed("others"));
        let (door, second_door) = (Door::default(), Door::default());
        // 1. Two names load key 7. 2. One name is invalidated. 3. A later call loads again.
        let mut leader = lead_one(&typed, &7, 1, options(), &door);
        let mut waiter = join_one(&typed, &7);
        let mut other = lead_one(&others, &7, 3, options(), &door);
        end(&typed);
        let mut late = lead_one(&typed, &7, 2, options(), &second_door);
        // 4. The fenced load and the load of the other name end. 5. The later load ends.
        door.open();
        let value = leader.ends().unwrap();
        assert!(Arc::ptr_eq(&value, &waiter.ends().unwrap()));
        assert_eq!((value.0, read(&typed, 7)), (1, None));
        second_door.open();
        assert_eq!(late.ends().unwrap().0, 2);
        assert_eq!(other.ends().unwrap().0, 3);
        assert_eq!((read(&typed, 7), read(&others, 7)), (Some(2), Some(3)));
        assert_eq!(cache.stats().stale_load_discards, 1);
    }
}

#[test]
fn remove_or_put_of_a_typed_key_fences_its_load() {
    let calls: [(fn(&Numbers), _); 3] = [
        (|typed| assert!(!block_on(typed.remove(&7)).unwrap()), None),
        (|typed| store(typed, 7, 9, options()), Some(9)),
        (|typed| store(typed, 7, 9, lasting(0)), None),
    ];
    for (call, left) in calls {
        let cache = HydraCache::local().build();
        let (typed, door) = (numbers(&cache), Door::default());
        // 1. A load starts. 2. The key is removed or put. 3. The load ends, not stored.
        let mut leader = lead_one(&typed, &7, 1, options(), &door);
        call(&typed);
        door.open();
        assert_eq!(leader.ends().unwrap().0, 1);
        assert_eq!(read(&typed, 7), left);
        assert_eq!(cache.stats().stale_load_discards, 1);
    }
}

#[test]
fn tag_of_call_or_handle_removes_entries_and_fences_loads() {
    let with_tag: fn() -> CacheOptions = || tagged("tag");
    for (call, handle) in [
        (with_tag, options as fn() -> CacheOptions),
        (options, with_tag),
    ] {
        let cache = HydraCache::local().build();
        let (typed, door) = (numbers(&cache).with_options(handle()), Door::default());
        store(&typed, 1, 1, call());
        store(&typed, 2, 1, call());
        store(&typed, 2, 2, call());
        let mut leader = lead_one(&typed, &3, 1, call(), &door);
        assert_eq!(invalidate(&cache, "tag"), 2);
        door.open();
        assert_eq!(leader.ends().unwrap().0, 1);
        for key in 1..=3 {
            assert_eq!(read(&typed, key), None);
        }
        assert_eq!(cache.stats().stale_load_discards, 1);
        assert_eq!(cache.stats().invalidations, 2);
    }
}

#[test]
fn invalidate_all_reaches_entries_expired_by_tag() {
    let (cache, _) = timed();
    let typed = numbers(&cache);
    store(&typed, 7, 1, kept(50).tag("tag"));
    assert_eq!(expire_tag(&cache, "tag"), 1);
    assert_eq!(read(&typed, 7), None);
    let stale = block_on(typed.get_or_load(&7, options(), failing_loader)).unwrap();
    assert_eq!(stale.0, 1);
    assert_eq!(clear(&typed), 0);
    let call = typed.get_or_load(&7, options(), failing_loader);
    assert!(block_on(call).unwrap_err().is_load());
}

/// The tag shared by all entries of a typed name equals no text tag.
#[test]
fn text_tags_never_match_the_tag_of_a_typed_name() {
    let cache = HydraCache::local().build();
    let typed = numbers(&cache);
    store(&typed, 7, 1, options());
    for tag in ["", "numbers", "\u{ff}numbers\u{ff}", "\0numbers\0"] {
        assert_eq!(invalidate(&cache, tag), 0);
        put(&cache, "plain", 1, tagged(tag));
    }
    assert_eq!(clear(&typed), 1);
    assert_eq!(get(&cache, "plain"), Some(1));
}

/// After `invalidate_all` returns, no caller reads a value loaded before the call began.
#[test]
fn threads_never_read_a_value_older_than_invalidate_all() {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    let cache = HydraCache::local().build();
    let typed = numbers(&cache);
    let row = AtomicU32::new(0);
    std::thread::scope(|scope| {
        // Two threads load the row; one thread raises the row, invalidates, and reads.
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    let call = typed.get_or_load(&7, options(), || async {
                        let value = row.load(SeqCst);
                        futures_lite::future::yield_now().await;
                        Ok::<_, Infallible>(Number(value))
                    });
                    block_on(call).unwrap();
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..2_000 {
                let now = row.fetch_add(1, SeqCst) + 1;
                clear(&typed);
                if let Some(value) = read(&typed, 7) {
                    assert!(value >= now, "{value} after {now}");
                }
            }
        });
    });
}
