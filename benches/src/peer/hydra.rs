use bytes::Bytes;
use hydracache::{CacheOptions, HydraCache};

use super::{Peer, TTL};
use crate::ready::ready;

/// Ours, through its public async verbs.
pub(super) struct Hydra {
    cache: HydraCache,
    wishes: Wishes,
}

/// What each entry is stored with. The options are built at each call, as most users
/// do.
enum Wishes {
    Nothing,
    Ttl,
    /// A time to live and two of these tags, chosen by the id.
    Tags(Vec<String>),
    /// A time to live and two of so many tags. They are put together at each call: kept
    /// here, they would count as memory of the cache.
    ManyTags(usize),
}

impl Hydra {
    pub(super) fn plain(capacity: usize) -> Self {
        Self::new(capacity, Wishes::Nothing)
    }

    pub(super) fn with_ttl(capacity: usize) -> Self {
        Self::new(capacity, Wishes::Ttl)
    }

    pub(super) fn with_tags(capacity: usize, names: usize) -> Self {
        let names = (0..names).map(tag).collect();
        Self::new(capacity, Wishes::Tags(names))
    }

    pub(super) fn with_many_tags(capacity: usize, names: usize) -> Self {
        Self::new(capacity, Wishes::ManyTags(names))
    }

    fn new(capacity: usize, wishes: Wishes) -> Self {
        let cache = HydraCache::local().max_capacity(capacity as u64).build();
        Self { cache, wishes }
    }

    #[inline]
    fn options(&self, id: u32) -> CacheOptions {
        match &self.wishes {
            Wishes::Nothing => CacheOptions::new(),
            Wishes::Ttl => CacheOptions::new().ttl(TTL),
            Wishes::Tags(names) => {
                let [one, two] = two_of(id, names.len());
                CacheOptions::new()
                    .ttl(TTL)
                    .tag(&names[one])
                    .tag(&names[two])
            }
            Wishes::ManyTags(names) => CacheOptions::new()
                .ttl(TTL)
                .tags(two_of(id, *names).map(tag)),
        }
    }
}

/// Which two of so many tags an id has.
fn two_of(id: u32, names: usize) -> [usize; 2] {
    let id = id as usize;
    // An odd step, so that tags pair up in many ways.
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
