//! Indices of half a word, and the arrays and lists over indices.

mod index_vec;
mod linked_lists;

// `growth` serves collections of other crates: a slab and a deque cannot be an `IndexVec`.
pub(crate) use self::index_vec::{Index, IndexVec, growth, to_index};
pub(crate) use self::linked_lists::LinkedLists;
