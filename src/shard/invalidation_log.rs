//! The recently invalidated tags, for loads with tags chosen by the loader.
//!
//! A load cannot pin a tag that the loader chooses at the end. So an invalidation is listed while
//! it visits the shards, and is recorded here after the last visit, if such a load is in flight.
//! At the end, the load asks whether a chosen tag is listed, or was recorded after the start,
//! under the same lock under which the load stores:
//!
//! 1. Load A claims the slot at sequence 7, and reads the database.
//! 2. Invalidation B of `g` is listed, visits the shards, and is recorded as number 8.
//! 3. A returns with the tag `g`. If A stores before B visits the shard of A, the visit reaches
//!    the entry. If A ends after the visit and before the record, A finds B in the list. If A ends
//!    later, A sees number 8. In the last two cases A does not store.
//!
//! The record comes after the visits, so that a load which began during the visits sees the
//! record too: its loader may have read through the cache what B had not reached yet.
//!
//! A waiter of A does not know the tags either, and may have called after B returned:
//!
//! 1. Invalidation B of `g` returns.
//! 2. Waiter C joins A and notes the sequence, 8.
//! 3. A completes with the tag `g`. Number 8 is after the start of A and not after the note
//!    of C, so C does not take the value, and looks again.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::PoisonError;

use super::visits::{Early, Named, Visits};
use crate::sync::{Arc, Mutex};

/// The number of remembered tags. An older load with chosen tags is not stored.
const MAX_LOGGED: usize = 65_536;

/// The number of tags recorded in one critical section: a load that ends waits no longer.
const RECORDED_AT_ONCE: usize = 1024;

/// The log. The small locks are the last locks taken, after the lock of a shard.
#[derive(Debug, Default)]
pub(crate) struct InvalidationLog {
    records: Mutex<LogRecords>,
    visits: Visits,
}

/// The data under the lock.
#[derive(Debug, Default)]
struct LogRecords {
    /// The number of loads in flight that may choose tags. Without any, nothing is recorded.
    readers: usize,
    /// The number of the last record.
    sequence: u64,
    /// The hashes of the last recorded names, oldest first; the newest has the number
    /// `sequence`. Two names with one hash may discard a value without need, and do no other
    /// harm.
    hashes: VecDeque<u64>,
    /// By hash: the numbers of the records, oldest first.
    numbers_by_hash: HashMap<u64, VecDeque<u64>>,
}

/// The invalidations of a load's chosen tags during the load.
#[derive(Debug, Default)]
pub(crate) enum Overlap {
    /// No chosen tag was invalidated.
    #[default]
    None,
    /// A chosen tag was invalidated; the first record has this number.
    At(u64),
    /// Perhaps: the log does not reach back to the start of the load.
    Forgotten,
}

impl Overlap {
    /// Returns `true` if an invalidation came before a joining waiter with this sequence,
    /// `false` if the waiter may take the value.
    pub(crate) fn overlaps_until(&self, joined_at: u64) -> bool {
        match self {
            Self::None => false,
            Self::At(number) => *number <= joined_at,
            Self::Forgotten => true,
        }
    }
}

/// The visits of an invalidation. Dropped after the last visit, records the tags.
pub(crate) struct Visiting<'a> {
    log: &'a InvalidationLog,
    named: Arc<Named>,
}

impl Drop for Visiting<'_> {
    fn drop(&mut self) {
        // guard: the tags are recorded after the visits, and before the visits end
        self.log.record(self.named.hashes());
        self.log.visits.end(&self.named);
    }
}

/// Keeps the log open. Closes the log when dropped, unless a load takes over.
pub(crate) struct LogReader<'a> {
    log: &'a InvalidationLog,
    pub(crate) sequence: u64,
}

impl LogReader<'_> {
    /// Hands the duty to close the log to the load.
    pub(crate) fn keep_open(self) {
        mem::forget(self);
    }
}

impl Drop for LogReader<'_> {
    fn drop(&mut self) {
        self.log.close();
    }
}

