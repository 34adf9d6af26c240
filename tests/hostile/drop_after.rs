//! A call that is dropped at an await point.

use std::pin::Pin;
use std::task::{Context, Poll};

pub type Call<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Polls a call at most `polls_left` times, then drops the call; `None` polls to the end.
#[must_use = "a future does nothing unless it is polled"]
pub struct DropAfter<'a> {
    pub call: Option<Call<'a>>,
    pub polls_left: Option<u32>,
}

impl Future for DropAfter<'_> {
    /// Whether the call ended before the drop.
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        if self.polls_left == Some(0) {
            self.call = None;
            return Poll::Ready(false);
        }
        let Some(call) = &mut self.call else {
            return Poll::Ready(false);
        };
        if call.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        if let Some(polls_left) = &mut self.polls_left {
            *polls_left -= 1;
            // The next poll drops the call, even if nothing would wake the call itself.
            if *polls_left == 0 {
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }
}
