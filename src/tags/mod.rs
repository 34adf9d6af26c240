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

mod dead;
mod dead_queues;
mod hashed_tag;
mod members;
mod pinned;
mod pinning;
mod tag_invalidation;
#[cfg(any(test, fuzzing))]
mod validate;

use hashbrown::HashTable;
use slab::Slab;

use self::dead_queues::DeadQueues;
pub(crate) use self::hashed_tag::HashedTag;
use self::members::Members;
pub(crate) use self::pinned::PinnedTags;
pub(crate) use self::tag_invalidation::{Effect, TagInvalidation};
use crate::index::Index;
use crate::key::{Hashing, SmallBytes};
use crate::sync::Arc;

/// Cost of a pair of member and tag, in bytes of `max_bytes`.
pub(crate) const PAIR_COST: usize = 28;

/// Cost of a tag with members, without the name, in bytes of `max_bytes`.
pub(crate) const RECORD_COST: usize = 96;

/// The tags of a shard.
#[derive(Debug)]
pub(crate) struct Tags {
    hashing: Hashing,
    /// Finds tags by name: the live tag, and expired tags. Removed tags are not in the table.
    names: HashTable<Index>,
    /// The tags, live and dead.
    records: Slab<Tag>,
    members: Members,
    /// The dead tags with members.
    queues: DeadQueues,
    /// The number of pinned tags, counting a tag once for each pin. For each a pair is kept
    /// free.
    reserved: usize,
    /// The number of dead tags in `records`. While there is none, no read checks tags.
    dead: usize,
    /// The number of dead tags so far, to order the invalidations.
    invalidations: u64,
    /// The costs of all pairs, and of all tags with members. A tag without members is pinned by
    /// loads in flight only, and is as free as the loads: no put evicts entries, or is refused,
    /// because of loads.
    cost: usize,
}

/// A tag, live or dead.
#[derive(Debug)]
struct Tag {
    /// Stored once, for any number of members.
    name: SmallBytes,
    /// The head of the list of members.
    head: Index,
    /// The number of members, plus one for a charged entry that is about to become a member.
    members: u32,
    /// The number of loads and new entries that pin the tag.
    pins: u32,
    /// Set if an invalidation with the effect remove hit the tag.
    removed: bool,
    /// The first invalidation of the tag, with a sequence number. `None` in a live tag.
    invalidation: Option<(u64, Arc<TagInvalidation>)>,
}

impl Tag {
    /// Returns the cost of the record and the name.
    #[inline]
    fn cost(&self) -> usize {
        RECORD_COST + self.name.len()
    }
}

impl Tags {
    pub(crate) fn new(hashing: Hashing) -> Self {
        Self {
            hashing,
            names: HashTable::new(),
            records: Slab::new(),
            members: Members::new(),
            queues: DeadQueues::default(),
            reserved: 0,
            dead: 0,
            invalidations: 0,
            cost: 0,
        }
    }

    /// Returns the hash of the name of a tag.
    pub(crate) fn hash(&self, name: &SmallBytes) -> u64 {
        self.hashing.hash(name.as_bytes())
    }

    /// Returns the number of a member's tags.
    #[inline]
    pub(crate) fn count_of(&self, member: Index) -> usize {
        self.members.tags_of(member).count()
    }

    /// Returns the cost of these tags for an entry that is alone in the cache.
    #[inline]
    pub(crate) fn cost_alone(&self, pinned: &PinnedTags) -> usize {
        let cost = |&tag: &Index| PAIR_COST + self.records[tag as usize].cost();
        pinned.tags.iter().map(cost).sum()
    }

    /// Charges the pinned tags for a new entry, before the entry is stored: from now on no
    /// removal of another entry gives back the cost of these tags.
    #[inline]
    pub(crate) fn charge(&mut self, pinned: &mut PinnedTags) {
        for &tag in &pinned.tags {
            let record = &mut self.records[tag as usize];
            self.cost += PAIR_COST;
            if record.members == 0 {
                self.cost += record.cost();
            }
            record.members += 1;
        }
        pinned.is_charged = true;
    }

    /// Attaches the pinned tags to a member without tags, and charges the tags if not charged
    /// yet. The pins end.
    #[inline]
    pub(crate) fn attach(&mut self, member: Index, mut pinned: PinnedTags) {
        if pinned.tags.is_empty() {
            return;
        }
        if !pinned.is_charged {
            self.charge(&mut pinned);
        }
        self.reserved -= pinned.len();
        for tag in pinned.tags {
            let record = &mut self.records[tag as usize];
            self.members.add_tag(member, tag, record.head);
            record.pins -= 1;
        }
        // Every tag is alive: dead tags are never attached.
        self.members.note_checked(member);
    }

    /// Removes all tags from a member, and returns the number of removed tags.
    #[inline]
    pub(crate) fn detach(&mut self, member: Index) -> usize {
        let mut count = 0;
        while let Some(tag) = self.members.detach(member) {
            let record = &mut self.records[tag as usize];
            self.cost -= PAIR_COST;
            record.members -= 1;
            if record.members == 0 {
                self.cost -= record.cost();
                // A dead tag is in a queue only while an entry has the tag.
                if record.invalidation.is_some() {
                    self.queues.unlink(tag);
                }
                self.remove_if_unused(tag);
            }
            count += 1;
        }
        count
    }

    /// Removes a tag without members and pins, live or dead.
    fn remove_if_unused(&mut self, tag: Index) {
        let unused = &self.records[tag as usize];
        if unused.pins > 0 || unused.members > 0 {
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

    /// Returns the sum of the costs of all pairs, and of all tags with members.
    #[inline]
    pub(crate) fn cost(&self) -> usize {
        self.cost
    }

    /// Returns the number of used places, of tags and pairs together, and of reserved places.
    pub(crate) fn usage(&self) -> (usize, usize) {
        let reserved = self.records.capacity() + self.members.capacity();
        (self.records.len() + self.members.len(), reserved)
    }

    /// Returns the names of a member's tags, dead tags included.
    pub(crate) fn names_of(&self, member: Index) -> impl Iterator<Item = &SmallBytes> {
        let tags = self.members.tags_of(member);
        tags.map(|tag| &self.records[tag as usize].name)
    }
}

#[cfg(test)]
mod tests;
