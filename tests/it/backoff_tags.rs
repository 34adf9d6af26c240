//! A back-off ends with the invalidation, or the expiry, of a tag of the failed load.

use hydracache::{CacheOptions, HydraCache, Loaded, TypedCache};

use crate::backoff::{backed_off, fail_for, with_backoff};
use crate::stale::*;
use crate::support::*;

/// The tag says that the data behind the key changed: the failure no longer concerns the key.
#[test]
fn invalidated_or_expired_tag_of_the_failed_load_ends_the_backoff() {
    let ends: [fn(&HydraCache); 4] = [
        |cache| assert_eq!(invalidate(cache, "tag"), 0),
        |cache| assert_eq!(expire_tag(cache, "tag"), 0),
        |cache| {
            let tags = ["other", "tag", "tag"];
            assert_eq!(block_on(cache.invalidate_tags(tags)).unwrap(), 0);
        },
        // The first poll has the whole effect.
        |cache| drop(Hand::hold(cache.invalidate_tag("tag")).poll()),
    ];
    let loads: [fn(&HydraCache, CacheOptions); 3] = [
        |cache, options| {
            let call = cache.get_or_load("key", options, failing_loader::<u32>);
            block_on(call).unwrap_err();
        },
        |cache, options| {
            let call = cache.refresh("key", options, failing_loader::<u32>);
            block_on(call).unwrap_err();
        },
        |cache, options| {
            let call = cache.fetch("key", options, |_| {
                std::future::ready(Err::<Loaded<u32>, _>("down"))
            });
            block_on(call).unwrap_err();
        },
    ];
    for end in ends {
        for failing in loads {
            let (cache, _) = clocked(100);
            failing(&cache, with_backoff(5).tags(["one", "tag", "two"]));
            assert!(backed_off(&cache, "key").unwrap_err().is_load());
            end(&cache);
            assert_eq!(load(&cache, "key", 7), 7);
        }
    }
}

#[test]
fn backoff_ends_with_a_tag_in_every_shard() {
    let cache = HydraCache::local().max_capacity(1_000_000).build();
    let failing = |key: &str, tag: &str| {
        let call = cache.get_or_load(key, with_backoff(60).tag(tag), failing_loader::<u32>);
        block_on(call).unwrap_err();
    };
    let keys: Vec<String> = (0..200).map(|key| format!("key {key}")).collect();
    for key in &keys {
        failing(key, "tag");
    }
    failing("other", "other tag");
    invalidate(&cache, "tag");
    for key in &keys {
        assert_eq!(load(&cache, key, 7), 7);
    }
    assert!(backed_off(&cache, "other").is_err());
}

#[test]
fn backoff_with_builder_tags_ends_with_these_tags() {
    let builder = HydraCache::local().default_options(with_backoff(5).tag("all"));
    let cache = builder.build();
    fail(&cache, "key").unwrap_err();
    assert!(backed_off(&cache, "key").is_err());
    invalidate(&cache, "all");
    assert_eq!(load(&cache, "key", 7), 7);
}

#[test]
fn invalidate_all_ends_the_backoffs_of_its_typed_cache() {
    let cache = HydraCache::local().build();
    let (one, two) = (cache.typed::<u8, u32>("one"), cache.typed::<u8, u32>("two"));
    let failing = |typed: &TypedCache<u8, u32>| {
        let call = typed.get_or_load(&7, with_backoff(60), failing_loader);
        block_on(call).unwrap_err();
    };
    failing(&one);
    failing(&two);
    block_on(one.invalidate_all()).unwrap();
    let call = one.get_or_load(&7, options(), ready(1_u32));
    assert_eq!(*block_on(call).unwrap(), 1);
    assert!(block_on(two.get_or_load(&7, options(), never)).is_err());
}

/// More tags than a failure remembers: the invalidation of any tag ends the back-off.
#[test]
fn backoff_with_many_tags_ends_with_each_of_them() {
    for tag in [0, 15, 16, 999] {
        let (cache, _) = clocked(100);
        let tags = (0..1000).map(|tag| format!("tag {tag}"));
        let call = cache.get_or_load("key", with_backoff(5).tags(tags), failing_loader::<u32>);
        block_on(call).unwrap_err();
        assert!(backed_off(&cache, "key").is_err());
        invalidate(&cache, &format!("tag {tag}"));
        assert_eq!(load(&cache, "key", 7), 7);
    }
}

/// An ended back-off stays ended, and a new failure begins a new one.
#[test]
fn failure_after_an_ended_backoff_begins_another() {
    let (cache, _) = clocked(100);
    for _ in 0..3 {
        let call = cache.get_or_load("key", with_backoff(5).tag("tag"), failing_loader::<u32>);
        block_on(call).unwrap_err();
        assert!(backed_off(&cache, "key").is_err());
        invalidate(&cache, "tag");
    }
    // This failure has other tags: the earlier tag no longer matters.
    fail_for(&cache, "key", 5).unwrap_err();
    invalidate(&cache, "tag");
    assert!(backed_off(&cache, "key").is_err());
}

/// The failure pins no tag, so the tables hold nothing of it.
#[test]
fn forgotten_failures_leave_other_backoffs_alone() {
    let (cache, _) = clocked(100);
    for n in 0..3000 {
        let options = with_backoff(60).tags([format!("tag {n}"), "all".into()]);
        let key = format!("key {n}");
        let call = cache.get_or_load(&key, options, failing_loader::<u32>);
        block_on(call).unwrap_err();
    }
    invalidate(&cache, "tag 2500");
    assert_eq!(load(&cache, "key 2500", 7), 7);
    assert!(backed_off(&cache, "key 2501").is_err());
    invalidate(&cache, "tag 5"); // forgotten long ago
    assert!(backed_off(&cache, "key 2999").is_err());
    invalidate(&cache, "all");
    assert_eq!(load(&cache, "key 2999", 7), 7);
}

/// 1. A load starts. 2. The key, or a tag, is expired. 3. The load fails. 4. A call loads.
#[test]
fn failed_load_fenced_by_an_expiry_begins_no_backoff() {
    let fences: [fn(&HydraCache); 3] = [
        |cache| assert!(!expire(cache, "key")),
        |cache| assert_eq!(expire_tag(cache, "tag"), 0),
        |cache| drop(Hand::hold(cache.expire_tag("tag")).poll()),
    ];
    for fence in fences {
        let (cache, _) = clocked(100);
        let door = Door::default();
        let mut leader = lead_failing(&cache, "key", with_backoff(5).tag("tag"), &door);
        fence(&cache);
        door.open();
        assert!(leader.ends().unwrap_err().is_load());
        assert_eq!(load(&cache, "key", 7), 7);
    }
}
