//! Arbitrary bytes, stored by `put_bytes` and read as many types, give a value or an error.
//!
//! No read panics, and no read allocates much more than the length of the bytes.

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

/// A recursive type.
#[derive(Debug, Deserialize, Serialize)]
enum Tree {
    Leaf(u8),
    Node(Box<Tree>, Box<Tree>),
}

/// The allocation limit of a decode per byte of input: one byte can begin an entry of a map,
/// plus the spare capacity of a growing map.
const MAX_PER_BYTE: u64 = 192;

/// The allocation limit for an error and its text.
const MAX_FOR_ERROR: u64 = 2048;

/// The capacity that serde reserves for the announced length of a map, however few bytes
/// follow. postcard reports the length of a list only if the bytes suffice, but the length of
/// a map always. A map inside a map may reserve as much again. Remove this allowance when
/// postcard checks the length of a map too.
const MAX_FOR_HASH_MAP: u64 = 3 << 20;

/// Runs one input.
///
/// # Panics
///
/// If a read breaks a promise of the cache.
pub fn run(bytes: &[u8]) {
    let cache = HydraCache::local().build();
    let mut reads = Reads {
        cache,
        bytes,
        max_bytes: MAX_PER_BYTE * bytes.len() as u64 + MAX_FOR_ERROR,
        decode_failures: 0,
    };
    block_on(
        reads
            .cache
            .put_bytes("bytes", Bytes::copy_from_slice(bytes), CacheOptions::new()),
    )
    .expect("any bytes can be stored");
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
    // Hash maps have no order, so a second encoding may differ: read only.
    reads.max_bytes += MAX_FOR_HASH_MAP;
    reads.read::<HashMap<u8, String>>();
    reads.max_bytes += MAX_FOR_HASH_MAP;
    reads.read::<HashMap<String, HashMap<u64, Role>>>();
    reads.finish();
}

struct Reads<'a> {
    cache: HydraCache,
    bytes: &'a [u8],
    /// The allocation limit of a read.
    max_bytes: u64,
    decode_failures: u64,
}

impl Reads<'_> {
    /// Reads the bytes as a type, by each reading method.
    fn read<V: Debug + DeserializeOwned + Serialize>(&mut self) -> Option<V> {
        let mut got = None;
        let counts = measure(|| got = Some(block_on(self.cache.get::<V>("bytes"))));
        let ty = std::any::type_name::<V>();
        assert!(counts.bytes_max <= self.max_bytes, "{ty}: {counts:?}");
        let got = decoded(got.expect("`measure` has run the closure"));
        let peeked = decoded(block_on(self.cache.peek::<V>("bytes")));
        assert_eq!(got.is_some(), peeked.is_some());

        // A failed load replaces nothing, not even an undecodable entry.
        let loading = self
            .cache
            .get_or_load("bytes", CacheOptions::new(), || async {
                Err::<V, _>("unavailable")
            });
        let loaded = block_on(loading);
        assert!(loaded.as_ref().err().is_none_or(CacheError::is_load));
        assert_eq!(got.is_some(), loaded.is_ok());
        let held = block_on(self.cache.get_bytes("bytes")).expect("bytes");
        assert_eq!(held.as_deref(), Some(self.bytes));
        // `get` and the loading call count decode failures; `peek` does not.
        self.decode_failures += if got.is_none() { 2 } else { 0 };
        got
    }

    /// Reads a value, writes and reads the value again, and compares the bytes.
    fn read_and_write<V: Debug + DeserializeOwned + Serialize>(&mut self) {
        let Some(value) = self.read::<V>() else {
            return;
        };
        let bytes = |key| block_on(self.cache.get_bytes(key)).expect("bytes");
        block_on(self.cache.put("once", &value, CacheOptions::new())).expect("a put");
        let once = bytes("once").expect("the value was just put");
        // The input may encode a number with more bytes than necessary.
        assert!(once.len() <= self.bytes.len(), "{value:?} has grown");
        let again = decoded(block_on(self.cache.get::<V>("once"))).expect("the value was just put");
        block_on(self.cache.put("again", &again, CacheOptions::new())).expect("a put");
        assert_eq!(Some(once), bytes("again"), "{value:?} is {again:?}");
    }

    fn finish(&self) {
        assert_eq!(self.cache.stats().decode_failures, self.decode_failures);
        #[cfg(fuzzing)]
        self.cache.validate();
    }
}

/// The value, or `None` if the bytes cannot be decoded.
fn decoded<V>(got: CacheResult<Option<V>>) -> Option<V> {
    match got {
        Ok(value) => Some(value.expect("the entry is stored")),
        Err(error) => {
            assert!(error.is_decode(), "{error}");
            None
        }
    }
}
