mod plain;

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use self::plain::PlainPolicy;
use super::*;
use crate::store::MAX_EVICTED_AT_ONCE;

/// Any good hash will do: this one is the end of `SplitMix64`.
fn hash(key: u64) -> u64 {
    let mixed = (key ^ key >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

/// A cache of keys without values.
#[derive(Default)]
struct Cache {
    /// Evictions in a batch, less one.
    extra_evictions: usize,
    policy: Policy,
    ids: HashMap<u64, EntryId>,
    keys: Vec<u64>,
    free: Vec<EntryId>,
    evicted: Vec<u64>,
}

impl Cache {
    /// Returns `true` if the key is stored. If not, stores the key and returns `false`.
    fn get(&mut self, key: u64, capacity: usize) -> bool {
        if let Some(&id) = self.ids.get(&key) {
            self.policy.record_read(id);
            return true;
        }
        while self.ids.len() >= capacity {
            // As `Store::evict` does, in batches.
            for vacant in 0..=self.extra_evictions {
                let victim = self.policy.choose_victim(vacant).unwrap();
                let evicted = self.keys[victim.id as usize];
                self.policy.add_ghost(&victim, hash(evicted));
                self.evicted.push(evicted);
                assert_eq!(self.ids.remove(&evicted), Some(victim.id));
                self.free.push(victim.id);
            }
        }
        // Use ids again, as the slab does.
        let id = self.free.pop().unwrap_or_else(|| {
            self.keys.push(0);
            self.keys.len() as EntryId - 1
        });
        self.keys[id as usize] = key;
        self.ids.insert(key, id);
        self.policy.insert(id, hash(key));
        false
    }

    fn remove(&mut self, key: u64) {
        if let Some(id) = self.ids.remove(&key) {
            self.policy.remove(id);
            self.free.push(id);
        }
    }

    fn hits(&mut self, capacity: usize, keys: impl IntoIterator<Item = u64>) -> usize {
        keys.into_iter()
            .filter(|&key| self.get(key, capacity))
            .count()
    }
}

#[test]
fn random_operations_keep_every_invariant() {
    for seed in 0..30 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut cache = Cache::default();
        let mut capacity: usize = rng.random_range(1..=300);
        let span = rng.random_range(2..2000);
        for step in 0..4000 {
            // Uniform requests, requests for a few hot keys, and removals.
            match rng.random_range(0..100) {
                0..70 => drop(cache.get(rng.random_range(0..span), capacity)),
                70..90 => drop(cache.get(rng.random_range(0..=span / 10), capacity)),
                90..99 => cache.remove(rng.random_range(0..span)),
                _ => {
                    // As with a bound in bytes: the number of entries that fit changes.
                    let change = rng.random_range(0..21);
                    capacity = (capacity + change).saturating_sub(10).max(1);
                }
            }
            // Empty the cache now and then.
            if rng.random_range(0..2000) == 0 {
                // Removals alone must close the holes of both queues.
                (0..span).for_each(|key| cache.remove(key));
            }
            if step % 16 == 0 {
                assert_eq!(cache.policy.validate().len(), cache.ids.len());
            }
        }
    }
}

/// Loops, scans, skewed and recent keys in turn, with growing and shrinking capacities. Some
/// entries are removed, some are evicted in batches, and some are removed and stored again
/// with the same rank.
#[test]
fn policy_agrees_with_the_plain_policy() {
    for seed in 0..24 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut policies = SideBySide::default();
        let mut capacity: usize = [1, 2, 5, 20, 100, 700][rng.random_range(0..6)];
        for phase in 0..12_u64 {
            let span = capacity as u64 * rng.random_range(1..6) + 2;
            let kind = rng.random_range(0..4);
            for step in 0..(4 * capacity as u64).max(200) {
                // A loop, a scan, skewed keys, recent keys.
                let key = match kind {
                    0 => step % span,
                    1 => phase * 1_000_000 + step,
                    2 => {
                        let most = rng.random_range(0..span);
                        rng.random_range(0..=most)
                    }
                    _ => (1000 * phase + step).saturating_sub(rng.random_range(0..span)),
                };
                match rng.random_range(0..400) {
                    0 => policies.remove(key),
                    1 => policies.store_again(key),
                    _ => policies.get(
                        key,
                        capacity,
                        rng.random_range(0..8) / 7 * (MAX_EVICTED_AT_ONCE - 1),
                    ),
                }
            }
            capacity = (capacity * rng.random_range(3..8) / 5).max(1);
        }
    }
}

/// The policy beside the plain policy. Both get the same calls.
#[derive(Default)]
struct SideBySide {
    policy: Policy,
    plain: Option<PlainPolicy>,
    ids: HashMap<u64, EntryId>,
    keys: Vec<u64>,
    free: Vec<EntryId>,
}

impl SideBySide {
    fn get(&mut self, key: u64, capacity: usize, extra_evictions: usize) {
        let plain = self.plain.get_or_insert_with(PlainPolicy::new);
        if let Some(&id) = self.ids.get(&key) {
            self.policy.record_read(id);
            plain.read(id);
            return;
        }
        if self.ids.len() >= capacity {
            let evictions = (self.ids.len() - capacity + 1).max(extra_evictions + 1);
            for vacant in 0..evictions.min(self.ids.len()) {
                // Vacant places count as young, so young may have no entry left.
                let (chosen, expected) = (
                    self.policy.choose_victim(vacant),
                    plain.choose_victim(vacant),
                );
                assert!(vacant > 0 || chosen.is_some());
                let (Some(victim), Some((id, origin, queued_at))) = (chosen, expected) else {
                    assert!(chosen.is_none() && expected.is_none());
                    break;
                };
                assert_eq!(
                    (victim.id, victim.origin, victim.queued_at),
                    (id, origin, queued_at)
                );
                let evicted = self.keys[id as usize];
                self.policy.add_ghost(&victim, hash(evicted));
                plain.add_ghost(hash(evicted), origin, queued_at);
                self.ids.remove(&evicted);
                self.free.push(id);
            }
        }
        self.store(key);
        self.compare();
    }

