//! Loads under the lock: look for a value or a load, claim the slot, complete, abandon.

use super::Core;
use crate::key::{Key, Lookup, SmallBytes};
use crate::options::TagNames;
use crate::runtime::{Moment, Now};
use crate::shard::background_task::BackgroundTask;
use crate::shard::entry_status::Probe;
use crate::shard::flight::{Flight, FlightValue};
use crate::shard::in_flight::RunningLoad;
use crate::shard::invalidation_log::Overlap;
use crate::shard::requests::{
    Claimed, Completed, Completion, Failure, FoundEntry, LoadLookup, LoadRequest, NoHit, OldEntry,
};
use crate::shard::trash::Trash;
use crate::stats::count;
use crate::store::{EntryId, State};
use crate::sync::Arc;
use crate::value::{Access, TypeTag};

impl Core {
    /// Finds a value that is certainly fresh and need not be refreshed yet, and records the
    /// read. Most loading calls end here.
    #[inline]
    pub(in crate::shard) fn find_hit<A: Access>(
        &self,
        key: impl Lookup,
        now: &Now<'_>,
    ) -> Result<A::Snapshot, NoHit> {
        let probe = self.contents.probe(key, now);
        if let Probe::Fresh(id) = probe {
            self.contents.record_read(id, now);
            return Ok(self.contents.snapshot::<A>(id));
        }
        Err(self.why_no_hit(key, probe))
    }

    // Apart, so that the path of a hit is short.
    #[inline(never)]
    fn why_no_hit(&self, key: impl Lookup, probe: Probe) -> NoHit {
        let has_value = !matches!(probe, Probe::Missing | Probe::Checked(_, State::Expired));
        if has_value || !self.backoffs.is_empty() || !self.in_flight.get(key).is_empty() {
            NoHit::Unsure
        } else {
            NoHit::MustLoad
        }
    }

    /// Looks for a value that a loading call can use, and records the read; or for a load to
    /// join.
    #[inline]
    pub(in crate::shard) fn probe_load(
        &self,
        key: Key<'_>,
        request: &LoadRequest<'_>,
        now: &Now<'_>,
    ) -> LoadLookup {
        let probe = self.contents.probe(key, now);
        if let Probe::Fresh(id) = probe {
            if let Some(found) = self.usable(id, State::Fresh, request, now) {
                return LoadLookup::Hit(found);
            }
        }
        self.probe_slot(key, probe, request, now)
    }

    fn probe_slot(
        &self,
        key: Key<'_>,
        probe: Probe,
        request: &LoadRequest<'_>,
        now: &Now<'_>,
    ) -> LoadLookup {
        // 1. The stale value of the entry, if the call can use it.
        let old = match probe {
            Probe::Checked(id, state) => self.usable(id, state, request, now),
            Probe::Fresh(_) | Probe::Missing => None,
        };
        let state = old.as_ref().map_or(State::Expired, |old| old.times.state);
        // 2. The newest load that the call may join.
        let is_alive = |load: &&RunningLoad| {
            // guard: a load that began during an invalidation is not joined after it
            let early = load.early;
            let is_joinable = early.is_none_or(|early| request.log.is_joinable(early));
            // guard: a load with a dead tag is not joined
            is_joinable && !self.contents.tags.any_dead(&load.tags)
        };
        let load = self.in_flight.get(key).iter().rev().find(is_alive);
        // 3. What the call does with the two.
        match (old, load) {
            (Some(old), _) if state == State::Fresh => LoadLookup::Hit(old),
            // A value of another type: the call that reads it returns the error.
            (Some(old), _) if !old.value.reads_as(request.ty) => LoadLookup::Hit(old),
            (_, Some(load)) if load.flight.is_overdue(|| now.get()) => {
                LoadLookup::Overdue(Arc::clone(&load.flight))
            }
            (Some(old), Some(_)) if state.is_servable() => LoadLookup::Hit(old),
            (old, Some(load)) => LoadLookup::Join {
                flight: Arc::clone(&load.flight),
                has_old: old.is_some(),
            },
            (old, None) => match (self.backoffs.error(key, || now.get()), old) {
                (Some(_), Some(old)) => LoadLookup::Hit(old),
                (Some(error), None) => LoadLookup::BackedOff(error),
                (None, old) => LoadLookup::Missing(old),
            },
        }
    }

