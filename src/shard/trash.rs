//! What left a shard in one act, to be dropped after the unlock: a value's memory
//! may have an owner whose `Drop` is foreign code.

use std::sync::Arc;

use super::contents::{Contents, Found};
use super::seats::Seats;
use crate::flight::Flight;

#[derive(Debug, Default)]
pub(super) struct Trash {
    pub(super) found: Vec<Found>,
    pub(super) flights: Vec<Arc<Flight>>,
    pub(super) seats: Option<Seats>,
    pub(super) contents: Vec<Contents>,
}
