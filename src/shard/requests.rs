//! The arguments and the results of a shard's critical sections.

use std::time::Duration;

use super::background_task::BackgroundTask;
use super::entry_status::EntryTimes;
use super::flight::{Flight, FlightValue};
use super::invalidation_log::InvalidationLog;
use crate::error::CacheError;
use crate::key::SmallBytes;
use crate::options::ExtraOptions;
use crate::runtime::Moment;
use crate::sync::Arc;
use crate::tags::HashedTag;
use crate::value::{NewValue, TypeTag, TypedValue};

/// An entry to store.
#[derive(Debug)]
pub(crate) struct NewEntry<'a> {
    pub(crate) value: NewValue,
    pub(crate) ttl: Option<Duration>,
    pub(crate) extra: Option<&'a ExtraOptions>,
    /// Whether the entry keeps the time at which it was stored.
    pub(crate) needs_age: bool,
    /// How the value is stored.
    pub(crate) mode: StoreMode,
}

/// How a value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreMode {
    /// With the given times and tags.
    Replace,
    /// As `Replace`; the entry also keeps its tags, and the times that are not given.
    Update,
    /// Not stored: the old value is removed.
    Discard,
}

impl NewEntry<'_> {
    /// Returns `true` if storing the entry asks the clock, `false` if the entry has no times.
    #[inline]
    pub(super) fn needs_time(&self) -> bool {
        let has_deadlines = || self.extra.is_some_and(ExtraOptions::needs_deadlines);
        self.ttl.is_some() || self.needs_age || has_deadlines()
    }
}

/// The result of a put.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    /// How many writes the shard has had.
    pub(crate) writes: usize,
    /// `true` if the value was stored, `false` if it was refused.
    pub(crate) is_stored: bool,
}

/// The result of a look-up that changes nothing.
#[derive(Debug)]
pub(crate) enum Peeked<T> {
    Fresh(T),
    /// The entry is expired or invalidated: a write may remove it.
    Expired,
    Missing,
}

/// Why a loading call found no value at its first look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHit {
    /// There is neither a value to serve, nor a load to join, nor a back-off: a load must
    /// start, and the next look is that of a writer.
    MustLoad,
    /// A closer look is needed, among readers.
    Unsure,
}

/// The request of a loading call.
#[derive(Debug)]
pub(crate) struct LoadRequest<'a> {
    /// The type that the call's own load would have.
    pub(crate) ty: TypeTag,
    /// A stored value that the call could not decode. While the entry still holds that very
    /// value, the entry counts as missing.
    pub(crate) undecodable: Option<&'a TypedValue>,
    /// The sequence of the invalidation log, if the loader may choose tags.
    pub(crate) started_at: Option<u64>,
    /// The place for the future of a background load.
    pub(crate) background: Option<Arc<BackgroundTask>>,
    pub(crate) log: &'a InvalidationLog,
}

impl<'a> LoadRequest<'a> {
    pub(crate) fn new(ty: TypeTag, log: &'a InvalidationLog) -> Self {
        Self {
            ty,
            undecodable: None,
            started_at: None,
            background: None,
            log,
        }
    }
}

/// The value of an entry, with its times and its state.
#[derive(Clone, Debug)]
pub(crate) struct FoundEntry {
    pub(crate) value: TypedValue,
    pub(crate) times: EntryTimes,
}

impl FoundEntry {
    /// Returns `true` if every read sees the value, `false` if the value is stale.
    pub(crate) fn is_fresh(&self) -> bool {
        self.times.state.is_fresh()
    }
}

/// The result of a look of a loading call.
#[derive(Debug)]
pub(crate) enum LoadLookup {
    /// A value to serve at once: fresh; or stale, while another call loads or after a load
    /// that has just failed.
    Hit(FoundEntry),
    /// Another call's load. `has_old`: there is a stale value, to be served if the load
    /// fails.
    Join { flight: Arc<Flight>, has_old: bool },
    /// A background load whose deadline has passed. The caller ends the load, and looks again.
    Overdue(Arc<Flight>),
    /// The error of the last load, whose back-off is not over.
    BackedOff(CacheError),
    /// Nothing: a load must start. It may replace this value.
    Missing(Option<FoundEntry>),
    /// The same, and this call has claimed the slot.
    Lead(Claimed),
}

impl LoadLookup {
    /// Returns `true` if the first thing found was a fresh value, `false` otherwise.
    pub(crate) fn is_hit(&self) -> bool {
        match self {
            Self::Hit(found) | Self::Missing(Some(found)) => found.is_fresh(),
            _ => false,
        }
    }
}

/// A load that has claimed the slot of its key.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) flight: Arc<Flight>,
    /// The value that the load may replace. Boxed, because few loads have one.
    pub(crate) old: Option<Box<OldEntry>>,
}

/// A value that a load may replace.
#[derive(Clone, Debug)]
pub(crate) struct OldEntry {
    pub(crate) found: FoundEntry,
    /// The entry's tags, if the loader may return the old value as unchanged.
    pub(crate) tags: Vec<SmallBytes>,
}

/// The end of a load that has a value.
#[derive(Debug)]
pub(crate) struct Completion<'a> {
    pub(crate) flight: &'a Arc<Flight>,
    pub(crate) entry: &'a mut NewEntry<'a>,
    /// The tags that the loader chose.
    pub(crate) own_tags: &'a [HashedTag],
    /// Whether the loader returned the old value as unchanged.
    pub(crate) is_unchanged: bool,
    pub(crate) log: &'a InvalidationLog,
}

/// How a load without a value ended.
#[derive(Debug)]
pub(crate) enum Failure<'a> {
    /// Not counted as a failure: the caller was dropped, or the value cannot be encoded.
    None,
    /// A failure, and the length of its back-off.
    Error(&'a CacheError, Duration),
    /// The same for a background load that another thread still polls: the leader counts the
    /// failure.
    Overdue(&'a CacheError, Duration),
}

/// The outcome of a completed load.
#[derive(Debug)]
pub(crate) struct Completed {
    /// How many writes the shard has had.
    pub(crate) writes: usize,
    /// The origin of time if the value was not stored.
    pub(crate) fresh_until: Moment,
    /// The value for the waiters, if there are any.
    pub(crate) for_waiters: Option<FlightValue>,
}
