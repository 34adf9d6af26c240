//! Checks of the invariants of tags, for tests and fuzzing.

use super::{PAIR_COST, Tags};
use crate::index::{Index, to_index};

impl Tags {
    /// Returns the number of pairs reserved for pinned tags.
    pub(crate) fn reserved(&self) -> usize {
        self.reserved
    }

    /// Checks every invariant inside. `members` are all members that may have tags.
    pub(crate) fn validate(&self, members: &[Index]) {
        let carried = members
            .iter()
            .map(|&member| self.members.tags_of(member).count());
        // 1. Every pair belongs to a given member. Each tag has one pair more, the head.
        let pairs = self.members.len() - self.records.len();
        assert_eq!(pairs, carried.sum::<usize>(), "a removed member has a tag");
        // 2. Every tag has a use, and is in `names` in the right state. A dead tag with members
        //    is in the queue of the effect.
        let (mut linked, mut queues) = (0, [Vec::new(), Vec::new()]);
        let mut cost = PAIR_COST * pairs;
        for (place, tag) in &self.records {
            let members = self.members.validate(to_index(place), tag.head);
            assert_eq!(members.len(), tag.members as usize, "a wrong count");
            linked += members.len();
            assert!(
                tag.pins > 0 || tag.members > 0,
                "an unused tag is not removed"
            );
            if tag.members > 0 {
                cost += tag.cost();
                if tag.invalidation.is_some() {
                    queues[usize::from(!tag.removed)].push(to_index(place));
                }
            }
            let bound = self.bound(self.hashing.hash(tag.name.as_bytes()), &tag.name);
            assert_eq!(
                bound == Some(to_index(place)),
                tag.invalidation.is_none(),
                "a dead tag is bound to the name"
            );
            let hash = self.hashing.hash(tag.name.as_bytes());
            let named = self.names.find(hash, |&other| other == to_index(place));
            assert_eq!(named.is_none(), tag.removed, "a removed tag is in `names`");
            assert!(tag.invalidation.is_some() || !tag.removed);
        }
        // 3. The counters, the sum of the costs and the queues agree with the records.
        assert_eq!(pairs, linked);
        assert_eq!(cost, self.cost, "the sum of the costs is wrong");
        let found = self.queues.validate().map(|mut tags| {
            tags.sort_unstable();
            tags
        });
        assert_eq!(found, queues, "a queue has other tags");
        // 4. A member noted as alive has no dead tag.
        for &member in members {
            let mut tags = self.members.tags_of(member);
            let is_alive = tags.all(|tag| self.invalidation_of(tag).is_none());
            assert!(is_alive || !self.members.is_checked(member), "a wrong note");
        }
        let dead = self
            .records
            .iter()
            .filter(|(_, tag)| tag.invalidation.is_some());
        assert_eq!(dead.count(), self.dead);
        let removed = self.records.iter().filter(|(_, tag)| tag.removed);
        assert_eq!(self.names.len() + removed.count(), self.records.len());
    }

    /// Returns `true` if nothing is left of any tag, `false` if something is. Checks the
    /// invariants, for no members.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.validate(&[]);
        let no_tags = self.records.is_empty() && self.names.is_empty() && self.reserved == 0;
        no_tags && self.cost == 0 && !self.has_dead_members()
    }
}
