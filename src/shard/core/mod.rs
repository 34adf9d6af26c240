//! What stands under a shard's lock, and every act on it.

mod storing;
mod sweeping;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::backoffs::Backoffs;
use super::contents::Dates;
pub(super) use super::contents::Found;
use super::contents::{Contents, Fate};
use super::seats::{Seat, Seats};
use super::trash::Trash;
use crate::clock::{Moment, Now};
use crate::encoded::Encoded;
use crate::error::CacheError;
use crate::flight::{Flight, Landed};
use crate::freshness::State;
use crate::hash::Hashing;
use crate::journal::{Journal, Marks};
use crate::options::{Rare, TagNames};
use crate::removal::RemovalCause;
use crate::stats::CacheStats;
use crate::store::Id;
use crate::sync::Arc;
use crate::tags::{Doom, Held, Kind};
use crate::text::{Key, Text};
use crate::types::TypeTag;

/// What a shard may keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) entries: usize,
    /// The sum of what the entries cost: see [`cost`](super::contents::cost).
    pub(crate) bytes: usize,
    /// The largest value.
    pub(crate) entry_bytes: usize,
    /// How many entries may leave at once to make room for one, if there are many.
    pub(crate) evicted_at_once: usize,
}

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
    fn needs_time(&self) -> bool {
        let timed = || self.rare.is_some_and(Rare::has_times);
        self.ttl.is_some() || self.dated || timed()
    }
}

/// What a loading call looks for.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// The type that its own load would be of.
    pub(crate) ty: TypeTag,
    /// The tags that its own load would have.
    pub(crate) tags: &'a TagNames,
    /// What it found before and could not decode: as long as that is still what is
    /// stored, it counts as missing.
    pub(crate) undecodable: Option<&'a Encoded>,
}

/// A value that is stored, and how it stands with it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) value: Encoded,
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
            Self::Hit(stored)
            | Self::Missing(Some(stored))
            | Self::Lead(Seated {
                old: Some(stored), ..
            }) => stored.is_fresh(),
            _ => false,
        }
    }
}

/// A load that has its seat.
#[derive(Debug)]
pub(crate) struct Seated {
    pub(crate) flight: Arc<Flight>,
    /// The value that it would take the place of.
    pub(crate) old: Option<Stored>,
    /// The tags of that value, if the load may name some of its own.
    pub(crate) tags: Vec<Text>,
}

/// The end of a load that has a value.
#[derive(Debug)]
pub(crate) struct Landing<'a> {
    pub(crate) flight: &'a Arc<Flight>,
    pub(crate) write: &'a mut Write<'a>,
    /// The tags that the load named by itself.
    pub(crate) own: &'a TagNames,
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

#[derive(Debug)]
pub(super) struct Core {
    limits: Limits,
    contents: Contents,
    seats: Seats,
    backoffs: Backoffs,
    /// What flushes made unreachable; the oldest at the front.
    flushed: VecDeque<Flushed>,
    pub(super) stats: CacheStats,
    /// How many values were stored, or would have been.
    writes: usize,
}

/// What a flush made unreachable and that still takes up room.
#[derive(Debug)]
struct Flushed {
    contents: Box<Contents>,
    /// When it was flushed.
    at: Moment,
    /// No entry with a smaller id is left.
    next: Id,
}

