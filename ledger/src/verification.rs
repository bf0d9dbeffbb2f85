//! What a verification says.

use crate::{
    chain::Head,
    position::{Position, PositionVector},
    violation::Violation,
};

/// Where a lane was verified to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VerifiedLane {
    pub(crate) lane: i16,
    pub(crate) seq: i64,
    pub(crate) head: Head,
}

/// A part of a lane: what comes after a position, up to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneStretch {
    /// The lane.
    pub lane: i16,
    /// The last position before it.
    pub after: i64,
    /// Its last position.
    pub until: i64,
}

/// What [`verify`](crate::verify) or [`verify_new`](crate::verify_new) found, and the position it is valid for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// What does not fit; at most 100 of a sort. Empty when all is well.
    pub violations: Vec<Violation>,
    /// Decisions (transactions, refusals, holds, releases) that were read.
    pub decisions: u64,
    /// Postings that were read.
    pub postings: u64,
    pub(crate) lanes: Vec<VerifiedLane>,
    pub(crate) after: Vec<i64>,
}

impl Verification {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// The position that the result is valid for: nothing after it was looked at.
    pub fn position(&self) -> PositionVector {
        self.lanes.iter().map(|lane| Position { lane: lane.lane, seq: lane.seq }).collect()
    }

    /// What was read of each lane.
    pub fn stretches(&self) -> impl Iterator<Item = LaneStretch> {
        self.lanes.iter().zip(&self.after).map(|(lane, &after)| LaneStretch { lane: lane.lane, after, until: lane.seq })
    }
}
