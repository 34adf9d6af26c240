//! The future of a loader is dropped before its key is free, however the load ends: the next
//! loader finds no transaction, lock or permit of the last one.

use std::convert::Infallible;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use hydracache::{CacheResult, HydraCache};

use crate::parts::*;
use crate::pool::*;
use crate::stale::*;
use crate::support::*;

/// How many loaders hold a transaction.
#[derive(Clone, Default)]
struct Transactions(Arc<AtomicUsize>);

impl Transactions {
    fn open(&self) -> usize {
        self.0.load(SeqCst)
    }

    /// A loader that holds a transaction until its future is dropped, also after its end: as a
    /// race holds the future that lost.
    fn loader(&self, future: impl Future<Output = Loaded> + Send + 'static) -> Holding {
        self.0.fetch_add(1, SeqCst);
        let (future, transactions) = (Box::pin(future), self.clone());
        Holding {
            future,
            transactions,
        }
    }
}

type Loaded = Result<u32, &'static str>;

struct Holding {
    future: Pin<Box<dyn Future<Output = Loaded> + Send>>,
    transactions: Transactions,
}

impl Future for Holding {
    type Output = Loaded;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Loaded> {
        self.future.as_mut().poll(cx)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.transactions.0.fetch_sub(1, SeqCst);
    }
}

/// A waker of a waiting call: notes how many transactions are open when the call is woken.
struct Witness {
    transactions: Transactions,
    /// `usize::MAX` until the call is woken.
    open: AtomicUsize,
}

impl Wake for Witness {
    fn wake(self: Arc<Self>) {
        self.open.store(self.transactions.open(), SeqCst);
    }
}

impl Witness {
    /// Polls a call that has to wait.
    #[track_caller]
    fn watch<T>(transactions: &Transactions, call: Pin<&mut impl Future<Output = T>>) -> Arc<Self> {
        let (transactions, open) = (transactions.clone(), AtomicUsize::new(usize::MAX));
        let witness = Arc::new(Self { transactions, open });
        let waker = Waker::from(Arc::clone(&witness));
        assert!(call.poll(&mut Context::from_waker(&waker)).is_pending());
        witness
    }

