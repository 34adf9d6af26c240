//! Loading calls of the cache, with loaders that wait for a result from the test.

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

/// The result of a loader.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Value {
        id: u32,
        ttl: Option<u64>,
        tags: u8,
        /// Returns "unchanged" instead of the value, if there is an old value.
        unchanged: bool,
    },
    Error,
    Panic,
}

/// The recorded call of a loader, and its result. Without a result the loader waits.
#[derive(Debug, Default)]
pub(super) struct Gate {
    pub(super) was_called: bool,
    pub(super) old: Option<u32>,
    pub(super) answer: Option<Answer>,
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

    async fn answer(&self) -> Answer {
        let answer = poll_fn(|_| match self.with(|gate| gate.answer) {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        });
        answer.await
    }

    async fn answer_fetch<V: Value>(self, old: Option<Old<V>>) -> Result<Loaded<V>, &'static str> {
        match self.answer().await {
            Answer::Value {
                id,
                ttl,
                tags,
                unchanged,
            } => {
                let loaded = match old.filter(|_| unchanged) {
                    Some(old) => old.unchanged(),
                    None => Loaded::new(V::from_id(id)),
                };
                let loaded = loaded.tags(tag_names(tags));
                Ok(match ttl {
                    Some(0) => loaded.no_store(),
                    Some(ttl) => loaded.ttl(Duration::from_nanos(ttl)),
                    None => loaded,
                })
            }
            Answer::Error => Err("away"),
            // `resume_unwind` skips the panic hook, which would report a finding.
            Answer::Panic => resume_unwind(Box::new("on purpose")),
        }
    }

    async fn answer_plain<V: Value>(self) -> Result<V, &'static str> {
        match self.answer().await {
            Answer::Value { id, .. } => Ok(V::from_id(id)),
            Answer::Error => Err("away"),
            Answer::Panic => resume_unwind(Box::new("on purpose")),
        }
    }
}

/// The answer of a call: the id of the value and, for `fetch`, its source and age.
pub(super) type Got = CacheResult<(u32, Option<(Source, Duration)>)>;

/// Creates the future of a loading call.
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
                gate.answer_plain::<V>()
            }
        };
        match verb {
            Verb::GetOrLoad => plain(cache.get_or_load(&key, options, loader).await),
            Verb::Refresh => plain(cache.refresh(&key, options, loader).await),
            Verb::GetOrRefresh => plain(cache.get_or_refresh(&key, options, loader).await),
            Verb::Fetch => {
                let loader = |old: Option<Old<V>>| {
                    gate.call(old.as_ref().map(|old| old.value().id()));
                    gate.answer_fetch(old)
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
