//! How the house is kept: names, sizes, and that the repository stands alone.

use std::path::Path;

use super::source::{File, Tree};
use super::{Breaches, assert_breaches, assert_kept};

/// The most lines a Rust file has.
const MOST_LINES: usize = 500;

/// Files that are longer, with the lines they may have. This list only shrinks: shorten the file, then the number.
const LONGER: [(&str, usize); 0] = [];

/// Words that say nothing about what a module is for.
const EMPTY_NAMES: [&str; 10] =
    ["utils", "util", "utilities", "common", "helpers", "helper", "models", "types", "misc", "shared"];

/// What must not be named: places outside the repository, and the hosts of package registries (clients know them).
const FOREIGN: [&str; 10] = [
    concat!("../", "shared"),
    concat!("/wo", "rk/"),
    concat!("/tmp/", "brief"),
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("proxy.golang", ".org"),
    concat!("repo1.maven", ".org"),
];

fn modules_have_telling_names(tree: &Tree) -> Breaches {
    let is_empty_name = |file: &&File| {
        let path = Path::new(&file.path);
        let names = path.iter().filter_map(|part| part.to_str()).map(|part| part.trim_end_matches(".rs"));
        names.into_iter().any(|name| EMPTY_NAMES.contains(&name))
    };
    let breaches = tree.rust_in(&[""]).filter(is_empty_name);
    breaches.map(|file| format!("{}: the name does not say what it is for", file.path)).collect()
}

fn files_are_short(tree: &Tree) -> Breaches {
    files_within(tree, &LONGER)
}

fn files_within(tree: &Tree, longer: &[(&str, usize)]) -> Breaches {
    let mut breaches = Vec::new();
    for file in tree.rust_in(&[""]) {
        let lines = file.text.lines().count();
        match longer.iter().find(|(path, _)| *path == file.path) {
            None if lines > MOST_LINES => {
                breaches.push(format!("{}: {lines} lines, at most {MOST_LINES}", file.path));
            }
            Some((_, most)) if lines > *most => {
                breaches.push(format!("{}: {lines} lines, it had {most}: it may only shrink", file.path));
            }
            Some(_) if lines <= MOST_LINES => {
                breaches.push(format!("{}: short enough now, take it off the list", file.path));
            }
            _ => {}
        }
    }
    let gone = longer.iter().filter(|(path, _)| !tree.0.iter().any(|file| file.path == *path));
    breaches.extend(gone.map(|(path, _)| format!("{path}: gone, take it off the list")));
    breaches
}

fn the_repository_stands_alone(tree: &Tree) -> Breaches {
    let mut breaches = Vec::new();
    // Cargo writes the registry's address into its lock file itself.
    for file in tree.0.iter().filter(|file| file.path != "Cargo.lock") {
        for (index, line) in file.text.lines().enumerate() {
            let foreign = FOREIGN.iter().filter(|word| names_place(line, word));
            breaches.extend(foreign.map(|word| format!("{}: names {word}", file.at(index + 1))));
        }
    }
    breaches
}

/// Whether the line has the word, not as the tail of a longer path (`a/b/` in `x/a/b/`).
fn names_place(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        !word.starts_with('/') || !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '.')
    })
}

#[test]
fn names_say_what_modules_are_for() {
    assert_kept(modules_have_telling_names);
}

#[test]
fn no_file_is_too_long() {
    assert_kept(files_are_short);
}

#[test]
fn nothing_outside_the_repository_is_named() {
    assert_kept(the_repository_stands_alone);
}

#[test]
fn an_empty_name_is_seen() {
    let rule = modules_have_telling_names;
    let files = [("src/utils.rs", ""), ("ledger/src/types/mod.rs", ""), ("tests/it/common/mod.rs", "")];
    assert_breaches(rule, &files, 3);
    assert_breaches(rule, &[("src/problem_types.rs", ""), ("src/clock.rs", "")], 0);
}

#[test]
fn a_long_file_is_seen_and_the_list_shrinks() {
    let long = "x\n".repeat(MOST_LINES + 1);
    let tree = Tree::sample(&[("src/a.rs", &long), ("src/b.rs", "x")]);
    assert_eq!(files_within(&tree, &[]).len(), 1);
    assert_eq!(files_within(&tree, &[("src/a.rs", MOST_LINES + 1)]), Breaches::new());
    assert_eq!(files_within(&tree, &[("src/a.rs", MOST_LINES)]).len(), 1);
    assert_eq!(files_within(&tree, &[("src/a.rs", 900), ("src/b.rs", 900), ("src/gone.rs", 900)]).len(), 2);
}

#[test]
fn a_foreign_place_is_seen() {
    let rule = the_repository_stands_alone;
    for word in FOREIGN {
        assert_breaches(rule, &[("docs/x.md", &format!("see `{word}`"))], 1);
    }
    let lawful = format!("{}{}", "a/b", concat!("/wo", "rk/c"));
    assert_breaches(rule, &[("docs/x.md", &lawful), ("Cargo.lock", concat!("index.crates", ".io"))], 0);
}
