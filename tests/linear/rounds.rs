//! The rounds of one seed: all threads begin each round together, and no call outlives a round.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use async_executor::LocalExecutor;
use futures_lite::future::block_on;

use super::history::{Call, Event, History, KEYS, UNDECODABLE, Value, is_updated};
use super::workload::Caller;
use super::world::{Random, Setup, World};

/// Histories recorded with one cache.
const ROUNDS: usize = 64;

/// A spinning barrier. Fails instead of hanging if another thread has panicked.
struct SpinBarrier {
    threads: usize,
    arrivals: AtomicUsize,
    panicked: AtomicBool,
}

impl SpinBarrier {
    fn wait(&self) {
        let arrived = self.arrivals.fetch_add(1, Ordering::AcqRel);
        let all = (arrived / self.threads + 1) * self.threads;
        let mut spins = 0_u32;
        while self.arrivals.load(Ordering::Acquire) < all {
            assert!(
                !self.panicked.load(Ordering::Acquire),
                "another thread panicked"
            );
            spins += 1;
            if spins % 64 == 0 {
                thread::yield_now();
            }
        }
    }
}

/// Sets `panicked` when its thread panics.
struct PanicFlag<'a>(&'a SpinBarrier);

impl Drop for PanicFlag<'_> {
    fn drop(&mut self) {
        self.0
            .panicked
            .fetch_or(thread::panicking(), Ordering::AcqRel);
    }
}

/// Runs several callers of one thread in turns.
fn run_in_turns(callers: Vec<Caller<'_>>) -> Vec<Vec<Event>> {
    let executor = LocalExecutor::new();
    let tasks: Vec<_> = callers
        .into_iter()
        .map(|caller| executor.spawn(caller.run()))
        .collect();
    block_on(executor.run(async {
        let mut logs = Vec::new();
        for task in tasks {
            logs.push(task.await);
        }
        logs
    }))
}

/// Runs all rounds of a seed and returns their histories.
pub fn histories(setup: Setup, seed: u64) -> Vec<History> {
    let world = World::new(setup);
    let barrier = SpinBarrier {
        threads: setup.threads,
        arrivals: AtomicUsize::new(0),
        panicked: AtomicBool::new(false),
    };
    let empty = || vec![Vec::new(); setup.threads * setup.callers];
    let all: Vec<_> = (0..ROUNDS).map(|_| Mutex::new(empty())).collect();
    thread::scope(|scope| {
        for thread in 0..setup.threads {
            let (world, barrier, all) = (&world, &barrier, &all);
            scope.spawn(move || {
                let _flag = PanicFlag(barrier);
                for (round, logs) in all.iter().enumerate() {
                    let shared = Random::new(seed << 8 | round as u64);
                    let keys = 1 + shared.below(KEYS.len());
                    let callers = (0..setup.callers).map(|caller| {
                        let caller = thread * setup.callers + caller;
                        let number = (round * setup.threads * setup.callers + caller) * setup.calls;
                        let seed = (seed << 8 | round as u64) << 8 | caller as u64;
                        Caller::new(world, seed, keys, u32::try_from(number).unwrap())
                    });
                    let callers = callers.collect();
                    barrier.wait();
                    let done = run(callers);
                    let first = thread * setup.callers;
                    logs.lock().unwrap()[first..first + setup.callers].clone_from_slice(&done);
                    barrier.wait();
                    if thread == 0 {
                        finish_round(world, &mut logs.lock().unwrap());
                    }
                }
            });
        }
    });
    let all = all.into_iter().map(|logs| logs.into_inner().unwrap());
    chain(setup, all.collect())
}

/// Runs the callers of one thread.
fn run(mut callers: Vec<Caller<'_>>) -> Vec<Vec<Event>> {
    match callers.pop() {
        Some(caller) if callers.is_empty() => vec![block_on(caller.run())],
        last => {
            callers.extend(last);
            run_in_turns(callers)
        }
    }
}

/// Reads every key while no call runs, then advances the clock past every time to live.
fn finish_round(world: &World, logs: &mut [Vec<Event>]) {
    for (key, name) in KEYS.iter().enumerate() {
        let read = block_on(world.read(key));
        if let Call::Get { saw: Some(id), .. } = read.call {
            // The read cannot tell which value this is, or the value has tags of another value: no
            // later history may start with it.
            if id == UNDECODABLE || is_updated(logs, id) {
                block_on(world.cache.remove(name)).unwrap();
            }
        }
        logs[0].push(read);
    }
    world.clock.advance(Duration::from_secs(60));
}

/// Gives each history the final values of the history before.
fn chain(setup: Setup, rounds: Vec<Vec<Vec<Event>>>) -> Vec<History> {
    let mut known: HashMap<u32, Value> = HashMap::new();
    let mut before = [None; KEYS.len()];
    let mut histories = Vec::new();
    for callers in rounds {
        let values = callers.iter().flatten().filter_map(Event::value);
        known.extend(values.map(|value| (value.id, value)));
        let history = History {
            before,
            callers,
            sharded: setup.is_sharded(),
        };
        before = history.after().map(|seen| {
            let value = seen.and_then(|id| known.get(&id).copied());
            value.filter(|value| value.ttl == 0 && !is_updated(&history.callers, value.id))
        });
        histories.push(history);
    }
    histories
}
