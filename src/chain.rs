//! Doubly linked lists threaded through indices.
//!
//! Many lists share one `Links`: a list is two indices, a node is two more, and
//! every operation is a constant number of steps. An index is in at most one
//! list at a time.

/// No index: the end of a list. Indices are smaller.
pub(crate) const NONE: u32 = u32::MAX;

/// The nodes of all lists over one range of indices.
#[derive(Debug, Default)]
pub(crate) struct Links(Vec<Link>);

#[derive(Clone, Copy, Debug)]
struct Link {
    /// Towards the front.
    newer: u32,
    /// Towards the back.
    older: u32,
}

impl Links {
    const APART: Link = Link {
        newer: NONE,
        older: NONE,
    };

    fn at(&mut self, index: u32) -> &mut Link {
        &mut self.0[index as usize]
    }
}

/// One list: what was pushed last is at the front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    front: u32,
    back: u32,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            front: NONE,
            back: NONE,
        }
    }
}

impl Chain {
    pub(crate) fn is_empty(self) -> bool {
        self.front == NONE
    }

    /// The index that was pushed last.
    pub(crate) fn front(self) -> Option<u32> {
        (self.front != NONE).then_some(self.front)
    }

    /// The index that was pushed first.
    pub(crate) fn back(self) -> Option<u32> {
        (self.back != NONE).then_some(self.back)
    }

    /// Adds an index that is in no list.
    pub(crate) fn push_front(&mut self, links: &mut Links, index: u32) {
        if links.0.len() <= index as usize {
            links.0.resize(index as usize + 1, Links::APART);
        }
        *links.at(index) = Link {
            newer: NONE,
            older: self.front,
        };
        match self.front {
            NONE => self.back = index,
            front => links.at(front).newer = index,
        }
        self.front = index;
    }

    /// Takes out an index that is in this list.
    pub(crate) fn unlink(&mut self, links: &mut Links, index: u32) {
        let Link { newer, older } = *links.at(index);
        match newer {
            NONE => self.front = older,
            newer => links.at(newer).older = older,
        }
        match older {
            NONE => self.back = newer,
            older => links.at(older).newer = newer,
        }
    }
}

#[cfg(test)]
impl Chain {
    /// The indices from back to front, after a check of every link.
    pub(crate) fn validate(self, links: &Links) -> Vec<u32> {
        let (mut seen, mut newer, mut at) = (Vec::new(), NONE, self.front);
        while at != NONE {
            assert_eq!(links.0[at as usize].newer, newer, "a link back is broken");
            seen.push(at);
            (newer, at) = (at, links.0[at as usize].older);
        }
        assert_eq!(self.back, newer, "the back is not the last");
        seen.reverse();
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlinks_at_both_ends_and_between() {
        let (mut links, mut chain) = (Links::default(), Chain::default());
        for index in [3, 0, 2, 1] {
            chain.push_front(&mut links, index);
        }
        assert_eq!(chain.validate(&links), [3, 0, 2, 1]);
        for (index, left) in [(0, &[3, 2, 1][..]), (3, &[2, 1]), (1, &[2]), (2, &[])] {
            chain.unlink(&mut links, index);
            assert_eq!(chain.validate(&links), left);
        }
        assert_eq!(chain.back(), None);
        assert!(chain.is_empty());
    }

    #[test]
    fn lists_share_their_links() {
        let (mut links, mut odd, mut even) = (Links::default(), Chain::default(), Chain::default());
        for index in 0..10 {
            let chain = if index % 2 == 0 { &mut even } else { &mut odd };
            chain.push_front(&mut links, index);
        }
        assert_eq!(odd.validate(&links), [1, 3, 5, 7, 9]);
        assert_eq!(even.validate(&links), [0, 2, 4, 6, 8]);
    }
}
