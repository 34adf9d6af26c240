//! What leaves a shard in one act, to be dropped after the unlock.

use super::contents::Contents;
use super::seats::Seats;
use crate::encoded::Encoded;

#[derive(Debug, Default)]
pub(super) struct Trash {
    /// A value's memory may have an owner whose `Drop` is foreign code.
    pub(super) values: Vec<Encoded>,
    /// Our own, but perhaps large.
    pub(super) contents: Vec<Contents>,
    /// Likewise.
    pub(super) seats: Option<Seats>,
}
