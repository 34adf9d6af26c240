//! The error type of the crate, with a predicate for each kind.

mod kind;

use std::sync::Arc;
use std::time::Duration;

pub use self::kind::BoxError;
use self::kind::{DisplayKey, ErrorKind, ForKey};

/// The result of a verb of the cache.
pub type CacheResult<T> = Result<T, CacheError>;

/// The error of a failed call.
///
/// Cheap to clone: the leader and the waiters of a failed load get clones of the same error. If
/// the cause is another error, [`source`](std::error::Error::source) returns the cause, so
/// `error.source()?.downcast_ref::<MyError>()` finds a loader's own error. Keys in messages are cut
/// at 64 characters.
///
/// The message leaves out the text of the cause. A log needs both: print the chain of sources, as
/// `{:#}` of anyhow does, or as in the example.
///
/// # Examples
///
/// ```
/// use std::error::Error;
/// use std::io;
///
/// use futures_lite::future::block_on;
/// use hydracache::{CacheOptions, HydraCache};
///
/// let cache = HydraCache::local().build();
/// let loaded = cache.get_or_load("user:7", CacheOptions::new(), || async {
///     Err::<u32, _>(io::Error::other("the database is away"))
/// });
///
/// let error = block_on(loaded).unwrap_err();
/// assert!(error.is_load());
/// assert_eq!(error.to_string(), r#"the loader for key "user:7" failed"#);
/// let cause = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
/// assert_eq!(cause.to_string(), "the database is away");
/// assert_eq!(cause.kind(), io::ErrorKind::Other);
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
#[non_exhaustive]
pub struct CacheError(Arc<ErrorKind>);

// Each constructor takes the key as bytes and shortens the key at once: an error must not keep a
// large key alive, and is often stored longer than the call.
impl CacheError {
    pub(crate) fn load(key: &[u8], source: Arc<BoxError>) -> Self {
        let key = DisplayKey::new(key);
        ErrorKind::Load { key, source }.into()
    }

    pub(crate) fn panic(key: &[u8]) -> Self {
        let key = DisplayKey::new(key);
        ErrorKind::Panic { key }.into()
    }

    pub(crate) fn timeout(key: &[u8], given: Duration) -> Self {
        let key = DisplayKey::new(key);
        ErrorKind::Timeout { key, given }.into()
    }

    pub(crate) fn no_timer(key: &[u8]) -> Self {
        let key = DisplayKey::new(key);
        ErrorKind::NoTimer { key }.into()
    }

    pub(crate) fn dropped(key: &[u8]) -> Self {
        // The caller's own load: a waiter of a dropped load looks the key up again instead.
        let key = DisplayKey::new(key);
        ErrorKind::Dropped { key }.into()
    }

    /// `held` and `asked` are names of types, and so is `name` in `encode` and `decode`.
    pub(crate) fn wrong_type(key: &[u8], held: &'static str, asked: &'static str) -> Self {
        let key = DisplayKey::new(key);
        ErrorKind::WrongType { key, held, asked }.into()
    }

