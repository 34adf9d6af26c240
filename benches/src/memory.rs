//! Fills a cache before its memory is measured.
//!
//! Each measurement runs in a process of its own, since an allocator keeps the freed memory of
//! an earlier cache.

use crate::draw;
use crate::fill;
use crate::peer::{Contender, Loops};
use crate::requests::{Keys, Requests};
use crate::value;

/// The bytes of a key and a value.
pub const PAYLOAD: usize = 16 + value::LENGTH;

/// Fills a cache without evictions, and reads each entry once.
///
/// The first read matters: a `Bytes` made from a `Vec` allocates a block for its reference
/// count at the first clone.
pub fn filled(contender: Contender, entries: u32) -> Box<dyn Loops> {
    fill::full(contender, Keys::Sixteen, entries)
}

/// Makes `puts` puts into a cache of a tenth of the capacity, and reads each entry once.
pub fn churned(contender: Contender, puts: u32) -> Box<dyn Loops> {
    let capacity = puts / 10;
    let cache = contender.build(capacity as usize);
    // In chunks, each read while most of its entries are still cached.
    for ids in draw::shuffled(puts, 1).chunks(1_000) {
        let requests = Requests::new(Keys::Sixteen, ids.to_vec());
        let values = ids.iter().map(|&id| value::value(id)).collect();
        cache.insert_all(&requests, values);
        for (id, key) in requests.iter() {
            if let Some(bytes) = cache.get(key) {
                value::check(id, &bytes);
            }
        }
    }
    fill::check_bound(contender, cache.as_ref(), capacity);
    cache
}
