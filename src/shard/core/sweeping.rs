//! Sweeping: giving back the memory of unreachable and expired entries.

use std::mem;

use super::{Core, Flushed};
use crate::removal::RemovalCause;
use crate::runtime::{Moment, Now};
use crate::shard::contents::Contents;
use crate::shard::entry_status::Liveness;
use crate::shard::trash::Trash;
use crate::store::EntryId;

/// The largest number of entries of each kind (flushed, invalidated, expired) swept by a
/// write; fewer, but at least one, if the entries have many tags. A write adds one entry, so
/// writes catch up with any backlog.
pub(super) const MAX_RECLAIMED_PER_WRITE: usize = 256;

/// The number of tags that take as much work to remove as an entry, about. So a sweep of
/// entries with many tags takes no longer than a sweep of others.
const TAGS_PER_UNIT: usize = 4;

/// The largest number of entries re-filed in the timing wheel by a write.
const MAX_REFILED_PER_WRITE: usize = 512;

/// Places for entries, tags and loads that are never given back, so that a small cache does
/// not allocate again and again.
const MIN_CAPACITY: usize = 1024;

/// Memory is given back when less than one part in this many is used.
const SPARSE_RATIO: usize = 8;

/// A swept entry.
pub(super) struct Swept {
    /// Set if the entry was removed, not set if the entry stays with a stale value.
    pub(super) removed: bool,
    /// The work, in units of an entry without tags.
    work: usize,
}

impl Swept {
    /// Returns the sweep of an entry that is about to be removed.
    #[inline]
    fn removed(contents: &Contents, id: EntryId) -> Self {
        Self {
            removed: true,
            work: 1 + contents.tags.count_of(id) / TAGS_PER_UNIT,
        }
    }
}

/// Sweeps until no entry is left, or for as much work as a write may do.
#[inline]
fn sweep_some(mut sweep: impl FnMut() -> Option<Swept>) {
    let mut done = 0;
    while done < MAX_RECLAIMED_PER_WRITE {
        let Some(swept) = sweep() else {
            return;
        };
        done += swept.work;
    }
}

impl Core {
    /// Makes all entries unreachable, and fences all loads, in a constant number of steps.
    pub(in crate::shard) fn flush(&mut self, now: &Now<'_>, trash: &mut Trash) {
        // Before any change: the clock may panic. Without times, no entry needs the time.
        let at = if self.may_ask_time() {
            now.get()
        } else {
            Moment::ZERO
        };
        // The loads lose the slots, and so cannot store:
        // 1. Load A claims a slot.
        // 2. B flushes: the slots go to the trash.
        // 3. A completes, finds no slot, and does not store.
        // guard: a flush fences all loads
        trash.loads(mem::take(&mut self.in_flight));
        trash.backoffs(mem::take(&mut self.backoffs));
        // The entries are set aside as a whole, and swept in slices.
        let empty = self.contents.empty_copy();
        let contents = Box::new(mem::replace(&mut self.contents, empty));
        if contents.len() > 0 {
            self.flushed.push_back(Flushed {
                contents,
                at,
                next: 0,
            });
        } else {
            trash.contents(contents);
        }
    }

    /// Sweeps up to `max` unreachable entries, the longest unreachable first; fewer if the
    /// entries have many tags. Returns the work in units of an entry; less than `max` means that
    /// no unreachable entry is left.
    pub(in crate::shard) fn sweep(&mut self, max: usize, trash: &mut Trash) -> usize {
        let mut done = 0;
        while done < max {
            let flushed = self.sweep_flushed(trash);
            let swept = flushed.or_else(|| self.sweep_invalidated(true, trash));
            let Some(swept) = swept else {
                self.compact(trash);
                return done;
            };
            done += swept.work;
        }
        max
    }

    /// Removes up to `max` entries that are unreachable or expired, fewer if the entries have many
    /// tags, and the back-offs that are over. Returns the number of removed entries, and whether
    /// entries may be left.
    pub(in crate::shard) fn tidy(
        &mut self,
        max: usize,
        now: &Now<'_>,
        trash: &mut Trash,
    ) -> (u64, bool) {
        // Before any change: the clock may panic. Without an end of any kind, no time is needed.
        self.ask_time(!self.backoffs.is_empty(), now);
        self.backoffs
            .take_ended(now, |backoff| trash.backoff(Some(backoff)));
        let (mut removed, mut done, mut budget) = (0, 0, MAX_REFILED_PER_WRITE);
        while done < max {
            let flushed = self.sweep_flushed(trash);
            // An entry expired by its tag may stay for its window.
            let swept = flushed.or_else(|| self.sweep_invalidated(true, trash));
            let Some(swept) = swept.or_else(|| self.sweep_expired(now, &mut budget, trash)) else {
                // Entries read since their filing used the budget up: the next slice continues.
                let may_be_more = budget == 0;
                self.compact(trash);
                return (removed, may_be_more);
            };
            removed += u64::from(swept.removed);
            done += swept.work;
        }
        (removed, true)
    }

