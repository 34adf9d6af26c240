//! How it stands with an entry, and how it leaves.

use crate::removal::RemovalCause;
use crate::runtime::Moment;
use crate::store::{Id, State};
use crate::sync::Arc;
use crate::tags::{Doom, Kind};

/// What a look-up comes upon.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    /// An entry that is fresh, beyond question.
    Fresh(Id),
    /// An entry that was looked at more closely.
    Close(Id, State),
    Nothing,
}

impl Found {
    /// What a read without a loader sees.
    #[inline]
    pub(super) fn fresh(self) -> Option<Id> {
        match self {
            Self::Fresh(id) => Some(id),
            Self::Close(id, state) if state.is_fresh() => Some(id),
            Self::Close(..) | Self::Nothing => None,
        }
    }
}

/// When the value that is served was stored, and how it stood then and stands now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dates {
    /// When it was stored, if that is known.
    pub(crate) stored: Option<Moment>,
    pub(crate) fresh_until: Moment,
    pub(crate) state: State,
}

/// How it stands with an entry.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is fresh.
    Live,
    /// Its time had come, or had when an invalidation came over it.
    Expired,
    /// A doom of one of its tags ended it, or its freshness.
    Doomed(Arc<Doom>),
}

impl Fate {
    /// The cause to tell of. `live` is that of the act, for an entry that is fresh.
    #[inline]
    pub(super) fn cause(&self, live: RemovalCause) -> RemovalCause {
        match self {
            Self::Live => live,
            Self::Expired => RemovalCause::Expired,
            Self::Doomed(doom) => match doom.kind {
                Kind::Remove => RemovalCause::Invalidated,
                Kind::Expire => RemovalCause::Expired,
            },
        }
    }
}
