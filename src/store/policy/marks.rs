//! A byte of flags for each entry.
//!
//! Readers share the lock, so the byte is an atomic. Every other change happens under the
//! exclusive lock.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::index::IndexVec;
use crate::store::entry::EntryId;

/// The number of reads, at most three.
pub(super) const READS: u8 = 3;
/// Set if the entry is in main.
pub(super) const MAIN: u8 = 4;
/// Set if the id names an entry.
pub(super) const STORED: u8 = 8;

/// The flags of all entries, by id.
#[derive(Debug, Default)]
pub(super) struct EntryMarks(IndexVec<AtomicU8>);

impl EntryMarks {
    /// Makes `id` valid, with no flag set.
    #[inline]
    pub(super) fn extend_to(&mut self, id: EntryId) {
        self.0.extend_to(id, AtomicU8::default);
    }

    /// Returns the flags of an entry.
    #[inline]
    pub(super) fn get(&self, id: EntryId) -> u8 {
        self.0[id].load(Ordering::Relaxed)
    }

    /// Returns the flags for a change, under the exclusive lock.
    #[inline]
    pub(super) fn at(&mut self, id: EntryId) -> &mut u8 {
        self.0[id].get_mut()
    }

    /// Counts a read, up to three.
    #[inline]
    pub(super) fn count_read(&self, id: EntryId) {
        let mark = &self.0[id];
        // Not a compare-and-swap, since two reads at once may count as one read:
        // 1. A and B load one read.
        // 2. A and B store two reads.
        // No other bit can be lost: readers change only the count, and every other change holds the
        // lock alone.
        let seen = mark.load(Ordering::Relaxed);
        if seen & READS < READS {
            // An entry with three reads is not written to, so the readers share the cache line.
            mark.store(seen + 1, Ordering::Relaxed);
        }
    }
}

#[cfg(any(test, fuzzing))]
impl EntryMarks {
    /// Returns the number of entries with all of these flags.
    pub(super) fn count(&self, bits: u8) -> usize {
        let all = (0..).zip(self.0.iter()).map(|(id, _)| self.get(id));
        all.filter(|mark| mark & bits == bits).count()
    }
}
