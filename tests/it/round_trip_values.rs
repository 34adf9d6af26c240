//! Which values pass the check of a round trip: no false alarm, and no change unseen.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hydracache::{BoxError, Bytes, Codec, HydraCache, Postcard};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::support::*;

/// Loads a value, and expects no error.
#[track_caller]
fn passes<V: Serialize + DeserializeOwned>(value: V) {
    let cache = HydraCache::local().build();
    cache.check_round_trip(&value).unwrap();
    block_on(cache.get_or_load("key", options(), ready(value))).unwrap();
    assert!(block_on(cache.get::<V>("key")).unwrap().is_some());
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Unit;

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Generic<T> {
    inner: T,
}

#[test]
fn usual_values_pass() {
    passes(());
    passes(Unit);
    passes(Generic { inner: Unit });
    passes((1_u8, "text".to_owned(), 'c', true));
    passes([i128::MIN, -1, 0, i128::MAX]);
    passes([u128::MAX, 0]);
    passes([f64::NAN, f64::INFINITY, -0.0, 0.1, f64::MIN_POSITIVE]);
    passes([f32::NAN, f32::NEG_INFINITY, -0.0, 0.1, f32::EPSILON]);
    passes(f64::from_bits(0x7FF0_0000_0000_0001)); // a signalling NaN
    passes(Some(None::<Option<u8>>));
    passes(Err::<u8, String>("no".into()));
    passes(Cow::Borrowed("borrowed"));
    passes(Duration::new(7, 9));
    passes(Box::new(Generic {
        inner: vec![1_u8, 2],
    }));
    passes(BTreeMap::from([
        ("a".to_owned(), vec![1]),
        ("b".into(), vec![]),
    ]));
    passes(PhantomLike::<u8>::default());
}

#[derive(Default, Deserialize, Serialize)]
struct PhantomLike<T>(std::marker::PhantomData<T>);

/// The decoded map has another order: each `HashMap` has seeds of its own.
#[test]
fn maps_and_sets_in_another_order_pass() {
    for _ in 0..20 {
        passes(
            (0..1_000_u32)
                .map(|id| (format!("key {id}"), id))
                .collect::<HashMap<_, _>>(),
        );
        passes(vec![
            (0..300_u32).collect::<HashSet<_>>(),
            (9..13).collect(),
        ]);
        let inner = |id: u32| {
            (
                id,
                HashMap::from([(id, "a".to_owned()), (id + 1, "b".into())]),
            )
        };
        passes((0..50).map(inner).collect::<HashMap<_, _>>());
    }
}

#[test]
fn large_values_pass() {
    passes(vec![7_u8; 1 << 20]);
    passes("é".repeat(1 << 20));
}

/// Writes another number each time, so nothing can be compared.
#[derive(Deserialize)]
struct Stamped {
    #[serde(deserialize_with = "any_number", rename = "stamp")]
    _stamp: (),
}

fn any_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    u64::deserialize(deserializer).map(drop)
}

impl Serialize for Stamped {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let inner = u64::from(NEXT.fetch_add(1, Ordering::Relaxed));
        Generic { inner }.serialize(serializer)
    }
}

