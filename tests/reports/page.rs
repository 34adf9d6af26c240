//! `docs/reports.md` names existing tests, every test of `reports`, and correct totals.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../../docs/reports.md");

/// The cells of each row: the reports, what happened, the tests, what was found.
fn rows() -> Vec<[&'static str; 4]> {
    let row = |line: &'static str| {
        let row = line.strip_prefix("| ")?;
        if row.starts_with("report |") {
            return None;
        }
        let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
        let cells = cells.try_into();
        Some(cells.unwrap_or_else(|_| panic!("not four cells: {line}")))
    };
    PAGE.lines().filter_map(row).collect()
}

/// The texts in backticks.
fn spans(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The names of all tests in `tests/reports/`, as `file::name`.
fn tests() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports");
    let mut tests = BTreeSet::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let file = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let code = fs::read_to_string(&path).unwrap();
        for test in code.split("#[test]\n").skip(1) {
            let (_, name) = test.split_once("fn ").unwrap();
            let (name, _) = name.split_once('(').unwrap();
            tests.insert(format!("{file}::{name}"));
        }
    }
    tests.retain(|test| !test.starts_with("page::"));
    assert!(tests.len() > 30);
    tests
}

#[test]
fn page_names_every_test_once_and_no_other() {
    let named: Vec<&str> = rows().iter().flat_map(|row| spans(row[2])).collect();
    let all: BTreeSet<String> = named.iter().map(ToString::to_string).collect();
    assert_eq!(named.len(), all.len(), "a test is named twice");
    assert_eq!(all, tests());
    for test in named {
        let (_, name) = test.split_once("::").unwrap();
        assert!(name.len() <= 60, "{name}");
    }
}

#[test]
fn page_totals_match_its_rows() {
    let rows = rows();
    let mut reports = BTreeSet::new();
    let mut projects = BTreeSet::new();
    for row in &rows {
        for report in row[0].split("), ") {
            // `[owner/name#1](https://github.com/owner/name/issues/1`
            let (name, address) = report.trim_end_matches(')').split_once("](").unwrap();
            let (project, number) = name.trim_start_matches('[').split_once('#').unwrap();
            let kind = address.contains("/pull/");
            let kind = if kind { "pull" } else { "issues" };
            assert_eq!(
                address,
                format!("https://github.com/{project}/{kind}/{number}")
            );
            assert!(reports.insert(name), "{name} is there twice");
            projects.insert(project.trim_start_matches('['));
        }
    }
    let (reports, projects) = (reports.len(), projects.len());
    let expected = format!(
        "{reports} reports of {projects} projects were tried, by {} tests.",
        tests().len()
    );
    assert!(PAGE.contains(&expected), "{expected}");
    assert!(reports >= 30);
}

#[test]
fn every_row_tells_what_happened_and_what_was_found() {
    for [reports, happened, tests, found] in rows() {
        assert!(spans(tests).count() > 0, "{reports}");
        assert!(!happened.is_empty() && !found.is_empty(), "{reports}");
        let says = ["right", "**wrong**", "so here", "the "];
        let says = says.iter().any(|it| found.starts_with(it)) || found.contains("documented");
        assert!(says, "{found}");
    }
}
