//! Keeps the rules of ARCHITECTURE.md by reading the sources: who may use whom, and what may stand where.
//!
//! Each rule is a function from the [`Tree`] to the places that break it, so that it can be shown to fail on a sample.

#[path = "architecture/crates.rs"]
mod crates;
#[path = "architecture/house.rs"]
mod house;
#[path = "architecture/modules.rs"]
mod modules;
#[path = "architecture/source.rs"]
mod source;

use source::Tree;

/// Where a rule is broken, and how.
type Breaches = Vec<String>;

#[track_caller]
fn assert_kept(rule: fn(&Tree) -> Breaches) {
    let breaches = rule(&Tree::of_this_repository());
    assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), breaches.join("\n"));
}

/// Asserts how many places of a sample break a rule.
#[track_caller]
fn assert_breaches(rule: fn(&Tree) -> Breaches, files: &[(&str, &str)], expected: usize) {
    let breaches = rule(&Tree::sample(files));
    assert_eq!(breaches.len(), expected, "{breaches:#?}");
}
