//! Keys: bytes, hashes, and the namespaces of typed caches.

mod hash;
mod lookup;
mod namespace;
mod plain;
mod small_bytes;
mod typed_keys;

pub(crate) use self::hash::Hashing;
pub use self::hash::KeyHasher;
pub(crate) use self::lookup::{Key, Lookup, TypedKey, hash_key};
pub(crate) use self::namespace::{display, is_text};
pub(crate) use self::small_bytes::SmallBytes;
pub(crate) use self::typed_keys::TypedKeys;