    /// The call was woken, and no transaction was open then.
    #[track_caller]
    fn saw_none_open(&self, ending: impl std::fmt::Debug) {
        assert_eq!(self.open.load(SeqCst), 0, "after {ending:?}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Value,
    Error,
    Panic,
    Timeout,
    Cancelled,
}

const ENDINGS: [Ending; 5] = [
    Ending::Value,
    Ending::Error,
    Ending::Panic,
    Ending::Timeout,
    Ending::Cancelled,
];

impl Ending {
    /// Waits at the gate, then ends in this way.
    async fn loader(self, gate: Gate) -> Loaded {
        gate.pass().await;
        match self {
            Self::Value => Ok(1),
            Self::Error => Err("down"),
            Self::Panic => panic!("boom"),
            Self::Timeout | Self::Cancelled => pending().await,
        }
    }

    /// Ends a call or a task whose loader waits at the gate.
    fn end<T>(self, mut running: Hand<'_, T>, gate: &Gate, advance: impl FnOnce()) {
        gate.open();
        match self {
            Self::Value | Self::Error => drop(running.ends()),
            Self::Panic => {
                let ends = AssertUnwindSafe(|| drop(running.poll()));
                assert!(catch_unwind(ends).is_err());
            }
            Self::Timeout => {
                running.waits();
                advance();
                drop(running.ends());
            }
            Self::Cancelled => drop(running),
        }
    }
}

#[test]
fn loader_is_dropped_before_a_waiter_wakes() {
    for ending in ENDINGS {
        let (cache, clock) = timed();
        let (transactions, gate) = (Transactions::default(), Gate::default());
        let loader = || transactions.loader(ending.loader(gate.clone()));
        let within = options().load_timeout(SECOND * 2);
        let leader = Hand::start(cache.get_or_load("key", within, loader));
        let mut waiter = Box::pin(cache.get_or_load("key", options(), ready(9_u32)));
        let witness = Witness::watch(&transactions, waiter.as_mut());
        assert_eq!(transactions.open(), 1);
        ending.end(leader, &gate, || clock.advance(SECOND * 2));
        witness.saw_none_open(ending);
    }
}

#[test]
fn refresh_loader_is_dropped_before_a_waiter_wakes() {
    for ending in ENDINGS {
        let (cache, clock) = timed();
        let (transactions, gate) = (Transactions::default(), Gate::default());
        let loader = || transactions.loader(ending.loader(gate.clone()));
        let within = options().load_timeout(SECOND * 2);
        let leader = Hand::start(cache.refresh("key", within, loader));
        let mut waiter = Box::pin(cache.get_or_load("key", options(), ready(9_u32)));
        let witness = Witness::watch(&transactions, waiter.as_mut());
        ending.end(leader, &gate, || clock.advance(SECOND * 2));
        witness.saw_none_open(ending);
    }
}

#[test]
fn bulk_loader_is_dropped_before_a_waiter_wakes() {
    for ending in ENDINGS {
        let (cache, clock) = timed();
        let (typed, transactions) = (numbers(&cache), Transactions::default());
        let gate = Gate::default();
        let loader = |_: Vec<u64>| {
            let loading = transactions.loader(ending.loader(gate.clone()));
            async { loading.await.map(|value| vec![Number(value)]) }
        };
        let within = options().load_timeout(SECOND * 2);
        let leader = Hand::start(typed.get_or_load_many([7], within, loader));
        let mut waiter = Box::pin(typed.get_or_load(&7, options(), ready(Number(9))));
        let witness = Witness::watch(&transactions, waiter.as_mut());
        ending.end(leader, &gate, || clock.advance(SECOND * 2));
        witness.saw_none_open(ending);
    }
}

/// Starts a background load in the error window of the entry: its caller waits.
fn in_background<'a>(
    cache: &'a HydraCache,
    clock: &hydracache::ManualClock,
    loader: impl FnOnce() -> Holding + Send + 'static,
) -> impl Future<Output = CacheResult<u32>> + 'a {
    put(cache, "key", 1, kept(1000));
    clock.advance(SECOND * 10);
    cache.get_or_refresh("key", options(), loader)
}

#[test]
fn background_loader_is_dropped_before_its_caller_wakes() {
    for ending in ENDINGS {
        let (cache, clock, pool) = spawning(4);
        let (transactions, gate) = (Transactions::default(), Gate::default());
        let (loading, waits) = (transactions.clone(), gate.clone());
        let loader = move || loading.loader(ending.loader(waits));
        let mut caller = Box::pin(in_background(&cache, &clock, loader));
        let witness = Witness::watch(&transactions, caller.as_mut());
        let mut load = pool.only();
        load.waits();
        ending.end(load, &gate, || clock.advance(SECOND * 30));
        witness.saw_none_open(ending);
    }
}

/// The runtime drops a task that it has never polled.
#[test]
fn unpolled_background_loader_is_dropped_before_its_caller_wakes() {
    let (cache, clock, pool) = spawning(4);
    let transactions = Transactions::default();
    let loading = transactions.clone();
    let loader = move || loading.loader(pending());
    let mut caller = Box::pin(in_background(&cache, &clock, loader));
    let witness = Witness::watch(&transactions, caller.as_mut());
    assert_eq!(transactions.open(), 1);
    drop(pool.take());
    witness.saw_none_open("the drop of its task");
}

/// The drop of the loader's future is the loader's code.
#[test]
fn panic_in_the_drop_of_a_loader_is_a_panic_of_the_load() {
    struct PanicsInDrop;
    impl Future for PanicsInDrop {
        type Output = Result<u32, Infallible>;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready(Ok(1))
        }
    }
    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            panic!("boom");
        }
    }
    let (cache, _) = clocked(100);
    let call = cache.get_or_load("key", options(), || PanicsInDrop);
    assert!(catch_unwind(AssertUnwindSafe(|| block_on(call))).is_err());
    assert_eq!(get(&cache, "key"), None);
    assert_eq!(cache.stats().load_failures, 1);
    assert_eq!(load(&cache, "key", 7), 7);
}
