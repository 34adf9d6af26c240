//! Putting a value where it belongs.

use std::mem;
use std::time::Duration;

use super::Core;
use super::sweeping::MAX_RECLAIMED_PER_WRITE;
use crate::key::Key;
use crate::removal::RemovalCause;
use crate::runtime::{Moment, Now};
use crate::shard::cost::cost;
use crate::shard::entry_status::Liveness;
use crate::shard::requests::NewEntry;
use crate::shard::trash::Trash;
use crate::stats::count;
use crate::store::Lifetime;
use crate::tags::PinnedTags;

/// For so many entries, one may be evicted before its room is needed.
const ENTRIES_PER_EARLY_EVICTION: usize = 1024;

impl Core {
    /// Puts a value in the place of what is there, if it may be kept. Says until when it is
    /// fresh.
    #[inline]
    pub(super) fn store(
        &mut self,
        key: Key<'_>,
        write: &mut NewEntry<'_>,
        tags: PinnedTags,
        now: &Now<'_>,
        trash: &mut Trash,
    ) -> Option<Moment> {
        self.writes = self.writes.wrapping_add(1);
        self.clear_backoff(key, trash);
        self.reclaim(now, trash);
        let random = || self.contents.random(key.hash, self.writes);
        let life = Lifetime::new(
            write.ttl,
            write.extra,
            write.needs_age,
            || now.get(),
            random,
        );
        let timed = matches!(life, Lifetime::Timed(_));
        let old = self.contents.find(key);
        let liveness = old.map_or(Liveness::Live, |id| self.contents.liveness(id, now));
        let cost = cost(
            key.bytes.len(),
            write.value.stored.cost(),
            tags.len(),
            timed,
        );
        let refused = write.value.stored.bytes().len() > self.limits.entry_bytes
            || cost > self.limits.bytes
            || self.limits.entries == 0
            || tags.is_incomplete;
        if refused || write.ttl == Some(Duration::ZERO) {
            count(&mut self.stats.rejections, refused.into());
            self.contents.tags.unpin(tags);
            if let Some(id) = old {
                self.remove_entry(id, &liveness, RemovalCause::Replaced, trash);
            }
            return None;
        }
        let fresh_until = life.fresh_until();
        let value = mem::take(&mut write.value);
        let mut rank = None;
        if let Some(id) = old {
            if self.contents.cost() - self.contents.cost_of(id) + cost <= self.limits.bytes {
                let replaced = self.contents.replace(id, value, life, tags);
                trash.replaced(replaced, key, liveness.cause(RemovalCause::Replaced));
                self.count_liveness(&liveness);
                return Some(fresh_until);
            }
            rank = Some(self.contents.rank(id));
            self.remove_entry(id, &liveness, RemovalCause::Replaced, trash);
        }
        self.make_room(cost, now, trash);
        let key = (key.bytes.into(), key.hash);
        let id = self.contents.insert(key, value, life, tags);
        if let Some(rank) = rank {
            self.contents.restore_rank(id, rank);
        }
        Some(fresh_until)
    }

    /// Makes room for one entry. What is gone goes first: a live entry leaves only a
    /// shard in which every entry is live.
    #[inline]
    fn make_room(&mut self, cost: usize, now: &Now<'_>, trash: &mut Trash) {
        let mut readmitted = 0;
        while self.contents.len() >= self.limits.entries
            || self.contents.cost() + cost > self.limits.bytes
        {
            if readmitted < MAX_RECLAIMED_PER_WRITE {
                if let Some(left) = self.sweep_invalidated(trash) {
                    readmitted += usize::from(!left);
                    continue;
                }
            }
            let mut budget = usize::MAX;
            if self.sweep_expired(now, &mut budget, trash) {
                continue;
            }
            let most = self.limits.evicted_at_once;
            let most = most.min(1 + self.contents.len() / ENTRIES_PER_EARLY_EVICTION);
            let leave = |entry, cause| trash.entry(entry, cause);
            let (evicted, gone) = self.contents.evict(most, now, leave);
            if evicted == 0 {
                return;
            }
            // What had expired, and was kept to be served in need, was not live.
            count(&mut self.stats.evictions, (evicted - gone.len()) as u64);
            for liveness in &gone {
                self.count_liveness(liveness);
            }
        }
    }
}
