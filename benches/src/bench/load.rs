//! `get_or_load` hits, against a `get` of the same key.
//!
//! The options, built at each call, have a time to live and two short static tags. Decoding a
//! number is free, so the rows of numbers show the cost of the loading call; the rows of users
//! show how much that cost matters. The loading calls of the peers return bytes.

use std::convert::Infallible;

use anyhow::Result;
use bytes::Bytes;
use hydracache::{CacheOptions, HydraCache};

use crate::child::Counter;
use crate::draw;
use crate::fill;
use crate::peer::TTL;
use crate::readers::{self, Reader};
use crate::ready::ready;
use crate::requests::{Keys, Requests};
use crate::settings::Settings;
use crate::table::{self, Table};
use crate::targets::Targets;
use crate::user::User;
use crate::value;

const GET_NUMBER: usize = 0;
const LOAD_NUMBER: usize = 1;
const GET_USER: usize = 2;
const LOAD_USER: usize = 3;

/// Runs the bench.
pub fn run(settings: &Settings, targets: &mut Targets) -> Result<()> {
    let entries: u32 = settings.size(100_000, 2_000);
    let length = settings.size(200_000, 4_000);
    let ids = draw::zipf(entries, 0.99, length, 5);
    let requests = Requests::new(Keys::Short, ids);
    let mut readers = ours(entries);
    readers.extend(peers(entries));
    let [tight, fenced] =
        [false, true].map(|fenced| readers::measure(settings, &readers, &requests, fenced));

    let title = "get_or_load, a hit, keys user:{id}, Zipf 0.99: ns";
    let mut table = Table::new(title, &["", "tight", "fenced"]);
    for (contestant, reader) in readers.iter().enumerate() {
        let figures = [&tight, &fenced].map(|times| table::nanos(times.median(contestant)));
        table.row([vec![reader.name.into()], figures.to_vec()].concat());
    }
    table.print();
    for (times, mode) in [(&tight, "tight"), (&fenced, "fenced")] {
        let what = |of| format!("get_or_load of {of}, {mode}: over get");
        targets.at_most(1.15, times.ratio(LOAD_NUMBER, GET_NUMBER), what("a number"));
        targets.at_most(1.15, times.ratio(LOAD_USER, GET_USER), what("a user"));
    }
    let allocations = Counter::build()?.number(&["load"])?;
    targets.at_most(0.0, allocations, "get_or_load, a hit: allocations");
    Ok(())
}

fn ours(entries: u32) -> Vec<Reader> {
    let room = fill::roomy(entries) as u64;
    let numbers = HydraCache::local().max_capacity(room).build();
    let users = HydraCache::local().max_capacity(room).build();
    for id in draw::shuffled(entries, 1) {
        let key = Keys::Short.text(id);
        ready(numbers.put(&key, u64::from(id), options())).expect("a number can be put");
        ready(users.put(&key, User::new(id), options())).expect("a user can be put");
    }
    let (loaded_numbers, loaded_users) = (numbers.clone(), users.clone());
    let id = |user: User| u64::from(user.id - User::FIRST);
    vec![
        Reader::new("hydracache, get::<u64>", move |_, key| {
            let number = ready(numbers.get::<u64>(key)).expect("a number can be read");
            number.expect("the key was put")
        }),
        Reader::new("hydracache, get_or_load::<u64>", move |_, key| {
            let load = || async { Ok::<u64, Infallible>(u64::MAX) };
            ready(loaded_numbers.get_or_load(key, options(), load)).expect("a number can be read")
        }),
        Reader::new("hydracache, get::<User>", move |_, key| {
            let user = ready(users.get::<User>(key)).expect("a user can be read");
            id(user.expect("the key was put"))
        }),
        Reader::new("hydracache, get_or_load::<User>", move |_, key| {
            let load = || async { Ok::<User, Infallible>(User::new(0)) };
            id(ready(loaded_users.get_or_load(key, options(), load)).expect("a user can be read"))
        }),
    ]
}

#[inline]
fn options() -> CacheOptions {
    CacheOptions::new().ttl(TTL).tag("users").tag("tenant:1")
}

fn peers(entries: u32) -> Vec<Reader> {
    let room = fill::roomy(entries);
    // The loading calls of the peers build a key from a borrowed key: only a `String` works.
    let quick = quick_cache::sync::Cache::<String, Bytes>::new(room);
    let moka = moka::future::Cache::builder()
        .max_capacity(room as u64)
        .time_to_live(TTL)
        .build();
    for id in draw::shuffled(entries, 1) {
        let key = Keys::Short.text(id);
        quick.insert(key.clone(), value::value(id));
        ready(moka.insert(key, value::value(id)));
    }
    vec![
        Reader::new("quick_cache, get_or_insert_async, no TTL", move |_, key| {
            let load = async { Ok::<_, Infallible>(Bytes::new()) };
            id(&ready(quick.get_or_insert_async(key, load)).expect("a hit cannot fail"))
        }),
        Reader::new("moka, try_get_with_by_ref, TTL", move |_, key| {
            let load = async { Ok::<_, Infallible>(Bytes::new()) };
            id(&ready(moka.try_get_with_by_ref(key, load)).expect("a hit cannot fail"))
        }),
    ]
}

/// The id at the beginning of a value.
fn id(bytes: &[u8]) -> u64 {
    let (id, _) = bytes.split_first_chunk().expect("the key was put");
    u64::from(u32::from_le_bytes(*id))
}
