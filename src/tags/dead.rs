//! Dead tags: invalidation, and the members of dead tags.

use smallvec::SmallVec;

use super::dead_queues::{EXPIRED, REMOVED};
use super::{Effect, HashedTag, TagInvalidation, Tags};
use crate::index::Index;
use crate::key::SmallBytes;
use crate::sync::Arc;

/// The invalidations that hit a member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Invalidated<'a> {
    /// The first of these invalidations.
    pub(crate) first: &'a Arc<TagInvalidation>,
    /// Set if any of these invalidations removes.
    pub(crate) removed: bool,
}

impl Tags {
    /// Marks a tag dead, if its name is bound. All members are unreachable from now on.
    pub(crate) fn invalidate(&mut self, tag: &HashedTag, invalidation: &Arc<TagInvalidation>) {
        // 1. The live tag dies, and every member must be checked again. An expired tag stays in
        //    `names`, for a later removal.
        let (hash, name) = (tag.hash, &tag.name);
        if let Some(tag) = self.bound(hash, name) {
            let record = &mut self.records[tag as usize];
            record.invalidation = Some((self.invalidations, Arc::clone(invalidation)));
            if record.members > 0 {
                self.queues.push(EXPIRED, tag);
            }
            self.dead += 1;
            self.invalidations += 1;
            self.members.check_all_again();
        }
        // 2. A removal takes the tag out of `names`, and every expired tag of this name with
        //    members left: a stale value must not outlive the removal.
        //
        //    A: `expire_tag` makes the tag dead; member M may keep a stale value.
        //    B: `invalidate_tag` of the same name comes before the sweep of M.
        //    A: the sweep of M finds `removed`, and does not attach M again.
        if invalidation.effect == Effect::Remove {
            let records = &mut self.records;
            while let Ok(named) = self
                .names
                .find_entry(hash, |&tag| records[tag as usize].name == *name)
            {
                let (tag, _) = named.remove();
                let record = &mut records[tag as usize];
                record.removed = true;
                if record.members > 0 {
                    self.queues.unlink(tag);
                    self.queues.push(REMOVED, tag);
                }
            }
        }
    }

    /// Returns the first invalidation of a tag, with the sequence number.
    pub(super) fn invalidation_of(&self, tag: Index) -> Option<&(u64, Arc<TagInvalidation>)> {
        self.records[tag as usize].invalidation.as_ref()
    }

    /// Returns `true` if a member has a dead tag, `false` if not.
    #[inline]
    pub(crate) fn is_invalidated(&self, member: Index) -> bool {
        self.dead > 0 && self.invalidated(member).is_some()
    }

    /// Returns the invalidations that hit a member, or `None` if all tags are alive.
    #[inline]
    pub(crate) fn invalidated(&self, member: Index) -> Option<Invalidated<'_>> {
        // A member found alive is not checked again before the next tag dies.
        if self.dead == 0 || self.members.is_checked(member) {
            return None;
        }
        self.find_invalidated(member)
    }

    /// Looks at every tag of a member.
    fn find_invalidated(&self, member: Index) -> Option<Invalidated<'_>> {
        // The first invalidation counts the entry, so look for the smallest number.
        let tags = || self.members.tags_of(member);
        let invalidations = tags().filter_map(|tag| self.invalidation_of(tag));
        let Some((_, first)) = invalidations.min_by_key(|(order, _)| *order) else {
            self.members.note_checked(member);
            return None;
        };
        let removed = tags().any(|tag| self.records[tag as usize].removed);
        Some(Invalidated { first, removed })
    }

    /// Attaches a member of dead tags to the tags to which the names are bound now. Returns
    /// `true` on success. Returns `false` if there are no free pairs, or if new tags would raise
    /// the cost above `max_cost`: then the caller removes the member.
    pub(crate) fn reattach(&mut self, member: Index, max_cost: usize) -> bool {
        let names: SmallVec<[SmallBytes; 4]> = self.names_of(member).cloned().collect();
        // Pin before the old tags leave: a live tag of the member alone must not be forgotten.
        let mut pinned = self.pin(names.iter());
        if pinned.is_incomplete {
            self.unpin(pinned);
            return false;
        }
        let before = self.cost;
        self.charge(&mut pinned);
        self.detach(member);
        let fits = self.cost <= max_cost.max(before);
        // Attached in any case: the removal of the member gives the cost back.
        self.attach(member, pinned);
        fits
    }

    /// Returns `true` if a dead tag has members, `false` if no sweep is needed.
    #[inline]
    pub(crate) fn has_dead_members(&self) -> bool {
        self.dead > 0 && self.queues.oldest().is_some()
    }

    /// Returns a member of a dead tag: of the oldest removed tag, or if there is none, of the
    /// oldest expired tag. The caller detaches or reattaches the member before the next call.
    pub(crate) fn next_dead_member(&self) -> Option<Index> {
        let dead = &self.records[self.queues.oldest()? as usize];
        self.members.oldest_member(dead.head)
    }
}
