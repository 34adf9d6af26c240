//! The policy as its description has it: no marks in bytes, no queues with holes.

use std::collections::HashMap;

use super::super::ghosts::{Ghosts, Origin};
use crate::index::Index;
use crate::store::EntryId;

/// Young's share: all, a twentieth at the start, and a hundredth at least.
const FULL_SHARE: u64 = 4_294_967_296;
const INITIAL_SHARE: u64 = 214_748_364;
const MIN_SHARE: u64 = 42_949_672;
/// Above 95 in a hundred of `ALL`.
const IDLE: i32 = 996_132;
const ALL: i32 = 1_048_576;

#[derive(Debug, Default)]
struct Known {
    reads: u8,
    in_main: bool,
    /// Of what is young, main's next number when it was stored; of main, its own.
    number: Index,
}

#[derive(Debug)]
pub(super) struct Plain {
    young: Vec<EntryId>,
    main: Vec<EntryId>,
    known: HashMap<EntryId, Known>,
    ghosts: Ghosts,
    /// How many have entered main, or gone round in it.
    next: Index,
    share: u64,
    unread: i32,
}

impl Plain {
    pub(super) fn new() -> Self {
        Self {
            young: Vec::new(),
            main: Vec::new(),
            known: HashMap::new(),
            ghosts: Ghosts::default(),
            next: 0,
            share: INITIAL_SHARE,
            unread: ALL / 2,
        }
    }

    pub(super) fn read(&mut self, id: EntryId) {
        let known = self.known.get_mut(&id).unwrap();
        known.reads = (known.reads + 1).min(3);
    }

    /// How often it was read, and whether it is in main.
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
        let (a_moment, step) = (len / 10 + 1, FULL_SHARE / len as u64);
        let a_moment_ago = ghost.age <= a_moment;
        let main_is_idle = self.unread > IDLE;
        let within_the_cache = ghost.age + self.young.len() <= len;
        if ghost.origin == Origin::Main && a_moment_ago {
            self.share = self.share.saturating_sub(step).max(MIN_SHARE);
        }
        if ghost.origin == Origin::Young && (a_moment_ago || main_is_idle && within_the_cache) {
            self.share = (self.share + step).min(FULL_SHARE);
        }
        if !self.main_admits(ghost.born, len) {
            return false;
        }
        self.enter(id);
        if ghost.origin == Origin::Main {
            self.read(id);
        }
        true
    }

    fn main_admits(&mut self, born: Index, len: usize) -> bool {
        if self.main.len() < self.for_main(len) {
            return true;
        }
        for _ in 0..4 {
            let Some(&oldest) = self.main.first() else {
                return true;
            };
            if self.is_unread(oldest) {
                let ago = born.wrapping_sub(self.known[&oldest].number);
                // Half of the numbers are before, and half after.
                return ago != 0 && ago <= Index::MAX / 2 + 1;
            }
            self.requeue();
        }
        false
    }

    /// With `vacant` places that were made already. Gives the ghost too.
    pub(super) fn choose_victim(&mut self, vacant: usize) -> Option<(EntryId, Origin, Index)> {
        let len = self.young.len() + self.main.len() + vacant;
        self.ghosts.fit(len);
        let for_main = self.for_main(len);
        for look in 1.. {
            let young_is_long = self.young.len() + vacant >= len - for_main;
            if young_is_long || self.main.is_empty() {
                let id = *self.young.first()?;
                self.young.remove(0);
                let stays = self.known[&id].reads >= 2 || self.main.len() < for_main;
                if look >= 64 || !stays {
                    return Some((id, Origin::Young, self.known.remove(&id)?.number));
                }
                self.enter(id);
            } else {
                let id = self.main[0];
                if self.is_unread(id) || look >= 64 {
                    self.main.remove(0);
                    return Some((id, Origin::Main, self.known.remove(&id)?.number));
                }
                self.requeue();
            }
        }
        None
    }

    pub(super) fn add_ghost(&mut self, hash: u64, origin: Origin, born: Index) {
        self.ghosts.put(hash, origin, born);
    }

    pub(super) fn removed(&mut self, id: EntryId) {
        self.known.remove(&id);
        self.young.retain(|&other| other != id);
        self.main.retain(|&other| other != id);
    }

    /// A newcomer takes the place of one that had this standing.
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

    /// Counts as an experience of main, the last 2^9 of which weigh most.
    fn is_unread(&mut self, id: EntryId) -> bool {
        let unread = self.known[&id].reads == 0;
        let now = if unread { ALL } else { 0 };
        self.unread += (now - self.unread).div_euclid(512);
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
        let known = Known {
            reads: 0,
            in_main: true,
            number,
        };
        self.known.insert(id, known);
    }
}
