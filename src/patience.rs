//! How long a call waits.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock::{Moment, Now};
use crate::options::Rare;
use crate::timer::{BoxFuture, Timer};

/// The timeouts of one call. Both are counted from its first poll, in which it ends, loads
/// or begins to wait. The timer is asked for nothing before the call really waits.
pub(crate) struct Patience {
    began: Moment,
    hard: Option<Limit>,
    /// While there is an old value to be served.
    soft: Option<Limit>,
}

struct Limit {
    time: Duration,
    sleep: Option<BoxFuture>,
}

impl Patience {
    /// That of a call with these options; none without a timeout.
    pub(crate) fn of(rare: Option<&Rare>, now: &Now<'_>) -> Option<Box<Self>> {
        let rare = rare?;
        let limit = |time: Option<Duration>| time.map(|time| Limit { time, sleep: None });
        let (hard, soft) = (limit(rare.load_timeout), limit(rare.soft_timeout));
        if hard.is_none() && soft.is_none() {
            return None;
        }
        let began = now.get();
        Some(Box::new(Self { began, hard, soft }))
    }

    /// That of a load in the background: its deadline, or another if it has none.
    pub(crate) fn until(rare: Option<&Rare>, deadline: Duration, now: &Now<'_>) -> Self {
        let own = rare.and_then(|rare| rare.load_timeout);
        let time = own.unwrap_or(deadline);
        let hard = Some(Limit { time, sleep: None });
        Self {
            began: now.get(),
            hard,
            soft: None,
        }
    }

    /// Ends when the call has run out of time; with the time it was given.
    pub(crate) fn poll_hard(
        &mut self,
        timer: Option<&dyn Timer>,
        now: &Now<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Duration> {
        match &mut self.hard {
            Some(hard) => hard.poll(self.began, timer, now, cx).map(|()| hard.time),
            None => Poll::Pending,
        }
    }

    /// Ends when the call has waited long enough, given an old value.
    pub(crate) fn poll_soft(
        &mut self,
        timer: Option<&dyn Timer>,
        now: &Now<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        match &mut self.soft {
            Some(soft) => soft.poll(self.began, timer, now, cx),
            None => Poll::Pending,
        }
    }

    /// Waits on although there was an old value.
    pub(crate) fn forget_soft(&mut self) {
        self.soft = None;
    }
}

impl Limit {
    fn poll(
        &mut self,
        began: Moment,
        timer: Option<&dyn Timer>,
        now: &Now<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if self.sleep.is_none() {
            if self.time.is_zero() {
                return Poll::Ready(());
            }
            let left = self.time.saturating_sub(now.get().since(began));
            if left.is_zero() {
                return Poll::Ready(());
            }
            self.sleep = timer.map(|timer| timer.sleep(left));
        }
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl Rare {
    /// Whether a call with these options needs a timer to load or wait.
    pub(crate) fn needs_timer(&self) -> bool {
        let soft = self.soft_timeout.is_some_and(|time| !time.is_zero());
        self.load_timeout.is_some() || soft
    }
}
