//! The names of typed caches, with the types of keys and values.

use std::collections::HashMap;
use std::sync::PoisonError;

use crate::error::CacheError;
use crate::sync::Mutex;
use crate::value::TypeTag;

/// The types of a typed cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheTypes {
    pub(crate) key: TypeTag,
    pub(crate) value: TypeTag,
}

/// All opened names. A name stays until the cache is dropped.
#[derive(Debug, Default)]
pub(crate) struct TypedCacheNames(Mutex<HashMap<Box<str>, CacheTypes>>);

impl TypedCacheNames {
    /// Opens a name with two types.
    ///
    /// # Errors
    ///
    /// If the name was opened with other types before. Two key types need only the same encoding
    /// (`&str` and `String`). Values are handed out without decoding, so the value type must be
    /// identical.
    pub(crate) fn open(&self, name: &str, types: CacheTypes) -> Result<(), CacheError> {
        // Never taken under another lock, and released before any other code runs: no deadlock.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = known.get(name) else {
            // The first call decides about the types.
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
