//! Putting a value where it belongs.

use std::mem;
use std::time::Duration;

use super::Core;
use super::sweeping::TIDIED_BY_A_WRITE;
use crate::key::Key;
use crate::removal::RemovalCause;
use crate::runtime::{Moment, Now};
use crate::shard::contents::cost;
use crate::shard::entry_status::Fate;
use crate::shard::requests::Write;
use crate::shard::trash::Trash;
use crate::stats::count;
use crate::store::Life;
use crate::tags::Held;

/// For so many entries, one may be evicted before its room is needed.
const FOR_EACH_EARLY: usize = 1024;

impl Core {
    /// Puts a value in the place of what is there, if it may be kept. Says until when it is
    /// fresh.
    #[inline]
    pub(super) fn store(
        &mut self,
        key: Key<'_>,
        write: &mut Write<'_>,
        tags: Held,
        now: &Now<'_>,
        trash: &mut Trash,
    ) -> Option<Moment> {
        self.writes = self.writes.wrapping_add(1);
        self.forgive(key, trash);
        self.tidy(now, trash);
        let chance = || self.contents.chance(key.hash, self.writes);
        let life = Life::new(write.ttl, write.rare, write.dated, || now.get(), chance);
        let timed = matches!(life, Life::Timed(_));
        let old = self.contents.find(key);
        let fate = old.map_or(Fate::Live, |id| self.contents.fate(id, now));
        let cost = cost(key.bytes.len(), write.value.kept.cost(), tags.len(), timed);
        let refused = write.value.kept.bytes().len() > self.limits.entry_bytes
            || cost > self.limits.bytes
            || self.limits.entries == 0
            || tags.is_short;
        if refused || write.ttl == Some(Duration::ZERO) {
            count(&mut self.stats.rejections, refused.into());
            self.contents.tags.release(tags);
            if let Some(id) = old {
                self.take(id, &fate, RemovalCause::Replaced, trash);
            }
            return None;
        }
        let fresh_until = life.fresh_until();
        let value = mem::take(&mut write.value);
        let mut standing = None;
        if let Some(id) = old {
            if self.contents.cost() - self.contents.cost_of(id) + cost <= self.limits.bytes {
                let replaced = self.contents.replace(id, value, life, tags);
                trash.value(replaced, key, fate.cause(RemovalCause::Replaced));
                self.count_fate(&fate);
                return Some(fresh_until);
            }
            standing = Some(self.contents.standing(id));
            self.take(id, &fate, RemovalCause::Replaced, trash);
        }
        self.make_room(cost, now, trash);
        let key = (key.bytes.into(), key.hash);
        let id = self.contents.insert(key, value, life, tags);
        if let Some(standing) = standing {
            self.contents.reinstate(id, standing);
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
            if readmitted < TIDIED_BY_A_WRITE {
                if let Some(left) = self.sweep_doomed(trash) {
                    readmitted += usize::from(!left);
                    continue;
                }
            }
            let mut patience = usize::MAX;
            if self.sweep_expired(now, &mut patience, trash) {
                continue;
            }
            let most = self.limits.evicted_at_once;
            let most = most.min(1 + self.contents.len() / FOR_EACH_EARLY);
            let leave = |entry, cause| trash.entry(entry, cause);
            let (evicted, gone) = self.contents.evict(most, now, leave);
            if evicted == 0 {
                return;
            }
            // What had expired, and was kept to be served in need, was not live.
            count(&mut self.stats.evictions, (evicted - gone.len()) as u64);
            for fate in &gone {
                self.count_fate(fate);
            }
        }
    }
}
