//! Entries and their tags, kept in step: neither changes without the other.

use std::mem;

use bytes::Bytes;

use super::entry_status::{Dates, Fate, Found};
use super::entry_types::Kinds;
use crate::key::{Hashing, Key, Lookup, Text};
use crate::removal::RemovalCause;
use crate::runtime::{Moment, Now};
use crate::store::{Entry, Id, Life, Standing, State, Store, Times};
use crate::sync::Arc;
use crate::tags::{Held, Tags};
use crate::value::{Encoded, Form, Kept, Read};

#[derive(Debug)]
pub(super) struct Contents {
    hashing: Hashing,
    store: Store<Kept>,
    kinds: Kinds,
    pub(super) tags: Tags,
    /// What all entries cost.
    cost: usize,
}

/// What an entry costs of `max_bytes`, beside its key and its value.
const ENTRY_COST: usize = 104;

/// What a tag costs.
const TAG_COST: usize = 28;

/// What a record of more times than one costs.
const TIMES_COST: usize = 88;

/// What an entry costs of `max_bytes`.
#[inline]
pub(super) fn cost(key: usize, value: usize, tags: usize, timed: bool) -> usize {
    let beside = ENTRY_COST + if timed { TIMES_COST } else { 0 };
    let beside = beside.saturating_add(tags.saturating_mul(TAG_COST));
    key.saturating_add(value).saturating_add(beside)
}

impl Contents {
    /// The most entries that can be kept.
    pub(super) const MOST: usize = Store::<Kept>::MOST;

    pub(super) fn new(hashing: Hashing) -> Self {
        Self {
            store: Store::new(hashing.clone()),
            kinds: Kinds::new(hashing.clone()),
            tags: Tags::new(hashing.clone()),
            hashing,
            cost: 0,
        }
    }

