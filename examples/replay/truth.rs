//! Checks every answer against the writes.

use std::cell::Cell;

use anyhow::{Result, ensure};

use crate::service::Service;

/// The callers share it. They take turns on one thread, so cells are enough.
pub(crate) struct Truth {
    /// By id: the version that the row got by the last write with a finished
    /// invalidation. An answer that begins now must not be older.
    must_be_seen: Vec<Cell<u32>>,
    answers: Cell<u64>,
    /// Answers older than a write invalidated before they began.
    stale: Cell<u64>,
    writes: Cell<u64>,
}

impl Truth {
    /// Begins with a database without writes.
    pub(crate) fn new(users: u32) -> Self {
        Self {
            must_be_seen: vec![Cell::new(0); users as usize],
            answers: Cell::new(0),
            stale: Cell::new(0),
            writes: Cell::new(0),
        }
    }

    /// Reads a user through the service, and checks the answer.
    pub(crate) async fn read(&self, service: &Service<'_>, id: u32) -> Result<()> {
        let oldest = self.must_be_seen[id as usize].get();
        let user = service.find(id).await?;
        ensure!(user.id == id, "asked for user {id} and got {}", user.id);
        self.answers.set(self.answers.get() + 1);
        if user.version < oldest {
            self.stale.set(self.stale.get() + 1);
        }
        Ok(())
    }

    /// Updates a user through the service. Every later read must see the new version.
    pub(crate) async fn write(&self, service: &Service<'_>, id: u32) -> Result<()> {
        let version = service.update(id).await?;
        // A later write of another caller may have returned before.
        let must_be_seen = &self.must_be_seen[id as usize];
        must_be_seen.set(must_be_seen.get().max(version));
        self.writes.set(self.writes.get() + 1);
        Ok(())
    }

    pub(crate) fn answers(&self) -> u64 {
        self.answers.get()
    }

    pub(crate) fn stale(&self) -> u64 {
        self.stale.get()
    }

    pub(crate) fn writes(&self) -> u64 {
        self.writes.get()
    }
}
