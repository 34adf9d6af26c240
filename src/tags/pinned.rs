//! Tags that a load or a new entry needs before the entry carries them.

use smallvec::SmallVec;

use crate::index::Index;

/// Tags that are held though they may have no member, until `enroll` or
/// `release`. Each tag once.
#[derive(Debug, Default)]
#[must_use = "tags are pinned until enrolled or released"]
pub(crate) struct PinnedTags {
    pub(super) tags: SmallVec<[Index; 4]>,
    /// There was no number left for one more. What is to carry these must not be stored: a
    /// doom of that tag would miss it.
    pub(crate) is_incomplete: bool,
}

impl PinnedTags {
    pub(crate) fn len(&self) -> usize {
        self.tags.len()
    }
}
