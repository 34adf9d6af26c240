//! `get_many` and `get_or_load_many`: the loader's keys and values, and the result of each key.

use std::cell::RefCell;
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::sync::Arc;

use hydracache::{CacheError, CacheResult, HydraCache};

use crate::parts::*;
use crate::stale::*;
use crate::support::*;

/// The keys passed to the loader, a list for each call.
#[derive(Default)]
struct LoaderKeys(RefCell<Vec<Vec<u64>>>);

impl LoaderKeys {
    /// A call with a loader: logs the keys, returns ten times each key.
    fn load<'a>(&'a self, typed: &'a Numbers, keys: &'a [u64]) -> Calls<'a> {
        Hand::hold(typed.get_or_load_many(keys, options(), |keys: Vec<u64>| {
            self.0.borrow_mut().push(keys.clone());
            async move { Ok::<_, Infallible>(tens(&keys)) }
        }))
    }

    fn take(&self) -> Vec<Vec<u64>> {
        self.0.take()
    }
}

fn tens(keys: &[u64]) -> Vec<Number> {
    let ten = |&key: &u64| Number(u32::try_from(key).unwrap() * 10);
    keys.iter().map(ten).collect()
}

#[test]
fn get_many_returns_values_in_the_order_of_the_keys() {
    let cache = HydraCache::local().build();
    let typed = numbers(&cache);
    store(&typed, 1, 10, options());
    store(&typed, 2, 20, options());
    let found = block_on(typed.get_many([2, 3, 1, 2]));
    let found = found.into_iter().map(|it| it.unwrap().map(|it| it.0));
    assert_eq!(
        found.collect::<Vec<_>>(),
        [Some(20), None, Some(10), Some(20)]
    );
    assert_stats(cache.stats(), |stats| {
        stats.hits = 3;
        stats.misses = 1;
    });
    assert!(block_on(typed.get_many::<u64>([])).is_empty());
}

#[test]
fn loader_gets_each_missing_key_once_in_order() {
    let cache = HydraCache::local().build();
    let (typed, given) = (numbers(&cache), LoaderKeys::default());
    store(&typed, 5, 1, options());
    let keys = [9, 5, 3, 9, 7, 3, 5];
    let found = given.load(&typed, &keys).ends();
    let [nine, .., again, _, _, _] = &found[..] else {
        panic!("seven results expected");
    };
    assert!(Arc::ptr_eq(nine.as_ref().unwrap(), again.as_ref().unwrap()));
    assert_eq!(all(found), [90, 1, 30, 90, 70, 30, 1]);
    assert_eq!(given.take(), [[9, 3, 7]]);
    assert_stats(cache.stats(), |stats| {
        stats.hits = 1;
        stats.misses = 3;
        stats.loads = 3;
    });
    assert_eq!(all(given.load(&typed, &keys).ends()).len(), 7);
    assert!(given.take().is_empty(), "no key is missing");
}

#[test]
fn call_without_keys_runs_no_loader() {
    let cache = HydraCache::local().build();
    let (typed, given) = (numbers(&cache), LoaderKeys::default());
    assert!(given.load(&typed, &[]).ends().is_empty());
    assert!(given.take().is_empty());
}

#[test]
fn keys_may_be_owned_or_borrowed_from_any_iterator() {
    let cache = HydraCache::local().build();
    let lengths = cache.typed::<str, usize>("lengths");
    let load = |names: Vec<String>| async move {
        Ok::<_, Infallible>(names.iter().map(String::len).collect::<Vec<_>>())
    };
    let owned = vec!["Ada".to_owned(), "Grace".to_owned()];
    let call = lengths.get_or_load_many(owned.iter().map(|name| &name[1..]), options(), load);
    let found = block_on(call).into_iter().map(|it| *it.unwrap());
    assert_eq!(found.collect::<Vec<_>>(), [2, 4]);
    let call = lengths.get_or_load_many(owned, options(), load);
    let found = block_on(call).into_iter().map(|it| *it.unwrap());
    assert_eq!(found.collect::<Vec<_>>(), [3, 5]);
    assert_eq!(block_on(lengths.get_many(["Ada", "da"])).len(), 2);
}

