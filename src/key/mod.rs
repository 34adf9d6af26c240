//! Keys: their bytes, their hashes, and the namespaces of typed caches.

mod hash;
mod lookup;
mod namespace;
mod plain;
mod small_bytes;
mod typed_keys;

pub(crate) use self::hash::Hashing;
pub use self::hash::KeyHasher;
pub(crate) use self::lookup::{Key, Lookup, Parts, hash_key};
pub(crate) use self::namespace::{is_text, shown};
pub(crate) use self::small_bytes::Text;
pub(crate) use self::typed_keys::Keys;
