//! The policy written plainly, after the description: no flags in bytes, no queues with
//! holes.

use std::collections::HashMap;

use super::super::ghosts::{Ghosts, Origin};
use crate::index::Index;
use crate::store::EntryId;

/// The share of young: the whole, a twentieth at the start, a hundredth at least.
const FULL_SHARE: u64 = 4_294_967_296;
const INITIAL_SHARE: u64 = 214_748_364;
const MIN_SHARE: u64 = 42_949_672;
/// 95 % of `RATIO_ONE`.
const IDLE_RATIO: i32 = 996_132;
const RATIO_ONE: i32 = 1_048_576;

/// The state of an entry.
#[derive(Debug, Default)]
struct Known {
    reads: u8,
    in_main: bool,
    /// In young: main's next number when the entry was stored. In main: the entry's own number.
    number: Index,
}

/// The same decisions as `Policy`, in linear time.
#[derive(Debug)]
pub(super) struct PlainPolicy {
    young: Vec<EntryId>,
    main: Vec<EntryId>,
    known: HashMap<EntryId, Known>,
    ghosts: Ghosts,
    /// The number of entries that entered main or went round in main.
    next: Index,
    share: u64,
    unread_ratio: i32,
}

impl PlainPolicy {
    pub(super) fn new() -> Self {
        Self {
            young: Vec::new(),
            main: Vec::new(),
            known: HashMap::new(),
            ghosts: Ghosts::default(),
            next: 0,
            share: INITIAL_SHARE,
            unread_ratio: RATIO_ONE / 2,
        }
    }

    pub(super) fn read(&mut self, id: EntryId) {
        let known = self.known.get_mut(&id).unwrap();
        known.reads = (known.reads + 1).min(3);
    }

    /// Returns the number of reads, and `true` if the entry is in main, `false` if in young.
    pub(super) fn rank(&self, id: EntryId) -> (u8, bool) {
        (self.known[&id].reads, self.known[&id].in_main)
    }

    pub(super) fn share(&self) -> u64 {
        self.share
    }

    pub(super) fn insert(&mut self, id: EntryId, hash: u64) {
        let len = self.young.len() + self.main.len() + 1;
        self.known.insert(id, Known::default());
        if !self.enters_from_ghost(id, hash, len) {
            self.known.get_mut(&id).unwrap().number = self.next;
            self.young.push(id);
        }
        // At most two entries move to main for each insert.
        for _ in 0..2 {
            if self.main.len() < self.for_main(len) && !self.young.is_empty() {
                let oldest = self.young.remove(0);
                self.enter(oldest);
            }
        }
    }

    fn enters_from_ghost(&mut self, id: EntryId, hash: u64, len: usize) -> bool {
        let Some(ghost) = self.ghosts.take(hash) else {
            return false;
        };
        // Recent means a tenth of the entries, and the share moves by one entry.
        let (recent, step) = (len / 10 + 1, FULL_SHARE / len as u64);
        let is_recent = ghost.age <= recent;
        let main_is_idle = self.unread_ratio > IDLE_RATIO;
        let is_in_reach = ghost.age + self.young.len() <= len;
        if ghost.origin == Origin::Main && is_recent {
            self.share = self.share.saturating_sub(step).max(MIN_SHARE);
        }
        if ghost.origin == Origin::Young && (is_recent || main_is_idle && is_in_reach) {
            self.share = (self.share + step).min(FULL_SHARE);
        }
        if !self.main_admits(ghost.queued_at, len) {
            return false;
        }
        self.enter(id);
        // A wrong eviction from main counts as a read.
        if ghost.origin == Origin::Main {
            self.read(id);
        }
        true
    }

    fn main_admits(&mut self, queued_at: Index, len: usize) -> bool {
        if self.main.len() < self.for_main(len) {
            return true;
        }
        // At most four entries of main are checked.
        for _ in 0..4 {
            let Some(&oldest) = self.main.first() else {
                return true;
            };
            if self.is_unread(oldest) {
                let distance = queued_at.wrapping_sub(self.known[&oldest].number);
                // Numbers wrap: half of the numbers are before, and half after.
                return distance != 0 && distance <= Index::MAX / 2 + 1;
            }
            self.requeue();
        }
        false
    }

    /// Returns the id, the origin and the time of the entry to evict. `vacant` places were
    /// freed before.
    pub(super) fn choose_victim(&mut self, vacant: usize) -> Option<(EntryId, Origin, Index)> {
        let len = self.young.len() + self.main.len() + vacant;
        self.ghosts.fit(len);
        let for_main = self.for_main(len);
        // At most 64 entries are checked.
        for step in 1.. {
            let young_is_long = self.young.len() + vacant >= len - for_main;
            if young_is_long || self.main.is_empty() {
                let id = *self.young.first()?;
                self.young.remove(0);
                // Two reads earn a place in main; free places of main are filled in any case.
                let stays = self.known[&id].reads >= 2 || self.main.len() < for_main;
                if step >= 64 || !stays {
                    return Some((id, Origin::Young, self.known.remove(&id)?.number));
                }
                self.enter(id);
            } else {
                let id = self.main[0];
                if self.is_unread(id) || step >= 64 {
                    self.main.remove(0);
                    return Some((id, Origin::Main, self.known.remove(&id)?.number));
                }
                self.requeue();
            }
        }
        None
    }

    pub(super) fn add_ghost(&mut self, hash: u64, origin: Origin, queued_at: Index) {
        self.ghosts.put(hash, origin, queued_at);
    }

    pub(super) fn removed(&mut self, id: EntryId) {
        self.known.remove(&id);
        self.young.retain(|&other| other != id);
        self.main.retain(|&other| other != id);
    }

    /// Gives a new entry the rank of the replaced entry, and one read more.
    pub(super) fn restore_rank(&mut self, id: EntryId, (reads, in_main): (u8, bool)) {
        if in_main && !self.known[&id].in_main {
            self.young.retain(|&other| other != id);
            self.enter(id);
        }
        self.known.get_mut(&id).unwrap().reads |= reads;
        self.read(id);
    }

    fn for_main(&self, len: usize) -> usize {
        let young = u64::try_from(len).unwrap() * self.share / FULL_SHARE;
        len.saturating_sub(usize::try_from(young).unwrap().max(1))
    }

    /// Updates the ratio: an average over about the last 2^9 checks.
    fn is_unread(&mut self, id: EntryId) -> bool {
        let unread = self.known[&id].reads == 0;
        let sample = if unread { RATIO_ONE } else { 0 };
        // The same as an arithmetic shift by nine.
        self.unread_ratio += (sample - self.unread_ratio).div_euclid(512);
        unread
    }

    fn requeue(&mut self) {
        let id = self.main.remove(0);
        let reads = self.known[&id].reads;
        self.enter(id);
        self.known.get_mut(&id).unwrap().reads = reads - 1;
    }

    fn enter(&mut self, id: EntryId) {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.main.push(id);
        // Every move within main, or into main, takes a new number.
        let known = Known {
            reads: 0,
            in_main: true,
            number,
        };
        self.known.insert(id, known);
    }
}
