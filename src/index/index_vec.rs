//! Indices, and vectors read by index.
//!
//! `Vec` doubles, which leaves a quarter of the memory unused on average, and half of the
//! memory at an unlucky length. The vectors here grow by an eighth once they are large.

use std::ops;

/// Names an entry, a tag, or a pair of entry and tag. An index is half a word, because there
/// are many. The unit tests use a quarter of a word, and so reach the largest index.
#[cfg(not(test))]
pub(crate) type Index = u32;
#[cfg(test)]
pub(crate) type Index = u16;

/// Converts a position in an array to an index. Callers bound the number of positions. The
/// largest index means "none".
#[inline]
pub(crate) fn to_index(position: usize) -> Index {
    debug_assert!(
        position < Index::MAX as usize,
        "the position exceeds the largest index"
    );
    #[allow(
        clippy::cast_possible_truncation,
        reason = "callers bound the positions"
    )]
    let index = position as Index;
    index
}

/// Length from which a vector grows by an eighth. A shorter vector grows by a quarter.
const LARGE: usize = 4096;

/// Returns the number of elements to reserve in a full vector of `len` elements.
pub(crate) fn growth(len: usize) -> usize {
    let part = if len < LARGE { 4 } else { 8 };
    // The constant keeps the number of steps small while the vector is short.
    len / part + 8
}

/// A vector with elements read by `Index`, growing by [`growth`].
#[derive(Debug)]
pub(crate) struct IndexVec<T>(Vec<T>);

impl<T> IndexVec<T> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    #[inline]
    pub(crate) fn get(&self, index: Index) -> Option<&T> {
        self.0.get(index as usize)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: Index) -> Option<&mut T> {
        self.0.get_mut(index as usize)
    }

    /// Appends an element and returns the index of the element.
    #[inline]
    pub(crate) fn push(&mut self, element: T) -> Index {
        let index = to_index(self.len());
        self.grow_to(self.len() + 1);
        self.0.push(element);
        index
    }

    /// Extends the vector with elements of `fill` until `index` is valid. Does nothing if `index`
    /// is valid already.
    #[inline]
    pub(crate) fn extend_to(&mut self, index: Index, fill: impl FnMut() -> T) {
        let needed = index as usize + 1;
        if self.len() < needed {
            self.grow_to(needed);
            // The capacity suffices now, so `resize_with` does not double the vector.
            self.0.resize_with(needed, fill);
        }
    }

    /// Reserves capacity for `needed` elements at least, and for [`growth`] more elements if the
    /// vector is full.
    #[inline]
    fn grow_to(&mut self, needed: usize) {
        if self.capacity() < needed {
            let capacity = needed.max(self.capacity() + growth(self.capacity()));
            // `reserve` would double: `reserve_exact` is the only call without amortized doubling.
            self.0.reserve_exact(capacity - self.len());
        }
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut()
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

impl<T> Default for IndexVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> ops::Index<Index> for IndexVec<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: Index) -> &T {
        // An index comes from `push` or `extend_to` of the same vector, so the bound always
        // holds.
        &self.0[index as usize]
    }
}

impl<T> ops::IndexMut<Index> for IndexVec<T> {
    #[inline]
    fn index_mut(&mut self, index: Index) -> &mut T {
        &mut self.0[index as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_grows_in_few_steps() {
        let (mut len, mut steps) = (0, 0);
        // Each step copies the vector, so a million pushes may cost only a few dozen steps.
        while len < 1_000_000 {
            len += growth(len);
            steps += 1;
        }
        assert!(steps < 75, "{steps} steps");
    }

    #[test]
    fn a_large_vector_has_little_unused_capacity() {
        let mut vec = IndexVec::new();
        // Start in the range where the vector grows by an eighth.
        vec.extend_to(to_index(LARGE), || 0);
        while vec.len() < 50_000 {
            vec.push(0);
            assert!(vec.capacity() <= vec.len() * 9 / 8 + 8);
        }
    }
}
