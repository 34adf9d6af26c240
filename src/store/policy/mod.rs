//! Which entry goes when there is no room.
//!
//! Two queues, ghosts of what left them, and one number that tunes itself:
//!
//! - **Young** is where newcomers wait, first in, first out. One that was read twice
//!   before it reaches the end moves to main; any other is evicted there and leaves a
//!   ghost.
//! - **Main** is a clock. Its oldest entry goes round once more for each read it has to
//!   its credit, three at most, and is evicted, leaving a ghost of the other kind, once
//!   it has none, or once many in a row had some.
//! - A key that comes back while its **ghost** is known may enter main at once: if
//!   main's oldest entry has gone unread for longer than that key has. So a loop longer
//!   than the cache cannot wash main out: a part of it stays, and is hit every round,
//!   where LRU hits nothing.
//! - The **share** is the part of the entries meant for young. A key that young gave up
//!   a moment ago and that is asked for again would have been a hit, had young been a
//!   little longer; one that main gave up, had main been. Each moves the share by one
//!   entry. Under loops, scans and skewed popularity young stays short; where only
//!   recency counts it takes all.
//!
//! A read bumps a two-bit counter and nothing else. All other work is done when an entry
//! comes or goes, in a bounded number of steps but for the closing of holes and the making
//! of ghosts, which the many that came or went before have paid for. The capacity is not known here:
//! an eviction is asked for when there is no room, so what is stored then is the
//! capacity. `docs/eviction.md` has the sources, and what else was tried.

// The numbers cut and rounded here are counts of entries, which fit 32 bits, and parts
// of them, where one more or less does not matter.
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

/// How many entries are evicted at once at most.
pub(crate) const MAX_EVICTED_AT_ONCE: usize = 8;

/// How many reads in young earn a place in main. With one, keys that are read twice in a
/// row and never again would get there.
const READS_TO_PROMOTE: u8 = 2;

/// The least and the most that young's share can be, and where it starts.
const MIN_SHARE: u64 = FULL_SHARE / 100;
const FULL_SHARE: u64 = 1 << 32;
const INITIAL_SHARE: u64 = FULL_SHARE / 20;

/// "A moment ago" is one part in so many of the entries, counted in evictions.
const RECENT_PART: usize = 10;

/// Main is idle when this part of `ALL` of its oldest entries was unread when looked at,
/// over about the last two to the power of `PAST`.
const IDLE: i32 = ALL / 20 * 19;
const ALL: i32 = 1 << 20;
const PAST: u32 = 9;

/// How many entries are looked at for one eviction at most.
const MAX_STEPS: usize = 64;
/// How many of main's are, for one ghost that asks to enter.
const MAX_ADMISSION_CHECKS: usize = 4;

#[derive(Debug)]
pub(super) struct Policy {
    marks: EntryMarks,
    /// By id: its number in its queue.
    numbers: IndexVec<Index>,
    /// Beside each id: main's next number when the entry was stored.
    young: Queue<2>,
    main: Queue<1>,
    ghosts: Ghosts,
    share: u64,
    /// The part of `ALL` of main's oldest entries that were unread, of late.
    unread: i32,
}

/// What an entry has earned: its reads, and whether it is in main.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rank(u8);

/// An entry that was let go, and what its ghost is to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Victim {
    pub(super) id: EntryId,
    origin: Origin,
    born: Index,
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
            unread: ALL / 2,
        }
    }
}

impl Policy {
    /// An entry was stored under a new id. `capacity` is for how many there will soon be
    /// room.
    #[inline]
    pub(super) fn insert(&mut self, id: EntryId, hash: u64) {
        self.marks.extend_to(id);
        self.numbers.extend_to(id, || 0);
        debug_assert!(self.marks.get(id) == 0, "the id is in use");
        let len = self.len() + 1;
        if !self.enters_from_ghost(id, hash, len) {
            *self.marks.at(id) = STORED;
            self.numbers[id] = self.young.push([id, self.main.next()]);
        }
        // While the cache grows, and after entries were removed, main is filled from
        // young.
        let most = self.max_in_main(len);
        for _ in 0..2 {
            if self.main.len() >= most {
                break;
            }
            let Some([oldest, _]) = self.young.pop() else {
                break;
            };
            self.promote(oldest);
        }
    }

    /// What a ghost of the key teaches, if there is one; and whether the entry enters
    /// main for it.
    #[inline]
    fn enters_from_ghost(&mut self, id: EntryId, hash: u64, len: usize) -> bool {
        let Some(ghost) = self.ghosts.take(hash) else {
            return false;
        };
        let near = ghost.age <= len / RECENT_PART + 1;
        // Had young been as long as the cache, it would have kept the key; and main has
        // no use for its part.
        let in_reach = self.unread > IDLE && ghost.age + self.young.len() <= len;
        let step = FULL_SHARE / len as u64;
        let share = match ghost.origin {
            Origin::Main if near => self.share.saturating_sub(step),
            Origin::Young if near || in_reach => self.share + step,
            _ => self.share,
        };
        self.share = share.clamp(MIN_SHARE, FULL_SHARE);
        let enters = self.main_admits(ghost.born, len);
        if enters {
            self.promote(id);
            // Main was wrong to let it go.
            *self.marks.at(id) |= u8::from(ghost.origin == Origin::Main);
        }
        enters
    }

