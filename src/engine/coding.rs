//! Encoding and decoding, outside of every lock. Errors name the key and the type.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Engine;
use crate::error::{CacheError, CacheResult};
use crate::value::{
    Access, Codec, NewValue, TypeTag, TypedValue, Unreadable, Unwritable, check_round_trip, decode,
    encode, encode_checked,
};

impl<C: Codec> Engine<C> {
    /// Encodes the value of a put.
    pub(crate) fn encode<V: Serialize>(&self, key: &[u8], value: &V) -> CacheResult<NewValue> {
        let encoded = encode(&self.codec, value);
        encoded.map_err(|why| unwritable(Some(key), why, TypeTag::of::<V>()))
    }

    /// Encodes the value of an update, which can be read back.
    pub(crate) fn encode_checked<V: Serialize + DeserializeOwned>(
        &self,
        key: &[u8],
        value: &V,
    ) -> CacheResult<NewValue> {
        let encoded = encode_checked(&self.codec, &self.round_trips, value);
        encoded.map_err(|why| unwritable(Some(key), why, TypeTag::of::<V>()))
    }

    /// Returns an error if the codec gives another value back. Stores nothing.
    pub(crate) fn check_round_trip<V: Serialize + DeserializeOwned>(
        &self,
        value: &V,
    ) -> CacheResult<()> {
        let encoded = self.codec.encode(value).map_err(Unwritable::Unencodable);
        let checked = encoded.and_then(|bytes| check_round_trip(&self.codec, value, &bytes));
        checked.map_err(|why| unwritable(None, why, TypeTag::of::<V>()))
    }

    /// Encodes the value of a load: returns the value to store, and the value for the leader.
    pub(crate) fn encode_as<A: Access>(
        &self,
        key: &[u8],
        value: A::Value,
        unchanged: Option<TypedValue>,
    ) -> CacheResult<(NewValue, A::Held)> {
        // An error here is an error for the waiters too: the leader passes the error on.
        let encoded = A::encode(&self.codec, &self.round_trips, value, unchanged);
        encoded.map_err(|why| unwritable(Some(key), why, A::type_tag()))
    }

    /// Decodes a value for a verb that reads owned values.
    pub(crate) fn decode<V: DeserializeOwned>(
        &self,
        key: &[u8],
        read: &TypedValue,
    ) -> CacheResult<V> {
        let value = decode(&self.codec, read);
        value.map_err(|why| unreadable(key, why, TypeTag::of::<V>()))
    }

    /// Decodes a snapshot, taken under the lock of the shard.
    #[inline]
    pub(crate) fn finish<A: Access>(
        &self,
        key: &[u8],
        snapshot: A::Snapshot,
    ) -> CacheResult<A::Held> {
        // The snapshot is consumed: for a shared value, the `Arc` moves to the caller.
        let value = A::finish(&self.codec, snapshot);
        value.map_err(|why| unreadable(key, why, A::type_tag()))
    }

    /// Decodes a stored value or the value of a flight.
    #[inline]
    pub(crate) fn decode_as<A: Access>(
        &self,
        key: &[u8],
        read: &TypedValue,
    ) -> CacheResult<A::Held> {
        let value = A::decode(&self.codec, read);
        value.map_err(|why| unreadable(key, why, A::type_tag()))
    }
}

/// Returns the error for a failed read. Cold: a hit must not pay for the formatting.
#[cold]
fn unreadable(key: &[u8], why: Unreadable, asked: TypeTag) -> CacheError {
    match why {
        // Both names: the caller cannot see the type of the entry otherwise.
        Unreadable::WrongType(held) => CacheError::wrong_type(key, held.name(), asked.name()),
        Unreadable::Undecodable(error) => CacheError::decode(key, asked.name(), error),
    }
}

/// Returns the error for a failed write. `key` is `None` for a value without a key.
#[cold]
fn unwritable(key: Option<&[u8]>, why: Unwritable, ty: TypeTag) -> CacheError {
    match why {
        Unwritable::Unencodable(error) => CacheError::encode(key, ty.name(), error),
        Unwritable::NotReadBack(error) => CacheError::not_read_back(key, ty.name(), error),
        Unwritable::Changed => CacheError::changed(key, ty.name()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use bytes::Bytes;

    use super::*;
    use crate::engine::Settings;
    use crate::error::BoxError;
    use crate::runtime::SystemClock;
    use crate::value::{ByValue, Postcard, RoundTrips};

    /// Counts decodings, and gives every number back as the next number.
    #[derive(Default)]
    struct Counting(AtomicU32);

    impl Codec for Counting {
        fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError> {
            let bytes = Postcard.encode(value)?;
            Ok(bytes.iter().map(|byte| byte + 1).collect())
        }

        fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Postcard.decode(bytes)
        }
    }

    fn engine(checks: Option<u32>) -> Engine<Counting> {
        let settings = Settings::plain(10, SystemClock);
        let mut engine = Engine::new(settings, Counting::default());
        engine.round_trips = RoundTrips::new(checks);
        engine
    }

    /// The limit of a release build; loads and updates share the count of a type.
    #[test]
    fn first_eight_values_of_each_type_are_read_back() {
        let engine = engine(Some(8));
        let update = |n: u32| engine.encode_checked(b"key", &n).is_err();
        let load = |n: u32| engine.encode_as::<ByValue<u32>>(b"key", n, None).is_err();
        let refused = (0..20).filter(|&n| if n % 2 == 0 { update(n) } else { load(n) });
        assert_eq!(refused.collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(engine.codec.0.load(Ordering::Relaxed), 8);
        // Another type has a count of its own. A put is never read back.
        assert!(engine.encode(b"key", &1_u8).is_ok());
        assert!(engine.encode_checked(b"key", &1_u8).is_err());
        // The method for tests has no limit.
        assert!((0..20_u32).all(|n| engine.check_round_trip(&n).is_err()));
    }

    #[test]
    fn debug_build_reads_every_value_back() {
        let engine = engine(None);
        assert!((0..100_u32).all(|n| engine.encode_checked(b"key", &n).is_err()));
    }
}
