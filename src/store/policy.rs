//! Which entry goes when there is no room: the one least recently used.
//!
//! This is the whole of what a policy is asked. Another one may take its place
//! behind the same five functions.

use super::Id;
use crate::chain::{Chain, Links};

#[derive(Debug, Default)]
pub(super) struct Policy {
    links: Links,
    /// The most recently used is at the front.
    order: Chain,
}

impl Policy {
    /// An entry was stored under a new id.
    pub(super) fn stored(&mut self, id: Id) {
        self.order.push_front(&mut self.links, id);
    }

    /// An entry was read.
    pub(super) fn read(&mut self, id: Id) {
        if self.order.front() != Some(id) {
            self.order.unlink(&mut self.links, id);
            self.order.push_front(&mut self.links, id);
        }
    }

    /// An entry left, by whatever act.
    pub(super) fn removed(&mut self, id: Id) {
        self.order.unlink(&mut self.links, id);
    }

    /// The entry to let go first. It stays until `removed` says otherwise.
    pub(super) fn victim(&self) -> Option<Id> {
        self.order.back()
    }
}

#[cfg(test)]
impl Policy {
    /// Every id it knows, after a check of the order.
    pub(super) fn validate(&self) -> Vec<Id> {
        self.order.validate(&self.links)
    }
}
