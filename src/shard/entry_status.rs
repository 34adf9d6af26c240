//! The state of an entry at a look-up, and at a removal.

use crate::removal::RemovalCause;
use crate::runtime::Moment;
use crate::store::{EntryId, State};
use crate::sync::Arc;
use crate::tags::{Effect, TagInvalidation};

/// The result of a look-up.
#[derive(Clone, Copy, Debug)]
pub(super) enum Probe {
    /// A fresh entry. A look at one time was enough.
    Fresh(EntryId),
    /// An entry with the state from all times and tags.
    Checked(EntryId, State),
    /// No entry.
    Missing,
}

impl Probe {
    /// Returns the entry if a read without a loader sees the entry.
    #[inline]
    pub(super) fn fresh(self) -> Option<EntryId> {
        match self {
            Self::Fresh(id) => Some(id),
            // A due entry is fresh, too: `Probe::Fresh` only means that no closer look was
            // needed.
            Self::Checked(id, state) if state.is_fresh() => Some(id),
            Self::Checked(..) | Self::Missing => None,
        }
    }
}

/// The times of a served value, and the state at the look-up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryTimes {
    /// The time of storing, or `None` if the entry has no record of times.
    pub(crate) stored: Option<Moment>,
    /// The end of the time to live. `ZERO` if the value is not fresh.
    pub(crate) fresh_until: Moment,
    /// The state at the look-up.
    pub(crate) state: State,
}

/// Why an entry leaves, beside the operation that removes the entry.
#[derive(Debug)]
pub(super) enum Liveness {
    /// The entry is fresh. The operation alone is the reason.
    Live,
    /// The time to live had passed, now or at the time of the first invalidation.
    Expired,
    /// An invalidation of a tag ended the entry, or the freshness.
    Invalidated(Arc<TagInvalidation>),
}

impl Liveness {
    /// Returns the cause for the listener. `live` is the cause for a fresh entry.
    #[inline]
    pub(super) fn cause(&self, live: RemovalCause) -> RemovalCause {
        match self {
            Self::Live => live,
            Self::Expired => RemovalCause::Expired,
            // The first invalidation counts, also if a sweep or a put comes much later.
            Self::Invalidated(invalidation) => match invalidation.effect {
                Effect::Remove => RemovalCause::Invalidated,
                // The entry was expired by a call, and then removed without a window, or after
                // the window.
                Effect::Expire => RemovalCause::Expired,
            },
        }
    }
}
