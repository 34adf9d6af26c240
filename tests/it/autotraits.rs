//! Public types are `Send` and `Sync`. Loaders need not be `Send`; with a `Send` loader, the
//! future is `Send`.

use std::convert::Infallible;
use std::rc::Rc;

use hydracache::*;

use crate::support::options;

fn send<T: Send>(_: &T) {}
fn send_sync<T: Send + Sync + 'static>() {}
fn unpin<T: Unpin>() {}
fn clone_debug<T: Clone + std::fmt::Debug>() {}

#[test]
fn public_types_are_send_sync_and_static() {
    send_sync::<HydraCache>();
    send_sync::<WeakHydraCache>();
    send_sync::<CacheBuilder>();
    send_sync::<CacheOptions>();
    send_sync::<CacheError>();
    send_sync::<CacheStats>();
    send_sync::<SystemClock>();
    send_sync::<ManualClock>();
    send_sync::<Postcard>();
    unpin::<HydraCache>();
    clone_debug::<HydraCache>();
    clone_debug::<WeakHydraCache>();
    clone_debug::<CacheOptions>();
    clone_debug::<CacheError>();
    clone_debug::<ManualClock>();
}

#[test]
fn cache_is_clone_with_a_codec_that_is_not_clone() {
    struct NotClone;
    impl Codec for NotClone {
        fn encode<V: serde::Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError> {
            Postcard.encode(value)
        }
        fn decode<V: serde::de::DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError> {
            Postcard.decode(bytes)
        }
    }
    let cache: HydraCache<NotClone> = HydraCache::local().codec(NotClone).build();
    drop(cache.clone());
}

#[test]
fn futures_are_send_for_values_that_are_not_send() {
    let cache = HydraCache::local().build();
    send(&cache.get::<Rc<str>>("key"));
    send(&cache.peek::<Rc<str>>("key"));
    send(&cache.get_bytes("key"));
    send(&cache.contains_key("key"));
    send(&cache.put("key", 1_u8, options()));
    send(&cache.put_bytes("key", Bytes::new(), options()));
    send(&cache.remove("key"));
    send(&cache.invalidate_key("key"));
    send(&cache.invalidate_tag("tag"));
    send(&cache.invalidate_tags(["tag"]));
    send(&cache.invalidate_tags(vec![String::from("tag")]));
    send(&cache.flush());
    send(&cache.tidy());
    send(&cache.get_or_load("key", options(), || {
        std::future::ready(Ok::<u8, Infallible>(1))
    }));
    send(&cache.try_get_or_insert_with("key", options(), || async { Ok::<u8, Infallible>(1) }));
    send(&cache.get_or_insert_with("key", options(), || async { 1_u8 }));
    // The value is created and encoded in one poll.
    send(&cache.get_or_load("key", options(), || async {
        Ok::<Rc<str>, Infallible>("".into())
    }));
}

/// In a task with a `Send` future, tags borrowed from the task fail to compile if the future of
/// the call keeps the arguments too long.
#[test]
fn send_task_may_pass_tags_by_any_iterator() {
    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        futures_lite::future::block_on(task);
    }
    let cache = HydraCache::local().build();
    spawn(async move {
        let tags = vec![String::from("a"), String::from("b")];
        cache.invalidate_tags(&tags).await.unwrap();
        cache
            .invalidate_tags(tags.iter().map(|tag| &tag[..]))
            .await
            .unwrap();
        cache
            .invalidate_tags(tags.iter().filter(|tag| !tag.is_empty()))
            .await
            .unwrap();
        cache
            .invalidate_tags(tags.iter().map(|tag| format!("{tag}!")))
            .await
            .unwrap();
        let options = options().tags(tags.iter().map(|tag| &tag[..]));
        let loaded =
            cache.get_or_load("key", options, || async { Ok::<_, Infallible>(tags.len()) });
        assert_eq!(loaded.await.unwrap(), 2);
    });
}

#[test]
fn cache_may_be_used_across_a_caught_panic() {
    let cache = HydraCache::local().build();
    let caught = std::panic::catch_unwind(|| {
        let call = cache
            .get_or_load::<u8, Infallible, _, _>("key", options(), || async { panic!("boom") });
        futures_lite::future::block_on(call)
    });
    assert!(caught.is_err());
}

#[test]
fn loader_may_borrow_and_need_not_be_send() {
    let cache = HydraCache::local().build();
    let name = Rc::new(String::from("Ada"));
    let loaded = cache.get_or_load("key", options(), || async {
        Ok::<_, Infallible>(name.as_str().to_owned())
    });
    assert_eq!(futures_lite::future::block_on(loaded).unwrap(), "Ada");
}

#[test]
fn generic_arguments_can_be_written_out() {
    let cache = HydraCache::local().build();
    let loader = || async { Ok(7) };
    let loaded = cache.get_or_load::<u32, anyhow::Error, _, _>("key", options(), loader);
    assert_eq!(futures_lite::future::block_on(loaded).unwrap(), 7);
    let inserted = cache.get_or_insert_with::<u32, _, _>("key", options(), || async { 8 });
    assert_eq!(futures_lite::future::block_on(inserted).unwrap(), 7);
}

#[test]
fn loading_future_is_at_most_512_bytes() {
    let cache = HydraCache::local().build();
    let future = cache.get_or_load("key", options(), || {
        std::future::ready(Ok::<u8, Infallible>(1))
    });
    let size = size_of_val(&future);
    assert!(size <= 512, "{size} bytes");
}
