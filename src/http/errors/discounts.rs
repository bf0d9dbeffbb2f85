//! Of discounts in carts.

use super::{field, line_field};
use crate::http::problem::Problem;
use crate::http::problem_types;

/// A discount that is on no line, or names one that it cannot be on: which of those that it names, from 0.
pub(super) fn on_nothing(line: usize, named: Option<usize>) -> Problem {
    let at = line.to_string();
    match named {
        Some(named) => field(
            &["lines", &at, "on", &named.to_string()],
            &problem_types::UNKNOWN_REFERENCE,
            "must be another line of the cart, and of the seller that bears the discount",
        ),
        None => {
            field(&["lines", &at], &problem_types::NOT_ALLOWED, "the cart has no line that the discount could be on")
        }
    }
}

/// More than who bears it has of the lines that it is on.
pub(super) fn too_large(line: usize, most: i64, funded_by: &str) -> Problem {
    let detail = match funded_by {
        "seller" => format!("no more than {most}, the net price of the seller's lines that it is on"),
        _ => format!("no more than {most}, your commission of the lines that it is on, without the tax on it"),
    };
    line_field(line, "amount", &problem_types::TOO_MUCH, detail)
}

/// More than who would bear it has of the line; which of a cart, from 0.
pub(super) fn too_large_to_quote(line: Option<usize>, most: i64) -> Problem {
    let detail = format!("no more than {most}: what who bears it has of the line");
    match line.map(|line| line.to_string()) {
        Some(line) => field(&["lines", &line, "discount", "amount"], &problem_types::TOO_MUCH, detail),
        None => field(&["discount", "amount"], &problem_types::TOO_MUCH, detail),
    }
}
