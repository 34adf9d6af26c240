//! The types of `fetch`: the argument and the result of a full loader, and the result of the call.

use std::time::Duration;

use crate::key::SmallBytes;
use crate::options::TagNames;
use crate::value::TypedValue;

/// The result of a loader: a value, with a time to live and tags chosen by the loader.
///
/// A time to live set here replaces the time to live of the call. Tags are added to the tags of
/// the call. `into` converts any value into a `Loaded` without choices.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use futures_lite::future::block_on;
/// use hydracache::{CacheOptions, HydraCache, Loaded};
///
/// # fn main() -> Result<(), hydracache::CacheError> {
/// let cache = HydraCache::local().build();
/// let call = cache.fetch("user:7", CacheOptions::new(), |_| async {
///     let (name, tenant) = (String::from("Ada"), 3); // a row of the database
///     Ok::<_, std::io::Error>(Loaded::new(name).tag(format!("tenant:{tenant}")))
/// });
/// assert_eq!(block_on(call)?.value, "Ada");
/// assert_eq!(block_on(cache.invalidate_tag("tenant:3"))?, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a `Loaded` has no effect unless the loader returns it"]
pub struct Loaded<V> {
    pub(crate) value: V,
    pub(crate) ttl: Option<Duration>,
    pub(crate) no_store: bool,
    pub(crate) tags: TagNames,
    /// The stored value, if the loader confirmed this value as unchanged.
    pub(crate) unchanged: Option<TypedValue>,
}

impl<V> Loaded<V> {
    /// Creates a `Loaded` without a time to live and without tags: the options of the call apply.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache, Loaded};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// let minute = Duration::from_secs(60);
    /// let load = async |_| Ok::<_, std::io::Error>(Loaded::new(String::from("Ada")));
    /// let name = block_on(cache.fetch("name", CacheOptions::new().ttl(minute), load))?;
    /// assert_eq!((name.value.as_str(), name.time_left), ("Ada", Some(minute)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(value: V) -> Self {
        Self {
            value,
            ttl: None,
            no_store: false,
            tags: TagNames::new(),
            unchanged: None,
        }
    }

    /// Sets the time to live, in place of the time to live of the call.
    ///
    /// Zero stores nothing, unless the options have a window ([`stale_while_revalidate`] or
    /// [`stale_if_error`]): then the value is stored stale, as for a response with `max-age=0,
    /// stale-if-error=60`. To store nothing in any case, call [`no_store`](Self::no_store).
    ///
    /// [`stale_while_revalidate`]: crate::CacheOptions::stale_while_revalidate
    /// [`stale_if_error`]: crate::CacheOptions::stale_if_error
    ///
    /// # Examples
    ///
    /// The absence of a row is stored for a second, a row for a minute:
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache, Loaded};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// let second = Duration::from_secs(1);
    /// let load = async |_| {
    ///     let row: Option<String> = None; // from the database
    ///     Ok::<_, std::io::Error>(match row {
    ///         Some(row) => Loaded::new(Some(row)),
    ///         None => Loaded::new(None).ttl(second),
    ///     })
    /// };
    /// let options = CacheOptions::new().ttl(60 * second);
    /// let row = block_on(cache.fetch("user:7", options, load))?;
    /// assert_eq!((row.value, row.time_left), (None, Some(second)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Adds a tag.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache, Loaded};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// let load = async |_| Ok::<_, std::io::Error>(Loaded::new(7_u32).tag("users"));
    /// block_on(cache.fetch("count", CacheOptions::new(), load))?;
    /// assert_eq!(block_on(cache.invalidate_tag("users"))?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tag(mut self, tag: impl AsRef<str>) -> Self {
        self.tags.push(tag.as_ref().into());
        self
    }

    /// Adds every tag of a list.
    ///
    /// # Examples
    ///
    /// A list of rows, with a tag for each row:
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache, Loaded};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// let load = async |_| {
    ///     let ids = vec![7_u32, 8]; // from the database
    ///     let tags: Vec<_> = ids.iter().map(|id| format!("user:{id}")).collect();
    ///     Ok::<_, std::io::Error>(Loaded::new(ids).tags(tags))
    /// };
    /// block_on(cache.fetch("newest", CacheOptions::new(), load))?;
    /// assert_eq!(block_on(cache.invalidate_tag("user:8"))?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tags(mut self, tags: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let names = tags.into_iter().map(|tag| SmallBytes::from(tag.as_ref()));
        self.tags.extend(names);
        self
    }

    /// Stores nothing, in spite of any window: only the caller and the waiters get the value. An
    /// existing entry of the key is removed.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache, Loaded};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// let load = async |_| Ok::<_, std::io::Error>(Loaded::new(7_u32).no_store());
    /// assert_eq!(block_on(cache.fetch("pin", CacheOptions::new(), load))?.value, 7);
    /// assert!(!block_on(cache.contains_key("pin")));
    /// # Ok(())
    /// # }
    /// ```
    pub fn no_store(mut self) -> Self {
        self.no_store = true;
        self
    }
}

impl<V> From<V> for Loaded<V> {
    fn from(value: V) -> Self {
        Self::new(value)
    }
}

