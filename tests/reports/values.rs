//! Values that other caches take for a miss, or that a reader changes for all other readers.

use std::sync::atomic::{AtomicU32, Ordering};

use hydracache::{Bytes, HydraCache};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::support::*;

/// Asserts: a value is stored, found by every read, and never loaded again.
#[track_caller]
fn assert_hit<V>(value: V)
where
    V: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug + Send + Sync + 'static,
{
    let cache = HydraCache::local().build();
    let typed = cache.typed::<str, V>("typed");
    let read = |key: &'static str| {
        let cache = &cache;
        async move {
            assert_eq!(
                cache.get::<V>(key).await.unwrap().as_ref(),
                Some(&cache.peek(key).await.unwrap().unwrap())
            );
            cache.get_or_load(key, options(), never::<V>).await.unwrap()
        }
    };
    let bytes = block_on(async {
        cache.put("key", &value, options()).await.unwrap();
        assert!(cache.contains_key("key").await);
        assert_eq!(read("key").await, value);
        cache.get_bytes("key").await.unwrap().unwrap()
    });
    let copy: V = block_on(async {
        cache.put_bytes("bytes", bytes, options()).await.unwrap();
        read("bytes").await
    });
    assert_eq!(copy, value);
    assert!(!block_on(cache.put_if_absent("key", &value, options())).unwrap());
    block_on(async {
        typed.put("key", value, options()).await.unwrap();
        let found = typed.get_or_load("key", options(), never::<V>).await;
        assert_eq!(*found.unwrap(), copy);
        assert!(typed.get("key").await.unwrap().is_some());
        assert!(cache.remove("key").await.unwrap());
    });
    assert_eq!(cache.stats().misses, 0);
}

#[test]
fn empty_and_zero_values_are_hits() {
    assert_hit(false);
    assert_hit(0_u32);
    assert_hit(-0.0_f64);
    assert_hit(String::new());
    assert_hit(String::from("null"));
    assert_hit(String::from("0"));
    assert_hit(Vec::<u32>::new());
    assert_hit(());
    assert_hit([(); 3]);
    assert_hit('\0');
}

#[test]
fn stored_none_is_a_hit_and_not_absent() {
    assert_hit(None::<u32>);
    assert_hit(Some(None::<u32>));
    assert_hit(Err::<u32, ()>(()));

    // Absent and "known to be absent" are two answers.
    let cache = HydraCache::local().build();
    assert_eq!(block_on(cache.get::<Option<u32>>("key")).unwrap(), None);
    let row = || async { Ok::<_, std::io::Error>(None::<u32>) };
    let loaded = block_on(cache.get_or_load("key", options(), row));
    assert_eq!(loaded.unwrap(), None);
    assert_eq!(
        block_on(cache.get::<Option<u32>>("key")).unwrap(),
        Some(None)
    );
    assert_eq!(cache.stats().loads, 1);
}

#[test]
fn value_changed_by_its_owner_changes_no_entry() {
    let cache = HydraCache::local().build();
    let mut mine = vec![1_u32, 2];
    block_on(cache.put("key", &mine, options())).unwrap();
    mine.push(3);

    // Each reader has a copy, the leader of a load too.
    let mut first: Vec<u32> = block_on(cache.get("key")).unwrap().unwrap();
    first.clear();
    let found: Vec<u32> = block_on(cache.get("key")).unwrap().unwrap();
    assert_eq!(found, [1, 2]);
    let load = cache.get_or_load("loaded", options(), ready(vec![1_u32, 2]));
    let mut loaded = block_on(load).unwrap();
    loaded[0] = 9;
    let found: Vec<u32> = block_on(cache.get("loaded")).unwrap().unwrap();
    assert_eq!(found, [1, 2]);
}

#[test]
fn bytes_of_an_entry_cannot_be_written() {
    let cache = HydraCache::local().build();
    block_on(cache.put_bytes("key", Bytes::from(vec![1; 100]), options())).unwrap();
    let read = || block_on(cache.get_bytes("key")).unwrap().unwrap();

    let kept = read();
    // `bytes` hands out the memory for writing if nobody else has a handle.
    let refused = read().try_into_mut().unwrap_err();
    assert_eq!(refused, vec![1; 100]);
    drop(refused);
    assert_eq!(read(), vec![1; 100]);

    // Overwritten and removed, the entry leaves the reader's bytes alone.
    block_on(cache.put_bytes("key", Bytes::from(vec![2; 100]), options())).unwrap();
    block_on(cache.remove("key")).unwrap();
    assert_eq!(kept, vec![1; 100]);
}

#[test]
fn typed_value_with_a_cell_is_shared_by_all_readers() {
    let cache = HydraCache::local().build();
    let typed = cache.typed::<u32, AtomicU32>("counters");
    block_on(typed.put(&1, AtomicU32::new(5), options())).unwrap();

    // A typed cache hands out one `Arc`: a change through a cell is seen by everybody.
    let read = || block_on(typed.get(&1)).unwrap().unwrap();
    read().store(6, Ordering::SeqCst);
    assert_eq!(read().load(Ordering::SeqCst), 6);
}
