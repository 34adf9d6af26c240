//! The queues of dead tags, for the sweep.

use crate::index::{Index, LinkedLists};

/// The queue of removed tags, by the head.
pub(super) const REMOVED: Index = 0;
/// The queue of expired tags, by the head. Swept last, because members may stay.
pub(super) const EXPIRED: Index = 1;
/// The node of a tag is the index of the tag plus this number.
const HEADS: Index = 2;

/// Dead tags with members, oldest first. A dead tag leaves the queue with the last member, so a
/// look at the front always finds a member.
#[derive(Debug, Default)]
pub(super) struct DeadQueues(LinkedLists);

impl DeadQueues {
    /// Appends a tag, which is in no queue.
    pub(super) fn push(&mut self, queue: Index, tag: Index) {
        // A cache without invalidations has no queues.
        if self.0.is_empty() {
            self.0.extend_to(EXPIRED);
            self.0.init_head(REMOVED);
            self.0.init_head(EXPIRED);
        }
        self.0.extend_to(tag + HEADS);
        self.0.push(queue, tag + HEADS);
    }

    /// Removes a tag from the tag's queue.
    pub(super) fn unlink(&mut self, tag: Index) {
        self.0.unlink(tag + HEADS);
    }

    /// Returns the oldest removed tag, or if there is none, the oldest expired tag.
    pub(super) fn oldest(&self) -> Option<Index> {
        if self.0.is_empty() {
            return None;
        }
        let oldest = self.0.oldest(REMOVED).or_else(|| self.0.oldest(EXPIRED));
        oldest.map(|node| node - HEADS)
    }

    /// Returns all tags of both queues, after a check of every link.
    #[cfg(any(test, fuzzing))]
    pub(super) fn validate(&self) -> [Vec<Index>; 2] {
        [REMOVED, EXPIRED].map(|head| {
            if self.0.is_empty() {
                return Vec::new();
            }
            let nodes = self.0.validate(head).into_iter();
            nodes.map(|node| node - HEADS).collect()
        })
    }
}
