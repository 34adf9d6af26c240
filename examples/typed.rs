//! A typed cache in a service: keys of their own type, values that all readers share, a
//! loader that says whose the value is, and one invalidation for a whole tenant.
//!
//! `cargo run --example typed`

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::block_on;
use hydracache::{CacheError, CacheOptions, HydraCache, Loaded, LoadingCache};
use serde::{Deserialize, Serialize};

/// Keys need no text: they are written as they are.
#[derive(Clone, Copy, Debug, Serialize)]
struct UserId(u64);

#[derive(Debug, Deserialize, Serialize)]
struct User {
    name: String,
    tenant: u32,
}

/// What the database would do.
fn query(id: UserId) -> io::Result<User> {
    println!("  query: select * from users where id = {}", id.0);
    match id.0 {
        0 => Err(io::Error::other("the database is away")),
        id => Ok(User {
            name: format!("user {id}"),
            tenant: if id < 100 { 1 } else { 2 },
        }),
    }
}

/// Any part of a service keeps a clone of it.
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

fn main() -> Result<(), CacheError> {
    let cache = HydraCache::local().max_capacity(10_000).build();
    let users = Users::new(&cache);
    block_on(async {
        println!("the first reader loads, the second gets the same Arc:");
        let (one, two) = (users.find(7).await?, users.find(7).await?);
        assert!(Arc::ptr_eq(&one, &two));
        println!("  {}", one.name);

        println!("an error is nobody's value:");
        let error = users.find(0).await.expect_err("the database is away");
        assert!(error.is_load());
        println!("  {error}");

        println!("a tenant leaves:");
        users.find(107).await?;
        assert_eq!(cache.invalidate_tag("tenant:1").await?, 1);
        assert_eq!(users.by_id.typed().get(&UserId(7)).await?.map(|_| ()), None);
        assert!(users.find(107).await.is_ok_and(|user| user.tenant == 2));

        println!("another type under the same name is told so:");
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
    })
}
