//! Encoding and decoding, outside of every lock, with errors that name the key.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Engine;
use crate::error::{CacheError, CacheResult};
use crate::value::{Access, Codec, NewValue, TypeTag, TypedValue, Unreadable, decode, encode};

impl<C: Codec> Engine<C> {
    pub(crate) fn encode<V: Serialize>(&self, key: &[u8], value: &V) -> CacheResult<NewValue> {
        let encoded = encode(&self.codec, value);
        encoded.map_err(|error| CacheError::encode(key, TypeTag::of::<V>().name(), error))
    }

    /// What is stored of a loader's value, and what its caller gets.
    pub(crate) fn encode_as<A: Access>(
        &self,
        key: &[u8],
        value: A::Value,
        unchanged: Option<TypedValue>,
    ) -> CacheResult<(NewValue, A::Held)> {
        let encoded = A::encode(&self.codec, value, unchanged);
        encoded.map_err(|error| CacheError::encode(key, A::type_tag().name(), error))
    }

    pub(crate) fn decode<V: DeserializeOwned>(
        &self,
        key: &[u8],
        read: &TypedValue,
    ) -> CacheResult<V> {
        let value = decode(&self.codec, read);
        value.map_err(|why| unreadable(key, why, TypeTag::of::<V>()))
    }

    #[inline]
    pub(crate) fn finish<A: Access>(
        &self,
        key: &[u8],
        snapshot: A::Snapshot,
    ) -> CacheResult<A::Held> {
        let value = A::finish(&self.codec, snapshot);
        value.map_err(|why| unreadable(key, why, A::type_tag()))
    }

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

#[cold]
fn unreadable(key: &[u8], why: Unreadable, asked: TypeTag) -> CacheError {
    match why {
        Unreadable::WrongType(held) => CacheError::wrong_type(key, held.name(), asked.name()),
        Unreadable::Undecodable(error) => CacheError::decode(key, asked.name(), error),
    }
}