    /// Sweeps a few entries of each kind.
    #[inline]
    pub(in crate::shard) fn reclaim(&mut self, now: &Now<'_>, trash: &mut Trash) {
        // Before any change: the clock may panic.
        self.ask_time(false, now);
        if !self.flushed.is_empty() {
            sweep_some(|| self.sweep_flushed(trash));
        }
        if self.contents.tags.has_dead_members() {
            sweep_some(|| self.sweep_invalidated(true, trash));
        }
        if self.contents.can_expire() {
            let mut budget = MAX_REFILED_PER_WRITE;
            sweep_some(|| self.sweep_expired(now, &mut budget, trash));
        }
    }

    /// Removes an entry of the oldest flush. Returns `None` if no flushed entry is left.
    fn sweep_flushed(&mut self, trash: &mut Trash) -> Option<Swept> {
        while let Some(flushed) = self.flushed.front_mut() {
            if let Some(id) = flushed.contents.next_from(flushed.next) {
                // The state at the time of the flush, not now: an entry that was live then was
                // flushed.
                let liveness = flushed.contents.liveness(id, &Now::Known(flushed.at));
                let cause = liveness.cause(RemovalCause::Flushed);
                let swept = Swept::removed(&flushed.contents, id);
                trash.entry(flushed.contents.remove(id), cause);
                flushed.next = id;
                self.count_liveness(&liveness);
                return Some(swept);
            }
            if let Some(empty) = self.flushed.pop_front() {
                trash.contents(empty.contents);
            }
        }
        None
    }

    /// Sweeps an entry with a dead tag. With `may_stay`, an entry ended by `expire_tag` stays if
    /// a stale value is left. Returns `None` if there is no entry with a dead tag.
    #[inline]
    pub(super) fn sweep_invalidated(&mut self, may_stay: bool, trash: &mut Trash) -> Option<Swept> {
        // The liveness was read first: `survives_expire` changes times and tags.
        let (id, liveness) = self.contents.next_invalidated()?;
        let swept = Swept::removed(&self.contents, id);
        if may_stay && self.contents.survives_expire(id, self.limits.bytes) {
            // The entry stays, but was fresh until the invalidation: `expire_tag` counts the
            // entry.
            if let Liveness::Invalidated(invalidation) = liveness {
                invalidation.count_one();
            }
            let removed = false;
            return Some(Swept { removed, ..swept });
        }
        self.remove_entry(id, &liveness, RemovalCause::Invalidated, trash);
        Some(swept)
    }

    /// Removes an expired entry. Returns `None` if no entry is expired or the budget is
    /// exhausted.
    #[inline]
    pub(super) fn sweep_expired(
        &mut self,
        now: &Now<'_>,
        budget: &mut usize,
        trash: &mut Trash,
    ) -> Option<Swept> {
        let id = self.contents.next_expired(now, budget)?;
        let liveness = self.contents.liveness(id, now);
        let swept = Swept::removed(&self.contents, id);
        self.remove_entry(id, &liveness, RemovalCause::Expired, trash);
        Some(swept)
    }

    /// Moves entries and loads to smaller tables when most of the memory is unused. Earlier
    /// removals pay for the move: usage must grow eightfold before the next move.
    #[inline]
    pub(in crate::shard) fn compact(&mut self, trash: &mut Trash) {
        let sparse = |(used, reserved)| reserved > MIN_CAPACITY && used < reserved / SPARSE_RATIO;
        if sparse(self.in_flight.usage()) {
            self.in_flight.shrink();
        }
        if sparse(self.contents.usage()) && !self.contents.tags.has_dead_members() {
            self.move_to_new_tables(trash);
        }
    }

    /// Moves all entries to new tables. No member of a dead tag may be left.
    pub(super) fn move_to_new_tables(&mut self, trash: &mut Trash) {
        // The move binds tags again by name, so a load must not take a dead tag along:
        // 1. Load A pins tag `t`.
        // 2. `t` is invalidated: A is fenced by the dead tag.
        // 3. The move would bind A to the live tag of the same name, and A would store.
        //
        // So a load with a dead tag loses the slot, and is fenced in this way.
        let tags = &self.contents.tags;
        self.in_flight.drop_dead(|pinned| tags.any_dead(pinned));
        let old = self.contents.compact(self.in_flight.pinned_mut());
        trash.contents(Box::new(old));
    }
}
