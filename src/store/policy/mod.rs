//! The choice of the entry to evict when the cache is full.
//!
//! Two queues, ghosts of evicted entries, and one number that adapts:
//!
//! - **Young** is the queue of new entries, first in, first out. An entry with two reads
//!   moves to main at the end of the queue. Any other entry is evicted there and leaves a
//!   ghost.
//! - **Main** is a clock. The oldest entry goes round again once for each read, at most three
//!   times. The oldest entry is evicted, and leaves a ghost marked as from main, if no read
//!   is left, or if many entries before had reads left.
//! - A key with a **ghost** may enter main at once: if main's oldest entry has been unread
//!   for longer than the key. So a loop longer than the cache cannot displace main. A part of
//!   the loop stays, and is hit in every round, where LRU hits nothing.
//! - The **share** is the part of the entries meant for young. If a key evicted from young
//!   recently is requested again, a slightly longer young would have made a hit; the same
//!   holds for main. Each such key moves the share by one entry. With loops, scans and skewed
//!   popularity young stays short. Where only recency matters, young takes everything.
//!
//! A read increments a two-bit counter, and does nothing else. All other work is done when an
//! entry is stored or removed, in a bounded number of steps. Two parts are only bounded on
//! average: closing the holes of a queue, and allocating the ghosts. The policy does not know
//! the capacity. An eviction is requested when the cache is full, so the number of stored
//! entries is the capacity then. `docs/eviction.md` has the sources and the alternatives.

// The numbers that are cut or rounded here are counts of entries, which fit 32 bits, and
// parts of such counts, where a difference of one does not matter.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "see above"
)]

mod ghosts;
mod marks;
mod queue;

use self::ghosts::{Ghosts, Origin};
use self::marks::{EntryMarks, MAIN, READS, STORED};
use self::queue::Queue;
use crate::index::{Index, IndexVec};
use crate::store::entry::EntryId;

/// The largest number of entries evicted in one batch.
pub(crate) const MAX_EVICTED_AT_ONCE: usize = 8;

/// Reads in young that earn a place in main. With one read, keys read twice in a row and
/// never again would enter main.
const READS_TO_PROMOTE: u8 = 2;

/// The smallest share of young, the whole, and the share at the start. The share is a
/// fixed-point number.
const MIN_SHARE: u64 = FULL_SHARE / 100;
const FULL_SHARE: u64 = 1 << 32;
const INITIAL_SHARE: u64 = FULL_SHARE / 20;

/// A ghost is recent if, since then, the queue had at most the number of entries divided by
/// this many evictions.
const RECENT_PART: usize = 10;

/// Main is idle if more than 95 % of the recently checked oldest entries of main were unread.
/// The ratio is a fixed-point number with `RATIO_ONE` for 1. The average is exponential, over
/// about the last `2^RATIO_SHIFT` checks.
const IDLE_RATIO: i32 = RATIO_ONE / 20 * 19;
const RATIO_ONE: i32 = 1 << 20;
const RATIO_SHIFT: u32 = 9;

/// The largest number of entries checked for one eviction.
const MAX_STEPS: usize = 64;
/// The largest number of main's entries checked for one ghost that may enter main.
const MAX_ADMISSION_CHECKS: usize = 4;

/// The queues, the ghosts and the share.
#[derive(Debug)]
pub(super) struct Policy {
    marks: EntryMarks,
    /// By id: the number of the entry in the queue of the entry.
    numbers: IndexVec<Index>,
    /// Each slot holds an id and `queued_at`: main's next number at the time of storing.
    young: Queue<2>,
    main: Queue<1>,
    ghosts: Ghosts,
    /// The share of young, from `MIN_SHARE` to `FULL_SHARE`.
    share: u64,
    /// The part of main's recently checked oldest entries that were unread.
    unread_ratio: i32,
}

/// The standing of an entry: the reads, and the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rank(u8);

/// An entry chosen for eviction, with the data for the ghost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Victim {
    pub(super) id: EntryId,
    origin: Origin,
    /// Time of the entry in numbers of main. In young: main's next number when the entry was
    /// stored. In main: the entry's own number.
    queued_at: Index,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            marks: EntryMarks::default(),
            numbers: IndexVec::new(),
            young: Queue::default(),
            main: Queue::default(),
            ghosts: Ghosts::default(),
            share: INITIAL_SHARE,
            unread_ratio: RATIO_ONE / 2,
        }
    }
}

