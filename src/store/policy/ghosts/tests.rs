use super::Origin::{Main, Young};
use super::*;

/// Returns a hash with this group, a part of 2^32, and this fingerprint.
fn hash(group: u32, fingerprint: u16) -> u64 {
    let factor: u64 = 0x9E37_79B9_7F4A_7C15;
    // Newton's method for the inverse: each round doubles the number of correct bits.
    let mut inverse = factor;
    for _ in 0..6 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(factor.wrapping_mul(inverse)));
    }
    let mixed = u64::from(group) << 32 | u64::from(fingerprint) << 16;
    mixed.wrapping_mul(inverse)
}

fn ghosts_for(len: usize) -> Ghosts {
    let mut ghosts = Ghosts::default();
    ghosts.fit(len);
    ghosts
}

/// Adds ghosts of other keys, all in the last group.
fn evict(ghosts: &mut Ghosts, count: usize, origin: Origin) {
    for _ in 0..count {
        ghosts.put(hash(u32::MAX, 8), origin, 0);
    }
}

#[test]
fn locate_gives_group_and_fingerprint() {
    let ghosts = ghosts_for(960);
    assert_eq!(ghosts.groups.len(), 120);
    assert_eq!(ghosts.locate(hash(0, 100)), (0, 100));
    // The lowest bit is for the origin.
    assert_eq!(ghosts.locate(hash(1 << 31, 101)), (60, 100));
    assert_eq!(ghosts.locate(hash(u32::MAX, u16::MAX)), (119, u16::MAX - 1));
    // Zero would mean no ghost.
    for none in [0, 1] {
        assert_eq!(ghosts.locate(hash(0, none)), (0, 2));
    }
}

/// Three ghosts for each entry, 256 at least, and places for five sixths of the ghosts.
#[test]
fn fit_allocates_by_the_number_of_entries() {
    for (len, lifetime, groups) in [(1, 256, 11), (85, 256, 11), (86, 258, 11), (960, 2880, 120)] {
        let ghosts = ghosts_for(len);
        assert_eq!(ghosts.groups.len(), groups, "{len}");
        assert_eq!(ghosts.per_tick, lifetime / 96, "{len}");
        let max_age = lifetime.div_ceil(lifetime / 96);
        assert_eq!(usize::from(ghosts.max_age), max_age, "{len}");
    }
}

#[test]
fn ghost_age_counts_whole_ticks_of_one_queue() {
    for (own, other) in [(Young, Main), (Main, Young)] {
        // Around the border of a tick, and up to nearly the lifetime of a ghost.
        for others in [0, 1, 28, 29, 30, 59, 300, 2849] {
            let mut ghosts = ghosts_for(960);
            ghosts.put(hash(0, 100), own, 7);
            evict(&mut ghosts, others, own);
            evict(&mut ghosts, 5_000, other);
            let ghost = ghosts.take(hash(0, 100)).unwrap();
            assert_eq!(ghost.origin, own);
            assert_eq!(ghost.age, (others + 1) / 30 * 30, "{others}");
            assert_eq!(ghost.queued_at, 7);
        }
    }
}

#[test]
fn ghost_lives_for_three_evictions_per_entry() {
    // 960 entries have ticks of 30 evictions, and ghosts live for 96 ticks.
    for (others, known) in [(2878, true), (2879, false), (7000, false)] {
        let mut ghosts = ghosts_for(960);
        ghosts.put(hash(0, 100), Young, 7);
        evict(&mut ghosts, others, Young);
        assert_eq!(ghosts.take(hash(0, 100)).is_some(), known, "{others}");
    }
}

#[test]
fn take_returns_a_ghost_once_for_the_same_key() {
    let mut ghosts = ghosts_for(960);
    assert!(Ghosts::default().take(hash(0, 100)).is_none());
    ghosts.put(hash(0, 100), Main, 7);
    assert!(ghosts.take(hash(0, 102)).is_none());
    assert!(ghosts.take(hash(1 << 31, 100)).is_none());
    assert_eq!(ghosts.take(hash(0, 100)).unwrap().origin, Main);
    assert!(ghosts.take(hash(0, 100)).is_none());
}

/// Two keys with equal group and fingerprint cannot be told apart.
#[test]
fn take_of_equal_fingerprints_returns_one_by_one() {
    let mut ghosts = ghosts_for(960);
    for origin in [Young, Main] {
        ghosts.put(hash(0, 100), origin, 7);
    }
    let origins = [(); 3].map(|()| ghosts.take(hash(0, 100)).map(|ghost| ghost.origin));
    assert_eq!(origins, [Some(Young), Some(Main), None]);
}

#[test]
fn tick_keeps_the_time_of_the_first_ghost() {
    let mut ghosts = ghosts_for(960);
    for (number, queued_at) in (0..31).zip(0..) {
        ghosts.put(hash(1 << 31, 100 + 2 * number), Young, queued_at);
    }
    // The oldest ghosts of the first tick are overwritten: a group holds twenty.
    let last = ghosts.take(hash(1 << 31, 100 + 2 * 29)).unwrap();
    assert_eq!((last.queued_at, last.age), (0, 30));
    let next = ghosts.take(hash(1 << 31, 100 + 2 * 30)).unwrap();
    assert_eq!((next.queued_at, next.age), (30, 0));
}

#[test]
fn full_group_overwrites_the_oldest_ghost() {
    let mut ghosts = ghosts_for(960);
    for number in 0..25_u16 {
        ghosts.put(hash(0, 100 + 2 * number), Young, 0);
    }
    // The first five were overwritten.
    for number in 0..25_u16 {
        let known = ghosts.take(hash(0, 100 + 2 * number)).is_some();
        assert_eq!(known, number >= 5, "{number}");
    }
    ghosts.validate();
}

/// The limits are a quarter more, and less than a third.
#[test]
fn fit_to_another_size_forgets_ghosts() {
    for (len, known) in [
        (1000, true),
        (1250, true),
        (1251, false),
        (333, true),
        (332, false),
    ] {
        let mut ghosts = ghosts_for(1000);
        ghosts.put(hash(0, 100), Young, 0);
        ghosts.fit(len);
        assert_eq!(ghosts.take(hash(0, 100)).is_some(), known, "{len}");
    }
}