    fn store(&mut self, key: u64) -> EntryId {
        let plain = self.plain.get_or_insert_with(PlainPolicy::new);
        let id = self.free.pop().unwrap_or_else(|| {
            self.keys.push(0);
            self.keys.len() as EntryId - 1
        });
        self.keys[id as usize] = key;
        self.ids.insert(key, id);
        self.policy.insert(id, hash(key));
        plain.insert(id, hash(key));
        id
    }

    fn remove(&mut self, key: u64) {
        if let (Some(id), Some(plain)) = (self.ids.remove(&key), &mut self.plain) {
            self.policy.remove(id);
            plain.removed(id);
            self.free.push(id);
            self.compare();
        }
    }

    /// Removes a key and stores the key again with the same rank.
    fn store_again(&mut self, key: u64) {
        let Some(&id) = self.ids.get(&key) else {
            return;
        };
        let rank = self.policy.rank(id);
        let expected = self.plain.as_ref().unwrap().rank(id);
        self.remove(key);
        let id = self.store(key);
        self.policy.restore_rank(id, rank);
        self.plain.as_mut().unwrap().restore_rank(id, expected);
        self.compare();
    }

    fn compare(&self) {
        // The share shows every decision about ghosts; twenty entries are a sample.
        let plain = self.plain.as_ref().unwrap();
        assert_eq!(self.policy.share, plain.share());
        for &id in self.ids.values().take(20) {
            let mark = self.policy.marks.get(id);
            assert_eq!((mark & READS, mark & MAIN == MAIN), plain.rank(id));
        }
    }
}

#[test]
fn wrapping_numbers_change_no_decision() {
    let (mut low, mut high) = (Cache::default(), Cache::default());
    // The numbers wrap after 500 and 700 pushes.
    high.policy.young = Queue::from(Index::MAX - 500);
    high.policy.main = Queue::from(Index::MAX - 700);
    let mut rng = StdRng::seed_from_u64(9);
    for _ in 0..20_000 {
        let key = rng.random_range(0..100) * rng.random_range(0..10);
        if rng.random_range(0..20) == 0 {
            low.remove(key);
            high.remove(key);
        }
        assert_eq!(low.get(key, 90), high.get(key, 90));
    }
    high.policy.validate();
    assert!(low.evicted.len() > 1000 && low.evicted == high.evicted);
}

#[test]
fn policy_works_with_one_to_four_entries() {
    assert!(Policy::default().choose_victim(0).is_none());
    for capacity in 1..5 {
        let mut cache = Cache::default();
        let mut rng = StdRng::seed_from_u64(7);
        for _ in 0..2000 {
            cache.get(rng.random_range(0..9), capacity);
            cache.policy.validate();
        }
    }
}

/// LRU has no hit here; the best possible is a quarter.
#[test]
fn long_loop_is_hit_in_part() {
    let mut cache = Cache::default();
    let hits = cache.hits(1000, (0..40).flat_map(|_| 0..4000));
    assert!(hits > 160_000 * 21 / 100, "{hits}");
}

/// Each key is requested twice more soon after the first request, and never again.
#[test]
fn recency_moves_the_share_to_young() {
    let (mut cache, mut rng) = (Cache::default(), StdRng::seed_from_u64(3));
    let mut ago = |n: u64| n.saturating_sub(rng.random_range(0..500));
    let keys: Vec<u64> = (0..200_000).flat_map(|n| [n, ago(n), ago(n)]).collect();
    let hits = cache.hits(1000, keys);
    assert!(hits > 400_000 * 95 / 100, "{hits}");
    // The share started at a twentieth.
    assert!(cache.policy.share > FULL_SHARE / 2);
}

/// Each key is requested once more, after a delay that only nearly the whole cache can span.
#[test]
fn reuse_after_a_delay_is_learned() {
    let mut cache = Cache::default();
    // 390 keys back is 780 requests back, of a capacity of 1000.
    let keys = (0..200_000_u64).flat_map(|n| [n, n.saturating_sub(390)]);
    let hits = cache.hits(1000, keys);
    assert!(hits > 200_000 * 9 / 10, "{hits}");
}

/// With any number of evictions in a batch.
#[test]
fn scan_does_not_displace_read_entries() {
    for extra_evictions in [0, MAX_EVICTED_AT_ONCE - 1] {
        let mut rng = StdRng::seed_from_u64(1);
        let mut cache = Cache {
            extra_evictions,
            ..Cache::default()
        };
        for _ in 0..20_000 {
            cache.get(rng.random_range(0..800), 1000);
        }
        // The scan is ten times as long as the cache.
        cache.hits(1000, 1_000_000..1_010_000);
        let hits = cache.hits(1000, 0..800);
        assert!(hits > 700, "{extra_evictions}: {hits}");
    }
}

/// Even if all entries were read often.
#[test]
fn eviction_checks_a_bounded_number_of_entries() {
    let mut cache = Cache::default();
    for _ in 0..3 {
        cache.hits(10_000, (0..10_000).flat_map(|key| [key; 5]));
    }
    let before = cache.policy.main.next();
    cache.get(1_000_000, 10_000);
    // Each checked entry of main is pushed again, so main's numbers count the checks.
    let moved = cache.policy.main.next().wrapping_sub(before);
    assert!(moved as usize <= MAX_STEPS + 3, "{moved}");
}
