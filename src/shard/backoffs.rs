//! Keys that are not to be loaded for a while, since a load of them failed.

use std::collections::VecDeque;

use hashbrown::HashTable;
use slab::Slab;

use crate::error::CacheError;
use crate::key::{Key, SmallBytes};
use crate::runtime::Moment;

/// How many keys are remembered. Of a forgotten one a caller loads too early, which costs
/// a load and no answer.
const MAX_BACKOFFS: usize = 1024;

/// A failed load: its error, until a time.
#[derive(Debug)]
pub(super) struct Backoff {
    key: SmallBytes,
    hash: u64,
    since: Moment,
    until: Moment,
    error: CacheError,
    /// Which failure it was.
    number: u64,
}

#[derive(Debug, Default)]
pub(super) struct Backoffs {
    /// Finds a failure by its key.
    table: HashTable<usize>,
    failures: Slab<Backoff>,
    /// The places and numbers of failures, the oldest at the front. Some are over.
    order: VecDeque<(usize, u64)>,
    numbered: u64,
}

impl Backoffs {
    /// The error of a key that is not to be loaded now.
    pub(super) fn error(&self, key: Key<'_>, now: impl FnOnce() -> Moment) -> Option<CacheError> {
        if self.is_empty() {
            return None;
        }
        let same = |&place: &usize| self.failures[place].is_of(key);
        let failure = &self.failures[*self.table.find(key.hash, same)?];
        let now = now();
        // A clock that has gone back would keep the key from being loaded for as long as it
        // went, which costs more than a load.
        let lasts = failure.since <= now && !failure.until.has_passed(now);
        lasts.then(|| failure.error.clone())
    }

    /// Remembers a failure. Gives what it takes the place of, to be dropped elsewhere.
    pub(super) fn add(
        &mut self,
        key: Key<'_>,
        (since, until): (Moment, Moment),
        error: CacheError,
    ) -> [Option<Backoff>; 2] {
        let same = self.take(key);
        let oldest = if self.failures.len() == MAX_BACKOFFS {
            self.take_oldest()
        } else {
            None
        };
        self.numbered += 1;
        let place = self.failures.insert(Backoff {
            key: key.bytes.into(),
            hash: key.hash,
            since,
            until,
            error,
            number: self.numbered,
        });
        let failures = &self.failures;
        let rehash = |&place: &usize| failures[place].hash;
        self.table.insert_unique(key.hash, place, rehash);
        if self.order.len() == 2 * MAX_BACKOFFS {
            self.order.retain(|&(place, number)| {
                failures.get(place).is_some_and(|it| it.number == number)
            });
        }
        self.order.push_back((place, self.numbered));
        [same, oldest]
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.failures.is_empty()
    }

    /// Lets a key be loaded now, and drops nothing: a caller's error may panic.
    pub(super) fn end_now(&mut self, key: Key<'_>) {
        if self.is_empty() {
            return;
        }
        let same = |&place: &usize| self.failures[place].is_of(key);
        if let Some(&place) = self.table.find(key.hash, same) {
            self.failures[place].until = Moment::ZERO;
        }
    }

    /// Forgets a key.
    pub(super) fn take(&mut self, key: Key<'_>) -> Option<Backoff> {
        if self.is_empty() {
            return None;
        }
        let same = |&place: &usize| self.failures[place].is_of(key);
        let (place, _) = self.table.find_entry(key.hash, same).ok()?.remove();
        Some(self.failures.remove(place))
    }

    fn take_oldest(&mut self) -> Option<Backoff> {
        while let Some((place, number)) = self.order.pop_front() {
            let failure = self.failures.get(place);
            if let Some(failure) = failure.filter(|failure| failure.number == number) {
                let same = |&other: &usize| other == place;
                if let Ok(found) = self.table.find_entry(failure.hash, same) {
                    found.remove();
                }
                return Some(self.failures.remove(place));
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
        let gone = backoffs.add(key, time, CacheError::panic(text.as_bytes()));
        gone.iter().flatten().count()
    }

    #[test]
    fn a_failure_is_remembered_until_its_time() {
        let mut backoffs = Backoffs::default();
        add(&mut backoffs, "a", 1, at(2));
        let error = |text, now| backoffs.error(key(text, 1), || now);
        assert!(error("a", at(1)).is_some());
        assert!(error("a", at(2)).is_none());
        assert!(error("a", at(0)).is_none(), "before it began");
        assert!(error("b", at(1)).is_none());
    }

    #[test]
    fn the_oldest_is_forgotten_first_and_one_that_failed_again_is_not_old() {
        let mut backoffs = Backoffs::default();
        for number in 0..MAX_BACKOFFS {
            assert_eq!(add(&mut backoffs, &number.to_string(), 7, at(9)), 0);
        }
        assert_eq!(add(&mut backoffs, "0", 7, at(9)), 1);
        assert_eq!(add(&mut backoffs, "new", 7, at(9)), 1);
        let known = |text: &str| backoffs.error(key(text, 7), || at(1)).is_some();
        assert!(known("0") && known("new") && !known("1") && known("2"));
        assert!((2..MAX_BACKOFFS).all(|number| known(&number.to_string())));
        assert_eq!(backoffs.len(), MAX_BACKOFFS);
        assert_eq!(backoffs.table.len(), MAX_BACKOFFS);
    }

    #[test]
    fn one_key_that_fails_for_ever_takes_up_the_room_of_one() {
        let mut backoffs = Backoffs::default();
        for _ in 0..10 * MAX_BACKOFFS {
            add(&mut backoffs, "a", 1, at(9));
        }
        assert_eq!(backoffs.len(), 1);
        assert!(backoffs.order.len() <= 2 * MAX_BACKOFFS);
        assert_eq!(backoffs.table.len(), 1);
    }
}