#[test]
fn value_written_in_another_way_each_time_passes() {
    passes(Stamped { _stamp: () });
    passes(vec![Stamped { _stamp: () }, Stamped { _stamp: () }]);
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Row {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nick: Option<String>,
    name: String,
}

/// In 20,000 lists of this kind, about 340 come back as other lists. For some twenty of these the
/// bytes of both lists are the same: a comparison of the bytes would not see the change.
#[test]
fn shifted_fields_are_never_unseen() {
    let cache = HydraCache::local().build();
    let mut rng = StdRng::seed_from_u64(7);
    let (mut changed, mut same_bytes) = (0, 0);
    for _ in 0..5_000 {
        let mut text = || -> String {
            let len = rng.random_range(0..3);
            (0..len)
                .map(|_| char::from(rng.random_range(0..3_u8)))
                .collect()
        };
        let mut row = |nick: bool| Row {
            nick: nick.then(&mut text),
            name: text(),
        };
        let rows = [row(false), row(true), row(true)];
        let list: Vec<Row> = rows[..].to_vec();
        let bytes = Postcard.encode(&list).unwrap();
        let read = Postcard.decode::<Vec<Row>>(&bytes);
        let checked = cache.check_round_trip(&list);
        let Ok(read) = read else {
            assert!(checked.is_err());
            continue;
        };
        assert_eq!(checked.is_ok(), read == list, "{list:?}");
        changed += u32::from(read != list);
        same_bytes += u32::from(read != list && Postcard.encode(&read).unwrap() == bytes);
    }
    assert!(changed > 100, "{changed}");
    assert!(same_bytes > 10, "{same_bytes}");
}

/// Every form that serde knows.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Tree {
    Leaf,
    Signed(i64),
    Big(u128),
    Float(f32),
    Text(String),
    Letter(char),
    Pair(u8, Option<bool>),
    Record { id: u32, parent: Option<Box<Tree>> },
    List(Vec<Tree>),
    Set(HashSet<String>),
    Map(HashMap<u16, Tree>),
    Sorted(BTreeMap<String, Tree>),
    Unit(Unit),
    Nested(Generic<(i8, Result<u64, String>)>),
}

fn tree(rng: &mut StdRng, depth: u32) -> Tree {
    let kinds = if depth == 0 { 7 } else { 14 };
    let len = rng.random_range(0..5);
    let text = |rng: &mut StdRng| format!("text {}", rng.random_range(0..1_000_u32));
    match rng.random_range(0..kinds) {
        0 => Tree::Leaf,
        1 => Tree::Signed(rng.random()),
        2 => Tree::Big(rng.random()),
        3 => Tree::Float(rng.random()),
        4 => Tree::Text(text(rng)),
        5 => Tree::Letter(rng.random()),
        6 => Tree::Pair(rng.random(), rng.random::<bool>().then(|| rng.random())),
        7 => Tree::Record {
            id: rng.random(),
            parent: rng.random::<bool>().then(|| Box::new(tree(rng, depth - 1))),
        },
        8 => Tree::List((0..len).map(|_| tree(rng, depth - 1)).collect()),
        9 => Tree::Set((0..len).map(|_| text(rng)).collect()),
        10 => Tree::Map(
            (0..len)
                .map(|_| (rng.random(), tree(rng, depth - 1)))
                .collect(),
        ),
        11 => Tree::Sorted(
            (0..len)
                .map(|_| (text(rng), tree(rng, depth - 1)))
                .collect(),
        ),
        12 => Tree::Unit(Unit),
        _ => Tree::Nested(Generic {
            inner: (
                rng.random(),
                if len == 0 {
                    Err(text(rng))
                } else {
                    Ok(rng.random())
                },
            ),
        }),
    }
}

#[test]
fn random_values_pass() {
    let cache = HydraCache::local().build();
    for seed in 0..2_000 {
        let value = tree(&mut StdRng::seed_from_u64(seed), 4);
        let call = cache.get_or_load("key", options(), ready(value.clone()));
        block_on(call).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(block_on(cache.get("key")).unwrap(), Some(value), "{seed}");
        block_on(cache.remove("key")).unwrap();
    }
}

/// Two values out of many that differ are told apart, whatever codec is between them.
#[test]
fn codec_that_swaps_values_is_noticed() {
    /// Gives every other value back as the value before.
    #[derive(Default)]
    struct Late(std::sync::Mutex<Bytes>);
    impl Codec for Late {
        fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError> {
            let bytes = Postcard.encode(value)?;
            Ok(std::mem::replace(&mut *self.0.lock().unwrap(), bytes))
        }
        fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError> {
            Postcard.decode(bytes)
        }
    }
    let cache = HydraCache::local().codec(Late::default()).build();
    let _ = cache.check_round_trip(&Tree::Leaf);
    let mut last = Tree::Leaf;
    for seed in 0..2_000 {
        let value = tree(&mut StdRng::seed_from_u64(seed), 3);
        let checked = cache.check_round_trip(&value);
        assert_eq!(checked.is_ok(), last == value, "{last:?} for {value:?}");
        last = value;
    }
}
