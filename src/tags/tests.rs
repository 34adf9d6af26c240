use std::time::Duration;

use super::*;
use crate::key::KeyHasher;
use crate::runtime::Moment;

impl Tags {
    fn add(&mut self, member: Index, names: &[&str]) -> Index {
        let pinned = self.hold_all(names);
        self.attach(member, pinned);
        member
    }

    fn hold_all(&mut self, names: &[&str]) -> PinnedTags {
        let names: Vec<SmallBytes> = names.iter().map(|&name| name.into()).collect();
        self.pin(names.iter())
    }

    fn end(&mut self, name: &str) -> Arc<TagInvalidation> {
        let invalidation = Arc::new(TagInvalidation::new(
            Effect::Remove,
            Moment::of(Duration::ZERO),
        ));
        let tag = HashedTag::new(name.into(), &self.hashing);
        self.invalidate(&tag, &invalidation);
        invalidation
    }
}

#[test]
fn a_tag_is_forgotten_with_its_last_member() {
    let mut tags = Tags::new(Hashing::Colliding);
    let (one, two) = (tags.add(1, &["a", "b"]), tags.add(2, &["b", "c"]));
    tags.validate(&[one, two]);
    tags.detach(one);
    tags.validate(&[two]);
    tags.detach(two);
    assert!(tags.is_empty());
}

#[test]
fn a_tag_named_twice_is_one() {
    let mut tags = Tags::new(Hashing::Colliding);
    let member = tags.add(1, &["a", "a", "a"]);
    tags.validate(&[member]);
    assert_eq!(tags.count_of(member), 1);
    let pinned = tags.hold_all(&["a", "a"]);
    tags.unpin(pinned);
    tags.detach(member);
    assert!(tags.is_empty());
}

#[test]
fn doom_reaches_members_and_holders_but_not_those_who_come_later() {
    let mut tags = Tags::new(Hashing::Colliding);
    let before = tags.add(1, &["a"]);
    let load_before = tags.hold_all(&["a"]);
    tags.end("a");
    let after = tags.add(2, &["a"]);
    let load_after = tags.hold_all(&["a"]);
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
fn the_first_doom_of_a_member_is_the_one() {
    let mut tags = Tags::new(Hashing::Colliding);
    let member = tags.add(1, &["a", "b"]);
    let first = tags.end("b");
    tags.end("a");
    assert!(Arc::ptr_eq(tags.invalidated(member).unwrap().first, &first));
}

#[test]
fn the_dead_are_handed_out_in_order_and_once() {
    let mut tags = Tags::new(Hashing::Colliding);
    let mut members: Vec<_> = (0..4)
        .map(|member| tags.add(member, &[["a", "b"][member as usize % 2], "all"]))
        .collect();
    tags.end("b");
    tags.end("all");
    let mut order = Vec::new();
    while let Some(dead) = tags.next_dead_member() {
        members.retain(|member| *member != dead);
        tags.detach(dead);
        tags.validate(&members);
        order.push(dead);
    }
    assert_eq!(order, [1, 3, 0, 2]);
    assert!(tags.is_empty());
}

#[test]
fn dooming_an_unknown_name_leaves_nothing() {
    let mut tags = Tags::new(Hashing::Colliding);
    tags.end("nobody");
    assert!(tags.is_empty());
}

#[test]
fn thousands_of_tags_on_one_member() {
    let mut tags = Tags::new(Hashing::new(KeyHasher::Foldhash));
    let names: Vec<String> = (0..3_000).map(|n| format!("tag:{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let member = tags.add(0, &names);
    tags.validate(&[member]);
    tags.detach(member);
    assert!(tags.is_empty());
}

#[test]
fn when_there_are_no_numbers_left_a_tag_is_not_held() {
    let mut tags = Tags::new(Hashing::new(KeyHasher::default()));
    // Two each: for the tag, and for the pair of it and its member.
    let most = Index::MAX / 2;
    let name = |n: Index| n.to_string();
    for member in 0..most {
        let pinned = tags.hold_all(&[&name(member)]);
        assert!(!pinned.is_incomplete && !tags.any_dead(&pinned));
        tags.attach(member, pinned);
    }
    // One number is left: for a tag that there is, and not for another.
    let pinned = tags.hold_all(&["0"]);
    assert!(!pinned.is_incomplete);
    for names in [&["new"][..], &["1"], &["new", "1"]] {
        let short = tags.hold_all(names);
        assert!(short.is_incomplete && tags.any_dead(&short));
        tags.unpin(short);
    }
    assert_eq!(tags.end("0").count(), 0);
    assert!(tags.any_dead(&pinned));
    tags.unpin(pinned);
    let members: Vec<Index> = (0..most).collect();
    tags.validate(&members);
    assert_eq!(tags.next_dead_member(), Some(0));
    tags.detach(0);
    assert!(tags.next_dead_member().is_none());
    assert!(!tags.hold_all(&["new"]).is_incomplete);
}
