//! Loads with tags of their own, of those who wait for them without driving them: as the one
//! that handed them over, or as a call for many keys.

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

/// A cache whose loader waits at a gate, and gives 2 with a tag of its own.
fn gated(part: &Numbers, gate: &Gate) -> LoadingCache<u64, Number> {
    let gate = gate.clone();
    part.with_loader(move |_| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            Ok::<_, io::Error>(Loaded::new(Number(2)).tag("own"))
        }
    })
}

/// Asks for two keys, of which the loader gives 3 each. Notes what it is asked for.
fn both<'a>(part: &'a Numbers, asked: &'a RefCell<Vec<Vec<u64>>>) -> Calls<'a> {
    Hand::hold(part.get_or_load_many([7, 8], options(), |keys: Vec<u64>| {
        asked.borrow_mut().push(keys.clone());
        let numbers = keys.iter().map(|_| Number(3)).collect();
        async { Ok::<Vec<_>, Infallible>(numbers) }
    }))
}

/// The load began before all that was invalidated since, and its caller with it.
#[track_caller]
fn hand_over_and_invalidate_very_many(end: impl FnOnce(&Numbers)) -> u32 {
    let (cache, clock, pool) = spawning(4);
    let part = numbers(&cache).with_options(kept(50));
    let gate = Gate::default();
    let loading = gated(&part, &gate);
    store(&part, 7, 1, options());
    clock.advance(SECOND * 10);
    let mut call = Hand::start(loading.get(&7));
    let mut load = pool.only();
    load.waits();
    for number in 0..65_537 {
        invalidate(&cache, &format!("other:{number}"));
    }
    end(&part);
    gate.open();
    load.ends();
    call.ends().unwrap().0
}

#[test]
fn who_handed_a_load_over_gets_its_value_however_much_is_invalidated() {
    assert_eq!(hand_over_and_invalidate_very_many(|_| {}), 2);
}

#[test]
fn who_handed_a_load_over_gets_its_value_though_the_key_was_removed() {
    let value = hand_over_and_invalidate_very_many(|part| {
        block_on(part.remove(&7)).unwrap();
    });
    assert_eq!(value, 2);
}

#[test]
fn a_call_for_many_keys_that_came_after_an_invalidation_of_a_loads_own_tag_looks_again() {
    let cache = HydraCache::local().build();
    let (part, gate, asked) = (numbers(&cache), Gate::default(), RefCell::default());
    let loading = gated(&part, &gate);
    let mut leader = Hand::start(loading.get(&7));
    invalidate(&cache, "own");
    let mut many = both(&part, &asked);
    many.waits();
    gate.open();
    assert_eq!(leader.ends().unwrap().0, 2);
    assert_eq!(all(many.ends()), [3, 3]);
    assert_eq!(asked.take(), [vec![8], vec![7]]);
}

#[test]
fn a_call_for_many_keys_does_not_wait_for_a_hung_load_in_the_background() {
    let (cache, clock, pool) = spawning(4);
    let (part, asked) = (numbers(&cache), RefCell::default());
    let at_once = kept(1000).soft_timeout(Duration::ZERO);
    let loading = part
        .with_options(at_once)
        .with_loader(|_| pending::<Result<Number, Infallible>>());
    store(&part, 7, 1, kept(1000));
    clock.advance(SECOND * 10);
    assert_eq!(block_on(loading.get(&7)).unwrap().0, 1);
    assert_eq!(pool.len(), 1);
    let mut many = both(&part, &asked);
    many.waits();
    clock.advance(SECOND * 30);
    assert_eq!(all(many.ends()), [3, 3]);
    assert_eq!(asked.take(), [vec![8], vec![7]]);
    // What is never run holds the cache, which holds it by its spawner.
    drop(pool.take());
}
