use super::*;
use crate::key::KeyHasher;

impl Tags {
    fn add(&mut self, member: Index, names: &[&str]) -> Index {
        let pinned = self.pin_names(names);
        self.attach(member, pinned);
        member
    }

    fn pin_names(&mut self, names: &[&str]) -> PinnedTags {
        let names: Vec<SmallBytes> = names.iter().map(|&name| name.into()).collect();
        self.pin(names.iter())
    }

    fn invalidate_name(&mut self, name: &str) -> Arc<TagInvalidation> {
        let invalidation = Arc::new(TagInvalidation::new(Effect::Remove));
        let tag = HashedTag::new(name.into(), &self.hashing);
        self.invalidate(&tag, &invalidation);
        invalidation
    }
}

#[test]
fn detach_of_the_last_member_removes_the_tag() {
    let mut tags = Tags::new(Hashing::Colliding);
    let (first, second) = (tags.add(1, &["a", "b"]), tags.add(2, &["b", "c"]));
    tags.validate(&[first, second]);
    tags.detach(first);
    tags.validate(&[second]);
    tags.detach(second);
    assert!(tags.is_empty());
}

#[test]
fn name_given_twice_is_pinned_once() {
    let mut tags = Tags::new(Hashing::Colliding);
    let member = tags.add(1, &["a", "a", "a"]);
    tags.validate(&[member]);
    assert_eq!(tags.count_of(member), 1);
    let pinned = tags.pin_names(&["a", "a"]);
    tags.unpin(pinned);
    tags.detach(member);
    assert!(tags.is_empty());
}

#[test]
fn invalidate_reaches_earlier_members_and_pins_only() {
    let mut tags = Tags::new(Hashing::Colliding);
    let before = tags.add(1, &["a"]);
    let load_before = tags.pin_names(&["a"]);
    tags.invalidate_name("a");
    let after = tags.add(2, &["a"]);
    let load_after = tags.pin_names(&["a"]);
    // The new binding of "a" is another tag.
    assert!(tags.is_invalidated(before));
    assert!(!tags.is_invalidated(after));
    assert!(tags.any_dead(&load_before));
    assert!(!tags.any_dead(&load_after));
    tags.validate(&[before, after]);
    for pinned in [load_before, load_after] {
        tags.unpin(pinned);
    }
    tags.detach(before);
    tags.detach(after);
    assert_eq!(tags.next_dead_member(), None);
    assert!(tags.is_empty());
}

#[test]
fn invalidated_member_names_the_first_invalidation() {
    let mut tags = Tags::new(Hashing::Colliding);
    let member = tags.add(1, &["a", "b"]);
    let first = tags.invalidate_name("b");
    // The order of the invalidations counts, not the order of the tags.
    tags.invalidate_name("a");
    assert!(Arc::ptr_eq(tags.invalidated(member).unwrap().first, &first));
}

#[test]
fn next_dead_member_returns_each_once_in_order() {
    let mut tags = Tags::new(Hashing::Colliding);
    let mut members: Vec<_> = (0..4)
        .map(|member| tags.add(member, &[["a", "b"][member as usize % 2], "all"]))
        .collect();
    tags.invalidate_name("b");
    tags.invalidate_name("all");
    let mut order = Vec::new();
    while let Some(dead) = tags.next_dead_member() {
        members.retain(|member| *member != dead);
        tags.detach(dead);
        tags.validate(&members);
        order.push(dead);
    }
    // First the members of "b", then the rest of "all".
    assert_eq!(order, [1, 3, 0, 2]);
    assert!(tags.is_empty());
}

#[test]
fn invalidate_of_an_unknown_name_leaves_nothing() {
    let mut tags = Tags::new(Hashing::Colliding);
    tags.invalidate_name("unknown");
    assert!(tags.is_empty());
}

#[test]
fn read_looks_at_the_tags_once_after_each_invalidation() {
    let mut tags = Tags::new(Hashing::new(KeyHasher::default()));
    let (member, other) = (tags.add(1, &["a", "b"]), tags.add(2, &["dead"]));
    // The members of dead tags stay: no read is free of the check.
    tags.add(3, &["first"]);
    assert!(tags.members.is_checked(member), "stored with live tags");
    for name in ["first", "dead", "unknown"] {
        tags.invalidate_name(name);
        let is_known = name != "unknown";
        assert_eq!(tags.members.is_checked(member), !is_known, "{name}");
        assert!(!tags.is_invalidated(member) && tags.members.is_checked(member));
    }
    assert!(tags.is_invalidated(other) && tags.is_invalidated(other));
    tags.invalidate_name("b");
    assert!(tags.is_invalidated(member));
    // The place of a removed member is used again, by a member with live tags.
    tags.detach(member);
    tags.add(member, &["b"]);
    assert!(tags.members.is_checked(member) && !tags.is_invalidated(member));
    tags.validate(&[member, other, 3]);
}

#[test]
fn join_looks_at_the_tags_once_after_each_invalidation() {
    let mut tags = Tags::new(Hashing::new(KeyHasher::default()));
    let pinned = tags.pin_names(&["a", "b"]);
    tags.add(1, &["other"]);
    tags.invalidate_name("other");
    assert!(!tags.any_dead(&pinned) && !tags.any_dead(&pinned));
    tags.invalidate_name("a");
    assert!(tags.any_dead(&pinned) && tags.any_dead(&pinned));
    tags.unpin(pinned);
}

