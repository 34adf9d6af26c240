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
    /// Returns the values of many keys, in their order: for each what
    /// [`get`](Self::get) does.
    ///
    /// # Errors
    ///
    /// Each key's own, as [`get`](Self::get).
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
    pub async fn get_many<Q: Borrow<K>>(
        &self,
        keys: impl IntoIterator<Item = Q>,
    ) -> Vec<CacheResult<Option<Arc<V>>>> {
        keys.into_iter()
            .map(|key| self.read(key.borrow()))
            .collect()
    }

    /// Returns the values of many keys, in their order, loading with one loader those that
    /// are missing.
    ///
    /// A key that occurs twice is looked up, and counted, once. The loader is given the
    /// missing keys that nobody else is loading, in their order, and gives a value for each:
    /// see [`LoadedMany`]. What it gives is stored before the call waits for the loads of
    /// others, so that two calls whose keys overlap never wait for each other. When a load
    /// that it waits for is dropped, the loader is called again, with that key.
    ///
    /// All else is as in [`get_or_load`](Self::get_or_load), for each key by itself: a key that
    /// is invalidated meanwhile is not stored, and the others are. Each key counts as a load.
    /// A [`load_timeout`](CacheOptions::load_timeout) is that of the whole call; a
    /// [`soft_timeout`](CacheOptions::soft_timeout) bounds how long it waits for others.
    ///
    /// # Errors
    ///
    /// Each key's own, as [`get_or_load`](Self::get_or_load). An error of the whole loader is
    /// that of each key that it was given; so is another number of values than of keys.
    ///
    /// # Panics
    ///
    /// If the loader, or encoding a value, panics. Values that were encoded before stay.
    ///
    /// # Cancel safety
    ///
    /// Dropped while its loader runs, its loads are over; dropped later, what was loaded is
    /// stored.
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
    pub async fn get_or_load_many<Q, R, F, Fut>(
        &self,
        keys: impl IntoIterator<Item = Q>,
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
        let keys: Vec<Q> = keys.into_iter().collect();
        let mut asked = UniqueKeys::default();
        // For each key its place among those asked for, or why it has none.
        let places: Vec<CacheResult<usize>> = keys
            .iter()
            .enumerate()
            .map(|(number, key)| Ok(asked.place(self.key(key.borrow())?, number)))
            .collect();
        let load = |places: Vec<usize>| {
            let key = |place: usize| keys[asked.first[place]].borrow().to_owned();
            loader(places.into_iter().map(key).collect())
        };
        let options = self.call_options(options);
        let answers =
            load_many::<ByArc<V>, _, _, _>(&self.engine, &asked.keys, options, load).await;
        let answer = |place: usize| match &answers[place] {
            Ok(value) => Ok(Arc::clone(value)),
            Err(error) => Err(error.clone()),
        };
        places.into_iter().map(|place| answer(place?)).collect()
    }
}

/// Keys that differ, in order.
#[derive(Default)]
struct UniqueKeys {
    keys: Vec<SmallBytes>,
    /// For each, which of the caller's keys it is.
    first: Vec<usize>,
    places: HashMap<SmallBytes, usize>,
}

impl UniqueKeys {
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
