//! The names of typed caches, and what they were opened with.

use std::collections::HashMap;
use std::sync::PoisonError;

use crate::error::CacheError;
use crate::sync::Mutex;
use crate::value::TypeTag;

/// What a typed cache has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheTypes {
    pub(crate) key: TypeTag,
    pub(crate) value: TypeTag,
}

/// A name is kept as long as the cache.
#[derive(Debug, Default)]
pub(crate) struct TypedCacheNames(Mutex<HashMap<Box<str>, CacheTypes>>);

impl TypedCacheNames {
    /// Opens a name; an error if it was opened with other types before. Keys need only be
    /// written alike; values are handed out as they are, so their types must be the same.
    pub(crate) fn open(&self, name: &str, types: CacheTypes) -> Result<(), CacheError> {
        // Taken by nobody who holds another lock, and held over no code but this.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = known.get(name) else {
            known.insert(name.into(), types);
            return Ok(());
        };
        if held.key.reads_as(types.key) && held.value.is(types.value) {
            return Ok(());
        }
        let names = |types: CacheTypes| [types.key.name(), types.value.name()];
        Err(CacheError::wrong_types(name, names(*held), names(types)))
    }
}
