//! Tags: which members carry one, and which tags a member carries.
//!
//! A tag's name is bound to a tag when the first member or load needs it.
//! Dooming a tag unbinds the name and marks the tag dead, however many carry it:
//! a member of a dead tag is dead from then on, and whoever comes with the name
//! later gets another tag. The members are handed out one by one afterwards, for
//! their memory. A tag is forgotten when nobody needs it any more.
//!
//! A member is an index; what it stands for is the floor above's business.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::iter::successors;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;

use crate::chain::{Chain, Links, NONE};
use crate::sync::Arc;
use crate::text::Text;

/// One invalidation of tags: when it was, and how many entries it ended.
#[derive(Debug)]
pub(crate) struct Doom {
    /// The time of its first poll. What had expired by then was not live.
    pub(crate) at: Duration,
    ended: AtomicU64,
}

impl Doom {
    pub(crate) fn new(at: Duration) -> Self {
        let ended = AtomicU64::new(0);
        Self { at, ended }
    }

    /// Counts one entry that was live when the doom came.
    pub(crate) fn count_one(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were counted. Exact once every shard has handed out its dead:
    /// each count was made under the lock that the reader took after it.
    pub(crate) fn count(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
pub(crate) struct Tags {
    hasher: DefaultHashBuilder,
    /// Finds a tag by its name. Dead tags are not in it.
    names: HashTable<u32>,
    known: Slab<Tag>,
    /// A pair of member and tag each.
    pairs: Slab<Pair>,
    /// The order of pairs within their tags.
    links: Links,
    /// Dead tags whose members were not all handed out.
    dying: VecDeque<u32>,
    /// How many of `known` are dead: while none is, nobody need look.
    dead: usize,
    /// How many tags were doomed so far.
    dooms: u64,
}

#[derive(Debug)]
struct Tag {
    name: Text,
    hash: u64,
    /// The pairs of its members.
    members: Chain,
    /// Loads that carry it, and its place in `dying`.
    holds: usize,
    /// Which doom came over it, and in which order.
    doom: Option<(u64, Arc<Doom>)>,
}

#[derive(Debug)]
struct Pair {
    tag: u32,
    member: u32,
    /// The member's next pair.
    sibling: Option<u32>,
}

/// A member's tags, kept with the member: the first of its pairs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Membership(Option<u32>);

/// Tags that are held though they may have no member, until `enroll` or
/// `release`. Each tag once.
#[derive(Debug, Default)]
#[must_use = "tags are held until enrolled or released"]
pub(crate) struct Held(Vec<u32>);

impl Tags {
    pub(crate) fn new() -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            names: HashTable::new(),
            known: Slab::new(),
            pairs: Slab::new(),
            links: Links::default(),
            dying: VecDeque::new(),
            dead: 0,
            dooms: 0,
        }
    }

    /// Holds the tags of these names as they are bound now.
    pub(crate) fn hold<'a>(&mut self, names: impl Iterator<Item = &'a Text>) -> Held {
        let mut held: Vec<u32> = names.map(|name| self.bind(name)).collect();
        held.sort_unstable();
        held.dedup();
        for &tag in &held {
            self.known[tag as usize].holds += 1;
        }
        Held(held)
    }

    /// The tag of a name; a new one if the name has none.
    fn bind(&mut self, name: &Text) -> u32 {
        let hash = self.hasher.hash_one(name);
        if let Some(tag) = self.bound(hash, name) {
            return tag;
        }
        let tag = index(self.known.insert(Tag {
            name: name.clone(),
            hash,
            members: Chain::default(),
            holds: 0,
            doom: None,
        }));
        let known = &self.known;
        self.names
            .insert_unique(hash, tag, |&tag| known[tag as usize].hash);
        tag
    }

    fn bound(&self, hash: u64, name: &Text) -> Option<u32> {
        let same = |&tag: &u32| self.known[tag as usize].name == *name;
        self.names.find(hash, same).copied()
    }

    /// Makes a member of the held tags.
    pub(crate) fn enroll(&mut self, member: u32, held: Held) -> Membership {
        let mut first = None;
        for tag in held.0 {
            let sibling = first;
            let pair = index(self.pairs.insert(Pair {
                tag,
                member,
                sibling,
            }));
            let carried = &mut self.known[tag as usize];
            carried.members.push_front(&mut self.links, pair);
            carried.holds -= 1;
            first = Some(pair);
        }
        Membership(first)
    }

    /// Holds the tags no longer.
    pub(crate) fn release(&mut self, held: Held) {
        for tag in held.0 {
            self.known[tag as usize].holds -= 1;
            self.forget_if_idle(tag);
        }
    }

    /// Takes a member out of all its tags.
    pub(crate) fn leave(&mut self, Membership(mut next): Membership) {
        while let Some(pair) = next {
            let Pair { tag, sibling, .. } = self.pairs.remove(pair as usize);
            let members = &mut self.known[tag as usize].members;
            members.unlink(&mut self.links, pair);
            self.forget_if_idle(tag);
            next = sibling;
        }
    }

