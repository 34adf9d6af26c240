//! One phase: several callers answer the whole stream, and every answer is checked.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use async_executor::LocalExecutor;
use futures_lite::future::{block_on, yield_now};
use indicatif::ProgressBar;

use crate::report;
use crate::service::Service;
use crate::stream::{Lookup, Stream};

pub(crate) const CALLERS: usize = 16;

/// What a phase has shown.
pub(crate) struct Run {
    pub(crate) lookups: u64,
    /// Answers older than a write that was invalidated before they began.
    pub(crate) stale: u64,
    pub(crate) elapsed: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// What the callers share. They take turns on one thread, so cells are enough.
struct Shared<'a> {
    service: &'a Service<'a>,
    lookups: &'a [Lookup],
    /// How many look-ups the callers have taken.
    taken: Cell<usize>,
    /// By id: the version that the row got by the last write whose invalidation has
    /// returned. An answer that begins now must not be older.
    must_be_seen: Vec<Cell<u32>>,
    stale: Cell<u64>,
    latencies: RefCell<Vec<Duration>>,
    bar: ProgressBar,
}

pub(crate) fn run(stream: &Stream, service: &Service<'_>, title: &'static str) -> Result<Run> {
    let lookups = stream.lookups.len();
    let shared = Shared {
        service,
        lookups: &stream.lookups,
        taken: Cell::new(0),
        must_be_seen: vec![Cell::new(0); stream.users as usize],
        stale: Cell::new(0),
        latencies: RefCell::new(Vec::with_capacity(lookups)),
        bar: report::bar(title, lookups as u64),
    };
    let start = now();
    let executor = LocalExecutor::new();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| executor.spawn(shared.caller()))
        .collect();
    block_on(executor.run(async {
        for caller in callers {
            caller.await?;
        }
        anyhow::Ok(())
    }))?;
    let elapsed = start.elapsed();
    shared.bar.finish_and_clear();

    let mut latencies = shared.latencies.take();
    Ok(Run {
        lookups: latencies.len() as u64,
        stale: shared.stale.get(),
        elapsed,
        p50: percentile(&mut latencies, 50),
        p99: percentile(&mut latencies, 99),
    })
}

impl Shared<'_> {
    /// Answers look-ups until there are no more.
    async fn caller(&self) -> Result<()> {
        while let Some(Lookup { id, after_write }) = self.take() {
            let must_be_seen = &self.must_be_seen[id as usize];
            if after_write {
                let version = self.service.update(id).await?;
                // A later write of another caller may have returned before.
                must_be_seen.set(must_be_seen.get().max(version));
            }

            let oldest = must_be_seen.get();
            let start = now();
            let user = self.service.find(id).await?;
            self.latencies.borrow_mut().push(start.elapsed());

            ensure!(user.id == id, "asked for user {id} and got {}", user.id);
            if user.version < oldest {
                self.stale.set(self.stale.get() + 1);
            }
            // A caller who hits does not wait: without this it would go on alone,
            // and those who wait for the database would not get their turn.
            yield_now().await;
        }
        Ok(())
    }

    fn take(&self) -> Option<Lookup> {
        let at = self.taken.get();
        let lookup = *self.lookups.get(at)?;
        self.taken.set(at + 1);
        if at % 4096 == 0 {
            self.bar.set_position(at as u64);
        }
        Some(lookup)
    }
}

/// The latency that so many percent of the look-ups did not exceed.
fn percentile(latencies: &mut [Duration], percent: usize) -> Duration {
    let at = latencies.len() * percent / 100;
    *latencies.select_nth_unstable(at).1
}

#[allow(
    clippy::disallowed_methods,
    reason = "measures real time, which no Clock of a cache decides"
)]
fn now() -> Instant {
    Instant::now()
}
