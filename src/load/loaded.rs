//! What a full loader is given and gives, and what its caller gets.

use std::time::Duration;

use crate::key::SmallBytes;
use crate::options::TagNames;
use crate::value::TypedValue;

/// A value that a loader gives, with wishes of its own.
///
/// Its time to live stands instead of the call's, and its tags are added to the call's. Any
/// value becomes one by `into`.
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
#[must_use = "a loader has to return it"]
pub struct Loaded<V> {
    pub(crate) value: V,
    pub(crate) ttl: Option<Duration>,
    pub(crate) tags: TagNames,
    /// What is stored, if the value is that very one.
    pub(crate) unchanged: Option<TypedValue>,
}

impl<V> Loaded<V> {
    /// Creates one that wishes for nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// let loaded = hydracache::Loaded::new("Ada");
    /// # drop(loaded);
    /// ```
    pub fn new(value: V) -> Self {
        Self {
            value,
            ttl: None,
            tags: TagNames::new(),
            unchanged: None,
        }
    }

    /// Sets the time to live, instead of the call's. Zero stores nothing.
    ///
    /// # Examples
    ///
    /// A missing row is remembered, but not for long:
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use hydracache::Loaded;
    ///
    /// let row: Option<String> = None;
    /// let loaded = match row {
    ///     Some(row) => Loaded::new(Some(row)),
    ///     None => Loaded::new(None).ttl(Duration::from_secs(1)),
    /// };
    /// # drop(loaded);
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
    /// let loaded = hydracache::Loaded::new("Ada").tag("users");
    /// # drop(loaded);
    /// ```
    pub fn tag(mut self, tag: impl AsRef<str>) -> Self {
        self.tags.push(tag.as_ref().into());
        self
    }

    /// Adds every tag of a list.
    ///
    /// # Examples
    ///
    /// ```
    /// let loaded = hydracache::Loaded::new("Ada").tags(["users", "tenant:1"]);
    /// # drop(loaded);
    /// ```
    pub fn tags(mut self, tags: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let names = tags.into_iter().map(|tag| SmallBytes::from(tag.as_ref()));
        self.tags.extend(names);
        self
    }

    /// Gives the value to those who wait for it, and stores nothing. What was stored under
    /// the key is removed, as by a time to live of zero.
    ///
    /// # Examples
    ///
    /// ```
    /// let loaded = hydracache::Loaded::new("a secret").no_store();
    /// # drop(loaded);
    /// ```
    pub fn no_store(self) -> Self {
        self.ttl(Duration::ZERO)
    }
}

impl<V> From<V> for Loaded<V> {
    fn from(value: V) -> Self {
        Self::new(value)
    }
}

/// The value that a load may replace: still fresh, or kept by one of its windows.
///
/// # Examples
///
/// "Not modified" is an answer too, and only to be had with an old value:
///
/// ```
/// use std::time::Duration;
///
/// use futures_lite::future::block_on;
/// use hydracache::{CacheOptions, HydraCache, Loaded, ManualClock, Old};
///
/// async fn ask(old: Option<Old<String>>) -> Result<Loaded<String>, std::io::Error> {
///     let modified = old.is_none(); // what the server says
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
    /// use hydracache::Old;
    ///
    /// fn length(old: &Old<String>) -> usize {
    ///     old.value().len()
    /// }
    /// ```
    pub fn value(&self) -> &V {
        &self.value
    }

    /// Returns how long ago it was stored, or said to be unchanged.
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::Old;
    ///
    /// fn modified_since(old: &Old<String>) -> String {
    ///     format!("{} seconds ago", old.age().as_secs())
    /// }
    /// ```
    pub fn age(&self) -> Duration {
        self.age
    }

    /// Returns it as what was loaded: stored anew, with the tags it has.
    ///
    /// A value that was removed or invalidated in the meantime is not revived: the load is
    /// discarded, as any load that was overtaken.
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::{Loaded, Old};
    ///
    /// fn not_modified(old: Old<String>) -> Loaded<String> {
    ///     old.unchanged().tag("confirmed")
    /// }
    /// ```
    pub fn unchanged(self) -> Loaded<V> {
        Loaded {
            value: self.value,
            ttl: None,
            tags: self.tags,
            unchanged: Some(self.read),
        }
    }
}

/// What [`fetch`](crate::HydraCache::fetch) found or loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fetched<V> {
    /// The value.
    pub value: V,
    /// Where it comes from.
    pub source: Source,
    /// How long ago it was stored. Zero of what was just loaded, and of an entry that has
    /// no record of it: one stored by another verb than `fetch`, with no option of times
    /// beyond its time to live.
    pub age: Duration,
    /// How long it is still fresh: `None` is without end, and zero is an old value, or one
    /// that was not stored.
    pub time_left: Option<Duration>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// The cache, where it was fresh.
    Hit,
    /// The cache, where its time to live was over.
    Stale,
    /// The loader of this call.
    Loaded,
    /// The loader of another call, which this one waited for.
    Joined,
}
