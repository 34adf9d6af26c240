//! A load on the way from the caller to the spawner.

use super::leader::Leader;
use super::permit::Permit;
use super::timeouts::Timeouts;
use crate::shard::OldEntry;
use crate::value::Codec;

/// The parts of a load for the spawner.
pub(crate) struct Handover<'a, C: Codec> {
    pub(crate) leader: Leader<'a, C>,
    pub(crate) old: Option<Box<OldEntry>>,
    pub(crate) permit: Permit<'a, C>,
    /// The deadline of the load.
    pub(crate) timeouts: Timeouts,
    /// Whether the entry keeps the time of storing.
    pub(crate) needs_age: bool,
}
