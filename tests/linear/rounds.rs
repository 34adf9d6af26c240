//! The rounds of one seed: in each, all threads begin together, and at its end all is quiet.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use async_executor::LocalExecutor;
use futures_lite::future::block_on;

use super::history::{Call, Event, GARBLED, History, KEYS, Value};
use super::workload::Lane;
use super::world::{Kind, Random, World};

/// How many histories have one cache.
const ROUNDS: usize = 64;

/// Where threads wait for each other.
struct Meeting {
    threads: usize,
    arrivals: AtomicUsize,
    broken: AtomicBool,
}

impl Meeting {
    fn wait(&self) {
        let arrived = self.arrivals.fetch_add(1, Ordering::AcqRel);
        let all = (arrived / self.threads + 1) * self.threads;
        let mut looks = 0_u32;
        while self.arrivals.load(Ordering::Acquire) < all {
            assert!(
                !self.broken.load(Ordering::Acquire),
                "another thread panicked"
            );
            looks += 1;
            if looks % 64 == 0 {
                thread::yield_now();
            }
        }
    }
}

/// Says so when its thread panics.
struct Alarm<'a>(&'a Meeting);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.0
            .broken
            .fetch_or(thread::panicking(), Ordering::AcqRel);
    }
}

/// Runs the lanes of one thread, in turns if there are several.
fn run_lanes(lanes: Vec<Lane<'_>>) -> Vec<Vec<Event>> {
    let executor = LocalExecutor::new();
    let tasks: Vec<_> = lanes
        .into_iter()
        .map(|lane| executor.spawn(lane.run()))
        .collect();
    block_on(executor.run(async {
        let mut logs = Vec::new();
        for task in tasks {
            logs.push(task.await);
        }
        logs
    }))
}

/// All histories of a seed.
pub fn histories(kind: Kind, seed: u64) -> Vec<History> {
    let world = World::new(kind);
    let meeting = Meeting {
        threads: kind.threads,
        arrivals: AtomicUsize::new(0),
        broken: AtomicBool::new(false),
    };
    let empty = || vec![Vec::new(); kind.threads * kind.lanes];
    let all: Vec<_> = (0..ROUNDS).map(|_| Mutex::new(empty())).collect();
    thread::scope(|scope| {
        for thread in 0..kind.threads {
            let (world, meeting, all) = (&world, &meeting, &all);
            scope.spawn(move || {
                let _alarm = Alarm(meeting);
                for (round, logs) in all.iter().enumerate() {
                    let shared = Random::new(seed << 8 | round as u64);
                    let keys = 1 + shared.below(KEYS.len());
                    let lanes = (0..kind.lanes).map(|lane| {
                        let lane = thread * kind.lanes + lane;
                        let number = (round * kind.threads * kind.lanes + lane) * kind.calls;
                        let seed = (seed << 8 | round as u64) << 8 | lane as u64;
                        Lane::new(world, seed, keys, u32::try_from(number).unwrap())
                    });
                    let lanes = lanes.collect();
                    meeting.wait();
                    let done = run(lanes);
                    let first = thread * kind.lanes;
                    logs.lock().unwrap()[first..first + kind.lanes].clone_from_slice(&done);
                    meeting.wait();
                    if thread == 0 {
                        rest(world, &mut logs.lock().unwrap()[0]);
                    }
                }
            });
        }
    });
    let all = all.into_iter().map(|logs| logs.into_inner().unwrap());
    chain(kind, all.collect())
}

fn run(mut lanes: Vec<Lane<'_>>) -> Vec<Vec<Event>> {
    match lanes.pop() {
        Some(lane) if lanes.is_empty() => vec![block_on(lane.run())],
        last => {
            lanes.extend(last);
            run_lanes(lanes)
        }
    }
}

/// Looks at every key while all is quiet, and lets everything end that has an end.
fn rest(world: &World, log: &mut Vec<Event>) {
    for (key, name) in KEYS.iter().enumerate() {
        let look = block_on(world.look(key));
        if let Call::Get {
            saw: Some(GARBLED), ..
        } = look.call
        {
            // Nobody knows which it is.
            block_on(world.cache.remove(name)).unwrap();
        }
        log.push(look);
    }
    world.clock.advance(Duration::from_secs(60));
}

/// Each history begins with what the one before it left.
fn chain(kind: Kind, rounds: Vec<Vec<Vec<Event>>>) -> Vec<History> {
    let mut known: HashMap<u32, Value> = HashMap::new();
    let mut before = [None; KEYS.len()];
    let mut histories = Vec::new();
    for lanes in rounds {
        let values = lanes.iter().flatten().filter_map(Event::value);
        known.extend(values.map(|value| (value.id, value)));
        let history = History {
            before,
            lanes,
            apart: kind.is_apart(),
        };
        before = history.after().map(|seen| {
            let value = seen.and_then(|id| known.get(&id).copied());
            value.filter(|value| value.ttl == 0)
        });
        histories.push(history);
    }
    histories
}
