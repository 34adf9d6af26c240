//! How long a call waits.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::options::ExtraOptions;
use crate::runtime::{BoxFuture, Moment, Now, Timer};

/// The timeouts of one call. Both are counted from its first poll, in which it ends, loads
/// or begins to wait. The timer is asked for nothing before the call really waits.
pub(crate) struct Timeouts {
    began: Moment,
    hard: Option<Timeout>,
    /// While there is an old value to be served.
    soft: Option<Timeout>,
    /// That of the load that is waited for, if nobody drives it.
    bound: Option<Timeout>,
}

/// How long a load may take in the background if its options do not say.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long a load may take in the background.
pub(crate) fn deadline(extra: Option<&ExtraOptions>) -> Duration {
    let own = extra.and_then(|extra| extra.load_timeout);
    own.unwrap_or(DEADLINE)
}

struct Timeout {
    time: Duration,
    sleep: Option<BoxFuture>,
    /// It has come. A timer's future is not to be polled after its end.
    is_over: bool,
}

impl Timeouts {
    /// That of a call with these options; none without a timeout.
    pub(crate) fn of(extra: Option<&ExtraOptions>, now: &Now<'_>) -> Option<Box<Self>> {
        let extra = extra?;
        let timeout = |time: Option<Duration>| time.map(Timeout::new);
        let (hard, soft) = (timeout(extra.load_timeout), timeout(extra.soft_timeout));
        if hard.is_none() && soft.is_none() {
            return None;
        }
        let none = Self::none(now);
        Some(Box::new(Self { hard, soft, ..none }))
    }

    /// That of a load in the background.
    pub(crate) fn of_background(extra: Option<&ExtraOptions>, now: &Now<'_>) -> Self {
        Self {
            hard: Some(Timeout::new(deadline(extra))),
            ..Self::none(now)
        }
    }

    /// Bounds how long a load is waited for that may never be polled again.
    pub(crate) fn bound(timeouts: &mut Option<Box<Self>>, left: Duration, now: &Now<'_>) {
        let timeouts = timeouts.get_or_insert_with(|| Box::new(Self::none(now)));
        let gone = now.get().since(timeouts.began);
        timeouts.bound = Some(Timeout::new(gone.saturating_add(left)));
    }

    fn none(now: &Now<'_>) -> Self {
        Self {
            began: now.get(),
            hard: None,
            soft: None,
            bound: None,
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

    /// Ends when the load that is waited for is over, whoever was to drive it.
    pub(crate) fn poll_bound(
        &mut self,
        timer: Option<&dyn Timer>,
        now: &Now<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        match &mut self.bound {
            Some(bound) => bound.poll(self.began, timer, now, cx),
            None => Poll::Pending,
        }
    }

    /// The same limits, from the same moment, for another who waits in the same call.
    pub(crate) fn again(&self) -> Self {
        let timeout =
            |timeout: &Option<Timeout>| timeout.as_ref().map(|timeout| Timeout::new(timeout.time));
        Self {
            began: self.began,
            hard: timeout(&self.hard),
            soft: timeout(&self.soft),
            bound: None,
        }
    }
}

impl Timeout {
    fn new(time: Duration) -> Self {
        Self {
            time,
            sleep: None,
            is_over: false,
        }
    }

    fn poll(
        &mut self,
        began: Moment,
        timer: Option<&dyn Timer>,
        now: &Now<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if self.is_over || self.time.is_zero() {
            return Poll::Ready(());
        }
        if self.sleep.is_none() {
            let left = self.time.saturating_sub(now.get().since(began));
            if left.is_zero() {
                return Poll::Ready(());
            }
            self.sleep = timer.map(|timer| timer.sleep(left));
        }
        match &mut self.sleep {
            Some(sleep) => {
                self.is_over = sleep.as_mut().poll(cx).is_ready();
                if self.is_over {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            }
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// A future that is polled after its end may panic, as this one does.
    #[test]
    fn what_has_come_is_not_waited_for_again() {
        let timer = |_: Duration| async {};
        let mut timeout = Timeout::new(Duration::from_secs(1));
        let mut poll = || {
            let now = Now::Known(Moment::ZERO);
            let cx = &mut Context::from_waker(Waker::noop());
            timeout.poll(Moment::ZERO, Some(&timer), &now, cx)
        };
        assert!(poll().is_ready() && poll().is_ready());
    }
}
