//! What a caller wishes for one entry, and for the load of it.

mod extra;
mod resolved;

pub(crate) use self::extra::{ExtraOptions, SharedExtra};
pub(crate) use self::resolved::CallOptions;

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::key::SmallBytes;

/// How one entry is to be kept, and how long its load may take.
///
/// They are the options of the call that stores: the times of an entry are those given
/// when it was stored, and a call that waits for another's load does not add its tags.
/// What a call does not set comes from the builder's
/// [`default_options`](crate::CacheBuilder::default_options), whose tags are added.
///
/// Options are plain values: build them once and clone them, or build them at
/// the call. A time to live and up to two tags of up to 22 bytes allocate nothing; the
/// other options share one allocation, and clones share it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use hydracache::CacheOptions;
///
/// let options = CacheOptions::new()
///     .ttl(Duration::from_secs(300))
///     .tag("user:7")
///     .tags(["tenant:1", "plan:free"]);
/// # drop(options);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until they are given to a call"]
pub struct CacheOptions {
    pub(crate) ttl: Option<Duration>,
    pub(crate) tags: TagNames,
    /// What most calls do without.
    pub(crate) extra: Option<SharedExtra>,
}

impl CacheOptions {
    /// Creates options that wish for nothing: the cache's default time to live,
    /// and no tags.
    ///
    /// # Examples
    ///
    /// ```
    /// let options = hydracache::CacheOptions::new();
    /// # drop(options);
    /// ```
    #[inline]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time to live, counted from when the value is stored.
    ///
    /// Default: the builder's `default_ttl`, and without one, no limit. The entry
    /// is gone at exactly `stored + ttl`. Zero stores nothing. A time so long
    /// that the clock would overflow never comes, so `Duration::MAX` is as good as no
    /// limit where there is a default.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = hydracache::CacheOptions::new().ttl(Duration::from_secs(60));
    /// # drop(options);
    /// ```
    #[inline]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Adds a tag, under which the entry can be invalidated together with others.
    ///
    /// Default: none. Any text is a tag, the empty one too; a tag added twice
    /// counts once.
    ///
    /// # Examples
    ///
    /// ```
    /// let options = hydracache::CacheOptions::new().tag("users").tag("tenant:1");
    /// # drop(options);
    /// ```
    #[inline]
    pub fn tag(mut self, tag: impl AsRef<str>) -> Self {
        self.tags.push(tag.as_ref().into());
        self
    }

    /// Adds every tag of a list, as [`tag`](Self::tag) does one. Default: none.
    ///
    /// # Examples
    ///
    /// ```
    /// let tenants = [1, 2].map(|id| format!("tenant:{id}"));
    /// let options = hydracache::CacheOptions::new().tags(tenants);
    /// # drop(options);
    /// ```
    #[inline]
    pub fn tags(mut self, tags: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let names = tags.into_iter().map(|tag| SmallBytes::from(tag.as_ref()));
        self.tags.extend(names);
        self
    }

