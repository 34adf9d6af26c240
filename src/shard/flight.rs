//! A load in progress, and the record on which the waiters wait.
//!
//! A flight belongs to the leader, and ends with the leader. Waiters only wait. If the leader is
//! dropped, no waiter inherits the flight: all waiters look again, and the first starts a new
//! flight. So an unpolled waiter delays nobody.

use async_lock::OnceCell;

use super::invalidation_log::Overlap;
use crate::error::CacheResult;
use crate::runtime::Moment;
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
    /// When a background load ends at the latest, because its runtime may never poll it
    /// again.
    pub(crate) deadline: Option<Moment>,
    /// Set once, when the load ends; waiters sleep on it. `None`: the leader was dropped.
    // guard: no look sees the result, so no call inherits the slot of a dropped leader
    result: OnceCell<Option<FlightResult>>,
}

impl Flight {
    pub(crate) fn new(ty: TypeTag, started_at: Option<u64>, deadline: Option<Moment>) -> Self {
        Self {
            ty,
            started_at,
            deadline,
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
}
