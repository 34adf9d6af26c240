//! Two threads that meet in every round.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// Holds a lock, so that only one race runs at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    static RACE: Mutex<()> = Mutex::new(());
    RACE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `one` and `two` at the same time in every round, then `after` alone.
pub fn race(
    rounds: u32,
    one: impl Fn(u32) + Sync,
    two: impl Fn(u32) + Sync,
    after: impl Fn(u32) + Sync,
) {
    let _alone = alone();
    let (go, done) = (AtomicU32::new(0), AtomicU32::new(0));
    let panicked = AtomicBool::new(false);
    // If one side panics the other side panics too, so that the test fails and does not hang.
    let wait_for = |signal: &AtomicU32, round: u32| {
        let mut spins = 0_u32;
        while signal.load(Ordering::Acquire) <= round {
            assert!(!panicked.load(Ordering::Acquire), "the other side panicked");
            spins += 1;
            // On a machine with one core, the other side needs the core.
            if spins % 1024 == 0 {
                thread::yield_now();
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let _flag = PanicFlag(&panicked);
            for round in 0..rounds {
                wait_for(&go, round);
                one(round);
                done.store(round + 1, Ordering::Release);
            }
        });
        let _flag = PanicFlag(&panicked);
        for round in 0..rounds {
            go.store(round + 1, Ordering::Release);
            // Each round the sides meet at another point of their calls.
            spin(round / 7);
            two(round);
            wait_for(&done, round);
            after(round);
        }
    });
}

/// Spins up to a few microseconds, depending on `number`.
pub fn spin(number: u32) {
    for _ in 0..number % 64 * 4 {
        std::hint::spin_loop();
    }
}

/// Sets a flag when its thread panics.
struct PanicFlag<'a>(&'a AtomicBool);

impl Drop for PanicFlag<'_> {
    fn drop(&mut self) {
        self.0.fetch_or(thread::panicking(), Ordering::AcqRel);
    }
}
