//! Why an entry left, and who is told.

use std::sync::Arc;

use bytes::Bytes;

/// Why an entry left the cache.
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
/// let (left, log) = channel();
/// let cache = HydraCache::local()
///     .on_removal(move |key, _, cause| {
///         let _ = left.send((key.to_owned(), cause));
///     })
///     .build();
/// block_on(cache.put("name", "Ada", CacheOptions::new()))?;
/// block_on(cache.remove("name"))?;
/// assert_eq!(log.try_recv(), Ok(("name".into(), RemovalCause::Invalidated)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalCause {
    /// Its time had come. Also of one that was kept after its time to live, whatever ended
    /// that.
    Expired,
    /// The policy let it go, to hold a bound.
    Evicted,
    /// `remove`, `invalidate_tag`, `update` or `retain` ended it.
    Invalidated,
    /// Another value took its place, or would have if it could be stored.
    Replaced,
    /// `flush` ended it.
    Flushed,
}

/// Who is told of what left.
pub(crate) type Listener = Arc<dyn Fn(&str, &Bytes, RemovalCause) + Send + Sync>;
