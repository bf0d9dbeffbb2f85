//! Collecting violations, no more than people can read.

use std::{
    collections::HashMap,
    mem::{Discriminant, discriminant},
};

use crate::violation::Violation;

/// The most violations of one sort that are reported.
pub(super) const REPORTED: i64 = 100;

#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<Violation>,
    of_sort: HashMap<Discriminant<Violation>, i64>,
}

impl Findings {
    pub(super) fn push(&mut self, violation: Violation) {
        let count = self.of_sort.entry(discriminant(&violation)).or_default();
        if *count < REPORTED {
            *count += 1;
            self.found.push(violation);
        }
    }

    pub(super) fn extend(&mut self, violations: impl Iterator<Item = Violation>) {
        violations.for_each(|violation| self.push(violation));
    }

    pub(super) fn into_vec(self) -> Vec<Violation> {
        self.found
    }
}
