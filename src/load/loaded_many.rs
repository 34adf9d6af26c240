//! What a loader of many values gives.

use std::sync::Arc;

use crate::error::BoxError;

/// What the loader of [`get_or_load_many`](crate::TypedCache::get_or_load_many) gives: a value
/// for each key that it was given, in their order.
///
/// Either `Result<Vec<V>, E>`, where one error is that of every key, or
/// `Vec<Result<V, E>>`, where each key may have one of its own. One that gives another number
/// of values has failed for all of its keys.
///
/// # Examples
///
/// ```
/// use futures_lite::future::block_on;
/// use hydracache::{CacheOptions, HydraCache};
///
/// let squares = HydraCache::local().build().typed::<u32, u32>("squares");
/// let load = |keys: Vec<u32>| async move {
///     let one = |key: u32| key.checked_mul(key).ok_or("too large");
///     keys.into_iter().map(one).collect::<Vec<_>>()
/// };
/// let found = block_on(squares.get_or_load_many([7, 70_000], CacheOptions::new(), load));
/// assert_eq!(**found[0].as_ref().unwrap(), 49);
/// assert!(found[1].as_ref().unwrap_err().is_load());
/// ```
pub trait LoadedMany<V>: sealed::Sealed<V> {}

impl<V, T: sealed::Sealed<V>> LoadedMany<V> for T {}

/// The values in the order of their keys, or what went wrong with each or with all.
pub(crate) type Each<V> = Result<Vec<Result<V, Arc<BoxError>>>, Arc<BoxError>>;

pub(crate) mod sealed {
    use super::{Arc, BoxError, Each};

    #[expect(unnameable_types, reason = "nobody else is to implement it")]
    pub trait Sealed<V> {
        #[doc(hidden)]
        fn into_each(self) -> Each<V>;
    }

    impl<V, E: Into<BoxError>> Sealed<V> for Result<Vec<V>, E> {
        fn into_each(self) -> Each<V> {
            match self {
                Ok(values) => Ok(values.into_iter().map(Ok).collect()),
                Err(error) => Err(Arc::new(error.into())),
            }
        }
    }

    impl<V, E: Into<BoxError>> Sealed<V> for Vec<Result<V, E>> {
        fn into_each(self) -> Each<V> {
            let one = |value: Result<V, E>| value.map_err(|error| Arc::new(error.into()));
            Ok(self.into_iter().map(one).collect())
        }
    }
}
