//! An entry, and the id that names it.

use crate::index::Index;
use crate::key::SmallBytes;
use crate::runtime::Moment;

/// Names an entry as long as it is stored; then another may get the name.
pub(crate) type EntryId = Index;

#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Entry<V> {
    pub(crate) key: SmallBytes,
    pub(crate) value: V,
    /// Until then it is fresh. What comes then, its record says; without one it is gone.
    pub(crate) surely_fresh_until: Moment,
}
