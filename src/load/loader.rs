//! A caller's loader, in the two forms that verbs take.

use super::loaded::{Loaded, Old};
use crate::error::BoxError;

/// A closure that loads a missing value, and the future of the closure.
pub(crate) trait Loader<V> {
    /// `true` if the loader sees the old value and may choose tags of its own.
    const IS_FULL: bool;

    /// What the loader returns: `V` or `Loaded<V>`.
    type Value: Into<Loaded<V>>;
    type Error: Into<BoxError>;
    type Future: Future<Output = Result<Self::Value, Self::Error>>;

    /// Calls the closure.
    fn call(self, old: Option<Old<V>>) -> Self::Future;
}

/// A loader without arguments, whose tags are those of the call.
pub(crate) struct Plain<F>(pub(crate) F);

impl<V, T, E, F, Fut> Loader<V> for Plain<F>
where
    T: Into<Loaded<V>>,
    E: Into<BoxError>,
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    const IS_FULL: bool = false;

    type Value = T;
    type Error = E;
    type Future = Fut;

    fn call(self, _old: Option<Old<V>>) -> Fut {
        (self.0)()
    }
}

/// A loader that sees the old value and may choose tags.
pub(crate) struct Full<F>(pub(crate) F);

impl<V, T, E, F, Fut> Loader<V> for Full<F>
where
    T: Into<Loaded<V>>,
    E: Into<BoxError>,
    F: FnOnce(Option<Old<V>>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    const IS_FULL: bool = true;

    type Value = T;
    type Error = E;
    type Future = Fut;

    fn call(self, old: Option<Old<V>>) -> Fut {
        (self.0)(old)
    }
}
