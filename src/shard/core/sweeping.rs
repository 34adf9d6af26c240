//! Giving back what is gone but still takes up room.

use std::mem;

use super::{Core, Flushed};
use crate::removal::RemovalCause;
use crate::runtime::{Moment, Now};
use crate::shard::entry_status::Fate;
use crate::shard::trash::Trash;

/// How many entries a write gives back at most of each kind: flushed, invalidated,
/// expired. A write adds one, so writes catch up with any backlog.
pub(super) const TIDIED_BY_A_WRITE: usize = 256;

/// How many entries a write moves at most on their way to be due.
const MOVED_BY_A_WRITE: usize = 512;

/// Room for so many entries, tags and loads is kept however few there are, so that
/// a small cache does not reserve it again and again.
const ROOM_KEPT: usize = 1024;

/// Room is given back when less than one part in so many is used.
const SPARSE: usize = 8;

impl Core {
    pub(in crate::shard) fn flush(&mut self, at: Moment, trash: &mut Trash) {
        trash.seats(mem::take(&mut self.seats));
        trash.backoffs(mem::take(&mut self.backoffs));
        let empty = self.contents.anew();
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
            if !(self.sweep_flushed(trash) || self.sweep_doomed(trash).is_some()) {
                self.compact(trash);
                return swept;
            }
        }
        most
    }

    /// Gives back a little of each kind that is gone but still takes up room.
    #[inline]
    pub(in crate::shard) fn tidy(&mut self, now: &Now<'_>, trash: &mut Trash) {
        self.ask_time(false, now);
        let most = 0..TIDIED_BY_A_WRITE;
        if !self.flushed.is_empty() {
            most.clone().all(|_| self.sweep_flushed(trash));
        }
        if self.contents.tags.is_dying() {
            most.clone().all(|_| self.sweep_doomed(trash).is_some());
        }
        if self.contents.can_expire() {
            let mut patience = MOVED_BY_A_WRITE;
            most.clone()
                .all(|_| self.sweep_expired(now, &mut patience, trash));
        }
    }

    fn sweep_flushed(&mut self, trash: &mut Trash) -> bool {
        while let Some(flushed) = self.flushed.front_mut() {
            if let Some(id) = flushed.contents.next_from(flushed.next) {
                let fate = flushed.contents.fate(id, &Now::Known(flushed.at));
                let cause = fate.cause(RemovalCause::Flushed);
                trash.entry(flushed.contents.remove(id), cause);
                flushed.next = id;
                self.count_fate(&fate);
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
    pub(super) fn sweep_doomed(&mut self, trash: &mut Trash) -> Option<bool> {
        let (leaves, fate) = self.contents.next_doomed()?;
        match (leaves, &fate) {
            (Some(id), fate) => self.take(id, fate, RemovalCause::Invalidated, trash),
            (None, Fate::Doomed(doom)) => doom.count_one(),
            (None, Fate::Live | Fate::Expired) => {}
        }
        Some(leaves.is_some())
    }

    #[inline]
    pub(super) fn sweep_expired(
        &mut self,
        now: &Now<'_>,
        patience: &mut usize,
        trash: &mut Trash,
    ) -> bool {
        let Some(id) = self.contents.next_expired(now, patience) else {
            return false;
        };
        let fate = self.contents.fate(id, now);
        self.take(id, &fate, RemovalCause::Expired, trash);
        true
    }

    /// Moves what is left to smaller tables when most of the room is unused. The many
    /// that have left pay for it: room must grow eightfold before it happens again.
    #[inline]
    pub(in crate::shard) fn compact(&mut self, trash: &mut Trash) {
        let sparse = |(used, reserved)| reserved > ROOM_KEPT && used < reserved / SPARSE;
        if sparse(self.seats.places()) {
            self.seats.shrink();
        }
        if sparse(self.contents.places()) && !self.contents.tags.is_dying() {
            self.move_to_new_tables(trash);
        }
    }

    /// Must not be called while a member of a dead tag is left.
    pub(super) fn move_to_new_tables(&mut self, trash: &mut Trash) {
        // A load with a dead tag is fenced: with or without a seat, it will not store.
        let tags = &self.contents.tags;
        self.seats.bury(|held| tags.any_dead(held));
        let old = self.contents.compact(self.seats.tags_mut());
        trash.contents(Box::new(old));
    }
}
