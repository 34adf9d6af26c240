//! Tags: entries with several tags, and the entries and loads affected by an invalidation.
//!
//! `cargo run --example tags`

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use hydracache::{CacheError, CacheOptions, CacheResult, HydraCache};

#[tokio::main]
async fn main() -> CacheResult<()> {
    let cache = HydraCache::local().build();
    // Each page has a tag for every record on the page.
    for tenant in ["acme", "bolt"] {
        for user in 1..=3 {
            let tags = [format!("tenant:{tenant}"), format!("user:{user}")];
            let options = CacheOptions::new().tags(tags);
            let key = format!("{tenant}/users/{user}");
            cache.put(&key, format!("user {user}"), options).await?;
        }
    }
    println!(
        "stored {} pages: 2 tenants, 3 users each",
        cache.entry_count()
    );

    let removed = cache.invalidate_tag("user:2").await?;
    println!("invalidated user 2: {removed} pages removed, one per tenant");
    assert_eq!(removed, 2);

    let removed = cache.invalidate_tags(["tenant:acme", "user:1"]).await?;
    println!("invalidated acme and user 1: {removed} pages, the page with both tags counts once");
    assert_eq!(removed, 3);

    assert!(cache.contains_key("bolt/users/3").await);
    println!("left, with neither tag: {} page", cache.entry_count());

    let removed = cache.invalidate_tag("no such tag").await?;
    println!("invalidated an unknown tag: {removed} pages");
    assert_eq!(removed, 0);

    fenced_load(&cache).await
}

/// A load that reads the database before a change and ends after the invalidation.
async fn fenced_load(cache: &HydraCache) -> CacheResult<()> {
    let options = CacheOptions::new().tag("user:4");
    let load = || async {
        let name = String::from("the old name");
        // Meanwhile another task changes the name, and invalidates.
        cache.invalidate_tag("user:4").await?;
        Ok::<_, CacheError>(name)
    };
    let name = cache.get_or_load("acme/users/4", options, load).await?;
    println!("a load that ran during the invalidation returned {name:?} to its caller,");

    assert!(!cache.contains_key("acme/users/4").await);
    assert_eq!(cache.stats().stale_load_discards, 1);
    println!("but the value was not stored: the next call loads again");
    Ok(())
}
