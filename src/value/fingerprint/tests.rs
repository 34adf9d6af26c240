//! Values with equal fingerprints, and values with different fingerprints.

use std::collections::{BTreeMap, HashSet};

use super::*;

#[track_caller]
fn differ(a: &impl Serialize, b: &impl Serialize) {
    assert_ne!(fingerprint(a).unwrap(), fingerprint(b).unwrap());
}

#[track_caller]
fn same(a: &impl Serialize, b: &impl Serialize) {
    assert_eq!(fingerprint(a).unwrap(), fingerprint(b).unwrap());
}

#[test]
fn values_of_each_kind_differ() {
    differ(&1_u8, &2_u8);
    differ(&i128::MIN, &i128::MAX);
    differ(&u128::MAX, &(u128::MAX >> 1));
    differ(&0.0_f64, &-0.0_f64);
    differ(&"a", &"b");
    differ(&"eight by", &"eight bytes");
    differ(&[0_u8; 2], &[0_u8; 3]);
    differ(&Some(None::<()>), &None::<Option<()>>);
    differ(&(1, 2), &(2, 1));
    differ(&vec![1, 1, 2], &vec![1, 2, 2]);
    differ(&vec![0_u8; 2], &vec![0_u8; 3]);
    differ(&vec![(1, 2), (3, 4)], &vec![(1, 4), (3, 2)]);
    let map = |pairs: [(u8, u8); 2]| BTreeMap::from(pairs);
    differ(&map([(1, 2), (3, 4)]), &map([(1, 4), (3, 2)]));
    differ(&Ok::<u8, u8>(1), &Err::<u8, u8>(1));
}

#[test]
fn sequences_and_maps_count_in_any_order() {
    same(&f32::NAN, &f32::NAN);
    same(&vec![1, 2, 3], &vec![3, 1, 2]);
    let sets = |seed: u32| -> Vec<HashSet<u32>> {
        vec![(seed..seed + 100).collect(), (0..1_000).rev().collect()]
    };
    same(&sets(5), &sets(5)); // each set has an order of its own
    differ(&sets(5), &sets(6));
}

#[test]
fn skipped_field_differs_from_every_written_field() {
    #[derive(serde::Serialize)]
    struct Row {
        #[serde(skip_serializing_if = "Option::is_none")]
        nick: Option<&'static str>,
        name: &'static str,
    }
    let row = |nick, name| Row { nick, name };
    differ(&row(None, "a"), &row(Some("a"), "a"));
    differ(&row(None, "a"), &row(None, "b"));
    same(&row(None, "a"), &row(None, "a"));
}