    /// `held` and `asked` are each the names of the key type and of the value type.
    pub(crate) fn wrong_types(
        name: &str,
        held: [&'static str; 2],
        asked: [&'static str; 2],
    ) -> Self {
        let name = DisplayKey::new(name.as_bytes());
        ErrorKind::WrongTypes { name, held, asked }.into()
    }

    pub(crate) fn encode_key(name: &str, key: &'static str, source: BoxError) -> Self {
        let name = DisplayKey::new(name.as_bytes());
        ErrorKind::EncodeKey { name, key, source }.into()
    }

    /// `key` is `None` for a value without a key, here and below.
    pub(crate) fn encode(key: Option<&[u8]>, name: &'static str, source: BoxError) -> Self {
        let key = ForKey::new(key);
        ErrorKind::Encode { key, name, source }.into()
    }

    pub(crate) fn not_read_back(key: Option<&[u8]>, name: &'static str, source: BoxError) -> Self {
        let key = ForKey::new(key);
        ErrorKind::NotReadBack { key, name, source }.into()
    }

    pub(crate) fn changed(key: Option<&[u8]>, name: &'static str) -> Self {
        let key = ForKey::new(key);
        ErrorKind::Changed { key, name }.into()
    }

    pub(crate) fn decode(key: &[u8], name: &'static str, source: BoxError) -> Self {
        let key = DisplayKey::new(key);
        ErrorKind::Decode { key, name, source }.into()
    }

    /// Returns `true` if the loader returned an error, which is the source, `false` for every
    /// other kind.
    ///
    /// The leader and the waiters get this error. Later calls too, during an
    /// [`error_backoff`](crate::CacheOptions::error_backoff).
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures_lite::future::block_on;
    /// # use hydracache::{CacheOptions, HydraCache};
    /// let cache = HydraCache::local().build();
    /// let call = cache.get_or_load("key", CacheOptions::new(), async || Err::<u8, _>("no route"));
    /// assert!(block_on(call).is_err_and(|error| error.is_load()));
    /// ```
    pub fn is_load(&self) -> bool {
        // The kinds are private, so a new kind is no breaking change.
        matches!(*self.0, ErrorKind::Load { .. })
    }

    /// Returns `true` if this call waited for another call's load, and the loader or the
    /// encoding of the loaded value panicked; `false` for every other kind.
    ///
    /// Only waiters get this error. The panic itself unwinds through the leader.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures_lite::future::{block_on, yield_now};
    /// # use hydracache::{CacheOptions, HydraCache};
    /// let cache = HydraCache::local().build();
    /// let waiter = std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         let call = cache.get_or_insert_with("key", CacheOptions::new(), async || {
    ///             while cache.stats().misses < 2 {
    ///                 yield_now().await; // until the waiter joins
    ///             }
    ///             if true { panic!("boom") }
    ///             0_u8
    ///         });
    ///         std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| block_on(call)))
    ///     });
    ///     while cache.stats().loads == 0 {
    ///         std::thread::yield_now();
    ///     }
    ///     block_on(cache.get_or_insert_with("key", CacheOptions::new(), async || 0_u8))
    /// });
    /// assert!(waiter.is_err_and(|error| error.is_panic()));
    /// ```
    pub fn is_panic(&self) -> bool {
        matches!(*self.0, ErrorKind::Panic { .. })
    }

    /// Returns `true` if the key holds, or is being loaded as, another type than the requested
    /// type, or if the name of a typed cache was opened with other types; `false` for every
    /// other kind.
    ///
    /// The call loads nothing and changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures_lite::future::block_on;
    /// # use hydracache::{CacheOptions, HydraCache};
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// block_on(cache.put("key", 7_u8, CacheOptions::new()))?;
    /// let read = block_on(cache.get::<String>("key"));
    /// assert!(read.is_err_and(|error| error.is_wrong_type()));
    /// assert_eq!(block_on(cache.get::<u8>("key"))?, Some(7)); // the entry is unchanged
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_wrong_type(&self) -> bool {
        matches!(
            *self.0,
            ErrorKind::WrongType { .. } | ErrorKind::WrongTypes { .. }
        )
    }

    /// Returns `true` if the value cannot be stored as encoded bytes, or postcard could not encode
    /// the key of a typed cache; `false` for every other kind.
    ///
    /// The codec refused the value, or cannot decode the bytes of the value, or gives another value
    /// back ([`check_round_trip`](crate::HydraCache::check_round_trip)). An earlier entry of the key
    /// is unchanged. The leader and the waiters of a load get the same error, although the loader
    /// has returned a value.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures_lite::future::block_on;
    /// # use hydracache::{CacheOptions, HydraCache};
    /// use std::sync::Mutex;
    ///
    /// let cache = HydraCache::local().build();
    /// let poisoned = Mutex::new(0_u8);
    /// let _ = std::panic::catch_unwind(|| {
    ///     let _guard = poisoned.lock();
    ///     panic!("boom")
    /// });
    /// let put = block_on(cache.put("key", &poisoned, CacheOptions::new())); // cannot be locked
    /// assert!(put.is_err_and(|error| error.is_encode()));
    /// ```
    pub fn is_encode(&self) -> bool {
        matches!(
            *self.0,
            ErrorKind::Encode { .. }
                | ErrorKind::EncodeKey { .. }
                | ErrorKind::NotReadBack { .. }
                | ErrorKind::Changed { .. }
        )
    }

    /// Returns `true` if the stored bytes could not be decoded as the requested type, `false`
    /// for every other kind.
    ///
    /// The entry stays: remove or replace the entry, or call a loading verb, which loads and
    /// replaces undecodable bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures_lite::future::block_on;
    /// # use hydracache::{Bytes, CacheOptions, HydraCache};
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// block_on(cache.put_bytes("key", Bytes::from_static(b"\xff"), CacheOptions::new()))?;
    /// let read = block_on(cache.get::<String>("key"));
    /// assert!(read.is_err_and(|error| error.is_decode()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_decode(&self) -> bool {
        matches!(*self.0, ErrorKind::Decode { .. })
    }

    /// Returns `true` if the load took longer than the
    /// [`load_timeout`](crate::CacheOptions::load_timeout) of the call, `false` for every other
    /// kind.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::future::pending;
    /// # use std::time::Duration;
    /// # use futures_lite::future::block_on;
    /// # use hydracache::{CacheOptions, HydraCache};
    /// let timer = |_| std::future::ready(()); // every time is over at once
    /// let cache = HydraCache::local().timer(timer).build();
    /// let options = CacheOptions::new().load_timeout(Duration::from_millis(1));
    /// let call = cache.get_or_load("key", options, pending::<Result<u8, &str>>);
    /// assert!(block_on(call).is_err_and(|error| error.is_timeout()));
    /// ```
    pub fn is_timeout(&self) -> bool {
        matches!(*self.0, ErrorKind::Timeout { .. })
    }

    /// Returns `true` if this call started a background load, the spawner or the runtime dropped
    /// the load, and there is no stale value; `false` for every other kind.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::pin::pin;
    /// # use std::sync::{Arc, Mutex};
    /// # use std::time::Duration;
    /// # use futures_lite::future::{block_on, poll_once};
    /// # use hydracache::{CacheOptions, HydraCache, ManualClock};
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let clock = ManualClock::new();
    /// let spawned = Arc::new(Mutex::new(Vec::new()));
    /// let runtime = Arc::clone(&spawned);
    /// let cache = HydraCache::local()
    ///     .clock(clock.clone())
    ///     .timer(clock.clone())
    ///     .spawner(move |load| runtime.lock().unwrap().push(load))
    ///     .build();
    /// let second = Duration::from_secs(1);
    /// let options = CacheOptions::new().ttl(second).stale_if_error(second);
    /// block_on(cache.put("key", 7_u8, options.clone()))?;
    /// clock.advance(second); // the value is stale
    ///
    /// let load = || async { Ok::<u8, &str>(8) };
    /// let mut call = pin!(cache.get_or_refresh("key", options, load));
    /// assert!(block_on(poll_once(&mut call)).is_none()); // waits for the background load
    /// block_on(cache.remove("key"))?; // now there is no stale value
    /// spawned.lock().unwrap().clear(); // the runtime drops the load
    /// assert!(block_on(call).is_err_and(|error| error.is_dropped()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_dropped(&self) -> bool {
        matches!(*self.0, ErrorKind::Dropped { .. })
    }

    /// Returns `true` if the call has a timeout and the cache has no timer, `false` for every
    /// other kind.
    ///
    /// With the feature `async-io`, a default feature, every cache has a timer, except on wasm.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use futures_lite::future::block_on;
    /// # use hydracache::{CacheOptions, HydraCache};
    /// let cache = HydraCache::local().build();
    /// let options = CacheOptions::new().load_timeout(Duration::from_secs(1));
    /// let call = cache.get_or_load("key", options, async || Ok::<u8, &str>(7));
    /// let failed = block_on(call).is_err_and(|error| error.is_no_timer());
    /// assert_eq!(failed, cfg!(not(feature = "async-io")));
    /// ```
    pub fn is_no_timer(&self) -> bool {
        matches!(*self.0, ErrorKind::NoTimer { .. })
    }
}

impl From<ErrorKind> for CacheError {
    fn from(kind: ErrorKind) -> Self {
        // An `Arc` makes a clone cheap for any number of waiters, and a `CacheResult` small.
        Self(Arc::new(kind))
    }
}
