//! How it stands with an entry, and how it leaves.

use crate::removal::RemovalCause;
use crate::runtime::Moment;
use crate::store::{EntryId, State};
use crate::sync::Arc;
use crate::tags::{Effect, TagInvalidation};

/// What a look-up comes upon.
#[derive(Clone, Copy, Debug)]
pub(super) enum Probe {
    /// An entry that is fresh, beyond question.
    Fresh(EntryId),
    /// An entry that was looked at more closely.
    Checked(EntryId, State),
    Missing,
}

impl Probe {
    /// What a read without a loader sees.
    #[inline]
    pub(super) fn fresh(self) -> Option<EntryId> {
        match self {
            Self::Fresh(id) => Some(id),
            Self::Checked(id, state) if state.is_fresh() => Some(id),
            Self::Checked(..) | Self::Missing => None,
        }
    }
}

/// When the value that is served was stored, and how it stood then and stands now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryTimes {
    /// When it was stored, if that is known.
    pub(crate) stored: Option<Moment>,
    pub(crate) fresh_until: Moment,
    pub(crate) state: State,
}

/// How it stands with an entry.
#[derive(Debug)]
pub(super) enum Liveness {
    /// It is fresh.
    Live,
    /// Its time had come, or had when an invalidation came over it.
    Expired,
    /// A doom of one of its tags ended it, or its freshness.
    Invalidated(Arc<TagInvalidation>),
}

impl Liveness {
    /// The cause to tell of. `live` is that of the act, for an entry that is fresh.
    #[inline]
    pub(super) fn cause(&self, live: RemovalCause) -> RemovalCause {
        match self {
            Self::Live => live,
            Self::Expired => RemovalCause::Expired,
            Self::Invalidated(invalidation) => match invalidation.effect {
                Effect::Remove => RemovalCause::Invalidated,
                Effect::Expire => RemovalCause::Expired,
            },
        }
    }
}
