//! What a scenario has: time, chance, a backend, and tasks.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Range;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fastrand::Rng;
use futures_lite::future::yield_now;

use super::chaos::{Chaos, Fault, Injected};
use crate::cache::{CacheBuilder, HydraCache};
use crate::runtime::{BoxFuture, ManualClock, Timer};

/// How long a load takes that hangs.
const A_DAY: Duration = Duration::from_secs(86_400);

/// How long a slow load takes at most, in milliseconds.
const SLOW: u64 = 10_000;

/// The surroundings of a scenario. A clone is the same world.
///
/// # Examples
///
/// See [`testing`](crate::testing).
#[derive(Clone)]
pub struct World(Rc<Shared>);

struct Shared {
    seed: u64,
    rng: RefCell<Rng>,
    chaos: Cell<Chaos>,
    clock: ManualClock,
    tasks: Sender<LocalTask>,
    background: Sender<BoxFuture>,
}

/// A task of this thread.
pub(super) type LocalTask = Pin<Box<dyn Future<Output = ()>>>;

/// What has been spawned and did not begin.
pub(super) struct Queues {
    pub(super) tasks: Receiver<LocalTask>,
    pub(super) background: Receiver<BoxFuture>,
}

impl World {
    pub(super) fn new(seed: u64) -> (Self, Queues) {
        let (tasks, spawned) = channel();
        let (background, loads) = channel();
        let shared = Shared {
            seed,
            rng: RefCell::new(Rng::with_seed(seed)),
            chaos: Cell::new(Chaos::none()),
            clock: ManualClock::new(),
            tasks,
            background,
        };
        let queues = Queues {
            tasks: spawned,
            background: loads,
        };
        (Self(Rc::new(shared)), queues)
    }

    /// Returns the seed.
    ///
    /// # Examples
    ///
    /// ```
    /// hydracache::testing::simulate(17, |world| async move {
    ///     assert_eq!(world.seed(), 17);
    /// });
    /// ```
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// Returns the clock, which is the timer too. It moves a little between steps, and to the
    /// next sleeper when everything waits; moving it by hand is allowed.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use hydracache::Clock;
    ///
    /// hydracache::testing::simulate(17, |world| async move {
    ///     world.clock().advance(Duration::from_secs(60));
    ///     assert!(world.clock().now() >= Duration::from_secs(60));
    /// });
    /// ```
    pub fn clock(&self) -> &ManualClock {
        &self.0.clock
    }

    /// Returns a builder of a cache that goes by the world's clock and timer, and whose loads
    /// in the background are tasks of the world.
    ///
    /// # Examples
    ///
    /// See [`testing`](crate::testing).
    pub fn builder(&self) -> CacheBuilder {
        let background = self.0.background.clone();
        HydraCache::local()
            .clock(self.0.clock.clone())
            .timer(self.0.clock.clone())
            .spawner(move |load| {
                // A world that is over runs nothing.
                let _ = background.send(load);
            })
    }

    /// Sets what goes wrong from now on.
    ///
    /// # Examples
    ///
    /// See [`Chaos`].
    pub fn set_chaos(&self, chaos: Chaos) {
        self.0.chaos.set(chaos);
    }

    pub(super) fn chaos(&self) -> Chaos {
        self.0.chaos.get()
    }

    /// Draws a number.
    ///
    /// # Panics
    ///
    /// If the range is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// hydracache::testing::simulate(17, |world| async move {
    ///     assert!((1..7).contains(&world.random(1..7)));
    /// });
    /// ```
    pub fn random(&self, range: Range<u64>) -> u64 {
        self.0.rng.borrow_mut().u64(range)
    }

    /// Whether something happens that does with this probability.
    pub(super) fn happens(&self, probability: f64) -> bool {
        self.0.rng.borrow_mut().f64() < probability
    }

    /// Waits while others may go on: not at all, or up to three times.
    ///
    /// # Examples
    ///
    /// See [`testing`](crate::testing).
    pub async fn pause(&self) {
        for _ in 0..self.random(0..4) {
            yield_now().await;
        }
    }

    /// Waits for a time of the world's clock.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// hydracache::testing::simulate(17, |world| async move {
    ///     world.wait(Duration::from_secs(60)).await;
    /// });
    /// ```
    pub async fn wait(&self, time: Duration) {
        Timer::sleep(&self.0.clock, time).await;
    }

    /// Asks the simulated backend: `read` is run at some moment while this waits, and its
    /// answer comes some time later, unless the world's [`Chaos`] has it otherwise.
    ///
    /// # Errors
    ///
    /// A [`Fault`] as often as the chaos says.
    ///
    /// # Panics
    ///
    /// As often as the chaos says, which ends the task.
    ///
    /// # Examples
    ///
    /// See [`testing`](crate::testing).
    pub async fn load<T>(&self, read: impl FnOnce() -> T) -> Result<T, Fault> {
        let chaos = self.chaos();
        self.pause().await;
        let answer = read();
        self.pause().await;
        if self.happens(chaos.hang) {
            self.wait(A_DAY).await;
        }
        if self.happens(chaos.slow) {
            let time = Duration::from_millis(self.random(0..SLOW));
            self.wait(time).await;
        }
        if self.happens(chaos.panic) {
            // No message is printed of it: no hook runs.
            resume_unwind(Box::new(Injected));
        }
        if self.happens(chaos.fail) {
            return Err(Fault);
        }
        Ok(answer)
    }

    /// Begins a task. It runs whether or not the result is awaited.
    ///
    /// # Examples
    ///
    /// ```
    /// hydracache::testing::simulate(17, |world| async move {
    ///     let seven = world.spawn(async { 7 });
    ///     assert_eq!(seven.await, Some(7));
    /// });
    /// ```
    pub fn spawn<T: 'static>(&self, task: impl Future<Output = T> + 'static) -> Spawned<T> {
        let slot = Rc::new(Slot {
            output: Cell::new(None),
            is_over: Cell::new(false),
            waker: Cell::new(None),
        });
        let end = End(Rc::clone(&slot));
        let task = async move {
            let output = task.await;
            end.0.output.set(Some(output));
        };
        // The receiver lives as long as the scenario.
        let _ = self.0.tasks.send(Box::pin(task));
        Spawned(slot)
    }
}

/// Shows the seed.
impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("seed", &self.0.seed)
            .finish_non_exhaustive()
    }
}

struct Slot<T> {
    output: Cell<Option<T>>,
    is_over: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

/// Says that a task is over, whichever way.
struct End<T>(Rc<Slot<T>>);

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        self.0.is_over.set(true);
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }
}

/// The end of a task: its output, or `None` if it was dropped or panicked by chaos. Made by
/// [`World::spawn`]; dropping it leaves the task alone.
///
/// # Examples
///
/// See [`World::spawn`].
#[must_use = "the task runs by itself, but its output is here"]
pub struct Spawned<T>(Rc<Slot<T>>);

impl<T> Future for Spawned<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if self.0.is_over.get() {
            return Poll::Ready(self.0.output.take());
        }
        self.0.waker.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl<T> fmt::Debug for Spawned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawned")
            .field("is_over", &self.0.is_over.get())
            .finish_non_exhaustive()
    }
}
