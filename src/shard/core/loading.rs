//! Looking for a value or a load, sitting down to load, landing.

use super::Core;
use crate::key::{Key, Text};
use crate::options::TagNames;
use crate::runtime::{Moment, Now};
use crate::shard::entry_status::Found;
use crate::shard::flight::{Flight, Landed};
use crate::shard::in_flight::Seat;
use crate::shard::invalidation_log::Marks;
use crate::shard::requests::{Failure, Landing, Look, Replaced, Request, Seated, Stop, Stored};
use crate::shard::trash::Trash;
use crate::stats::count;
use crate::store::{Id, State};
use crate::sync::Arc;
use crate::value::TypeTag;

impl Core {
    /// Looks for a value that a loading call can use, and tells the policy; or for a load
    /// to join.
    #[inline]
    pub(in crate::shard) fn look_for(
        &self,
        key: Key<'_>,
        request: &Request<'_>,
        now: &Now<'_>,
    ) -> Look {
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
        let seat = seat.filter(|seat| {
            let until = seat.flight.until;
            let is_over = until.is_some_and(|until| until.has_come(now.get()));
            !is_over && !self.contents.tags.any_dead(&seat.tags)
        });
        match (old, seat) {
            (Some(old), _) if state == State::Fresh => Look::Hit(old),
            // Of another type: whoever reads it learns that.
            (Some(old), _) if !old.value.reads_as(request.ty) => Look::Hit(old),
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
    pub(in crate::shard) fn old(
        &self,
        key: Key<'_>,
        ty: TypeTag,
        now: &Now<'_>,
    ) -> Option<(Stored, bool)> {
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
    /// reclaims it, and a failure, which is over, until one lands or others take its place.
    /// Should dropping one panic, there would be a seat without a leader.
    pub(in crate::shard) fn sit(
        &mut self,
        key: Key<'_>,
        request: &Request<'_>,
        tags: &TagNames,
        now: &Now<'_>,
    ) -> Look {
        match self.look_for(key, request, now) {
            Look::Missing(old) => {
                let servable = |old: &Stored| old.dates.state.is_servable();
                let refreshes = old.as_ref().is_some_and(servable);
                count(&mut self.stats.refreshes, refreshes.into());
                // Over for good, wherever the clock goes.
                self.backoffs.end(key);
                let id = self.contents.find(key);
                let id = id.filter(|_| old.is_some() && request.started.is_some());
                let old_tags = id.map_or(Vec::new(), |id| self.contents.tags_of(id));
                let until = request.until.filter(|_| old.is_some());
                let flight = self.seat(key, request, tags, until, &old_tags);
                let old = old.map(|stored| {
                    let tags = old_tags;
                    Box::new(Replaced { stored, tags })
                });
                Look::Lead(Seated { flight, old })
            }
            other => other,
        }
    }

    /// Takes the seat for a load, whatever there is, unless that is fresh and of another
    /// type. Gives what there is.
    pub(in crate::shard) fn sit_anew(
        &mut self,
        key: Key<'_>,
        request: &Request<'_>,
        tags: &TagNames,
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
        count(&mut self.stats.refreshes, 1);
        Ok((self.seat(key, request, tags, None, &[]), old))
    }

    fn seat(
        &mut self,
        key: Key<'_>,
        request: &Request<'_>,
        tags: &TagNames,
        until: Option<Moment>,
        old_tags: &[Text],
    ) -> Arc<Flight> {
        self.fence(key);
        let flight = Arc::new(Flight::new(request.ty, request.started, until));
        let tags = self.hold(tags);
        let old_tags = self.contents.tags.hold(old_tags.iter());
        self.seats.insert(key, Arc::clone(&flight), tags, old_tags);
        count(&mut self.stats.loads, 1);
        flight
    }

    pub(in crate::shard) fn land(
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
            unchanged,
            journal,
        } = landing;
        self.ask_time(write.needs_time(), now);
        let seat = self.seats.take_from(key, flight);
        // The seat and the leader have a handle each, and so has everybody who waits;
        // others can only join by the seat.
        let waiting = Arc::strong_count(flight) > 1 + usize::from(seat.is_some());
        let for_waiters = waiting.then(|| write.value.read());
        let hashes = || own.iter().map(|name| self.contents.hash_of_tag(name));
        let marks = match flight.started {
            Some(start) => journal.marks_since(start, hashes()),
            None => Marks::None,
        };
        let tags = &self.contents.tags;
        // An invalidation that was written down before this load began may have come to
        // this shard after it: then what is unchanged is not what may be served.
        let old_is_dead = |seat: &Seat| seat.old_is_dead || tags.any_dead(&seat.old_tags);
        // What has more tags than can be numbered is refused where it is stored.
        let alive = |seat: &Seat| {
            let revives = unchanged && old_is_dead(seat);
            !revives && (seat.tags.is_short || !tags.any_dead(&seat.tags))
        };
        let fresh_until = match seat {
            Some(mut seat) if alive(&seat) && matches!(marks, Marks::None) => {
                self.contents.tags.hold_more(&mut seat.tags, own.iter());
                self.contents.tags.release(seat.old_tags);
                let stored = self.store(key, write, seat.tags, now, trash);
                self.compact(trash);
                stored
            }
            fenced => {
                count(&mut self.stats.stale_load_discards, 1);
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

    pub(in crate::shard) fn give_up(
        &mut self,
        key: Key<'_>,
        flight: &Arc<Flight>,
        failure: &Failure<'_>,
        now: &Now<'_>,
        trash: &mut Trash,
    ) {
        let time = match failure {
            Failure::Error(_, time) if !time.is_zero() => Some((now.get(), now.get().after(*time))),
            _ => None,
        };
        let seat = self.seats.take_from(key, flight);
        if let Failure::Error(error, _) = failure {
            count(&mut self.stats.load_failures, 1);
            // What fenced the load, by its seat or by a tag, lets others load at once.
            let tags = &self.contents.tags;
            let unfenced = seat.as_ref().filter(|seat| !tags.any_dead(&seat.tags));
            if let (Some(time), Some(_)) = (time, unfenced) {
                for over in self.backoffs.add(key, time, (*error).clone()) {
                    trash.backoff(over);
                }
            }
        }
        self.vacate(seat);
    }
}
