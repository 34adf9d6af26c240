//! The times of an entry whose value is updated.
//!
//! The caller gives some times, and the entry keeps all other times. The end of the time to live is
//! kept as a moment, not as a length: otherwise each update would prolong the life of the entry.

use std::time::Duration;

use super::{Deadlines, Lifetime, part_of};
use crate::options::ExtraOptions;
use crate::runtime::Moment;

impl Lifetime {
    /// Computes the times of a fresh entry after an update. `end` is the end of the time to live,
    /// `old` the record of times, if the entry has a record. Times given by the caller replace the
    /// times of the entry.
    pub(crate) fn updated(
        (end, old): (Moment, Option<&Deadlines>),
        ttl: Option<Duration>,
        extra: Option<&ExtraOptions>,
        now: impl Fn() -> Moment,
        random: impl FnOnce() -> u64,
    ) -> Self {
        // 1. The options that the entry had, where the caller gives none.
        let none = ExtraOptions::default();
        let given = extra.unwrap_or(&none);
        let kept = old.map(Deadlines::options).unwrap_or_default();
        let merged = ExtraOptions {
            stale_while_revalidate: given.stale_while_revalidate.or(kept.stale_while_revalidate),
            stale_if_error: given.stale_if_error.or(kept.stale_if_error),
            refresh_ahead: given.refresh_ahead.or(kept.refresh_ahead),
            time_to_idle: given.time_to_idle.or(kept.time_to_idle),
            jitter: given.jitter,
            // Limits of a load are no times of an entry.
            ..ExtraOptions::default()
        };
        // 2. A new time to live begins now, and the windows follow the new end.
        if ttl.is_some() {
            return Self::with_extra(ttl, Some(&merged), old.is_some(), now, random);
        }
        // 3. Without a new time to live, the end stays. The idle time starts again.
        if old.is_none() && !merged.needs_deadlines() {
            return Self::Plain(end);
        }
        let now = now();
        let refresh_at = match (given.refresh_ahead, old) {
            (None, Some(old)) => old.refresh_at,
            (Some(part), _) if end != Moment::NEVER => {
                // A part of the whole time to live, if the entry knows when this time began.
                let start = old.map_or(now, |old| old.stored);
                start.after(part_of(end.since(start), part))
            }
            _ => Moment::NEVER,
        };
        Self::Timed(Box::new(Deadlines::with_end(end, refresh_at, &merged, now)))
    }
}

impl Deadlines {
    /// Returns the options behind these times. Only for a fresh entry: `expire` ends a window.
    pub(super) fn options(&self) -> ExtraOptions {
        let revalidate = match self.fresh_until {
            // See the field: the length.
            Moment::NEVER => self.servable_until.since(Moment::ZERO),
            end => self.servable_until.since(end),
        };
        let window = |length: Duration| (!length.is_zero()).then_some(length);
        ExtraOptions {
            stale_while_revalidate: window(revalidate),
            stale_if_error: window(Duration::from_nanos(self.error_window)),
            refresh_ahead: self.refresh_ahead,
            time_to_idle: window(Duration::from_nanos(self.idle)),
            ..ExtraOptions::default()
        }
    }
}
