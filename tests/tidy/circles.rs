//! No circle inside a folder: two files never use each other, nor do three in a ring.
//!
//! Every `use` path and every other path that begins with `crate`, `super` or `self` is an
//! arrow from its file to the file that defines the name. A name that a `mod.rs` re-exports is
//! defined in the file below. Inside a folder the arrows must have no circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use super::{code_lines, rust_files};

/// A module: the names from the root of the crate down.
type Module = Vec<String>;

/// The code of all modules, and the names that their `mod.rs` re-export.
struct Tree {
    code: BTreeMap<Module, String>,
    /// For a module and a name: the child module that the name comes from.
    exports: BTreeMap<(Module, String), Module>,
}

fn module_of(path: &Path) -> Module {
    let inside = path.strip_prefix("src").unwrap().with_extension("");
    let names = inside.iter().map(|part| part.to_str().unwrap().to_owned());
    names.filter(|name| name != "mod").collect()
}

/// The last names of a path with groups: `a::{B, c::D}` gives `a::B` and `a::c::D`.
fn expand(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else {
        return vec![path.trim_end_matches(':').to_owned()];
    };
    let (mut depth, mut start, mut paths) = (0, 0, Vec::new());
    for (index, char) in rest.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                paths.push(rest[start..index].trim());
                start = index + 1;
                if char == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    let inner = paths.into_iter().filter(|path| !path.is_empty());
    inner
        .flat_map(|path| expand(&format!("{before}{path}")))
        .collect()
}

/// Every path in code that begins with one of the three words, from the root down.
fn paths_in(module: &Module, is_folder: bool, code: &str) -> Vec<Module> {
    let mut found = Vec::new();
    for word in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(word) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|char| char.is_alphanumeric() || char == '_' || char == ':') {
                continue;
            }
            // A visibility, `pub(in crate::shard)`, is no use of a name.
            if code[..at].ends_with("in ") {
                continue;
            }
            let rest = &code[at + word.len()..];
            let end = rest.find(|char: char| !(char.is_alphanumeric() || "_:".contains(char)));
            let mut path = rest[..end.unwrap_or(rest.len())].to_owned();
            if path.ends_with("::") || path.is_empty() {
                let group = &rest[path.len()..];
                if group.starts_with('{') {
                    let close = group.find(';').unwrap_or(group.len());
                    path.push_str(&group[..close]);
                }
            }
            let mut base = match word {
                "crate::" => Module::new(),
                "self::" => module.clone(),
                // The parent: the folder of a file, or the folder around a `mod.rs`.
                _ => module[..module.len() - 1].to_vec(),
            };
            if word == "self::" && !is_folder {
                base.pop();
            }
            for path in expand(&path) {
                let names = path.split("::").filter(|name| !name.is_empty());
                found.push(
                    base.iter()
                        .cloned()
                        .chain(names.map(str::to_owned))
                        .collect(),
                );
            }
        }
    }
    found
}

impl Tree {
    fn read() -> Self {
        let mut tree = Self {
            code: BTreeMap::new(),
            exports: BTreeMap::new(),
        };
        let files = rust_files(&["src"]);
        for (path, text) in &files {
            let is_test = ["tests", "full", "validate"].iter();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let in_tests = path.iter().any(|part| part == "tests");
            if path.ends_with("lib.rs") || in_tests || is_test.clone().any(|test| *test == name) {
                continue;
            }
            // Unit tests stand at the end.
            let code: Vec<&str> = code_lines(text)
                .take_while(|line| !line.starts_with("#[cfg(test)]"))
                .collect();
            tree.code.insert(module_of(path), code.join("\n"));
        }
        let modules: Vec<Module> = tree.code.keys().cloned().collect();
        for module in &modules {
            let code = tree.code[module].clone();
            let mut kept = String::new();
            for statement in code.split_inclusive(';') {
                let is_export =
                    statement.trim_start().starts_with("pub") && statement.contains(" use self::");
                if !is_export {
                    kept.push_str(statement);
                    continue;
                }
                for path in paths_in(module, true, statement) {
                    let (name, child) = path.split_last().unwrap();
                    let key = (module.clone(), name.clone());
                    tree.exports.insert(key, child.to_vec());
                }
            }
            // A re-exported name is an arrow of the `mod.rs` only if its own code uses the name.
            for ((owner, name), child) in &tree.exports {
                let is_word = |text: &str| {
                    text.split(|char: char| !(char.is_alphanumeric() || char == '_'))
                        .any(|word| word == name)
                };
                if owner == module && is_word(&kept) {
                    write!(kept, "\nself::{}::{name};", child.last().unwrap()).unwrap();
                }
            }
            tree.code.insert(module.clone(), kept);
        }
        tree
    }

