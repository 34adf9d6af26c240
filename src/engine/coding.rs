//! Encoding and decoding, outside of every lock. Errors name the key and the type.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Engine;
use crate::error::{CacheError, CacheResult};
use crate::value::{Access, Codec, NewValue, TypeTag, TypedValue, Unreadable, decode, encode};

impl<C: Codec> Engine<C> {
    /// Encodes the value of a put.
    pub(crate) fn encode<V: Serialize>(&self, key: &[u8], value: &V) -> CacheResult<NewValue> {
        let encoded = encode(&self.codec, value);
        encoded.map_err(|error| CacheError::encode(key, TypeTag::of::<V>().name(), error))
    }

    /// Encodes the value of a load: returns the value to store, and the value for the leader.
    pub(crate) fn encode_as<A: Access>(
        &self,
        key: &[u8],
        value: A::Value,
        unchanged: Option<TypedValue>,
    ) -> CacheResult<(NewValue, A::Held)> {
        // An error here is an error for the waiters too: the leader passes the error on.
        let encoded = A::encode(&self.codec, value, unchanged);
        encoded.map_err(|error| CacheError::encode(key, A::type_tag().name(), error))
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
