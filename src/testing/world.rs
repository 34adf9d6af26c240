//! The world of a scenario: time, random numbers, a backend, and tasks.

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

/// The time of a hung load.
const HANG: Duration = Duration::from_secs(86_400);

/// The longest time of a slow load, in milliseconds.
const MAX_SLOW_MILLIS: u64 = 10_000;

/// The world of a scenario: a clock, random numbers, a simulated backend, and tasks.
///
/// A clone is the same world. [`simulate`](super::simulate) creates the world of a seed.
///
/// # Examples
///
/// ```
/// use hydracache::CacheOptions;
///
/// hydracache::testing::simulate(17, |world| async move {
///     let cache = world.builder().build();
///     let (reader, backend) = (cache.clone(), world.clone());
///     let task = world.spawn(async move {
///         let load = || backend.load(|| 7_u32);
///         reader.get_or_load("row", CacheOptions::new(), load).await.ok()
///     });
///     assert_eq!(task.await, Some(Some(7)));
///     assert_eq!(cache.get::<u32>("row").await.unwrap(), Some(7));
/// });
/// ```
#[derive(Clone)]
pub struct World(Rc<Shared>);

/// The state behind all clones of a world.
struct Shared {
    seed: u64,
    /// The source of every random choice. Nothing else may be random, or a seed would not repeat.
    rng: RefCell<Rng>,
    chaos: Cell<Chaos>,
    clock: ManualClock,
    /// To the executor: spawned tasks.
    tasks: Sender<LocalTask>,
    /// To the executor: background loads. A channel, because a spawner must be `Send`.
    background: Sender<BoxFuture>,
}

/// A task of this thread, not necessarily `Send`.
pub(super) type LocalTask = Pin<Box<dyn Future<Output = ()>>>;

/// Started tasks and background loads, before the first poll.
pub(super) struct Queues {
    pub(super) tasks: Receiver<LocalTask>,
    pub(super) background: Receiver<BoxFuture>,
}

impl World {
    /// Creates the world of a seed, and the queues for the executor.
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

    /// Returns the seed of this world.
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

    /// Returns the clock and timer of this world.
    ///
    /// The clock moves a little between steps, and to the end of the next sleep if every task
    /// waits. The scenario may move the clock too.
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

    /// Returns a builder for a cache with the clock and the timer of this world. Background loads
    /// run as tasks of this world.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use hydracache::CacheOptions;
    ///
    /// hydracache::testing::simulate(17, |world| async move {
    ///     let cache = world.builder().build();
    ///     let minute = Duration::from_secs(60);
    ///     let options = CacheOptions::new().ttl(minute);
    ///     cache.put("row", 7_u32, options).await.unwrap();
    ///     world.clock().advance(minute);
    ///     assert!(!cache.contains_key("row").await);
    /// });
    /// ```
    pub fn builder(&self) -> CacheBuilder {
        let background = self.0.background.clone();
        HydraCache::local()
            .clock(self.0.clock.clone())
            .timer(self.0.clock.clone())
            .spawner(move |load| {
                // Fails after the end of the simulation: the load is dropped.
                let _ = background.send(load);
            })
    }

    /// Sets the probabilities of faults, from now on. The default is [`Chaos::none`].
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::testing::Chaos;
    ///
    /// hydracache::testing::simulate(17, |world| async move {
    ///     world.set_chaos(Chaos::none().fail(1.0));
    ///     assert!(world.load(|| 7).await.is_err());
    ///     world.set_chaos(Chaos::none());
    ///     assert_eq!(world.load(|| 7).await, Ok(7));
    /// });
    /// ```
    pub fn set_chaos(&self, chaos: Chaos) {
        self.0.chaos.set(chaos);
    }

    pub(super) fn chaos(&self) -> Chaos {
        self.0.chaos.get()
    }

    /// Returns a random number in the range, chosen by the seed.
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

    /// Returns `true` with this probability, else `false`.
    pub(super) fn happens(&self, probability: f64) -> bool {
        // Never for 0, always for 1: the number is below 1.
        self.0.rng.borrow_mut().f64() < probability
    }

