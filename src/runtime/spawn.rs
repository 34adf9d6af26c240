//! Where loads run that no caller drives.

use super::timer::BoxFuture;

/// Runs a future to its end, in the background.
///
/// Closures are spawners: `|future| smol::spawn(future).detach()`, or one that calls
/// `tokio::spawn` and drops the handle. They return nothing, so that a task whose
/// handle cancels it when dropped cannot be given away by mistake. Called with no lock of
/// the cache held; a future that is dropped before its end counts as a cancelled load.
///
/// A load in the background holds the cache, and the cache its spawner: one that keeps what
/// it is given must run it or drop it some time, or neither is ever freed.
///
/// # Examples
///
/// ```
/// use hydracache::HydraCache;
///
/// let cache = HydraCache::local()
///     .spawner(|future| smol::spawn(future).detach())
///     .build();
/// # drop(cache);
/// ```
pub trait Spawn: Send + Sync {
    /// Takes a future over.
    fn spawn(&self, future: BoxFuture);
}

impl<F: Fn(BoxFuture) + Send + Sync> Spawn for F {
    fn spawn(&self, future: BoxFuture) {
        self(future);
    }
}
