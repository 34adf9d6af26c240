//! The rules of the project that a program can check.

#![allow(
    clippy::unwrap_used,
    reason = "in a test an error that nobody asked for is a failure"
)]

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/words.rs"]
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the project.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns `true` in the unpacked crate of `cargo package`, `false` in the repository. The crate
/// has no `fuzz`, and cargo has rewritten the manifest.
fn is_packaged() -> bool {
    root().join("Cargo.toml.orig").exists()
}

/// The manifest as written by hand.
fn manifest() -> String {
    let name = if is_packaged() {
        "Cargo.toml.orig"
    } else {
        "Cargo.toml"
    };
    fs::read_to_string(root().join(name)).unwrap()
}

/// Every Rust file below some folders of the project, with its text.
fn rust_files(folders: &[&str]) -> BTreeMap<PathBuf, String> {
    let root = root();
    let mut files = BTreeMap::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.insert(path.strip_prefix(root).unwrap().to_owned(), text);
            }
        }
    }
    assert!(!files.is_empty());
    files
}

/// The level of each folder, from the table of `docs/architecture.md`: rows that begin with a
/// folder in backticks and a number.
fn levels() -> BTreeMap<String, u32> {
    let page = include_str!("../docs/architecture.md");
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let folder = cells.next()?.trim_end_matches(['`', '/']);
        let level = cells.next()?.parse().ok()?;
        Some((folder.trim_end_matches(".rs").to_owned(), level))
    };
    page.lines().filter_map(row).collect()
}

/// The folder of a file in `src`, or the name of a file directly in `src`.
fn folder_of(path: &Path) -> String {
    let inside = path.strip_prefix("src").unwrap();
    let first = inside.components().next().unwrap().as_os_str();
    let name = first.to_str().unwrap().trim_end_matches(".rs");
    name.trim_end_matches("_tests").to_owned()
}

/// The lines of a file without its comments.
fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}

/// The folders that a file's code names.
fn folders_used(text: &str) -> Vec<String> {
    let mut folders = Vec::new();
    for line in code_lines(text) {
        for used in line.split("crate::").skip(1) {
            let end = used.find(|c: char| !c.is_alphanumeric() && c != '_');
            folders.push(used[..end.unwrap_or(used.len())].to_owned());
        }
    }
    folders
}

#[test]
fn arrows_point_down_only() {
    let levels = levels();
    for (path, text) in rust_files(&["src"]) {
        if path.ends_with("lib.rs") {
            continue;
        }
        let here = folder_of(&path);
        let level = levels.get(&here);
        let level = level.unwrap_or_else(|| panic!("docs/architecture.md has no level for {here}"));
        for used in folders_used(&text) {
            let below = levels.get(&used);
            let below = below.unwrap_or_else(|| panic!("{}: no folder {used}", path.display()));
            assert!(
                used == here || below < level,
                "{} (level {level}) uses {used} (level {below}): arrows point down only",
                path.display(),
            );
        }
    }
}

#[test]
fn every_folder_of_the_table_exists() {
    let folders: Vec<String> = rust_files(&["src"])
        .keys()
        .map(|path| folder_of(path))
        .collect();
    for planned in levels().keys() {
        assert!(
            folders.contains(planned),
            "the table names {planned}, which does not exist"
        );
    }
}

/// Every file of `src` has its line on the page, below the heading of its folder.
#[test]
fn every_file_is_named_in_the_architecture() {
    let page = include_str!("../docs/architecture.md");
    for path in rust_files(&["src"]).keys() {
        let inside = path.strip_prefix("src").unwrap();
        let folder = folder_of(path);
        let heading = format!("### {folder}/");
        let Some((_, section)) = page.split_once(&heading) else {
            let name = inside.display();
            assert!(page.contains(&format!("`{name}`")), "no line for {name}");
            continue;
        };
        let section = section.split("\n##").next().unwrap();
        let file = inside.strip_prefix(&folder).unwrap().display().to_string();
        let name = file.rsplit('/').next().unwrap();
        let is_named = section.contains(&format!("`{file}`")) || section.contains(name);
        assert!(
            is_named,
            "docs/architecture.md has no line for {folder}/{file}"
        );
    }
}

