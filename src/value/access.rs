//! The two ways in which callers hold values: an owned value per call, or an `Arc` shared by
//! all calls.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::Codec;
use super::stored::{AnyArc, NewValue, StoredValue, TypedValue, ValueHandle};
use super::type_tag::TypeTag;
use crate::error::BoxError;

/// How the calls of a cache hold values: [`ByValue`] or [`ByArc`].
pub(crate) trait Access: Sized {
    /// The value returned by a loader.
    type Value;

    /// The part of a stored value that a look-up copies under the lock of the shard.
    type Snapshot;

    /// Whether `fetch` reports the age of the value. If `true`, a loaded entry records the
    /// time of storing; if `false`, only options of the call make the entry do so.
    const REPORTS_AGE: bool;

    fn type_tag() -> TypeTag;

    /// Returns the value to store and the value for the caller of the load. `unchanged` is the
    /// stored value, if the loader returned this value as not modified.
    fn encode<C: Codec>(
        codec: &C,
        value: Self::Value,
        unchanged: Option<TypedValue>,
    ) -> Result<(NewValue, Self), BoxError>;

    /// Decodes the value of an entry or of another call's load.
    fn decode<C: Codec>(codec: &C, read: &TypedValue) -> Result<Self, Unreadable>;

    /// Copies a handle to the stored value, under the lock of the shard: no code of the caller
    /// runs.
    fn snapshot(stored: &StoredValue, ty: impl FnOnce() -> Option<TypeTag>) -> Self::Snapshot;

    /// Decodes a snapshot, after the lock is released.
    fn finish<C: Codec>(codec: &C, snapshot: Self::Snapshot) -> Result<Self, Unreadable>;

    /// Returns the owned value, for the loader of `fetch` to compare with; `None` if the value
    /// is shared.
    fn into_old(self) -> Option<Self::Value>;
}

/// The reason for a failed read of a stored value.
pub(crate) enum Unreadable {
    /// The value was stored as this other type.
    WrongType(TypeTag),
    /// The type is right, or unknown, but the codec refused the bytes.
    Undecodable(BoxError),
}

/// An owned value: each read decodes the stored bytes.
pub(crate) struct ByValue<V>(pub(crate) V);

impl<V: Serialize + DeserializeOwned> Access for ByValue<V> {
    type Value = V;
    type Snapshot = TypedValue;

    const REPORTS_AGE: bool = true;

    fn type_tag() -> TypeTag {
        TypeTag::of::<V>()
    }

    fn encode<C: Codec>(
        codec: &C,
        value: V,
        unchanged: Option<TypedValue>,
    ) -> Result<(NewValue, Self), BoxError> {
        // The loader may return the unchanged value: then the stored bytes are right, and
        // encoding again would only cost time and memory.
        let encoded = match unchanged {
            Some(TypedValue {
                handle: ValueHandle::Bytes(bytes),
                ty,
            }) => NewValue::reused(bytes, ty),
            _ => encode(codec, &value)?,
        };
        Ok((encoded, Self(value)))
    }

    #[inline]
    fn decode<C: Codec>(codec: &C, read: &TypedValue) -> Result<Self, Unreadable> {
        decode(codec, read).map(Self)
    }

    #[inline]
    fn snapshot(stored: &StoredValue, ty: impl FnOnce() -> Option<TypeTag>) -> TypedValue {
        TypedValue {
            handle: stored.handle(),
            ty: ty(),
        }
    }

    #[inline]
    fn finish<C: Codec>(codec: &C, snapshot: TypedValue) -> Result<Self, Unreadable> {
        decode(codec, &snapshot).map(Self)
    }

    fn into_old(self) -> Option<V> {
        Some(self.0)
    }
}

/// A shared value: each read hands out a clone of the `Arc`, and decodes nothing.
pub(crate) struct ByArc<V>(pub(crate) Arc<V>);

impl<V: Serialize + Send + Sync + 'static> Access for ByArc<V> {
    type Value = V;
    /// A single pointer, not a copy of the whole `StoredValue`: the processor need not wait for
    /// the copy before the value is used.
    type Snapshot = Option<Arc<V>>;

    const REPORTS_AGE: bool = false;

    fn type_tag() -> TypeTag {
        TypeTag::of::<V>()
    }

    fn encode<C: Codec>(
        codec: &C,
        value: V,
        _unchanged: Option<TypedValue>,
    ) -> Result<(NewValue, Self), BoxError> {
        // The bytes are for a removal listener and for `max_bytes`; reads use the `Arc`.
        let bytes = codec.encode(&value)?;
        let value = Arc::new(value);
        let decoded = Arc::clone(&value);
        // The caller of the load gets the stored `Arc`, as every later reader does.
        Ok((
            NewValue::shared(decoded, bytes, Self::type_tag()),
            Self(value),
        ))
    }

    #[inline]
    fn decode<C: Codec>(_codec: &C, read: &TypedValue) -> Result<Self, Unreadable> {
        let value = match &read.handle {
            ValueHandle::Decoded(value) => downcast(Arc::clone(value)),
            // No key of a typed cache holds bare bytes: an error, in case another verb
            // stores there some day.
            ValueHandle::Bytes(_) => None,
        };
        value.map(Self).ok_or_else(Self::wrong_type)
    }

    #[inline]
    fn snapshot(stored: &StoredValue, _ty: impl FnOnce() -> Option<TypeTag>) -> Option<Arc<V>> {
        match stored {
            StoredValue::Decoded(value, _) => downcast(Arc::clone(value)),
            StoredValue::Bytes(_) => None,
        }
    }

    #[inline]
    fn finish<C: Codec>(_codec: &C, snapshot: Option<Arc<V>>) -> Result<Self, Unreadable> {
        snapshot.map(Self).ok_or_else(Self::wrong_type)
    }

    /// Returns `None`: other callers hold the `Arc` too.
    fn into_old(self) -> Option<V> {
        None
    }
}

impl<V> ByArc<V> {
    /// The error for a value that is not an `Arc<V>`. Out of line: no hit comes here.
    #[cold]
    fn wrong_type() -> Unreadable {
        Unreadable::WrongType(TypeTag::of::<V>())
    }
}

/// Returns the value as `Arc<V>`. The result is `Some` in practice: a name of a typed cache is
/// opened with a single value type.
#[inline]
fn downcast<V: Send + Sync + 'static>(value: AnyArc) -> Option<Arc<V>> {
    value.downcast().ok()
}

/// Encodes an owned value, with the type of the value.
pub(crate) fn encode<C: Codec, V: Serialize>(codec: &C, value: &V) -> Result<NewValue, BoxError> {
    let bytes = codec.encode(value)?;
    Ok(NewValue::typed(bytes, TypeTag::of::<V>()))
}

/// Decodes an owned value, if the stored type may be read as `V`.
#[inline]
pub(crate) fn decode<C: Codec, V: DeserializeOwned>(
    codec: &C,
    read: &TypedValue,
) -> Result<V, Unreadable> {
    let asked = TypeTag::of::<V>();
    match &read.handle {
        // The type is compared first: bytes of another type often decode by accident.
        ValueHandle::Bytes(bytes) if read.reads_as(asked) => {
            codec.decode(bytes).map_err(Unreadable::Undecodable)
        }
        // A type is always known here: bytes without a type read as every type.
        _ => Err(Unreadable::WrongType(read.ty.unwrap_or(asked))),
    }
}
