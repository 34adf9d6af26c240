//! The result of a loader for many keys.

use std::sync::Arc;

use crate::error::BoxError;

/// The result of the loader of [`get_or_load_many`](crate::TypedCache::get_or_load_many): a value
/// for each key given to the loader, in the order of the keys.
///
/// Either `Result<Vec<V>, E>`, with a common error for all keys, or `Vec<Result<V, E>>`, with a
/// result for each key. A wrong number of values is an error of all keys.
///
/// The values are plain values, not [`Loaded`](crate::Loaded): a loader for many keys cannot
/// choose a time to live or tags for a key.
///
/// # Examples
///
/// ```
/// use futures_lite::future::block_on;
/// use hydracache::{CacheOptions, HydraCache};
///
/// let squares = HydraCache::local().build().typed::<u32, u32>("squares");
/// let load = |keys: Vec<u32>| async move {
///     let square = |key: u32| key.checked_mul(key).ok_or("too large");
///     keys.into_iter().map(square).collect::<Vec<_>>()
/// };
/// let found = block_on(squares.get_or_load_many([7, 70_000], CacheOptions::new(), load));
/// assert_eq!(**found[0].as_ref().unwrap(), 49);
/// assert!(found[1].as_ref().unwrap_err().is_load());
/// ```
pub trait LoadedMany<V>: sealed::Sealed<V> {}

impl<V, T: sealed::Sealed<V>> LoadedMany<V> for T {}

/// The results in the order of the keys, or the common error of all keys.
pub(crate) type Each<V> = Result<Vec<Result<V, Arc<BoxError>>>, Arc<BoxError>>;

pub(crate) mod sealed {
    use super::{Arc, BoxError, Each};

    #[expect(
        unnameable_types,
        reason = "sealed: no implementation outside this crate"
    )]
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
