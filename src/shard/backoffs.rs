//! Back-offs: keys with a failed load, not to be loaded again for a while.
//!
//! A back-off ends early with the cause of the failure, if the cache hears of a change: a write,
//! a removal or an expiry of the key, or an invalidation of a tag of the failed load. The tags are
//! kept as hashes, and pin no name: 1,024 failures with 16 tags each take 0.4 MB in a shard.

use std::collections::VecDeque;

use hashbrown::HashTable;
use slab::Slab;
use smallvec::SmallVec;

use crate::error::CacheError;
use crate::key::{Key, SmallBytes};
use crate::runtime::{Moment, Now};
use crate::tags::HashedTag;

/// The largest number of remembered failures. A forgotten key is loaded too early: the price
/// is a load, never a wrong answer.
const MAX_BACKOFFS: usize = 1024;

/// The largest number of tags remembered with a failure. A failure with more tags ends with the
/// invalidation of any tag.
const MAX_TAGS: usize = 16;

/// A failed load.
#[derive(Debug)]
pub(super) struct Backoff {
    key: SmallBytes,
    hash: u64,
    /// The time of the failure.
    since: Moment,
    /// From this time on the key may be loaded. `ZERO` if ended early.
    until: Moment,
    /// The error of the load. Calls get a clone.
    error: CacheError,
    /// The sequence number of the failure.
    number: u64,
    tags: FailedTags,
}

/// The tags of a failed load, as hashes. Two names with one hash end the back-off of each other:
/// that costs a load, never an answer.
#[derive(Debug)]
pub(super) enum FailedTags {
    Hashes(SmallVec<[u64; 2]>),
    /// More than [`MAX_TAGS`].
    Many,
}

impl FromIterator<u64> for FailedTags {
    fn from_iter<T: IntoIterator<Item = u64>>(hashes: T) -> Self {
        let mut hashes = hashes.into_iter();
        let kept = hashes.by_ref().take(MAX_TAGS).collect();
        if hashes.next().is_some() {
            Self::Many
        } else {
            Self::Hashes(kept)
        }
    }
}

/// The remembered failures of a shard, at most one for a key.
#[derive(Debug, Default)]
pub(super) struct Backoffs {
    /// Finds the place of a failure by key.
    table: HashTable<usize>,
    failures: Slab<Backoff>,
    /// The places and numbers of the failures, oldest first. A number that differs from the
    /// number at the place belongs to a failure already removed.
    order: VecDeque<(usize, u64)>,
    /// The number of the last failure.
    last_number: u64,
    /// Finds the places of the failures with a tag, by the hash of the tag. At most
    /// `MAX_BACKOFFS * MAX_TAGS` pairs.
    by_tag: HashTable<(u64, usize)>,
    /// The number of failures with too many tags.
    with_many_tags: usize,
}

impl Backoffs {
    /// Returns the error of a key in back-off, or `None` if the key may be loaded.
    pub(super) fn error(&self, key: Key<'_>, now: impl FnOnce() -> Moment) -> Option<CacheError> {
        if self.is_empty() {
            return None;
        }
        let same = |&place: &usize| self.failures[place].is_of(key);
        let failure = &self.failures[*self.table.find(key.hash, same)?];
        // Read the clock only for a key with a failure: most calls find none.
        let now = now();
        // A clock that went back would prolong the back-off by the same time. A load is
        // cheaper.
        // guard: a back-off does not apply before the time of the failure
        let lasts = failure.since <= now && !failure.until.has_passed(now);
        lasts.then(|| failure.error.clone())
    }