impl Policy {
    /// Adds an entry under an unused id. The entry enters main if a ghost of the key says so,
    /// else young.
    #[inline]
    pub(super) fn insert(&mut self, id: EntryId, hash: u64) {
        self.marks.extend_to(id);
        self.numbers.extend_to(id, || 0);
        debug_assert!(self.marks.get(id) == 0, "the id {id} is in use");
        let len = self.len() + 1;
        if !self.enters_from_ghost(id, hash, len) {
            *self.marks.at(id) = STORED;
            self.numbers[id] = self.young.push([id, self.main.next()]);
        }
        // Main is filled from young while the cache grows, and after removals. Two entries a
        // call suffice: main catches up, and the work stays bounded.
        let max_main = self.max_in_main(len);
        for _ in 0..2 {
            if self.main.len() >= max_main {
                break;
            }
            let Some([oldest, _]) = self.young.pop() else {
                break;
            };
            self.promote(oldest);
        }
    }

    /// Removes the ghost of a key and learns from the ghost. Returns `true` if the entry enters
    /// main, `false` if there is no ghost or main does not admit the key.
    #[inline]
    fn enters_from_ghost(&mut self, id: EntryId, hash: u64, len: usize) -> bool {
        let Some(ghost) = self.ghosts.take(hash) else {
            return false;
        };
        // 1. A recent ghost: a slightly longer queue would have kept the key.
        let is_recent = ghost.age <= len / RECENT_PART + 1;
        // 2. An older ghost of young counts if main is idle and so has nothing to lose. In
        //    reach means that young would have kept the key with the length of the whole cache.
        let in_reach = self.unread_ratio > IDLE_RATIO && ghost.age + self.young.len() <= len;
        // 3. Move the share by one entry, for the queue that was too short.
        let step = FULL_SHARE / len as u64;
        let share = match ghost.origin {
            Origin::Main if is_recent => self.share.saturating_sub(step),
            Origin::Young if is_recent || in_reach => self.share + step,
            _ => self.share,
        };
        self.share = share.clamp(MIN_SHARE, FULL_SHARE);
        // 4. Ask main. The share above is the new share.
        let enters = self.main_admits(ghost.queued_at, len);
        if enters {
            self.promote(id);
            // The eviction from main was wrong: one read to start with.
            *self.marks.at(id) |= u8::from(ghost.origin == Origin::Main);
        }
        enters
    }

    /// Records a read of an entry.
    #[inline]
    pub(super) fn record_read(&self, id: EntryId) {
        self.marks.count_read(id);
    }

    /// Returns the rank of an entry.
    pub(super) fn rank(&self, id: EntryId) -> Rank {
        Rank(self.marks.get(id))
    }

    /// Gives a new entry the rank of the replaced entry, and one read more.
    pub(super) fn restore_rank(&mut self, id: EntryId, rank: Rank) {
        let reads = rank.0 & READS;
        if rank.0 & MAIN == MAIN && self.marks.get(id) & MAIN == 0 {
            self.young.remove(self.numbers[id], &mut self.numbers);
            self.promote(id);
        }
        *self.marks.at(id) |= reads;
        self.record_read(id);
    }

    /// Removes an entry without eviction: no ghost is added.
    pub(super) fn remove(&mut self, id: EntryId) {
        let number = self.numbers[id];
        if self.marks.get(id) & MAIN == MAIN {
            self.main.remove(number, &mut self.numbers);
        } else {
            self.young.remove(number, &mut self.numbers);
        }
        *self.marks.at(id) = 0;
    }

    /// Removes and returns the entry to evict. The caller adds the ghost with
    /// [`add_ghost`](Self::add_ghost). Returns `None` if the queue to evict from is empty.
    ///
    /// `vacant` places were freed before in the same batch and are still empty. New entries
    /// will take these places, so the places count as young.
    pub(super) fn choose_victim(&mut self, vacant: usize) -> Option<Victim> {
        let len = self.len() + vacant;
        // 1. The number of entries is the capacity now: fit the ghosts, and compute the part of
        //    main.
        self.ghosts.fit(len);
        let max_main = self.max_in_main(len);
        // 2. Check oldest entries until one entry has no reason to stay, or no step is left.
        let mut steps_left = MAX_STEPS;
        let (victim, origin, queued_at) = loop {
            steps_left = steps_left.saturating_sub(1);
            if self.young.len() + vacant >= len - max_main || self.main.len() == 0 {
                // Young is longer than the share: move on to main, or evict.
                let [id, queued_at] = self.young.pop()?;
                let earns_main = self.marks.get(id) & READS >= READS_TO_PROMOTE;
                if steps_left == 0 || !(earns_main || self.main.len() < max_main) {
                    break (id, Origin::Young, queued_at);
                }
                self.promote(id);
            } else {
                // Main is longer: evict an unread entry, or let the entry go round.
                let [id] = self.main.pop()?;
                if self.check_unread(id) || steps_left == 0 {
                    break (id, Origin::Main, self.numbers[id]);
                }
                self.requeue(id);
            }
        };
        // 3. Clear the flags: the id may be used again.
        *self.marks.at(victim) = 0;
        Some(Victim {
            id: victim,
            origin,
            queued_at,
        })
    }