#[test]
fn keys_loaded_by_other_calls_are_joined() {
    let cache = HydraCache::local().build();
    let (typed, given, door) = (numbers(&cache), LoaderKeys::default(), Door::default());
    store(&typed, 1, 1, options());
    // 1. Another call loads key 2. 2. The bulk call joins key 2 and loads key 3.
    let mut other = lead_one(&typed, &2, 2, options(), &door);
    let mut many = given.load(&typed, &[3, 2, 1]);
    many.waits();
    assert_eq!(given.take(), [[3]]);
    assert_eq!(read(&typed, 3), Some(30), "own keys are stored first");
    door.open();
    assert_eq!(other.ends().unwrap().0, 2);
    assert!(many.was_woken());
    assert_eq!(all(many.ends()), [30, 2, 1]);
    assert_stats(cache.stats(), |stats| {
        stats.hits = 2;
        stats.misses = 3;
        stats.loads = 2;
        stats.single_flight_joins = 1;
    });
}

#[test]
fn other_calls_join_each_key_of_a_bulk_load() {
    let cache = HydraCache::local().build();
    let (typed, door) = (numbers(&cache), Door::default());
    let mut many = Hand::start(typed.get_or_load_many([1, 2], options(), |keys: Vec<u64>| {
        let door = &door;
        async move {
            door.pass().await;
            Ok::<_, Infallible>(tens(&keys))
        }
    }));
    let keys = [1, 2];
    let mut single = join_one(&typed, &keys[1]);
    let mut both =
        Hand::start(typed.get_or_load_many(&keys, options(), |_| never::<Vec<Number>>()));
    door.open();
    let found: Vec<_> = many.ends().into_iter().map(Result::unwrap).collect();
    assert!(Arc::ptr_eq(&found[1], &single.ends().unwrap()));
    let joined: Vec<_> = both.ends().into_iter().map(Result::unwrap).collect();
    assert!(found.iter().zip(&joined).all(|(a, b)| Arc::ptr_eq(a, b)));
    assert_eq!(cache.stats().single_flight_joins, 3);
}

#[test]
fn each_key_can_fail_alone() {
    let cache = HydraCache::local().build();
    let typed = numbers(&cache);
    let load = |keys: Vec<u64>| async move {
        let one = |key: u64| match key {
            2 => Err(io::Error::other("no 2")),
            _ => Ok(Number(1)),
        };
        keys.into_iter().map(one).collect::<Vec<_>>()
    };
    let found = block_on(typed.get_or_load_many([1, 2, 3, 2], options(), load));
    for failed in [&found[1], &found[3]] {
        let error = failed.as_ref().unwrap_err();
        assert!(error.is_load() && error.source().unwrap().to_string() == "no 2");
        let source = error.source().unwrap();
        assert!(source.downcast_ref::<io::Error>().is_some());
    }
    assert!(found[0].is_ok() && found[2].is_ok());
    assert_eq!(
        (read(&typed, 1), read(&typed, 2), read(&typed, 3)),
        (Some(1), None, Some(1))
    );
    assert_eq!(cache.stats().load_failures, 1);
}

#[test]
fn one_loader_error_fails_every_key_and_its_waiters() {
    let cache = HydraCache::local().build();
    let (typed, door) = (numbers(&cache), Door::default());
    let mut many = Hand::start(typed.get_or_load_many([1, 2], options(), |_| async {
        door.pass().await;
        Err::<Vec<Number>, _>(io::Error::other("down"))
    }));
    let mut waiter = join_one(&typed, &2);
    door.open();
    let mut errors: Vec<_> = many.ends().into_iter().map(Result::unwrap_err).collect();
    errors.push(waiter.ends().unwrap_err());
    let sources = errors.iter().map(|error| {
        let source = error.source().unwrap().downcast_ref::<io::Error>();
        std::ptr::from_ref(source.unwrap())
    });
    let sources: Vec<_> = sources.collect();
    assert!(sources.iter().all(|it| std::ptr::eq(*it, sources[0])));
    assert!(errors.iter().all(CacheError::is_load));
    assert_ne!(
        errors[0].to_string(),
        errors[1].to_string(),
        "each error names its key"
    );
    assert_eq!(errors[1].to_string(), errors[2].to_string());
    assert_stats(cache.stats(), |stats| {
        stats.misses = 3;
        stats.loads = 2;
        stats.load_failures = 2;
        stats.single_flight_joins = 1;
    });
}

