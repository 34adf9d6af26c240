//! Doubly linked lists threaded through indices.
//!
//! A list is a ring of nodes with a head, which is a node too, so that no operation
//! asks whether it is at an end, and a node leaves its ring without knowing which
//! one it is in. Many rings share one `LinkedLists`; a node is two indices, and every
//! operation is a constant number of steps.

use super::index_vec::{Index, IndexVec};

/// The nodes of all rings over one range of indices.
#[derive(Debug, Default)]
pub(crate) struct LinkedLists(IndexVec<Node>);

#[derive(Clone, Copy, Debug)]
struct Node {
    /// The one that was pushed next; of the head, the one pushed first.
    next: Index,
    /// The one that was pushed before; of the head, the one pushed last.
    previous: Index,
}

impl LinkedLists {
    /// Makes `index` a valid node, in no list.
    #[inline]
    pub(crate) fn extend_to(&mut self, index: Index) {
        let unlinked = || Node {
            next: 0,
            previous: 0,
        };
        self.0.extend_to(index, unlinked);
    }

    /// Whether no index can be a node yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    fn at(&mut self, index: Index) -> &mut Node {
        &mut self.0[index]
    }

    /// Makes a node the head of an empty ring.
    pub(crate) fn init_head(&mut self, head: Index) {
        *self.at(head) = Node {
            next: head,
            previous: head,
        };
    }

    /// Adds a node that is in no ring.
    #[inline]
    pub(crate) fn push(&mut self, head: Index, node: Index) {
        let previous = self.at(head).previous;
        *self.at(node) = Node {
            next: head,
            previous,
        };
        self.at(previous).next = node;
        self.at(head).previous = node;
    }

    /// Takes a node out of its ring.
    #[inline]
    pub(crate) fn unlink(&mut self, node: Index) {
        let Node { next, previous } = *self.at(node);
        self.at(next).previous = previous;
        self.at(previous).next = next;
    }

    /// Moves all nodes of one ring behind those of another.
    pub(crate) fn append(&mut self, head: Index, from: Index) {
        let Node { next, previous } = *self.at(from);
        if next != from {
            let last = self.at(head).previous;
            self.at(last).next = next;
            self.at(next).previous = last;
            self.at(previous).next = head;
            self.at(head).previous = previous;
            self.init_head(from);
        }
    }

    /// The node that was pushed first.
    #[inline]
    pub(crate) fn oldest(&self, head: Index) -> Option<Index> {
        let oldest = self.0[head].next;
        (oldest != head).then_some(oldest)
    }
}

#[cfg(any(test, fuzzing))]
impl LinkedLists {
    /// The nodes in the order they were pushed, after a check of every link.
    pub(crate) fn validate(&self, head: Index) -> Vec<Index> {
        let (mut seen, mut at) = (Vec::new(), head);
        loop {
            let next = self.0[at].next;
            assert_eq!(self.0[next].previous, at, "a link back is broken");
            if next == head {
                return seen;
            }
            seen.push(next);
            at = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(heads: Index) -> LinkedLists {
        let mut lists = LinkedLists::default();
        lists.extend_to(heads + 10);
        (0..heads).for_each(|head| lists.init_head(head));
        lists
    }

    #[test]
    fn nodes_leave_at_both_ends_and_between() {
        let mut lists = lists(1);
        for node in [3, 5, 2, 1] {
            lists.push(0, node);
        }
        assert_eq!(lists.validate(0), [3, 5, 2, 1]);
        for (node, left) in [(5, &[3, 2, 1][..]), (3, &[2, 1]), (1, &[2]), (2, &[])] {
            lists.unlink(node);
            assert_eq!(lists.validate(0), left);
            assert_eq!(lists.oldest(0), left.first().copied());
        }
    }

    #[test]
    fn a_node_need_not_say_which_ring_it_leaves() {
        let mut lists = lists(2);
        for node in 2..10 {
            lists.push(node % 2, node);
        }
        lists.unlink(4);
        lists.unlink(5);
        assert_eq!(lists.validate(0), [2, 6, 8]);
        assert_eq!(lists.validate(1), [3, 7, 9]);
    }

    #[test]
    fn a_ring_goes_behind_another_whole() {
        let mut lists = lists(3);
        for node in [3, 4, 5, 6] {
            lists.push(node % 2, node);
        }
        lists.append(0, 1);
        assert_eq!(
            (lists.validate(0), lists.validate(1)),
            (vec![4, 6, 3, 5], vec![])
        );
        lists.append(0, 1);
        lists.append(2, 0);
        assert_eq!(
            (lists.validate(0), lists.validate(2)),
            (vec![], vec![4, 6, 3, 5])
        );
    }
}
