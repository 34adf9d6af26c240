//! The cost of an entry, for the bound of `max_bytes`.

/// Cost of an entry, without key and value.
const ENTRY_COST: usize = 104;

/// Cost of a tag of an entry.
const TAG_COST: usize = 28;

/// Cost of a record of times, for an entry with more than one time.
const TIMES_COST: usize = 88;

/// Returns the cost of an entry, in bytes of `max_bytes`.
#[inline]
pub(super) fn cost(key: usize, value: usize, tags: usize, timed: bool) -> usize {
    // Saturating, because a value may be as long as memory: an overflow must not look cheap.
    let overhead = ENTRY_COST + if timed { TIMES_COST } else { 0 };
    let overhead = overhead.saturating_add(tags.saturating_mul(TAG_COST));
    key.saturating_add(value).saturating_add(overhead)
}
