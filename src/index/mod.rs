//! Small integers that name places in arrays, and the arrays and lists over them.

mod index_vec;
mod linked_lists;

pub(crate) use self::index_vec::{Index, more, narrow, reach, reach_with};
pub(crate) use self::linked_lists::Rings;