    /// An entry was read.
    #[inline]
    pub(super) fn record_read(&self, id: EntryId) {
        self.marks.count_read(id);
    }

    /// What an entry has earned.
    pub(super) fn rank(&self, id: EntryId) -> Rank {
        Rank(self.marks.get(id))
    }

    /// Gives a newcomer what another has earned, and one read more.
    pub(super) fn restore_rank(&mut self, id: EntryId, rank: Rank) {
        let reads = rank.0 & READS;
        if rank.0 & MAIN == MAIN && self.marks.get(id) & MAIN == 0 {
            self.young.remove(self.numbers[id], &mut self.numbers);
            self.promote(id);
        }
        *self.marks.at(id) |= reads;
        self.record_read(id);
    }

    /// An entry left by another act than eviction.
    pub(super) fn remove(&mut self, id: EntryId) {
        let number = self.numbers[id];
        if self.marks.get(id) & MAIN == MAIN {
            self.main.remove(number, &mut self.numbers);
        } else {
            self.young.remove(number, &mut self.numbers);
        }
        *self.marks.at(id) = 0;
    }

    /// The entry to let go. It is forgotten here; its ghost is to be [buried](Self::bury).
    ///
    /// `vacant` places were made before this one and have not been filled again: newcomers
    /// will be there soon, so they count as young ones.
    pub(super) fn choose_victim(&mut self, vacant: usize) -> Option<Victim> {
        let len = self.len() + vacant;
        self.ghosts.fit(len);
        let most = self.max_in_main(len);
        let mut left = MAX_STEPS;
        let (victim, origin, born) = loop {
            left = left.saturating_sub(1);
            if self.young.len() + vacant >= len - most || self.main.len() == 0 {
                let [id, born] = self.young.pop()?;
                let earned = self.marks.get(id) & READS >= READS_TO_PROMOTE;
                if left == 0 || !(earned || self.main.len() < most) {
                    break (id, Origin::Young, born);
                }
                self.promote(id);
            } else {
                let [id] = self.main.pop()?;
                if self.check_unread(id) || left == 0 {
                    break (id, Origin::Main, self.numbers[id]);
                }
                self.requeue(id);
            }
        };
        *self.marks.at(victim) = 0;
        Some(Victim {
            id: victim,
            origin,
            born,
        })
    }

    /// Keeps the ghost of what was let go.
    #[cfg_attr(
        test,
        allow(
            clippy::trivially_copy_pass_by_ref,
            reason = "indices are to_index here"
        )
    )]
    #[inline]
    pub(super) fn add_ghost(&mut self, victim: &Victim, hash: u64) {
        self.ghosts.put(hash, victim.origin, victim.born);
    }

    /// How many entries there are.
    fn len(&self) -> usize {
        self.young.len() + self.main.len()
    }

    /// How many of the entries are for main. At least one is for young.
    fn max_in_main(&self, len: usize) -> usize {
        let young = (len as u64 * self.share / FULL_SHARE) as usize;
        len.saturating_sub(young.max(1))
    }

    /// Whether a key may enter main that was last stored when main's next number was
    /// `born`: if there is room, or if main's oldest entry has been there, unread, since
    /// before that.
    fn main_admits(&mut self, born: Index, len: usize) -> bool {
        if self.main.len() < self.max_in_main(len) {
            return true;
        }
        for _ in 0..MAX_ADMISSION_CHECKS {
            let Some(oldest) = self.main.oldest() else {
                return true;
            };
            if self.check_unread(oldest) {
                return is_before(self.numbers[oldest], born);
            }
            self.main.pop();
            self.requeue(oldest);
        }
        false
    }

    /// Whether main's oldest entry is unread.
    fn check_unread(&mut self, oldest: EntryId) -> bool {
        let unread = self.marks.get(oldest) & READS == 0;
        let now = if unread { ALL } else { 0 };
        self.unread += (now - self.unread) >> PAST;
        unread
    }

    /// Into main again, for one read.
    fn requeue(&mut self, id: EntryId) {
        *self.marks.at(id) -= 1;
        self.numbers[id] = self.main.push([id]);
    }

    fn promote(&mut self, id: EntryId) {
        *self.marks.at(id) = STORED | MAIN;
        self.numbers[id] = self.main.push([id]);
    }
}

/// For numbers that wrap.
fn is_before(a: Index, b: Index) -> bool {
    a.wrapping_sub(b) > Index::MAX / 2
}

#[cfg(any(test, fuzzing))]
impl Policy {
    /// Every id it knows, after a check of every inner invariant.
    pub(super) fn validate(&self) -> Vec<EntryId> {
        assert_eq!(self.marks.count(STORED), self.len());
        assert!((MIN_SHARE..=FULL_SHARE).contains(&self.share));
        assert!((0..=ALL).contains(&self.unread));
        let mut born = None;
        for slot in self.young.slots() {
            assert!(!is_before(self.main.next(), slot[1]), "stored later");
            assert!(born.is_none_or(|born| !is_before(slot[1], born)));
            born = Some(slot[1]);
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
