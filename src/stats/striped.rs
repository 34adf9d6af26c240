//! The counters of read-only calls: hits, misses, joins, stale serves and timeouts.
//!
//! If two threads add to the same counter, the line of memory moves between the processors, and
//! this costs as much as a whole look-up. So there are several stripes, and each thread
//! adds to a stripe of its own. The sum is exact. A stripe with a single writer needs no locked
//! instruction either.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The number of threads that have counted so far, in all caches.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The number of this thread, never used again after the end of the thread.
    static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}

/// The number of threads with a stripe for a single writer. All further threads share as many
/// shared stripes.
const STRIPES: usize = 16;

/// The counters of a cache, split into stripes.
#[derive(Debug, Default)]
pub(crate) struct StripedCounters {
    /// The stripe `n` is written by thread `n` only.
    own: [Stripe; STRIPES],
    /// Written by all further threads.
    shared: [Stripe; STRIPES],
}

/// The counters of a thread. Aligned to two lines of memory: processors fetch lines in pairs.
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
        // `Acquire` pairs with `Release` in `add`.
        let stripes = self.own.iter().chain(&self.shared);
        let counts = stripes.map(|stripe| counter(stripe).load(Ordering::Acquire));
        counts.fold(0, u64::wrapping_add)
    }

    /// Adds one to a counter of this thread. `Release`: a thread that reads the new count also
    /// sees the earlier writes of the counting call, for example the join before the miss.
    #[inline]
    fn add(&self, counter: impl Fn(&Stripe) -> &AtomicU64) {
        // A thread that is ending may have no number left, and uses a shared stripe.
        let number = NUMBER.try_with(|number| *number).unwrap_or(usize::MAX);
        if let Some(stripe) = self.own.get(number) {
            // The only writer of this stripe: a load and a store lose nothing, and cost less
            // than an atomic addition.
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
    fn full_counters_continue_at_zero() {
        let counters = StripedCounters::default();
        for stripe in counters.own.iter().chain(&counters.shared) {
            // All fields by name: a new counter must be added to this test.
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
        // Each stripe counts as -1, so as many additions as stripes give zero.
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
