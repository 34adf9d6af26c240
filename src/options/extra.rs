//! The options that most calls do without.

use std::sync::Arc;
use std::time::Duration;

pub(crate) type SharedExtra = Arc<ExtraOptions>;

/// The options that most calls do without.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExtraOptions {
    pub(crate) stale_while_revalidate: Option<Duration>,
    pub(crate) stale_if_error: Option<Duration>,
    pub(crate) refresh_ahead: Option<f32>,
    pub(crate) jitter: Option<f32>,
    pub(crate) time_to_idle: Option<Duration>,
    pub(crate) load_timeout: Option<Duration>,
    pub(crate) soft_timeout: Option<Duration>,
    pub(crate) error_backoff: Option<Duration>,
}

impl ExtraOptions {
    /// Whether an entry needs a record of its times.
    pub(crate) fn needs_deadlines(&self) -> bool {
        self.stale_while_revalidate.is_some()
            || self.stale_if_error.is_some()
            || self.refresh_ahead.is_some()
            || self.time_to_idle.is_some()
    }

    /// Whether a call with these options needs a timer to load or wait.
    pub(crate) fn needs_timer(&self) -> bool {
        let soft = self.soft_timeout.is_some_and(|time| !time.is_zero());
        self.load_timeout.is_some() || soft
    }
}
