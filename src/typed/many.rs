//! The verbs for many keys at once.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::TypedCache;
use crate::error::CacheResult;
use crate::key::SmallBytes;
use crate::load::{LoadedMany, load_many};
use crate::options::CacheOptions;
use crate::value::{ByArc, Codec};

/// Many keys at once.
impl<K, V, C> TypedCache<K, V, C>
where
    K: Serialize + ?Sized + 'static,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
    C: Codec,
{
    /// Returns the values of many keys, in the order of the keys.
    ///
    /// Each key is a [`get`](Self::get): a repeated key is counted again. The call itself reads the
    /// iterator to the end, before the future is polled; the keys are looked up at the first poll.
    ///
    /// # Errors
    ///
    /// Each key has its own result, as of [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// Ready at the first poll: there is nothing to cancel.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let names = HydraCache::local().build().typed::<u64, String>("names");
    /// block_on(names.put(&7, "Ada".into(), CacheOptions::new()))?;
    /// let found = block_on(names.get_many([7, 8]));
    /// assert_eq!(found[0].as_ref().unwrap().as_deref().unwrap(), "Ada");
    /// assert_eq!(found[1].as_ref().unwrap(), &None);
    /// # Ok(())
    /// # }
    /// ```
    // One look-up for each key: the answers of a call need no common moment.
    pub fn get_many<Q: Borrow<K>>(
        &self,
        keys: impl IntoIterator<Item = Q>,
    ) -> impl Future<Output = Vec<CacheResult<Option<Arc<V>>>>> {
        self.read_many(keys.into_iter().collect())
    }

    /// Reads each of the keys.
    async fn read_many<Q: Borrow<K>>(&self, keys: Vec<Q>) -> Vec<CacheResult<Option<Arc<V>>>> {
        keys.iter().map(|key| self.read(key.borrow())).collect()
    }

    /// Returns the values of many keys, in the order of the keys, and loads missing values with one
    /// loader.
    ///
    /// The loader gets the missing keys without a running load, in order, and returns a value for
    /// each key: see [`LoadedMany`]. The call stores these values before waiting for loads of other
    /// calls, so two calls with overlapping keys never wait for each other. If another load is
    /// dropped during the wait, the loader is called again with the key of that load. A repeated
    /// key is looked up and counted once.
    ///
    /// A call that had to load or to wait looks again, once, at the values found before. If such a
    /// value was invalidated, expired or evicted meanwhile, the loader is called again with its key,
    /// unless the time of the call is over.
    ///
    /// The call itself reads the iterator to the end, before the future is polled. Everything else
    /// is as in [`get_or_load`](Self::get_or_load), for each key alone. If a key is
    /// invalidated during the load, the value of this key is not stored, and the other values are.
    /// Each key counts as a load. A [`load_timeout`](CacheOptions::load_timeout) bounds the whole
    /// call; a [`soft_timeout`](CacheOptions::soft_timeout) bounds the wait for loads of other
    /// calls.
    ///
    /// # Errors
    ///
    /// Each key has its own result, as of [`get_or_load`](Self::get_or_load). An error of the whole
    /// loader is the error of every key given to the loader. A wrong number of values is such an
    /// error too.
    ///
    /// # Panics
    ///
    /// Panics if the loader, or the encoding of a value, panics. Values encoded earlier stay
    /// stored. Also as [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// A drop while the loader runs ends all loads of the call. After a later drop, the loaded
    /// values stay stored.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let names = HydraCache::local().build().typed::<u64, String>("names");
    /// block_on(names.put(&7, "Ada".into(), CacheOptions::new()))?;
    /// let load = |ids: Vec<u64>| async move {
    ///     assert_eq!(ids, [8, 9]); // select .. where id in (8, 9)
    ///     Ok::<_, std::io::Error>(vec![String::from("Grace"), String::from("Edith")])
    /// };
    /// let found = block_on(names.get_or_load_many([8, 7, 9], CacheOptions::new(), load));
    /// let found: Result<Vec<_>, _> = found.into_iter().collect();
    /// let found: Vec<_> = found?.iter().map(|name| name.to_string()).collect();
    /// assert_eq!(found, ["Grace", "Ada", "Edith"]);
    /// # Ok(())
    /// # }
    /// ```
    // Steps: (1) encode and number the distinct keys, (2) one call of the engine with these keys,
    // (3) give each key of the caller the answer of its number.
    pub fn get_or_load_many<Q, R, F, Fut>(
        &self,
        keys: impl IntoIterator<Item = Q>,
        options: CacheOptions,
        loader: F,
    ) -> impl Future<Output = Vec<CacheResult<Arc<V>>>>
    where
        K: ToOwned,
        Q: Borrow<K>,
        R: LoadedMany<V>,
        F: FnMut(Vec<K::Owned>) -> Fut,
        Fut: Future<Output = R>,
    {
        // As in `invalidate_tags`: the future must not hold the iterator.
        self.load_many(keys.into_iter().collect(), options, loader)
    }

    /// Loads the missing values of the keys.
    async fn load_many<Q, R, F, Fut>(
        &self,
        keys: Vec<Q>,
        options: CacheOptions,
        mut loader: F,
    ) -> Vec<CacheResult<Arc<V>>>
    where
        K: ToOwned,
        Q: Borrow<K>,
        R: LoadedMany<V>,
        F: FnMut(Vec<K::Owned>) -> Fut,
        Fut: Future<Output = R>,
    {
        let mut unique = UniqueKeys::default();
        // For each key its place among those unique for, or why it has none.
        let places: Vec<CacheResult<usize>> = keys
            .iter()
            .enumerate()
            .map(|(number, key)| Ok(unique.place(self.key(key.borrow())?, number)))
            .collect();
        let load = |places: Vec<usize>| {
            let key = |place: usize| keys[unique.first[place]].borrow().to_owned();
            loader(places.into_iter().map(key).collect())
        };
        let options = self.call_options(options);
        let answers =
            load_many::<ByArc<V>, _, _, _>(&self.engine, &unique.keys, options, load).await;
        let answer = |place: usize| match &answers[place] {
            Ok(value) => Ok(Arc::clone(value)),
            Err(error) => Err(error.clone()),
        };
        places.into_iter().map(|place| answer(place?)).collect()
    }
}

/// The distinct keys of a call, in order.
///
/// Without this, a repeated key would join the load of the first occurrence, and would count as a
/// miss and a join.
#[derive(Default)]
struct UniqueKeys {
    /// The encoded keys.
    keys: Vec<SmallBytes>,
    /// For each distinct key, the index of the first occurrence among the keys of the caller.
    first: Vec<usize>,
    /// For each encoded key, the index in `keys`.
    places: HashMap<SmallBytes, usize>,
}

impl UniqueKeys {
    /// Returns the index of a key in `keys`, and adds a new key. `number` is the index of the key
    /// among the keys of the caller.
    fn place(&mut self, key: SmallBytes, number: usize) -> usize {
        let next = self.keys.len();
        let place = *self.places.entry(key.clone()).or_insert(next);
        if place == next {
            self.keys.push(key);
            self.first.push(number);
        }
        place
    }
}
