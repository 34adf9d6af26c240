//! A handler that is cancelled between the commit and the invalidation.
//!
//! A web server drops the future of a handler when the client closes the connection. If this
//! happens after the commit and before the invalidation, nobody invalidates, and readers get the
//! old row until the time to live ends. The remedy: commit and invalidation are one task, and the
//! handler only waits for the task. `docs/invalidate-after-commit.md` has the same code for axum
//! and sqlx.
//!
//! `cargo run --example commit_then_invalidate`

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use hydracache::{CacheOptions, HydraCache};
use tokio::sync::Notify;
use tokio::time::timeout;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A database with one row. A commit is slow to answer: the row has changed, but the writer waits
/// for the answer of the server.
#[derive(Default)]
struct Database {
    price: AtomicU32,
    committed: Notify,
    answer: Notify,
}

impl Database {
    async fn commit(&self, price: u32) -> io::Result<()> {
        self.price.store(price, SeqCst);
        self.committed.notify_one();
        self.answer.notified().await;
        Ok(())
    }
}

/// The state of the service, as for `axum::extract::State`.
#[derive(Clone)]
struct App {
    cache: HydraCache,
    database: Arc<Database>,
}

impl App {
    fn new() -> Self {
        let cache = HydraCache::local().max_capacity(1_000).build();
        Self {
            cache,
            database: Arc::default(),
        }
    }

    async fn price(&self) -> Result<u32, BoxError> {
        let options = CacheOptions::new().tag("product:7");
        let query = async || Ok::<_, io::Error>(self.database.price.load(SeqCst));
        Ok(self.cache.get_or_load("price:7", options, query).await?)
    }

    /// Wrong: a cancelled handler has committed, and never invalidates.
    async fn set_price_in_the_handler(&self, price: u32) -> Result<(), BoxError> {
        self.database.commit(price).await?;
        self.cache.invalidate_tag("product:7").await?;
        Ok(())
    }

    /// Right: the task outlives the handler. The handler waits, so that the answer to the client
    /// comes after the invalidation.
    async fn set_price(&self, price: u32) -> Result<(), BoxError> {
        let app = self.clone();
        let write = tokio::spawn(async move {
            let committed = app.database.commit(price).await;
            // After an error too: a failed commit may have reached the database all the same.
            app.cache.invalidate_tag("product:7").await?;
            Ok::<_, BoxError>(committed?)
        });
        write.await? // dropping a handle of tokio does not stop the task
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let client_gives_up = Duration::from_millis(10);

    let app = App::new();
    assert_eq!(app.price().await?, 0); // in the cache from now on
    let handler = timeout(client_gives_up, app.set_price_in_the_handler(5));
    assert!(handler.await.is_err()); // dropped while the commit waits for its answer
    app.database.committed.notified().await;
    app.database.answer.notify_one();
    println!(
        "commit in the handler: the row is 5, the cache says {}",
        app.price().await?
    );
    assert_eq!(app.price().await?, 0); // stale, and nobody will invalidate

    let app = App::new();
    assert_eq!(app.price().await?, 0);
    let handler = timeout(client_gives_up, app.set_price(5));
    assert!(handler.await.is_err()); // the client is gone, the task is not
    app.database.committed.notified().await;
    app.database.answer.notify_one();
    while app.cache.contains_key("price:7").await {
        tokio::task::yield_now().await; // until the task has invalidated
    }
    println!(
        "commit in a task:      the row is 5, the cache says {}",
        app.price().await?
    );
    assert_eq!(app.price().await?, 5);
    Ok(())
}