    /// A tag that nothing carries and nothing holds has no reason to be.
    fn forget_if_idle(&mut self, tag: u32) {
        let idle = &self.known[tag as usize];
        if idle.holds > 0 || !idle.members.is_empty() {
            return;
        }
        let idle = self.known.remove(tag as usize);
        if idle.doom.is_some() {
            self.dead -= 1;
        } else if let Ok(bound) = self.names.find_entry(idle.hash, |&other| other == tag) {
            bound.remove();
        }
    }

    /// How many places are used, by tags and by pairs, and how many reserved.
    pub(crate) fn places(&self) -> (usize, usize) {
        let used = self.known.len() + self.pairs.len();
        (used, self.known.capacity() + self.pairs.capacity())
    }

    /// The names of held tags, of dead ones too.
    pub(crate) fn names_held(&self, held: &Held) -> impl Iterator<Item = &Text> {
        held.0.iter().map(|&tag| &self.known[tag as usize].name)
    }

    /// The names of a member's tags, of dead ones too.
    pub(crate) fn names_of(&self, member: Membership) -> impl Iterator<Item = &Text> {
        self.pairs_of(member)
            .map(|pair| &self.known[pair.tag as usize].name)
    }

    fn pairs_of(&self, Membership(first): Membership) -> impl Iterator<Item = &Pair> {
        let pair = |index: u32| &self.pairs[index as usize];
        successors(first.map(pair), move |last| last.sibling.map(pair))
    }

    /// Ends the tag of a name, if it has one, and everything that carries it.
    pub(crate) fn doom(&mut self, name: &Text, doom: &Arc<Doom>) {
        let hash = self.hasher.hash_one(name);
        let Ok(bound) = self
            .names
            .find_entry(hash, |&tag| self.known[tag as usize].name == *name)
        else {
            return;
        };
        let (tag, _) = bound.remove();
        let doomed = &mut self.known[tag as usize];
        doomed.doom = Some((self.dooms, Arc::clone(doom)));
        doomed.holds += 1;
        self.dying.push_back(tag);
        self.dead += 1;
        self.dooms += 1;
    }

    /// Whether a held tag has died since.
    pub(crate) fn any_dead(&self, held: &Held) -> bool {
        self.dead > 0 && held.0.iter().any(|&tag| self.doom_of(tag).is_some())
    }

    fn doom_of(&self, tag: u32) -> Option<&(u64, Arc<Doom>)> {
        self.known[tag as usize].doom.as_ref()
    }

    /// The doom that ended a member: the first that came over one of its tags.
    pub(crate) fn doom_over(&self, member: Membership) -> Option<&Arc<Doom>> {
        if self.dead == 0 {
            return None;
        }
        let dooms = self
            .pairs_of(member)
            .filter_map(|pair| self.doom_of(pair.tag));
        dooms.min_by_key(|(order, _)| *order).map(|(_, doom)| doom)
    }

    /// Whether dead members may be left.
    pub(crate) fn is_dying(&self) -> bool {
        !self.dying.is_empty()
    }

    /// A dead member that has not left, of the tag doomed longest ago.
    pub(crate) fn next_dead(&mut self) -> Option<u32> {
        while let Some(&tag) = self.dying.front() {
            let dying = &mut self.known[tag as usize];
            if let Some(pair) = dying.members.back() {
                return Some(self.pairs[pair as usize].member);
            }
            self.dying.pop_front();
            dying.holds -= 1;
            self.forget_if_idle(tag);
        }
        None
    }
}

/// # Panics
///
/// If there are more tags, or pairs, than indices. They would fill 100 GiB.
fn index(index: usize) -> u32 {
    match u32::try_from(index) {
        Ok(index) if index != NONE => index,
        _ => panic!("more than 2^32 - 1 tags, or pairs of entry and tag, in one shard"),
    }
}

#[cfg(test)]
impl Tags {
    /// Checks every inner invariant. `members` are all members and their tags.
    pub(crate) fn validate(&self, members: &[(u32, Membership)]) {
        let mut pairs = 0;
        for &(member, tags) in members {
            for pair in self.pairs_of(tags) {
                assert_eq!(pair.member, member, "a pair of another member");
                pairs += 1;
            }
        }
        assert_eq!(self.pairs.len(), pairs, "pairs of members that are gone");
        let mut linked = 0;
        for (place, tag) in &self.known {
            for pair in tag.members.validate(&self.links) {
                assert_eq!(self.pairs[pair as usize].tag, index(place));
                linked += 1;
            }
            assert!(
                tag.holds > 0 || !tag.members.is_empty(),
                "an idle tag stays"
            );
            let bound = self.bound(tag.hash, &tag.name);
            assert_eq!(
                bound == Some(index(place)),
                tag.doom.is_none(),
                "dead is unbound"
            );
        }
        assert_eq!(linked, pairs);
        let dead = self.known.iter().filter(|(_, tag)| tag.doom.is_some());
        assert_eq!(dead.count(), self.dead);
        assert_eq!(self.names.len() + self.dead, self.known.len());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.validate(&[]);
        self.known.is_empty() && self.names.is_empty() && self.dying.is_empty()
    }
}

#[cfg(test)]
mod tests;
