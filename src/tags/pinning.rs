//! Pinning: from names to tags, for a load or for a new entry.

use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::{HashedTag, PinnedTags, Tag, Tags};
use crate::index::{Index, growth, to_index};
use crate::key::SmallBytes;

impl Tags {
    /// Pins the tags to which these names are bound now.
    #[inline]
    pub(crate) fn pin<'a>(&mut self, names: impl Iterator<Item = &'a SmallBytes>) -> PinnedTags {
        let mut pinned = PinnedTags::default();
        for name in names {
            let hash = self.hashing.hash(name.as_bytes());
            self.bind_into(&mut pinned, hash, name);
        }
        self.pin_once(&mut pinned.tags);
        // Every name was bound to a live tag.
        pinned.checked = self.invalidations.into();
        pinned
    }

    /// Pins more tags, chosen by a loader. The tags pinned before must be alive.
    pub(crate) fn pin_more(&mut self, pinned: &mut PinnedTags, more: &[HashedTag]) {
        if more.is_empty() {
            return;
        }
        let mut added = PinnedTags::default();
        for HashedTag { hash, name } in more {
            self.bind_into(&mut added, *hash, name);
        }
        // A tag pinned already gives the second reservation back. The tags are in order, so n
        // tags take n log n steps.
        let bound = added.tags.len();
        added
            .tags
            .retain(|tag| pinned.tags.binary_search(tag).is_err());
        self.reserved -= bound - added.tags.len();
        self.pin_once(&mut added.tags);
        pinned.tags.extend(added.tags);
        pinned.tags.sort_unstable();
        pinned.is_incomplete |= added.is_incomplete;
    }

    /// Adds the live tag of a name to tags that are not pinned yet.
    #[inline]
    fn bind_into(&mut self, added: &mut PinnedTags, hash: u64, name: &SmallBytes) {
        match self.bind(hash, name) {
            Some(tag) => added.tags.push(tag),
            None => added.is_incomplete = true,
        }
    }

    /// Sorts bound tags, removes duplicates, and pins each tag once.
    #[inline]
    fn pin_once(&mut self, tags: &mut SmallVec<[Index; 4]>) {
        // A name given twice reserved two pairs: reserve again after the removal of duplicates.
        // Sorting keeps n names at n log n steps.
        self.reserved -= tags.len();
        tags.sort_unstable();
        tags.dedup();
        self.reserved += tags.len();
        for &tag in tags.iter() {
            self.records[tag as usize].pins += 1;
        }
    }

    /// Returns the live tag of a name, or creates a tag, and reserves a pair for a future
    /// member. Returns `None` if there is no free pair.
    fn bind(&mut self, hash: u64, name: &SmallBytes) -> Option<Index> {
        // 1. A member needs one pair, and the head of a new tag another.
        let unreserved = self.members.free_pairs() - self.reserved;
        let bound = self.bound(hash, name);
        if unreserved < 1 + usize::from(bound.is_none()) {
            return None;
        }
        // 2. Reserve now: the attachment of a loaded value must not fail later.
        self.reserved += 1;
        if bound.is_some() {
            return bound;
        }
        // 3. Create the tag. A dead tag of the same name may exist beside the new tag. A slab
        //    would double, and leave much memory unused.
        if self.records.len() == self.records.capacity() {
            self.records.reserve_exact(growth(self.records.len()));
        }
        let tag = to_index(self.records.insert(Tag {
            name: name.clone(),
            head: self.members.add_list(),
            members: 0,
            pins: 0,
            removed: false,
            invalidation: None,
        }));
        let (records, hashing) = (&self.records, &self.hashing);
        let rehash = |&tag: &Index| hashing.hash(records[tag as usize].name.as_bytes());
        self.names.insert_unique(hash, tag, rehash);
        Some(tag)
    }

    /// Returns the live tag of a name.
    pub(super) fn bound(&self, hash: u64, name: &SmallBytes) -> Option<Index> {
        let same = |&tag: &Index| {
            let record = &self.records[tag as usize];
            record.invalidation.is_none() && record.name == *name
        };
        self.names.find(hash, same).copied()
    }

    /// Ends the pins without a member.
    #[inline]
    pub(crate) fn unpin(&mut self, pinned: PinnedTags) {
        debug_assert!(!pinned.is_charged, "charged tags must be attached");
        self.reserved -= pinned.len();
        for tag in pinned.tags {
            self.records[tag as usize].pins -= 1;
            self.remove_if_unused(tag);
        }
    }

    /// Returns the names of pinned tags, dead tags included.
    pub(crate) fn pinned_names(&self, pinned: &PinnedTags) -> impl Iterator<Item = &SmallBytes> {
        pinned
            .tags
            .iter()
            .map(|&tag| &self.records[tag as usize].name)
    }

    /// Returns the hashes of the names of pinned tags.
    pub(crate) fn hashes_of(&self, pinned: &PinnedTags) -> impl Iterator<Item = u64> {
        self.pinned_names(pinned).map(|name| self.hash(name))
    }

    /// Returns `true` if a pinned tag is dead, or if a tag could not be pinned and so may be
    /// dead. Returns `false` if all are alive.
    #[inline]
    pub(crate) fn any_dead(&self, pinned: &PinnedTags) -> bool {
        pinned.is_incomplete || (self.dead > 0 && self.finds_dead(pinned))
    }

    /// Looks at every pinned tag, at most once for each dead tag of the shard.
    fn finds_dead(&self, pinned: &PinnedTags) -> bool {
        // Relaxed is enough: `invalidations` changes only under the writers' lock.
        if pinned.checked.load(Ordering::Relaxed) == self.invalidations {
            return false;
        }
        let is_dead = |&tag: &Index| self.invalidation_of(tag).is_some();
        let any = pinned.tags.iter().any(is_dead);
        if !any {
            pinned.checked.store(self.invalidations, Ordering::Relaxed);
        }
        any
    }
}
