//! Calls that name very many tags take time in proportion to the tags, in short steps.

use std::convert::Infallible;
use std::time::Duration;

use hydracache::{Clock, HydraCache, Loaded, SystemClock};

use crate::support::*;

/// The shortest of some runs: other programs disturb single runs.
fn shortest(run: impl Fn() -> Duration) -> Duration {
    (0..3).map(|_| run()).min().unwrap()
}

#[test]
fn tags_of_a_loader_cost_as_much_as_tags_of_options() {
    let names: Vec<String> = (0..30_000).map(|n| format!("tag:{n}")).collect();
    let by_options = shortest(|| {
        let (cache, options) = (HydraCache::local().build(), options().tags(&names));
        let start = SystemClock.now();
        put(&cache, "key", 1, options);
        SystemClock.now().saturating_sub(start)
    });
    let by_loader = shortest(|| {
        let cache = HydraCache::local().build();
        // Every name twice, and every name in the options too.
        let loaded = Loaded::new(1_u32).tags(&names).tags(&names);
        let loader = |_| async { Ok::<_, Infallible>(loaded) };
        let call = cache.fetch("key", options().tags(&names), loader);
        let start = SystemClock.now();
        block_on(call).unwrap();
        let elapsed = SystemClock.now().saturating_sub(start);
        assert_eq!(invalidate(&cache, "tag:29999"), 1);
        elapsed
    });
    // Three times as many names. If each name was compared with all others, it would be a hundred
    // times as long.
    let longest = (by_options * 15).max(Duration::from_millis(100));
    assert!(by_loader < longest, "{by_loader:?}, {by_options:?}");
}

/// A poll that swept 256 entries with a thousand tags each would take long.
#[test]
fn entries_with_many_tags_are_swept_in_shorter_slices() {
    for invalidates in [true, false] {
        let cache = HydraCache::local().build();
        for n in 0..200 {
            let tags = (0..1000).map(|tag| format!("{n} {tag}"));
            put(&cache, &format!("{n}"), n, options().tags(tags).tag("all"));
        }
        let mut polls = 1;
        if invalidates {
            let mut call = Hand::start(cache.invalidate_tag("all"));
            while call.poll().is_pending() {
                polls += 1;
            }
        } else {
            let mut call = Hand::start(cache.flush());
            while call.poll().is_pending() {
                polls += 1;
            }
        }
        assert!(polls >= 100, "{polls} polls");
        assert_eq!(cache.entry_count(), 0);
        // Nothing is left of the tags.
        assert_eq!(
            block_on(cache.invalidate_tags(["0 0", "199 999"])).unwrap(),
            0
        );
    }
}

/// An invalidation of many names takes the lock several times, and is one invalidation all the
/// same.
#[test]
fn entry_with_tags_in_several_steps_counts_once() {
    let cache = HydraCache::local().build();
    let names: Vec<String> = (0..5000).map(|n| format!("tag:{n}")).collect();
    put(&cache, "first", 1, tagged("tag:0"));
    put(&cache, "last", 1, tagged("tag:4999"));
    put(
        &cache,
        "both",
        1,
        options().tags(["tag:4999", "tag:0", "other"]),
    );
    put(&cache, "other", 1, tagged("other"));
    let call = Hand::hold(cache.invalidate_tags(&names)).ends();
    assert_eq!(call.unwrap(), 3);
    assert_eq!((cache.entry_count(), cache.stats().invalidations), (1, 3));
}
