//! Measures contestants in turns, so that what disturbs the machine disturbs them all.

use std::time::{Duration, Instant};

use rand::seq::SliceRandom;

use crate::draw;

/// What each contestant took in each round.
#[derive(Debug)]
pub struct Times {
    /// By contestant, then by round.
    times: Vec<Vec<f64>>,
}

/// Runs every contestant once a round, in an order that changes from round to round.
///
/// `run` is given the contestant and the round, and returns the figure. A round before
/// the first warms up and is not counted.
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
        for &who in &order {
            let figure = run(who, round);
            if round > 0 {
                times[who].push(figure);
            }
        }
    }
    Times { times }
}

impl Times {
    /// The median of one contestant.
    pub fn median(&self, who: usize) -> f64 {
        median(self.times[who].iter().copied())
    }

    /// The median over the rounds of one contestant's figure as a part of another's.
    ///
    /// The two figures of a round were taken within the same second, so a slow spell
    /// of the machine is in both.
    pub fn ratio(&self, who: usize, to: usize) -> f64 {
        let pairs = self.times[who].iter().zip(&self.times[to]);
        median(pairs.map(|(who, to)| who / to))
    }
}

/// The middle of some figures; of an even number of them, the upper of the two.
pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Runs something, and returns its result and how long it took.
pub fn time<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = run();
    (result, start.elapsed())
}

/// Nanoseconds for each of so many operations.
pub fn nanos_each(elapsed: Duration, operations: usize) -> f64 {
    elapsed.as_secs_f64() * 1e9 / count(operations)
}

/// A count as a number to divide by.
pub fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).expect("a count below four milliards"))
}
