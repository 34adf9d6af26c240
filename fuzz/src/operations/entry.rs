//! What the model knows of an entry: its times, as `docs/freshness.md` has them.

use super::input::{Form, Terms};

/// A time that does not come.
pub(crate) const NEVER: u64 = u64::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Fresh,
    Due,
    Stale,
    Fallback,
    Gone,
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
    /// Until then it is fresh for certain: a random part of the ttl was taken off.
    sure_until: u64,
    refresh_at: u64,
    /// The ends of the windows, if there are any.
    servable_until: Option<u64>,
    on_error_until: Option<u64>,
    error_window: u64,
    idle: Option<u64>,
    read: u64,
    is_timed: bool,
}

/// What an entry costs of `max_bytes`: see `docs/guarantees.md`.
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
        terms: &Terms,
        dated: bool,
        now: u64,
    ) -> Self {
        let after = |time: u64| now.saturating_add(time);
        let fresh_until = ttl.map_or(NEVER, after);
        let half = |part: u8| ttl.unwrap_or(0) / 2 * u64::from(part);
        let is_timed = dated
            || terms.stale_while_revalidate.is_some()
            || terms.stale_if_error.is_some()
            || terms.refresh_ahead.is_some()
            || terms.idle.is_some();
        let refresh_at = terms.refresh_ahead.filter(|_| ttl.is_some());
        Self {
            id,
            form,
            tags,
            cost: cost(key, bytes, tags, is_timed),
            stored: now,
            fresh_until,
            sure_until: fresh_until - half(terms.jitter.unwrap_or(0)),
            refresh_at: refresh_at.map_or(NEVER, |part| after(half(part))),
            servable_until: terms
                .stale_while_revalidate
                .map(|it| fresh_until.saturating_add(it)),
            on_error_until: terms
                .stale_if_error
                .map(|it| fresh_until.saturating_add(it)),
            error_window: terms.stale_if_error.unwrap_or(0),
            idle: terms.idle,
            read: now,
            is_timed,
        }
    }

    pub(crate) fn state(&self, now: u64) -> State {
        // No time at all is the least that there is.
        let idle_end = self.idle.map(|idle| self.read + idle.max(1));
        let has_come = |end: u64| end != NEVER && end <= now;
        let is_in = |end: Option<u64>| end.is_some_and(|end| !has_come(end));
        if idle_end.is_some_and(has_come) {
            State::Gone
        } else if !has_come(self.fresh_until) {
            if has_come(self.refresh_at) {
                State::Due
            } else {
                State::Fresh
            }
        } else if is_in(self.servable_until) {
            State::Stale
        } else if is_in(self.on_error_until) {
            State::Fallback
        } else {
            State::Gone
        }
    }

    pub(crate) fn is_fresh(&self, now: u64) -> bool {
        self.state(now).is_fresh()
    }

    /// Whether only the cache knows if it is fresh.
    pub(crate) fn is_unsure(&self, now: u64) -> bool {
        self.is_fresh(now) && self.sure_until <= now
    }

    /// What was unsure is known now.
    pub(crate) fn learn(&mut self, is_fresh: bool, now: u64) {
        if is_fresh {
            self.sure_until = now + 1;
        } else {
            self.fresh_until = now;
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

    /// Whether there is a window after the ttl.
    pub(crate) fn has_window(&self) -> bool {
        self.servable_until.max(self.on_error_until) > Some(self.fresh_until)
    }

    /// How long ago it was stored, as far as it is known.
    pub(crate) fn age(&self, now: u64) -> u64 {
        if self.is_timed { now - self.stored } else { 0 }
    }

    /// What happens to a reader who asks for this type.
    pub(crate) fn reading(&self, asked: Form) -> Reading {
        match (self.form, asked) {
            (held, asked) if held == asked => Reading::Value,
            (Form::Raw, Form::Number) => Reading::Value,
            // Numbers as bytes are lengths of text that is not there.
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
