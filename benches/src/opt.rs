//! The best possible hit ratio: Belady's MIN, which knows the future requests.

use std::collections::BinaryHeap;

/// Counts the hits of a cache that always evicts the entry with the latest next request, the
/// new entry included.
pub fn hits(ids: &[u32], distinct: u32, capacity: usize) -> u64 {
    let next = next_requests(ids, distinct);
    // By id: the time of the next request, if the id is cached.
    let mut cached: Vec<Option<usize>> = vec![None; distinct as usize];
    // Every time ever stored in `cached`, with its id, the latest first. An overwritten time
    // no longer equals `cached[id]` and is skipped.
    let mut latest = BinaryHeap::new();
    let (mut hits, mut held) = (0, 0);
    for (&id, &next) in ids.iter().zip(&next) {
        match cached[id as usize].replace(next) {
            Some(_) => hits += 1,
            None => held += 1,
        }
        latest.push((next, id));
        while held > capacity {
            let (next, id) = latest.pop().expect("every cached id is in the heap");
            if cached[id as usize] == Some(next) {
                cached[id as usize] = None;
                held -= 1;
            }
        }
    }
    hits
}

/// For each request, the time of the next request of the same id, or `usize::MAX`.
fn next_requests(ids: &[u32], distinct: u32) -> Vec<usize> {
    let mut seen = vec![usize::MAX; distinct as usize];
    let mut next = vec![usize::MAX; ids.len()];
    for (now, &id) in ids.iter().enumerate().rev() {
        next[now] = seen[id as usize];
        seen[id as usize] = now;
    }
    next
}

#[cfg(test)]
mod tests {
    use super::hits;

    #[test]
    fn min_of_a_loop_hits_a_third_with_half_the_capacity() {
        // In a loop over four ids with a capacity of two, MIN tends to one hit in three requests.
        let ids: Vec<u32> = (0..4).cycle().take(400).collect();
        let found = hits(&ids, 4, 2);
        assert!((130..=200).contains(&found), "{found}");
        assert_eq!(hits(&ids, 4, 4), 396);
    }

    #[test]
    fn min_keeps_the_id_with_the_earlier_next_request() {
        // 0 is kept, since 1 is never requested again.
        assert_eq!(hits(&[0, 1, 0], 2, 1), 1);
        assert_eq!(hits(&[0, 1, 1, 0], 2, 1), 1);
        assert_eq!(hits(&[0, 1, 0, 1], 2, 2), 2);
    }
}
