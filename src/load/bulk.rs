//! Loading many keys with one loader.
//!
//! The call looks up every key and claims the free slots of the missing keys; one loader loads
//! all these keys. These loads complete before the call waits for the loads of other calls, so two
//! calls with overlapping keys cannot wait for each other:
//!
//! 1. A claims `x`, B claims `y`, and each joins the other's load.
//! 2. A runs its loader for `x` to the end and completes. Only then does A wait for `y`.
//! 3. B does the same for `y`. Neither waits while its own load is open.
//!
//! If the leader of a joined load is dropped, the key comes back, and the loader is called
//! again.
//!
//! After a wait, the call looks again, once, at the values found before:
//!
//! 1. A finds `x`, and loads `y` for a second.
//! 2. B changes `x` in the database, and invalidates `x`.
//! 3. A has `y`. The value of `x` is a second old, and no longer valid: A loads `x` too.
//!
//! There is no third look, so permanent invalidations of a key do not hold the call.

use std::future::poll_fn;
use std::task::Poll;

use super::join::{Join, join};
use super::leader_group::LeaderGroup;
use super::loaded_many::LoadedMany;
use super::served::Served;
use super::step::{LoaderKind, Look, Step, step};
use super::timeouts::Timeouts;
use crate::engine::Engine;
use crate::error::CacheResult;
use crate::key::{Key, SmallBytes};
use crate::options::CallOptions;
use crate::shard::{LoadLookup, LoadRequest};
use crate::value::{Access, Codec};

/// Returns many values, and loads the missing ones. `loader` gets the places of their keys.
/// The keys differ.
pub(crate) fn load_many<A, L, Fut, C>(
    engine: &Engine<C>,
    keys: &[SmallBytes],
    mut options: CallOptions<'_>,
    mut loader: impl FnMut(Vec<usize>) -> Fut,
) -> impl Future<Output = Vec<CacheResult<A::Held>>>
where
    A: Access,
    L: LoadedMany<A::Value>,
    Fut: Future<Output = L>,
    C: Codec,
{
    async move {
        let mut answers: Vec<Option<CacheResult<A::Held>>> = keys.iter().map(|_| None).collect();
        let mut missing: Vec<usize> = (0..keys.len()).collect();
        let mut waits = Vec::new();
        let mut look = Look::First;
        let mut timeouts = None;
        // The places of the answers found before the first wait.
        let mut found = Vec::new();
        loop {
            while !(missing.is_empty() && waits.is_empty()) {
                // 1. A step for every key without an answer.
                let mut group = LeaderGroup::new();
                for index in missing.drain(..) {
                    let key = engine.key_of(keys[index].as_bytes());
                    match step::<A, C>(engine, key, &mut options, LoaderKind::PLAIN, look) {
                        Ok(Step::Serve(served)) => answers[index] = Some(Ok(served.value)),
                        Ok(Step::Lead(claim)) => group.add(index, claim),
                        Ok(Step::Join(other)) => {
                            Timeouts::start(&mut timeouts, options.extra(), &engine.now());
                            let timeouts = timeouts.as_deref().map(Timeouts::for_another_wait);
                            let timeouts = timeouts.map(Box::new);
                            waits.push(Box::pin(wait::<A, C>(engine, index, key, other, timeouts)));
                        }
                        Err(error) => answers[index] = Some(Err(error)),
                    }
                }
                if look == Look::First && !(group.is_empty() && waits.is_empty()) {
                    found.extend((0..keys.len()).filter(|&index| answers[index].is_some()));
                }
                look = Look::Again;
                // 2. The call's own loads, to their end.
                if !group.is_empty() {
                    let loaded = group.drive(&mut loader, &mut timeouts).await;
                    group.complete::<A>(loaded, |index, served| {
                        answers[index] = Some(served.map(|served| served.value));
                    });
                    continue;
                }
                // 3. The loads of others, until one is done or a key comes back. That key is loaded
                //    at once, however long the other loads take.
                poll_fn(|cx| {
                    waits.retain_mut(|wait| match wait.as_mut().poll(cx) {
                        Poll::Pending => true,
                        Poll::Ready((index, None)) => {
                            missing.push(index);
                            false
                        }
                        Poll::Ready((index, Some(served))) => {
                            answers[index] = Some(served.map(|served| served.value));
                            false
                        }
                    });
                    if !missing.is_empty() || waits.is_empty() {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
            }
            // 4. The second look, unless the time of the call is over. `found` is empty from now
            //    on, so this is the last round.
            let is_over = timeouts
                .as_ref()
                .is_some_and(|timeouts| timeouts.is_over(&engine.now()));
            if !is_over {
                // guard: a call for many keys looks again at the values found before its wait
                for index in std::mem::take(&mut found) {
                    let key = engine.key_of(keys[index].as_bytes());
                    match look_again::<A, C>(engine, key) {
                        Some(value) => answers[index] = Some(Ok(value)),
                        None => missing.push(index),
                    }
                }
            }
            if missing.is_empty() {
                break;
            }
        }
        answers.into_iter().flatten().collect()
    }
}

/// Returns the current value of a key found before, or `None` if a load must start. Counts nothing:
/// the first look of the call counts.
fn look_again<A: Access, C: Codec>(engine: &Engine<C>, key: Key<'_>) -> Option<A::Held> {
    let request = LoadRequest::new(A::type_tag(), &engine.log);
    let shard = engine.shard_of(key.hash);
    let found = match shard.probe_load(key, &request, &engine.now()) {
        LoadLookup::Hit(found) => found,
        // A load ahead of the end is for another call to begin.
        LoadLookup::Missing(Some(found)) if found.is_fresh() => found,
        _ => return None,
    };
    engine.decode_as::<A>(key.bytes, &found.value).ok()
}

/// Waits for the load of one key among many.
async fn wait<A: Access, C: Codec>(
    engine: &Engine<C>,
    index: usize,
    key: Key<'_>,
    other: Join,
    mut timeouts: Option<Box<Timeouts>>,
) -> (usize, Option<CacheResult<Served<A>>>) {
    (index, join(engine, &key, &other, &mut timeouts).await)
}
