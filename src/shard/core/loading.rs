//! Looking for a value or a load, sitting down to load, landing.

use super::Core;
use crate::key::{Key, SmallBytes};
use crate::options::TagNames;
use crate::runtime::{Moment, Now};
use crate::shard::entry_status::Probe;
use crate::shard::flight::{Flight, FlightValue};
use crate::shard::in_flight::Slot;
use crate::shard::invalidation_log::Overlap;
use crate::shard::requests::{
    Claimed, Completed, Completion, Failure, FoundEntry, LoadLookup, LoadRequest, OldEntry,
};
use crate::shard::trash::Trash;
use crate::stats::count;
use crate::store::{EntryId, State};
use crate::sync::Arc;
use crate::value::TypeTag;

impl Core {
    /// Looks for a value that a loading call can use, and tells the policy; or for a load
    /// to join.
    #[inline]
    pub(in crate::shard) fn probe_load(
        &self,
        key: Key<'_>,
        request: &LoadRequest<'_>,
        now: &Now<'_>,
    ) -> LoadLookup {
        let found = self.contents.probe(key, now);
        if let Probe::Fresh(id) = found {
            if let Some(stored) = self.usable(id, State::Fresh, request, now) {
                return LoadLookup::Hit(stored);
            }
        }
        self.probe_slot(key, found, request, now)
    }

    fn probe_slot(
        &self,
        key: Key<'_>,
        found: Probe,
        request: &LoadRequest<'_>,
        now: &Now<'_>,
    ) -> LoadLookup {
        let old = match found {
            Probe::Checked(id, state) => self.usable(id, state, request, now),
            Probe::Fresh(_) | Probe::Missing => None,
        };
        let state = old.as_ref().map_or(State::Expired, |old| old.times.state);
        let slot = self.in_flight.get(key);
        let slot = slot.filter(|slot| {
            let until = slot.flight.until;
            let is_over = until.is_some_and(|until| until.has_passed(now.get()));
            !is_over && !self.contents.tags.any_dead(&slot.tags)
        });
        match (old, slot) {
            (Some(old), _) if state == State::Fresh => LoadLookup::Hit(old),
            // Of another type: whoever reads it learns that.
            (Some(old), _) if !old.value.reads_as(request.ty) => LoadLookup::Hit(old),
            (Some(old), Some(_)) if state.is_servable() => LoadLookup::Hit(old),
            (old, Some(slot)) => LoadLookup::Join {
                flight: Arc::clone(&slot.flight),
                old: old.is_some(),
            },
            (old, None) => match (self.backoffs.error(key, || now.get()), old) {
                (Some(_), Some(old)) => LoadLookup::Hit(old),
                (Some(error), None) => LoadLookup::Failed(error),
                (None, old) => LoadLookup::Missing(old),
            },
        }
    }

    /// The value of an entry, if a loading call can use it. What is not fresh and of
    /// another type is as good as nothing.
    #[inline]
    fn usable(
        &self,
        id: EntryId,
        state: State,
        request: &LoadRequest<'_>,
        now: &Now<'_>,
    ) -> Option<FoundEntry> {
        if state == State::Expired {
            return None;
        }
        let value = self.contents.value(id);
        let is_undecodable = request.undecodable.is_some_and(|it| it.is_same_as(&value));
        if is_undecodable || !(state.is_fresh() || value.reads_as(request.ty)) {
            return None;
        }
        self.contents.record_read(id, now);
        let times = self.contents.times(id, state);
        Some(FoundEntry { value, times })
    }

    /// What there is to be served instead of a load that failed. It counts as no use.
    pub(in crate::shard) fn stale_value(
        &self,
        key: Key<'_>,
        ty: TypeTag,
        now: &Now<'_>,
    ) -> Option<(FoundEntry, bool)> {
        let id = self.contents.find(key)?;
        let state = self.contents.state(id, now);
        let value = self.contents.value(id);
        if state == State::Expired || !value.reads_as(ty) {
            return None;
        }
        let times = self.contents.times(id, state);
        Some((FoundEntry { value, times }, self.contents.has_window(id)))
    }