impl Core {
    pub(super) fn new(limits: Limits, hashing: Hashing) -> Self {
        let entries = limits.entries.min(Contents::MOST);
        Self {
            limits: Limits { entries, ..limits },
            contents: Contents::new(hashing),
            seats: Seats::default(),
            backoffs: Backoffs::default(),
            flushed: VecDeque::new(),
            stats: CacheStats::default(),
            writes: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.contents.len()
    }

    pub(super) fn contains(&self, key: Key<'_>, now: &Now<'_>) -> bool {
        self.contents.find_fresh(key, now).is_some()
    }

    #[inline]
    pub(super) fn peek(&self, key: Key<'_>, now: &Now<'_>) -> Option<Encoded> {
        let id = self.contents.find_fresh(key, now)?;
        Some(self.contents.value(id))
    }

    /// Whether what a read without a loader sees is what was read before.
    pub(super) fn is_still(&self, key: Key<'_>, read: Option<&Encoded>, now: &Now<'_>) -> bool {
        match (self.peek(key, now), read) {
            (Some(stored), Some(read)) => read.is_still(&stored),
            (None, None) => true,
            _ => false,
        }
    }

    #[inline]
    pub(super) fn value(&self, id: Id) -> Encoded {
        self.contents.value(id)
    }

    #[inline]
    pub(super) fn bytes(&self, id: Id) -> Bytes {
        self.contents.bytes(id).clone()
    }

    /// Looks a key up, and tells the policy if what is there is fresh.
    #[inline]
    pub(super) fn look_up(&self, key: Key<'_>, now: &Now<'_>) -> Found {
        let found = self.contents.look_up(key, now);
        if let Some(id) = found.fresh() {
            self.contents.touch(id, now);
        }
        found
    }

    /// Takes out what a look-up found gone, if it still is.
    pub(super) fn take_gone(&mut self, key: Key<'_>, now: &Now<'_>, trash: &mut Trash) {
        if let Some(id) = self.contents.find(key) {
            if self.contents.state(id, now) == State::Gone {
                let fate = self.contents.fate(id, now);
                self.take(id, &fate, RemovalCause::Invalidated, trash);
            }
        }
    }

    pub(super) fn remove(&mut self, key: Key<'_>, now: &Now<'_>, trash: &mut Trash) -> bool {
        let id = self.contents.find(key);
        let fate = id.map(|id| self.contents.fate(id, now));
        let live = matches!(fate, Some(Fate::Live));
        self.stats.invalidations += u64::from(live);
        if let (Some(id), Some(fate)) = (id, fate) {
            self.take(id, &fate, RemovalCause::Invalidated, trash);
        }
        self.fence(key);
        self.forgive(key, trash);
        live
    }

    /// Ends the freshness of an entry and fences the load of its key. Whether it was fresh.
    pub(super) fn expire(&mut self, key: Key<'_>, now: &Now<'_>, trash: &mut Trash) -> bool {
        let id = self.contents.find(key);
        let fate = id.map(|id| self.contents.fate(id, now));
        let live = matches!(fate, Some(Fate::Live));
        if let (Some(id), Some(fate)) = (id, fate) {
            let dead = matches!(fate, Fate::Doomed(_));
            if dead || !self.contents.expire(id, now.get()) {
                let fate = if live { Fate::Expired } else { fate };
                self.take(id, &fate, RemovalCause::Invalidated, trash);
            }
        }
        self.fence(key);
        live
    }

    #[inline]
    pub(super) fn put(
        &mut self,
        key: Key<'_>,
        write: &mut Write<'_>,
        tags: &TagNames,
        now: &Now<'_>,
        trash: &mut Trash,
    ) -> usize {
        self.ask_time(write.needs_time(), now);
        self.fence(key);
        let tags = self.hold(tags);
        self.store(key, write, tags, now, trash);
        self.compact(trash);
        self.writes
    }

    /// Looks for a value that a loading call can use, and tells the policy; or for a load
    /// to join.
    #[inline]
    pub(super) fn look_for(&self, key: Key<'_>, request: &Request<'_>, now: &Now<'_>) -> Look {
        let found = self.contents.look_up(key, now);
        if let Found::Fresh(id) = found {
            if let Some(stored) = self.usable(id, State::Fresh, request, now) {
                return Look::Hit(stored);
            }
        }
        self.look_further(key, found, request, now)
    }

    fn look_further(
        &self,
        key: Key<'_>,
        found: Found,
        request: &Request<'_>,
        now: &Now<'_>,
    ) -> Look {
        let old = match found {
            Found::Close(id, state) => self.usable(id, state, request, now),
            Found::Fresh(_) | Found::Nothing => None,
        };
        let state = old.as_ref().map_or(State::Gone, |old| old.dates.state);
        let seat = self.seats.get(key);
        let seat = seat.filter(|seat| !self.contents.tags.any_dead(&seat.tags));
        match (old, seat) {
            (Some(old), _) if state == State::Fresh => Look::Hit(old),
            (Some(old), Some(_)) if state.is_servable() => Look::Hit(old),
            (old, Some(seat)) => Look::Join {
                flight: Arc::clone(&seat.flight),
                old: old.is_some(),
            },
            (old, None) => match (self.backoffs.error(key, || now.get()), old) {
                (Some(_), Some(old)) => Look::Hit(old),
                (Some(error), None) => Look::Failed(error),
                (None, old) => Look::Missing(old),
            },
        }
    }

    /// The value of an entry, if a loading call can use it. What is not fresh and of
    /// another type is as good as nothing.
    #[inline]
    fn usable(&self, id: Id, state: State, request: &Request<'_>, now: &Now<'_>) -> Option<Stored> {
        if state == State::Gone {
            return None;
        }
        let value = self.contents.value(id);
        let is_undecodable = request.undecodable.is_some_and(|it| it.is_still(&value));
        if is_undecodable || !(state.is_fresh() || value.reads_as(request.ty)) {
            return None;
        }
        self.contents.touch(id, now);
        let dates = self.contents.dates(id, state);
        Some(Stored { value, dates })
    }

    /// What there is to be served instead of a load that failed. It counts as no use.
    pub(super) fn old(&self, key: Key<'_>, ty: TypeTag, now: &Now<'_>) -> Option<(Stored, bool)> {
        let id = self.contents.find(key)?;
        let state = self.contents.state(id, now);
        let value = self.contents.value(id);
        if state == State::Gone || !value.reads_as(ty) {
            return None;
        }
        let dates = self.contents.dates(id, state);
        Some((Stored { value, dates }, self.contents.has_window(id)))
    }

    /// Looks again, alone, and takes the seat for a load if that is what is missing.
    ///
    /// Takes nothing out: what is expired stays until the load lands or a write
    /// reclaims it.
    pub(super) fn sit(
        &mut self,
        key: Key<'_>,
        request: &Request<'_>,
        started: Option<u64>,
        now: &Now<'_>,
        trash: &mut Trash,
    ) -> Look {
        match self.look_for(key, request, now) {
            Look::Missing(old) => {
                let servable = |old: &Stored| old.dates.state.is_servable();
                self.stats.refreshes += u64::from(old.as_ref().is_some_and(servable));
                // A failure that is left is over.
                self.forgive(key, trash);
                let id = self.contents.find(key);
                let id = id.filter(|_| old.is_some() && started.is_some());
                Look::Lead(Seated {
                    flight: self.seat(key, request, started),
                    old,
                    tags: id.map_or(Vec::new(), |id| self.contents.tags_of(id)),
                })
            }
            other => other,
        }
    }

    /// Takes the seat for a load, whatever there is, unless that is fresh and of another
    /// type. Gives what there is.
    pub(super) fn sit_anew(
        &mut self,
        key: Key<'_>,
        request: &Request<'_>,
        now: &Now<'_>,
    ) -> Result<(Arc<Flight>, Option<Stored>), TypeTag> {
        let id = self.contents.find(key);
        let old = id.and_then(|id| {
            let state = self.contents.state(id, now);
            self.usable(id, state, request, now)
        });
        if let Some(ty) = old.as_ref().and_then(|old| old.value.ty) {
            if !ty.reads_as(request.ty) {
                return Err(ty);
            }
        }
        self.stats.refreshes += 1;
        Ok((self.seat(key, request, None), old))
    }

    fn seat(&mut self, key: Key<'_>, request: &Request<'_>, started: Option<u64>) -> Arc<Flight> {
        self.fence(key);
        let flight = Arc::new(Flight::new(request.ty, started));
        let tags = self.hold(request.tags);
        self.seats.insert(key, Arc::clone(&flight), tags);
        self.stats.loads += 1;
        flight
    }

    pub(super) fn land(
        &mut self,
        key: Key<'_>,
        landing: Landing<'_>,
        now: &Now<'_>,
        trash: &mut Trash,
    ) -> Stop {
        let Landing {
            flight,
            write,
            own,
            journal,
        } = landing;
        self.ask_time(write.needs_time(), now);
        let seat = self.seats.take_from(key, flight);
        // The seat and the leader have a handle each, and so has everybody who waits;
        // others can only join by the seat.
        let waiting = Arc::strong_count(flight) > 1 + usize::from(seat.is_some());
        let for_waiters = waiting.then(|| write.value.clone());
        let hashes = || own.iter().map(|name| self.contents.hash_of_tag(name));
        let marks = match flight.started {
            Some(start) => journal.marks_since(start, hashes()),
            None => Marks::None,
        };
        let alive = |seat: &Seat| !self.contents.tags.any_dead(&seat.tags);
        let fresh_until = match seat {
            Some(mut seat) if alive(&seat) && matches!(marks, Marks::None) => {
                self.contents.tags.hold_more(&mut seat.tags, own.iter());
                let stored = self.store(key, write, seat.tags, now, trash);
                self.compact(trash);
                stored
            }
            fenced => {
                self.stats.stale_load_discards += 1;
                self.vacate(fenced);
                None
            }
        };
        let fresh_until = fresh_until.unwrap_or(Moment::ZERO);
        Stop {
            writes: self.writes,
            fresh_until,
            for_waiters: for_waiters.map(|value| Landed {
                value,
                fresh_until,
                marks,
            }),
        }
    }

    pub(super) fn give_up(
        &mut self,
        key: Key<'_>,
        flight: &Arc<Flight>,
        failure: &Failure<'_>,
        now: &Now<'_>,
        trash: &mut Trash,
    ) {
        let until = match failure {
            Failure::Error(_, time) if !time.is_zero() => Some(now.get().after(*time)),
            _ => None,
        };
        let seat = self.seats.take_from(key, flight);
        if let Failure::Error(error, _) = failure {
            self.stats.load_failures += 1;
            // What took the seat away knew better, or will.
            if let (Some(until), Some(_)) = (until, &seat) {
                for over in self.backoffs.add(key, until, (*error).clone()) {
                    trash.backoff(over);
                }
            }
        }
        self.vacate(seat);
    }

    pub(super) fn keys(&self, all: bool, now: &Now<'_>) -> Vec<String> {
        let text = |key: &Text| String::from_utf8_lossy(key.as_bytes()).into_owned();
        let mut keys = Vec::new();
        let mut next = Some(0);
        while let Some(id) = next.and_then(|id| self.contents.next_from(id)) {
            let state = self.contents.state(id, now);
            if state.is_fresh() || (all && state != State::Gone) {
                keys.push(text(self.contents.key(id)));
            }
            next = id.checked_add(1);
        }
        if all {
            keys.extend(self.seats.keys().map(text));
            keys.sort_unstable();
            keys.dedup();
        }
        keys
    }

    pub(super) fn doom(&mut self, names: &[Text], doom: &Arc<Doom>) {
        for name in names {
            self.contents.tags.doom(name, doom);
        }
    }

    /// Takes an entry out and counts it as its fate says. `cause` is that of the act.
    #[inline]
    fn take(&mut self, id: Id, fate: &Fate, cause: RemovalCause, trash: &mut Trash) {
        trash.entry(self.contents.remove(id), fate.cause(cause));
        self.count_fate(fate);
    }

    #[inline]
    fn count_fate(&mut self, fate: &Fate) {
        match fate {
            // It leaves by an act of its own, which has its own counter or none.
            Fate::Live => {}
            Fate::Expired => self.stats.expirations += 1,
            Fate::Doomed(doom) => {
                match doom.kind {
                    Kind::Remove => self.stats.invalidations += 1,
                    Kind::Expire => self.stats.expirations += 1,
                }
                doom.count_one();
            }
        }
    }

    #[inline]
    fn hold(&mut self, tags: &TagNames) -> Held {
        if tags.is_empty() {
            return Held::default();
        }
        self.contents.tags.hold(tags.iter())
    }

    /// Fences the load of a key: it will find its seat taken, and not store.
    #[inline]
    fn fence(&mut self, key: Key<'_>) {
        let seat = self.seats.take(key);
        self.vacate(seat);
    }

    /// Lets a key be loaded though a load of it failed.
    #[inline]
    fn forgive(&mut self, key: Key<'_>, trash: &mut Trash) {
        if !self.backoffs.is_empty() {
            trash.backoff(self.backoffs.take(key));
        }
    }

    /// Lets go of what a seat held. Its flight lives on in its leader.
    #[inline]
    fn vacate(&mut self, seat: Option<Seat>) {
        if let Some(seat) = seat {
            self.contents.tags.release(seat.tags);
        }
    }

    /// Asks the time if a write may need it, while nothing is changed yet: a clock
    /// is foreign code and may panic.
    #[inline]
    fn ask_time(&self, needed: bool, now: &Now<'_>) {
        if needed || self.contents.can_expire() {
            now.get();
        }
    }
}

#[cfg(test)]
mod tests;
