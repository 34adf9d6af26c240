//! Tags: the members of each tag, and the tags of each member.
//!
//! A name is bound to a tag when the first member or load needs the tag. An invalidation
//! unbinds the name and marks the tag dead, in the same few steps for any number of members.
//! From then on a member of the dead tag is unreachable, and the next use of the name creates
//! a new, live tag. A sweep removes the members of dead tags later, one by one, to free the
//! memory. A tag without members and pins is removed.
//!
//! An invalidation has one of two effects: remove or expire. An expired member may still have
//! a stale value to serve. Such a member is attached again, to the tags to which the names
//! are bound now, so that a later removal reaches the member. Until then the dead tag can
//! still be found by name, for the same reason.
//!
//! A member is an index. The code above uses the ids of entries.

mod hashed_tag;
mod members;
mod pinned;
mod tag_invalidation;
#[cfg(any(test, fuzzing))]
mod validate;

use std::collections::VecDeque;

use hashbrown::HashTable;
use slab::Slab;
use smallvec::SmallVec;

pub(crate) use self::hashed_tag::HashedTag;
use self::members::Members;
pub(crate) use self::pinned::PinnedTags;
pub(crate) use self::tag_invalidation::{Effect, TagInvalidation};
use crate::index::{Index, to_index};
use crate::key::{Hashing, SmallBytes};
use crate::sync::Arc;

/// The tags of a shard.
#[derive(Debug)]
pub(crate) struct Tags {
    hashing: Hashing,
    /// Finds tags by name: the live tag, and expired tags. Removed tags are not in the table.
    names: HashTable<Index>,
    /// The tags, live and dead.
    records: Slab<Tag>,
    members: Members,
    /// Removed tags that may still have members, oldest first.
    removed: VecDeque<Index>,
    /// Expired tags that may still have members, oldest first. Swept last, because members may
    /// stay.
    expired: VecDeque<Index>,
    /// The number of pinned tags, counting a tag once for each pin. For each a pair is kept
    /// free.
    reserved: usize,
    /// The number of dead tags in `records`. While there is none, no read checks tags.
    dead: usize,
    /// The number of dead tags so far, to order the invalidations.
    invalidations: u64,
}

/// A tag, live or dead.
#[derive(Debug)]
struct Tag {
    /// Stored once, for any number of members.
    name: SmallBytes,
    /// The head of the list of members.
    head: Index,
    /// The number of loads and new entries that pin the tag, plus one for each of `removed` and
    /// `expired` that contains the tag.
    pins: usize,
    /// Set if an invalidation with the effect remove hit the tag.
    removed: bool,
    /// The first invalidation of the tag, with a sequence number. `None` in a live tag.
    invalidation: Option<(u64, Arc<TagInvalidation>)>,
}

/// The invalidations that hit a member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Invalidated<'a> {
    /// The first of these invalidations.
    pub(crate) first: &'a Arc<TagInvalidation>,
    /// Set if any of these invalidations removes.
    pub(crate) removed: bool,
}

impl Tags {
    pub(crate) fn new(hashing: Hashing) -> Self {
        Self {
            hashing,
            names: HashTable::new(),
            records: Slab::new(),
            members: Members::new(),
            removed: VecDeque::new(),
            expired: VecDeque::new(),
            reserved: 0,
            dead: 0,
            invalidations: 0,
        }
    }

