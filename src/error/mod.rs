//! The one error type, and what can be asked of it.

mod kind;

use std::sync::Arc;
use std::time::Duration;

pub use self::kind::BoxError;
use self::kind::{DisplayKey, ErrorKind};

/// What every verb of the cache returns.
pub type CacheResult<T> = Result<T, CacheError>;

/// Why a call to the cache failed.
///
/// A clone is the same error: everybody who waited for a load that failed gets
/// a clone of one. Where another error is the cause,
/// [`source`](std::error::Error::source) is that error itself, so that
/// `error.source()?.downcast_ref::<MyError>()` finds a loader's own error; the message
/// has its text as well.
/// Keys in messages are cut at 64 characters.
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
/// assert_eq!(
///     error.to_string(),
///     r#"the loader for key "user:7" failed: the database is away"#,
/// );
/// let cause = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
/// assert_eq!(cause.kind(), io::ErrorKind::Other);
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
#[non_exhaustive]
pub struct CacheError(Arc<ErrorKind>);

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
        let key = DisplayKey::new(key);
        ErrorKind::Dropped { key }.into()
    }

    /// `held` and `asked` are names of types, as in all that follow.
    pub(crate) fn wrong_type(key: &[u8], held: &'static str, asked: &'static str) -> Self {
        let key = DisplayKey::new(key);
        ErrorKind::WrongType { key, held, asked }.into()
    }

    /// `held` and `asked` are the names of the key's type and of the value's.
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

    pub(crate) fn encode(key: &[u8], name: &'static str, source: BoxError) -> Self {
        let key = DisplayKey::new(key);
        ErrorKind::Encode { key, name, source }.into()
    }

    pub(crate) fn decode(key: &[u8], name: &'static str, source: BoxError) -> Self {
        let key = DisplayKey::new(key);
        ErrorKind::Decode { key, name, source }.into()
    }

    /// Returns whether the loader gave an error, which is then the source.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures_lite::future::block_on;
    /// # use hydracache::{CacheOptions, HydraCache};
    /// let cache = HydraCache::local().build();
    /// let call = cache.get_or_load("key", CacheOptions::new(), async || Err::<u8, _>("away"));
    /// assert!(block_on(call).is_err_and(|error| error.is_load()));
    /// ```
    pub fn is_load(&self) -> bool {
        matches!(*self.0, ErrorKind::Load { .. })
    }

    /// Returns whether another call's loader, or the encoding of its value, panicked
    /// while this call waited for it.
    ///
    /// The panic itself unwinds through the call that ran the loader.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures_lite::future::{block_on, yield_now};
    /// # use hydracache::{CacheOptions, HydraCache};
    /// let cache = HydraCache::local().build();
    /// let told = std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         let call = cache.get_or_insert_with("key", CacheOptions::new(), async || {
    ///             while cache.stats().misses < 2 {
    ///                 yield_now().await; // until the other call waits
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
    /// assert!(told.is_err_and(|error| error.is_panic()));
    /// ```
    pub fn is_panic(&self) -> bool {
        matches!(*self.0, ErrorKind::Panic { .. })
    }

    /// Returns whether the key holds, or is being loaded as, another type than the
    /// one asked for; or the name of a typed cache was opened with other types.
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
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_wrong_type(&self) -> bool {
        matches!(
            *self.0,
            ErrorKind::WrongType { .. } | ErrorKind::WrongTypes { .. }
        )
    }

    /// Returns whether the value could not be encoded, or the key of a typed cache.
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
    /// let put = block_on(cache.put("key", &poisoned, CacheOptions::new()));
    /// assert!(put.is_err_and(|error| error.is_encode()));
    /// ```
    pub fn is_encode(&self) -> bool {
        matches!(
            *self.0,
            ErrorKind::Encode { .. } | ErrorKind::EncodeKey { .. }
        )
    }

    /// Returns whether the stored bytes could not be decoded as the type asked for.
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

    /// Returns whether a load took longer than it was given.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::future::pending;
    /// # use std::time::Duration;
    /// # use futures_lite::future::block_on;
    /// # use hydracache::{CacheOptions, HydraCache};
    /// # let timer = |_| std::future::ready(());
    /// let cache = HydraCache::local().timer(timer).build();
    /// let options = CacheOptions::new().load_timeout(Duration::from_millis(1));
    /// let call = cache.get_or_load("key", options, pending::<Result<u8, &str>>);
    /// assert!(block_on(call).is_err_and(|error| error.is_timeout()));
    /// ```
    pub fn is_timeout(&self) -> bool {
        matches!(*self.0, ErrorKind::Timeout { .. })
    }

    /// Returns whether a load that this call handed over was dropped by whoever was to run
    /// it, the spawner or its runtime, and there was no old value.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use futures_lite::future::block_on;
    /// # use hydracache::{CacheOptions, HydraCache, ManualClock};
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let clock = ManualClock::new();
    /// let cache = HydraCache::local()
    ///     .clock(clock.clone())
    ///     .timer(clock.clone())
    ///     .spawner(|load| drop(load)) // which is a mistake
    ///     .build();
    /// let options = CacheOptions::new()
    ///     .ttl(Duration::from_secs(1))
    ///     .stale_if_error(Duration::from_secs(1))
    ///     .soft_timeout(Duration::from_secs(1));
    /// block_on(cache.put("key", 7_u8, options.clone()))?;
    /// clock.advance(Duration::from_secs(1));
    /// let load = || async { Ok::<u8, &str>(8) };
    /// let answer = block_on(cache.get_or_refresh("key", options, load));
    /// assert_eq!(answer?, 7); // had it been evicted meanwhile: `is_dropped`
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_dropped(&self) -> bool {
        matches!(*self.0, ErrorKind::Dropped { .. })
    }

    /// Returns whether a call had a timeout and the cache no timer.
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
    /// let error = block_on(call).err(); // none with the feature `async-io`
    /// assert!(error.is_none_or(|error| error.is_no_timer()));
    /// ```
    pub fn is_no_timer(&self) -> bool {
        matches!(*self.0, ErrorKind::NoTimer { .. })
    }
}

impl From<ErrorKind> for CacheError {
    fn from(kind: ErrorKind) -> Self {
        Self(Arc::new(kind))
    }
}