    /// Remembers a failure. Returns the replaced failures, for the caller to drop after the
    /// unlock: dropping an error runs code of the caller.
    pub(super) fn add(
        &mut self,
        key: Key<'_>,
        (since, until): (Moment, Moment),
        error: CacheError,
        tags: FailedTags,
    ) -> [Option<Backoff>; 2] {
        // 1. Remove an earlier failure of the key, and if the table is full, the oldest
        //    failure.
        let same = self.take(key);
        let oldest = if self.failures.len() == MAX_BACKOFFS {
            self.take_oldest()
        } else {
            None
        };
        // 2. Store the failure, and make the key findable.
        self.last_number += 1;
        let place = self.failures.insert(Backoff {
            key: key.bytes.into(),
            hash: key.hash,
            since,
            until,
            error,
            number: self.last_number,
            tags,
        });
        let failures = &self.failures;
        let rehash = |&place: &usize| failures[place].hash;
        self.table.insert_unique(key.hash, place, rehash);
        match &self.failures[place].tags {
            FailedTags::Hashes(hashes) => {
                for &hash in hashes {
                    let rehash = |&(hash, _): &(u64, usize)| hash;
                    self.by_tag.insert_unique(hash, (hash, place), rehash);
                }
            }
            FailedTags::Many => self.with_many_tags += 1,
        }
        // 3. Append to the order. Removed failures are dropped from the order once half of the
        //    order is removed failures, so a call costs a constant number of steps on average.
        if self.order.len() == 2 * MAX_BACKOFFS {
            self.order.retain(|&(place, number)| {
                failures
                    .get(place)
                    .is_some_and(|failure| failure.number == number)
            });
        }
        self.order.push_back((place, self.last_number));
        [same, oldest]
    }

    /// Returns `true` if no failure is remembered, `false` if one is.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.failures.is_empty()
    }

    /// Ends the back-off of a key, without a drop: dropping an error of the caller may panic.
    pub(super) fn end_now(&mut self, key: Key<'_>) {
        if self.is_empty() {
            return;
        }
        let same = |&place: &usize| self.failures[place].is_of(key);
        if let Some(&place) = self.table.find(key.hash, same) {
            // At the origin of time: the back-off stays ended if the clock goes back.
            self.failures[place].until = Moment::ZERO;
        }
    }

    /// Ends the back-offs of the failures with one of these tags, without a drop.
    pub(super) fn end_tagged(&mut self, tags: &[HashedTag]) {
        if self.is_empty() || tags.is_empty() {
            return;
        }
        for tag in tags {
            for &(hash, place) in self.by_tag.iter_hash(tag.hash) {
                if hash == tag.hash {
                    self.failures[place].until = Moment::ZERO;
                }
            }
        }
        if self.with_many_tags > 0 {
            for (_, failure) in &mut self.failures {
                if matches!(failure.tags, FailedTags::Many) {
                    failure.until = Moment::ZERO;
                }
            }
        }
    }

    /// Removes the failures whose back-off is over, and passes each to `out`.
    pub(super) fn take_ended(&mut self, now: &Now<'_>, mut out: impl FnMut(Backoff)) {
        if self.is_empty() {
            return;
        }
        let now = now.get();
        let is_over = |failure: &Backoff| failure.until.has_passed(now);
        let ended: Vec<usize> = self
            .failures
            .iter()
            .filter(|(_, failure)| is_over(failure))
            .map(|(place, _)| place)
            .collect();
        for place in ended {
            let hash = self.failures[place].hash;
            if let Ok(found) = self.table.find_entry(hash, |&other| other == place) {
                found.remove();
            }
            out(self.take_place(place));
        }
    }

    /// Removes a failure that is no longer in the table.
    fn take_place(&mut self, place: usize) -> Backoff {
        let failure = self.failures.remove(place);
        match &failure.tags {
            FailedTags::Hashes(hashes) => {
                for &hash in hashes {
                    if let Ok(found) = self.by_tag.find_entry(hash, |&pair| pair == (hash, place)) {
                        found.remove();
                    }
                }
            }
            FailedTags::Many => self.with_many_tags -= 1,
        }
        failure
    }

    /// Removes and returns the failure of a key.
    pub(super) fn take(&mut self, key: Key<'_>) -> Option<Backoff> {
        if self.is_empty() {
            return None;
        }
        let same = |&place: &usize| self.failures[place].is_of(key);
        let (place, _) = self.table.find_entry(key.hash, same).ok()?.remove();
        Some(self.take_place(place))
    }

    /// Removes and returns the oldest failure.
    fn take_oldest(&mut self) -> Option<Backoff> {
        while let Some((place, number)) = self.order.pop_front() {
            // The place may hold a newer failure: compare the numbers.
            let failure = self.failures.get(place);
            if let Some(failure) = failure.filter(|failure| failure.number == number) {
                let same = |&other: &usize| other == place;
                if let Ok(found) = self.table.find_entry(failure.hash, same) {
                    found.remove();
                }
                return Some(self.take_place(place));
            }
        }
        None
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn len(&self) -> usize {
        self.failures.len()
    }
}

