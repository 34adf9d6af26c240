//! A weak handle: the parts of a cache may call the cache, and the cache is freed.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use hydracache::{CacheOptions, HydraCache, RemovalCause, WeakHydraCache};

use crate::stale::*;
use crate::support::*;

#[test]
fn weak_handle_upgrades_while_a_handle_is_left() {
    let (cache, _) = clocked(100);
    put(&cache, "key", 1, options());
    let weak = cache.downgrade();
    let other = cache.clone();
    drop(cache);
    assert_eq!(get(&weak.upgrade().unwrap(), "key"), Some(1));
    let typed = other.typed::<u8, u32>("numbers");
    drop(other);
    assert_eq!(
        get(&weak.clone().upgrade().unwrap(), "key"),
        Some(1),
        "a typed handle is left"
    );
    drop(typed);
    assert!(weak.upgrade().is_none());
}

#[test]
fn upgraded_handle_keeps_the_cache() {
    let cache = HydraCache::local().build();
    let weak = cache.downgrade();
    let strong = weak.upgrade().unwrap();
    drop(cache);
    put(&strong, "key", 1, options());
    assert_eq!(get(&weak.upgrade().unwrap(), "key"), Some(1));
    drop(strong);
    assert!(weak.upgrade().is_none());
}

#[test]
fn debug_of_a_weak_handle_shows_no_key_and_whether_the_cache_lives() {
    let cache = HydraCache::local().max_capacity(7).build();
    put(&cache, "secret", 1, tagged("secret"));
    let weak = cache.downgrade();
    let alive = format!("{weak:?}");
    assert!(
        alive.starts_with("WeakHydraCache(HydraCache { max_capacity: 7"),
        "{alive}"
    );
    assert!(!alive.contains("secret"));
    drop(cache);
    assert_eq!(format!("{weak:?}"), "WeakHydraCache(..)");
}

/// Tells of its drop, so of the drop of the cache that owns it.
struct Bell(Arc<AtomicUsize>);

impl Drop for Bell {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Each evicted entry is stored again under another key, by a listener that calls its cache.
#[test]
fn listener_with_a_weak_handle_calls_its_cache_and_is_freed() {
    let drops = Arc::new(AtomicUsize::new(0));
    let bell = Bell(Arc::clone(&drops));
    let cache = HydraCache::local()
        .max_capacity(10)
        .build_cyclic(|builder, weak| {
            assert!(weak.upgrade().is_none(), "not built yet");
            let weak = weak.clone();
            builder.on_removal(move |key, _, cause| {
                let _ = &bell;
                let Some(cache) = weak.upgrade() else { return };
                if cause == RemovalCause::Invalidated && key == "key" {
                    put(&cache, "moved", 1, CacheOptions::new());
                }
            })
        });
    put(&cache, "key", 1, options());
    assert!(remove(&cache, "key"));
    assert_eq!(get(&cache, "moved"), Some(1));
    let weak = cache.downgrade();
    drop(cache);
    assert!(weak.upgrade().is_none());
    assert_eq!(drops.load(Relaxed), 1, "the cache leaks");
}

/// Without `build_cyclic`: a cell that is filled after the build.
#[test]
fn cell_with_a_weak_handle_serves_a_listener_too() {
    let drops = Arc::new(AtomicUsize::new(0));
    let bell = Bell(Arc::clone(&drops));
    let own: Arc<OnceLock<WeakHydraCache>> = Arc::default();
    let cell = Arc::clone(&own);
    let listener = move |_: &str, _: &hydracache::Bytes, _| {
        let _ = &bell;
        if let Some(cache) = cell.get().and_then(WeakHydraCache::upgrade) {
            invalidate(&cache, "derived");
        }
    };
    let cache = HydraCache::local().on_removal(listener).build();
    own.set(cache.downgrade()).unwrap();
    put(&cache, "key", 1, options());
    put(&cache, "page", 1, tagged("derived"));
    assert!(remove(&cache, "key"));
    assert_eq!(get(&cache, "page"), None);
    drop(cache);
    assert_eq!(drops.load(Relaxed), 1, "the cache leaks");
}

#[test]
fn build_cyclic_keeps_every_setting() {
    let clock = hydracache::ManualClock::new();
    let builder = HydraCache::local().max_capacity(3).default_ttl(SECOND);
    let cache = builder.build_cyclic(|builder, _| builder.clock(clock.clone()));
    (0..9).for_each(|key| put(&cache, &key.to_string(), 1, options()));
    assert_eq!(cache.entry_count(), 3);
    clock.advance(SECOND);
    assert_eq!(cache.keys().count(), 0);
}

/// The last handle may be dropped by a listener's thread: the upgraded one.
#[test]
fn upgrade_races_with_the_drop_of_the_last_handle() {
    for _ in 0..200 {
        let cache = HydraCache::local().build();
        put(&cache, "key", 1, options());
        let weak = cache.downgrade();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while let Some(cache) = weak.upgrade() {
                    assert_eq!(get(&cache, "key"), Some(1));
                }
            });
            scope.spawn(move || drop(cache));
        });
        assert!(weak.upgrade().is_none());
    }
}
