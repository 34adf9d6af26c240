//! What goes wrong in a simulation, and how often.

use std::error::Error;
use std::fmt;

/// How often what goes wrong: each a probability from 0 to 1.
///
/// A world begins with [`Chaos::none`]: only the order is drawn.
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
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[must_use = "it is for `World::set_chaos`"]
pub struct Chaos {
    pub(super) slow: f64,
    pub(super) fail: f64,
    pub(super) hang: f64,
    pub(super) panic: f64,
    pub(super) cancel: f64,
}

impl Chaos {
    /// Creates one in which nothing goes wrong.
    ///
    /// # Examples
    ///
    /// ```
    /// let chaos = hydracache::testing::Chaos::none();
    /// # drop(chaos);
    /// ```
    pub fn none() -> Self {
        Self::default()
    }

    /// Creates one in which a little of everything does: one load in four is slow, one in ten
    /// fails, of fifty one hangs and one panics, and of a hundred steps of a task one is its
    /// last.
    ///
    /// # Examples
    ///
    /// ```
    /// let chaos = hydracache::testing::Chaos::some();
    /// # drop(chaos);
    /// ```
    pub fn some() -> Self {
        let none = Self::none().slow(0.25).fail(0.1);
        none.hang(0.02).panic(0.02).cancel(0.01)
    }

    /// Sets how many loads take up to ten seconds.
    ///
    /// # Panics
    ///
    /// Outside 0 to 1.
    ///
    /// # Examples
    ///
    /// ```
    /// let chaos = hydracache::testing::Chaos::none().slow(0.5);
    /// # drop(chaos);
    /// ```
    #[track_caller]
    pub fn slow(self, slow: f64) -> Self {
        let slow = probability(slow);
        Self { slow, ..self }
    }

    /// Sets how many loads end in a [`Fault`].
    ///
    /// # Panics
    ///
    /// Outside 0 to 1.
    ///
    /// # Examples
    ///
    /// See [`Chaos`].
    #[track_caller]
    pub fn fail(self, fail: f64) -> Self {
        let fail = probability(fail);
        Self { fail, ..self }
    }

    /// Sets how many loads take a day.
    ///
    /// # Panics
    ///
    /// Outside 0 to 1.
    ///
    /// # Examples
    ///
    /// ```
    /// let chaos = hydracache::testing::Chaos::none().hang(0.1);
    /// # drop(chaos);
    /// ```
    #[track_caller]
    pub fn hang(self, hang: f64) -> Self {
        let hang = probability(hang);
        Self { hang, ..self }
    }

    /// Sets how many loads panic. Such a panic ends the task that it unwinds through, and
    /// nothing else.
    ///
    /// # Panics
    ///
    /// Outside 0 to 1.
    ///
    /// # Examples
    ///
    /// ```
    /// let chaos = hydracache::testing::Chaos::none().panic(0.1);
    /// # drop(chaos);
    /// ```
    #[track_caller]
    pub fn panic(self, panic: f64) -> Self {
        let panic = probability(panic);
        Self { panic, ..self }
    }

    /// Sets at how many of its steps a task is dropped instead: each that was spawned, and each
    /// load in the background.
    ///
    /// # Panics
    ///
    /// Outside 0 to 1.
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

#[track_caller]
fn probability(part: f64) -> f64 {
    let is_one = (0.0..=1.0).contains(&part);
    assert!(is_one, "a probability is from 0 to 1, not {part}");
    part
}

/// The error of a simulated backend.
///
/// # Examples
///
/// See [`Chaos`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulated backend failed")
    }
}

impl Error for Fault {}

/// What a simulated panic unwinds with.
pub(super) struct Injected;
