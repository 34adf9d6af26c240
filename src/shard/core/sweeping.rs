//! Giving back what is gone but still takes up room.

use std::mem;

use super::{Core, Flushed};
use crate::removal::RemovalCause;
use crate::runtime::{Moment, Now};
use crate::shard::entry_status::Liveness;
use crate::shard::trash::Trash;

/// How many entries a write gives back at most of each kind: flushed, invalidated,
/// expired. A write adds one, so writes catch up with any backlog.
pub(super) const MAX_RECLAIMED_PER_WRITE: usize = 256;

/// How many entries a write moves at most on their way to be due.
const MAX_REFILED_PER_WRITE: usize = 512;

/// Room for so many entries, tags and loads is kept however few there are, so that
/// a small cache does not reserve it again and again.
const MIN_CAPACITY: usize = 1024;

/// Room is given back when less than one part in so many is used.
const SPARSE_RATIO: usize = 8;

impl Core {
    pub(in crate::shard) fn flush(&mut self, at: Moment, trash: &mut Trash) {
        trash.loads(mem::take(&mut self.in_flight));
        trash.backoffs(mem::take(&mut self.backoffs));
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

    /// Takes out up to `most` unreachable entries, the longest unreachable first.
    pub(in crate::shard) fn sweep(&mut self, most: usize, trash: &mut Trash) -> usize {
        for swept in 0..most {
            if !(self.sweep_flushed(trash) || self.sweep_invalidated(trash).is_some()) {
                self.compact(trash);
                return swept;
            }
        }
        most
    }

    /// Gives back a little of each kind that is gone but still takes up room.
    #[inline]
    pub(in crate::shard) fn reclaim(&mut self, now: &Now<'_>, trash: &mut Trash) {
        self.ask_time(false, now);
        let most = 0..MAX_RECLAIMED_PER_WRITE;
        if !self.flushed.is_empty() {
            most.clone().all(|_| self.sweep_flushed(trash));
        }
        if self.contents.tags.has_dead_members() {
            most.clone()
                .all(|_| self.sweep_invalidated(trash).is_some());
        }
        if self.contents.can_expire() {
            let mut budget = MAX_REFILED_PER_WRITE;
            most.clone()
                .all(|_| self.sweep_expired(now, &mut budget, trash));
        }
    }

    fn sweep_flushed(&mut self, trash: &mut Trash) -> bool {
        while let Some(flushed) = self.flushed.front_mut() {
            if let Some(id) = flushed.contents.next_from(flushed.next) {
                let liveness = flushed.contents.liveness(id, &Now::Known(flushed.at));
                let cause = liveness.cause(RemovalCause::Flushed);
                trash.entry(flushed.contents.remove(id), cause);
                flushed.next = id;
                self.count_liveness(&liveness);
                return true;
            }
            if let Some(empty) = self.flushed.pop_front() {
                trash.contents(empty.contents);
            }
        }
        false
    }

    /// Looks after one entry that a doom came over. Whether it left: what was expired may
    /// have something left to be served.
    #[inline]
    pub(super) fn sweep_invalidated(&mut self, trash: &mut Trash) -> Option<bool> {
        let (leaves, liveness) = self.contents.next_invalidated()?;
        match (leaves, &liveness) {
            (Some(id), liveness) => {
                self.remove_entry(id, liveness, RemovalCause::Invalidated, trash);
            }
            (None, Liveness::Invalidated(invalidation)) => invalidation.count_one(),
            (None, Liveness::Live | Liveness::Expired) => {}
        }
        Some(leaves.is_some())
    }

    #[inline]
    pub(super) fn sweep_expired(
        &mut self,
        now: &Now<'_>,
        budget: &mut usize,
        trash: &mut Trash,
    ) -> bool {
        let Some(id) = self.contents.next_expired(now, budget) else {
            return false;
        };
        let liveness = self.contents.liveness(id, now);
        self.remove_entry(id, &liveness, RemovalCause::Expired, trash);
        true
    }

    /// Moves what is left to smaller tables when most of the room is unused. The many
    /// that have left pay for it: room must grow eightfold before it happens again.
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

    /// Must not be called while a member of a dead tag is left.
    pub(super) fn move_to_new_tables(&mut self, trash: &mut Trash) {
        // A load with a dead tag is fenced: with or without a seat, it will not store.
        let tags = &self.contents.tags;
        self.in_flight.drop_dead(|held| tags.any_dead(held));
        let old = self.contents.compact(self.in_flight.pinned_mut());
        trash.contents(Box::new(old));
    }
}
