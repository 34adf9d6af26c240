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

mod members;
mod tag_invalidation;

use std::collections::VecDeque;

use hashbrown::HashTable;
use slab::Slab;
use smallvec::SmallVec;

use self::members::Members;
pub(crate) use self::tag_invalidation::{Doom, Kind};
use crate::index::{Index, narrow};
use crate::key::{Hashing, Text};
use crate::sync::Arc;

#[derive(Debug)]
pub(crate) struct Tags {
    hashing: Hashing,
    /// Finds a tag by its name. Removed tags are not in it.
    names: HashTable<Index>,
    known: Slab<Tag>,
    members: Members,
    /// Removed tags whose members were not all handed out.
    removed: VecDeque<Index>,
    /// The same of expired ones: they come last, since their members may stay.
    expired: VecDeque<Index>,
    /// How many tags are held for members to come: for each there is a number left.
    promised: usize,
    /// How many of `known` are dead: while none is, nobody need look.
    dead: usize,
    /// How many tags were doomed so far.
    dooms: u64,
}

#[derive(Debug)]
struct Tag {
    /// Kept once, however many members carry it.
    name: Text,
    /// Its members are in the ring of this head.
    head: Index,
    /// Loads that carry it, and its places in `removed` and `expired`.
    holds: usize,
    /// Whether a doom that removes came over it.
    removed: bool,
    /// Which doom came over it first, and in which order.
    doom: Option<(u64, Arc<Doom>)>,
}

/// What came over a member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Over<'a> {
    /// The doom that came first.
    pub(crate) first: &'a Arc<Doom>,
    /// Whether one of them removes.
    pub(crate) removed: bool,
}

/// Tags that are held though they may have no member, until `enroll` or
/// `release`. Each tag once.
#[derive(Debug, Default)]
#[must_use = "tags are held until enrolled or released"]
pub(crate) struct Held {
    tags: SmallVec<[Index; 4]>,
    /// There was no number left for one more. What is to carry these must not be stored: a
    /// doom of that tag would miss it.
    pub(crate) is_short: bool,
}

impl Held {
    pub(crate) fn len(&self) -> usize {
        self.tags.len()
    }
}

impl Tags {
    pub(crate) fn new(hashing: Hashing) -> Self {
        Self {
            hashing,
            names: HashTable::new(),
            known: Slab::new(),
            members: Members::new(),
            removed: VecDeque::new(),
            expired: VecDeque::new(),
            promised: 0,
            dead: 0,
            dooms: 0,
        }
    }

