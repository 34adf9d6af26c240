//! Loading many keys with one loader.
//!
//! Every key is looked up; of those that are missing the call takes the seats that are free,
//! and one loader loads them all. They land before the call waits for the loads of others:
//! two calls whose keys overlap cannot wait for each other. A key whose other leader was
//! dropped comes back, and the loader is called again.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::call::{Seat, Step, Wait};
use super::drive::{fail, land};
use super::leader::Leader;
use super::loaded::Loaded;
use super::loaded_many::LoadedMany;
use super::serve::{OnFailure, Served};
use super::timeouts::Timeouts;
use crate::engine::Engine;
use crate::error::{BoxError, CacheError, CacheResult};
use crate::key::SmallBytes;
use crate::options::CallOptions;
use crate::value::{Access, Codec};

/// The loads of one call, which have one loader.
struct LeaderGroup<'a, C: Codec> {
    leads: Vec<GroupMember<'a, C>>,
    /// Whether the loader runs: if it panics, it does so for all.
    is_running: bool,
}

struct GroupMember<'a, C: Codec> {
    /// Which of the call's keys it is.
    index: usize,
    lead: Leader<'a, C>,
    instead: OnFailure,
}

impl<'a, C: Codec> LeaderGroup<'a, C> {
    fn new() -> Self {
        Self {
            leads: Vec::new(),
            is_running: false,
        }
    }

    fn enlist(&mut self, index: usize, seat: Seat<'a, C>) {
        self.leads.push(GroupMember {
            index,
            lead: seat.lead,
            instead: OnFailure::old_if(seat.old.is_some()),
        });
    }

    /// Runs code of the loader.
    fn run<R>(&mut self, code: impl FnOnce() -> R) -> R {
        self.is_running = true;
        let result = code();
        self.is_running = false;
        result
    }

