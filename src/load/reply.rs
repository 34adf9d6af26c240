//! The outputs of loading verbs.

use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::loaded::Fetched;
use super::served::Served;
use crate::engine::Engine;
use crate::runtime::Moment;
use crate::value::{Access, ByArc, ByValue, Codec};

/// The output of a verb. An implementation is a marker: no value of the type exists.
pub(crate) trait Reply {
    /// How the verb holds values.
    type Access: Access;

    /// The output of the verb.
    type Output;

    /// `true` if the output tells the age of the value, so that the entry must keep the
    /// time at which it was stored.
    const REPORTS_AGE: bool = false;

    fn reply<C: Codec>(engine: &Engine<C>, served: Served<Self::Access>) -> Self::Output;
}

/// A value of the caller's own: `get_or_load` and most others.
pub(crate) struct Value<V>(PhantomData<V>);

impl<V: Serialize + DeserializeOwned> Reply for Value<V> {
    type Access = ByValue<V>;
    type Output = V;

    #[inline]
    fn reply<C: Codec>(_engine: &Engine<C>, served: Served<ByValue<V>>) -> V {
        served.value
    }
}

/// A value with its source and times: `fetch`.
pub(crate) struct WithSource<V>(PhantomData<V>);

impl<V: Serialize + DeserializeOwned> Reply for WithSource<V> {
    type Access = ByValue<V>;
    type Output = Fetched<V>;

    const REPORTS_AGE: bool = true;

    fn reply<C: Codec>(engine: &Engine<C>, served: Served<ByValue<V>>) -> Fetched<V> {
        let now = engine.now();
        let age = served.stored.map(|stored| now.get().since(stored));
        let time_left = match served.fresh_until {
            Moment::NEVER => None,
            until => Some(until.since(now.get())),
        };
        Fetched {
            value: served.value,
            source: served.source,
            age: age.unwrap_or_default(),
            time_left,
        }
    }
}

/// A value that all callers share: typed caches.
pub(crate) struct SharedValue<V>(PhantomData<V>);

impl<V: Serialize + Send + Sync + 'static> Reply for SharedValue<V> {
    type Access = ByArc<V>;
    type Output = Arc<V>;

    #[inline]
    fn reply<C: Codec>(_engine: &Engine<C>, served: Served<ByArc<V>>) -> Arc<V> {
        served.value
    }
}
