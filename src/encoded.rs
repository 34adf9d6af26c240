//! A value as it is stored.

use bytes::Bytes;

use crate::block::{own, with_count};
use crate::types::TypeTag;

/// The bytes of a value, and which type it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Encoded {
    pub(crate) bytes: Bytes,
    /// `None` of bytes that were put as such.
    pub(crate) ty: Option<TypeTag>,
}

impl Encoded {
    /// Bytes of no type. Their first read may allocate their count: whoever puts many
    /// and reads few does not pay for it.
    #[inline]
    pub(crate) fn raw(bytes: Bytes) -> Self {
        let bytes = own(bytes);
        Self { bytes, ty: None }
    }

    pub(crate) fn typed(bytes: Bytes, ty: TypeTag) -> Self {
        let (bytes, ty) = (with_count(bytes), Some(ty));
        Self { bytes, ty }
    }

    /// Whether it may be read as a type.
    #[inline]
    pub(crate) fn reads_as(&self, asked: TypeTag) -> bool {
        self.ty.is_none_or(|held| held.reads_as(asked))
    }

    /// Whether what is stored is this very value. Whoever holds a handle to memory
    /// can be sure that it was not used again; but all empty values share theirs, so
    /// the type is asked as well.
    pub(crate) fn is_still(&self, stored: &Self) -> bool {
        let same_type = match (self.ty, stored.ty) {
            (Some(a), Some(b)) => a.reads_as(b),
            (a, b) => a.is_none() && b.is_none(),
        };
        same_type
            && self.bytes.as_ptr() == stored.bytes.as_ptr()
            && self.bytes.len() == stored.bytes.len()
    }
}
