//! The two forms in which callers have values: each a value of its own, or one that all
//! share.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::Codec;
use crate::encoded::{Encoded, Given, Read};
use crate::error::BoxError;
use crate::types::TypeTag;

/// What a call deals in.
pub(crate) trait Form: Sized {
    /// What a loader gives.
    type Value;

    /// Whether those who load it in full are told its age.
    const HAS_AGE: bool;

    fn ty() -> TypeTag;

    /// What is stored of a loader's value, and what its caller gets. `unchanged` is what is
    /// stored already, if the loader says so.
    fn seal<C: Codec>(
        codec: &C,
        value: Self::Value,
        unchanged: Option<Read>,
    ) -> Result<(Encoded, Self), BoxError>;

    fn open<C: Codec>(codec: &C, read: &Read) -> Result<Self, Unreadable>;

    /// The same, of what is not needed any more.
    fn take<C: Codec>(codec: &C, read: Read) -> Result<Self, Unreadable>;

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
pub(crate) struct Own<V>(pub(crate) V);

impl<V: Serialize + DeserializeOwned> Form for Own<V> {
    type Value = V;

    const HAS_AGE: bool = true;

    fn ty() -> TypeTag {
        TypeTag::of::<V>()
    }

    fn seal<C: Codec>(
        codec: &C,
        value: V,
        unchanged: Option<Read>,
    ) -> Result<(Encoded, Self), BoxError> {
        let encoded = match unchanged {
            Some(Read {
                given: Given::Bytes(bytes),
                ty,
            }) => Encoded::again(bytes, ty),
            _ => encode(codec, &value)?,
        };
        Ok((encoded, Self(value)))
    }

    #[inline]
    fn open<C: Codec>(codec: &C, read: &Read) -> Result<Self, Unreadable> {
        decode(codec, read).map(Self)
    }

    #[inline]
    fn take<C: Codec>(codec: &C, read: Read) -> Result<Self, Unreadable> {
        decode(codec, &read).map(Self)
    }

    fn into_old(self) -> Option<V> {
        Some(self.0)
    }
}

/// A value that all share.
pub(crate) struct Shared<V>(pub(crate) Arc<V>);

impl<V: Serialize + Send + Sync + 'static> Form for Shared<V> {
    type Value = V;

    const HAS_AGE: bool = false;

    fn ty() -> TypeTag {
        TypeTag::of::<V>()
    }

    fn seal<C: Codec>(
        codec: &C,
        value: V,
        _unchanged: Option<Read>,
    ) -> Result<(Encoded, Self), BoxError> {
        let bytes = codec.encode(&value)?;
        let value = Arc::new(value);
        let decoded = Arc::clone(&value);
        Ok((Encoded::decoded(decoded, bytes, Self::ty()), Self(value)))
    }

    #[inline]
    fn open<C: Codec>(_codec: &C, read: &Read) -> Result<Self, Unreadable> {
        share(read.given.clone()).map(Self)
    }

    #[inline]
    fn take<C: Codec>(_codec: &C, read: Read) -> Result<Self, Unreadable> {
        share(read.given).map(Self)
    }

    /// Others have it too.
    fn into_old(self) -> Option<V> {
        None
    }
}

/// A value that all share, of what is stored. One name has one type of values: so another
/// is never met.
#[inline]
pub(crate) fn share<V: Send + Sync + 'static>(given: Given) -> Result<Arc<V>, Unreadable> {
    let wrong = || Unreadable::WrongType(TypeTag::of::<V>());
    match given {
        Given::Decoded(value) => value.downcast().map_err(|_| wrong()),
        Given::Bytes(_) => Err(wrong()),
    }
}

pub(crate) fn encode<C: Codec, V: Serialize>(codec: &C, value: &V) -> Result<Encoded, BoxError> {
    let bytes = codec.encode(value)?;
    Ok(Encoded::typed(bytes, TypeTag::of::<V>()))
}

#[inline]
pub(crate) fn decode<C: Codec, V: DeserializeOwned>(
    codec: &C,
    read: &Read,
) -> Result<V, Unreadable> {
    let asked = TypeTag::of::<V>();
    match &read.given {
        Given::Bytes(bytes) if read.reads_as(asked) => {
            codec.decode(bytes).map_err(Unreadable::Undecodable)
        }
        _ => Err(Unreadable::WrongType(read.ty.unwrap_or(asked))),
    }
}
