//! The two forms in which callers have values: each a value of its own, or one that all
//! share.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::Codec;
use super::stored::{AnyArc, NewValue, StoredValue, TypedValue, ValueHandle};
use super::type_tag::TypeTag;
use crate::error::BoxError;

/// What a call deals in.
pub(crate) trait Access: Sized {
    /// What a loader gives.
    type Value;

    /// What a look-up takes along.
    type Snapshot;

    /// Whether those who load it in full are told its age.
    const REPORTS_AGE: bool;

    fn type_tag() -> TypeTag;

    /// What is stored of a loader's value, and what its caller gets. `unchanged` is what is
    /// stored already, if the loader says so.
    fn encode<C: Codec>(
        codec: &C,
        value: Self::Value,
        unchanged: Option<TypedValue>,
    ) -> Result<(NewValue, Self), BoxError>;

    fn decode<C: Codec>(codec: &C, read: &TypedValue) -> Result<Self, Unreadable>;

    /// What a look-up takes along of an entry: nothing of the caller's runs.
    fn snapshot(stored: &StoredValue, ty: impl FnOnce() -> Option<TypeTag>) -> Self::Snapshot;

    /// Opens that.
    fn finish<C: Codec>(codec: &C, snapshot: Self::Snapshot) -> Result<Self, Unreadable>;

    /// The value, for a loader to see what it would replace.
    fn into_old(self) -> Option<Self::Value>;
}

/// Why a value cannot be read.
pub(crate) enum Unreadable {
    /// It is of this other type.
    WrongType(TypeTag),
    Undecodable(BoxError),
}

/// A value of the caller's own.
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

/// A value that all share.
pub(crate) struct ByArc<V>(pub(crate) Arc<V>);

impl<V: Serialize + Send + Sync + 'static> Access for ByArc<V> {
    type Value = V;
    /// A word, and not what it is found in: the processor then need not wait until that is
    /// moved.
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
        let bytes = codec.encode(&value)?;
        let value = Arc::new(value);
        let decoded = Arc::clone(&value);
        Ok((
            NewValue::shared(decoded, bytes, Self::type_tag()),
            Self(value),
        ))
    }

    #[inline]
    fn decode<C: Codec>(_codec: &C, read: &TypedValue) -> Result<Self, Unreadable> {
        let value = match &read.handle {
            ValueHandle::Decoded(value) => downcast(Arc::clone(value)),
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

    /// Others have it too.
    fn into_old(self) -> Option<V> {
        None
    }
}

impl<V> ByArc<V> {
    #[cold]
    fn wrong_type() -> Unreadable {
        Unreadable::WrongType(TypeTag::of::<V>())
    }
}

/// One name has one type of values: so another is never met.
#[inline]
fn downcast<V: Send + Sync + 'static>(value: AnyArc) -> Option<Arc<V>> {
    value.downcast().ok()
}

pub(crate) fn encode<C: Codec, V: Serialize>(codec: &C, value: &V) -> Result<NewValue, BoxError> {
    let bytes = codec.encode(value)?;
    Ok(NewValue::typed(bytes, TypeTag::of::<V>()))
}

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
