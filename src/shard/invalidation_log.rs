//! Which tags were invalidated lately: for loads whose tags are not known before they end.
//!
//! A load that names its own tags cannot hold them while it runs. So every invalidation of
//! tags is written down here while such a load is in flight, before it visits the shards;
//! and the load asks, under the lock in which it stores, whether one of its tags is among
//! those written down since it began:
//!
//! 1. The load takes its seat at sequence 7, and reads the database.
//! 2. An invalidation of `g` writes `g` down, as number 8, and then visits the shards.
//! 3. The load says that `g` is a tag of its. If it stores before the visit to its shard, the
//!    visit finds it; if after, it has seen number 8, and does not store.
//!
//! Whoever joins such a load cannot know its tags either, and may have come after the
//! invalidation. So a joiner notes the sequence, and looks again if number 8 was there when
//! it came.

use std::collections::{HashMap, VecDeque};
use std::sync::PoisonError;

use crate::sync::Mutex;

/// How many invalidated tags are remembered. A load that is older than the memory, and
/// names tags, is not stored.
const MAX_LOGGED: usize = 65_536;

#[derive(Debug, Default)]
pub(crate) struct InvalidationLog(Mutex<LogRecords>);

#[derive(Debug, Default)]
struct LogRecords {
    /// How many loads in flight may name tags. While there is none, nothing is written.
    readers: usize,
    /// The number of the last mark.
    sequence: u64,
    /// The hashes of the last marks' names; the last of them has the number `sequence`. Two
    /// names with one hash can only discard what might have been stored.
    marks: VecDeque<u64>,
    /// By hash: the numbers of its marks, in order.
    numbers: HashMap<u64, VecDeque<u64>>,
}

/// Which of a load's own tags were invalidated while it ran.
#[derive(Debug, Default)]
pub(crate) enum Overlap {
    #[default]
    None,
    /// First by the mark of this number.
    At(u64),
    /// Perhaps: the memory does not go back to its start.
    Forgotten,
}

impl Overlap {
    /// Whether an invalidation came before a joiner that noted the sequence.
    pub(crate) fn overlaps_until(&self, note: u64) -> bool {
        match self {
            Self::None => false,
            Self::At(number) => *number <= note,
            Self::Forgotten => true,
        }
    }
}

/// Closes the journal, unless a load takes over.
pub(crate) struct LogReader<'a> {
    log: &'a InvalidationLog,
    pub(crate) sequence: u64,
}

impl LogReader<'_> {
    /// The load closes the journal when it ends.
    pub(crate) fn keep_open(self) {
        std::mem::forget(self);
    }
}

impl Drop for LogReader<'_> {
    fn drop(&mut self) {
        self.log.close();
    }
}

impl InvalidationLog {
    fn write<R>(&self, act: impl FnOnce(&mut LogRecords) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens the journal for a load, and gives the sequence.
    fn open(&self) -> u64 {
        self.write(|records| {
            records.readers += 1;
            records.sequence
        })
    }

    pub(crate) fn close(&self) {
        self.write(|records| {
            records.readers -= 1;
            if records.readers == 0 {
                records.marks = VecDeque::new();
                records.numbers = HashMap::new();
            }
        });
    }

    /// Opens the journal for as long as the guard lives, or for the load that takes it over.
    pub(crate) fn reader(&self) -> LogReader<'_> {
        LogReader {
            log: self,
            sequence: self.open(),
        }
    }

    /// The sequence, for a joiner.
    pub(crate) fn sequence(&self) -> u64 {
        self.write(|records| records.sequence)
    }

    /// Writes invalidated tags down, by the hashes of their names: before a shard is visited.
    pub(crate) fn record(&self, hashes: impl Iterator<Item = u64>) {
        self.write(|records| {
            if records.readers > 0 {
                hashes.for_each(|hash| records.record(hash));
            }
        });
    }

    /// Which of these tags were marked after a load began.
    pub(crate) fn overlap_since(&self, start: u64, hashes: impl Iterator<Item = u64>) -> Overlap {
        self.write(|records| records.overlap_since(start, hashes))
    }
}

impl LogRecords {
    fn record(&mut self, hash: u64) {
        if self.marks.len() == MAX_LOGGED {
            if let Some(oldest) = self.marks.pop_front() {
                self.forget_first_of(oldest);
            }
        }
        self.sequence += 1;
        self.marks.push_back(hash);
        self.numbers
            .entry(hash)
            .or_default()
            .push_back(self.sequence);
    }

    fn forget_first_of(&mut self, hash: u64) {
        if let Some(numbers) = self.numbers.get_mut(&hash) {
            numbers.pop_front();
            if numbers.is_empty() {
                self.numbers.remove(&hash);
            }
        }
    }

    /// The number of the oldest mark, if there is any.
    fn first(&self) -> u64 {
        self.sequence + 1 - self.marks.len() as u64
    }

    fn overlap_since(&self, start: u64, hashes: impl Iterator<Item = u64>) -> Overlap {
        let mut hashes = hashes.peekable();
        if hashes.peek().is_none() || start == self.sequence {
            return Overlap::None;
        }
        let first = self.first();
        if start + 1 < first {
            return Overlap::Forgotten;
        }
        let first_after_start = |hash: u64| {
            let numbers = self.numbers.get(&hash)?;
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
            Overlap::Forgotten => panic!("forgotten"),
        }
    }

    #[test]
    fn nothing_is_written_while_nobody_reads() {
        let log = InvalidationLog::default();
        log.record([1].into_iter());
        assert_eq!(log.open(), 0);
        log.record([1].into_iter());
        log.close();
        assert!(log.0.lock().unwrap().marks.is_empty());
        assert_eq!(log.open(), 1);
    }

    #[test]
    fn who_opens_it_and_does_not_load_closes_it() {
        let log = InvalidationLog::default();
        drop(log.reader());
        log.record([1].into_iter());
        assert_eq!(log.sequence(), 0);
        log.reader().keep_open();
        log.record([1].into_iter());
        assert_eq!(log.sequence(), 1);
    }

    #[test]
    fn a_load_sees_every_mark_of_its_tags_since_it_began() {
        let log = InvalidationLog::default();
        log.open();
        log.record([1, 2].into_iter());
        let start = log.open();
        log.record([2, 3, 2].into_iter());
        assert_eq!(first(&log, start, &[1]), None);
        assert_eq!(first(&log, start, &[2]), Some(3));
        assert_eq!(first(&log, 3, &[2]), Some(5));
        assert_eq!(first(&log, start, &[3, 1]), Some(4));
        assert_eq!(first(&log, start, &[]), None);
        let of_two = log.overlap_since(start, [2].into_iter());
        assert!(of_two.overlaps_until(3) && !of_two.overlaps_until(2));
    }

    #[test]
    fn what_was_forgotten_may_have_been_any_tag() {
        let log = InvalidationLog::default();
        let start = log.open();
        let all = MAX_LOGGED as u64;
        log.record(0..all);
        assert_eq!(first(&log, start, &[0, all]), Some(1));
        log.record([all + 1].into_iter());
        let forgotten = log.overlap_since(start, [all].into_iter());
        assert!(matches!(forgotten, Overlap::Forgotten) && forgotten.overlaps_until(0));
        assert!(!log.0.lock().unwrap().numbers.contains_key(&0));
        assert_eq!(first(&log, start + 1, &[0, 1]), Some(2));
        assert!(matches!(
            log.overlap_since(start, [].into_iter()),
            Overlap::None
        ));
    }
}
