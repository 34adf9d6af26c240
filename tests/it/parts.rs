//! Shorthands for typed caches, and a value type with counted encodings and no decoding.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use hydracache::{CacheOptions, CacheResult, HydraCache, TypedCache};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::support::*;

thread_local! {
    static WRITTEN: Cell<u32> = const { Cell::new(0) };
}

/// How many `Number`s this thread has encoded since the last call.
pub fn written() -> u32 {
    WRITTEN.take()
}

/// Not `Clone`. Panics when decoded, and counts encodings.
#[derive(Debug, PartialEq)]
pub struct Number(pub u32);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WRITTEN.set(WRITTEN.get() + 1);
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("a shared value must not be decoded")
    }
}

pub type Numbers = TypedCache<u64, Number>;

pub type Call<'a> = Hand<'a, CacheResult<Arc<Number>>>;

pub type Calls<'a> = Hand<'a, Vec<CacheResult<Arc<Number>>>>;

pub fn numbers(cache: &HydraCache) -> Numbers {
    cache.typed("numbers")
}

#[track_caller]
pub fn store(numbers: &Numbers, key: u64, value: u32, options: CacheOptions) {
    block_on(numbers.put(&key, Number(value), options)).unwrap();
}

#[track_caller]
pub fn read(numbers: &Numbers, key: u64) -> Option<u32> {
    let found = block_on(numbers.get(&key)).unwrap();
    found.map(|number| number.0)
}

/// Loads a ready number, or returns the stored number. Must not wait.
#[track_caller]
pub fn load_one(numbers: &Numbers, key: u64, value: u32) -> u32 {
    let call = numbers.get_or_load(&key, options(), ready(Number(value)));
    Hand::hold(call).ends().unwrap().0
}

#[track_caller]
pub fn clear(numbers: &Numbers) -> u64 {
    block_on(numbers.invalidate_all()).unwrap()
}

/// Starts a load of a number: the call claims the slot, and the loader waits at the door.
#[track_caller]
pub fn lead_one<'a>(
    numbers: &'a Numbers,
    key: &'a u64,
    value: u32,
    options: CacheOptions,
    door: &'a Door,
) -> Call<'a> {
    Hand::start(numbers.get_or_load(key, options, move || async move {
        door.pass().await;
        Ok::<_, Infallible>(Number(value))
    }))
}

/// Starts a call. The call waits for another call's load.
#[track_caller]
pub fn join_one<'a>(numbers: &'a Numbers, key: &'a u64) -> Call<'a> {
    Hand::start(numbers.get_or_load(key, options(), never))
}

/// The number of each key, or the text of the error.
pub fn each(answers: Vec<CacheResult<Arc<Number>>>) -> Vec<Result<u32, String>> {
    let one = |answer: CacheResult<Arc<Number>>| match answer {
        Ok(number) => Ok(number.0),
        Err(error) => Err(error.to_string()),
    };
    answers.into_iter().map(one).collect()
}

/// The number of each key. Panics on an error.
#[track_caller]
pub fn all(answers: Vec<CacheResult<Arc<Number>>>) -> Vec<u32> {
    let found = each(answers).into_iter().map(Result::unwrap);
    found.collect()
}

/// A `Door` for `Send` loaders.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<(bool, Vec<Waker>)>>);

impl Gate {
    pub fn open(&self) {
        let mut gate = self.0.lock().unwrap();
        gate.0 = true;
        let woken = std::mem::take(&mut gate.1);
        drop(gate);
        woken.into_iter().for_each(Waker::wake);
    }

    pub fn close(&self) {
        self.0.lock().unwrap().0 = false;
    }

    pub async fn pass(self) {
        std::future::poll_fn(|cx| {
            let mut gate = self.0.lock().unwrap();
            if gate.0 {
                return Poll::Ready(());
            }
            gate.1.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// The keys given to a loader, by call.
pub type Log = RefCell<Vec<Vec<u64>>>;

/// A call with a loader: logs the keys, waits at the door, returns `value` for every key.
pub fn gated_many<'a>(
    typed: &'a Numbers,
    keys: &'a [u64],
    value: u32,
    door: &'a Door,
    log: &'a Log,
) -> Calls<'a> {
    let load = move |keys: Vec<u64>| async move {
        log.borrow_mut().push(keys.clone());
        door.pass().await;
        Ok::<_, Infallible>(keys.iter().map(|_| Number(value)).collect::<Vec<_>>())
    };
    Hand::start(typed.get_or_load_many(keys, options(), load))
}
