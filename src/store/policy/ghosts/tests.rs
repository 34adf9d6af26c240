use super::Origin::{Main, Young};
use super::*;

/// The hash of which `place` makes a group, a part of 2^32, and a print.
fn hash(group: u32, print: u16) -> u64 {
    let factor: u64 = 0x9E37_79B9_7F4A_7C15;
    // Newton's way to the inverse: each round has twice as many bits right.
    let mut inverse = factor;
    for _ in 0..6 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(factor.wrapping_mul(inverse)));
    }
    let mixed = u64::from(group) << 32 | u64::from(print) << 16;
    mixed.wrapping_mul(inverse)
}

fn of(len: usize) -> Ghosts {
    let mut ghosts = Ghosts::default();
    ghosts.fit(len);
    ghosts
}

/// Evictions of others, which are all in one group.
fn evict(ghosts: &mut Ghosts, count: usize, origin: Origin) {
    for _ in 0..count {
        ghosts.put(hash(u32::MAX, 8), origin, 0);
    }
}

#[test]
fn a_place_has_a_group_and_a_print() {
    let ghosts = of(960);
    assert_eq!(ghosts.groups.len(), 120);
    assert_eq!(ghosts.locate(hash(0, 100)), (0, 100));
    assert_eq!(ghosts.locate(hash(1 << 31, 101)), (60, 100));
    assert_eq!(ghosts.locate(hash(u32::MAX, u16::MAX)), (119, u16::MAX - 1));
    for none in [0, 1] {
        assert_eq!(ghosts.locate(hash(0, none)), (0, 2));
    }
}

/// Three for each entry, and never fewer than a few; five sixths have a way of their own.
#[test]
fn there_is_room_by_the_number_of_entries() {
    for (len, life, groups) in [(1, 256, 11), (85, 256, 11), (86, 258, 11), (960, 2880, 120)] {
        let ghosts = of(len);
        assert_eq!(ghosts.groups.len(), groups, "{len}");
        assert_eq!(ghosts.per_tick, life / 96, "{len}");
        let dead = life.div_ceil(life / 96);
        assert_eq!(usize::from(ghosts.dead), dead, "{len}");
    }
}

#[test]
fn age_is_in_whole_ticks_of_its_own_queue() {
    for (own, other) in [(Young, Main), (Main, Young)] {
        for others in [0, 1, 28, 29, 30, 59, 300, 2849] {
            let mut ghosts = of(960);
            ghosts.put(hash(0, 100), own, 7);
            evict(&mut ghosts, others, own);
            evict(&mut ghosts, 5_000, other);
            let ghost = ghosts.take(hash(0, 100)).unwrap();
            assert_eq!(ghost.origin, own);
            assert_eq!(ghost.age, (others + 1) / 30 * 30, "{others}");
            assert_eq!(ghost.born, 7);
        }
    }
}

#[test]
fn a_ghost_is_known_for_three_times_as_many_evictions_as_there_are_entries() {
    for (others, known) in [(2878, true), (2879, false), (7000, false)] {
        let mut ghosts = of(960);
        ghosts.put(hash(0, 100), Young, 7);
        evict(&mut ghosts, others, Young);
        assert_eq!(ghosts.take(hash(0, 100)).is_some(), known, "{others}");
    }
}

#[test]
fn a_ghost_is_taken_once_and_only_by_its_key() {
    let mut ghosts = of(960);
    assert!(Ghosts::default().take(hash(0, 100)).is_none());
    ghosts.put(hash(0, 100), Main, 7);
    assert!(ghosts.take(hash(0, 102)).is_none());
    assert!(ghosts.take(hash(1 << 31, 100)).is_none());
    assert_eq!(ghosts.take(hash(0, 100)).unwrap().origin, Main);
    assert!(ghosts.take(hash(0, 100)).is_none());
}

/// Two keys of one place are the same key here.
#[test]
fn two_ghosts_of_one_place_are_taken_one_by_one() {
    let mut ghosts = of(960);
    for origin in [Young, Main] {
        ghosts.put(hash(0, 100), origin, 7);
    }
    let origins = [(); 3].map(|()| ghosts.take(hash(0, 100)).map(|ghost| ghost.origin));
    assert_eq!(origins, [Some(Young), Some(Main), None]);
}

#[test]
fn a_tick_keeps_the_birth_of_its_first() {
    let mut ghosts = of(960);
    for (number, born) in (0..31).zip(0..) {
        ghosts.put(hash(1 << 31, 100 + 2 * number), Young, born);
    }
    // The oldest of the first tick are overwritten: a group holds twenty.
    let last = ghosts.take(hash(1 << 31, 100 + 2 * 29)).unwrap();
    assert_eq!((last.born, last.age), (0, 30));
    let next = ghosts.take(hash(1 << 31, 100 + 2 * 30)).unwrap();
    assert_eq!((next.born, next.age), (30, 0));
}

#[test]
fn in_a_group_the_oldest_is_overwritten() {
    let mut ghosts = of(960);
    for number in 0..25_u16 {
        ghosts.put(hash(0, 100 + 2 * number), Young, 0);
    }
    for number in 0..25_u16 {
        let known = ghosts.take(hash(0, 100 + 2 * number)).is_some();
        assert_eq!(known, number >= 5, "{number}");
    }
    ghosts.validate();
}

/// A quarter more, or less than a third.
#[test]
fn ghosts_are_forgotten_when_the_room_is_made_anew() {
    for (len, known) in [
        (1000, true),
        (1250, true),
        (1251, false),
        (333, true),
        (332, false),
    ] {
        let mut ghosts = of(1000);
        ghosts.put(hash(0, 100), Young, 0);
        ghosts.fit(len);
        assert_eq!(ghosts.take(hash(0, 100)).is_some(), known, "{len}");
    }
}
