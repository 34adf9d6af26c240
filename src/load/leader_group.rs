//! The leaders of a call for many keys, with a common loader.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::drive::{complete, serve_after};
use super::leader::Leader;
use super::loaded::Loaded;
use super::loaded_many::LoadedMany;
use super::served::{OnFailure, Served};
use super::step::Claim;
use super::timeouts::Timeouts;
use crate::error::{BoxError, CacheError, CacheResult};
use crate::value::{Access, Codec};

/// The loads of a call, with a common loader.
pub(crate) struct LeaderGroup<'a, C: Codec> {
    members: Vec<GroupMember<'a, C>>,
    /// Whether the loader runs: a panic then is the panic of every load.
    is_running: bool,
}

struct GroupMember<'a, C: Codec> {
    /// The place of the key among the keys of the call.
    index: usize,
    leader: Leader<'a, C>,
    on_failure: OnFailure,
}

impl<'a, C: Codec> LeaderGroup<'a, C> {
    pub(crate) fn new() -> Self {
        Self {
            members: Vec::new(),
            is_running: false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Adds the load of a key.
    pub(crate) fn add(&mut self, index: usize, claim: Claim<'a, C>) {
        self.members.push(GroupMember {
            index,
            leader: claim.leader,
            on_failure: OnFailure::stale_if(claim.old.is_some()),
        });
    }

    /// Runs code of the loader.
    fn run<R>(&mut self, code: impl FnOnce() -> R) -> R {
        self.is_running = true;
        let result = code();
        self.is_running = false;
        result
    }

    /// Runs the loader to the end, within the timeouts. An error is the length of the timeout.
    pub(crate) async fn drive<Fut: Future>(
        &mut self,
        loader: impl FnOnce(Vec<usize>) -> Fut,
        timeouts: &mut Option<Box<Timeouts>>,
    ) -> Result<Fut::Output, Duration> {
        let keys = self.members.iter().map(|member| member.index).collect();
        let loading = self.run(|| loader(keys));
        if timeouts.is_none() {
            let first = self.members.first();
            *timeouts = first.and_then(|member| member.leader.timeouts());
        }
        let mut loading = pin!(loading);
        poll_fn(|cx| {
            let polled = self.run(|| loading.as_mut().poll(cx));
            match (polled, &mut *timeouts, self.members.first()) {
                (Poll::Ready(loaded), ..) => Poll::Ready(Ok(loaded)),
                (Poll::Pending, Some(timeouts), Some(GroupMember { leader, .. })) => {
                    let (timer, now) = (leader.engine.timer(), leader.engine.now());
                    timeouts.poll_hard(timer, &now, cx).map(Err)
                }
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Completes every load with the value of the key. `answer` gets the place of the key, and the
    /// value or the error for the key.
    pub(crate) fn complete<A: Access>(
        mut self,
        loaded: Result<impl LoadedMany<A::Value>, Duration>,
        mut answer: impl FnMut(usize, CacheResult<Served<A>>),
    ) {
        let count = self.members.len();
        let loaded = self.run(|| loaded.map(|loaded| values_for(count, loaded)));
        let members = std::mem::take(&mut self.members).into_iter();
        match loaded {
            // If the encoding of one value panics, the other leaders are dropped here: their
            // waiters look again.
            Ok(values) => members.zip(values).for_each(|(mut member, value)| {
                let served = match value {
                    Ok(value) => complete(&mut member.leader, Loaded::new(value), false),
                    Err(error) => {
                        let leader = &mut member.leader;
                        let error = CacheError::load(leader.key().bytes, error);
                        let error = leader.fail(error, true);
                        serve_after(leader, error, member.on_failure)
                    }
                };
                answer(member.index, served);
            }),
            Err(time) => members.for_each(|mut member| {
                let error = member.leader.time_out(time);
                let served = serve_after(&member.leader, error, member.on_failure);
                answer(member.index, served);
            }),
        }
    }
}

impl<C: Codec> Drop for LeaderGroup<'_, C> {
    fn drop(&mut self) {
        if self.is_running {
            for member in &mut self.members {
                member.leader.set_running();
            }
        }
    }
}

/// Returns a value or an error for each key.
fn values_for<V>(keys: usize, loaded: impl LoadedMany<V>) -> Vec<Result<V, Arc<BoxError>>> {
    let error = match loaded.into_each() {
        Ok(values) if values.len() == keys => return values,
        Ok(values) => {
            let gave = values.len();
            Arc::new(format!("it was given {keys} keys and gave {gave} values").into())
        }
        Err(error) => error,
    };
    (0..keys).map(|_| Err(Arc::clone(&error))).collect()
}