    /// The module that defines the name at the end of a path.
    fn definer(&self, path: &Module) -> Option<Module> {
        let mut at = path.len();
        while at > 0 && !self.code.contains_key(&path[..at]) {
            at -= 1;
        }
        let module = path[..at].to_vec();
        if at == 0 {
            return None;
        }
        match path.get(at) {
            Some(name) => {
                let export = self.exports.get(&(module.clone(), name.clone()));
                Some(export.cloned().unwrap_or(module))
            }
            None => Some(module),
        }
    }

    /// The arrows inside each folder, between its files and its folders.
    fn arrows(&self) -> BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> {
        let mut arrows: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for (from, code) in &self.code {
            let is_folder = self
                .code
                .keys()
                .any(|other| other.len() > from.len() && other.starts_with(from));
            for path in paths_in(from, is_folder, code) {
                let Some(to) = self.definer(&path) else {
                    continue;
                };
                let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                if shared == 0 || *from == to {
                    continue;
                }
                // A `mod.rs` is a file of its folder.
                let name = |module: &Module| module.get(shared).cloned().unwrap_or("mod.rs".into());
                let folder = arrows.entry(from[..shared].to_vec()).or_default();
                folder.entry(name(from)).or_default().insert(name(&to));
            }
        }
        arrows
    }
}

/// A circle among arrows, if there is one.
fn circle(arrows: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk(
        arrows: &BTreeMap<String, BTreeSet<String>>,
        way: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        let here = way.last().unwrap().clone();
        for next in arrows.get(&here).into_iter().flatten() {
            if let Some(start) = way.iter().position(|seen| seen == next) {
                return Some(way[start..].to_vec());
            }
            if !done.contains(next) {
                way.push(next.clone());
                if let Some(circle) = walk(arrows, way, done) {
                    return Some(circle);
                }
                way.pop();
            }
        }
        done.insert(here);
        None
    }
    let mut done = BTreeSet::new();
    arrows
        .keys()
        .find_map(|start| walk(arrows, &mut vec![start.clone()], &mut done))
}

#[test]
fn files_of_a_folder_have_no_circle() {
    let tree = Tree::read();
    for (folder, arrows) in tree.arrows() {
        if let Some(circle) = circle(&arrows) {
            panic!(
                "src/{}: a circle of {}",
                folder.join("/"),
                circle.join(" -> ")
            );
        }
    }
}

#[test]
fn the_search_for_circles_finds_one() {
    let arrow = |from: &str, to: &str| (from.to_owned(), BTreeSet::from([to.to_owned()]));
    let ring = BTreeMap::from([arrow("a", "b"), arrow("b", "c"), arrow("c", "a")]);
    assert_eq!(circle(&ring).map(|circle| circle.len()), Some(3));
    let line = BTreeMap::from([arrow("a", "b"), arrow("b", "c")]);
    assert_eq!(circle(&line), None);
    let module = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Module>()
    };
    let paths = paths_in(
        &module(&["shard", "core", "loading"]),
        false,
        "use super::Core;\nuse crate::shard::{flight::Flight, trash::Trash};",
    );
    assert!(paths.contains(&module(&["shard", "core", "Core"])));
    assert!(paths.contains(&module(&["shard", "flight", "Flight"])));
    assert!(paths.contains(&module(&["shard", "trash", "Trash"])));
    let tree = Tree::read();
    let definer = tree.definer(&module(&["key", "SmallBytes"]));
    assert_eq!(definer, Some(module(&["key", "small_bytes"])));
    let store = &tree.arrows()[&module(&["store"])];
    assert!(store["mod.rs"].contains("policy"), "{store:?}");
}
