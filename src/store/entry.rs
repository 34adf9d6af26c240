//! An entry, and the id of an entry.

use crate::index::Index;
use crate::key::SmallBytes;
use crate::runtime::Moment;

/// Names an entry while the entry is stored. A removed entry's id is used again.
pub(crate) type EntryId = Index;

/// A stored value with the key. Types and tags are kept elsewhere, by id.
#[derive(Debug)]
// With this alignment an entry is one line of the processor's cache, so a hit waits for
// memory once.
#[repr(align(64))]
pub(crate) struct Entry<V> {
    pub(crate) key: SmallBytes,
    pub(crate) value: V,
    /// Before this time the entry is fresh, without a look at other times. From this time on,
    /// the [`Deadlines`](super::Deadlines) decide; an entry without deadlines is expired.
    pub(crate) surely_fresh_until: Moment,
}
