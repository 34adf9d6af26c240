//! A value as it is stored, and as it is handed out.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;

use super::buffer::{into_exact, with_inline_count};
use super::type_tag::TypeTag;

/// A decoded value that everybody shares.
pub(crate) type AnyArc = Arc<dyn Any + Send + Sync>;

/// What an entry keeps of a value: as large as its bytes alone.
#[derive(Debug)]
pub(crate) enum StoredValue {
    Bytes(Bytes),
    /// Nobody reads these bytes but a listener: they are kept apart.
    Decoded(AnyArc, Box<Bytes>),
}

/// What a decoded value costs beside its bytes and itself: its two counts, the box of the
/// bytes, and what the allocator adds to both.
const DECODED_COST: usize = 64;

impl StoredValue {
    #[inline]
    pub(crate) fn bytes(&self) -> &Bytes {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Decoded(_, bytes) => bytes,
        }
    }

    /// What it costs of `max_bytes`. What a decoded value has on the heap, nobody knows.
    #[inline]
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Decoded(value, bytes) => bytes.len() + DECODED_COST + size_of_val(&**value),
        }
    }

    #[inline]
    pub(crate) fn handle(&self) -> ValueHandle {
        match self {
            Self::Bytes(bytes) => ValueHandle::Bytes(bytes.clone()),
            Self::Decoded(value, _) => ValueHandle::Decoded(Arc::clone(value)),
        }
    }
}

impl Default for StoredValue {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

/// A value to be stored, and which type it is.
#[derive(Debug, Default)]
pub(crate) struct NewValue {
    pub(crate) stored: StoredValue,
    /// `None` of bytes that were put as such.
    pub(crate) ty: Option<TypeTag>,
}

impl NewValue {
    /// Bytes of no type. Their first read may allocate their count: whoever puts many
    /// and reads few does not pay for it.
    #[inline]
    pub(crate) fn from_bytes(bytes: Bytes) -> Self {
        let stored = StoredValue::Bytes(into_exact(bytes));
        Self { stored, ty: None }
    }

    pub(crate) fn typed(bytes: Bytes, ty: TypeTag) -> Self {
        let (stored, ty) = (StoredValue::Bytes(with_inline_count(bytes)), Some(ty));
        Self { stored, ty }
    }

    /// A value that is shared decoded.
    pub(crate) fn shared(value: AnyArc, bytes: Bytes, ty: TypeTag) -> Self {
        let stored = StoredValue::Decoded(value, Box::new(into_exact(bytes)));
        Self {
            stored,
            ty: Some(ty),
        }
    }

    /// Bytes that were read, to be stored once more.
    pub(crate) fn reused(bytes: Bytes, ty: Option<TypeTag>) -> Self {
        let stored = StoredValue::Bytes(bytes);
        Self { stored, ty }
    }

    /// As it is handed out to those who waited for it.
    pub(crate) fn to_typed(&self) -> TypedValue {
        TypedValue {
            handle: self.stored.handle(),
            ty: self.ty,
        }
    }
}

/// What of a value is handed out.
#[derive(Clone, Debug)]
pub(crate) enum ValueHandle {
    Bytes(Bytes),
    Decoded(AnyArc),
}

/// A value that was read, and which type it is.
#[derive(Clone, Debug)]
pub(crate) struct TypedValue {
    pub(crate) handle: ValueHandle,
    pub(crate) ty: Option<TypeTag>,
}

impl TypedValue {
    /// Whether it may be read as a type.
    #[inline]
    pub(crate) fn reads_as(&self, asked: TypeTag) -> bool {
        self.ty.is_none_or(|held| held.reads_as(asked))
    }

    /// Whether what is stored is this very value. Whoever holds a handle to memory
    /// can be sure that it was not used again; but all empty values share theirs, so
    /// the type is asked as well.
    pub(crate) fn is_same_as(&self, stored: &Self) -> bool {
        let same_type = match (self.ty, stored.ty) {
            (Some(a), Some(b)) => a.reads_as(b),
            (a, b) => a.is_none() && b.is_none(),
        };
        let same_value = match (&self.handle, &stored.handle) {
            (ValueHandle::Bytes(a), ValueHandle::Bytes(b)) => {
                a.as_ptr() == b.as_ptr() && a.len() == b.len()
            }
            // What all share, no act compares.
            _ => false,
        };
        same_type && same_value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_entry_keeps_is_as_large_as_its_bytes() {
        assert_eq!(size_of::<StoredValue>(), size_of::<Bytes>());
        assert_eq!(size_of::<ValueHandle>(), size_of::<Bytes>());
    }
}
