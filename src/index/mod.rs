//! Small integers that name places in arrays, and the arrays and lists over them.

mod index_vec;
mod linked_lists;

pub(crate) use self::index_vec::{Index, IndexVec, growth, to_index};
pub(crate) use self::linked_lists::LinkedLists;
