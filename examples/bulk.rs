//! Loads a page of fifty users with one query for the missing ones, next to an overlapping page.
//!
//! `cargo run --example bulk`

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::cell::RefCell;
use std::sync::Arc;

use hydracache::{CacheError, CacheOptions, HydraCache, TypedCache};
use tokio::task::yield_now;

/// A database that records the ids of each query.
#[derive(Default)]
struct Database {
    queries: RefCell<Vec<Vec<u64>>>,
}

impl Database {
    /// `select .. where id in (..)`; there is no row for user 13.
    async fn query(&self, ids: Vec<u64>) -> Vec<Result<String, &'static str>> {
        self.queries.borrow_mut().push(ids.clone());
        yield_now().await; // the query takes some time
        let row = |id: u64| {
            (id != 13)
                .then(|| format!("user {id}"))
                .ok_or("no such row")
        };
        ids.into_iter().map(row).collect()
    }
}

/// The names of fifty users: found in the cache, or loaded.
async fn page(
    names: &TypedCache<u64, String>,
    database: &Database,
    first: u64,
) -> Vec<Result<Arc<String>, CacheError>> {
    let load = |ids| database.query(ids);
    names
        .get_or_load_many(first..first + 50, CacheOptions::new(), load)
        .await
}

#[tokio::main]
async fn main() -> Result<(), CacheError> {
    let cache = HydraCache::local().build();
    let names = cache.typed::<u64, String>("names");
    let database = Database::default();
    names.put(&5, "Ada".into(), CacheOptions::new()).await?;

    // Two overlapping pages at the same time: the second page waits for the users that the
    // first page is loading, and loads only the others.
    let (one, two) = tokio::join!(page(&names, &database, 0), page(&names, &database, 30));
    let failed = |page: &[Result<_, CacheError>]| page.iter().filter(|it| it.is_err()).count();
    assert_eq!((one.len(), two.len()), (50, 50));
    assert_eq!((failed(&one), failed(&two)), (1, 0));
    assert!(one[5].as_ref().is_ok_and(|name| **name == "Ada"));
    assert!(two[0].as_ref().is_ok_and(|name| **name == "user 30"));

    // The first page again: every user is cached, except for the missing row.
    assert_eq!(failed(&page(&names, &database, 0).await), 1);

    let queries = database.queries.take();
    for (number, ids) in queries.iter().enumerate() {
        println!("query {}: {} users, {ids:?}", number + 1, ids.len());
    }
    let lengths: Vec<_> = queries.iter().map(Vec::len).collect();
    assert_eq!(lengths, [49, 30, 1]);
    println!("{:#?}", cache.stats());
    assert_eq!(cache.stats().single_flight_joins, 20);
    Ok(())
}