    /// Returns the value of an entry, if a loading call can use it. A stale value of another
    /// type is useless.
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
        // guard: only the very value that could not be decoded counts as missing
        let is_undecodable = request.undecodable.is_some_and(|it| it.is_same_as(&value));
        if is_undecodable || !(state.is_fresh() || value.reads_as(request.ty)) {
            return None;
        }
        self.contents.record_read(id, now);
        let times = self.contents.times(id, state);
        Some(FoundEntry { value, times })
    }

    /// Returns the value to be served after a failed load. Records no read.
    pub(in crate::shard) fn stale_value(
        &self,
        key: Key<'_>,
        ty: TypeTag,
        now: &Now<'_>,
    ) -> Option<FoundEntry> {
        let id = self.contents.find(key)?;
        let state = self.contents.state(id, now);
        let value = self.contents.value(id);
        if state == State::Expired || !value.reads_as(ty) {
            return None;
        }
        let times = self.contents.times(id, state);
        Some(FoundEntry { value, times })
    }

    /// Looks as a writer, and claims the slot if a load must start.
    ///
    /// Removes nothing: an expired entry stays until the load completes or a write sweeps
    /// it, and a past back-off stays until a load completes. Dropping either may panic in
    /// the caller's code, and would leave a slot without a leader.
    // guard: the claim looks again under the writers' lock
    pub(in crate::shard) fn claim(
        &mut self,
        key: Key<'_>,
        request: &LoadRequest<'_>,
        tags: &TagNames,
        now: &Now<'_>,
    ) -> LoadLookup {
        let old = match self.probe_load(key, request, now) {
            LoadLookup::Missing(old) => old,
            other => return other,
        };
        let is_refresh = old
            .as_ref()
            .is_some_and(|old| old.times.state.is_servable());
        count(&mut self.stats.refreshes, is_refresh.into());
        // guard: an ended back-off stays ended, even if the clock goes back
        self.backoffs.end_now(key);
        let old_tags = match self.contents.find(key) {
            Some(id) if old.is_some() && request.started_at.is_some() => {
                self.contents.tag_names(id)
            }
            _ => Vec::new(),
        };
        // A load without an old value always has a caller that drives it.
        let background = request.background.as_ref().filter(|_| old.is_some());
        let flight = self.start_flight(key, request, tags, background, &old_tags);
        let old = old.map(|found| {
            let tags = old_tags;
            Box::new(OldEntry { found, tags })
        });
        LoadLookup::Lead(Claimed { flight, old })
    }

    /// Claims the slot for a refresh, over a value and over another load. Returns the
    /// existing value. A fresh value of another type is an error.
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
        background: Option<&Arc<BackgroundTask>>,
        old_tags: &[SmallBytes],
    ) -> Arc<Flight> {
        // Loads of the key that can never be stored leave. Their waiters keep the flights.
        if !self.in_flight.get(key).is_empty() {
            let tags = &self.contents.tags;
            let is_fenced = |load: &RunningLoad| load.early.is_some() || tags.any_dead(&load.tags);
            let fenced = self.in_flight.take_fenced(key, is_fenced);
            self.release_loads(fenced);
        }
        let flight = Flight::new(request.ty, request.started_at, background.cloned());
        let flight = Arc::new(flight);
        let hashes = tags.iter().map(|name| self.contents.tags.hash(name));
        let load = RunningLoad {
            // guard: a load that begins during an invalidation of its tags is marked
            early: request.log.early(hashes),
            flight: Arc::clone(&flight),
            // guard: a load pins its own tags
            tags: self.pin(tags),
            old_tags: self.contents.tags.pin(old_tags.iter()),
            old_is_dead: false,
        };
        // An earlier load of the key stays, and stores its value unless this load does so first.
        self.in_flight.add(key, load);
        count(&mut self.stats.loads, 1);
        flight
    }

    /// Ends a load that has a value, and stores the value unless the load was fenced.
    // guard: one critical section checks the slot and stores the value
    pub(in crate::shard) fn complete(
        &mut self,
        key: Key<'_>,
        completion: Completion<'_>,
        now: &Now<'_>,
        trash: &mut Trash,
    ) -> Completed {
        let Completion {
            flight,
            entry,
            own_tags,
            is_unchanged,
            log,
        } = completion;
        // 1. The clock is foreign code: it is asked while nothing has changed.
        self.ask_time(entry.needs_time(), now);
        // 2. The slot, if the load still has it.
        // guard: the slot is taken under the lock of the store
        let load = self.in_flight.take_own(key, flight);
        // 3. The value for the waiters. The slot and the leader have a handle each, and so has
        //    every waiter; nobody can join without the slot.
        let has_waiters = Arc::strong_count(flight) > 1 + usize::from(load.is_some());
        let for_waiters = has_waiters.then(|| entry.value.to_typed());
        // 4. Tags that the loader chose, and that were invalidated during the load. An invalidation
        //    that has visited this shard is listed until it is recorded, so the list is asked
        //    first:
        //    1. Invalidation A visits all shards, and is still listed.
        //    2. This load asks the log: no record yet.
        //    3. A records its tags, and leaves the list.
        //    4. Asked now, the list would be empty, and the load would be stored.
        // guard: the list of running invalidations is asked before the log
        let is_visited = log.is_visiting(own_tags.iter().map(|tag| tag.hash));
        let overlap = match flight.started_at {
            Some(start) => log.overlap_since(start, own_tags.iter().map(|tag| tag.hash)),
            None => Overlap::None,
        };
        // 5. The value is stored if the load is in its slot and every tag is alive.
        let tags = &self.contents.tags;
        // An invalidation that is not recorded yet may have visited this shard after the start:
        // then the old value is dead, though the log shows no overlap.
        let old_is_dead = |load: &RunningLoad| load.old_is_dead || tags.any_dead(&load.old_tags);
        // Incomplete tags are refused later, by `store`, as a rejection.
        let is_alive = |load: &RunningLoad| {
            let revives_dead = is_unchanged && old_is_dead(load);
            // guard: a load that began during an invalidation of its tags is not stored
            let is_early = load.early.is_some();
            // guard: a load with a dead tag is not stored
            !is_early && !revives_dead && (load.tags.is_incomplete || !tags.any_dead(&load.tags))
        };
        // guard: a load is not stored if a tag chosen by the loader was invalidated meanwhile
        let has_no_overlap = matches!(overlap, Overlap::None) && !is_visited;
        let fresh_until = match load {
            Some((mut load, older)) if has_no_overlap && is_alive(&load) => {
                self.contents.tags.pin_more(&mut load.tags, own_tags);
                self.contents.tags.unpin(load.old_tags);
                // guard: a stored load fences the loads of the key that began earlier
                let older = self.in_flight.take_oldest(key, older);
                self.release_loads(older);
                let stored = self.store(key, entry, load.tags, now, trash);
                self.compact(trash);
                stored
            }
            fenced => {
                count(&mut self.stats.stale_load_discards, 1);
                if let Some((load, _)) = fenced {
                    self.release(load);
                }
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

    /// Ends a load that has no value, and starts its back-off.
    pub(in crate::shard) fn abandon(
        &mut self,
        key: Key<'_>,
        flight: &Arc<Flight>,
        failure: &Failure<'_>,
        now: &Now<'_>,
        trash: &mut Trash,
    ) {
        let backoff = match failure {
            Failure::Error(_, time) | Failure::Overdue(_, time) if !time.is_zero() => {
                Some((now.get(), now.get().after(*time)))
            }
            _ => None,
        };
        let load = self.in_flight.take_own(key, flight);
        if let Failure::Error(error, _) | Failure::Overdue(error, _) = failure {
            let is_counted = matches!(failure, Failure::Error(..));
            count(&mut self.stats.load_failures, is_counted.into());
            // An invalidation that fenced the load, by its slot or by a tag, lets others load
            // at once.
            let tags = &self.contents.tags;
            // guard: a failure of a fenced load begins no back-off
            let is_alive = |(load, _): &&(RunningLoad, usize)| {
                load.early.is_none() && !tags.any_dead(&load.tags)
            };
            let unfenced = load.as_ref().filter(is_alive);
            if let (Some(times), Some((load, _))) = (backoff, unfenced) {
                let tags = tags.hashes_of(&load.tags).collect();
                for replaced in self.backoffs.add(key, times, (*error).clone(), tags) {
                    trash.backoff(replaced);
                }
            }
        }
        if let Some((load, _)) = load {
            self.release(load);
        }
    }
}
