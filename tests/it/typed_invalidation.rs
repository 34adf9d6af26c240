//! The end of a whole typed cache, and of what carries a tag in it.

use std::convert::Infallible;
use std::sync::Arc;

use hydracache::{CacheOptions, HydraCache};

use crate::parts::*;
use crate::stale::*;
use crate::support::*;

#[test]
fn the_end_of_all_counts_what_was_fresh_and_leaves_other_names() {
    let (cache, clock) = clocked(9999);
    let part = numbers(&cache);
    let strangers = cache.typed::<u64, u64>("number");
    block_on(strangers.put(&7, 7, options())).unwrap();
    put(&cache, "numbers", 7, options());
    (0..600).for_each(|key| store(&part, key, 1, options()));
    (0..100).for_each(|key| store(&part, key, 2, options()));
    (600..650).for_each(|key| store(&part, key, 1, lasting(1)));
    (650..660).for_each(|key| store(&part, key, 1, lasting(1).stale_if_error(SECOND * 9)));
    (0..10).for_each(|key| assert!(block_on(part.remove(&key)).unwrap()));
    clock.advance(SECOND);
    let mut call = Hand::start(part.invalidate_all());
    assert_eq!(call.finish().unwrap(), 590);
    assert_eq!(clear(&part), 0);
    assert_eq!(block_on(strangers.get(&7)).unwrap().as_deref(), Some(&7));
    assert_eq!(get(&cache, "numbers"), Some(7));
    assert_eq!(cache.entry_count(), 2);
    assert_eq!(cache.stats().invalidations, 600);
    assert_eq!(cache.stats().expirations, 60);
    let call = part.get_or_load(&650, options(), away);
    assert!(
        block_on(call).unwrap_err().is_load(),
        "an old value lives on"
    );
}

#[test]
fn what_was_evicted_is_not_counted() {
    let (cache, _) = clocked(10);
    let part = numbers(&cache);
    (0..100).for_each(|key| store(&part, key, 1, options()));
    assert_eq!(clear(&part), 10);
    assert_eq!(cache.stats().evictions, 90);
}

#[test]
fn after_its_first_poll_nothing_is_reachable() {
    let cache = HydraCache::local().build();
    let part = numbers(&cache);
    (0..600).for_each(|key| store(&part, key, 1, options()));
    drop(part.invalidate_all());
    assert_eq!(read(&part, 0), Some(1), "it was never polled");
    drop(Hand::start(part.invalidate_all()));
    assert!((0..600).all(|key| read(&part, key).is_none()));
    assert_eq!(load_one(&part, 7, 2), 2);
    assert_eq!(clear(&part), 1);
    assert_eq!(cache.entry_count(), 0);
}

#[test]
fn it_overtakes_the_loads_of_its_name_and_no_other() {
    let ends: [fn(&Numbers); 2] = [
        |part| assert_eq!(clear(part), 0),
        |part| drop(Hand::hold(part.invalidate_all()).poll()),
    ];
    for end in ends {
        let cache = HydraCache::local().build();
        let (part, others) = (numbers(&cache), cache.typed("others"));
        let (door, second_door) = (Door::default(), Door::default());
        let mut leader = lead_one(&part, &7, 1, options(), &door);
        let mut waiter = join_one(&part, &7);
        let mut other = lead_one(&others, &7, 3, options(), &door);
        end(&part);
        let mut late = lead_one(&part, &7, 2, options(), &second_door);
        door.open();
        let value = leader.ends().unwrap();
        assert!(Arc::ptr_eq(&value, &waiter.ends().unwrap()));
        assert_eq!((value.0, read(&part, 7)), (1, None));
        second_door.open();
        assert_eq!(late.ends().unwrap().0, 2);
        assert_eq!(other.ends().unwrap().0, 3);
        assert_eq!((read(&part, 7), read(&others, 7)), (Some(2), Some(3)));
        assert_eq!(cache.stats().stale_load_discards, 1);
    }
}

#[test]
fn an_act_on_the_key_overtakes_its_load() {
    let acts: [(fn(&Numbers), _); 3] = [
        (|part| assert!(!block_on(part.remove(&7)).unwrap()), None),
        (|part| store(part, 7, 9, options()), Some(9)),
        (|part| store(part, 7, 9, lasting(0)), None),
    ];
    for (act, left) in acts {
        let cache = HydraCache::local().build();
        let (part, door) = (numbers(&cache), Door::default());
        let mut leader = lead_one(&part, &7, 1, options(), &door);
        act(&part);
        door.open();
        assert_eq!(leader.ends().unwrap().0, 1);
        assert_eq!(read(&part, 7), left);
        assert_eq!(cache.stats().stale_load_discards, 1);
    }
}

#[test]
fn a_tag_of_the_call_or_the_handle_overtakes_and_removes() {
    let with_tag: fn() -> CacheOptions = || tagged("tag");
    for (call, handle) in [
        (with_tag, options as fn() -> CacheOptions),
        (options, with_tag),
    ] {
        let cache = HydraCache::local().build();
        let (part, door) = (numbers(&cache).with_options(handle()), Door::default());
        store(&part, 1, 1, call());
        store(&part, 2, 1, call());
        store(&part, 2, 2, call());
        let mut leader = lead_one(&part, &3, 1, call(), &door);
        assert_eq!(invalidate(&cache, "tag"), 2);
        door.open();
        assert_eq!(leader.ends().unwrap().0, 1);
        for key in 1..=3 {
            assert_eq!(read(&part, key), None);
        }
        assert_eq!(cache.stats().stale_load_discards, 1);
        assert_eq!(cache.stats().invalidations, 2);
    }
}

#[test]
fn what_a_tag_expired_is_still_reached_by_the_end_of_all() {
    let (cache, _) = timed();
    let part = numbers(&cache);
    store(&part, 7, 1, kept(50).tag("tag"));
    assert_eq!(expire_tag(&cache, "tag"), 1);
    assert_eq!(read(&part, 7), None);
    let old = block_on(part.get_or_load(&7, options(), away)).unwrap();
    assert_eq!(old.0, 1);
    assert_eq!(clear(&part), 0);
    let call = part.get_or_load(&7, options(), away);
    assert!(block_on(call).unwrap_err().is_load());
}

/// No text is the tag that all entries of a name carry.
#[test]
fn no_text_names_the_tag_of_a_whole_name() {
    let cache = HydraCache::local().build();
    let part = numbers(&cache);
    store(&part, 7, 1, options());
    for tag in ["", "numbers", "\u{ff}numbers\u{ff}", "\0numbers\0"] {
        assert_eq!(invalidate(&cache, tag), 0);
        put(&cache, "plain", 1, tagged(tag));
    }
    assert_eq!(clear(&part), 1);
    assert_eq!(get(&cache, "plain"), Some(1));
}

/// What a caller reads after the end of all returned was put after it began.
#[test]
fn threads_that_end_all_and_load_never_read_what_was_before() {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    let cache = HydraCache::local().build();
    let part = numbers(&cache);
    let row = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    let call = part.get_or_load(&7, options(), || async {
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
                clear(&part);
                if let Some(value) = read(&part, 7) {
                    assert!(value >= now, "{value} after {now}");
                }
            }
        });
    });
}
