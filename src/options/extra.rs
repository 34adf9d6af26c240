//! The rare options of a call.

use std::sync::Arc;
use std::time::Duration;

// Shared between clones; a setter copies first if a clone exists.
pub(crate) type SharedExtra = Arc<ExtraOptions>;

/// The rare options of a call. The setters of [`CacheOptions`](crate::CacheOptions) document each
/// field.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExtraOptions {
    // Times of the entry.
    pub(crate) stale_while_revalidate: Option<Duration>,
    pub(crate) stale_if_error: Option<Duration>,
    pub(crate) refresh_ahead: Option<f32>,
    pub(crate) jitter: Option<f32>,
    pub(crate) time_to_idle: Option<Duration>,
    // Limits of the load.
    pub(crate) load_timeout: Option<Duration>,
    pub(crate) soft_timeout: Option<Duration>,
    pub(crate) error_backoff: Option<Duration>,
}

impl ExtraOptions {
    /// Returns `true` if an entry needs a record of several times, `false` if the end of the time
    /// to live is enough.
    pub(crate) fn needs_deadlines(&self) -> bool {
        // Not `jitter`: a shorter time to live is still a single time.
        self.stale_while_revalidate.is_some()
            || self.stale_if_error.is_some()
            || self.refresh_ahead.is_some()
            || self.time_to_idle.is_some()
    }

    /// Returns `true` if a call with these options needs a timer to load or to wait, `false` if the
    /// call works without a timer.
    pub(crate) fn needs_timer(&self) -> bool {
        // A soft timeout of zero is over at once: the call never waits for that.
        let soft = self.soft_timeout.is_some_and(|time| !time.is_zero());
        self.load_timeout.is_some() || soft
    }
}
