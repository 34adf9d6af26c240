//! Entries in the order they expire: a hierarchical timing wheel.
//!
//! From G. Varghese and T. Lauck, "Hashed and Hierarchical Timing Wheels", SOSP
//! 1987. A deadline is a number of 22 digits to the base 8. The wheel stands at
//! some time; a deadline is filed under the highest digit in which it differs from
//! that time (the level) and under that digit (the slot). So all that is filed at a
//! lower level ends before all that is filed at a higher one, and at one level the
//! slots are in order. When the time comes to a slot, what is in it is filed again,
//! at lower levels: each entry moves at most 22 times, and every move is a few steps.
//! The order is exact, to the nanosecond, but among those that are due.

use super::entry::Id;
use crate::index::{Index, Rings};
use crate::runtime::Moment;

/// Three bits make a digit: with larger ones entries would move less often, and the
/// heads of an almost empty wheel take more room.
const BITS: u32 = 3;
const SLOTS: Index = 1 << BITS;
/// 64 bits make 22 digits.
const LEVELS: Index = 22;
/// The slot of what is not after the wheel's time.
const DUE: Index = LEVELS * SLOTS;
/// How many slots there are: the heads of the rings. The node of an entry is its id and
/// this.
const HEADS: Index = DUE + 1;

/// The entries that can expire, and no others. It is told their deadlines when it needs
/// them: they are kept with the entries.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// None before the first deadline.
    rings: Rings,
    /// Of each level, a bit a slot: set if there may be something in it.
    occupied: [u8; LEVELS as usize],
    /// What the wheel stands at. Nothing is filed by level that ends before it.
    time: u64,
    /// Before this time there is nothing to do.
    wakes: u64,
    /// The slot that the time has come to, while there is something left in it.
    entered: Option<Index>,
    len: usize,
}

/// A slot, as its first and its last moment.
struct Slot {
    index: Index,
    start: u64,
    end: u64,
}

impl Deadlines {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds an entry. `capacity` is for how many entries there will soon be room.
    pub(super) fn insert(&mut self, id: Id, deadline: Moment, capacity: usize) {
        if deadline == Moment::NEVER {
            return;
        }
        if self.rings.is_empty() {
            self.rings.reach(DUE, 0);
            (0..HEADS).for_each(|slot| self.rings.found(slot));
        }
        if self.len == 0 {
            self.wakes = u64::MAX;
        }
        self.rings.reach(id + HEADS, capacity + HEADS as usize);
        self.file(id, deadline);
        self.len += 1;
    }

    /// Takes an entry out. `deadline` is the one it was added with, or any that has taken
    /// its place.
    pub(super) fn remove(&mut self, id: Id, deadline: Moment) {
        if deadline != Moment::NEVER {
            self.rings.unlink(id + HEADS);
            self.len -= 1;
        }
    }

    /// An entry whose time has come. Deadlines may have moved meanwhile, to a later time:
    /// who comes upon such an entry files it again.
    ///
    /// Each entry that is filed again on the way takes one from `patience`: when none is
    /// left, more may be due than was found.
    pub(super) fn next_due(
        &mut self,
        now: Moment,
        patience: &mut usize,
        deadline: impl Fn(Id) -> Moment,
    ) -> Option<Id> {
        if self.len == 0 || now.nanos() < self.wakes {
            return None;
        }
        loop {
            if let Some(id) = self.oldest(DUE) {
                let at = deadline(id);
                if at <= now {
                    return Some(id);
                }
                // It has moved; or the clock has gone back, and so does the wheel.
                if at.nanos() <= self.time {
                    self.go_back(now.nanos());
                }
                self.file_again(id, at, patience)?;
                continue;
            }
            if let Some(slot) = self.entered {
                let Some(id) = self.oldest(slot) else {
                    self.entered = None;
                    continue;
                };
                self.file_again(id, deadline(id), patience)?;
                continue;
            }
            let slot = self.first_slot()?;
            if slot.start > now.nanos() {
                self.wakes = slot.start;
                return None;
            }
            if slot.end <= now.nanos() {
                let id = self.oldest(slot.index)?;
                let at = deadline(id);
                if at <= now {
                    return Some(id);
                }
                self.file_again(id, at, patience)?;
                continue;
            }
            self.time = now.nanos();
            self.entered = Some(slot.index);
        }
    }

