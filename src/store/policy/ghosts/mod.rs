//! Keys that were evicted recently.
//!
//! A ghost is fifteen bits of the hash, a bit for the queue, and eight bits of time. Ghosts
//! are kept in groups of one line of the processor's cache: a look-up touches one line, and
//! so does an insert. In a group the oldest ghost is overwritten. Time is counted in
//! evictions from the queue of the key, and cut into ticks.

use crate::index::Index;

/// Evictions for which a ghost is remembered: by the number of entries, and at least. In a
/// small cache there is much to learn and little to pay.
const GHOSTS_PER_ENTRY: usize = 3;
const MIN_GHOSTS: usize = 256;

/// Ghosts in a group.
const WAYS: usize = 20;
/// The lifetime of a ghost in ticks, about.
const TICKS: usize = 96;

/// The ghosts of both queues.
#[derive(Debug, Default)]
pub(super) struct Ghosts {
    groups: Vec<Group>,
    /// The number of entries when the groups were allocated.
    len: usize,
    /// Evictions in a tick.
    per_tick: usize,
    /// A ghost of this age in ticks, or older, is ignored. At about this age the ghost is
    /// overwritten.
    max_age: u8,
    /// The clock of young, and the clock of main.
    clocks: [GhostClock; 2],
}

/// Time of a queue, in evictions from the queue.
#[derive(Debug, Default)]
struct GhostClock {
    /// The current tick, wrapping.
    tick: u8,
    /// Evictions in the current tick.
    count: usize,
    /// By tick: `queued_at` of the first ghost of the tick. Kept per tick, since a value for
    /// each ghost would not fit into the group.
    queued_at: Vec<Index>,
}

/// Ghosts in one line of the processor's cache.
#[derive(Clone, Debug, Default)]
#[repr(align(64))]
struct Group {
    /// Part of the hash; the lowest bit is the origin. Zero means no ghost.
    fingerprints: [u16; WAYS],
    /// The tick in which each ghost was added.
    ticks: [u8; WAYS],
    /// The ghost to overwrite next.
    next: u8,
}

/// The queue of a ghost's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Young,
    Main,
}

/// The knowledge about an evicted key.
#[derive(Debug)]
pub(super) struct Ghost {
    pub(super) origin: Origin,
    /// Time of the key in numbers of main: see `Victim::queued_at`. The value is the value of
    /// the first ghost of the tick.
    pub(super) queued_at: Index,
    /// Evictions from the queue of the key since then, in whole ticks.
    pub(super) age: usize,
}

impl Ghosts {
    /// Allocates room for the ghosts of `len` entries. Forgets all ghosts if the room has to
    /// change much.
    #[inline]
    pub(super) fn fit(&mut self, len: usize) {
        if len > self.len + self.len / 4 || len < self.len / 3 {
            self.rebuild(len);
        }
    }

    /// Allocates empty groups for `len` entries.
    #[cold]
    fn rebuild(&mut self, len: usize) {
        let lifetime = (len * GHOSTS_PER_ENTRY).max(MIN_GHOSTS);
        self.len = len;
        self.per_tick = lifetime / TICKS;
        self.max_age = lifetime.div_ceil(self.per_tick) as u8;
        // Fewer places than ghosts: some ghosts are taken before they would be overwritten.
        self.groups = vec![Group::default(); (lifetime * 5 / 6).div_ceil(WAYS)];
        // Both clocks start again, since the ticks of the old ghosts mean nothing now.
        for clock in &mut self.clocks {
            *clock = GhostClock {
                tick: 0,
                count: 0,
                queued_at: vec![0; 256],
            };
        }
    }

    /// Adds the ghost of a key. `fit` comes before.
    #[inline]
    pub(super) fn put(&mut self, hash: u64, origin: Origin, queued_at: Index) {
        let (group, fingerprint) = self.locate(hash);
        let clock = &mut self.clocks[origin as usize];
        // The first ghost of a tick gives the time of all ghosts of the tick.
        if clock.count == 0 {
            clock.queued_at[usize::from(clock.tick)] = queued_at;
        }
        let group = &mut self.groups[group];
        // The group is a ring: the oldest ghost is next.
        let way = usize::from(group.next) % WAYS;
        group.fingerprints[way] = fingerprint | origin as u16;
        group.ticks[way] = clock.tick;
        group.next = way as u8 + 1;
        clock.count += 1;
        if clock.count == self.per_tick {
            clock.count = 0;
            clock.tick = clock.tick.wrapping_add(1);
        }
    }

    /// Removes and returns the ghost of a key, at the next insert of the key.
    #[inline]
    pub(super) fn take(&mut self, hash: u64) -> Option<Ghost> {
        if self.groups.is_empty() {
            return None;
        }
        let (group, fingerprint) = self.locate(hash);
        let group = &mut self.groups[group];
        let is_same = |other: &u16| other & !1 == fingerprint;
        // Most keys have no ghost. A pass without branches finds that out.
        if !group
            .fingerprints
            .iter()
            .fold(false, |any, other| any | is_same(other))
        {
            return None;
        }
        let way = group.fingerprints.iter().position(is_same)?;
        let origin = match group.fingerprints[way] & 1 {
            0 => Origin::Young,
            _ => Origin::Main,
        };
        // A ghost teaches once. An ignored ghost is removed too.
        group.fingerprints[way] = 0;
        let clock = &self.clocks[origin as usize];
        let tick = group.ticks[way];
        let age = clock.tick.wrapping_sub(tick);
        (age < self.max_age).then(|| Ghost {
            origin,
            queued_at: clock.queued_at[usize::from(tick)],
            age: usize::from(age) * self.per_tick,
        })
    }

    /// Returns the group and the fingerprint of a key. A fingerprint is never zero.
    #[inline]
    fn locate(&self, hash: u64) -> (usize, u16) {
        // Mix again: the table and the choice of the shard use bits of the same hash.
        let mixed = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let group = ((mixed >> 32) * self.groups.len() as u64) >> 32;
        (group as usize, ((mixed >> 16) as u16 & !1).max(2))
    }
}

#[cfg(any(test, fuzzing))]
impl Ghosts {
    /// Checks the sizes and the clocks.
    pub(super) fn validate(&self) {
        assert_eq!(size_of::<Group>(), 64);
        if self.groups.is_empty() {
            return;
        }
        assert!(self.per_tick > 0 && self.max_age > 0);
        assert!(
            self.groups
                .iter()
                .all(|group| usize::from(group.next) <= WAYS)
        );
        for clock in &self.clocks {
            assert!(clock.count < self.per_tick && clock.queued_at.len() == 256);
        }
    }
}

#[cfg(test)]
mod tests;
