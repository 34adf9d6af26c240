//! Finds a race with a simulation: a service that invalidates before the commit.
//!
//! An ordinary test rarely meets this bug. The simulation runs the same requests in many
//! orders, finds an order in which a reader stores the old name, and repeats that order by
//! its seed.
//!
//! `cargo run --features testing --example simulate`

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::catch_unwind;
use std::rc::Rc;

use hydracache::testing::{Chaos, World, simulate};
use hydracache::{CacheError, CacheOptions, HydraCache};

/// Cached names, and a database in the simulated world.
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
        self.world.pause().await; // the commit takes some time
        self.rows.borrow_mut().insert(id, name.into());
        if !self.invalidates_first {
            self.cache.invalidate_tag(&format!("user:{id}")).await?;
        }
        Ok(())
    }
}

/// Runs three readers and a writer, and asserts that a later reader sees the new name.
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
        .expect("an invalidation does not fail");
    for reader in readers {
        // Some readers fail, and some are dropped.
        let _ = reader.await;
    }
    world.set_chaos(Chaos::none());
    let name = service.name(7).await;
    let name = name.expect("no load fails any more");
    assert_eq!(name.as_deref(), Some("Grace"), "a stale name");
}

fn main() {
    let fails = |seed: u64, invalidates_first: bool| {
        let run = || simulate(seed, |world| scenario(world, invalidates_first));
        catch_unwind(run).is_err()
    };
    std::panic::set_hook(Box::new(|panic| println!("  {panic}")));

    println!("invalidate before the commit, until a seed fails:");
    let found = (0..10_000).find(|&seed| fails(seed, true));
    let seed = found.expect("some order has a reader between the two");
    println!("seed {seed} again:");
    assert!(fails(seed, true));

    println!("invalidate after the commit, 1,000 seeds:");
    assert!(!(0..1_000).any(|seed| fails(seed, false)));
    println!("  no seed fails");
}
