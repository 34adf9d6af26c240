//! A typed cache with its loader: own key type, shared values, tags chosen by the loader, and
//! one invalidation for all users of a tenant.
//!
//! `cargo run --example typed`

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hydracache::{CacheError, CacheOptions, HydraCache, Loaded, LoadingCache};
use serde::{Deserialize, Serialize};

/// A key implements `Serialize`; no conversion to text is needed.
#[derive(Clone, Copy, Debug, Serialize)]
struct UserId(u64);

#[derive(Debug, Deserialize, Serialize)]
struct User {
    name: String,
    tenant: u32,
}

/// Stands in for a database query.
fn query(id: UserId) -> io::Result<User> {
    println!("  query: select * from users where id = {}", id.0);
    match id.0 {
        0 => Err(io::Error::other("the database is unavailable")),
        id => Ok(User {
            name: format!("user {id}"),
            tenant: if id < 100 { 1 } else { 2 },
        }),
    }
}

/// The users of the service. A clone is cheap and shares the cache.
#[derive(Clone)]
struct Users {
    by_id: LoadingCache<UserId, User>,
}

impl Users {
    fn new(cache: &HydraCache) -> Self {
        let options = CacheOptions::new().ttl(Duration::from_secs(300));
        let users = cache.typed("users").with_options(options);
        let by_id = users.with_loader(|id| async move {
            let user = query(id)?;
            let tag = format!("tenant:{}", user.tenant);
            Ok::<_, io::Error>(Loaded::new(user).tag(tag))
        });
        Self { by_id }
    }

    async fn find(&self, id: u64) -> Result<Arc<User>, CacheError> {
        self.by_id.get(&UserId(id)).await
    }
}

#[tokio::main]
async fn main() -> Result<(), CacheError> {
    let cache = HydraCache::local().max_capacity(10_000).build();
    let users = Users::new(&cache);

    println!("The first reader loads, the second reader gets the same Arc:");
    let (first, second) = (users.find(7).await?, users.find(7).await?);
    assert!(Arc::ptr_eq(&first, &second));
    println!("  {}", first.name);

    println!("An error of the loader is returned and not stored:");
    let error = users.find(0).await.expect_err("the query fails");
    assert!(error.is_load());
    // The message and the cause: anyhow prints the whole chain.
    println!("  {:#}", anyhow::Error::from(error));

    println!("Invalidating the tag of tenant 1 keeps the user of tenant 2:");
    users.find(107).await?;
    assert_eq!(cache.invalidate_tag("tenant:1").await?, 1);
    assert!(users.by_id.typed().get(&UserId(7)).await?.is_none());
    assert!(users.find(107).await.is_ok_and(|user| user.tenant == 2));

    println!("Opening the same name with another type is an error:");
    let other = cache.typed::<UserId, String>("users");
    let error = other.get(&UserId(7)).await.expect_err("users are no text");
    assert!(error.is_wrong_type());
    println!("  {error}");

    assert_eq!(users.by_id.typed().invalidate_all().await?, 1);
    assert_eq!(cache.entry_count(), 0);
    let stats = cache.stats();
    assert_eq!((stats.loads, stats.load_failures), (3, 1));
    println!("{stats:#?}");
    Ok(())
}
