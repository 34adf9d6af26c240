//! Doubly linked lists threaded through indices.
//!
//! A list is circular, and the head of the list is a node too. So no operation checks for the
//! end of a list, and a node leaves a list without naming the list. Many lists share one
//! `LinkedLists`. A node is two indices, and every operation takes a constant number of
//! steps.

use super::index_vec::{Index, IndexVec};

/// The nodes of all lists over one range of indices.
#[derive(Debug, Default)]
pub(crate) struct LinkedLists(IndexVec<Node>);

#[derive(Clone, Copy, Debug)]
struct Node {
    /// In a head: the oldest node. In another node: the node pushed next, or the head.
    next: Index,
    /// In a head: the newest node. In another node: the node pushed before, or the head.
    previous: Index,
}

impl LinkedLists {
    /// Makes `index` a valid node, in no list.
    #[inline]
    pub(crate) fn extend_to(&mut self, index: Index) {
        // `push` and `init_head` write both links before any read, so any value will do here.
        let unlinked = || Node {
            next: 0,
            previous: 0,
        };
        self.0.extend_to(index, unlinked);
    }

    /// Returns `true` if no index is a valid node yet, `false` after the first `extend_to`.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    fn at(&mut self, index: Index) -> &mut Node {
        &mut self.0[index]
    }

    /// Makes a node the head of an empty list.
    pub(crate) fn init_head(&mut self, head: Index) {
        *self.at(head) = Node {
            next: head,
            previous: head,
        };
    }

    /// Appends `node`, which is in no list, to the list of `head`.
    #[inline]
    pub(crate) fn push(&mut self, head: Index, node: Index) {
        let previous = self.at(head).previous;
        *self.at(node) = Node {
            next: head,
            previous,
        };
        // In an empty list `previous` is the head, so both lines below write the same node.
        self.at(previous).next = node;
        self.at(head).previous = node;
    }

    /// Removes a node from the list of the node.
    #[inline]
    pub(crate) fn unlink(&mut self, node: Index) {
        // The neighbours may be the head: no case differs. The links of `node` stay as they are.
        let Node { next, previous } = *self.at(node);
        self.at(next).previous = previous;
        self.at(previous).next = next;
    }

    /// Moves all nodes of the list `from` behind the nodes of the list `head`.
    pub(crate) fn append(&mut self, head: Index, from: Index) {
        let Node { next, previous } = *self.at(from);
        if next != from {
            // Link the last node of `head` to the first of `from`, and the last of `from` to
            // `head`.
            let last = self.at(head).previous;
            self.at(last).next = next;
            self.at(next).previous = last;
            self.at(previous).next = head;
            self.at(head).previous = previous;
            self.init_head(from);
        }
    }

    /// Returns the node pushed first, or `None` if the list is empty.
    #[inline]
    pub(crate) fn oldest(&self, head: Index) -> Option<Index> {
        let oldest = self.0[head].next;
        (oldest != head).then_some(oldest)
    }
}

#[cfg(any(test, fuzzing))]
impl LinkedLists {
    /// Returns the nodes in the order of pushing, after a check of every link.
    pub(crate) fn validate(&self, head: Index) -> Vec<Index> {
        let (mut seen, mut at) = (Vec::new(), head);
        loop {
            let next = self.0[at].next;
            assert_eq!(
                self.0[next].previous, at,
                "the link back from {next} does not name {at}"
            );
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
    fn unlink_removes_first_last_and_middle_nodes() {
        let mut lists = lists(1);
        for node in [3, 5, 2, 1] {
            lists.push(0, node);
        }
        assert_eq!(lists.validate(0), [3, 5, 2, 1]);
        // From the middle, from the front, from the back, and the last node.
        for (node, left) in [(5, &[3, 2, 1][..]), (3, &[2, 1]), (1, &[2]), (2, &[])] {
            lists.unlink(node);
            assert_eq!(lists.validate(0), left);
            assert_eq!(lists.oldest(0), left.first().copied());
        }
    }

    #[test]
    fn unlink_finds_the_list_of_the_node() {
        let mut lists = lists(2);
        // Even nodes are in list 0, odd nodes in list 1.
        for node in 2..10 {
            lists.push(node % 2, node);
        }
        lists.unlink(4);
        lists.unlink(5);
        assert_eq!(lists.validate(0), [2, 6, 8]);
        assert_eq!(lists.validate(1), [3, 7, 9]);
    }

    #[test]
    fn append_moves_all_nodes_in_order() {
        let mut lists = lists(3);
        for node in [3, 4, 5, 6] {
            lists.push(node % 2, node);
        }
        lists.append(0, 1);
        assert_eq!(
            (lists.validate(0), lists.validate(1)),
            (vec![4, 6, 3, 5], vec![])
        );
        // Appending an empty list changes nothing; appending to an empty list moves everything.
        lists.append(0, 1);
        lists.append(2, 0);
        assert_eq!(
            (lists.validate(0), lists.validate(2)),
            (vec![], vec![4, 6, 3, 5])
        );
    }
}