    /// Holds the tags of these names as they are bound now.
    #[inline]
    pub(crate) fn hold<'a>(&mut self, names: impl Iterator<Item = &'a Text>) -> Held {
        let mut is_short = false;
        let mut tags = SmallVec::new();
        for name in names {
            match self.bind(name) {
                Some(tag) => tags.push(tag),
                None => is_short = true,
            }
        }
        self.promised -= tags.len();
        tags.sort_unstable();
        tags.dedup();
        self.promised += tags.len();
        for &tag in &tags {
            self.known[tag as usize].holds += 1;
        }
        Held { tags, is_short }
    }

    /// The tag of a name, a new one if the name has none, with a number promised for a member
    /// of it. None if there is no number left.
    fn bind(&mut self, name: &Text) -> Option<Index> {
        let hash = self.hashing.hash(name.as_bytes());
        let room = self.members.room() - self.promised;
        let bound = self.bound(hash, name);
        if room < 1 + usize::from(bound.is_none()) {
            return None;
        }
        self.promised += 1;
        if bound.is_some() {
            return bound;
        }
        let tag = narrow(self.known.insert(Tag {
            name: name.clone(),
            head: self.members.found(),
            holds: 0,
            removed: false,
            doom: None,
        }));
        let (known, hashing) = (&self.known, &self.hashing);
        let rehash = |&tag: &Index| hashing.hash(known[tag as usize].name.as_bytes());
        self.names.insert_unique(hash, tag, rehash);
        Some(tag)
    }

    fn bound(&self, hash: u64, name: &Text) -> Option<Index> {
        let same = |&tag: &Index| {
            let known = &self.known[tag as usize];
            known.doom.is_none() && known.name == *name
        };
        self.names.find(hash, same).copied()
    }

    /// Holds the tags of some more names.
    pub(crate) fn hold_more<'a>(&mut self, held: &mut Held, names: impl Iterator<Item = &'a Text>) {
        for name in names {
            match self.bind(name) {
                Some(tag) if held.tags.contains(&tag) => self.promised -= 1,
                Some(tag) => {
                    held.tags.push(tag);
                    self.known[tag as usize].holds += 1;
                }
                None => held.is_short = true,
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
    pub(crate) fn enroll(&mut self, member: Index, held: Held, capacity: usize) {
        self.promised -= held.len();
        for tag in held.tags {
            let carried = &mut self.known[tag as usize];
            self.members.join(member, tag, carried.head, capacity);
            carried.holds -= 1;
        }
    }

    /// Holds the tags no longer.
    #[inline]
    pub(crate) fn release(&mut self, held: Held) {
        self.promised -= held.len();
        for tag in held.tags {
            self.known[tag as usize].holds -= 1;
            self.forget_if_idle(tag);
        }
    }

    /// Takes a member out of all its tags, and says how many they were.
    #[inline]
    pub(crate) fn leave(&mut self, member: Index) -> usize {
        let mut count = 0;
        while let Some(tag) = self.members.leave(member) {
            self.forget_if_idle(tag);
            count += 1;
        }
        count
    }

    /// A tag that nothing carries and nothing holds has no reason to be.
    fn forget_if_idle(&mut self, tag: Index) {
        let idle = &self.known[tag as usize];
        if idle.holds > 0 || self.members.any_of(idle.head) {
            return;
        }
        let idle = self.known.remove(tag as usize);
        self.members.give_up(idle.head);
        let hash = self.hashing.hash(idle.name.as_bytes());
        self.dead -= usize::from(idle.doom.is_some());
        if let Ok(named) = self.names.find_entry(hash, |&other| other == tag) {
            named.remove();
        }
    }

    /// How many places are used, by tags and by pairs, and how many reserved.
    pub(crate) fn places(&self) -> (usize, usize) {
        let reserved = self.known.capacity() + self.members.capacity();
        (self.known.len() + self.members.len(), reserved)
    }

    /// The names of held tags, of dead ones too.
    pub(crate) fn names_held(&self, held: &Held) -> impl Iterator<Item = &Text> {
        held.tags.iter().map(|&tag| &self.known[tag as usize].name)
    }

    /// The names of a member's tags, of dead ones too.
    pub(crate) fn names_of(&self, member: Index) -> impl Iterator<Item = &Text> {
        let tags = self.members.tags_of(member);
        tags.map(|tag| &self.known[tag as usize].name)
    }

    /// Ends the tag of a name, if it has one, and everything that carries it.
    pub(crate) fn doom(&mut self, name: &Text, doom: &Arc<Doom>) {
        let hash = self.hashing.hash(name.as_bytes());
        if let Some(tag) = self.bound(hash, name) {
            let doomed = &mut self.known[tag as usize];
            doomed.doom = Some((self.dooms, Arc::clone(doom)));
            self.dead += 1;
            self.dooms += 1;
            if doom.kind == Kind::Expire {
                doomed.holds += 1;
                self.expired.push_back(tag);
            }
        }
        if doom.kind == Kind::Remove {
            // The one that was bound, and those that were expired before.
            let known = &mut self.known;
            while let Ok(named) = self
                .names
                .find_entry(hash, |&tag| known[tag as usize].name == *name)
            {
                let (tag, _) = named.remove();
                known[tag as usize].removed = true;
                known[tag as usize].holds += 1;
                self.removed.push_back(tag);
            }
        }
    }

    /// Whether a held tag has died since, or may have: one that is not held.
    #[inline]
    pub(crate) fn any_dead(&self, held: &Held) -> bool {
        let is_dead = |&tag: &Index| self.doom_of(tag).is_some();
        held.is_short || (self.dead > 0 && held.tags.iter().any(is_dead))
    }

    fn doom_of(&self, tag: Index) -> Option<&(u64, Arc<Doom>)> {
        self.known[tag as usize].doom.as_ref()
    }

    /// Whether any doom came over a member.
    #[inline]
    pub(crate) fn is_doomed(&self, member: Index) -> bool {
        self.dead > 0 && self.over(member).is_some()
    }

    /// What came over a member.
    #[inline]
    pub(crate) fn over(&self, member: Index) -> Option<Over<'_>> {
        if self.dead == 0 {
            return None;
        }
        let tags = || self.members.tags_of(member);
        let dooms = tags().filter_map(|tag| self.doom_of(tag));
        let (_, first) = dooms.min_by_key(|(order, _)| *order)?;
        let removed = tags().any(|tag| self.known[tag as usize].removed);
        Some(Over { first, removed })
    }

    /// Makes a member of dead tags one of those that their names are bound to now, if there
    /// are numbers left for them. Whether there are.
    pub(crate) fn readmit(&mut self, member: Index, capacity: usize) -> bool {
        let names: SmallVec<[Text; 4]> = self.names_of(member).cloned().collect();
        let held = self.hold(names.iter());
        if held.is_short {
            self.release(held);
            return false;
        }
        self.leave(member);
        self.enroll(member, held, capacity);
        true
    }

    /// Whether dead members may be left.
    #[inline]
    pub(crate) fn is_dying(&self) -> bool {
        !(self.removed.is_empty() && self.expired.is_empty())
    }

    /// A dead member that has not left, of the tag doomed longest ago; one that a doom
    /// removed if there is any.
    pub(crate) fn next_dead(&mut self) -> Option<Index> {
        loop {
            let (tag, was_removed) = match (self.removed.front(), self.expired.front()) {
                (Some(&tag), _) => (tag, true),
                (None, Some(&tag)) => (tag, false),
                (None, None) => return None,
            };
            let dying = &mut self.known[tag as usize];
            if let Some(member) = self.members.oldest_of(dying.head) {
                return Some(member);
            }
            dying.holds -= 1;
            if was_removed {
                self.removed.pop_front();
            } else {
                self.expired.pop_front();
            }
            self.forget_if_idle(tag);
        }
    }
}

#[cfg(any(test, fuzzing))]
impl Tags {
    /// For how many tags that are held there is a number left.
    pub(crate) fn promised(&self) -> usize {
        self.promised
    }

    /// Checks every inner invariant. `members` are all who may have tags.
    pub(crate) fn validate(&self, members: &[Index]) {
        let carried = members
            .iter()
            .map(|&member| self.members.tags_of(member).count());
        let pairs = self.members.len() - self.known.len();
        assert_eq!(
            pairs,
            carried.sum::<usize>(),
            "pairs of members that are gone"
        );
        let mut linked = 0;
        for (place, tag) in &self.known {
            linked += self.members.validate(narrow(place), tag.head).len();
            assert!(
                tag.holds > 0 || self.members.any_of(tag.head),
                "an idle tag stays"
            );
            let bound = self.bound(self.hashing.hash(tag.name.as_bytes()), &tag.name);
            assert_eq!(
                bound == Some(narrow(place)),
                tag.doom.is_none(),
                "dead is unbound"
            );
            let hash = self.hashing.hash(tag.name.as_bytes());
            let named = self.names.find(hash, |&other| other == narrow(place));
            assert_eq!(named.is_none(), tag.removed, "removed has no name");
            assert!(tag.doom.is_some() || !tag.removed);
        }
        assert_eq!(pairs, linked);
        let dead = self.known.iter().filter(|(_, tag)| tag.doom.is_some());
        assert_eq!(dead.count(), self.dead);
        let removed = self.known.iter().filter(|(_, tag)| tag.removed);
        assert_eq!(self.names.len() + removed.count(), self.known.len());
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.validate(&[]);
        let nothing = self.known.is_empty() && self.names.is_empty() && self.promised == 0;
        nothing && !self.is_dying()
    }
}

#[cfg(test)]
mod tests;
