//! The cost of an entry, for the bound of `max_bytes`. The tags keep the costs of pairs and
//! names: see [`Tags::cost`](crate::tags::Tags::cost).

/// Cost of an entry, without key and value.
const ENTRY_COST: usize = 104;

/// Cost of a record of times, for an entry with more than one time.
const TIMES_COST: usize = 88;

/// Returns the cost of an entry without the tags, in bytes of `max_bytes`.
#[inline]
pub(super) fn cost(key: usize, value: usize, timed: bool) -> usize {
    // Saturating, because a value may be as long as memory: an overflow must not look cheap.
    let overhead = ENTRY_COST + if timed { TIMES_COST } else { 0 };
    key.saturating_add(value).saturating_add(overhead)
}
