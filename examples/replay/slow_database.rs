//! Requests arrive at a fixed rate, and the database gets slow for a while.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::Result;
use async_executor::LocalExecutor;
use hydracache::HydraCache;
use indicatif::ProgressBar;
use smol::Timer;

use crate::database::Database;
use crate::link::{Link, Pool};
use crate::report;
use crate::service::Service;
use crate::stream::{Lookup, Stream};
use crate::times::{Latency, now};
use crate::truth::Truth;

/// Requests that arrive in a second.
pub(crate) const RATE: u32 = 2_000;
pub(crate) const CONNECTIONS: usize = 10;
/// The round trip to the database, in stages of the length `STAGE`.
pub(crate) const ROUND_TRIPS: [Duration; 3] = [
    Duration::from_millis(2),
    Duration::from_millis(10),
    Duration::from_millis(2),
];
pub(crate) const STAGE: Duration = Duration::from_secs(2);
/// The length of a point of the time series.
const POINT: Duration = Duration::from_millis(200);
const POINTS_PER_STAGE: u32 = 10;

/// The results, with the cache or without.
pub(crate) struct SlowDatabase {
    pub(crate) requests: u64,
    pub(crate) database_reads: u64,
    /// Each stage has the latency of the requests that arrived in the stage.
    pub(crate) latencies: [Latency; ROUND_TRIPS.len()],
    pub(crate) points: Vec<Point>,
}

/// A point of the time series: the events between two moments.
pub(crate) struct Point {
    /// The later moment, since the start.
    pub(crate) end: Duration,
    pub(crate) round_trip: Duration,
    /// The number of requests that arrived.
    pub(crate) requests: usize,
    /// The latency of the arrived requests.
    pub(crate) latency: Latency,
    /// The number of database reads that ended.
    pub(crate) database_reads: usize,
}

struct Answered {
    arrived: Instant,
    latency: Duration,
}

/// The state that the requests share. They take turns on one thread.
struct Shared<'a> {
    service: Service<'a>,
    truth: &'a Truth,
    answered: RefCell<Vec<Answered>>,
    bar: ProgressBar,
}

/// Sends the requests, and waits for all answers. The look-ups are those of the stream,
/// from its beginning.
pub(crate) fn run(
    stream: &Stream,
    database: &Database,
    cache: Option<&HydraCache>,
    truth: &Truth,
    title: &'static str,
) -> Result<SlowDatabase> {
    let pool = Pool::new(CONNECTIONS);
    let stages = u32::try_from(ROUND_TRIPS.len())?;
    let count = RATE * u32::try_from(STAGE.as_secs())? * stages;
    let shared = Shared {
        service: Service::new(database, cache, Link::Pool(&pool)),
        truth,
        answered: RefCell::new(Vec::new()),
        bar: report::bar(title, count.into()),
    };
    let start = now();
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let mut requests = Vec::new();
        for (at, &lookup) in (0..count).zip(stream.lookups.iter().cycle()) {
            let due = Duration::from_secs(1) * at / RATE;
            Timer::at(start + due).await;
            pool.set_round_trip(ROUND_TRIPS[(at / (count / stages)) as usize]);
            requests.push(executor.spawn(shared.request(lookup, now())));
        }
        for request in requests {
            request.await?;
        }
        anyhow::Ok(())
    }))?;
    drop(executor);
    shared.bar.finish_and_clear();

    let answered = shared.answered.into_inner();
    let reads = shared.service.into_reads();
    let stage = |at: usize| {
        let begin = start + STAGE * u32::try_from(at).unwrap_or(u32::MAX);
        latency(&answered, begin, begin + STAGE).1
    };
    let point = |at: u32| {
        let begin = start + POINT * at;
        let end = begin + POINT;
        let (requests, latency) = latency(&answered, begin, end);
        Point {
            end: end - start,
            round_trip: ROUND_TRIPS[(at / POINTS_PER_STAGE) as usize],
            requests,
            latency,
            database_reads: reads
                .iter()
                .filter(|&&read| begin <= read && read < end)
                .count(),
        }
    };
    Ok(SlowDatabase {
        requests: answered.len() as u64,
        database_reads: reads.len() as u64,
        latencies: std::array::from_fn(stage),
        points: (0..POINTS_PER_STAGE * stages).map(point).collect(),
    })
}

/// How many requests arrived between two moments, and their latency.
fn latency(answered: &[Answered], begin: Instant, end: Instant) -> (usize, Latency) {
    let arrived = answered
        .iter()
        .filter(|answer| begin <= answer.arrived && answer.arrived < end);
    let mut latencies: Vec<Duration> = arrived.map(|answer| answer.latency).collect();
    (latencies.len(), Latency::of(&mut latencies))
}

impl Shared<'_> {
    /// Answers a request. The latency is of the read alone.
    async fn request(&self, lookup: Lookup, mut arrived: Instant) -> Result<()> {
        let Lookup { id, after_write } = lookup;
        if after_write {
            self.truth.write(&self.service, id).await?;
            arrived = now();
        }
        self.truth.read(&self.service, id).await?;
        let latency = arrived.elapsed();
        self.answered
            .borrow_mut()
            .push(Answered { arrived, latency });
        self.bar.inc(1);
        Ok(())
    }
}
