//! The transactions of lines whose share waited by itself. Pure.

use jiff::Timestamp;

use super::{PaymentFacts, add, moment};
use crate::chart::{Chart, Kind};
use crate::payments::{self, Line, Standing};
use crate::rebuild::Transactions;

impl PaymentFacts {
    /// The lines, and whether the share of each waited by itself at a time. Before one began to, it waited with all of them.
    pub(super) fn standing_at(&self, at: Timestamp) -> Vec<Line> {
        let standing = |number: i32| match self.releases.iter().find(|release| release.line == number) {
            None => Standing::WithPayment,
            Some(release) => match moment(&self.moments, release.id.uuid(), "payment_line.released") {
                Some(released) if released < at => Standing::Released,
                _ => Standing::Waiting,
            },
        };
        self.lines.iter().map(|line| Line { standing: standing(line.number), ..line.clone() }).collect()
    }
}

/// What became usable of lines that waited, each when it was released.
pub(super) fn add_released(booked: &mut Transactions, chart: Chart, facts: &PaymentFacts) {
    for release in &facts.releases {
        let Some(at) = moment(&facts.moments, release.id.uuid(), "payment_line.released") else { continue };
        let lines = facts.lines_at(at);
        let Some(line) = lines.iter().find(|line| line.number == release.line) else { continue };
        let Some((_, number)) = line.seller else { continue };
        add(booked, Kind::LineReleased, release.key, payments::shares_released(chart, &[(number, line.share())]));
    }
}
