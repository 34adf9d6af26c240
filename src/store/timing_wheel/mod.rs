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

use crate::index::{Index, LinkedLists};
use crate::runtime::Moment;
use crate::store::entry::EntryId;

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
pub(super) struct TimingWheel {
    /// None before the first deadline.
    lists: LinkedLists,
    /// Of each level, a bit a slot: set if there may be something in it.
    occupied: [u8; LEVELS as usize],
    /// What the wheel stands at. Nothing is filed by level that ends before it.
    time: u64,
    /// Before this time there is nothing to do.
    next_due_at: u64,
    /// The slot that the time has come to, while there is something left in it.
    current_slot: Option<Index>,
    len: usize,
}

/// A slot, as its first and its last moment.
struct WheelSlot {
    index: Index,
    start: u64,
    end: u64,
}

impl TimingWheel {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds an entry. `capacity` is for how many entries there will soon be room.
    pub(super) fn insert(&mut self, id: EntryId, deadline: Moment) {
        if deadline == Moment::NEVER {
            return;
        }
        if self.lists.is_empty() {
            self.lists.extend_to(DUE);
            (0..HEADS).for_each(|slot| self.lists.init_head(slot));
        }
        if self.len == 0 {
            self.next_due_at = u64::MAX;
        }
        self.lists.extend_to(id + HEADS);
        self.file(id, deadline);
        self.len += 1;
    }

    /// Takes an entry out. `deadline` is the one it was added with, or any that has taken
    /// its place.
    pub(super) fn remove(&mut self, id: EntryId, deadline: Moment) {
        if deadline != Moment::NEVER {
            self.lists.unlink(id + HEADS);
            self.len -= 1;
        }
    }

    /// An entry whose time has come. Deadlines may have moved meanwhile, to a later time:
    /// who comes upon such an entry files it again.
    ///
    /// Each entry that is filed again on the way takes one from `budget`: when none is
    /// left, more may be due than was found.
    pub(super) fn next_due(
        &mut self,
        now: Moment,
        budget: &mut usize,
        deadline: impl Fn(EntryId) -> Moment,
    ) -> Option<EntryId> {
        if self.len == 0 || now.nanos() < self.next_due_at {
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
                    self.rewind(now.nanos());
                }
                self.refile(id, at, budget)?;
                continue;
            }
            if let Some(slot) = self.current_slot {
                let Some(id) = self.oldest(slot) else {
                    self.current_slot = None;
                    continue;
                };
                self.refile(id, deadline(id), budget)?;
                continue;
            }
            let slot = self.first_slot()?;
            if slot.start > now.nanos() {
                self.next_due_at = slot.start;
                return None;
            }
            if slot.end <= now.nanos() {
                let id = self.oldest(slot.index)?;
                let at = deadline(id);
                if at <= now {
                    return Some(id);
                }
                self.refile(id, at, budget)?;
                continue;
            }
            self.time = now.nanos();
            self.current_slot = Some(slot.index);
        }
    }

    /// Lets the wheel stand at an earlier time. All that is filed below the highest digit in
    /// which the two differ has the later one's digit there: it goes to that slot.
    fn rewind(&mut self, time: u64) {
        let level = level(self.time, time);
        let digit = digit(self.time, level);
        let slot = level * SLOTS + digit;
        (0..level * SLOTS).for_each(|below| self.lists.append(slot, below));
        self.occupied[level as usize] |= 1 << digit;
        self.current_slot = self
            .current_slot
            .filter(|&current_slot| current_slot >= (level + 1) * SLOTS);
        self.time = time;
    }

    fn refile(&mut self, id: EntryId, deadline: Moment, budget: &mut usize) -> Option<()> {
        *budget = budget.checked_sub(1)?;
        self.lists.unlink(id + HEADS);
        self.file(id, deadline);
        Some(())
    }

    fn oldest(&self, slot: Index) -> Option<EntryId> {
        Some(self.lists.oldest(slot)? - HEADS)
    }

    /// The first slot with something in it.
    #[allow(clippy::cast_possible_truncation, reason = "a digit is small")]
    fn first_slot(&mut self) -> Option<WheelSlot> {
        for (level, occupied) in (0..).zip(&mut self.occupied) {
            while *occupied != 0 {
                let digit = occupied.trailing_zeros() as Index;
                let index = level * SLOTS + digit;
                if self.lists.oldest(index).is_some() {
                    // The digits above are those of the wheel's time, those below any.
                    let shift = shift(level);
                    let above = u64::MAX.checked_shl(shift + BITS).unwrap_or(0);
                    let start = (self.time & above) | (u64::from(digit) << shift);
                    let end = start | ((1 << shift) - 1);
                    return Some(WheelSlot { index, start, end });
                }
                *occupied &= *occupied - 1;
            }
        }
        None
    }

    fn file(&mut self, id: EntryId, deadline: Moment) {
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
        self.next_due_at = self.next_due_at.min(start);
        self.lists.push(slot, id + HEADS);
    }
}

/// How many bits are below a digit.
#[allow(clippy::useless_conversion, reason = "indices may be to_index")]
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
impl TimingWheel {
    /// Checks every inner invariant. `entries` are all there are.
    pub(super) fn validate(&self, entries: &[(EntryId, Moment)]) {
        let expiring = entries.iter().filter(|(_, at)| *at != Moment::NEVER);
        assert_eq!(self.len, expiring.clone().count());
        if self.len == 0 {
            return;
        }
        let mut filed = 0;
        for slot in 0..HEADS {
            for node in self.lists.validate(slot) {
                let at = expiring.clone().find(|(id, _)| id + HEADS == node);
                let at = at.expect("an entry that cannot expire").1.nanos();
                filed += 1;
                assert!(self.next_due_at <= at, "an entry would be late");
                if slot == DUE || self.current_slot == Some(slot) {
                    continue;
                }
                let (level, digit) = (slot / SLOTS, u64::from(slot % SLOTS));
                let shift = shift(level);
                assert!(self.occupied[level as usize] & (1 << digit) != 0);
                assert!(self.time < at, "the wheel has gone past an entry");
                // A deadline may have moved to a later time since it was filed.
                let above = u64::MAX.checked_shl(shift + BITS).unwrap_or(0);
                let start = (self.time & above) | digit << shift;
                assert!(
                    self.next_due_at <= start && start <= at,
                    "its slot would be late"
                );
            }
        }
        assert_eq!(filed, self.len);
    }
}

#[cfg(test)]
mod tests;
