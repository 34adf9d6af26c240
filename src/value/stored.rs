//! The stored form of a value, and the handles copied by reads.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;

use super::buffer::{into_exact, with_inline_count};
use super::type_tag::TypeTag;

/// A decoded value, shared by all readers.
pub(crate) type AnyArc = Arc<dyn Any + Send + Sync>;

/// The value of an entry, no larger than `Bytes`.
#[derive(Debug)]
pub(crate) enum StoredValue {
    Bytes(Bytes),
    /// A typed cache's value, and the encoded form. Only a removal listener reads these bytes,
    /// so a box keeps them out of the entry.
    Decoded(AnyArc, Box<Bytes>),
}

/// The cost of a decoded value beyond the bytes and the value itself: the two counts of the
/// `Arc`, the box of the bytes, and the overhead of the allocator for both.
const DECODED_COST: usize = 64;

impl StoredValue {
    /// Returns the encoded form.
    #[inline]
    pub(crate) fn bytes(&self) -> &Bytes {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Decoded(_, bytes) => bytes,
        }
    }

    /// Returns the cost against `max_bytes`. Heap memory of a decoded value is unknown, and not
    /// counted.
    #[inline]
    pub(crate) fn cost(&self) -> usize {
        match self {
            // The buffer is exact, so the length is the size.
            Self::Bytes(bytes) => bytes.len(),
            Self::Decoded(value, bytes) => bytes.len() + DECODED_COST + size_of_val(&**value),
        }
    }

    /// Returns a handle for a reader: one count more, and no copy of the value.
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

/// A value to store, with the type.
#[derive(Debug, Default)]
pub(crate) struct NewValue {
    pub(crate) stored: StoredValue,
    /// `None` for the bytes of `put_bytes`.
    pub(crate) ty: Option<TypeTag>,
}

impl NewValue {
    /// Returns bytes without a type. The first read may allocate the reference count, so a
    /// caller that puts many entries and reads few saves the memory.
    #[inline]
    pub(crate) fn from_bytes(bytes: Bytes) -> Self {
        let stored = StoredValue::Bytes(into_exact(bytes));
        Self { stored, ty: None }
    }

    /// Returns an encoded value of a type. Reads allocate nothing.
    pub(crate) fn typed(bytes: Bytes, ty: TypeTag) -> Self {
        // Unlike `from_bytes`: a typed value is decoded by reads, and each clones the bytes.
        let (stored, ty) = (StoredValue::Bytes(with_inline_count(bytes)), Some(ty));
        Self { stored, ty }
    }

    /// Returns a value for all readers to share in decoded form.
    pub(crate) fn shared(value: AnyArc, bytes: Bytes, ty: TypeTag) -> Self {
        let stored = StoredValue::Decoded(value, Box::new(into_exact(bytes)));
        Self {
            stored,
            ty: Some(ty),
        }
    }

    /// Returns stored bytes, to store once more. The buffer is already exact.
    pub(crate) fn reused(bytes: Bytes, ty: Option<TypeTag>) -> Self {
        let stored = StoredValue::Bytes(bytes);
        Self { stored, ty }
    }

    /// Returns the value as the waiters of the load get it.
    pub(crate) fn to_typed(&self) -> TypedValue {
        TypedValue {
            handle: self.stored.handle(),
            ty: self.ty,
        }
    }
}

/// A cheap handle to a stored value, as a read copies it under the lock.
#[derive(Clone, Debug)]
pub(crate) enum ValueHandle {
    Bytes(Bytes),
    Decoded(AnyArc),
}

/// A handle to a stored value, with the type.
#[derive(Clone, Debug)]
pub(crate) struct TypedValue {
    pub(crate) handle: ValueHandle,
    pub(crate) ty: Option<TypeTag>,
}

impl TypedValue {
    /// Returns `true` if the value may be read as the type `asked`, `false` if the stored type
    /// is another. Bytes without a type may be read as any type.
    #[inline]
    pub(crate) fn reads_as(&self, asked: TypeTag) -> bool {
        self.ty.is_none_or(|held| held.reads_as(asked))
    }

    /// Returns `true` if `stored` is this very value, in the same memory; `false` if the key was
    /// written since.
    ///
    /// This handle keeps the memory alive, so the address cannot belong to a newer value. All
    /// empty values share an address, so the types are compared too.
    pub(crate) fn is_same_as(&self, stored: &Self) -> bool {
        // No type equals no type only: bytes of `put_bytes` are not a typed empty value.
        let same_type = match (self.ty, stored.ty) {
            (Some(a), Some(b)) => a.reads_as(b),
            (a, b) => a.is_none() && b.is_none(),
        };
        let same_value = match (&self.handle, &stored.handle) {
            // The address and not the bytes: a newer value with equal bytes is another value.
            (ValueHandle::Bytes(a), ValueHandle::Bytes(b)) => {
                a.as_ptr() == b.as_ptr() && a.len() == b.len()
            }
            // Decoded values are never compared: `update`, "not modified" and the reload of
            // undecodable bytes deal in bytes only.
            _ => false,
        };
        same_type && same_value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_value_is_as_large_as_bytes() {
        assert_eq!(size_of::<StoredValue>(), size_of::<Bytes>());
        assert_eq!(size_of::<ValueHandle>(), size_of::<Bytes>());
    }
}
