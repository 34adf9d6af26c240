//! Small integers that name places, and vectors over them.
//!
//! `Vec` doubles, which leaves a quarter of its memory unused on average, and half of it at
//! an unlucky length. The vectors here grow by an eighth once they are large.

use std::ops;

/// Names an entry, a tag, or a pair of the two: half a word, because there are many. The unit
/// tests use a quarter of a word, so that they reach its end.
#[cfg(not(test))]
pub(crate) type Index = u32;
#[cfg(test)]
pub(crate) type Index = u16;

/// Converts a place to its index. Callers bound how many places there are; the largest index
/// means "none".
#[inline]
pub(crate) fn to_index(place: usize) -> Index {
    debug_assert!(place < Index::MAX as usize, "more places than indices");
    #[allow(clippy::cast_possible_truncation, reason = "callers bound the places")]
    let index = place as Index;
    index
}

/// A vector of this length or longer grows by an eighth, a shorter one by a quarter.
const LARGE: usize = 4096;

/// Returns how many more elements to reserve in a full vector of a length.
pub(crate) fn growth(len: usize) -> usize {
    let part = if len < LARGE { 4 } else { 8 };
    len / part + 8
}

/// A vector that is read by `Index` and grows by [`growth`].
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

    /// Appends an element and returns its index.
    #[inline]
    pub(crate) fn push(&mut self, element: T) -> Index {
        let index = to_index(self.len());
        self.grow_to(self.len() + 1);
        self.0.push(element);
        index
    }

    /// Extends the vector, if it is too short, so that `index` is valid.
    #[inline]
    pub(crate) fn extend_to(&mut self, index: Index, fill: impl FnMut() -> T) {
        let needed = index as usize + 1;
        if self.len() < needed {
            self.grow_to(needed);
            self.0.resize_with(needed, fill);
        }
    }

    #[inline]
    fn grow_to(&mut self, needed: usize) {
        if self.capacity() < needed {
            let capacity = needed.max(self.capacity() + growth(self.capacity()));
            self.0.reserve_exact(capacity - self.len());
        }
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
        while len < 1_000_000 {
            len += growth(len);
            steps += 1;
        }
        assert!(steps < 75, "{steps}");
    }

    #[test]
    fn a_large_vector_has_little_unused_capacity() {
        let mut vec = IndexVec::new();
        vec.extend_to(to_index(LARGE), || 0);
        while vec.len() < 50_000 {
            vec.push(0);
            assert!(vec.capacity() <= vec.len() * 9 / 8 + 8);
        }
    }
}