impl InvalidationLog {
    /// Runs `act` under the lock.
    fn write<R>(&self, act: impl FnOnce(&mut LogRecords) -> R) -> R {
        // No code of the caller runs under this lock, so poisoning is ignored.
        act(&mut self.records.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens the log for a load. Returns the sequence.
    fn open(&self) -> u64 {
        self.write(|records| {
            records.readers += 1;
            records.sequence
        })
    }

    /// Closes the log for a load.
    pub(crate) fn close(&self) {
        self.write(|records| {
            records.readers -= 1;
            // The last reader frees the memory. The sequence goes on: notes of waiters stay
            // comparable.
            if records.readers == 0 {
                records.hashes = VecDeque::new();
                records.numbers_by_hash = HashMap::new();
            }
        });
    }

    /// Opens the log while the guard lives, or for a load that takes over.
    pub(crate) fn reader(&self) -> LogReader<'_> {
        LogReader {
            log: self,
            sequence: self.open(),
        }
    }

    /// Returns the sequence, for a waiter that joins.
    pub(crate) fn sequence(&self) -> u64 {
        self.write(|records| records.sequence)
    }

    /// Lists an invalidation. Comes before the visit of any shard; the guard is dropped after the
    /// last visit.
    // guard: an invalidation is listed before a shard is visited
    pub(crate) fn begin_visits(&self, named: Named) -> Visiting<'_> {
        let named = Arc::new(named);
        self.visits.begin(Arc::clone(&named));
        Visiting { log: self, named }
    }

    /// Records invalidated tags by the hashes of the names.
    fn record(&self, hashes: &[u64]) {
        // A load that opens the log later starts after the visits, and so may store.
        if self.write(|records| records.readers == 0) {
            return;
        }
        let forgotten = hashes.len().saturating_sub(MAX_LOGGED);
        if forgotten > 0 {
            // Dropped after the unlock.
            drop(self.write(|records| records.forget(forgotten as u64)));
        }
        for hashes in hashes[forgotten..].chunks(RECORDED_AT_ONCE) {
            self.write(|records| hashes.iter().for_each(|&hash| records.record(hash)));
        }
    }

    /// Returns a mark for a load that starts now, if an invalidation of one of the tags visits the
    /// shards.
    #[inline]
    pub(super) fn early(&self, hashes: impl Iterator<Item = u64>) -> Option<Early> {
        self.visits.early(hashes)
    }

    /// Returns `true` if an early load may still be joined, `false` if an invalidation has ended.
    pub(super) fn is_joinable(&self, early: Early) -> bool {
        self.visits.is_joinable(early)
    }

    /// Returns `true` if an invalidation of one of these tags visits the shards now, `false` if
    /// none does.
    #[inline]
    pub(super) fn is_visiting(&self, hashes: impl Iterator<Item = u64>) -> bool {
        self.visits.names_any(hashes)
    }

    /// Returns the overlap of tags with the invalidations after the start of a load.
    pub(crate) fn overlap_since(&self, start: u64, hashes: impl Iterator<Item = u64>) -> Overlap {
        self.write(|records| records.overlap_since(start, hashes))
    }
}

impl LogRecords {
    /// Numbers more tags than the log can hold, and forgets all. Returns the forgotten records.
    fn forget(&mut self, more: u64) -> impl Sized + use<> {
        self.sequence += more;
        let hashes = mem::take(&mut self.hashes);
        (hashes, mem::take(&mut self.numbers_by_hash))
    }

    fn record(&mut self, hash: u64) {
        // Drop the oldest record first: the log never holds more.
        if self.hashes.len() == MAX_LOGGED {
            if let Some(oldest) = self.hashes.pop_front() {
                self.forget_first_of(oldest);
            }
        }
        self.sequence += 1;
        self.hashes.push_back(hash);
        self.numbers_by_hash
            .entry(hash)
            .or_default()
            .push_back(self.sequence);
    }

    /// Removes the oldest number of a hash.
    fn forget_first_of(&mut self, hash: u64) {
        if let Some(numbers) = self.numbers_by_hash.get_mut(&hash) {
            numbers.pop_front();
            if numbers.is_empty() {
                self.numbers_by_hash.remove(&hash);
            }
        }
    }

    /// Returns the number of the oldest record, or the next number if there is no record.
    fn first(&self) -> u64 {
        self.sequence + 1 - self.hashes.len() as u64
    }

