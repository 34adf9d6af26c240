//! Entries in the order of expiry: a hierarchical timing wheel.
//!
//! From G. Varghese and T. Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987.
//!
//! - A deadline is a number of 22 digits to the base 8. The wheel has a time, too.
//! - A deadline is filed under the highest digit in which the deadline differs from the time
//!   of the wheel. The position of this digit is the level, the value of the digit is the
//!   slot.
//! - So all entries at a lower level end before all entries at a higher level, and at each
//!   level the slots are in order.
//! - When the time reaches a slot, the entries of the slot are filed again, at lower levels.
//!
//! With a fixed deadline, and a clock that never goes back, an entry moves at most 22 times,
//! and each move takes a few steps. The order is exact, to the nanosecond, except among due
//! entries.

use crate::index::{Index, LinkedLists};
use crate::runtime::Moment;
use crate::store::entry::EntryId;

/// Bits in a digit.
// With more bits, entries would move less often, and the heads of an almost empty wheel
// would take more memory.
const BITS: u32 = 3;
/// Slots in a level.
const SLOTS: Index = 1 << BITS;
/// 64 bits make 22 digits.
const LEVELS: Index = 22;
/// Slot of the due entries, with deadlines not after the time of the wheel.
const DUE: Index = LEVELS * SLOTS;
/// Number of slots. Each slot is the head of a list. The node of an entry is the id plus
/// `HEADS`.
const HEADS: Index = DUE + 1;

/// The entries that can expire, and no others. Deadlines are kept with the entries, not here;
/// a caller passes them when needed.
#[derive(Debug, Default)]
pub(super) struct TimingWheel {
    /// Empty before the first deadline.
    lists: LinkedLists,
    /// A byte for each level, a bit for each slot. The bit is set if the slot may hold entries.
    occupied: [u8; LEVELS as usize],
    /// Time of the wheel. Entries filed under a level have later deadlines.
    time: u64,
    /// No entry is due, and no slot is reached, before this time.
    next_due_at: u64,
    /// The slot that contains the current time, while entries are left in the slot.
    current_slot: Option<Index>,
    /// Number of entries.
    len: usize,
}

/// A slot with the first and the last moment of the slot.
struct WheelSlot {
    index: Index,
    start: u64,
    end: u64,
}

impl TimingWheel {
    /// Returns the number of entries that can expire.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds an entry. Does nothing for the deadline `NEVER`.
    pub(super) fn insert(&mut self, id: EntryId, deadline: Moment) {
        if deadline == Moment::NEVER {
            return;
        }
        // A cache without deadlines never allocates the heads.
        if self.lists.is_empty() {
            self.lists.extend_to(DUE);
            (0..HEADS).for_each(|slot| self.lists.init_head(slot));
        }
        // Removals leave `next_due_at` too low, which costs a search. An empty wheel starts
        // again.
        if self.len == 0 {
            self.next_due_at = u64::MAX;
        }
        self.lists.extend_to(id + HEADS);
        self.file(id, deadline);
        self.len += 1;
    }

    /// Removes an entry. `deadline` is the current deadline of the entry; only the comparison
    /// with `NEVER` matters.
    pub(super) fn remove(&mut self, id: EntryId, deadline: Moment) {
        if deadline != Moment::NEVER {
            self.lists.unlink(id + HEADS);
            self.len -= 1;
        }
    }

