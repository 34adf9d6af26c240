//! Removing or expiring the entry of a key.

use super::Core;
use crate::key::Key;
use crate::removal::RemovalCause;
use crate::runtime::Now;
use crate::shard::entry_status::Liveness;
use crate::shard::trash::Trash;
use crate::stats::count;
use crate::store::State;

impl Core {
    /// Removes the expired entry found by a look-up, if the entry is still expired.
    pub(in crate::shard) fn remove_expired(
        &mut self,
        key: Key<'_>,
        now: &Now<'_>,
        trash: &mut Trash,
    ) {
        // The look-up held the readers' lock, and released the lock:
        // 1. A finds an expired entry under the readers' lock.
        // 2. B puts a fresh value.
        // 3. A takes the lock here, and must not remove B's value: check again.
        if let Some(id) = self.contents.find(key) {
            // guard: a read removes an entry only if the entry is still expired
            if self.contents.state(id, now) == State::Expired {
                let liveness = self.contents.liveness(id, now);
                self.remove_entry(id, &liveness, RemovalCause::Invalidated, trash);
            }
        }
    }

    /// Removes an entry, fences the load and ends the back-off of the key. Returns `true` if
    /// the entry was live, `false` if not.
    pub(in crate::shard) fn remove(
        &mut self,
        key: Key<'_>,
        now: &Now<'_>,
        trash: &mut Trash,
    ) -> bool {
        let id = self.contents.find(key);
        // The clock is read here, before any change: the clock may panic.
        let liveness = id.map(|id| self.contents.liveness(id, now));
        let live = matches!(liveness, Some(Liveness::Live));
        count(&mut self.stats.invalidations, live.into());
        if let (Some(id), Some(liveness)) = (id, liveness) {
            self.remove_entry(id, &liveness, RemovalCause::Invalidated, trash);
        }
        // guard: a remove fences the load of the key
        self.fence(key);
        self.clear_backoff(key, trash);
        live
    }

    /// Ends the freshness of an entry, fences the load and ends the back-off of the key. Returns
    /// `true` if the entry was fresh, `false` if not.
    pub(in crate::shard) fn expire(
        &mut self,
        key: Key<'_>,
        now: &Now<'_>,
        trash: &mut Trash,
    ) -> bool {
        let id = self.contents.find(key);
        let liveness = id.map(|id| self.contents.liveness(id, now));
        // 1. End the freshness. An entry without a stale value left is removed.
        let live = matches!(liveness, Some(Liveness::Live));
        match (id, liveness) {
            (Some(id), Some(Liveness::Live | Liveness::Expired))
                if self.contents.expire(id, now) => {}
            // A tag was expired before, and a stale value is left. The earlier call counts the
            // entry.
            (Some(id), Some(Liveness::Invalidated(invalidation)))
                if self.contents.survives_expire(id, self.limits.bytes) =>
            {
                invalidation.count_one();
            }
            (Some(id), Some(liveness)) => {
                let liveness = if live { Liveness::Expired } else { liveness };
                self.remove_entry(id, &liveness, RemovalCause::Invalidated, trash);
            }
            _ => {}
        }
        // 2. A load that began earlier would bring back a fresh value.
        // guard: an expire fences the load of the key
        self.fence(key);
        self.clear_backoff(key, trash);
        live
    }
}
