//! The public API equals the snapshot `tests/public-api.txt`, so that review sees each change.
//!
//! `UPDATE_PUBLIC_API=1 cargo test --test public_api` rewrites the snapshot.
//!
//! The test reads the source files. Every `pub` item there is public, since the lint
//! `unreachable_pub` refuses a `pub` that no other crate can reach.

#![allow(
    clippy::unwrap_used,
    reason = "in a test an unexpected error is a failure"
)]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Every public declaration, each in one line: `pub` items, the methods of public traits, and
/// the `impl` lines of public types.
fn declarations(source: &str, public: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let (mut attributes, mut in_trait) = (Vec::new(), false);
    // Items for tests and for `fuzz/` stand at the end of a file.
    let inner = ["#[cfg(test)]", "#[cfg(any(test, fuzzing))]"];
    let mut lines = source.lines().take_while(|line| !inner.contains(line));
    while let Some(line) = lines.next() {
        let text = line.trim_start();
        if text.starts_with("//") || text.is_empty() {
            continue;
        }
        if text.starts_with("#[") {
            let is_public = text.starts_with("#[derive") || text.starts_with("#[non_exhaustive");
            attributes.extend(is_public.then(|| text.to_owned()));
            continue;
        }
        let is_item = line.len() == text.len();
        in_trait = (in_trait && !is_item) || text.starts_with("pub trait");
        let is_declared = text.starts_with("pub ")
            || (in_trait && text.starts_with("fn "))
            || (text.starts_with("impl") && public.iter().any(|name| implements(text, name)));
        if is_declared {
            let mut declaration = text.to_owned();
            while !is_complete(&declaration) {
                declaration.extend([" ", lines.next().unwrap().trim()]);
            }
            found.append(&mut attributes);
            found.push(declaration.trim_end_matches(['{', ' ']).to_owned());
        }
        attributes.clear();
    }
    found
}

/// Whether a line begins an `impl` for a public type or of a public trait.
fn implements(line: &str, name: &str) -> bool {
    let (of, to) = line.split_once(" for ").unwrap_or(("", ""));
    let is_named = |part: &str| {
        part.split(|c: char| !c.is_alphanumeric())
            .any(|word| word == name)
    };
    !of.contains("From<Kind>") && (is_named(to) || is_named(of))
}

/// Whether a declaration is complete: a field, or a line that ends with `{` or `;`.
fn is_complete(text: &str) -> bool {
    let is_field = !text.contains("fn ") && text.ends_with(',');
    is_field || text.ends_with(['{', ';']) || text.ends_with("{}")
}

/// The declarations of all source files.
fn public_api() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crate_root = include_str!("../src/lib.rs");
    let uses = crate_root
        .lines()
        .filter(|line| line.starts_with("pub use"));
    let words = uses.flat_map(|line| line.split(|c: char| !c.is_alphanumeric()));
    let public: Vec<&str> = words
        .filter(|word| word.starts_with(char::is_uppercase))
        .collect();
    let mut api = String::new();
    for path in rust_files(&root.join("src")) {
        let found = declarations(&fs::read_to_string(&path).unwrap(), &public);
        if found.is_empty() {
            continue;
        }
        let shown = path.strip_prefix(root).unwrap().display();
        writeln!(api, "{shown}").unwrap();
        for line in found {
            writeln!(api, "    {line}").unwrap();
        }
    }
    api
}

#[test]
fn public_api_matches_the_snapshot() {
    let snapshot = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/public-api.txt");
    let api = public_api();
    if std::env::var_os("UPDATE_PUBLIC_API").is_some() {
        fs::write(&snapshot, &api).unwrap();
    }
    let written = fs::read_to_string(&snapshot).unwrap_or_default();
    let (now, then): (Vec<_>, Vec<_>) = (api.lines().collect(), written.lines().collect());
    let added: Vec<_> = now.iter().filter(|line| !then.contains(line)).collect();
    let removed: Vec<_> = then.iter().filter(|line| !now.contains(line)).collect();
    assert!(
        api == written,
        "the public API has changed:\nadded: {added:#?}\nremoved: {removed:#?}\n\
         if that is intended, run UPDATE_PUBLIC_API=1 cargo test --test public_api, and say \
         so in CHANGELOG.md",
    );
}