    /// Serves the value for so long after its time to live, while it is loaded anew.
    ///
    /// Default: none. In this window a loading call with a loader of its own loads and
    /// waits for it; the others get the old value at once, without waiting. A loader that
    /// the cache was handed ([`get_or_refresh`]) runs in the background if there is a
    /// spawner, and then nobody waits. Reads without a loader do not see the old value.
    ///
    /// [`get_or_refresh`]: crate::HydraCache::get_or_refresh
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = hydracache::CacheOptions::new()
    ///     .ttl(Duration::from_secs(60))
    ///     .stale_while_revalidate(Duration::from_secs(10));
    /// # drop(options);
    /// ```
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.extra_mut().stale_while_revalidate = Some(window);
        self
    }

    /// Serves the value for so long after its time to live if loading it anew fails.
    ///
    /// Default: none. A failure is an error of the loader, a panic for those who wait for
    /// it, and a timeout. The value is served again and again until the window ends, to
    /// whoever calls, unless it was evicted or invalidated.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = hydracache::CacheOptions::new()
    ///     .ttl(Duration::from_secs(60))
    ///     .stale_if_error(Duration::from_secs(3600));
    /// # drop(options);
    /// ```
    pub fn stale_if_error(mut self, window: Duration) -> Self {
        self.extra_mut().stale_if_error = Some(window);
        self
    }

    /// Loads the value anew before its time is over: on the first loading call after this
    /// part of the time to live, from 0 to 1.
    ///
    /// Default: none. As in the window of
    /// [`stale_while_revalidate`](Self::stale_while_revalidate), the first caller with a
    /// loader of its own waits for it and the others do not; but the value they get is
    /// fresh, and counts as a hit. Without a time to live there is nothing to be ahead of.
    ///
    /// # Panics
    ///
    /// If the part is not a number from 0 to 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = hydracache::CacheOptions::new()
    ///     .ttl(Duration::from_secs(60))
    ///     .refresh_ahead(0.8); // from 48 seconds on
    /// # drop(options);
    /// ```
    #[track_caller]
    pub fn refresh_ahead(mut self, part: f32) -> Self {
        assert_fraction("refresh_ahead", part);
        self.extra_mut().refresh_ahead = Some(part);
        self
    }

    /// Shortens each time to live by a random part of it, up to this one, from 0 to 1.
    ///
    /// Default: none. Entries that were stored together then do not end together.
    ///
    /// # Panics
    ///
    /// If the part is not a number from 0 to 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = hydracache::CacheOptions::new()
    ///     .ttl(Duration::from_secs(60))
    ///     .jitter(0.1); // between 54 and 60 seconds
    /// # drop(options);
    /// ```
    #[track_caller]
    pub fn jitter(mut self, part: f32) -> Self {
        assert_fraction("jitter", part);
        self.extra_mut().jitter = Some(part);
        self
    }

    /// Ends the entry when it was not read for so long.
    ///
    /// Default: none. Reads are `get`, `get_bytes` and loading calls that find it; storing
    /// counts as one. A read is written down only when it comes a thirty-second of this time
    /// after the last that was, so an entry may end earlier by that much. It ends whole:
    /// nothing of it is served after that, whatever windows it has.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = hydracache::CacheOptions::new().time_to_idle(Duration::from_secs(600));
    /// # drop(options);
    /// ```
    pub fn time_to_idle(mut self, time: Duration) -> Self {
        self.extra_mut().time_to_idle = Some(time);
        self
    }

    /// Bounds how long a loading call takes, from its first poll, whether it runs the
    /// loader or waits for another's.
    ///
    /// Default: none. A call that runs out of time gets the old value if there is one that
    /// may be served, and an error ([`is_timeout`]) if not; if it runs the loader, the load
    /// ends and has failed. Needs a timer ([`CacheBuilder::timer`]).
    ///
    /// [`is_timeout`]: crate::CacheError::is_timeout
    /// [`CacheBuilder::timer`]: crate::CacheBuilder::timer
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = hydracache::CacheOptions::new().load_timeout(Duration::from_secs(2));
    /// # drop(options);
    /// ```
    pub fn load_timeout(mut self, time: Duration) -> Self {
        self.extra_mut().load_timeout = Some(time);
        self
    }

    /// Bounds how long a call waits for a load when there is an old value to serve.
    ///
    /// Default: none. It bounds those who wait for another's load. A call that runs a loader
    /// of its own runs it to its end; a loader that the cache was handed runs in the
    /// background if there is a spawner, so that this bounds everybody, and the load goes
    /// on. Zero serves the old value at once. Needs a timer, unless it is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = hydracache::CacheOptions::new()
    ///     .ttl(Duration::from_secs(60))
    ///     .stale_if_error(Duration::from_secs(3600))
    ///     .soft_timeout(Duration::from_millis(50));
    /// # drop(options);
    /// ```
    pub fn soft_timeout(mut self, time: Duration) -> Self {
        self.extra_mut().soft_timeout = Some(time);
        self
    }

    /// Keeps loading calls from loading a key for so long after a load of it failed.
    ///
    /// Default: none. They get the old value if there is one that may be served, and a clone
    /// of the error if not. It is the failed load's option that counts. A `put`, `remove` or
    /// `flush` ends it; `refresh` loads all the same. At most 1,024 keys of a shard are
    /// kept from loading, and the oldest are forgotten first.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = hydracache::CacheOptions::new().error_backoff(Duration::from_secs(5));
    /// # drop(options);
    /// ```
    pub fn error_backoff(mut self, time: Duration) -> Self {
        self.extra_mut().error_backoff = Some(time);
        self
    }

    fn extra_mut(&mut self) -> &mut ExtraOptions {
        Arc::make_mut(self.extra.get_or_insert_default())
    }
}

#[track_caller]
fn assert_fraction(name: &str, part: f32) {
    assert!(
        (0.0..=1.0).contains(&part),
        "{name} takes a part from 0 to 1, not {part}"
    );
}

/// The tags of one entry, in the order given: two in place, more on the heap.
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
        assert_eq!(
            count(&["a tag of 22 bytes, yes", "another of 22 bytes!!!"][1..]),
            0
        );
        assert_eq!(
            count(&["0123456789012345678901", "another of 22 bytes!!!"]),
            0
        );
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
