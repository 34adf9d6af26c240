//! The calls of hydracache that `calls` counts, each checked.

use std::convert::Infallible;

use clap::ValueEnum;
use hydracache::{CacheOptions, CacheResult, HydraCache, TypedCache};

use crate::child::BATCH;
use crate::peer::TTL;
use crate::ready::ready;
use crate::user::User;

/// A call, by its name on the command line of the child process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Call {
    /// A hit of `get_or_load`, with a time to live and a tag in the options.
    LoadHit,
    /// A hit of `get` of a typed cache.
    TypedHit,
    /// A hit of `get_or_load` of a typed cache.
    TypedLoadHit,
    /// A miss of `get_or_load` without options: the load is stored, another entry is evicted.
    Miss,
    /// The same with a time to live and two tags.
    MissTags,
    /// A miss of `get_or_load` of a typed cache.
    TypedMiss,
}

impl Call {
    /// The row of the table.
    pub fn title(self) -> &'static str {
        match self {
            Self::LoadHit => "get_or_load::<u64>, hit, ttl, one tag",
            Self::TypedHit => "typed get, hit",
            Self::TypedLoadHit => "typed get_or_load, hit",
            Self::Miss => "get_or_load::<u64>, miss that evicts",
            Self::MissTags => "get_or_load::<u64>, miss that evicts, ttl, two tags",
            Self::TypedMiss => "typed get_or_load, miss that evicts",
        }
    }

    /// Runs batches of the call on a full cache of this many entries.
    pub fn run(self, entries: u32, batches: u32) {
        let cache = HydraCache::local().max_capacity(entries.into()).build();
        let users = cache.typed::<u32, User>("users");
        // Always prepares two batches, so that runs differ only in the executed batches.
        let keys: Vec<String> = (0..2 * BATCH).map(|id| format!("user:{id}")).collect();
        match self {
            Self::LoadHit => ready(cache.put("hit", 7_u64, CacheOptions::new())),
            Self::TypedHit | Self::TypedLoadHit => {
                ready(users.put(&7, User::new(7), CacheOptions::new()))
            }
            Self::Miss | Self::MissTags | Self::TypedMiss => {
                let fill = |id| ready(cache.put(&format!("fill:{id}"), 0_u64, CacheOptions::new()));
                (0..entries).try_for_each(fill)
            }
        }
        .expect("a value can be put");
        for (id, key) in (0..batches * BATCH).zip(&keys) {
            let answer = match self {
                Self::LoadHit => load(&cache, "hit", CacheOptions::new().ttl(TTL).tag("users")),
                Self::Miss => load(&cache, key, CacheOptions::new()),
                Self::MissTags => {
                    let options = CacheOptions::new().ttl(TTL).tag("users").tag("tenant:1");
                    load(&cache, key, options)
                }
                Self::TypedHit => {
                    ready(users.get(&7)).map(|user| user.is_some_and(|it| is(7, &it)))
                }
                Self::TypedLoadHit => load_user(&users, 7),
                Self::TypedMiss => load_user(&users, id),
            };
            assert!(answer.expect("the loader never fails"));
        }
    }
}

/// Loads the number seven, and returns whether the answer is seven.
fn load(cache: &HydraCache, key: &str, options: CacheOptions) -> CacheResult<bool> {
    let loader = || async { Ok::<u64, Infallible>(7) };
    ready(cache.get_or_load(key, options, loader)).map(|number| number == 7)
}

/// Loads a user, and returns whether the answer is the user of the id.
fn load_user(users: &TypedCache<u32, User>, id: u32) -> CacheResult<bool> {
    let loader = || async { Ok::<User, Infallible>(User::new(id)) };
    ready(users.get_or_load(&id, CacheOptions::new(), loader)).map(|user| is(id, &user))
}

fn is(id: u32, user: &User) -> bool {
    user.id == User::FIRST + id
}
