//! Changes of the cache by the code that lists it, or that hears of a removal.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use hydracache::{HydraCache, ManualClock, RemovalCause};

use crate::stale::*;
use crate::support::*;

fn filled(entries: u32) -> HydraCache {
    let cache = HydraCache::local().max_capacity(100_000).build();
    for number in 0..entries {
        put(&cache, &format!("key {number}"), number, tagged("tag"));
    }
    cache
}

#[test]
fn retain_may_change_the_cache_from_its_closure() {
    let cache = filled(1_000);
    let mut seen = 0;
    let removed = block_on(cache.retain(|key| {
        seen += 1;
        let number: u32 = key.strip_prefix("key ").unwrap().parse().unwrap();
        match number % 4 {
            // Removed by the closure: not by `retain`.
            0 => !remove(&cache, key),
            // Put again by the closure, and then refused.
            1 => {
                put(&cache, key, number + 1, options());
                false
            }
            // A read moves the entry in the policy; a new key grows the table.
            2 => {
                put(&cache, &format!("key {}", 10_000 + number), 7, options());
                get(&cache, key).is_some()
            }
            _ => load(&cache, key, 0) == number,
        }
    }));
    assert!((1_000..2_000).contains(&seen), "{seen}");
    // 250 were removed by the closure, and 250 new keys came.
    assert_eq!(cache.stats().invalidations, 250 + removed.unwrap());
    assert_eq!(get(&cache, "key 2"), Some(2));
    assert_eq!(get(&cache, "key 3"), Some(3));
    assert_eq!(get(&cache, "key 0"), None);
}

#[test]
fn keys_are_listed_once_while_the_cache_changes() {
    let cache = filled(20_000);
    let mut listed = BTreeSet::new();
    for (turn, key) in cache.keys().enumerate() {
        assert!(listed.insert(key.clone()), "{key} was listed twice");
        match turn % 4 {
            0 => assert!(get(&cache, &key).is_some() || turn > 10_000),
            1 => drop(remove(&cache, &key)),
            2 => put(&cache, &key, 1, options()),
            _ => put(&cache, &format!("key {key}"), 1, options()),
        }
        if turn == 10_000 {
            flush(&cache);
        }
    }
    assert!(listed.len() >= 10_000);
}

#[test]
fn listener_may_put_an_expired_entry_back_once() {
    static CACHE: OnceLock<HydraCache> = OnceLock::new();
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let clock = ManualClock::new();
    let builder = HydraCache::local().clock(clock.clone());
    let cache = CACHE.get_or_init(|| {
        let listener = |key: &str, value: &hydracache::Bytes, cause| {
            CALLS.fetch_add(1, Ordering::SeqCst);
            if cause == RemovalCause::Expired {
                let cache = CACHE.get().unwrap();
                block_on(cache.put_bytes(key, value.clone(), options())).unwrap();
            }
        };
        builder.on_removal(listener).build()
    });
    put(cache, "key", 1, lasting(1));
    clock.advance(SECOND);
    // The read that finds the expired entry misses; the listener has then put the entry back.
    assert_eq!(get(cache, "key"), None);
    assert_eq!(get(cache, "key"), Some(1));
    assert_eq!(CALLS.load(Ordering::SeqCst), 1);
    assert_eq!(cache.stats().expirations, 1);

    // The put of a loader's value is newer than the listener's.
    put(cache, "key", 2, lasting(1));
    clock.advance(SECOND);
    assert_eq!(load(cache, "key", 3), 3);
    let left = get(cache, "key").unwrap();
    assert!(matches!(left, 2 | 3), "{left}");
    flush(cache);
}

/// Counts calls within calls.
#[derive(Default)]
struct Depth {
    now: AtomicU32,
    deepest: AtomicU32,
    calls: AtomicU32,
}

impl Depth {
    fn during(&self, act: impl FnOnce()) {
        let depth = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.deepest.fetch_max(depth, Ordering::SeqCst);
        self.calls.fetch_add(1, Ordering::SeqCst);
        act();
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    #[track_caller]
    fn assert_flat(&self, calls: u32) {
        assert_eq!(self.calls.load(Ordering::SeqCst), calls);
        assert_eq!(self.deepest.load(Ordering::SeqCst), 1, "calls are nested");
        assert_eq!(self.now.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn listener_that_removes_other_entries_does_not_nest() {
    // Each removed key removes the next key.
    let own = Arc::new(OnceLock::<HydraCache>::new());
    let depth = Arc::new(Depth::default());
    let (other, inside) = (Arc::downgrade(&own), Arc::clone(&depth));
    let builder = HydraCache::local().on_removal(move |key, _, _| {
        let number: u32 = key.parse().unwrap();
        if let Some(own) = other.upgrade() {
            inside.during(|| _ = remove(own.get().unwrap(), &(number + 1).to_string()));
        }
    });
    let cache = own.get_or_init(|| builder.build()).clone();
    for number in 0..1_000 {
        put(&cache, &number.to_string(), number, options());
    }
    assert!(remove(&cache, "0"));
    assert_eq!(cache.entry_count(), 0);
    assert_eq!(cache.stats().invalidations, 1_000);
    depth.assert_flat(1_000);
}

#[test]
fn listener_that_writes_while_many_expire_does_not_nest() {
    // The put of each call gives back up to 256 expired entries, which the listener hears of.
    const MANY: u32 = 20_000;
    let own = Arc::new(OnceLock::<HydraCache>::new());
    let depth = Arc::new(Depth::default());
    let (other, inside) = (Arc::downgrade(&own), Arc::clone(&depth));
    let clock = ManualClock::new();
    let builder = HydraCache::local().max_capacity(1_000_000);
    let builder = builder.clock(clock.clone()).on_removal(move |key, _, _| {
        if let Some(own) = other.upgrade() {
            let own = own.get().unwrap();
            inside.during(|| put(own, &format!("gone {key}"), 1, options()));
        }
    });
    let cache = own.get_or_init(|| builder.build()).clone();
    for number in 0..MANY {
        put(&cache, &number.to_string(), number, lasting(1));
    }
    clock.advance(SECOND);
    for number in 0..1_000 {
        put(&cache, &format!("later {number}"), 1, options());
    }
    assert_eq!(cache.stats().expirations, u64::from(MANY));
    assert_eq!(cache.entry_count(), u64::from(MANY) + 1_000);
    depth.assert_flat(MANY);
}

#[test]
fn listener_panic_drops_the_queue_and_later_calls_report() {
    let own = Arc::new(OnceLock::<HydraCache>::new());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (other, log) = (Arc::downgrade(&own), Arc::clone(&heard));
    let builder = HydraCache::local().on_removal(move |key, _, _| {
        log.lock().unwrap().push(key.to_owned());
        if key == "first" {
            if let Some(own) = other.upgrade() {
                remove(own.get().unwrap(), "second");
            }
            panic!("the listener fails");
        }
    });
    let cache = own.get_or_init(|| builder.build()).clone();
    for key in ["first", "second", "third"] {
        put(&cache, key, 1, options());
    }
    let call = || remove(&cache, "first");
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    // The second entry is removed, as documented without a report.
    assert_eq!(get(&cache, "second"), None);
    assert!(remove(&cache, "third"));
    assert_eq!(*heard.lock().unwrap(), ["first", "third"]);
    assert_eq!(cache.stats().invalidations, 3);
}
