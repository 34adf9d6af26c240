//! The executor of a simulation: polls a randomly chosen task at each step.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::chaos::Injected;
use super::world::{LocalTask, Queues, World};

/// The most steps of a scenario. More steps mean a scenario without an end.
const MAX_STEPS: u32 = 1_000_000;

/// On average, the clock moves once in this many steps, by less than a tenth of a second.
const STEPS_PER_TICK: u64 = 16;

/// The waker of a task: `true` if the task was woken since the last poll.
struct WakeFlag(AtomicBool);

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl WakeFlag {
    /// Returns a set flag: a new task must be polled once.
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A spawned task, or a background load.
struct Task {
    future: LocalTask,
    flag: Arc<WakeFlag>,
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>, flag: &Arc<WakeFlag>) -> Poll<F::Output> {
    // Cleared before the poll: a task that wakes itself during the poll stays woken.
    flag.0.store(false, Ordering::Relaxed);
    let waker = Waker::from(Arc::clone(flag));
    future.poll(&mut Context::from_waker(&waker))
}

/// Runs a scenario until the future of the scenario ends.
pub(super) fn run(world: &World, queues: &Queues, scenario: impl Future<Output = ()>) {
    let mut scenario = pin!(scenario);
    let scenario_flag = WakeFlag::new();
    let mut tasks: Vec<Task> = Vec::new();
    for _ in 0..MAX_STEPS {
        // 1. Take over the tasks and background loads started by the last step.
        let loads = queues.background.try_iter().map(|load| load as LocalTask);
        tasks.extend(queues.tasks.try_iter().chain(loads).map(|future| Task {
            future,
            flag: WakeFlag::new(),
        }));
        // 2. Sometimes, let a little time pass.
        if world.random(0..STEPS_PER_TICK) == 0 {
            let tick = Duration::from_millis(world.random(0..100));
            world.clock().advance(tick);
        }
        // 3. List the woken tasks; `None` is the scenario. If nothing is woken, move the clock to
        // the next sleep. If nothing sleeps either, the scenario is stuck.
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
        // 4. Choose a task, and poll the task once.
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
    panic!("the scenario did not end in {MAX_STEPS} steps");
}

/// Polls a task once, or drops the task with the probability of `Chaos::cancel`.
fn step(world: &World, task: &mut Task) -> Poll<()> {
    if world.happens(world.chaos().cancel) {
        // The caller drops the task.
        return Poll::Ready(());
    }
    let polled = catch_unwind(AssertUnwindSafe(|| poll(task.future.as_mut(), &task.flag)));
    match polled {
        Ok(polled) => polled,
        // A simulated panic ends the task only. Every other panic fails the simulation.
        Err(panic) if panic.is::<Injected>() => Poll::Ready(()),
        Err(panic) => resume_unwind(panic),
    }
}
