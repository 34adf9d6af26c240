//! Keeps the table of `Postcard` true: each row has types that come back as the row says.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;

use hydracache::HydraCache;
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;

use crate::support::*;

/// The outcomes in a row: of loading verbs, and of `put`, then `get`.
#[derive(Debug, Default, PartialEq)]
struct Outcomes([Vec<String>; 2]);

impl Outcomes {
    /// Tries a value, and adds its outcomes.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "the rows are shorter without `&`"
    )]
    fn with<V: Serialize + DeserializeOwned + PartialEq + Clone>(mut self, value: V) -> Self {
        let cache = HydraCache::local().build();
        let loaded = block_on(cache.get_or_load("loaded", options(), ready(value.clone())));
        let updated = block_on(cache.update("updated", options(), |_| Some(value.clone())));
        let put = block_on(cache.put("put", &value, options()));
        let found = |key| match block_on(cache.get::<V>(key)) {
            Ok(Some(read)) if read == value => "works",
            Ok(Some(_)) => "another value",
            Ok(None) | Err(_) => "error",
        };
        let [of_load, of_update, of_put] = ["loaded", "updated", "put"].map(found);
        assert_eq!(of_load, of_update);
        assert_eq!(
            loaded.is_err_and(|error| error.is_encode()),
            of_load == "error"
        );
        assert_eq!(
            updated.is_err_and(|error| error.is_encode()),
            of_update == "error"
        );
        assert!(put.is_ok() || of_put == "error");
        assert_eq!(cache.check_round_trip(&value).is_err(), of_load == "error");
        for (outcomes, outcome) in self.0.iter_mut().zip([of_load, of_put]) {
            outcomes.push(outcome.into());
            outcomes.sort();
            outcomes.dedup();
        }
        self
    }
}

fn of<V: Serialize + DeserializeOwned + PartialEq + Clone>(value: V) -> Outcomes {
    Outcomes::default().with(value)
}

/// The rows of the rustdoc page.
fn rows() -> BTreeMap<String, Outcomes> {
    let page = include_str!("../../src/value/codec.rs");
    let (_, table) = page.split_once("/// |---|---|---|\n").unwrap();
    let rows = table.lines().map_while(|line| line.strip_prefix("/// | "));
    let row = |row: &str| {
        let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
        let outcomes = |cell: &str| {
            let mut outcomes: Vec<String> = cell.split(", ").map(str::to_owned).collect();
            outcomes.sort();
            outcomes
        };
        (
            cells[0].to_owned(),
            Outcomes([outcomes(cells[1]), outcomes(cells[2])]),
        )
    };
    rows.map(row).collect()
}

