use std::time::Duration;

use super::*;
use crate::key::KeyHasher;
use crate::runtime::Moment;

impl Tags {
    fn add(&mut self, member: Index, names: &[&str]) -> Index {
        let held = self.hold_all(names);
        self.enroll(member, held, 0);
        member
    }

    fn hold_all(&mut self, names: &[&str]) -> Held {
        let names: Vec<Text> = names.iter().map(|&name| name.into()).collect();
        self.hold(names.iter())
    }

    fn end(&mut self, name: &str) -> Arc<Doom> {
        let doom = Arc::new(Doom::new(Kind::Remove, Moment::of(Duration::ZERO)));
        self.doom(&name.into(), &doom);
        doom
    }
}

#[test]
fn a_tag_is_forgotten_with_its_last_member() {
    let mut tags = Tags::new(Hashing::Colliding);
    let (one, two) = (tags.add(1, &["a", "b"]), tags.add(2, &["b", "c"]));
    tags.validate(&[one, two]);
    tags.leave(one);
    tags.validate(&[two]);
    tags.leave(two);
    assert!(tags.is_empty());
}

#[test]
fn a_tag_named_twice_is_one() {
    let mut tags = Tags::new(Hashing::Colliding);
    let member = tags.add(1, &["a", "a", "a"]);
    tags.validate(&[member]);
    assert_eq!(tags.count_of(member), 1);
    let held = tags.hold_all(&["a", "a"]);
    tags.release(held);
    tags.leave(member);
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
    assert!(tags.is_doomed(before));
    assert!(!tags.is_doomed(after));
    assert!(tags.any_dead(&load_before));
    assert!(!tags.any_dead(&load_after));
    tags.validate(&[before, after]);
    for held in [load_before, load_after] {
        tags.release(held);
    }
    tags.leave(before);
    tags.leave(after);
    assert_eq!(tags.next_dead(), None);
    assert!(tags.is_empty());
}

#[test]
fn the_first_doom_of_a_member_is_the_one() {
    let mut tags = Tags::new(Hashing::Colliding);
    let member = tags.add(1, &["a", "b"]);
    let first = tags.end("b");
    tags.end("a");
    assert!(Arc::ptr_eq(tags.over(member).unwrap().first, &first));
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
    while let Some(dead) = tags.next_dead() {
        members.retain(|member| *member != dead);
        tags.leave(dead);
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
    tags.leave(member);
    assert!(tags.is_empty());
}

#[test]
fn when_there_are_no_numbers_left_a_tag_is_not_held() {
    let mut tags = Tags::new(Hashing::new(KeyHasher::default()));
    // Two each: for the tag, and for the pair of it and its member.
    let most = Index::MAX / 2;
    let name = |n: Index| n.to_string();
    for member in 0..most {
        let held = tags.hold_all(&[&name(member)]);
        assert!(!held.is_short && !tags.any_dead(&held));
        tags.enroll(member, held, 0);
    }
    // One number is left: for a tag that there is, and not for another.
    let held = tags.hold_all(&["0"]);
    assert!(!held.is_short);
    for names in [&["new"][..], &["1"], &["new", "1"]] {
        let short = tags.hold_all(names);
        assert!(short.is_short && tags.any_dead(&short));
        tags.release(short);
    }
    assert_eq!(tags.end("0").count(), 0);
    assert!(tags.any_dead(&held));
    tags.release(held);
    let members: Vec<Index> = (0..most).collect();
    tags.validate(&members);
    assert_eq!(tags.next_dead(), Some(0));
    tags.leave(0);
    assert!(tags.next_dead().is_none());
    assert!(!tags.hold_all(&["new"]).is_short);
}