    /// An empty one that hashes alike.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.hashing.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.store.len()
    }

    #[inline]
    pub(super) fn find(&self, key: impl Lookup) -> Option<Id> {
        self.store.find(key)
    }

    /// What there is under a key.
    #[allow(clippy::inline_always, reason = "every hit runs through it: measured")]
    #[inline(always)]
    pub(super) fn look_up(&self, key: impl Lookup, now: &Now<'_>) -> Found {
        let Some(id) = self.store.find_at(key, now) else {
            return Found::Nothing;
        };
        if self.tags.is_doomed(id) || now.is_past(self.store.sure_until(id)) {
            return Found::Close(id, self.state(id, now));
        }
        Found::Fresh(id)
    }

    /// How it stands with an entry.
    pub(super) fn state(&self, id: Id, now: &Now<'_>) -> State {
        let Some(over) = self.tags.over(id) else {
            return self.store.state(id, now);
        };
        match self.store.times(id) {
            Some(times) if !over.removed => times.state_if_expired(over.first.at, now.get()),
            _ => State::Gone,
        }
    }

    /// When an entry was stored, and how it stands with it, which is known.
    pub(super) fn dates(&self, id: Id, state: State) -> Dates {
        let times = self.store.times(id);
        let fresh_until = times.map_or_else(|| self.store.sure_until(id), |it| it.fresh_until);
        Dates {
            stored: times.map(|times| times.stored),
            // A doom may have ended it before.
            fresh_until: if state.is_fresh() {
                fresh_until
            } else {
                Moment::ZERO
            },
            state,
        }
    }

    /// Whether an entry has a window after its time to live.
    pub(super) fn has_window(&self, id: Id) -> bool {
        self.store.times(id).is_some_and(Times::has_window)
    }

    /// Ends the freshness of an entry. Whether anything of it is left to be served.
    pub(super) fn expire(&mut self, id: Id, at: Moment) -> bool {
        self.store.expire(id, at)
    }

    /// Lets an entry that a doom expired live on without it, if anything of it is left
    /// to be served. Whether it does.
    pub(super) fn outlives(&mut self, id: Id) -> bool {
        let over = self.tags.over(id).filter(|over| !over.removed);
        let Some(expired) = over.map(|over| over.first.at) else {
            return false;
        };
        self.store.expire(id, expired) && self.tags.readmit(id, self.store.capacity())
    }

    /// The entry of a key, if a read without a loader sees it.
    #[inline]
    pub(super) fn find_fresh(&self, key: Key<'_>, now: &Now<'_>) -> Option<Id> {
        self.look_up(key, now).fresh()
    }

    /// A number that nobody can tell, of a key and a write.
    pub(super) fn chance(&self, hash: u64, write: usize) -> u64 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&hash.to_ne_bytes());
        bytes[8..].copy_from_slice(&(write as u64).to_ne_bytes());
        self.hashing.hash(&bytes)
    }

    /// The names of an entry's tags.
    pub(super) fn tags_of(&self, id: Id) -> Vec<Text> {
        self.tags.names_of(id).cloned().collect()
    }

    /// The hash of a tag's name.
    pub(super) fn hash_of_tag(&self, name: &Text) -> u64 {
        self.hashing.hash(name.as_bytes())
    }

    pub(super) fn key(&self, id: Id) -> &Text {
        self.store.key(id)
    }

    #[inline]
    pub(super) fn bytes(&self, id: Id) -> &Bytes {
        self.store.value(id).bytes()
    }

    /// What a form of values needs of an entry's.
    #[inline]
    pub(super) fn pick<T: Form>(&self, id: Id) -> T::Picked {
        T::pick(self.store.value(id), || self.kinds.of(id))
    }

    /// What is handed out of an entry's value, and which type it is.
    #[inline]
    pub(super) fn value(&self, id: Id) -> Read {
        Read {
            given: self.store.value(id).given(),
            ty: self.kinds.of(id),
        }
    }

    /// Why an entry leaves if it leaves now.
    #[inline]
    pub(super) fn fate(&self, id: Id, now: &Now<'_>) -> Fate {
        self.doomed(id).unwrap_or_else(|| {
            if self.store.state(id, now).is_fresh() {
                Fate::Live
            } else {
                Fate::Expired
            }
        })
    }

    /// The fate of an entry that carries a dead tag: settled when the first doom came.
    #[inline]
    fn doomed(&self, id: Id) -> Option<Fate> {
        let doom = self.tags.over(id)?.first;
        Some(if self.store.state(id, &Now::Known(doom.at)).is_fresh() {
            Fate::Doomed(Arc::clone(doom))
        } else {
            Fate::Expired
        })
    }

    #[inline]
    pub(super) fn touch(&self, id: Id, now: &Now<'_>) {
        self.store.touch(id);
        if let Some(times) = self.store.times(id) {
            times.read(|| now.get());
        }
    }

    /// What all entries cost together.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// What one of them costs.
    #[inline]
    pub(super) fn cost_of(&self, id: Id) -> usize {
        let (key, tags) = (self.store.key(id), self.tags.count_of(id));
        let timed = self.store.times(id).is_some();
        cost(key.len(), self.store.value(id).cost(), tags, timed)
    }

    /// Stores under a key, with its hash, that is not stored.
    #[inline]
    pub(super) fn insert(
        &mut self,
        (key, hash): (Text, u64),
        value: Encoded,
        life: Life,
        tags: Held,
    ) -> Id {
        let id = self.store.insert(key, hash, value.kept, life);
        self.kinds.set(id, value.ty, self.store.capacity());
        self.tags.enroll(id, tags, self.store.capacity());
        self.cost += self.cost_of(id);
        id
    }

    /// How an entry stands with the policy, for one that is stored in its place.
    pub(super) fn standing(&self, id: Id) -> Standing {
        self.store.standing(id)
    }

    /// Lets a new entry stand as another did, and one use better.
    pub(super) fn reinstate(&mut self, id: Id, standing: Standing) {
        self.store.reinstate(id, standing);
    }

    /// Puts a value in the place of another. Gives the old one.
    #[inline]
    pub(super) fn replace(&mut self, id: Id, value: Encoded, life: Life, tags: Held) -> Kept {
        self.cost -= self.cost_of(id);
        self.tags.leave(id);
        self.tags.enroll(id, tags, self.store.capacity());
        self.kinds.set(id, value.ty, self.store.capacity());
        let old = self.store.replace(id, value.kept, life);
        self.cost += self.cost_of(id);
        old
    }

    #[inline]
    pub(super) fn remove(&mut self, id: Id) -> Entry<Kept> {
        self.cost -= self.cost_of(id);
        self.tags.leave(id);
        self.store.remove(id).0
    }

    /// How many places are used, and how many reserved.
    pub(super) fn places(&self) -> (usize, usize) {
        let (tags_used, tags_reserved) = self.tags.places();
        let used = self.store.len() + tags_used;
        (used, self.store.capacity() + tags_reserved)
    }

    /// Moves all that is kept, and the tags that loads hold, to tables of its size.
    /// Gives the old ones, for the trash.
    ///
    /// Tags are bound anew by their names, so no member and no load may have a dead
    /// one.
    pub(super) fn compact<'a>(&mut self, loads: impl Iterator<Item = &'a mut Held>) -> Self {
        let new = self.anew();
        let mut old = mem::replace(self, new);
        for held in loads {
            *held = self.tags.hold(old.tags.names_held(held));
        }
        // In any order: what the policy knew of them is forgotten.
        let mut next = 0;
        while let Some(id) = old.next_from(next) {
            next = id;
            let tags = self.tags.hold(old.tags.names_of(id));
            let (ty, hash) = (old.kinds.of(id), old.store.hash_of(id));
            let (entry, life) = old.store.remove(id);
            let value = Encoded {
                kept: entry.value,
                ty,
            };
            self.insert((entry.key, hash), value, life, tags);
        }
        old
    }

    /// Takes out up to `most` entries that the policy lets go, and gives each to `leave`. Says how many, and gives the
    /// fates of those that were not live.
    #[inline]
    pub(super) fn evict(
        &mut self,
        most: usize,
        now: &Now<'_>,
        mut leave: impl FnMut(Entry<Kept>, RemovalCause),
    ) -> (usize, Vec<Fate>) {
        let (tags, total, mut fates) = (&mut self.tags, &mut self.cost, Vec::new());
        let evicted = self.store.evict(most, |id, entry, life| {
            let timed = matches!(life, Life::Timed(_));
            let mut cause = RemovalCause::Evicted;
            // One that has a deadline alone, and no dead tag, would have been reclaimed.
            if timed || tags.is_doomed(id) {
                let fate = match tags.over(id) {
                    Some(over) if life.state(over.first.at).is_fresh() => {
                        Fate::Doomed(Arc::clone(over.first))
                    }
                    None if life.state(now.get()).is_fresh() => Fate::Live,
                    _ => Fate::Expired,
                };
                cause = fate.cause(cause);
                if !matches!(fate, Fate::Live) {
                    fates.push(fate);
                }
            }
            let tags = tags.leave(id);
            *total -= cost(entry.key.len(), entry.value.cost(), tags, timed);
            leave(entry, cause);
        });
        (evicted, fates)
    }

    /// The first id from this one on that names an entry.
    pub(super) fn next_from(&self, id: Id) -> Option<Id> {
        self.store.next_from(id)
    }

    /// An entry that a doom came over and that still takes up room: its fate, and its name
    /// if it is to leave. One that a doom expired may live on.
    #[inline]
    pub(super) fn next_doomed(&mut self) -> Option<(Option<Id>, Fate)> {
        if !self.tags.is_dying() {
            return None;
        }
        let id = self.tags.next_dead()?;
        let fate = self.doomed(id)?;
        let stays = self.outlives(id);
        Some(((!stays).then_some(id), fate))
    }

    /// An entry whose time has come. `patience`: see [`Store::next_expired`].
    #[inline]
    pub(super) fn next_expired(&mut self, now: &Now<'_>, patience: &mut usize) -> Option<Id> {
        // While none can expire, nobody need ask the time.
        self.can_expire()
            .then(|| self.store.next_expired(now.get(), patience))?
    }

    /// Whether an entry may be asked how it stands with it.
    #[inline]
    pub(super) fn may_ask_time(&self) -> bool {
        self.store.can_expire() || self.store.has_times()
    }

    /// Whether any entry can expire.
    #[inline]
    pub(super) fn can_expire(&self) -> bool {
        self.store.can_expire()
    }
}

#[cfg(any(test, fuzzing))]
impl Contents {
    pub(super) fn validate(&self) {
        let ids = self.store.validate();
        self.tags.validate(&ids);
        let costs = ids.into_iter().map(|id| self.cost_of(id));
        assert_eq!(self.cost, costs.sum::<usize>());
    }
}
