//! The options of a call: how an entry is stored, and how long a load may take.
//!
//! `mod.rs` has the type, the time to live and the tags; `windows.rs` has the other times of an
//! entry, `timeouts.rs` the limits of a load. `resolved.rs` merges options with defaults.

mod extra;
mod resolved;
mod timeouts;
mod windows;

pub(crate) use self::extra::{ExtraOptions, SharedExtra};
pub(crate) use self::resolved::CallOptions;

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::key::SmallBytes;

/// The options of a call: times and tags of the stored entry, and limits of the load.
///
/// The options of the storing call count: times and tags belong to the entry from the moment of
/// storing, and a waiter does not add tags to the load of another call. Unset options come from
/// [`default_options`](crate::CacheBuilder::default_options) of the builder; tags are added up.
///
/// Options are plain values: build options once and clone, or build options at each call. A time to
/// live and up to two tags of up to 22 bytes allocate nothing. All other options share a single
/// allocation, and clones share this allocation too.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use futures_lite::future::block_on;
/// use hydracache::{CacheOptions, HydraCache};
///
/// # fn main() -> Result<(), hydracache::CacheError> {
/// let cache = HydraCache::local().build();
/// let options = CacheOptions::new()
///     .ttl(Duration::from_secs(300))
///     .tag("user:7")
///     .tags(["tenant:1", "plan:free"]);
/// block_on(cache.put("name", "Ada", options.clone()))?;
/// block_on(cache.put("mail", "ada@example.org", options))?;
///
/// assert_eq!(block_on(cache.invalidate_tag("plan:free"))?, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until they are given to a call"]
pub struct CacheOptions {
    pub(crate) ttl: Option<Duration>,
    pub(crate) tags: TagNames,
    /// The rare options. Behind a pointer, so that most calls stay small; shared, so that a clone
    /// stays cheap.
    pub(crate) extra: Option<SharedExtra>,
}

impl CacheOptions {
    /// Creates options with nothing set: every default of the cache applies.
    ///
    /// Without defaults, the entry has no tags and no time to live.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// block_on(cache.put("name", "Ada", CacheOptions::new()))?;
    /// assert!(block_on(cache.contains_key("name")));
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time to live, counted from the moment of storing.
    ///
    /// Default: `default_ttl` of the builder; else no limit.
    ///
    /// The entry is fresh before exactly `stored + ttl`, then stale if a window follows, else
    /// expired. If the sum overflows the clock, the end never comes: `Duration::MAX` overrides a
    /// default with no limit.
    ///
    /// With zero, the entry is stale from the start: reads without a loader never see the value,
    /// and the value is served inside a window ([`stale_while_revalidate`], [`stale_if_error`]).
    /// This is `Cache-Control: max-age=0, stale-if-error=60`. Zero without a window stores nothing,
    /// and removes the current entry.
    ///
    /// [`stale_while_revalidate`]: Self::stale_while_revalidate
    /// [`stale_if_error`]: Self::stale_if_error
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache, ManualClock};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let clock = ManualClock::new();
    /// let cache = HydraCache::local().clock(clock.clone()).build();
    /// let options = CacheOptions::new().ttl(Duration::from_secs(60));
    /// block_on(cache.put("name", "Ada", options))?;
    ///
    /// clock.advance(Duration::from_secs(59));
    /// assert_eq!(block_on(cache.get::<String>("name"))?.as_deref(), Some("Ada"));
    /// clock.advance(Duration::from_secs(1));
    /// assert_eq!(block_on(cache.get::<String>("name"))?, None);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Adds a tag. All entries with a tag can be invalidated together.
    ///
    /// Default: no tags. Any text is a tag, the empty text too. A tag added twice counts once.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// let options = CacheOptions::new().tag("users").tag("tenant:1");
    /// block_on(cache.put("user:7", "Ada", options))?;
    ///
    /// assert_eq!(block_on(cache.invalidate_tag("tenant:1"))?, 1);
    /// assert_eq!(block_on(cache.invalidate_tag("users"))?, 0); // already removed
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn tag(mut self, tag: impl AsRef<str>) -> Self {
        self.tags.push(tag.as_ref().into());
        self
    }

    /// Adds every tag of a list, as [`tag`](Self::tag) adds a single tag.
    ///
    /// Default: no tags.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// let tenants = [1, 2].map(|id| format!("tenant:{id}"));
    /// block_on(cache.put("plans", "free", CacheOptions::new().tags(tenants)))?;
    ///
    /// assert_eq!(block_on(cache.invalidate_tag("tenant:2"))?, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn tags(mut self, tags: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        // Up to two names of up to 22 bytes stay in place: no allocation.
        let names = tags.into_iter().map(|tag| SmallBytes::from(tag.as_ref()));
        self.tags.extend(names);
        self
    }

    /// Returns the rare options for writing: created if absent, copied if shared with a clone.
    fn extra_mut(&mut self) -> &mut ExtraOptions {
        // A clone of the options keeps the earlier values: `make_mut` copies for this call.
        Arc::make_mut(self.extra.get_or_insert_default())
    }
}

/// The tags of one entry, in the given order: two in place, more on the heap.
pub(crate) type TagNames = SmallVec<[SmallBytes; 2]>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_short_tags_allocate_nothing() {
        let build = |tags: &[&str]| {
            let options = CacheOptions::new().ttl(Duration::from_secs(1)).tags(tags);
            assert_eq!(options.clone().tags.iter().count(), tags.len());
        };
        let count = |tags: &[&str]| allocation_counter::measure(|| build(tags)).count_total;
        // Names of 22 bytes, the most that a `SmallBytes` holds in place.
        assert_eq!(
            count(&["a tag of 22 bytes, yes", "another of 22 bytes!!!"][1..]),
            0
        );
        assert_eq!(
            count(&["0123456789012345678901", "another of 22 bytes!!!"]),
            0
        );
        // The third tag moves the list to the heap.
        assert!(count(&["a", "b", "c"]) > 0);
    }

    #[test]
    fn tag_and_tags_both_add() {
        let options = CacheOptions::new().tag("a").tags(["b", "c"]).tag("d");
        let names: Vec<String> = options
            .tags
            .iter()
            .map(|name| format!("{name:?}"))
            .collect();
        assert_eq!(names, [r#""a""#, r#""b""#, r#""c""#, r#""d""#]);
    }
}
