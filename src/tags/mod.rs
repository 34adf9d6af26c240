//! Tags: which members carry one, and which tags a member carries.
//!
//! A tag's name is bound to a tag when the first member or load needs it.
//! Dooming a tag unbinds the name and marks the tag dead, however many carry it:
//! a member of a dead tag is dead from then on, and whoever comes with the name
//! later gets another tag. The members are handed out one by one afterwards, for
//! their memory. A tag is forgotten when nobody needs it any more.
//!
//! There are two kinds of doom. One removes; the other expires, and what is expired may
//! have something left to live for: such a member is readmitted, to the tags that its
//! names are bound to now, so that a later removal reaches it. Until then its dead tag can
//! still be found by name, for the same reason.
//!
//! A member is an index; what it stands for is the floor above's business.

mod hashed_tag;
mod members;
mod pinned;
mod tag_invalidation;

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

#[derive(Debug)]
pub(crate) struct Tags {
    hashing: Hashing,
    /// Finds a tag by its name. Removed tags are not in it.
    names: HashTable<Index>,
    records: Slab<Tag>,
    members: Members,
    /// Removed tags whose members were not all handed out.
    removed: VecDeque<Index>,
    /// The same of expired ones: they come last, since their members may stay.
    expired: VecDeque<Index>,
    /// How many tags are held for members to come: for each there is a number left.
    reserved: usize,
    /// How many of `known` are dead: while none is, nobody need look.
    dead: usize,
    /// How many tags were doomed so far.
    invalidations: u64,
}

#[derive(Debug)]
struct Tag {
    /// Kept once, however many members carry it.
    name: SmallBytes,
    /// Its members are in the ring of this head.
    head: Index,
    /// Loads that carry it, and its places in `removed` and `expired`.
    holds: usize,
    /// Whether a doom that removes came over it.
    removed: bool,
    /// Which doom came over it first, and in which order.
    invalidation: Option<(u64, Arc<TagInvalidation>)>,
}