#[test]
fn no_file_is_longer_than_400_lines() {
    let mut folders = vec!["src", "tests", "examples"];
    if !is_packaged() {
        folders.push("fuzz/src");
    }
    for (path, text) in rust_files(&folders) {
        let lines = text.lines().count();
        assert!(
            lines <= 400,
            "{} has {lines} lines, so two ideas",
            path.display()
        );
    }
}

/// Asserts that only these files of `src` have a word in their code.
#[track_caller]
fn only_in(word: &str, allowed: &[&str]) {
    for (path, text) in rust_files(&["src"]) {
        if allowed.iter().any(|file| path.ends_with(file)) {
            continue;
        }
        for line in code_lines(&text) {
            assert!(!line.contains(word), "{}: {line}", path.display());
        }
    }
}

#[test]
fn only_the_clock_asks_the_system_for_the_time() {
    only_in("Instant", &["clock.rs"]);
    only_in("SystemTime", &[]);
}

#[test]
fn one_file_takes_the_lock() {
    // The lock of the shards. The others are small locks, under which no other lock is taken and
    // no code of the caller runs.
    let small = [
        "background_task.rs",
        "invalidation_log.rs",
        "visits.rs",
        "manual.rs",
        "names.rs",
    ];
    only_in(".lock()", &small);
    only_in("RwLock", &["shard/mod.rs", "sync.rs"]);
    only_in("Guard", &["manual.rs"]);
}

#[test]
fn nothing_is_spawned_and_nothing_sleeps() {
    // By the spawner and the timer that the builder was given, and by nobody else.
    only_in("spawn(", &["spawn.rs", "background.rs"]);
    only_in(
        "sleep(",
        &["timer.rs", "manual.rs", "timeouts.rs", "testing/world.rs"],
    );
    // Asks which thread polls a load.
    only_in("thread::", &["background_task.rs"]);
    for (path, text) in rust_files(&["tests"]) {
        if !path.ends_with("tidy.rs") {
            // There by the clock of the test, in no time.
            let by_hand = ["hostile/loads.rs", "it/clock.rs"];
            let text = if by_hand.iter().any(|file| path.ends_with(file)) {
                text.replace("clock.sleep(", "")
            } else {
                text
            };
            assert!(!text.contains("sleep("), "{} sleeps", path.display());
        }
    }
}

/// Asserts that no file of some folders of `src` has one of these words in its code.
#[track_caller]
fn none_in(folders: &[&str], words: &[&str]) {
    let folders: Vec<String> = folders.iter().map(|name| format!("src/{name}")).collect();
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    for (path, text) in rust_files(&folders) {
        for line in code_lines(&text) {
            let mut named = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            let found = named.find(|word| words.contains(word));
            assert_eq!(found, None, "{}: {line}", path.display());
        }
    }
}

/// The data structures of entries and tags take `&mut self` and the time: plain data.
#[test]
fn store_and_tags_know_no_lock_no_clock_and_no_await() {
    let locks = ["Mutex", "RwLock", "OnceCell", "lock", "read_lock"];
    let clocks = ["Clock", "SystemClock", "ManualClock", "Instant"];
    let waits = ["async", "await", "Future", "Waker"];
    for words in [&locks[..], &clocks, &waits] {
        none_in(&["store", "tags", "index"], words);
    }
}

/// With features comes the duty to test each set of them: `.ci/run` has a step for the default
/// timer and without it, and one for what `testing` adds.
#[test]
fn there_are_two_features_to_combine() {
    let manifest = manifest();
    let (_, features) = manifest.split_once("[features]").unwrap();
    let (features, _) = features.split_once("\n\n").unwrap();
    let named = features.lines().filter(|line| line.contains(" = ["));
    assert_eq!(named.count(), 3, "add the powerset to .ci/run");
    assert_eq!(manifest.matches("optional = true").count(), 2);
}

#[test]
fn the_rules_see_what_they_look_for() {
    assert_eq!(
        folders_used("use crate::store::{Id, Key};\n// crate::load"),
        ["store"]
    );
    assert_eq!(folders_used("fn f(_: crate::tags::Held) {}"), ["tags"]);
    assert_eq!(folder_of(Path::new("src/shard/core.rs")), "shard");
    assert_eq!(folder_of(Path::new("src/tags_tests.rs")), "tags");
    assert!(levels().len() > 10);
}
