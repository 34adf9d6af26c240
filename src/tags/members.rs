//! Which member carries which tag: a pair of the two each.
//!
//! A pair is in two lists: that of its member, singly linked, and that of its tag, a
//! ring, so that a member leaves every tag in a few steps however many others carry
//! it. Twenty bytes a pair, and four a member. The head of a tag's ring is a pair too.

use crate::index::{Index, IndexVec, LinkedLists};

/// No pair: there are as many before it.
const NONE: Index = Index::MAX;

#[derive(Debug)]
pub(super) struct Members {
    /// By member: its first pair.
    first: IndexVec<Index>,
    pairs: IndexVec<Pair>,
    /// The order of pairs within their tags.
    lists: LinkedLists,
    /// The first of the pairs that are not used; `next` leads to the others.
    free: Index,
    /// How many are used.
    len: usize,
}

#[derive(Debug)]
struct Pair {
    /// Of a head: any, as is `member`.
    tag: Index,
    member: Index,
    /// The member's next pair.
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

    /// Founds the ring of a tag. Gives its head.
    pub(super) fn add_list(&mut self) -> Index {
        let head = self.add(Pair {
            tag: 0,
            member: 0,
            next: NONE,
        });
        self.lists.init_head(head);
        head
    }

    /// Gives up the ring of a tag that no member carries.
    pub(super) fn remove_list(&mut self, head: Index) {
        self.remove(head);
    }

    /// Gives a member one more tag.
    #[inline]
    pub(super) fn add_tag(&mut self, member: Index, tag: Index, head: Index) {
        self.first.extend_to(member, || NONE);
        let next = self.first[member];
        let pair = self.add(Pair { tag, member, next });
        self.first[member] = pair;
        self.lists.push(head, pair);
    }

    /// Takes a tag from a member that has any, and says which.
    #[inline]
    pub(super) fn detach(&mut self, member: Index) -> Option<Index> {
        let pair = *self.first.get(member)?;
        let Pair { tag, next, .. } = *self.pairs.get(pair)?;
        self.first[member] = next;
        self.lists.unlink(pair);
        self.remove(pair);
        Some(tag)
    }

    #[inline]
    fn add(&mut self, pair: Pair) -> Index {
        self.len += 1;
        if let Some(free) = self.pairs.get_mut(self.free) {
            let next = free.next;
            *free = pair;
            return std::mem::replace(&mut self.free, next);
        }
        let index = self.pairs.push(pair);
        self.lists.extend_to(index);
        index
    }

    #[inline]
    fn remove(&mut self, pair: Index) {
        self.pairs[pair].next = std::mem::replace(&mut self.free, pair);
        self.len -= 1;
    }

    #[inline]
    pub(super) fn tags_of(&self, member: Index) -> impl Iterator<Item = Index> {
        let mut next = self.first.get(member).copied().unwrap_or(NONE);
        std::iter::from_fn(move || {
            let pair = self.pairs.get(next)?;
            next = pair.next;
            Some(pair.tag)
        })
    }

    pub(super) fn has_members(&self, head: Index) -> bool {
        self.lists.oldest(head).is_some()
    }

    /// The member that has carried a tag the longest.
    pub(super) fn oldest_member(&self, head: Index) -> Option<Index> {
        let pair = self.lists.oldest(head)?;
        Some(self.pairs[pair].member)
    }

    /// How many more pairs there can be.
    #[inline]
    pub(super) fn free_pairs(&self) -> usize {
        NONE as usize - self.len
    }

    /// How many pairs there are, those that are heads included.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// For how many pairs there is room.
    pub(super) fn capacity(&self) -> usize {
        self.pairs.capacity()
    }
}

#[cfg(any(test, fuzzing))]
impl Members {
    /// The members of a tag, after a check of its list.
    pub(super) fn validate(&self, tag: Index, head: Index) -> Vec<Index> {
        let pairs = self.lists.validate(head).into_iter();
        let member = |pair: Index| {
            let pair = &self.pairs[pair];
            assert_eq!(pair.tag, tag, "a pair of another tag");
            let carried = self.tags_of(pair.member).filter(|&other| other == tag);
            assert_eq!(carried.count(), 1, "a member does not know its tag");
            pair.member
        };
        pairs.map(member).collect()
    }
}