    /// Yields to the other tasks, a random number of times from 0 to 3.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    ///
    /// hydracache::testing::simulate(17, |world| async move {
    ///     let done = Rc::new(Cell::new(false));
    ///     let flag = Rc::clone(&done);
    ///     let task = world.spawn(async move { flag.set(true) });
    ///     while !done.get() {
    ///         world.pause().await; // the task runs meanwhile
    ///     }
    ///     assert_eq!(task.await, Some(()));
    /// });
    /// ```
    pub async fn pause(&self) {
        for _ in 0..self.random(0..4) {
            yield_now().await;
        }
    }

    /// Waits for a time, by the clock of this world.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use hydracache::Clock;
    ///
    /// hydracache::testing::simulate(17, |world| async move {
    ///     let start = world.clock().now();
    ///     world.wait(Duration::from_secs(60)).await;
    ///     assert!(world.clock().now() - start >= Duration::from_secs(60));
    /// });
    /// ```
    pub async fn wait(&self, time: Duration) {
        Timer::sleep(&self.0.clock, time).await;
    }

    /// Asks the simulated backend. `read` runs at a random step, and the answer comes at a later
    /// random step.
    ///
    /// The [`Chaos`] of this world decides about slow and hung answers, errors and panics.
    ///
    /// # Errors
    ///
    /// A [`Fault`], with the probability of [`Chaos::fail`].
    ///
    /// # Panics
    ///
    /// With the probability of [`Chaos::panic`]. The panic ends the task.
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::testing::Chaos;
    ///
    /// hydracache::testing::simulate(17, |world| async move {
    ///     assert_eq!(world.load(|| 7).await, Ok(7));
    ///     world.set_chaos(Chaos::none().fail(1.0));
    ///     assert!(world.load(|| 7).await.is_err());
    /// });
    /// ```
    pub async fn load<T>(&self, read: impl FnOnce() -> T) -> Result<T, Fault> {
        // 1. The question is on the way, the backend reads, the answer is on the way.
        let chaos = self.chaos();
        self.pause().await;
        let answer = read();
        self.pause().await;
        // 2. After the read, so that a late answer can be a stale answer.
        if self.happens(chaos.hang) {
            self.wait(HANG).await;
        }
        if self.happens(chaos.slow) {
            let time = Duration::from_millis(self.random(0..MAX_SLOW_MILLIS));
            self.wait(time).await;
        }
        if self.happens(chaos.panic) {
            // Not `panic!`: without the panic hook, no message is printed.
            resume_unwind(Box::new(Injected));
        }
        if self.happens(chaos.fail) {
            return Err(Fault);
        }
        Ok(answer)
    }

    /// Starts a task. The task runs even if the result is not awaited.
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
        let state = Rc::new(TaskState {
            output: Cell::new(None),
            is_over: Cell::new(false),
            waker: Cell::new(None),
        });
        // Moved into the future, so that dropping the task at any point marks the end.
        let end = TaskEnd(Rc::clone(&state));
        let task = async move {
            let output = task.await;
            end.0.output.set(Some(output));
        };
        // Never fails inside a scenario: the executor holds the receiver until the end.
        let _ = self.0.tasks.send(Box::pin(task));
        Spawned(state)
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

/// The state shared by a task and the [`Spawned`] of the task.
struct TaskState<T> {
    /// `None` after the end if the task was dropped or panicked.
    output: Cell<Option<T>>,
    is_over: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

/// Marks a task as over on drop, after the output, a cancellation or a panic.
struct TaskEnd<T>(Rc<TaskState<T>>);

impl<T> Drop for TaskEnd<T> {
    fn drop(&mut self) {
        self.0.is_over.set(true);
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }
}

/// A future of the output of a task, from [`World::spawn`]. `None` if [`Chaos`] dropped the task
/// or made the task panic.
///
/// Dropping this future does not affect the task.
///
/// # Examples
///
/// ```
/// use hydracache::testing::Chaos;
///
/// hydracache::testing::simulate(17, |world| async move {
///     assert_eq!(world.spawn(async { 7 }).await, Some(7));
///     world.set_chaos(Chaos::none().cancel(1.0));
///     assert_eq!(world.spawn(async { 7 }).await, None);
/// });
/// ```
#[must_use = "the task runs by itself; await the `Spawned` for the output"]
pub struct Spawned<T>(Rc<TaskState<T>>);

impl<T> Future for Spawned<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        // The output is taken, so a second poll after the end returns `None`.
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