    /// Runs the loader to its end, within the time it has.
    async fn drive<Fut: Future>(
        &mut self,
        loader: impl FnOnce(Vec<usize>) -> Fut,
        timeouts: &mut Option<Box<Timeouts>>,
    ) -> Result<Fut::Output, Duration> {
        let keys = self.leads.iter().map(|member| member.index).collect();
        let loading = self.run(|| loader(keys));
        if timeouts.is_none() {
            *timeouts = self.leads.first().and_then(|it| it.lead.timeouts());
        }
        let mut loading = pin!(loading);
        poll_fn(|cx| {
            let polled = self.run(|| loading.as_mut().poll(cx));
            match (polled, &mut *timeouts, self.leads.first()) {
                (Poll::Ready(given), ..) => Poll::Ready(Ok(given)),
                (Poll::Pending, Some(timeouts), Some(GroupMember { lead, .. })) => {
                    let (timer, now) = (lead.engine.timer(), lead.engine.now());
                    timeouts.poll_hard(timer, &now, cx).map(Err)
                }
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Lands each value under its key.
    fn land<T: Access>(
        mut self,
        given: Result<impl LoadedMany<T::Value>, Duration>,
        mut tell: impl FnMut(usize, CacheResult<Served<T>>),
    ) {
        let count = self.leads.len();
        let given = self.run(|| given.map(|given| values_for(count, given)));
        let leads = std::mem::take(&mut self.leads).into_iter();
        match given {
            // If encoding one of them panics, those who wait for the others look again.
            Ok(values) => leads.zip(values).for_each(|(mut it, value)| {
                let answer = match value {
                    Ok(value) => land::<false, C, T>(&mut it.lead, Loaded::new(value)),
                    Err(error) => it.fail(|key| CacheError::load(key, error)),
                };
                tell(it.index, answer);
            }),
            Err(time) => leads.for_each(|mut it| {
                it.lead.engine.counters.count_timeout();
                let answer = it.fail(|key| CacheError::timeout(key, time));
                tell(it.index, answer);
            }),
        }
    }
}

impl<C: Codec> GroupMember<'_, C> {
    fn fail<T: Access>(
        &mut self,
        error: impl FnOnce(&[u8]) -> CacheError,
    ) -> CacheResult<Served<T>> {
        let error = error(self.lead.key());
        fail(&mut self.lead, error, self.instead)
    }
}

impl<C: Codec> Drop for LeaderGroup<'_, C> {
    fn drop(&mut self) {
        if self.is_running {
            for member in &mut self.leads {
                member.lead.begin();
            }
        }
    }
}

/// A value for each of so many keys, or what went wrong with it.
fn values_for<V>(keys: usize, given: impl LoadedMany<V>) -> Vec<Result<V, Arc<BoxError>>> {
    let error = match given.into_each() {
        Ok(values) if values.len() == keys => return values,
        Ok(values) => {
            let gave = values.len();
            Arc::new(format!("it was given {keys} keys and gave {gave} values").into())
        }
        Err(error) => error,
    };
    (0..keys).map(|_| Err(Arc::clone(&error))).collect()
}

impl<C: Codec> Engine<C> {
    /// Gets many values, which `loader` loads if they are missing. It is given the numbers of
    /// their keys, which must differ.
    pub(crate) async fn load_many<T, R, Fut>(
        &self,
        keys: &[SmallBytes],
        mut terms: CallOptions<'_>,
        mut loader: impl FnMut(Vec<usize>) -> Fut,
    ) -> Vec<CacheResult<T>>
    where
        T: Access,
        R: LoadedMany<T::Value>,
        Fut: Future<Output = R>,
    {
        let mut answers: Vec<Option<CacheResult<T>>> = keys.iter().map(|_| None).collect();
        let mut left: Vec<usize> = (0..keys.len()).collect();
        let mut timeouts = None;
        let mut waiting = Vec::new();
        let mut first = true;
        while !(left.is_empty() && waiting.is_empty()) {
            let mut group = LeaderGroup::new();
            for index in left.drain(..) {
                let key = keys[index].as_bytes();
                match self.next_step::<false, false, T>(self.key_of(key), &mut terms, first) {
                    Ok(Step::Have(answer)) => answers[index] = Some(Ok(answer.value)),
                    Ok(Step::Lead(seat)) => group.enlist(index, seat),
                    Ok(Step::Wait(wait)) => {
                        if timeouts.is_none() {
                            timeouts = Timeouts::of(terms.extra(), &self.now());
                        }
                        let timeouts = timeouts.as_ref().map(|it| Box::new(it.again()));
                        waiting.push(Box::pin(self.wait_for(index, key, wait, timeouts)));
                    }
                    Err(error) => answers[index] = Some(Err(error)),
                }
            }
            first = false;
            if !group.leads.is_empty() {
                let given = group.drive(&mut loader, &mut timeouts).await;
                group.land::<T>(given, |index, answer| {
                    answers[index] = Some(answer.map(|answer| answer.value));
                });
                continue;
            }
            // Whoever comes back is loaded at once, however long the others take.
            poll_fn(|cx| {
                waiting.retain_mut(|wait| match wait.as_mut().poll(cx) {
                    Poll::Pending => true,
                    Poll::Ready((index, None)) => {
                        left.push(index);
                        false
                    }
                    Poll::Ready((index, Some(answer))) => {
                        answers[index] = Some(answer.map(|answer| answer.value));
                        false
                    }
                });
                if !left.is_empty() || waiting.is_empty() {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
        answers.into_iter().flatten().collect()
    }

    /// Waits for the load of one key among many.
    async fn wait_for<T: Access>(
        &self,
        index: usize,
        key: &[u8],
        wait: Wait,
        mut timeouts: Option<Box<Timeouts>>,
    ) -> (usize, Option<CacheResult<Served<T>>>) {
        (index, self.wait(key, &wait, None, &mut timeouts).await)
    }
}