    /// Pins the tags to which these names are bound now.
    #[inline]
    pub(crate) fn pin<'a>(&mut self, names: impl Iterator<Item = &'a SmallBytes>) -> PinnedTags {
        let mut is_incomplete = false;
        let mut tags = SmallVec::new();
        for name in names {
            let hash = self.hashing.hash(name.as_bytes());
            match self.bind(hash, name) {
                Some(tag) => tags.push(tag),
                None => is_incomplete = true,
            }
        }
        // A name given twice reserved two pairs: reserve again after the removal of duplicates.
        // Sorting keeps n names at n log n steps.
        self.reserved -= tags.len();
        tags.sort_unstable();
        tags.dedup();
        self.reserved += tags.len();
        for &tag in &tags {
            self.records[tag as usize].pins += 1;
        }
        PinnedTags {
            tags,
            is_incomplete,
        }
    }

    /// Returns the hash of the name of a tag.
    pub(crate) fn hash(&self, name: &SmallBytes) -> u64 {
        self.hashing.hash(name.as_bytes())
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
        // 3. Create the tag. A dead tag of the same name may exist beside the new tag.
        let tag = to_index(self.records.insert(Tag {
            name: name.clone(),
            head: self.members.add_list(),
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
    fn bound(&self, hash: u64, name: &SmallBytes) -> Option<Index> {
        let same = |&tag: &Index| {
            let record = &self.records[tag as usize];
            record.invalidation.is_none() && record.name == *name
        };
        self.names.find(hash, same).copied()
    }

    /// Pins more tags, chosen by a loader.
    pub(crate) fn pin_more(&mut self, pinned: &mut PinnedTags, more: &[HashedTag]) {
        for HashedTag { hash, name } in more {
            match self.bind(*hash, name) {
                // Pinned already: give the second reservation back.
                Some(tag) if pinned.tags.contains(&tag) => self.reserved -= 1,
                Some(tag) => {
                    pinned.tags.push(tag);
                    self.records[tag as usize].pins += 1;
                }
                None => pinned.is_incomplete = true,
            }
        }
    }

    /// Returns the number of a member's tags.
    #[inline]
    pub(crate) fn count_of(&self, member: Index) -> usize {
        self.members.tags_of(member).count()
    }

    /// Attaches the pinned tags to a member without tags. The pins end.
    #[inline]
    pub(crate) fn attach(&mut self, member: Index, pinned: PinnedTags) {
        self.reserved -= pinned.len();
        for tag in pinned.tags {
            let record = &mut self.records[tag as usize];
            self.members.add_tag(member, tag, record.head);
            record.pins -= 1;
        }
    }

    /// Ends the pins without a member.
    #[inline]
    pub(crate) fn unpin(&mut self, pinned: PinnedTags) {
        self.reserved -= pinned.len();
        for tag in pinned.tags {
            self.records[tag as usize].pins -= 1;
            self.remove_if_unused(tag);
        }
    }

    /// Removes all tags from a member, and returns the number of removed tags.
    #[inline]
    pub(crate) fn detach(&mut self, member: Index) -> usize {
        let mut count = 0;
        while let Some(tag) = self.members.detach(member) {
            self.remove_if_unused(tag);
            count += 1;
        }
        count
    }

    /// Removes a tag without members and pins, live or dead.
    fn remove_if_unused(&mut self, tag: Index) {
        let unused = &self.records[tag as usize];
        if unused.pins > 0 || self.members.has_members(unused.head) {
            return;
        }
        let unused = self.records.remove(tag as usize);
        self.members.remove_list(unused.head);
        let hash = self.hashing.hash(unused.name.as_bytes());
        // A removed tag is not in `names`, so the search below may find nothing.
        self.dead -= usize::from(unused.invalidation.is_some());
        if let Ok(named) = self.names.find_entry(hash, |&other| other == tag) {
            named.remove();
        }
    }

    /// Returns the number of used places, of tags and pairs together, and of reserved places.
    pub(crate) fn usage(&self) -> (usize, usize) {
        let reserved = self.records.capacity() + self.members.capacity();
        (self.records.len() + self.members.len(), reserved)
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
        self.pinned_names(pinned)
            .map(|name| self.hashing.hash(name.as_bytes()))
    }

    /// Returns the names of a member's tags, dead tags included.
    pub(crate) fn names_of(&self, member: Index) -> impl Iterator<Item = &SmallBytes> {
        let tags = self.members.tags_of(member);
        tags.map(|tag| &self.records[tag as usize].name)
    }

    /// Marks a tag dead, if its name is bound. All members are unreachable from now on.
    pub(crate) fn invalidate(&mut self, tag: &HashedTag, invalidation: &Arc<TagInvalidation>) {
        // 1. The live tag dies. An expired tag stays in `names`, for a later removal, and goes
        //    on the queue for the sweep.
        let (hash, name) = (tag.hash, &tag.name);
        if let Some(tag) = self.bound(hash, name) {
            let record = &mut self.records[tag as usize];
            record.invalidation = Some((self.invalidations, Arc::clone(invalidation)));
            self.dead += 1;
            self.invalidations += 1;
            if invalidation.effect == Effect::Expire {
                record.pins += 1;
                self.expired.push_back(tag);
            }
        }
        // 2. A removal takes the tag out of `names`, and every expired tag of this name with
        //    members left: a stale value must not outlive the removal.
        //
        //    A: `expire_tag` makes the tag dead; member M may keep a stale value.
        //    B: `invalidate_tag` of the same name comes before the sweep of M.
        //    A: the sweep of M finds `removed`, and does not attach M again.
        if invalidation.effect == Effect::Remove {
            let records = &mut self.records;
            while let Ok(named) = self
                .names
                .find_entry(hash, |&tag| records[tag as usize].name == *name)
            {
                let (tag, _) = named.remove();
                records[tag as usize].removed = true;
                records[tag as usize].pins += 1;
                self.removed.push_back(tag);
            }
        }
    }

    /// Returns `true` if a pinned tag is dead, or if a tag could not be pinned and so may be
    /// dead. Returns `false` if all are alive.
    #[inline]
    pub(crate) fn any_dead(&self, pinned: &PinnedTags) -> bool {
        let is_dead = |&tag: &Index| self.invalidation_of(tag).is_some();
        pinned.is_incomplete || (self.dead > 0 && pinned.tags.iter().any(is_dead))
    }

    /// Returns the first invalidation of a tag, with the sequence number.
    fn invalidation_of(&self, tag: Index) -> Option<&(u64, Arc<TagInvalidation>)> {
        self.records[tag as usize].invalidation.as_ref()
    }

    /// Returns `true` if a member has a dead tag, `false` if not.
    #[inline]
    pub(crate) fn is_invalidated(&self, member: Index) -> bool {
        self.dead > 0 && self.invalidated(member).is_some()
    }

    /// Returns the invalidations that hit a member, or `None` if all tags are alive.
    #[inline]
    pub(crate) fn invalidated(&self, member: Index) -> Option<Invalidated<'_>> {
        if self.dead == 0 {
            return None;
        }
        // An entry has few tags. The first invalidation counts the entry, so look for the
        // smallest number.
        let tags = || self.members.tags_of(member);
        let invalidations = tags().filter_map(|tag| self.invalidation_of(tag));
        let (_, first) = invalidations.min_by_key(|(order, _)| *order)?;
        let removed = tags().any(|tag| self.records[tag as usize].removed);
        Some(Invalidated { first, removed })
    }

    /// Attaches a member of dead tags to the tags to which the names are bound now. Returns
    /// `true` on success, `false` if there are no free pairs; then the member keeps the dead
    /// tags.
    pub(crate) fn reattach(&mut self, member: Index) -> bool {
        let names: SmallVec<[SmallBytes; 4]> = self.names_of(member).cloned().collect();
        // Pin first: if a pair is missing, nothing has changed.
        let pinned = self.pin(names.iter());
        if pinned.is_incomplete {
            self.unpin(pinned);
            return false;
        }
        self.detach(member);
        self.attach(member, pinned);
        true
    }

    /// Returns `true` if a dead tag may have members, `false` if no sweep is needed.
    #[inline]
    pub(crate) fn has_dead_members(&self) -> bool {
        !(self.removed.is_empty() && self.expired.is_empty())
    }

    /// Returns a member of a dead tag: of the oldest removed tag, or if there is none, of the
    /// oldest expired tag. The caller detaches or reattaches the member before the next call.
    pub(crate) fn next_dead_member(&mut self) -> Option<Index> {
        loop {
            let (tag, is_removed) = match (self.removed.front(), self.expired.front()) {
                (Some(&tag), _) => (tag, true),
                (None, Some(&tag)) => (tag, false),
                (None, None) => return None,
            };
            let dead = &mut self.records[tag as usize];
            if let Some(member) = self.members.oldest_member(dead.head) {
                return Some(member);
            }
            // No member is left: the tag leaves the queue, and is removed unless pinned by a
            // load.
            dead.pins -= 1;
            if is_removed {
                self.removed.pop_front();
            } else {
                self.expired.pop_front();
            }
            self.remove_if_unused(tag);
        }
    }
}

#[cfg(test)]
mod tests;
