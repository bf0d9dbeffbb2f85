//! Why a payment cannot be a direct charge.

use super::super::problem::Problem;
use super::super::problem_types;
use crate::payments::NotDirect;

impl From<NotDirect> for Problem {
    fn from(why: NotDirect) -> Self {
        let of = |path: &[&str]| Self::invalid_field(path, &problem_types::NOT_ALLOWED, why.to_string());
        let of_line = |line: usize, rest: &[&str]| {
            let line = line.to_string();
            let path: Vec<&str> = ["lines", &line].into_iter().chain(rest.iter().copied()).collect();
            of(&path)
        };
        match why {
            NotDirect::OnBehalfOf => of(&["on_behalf_of"]),
            NotDirect::CapturedLater => of(&["capture_method"]),
            NotDirect::CustomerOfPlatform => of(&["payment_method"]),
            NotDirect::NoSeller => of(&["charge_type"]),
            NotDirect::PlatformLine { line } => of_line(line, &["type"]),
            NotDirect::PlatformTax { line } => of_line(line, &["tax", "liability"]),
            NotDirect::SellerTakesNoCards { line } => of_line(line, &["seller"]),
        }
    }
}
