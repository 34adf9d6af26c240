//! What is asked of a shard, and what it answers.

use std::time::Duration;

use super::entry_status::Dates;
use super::flight::{Flight, Landed};
use super::invalidation_log::Journal;
use crate::error::CacheError;
use crate::key::Text;
use crate::options::{Rare, TagNames};
use crate::runtime::Moment;
use crate::sync::Arc;
use crate::value::{Encoded, Read, TypeTag};

/// A value to store.
#[derive(Debug)]
pub(crate) struct Write<'a> {
    pub(crate) value: Encoded,
    pub(crate) ttl: Option<Duration>,
    pub(crate) rare: Option<&'a Rare>,
    /// Whether its age will be asked for.
    pub(crate) dated: bool,
}

impl Write<'_> {
    /// Whether storing it takes the time.
    #[inline]
    pub(super) fn needs_time(&self) -> bool {
        let timed = || self.rare.is_some_and(Rare::has_times);
        self.ttl.is_some() || self.dated || timed()
    }
}

/// What one sees who only looks.
#[derive(Debug)]
pub(crate) enum Seen<T> {
    Fresh(T),
    /// To be taken out.
    Gone,
    Nothing,
}

/// What a loading call looks for.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// The type that its own load would be of.
    pub(crate) ty: TypeTag,
    /// What it found before and could not decode: as long as that is still what is
    /// stored, it counts as missing.
    pub(crate) undecodable: Option<&'a Read>,
    /// The journal's sequence, if its load may name tags of its own.
    pub(crate) started: Option<u64>,
    /// When its load is over, if nobody drives it.
    pub(crate) until: Option<Moment>,
}

impl Request<'_> {
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
pub(crate) struct Stored {
    pub(crate) value: Read,
    pub(crate) dates: Dates,
}

impl Stored {
    pub(crate) fn is_fresh(&self) -> bool {
        self.dates.state.is_fresh()
    }
}

/// What a loading call comes upon.
#[derive(Debug)]
pub(crate) enum Look {
    /// A value to be served at once: a fresh one; or an old one, since another call loads
    /// or a load failed just now.
    Hit(Stored),
    /// Another call's load. There may be an old value to be served if it fails.
    Join { flight: Arc<Flight>, old: bool },
    /// No load may begin: the last one failed, just now.
    Failed(CacheError),
    /// A load has to begin. There may be a value that it would take the place of.
    Missing(Option<Stored>),
    /// The same, and this call has the seat for it.
    Lead(Seated),
}

impl Look {
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
pub(crate) struct Seated {
    pub(crate) flight: Arc<Flight>,
    /// The value that it would take the place of. Few loads have one, so that it is kept
    /// apart.
    pub(crate) old: Option<Box<Replaced>>,
}

/// A value that a load would take the place of.
#[derive(Clone, Debug)]
pub(crate) struct Replaced {
    pub(crate) stored: Stored,
    /// Its tags, if the load may name some of its own.
    pub(crate) tags: Vec<Text>,
}

/// The end of a load that has a value.
#[derive(Debug)]
pub(crate) struct Landing<'a> {
    pub(crate) flight: &'a Arc<Flight>,
    pub(crate) write: &'a mut Write<'a>,
    /// The tags that the load named by itself.
    pub(crate) own: &'a TagNames,
    /// Whether it says that the old value is unchanged.
    pub(crate) unchanged: bool,
    pub(crate) journal: &'a Journal,
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
pub(crate) struct Stop {
    /// How many writes the shard has had.
    pub(crate) writes: usize,
    /// The origin of time if it was not stored.
    pub(crate) fresh_until: Moment,
    /// For those who waited, if anybody did.
    pub(crate) for_waiters: Option<Landed>,
}
