//! Pairs of member and tag: the members of each tag, and the tags of each member.
//!
//! A pair is in two lists: in the list of the member, singly linked, and in the list of the
//! tag, doubly linked. So a member leaves every tag in a few steps, however many members a
//! tag has. A pair takes twenty bytes, and a member four. The head of a tag's list takes a
//! pair too.

use crate::index::{Index, IndexVec, LinkedLists};

/// No pair. The number of pairs never exceeds this index.
const NONE: Index = Index::MAX;

/// The pairs, and the lists of pairs.
#[derive(Debug)]
pub(super) struct Members {
    /// By member: the first pair.
    first: IndexVec<Index>,
    pairs: IndexVec<Pair>,
    /// The pairs of each tag, in the order of adding.
    lists: LinkedLists,
    /// The first unused pair. `next` of an unused pair leads to another unused pair.
    free: Index,
    /// The number of used pairs, heads included.
    len: usize,
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
            first: IndexVec::new(),
            pairs: IndexVec::new(),
            lists: LinkedLists::default(),
            free: NONE,
            len: 0,
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
        self.first.extend_to(member, || NONE);
        let next = self.first[member];
        let pair = self.add(Pair { tag, member, next });
        self.first[member] = pair;
        self.lists.push(head, pair);
    }

    /// Removes a tag from a member, and returns the tag. Returns `None` if the member has no
    /// tag.
    #[inline]
    pub(super) fn detach(&mut self, member: Index) -> Option<Index> {
        let pair = *self.first.get(member)?;
        let Pair { tag, next, .. } = *self.pairs.get(pair)?;
        // The pair leaves both lists before the pair is used again.
        self.first[member] = next;
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
        let mut next = self.first.get(member).copied().unwrap_or(NONE);
        // `NONE` is beyond the end of `pairs`, so the end of the list needs no comparison.
        std::iter::from_fn(move || {
            let pair = self.pairs.get(next)?;
            next = pair.next;
            Some(pair.tag)
        })
    }

    /// Returns `true` if a member has the tag of this head, `false` if none has.
    pub(super) fn has_members(&self, head: Index) -> bool {
        self.lists.oldest(head).is_some()
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
