//! Waiters get a correct value from a load with loader-chosen tags, even from a long load:
//! the caller of a background load, and a bulk call.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::time::Duration;

use hydracache::{HydraCache, Loaded, LoadingCache};

use crate::parts::*;
use crate::pool::*;
use crate::stale::*;
use crate::support::*;

/// A cache with a loader: waits at the gate, then returns 2 with the tag "own".
fn gated(typed: &Numbers, gate: &Gate) -> LoadingCache<u64, Number> {
    let gate = gate.clone();
    typed.with_loader(move |_| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            Ok::<_, io::Error>(Loaded::new(Number(2)).tag("own"))
        }
    })
}

/// A bulk call for keys 7 and 8. The loader logs the keys and returns 3 for each.
fn bulk_call<'a>(typed: &'a Numbers, requested: &'a RefCell<Vec<Vec<u64>>>) -> Calls<'a> {
    Hand::hold(typed.get_or_load_many([7, 8], options(), |keys: Vec<u64>| {
        requested.borrow_mut().push(keys.clone());
        let numbers = keys.iter().map(|_| Number(3)).collect();
        async { Ok::<Vec<_>, Infallible>(numbers) }
    }))
}

/// A background load and the caller begin before more invalidations than the log holds.
#[track_caller]
fn overflow_log_during_a_background_load(end: impl FnOnce(&Numbers)) -> u32 {
    let (cache, clock, pool) = spawning(4);
    let typed = numbers(&cache).with_options(kept(50));
    let gate = Gate::default();
    let loading = gated(&typed, &gate);
    store(&typed, 7, 1, options());
    clock.advance(SECOND * 10);
    let mut call = Hand::start(loading.get(&7));
    let mut load = pool.only();
    load.waits();
    for number in 0..65_537 {
        invalidate(&cache, &format!("other:{number}"));
    }
    end(&typed);
    gate.open();
    load.ends();
    call.ends().unwrap().0
}

#[test]
fn background_caller_gets_its_value_after_a_log_overflow() {
    assert_eq!(overflow_log_during_a_background_load(|_| {}), 2);
}

#[test]
fn background_caller_gets_its_value_though_the_key_was_removed() {
    let value = overflow_log_during_a_background_load(|typed| {
        block_on(typed.remove(&7)).unwrap();
    });
    assert_eq!(value, 2);
}

#[test]
fn bulk_waiter_joined_after_the_invalidation_looks_again() {
    let cache = HydraCache::local().build();
    let (typed, gate, requested) = (numbers(&cache), Gate::default(), RefCell::default());
    let loading = gated(&typed, &gate);
    // 1. A load starts. 2. Tag "own" is invalidated. 3. The bulk call joins. 4. The load ends.
    let mut leader = Hand::start(loading.get(&7));
    invalidate(&cache, "own");
    let mut many = bulk_call(&typed, &requested);
    many.waits();
    gate.open();
    assert_eq!(leader.ends().unwrap().0, 2);
    assert_eq!(all(many.ends()), [3, 3]);
    assert_eq!(requested.take(), [vec![8], vec![7]]);
}

#[test]
fn bulk_call_leaves_a_hung_background_load_at_its_deadline() {
    let (cache, clock, pool) = spawning(4);
    let (typed, requested) = (numbers(&cache), RefCell::default());
    let at_once = kept(1000).soft_timeout(Duration::ZERO);
    let loading = typed
        .with_options(at_once)
        .with_loader(|_| pending::<Result<Number, Infallible>>());
    store(&typed, 7, 1, kept(1000));
    clock.advance(SECOND * 10);
    assert_eq!(block_on(loading.get(&7)).unwrap().0, 1);
    assert_eq!(pool.len(), 1);
    let mut many = bulk_call(&typed, &requested);
    many.waits();
    clock.advance(SECOND * 30);
    assert_eq!(all(many.ends()), [3, 3]);
    assert_eq!(requested.take(), [vec![8], vec![7]]);
    // An unrun load holds the cache, and the cache holds the load through its spawner.
    drop(pool.take());
}