/// What came over a member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Invalidated<'a> {
    /// The doom that came first.
    pub(crate) first: &'a Arc<TagInvalidation>,
    /// Whether one of them removes.
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

    /// Holds the tags of these names as they are bound now.
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
        self.reserved -= tags.len();
        tags.sort_unstable();
        tags.dedup();
        self.reserved += tags.len();
        for &tag in &tags {
            self.records[tag as usize].holds += 1;
        }
        PinnedTags {
            tags,
            is_incomplete,
        }
    }

    /// The tag of a name, a new one if the name has none, with a number promised for a member
    /// of it. None if there is no number left.
    fn bind(&mut self, hash: u64, name: &SmallBytes) -> Option<Index> {
        let room = self.members.free_pairs() - self.reserved;
        let bound = self.bound(hash, name);
        if room < 1 + usize::from(bound.is_none()) {
            return None;
        }
        self.reserved += 1;
        if bound.is_some() {
            return bound;
        }
        let tag = to_index(self.records.insert(Tag {
            name: name.clone(),
            head: self.members.add_list(),
            holds: 0,
            removed: false,
            invalidation: None,
        }));
        let (records, hashing) = (&self.records, &self.hashing);
        let rehash = |&tag: &Index| hashing.hash(records[tag as usize].name.as_bytes());
        self.names.insert_unique(hash, tag, rehash);
        Some(tag)
    }

    fn bound(&self, hash: u64, name: &SmallBytes) -> Option<Index> {
        let same = |&tag: &Index| {
            let record = &self.records[tag as usize];
            record.invalidation.is_none() && record.name == *name
        };
        self.names.find(hash, same).copied()
    }

    /// Holds the tags of some more names.
    pub(crate) fn pin_more(&mut self, pinned: &mut PinnedTags, more: &[HashedTag]) {
        for HashedTag { hash, name } in more {
            match self.bind(*hash, name) {
                Some(tag) if pinned.tags.contains(&tag) => self.reserved -= 1,
                Some(tag) => {
                    pinned.tags.push(tag);
                    self.records[tag as usize].holds += 1;
                }
                None => pinned.is_incomplete = true,
            }
        }
    }

    /// How many tags a member has.
    #[inline]
    pub(crate) fn count_of(&self, member: Index) -> usize {
        self.members.tags_of(member).count()
    }

    /// Makes a member, which has no tags, one of the held tags. `capacity` is for how
    /// many members there will soon be room.
    #[inline]
    pub(crate) fn attach(&mut self, member: Index, pinned: PinnedTags) {
        self.reserved -= pinned.len();
        for tag in pinned.tags {
            let carried = &mut self.records[tag as usize];
            self.members.add_tag(member, tag, carried.head);
            carried.holds -= 1;
        }
    }

    /// Holds the tags no longer.
    #[inline]
    pub(crate) fn unpin(&mut self, pinned: PinnedTags) {
        self.reserved -= pinned.len();
        for tag in pinned.tags {
            self.records[tag as usize].holds -= 1;
            self.remove_if_unused(tag);
        }
    }

    /// Takes a member out of all its tags, and says how many they were.
    #[inline]
    pub(crate) fn detach(&mut self, member: Index) -> usize {
        let mut count = 0;
        while let Some(tag) = self.members.detach(member) {
            self.remove_if_unused(tag);
            count += 1;
        }
        count
    }

    /// A tag that nothing carries and nothing holds has no reason to be.
    fn remove_if_unused(&mut self, tag: Index) {
        let unused = &self.records[tag as usize];
        if unused.holds > 0 || self.members.has_members(unused.head) {
            return;
        }
        let unused = self.records.remove(tag as usize);
        self.members.remove_list(unused.head);
        let hash = self.hashing.hash(unused.name.as_bytes());
        self.dead -= usize::from(unused.invalidation.is_some());
        if let Ok(named) = self.names.find_entry(hash, |&other| other == tag) {
            named.remove();
        }
    }

    /// How many places are used, by tags and by pairs, and how many reserved.
    pub(crate) fn usage(&self) -> (usize, usize) {
        let reserved = self.records.capacity() + self.members.capacity();
        (self.records.len() + self.members.len(), reserved)
    }

    /// The names of held tags, of dead ones too.
    pub(crate) fn pinned_names(&self, pinned: &PinnedTags) -> impl Iterator<Item = &SmallBytes> {
        pinned
            .tags
            .iter()
            .map(|&tag| &self.records[tag as usize].name)
    }

    /// The names of a member's tags, of dead ones too.
    pub(crate) fn names_of(&self, member: Index) -> impl Iterator<Item = &SmallBytes> {
        let tags = self.members.tags_of(member);
        tags.map(|tag| &self.records[tag as usize].name)
    }

    /// Ends the tag of a name, if it has one, and everything that carries it.
    pub(crate) fn invalidate(&mut self, tag: &HashedTag, invalidation: &Arc<TagInvalidation>) {
        let (hash, name) = (tag.hash, &tag.name);
        if let Some(tag) = self.bound(hash, name) {
            let record = &mut self.records[tag as usize];
            record.invalidation = Some((self.invalidations, Arc::clone(invalidation)));
            self.dead += 1;
            self.invalidations += 1;
            if invalidation.effect == Effect::Expire {
                record.holds += 1;
                self.expired.push_back(tag);
            }
        }
        if invalidation.effect == Effect::Remove {
            // The one that was bound, and those that were expired before.
            let records = &mut self.records;
            while let Ok(named) = self
                .names
                .find_entry(hash, |&tag| records[tag as usize].name == *name)
            {
                let (tag, _) = named.remove();
                records[tag as usize].removed = true;
                records[tag as usize].holds += 1;
                self.removed.push_back(tag);
            }
        }
    }

    /// Whether a held tag has died since, or may have: one that is not held.
    #[inline]
    pub(crate) fn any_dead(&self, pinned: &PinnedTags) -> bool {
        let is_dead = |&tag: &Index| self.invalidation_of(tag).is_some();
        pinned.is_incomplete || (self.dead > 0 && pinned.tags.iter().any(is_dead))
    }

    fn invalidation_of(&self, tag: Index) -> Option<&(u64, Arc<TagInvalidation>)> {
        self.records[tag as usize].invalidation.as_ref()
    }

    /// Whether any doom came over a member.
    #[inline]
    pub(crate) fn is_invalidated(&self, member: Index) -> bool {
        self.dead > 0 && self.invalidated(member).is_some()
    }

    /// What came over a member.
    #[inline]
    pub(crate) fn invalidated(&self, member: Index) -> Option<Invalidated<'_>> {
        if self.dead == 0 {
            return None;
        }
        let tags = || self.members.tags_of(member);
        let invalidations = tags().filter_map(|tag| self.invalidation_of(tag));
        let (_, first) = invalidations.min_by_key(|(order, _)| *order)?;
        let removed = tags().any(|tag| self.records[tag as usize].removed);
        Some(Invalidated { first, removed })
    }

    /// Makes a member of dead tags one of those that their names are bound to now, if there
    /// are numbers left for them. Whether there are.
    pub(crate) fn reattach(&mut self, member: Index) -> bool {
        let names: SmallVec<[SmallBytes; 4]> = self.names_of(member).cloned().collect();
        let pinned = self.pin(names.iter());
        if pinned.is_incomplete {
            self.unpin(pinned);
            return false;
        }
        self.detach(member);
        self.attach(member, pinned);
        true
    }

    /// Whether dead members may be left.
    #[inline]
    pub(crate) fn has_dead_members(&self) -> bool {
        !(self.removed.is_empty() && self.expired.is_empty())
    }

    /// A dead member that has not left, of the tag doomed longest ago; one that a doom
    /// removed if there is any.
    pub(crate) fn next_dead_member(&mut self) -> Option<Index> {
        loop {
            let (tag, was_removed) = match (self.removed.front(), self.expired.front()) {
                (Some(&tag), _) => (tag, true),
                (None, Some(&tag)) => (tag, false),
                (None, None) => return None,
            };
            let dying = &mut self.records[tag as usize];
            if let Some(member) = self.members.oldest_member(dying.head) {
                return Some(member);
            }
            dying.holds -= 1;
            if was_removed {
                self.removed.pop_front();
            } else {
                self.expired.pop_front();
            }
            self.remove_if_unused(tag);
        }
    }
}

