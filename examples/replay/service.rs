//! The service: finds and updates users, with a cache in front of the database or
//! without one.

use std::cell::RefCell;

use anyhow::Result;
use futures_lite::future::yield_now;
use hydracache::{CacheOptions, HydraCache};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::database::Database;
use crate::user::User;

pub(crate) struct Service<'a> {
    database: &'a Database,
    cache: Option<&'a HydraCache>,
    random: RefCell<StdRng>,
}

impl<'a> Service<'a> {
    pub(crate) fn new(database: &'a Database, cache: Option<&'a HydraCache>) -> Self {
        Self {
            database,
            cache,
            random: RefCell::new(StdRng::seed_from_u64(3)),
        }
    }

    pub(crate) async fn find(&self, id: u32) -> Result<User> {
        let Some(cache) = self.cache else {
            return self.query(id).await;
        };
        let name = format!("user:{id}");
        let options = CacheOptions::new().tag(&name);
        Ok(cache.get_or_load(&name, options, || self.query(id)).await?)
    }

    /// Updates a user, and returns the version that every later `find` must show.
    pub(crate) async fn update(&self, id: u32) -> Result<u32> {
        // The commit first. The other way round, a load between the two would store
        // the old row, and no invalidation would follow.
        let version = self.database.update(id)?;
        self.travel().await;
        if let Some(cache) = self.cache {
            cache.invalidate_tag(&format!("user:{id}")).await?;
        }
        Ok(version)
    }

    /// Reads a user from the database.
    async fn query(&self, id: u32) -> Result<User> {
        self.travel().await;
        let user = self.database.read(id)?;
        self.travel().await;
        Ok(user)
    }

    /// Lets other callers have up to three turns.
    ///
    /// This database answers at once, but most answer over a network, sooner or
    /// later. Only so do callers join a load, and writes overtake one; and since the
    /// turns vary, they do so in every order.
    async fn travel(&self) {
        let turns = self.random.borrow_mut().random_range(0..=3);
        for _ in 0..turns {
            yield_now().await;
        }
    }
}
