//! One load in progress, and who waits for it.
//!
//! A flight belongs to one caller, its leader, and ends with it. The others only
//! wait. When the leader is dropped nobody inherits the flight: those who waited
//! look again, and one of them starts a flight of its own. So a waiter that is
//! never polled again holds nobody up.

use async_lock::OnceCell;

use super::invalidation_log::Overlap;
use crate::error::CacheResult;
use crate::runtime::Moment;
use crate::value::{TypeTag, TypedValue};

/// What a load gave: the value, or the error that all share.
pub(crate) type FlightResult = CacheResult<FlightValue>;

/// What those who waited for a load get.
#[derive(Debug)]
pub(crate) struct FlightValue {
    pub(crate) value: TypedValue,
    /// The origin of time if it was not stored.
    pub(crate) fresh_until: Moment,
    /// Which of the tags that it named were invalidated meanwhile.
    pub(crate) overlap: Overlap,
}

#[derive(Debug)]
pub(crate) struct Flight {
    /// The type being loaded, so that a caller of another type need not wait to
    /// learn that it is the wrong one.
    pub(crate) ty: TypeTag,
    /// The journal's sequence when it began, if it may name tags of its own.
    pub(crate) started: Option<u64>,
    /// When it is over, if nobody drives it: whoever runs it in the background may never
    /// poll it again.
    pub(crate) until: Option<Moment>,
    /// How it ended. `None` is the end of a leader that was dropped.
    end: OnceCell<Option<FlightResult>>,
}

impl Flight {
    pub(crate) fn new(ty: TypeTag, started: Option<u64>, until: Option<Moment>) -> Self {
        Self {
            ty,
            started,
            until,
            end: OnceCell::new(),
        }
    }

    /// Says how the flight ended, and wakes all who wait. Its leader says it once.
    ///
    /// Wakers are foreign code: no lock of the cache may be held.
    pub(crate) fn finish(&self, outcome: Option<FlightResult>) {
        let ended = self.end.try_set(outcome);
        debug_assert!(ended.is_ok(), "a flight ended twice");
    }

    /// Waits for the end. `None` means: look again.
    pub(crate) fn wait(&self) -> impl Future<Output = &Option<FlightResult>> {
        self.end.wait()
    }
}
