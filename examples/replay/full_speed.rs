//! Callers answer the whole stream, as fast as they can.

use std::cell::Cell;
use std::time::Duration;

use anyhow::Result;
use async_executor::LocalExecutor;
use futures_lite::future::{block_on, yield_now};
use hydracache::HydraCache;
use indicatif::ProgressBar;

use crate::database::Database;
use crate::link::{Link, Turns};
use crate::report;
use crate::service::Service;
use crate::stream::{Lookup, Stream};
use crate::times::{Summary, Times, now};
use crate::truth::Truth;

pub(crate) const CALLERS: usize = 16;

/// The results, with the cache or without.
pub(crate) struct FullSpeed {
    pub(crate) reads: Summary,
    pub(crate) writes: Summary,
    pub(crate) elapsed: Duration,
    pub(crate) database_reads: u64,
}

/// The state that the callers share. They take turns on one thread, so cells are enough.
struct Shared<'a> {
    service: Service<'a>,
    truth: &'a Truth,
    lookups: &'a [Lookup],
    /// How many look-ups the callers have taken.
    taken: Cell<usize>,
    reads: Times,
    writes: Times,
    bar: ProgressBar,
}

pub(crate) fn run(
    stream: &Stream,
    database: &Database,
    cache: Option<&HydraCache>,
    truth: &Truth,
    title: &'static str,
) -> Result<FullSpeed> {
    let turns = Turns::new();
    let shared = Shared {
        service: Service::new(database, cache, Link::Turns(&turns)),
        truth,
        lookups: &stream.lookups,
        taken: Cell::new(0),
        reads: Times::default(),
        writes: Times::default(),
        bar: report::bar(title, stream.lookups.len() as u64),
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
    drop(executor);
    shared.bar.finish_and_clear();
    Ok(FullSpeed {
        reads: shared.reads.summary(),
        writes: shared.writes.summary(),
        elapsed,
        database_reads: shared.service.into_reads().len() as u64,
    })
}

impl Shared<'_> {
    /// Answers look-ups until there are no more.
    async fn caller(&self) -> Result<()> {
        while let Some(Lookup { id, after_write }) = self.take() {
            if after_write {
                let write = self.truth.write(&self.service, id);
                self.writes.record(write).await?;
            }
            let read = self.truth.read(&self.service, id);
            self.reads.record(read).await?;
            // A hit does not wait: without this, a caller with hits would go on alone,
            // and the callers that wait for the database would not get their turn.
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
