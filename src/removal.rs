//! The cause of a removal, and the listener for removals.

use std::sync::Arc;

use bytes::Bytes;

/// The cause of the removal of an entry.
///
/// The cause agrees with the counters of [`CacheStats`](crate::CacheStats). The listener is
/// called when the memory of the entry is given back, and under no lock of the cache.
///
/// # Examples
///
/// ```
/// use std::sync::mpsc::channel;
///
/// use futures_lite::future::block_on;
/// use hydracache::{CacheOptions, HydraCache, RemovalCause};
///
/// # fn main() -> Result<(), hydracache::CacheError> {
/// let (sender, log) = channel();
/// let cache = HydraCache::local()
///     .on_removal(move |key, _, cause| {
///         let _ = sender.send((key.to_owned(), cause));
///     })
///     .build();
/// block_on(cache.put("name", "Ada", CacheOptions::new()))?;
/// block_on(cache.put("name", "Grace", CacheOptions::new()))?;
/// block_on(cache.remove("name"))?;
/// assert_eq!(log.try_recv(), Ok(("name".into(), RemovalCause::Replaced)));
/// assert_eq!(log.try_recv(), Ok(("name".into(), RemovalCause::Invalidated)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalCause {
    /// The time to live was over, or `expire` or `expire_tag` had ended the freshness. Also
    /// reported for an entry in a stale window, whatever removed the entry.
    Expired,
    /// The policy removed a live entry, to hold a bound.
    Evicted,
    /// `remove`, `invalidate_tag`, `update` or `retain` removed the entry.
    Invalidated,
    /// A newer value replaced the value. Also reported if the newer value could not be stored.
    Replaced,
    /// `flush` removed the entry.
    Flushed,
}

/// The caller's closure for removed entries: the key, the encoded value, the cause.
pub(crate) type Listener = Arc<dyn Fn(&str, &Bytes, RemovalCause) + Send + Sync>;