    /// Lets the wheel stand at an earlier time. All that is filed below the highest digit in
    /// which the two differ has the later one's digit there: it goes to that slot.
    fn go_back(&mut self, time: u64) {
        let level = level(self.time, time);
        let digit = digit(self.time, level);
        let slot = level * SLOTS + digit;
        (0..level * SLOTS).for_each(|below| self.rings.append(slot, below));
        self.occupied[level as usize] |= 1 << digit;
        self.entered = self
            .entered
            .filter(|&entered| entered >= (level + 1) * SLOTS);
        self.time = time;
    }

    fn file_again(&mut self, id: Id, deadline: Moment, patience: &mut usize) -> Option<()> {
        *patience = patience.checked_sub(1)?;
        self.rings.unlink(id + HEADS);
        self.file(id, deadline);
        Some(())
    }

    fn oldest(&self, slot: Index) -> Option<Id> {
        Some(self.rings.oldest(slot)? - HEADS)
    }

    /// The first slot with something in it.
    #[allow(clippy::cast_possible_truncation, reason = "a digit is small")]
    fn first_slot(&mut self) -> Option<Slot> {
        for (level, occupied) in (0..).zip(&mut self.occupied) {
            while *occupied != 0 {
                let digit = occupied.trailing_zeros() as Index;
                let index = level * SLOTS + digit;
                if self.rings.oldest(index).is_some() {
                    // The digits above are those of the wheel's time, those below any.
                    let shift = shift(level);
                    let above = u64::MAX.checked_shl(shift + BITS).unwrap_or(0);
                    let start = (self.time & above) | (u64::from(digit) << shift);
                    let end = start | ((1 << shift) - 1);
                    return Some(Slot { index, start, end });
                }
                *occupied &= *occupied - 1;
            }
        }
        None
    }

    fn file(&mut self, id: Id, deadline: Moment) {
        let deadline = deadline.nanos();
        let (slot, start) = if deadline <= self.time {
            (DUE, deadline)
        } else {
            let level = level(deadline, self.time);
            let digit = digit(deadline, level);
            self.occupied[level as usize] |= 1 << digit;
            let below = (1 << shift(level)) - 1;
            (level * SLOTS + digit, deadline & !below)
        };
        self.wakes = self.wakes.min(start);
        self.rings.push(slot, id + HEADS);
    }
}

/// How many bits are below a digit.
#[allow(clippy::useless_conversion, reason = "indices may be narrow")]
fn shift(level: Index) -> u32 {
    u32::from(level) * BITS
}

/// The highest digit in which two times differ.
#[allow(clippy::cast_possible_truncation, reason = "there are 22")]
fn level(a: u64, b: u64) -> Index {
    ((a ^ b).ilog2() / BITS) as Index
}

#[allow(clippy::cast_possible_truncation, reason = "a digit is small")]
fn digit(time: u64, level: Index) -> Index {
    (time >> shift(level)) as Index % SLOTS
}

