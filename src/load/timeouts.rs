//! How long a call waits.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::options::ExtraOptions;
use crate::runtime::{BoxFuture, Moment, Now, Timer};

/// The timeouts of one call. All count from the call's first poll, in which the call returns,
/// loads or begins to wait. The timer is not asked before the call really waits.
pub(crate) struct Timeouts {
    began: Moment,
    /// `load_timeout`: the call fails, or serves the stale value.
    hard: Option<Timeout>,
    /// `soft_timeout`: applies while there is a stale value.
    soft: Option<Timeout>,
    /// The deadline of the background load that the call waits for.
    deadline: Option<Timeout>,
}

/// How long a background load may take, if its options have no `load_timeout`.
const BACKGROUND_TIME: Duration = Duration::from_secs(30);

/// Returns how long a background load may take.
pub(crate) fn background_time(extra: Option<&ExtraOptions>) -> Duration {
    let own = extra.and_then(|extra| extra.load_timeout);
    own.unwrap_or(BACKGROUND_TIME)
}

/// A length of time, and the timer's future once the wait has begun.
struct Timeout {
    time: Duration,
    sleep: Option<BoxFuture>,
    /// Whether `sleep` has ended. A future must not be polled after its end.
    is_over: bool,
}

impl Timeouts {
    /// Returns the timeouts of a call with these options, or `None` if there are none.
    pub(crate) fn new(extra: Option<&ExtraOptions>, now: &Now<'_>) -> Option<Box<Self>> {
        let extra = extra?;
        let timeout = |time: Option<Duration>| time.map(Timeout::new);
        let (hard, soft) = (timeout(extra.load_timeout), timeout(extra.soft_timeout));
        if hard.is_none() && soft.is_none() {
            return None;
        }
        let none = Self::none(now);
        Some(Box::new(Self { hard, soft, ..none }))
    }

    /// Starts the timeouts of a call that begins to wait, unless an earlier wait has.
    pub(crate) fn start(
        timeouts: &mut Option<Box<Self>>,
        extra: Option<&ExtraOptions>,
        now: &Now<'_>,
    ) {
        if timeouts.is_none() {
            *timeouts = Self::new(extra, now);
        }
    }

    /// Returns the timeouts of a background load.
    pub(crate) fn for_background(extra: Option<&ExtraOptions>, now: &Now<'_>) -> Self {
        Self {
            hard: Some(Timeout::new(background_time(extra))),
            ..Self::none(now)
        }
    }

    /// Sets the deadline of the background load that the call waits for.
    pub(crate) fn set_deadline(timeouts: &mut Option<Box<Self>>, left: Duration, now: &Now<'_>) {
        let timeouts = timeouts.get_or_insert_with(|| Box::new(Self::none(now)));
        // All timeouts count from the same moment.
        let elapsed = now.get().since(timeouts.began);
        timeouts.deadline = Some(Timeout::new(elapsed.saturating_add(left)));
    }

    fn none(now: &Now<'_>) -> Self {
        Self {
            began: now.get(),
            hard: None,
            soft: None,
            deadline: None,
        }
    }

    /// Ready once the `load_timeout` is over, with its length.
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

    /// Returns `true` if the `load_timeout` is over, by the timer or by the clock; `false` if time
    /// is left or no limit is set.
    pub(crate) fn is_over(&self, now: &Now<'_>) -> bool {
        let is_over = |hard: &Timeout| hard.is_over || now.get().since(self.began) >= hard.time;
        self.hard.as_ref().is_some_and(is_over)
    }

    /// Ready once the `soft_timeout` is over.
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

    /// Ready once the background load that the call waits for must have ended.
    pub(crate) fn poll_deadline(
        &mut self,
        timer: Option<&dyn Timer>,
        now: &Now<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        match &mut self.deadline {
            Some(deadline) => deadline.poll(self.began, timer, now, cx),
            None => Poll::Pending,
        }
    }

    /// Returns the same timeouts, from the same moment, for another wait of the same call.
    pub(crate) fn for_another_wait(&self) -> Self {
        let timeout = |timeout: &Option<Timeout>| {
            let timeout = timeout.as_ref();
            timeout.map(|timeout| Timeout::new(timeout.time))
        };
        Self {
            began: self.began,
            hard: timeout(&self.hard),
            soft: timeout(&self.soft),
            deadline: None,
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
            // Without a timer no call with a timeout gets here: see `Engine::check_timer`.
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// A future may panic when it is polled after its end, as this one does.
    #[test]
    fn timeout_that_is_over_does_not_poll_the_timer_again() {
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
