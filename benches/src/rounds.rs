//! Measures contestants in turns, so that a disturbance of the machine affects them all.

use std::time::{Duration, Instant};

use rand::seq::SliceRandom;

use crate::draw;

/// The figure of each contestant in each round.
#[derive(Debug)]
pub struct Times {
    /// By contestant, then by round.
    times: Vec<Vec<f64>>,
}

/// Runs every contestant once per round, in a new random order each round.
///
/// `run` takes the contestant and the round, and returns the figure. Round zero is a warm-up
/// and is not counted.
pub fn interleave(
    rounds: usize,
    contestants: usize,
    mut run: impl FnMut(usize, usize) -> f64,
) -> Times {
    let mut random = draw::random(0x0dd);
    let mut order: Vec<usize> = (0..contestants).collect();
    let mut times = vec![Vec::with_capacity(rounds); contestants];
    for round in 0..=rounds {
        order.shuffle(&mut random);
        for &contestant in &order {
            let figure = run(contestant, round);
            if round > 0 {
                times[contestant].push(figure);
            }
        }
    }
    Times { times }
}

impl Times {
    /// The median of a contestant's figures.
    pub fn median(&self, contestant: usize) -> f64 {
        median(self.times[contestant].iter().copied())
    }

    /// The median over the rounds of the ratio of two contestants' figures, the first by `to`.
    ///
    /// The two figures of a round are measured within a second of each other, so a slow moment
    /// of the machine is in both.
    pub fn ratio(&self, contestant: usize, to: usize) -> f64 {
        let pairs = self.times[contestant].iter().zip(&self.times[to]);
        median(pairs.map(|(contestant, to)| contestant / to))
    }
}

/// The median; for an even count, the upper of the two middle figures.
pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Runs a closure, and returns the result and the elapsed time.
pub fn time<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = run();
    (result, start.elapsed())
}

/// Nanoseconds per operation.
pub fn nanos_each(elapsed: Duration, operations: usize) -> f64 {
    elapsed.as_secs_f64() * 1e9 / count(operations)
}

/// Converts a count to a float.
pub fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).expect("a count below 2^32"))
}
