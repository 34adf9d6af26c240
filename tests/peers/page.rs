//! `docs/peers-tests.md` names existing tests, every test of `peers`, and correct totals.

use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../../docs/peers-tests.md");

/// The kind (`had`, `new` or `no`) and the last cell of each row.
fn rows() -> Vec<(&'static str, &'static str)> {
    let row = |line: &'static str| {
        let row = line.strip_prefix("| ")?;
        let cells: Vec<&str> = row.split(" | ").collect();
        match cells[..] {
            [_, kind, ours] => Some((kind, ours)),
            // The header of a table.
            _ if row.starts_with("what they check |") => None,
            _ => panic!("a row of {} cells: {line}", cells.len()),
        }
    };
    PAGE.lines().filter_map(row).collect()
}

/// Asserts that a test, written as `file::name`, exists.
fn assert_exists(test: &str) {
    let (file, name) = test.rsplit_once("::").unwrap();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let file = format!("{}.rs", file.replace("::", "/"));
    let read = fs::read_to_string(tests.join("it").join(&file));
    let read = read.or_else(|_| fs::read_to_string(tests.join(&file)));
    let code = read.unwrap_or_else(|_| panic!("no file of tests for {test}"));
    let exists = code.contains(&format!("fn {name}(")) || code.contains(&format!("fn {name}<"));
    assert!(exists, "there is no {test}");
}

#[test]
fn every_test_named_on_the_page_exists() {
    for (kind, ours) in rows() {
        let named = ours.split('`').skip(1).step_by(2);
        let tests: Vec<&str> = named.filter(|name| name.contains("::")).collect();
        for test in &tests {
            assert_exists(test);
        }
        let new = tests.iter().filter(|test| test.starts_with("peers::"));
        match kind {
            "new" => assert!(new.count() > 0, "{ours}"),
            "had" => assert_eq!(new.count(), 0, "{ours}"),
            _ => assert_eq!(kind, "no"),
        }
    }
}

#[test]
fn every_test_of_peers_is_named_on_the_page() {
    for file in [
        "caffeine",
        "caffeine_writes",
        "moka",
        "quick_cache",
        "singleflight",
        "threads",
    ] {
        let path = format!("{}/tests/peers/{file}.rs", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(path).unwrap();
        for test in text.split("#[test]\nfn ").skip(1) {
            let (name, _) = test.split_once('(').unwrap();
            assert!(PAGE.contains(&format!("`peers::{file}::{name}`")), "{name}");
        }
    }
}

#[test]
fn page_totals_match_its_rows() {
    let rows = rows();
    let count = |kind| rows.iter().filter(|row| row.0 == kind).count();
    let [had, new, no] = ["had", "new", "no"].map(count);
    assert_eq!(had + new + no, rows.len());
    let first = format!("check {} behaviours.\n{had} of them", rows.len());
    assert!(PAGE.contains(&first), "{first}");
    let second = format!("already, {new} are shown");
    assert!(PAGE.contains(&second), "{second}");
    let third = format!("and {no} do\nnot apply");
    assert!(PAGE.contains(&third), "{third}");
}
