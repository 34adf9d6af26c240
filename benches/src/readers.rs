//! Timed loops over typed and loading reads: each contestant is a closure.

use std::hint::black_box;
use std::sync::atomic::{Ordering, fence};

use crate::requests::Requests;
use crate::rounds::{Times, interleave, nanos_each, time};
use crate::settings::Settings;

/// A contestant: the name, and a function that reads every key and sums the answers.
pub struct Reader {
    /// The name in tables.
    pub name: &'static str,
    read: Box<Read>,
}

/// Reads every key, with or without a fence after each answer.
type Read = dyn Fn(&Requests, bool) -> u64;

impl Reader {
    /// Creates a reader from a closure that takes an id and its key, and returns the id if the
    /// answer is right.
    ///
    /// The loop is compiled for each closure, so that the closure is called directly.
    pub fn new(name: &'static str, get: impl Fn(u32, &str) -> u64 + 'static) -> Self {
        let read = move |requests: &Requests, fenced: bool| {
            let answers = requests.iter().map(|(id, key)| {
                let answer = get(id, black_box(key));
                if fenced {
                    fence(Ordering::SeqCst);
                }
                answer
            });
            answers.sum()
        };
        Self {
            name,
            read: Box::new(read),
        }
    }
}

/// Measures readers in turns, tight or fenced, and checks the sum of each.
pub fn measure(
    settings: &Settings,
    readers: &[Reader],
    requests: &Requests,
    fenced: bool,
) -> Times {
    let expected: u64 = requests.ids().iter().map(|&id| u64::from(id)).sum();
    interleave(settings.rounds(), readers.len(), |contestant, _| {
        let (sum, elapsed) = time(|| (readers[contestant].read)(requests, fenced));
        assert_eq!(
            sum, expected,
            "{} has read a wrong value",
            readers[contestant].name
        );
        nanos_each(elapsed, requests.len())
    })
}
