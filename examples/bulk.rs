//! A page of fifty users, and one query for those that are missing: while another page that
//! overlaps with it is loading.
//!
//! `cargo run --example bulk`

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::cell::RefCell;

use futures_lite::future::{block_on, yield_now, zip};
use hydracache::{CacheError, CacheOptions, HydraCache, TypedCache};

/// What the database was asked for.
#[derive(Default)]
struct Database {
    queries: RefCell<Vec<Vec<u64>>>,
}

impl Database {
    /// `select .. where id in (..)`: user 13 has no row.
    async fn query(&self, ids: Vec<u64>) -> Vec<Result<String, &'static str>> {
        self.queries.borrow_mut().push(ids.clone());
        yield_now().await; // it works
        let row = |id: u64| {
            (id != 13)
                .then(|| format!("user {id}"))
                .ok_or("no such row")
        };
        ids.into_iter().map(row).collect()
    }
}

async fn page(
    names: &TypedCache<u64, String>,
    database: &Database,
    first: u64,
) -> Vec<Result<String, CacheError>> {
    let load = |ids| database.query(ids);
    let found = names.get_or_load_many(first..first + 50, CacheOptions::new(), load);
    let name = |found: Result<_, _>| found.map(|name: std::sync::Arc<String>| name.to_string());
    found.await.into_iter().map(name).collect()
}

fn main() -> Result<(), CacheError> {
    let cache = HydraCache::local().build();
    let names = cache.typed::<u64, String>("names");
    let database = Database::default();
    block_on(async {
        names.put(&5, "Ada".into(), CacheOptions::new()).await?;

        // Two pages at once: what the first is loading the second waits for.
        let (one, two) = zip(page(&names, &database, 0), page(&names, &database, 30)).await;
        let failed = |page: &[Result<_, CacheError>]| page.iter().filter(|it| it.is_err()).count();
        assert_eq!((one.len(), two.len()), (50, 50));
        assert_eq!((failed(&one), failed(&two)), (1, 0));
        assert_eq!(one[5].as_deref().ok(), Some("Ada"));
        assert_eq!(two[0].as_deref().ok(), Some("user 30"));

        // A third has all but the user that has no row.
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
    })
}
