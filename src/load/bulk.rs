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
use super::leader::Lead;
use super::loaded::Loaded;
use super::loaded_many::LoadedMany;
use super::serve::{Answer, Instead};
use super::timeouts::Patience;
use crate::engine::Engine;
use crate::error::{BoxError, CacheError, CacheResult};
use crate::key::Text;
use crate::options::Terms;
use crate::value::{Codec, Form};

/// The loads of one call, which have one loader.
struct Crew<'a, C: Codec> {
    leads: Vec<Member<'a, C>>,
    /// Whether the loader runs: if it panics, it does so for all.
    is_running: bool,
}

struct Member<'a, C: Codec> {
    /// Which of the call's keys it is.
    index: usize,
    lead: Lead<'a, C>,
    instead: Instead,
}

impl<'a, C: Codec> Crew<'a, C> {
    fn new() -> Self {
        Self {
            leads: Vec::new(),
            is_running: false,
        }
    }

    fn enlist(&mut self, index: usize, seat: Seat<'a, C>) {
        self.leads.push(Member {
            index,
            lead: seat.lead,
            instead: Instead::old_if(seat.old.is_some()),
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
        patience: &mut Option<Box<Patience>>,
    ) -> Result<Fut::Output, Duration> {
        let keys = self.leads.iter().map(|member| member.index).collect();
        let loading = self.run(|| loader(keys));
        if patience.is_none() {
            *patience = self.leads.first().and_then(|it| it.lead.patience());
        }
        let mut loading = pin!(loading);
        poll_fn(|cx| {
            let polled = self.run(|| loading.as_mut().poll(cx));
            match (polled, &mut *patience, self.leads.first()) {
                (Poll::Ready(given), ..) => Poll::Ready(Ok(given)),
                (Poll::Pending, Some(patience), Some(Member { lead, .. })) => {
                    let (timer, now) = (lead.engine.timer(), lead.engine.now());
                    patience.poll_hard(timer, &now, cx).map(Err)
                }
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Lands each value under its key.
    fn land<T: Form>(
        mut self,
        given: Result<impl LoadedMany<T::Value>, Duration>,
        mut tell: impl FnMut(usize, CacheResult<Answer<T>>),
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
                it.lead.engine.tally.count_timeout();
                let answer = it.fail(|key| CacheError::timeout(key, time));
                tell(it.index, answer);
            }),
        }
    }
}

impl<C: Codec> Member<'_, C> {
    fn fail<T: Form>(&mut self, error: impl FnOnce(&[u8]) -> CacheError) -> CacheResult<Answer<T>> {
        let error = error(self.lead.key());
        fail(&mut self.lead, error, self.instead)
    }
}

impl<C: Codec> Drop for Crew<'_, C> {
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
        keys: &[Text],
        mut terms: Terms<'_>,
        mut loader: impl FnMut(Vec<usize>) -> Fut,
    ) -> Vec<CacheResult<T>>
    where
        T: Form,
        R: LoadedMany<T::Value>,
        Fut: Future<Output = R>,
    {
        let mut answers: Vec<Option<CacheResult<T>>> = keys.iter().map(|_| None).collect();
        let mut left: Vec<usize> = (0..keys.len()).collect();
        let mut patience = None;
        let mut waiting = Vec::new();
        let mut first = true;
        while !(left.is_empty() && waiting.is_empty()) {
            let mut crew = Crew::new();
            for index in left.drain(..) {
                let key = keys[index].as_bytes();
                match self.next_step::<false, false, T>(self.key_of(key), &mut terms, first) {
                    Ok(Step::Have(answer)) => answers[index] = Some(Ok(answer.value)),
                    Ok(Step::Lead(seat)) => crew.enlist(index, seat),
                    Ok(Step::Wait(wait)) => {
                        if patience.is_none() {
                            patience = Patience::of(terms.rare(), &self.now());
                        }
                        let patience = patience.as_ref().map(|it| Box::new(it.again()));
                        waiting.push(Box::pin(self.wait_for(index, key, wait, patience)));
                    }
                    Err(error) => answers[index] = Some(Err(error)),
                }
            }
            first = false;
            if !crew.leads.is_empty() {
                let given = crew.drive(&mut loader, &mut patience).await;
                crew.land::<T>(given, |index, answer| {
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
    async fn wait_for<T: Form>(
        &self,
        index: usize,
        key: &[u8],
        wait: Wait,
        mut patience: Option<Box<Patience>>,
    ) -> (usize, Option<CacheResult<Answer<T>>>) {
        (index, self.wait(key, &wait, None, &mut patience).await)
    }
}
