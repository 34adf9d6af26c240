//! The public API, line by line and grouped by type, so that a review sees every change.
//!
//! `UPDATE_PUBLIC_API=1 cargo test --test public_api` writes `tests/public-api.txt`.
//!
//! The test reads the source. Every `pub` item is public, because the lint `unreachable_pub`
//! refuses a `pub` that other crates cannot reach. Moving an item to another file changes
//! nothing here.

#![allow(
    clippy::unwrap_used,
    reason = "in a test an unexpected error is a failure"
)]

use std::collections::BTreeMap;
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

/// The declarations of a type, a trait or a module, in the order of the source.
type Api = BTreeMap<String, Vec<String>>;

/// Adds every declaration of a file that other crates see, each in one line: `pub` items,
/// the methods of public traits, and the traits that public types implement.
fn add_declarations<'a>(
    api: &mut Api,
    module: &str,
    lines: impl Iterator<Item = &'a str>,
    public: &[&str],
) {
    let (mut attributes, mut owner, mut in_trait) = (Vec::new(), module.to_owned(), false);
    // Items for tests and for `fuzz/` stand at the end of a file.
    let inner = ["#[cfg(test)]", "#[cfg(any(test, fuzzing))]"];
    let mut lines = lines.take_while(|line| !inner.contains(line));
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
        let is_item = line.len() == text.len() && !text.starts_with(['}', ')', '{']);
        let is_impl = is_item && (text.starts_with("impl<") || text.starts_with("impl "));
        let begins_type = ["pub struct ", "pub enum ", "pub trait ", "pub type "];
        let begins_type = is_item && begins_type.iter().any(|word| text.starts_with(word));
        let is_method = in_trait && text.starts_with("fn ");
        if !(is_impl || begins_type || is_method || text.starts_with("pub ")) {
            if is_item {
                module.clone_into(&mut owner);
                in_trait = false;
            }
            attributes.clear();
            continue;
        }
        let mut declaration = text.to_owned();
        while !is_whole(&declaration) {
            declaration.extend([" ", lines.next().unwrap().trim()]);
        }
        let declaration = declaration.trim_end_matches(['{', ' ']).to_owned();
        let mut is_seen = true;
        if is_impl {
            let (of, to) = implemented(&declaration);
            let shown = [to, of].into_iter().find(|name| public.contains(name));
            shown.unwrap_or(module).clone_into(&mut owner);
            // Other crates cannot name `ErrorKind`.
            is_seen = shown.is_some() && !of.is_empty() && !declaration.contains("<ErrorKind>");
            in_trait = false;
        } else if begins_type {
            let name = declaration.split_whitespace().nth(2).unwrap();
            let name = name.split(['<', ':', '(', ';']).next().unwrap();
            name.clone_into(&mut owner);
            in_trait = text.starts_with("pub trait ");
        } else if is_item {
            module.clone_into(&mut owner);
            in_trait = false;
        }
        if is_seen {
            let declarations = api.entry(owner.clone()).or_default();
            declarations.append(&mut attributes);
            declarations.push(declaration);
        }
        attributes.clear();
    }
}

/// The trait and the type of an implementation; no trait for inherent methods.
fn implemented(declaration: &str) -> (&str, &str) {
    // Behind the parameters of the implementation itself.
    let mut depth = 0;
    let end = declaration.find(|c: char| {
        depth += i32::from(c == '<') - i32::from(c == '>');
        depth == 0 && c == ' '
    });
    let rest = declaration[end.unwrap()..].trim_start();
    match rest.split_once(" for ") {
        Some((of, to)) => (last_of_path(of), last_of_path(to)),
        None => ("", last_of_path(rest)),
    }
}

/// The last name of a path, without parameters: `Debug` of `fmt::Debug`.
fn last_of_path(path: &str) -> &str {
    let path = path.split(['<', '(', ' ']).next().unwrap();
    path.rsplit("::").next().unwrap()
}

/// Whether a declaration is whole: a field, or something that ends or has its body next.
fn is_whole(text: &str) -> bool {
    let is_field = !text.contains("fn ") && text.ends_with(',');
    is_field || text.ends_with(['{', ';']) || text.ends_with("{}")
}

/// The declarations of all files, grouped.
fn public_api() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = include_str!("../src/lib.rs");
    let uses = names.lines().filter(|line| line.starts_with("pub use"));
    let words = uses.flat_map(|line| line.split(|c: char| !c.is_alphanumeric()));
    let testing = ["Chaos", "Fault", "World", "Spawned"];
    let public: Vec<&str> = words
        .filter(|word| word.starts_with(char::is_uppercase))
        .chain(testing)
        .collect();
    let mut api = Api::new();
    for path in rust_files(&root.join("src")) {
        let inside = path.strip_prefix(root.join("src")).unwrap();
        // A free function or a re-export belongs to the module that other crates see.
        let module = if inside.starts_with("testing") {
            "mod testing"
        } else {
            "crate"
        };
        // The names that other crates use are those of `lib.rs` and of `testing/mod.rs`.
        let names_all = ["lib.rs", "testing/mod.rs"];
        let hides_uses = !names_all.iter().any(|file| inside == Path::new(file));
        let source = fs::read_to_string(&path).unwrap();
        let lines = source
            .lines()
            .filter(|line| !(hides_uses && line.starts_with("pub use")));
        add_declarations(&mut api, module, lines, &public);
    }
    let mut text = String::new();
    for (owner, declarations) in api {
        writeln!(text, "{owner}").unwrap();
        let (uses, others): (Vec<_>, Vec<_>) = declarations
            .into_iter()
            .partition(|declaration| declaration.starts_with("pub use"));
        // Where an item is defined is not public: a name alone, and sorted.
        let mut names: Vec<&str> = uses
            .iter()
            .flat_map(|line| line.rsplit("::").next().unwrap().split(','))
            .map(|name| name.trim_matches(['{', '}', ';', ' ']))
            .collect();
        names.sort_unstable();
        for name in names {
            writeln!(text, "    pub use {name}").unwrap();
        }
        // First the type with its fields; then its methods and traits, sorted: where in the
        // source they stand is not public either.
        let starts = ["pub fn ", "pub async fn ", "impl"];
        let (mut methods, own): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|line| starts.iter().any(|start| line.starts_with(start)));
        methods.sort_unstable_by_key(|line| line.replace("async ", ""));
        for declaration in own.iter().chain(&methods) {
            writeln!(text, "    {declaration}").unwrap();
        }
    }
    text
}

#[test]
fn the_public_api_matches_its_snapshot() {
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
         if the change is intended, run UPDATE_PUBLIC_API=1 cargo test --test public_api, and \
         describe the change in CHANGELOG.md",
    );
}