    /// Adds the ghost of an evicted entry.
    #[cfg_attr(
        test,
        allow(
            clippy::trivially_copy_pass_by_ref,
            reason = "a narrow index makes the victim small"
        )
    )]
    #[inline]
    pub(super) fn add_ghost(&mut self, victim: &Victim, hash: u64) {
        self.ghosts.put(hash, victim.origin, victim.queued_at);
    }

    /// Returns the number of entries.
    fn len(&self) -> usize {
        self.young.len() + self.main.len()
    }

    /// Returns the number of entries meant for main. At least one entry is meant for young.
    fn max_in_main(&self, len: usize) -> usize {
        let young = (len as u64 * self.share / FULL_SHARE) as usize;
        len.saturating_sub(young.max(1))
    }

    /// Returns `true` if a key of time `queued_at` may enter main: if main has free places, or
    /// if main's oldest entry is older and unread. Returns `false` otherwise.
    fn main_admits(&mut self, queued_at: Index, len: usize) -> bool {
        if self.main.len() < self.max_in_main(len) {
            return true;
        }
        for _ in 0..MAX_ADMISSION_CHECKS {
            let Some(oldest) = self.main.oldest() else {
                return true;
            };
            if self.check_unread(oldest) {
                // In a loop, each entry of main was read after the key: no new key enters.
                return is_before(self.numbers[oldest], queued_at);
            }
            self.main.pop();
            self.requeue(oldest);
        }
        false
    }

    /// Returns `true` if main's oldest entry is unread, `false` if reads are left. Updates the
    /// ratio.
    fn check_unread(&mut self, oldest: EntryId) -> bool {
        let unread = self.marks.get(oldest) & READS == 0;
        let sample = if unread { RATIO_ONE } else { 0 };
        self.unread_ratio += (sample - self.unread_ratio) >> RATIO_SHIFT;
        unread
    }

    /// Moves an entry to the end of main, for one read.
    fn requeue(&mut self, id: EntryId) {
        *self.marks.at(id) -= 1;
        self.numbers[id] = self.main.push([id]);
    }

    /// Adds an entry to main, with no reads.
    fn promote(&mut self, id: EntryId) {
        *self.marks.at(id) = STORED | MAIN;
        self.numbers[id] = self.main.push([id]);
    }
}

/// Compares numbers that wrap. Returns `true` if `a` is before `b`, `false` if not.
fn is_before(a: Index, b: Index) -> bool {
    a.wrapping_sub(b) > Index::MAX / 2
}

#[cfg(any(test, fuzzing))]
impl Policy {
    /// Returns the ids of all entries, after a check of every invariant inside.
    pub(super) fn validate(&self) -> Vec<EntryId> {
        assert_eq!(self.marks.count(STORED), self.len());
        assert!((MIN_SHARE..=FULL_SHARE).contains(&self.share));
        assert!((0..=RATIO_ONE).contains(&self.unread_ratio));
        let mut queued_at = None;
        for slot in self.young.slots() {
            assert!(
                !is_before(self.main.next(), slot[1]),
                "stored in the future"
            );
            assert!(queued_at.is_none_or(|before| !is_before(slot[1], before)));
            queued_at = Some(slot[1]);
        }
        self.ghosts.validate();
        let is_in = |queue: u8, id: EntryId| self.marks.get(id) & (STORED | MAIN) == queue;
        let young = self.young.validate(&self.numbers);
        assert!(young.iter().all(|&id| is_in(STORED, id)));
        let main = self.main.validate(&self.numbers);
        assert!(main.iter().all(|&id| is_in(STORED | MAIN, id)));
        [young, main].concat()
    }
}

#[cfg(test)]
mod tests;
