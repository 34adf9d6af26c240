//! A service with a bug that no ordinary test meets: it invalidates before it commits. A
//! simulation runs the same requests in one order after another, finds one in which a reader
//! keeps what was true before, and finds it again by its seed.
//!
//! `cargo run --features testing --example simulate`

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::catch_unwind;
use std::rc::Rc;

use hydracache::testing::{Chaos, World, simulate};
use hydracache::{CacheError, CacheOptions, HydraCache};

/// Names, in a database that the world has.
struct Service {
    world: World,
    cache: HydraCache,
    rows: RefCell<HashMap<u64, String>>,
    invalidates_first: bool,
}

impl Service {
    async fn name(&self, id: u64) -> Result<Option<String>, CacheError> {
        let options = CacheOptions::new().tag(format!("user:{id}"));
        let query = || self.world.load(|| self.rows.borrow().get(&id).cloned());
        self.cache
            .get_or_load(&format!("name:{id}"), options, query)
            .await
    }

    async fn rename(&self, id: u64, name: &str) -> Result<(), CacheError> {
        if self.invalidates_first {
            self.cache.invalidate_tag(&format!("user:{id}")).await?;
        }
        self.world.pause().await; // the commit is on its way
        self.rows.borrow_mut().insert(id, name.into());
        if !self.invalidates_first {
            self.cache.invalidate_tag(&format!("user:{id}")).await?;
        }
        Ok(())
    }
}

/// Three readers and a writer; then everybody sees what was written.
async fn scenario(world: World, invalidates_first: bool) {
    world.set_chaos(Chaos::some());
    let service = Rc::new(Service {
        cache: world.builder().build(),
        rows: RefCell::new(HashMap::from([(7, "Ada".into())])),
        invalidates_first,
        world: world.clone(),
    });
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let service = Rc::clone(&service);
            world.spawn(async move { service.name(7).await })
        })
        .collect();
    service
        .rename(7, "Grace")
        .await
        .expect("no load is awaited");
    for reader in readers {
        // Some fail, and some are dropped.
        let _ = reader.await;
    }
    world.set_chaos(Chaos::none());
    let name = service.name(7).await;
    let name = name.expect("the database is back");
    assert_eq!(name.as_deref(), Some("Grace"), "a stale name");
}

fn main() {
    let fails = |seed: u64, invalidates_first: bool| {
        let run = || simulate(seed, |world| scenario(world, invalidates_first));
        catch_unwind(run).is_err()
    };
    std::panic::set_hook(Box::new(|panic| println!("  {panic}")));

    println!("invalidating before the commit:");
    let found = (0..10_000).find(|&seed| fails(seed, true));
    let seed = found.expect("a reader gets in between before long");
    println!("the same seed again:");
    assert!(fails(seed, true));

    println!("invalidating after the commit, 1,000 orders:");
    assert!(!(0..1_000).any(|seed| fails(seed, false)));
    println!("  none fails");
}
