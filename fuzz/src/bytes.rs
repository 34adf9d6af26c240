//! Any bytes, stored by `put_bytes` and read as all kinds of types: a value or an error,
//! never a panic, and no more memory than the bytes are worth.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use allocation_counter::measure;
use futures_lite::future::block_on;
use hydracache::{Bytes, CacheError, CacheOptions, CacheResult, HydraCache};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, Serialize)]
struct User {
    id: u64,
    name: String,
    born: Option<(u16, u8, u8)>,
    roles: Vec<Role>,
    notes: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, Deserialize, Serialize)]
enum Role {
    Guest,
    Member(u32),
    Admin { since: i64, rights: Box<[u16]> },
}

/// A type that holds itself.
#[derive(Debug, Deserialize, Serialize)]
enum Tree {
    Leaf(u8),
    Node(Box<Tree>, Box<Tree>),
}

/// For each byte that is read there may be so many that decoding asks for at a time: an
/// entry of a map, which one byte begins, and the room that a map grows by.
const MOST_FOR_A_BYTE: u64 = 192;

/// An error, and its text.
const MOST_FOR_NONE: u64 = 2048;

/// What serde makes room for at the word of a map's length, however few bytes follow:
/// postcard tells it the length of a list only if there are bytes for it, and that of a map
/// always. A map in a map may do so too. To be removed when a map is worth its bytes.
const MOST_FOR_A_HASH_MAP: u64 = 3 << 20;

/// Runs one input.
///
/// # Panics
///
/// If a read does something else than it promises.
pub fn run(bytes: &[u8]) {
    let cache = HydraCache::local().build();
    let mut reads = Reads {
        cache,
        bytes,
        most: MOST_FOR_A_BYTE * bytes.len() as u64 + MOST_FOR_NONE,
        undecodable: 0,
    };
    block_on(
        reads
            .cache
            .put_bytes("bytes", Bytes::copy_from_slice(bytes), CacheOptions::new()),
    )
    .expect("bytes are stored as they are");
    reads.read_and_write::<()>();
    reads.read_and_write::<bool>();
    reads.read_and_write::<u8>();
    reads.read_and_write::<u32>();
    reads.read_and_write::<i64>();
    reads.read_and_write::<u128>();
    reads.read_and_write::<char>();
    reads.read_and_write::<f64>();
    reads.read_and_write::<String>();
    reads.read_and_write::<Vec<u8>>();
    reads.read_and_write::<Vec<String>>();
    reads.read_and_write::<Box<[u64]>>();
    reads.read_and_write::<Option<Vec<Option<i16>>>>();
    reads.read_and_write::<(u8, String, [u16; 4])>();
    reads.read_and_write::<Result<String, u32>>();
    reads.read_and_write::<BTreeMap<String, u64>>();
    reads.read_and_write::<User>();
    reads.read_and_write::<Vec<User>>();
    reads.read_and_write::<Tree>();
    // Of no order: what is written again may differ.
    reads.most += MOST_FOR_A_HASH_MAP;
    reads.read::<HashMap<u8, String>>();
    reads.most += MOST_FOR_A_HASH_MAP;
    reads.read::<HashMap<String, HashMap<u64, Role>>>();
    reads.finish();
}

struct Reads<'a> {
    cache: HydraCache,
    bytes: &'a [u8],
    /// So much memory a read may ask for.
    most: u64,
    undecodable: u64,
}

impl Reads<'_> {
    /// Reads the bytes as a type, by each verb that reads.
    fn read<V: Debug + DeserializeOwned + Serialize>(&mut self) -> Option<V> {
        let mut got = None;
        let counts = measure(|| got = Some(block_on(self.cache.get::<V>("bytes"))));
        let ty = std::any::type_name::<V>();
        assert!(counts.bytes_max <= self.most, "{ty}: {counts:?}");
        let got = some(got.expect("it was read"));
        let peeked = some(block_on(self.cache.peek::<V>("bytes")));
        assert_eq!(got.is_some(), peeked.is_some());

        // A load that fails replaces nothing, not even what cannot be decoded.
        let loading = self
            .cache
            .get_or_load("bytes", CacheOptions::new(), || async {
                Err::<V, _>("away")
            });
        let loaded = block_on(loading);
        assert!(loaded.as_ref().err().is_none_or(CacheError::is_load));
        assert_eq!(got.is_some(), loaded.is_ok());
        let held = block_on(self.cache.get_bytes("bytes")).expect("bytes");
        assert_eq!(held.as_deref(), Some(self.bytes));
        // `get` and the loading call; `peek` leaves no trace.
        self.undecodable += if got.is_none() { 2 } else { 0 };
        got
    }

    /// And what was read is written and read again: the same.
    fn read_and_write<V: Debug + DeserializeOwned + Serialize>(&mut self) {
        let Some(value) = self.read::<V>() else {
            return;
        };
        let bytes = |key| block_on(self.cache.get_bytes(key)).expect("bytes");
        block_on(self.cache.put("once", &value, CacheOptions::new())).expect("a put");
        let once = bytes("once").expect("it is stored");
        // Numbers may be written with zeros in front.
        assert!(once.len() <= self.bytes.len(), "{value:?} has grown");
        let again = some(block_on(self.cache.get::<V>("once"))).expect("it was just written");
        block_on(self.cache.put("again", &again, CacheOptions::new())).expect("a put");
        assert_eq!(Some(once), bytes("again"), "{value:?} is {again:?}");
    }

    fn finish(&self) {
        assert_eq!(self.cache.stats().decode_failures, self.undecodable);
        #[cfg(fuzzing)]
        self.cache.validate();
    }
}

/// A value, or none since it cannot be decoded.
fn some<V>(got: CacheResult<Option<V>>) -> Option<V> {
    match got {
        Ok(value) => Some(value.expect("it is stored")),
        Err(error) => {
            assert!(error.is_decode(), "{error}");
            None
        }
    }
}
