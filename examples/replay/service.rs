//! The service: finds and updates users, with a cache in front of the database or
//! without a cache.

use std::cell::RefCell;
use std::time::Instant;

use anyhow::Result;
use hydracache::{CacheOptions, HydraCache};

use crate::database::Database;
use crate::link::Link;
use crate::times::now;
use crate::user::User;

pub(crate) struct Service<'a> {
    database: &'a Database,
    cache: Option<&'a HydraCache>,
    link: Link<'a>,
    /// The end of each database read.
    reads: RefCell<Vec<Instant>>,
}

impl<'a> Service<'a> {
    pub(crate) fn new(
        database: &'a Database,
        cache: Option<&'a HydraCache>,
        link: Link<'a>,
    ) -> Self {
        Self {
            database,
            cache,
            link,
            reads: RefCell::new(Vec::new()),
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
        // The commit comes first. In the other order, a load between the two would
        // store the row from before the commit, and no invalidation would follow.
        let version = self.link.run(|| self.database.update(id)).await?;
        if let Some(cache) = self.cache {
            cache.invalidate_tag(&format!("user:{id}")).await?;
        }
        Ok(version)
    }

    /// Reads a user from the database.
    async fn query(&self, id: u32) -> Result<User> {
        let user = self.link.run(|| self.database.read(id)).await;
        self.reads.borrow_mut().push(now());
        user
    }

    /// The end of each database read.
    pub(crate) fn into_reads(self) -> Vec<Instant> {
        self.reads.into_inner()
    }
}
