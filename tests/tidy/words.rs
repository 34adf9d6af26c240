//! Two rules of prose that a program can check, for the rustdoc of `src`.

use super::rust_files;

/// Words that stand for a noun. A reader has to search for that noun.
const PRONOUNS: [&str; 18] = [
    "what", "who", "whoever", "whatever", "whom", "whose", "that", "which", "those", "these",
    "one", "ones", "it", "its", "they", "them", "their", "theirs",
];

/// At most so many of them in a hundred words.
const MOST_IN_A_HUNDRED: usize = 4;

/// A sentence that begins with one of these has no noun for a subject.
const BEGINNINGS: [&str; 8] = [
    "What", "Who", "Whoever", "Whatever", "That", "Of", "Those", "One",
];

/// The doc lines of a text, without code: examples and code spans.
fn doc_lines(text: &str) -> Vec<String> {
    let (mut lines, mut in_example) = (Vec::new(), false);
    for line in text.lines().map(str::trim) {
        let doc = line
            .strip_prefix("///")
            .or_else(|| line.strip_prefix("//!"));
        let Some(doc) = doc else { continue };
        let doc = doc.trim_start();
        if doc.starts_with("```") {
            in_example = !in_example;
        } else if !in_example {
            let prose: String = doc.split('`').step_by(2).collect();
            lines.push(prose);
        }
    }
    lines
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|char: char| !(char.is_alphabetic() || char == '\''))
        .filter(|word| !word.is_empty())
}

fn is_pronoun(word: &str) -> bool {
    PRONOUNS.contains(&word.to_lowercase().as_str())
}

#[test]
fn doc_lines_begin_with_a_noun_or_a_verb() {
    for (path, text) in rust_files(&["src"]) {
        for line in doc_lines(&text) {
            let first = words(&line).next();
            let is_good = first.is_none_or(|word| !BEGINNINGS.contains(&word));
            assert!(is_good, "{}: {line}", path.display());
        }
    }
}

#[test]
fn rustdoc_has_few_pronouns() {
    let (mut all, mut pronouns) = (0, 0);
    for text in rust_files(&["src"]).values() {
        for line in doc_lines(text) {
            all += words(&line).count();
            pronouns += words(&line).filter(|word| is_pronoun(word)).count();
        }
    }
    assert!(
        pronouns * 100 <= all * MOST_IN_A_HUNDRED,
        "{pronouns} pronouns in {all} words of rustdoc: name the noun, or split the sentence",
    );
}

#[test]
fn doc_lines_are_found_without_code() {
    let text = "/// Returns `what` it is.\n///\n/// ```\n/// what\n/// ```\nfn f() {}\n// what";
    let lines = doc_lines(text);
    assert_eq!(lines, ["Returns  it is.", ""]);
    assert_eq!(words(&lines[0]).filter(|word| is_pronoun(word)).count(), 1);
}
