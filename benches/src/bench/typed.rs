//! Typed reads: `get::<User>` against bytes of a peer plus decoding, and a typed cache against
//! a peer with `Arc<User>` values.
//!
//! A user is 54 bytes encoded and five allocations decoded. Decoding alone is measured on one
//! user in the CPU cache. A cache of `Arc<User>` decodes nothing.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use hydracache::{CacheOptions, HydraCache};

use crate::draw;
use crate::readers::{self, Reader};
use crate::ready::ready;
use crate::requests::{Keys, Requests};
use crate::settings::Settings;
use crate::table::{self, Table};
use crate::targets::Targets;
use crate::user::User;

const OURS: usize = 0;
const QUICK: usize = 1;
const SHARED: usize = 3;
const LOADED: usize = 4;
const QUICK_SHARED: usize = 5;

/// Runs the bench.
pub fn run(settings: &Settings, targets: &mut Targets) -> Result<()> {
    let entries: u32 = settings.size(100_000, 2_000);
    let length = settings.size(200_000, 4_000);
    let ids = draw::zipf(entries, 0.99, length, 3);
    let requests = Requests::new(Keys::Short, ids);
    let readers = contestants(entries);
    let [tight, fenced] =
        [false, true].map(|fenced| readers::measure(settings, &readers, &requests, fenced));

    let title = "typed hit, keys user:{id}, Zipf 0.99: ns, and hydracache as a part of it";
    let mut table = Table::new(title, &["", "tight", "ratio", "fenced", "ratio"]);
    for (contestant, reader) in readers.iter().enumerate() {
        let mut cells = vec![reader.name.into()];
        for times in [&tight, &fenced] {
            cells.push(table::nanos(times.median(contestant)));
            cells.push(table::ratio(times.ratio(OURS, contestant)));
        }
        table.row(cells);
    }
    table.print();
    for (times, mode) in [(&tight, "tight"), (&fenced, "fenced")] {
        let what = format!("typed hit, {mode}: over quick_cache with decoding");
        targets.at_most(0.9, times.ratio(OURS, QUICK), what);
        let over = "over quick_cache handing out an Arc";
        let what = format!("typed cache, get, {mode}: {over}");
        targets.at_most(1.1, times.ratio(SHARED, QUICK_SHARED), what);
        let what = format!("typed cache, get_or_load, {mode}: {over}");
        targets.at_most(1.1, times.ratio(LOADED, QUICK_SHARED), what);
    }
    Ok(())
}

fn contestants(entries: u32) -> Vec<Reader> {
    let room = crate::fill::roomy(entries);
    let hydra = HydraCache::local().max_capacity(room as u64).build();
    let quick = quick_cache::sync::Cache::<Box<str>, Bytes>::new(room);
    let moka = moka::future::Cache::<Box<str>, Bytes>::new(room as u64);
    let shared = quick_cache::sync::Cache::<Box<str>, Arc<User>>::new(room);
    for id in draw::shuffled(entries, 1) {
        let (key, user) = (Keys::Short.text(id), User::new(id));
        let encoded = Bytes::from(user.encode());
        quick.insert(key.as_str().into(), encoded.clone());
        ready(moka.insert(key.as_str().into(), Bytes::from(user.encode())));
        ready(hydra.put(&key, &user, CacheOptions::new())).expect("a user can be encoded");
        shared.insert(key.into(), Arc::new(user));
    }
    let typed = HydraCache::local().max_capacity(room as u64).build();
    let typed = typed.typed::<str, User>("users");
    for id in draw::shuffled(entries, 1) {
        let key = Keys::Short.text(id);
        let put = typed.put(&key, User::new(id), CacheOptions::new());
        ready(put).expect("a user can be encoded");
    }
    let loaded = typed.clone();
    let alone = User::new(7).encode();
    vec![
        Reader::new("hydracache, get::<User>", move |_, key| {
            let user = ready(hydra.get::<User>(key)).expect("a user can be decoded");
            id(&user.expect("the key was put"))
        }),
        Reader::new("quick_cache, Bytes + postcard", move |_, key| {
            decode(&quick.get(key).expect("the key was put"))
        }),
        Reader::new("moka, Bytes + postcard", move |_, key| {
            decode(&ready(moka.get(key)).expect("the key was put"))
        }),
        Reader::new("hydracache, typed cache, get", move |_, key| {
            let user = ready(typed.get(key)).expect("the types are the same");
            id(&user.expect("the key was put"))
        }),
        Reader::new("hydracache, typed cache, get_or_load", move |_, key| {
            let load = || async { Err::<User, _>("the key was put") };
            id(&ready(loaded.get_or_load(key, CacheOptions::new(), load)).expect("a hit"))
        }),
        Reader::new("quick_cache, Arc<User>", move |_, key| {
            id(&shared.get(key).expect("the key was put"))
        }),
        Reader::new("decoding alone", move |id, _| {
            u64::from(id) + decode(black_box(&alone)) - 7
        }),
    ]
}

fn decode(bytes: &[u8]) -> u64 {
    id(&postcard::from_bytes(bytes).expect("a user can be decoded"))
}

fn id(user: &User) -> u64 {
    u64::from(user.id - User::FIRST)
}
