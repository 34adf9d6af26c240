//! A load in progress, and the record on which the waiters wait.
//!
//! A flight belongs to the leader, and ends with the leader. Waiters only wait. If the leader is
//! dropped, no waiter inherits the flight: all waiters look again, and the first starts a new
//! flight. So an unpolled waiter delays nobody.

use std::time::Duration;

use async_lock::OnceCell;

use super::background_task::BackgroundTask;
use super::invalidation_log::Overlap;
use crate::error::CacheResult;
use crate::runtime::Moment;
use crate::sync::Arc;
use crate::value::{TypeTag, TypedValue};

/// The result of a load: a value, or the error that all waiters share.
pub(crate) type FlightResult = CacheResult<FlightValue>;

/// The value that waiters get.
#[derive(Debug)]
pub(crate) struct FlightValue {
    pub(crate) value: TypedValue,
    /// The origin of time if the value was not stored.
    pub(crate) fresh_until: Moment,
    /// Which of the tags that the loader chose were invalidated during the load.
    pub(crate) overlap: Overlap,
}

/// The record that a leader and its waiters share.
#[derive(Debug)]
pub(crate) struct Flight {
    /// The type of the loaded value, so that a caller of another type gets its error
    /// without waiting.
    pub(crate) ty: TypeTag,
    /// The sequence of the invalidation log at the start, if the loader may choose tags.
    pub(crate) started_at: Option<u64>,
    /// The future of a background load, with the deadline: the runtime may never poll the load
    /// again.
    pub(crate) background: Option<Arc<BackgroundTask>>,
    /// Set once, when the load ends; waiters sleep on it. `None`: the leader was dropped.
    // guard: no look sees the result, so no call inherits the slot of a dropped leader
    result: OnceCell<Option<FlightResult>>,
}

impl Flight {
    pub(crate) fn new(
        ty: TypeTag,
        started_at: Option<u64>,
        background: Option<Arc<BackgroundTask>>,
    ) -> Self {
        Self {
            ty,
            started_at,
            background,
            result: OnceCell::new(),
        }
    }

    /// Sets the result and wakes all waiters. The leader calls this once.
    ///
    /// Wakers are foreign code: the caller holds no lock of the cache.
    pub(crate) fn finish(&self, result: Option<FlightResult>) {
        let set = self.result.try_set(result);
        debug_assert!(set.is_ok(), "a flight ended twice");
    }

    /// Waits for the end. `None` means: look again.
    pub(crate) fn wait(&self) -> impl Future<Output = &Option<FlightResult>> {
        self.result.wait()
    }

    /// Returns the result, or `None` if the load has not ended or has no result.
    pub(crate) fn result(&self) -> Option<&FlightResult> {
        self.result.get()?.as_ref()
    }

    /// Returns `true` if the load should have ended by now, `false` if there is time left or no
    /// deadline.
    pub(crate) fn is_overdue(&self, now: impl FnOnce() -> Moment) -> bool {
        let task = self.background.as_ref();
        task.is_some_and(|task| task.deadline.has_passed(now()))
    }

    /// Returns how long the load was given, if a caller ended the load at the deadline.
    pub(crate) fn ended_after(&self) -> Option<Duration> {
        let task = self.background.as_ref()?;
        task.is_overdue().then_some(task.time)
    }
}