#[test]
fn wrong_number_of_values_fails_every_key() {
    for count in [0, 1, 3] {
        let cache = HydraCache::local().build();
        let (typed, given) = (numbers(&cache), LoaderKeys::default());
        let values = move || (0..count).map(Number);
        let all = move |_| async move { Ok::<Vec<_>, Infallible>(values().collect()) };
        let each = move |_| async move { values().map(Ok::<_, Infallible>).collect::<Vec<_>>() };
        let mut found = block_on(typed.get_or_load_many([1, 2], options(), all));
        found.extend(block_on(typed.get_or_load_many([1, 2], options(), each)));
        assert_eq!(found.len(), 4);
        for found in found {
            let error = found.unwrap_err();
            assert!(error.is_load());
            let text = format!("given 2 keys and gave {count} values");
            assert!(
                error.source().unwrap().to_string().contains(&text),
                "{error}"
            );
        }
        assert_eq!(cache.entry_count(), 0);
        given.load(&typed, &[1, 2]).ends();
        assert_eq!(given.take(), [[1, 2]], "the keys must be free");
    }
}

/// Runs `call` while keys 1 and 2 are being loaded. Returns the keys stored afterwards.
fn stored_after(call: fn(&HydraCache, &Numbers)) -> Vec<u64> {
    let cache = HydraCache::local().build();
    let (typed, door) = (numbers(&cache), Door::default());
    let load = |keys: Vec<u64>| {
        let door = &door;
        async move {
            door.pass().await;
            Ok::<_, Infallible>(tens(&keys))
        }
    };
    // 1. The bulk load starts; a call joins key 1. 2. `call` runs. 3. The load ends.
    let mut many = Hand::start(typed.get_or_load_many([1, 2], tagged("tag"), load));
    let key = 1;
    let mut waiter = join_one(&typed, &key);
    call(&cache, &typed);
    door.open();
    assert_eq!(all(many.ends()), [10, 20], "fenced values are returned");
    assert_eq!(waiter.ends().unwrap().0, 10);
    let stored = |key: &u64| read(&typed, *key).is_some_and(|it| it >= 10);
    let stored: Vec<u64> = [1, 2].into_iter().filter(stored).collect();
    assert_eq!(cache.stats().stale_load_discards, 2 - stored.len() as u64);
    stored
}

#[test]
fn keys_invalidated_during_the_load_are_not_stored() {
    assert_eq!(stored_after(|_, _| ()), [1, 2]);
    assert_eq!(
        stored_after(|_, typed| assert!(!block_on(typed.remove(&1)).unwrap())),
        [2]
    );
    assert_eq!(stored_after(|_, typed| store(typed, 2, 1, options())), [1]);
    assert!(stored_after(|cache, _| assert_eq!(invalidate(cache, "tag"), 0)).is_empty());
    assert!(stored_after(|_, typed| assert_eq!(clear(typed), 0)).is_empty());
    assert!(stored_after(|cache, _| flush(cache)).is_empty());
    assert_eq!(
        stored_after(|cache, _| assert_eq!(invalidate(cache, "other"), 0)),
        [1, 2]
    );
}