impl Backoff {
    /// Returns `true` if the failure is a failure of this key, `false` if not.
    fn is_of(&self, key: Key<'_>) -> bool {
        self.hash == key.hash && self.key.is(key.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> Moment {
        Moment::of(Duration::from_secs(seconds))
    }

    fn key(text: &str, hash: u64) -> Key<'_> {
        let bytes = text.as_bytes();
        Key { hash, bytes }
    }

    fn add(backoffs: &mut Backoffs, text: &str, hash: u64, until: Moment) -> usize {
        let key = key(text, hash);
        let time = (at(1), until);
        let error = CacheError::panic(text.as_bytes());
        let replaced = backoffs.add(key, time, error, FailedTags::from_iter([]));
        replaced.iter().flatten().count()
    }

    #[test]
    fn error_is_returned_until_the_end_of_the_back_off() {
        let mut backoffs = Backoffs::default();
        add(&mut backoffs, "a", 1, at(2));
        let error = |text, now| backoffs.error(key(text, 1), || now);
        assert!(error("a", at(1)).is_some());
        assert!(error("a", at(2)).is_none());
        assert!(
            error("a", at(0)).is_none(),
            "the clock is before the failure"
        );
        assert!(error("b", at(1)).is_none());
    }

    #[test]
    fn full_table_forgets_the_oldest_failure_first() {
        let mut backoffs = Backoffs::default();
        for number in 0..MAX_BACKOFFS {
            assert_eq!(add(&mut backoffs, &number.to_string(), 7, at(9)), 0);
        }
        // A second failure of "0" makes "1" the oldest.
        assert_eq!(add(&mut backoffs, "0", 7, at(9)), 1);
        assert_eq!(add(&mut backoffs, "new", 7, at(9)), 1);
        let known = |text: &str| backoffs.error(key(text, 7), || at(1)).is_some();
        assert!(known("0") && known("new") && !known("1") && known("2"));
        assert!((2..MAX_BACKOFFS).all(|number| known(&number.to_string())));
        assert_eq!(backoffs.len(), MAX_BACKOFFS);
        assert_eq!(backoffs.table.len(), MAX_BACKOFFS);
    }

    /// Random failures and removals: the index of tags names the kept failures, and no others.
    #[test]
    fn index_of_tags_agrees_with_the_failures() {
        use rand::rngs::StdRng;
        use rand::{RngExt, SeedableRng};

        let mut rng = StdRng::seed_from_u64(7);
        let mut backoffs = Backoffs::default();
        for step in 0..20_000 {
            let name = rng.random_range(0..1500).to_string();
            let key = key(&name, name.len() as u64);
            match rng.random_range(0..100) {
                0..80 => {
                    let count = rng.random_range(0..MAX_TAGS + 3);
                    let tags = (0..count).map(|_| rng.random_range(0..40)).collect();
                    let time = (at(1), at(step % 50));
                    drop(backoffs.add(key, time, CacheError::panic(key.bytes), tags));
                }
                80..98 => drop(backoffs.take(key)),
                _ => backoffs.take_ended(&Now::Known(at(step % 50)), drop),
            }
        }
        let mut expected = Vec::new();
        let mut many = 0;
        for (place, failure) in &backoffs.failures {
            match &failure.tags {
                FailedTags::Hashes(hashes) => expected.extend(hashes.iter().map(|&h| (h, place))),
                FailedTags::Many => many += 1,
            }
        }
        let mut indexed: Vec<_> = backoffs.by_tag.iter().copied().collect();
        expected.sort_unstable();
        indexed.sort_unstable();
        assert_eq!(indexed, expected);
        assert!(many > 0);
        assert_eq!(backoffs.with_many_tags, many);
    }

    #[test]
    fn repeated_failures_of_a_key_take_one_place() {
        let mut backoffs = Backoffs::default();
        for _ in 0..10 * MAX_BACKOFFS {
            add(&mut backoffs, "a", 1, at(9));
        }
        assert_eq!(backoffs.len(), 1);
        assert!(backoffs.order.len() <= 2 * MAX_BACKOFFS);
        assert_eq!(backoffs.table.len(), 1);
    }
}
