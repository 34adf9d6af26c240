//! Loading calls as the cache sees them: verbs, with loaders that end when they are told to.

use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use hydracache::{CacheOptions, CacheResult, Fetched, HydraCache, Loaded, Old, Source};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::input::{Verb, tag_names};
use super::values::Value;

/// What a loader will give. `None` keeps it waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Given {
    Value {
        id: u32,
        ttl: Option<u64>,
        tags: u8,
        /// Instead of the value, if there is an old one.
        unchanged: bool,
    },
    Error,
    Panic,
}

/// What a loader was told, and what it is to give.
#[derive(Debug, Default)]
pub(super) struct Gate {
    pub(super) was_called: bool,
    pub(super) old: Option<u32>,
    pub(super) given: Option<Given>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct SharedGate(Arc<Mutex<Gate>>);

impl SharedGate {
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut Gate) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn call(&self, old: Option<u32>) {
        self.with(|gate| {
            assert!(!gate.was_called, "a loader was called twice");
            gate.was_called = true;
            gate.old = old;
        });
    }

    async fn given(&self) -> Given {
        let given = poll_fn(|_| match self.with(|gate| gate.given) {
            Some(given) => Poll::Ready(given),
            None => Poll::Pending,
        });
        given.await
    }

    async fn pass<V: Value>(self, old: Option<Old<V>>) -> Result<Loaded<V>, &'static str> {
        match self.given().await {
            Given::Value {
                id,
                ttl,
                tags,
                unchanged,
            } => {
                let loaded = match old.filter(|_| unchanged) {
                    Some(old) => old.unchanged(),
                    None => Loaded::new(V::of(id)),
                };
                let loaded = loaded.tags(tag_names(tags));
                Ok(match ttl {
                    Some(0) => loaded.no_store(),
                    Some(ttl) => loaded.ttl(Duration::from_nanos(ttl)),
                    None => loaded,
                })
            }
            Given::Error => Err("away"),
            // The hook of the fuzzer would take a panic for a finding.
            Given::Panic => resume_unwind(Box::new("on purpose")),
        }
    }

    async fn pass_plain<V: Value>(self) -> Result<V, &'static str> {
        match self.given().await {
            Given::Value { id, .. } => Ok(V::of(id)),
            Given::Error => Err("away"),
            Given::Panic => resume_unwind(Box::new("on purpose")),
        }
    }
}

/// What a call gave: the number of its value, where it is from and how old it is, if the
/// verb says so.
pub(super) type Got = CacheResult<(u32, Option<(Source, Duration)>)>;

/// The call of a verb.
pub(super) fn begin<V: Value + Serialize + DeserializeOwned + Send + 'static>(
    cache: HydraCache,
    verb: Verb,
    key: String,
    options: CacheOptions,
    gate: SharedGate,
) -> Pin<Box<dyn Future<Output = Got>>> {
    Box::pin(async move {
        let plain = |got: CacheResult<V>| got.map(|value| (value.id(), None));
        let loader = {
            let gate = gate.clone();
            move || {
                gate.call(None);
                gate.pass_plain::<V>()
            }
        };
        match verb {
            Verb::GetOrLoad => plain(cache.get_or_load(&key, options, loader).await),
            Verb::Refresh => plain(cache.refresh(&key, options, loader).await),
            Verb::GetOrRefresh => plain(cache.get_or_refresh(&key, options, loader).await),
            Verb::Fetch => {
                let loader = |old: Option<Old<V>>| {
                    gate.call(old.as_ref().map(|old| old.value().id()));
                    gate.pass(old)
                };
                let got = cache.fetch(&key, options, loader).await;
                got.map(
                    |Fetched {
                         value, source, age, ..
                     }| (value.id(), Some((source, age))),
                )
            }
        }
    })
}