#[cfg(any(test, fuzzing))]
impl Tags {
    /// For how many tags that are held there is a number left.
    pub(crate) fn reserved(&self) -> usize {
        self.reserved
    }

    /// Checks every inner invariant. `members` are all who may have tags.
    pub(crate) fn validate(&self, members: &[Index]) {
        let carried = members
            .iter()
            .map(|&member| self.members.tags_of(member).count());
        let pairs = self.members.len() - self.records.len();
        assert_eq!(
            pairs,
            carried.sum::<usize>(),
            "pairs of members that are gone"
        );
        let mut linked = 0;
        for (place, tag) in &self.records {
            linked += self.members.validate(to_index(place), tag.head).len();
            assert!(
                tag.holds > 0 || self.members.has_members(tag.head),
                "an unused tag stays"
            );
            let bound = self.bound(self.hashing.hash(tag.name.as_bytes()), &tag.name);
            assert_eq!(
                bound == Some(to_index(place)),
                tag.invalidation.is_none(),
                "dead is unbound"
            );
            let hash = self.hashing.hash(tag.name.as_bytes());
            let named = self.names.find(hash, |&other| other == to_index(place));
            assert_eq!(named.is_none(), tag.removed, "removed has no name");
            assert!(tag.invalidation.is_some() || !tag.removed);
        }
        assert_eq!(pairs, linked);
        let dead = self
            .records
            .iter()
            .filter(|(_, tag)| tag.invalidation.is_some());
        assert_eq!(dead.count(), self.dead);
        let removed = self.records.iter().filter(|(_, tag)| tag.removed);
        assert_eq!(self.names.len() + removed.count(), self.records.len());
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.validate(&[]);
        let nothing = self.records.is_empty() && self.names.is_empty() && self.reserved == 0;
        nothing && !self.has_dead_members()
    }
}

#[cfg(test)]
mod tests;