#[test]
fn failed_bulk_load_serves_stale_values_where_present() {
    let (cache, clock) = timed();
    let typed = numbers(&cache);
    store(&typed, 1, 1, kept(5));
    store(&typed, 2, 2, revalidated(5));
    store(&typed, 3, 3, lasting(20).refresh_ahead(0.5));
    store(&typed, 4, 4, lasting(10));
    clock.advance(SECOND * 10);
    for _ in 0..2 {
        let load = |keys: Vec<u64>| async move {
            assert_eq!(keys, [1, 2, 3, 4]);
            Err::<Vec<Number>, _>("down")
        };
        let found = block_on(typed.get_or_load_many(1..=4, options(), load));
        let found: Vec<_> = each(found).into_iter().map(Result::ok).collect();
        assert_eq!(found, [Some(1), Some(2), Some(3), None]);
    }
    assert_eq!(cache.stats().load_failures, 8);
    clock.advance(SECOND * 5);
    let load = |_| async { Err::<Vec<Number>, _>("down") };
    let found = block_on(typed.get_or_load_many([1, 2], options(), load));
    assert!(found.iter().all(CacheResult::is_err));
}

#[test]
fn key_refreshed_by_another_call_is_served_stale_at_once() {
    let (cache, clock) = timed();
    let (typed, given, door) = (numbers(&cache), LoaderKeys::default(), Door::default());
    store(&typed, 1, 1, revalidated(5));
    store(&typed, 2, 2, revalidated(5));
    clock.advance(SECOND * 10);
    let other = lead_one(&typed, &1, 9, options(), &door);
    assert_eq!(all(given.load(&typed, &[1, 2]).ends()), [1, 20]);
    assert_eq!(given.take(), [[2]]);
    drop(other);
}

#[test]
fn each_failed_key_has_its_own_backoff() {
    let (cache, clock) = timed();
    let (typed, given) = (numbers(&cache), LoaderKeys::default());
    let load = |keys: Vec<u64>| async move {
        let one = |key: u64| if key == 1 { Err("down") } else { Ok(Number(1)) };
        keys.into_iter().map(one).collect::<Vec<_>>()
    };
    let call_options = options().error_backoff(SECOND * 5);
    let found = block_on(typed.get_or_load_many([1, 2], call_options, load));
    assert_eq!((found[0].is_err(), found[1].is_ok()), (true, true));
    let found = given.load(&typed, &[1, 2, 3]).ends();
    assert!(found[0].as_ref().is_err_and(CacheError::is_load));
    assert_eq!(given.take(), [[3]]);
    clock.advance(SECOND * 5);
    assert_eq!(all(given.load(&typed, &[1]).ends()), [10]);
}

#[test]
fn timeout_without_a_timer_fails_every_missing_key() {
    if cfg!(feature = "async-io") {
        return;
    }
    let cache = HydraCache::local().build();
    let typed = numbers(&cache);
    store(&typed, 1, 1, options());
    let call_options = options().load_timeout(SECOND);
    let call = typed.get_or_load_many([1, 2], call_options, |_| never::<Vec<Number>>());
    let found = block_on(call);
    assert!(found[0].is_ok());
    assert!(found[1].as_ref().is_err_and(CacheError::is_no_timer));
}

#[test]
fn bulk_futures_are_send_for_send_keys_and_loaders() {
    fn send<T: Send>(future: T) -> T {
        future
    }
    struct Row {
        id: u64,
    }
    let cache = HydraCache::local().build();
    let (typed, rows) = (numbers(&cache), [Row { id: 1 }, Row { id: 2 }]);
    let load = |keys: Vec<u64>| async move { Ok::<_, Infallible>(tens(&keys)) };
    let call = typed.get_or_load_many(rows.iter().map(|row| row.id), options(), load);
    assert_eq!(all(block_on(send(call))), [10, 20]);
    let each = async |keys: Vec<u64>| -> Vec<Result<Number, Infallible>> {
        tens(&keys).into_iter().map(Ok).collect()
    };
    let call = typed.get_or_load_many([3], options(), each);
    assert_eq!(all(block_on(send(call))), [30]);
    drop(send(typed.get_many([1])));
}
