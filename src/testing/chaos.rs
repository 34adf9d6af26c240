//! The faults of a simulation, and the probability of each.

use std::error::Error;
use std::fmt;

/// The probability of each fault, from 0 to 1, for [`World::set_chaos`](super::World::set_chaos).
///
/// A world begins with [`Chaos::none`]: only the order of the tasks is random.
///
/// # Examples
///
/// ```
/// use hydracache::testing::{Chaos, simulate};
///
/// simulate(17, |world| async move {
///     assert_eq!(world.load(|| 7).await, Ok(7));
///     world.set_chaos(Chaos::none().fail(1.0));
///     assert!(world.load(|| 7).await.is_err());
/// });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[must_use = "a `Chaos` has no effect before `World::set_chaos`"]
pub struct Chaos {
    // Of each load.
    pub(super) slow: f64,
    pub(super) fail: f64,
    pub(super) hang: f64,
    pub(super) panic: f64,
    // Of each step of a task.
    pub(super) cancel: f64,
}

impl Chaos {
    /// Creates a `Chaos` without faults.
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::testing::{Chaos, simulate};
    ///
    /// simulate(17, |world| async move {
    ///     world.set_chaos(Chaos::none());
    ///     assert_eq!(world.load(|| 7).await, Ok(7));
    /// });
    /// ```
    pub fn none() -> Self {
        Self::default()
    }

    /// Creates a `Chaos` with a few faults of every kind.
    ///
    /// A load is slow with the probability 0.25, fails with 0.1, hangs with 0.02 and panics with
    /// 0.02. At each step, a task is dropped with 0.01.
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::testing::{Chaos, simulate};
    ///
    /// simulate(17, |world| async move {
    ///     world.set_chaos(Chaos::some().panic(0.0));
    ///     let mut failures = 0;
    ///     for _ in 0..1000 {
    ///         failures += u32::from(world.load(|| 7).await.is_err());
    ///     }
    ///     assert!((50..200).contains(&failures)); // about 100
    /// });
    /// ```
    pub fn some() -> Self {
        let none = Self::none().slow(0.25).fail(0.1);
        none.hang(0.02).panic(0.02).cancel(0.01)
    }

    /// Sets the probability of a slow load, which takes up to ten seconds.
    ///
    /// # Panics
    ///
    /// If the probability is not from 0 to 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use hydracache::Clock;
    /// use hydracache::testing::{Chaos, simulate};
    ///
    /// simulate(17, |world| async move {
    ///     world.set_chaos(Chaos::none().slow(1.0));
    ///     let start = world.clock().now();
    ///     for _ in 0..10 {
    ///         assert_eq!(world.load(|| 7).await, Ok(7));
    ///     }
    ///     assert!(world.clock().now() - start > Duration::from_secs(10));
    /// });
    /// ```
    #[track_caller]
    pub fn slow(self, slow: f64) -> Self {
        let slow = probability(slow);
        Self { slow, ..self }
    }

    /// Sets the probability of a load with a [`Fault`].
    ///
    /// # Panics
    ///
    /// If the probability is not from 0 to 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::testing::{Chaos, simulate};
    ///
    /// simulate(17, |world| async move {
    ///     world.set_chaos(Chaos::none().fail(1.0));
    ///     assert!(world.load(|| 7).await.is_err());
    /// });
    /// ```
    #[track_caller]
    pub fn fail(self, fail: f64) -> Self {
        let fail = probability(fail);
        Self { fail, ..self }
    }

    /// Sets the probability of a hung load, which takes a day.
    ///
    /// # Panics
    ///
    /// If the probability is not from 0 to 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use hydracache::Clock;
    /// use hydracache::testing::{Chaos, simulate};
    ///
    /// simulate(17, |world| async move {
    ///     world.set_chaos(Chaos::none().hang(1.0));
    ///     let start = world.clock().now();
    ///     assert_eq!(world.load(|| 7).await, Ok(7));
    ///     assert!(world.clock().now() - start >= Duration::from_secs(86_400));
    /// });
    /// ```
    #[track_caller]
    pub fn hang(self, hang: f64) -> Self {
        let hang = probability(hang);
        Self { hang, ..self }
    }

    /// Sets the probability of a panic in a load. The panic ends the task, and nothing else.
    ///
    /// In the scenario itself, the panic fails the simulation: call such loads in spawned tasks.
    ///
    /// # Panics
    ///
    /// If the probability is not from 0 to 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::testing::{Chaos, simulate};
    ///
    /// simulate(17, |world| async move {
    ///     world.set_chaos(Chaos::none().panic(1.0));
    ///     let backend = world.clone();
    ///     let task = world.spawn(async move { backend.load(|| 7).await });
    ///     assert_eq!(task.await, None);
    /// });
    /// ```
    #[track_caller]
    pub fn panic(self, panic: f64) -> Self {
        let panic = probability(panic);
        Self { panic, ..self }
    }

    /// Sets the probability that a task is dropped instead of polled, at each step.
    ///
    /// Applies to spawned tasks and to background loads, not to the scenario.
    ///
    /// # Panics
    ///
    /// If the probability is not from 0 to 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::testing::{Chaos, simulate};
    ///
    /// simulate(17, |world| async move {
    ///     world.set_chaos(Chaos::none().cancel(1.0));
    ///     assert_eq!(world.spawn(async { 7 }).await, None);
    /// });
    /// ```
    #[track_caller]
    pub fn cancel(self, cancel: f64) -> Self {
        let cancel = probability(cancel);
        Self { cancel, ..self }
    }
}

/// Checks a probability at the setter, so that the panic shows the line of the test.
#[track_caller]
fn probability(part: f64) -> f64 {
    // NaN is outside of every range.
    let is_valid = (0.0..=1.0).contains(&part);
    assert!(is_valid, "a probability is from 0 to 1, not {part}");
    part
}

/// The error of the simulated backend, from [`World::load`](super::World::load).
///
/// # Examples
///
/// ```
/// use hydracache::testing::{Chaos, simulate};
///
/// simulate(17, |world| async move {
///     world.set_chaos(Chaos::none().fail(1.0));
///     let fault = world.load(|| 7).await.unwrap_err();
///     assert_eq!(fault.to_string(), "the simulated backend failed");
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulated backend failed")
    }
}

// A loader's own error, so that `source().downcast_ref::<Fault>()` finds the fault in a test.
impl Error for Fault {}

/// The payload of a simulated panic, to tell this panic from a failed assertion.
pub(super) struct Injected;
