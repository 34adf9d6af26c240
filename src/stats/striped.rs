//! Hits, misses and joins, old values and timeouts: what calls count that only read.
//!
//! A counter that two threads add to is a line of memory that goes back and forth
//! between them, at the price of a whole look-up. So there are some, and a thread adds
//! to its own; their sum is exact. What nobody else writes to need not be locked, either.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How many threads have counted so far.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}

/// So many threads have a stripe of their own. Further ones share as many.
const STRIPES: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct StripedCounters {
    own: [Stripe; STRIPES],
    shared: [Stripe; STRIPES],
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe {
    hits: AtomicU64,
    misses: AtomicU64,
    joins: AtomicU64,
    stale_serves: AtomicU64,
    timeouts: AtomicU64,
}

impl StripedCounters {
    #[inline]
    pub(crate) fn count_lookup(&self, is_hit: bool) {
        self.add(|stripe| if is_hit { &stripe.hits } else { &stripe.misses });
    }

    pub(crate) fn count_join(&self) {
        self.add(|stripe| &stripe.joins);
    }

    pub(crate) fn count_stale_serve(&self) {
        self.add(|stripe| &stripe.stale_serves);
    }

    pub(crate) fn count_timeout(&self) {
        self.add(|stripe| &stripe.timeouts);
    }

    pub(crate) fn hits(&self) -> u64 {
        self.sum(|stripe| &stripe.hits)
    }

    pub(crate) fn misses(&self) -> u64 {
        self.sum(|stripe| &stripe.misses)
    }

    pub(crate) fn joins(&self) -> u64 {
        self.sum(|stripe| &stripe.joins)
    }

    pub(crate) fn stale_serves(&self) -> u64 {
        self.sum(|stripe| &stripe.stale_serves)
    }

    pub(crate) fn timeouts(&self) -> u64 {
        self.sum(|stripe| &stripe.timeouts)
    }

    fn sum(&self, counter: impl Fn(&Stripe) -> &AtomicU64) -> u64 {
        let stripes = self.own.iter().chain(&self.shared);
        let counts = stripes.map(|stripe| counter(stripe).load(Ordering::Acquire));
        counts.fold(0, u64::wrapping_add)
    }

    /// Whoever sees the count sees what the call did before.
    #[inline]
    fn add(&self, counter: impl Fn(&Stripe) -> &AtomicU64) {
        // A thread that is ending and has no number any more shares.
        let number = NUMBER.try_with(|number| *number).unwrap_or(usize::MAX);
        if let Some(stripe) = self.own.get(number) {
            let counter = counter(stripe);
            let count = counter.load(Ordering::Relaxed);
            counter.store(count.wrapping_add(1), Ordering::Release);
        } else {
            let stripe = &self.shared[number % STRIPES];
            counter(stripe).fetch_add(1, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_full_goes_on_from_zero() {
        let counters = StripedCounters::default();
        for stripe in counters.own.iter().chain(&counters.shared) {
            let Stripe {
                hits,
                misses,
                joins,
                stale_serves,
                timeouts,
            } = stripe;
            for counter in [hits, misses, joins, stale_serves, timeouts] {
                counter.store(u64::MAX, Ordering::Relaxed);
            }
        }
        for _ in counters.own.iter().chain(&counters.shared) {
            counters.count_lookup(true);
            counters.count_lookup(false);
            counters.count_join();
            counters.count_stale_serve();
            counters.count_timeout();
        }
        assert_eq!(
            (counters.hits(), counters.misses(), counters.joins()),
            (0, 0, 0)
        );
        assert_eq!((counters.stale_serves(), counters.timeouts()), (0, 0));
    }
}
