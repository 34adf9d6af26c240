//! The cost of an entry, in bytes of `max_bytes`.

/// What an entry costs of `max_bytes`, beside its key and its value.
const ENTRY_COST: usize = 104;

/// What a tag costs.
const TAG_COST: usize = 28;

/// What a record of more times than one costs.
const TIMES_COST: usize = 88;

/// What an entry costs of `max_bytes`.
#[inline]
pub(super) fn cost(key: usize, value: usize, tags: usize, timed: bool) -> usize {
    let beside = ENTRY_COST + if timed { TIMES_COST } else { 0 };
    let beside = beside.saturating_add(tags.saturating_mul(TAG_COST));
    key.saturating_add(value).saturating_add(beside)
}
