//! The two ways in which callers hold values: a value of their own, or an `Arc` for all.

use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::Codec;
use super::round_trip::{RoundTrips, Unwritable, check_round_trip};
use super::stored::{AnyArc, NewValue, StoredValue, TypedValue, ValueHandle};
use super::type_tag::TypeTag;
use crate::error::BoxError;

/// How a verb hands out values. An implementation is a marker: no value of the type exists.
pub(crate) trait Access {
    /// The value from a loader.
    type Value;

    /// The value for a caller.
    type Held;

    /// The part of an entry taken under the lock, for `finish` to convert after the unlock.
    type Snapshot;

    /// Returns the type of the values.
    fn type_tag() -> TypeTag;

    /// Converts the value from a loader to the stored form and to the form for the leader.
    /// `unchanged` is the stored value, if the loader returned the stored value. A value that will
    /// be decoded is read back, if `round_trips` says so.
    fn encode<C: Codec>(
        codec: &C,
        round_trips: &RoundTrips,
        value: Self::Value,
        unchanged: Option<TypedValue>,
    ) -> Result<(NewValue, Self::Held), Unwritable>;

    /// Converts a stored value to the form for a caller.
    fn decode<C: Codec>(codec: &C, read: &TypedValue) -> Result<Self::Held, Unreadable>;

    /// Takes from an entry what `finish` needs. Runs none of the caller's code.
    fn snapshot(stored: &StoredValue, type_tag: impl FnOnce() -> Option<TypeTag>)
    -> Self::Snapshot;

    /// Converts a snapshot to the form for a caller.
    fn finish<C: Codec>(codec: &C, snapshot: Self::Snapshot) -> Result<Self::Held, Unreadable>;

    /// Returns the owned value, for a full loader; `None` for a shared value.
    fn into_old(held: Self::Held) -> Option<Self::Value>;
}

/// Why a stored value cannot be read as the type asked for.
pub(crate) enum Unreadable {
    /// The stored value has this other type.
    WrongType(TypeTag),
    /// The codec refused the bytes.
    Undecodable(BoxError),
}

/// Every reader decodes a value of its own.
pub(crate) struct ByValue<V>(PhantomData<V>);

impl<V: Serialize + DeserializeOwned> Access for ByValue<V> {
    type Value = V;
    type Held = V;
    type Snapshot = TypedValue;

    fn type_tag() -> TypeTag {
        TypeTag::of::<V>()
    }

    fn encode<C: Codec>(
        codec: &C,
        round_trips: &RoundTrips,
        value: V,
        unchanged: Option<TypedValue>,
    ) -> Result<(NewValue, V), Unwritable> {
        let encoded = match unchanged {
            // The loader's value was decoded from these bytes: no other value comes back.
            Some(TypedValue {
                handle: ValueHandle::Bytes(bytes),
                ty,
            }) => NewValue::reused(bytes, ty),
            _ => encode_checked(codec, round_trips, &value)?,
        };
        Ok((encoded, value))
    }

    #[inline]
    fn decode<C: Codec>(codec: &C, read: &TypedValue) -> Result<V, Unreadable> {
        decode(codec, read)
    }

    #[inline]
    fn snapshot(stored: &StoredValue, type_tag: impl FnOnce() -> Option<TypeTag>) -> TypedValue {
        TypedValue {
            handle: stored.handle(),
            ty: type_tag(),
        }
    }

    #[inline]
    fn finish<C: Codec>(codec: &C, snapshot: TypedValue) -> Result<V, Unreadable> {
        decode(codec, &snapshot)
    }

    fn into_old(held: V) -> Option<V> {
        Some(held)
    }
}

/// All readers share one value.
pub(crate) struct ByArc<V>(PhantomData<V>);

impl<V: Serialize + Send + Sync + 'static> Access for ByArc<V> {
    type Value = V;
    type Held = Arc<V>;
    // One word, rather than the enum that holds it: the processor can use the word before
    // the rest of the enum has been copied.
    type Snapshot = Option<Arc<V>>;

    fn type_tag() -> TypeTag {
        TypeTag::of::<V>()
    }

    fn encode<C: Codec>(
        codec: &C,
        _round_trips: &RoundTrips,
        value: V,
        _unchanged: Option<TypedValue>,
    ) -> Result<(NewValue, Arc<V>), Unwritable> {
        // The bytes are never decoded: every reader gets this very value.
        let bytes = codec.encode(&value).map_err(Unwritable::Unencodable)?;
        let value = Arc::new(value);
        let decoded = Arc::clone(&value);
        Ok((NewValue::shared(decoded, bytes, Self::type_tag()), value))
    }

    #[inline]
    fn decode<C: Codec>(_codec: &C, read: &TypedValue) -> Result<Arc<V>, Unreadable> {
        let value = match &read.handle {
            ValueHandle::Decoded(value) => downcast(Arc::clone(value)),
            ValueHandle::Bytes(_) => None,
        };
        value.ok_or_else(Self::wrong_type)
    }

    #[inline]
    fn snapshot(
        stored: &StoredValue,
        _type_tag: impl FnOnce() -> Option<TypeTag>,
    ) -> Option<Arc<V>> {
        match stored {
            StoredValue::Decoded(value, _) => downcast(Arc::clone(value)),
            StoredValue::Bytes(_) => None,
        }
    }

    #[inline]
    fn finish<C: Codec>(_codec: &C, snapshot: Option<Arc<V>>) -> Result<Arc<V>, Unreadable> {
        snapshot.ok_or_else(Self::wrong_type)
    }

    fn into_old(_held: Arc<V>) -> Option<V> {
        None
    }
}

impl<V> ByArc<V> {
    #[cold]
    fn wrong_type() -> Unreadable {
        Unreadable::WrongType(TypeTag::of::<V>())
    }
}

// A name of a typed cache has one value type, so the downcast of a key's value never fails.
#[inline]
fn downcast<V: Send + Sync + 'static>(value: AnyArc) -> Option<Arc<V>> {
    value.downcast().ok()
}

/// Encodes a value for storing.
pub(crate) fn encode<C: Codec, V: Serialize>(codec: &C, value: &V) -> Result<NewValue, Unwritable> {
    let bytes = codec.encode(value).map_err(Unwritable::Unencodable)?;
    Ok(NewValue::typed(bytes, TypeTag::of::<V>()))
}

/// Encodes a value for storing, and reads the value back, if `round_trips` says so.
pub(crate) fn encode_checked<C, V>(
    codec: &C,
    round_trips: &RoundTrips,
    value: &V,
) -> Result<NewValue, Unwritable>
where
    C: Codec,
    V: Serialize + DeserializeOwned,
{
    let ty = TypeTag::of::<V>();
    let bytes = codec.encode(value).map_err(Unwritable::Unencodable)?;
    if codec.checks_round_trip() && round_trips.is_due(ty) {
        check_round_trip(codec, value, &bytes)?;
    }
    Ok(NewValue::typed(bytes, ty))
}

/// Decodes a stored value, after a check of its type.
#[inline]
pub(crate) fn decode<C: Codec, V: DeserializeOwned>(
    codec: &C,
    read: &TypedValue,
) -> Result<V, Unreadable> {
    let asked = TypeTag::of::<V>();
    match &read.handle {
        ValueHandle::Bytes(bytes) if read.reads_as(asked) => {
            codec.decode(bytes).map_err(Unreadable::Undecodable)
        }
        _ => Err(Unreadable::WrongType(read.ty.unwrap_or(asked))),
    }
}
