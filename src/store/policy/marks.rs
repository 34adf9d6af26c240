//! A byte for each entry.
//!
//! Readers share the lock, so a mark is an atomic. Two who read one entry at once may
//! count as one; whoever changes marks otherwise has the lock alone.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::index::IndexVec;
use crate::store::entry::EntryId;

/// How often the entry was read, at most three times.
pub(super) const READS: u8 = 3;
/// Whether the entry is in main.
pub(super) const MAIN: u8 = 4;
/// Whether there is an entry.
pub(super) const STORED: u8 = 8;

#[derive(Debug, Default)]
pub(super) struct EntryMarks(IndexVec<AtomicU8>);

impl EntryMarks {
    /// Makes `id` one that has a mark. `capacity` is for how many there will soon be.
    #[inline]
    pub(super) fn extend_to(&mut self, id: EntryId) {
        self.0.extend_to(id, AtomicU8::default);
    }

    #[inline]
    pub(super) fn get(&self, id: EntryId) -> u8 {
        self.0[id].load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn at(&mut self, id: EntryId) -> &mut u8 {
        self.0[id].get_mut()
    }

    /// An entry that is read over and over is not written to: its readers share the
    /// line.
    #[inline]
    pub(super) fn count_read(&self, id: EntryId) {
        let mark = &self.0[id];
        let seen = mark.load(Ordering::Relaxed);
        if seen & READS < READS {
            mark.store(seen + 1, Ordering::Relaxed);
        }
    }
}

#[cfg(any(test, fuzzing))]
impl EntryMarks {
    /// How many have all of these bits.
    pub(super) fn count(&self, bits: u8) -> usize {
        let all = (0..).zip(self.0.iter()).map(|(id, _)| self.get(id));
        all.filter(|mark| mark & bits == bits).count()
    }
}