    /// Returns an entry with a deadline not after `now`. The entry stays in the wheel.
    ///
    /// The deadline of a filed entry may have moved to a later time (a read of an entry with a
    /// time to idle). Such an entry is filed again when reached. Each re-filing takes one from
    /// `budget`. At zero the search stops and returns `None`, and due entries may remain.
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
            // 1. Due entries first.
            if let Some(id) = self.oldest(DUE) {
                let deadline = deadline(id);
                if deadline <= now {
                    return Some(id);
                }
                // Not due after all. If the deadline is not after the time of the wheel, the
                // clock has gone back, and the wheel follows. Else the deadline has moved.
                if deadline.nanos() <= self.time {
                    self.rewind(now.nanos());
                }
                self.refile(id, deadline, budget)?;
                continue;
            }
            // 2. File the rest of the current slot again. `current_slot` stays over calls, so
            //    an exhausted budget loses nothing.
            if let Some(slot) = self.current_slot {
                let Some(id) = self.oldest(slot) else {
                    self.current_slot = None;
                    continue;
                };
                self.refile(id, deadline(id), budget)?;
                continue;
            }
            // 3. The first occupied slot holds the earliest deadlines.
            let slot = self.first_slot()?;
            // In the future: skip the search until then.
            if slot.start > now.nanos() {
                self.next_due_at = slot.start;
                return None;
            }
            // Wholly in the past: the entries are due in place. A moved deadline is filed again.
            if slot.end <= now.nanos() {
                let id = self.oldest(slot.index)?;
                let deadline = deadline(id);
                if deadline <= now {
                    return Some(id);
                }
                self.refile(id, deadline, budget)?;
                continue;
            }
            // 4. The slot contains `now`: advance the wheel, and file the entries again.
            self.time = now.nanos();
            self.current_slot = Some(slot.index);
        }
    }

    /// Moves the wheel back to an earlier time. Let `level` be the highest digit in which both
    /// times differ. All entries below this level share the digit of the later time there, so
    /// all of them go to the slot of this digit.
    fn rewind(&mut self, time: u64) {
        let level = level(self.time, time);
        let digit = digit(self.time, level);
        let slot = level * SLOTS + digit;
        (0..level * SLOTS).for_each(|below| self.lists.append(slot, below));
        self.occupied[level as usize] |= 1 << digit;
        // The current slot contains the later time. At `level` and below, the slot does not
        // contain the earlier time.
        self.current_slot = self
            .current_slot
            .filter(|&current_slot| current_slot >= (level + 1) * SLOTS);
        self.time = time;
    }

    /// Files an entry again, for one unit of `budget`. Returns `None` if the budget is
    /// exhausted.
    fn refile(&mut self, id: EntryId, deadline: Moment, budget: &mut usize) -> Option<()> {
        *budget = budget.checked_sub(1)?;
        self.lists.unlink(id + HEADS);
        self.file(id, deadline);
        Some(())
    }

    /// Returns the entry that is longest in a slot.
    fn oldest(&self, slot: Index) -> Option<EntryId> {
        Some(self.lists.oldest(slot)? - HEADS)
    }

    /// Returns the first occupied slot, and clears the bits of empty slots on the way.
    #[allow(clippy::cast_possible_truncation, reason = "a digit is small")]
    fn first_slot(&mut self) -> Option<WheelSlot> {
        for (level, occupied) in (0..).zip(&mut self.occupied) {
            while *occupied != 0 {
                let digit = occupied.trailing_zeros() as Index;
                let index = level * SLOTS + digit;
                if self.lists.oldest(index).is_some() {
                    // The digits above are the digits of the wheel's time; the digits below are
                    // free.
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

    /// Files an entry under the deadline. Lowers `next_due_at` if needed.
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

/// Returns the number of bits below a digit.
#[allow(clippy::useless_conversion, reason = "an index may be narrow")]
fn shift(level: Index) -> u32 {
    u32::from(level) * BITS
}

/// Returns the highest digit in which two different times differ.
#[allow(clippy::cast_possible_truncation, reason = "there are 22 levels")]
fn level(a: u64, b: u64) -> Index {
    ((a ^ b).ilog2() / BITS) as Index
}

/// Returns the value of a digit.
#[allow(clippy::cast_possible_truncation, reason = "a digit is small")]
fn digit(time: u64, level: Index) -> Index {
    (time >> shift(level)) as Index % SLOTS
}

#[cfg(any(test, fuzzing))]
impl TimingWheel {
    /// Checks every invariant inside. `entries` are all stored entries.
    pub(super) fn validate(&self, entries: &[(EntryId, Moment)]) {
        let expiring = entries
            .iter()
            .filter(|(_, deadline)| *deadline != Moment::NEVER);
        assert_eq!(self.len, expiring.clone().count());
        if self.len == 0 {
            return;
        }
        let mut filed = 0;
        for slot in 0..HEADS {
            for node in self.lists.validate(slot) {
                let deadline = expiring.clone().find(|(id, _)| id + HEADS == node);
                let deadline = deadline
                    .expect("an entry without a deadline is filed")
                    .1
                    .nanos();
                filed += 1;
                assert!(
                    self.next_due_at <= deadline,
                    "next_due_at is after the deadline"
                );
                // The wheel has reached these two slots, so there is no lower bound on the
                // deadlines.
                if slot == DUE || self.current_slot == Some(slot) {
                    continue;
                }
                let (level, digit) = (slot / SLOTS, u64::from(slot % SLOTS));
                let shift = shift(level);
                assert!(self.occupied[level as usize] & (1 << digit) != 0);
                assert!(self.time < deadline, "the wheel has passed a deadline");
                // A deadline may have moved to a later time since the filing.
                let above = u64::MAX.checked_shl(shift + BITS).unwrap_or(0);
                let start = (self.time & above) | digit << shift;
                assert!(
                    self.next_due_at <= start && start <= deadline,
                    "the slot starts too late"
                );
            }
        }
        assert_eq!(filed, self.len);
    }
}

#[cfg(test)]
mod tests;
