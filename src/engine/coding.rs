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
