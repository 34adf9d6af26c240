//! Runs tasks one step at a time, each step that of a task which chance picks.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::chaos::Injected;
use super::world::{LocalTask, Queues, World};

/// More steps than these are a scenario without end.
const MOST_STEPS: u32 = 1_000_000;

/// In one of so many steps the clock moves by up to a tenth of a second.
const STEPS_A_TICK: u64 = 16;

/// Whether a task was woken since it was polled.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Flag {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct Task {
    future: LocalTask,
    flag: Arc<Flag>,
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>, flag: &Arc<Flag>) -> Poll<F::Output> {
    flag.0.store(false, Ordering::Relaxed);
    let waker = Waker::from(Arc::clone(flag));
    future.poll(&mut Context::from_waker(&waker))
}

/// Runs a scenario to its end.
pub(super) fn run(world: &World, queues: &Queues, scenario: impl Future<Output = ()>) {
    let mut scenario = pin!(scenario);
    let scenario_flag = Flag::new();
    let mut tasks: Vec<Task> = Vec::new();
    for _ in 0..MOST_STEPS {
        let loads = queues.background.try_iter().map(|load| load as LocalTask);
        tasks.extend(queues.tasks.try_iter().chain(loads).map(|future| Task {
            future,
            flag: Flag::new(),
        }));
        if world.random(0..STEPS_A_TICK) == 0 {
            let tick = Duration::from_millis(world.random(0..100));
            world.clock().advance(tick);
        }
        let mut woken: Vec<Option<usize>> = Vec::new();
        woken.extend(scenario_flag.is_set().then_some(None));
        let is_woken = |&at: &usize| tasks[at].flag.is_set();
        woken.extend((0..tasks.len()).filter(is_woken).map(Some));
        let Some(last) = woken.len().checked_sub(1) else {
            assert!(
                world.clock().advance_to_next(),
                "the scenario and {} tasks wait, and nothing will wake them",
                tasks.len()
            );
            continue;
        };
        let pick = world.random(0..last as u64 + 1);
        match woken[usize::try_from(pick).unwrap_or(last)] {
            Some(at) => {
                if step(world, &mut tasks[at]).is_ready() {
                    tasks.swap_remove(at);
                }
            }
            None => {
                if poll(scenario.as_mut(), &scenario_flag).is_ready() {
                    return;
                }
            }
        }
    }
    panic!("the scenario did not end in {MOST_STEPS} steps");
}

/// Polls a task, or ends it as chaos has it.
fn step(world: &World, task: &mut Task) -> Poll<()> {
    if world.happens(world.chaos().cancel) {
        return Poll::Ready(());
    }
    let polled = catch_unwind(AssertUnwindSafe(|| poll(task.future.as_mut(), &task.flag)));
    match polled {
        Ok(polled) => polled,
        Err(panic) if panic.is::<Injected>() => Poll::Ready(()),
        Err(panic) => resume_unwind(panic),
    }
}