    /// Looks again, alone, and takes the seat for a load if that is what is missing.
    ///
    /// Takes nothing out: what is expired stays until the load lands or a write
    /// reclaims it, and a failure, which is over, until one lands or others take its place.
    /// Should dropping one panic, there would be a seat without a leader.
    pub(in crate::shard) fn claim(
        &mut self,
        key: Key<'_>,
        request: &LoadRequest<'_>,
        tags: &TagNames,
        now: &Now<'_>,
    ) -> LoadLookup {
        match self.probe_load(key, request, now) {
            LoadLookup::Missing(old) => {
                let servable = |old: &FoundEntry| old.times.state.is_servable();
                let refreshes = old.as_ref().is_some_and(servable);
                count(&mut self.stats.refreshes, refreshes.into());
                // Over for good, wherever the clock goes.
                self.backoffs.end_now(key);
                let id = self.contents.find(key);
                let id = id.filter(|_| old.is_some() && request.started.is_some());
                let old_tags = id.map_or(Vec::new(), |id| self.contents.tag_names(id));
                let until = request.until.filter(|_| old.is_some());
                let flight = self.start_flight(key, request, tags, until, &old_tags);
                let old = old.map(|stored| {
                    let tags = old_tags;
                    Box::new(OldEntry { stored, tags })
                });
                LoadLookup::Lead(Claimed { flight, old })
            }
            other => other,
        }
    }

    /// Takes the seat for a load, whatever there is, unless that is fresh and of another
    /// type. Gives what there is.
    pub(in crate::shard) fn claim_refresh(
        &mut self,
        key: Key<'_>,
        request: &LoadRequest<'_>,
        tags: &TagNames,
        now: &Now<'_>,
    ) -> Result<(Arc<Flight>, Option<FoundEntry>), TypeTag> {
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
        Ok((self.start_flight(key, request, tags, None, &[]), old))
    }

    fn start_flight(
        &mut self,
        key: Key<'_>,
        request: &LoadRequest<'_>,
        tags: &TagNames,
        until: Option<Moment>,
        old_tags: &[SmallBytes],
    ) -> Arc<Flight> {
        self.fence(key);
        let flight = Arc::new(Flight::new(request.ty, request.started, until));
        let tags = self.pin(tags);
        let old_tags = self.contents.tags.pin(old_tags.iter());
        self.in_flight
            .insert(key, Arc::clone(&flight), tags, old_tags);
        count(&mut self.stats.loads, 1);
        flight
    }

    pub(in crate::shard) fn complete(
        &mut self,
        key: Key<'_>,
        landing: Completion<'_>,
        now: &Now<'_>,
        trash: &mut Trash,
    ) -> Completed {
        let Completion {
            flight,
            write,
            own,
            unchanged,
            log,
        } = landing;
        self.ask_time(write.needs_time(), now);
        let slot = self.in_flight.take_own(key, flight);
        // The seat and the leader have a handle each, and so has everybody who waits;
        // others can only join by the seat.
        let waiting = Arc::strong_count(flight) > 1 + usize::from(slot.is_some());
        let for_waiters = waiting.then(|| write.value.to_typed());
        let hashes = || own.iter().map(|name| self.contents.hash_of_tag(name));
        let overlap = match flight.started {
            Some(start) => log.overlap_since(start, hashes()),
            None => Overlap::None,
        };
        let tags = &self.contents.tags;
        // An invalidation that was written down before this load began may have come to
        // this shard after it: then what is unchanged is not what may be served.
        let old_is_dead = |slot: &Slot| slot.old_is_dead || tags.any_dead(&slot.old_tags);
        // What has more tags than can be numbered is refused where it is stored.
        let alive = |slot: &Slot| {
            let revives = unchanged && old_is_dead(slot);
            !revives && (slot.tags.is_incomplete || !tags.any_dead(&slot.tags))
        };
        let fresh_until = match slot {
            Some(mut slot) if alive(&slot) && matches!(overlap, Overlap::None) => {
                self.contents.tags.pin_more(&mut slot.tags, own.iter());
                self.contents.tags.unpin(slot.old_tags);
                let stored = self.store(key, write, slot.tags, now, trash);
                self.compact(trash);
                stored
            }
            fenced => {
                count(&mut self.stats.stale_load_discards, 1);
                self.release_slot(fenced);
                None
            }
        };
        let fresh_until = fresh_until.unwrap_or(Moment::ZERO);
        Completed {
            writes: self.writes,
            fresh_until,
            for_waiters: for_waiters.map(|value| FlightValue {
                value,
                fresh_until,
                overlap,
            }),
        }
    }

    pub(in crate::shard) fn abandon(
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
        let slot = self.in_flight.take_own(key, flight);
        if let Failure::Error(error, _) = failure {
            count(&mut self.stats.load_failures, 1);
            // What fenced the load, by its seat or by a tag, lets others load at once.
            let tags = &self.contents.tags;
            let unfenced = slot.as_ref().filter(|slot| !tags.any_dead(&slot.tags));
            if let (Some(time), Some(_)) = (time, unfenced) {
                for over in self.backoffs.add(key, time, (*error).clone()) {
                    trash.backoff(over);
                }
            }
        }
        self.release_slot(slot);
    }
}