#[cfg(any(test, fuzzing))]
impl Deadlines {
    /// Checks every inner invariant. `entries` are all there are.
    pub(super) fn validate(&self, entries: &[(Id, Moment)]) {
        let expiring = entries.iter().filter(|(_, at)| *at != Moment::NEVER);
        assert_eq!(self.len, expiring.clone().count());
        if self.len == 0 {
            return;
        }
        let mut filed = 0;
        for slot in 0..HEADS {
            for node in self.rings.validate(slot) {
                let at = expiring.clone().find(|(id, _)| id + HEADS == node);
                let at = at.expect("an entry that cannot expire").1.nanos();
                filed += 1;
                assert!(self.wakes <= at, "an entry would be late");
                if slot == DUE || self.entered == Some(slot) {
                    continue;
                }
                let (level, digit) = (slot / SLOTS, u64::from(slot % SLOTS));
                let shift = shift(level);
                assert!(self.occupied[level as usize] & (1 << digit) != 0);
                assert!(self.time < at, "the wheel has gone past an entry");
                // A deadline may have moved to a later time since it was filed.
                let above = u64::MAX.checked_shl(shift + BITS).unwrap_or(0);
                let start = (self.time & above) | digit << shift;
                assert!(self.wakes <= start && start <= at, "its slot would be late");
            }
        }
        assert_eq!(filed, self.len);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn nanos(nanos: u64) -> Moment {
        Moment::of(Duration::from_nanos(nanos))
    }

    /// The wheel beside what it must do.
    #[derive(Default)]
    struct World {
        wheel: Deadlines,
        at: Vec<(Id, Moment)>,
        next: Id,
    }

    impl World {
        fn add(&mut self, at: Moment) {
            self.wheel.insert(self.next, at, 0);
            self.at.push((self.next, at));
            self.next += 1;
        }

        fn due(&mut self, now: Moment, patience: &mut usize) -> Option<Moment> {
            let of = |id| self.at.iter().find(|(other, _)| *other == id).unwrap().1;
            let id = self.wheel.next_due(now, patience, of)?;
            let place = self.at.iter().position(|(other, _)| *other == id).unwrap();
            let (_, at) = self.at.swap_remove(place);
            self.wheel.remove(id, at);
            Some(at)
        }
    }

    #[test]
    fn one_nanosecond_tells() {
        let mut world = World::default();
        let high = 1 << 40;
        for at in [1, 63, 64, 65, 4095, 4096, high, high + 1, u64::MAX - 1] {
            world.add(nanos(at));
            assert_eq!(world.due(nanos(at - 1), &mut 100), None);
            assert_eq!(world.due(nanos(at), &mut 100), Some(nanos(at)));
        }
    }

    /// Each entry is filed again once a level at most.
    #[test]
    fn patience_is_not_wasted() {
        let mut world = World::default();
        (0..100).for_each(|at| world.add(nanos((1 << 30) + at)));
        let patience = &mut 600;
        for now in [1 << 29, (1 << 30) + 49] {
            while world.due(nanos(now), patience).is_some() {}
        }
        assert_eq!(world.at.len(), 50);
        assert!(*patience > 0);
    }

    #[test]
    fn patience_ends_and_the_rest_is_found_later() {
        let mut world = World::default();
        // All in one slot of a high level, which the time comes into the middle of.
        (0..100).for_each(|at| world.add(nanos((1 << 30) + at)));
        let now = nanos((1 << 30) + 49);
        let mut found = 0;
        for _ in 0..1000 {
            found += usize::from(world.due(now, &mut 1).is_some());
            world.wheel.validate(&world.at);
        }
        assert_eq!(found, 50);
    }

    #[test]
    fn a_clock_that_goes_back_loses_nothing() {
        let mut world = World::default();
        world.add(nanos(1_000_000));
        assert_eq!(world.due(nanos(900_000), &mut 100), None);
        world.add(nanos(500));
        assert_eq!(world.due(nanos(400), &mut 100), None);
        assert_eq!(world.due(nanos(500), &mut 100), Some(nanos(500)));
        assert_eq!(
            world.due(nanos(1_000_000), &mut 100),
            Some(nanos(1_000_000))
        );
    }

    #[test]
    fn what_is_added_after_the_clock_went_back_is_found_in_its_order() {
        let mut world = World::default();
        let (far, patience) = (1 << 62, &mut 100);
        world.add(nanos(far + 1));
        assert_eq!(world.due(nanos(far), patience), None);
        for at in [5000, 10, far - 1, 20] {
            world.add(nanos(at));
        }
        for at in [10, 20, 5000, far - 1, far + 1] {
            assert_eq!(world.due(nanos(at - 1), patience), None);
            assert_eq!(world.due(nanos(at), patience), Some(nanos(at)));
            world.wheel.validate(&world.at);
        }
    }

    proptest! {
        /// What is due is found, all of it and nothing else, whatever the deadlines, and
        /// wherever the clock goes.
        #[test]
        fn finds_what_a_list_would_find(
            steps in prop::collection::vec(
                (0_u32..50, 0_u32..60, 0..4, any::<u64>()),
                1..60,
            ),
        ) {
            let (mut world, mut now) = (World::default(), 0_u64);
            for (ahead, far, direction, random) in steps {
                for ahead in [ahead, ahead / 2, ahead % 7] {
                    let after = (random | 1) >> (63 - ahead);
                    world.add(nanos(now.saturating_add(after)));
                }
                // One of them was read, and is due later than it is filed.
                let moved = ahead as usize % world.at.len();
                let later = world.at[moved].1.nanos().saturating_add(random >> 40);
                if later < u64::MAX {
                    world.at[moved].1 = nanos(later);
                }
                now = match direction {
                    0 => now.saturating_sub(random >> (63 - far)),
                    _ => now.saturating_add(random >> (63 - far)),
                };
                // A write may stop on the way, and the next one come at any time.
                let hurried = direction < 2;
                let mut patience = if hurried { 3 } else { usize::MAX };
                while let Some(at) = world.due(nanos(now), &mut patience) {
                    prop_assert!(at <= nanos(now));
                    world.wheel.validate(&world.at);
                }
                let left = patience == 0 || world.at.iter().all(|(_, at)| *at > nanos(now) || *at == Moment::NEVER);
                prop_assert!(left, "something due was not found");
                world.wheel.validate(&world.at);
            }
        }
    }
}