#[test]
fn generation_of_long_ago_is_no_note_of_today() {
    let mut tags = Tags::new(Hashing::new(KeyHasher::default()));
    let member = tags.add(1, &["first", "last"]);
    // The member notes generation one. Four billion dead tags later, one comes again.
    tags.members.skip_generations();
    tags.add(2, &["other"]);
    tags.invalidate_name("last");
    assert!(tags.is_invalidated(member));
    tags.validate(&[member, 2]);
}

#[test]
fn tag_is_charged_while_it_has_members() {
    let mut tags = Tags::new(Hashing::Colliding);
    let name = RECORD_COST + 1;
    let load = tags.pin_names(&["a", "b"]);
    assert_eq!(tags.cost(), 0, "pinned by a load only");
    assert_eq!(tags.cost_alone(&load), 2 * (PAIR_COST + name));
    tags.add(1, &["a"]);
    tags.add(2, &["a", "b"]);
    assert_eq!(tags.cost(), 3 * PAIR_COST + 2 * name);
    // Dead tags take memory too.
    tags.invalidate_name("a");
    tags.add(3, &["a"]);
    assert_eq!(tags.cost(), 4 * PAIR_COST + 3 * name);
    tags.detach(1);
    assert_eq!(tags.cost(), 3 * PAIR_COST + 3 * name);
    tags.detach(2);
    assert_eq!(tags.cost(), PAIR_COST + name);
    tags.validate(&[3]);
    tags.unpin(load);
    tags.detach(3);
    assert!(tags.is_empty());
}

#[test]
fn tags_of_options_and_loader_are_pinned_once() {
    let mut tags = Tags::new(Hashing::Colliding);
    let mut pinned = tags.pin_names(&["c", "a"]);
    let more =
        ["b", "a", "d", "b", "a", "d"].map(|name| HashedTag::new(name.into(), &tags.hashing));
    tags.pin_more(&mut pinned, &more);
    assert_eq!((pinned.len(), tags.reserved()), (4, 4));
    tags.attach(1, pinned);
    assert_eq!((tags.count_of(1), tags.reserved()), (4, 0));
    tags.validate(&[1]);
    for name in ["a", "b", "c", "d"] {
        tags.invalidate_name(name);
        assert!(tags.is_invalidated(1));
        tags.detach(1);
        tags.add(1, &["a", "b", "c", "d"]);
    }
}

#[test]
fn reattach_that_costs_too_much_fails() {
    for (room, expected) in [(RECORD_COST, false), (RECORD_COST + 1, true)] {
        let mut tags = Tags::new(Hashing::Colliding);
        tags.add(1, &["a"]);
        tags.add(2, &["a"]);
        let tag = HashedTag::new("a".into(), &tags.hashing);
        let expire = TagInvalidation::new(Effect::Expire);
        tags.invalidate(&tag, &Arc::new(expire));
        let cost = tags.cost();
        // The dead tag stays for the other member, so the live tag is one more.
        assert_eq!(tags.reattach(1, cost + room), expected);
        // The last member leaves the dead tag: nothing is added, however little is allowed.
        tags.detach(1);
        assert!(tags.reattach(2, 0));
        tags.validate(&[2]);
    }
}

#[test]
fn one_member_with_thousands_of_tags_works() {
    let mut tags = Tags::new(Hashing::new(KeyHasher::Foldhash));
    let names: Vec<String> = (0..3_000).map(|n| format!("tag:{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let member = tags.add(0, &names);
    tags.validate(&[member]);
    tags.detach(member);
    assert!(tags.is_empty());
}

#[test]
fn pin_without_free_pairs_is_incomplete() {
    let mut tags = Tags::new(Hashing::new(KeyHasher::default()));
    // Two pairs each: the head of the tag, and the pair of tag and member.
    let members_max = Index::MAX / 2;
    let name = |n: Index| n.to_string();
    for member in 0..members_max {
        let pinned = tags.pin_names(&[&name(member)]);
        assert!(!pinned.is_incomplete && !tags.any_dead(&pinned));
        tags.attach(member, pinned);
    }
    // One pair is left: enough for an existing tag, not for a new tag.
    let pinned = tags.pin_names(&["0"]);
    assert!(!pinned.is_incomplete);
    for names in [&["new"][..], &["1"], &["new", "1"]] {
        let incomplete = tags.pin_names(names);
        assert!(incomplete.is_incomplete && tags.any_dead(&incomplete));
        tags.unpin(incomplete);
    }
    assert_eq!(tags.invalidate_name("0").count(), 0);
    // The tag had a member and a pin: the invalidation reaches both.
    assert!(tags.any_dead(&pinned));
    tags.unpin(pinned);
    let members: Vec<Index> = (0..members_max).collect();
    tags.validate(&members);
    assert_eq!(tags.next_dead_member(), Some(0));
    tags.detach(0);
    assert!(tags.next_dead_member().is_none());
    // The removed member gave pairs back.
    assert!(!tags.pin_names(&["new"]).is_incomplete);
}
