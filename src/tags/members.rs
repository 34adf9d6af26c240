//! Pairs of member and tag: the members of each tag, and the tags of each member.
//!
//! A pair is in two lists: in the list of the member, singly linked, and in the list of the
//! tag, doubly linked. So a member leaves every tag in a few steps, however many members a
//! tag has. A pair takes twenty bytes, and a member eight. The head of a tag's list takes a
//! pair too.
//!
//! A read must know if a tag of the member is dead. To look at every tag at every read would
//! take long for a member with many tags, and to visit the members of a dying tag would take
//! long for a tag with many members. So a member is looked at once after each change: the tags
//! have a generation, a dying tag starts the next one, and a member notes the generation of the
//! last look that found all tags alive.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::index::{Index, IndexVec, LinkedLists};

/// No pair. The number of pairs never exceeds this index.
const NONE: Index = Index::MAX;

/// The pairs, and the lists of pairs.
#[derive(Debug)]
pub(super) struct Members {
    by_member: IndexVec<Member>,
    pairs: IndexVec<Pair>,
    /// The pairs of each tag, in the order of adding.
    lists: LinkedLists,
    /// The first unused pair. `next` of an unused pair leads to another unused pair.
    free: Index,
    /// The number of used pairs, heads included.
    len: usize,
    /// The generation of the tags. Starts at one.
    generation: u32,
}

/// The tags of a member.
#[derive(Debug)]
struct Member {
    /// The first pair, or `NONE`.
    first: Index,
    /// The generation in which all tags were found alive. Zero means never.
    // An atomic, because readers share the lock. Every other change, and every change of the
    // generation, happens under the writers' lock, so relaxed is enough.
    checked: AtomicU32,
}

/// A member and one of the member's tags; or the head of a tag's list.
#[derive(Debug)]
struct Pair {
    /// The tag. Arbitrary in a head, like `member`.
    tag: Index,
    member: Index,
    /// The next pair of the member.
    next: Index,
}

impl Members {
    pub(super) fn new() -> Self {
        Self {
            by_member: IndexVec::new(),
            pairs: IndexVec::new(),
            lists: LinkedLists::default(),
            free: NONE,
            len: 0,
            generation: 1,
        }
    }

    /// Creates the empty list of a tag, and returns the head.
    pub(super) fn add_list(&mut self) -> Index {
        // A head is a pair, so that a node of the lists is always the index of a pair.
        let head = self.add(Pair {
            tag: 0,
            member: 0,
            next: NONE,
        });
        self.lists.init_head(head);
        head
    }

    /// Removes the list of a tag without members.
    pub(super) fn remove_list(&mut self, head: Index) {
        self.remove(head);
    }

    /// Adds a tag to a member. The member must not have the tag yet.
    #[inline]
    pub(super) fn add_tag(&mut self, member: Index, tag: Index, head: Index) {
        // The array grows only if an entry has tags: a cache without tags has no array.
        self.by_member.extend_to(member, || Member {
            first: NONE,
            checked: AtomicU32::new(0),
        });
        let next = self.by_member[member].first;
        let pair = self.add(Pair { tag, member, next });
        self.by_member[member].first = pair;
        self.lists.push(head, pair);
    }

    /// Removes a tag from a member, and returns the tag. Returns `None` if the member has no
    /// tag.
    #[inline]
    pub(super) fn detach(&mut self, member: Index) -> Option<Index> {
        let pair = self.by_member.get(member)?.first;
        let Pair { tag, next, .. } = *self.pairs.get(pair)?;
        // The pair leaves both lists before the pair is used again.
        self.by_member[member].first = next;
        self.lists.unlink(pair);
        self.remove(pair);
        Some(tag)
    }

    /// Stores a pair, in an unused place if there is one.
    #[inline]
    fn add(&mut self, pair: Pair) -> Index {
        self.len += 1;
        // Without unused pairs `free` is `NONE`, which is beyond the end.
        if let Some(free) = self.pairs.get_mut(self.free) {
            let next = free.next;
            *free = pair;
            return std::mem::replace(&mut self.free, next);
        }
        // The caller has checked `free_pairs`, so the index is below `NONE`.
        let index = self.pairs.push(pair);
        self.lists.extend_to(index);
        index
    }

    /// Puts a pair, which is in no list any more, on the list of unused pairs.
    #[inline]
    fn remove(&mut self, pair: Index) {
        self.pairs[pair].next = std::mem::replace(&mut self.free, pair);
        self.len -= 1;
    }

    /// Returns the tags of a member, the tag added last first.
    #[inline]
    pub(super) fn tags_of(&self, member: Index) -> impl Iterator<Item = Index> {
        let mut next = self.by_member.get(member).map_or(NONE, |found| found.first);
        // `NONE` is beyond the end of `pairs`, so the end of the list needs no comparison.
        std::iter::from_fn(move || {
            let pair = self.pairs.get(next)?;
            next = pair.next;
            Some(pair.tag)
        })
    }

    /// Returns `true` if all tags of a member were found alive in this generation, or if the
    /// member has no tags. Returns `false` if a tag may be dead.
    #[inline]
    pub(super) fn is_checked(&self, member: Index) -> bool {
        self.by_member.get(member).is_none_or(|found| {
            found.first == NONE || found.checked.load(Ordering::Relaxed) == self.generation
        })
    }

    /// Notes that all tags of a member are alive.
    #[inline]
    pub(super) fn note_checked(&self, member: Index) {
        if let Some(found) = self.by_member.get(member) {
            found.checked.store(self.generation, Ordering::Relaxed);
        }
    }

    /// Starts the next generation: a tag has died.
    pub(super) fn check_all_again(&mut self) {
        if self.generation == u32::MAX {
            // Once in four billion dead tags. A generation that came again would pass a note of
            // long ago for a new note.
            self.by_member
                .iter_mut()
                .for_each(|found| *found.checked.get_mut() = 0);
            self.generation = 0;
        }
        // guard: a member found alive is looked at again after the death of a tag
        self.generation += 1;
    }

    /// Returns the member that has had the tag for the longest time.
    pub(super) fn oldest_member(&self, head: Index) -> Option<Index> {
        let pair = self.lists.oldest(head)?;
        Some(self.pairs[pair].member)
    }

    /// Returns the number of pairs that can still be added.
    #[inline]
    pub(super) fn free_pairs(&self) -> usize {
        NONE as usize - self.len
    }

    /// Returns the number of pairs, heads included.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the number of pairs with reserved memory.
    pub(super) fn capacity(&self) -> usize {
        self.pairs.capacity()
    }
}

#[cfg(test)]
impl Members {
    /// Moves on to the last generation before the number starts again.
    pub(super) fn skip_generations(&mut self) {
        self.generation = u32::MAX;
    }
}

#[cfg(any(test, fuzzing))]
impl Members {
    /// Returns the members of a tag, after a check of the tag's list.
    pub(super) fn validate(&self, tag: Index, head: Index) -> Vec<Index> {
        // Each pair of the tag must also be in the list of the pair's member, once.
        let pairs = self.lists.validate(head).into_iter();
        let member = |pair: Index| {
            let pair = &self.pairs[pair];
            assert_eq!(
                pair.tag, tag,
                "a pair of tag {} is in the list of tag {tag}",
                pair.tag
            );
            let carried = self.tags_of(pair.member).filter(|&other| other == tag);
            assert_eq!(
                carried.count(),
                1,
                "member {} has tag {tag} not once",
                pair.member
            );
            pair.member
        };
        pairs.map(member).collect()
    }
}
