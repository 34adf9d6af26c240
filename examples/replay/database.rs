//! The database: a table of users in a file.

use std::path::Path;

use anyhow::{Context, Result};
use redb::{Durability, ReadableDatabase, ReadableTable, TableDefinition};

use crate::report;
use crate::user::User;

/// A user's id, and the row as postcard encodes it.
const USERS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("users");

// redb is pure Rust, so a machine needs nothing but Rust. The bundled build of SQLite
// needs a C compiler.
pub(crate) struct Database {
    file: redb::Database,
}

impl Database {
    /// Creates a file with the users of the ids below `count`.
    pub(crate) fn create(path: &Path, count: u32) -> Result<Self> {
        let bar = report::bar("filling the database", count.into());
        let file = redb::Database::create(path)?;
        let transaction = file.begin_write()?;
        let mut users = transaction.open_table(USERS)?;
        for id in bar.wrap_iter(0..count) {
            let row = postcard::to_allocvec(&User::new(id))?;
            users.insert(id, row.as_slice())?;
        }
        drop(users);
        transaction.commit()?;
        bar.finish_and_clear();
        Ok(Self { file })
    }

    pub(crate) fn read(&self, id: u32) -> Result<User> {
        let users = self.file.begin_read()?.open_table(USERS)?;
        let row = users.get(id)?.context("no such user")?;
        Ok(postcard::from_bytes(row.value())?)
    }

    /// Changes a row, and returns the new version.
    pub(crate) fn update(&self, id: u32) -> Result<u32> {
        let mut transaction = self.file.begin_write()?;
        // Later reads see the commit all the same. A wait for the disk would measure
        // the disk.
        transaction.set_durability(Durability::None)?;
        let mut users = transaction.open_table(USERS)?;
        let row = users.get(id)?.context("no such user")?;
        let mut user: User = postcard::from_bytes(row.value())?;
        drop(row);
        user.touch();
        users.insert(id, postcard::to_allocvec(&user)?.as_slice())?;
        drop(users);
        transaction.commit()?;
        Ok(user.version)
    }
}
