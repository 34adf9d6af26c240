//! What is done to a cache before its memory is looked at: in a process of its own,
//! since an allocator does not give back what another cache has left behind.

use crate::draw;
use crate::fill;
use crate::peer::{Contender, Loops};
use crate::requests::{Keys, Requests};
use crate::value;

/// The bytes of a key and a value.
pub const PAYLOAD: usize = 16 + value::LENGTH;

/// Fills a cache with entries that are each read once, and keeps them all.
///
/// The first read matters: a `Bytes` made from a `Vec` keeps its count in a block that
/// is allocated when it is first cloned.
pub fn filled(contender: Contender, entries: u32) -> Box<dyn Loops> {
    fill::full(contender, Keys::Sixteen, entries)
}

/// Puts so many entries through room for a tenth of them, reading each once.
pub fn churned(contender: Contender, puts: u32) -> Box<dyn Loops> {
    let capacity = puts / 10;
    let cache = contender.build(capacity as usize);
    // In pieces, each read while most of it is still there.
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
