//! The two forms in which callers have values: each a value of its own, or one that all
//! share.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::Codec;
use super::stored::{Decoded, Encoded, Given, Kept, Read};
use super::type_tag::TypeTag;
use crate::error::BoxError;

/// What a call deals in.
pub(crate) trait Form: Sized {
    /// What a loader gives.
    type Value;

    /// What a look-up takes along.
    type Picked;

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

    /// What a look-up takes along of an entry: nothing of the caller's runs.
    fn pick(kept: &Kept, ty: impl FnOnce() -> Option<TypeTag>) -> Self::Picked;

    /// Opens that.
    fn take<C: Codec>(codec: &C, picked: Self::Picked) -> Result<Self, Unreadable>;

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
    type Picked = Read;

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
    fn pick(kept: &Kept, ty: impl FnOnce() -> Option<TypeTag>) -> Read {
        Read {
            given: kept.given(),
            ty: ty(),
        }
    }

    #[inline]
    fn take<C: Codec>(codec: &C, picked: Read) -> Result<Self, Unreadable> {
        decode(codec, &picked).map(Self)
    }

    fn into_old(self) -> Option<V> {
        Some(self.0)
    }
}

/// A value that all share.
pub(crate) struct Shared<V>(pub(crate) Arc<V>);

impl<V: Serialize + Send + Sync + 'static> Form for Shared<V> {
    type Value = V;
    /// A word, and not what it is found in: the processor then need not wait until that is
    /// moved.
    type Picked = Option<Arc<V>>;

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
        let value = match &read.given {
            Given::Decoded(value) => shared(Arc::clone(value)),
            Given::Bytes(_) => None,
        };
        value.map(Self).ok_or_else(Self::wrong)
    }

    #[inline]
    fn pick(kept: &Kept, _ty: impl FnOnce() -> Option<TypeTag>) -> Option<Arc<V>> {
        match kept {
            Kept::Decoded(value, _) => shared(Arc::clone(value)),
            Kept::Bytes(_) => None,
        }
    }

    #[inline]
    fn take<C: Codec>(_codec: &C, picked: Option<Arc<V>>) -> Result<Self, Unreadable> {
        picked.map(Self).ok_or_else(Self::wrong)
    }

    /// Others have it too.
    fn into_old(self) -> Option<V> {
        None
    }
}

impl<V> Shared<V> {
    #[cold]
    fn wrong() -> Unreadable {
        Unreadable::WrongType(TypeTag::of::<V>())
    }
}

/// One name has one type of values: so another is never met.
#[inline]
fn shared<V: Send + Sync + 'static>(value: Decoded) -> Option<Arc<V>> {
    value.downcast().ok()
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
