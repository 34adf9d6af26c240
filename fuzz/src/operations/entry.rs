//! An entry of the model, with its times by the formula of `docs/freshness.md`.

use super::input::{CallOptions, Form};

/// A time that is never reached.
pub(crate) const NEVER: u64 = u64::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Fresh,
    Due,
    Stale,
    Fallback,
    Expired,
}

impl State {
    pub(crate) fn is_fresh(self) -> bool {
        self <= Self::Due
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: u32,
    pub(crate) form: Form,
    pub(crate) tags: u8,
    pub(crate) cost: usize,
    stored: u64,
    fresh_until: u64,
    /// The entry is certainly fresh until then; jitter may end its freshness from then on.
    sure_until: u64,
    refresh_at: u64,
    /// The ends of the windows, if set.
    servable_until: Option<u64>,
    on_error_until: Option<u64>,
    error_window: u64,
    idle: Option<u64>,
    read: u64,
    is_timed: bool,
}

/// The cost of the names of tags for `max_bytes`, once for all entries.
pub(crate) fn names_cost(tags: u8) -> usize {
    // All names have five bytes: "tag 0".
    tags.count_ones() as usize * (5 + 96)
}

/// The cost of an entry for `max_bytes`, without names: see `docs/guarantees.md`.
pub(crate) fn cost(key: usize, value: usize, tags: u8, timed: bool) -> usize {
    let tags = tags.count_ones() as usize;
    key + value + 104 + 28 * tags + if timed { 88 } else { 0 }
}

impl Entry {
    pub(crate) fn new(
        (id, form, bytes): (u32, Form, usize),
        key: usize,
        ttl: Option<u64>,
        tags: u8,
        settings: &CallOptions,
        timed: bool,
        now: u64,
    ) -> Self {
        let after = |time: u64| now.saturating_add(time);
        let fresh_until = ttl.map_or(NEVER, after);
        let half = |part: u8| ttl.unwrap_or(0) / 2 * u64::from(part);
        let is_timed = timed
            || settings.stale_while_revalidate.is_some()
            || settings.stale_if_error.is_some()
            || settings.refresh_ahead.is_some()
            || settings.idle.is_some();
        // A window of zero is no window.
        let window = |length: Option<u64>| {
            let length = length.filter(|&length| length > 0)?;
            Some(fresh_until.saturating_add(length))
        };
        let refresh_at = settings.refresh_ahead.filter(|_| ttl.is_some());
        Self {
            id,
            form,
            tags,
            cost: cost(key, bytes, tags, is_timed),
            stored: now,
            fresh_until,
            sure_until: fresh_until - half(settings.jitter.unwrap_or(0)),
            refresh_at: refresh_at.map_or(NEVER, |part| after(half(part))),
            servable_until: window(settings.stale_while_revalidate),
            on_error_until: window(settings.stale_if_error),
            error_window: settings.stale_if_error.unwrap_or(0),
            idle: settings.idle,
            read: now,
            is_timed,
        }
    }

    pub(crate) fn state(&self, now: u64) -> State {
        // A time to idle of zero is treated as one nanosecond.
        let idle_end = self.idle.map(|idle| self.read + idle.max(1));
        let is_reached = |end: u64| end != NEVER && end <= now;
        let is_in = |end: Option<u64>| end.is_some_and(|end| !is_reached(end));
        if idle_end.is_some_and(is_reached) {
            State::Expired
        } else if !is_reached(self.fresh_until) {
            if is_reached(self.refresh_at) {
                State::Due
            } else {
                State::Fresh
            }
        } else if is_in(self.servable_until) {
            State::Stale
        } else if is_in(self.on_error_until) {
            State::Fallback
        } else {
            State::Expired
        }
    }

    pub(crate) fn is_fresh(&self, now: u64) -> bool {
        self.state(now).is_fresh()
    }

    /// Whether jitter leaves open if the entry is fresh.
    pub(crate) fn is_unsure(&self, now: u64) -> bool {
        self.is_fresh(now) && self.sure_until <= now
    }

    /// Records the answer of the cache for an unsure entry.
    pub(crate) fn learn(&mut self, is_fresh: bool, now: u64) {
        if is_fresh {
            self.sure_until = now + 1;
        } else {
            self.fresh_until = now;
        }
    }

    /// Returns the entry after an update that sets no times: tags are added, the times stay, and age
    /// and idle time begin again.
    pub(crate) fn updated(
        &self,
        (id, form, bytes): (u32, Form, usize),
        key: usize,
        tags: u8,
        now: u64,
    ) -> Self {
        let tags = self.tags | tags;
        Self {
            id,
            form,
            tags,
            cost: cost(key, bytes, tags, self.is_timed),
            stored: now,
            read: now,
            ..self.clone()
        }
    }

    pub(crate) fn touch(&mut self, now: u64) {
        self.read = now;
    }

    pub(crate) fn expire(&mut self, at: u64) {
        if self.on_error_until == Some(NEVER) {
            self.on_error_until = Some(at.saturating_add(self.error_window));
        }
        let earlier = |end: u64| end.min(at);
        self.fresh_until = earlier(self.fresh_until);
        self.sure_until = earlier(self.sure_until);
        self.refresh_at = earlier(self.refresh_at);
        self.servable_until = self.servable_until.map(earlier);
    }

    /// Whether the entry has a window after the ttl.
    pub(crate) fn has_window(&self) -> bool {
        self.servable_until.max(self.on_error_until) > Some(self.fresh_until)
    }

    /// The age of the value; zero if the entry keeps no time of storage.
    pub(crate) fn age(&self, now: u64) -> u64 {
        if self.is_timed { now - self.stored } else { 0 }
    }

    /// The result of a read of this type.
    pub(crate) fn reading(&self, asked: Form) -> Reading {
        match (self.form, asked) {
            (held, asked) if held == asked => Reading::Value,
            (Form::Raw, Form::Number) => Reading::Value,
            // An encoded number, read as text, is the length of a missing text.
            (Form::Raw | Form::Garbage, _) => Reading::Undecodable,
            _ => Reading::WrongType,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Value,
    WrongType,
    Undecodable,
}
