//! Tags: one name for many entries, and what an invalidation by tag reaches.
//!
//! `cargo run --example tags`

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use futures_lite::future::block_on;
use hydracache::{CacheError, CacheOptions, CacheResult, HydraCache};

fn main() -> CacheResult<()> {
    let cache = HydraCache::local().build();
    block_on(async {
        // Every page carries the tags of what it was made from.
        for tenant in ["acme", "bolt"] {
            for user in 1..=3 {
                let tags = [format!("tenant:{tenant}"), format!("user:{user}")];
                let options = CacheOptions::new().tags(tags);
                let key = format!("{tenant}/users/{user}");
                cache.put(&key, format!("user {user}"), options).await?;
            }
        }
        println!(
            "{} pages, of 2 tenants with 3 users each",
            cache.entry_count()
        );

        let dropped = cache.invalidate_tag("user:2").await?;
        println!("user 2 has changed: {dropped} pages dropped, one of each tenant");
        assert_eq!(dropped, 2);

        let dropped = cache.invalidate_tags(["tenant:acme", "user:1"]).await?;
        println!("acme and user 1 have changed: {dropped} pages, acme's user 1 counted once");
        assert_eq!(dropped, 3);

        assert!(cache.contains_key("bolt/users/3").await);
        println!(
            "what has neither is there still: {} page",
            cache.entry_count()
        );

        let dropped = cache.invalidate_tag("no such tag").await?;
        println!("a tag that nothing carries: {dropped} pages");
        assert_eq!(dropped, 0);

        overtaken(&cache).await
    })
}

/// A load that reads the database before a change, and ends after it.
async fn overtaken(cache: &HydraCache) -> CacheResult<()> {
    let options = CacheOptions::new().tag("user:4");
    let load = || async {
        let name = String::from("the old name");
        // Meanwhile somebody changes the name, and invalidates.
        cache.invalidate_tag("user:4").await?;
        Ok::<_, CacheError>(name)
    };
    let name = cache.get_or_load("acme/users/4", options, load).await?;
    println!("a load that was overtaken gave its caller {name:?}");

    assert!(!cache.contains_key("acme/users/4").await);
    assert_eq!(cache.stats().stale_load_discards, 1);
    println!("and was not stored: the next caller loads anew");
    Ok(())
}
