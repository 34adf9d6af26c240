//! The best that any policy could do: Belady's MIN, which knows the future.

use std::collections::BinaryHeap;

/// Counts the hits of a cache that always evicts what is asked for last again, the
/// newcomer included.
pub fn hits(ids: &[u32], distinct: u32, capacity: usize) -> u64 {
    let next = next_requests(ids, distinct);
    // By id: when it is asked for next if it is in the cache.
    let mut cached: Vec<Option<usize>> = vec![None; distinct as usize];
    // Every time that was ever in `cached`, with its id: the latest first. Those that
    // were overwritten since are passed over.
    let mut latest = BinaryHeap::new();
    let (mut hits, mut held) = (0, 0);
    for (&id, &next) in ids.iter().zip(&next) {
        match cached[id as usize].replace(next) {
            Some(_) => hits += 1,
            None => held += 1,
        }
        latest.push((next, id));
        while held > capacity {
            let (next, id) = latest.pop().expect("what is held is in the heap");
            if cached[id as usize] == Some(next) {
                cached[id as usize] = None;
                held -= 1;
            }
        }
    }
    hits
}

/// For each request, the time of the next one of its id; `usize::MAX` if there is none.
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
    fn a_loop_keeps_what_fits() {
        // Of a loop over four ids with room for two, MIN finds one of three in the end.
        let ids: Vec<u32> = (0..4).cycle().take(400).collect();
        let found = hits(&ids, 4, 2);
        assert!((130..=200).contains(&found), "{found}");
        assert_eq!(hits(&ids, 4, 4), 396);
    }

    #[test]
    fn what_comes_back_sooner_stays() {
        // 0 stays through 1, which does not come back.
        assert_eq!(hits(&[0, 1, 0], 2, 1), 1);
        assert_eq!(hits(&[0, 1, 1, 0], 2, 1), 1);
        assert_eq!(hits(&[0, 1, 0, 1], 2, 2), 2);
    }
}
