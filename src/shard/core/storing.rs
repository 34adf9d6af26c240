//! Storing a value, within the bounds.

use std::mem;
use std::time::Duration;

use super::Core;
use super::sweeping::MAX_RECLAIMED_PER_WRITE;
use crate::key::Key;
use crate::removal::RemovalCause;
use crate::runtime::{Moment, Now};
use crate::shard::cost::cost;
use crate::shard::entry_status::Liveness;
use crate::shard::requests::{NewEntry, StoreMode};
use crate::shard::trash::Trash;
use crate::stats::count;
use crate::store::Lifetime;
use crate::tags::PinnedTags;

/// For each such number of entries, one entry may be evicted before the room is needed.
const ENTRIES_PER_EARLY_EVICTION: usize = 1024;

impl Core {
    /// Stores a value in place of the old value, if the bounds allow. Returns the end of the
    /// time to live, or `None` if the value was not stored. `tags` are attached or unpinned in
    /// any case.
    #[inline]
    pub(super) fn store(
        &mut self,
        key: Key<'_>,
        entry: &mut NewEntry<'_>,
        mut tags: PinnedTags,
        now: &Now<'_>,
        trash: &mut Trash,
    ) -> Option<Moment> {
        // 1. Count the write, end the back-off, and sweep a little.
        self.writes = self.writes.wrapping_add(1);
        self.clear_backoff(key, trash);
        self.reclaim(now, trash);
        // 2. Compute times and cost of the new entry, and the liveness of the old entry, which
        //    decides the counter and the cause.
        let old = self.contents.find(key);
        let random = || self.contents.random(key.hash, self.writes);
        let lifetime = match old {
            Some(id) if entry.mode == StoreMode::Update => {
                let times = self.contents.end_and_deadlines(id);
                Lifetime::updated(times, entry.ttl, entry.extra, || now.get(), random)
            }
            _ => Lifetime::new(
                entry.ttl,
                entry.extra,
                entry.needs_age,
                || now.get(),
                random,
            ),
        };
        let timed = matches!(lifetime, Lifetime::Timed(_));
        let liveness = old.map_or(Liveness::Live, |id| self.contents.liveness(id, now));
        let cost = cost(key.bytes.len(), entry.value.stored.cost(), timed);
        // 3. Refuse a value that does not fit, with all names of the tags, or without a pair for
        //    a tag. A time to live of zero without a window is a wish of the caller, and counts
        //    as no rejection. Either way the old value is removed: a put ends the old value.
        let cost_alone = cost.saturating_add(self.contents.tags.cost_alone(&tags));
        let refused = entry.value.stored.bytes().len() > self.limits.entry_bytes
            || cost_alone > self.limits.bytes
            || self.limits.entries == 0
            || tags.is_incomplete;
        let is_unwanted = entry.mode == StoreMode::Discard
            || (entry.ttl == Some(Duration::ZERO) && !lifetime.has_window());
        if refused || is_unwanted {
            count(&mut self.stats.rejections, refused.into());
            self.contents.tags.unpin(tags);
            if let Some(id) = old {
                self.remove_entry(id, &liveness, RemovalCause::Replaced, trash);
            }
            return None;
        }
        let fresh_until = lifetime.fresh_until();
        // 4. Charge the new tags first: an eviction must not give back a tag that the new entry
        //    has too. Then replace in place if the sum of the costs stays within the bound. The
        //    policy keeps the entry.
        // guard: the tags of a new entry are charged before others give their tags back
        self.contents.tags.charge(&mut tags);
        let value = mem::take(&mut entry.value);
        let mut rank = None;
        if let Some(id) = old {
            self.contents.detach_tags(id);
            if self.contents.cost() - self.contents.cost_of(id) + cost <= self.limits.bytes {
                let replaced = self.contents.replace(id, value, lifetime, tags);
                trash.replaced(replaced, key, liveness.cause(RemovalCause::Replaced));
                // guard: an invalidated entry is counted when overwritten
                self.count_liveness(&liveness);
                return Some(fresh_until);
            }
            // The new value and all other entries exceed the bound, so other entries must be
            // evicted. The old entry leaves first, and the new entry gets the rank.
            rank = Some(self.contents.rank(id));
            self.remove_entry(id, &liveness, RemovalCause::Replaced, trash);
        }
        // 5. Make room, and insert.
        self.make_room(cost, now, trash);
        let key = (key.bytes.into(), key.hash);
        let id = self.contents.insert(key, value, lifetime, tags);
        if let Some(rank) = rank {
            self.contents.restore_rank(id, rank);
        }
        Some(fresh_until)
    }

    /// Makes room for one entry of a cost; the tags of the entry are charged already. Dead and
    /// expired entries go first: a live entry is evicted only if no other entry is found.
    #[inline]
    fn make_room(&mut self, cost: usize, now: &Now<'_>, trash: &mut Trash) {
        let mut reattached = 0;
        while self.contents.len() >= self.limits.entries
            || self.contents.cost() + cost > self.limits.bytes
        {
            // 1. Entries with dead tags. An entry ended by `expire_tag` may stay, with live tags
            //    and a stale value, and gives no room. A caller waits, so only some entries are
            //    looked at so closely: the next ones are removed, with or without a stale value.
            let may_stay = reattached < MAX_RECLAIMED_PER_WRITE;
            if let Some(swept) = self.sweep_invalidated(may_stay, trash) {
                reattached += usize::from(!swept.removed);
                continue;
            }
            // 2. Expired entries, without a bound on re-filing: an eviction would cost a live
            //    entry.
            let mut budget = usize::MAX;
            if self.sweep_expired(now, &mut budget, trash).is_some() {
                continue;
            }
            // 3. Live entries. In a large shard several at once, since a batch is cheaper.
            let max = self.limits.evicted_at_once;
            let max = max.min(1 + self.contents.len() / ENTRIES_PER_EARLY_EVICTION);
            let out = |entry, cause| trash.entry(entry, cause);
            let (evicted, not_live) = self.contents.evict(max, now, out);
            if evicted == 0 {
                return;
            }
            // An entry in a stale window was expired, not live.
            count(&mut self.stats.evictions, (evicted - not_live.len()) as u64);
            for liveness in &not_live {
                self.count_liveness(liveness);
            }
        }
    }
}