macro_rules! types {
    ($($(#[$attribute:meta])* $kind:ident $name:ident $body:tt)*) => {
        $(#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
        $(#[$attribute])*
        $kind $name $body)*
    };
}

types! {
    struct Plain { id: u64, tags: Option<(i8, char)>, ratio: f64 }
    enum Plan {
        Free,
        #[allow(dead_code, reason = "shifts the numbers of the variants below")]
        #[serde(skip)]
        Internal,
        Pro,
        Enterprise,
    }
    struct Renamed { #[serde(rename = "n", alias = "m", default)] id: Transparent }
    #[serde(transparent)]
    struct Transparent { id: u8 }
    struct Fitting {
        #[serde(serialize_with = "cents", deserialize_with = "from_cents")] price: u64,
        #[serde(with = "as_text")] id: u64,
    }
    struct NotWritten { id: u8, #[serde(skip_serializing, default)] count: u8 }
    struct NotRead { id: u8, #[serde(skip_deserializing)] count: u8 }
    struct Row {
        #[serde(default, skip_serializing_if = "Option::is_none")] nick: Option<String>,
        name: String,
    }
    struct Cents { #[serde(serialize_with = "cents")] price: u64 }
    struct FromCents { #[serde(deserialize_with = "from_cents")] price: u64 }
    struct Flat { id: u8, #[serde(flatten)] rest: Plain }
    #[serde(untagged)]
    enum Untagged { Number(u32), Text(String) }
    #[serde(tag = "type")]
    enum Tagged { Row { name: String }, Unit }
    #[serde(tag = "type", content = "value")]
    enum WithContent { Number(u32), Unit }
    struct Money { #[serde(with = "rust_decimal::serde::str")] amount: Decimal }
    struct Skipped { id: u8, #[serde(skip)] count: u8 }
    struct Rounded { #[serde(serialize_with = "rounded")] price: u64 }
    struct Sorted { #[serde(serialize_with = "sorted")] list: Vec<u8> }
}

impl Default for Transparent {
    fn default() -> Self {
        Self { id: 9 }
    }
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn cents<S: Serializer>(price: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(price * 100)
}

fn from_cents<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(u64::deserialize(deserializer)? / 100)
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn rounded<S: Serializer>(price: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(price / 10 * 10)
}

fn sorted<S: Serializer>(list: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = list.to_vec();
    list.sort_unstable();
    list.serialize(serializer)
}

mod as_text {
    use super::*;

    #[allow(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    pub fn serialize<S: Serializer>(id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Stands in for `bson`, which would bring 25 crates: a map in both directions, whose values are
/// asked for with `deserialize_any`. With bson 3.1 and postcard 1.1 this was tried by hand: a
/// `Document`, a `Bson`, a `DateTime` and an `ObjectId` are written, and cannot be read.
#[derive(Clone, Debug, PartialEq)]
struct Document(BTreeMap<String, serde_json::Value>);

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Self)
    }
}

fn plain() -> Plain {
    Plain {
        id: 7,
        tags: Some((-1, 'x')),
        ratio: 0.5,
    }
}

fn row(nick: Option<&str>, name: &str) -> Row {
    let (nick, name) = (nick.map(str::to_owned), name.to_owned());
    Row { nick, name }
}

/// The types that stand for a row.
fn tried(row_name: &str) -> Outcomes {
    let maps = (
        vec![1],
        HashMap::from([(1, 2)]),
        HashSet::from(["a".to_owned()]),
    );
    match row_name {
        "numbers, texts, options, tuples, structs, enums" => of(plain())
            .with(Ok::<_, u8>("text".to_owned()))
            .with((i128::MIN, Some(()), 0.1_f32)),
        "`Vec`, `HashMap`, `HashSet`, `BTreeMap`" => {
            of(maps).with(BTreeMap::from([("a".to_owned(), vec![1])]))
        }
        "`rename`, `alias`, `default`, `transparent`" => of(Renamed {
            id: Transparent { id: 7 },
        }),
        "`with`, or `serialize_with` and `deserialize_with` that fit" => {
            of(Fitting { price: 7, id: 8 })
        }
        "`skip_serializing_if` with nothing to skip" => of(row(Some("a"), "b")),
        "`rust_decimal::Decimal` with `rust_decimal::serde::str`" => of(Money {
            amount: Decimal::new(123, 2),
        }),
        "`skip` on a variant before others" => of(Plan::Pro).with(vec![Plan::Pro; 3]),
        // The length of the list is read as the field, or the field as the length.
        "`skip_serializing` alone" => {
            let not_written = NotWritten { id: 1, count: 2 };
            of(not_written.clone()).with((not_written, vec![1_u8, 7]))
        }
        "`skip_deserializing` alone" => {
            let not_read = NotRead { id: 1, count: 2 };
            of(not_read.clone()).with((not_read, vec![9_u8]))
        }
        "`skip_serializing_if` with something to skip" => of(row(None, "a")).with(vec![
            row(None, "\0"),
            row(Some("\u{1}\0"), "\u{1}"),
            row(Some("\0"), "\u{1}"),
        ]),
        "`serialize_with` alone" => of(Cents { price: 7 }),
        "`deserialize_with` alone" => of(FromCents { price: 700 }),
        "`flatten`" => of(Flat {
            id: 7,
            rest: plain(),
        }),
        "`untagged`" => of(Untagged::Number(7)).with(Untagged::Text("a".into())),
        "`tag`" => of(Tagged::Row { name: "a".into() }).with(Tagged::Unit),
        "`tag` and `content`" => of(WithContent::Number(7)).with(WithContent::Unit),
        "`serde_json::Value`" => of(json!({"a": [1, null]}))
            .with(json!(null))
            .with(json!("a")),
        "`rust_decimal::Decimal`" => of(Decimal::new(123, 2)).with(Decimal::ZERO),
        "`bson::Document`, `bson::oid::ObjectId`" => {
            of(Document(BTreeMap::from([("a".into(), json!(1))])))
        }
        "`skip` on a field" => of(Skipped { id: 7, count: 8 }),
        "`serialize_with` that rounds or sorts" => {
            of(Rounded { price: 17 }).with(Sorted { list: vec![2, 1] })
        }
        _ => panic!("a row without a type: {row_name}"),
    }
}

#[test]
fn table_of_postcard_is_true() {
    let rows = rows();
    assert_eq!(rows.len(), 21);
    for (name, outcomes) in rows {
        assert_eq!(tried(&name), outcomes, "{name}");
    }
}
