use bytes::Bytes;
use hydracache::{CacheOptions, HydraCache};

use super::{Peer, TTL};
use crate::ready::ready;

/// hydracache, through the public async methods.
pub(super) struct Hydra {
    cache: HydraCache,
    entry_options: EntryOptions,
}

/// The options of every entry. A `CacheOptions` is built at each call, as most users do.
enum EntryOptions {
    Plain,
    Ttl,
    /// A time to live and two of these tags, chosen by the id.
    Tags(Vec<String>),
    /// A time to live and two of this many tags. The tags are built at each call: if stored
    /// here, they would count as memory of the cache.
    ManyTags(usize),
}

impl Hydra {
    pub(super) fn plain(capacity: usize) -> Self {
        Self::new(capacity, EntryOptions::Plain)
    }

    pub(super) fn with_ttl(capacity: usize) -> Self {
        Self::new(capacity, EntryOptions::Ttl)
    }

    pub(super) fn with_tags(capacity: usize, names: usize) -> Self {
        let names = (0..names).map(tag).collect();
        Self::new(capacity, EntryOptions::Tags(names))
    }

    pub(super) fn with_many_tags(capacity: usize, names: usize) -> Self {
        Self::new(capacity, EntryOptions::ManyTags(names))
    }

    fn new(capacity: usize, entry_options: EntryOptions) -> Self {
        let cache = HydraCache::local().max_capacity(capacity as u64).build();
        Self {
            cache,
            entry_options,
        }
    }

    #[inline]
    fn options(&self, id: u32) -> CacheOptions {
        match &self.entry_options {
            EntryOptions::Plain => CacheOptions::new(),
            EntryOptions::Ttl => CacheOptions::new().ttl(TTL),
            EntryOptions::Tags(names) => {
                let [one, two] = two_of(id, names.len());
                CacheOptions::new()
                    .ttl(TTL)
                    .tag(&names[one])
                    .tag(&names[two])
            }
            EntryOptions::ManyTags(names) => CacheOptions::new()
                .ttl(TTL)
                .tags(two_of(id, *names).map(tag)),
        }
    }
}

/// The two tags of an id, out of `names` tags.
fn two_of(id: u32, names: usize) -> [usize; 2] {
    let id = id as usize;
    // An odd step, so that many different pairs of tags exist.
    [id % names, (id.wrapping_mul(31) + 7) % names]
}

fn tag(at: usize) -> String {
    format!("team:{at}")
}

impl Peer for Hydra {
    #[inline]
    fn get(&self, key: &str) -> Option<Bytes> {
        ready(self.cache.get_bytes(key)).expect("reading bytes never fails")
    }

    #[inline]
    fn insert(&self, id: u32, key: &str, value: Bytes) {
        let options = self.options(id);
        ready(self.cache.put_bytes(key, value, options)).expect("putting bytes never fails");
    }

    fn entries(&self) -> u64 {
        self.cache.entry_count()
    }
}
