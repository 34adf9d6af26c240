//! The future of a background load. A spawner polls the future; at the deadline of the load, any
//! caller can end it.
//!
//! A runtime may stop to poll a task, and the loader inside may hold a transaction or a lock. So
//! the task does not own the future. Task and flight share a place for the future: the task takes
//! the future out, polls it, and puts it back. A caller that finds the load after its deadline
//! takes the future out and drops it, then loads itself. No code of the future runs under the
//! lock of the place.

use std::mem;
use std::pin::Pin;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};
use std::time::Duration;

use crate::runtime::{BoxFuture, Moment};
use crate::sync::{Arc, Mutex};

/// The place of the future of a background load.
pub(crate) struct BackgroundTask {
    /// How long the load may take.
    pub(crate) time: Duration,
    /// How long the key is not loaded again after the deadline.
    pub(crate) backoff: Duration,
    /// When the load ends at the latest.
    pub(crate) deadline: Moment,
    /// Whether a caller ended the load at the deadline.
    is_overdue: AtomicBool,
    state: Mutex<TaskState>,
}

enum TaskState {
    /// The future is not here yet.
    New,
    /// The future waits for the next poll.
    Waiting(BoxFuture),
    /// A thread polls the future.
    Polling(ThreadId),
    /// The future has ended, or was dropped.
    Ended,
}

/// The result of ending a task at its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskEnd {
    /// The future is dropped, or will not start.
    Dropped,
    /// Another thread polls the future, and drops it after the poll.
    PolledElsewhere,
    /// This thread polls the future: the call comes from the loader of the load.
    PolledHere,
}

impl BackgroundTask {
    pub(crate) fn new(time: Duration, backoff: Duration, deadline: Moment) -> Self {
        Self {
            time,
            backoff,
            deadline,
            is_overdue: AtomicBool::new(false),
            state: Mutex::new(TaskState::New),
        }
    }

    /// Puts `next` in place of the state if `wanted` accepts the state, and returns the replaced
    /// state. Otherwise returns `next`, as an error.
    fn replace_if(
        &self,
        next: TaskState,
        wanted: impl FnOnce(&TaskState) -> bool,
    ) -> Result<TaskState, TaskState> {
        // No foreign code runs under this lock, so poisoning is ignored. Both states leave the
        // lock before they are dropped: the drop of a future is foreign code.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted(&state) {
            Ok(mem::replace(&mut *state, next))
        } else {
            Err(next)
        }
    }

    /// Puts the future here, and returns the task for the spawner. If the load has already been
    /// ended, drops the future.
    pub(crate) fn start(task: Arc<Self>, future: BoxFuture) -> BoxFuture {
        let is_new = |state: &TaskState| matches!(state, TaskState::New);
        drop(task.replace_if(TaskState::Waiting(future), is_new));
        Box::pin(PollTask(task))
    }

    /// Returns `true` if a caller ended the load at the deadline, `false` otherwise.
    pub(crate) fn is_overdue(&self) -> bool {
        self.is_overdue.load(Ordering::Relaxed)
    }

    /// Ends the load after its deadline: drops the future, which abandons the load.
    pub(crate) fn end_overdue(&self) -> TaskEnd {
        let here = thread::current().id();
        let is_here = |state: &TaskState| matches!(state, TaskState::Polling(id) if *id == here);
        let end = self.replace_if(TaskState::Ended, |state| {
            // Set under the lock: whoever drops the future sees the flag.
            let ends = !is_here(state);
            self.is_overdue.fetch_or(ends, Ordering::Relaxed);
            ends
        });
        match end {
            Err(_) => TaskEnd::PolledHere,
            Ok(TaskState::Polling(_)) => TaskEnd::PolledElsewhere,
            Ok(TaskState::New | TaskState::Waiting(_) | TaskState::Ended) => TaskEnd::Dropped,
        }
    }
}

/// The task that polls the future. Dropped by the runtime, drops the future.
struct PollTask(Arc<BackgroundTask>);

impl Future for PollTask {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = &self.0;
        let polling = || TaskState::Polling(thread::current().id());
        // 1. Take the future out.
        let is_waiting = |state: &TaskState| matches!(state, TaskState::Waiting(_));
        let Ok(TaskState::Waiting(mut future)) = task.replace_if(polling(), is_waiting) else {
            return Poll::Ready(());
        };
        // 2. Poll the future without the lock.
        let polled = future.as_mut().poll(cx);
        // 3. Put the future back, unless it is done or a caller ended the load meanwhile.
        let is_polling = |state: &TaskState| matches!(state, TaskState::Polling(_));
        match polled {
            Poll::Ready(()) => {
                drop(future);
                drop(task.replace_if(TaskState::Ended, |_| true));
                Poll::Ready(())
            }
            Poll::Pending => match task.replace_if(TaskState::Waiting(future), is_polling) {
                Ok(_) => Poll::Pending,
                // guard: a load that was ended during a poll is dropped after the poll
                Err(ended) => {
                    drop(ended);
                    Poll::Ready(())
                }
            },
        }
    }
}

impl Drop for PollTask {
    fn drop(&mut self) {
        drop(self.0.replace_if(TaskState::Ended, |_| true));
    }
}

impl std::fmt::Debug for BackgroundTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackgroundTask")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
