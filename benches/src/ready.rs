//! Calls an async verb as a request handler does that runs on an executor already.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use futures_lite::future::block_on;

/// Polls once, with a waker that does nothing.
///
/// A `block_on` around every call would add its own 7 ns to both async caches and to
/// none of the others. A future that has to wait after all, as an insert into moka may
/// when another thread keeps house, is then blocked on.
#[inline]
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => output,
        Poll::Pending => block_on(future),
    }
}
