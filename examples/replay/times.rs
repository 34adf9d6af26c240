//! Measures real time: latencies of operations, and the time spent in them.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::Result;

/// The times of one kind of operation, for instance of all reads.
#[derive(Default)]
pub(crate) struct Times {
    latencies: RefCell<Vec<Duration>>,
    busy: Cell<Duration>,
}

/// The times of one kind of operation, at the end.
pub(crate) struct Summary {
    pub(crate) count: u64,
    /// The time inside the operations, without the turns of other callers.
    pub(crate) busy: Duration,
    pub(crate) latency: Latency,
}

/// Half of the latencies, and 99 of 100, do not exceed these.
#[derive(Clone, Copy)]
pub(crate) struct Latency {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Times {
    /// Awaits an operation. Its latency includes the turns of other callers, its busy
    /// time does not.
    pub(crate) async fn record<T>(&self, operation: impl Future<Output = Result<T>>) -> Result<T> {
        let mut operation = pin!(operation);
        let start = now();
        let output = poll_fn(|context| {
            let start = now();
            let poll = operation.as_mut().poll(context);
            self.busy.set(self.busy.get() + start.elapsed());
            poll
        })
        .await?;
        self.latencies.borrow_mut().push(start.elapsed());
        Ok(output)
    }

    pub(crate) fn summary(self) -> Summary {
        let mut latencies = self.latencies.into_inner();
        Summary {
            count: latencies.len() as u64,
            busy: self.busy.get(),
            latency: Latency::of(&mut latencies),
        }
    }
}

impl Latency {
    /// Zero if there are no latencies.
    pub(crate) fn of(latencies: &mut [Duration]) -> Self {
        Self {
            p50: percentile(latencies, 50),
            p99: percentile(latencies, 99),
        }
    }
}

fn percentile(latencies: &mut [Duration], percent: usize) -> Duration {
    if latencies.is_empty() {
        return Duration::ZERO;
    }
    let at = latencies.len() * percent / 100;
    *latencies.select_nth_unstable(at).1
}

#[allow(
    clippy::disallowed_methods,
    reason = "measures real time, which no Clock of a cache decides"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
