use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn nanos(nanos: u64) -> Moment {
    Moment::of(Duration::from_nanos(nanos))
}

/// The wheel, and the expected contents as a plain list.
#[derive(Default)]
struct World {
    wheel: TimingWheel,
    at: Vec<(EntryId, Moment)>,
    next: EntryId,
}

impl World {
    fn add(&mut self, at: Moment) {
        self.wheel.insert(self.next, at);
        self.at.push((self.next, at));
        self.next += 1;
    }

    fn due(&mut self, now: Moment, budget: &mut usize) -> Option<Moment> {
        let of = |id| self.at.iter().find(|(other, _)| *other == id).unwrap().1;
        let id = self.wheel.next_due(now, budget, of)?;
        let place = self.at.iter().position(|(other, _)| *other == id).unwrap();
        let (_, at) = self.at.swap_remove(place);
        self.wheel.remove(id, at);
        Some(at)
    }
}

#[test]
fn entry_is_due_at_the_deadline_and_not_a_nanosecond_before() {
    let mut world = World::default();
    let high = 1 << 40;
    // Around the borders of slots and levels, and at the end of time.
    for at in [1, 63, 64, 65, 4095, 4096, high, high + 1, u64::MAX - 1] {
        world.add(nanos(at));
        assert_eq!(world.due(nanos(at - 1), &mut 100), None);
        assert_eq!(world.due(nanos(at), &mut 100), Some(nanos(at)));
    }
}

/// An entry is filed again at most once for each level.
#[test]
fn next_due_refiles_an_entry_once_a_level_at_most() {
    let mut world = World::default();
    (0..100).for_each(|at| world.add(nanos((1 << 30) + at)));
    // Two steps of the clock: some 6 moves for each of 100 entries suffice.
    let budget = &mut 600;
    for now in [1 << 29, (1 << 30) + 49] {
        while world.due(nanos(now), budget).is_some() {}
    }
    assert_eq!(world.at.len(), 50);
    assert!(*budget > 0);
}

#[test]
fn next_due_without_budget_finds_the_rest_in_later_calls() {
    let mut world = World::default();
    // All in one slot of a high level; `now` is in the middle of the slot.
    (0..100).for_each(|at| world.add(nanos((1 << 30) + at)));
    let now = nanos((1 << 30) + 49);
    let mut found = 0;
    for _ in 0..1000 {
        found += usize::from(world.due(now, &mut 1).is_some());
        world.wheel.validate(&world.at);
    }
    assert_eq!(found, 50);
}

#[test]
fn entry_added_before_the_wheel_time_is_found() {
    let mut world = World::default();
    // The wheel advances to 900,000. Then the clock goes back.
    world.add(nanos(1_000_000));
    assert_eq!(world.due(nanos(900_000), &mut 100), None);
    world.add(nanos(500));
    assert_eq!(world.due(nanos(400), &mut 100), None);
    assert_eq!(world.due(nanos(500), &mut 100), Some(nanos(500)));
    assert_eq!(
        world.due(nanos(1_000_000), &mut 100),
        Some(nanos(1_000_000))
    );
}

#[test]
fn entries_added_after_a_rewind_are_found_in_order() {
    let mut world = World::default();
    let (far, budget) = (1 << 62, &mut 100);
    world.add(nanos(far + 1));
    assert_eq!(world.due(nanos(far), budget), None);
    // All before the time of the wheel: these go to the slot of due entries, in any order.
    for at in [5000, 10, far - 1, 20] {
        world.add(nanos(at));
    }
    for at in [10, 20, 5000, far - 1, far + 1] {
        assert_eq!(world.due(nanos(at - 1), budget), None);
        assert_eq!(world.due(nanos(at), budget), Some(nanos(at)));
        world.wheel.validate(&world.at);
    }
}

proptest! {
    /// Finds every due entry and no other, for any deadlines and any jumps of the clock.
    #[test]
    fn next_due_finds_the_same_as_a_plain_list(
        steps in prop::collection::vec(
            (0_u32..50, 0_u32..60, 0..4, any::<u64>()),
            1..60,
        ),
    ) {
        let (mut world, mut now) = (World::default(), 0_u64);
        for (ahead, far, direction, random) in steps {
            for ahead in [ahead, ahead / 2, ahead % 7] {
                let after = (random | 1) >> (63 - ahead);
                world.add(nanos(now.saturating_add(after)));
            }
            // An entry was read: the deadline is later than the filing says.
            let moved = ahead as usize % world.at.len();
            let later = world.at[moved].1.nanos().saturating_add(random >> 40);
            if later < u64::MAX {
                world.at[moved].1 = nanos(later);
            }
            now = match direction {
                0 => now.saturating_sub(random >> (63 - far)),
                _ => now.saturating_add(random >> (63 - far)),
            };
            // A write may stop early, and the next write may come at any time.
            let has_small_budget = direction < 2;
            let mut budget = if has_small_budget { 3 } else { usize::MAX };
            while let Some(at) = world.due(nanos(now), &mut budget) {
                prop_assert!(at <= nanos(now));
                world.wheel.validate(&world.at);
            }
            let is_later = |at: Moment| at > nanos(now) || at == Moment::NEVER;
            let complete = budget == 0 || world.at.iter().all(|(_, at)| is_later(*at));
            prop_assert!(complete, "a due entry was not found");
            world.wheel.validate(&world.at);
        }
    }
}
