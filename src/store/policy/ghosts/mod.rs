//! Keys that were evicted not long ago.
//!
//! Of each: fifteen bits of its hash, which queue it was in, and eight bits of the time.
//! They are in groups of one line of the processor's cache, so that one line is touched
//! to look a key up and one to add it; in a group the oldest is overwritten. Time is
//! counted in evictions from a key's queue, and cut into ticks.

use crate::index::Index;

/// For how many evictions a ghost is known, by the number of entries, and for how many at
/// least: in a small cache there is much to learn from and little to pay.
const GHOSTS_PER_ENTRY: usize = 3;
const MIN_GHOSTS: usize = 256;

/// How many ghosts a group has.
const WAYS: usize = 20;
/// About how many ticks a ghost lives.
const TICKS: usize = 96;

#[derive(Debug, Default)]
pub(super) struct Ghosts {
    groups: Vec<Group>,
    /// How many entries there were when the groups were made.
    len: usize,
    /// How many evictions are a tick.
    per_tick: usize,
    /// The age in ticks at which a ghost is no more; at about that age it is overwritten.
    dead: u8,
    /// Of young and of main.
    clocks: [GhostClock; 2],
}

#[derive(Debug, Default)]
struct GhostClock {
    tick: u8,
    /// How many evictions there were in this tick.
    count: usize,
    /// By tick: when the first of its ghosts was born.
    born: Vec<Index>,
}

#[derive(Clone, Debug, Default)]
#[repr(align(64))]
struct Group {
    /// The lowest bit is the origin. Zero is no ghost.
    fingerprints: [u16; WAYS],
    ticks: [u8; WAYS],
    /// The way that is overwritten next.
    next: u8,
}

/// Which queue a ghost was in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Young,
    Main,
}

#[derive(Debug)]
pub(super) struct Ghost {
    pub(super) origin: Origin,
    /// What was main's next number when the key was stored, or if it was in main, its own
    /// number; that of the first ghost of its tick.
    pub(super) born: Index,
    /// How many evictions from its queue there were since, in whole ticks.
    pub(super) age: usize,
}

impl Ghosts {
    /// Makes room for the ghosts of so many entries. If that is far from what there was
    /// room for, the ghosts are forgotten.
    #[inline]
    pub(super) fn fit(&mut self, len: usize) {
        if len > self.len + self.len / 4 || len < self.len / 3 {
            self.rebuild(len);
        }
    }

    #[cold]
    fn rebuild(&mut self, len: usize) {
        let life = (len * GHOSTS_PER_ENTRY).max(MIN_GHOSTS);
        self.len = len;
        self.per_tick = life / TICKS;
        self.dead = life.div_ceil(self.per_tick) as u8;
        // Some are taken before they are overwritten.
        self.groups = vec![Group::default(); (life * 5 / 6).div_ceil(WAYS)];
        for clock in &mut self.clocks {
            *clock = GhostClock {
                tick: 0,
                count: 0,
                born: vec![0; 256],
            };
        }
    }

    /// Adds the ghost of a key, after `fit`.
    #[inline]
    pub(super) fn put(&mut self, hash: u64, origin: Origin, born: Index) {
        let (group, print) = self.locate(hash);
        let clock = &mut self.clocks[origin as usize];
        if clock.count == 0 {
            clock.born[usize::from(clock.tick)] = born;
        }
        let group = &mut self.groups[group];
        let way = usize::from(group.next) % WAYS;
        group.fingerprints[way] = print | origin as u16;
        group.ticks[way] = clock.tick;
        group.next = way as u8 + 1;
        clock.count += 1;
        if clock.count == self.per_tick {
            clock.count = 0;
            clock.tick = clock.tick.wrapping_add(1);
        }
    }

    /// Takes the ghost of a key that is stored again.
    #[inline]
    pub(super) fn take(&mut self, hash: u64) -> Option<Ghost> {
        if self.groups.is_empty() {
            return None;
        }
        let (group, print) = self.locate(hash);
        let group = &mut self.groups[group];
        let is_it = |other: &u16| other & !1 == print;
        // Most often there is none: a pass without branches says so.
        if !group
            .fingerprints
            .iter()
            .fold(false, |any, it| any | is_it(it))
        {
            return None;
        }
        let way = group.fingerprints.iter().position(is_it)?;
        let origin = match group.fingerprints[way] & 1 {
            0 => Origin::Young,
            _ => Origin::Main,
        };
        group.fingerprints[way] = 0;
        let clock = &self.clocks[origin as usize];
        let tick = group.ticks[way];
        let age = clock.tick.wrapping_sub(tick);
        (age < self.dead).then(|| Ghost {
            origin,
            born: clock.born[usize::from(tick)],
            age: usize::from(age) * self.per_tick,
        })
    }

    /// The group of a key and its print, which is never zero.
    #[inline]
    fn locate(&self, hash: u64) -> (usize, u16) {
        // The table and the choice of the shard use the same hash.
        let mixed = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let group = ((mixed >> 32) * self.groups.len() as u64) >> 32;
        (group as usize, ((mixed >> 16) as u16 & !1).max(2))
    }
}

#[cfg(any(test, fuzzing))]
impl Ghosts {
    pub(super) fn validate(&self) {
        assert_eq!(size_of::<Group>(), 64);
        if self.groups.is_empty() {
            return;
        }
        assert!(self.per_tick > 0 && self.dead > 0);
        assert!(
            self.groups
                .iter()
                .all(|group| usize::from(group.next) <= WAYS)
        );
        for clock in &self.clocks {
            assert!(clock.count < self.per_tick && clock.born.len() == 256);
        }
    }
}

#[cfg(test)]
mod tests;
