//! A call that is dropped at one of its await points.

use std::pin::Pin;
use std::task::{Context, Poll};

pub type Call<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Polls a call so many times at most, and then gives it up; `None` is to the end.
#[must_use = "a future does nothing unless it is polled"]
pub struct Cut<'a> {
    pub call: Option<Call<'a>>,
    pub left: Option<u32>,
}

impl Future for Cut<'_> {
    /// Whether the call came to its end.
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        if self.left == Some(0) {
            self.call = None;
            return Poll::Ready(false);
        }
        let Some(call) = &mut self.call else {
            return Poll::Ready(false);
        };
        if call.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        if let Some(left) = &mut self.left {
            *left -= 1;
            // Dropped where it stands, whether or not anything would wake it.
            if *left == 0 {
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }
}
