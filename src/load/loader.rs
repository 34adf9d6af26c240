//! A caller's loader, in the forms that verbs take.

use super::handover::Handover;
use super::join::Join;
use super::loaded::{Loaded, Old};
use crate::engine::Handle;
use crate::error::BoxError;
use crate::value::{Access, Codec};

/// A closure that loads a missing value, and the future of the closure.
pub(crate) trait Loader<A: Access>: Sized {
    /// `true` if the loader sees the old value and may choose tags.
    const IS_FULL: bool;

    /// `true` if the loader was handed over, so that the load may run without its caller.
    const MAY_RUN_ALONE: bool = false;

    /// The result of the loader: a value, or a value with tags and times.
    type Value: Into<Loaded<A::Value>>;
    type Error: Into<BoxError>;
    type Future: Future<Output = Result<Self::Value, Self::Error>>;

    /// Calls the closure.
    fn call(self, old: Option<Old<A::Value>>) -> Self::Future;

    /// Hands the load to the spawner, if `MAY_RUN_ALONE`, and returns the load to wait for.
    fn hand_over<C: Codec>(self, _engine: &Handle<C>, _handover: Handover<'_, C>) -> Join {
        unreachable!("only a load with an owned loader gets a permit")
    }
}

/// A loader without arguments. The tags are those of the call.
pub(crate) struct Plain<F>(pub(crate) F);

impl<A, T, E, F, Fut> Loader<A> for Plain<F>
where
    A: Access,
    T: Into<Loaded<A::Value>>,
    E: Into<BoxError>,
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    const IS_FULL: bool = false;

    type Value = T;
    type Error = E;
    type Future = Fut;

    fn call(self, _old: Option<Old<A::Value>>) -> Fut {
        (self.0)()
    }
}

/// A loader that sees the old value and may choose tags.
pub(crate) struct Full<F>(pub(crate) F);

impl<A, T, E, F, Fut> Loader<A> for Full<F>
where
    A: Access,
    T: Into<Loaded<A::Value>>,
    E: Into<BoxError>,
    F: FnOnce(Option<Old<A::Value>>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    const IS_FULL: bool = true;

    type Value = T;
    type Error = E;
    type Future = Fut;

    fn call(self, old: Option<Old<A::Value>>) -> Fut {
        (self.0)(old)
    }
}
