//! What a caller wishes for one entry.

use std::time::Duration;

use smallvec::SmallVec;

use crate::text::Text;

/// How one entry is to be kept: its time to live and its tags.
///
/// They are the options of the call that stores. A call that waits for another's load
/// does not add its own.
///
/// Options are plain values: build them once and clone them, or build them at
/// the call; with up to two tags of up to 22 bytes they allocate nothing.
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
        let names = tags.into_iter().map(|tag| Text::from(tag.as_ref()));
        self.tags.extend(names);
        self
    }
}

/// The tags of one entry, in the order given: two in place, more on the heap.
pub(crate) type TagNames = SmallVec<[Text; 2]>;

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