    fn overlap_since(&self, start: u64, hashes: impl Iterator<Item = u64>) -> Overlap {
        let mut hashes = hashes.peekable();
        // The common cases, without a search: no chosen tags, or no invalidation since the
        // start.
        if hashes.peek().is_none() || start == self.sequence {
            return Overlap::None;
        }
        let first = self.first();
        // A record after the start was dropped, and may have been any tag.
        if start + 1 < first {
            return Overlap::Forgotten;
        }
        // Of each tag, the first record after the start; of all tags, the earliest.
        let first_after_start = |hash: u64| {
            let numbers = self.numbers_by_hash.get(&hash)?;
            // guard: the first invalidation after the start of a load is seen
            let place = numbers.partition_point(|&number| number <= start);
            numbers.get(place).copied()
        };
        hashes
            .filter_map(first_after_start)
            .min()
            .map_or(Overlap::None, Overlap::At)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(log: &InvalidationLog, start: u64, tags: &[u64]) -> Option<u64> {
        match log.overlap_since(start, tags.iter().copied()) {
            Overlap::None => None,
            Overlap::At(number) => Some(number),
            Overlap::Forgotten => panic!("the log was too short"),
        }
    }

    #[test]
    fn record_without_readers_writes_nothing() {
        let log = InvalidationLog::default();
        log.record(&[1]);
        assert_eq!(log.open(), 0);
        log.record(&[1]);
        log.close();
        assert!(log.records.lock().unwrap().hashes.is_empty());
        assert_eq!(log.open(), 1);
    }

    #[test]
    fn dropped_reader_closes_the_log() {
        let log = InvalidationLog::default();
        drop(log.reader());
        log.record(&[1]);
        assert_eq!(log.sequence(), 0);
        log.reader().keep_open();
        log.record(&[1]);
        assert_eq!(log.sequence(), 1);
    }

    #[test]
    fn overlap_finds_the_first_record_after_the_start() {
        let log = InvalidationLog::default();
        log.open();
        log.record(&[1, 2]);
        let start = log.open();
        log.record(&[2, 3, 2]);
        assert_eq!(first(&log, start, &[1]), None);
        assert_eq!(first(&log, start, &[2]), Some(3));
        assert_eq!(first(&log, 3, &[2]), Some(5));
        assert_eq!(first(&log, start, &[3, 1]), Some(4));
        assert_eq!(first(&log, start, &[]), None);
        // The waiter of number 2 came before the record with number 3.
        let overlap = log.overlap_since(start, [2].into_iter());
        assert!(overlap.overlaps_until(3) && !overlap.overlaps_until(2));
    }

    #[test]
    fn dropped_records_overlap_with_any_tag() {
        let log = InvalidationLog::default();
        let start = log.open();
        let all = MAX_LOGGED as u64;
        log.record(&(0..all).collect::<Vec<_>>());
        assert_eq!(first(&log, start, &[0, all]), Some(1));
        log.record(&[all + 1]);
        let forgotten = log.overlap_since(start, [all].into_iter());
        assert!(matches!(forgotten, Overlap::Forgotten) && forgotten.overlaps_until(0));
        assert!(!log.records.lock().unwrap().numbers_by_hash.contains_key(&0));
        assert_eq!(first(&log, start + 1, &[0, 1]), Some(2));
        assert!(matches!(
            log.overlap_since(start, [].into_iter()),
            Overlap::None
        ));
    }

    #[test]
    fn more_tags_than_the_log_holds_overlap_with_any_tag() {
        let log = InvalidationLog::default();
        let start = log.open();
        let more = MAX_LOGGED as u64 + 9;
        log.record(&(0..more).collect::<Vec<_>>());
        assert_eq!(log.sequence(), start + more);
        let forgotten = log.overlap_since(start, [more].into_iter());
        assert!(matches!(forgotten, Overlap::Forgotten));
        assert_eq!(first(&log, start + 9, &[0, 9, 10]), Some(10));
    }

    #[test]
    fn visited_tags_are_recorded_after_the_visits() {
        let log = InvalidationLog::default();
        let visiting = log.begin_visits(Named::tags([7].into_iter()));
        // A load that began during the visits sees both the list and the later record.
        let start = log.open();
        assert!(log.is_visiting([7].into_iter()));
        assert!(log.early([7].into_iter()).is_some());
        assert_eq!(first(&log, start, &[7]), None);
        drop(visiting);
        assert!(!log.is_visiting([7].into_iter()));
        assert_eq!(first(&log, start, &[7]), Some(start + 1));
    }
}