/// The existing value of the key, given to the loader of
/// [`fetch`](crate::HydraCache::fetch): fresh, or stale inside a window.
///
/// # Examples
///
/// With an old value, a loader can ask the server for changes only, and the server can answer
/// "not modified":
///
/// ```
/// use std::time::Duration;
///
/// use futures_lite::future::block_on;
/// use hydracache::{CacheOptions, HydraCache, Loaded, ManualClock, Old};
///
/// async fn ask(old: Option<Old<String>>) -> Result<Loaded<String>, std::io::Error> {
///     let modified = old.is_none(); // the answer of the server
///     Ok(match old {
///         Some(old) if !modified => old.unchanged(),
///         _ => Loaded::new("the page".into()),
///     })
/// }
///
/// # fn main() -> Result<(), hydracache::CacheError> {
/// let clock = ManualClock::new();
/// let cache = HydraCache::local().clock(clock.clone()).build();
/// let minute = Duration::from_secs(60);
/// let options = CacheOptions::new().ttl(minute).stale_if_error(60 * minute);
///
/// block_on(cache.fetch("page", options.clone(), ask))?;
/// clock.advance(2 * minute);
/// let page = block_on(cache.fetch("page", options, ask))?;
/// assert_eq!((page.value.as_str(), page.time_left), ("the page", Some(minute)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Old<V> {
    pub(crate) value: V,
    pub(crate) age: Duration,
    pub(crate) tags: TagNames,
    pub(crate) read: TypedValue,
}

impl<V> Old<V> {
    /// Returns the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache, Loaded, ManualClock, Old};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let clock = ManualClock::new();
    /// let cache = HydraCache::local().clock(clock.clone()).build();
    /// let minute = Duration::from_secs(60);
    /// let options = CacheOptions::new().ttl(minute).stale_if_error(minute);
    /// block_on(cache.put("count", 7_u32, options.clone()))?;
    /// clock.advance(minute); // stale
    ///
    /// let load = async |old: Option<Old<u32>>| {
    ///     let count = old.map_or(0, |old| *old.value());
    ///     Ok::<_, std::io::Error>(Loaded::new(count + 1))
    /// };
    /// assert_eq!(block_on(cache.fetch("count", options, load))?.value, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn value(&self) -> &V {
        &self.value
    }

    /// Returns the time since the value was stored, or last confirmed as unchanged.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache, Loaded, ManualClock, Old};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let clock = ManualClock::new();
    /// let cache = HydraCache::local().clock(clock.clone()).build();
    /// let minute = Duration::from_secs(60);
    /// let options = CacheOptions::new().ttl(minute).stale_if_error(10 * minute);
    /// block_on(cache.put("seconds", 0_u64, options.clone()))?;
    /// clock.advance(2 * minute); // stale
    ///
    /// let load = async |old: Option<Old<u64>>| {
    ///     let seconds = old.map_or(0, |old| old.age().as_secs()); // for If-Modified-Since
    ///     Ok::<_, std::io::Error>(Loaded::new(seconds))
    /// };
    /// assert_eq!(block_on(cache.fetch("seconds", options, load))?.value, 120);
    /// # Ok(())
    /// # }
    /// ```
    pub fn age(&self) -> Duration {
        self.age
    }

    /// Converts the old value into the result of the loader. The cache stores the value again,
    /// with the existing tags, for the time to live of the call.
    ///
    /// An invalidation during the load fences the load as usual: the value is not stored again.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache, Loaded, ManualClock, Old};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let clock = ManualClock::new();
    /// let cache = HydraCache::local().clock(clock.clone()).build();
    /// let minute = Duration::from_secs(60);
    /// let options = CacheOptions::new().ttl(minute).stale_if_error(minute);
    /// block_on(cache.put("page", String::from("text"), options.clone().tag("www")))?;
    /// clock.advance(minute); // stale
    ///
    /// let load = async |old: Option<Old<String>>| {
    ///     Ok::<_, std::io::Error>(match old {
    ///         Some(old) => old.unchanged(), // the server answers "not modified"
    ///         None => Loaded::new(String::from("the text of the server")),
    ///     })
    /// };
    /// assert_eq!(block_on(cache.fetch("page", options, load))?.value, "text");
    /// assert!(block_on(cache.contains_key("page"))); // fresh again
    /// assert_eq!(block_on(cache.invalidate_tag("www"))?, 1); // with the existing tag
    /// # Ok(())
    /// # }
    /// ```
    pub fn unchanged(self) -> Loaded<V> {
        Loaded {
            value: self.value,
            ttl: None,
            no_store: false,
            tags: self.tags,
            unchanged: Some(self.read),
        }
    }
}

/// The result of [`fetch`](crate::HydraCache::fetch): a value, with source and times.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use futures_lite::future::block_on;
/// use hydracache::{CacheOptions, HydraCache, Loaded, ManualClock, Source};
///
/// # fn main() -> Result<(), hydracache::CacheError> {
/// let clock = ManualClock::new();
/// let cache = HydraCache::local().clock(clock.clone()).build();
/// let second = Duration::from_secs(1);
/// let options = CacheOptions::new().ttl(60 * second);
/// let load = async |_| Ok::<_, std::io::Error>(Loaded::new(7_u32));
/// block_on(cache.fetch("rate", options.clone(), load))?;
///
/// clock.advance(20 * second);
/// let rate = block_on(cache.fetch("rate", options, load))?;
/// assert_eq!((rate.value, rate.source), (7, Source::Hit));
/// assert_eq!((rate.age, rate.time_left), (20 * second, Some(40 * second)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fetched<V> {
    /// The value.
    pub value: V,
    /// The origin of the value: the cache, or a loader.
    pub source: Source,
    /// The time since the value was stored. Zero if the value was just loaded, or if the entry
    /// keeps no timestamp: only `fetch`, or an option such as `stale_if_error`, records one.
    pub age: Duration,
    /// The time for which the value stays fresh. `None`: without end. Zero: the value is stale,
    /// or was not stored.
    pub time_left: Option<Duration>,
}

/// The origin of a value returned by [`fetch`](crate::HydraCache::fetch).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// A fresh entry of the cache.
    Hit,
    /// A stale entry of the cache: the time to live is over.
    Stale,
    /// The loader of this call.
    Loaded,
    /// The loader of another call: this call waited for the load.
    Joined,
}
