//! An invalidation is one moment for loads, though it visits one shard after the other.

use std::cell::RefCell;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::rc::Rc;
use std::sync::LazyLock;

use hydracache::{CacheResult, HydraCache};

use crate::support::*;

thread_local! {
    /// Runs once, in the drop of the next `Hooked`.
    static HOOK: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// An error of a loader. A flush drops the error of a back-off between the visits of two shards.
#[derive(Debug)]
struct Hooked;

impl Drop for Hooked {
    fn drop(&mut self) {
        if let Some(hook) = HOOK.take() {
            hook();
        }
    }
}

impl fmt::Display for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("down")
    }
}

impl Error for Hooked {}

type Running = Rc<RefCell<Vec<Hand<'static, CacheResult<u32>>>>>;

static KEYS: LazyLock<Vec<String>> =
    LazyLock::new(|| (0..500).map(|number| format!("key {number}")).collect());

/// Keys in every shard.
fn keys() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(String::as_str)
}

/// Starts a load of each key in the middle of a flush, and waits for the end of the flush. Every
/// loader waits at the door.
fn load_during_a_flush(door: &Door) -> (HydraCache, Running) {
    let cache = HydraCache::local().max_capacity(1 << 20).build();
    let running = Running::default();
    let (loads, door, shared) = (Rc::clone(&running), door.clone(), cache.clone());
    let start = move |key| {
        let (door, cache) = (door.clone(), shared.clone());
        Hand::start(async move {
            let load = async || {
                door.pass().await;
                Ok::<_, Infallible>(1_u32)
            };
            cache.get_or_load(key, options(), load).await
        })
    };
    HOOK.set(Some(Box::new(move || {
        loads.borrow_mut().extend(keys().map(start));
    })));
    // Back-offs in several shards: the drop of the first runs the hook.
    for number in 0..9 {
        let key = format!("failing {number}");
        let failing = || std::future::ready(Err::<u32, _>(Hooked));
        let backed_off = options().error_backoff(SECOND);
        let hook = HOOK.take();
        drop(block_on(cache.get_or_load(&key, backed_off, failing)));
        HOOK.set(hook);
    }
    block_on(cache.flush()).unwrap();
    assert_eq!(
        running.borrow().len(),
        keys().count(),
        "the flush drops errors"
    );
    (cache, running)
}

#[test]
fn load_begun_during_a_flush_is_not_stored() {
    let door = Door::default();
    let (cache, running) = load_during_a_flush(&door);
    door.open();
    for load in &mut *running.borrow_mut() {
        assert_eq!(load.ends().unwrap(), 1, "its own caller gets the value");
    }
    assert!(keys().all(|key| get(&cache, key).is_none()));
    let discards = cache.stats().stale_load_discards;
    assert_eq!(discards, keys().count() as u64);
}

#[test]
fn load_begun_during_a_flush_is_not_joined_after_it() {
    let door = Door::default();
    let (cache, running) = load_during_a_flush(&door);
    for key in keys() {
        assert_eq!(load(&cache, key, 2), 2, "a call after the flush loads");
    }
    door.open();
    for load in &mut *running.borrow_mut() {
        assert_eq!(load.ends().unwrap(), 1);
    }
    assert!(keys().all(|key| get(&cache, key) == Some(2)));
}
