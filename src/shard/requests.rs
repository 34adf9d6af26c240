//! What is asked of a shard, and what it answers.

use std::time::Duration;

use super::entry_status::EntryTimes;
use super::flight::{Flight, FlightValue};
use super::invalidation_log::InvalidationLog;
use crate::error::CacheError;
use crate::key::SmallBytes;
use crate::options::{ExtraOptions, TagNames};
use crate::runtime::Moment;
use crate::sync::Arc;
use crate::value::{NewValue, TypeTag, TypedValue};

/// A value to store.
#[derive(Debug)]
pub(crate) struct NewEntry<'a> {
    pub(crate) value: NewValue,
    pub(crate) ttl: Option<Duration>,
    pub(crate) extra: Option<&'a ExtraOptions>,
    /// Whether its age will be asked for.
    pub(crate) needs_age: bool,
}

impl NewEntry<'_> {
    /// Whether storing it takes the time.
    #[inline]
    pub(super) fn needs_time(&self) -> bool {
        let timed = || self.extra.is_some_and(ExtraOptions::needs_deadlines);
        self.ttl.is_some() || self.needs_age || timed()
    }
}

/// What one sees who only looks.
#[derive(Debug)]
pub(crate) enum Peeked<T> {
    Fresh(T),
    /// To be taken out.
    Expired,
    Missing,
}

/// What a loading call looks for.
#[derive(Debug)]
pub(crate) struct LoadRequest<'a> {
    /// The type that its own load would be of.
    pub(crate) ty: TypeTag,
    /// What it found before and could not decode: as long as that is still what is
    /// stored, it counts as missing.
    pub(crate) undecodable: Option<&'a TypedValue>,
    /// The journal's sequence, if its load may name tags of its own.
    pub(crate) started: Option<u64>,
    /// When its load is over, if nobody drives it.
    pub(crate) until: Option<Moment>,
}

impl LoadRequest<'_> {
    pub(crate) fn new(ty: TypeTag) -> Self {
        Self {
            ty,
            undecodable: None,
            started: None,
            until: None,
        }
    }
}

/// A value that is stored, and how it stands with it.
#[derive(Clone, Debug)]
pub(crate) struct FoundEntry {
    pub(crate) value: TypedValue,
    pub(crate) times: EntryTimes,
}

impl FoundEntry {
    pub(crate) fn is_fresh(&self) -> bool {
        self.times.state.is_fresh()
    }
}

/// What a loading call comes upon.
#[derive(Debug)]
pub(crate) enum LoadLookup {
    /// A value to be served at once: a fresh one; or an old one, since another call loads
    /// or a load failed just now.
    Hit(FoundEntry),
    /// Another call's load. There may be an old value to be served if it fails.
    Join { flight: Arc<Flight>, old: bool },
    /// No load may begin: the last one failed, just now.
    Failed(CacheError),
    /// A load has to begin. There may be a value that it would take the place of.
    Missing(Option<FoundEntry>),
    /// The same, and this call has the seat for it.
    Lead(Claimed),
}

impl LoadLookup {
    /// Whether what was found first is fresh.
    pub(crate) fn is_hit(&self) -> bool {
        match self {
            Self::Hit(stored) | Self::Missing(Some(stored)) => stored.is_fresh(),
            _ => false,
        }
    }
}

/// A load that has its seat.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) flight: Arc<Flight>,
    /// The value that it would take the place of. Few loads have one, so that it is kept
    /// apart.
    pub(crate) old: Option<Box<OldEntry>>,
}

/// A value that a load would take the place of.
#[derive(Clone, Debug)]
pub(crate) struct OldEntry {
    pub(crate) stored: FoundEntry,
    /// Its tags, if the load may name some of its own.
    pub(crate) tags: Vec<SmallBytes>,
}

/// The end of a load that has a value.
#[derive(Debug)]
pub(crate) struct Completion<'a> {
    pub(crate) flight: &'a Arc<Flight>,
    pub(crate) write: &'a mut NewEntry<'a>,
    /// The tags that the load named by itself.
    pub(crate) own: &'a TagNames,
    /// Whether it says that the old value is unchanged.
    pub(crate) unchanged: bool,
    pub(crate) log: &'a InvalidationLog,
}

/// How a load without a value ended.
#[derive(Debug)]
pub(crate) enum Failure<'a> {
    /// It does not count as one: its caller was dropped, or its value cannot be encoded.
    None,
    /// No load of the key is to begin for so long.
    Error(&'a CacheError, Duration),
}

/// What became of a value that was loaded.
#[derive(Debug)]
pub(crate) struct Completed {
    /// How many writes the shard has had.
    pub(crate) writes: usize,
    /// The origin of time if it was not stored.
    pub(crate) fresh_until: Moment,
    /// For those who waited, if anybody did.
    pub(crate) for_waiters: Option<FlightValue>,
}
