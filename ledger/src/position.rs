//! Positions: where a book stands, in commit order.

use std::{collections::BTreeMap, fmt, str::FromStr};

/// Place of a decision (a transaction or a refusal) on its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The lane, from 1.
    pub lane: i16,
    /// Count of the decisions of this lane up to and with this one.
    pub seq: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.lane, self.seq)
    }
}

/// The last decision of every lane: a cut through the book that, unlike a time or an id, follows commit order.
///
/// What is at or before it never changes. As text: `1:523,2:88`, in order of lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PositionVector(BTreeMap<i16, i64>);

impl PositionVector {
    /// The position of one lane; 0 if it has none.
    pub fn seq(&self, lane: i16) -> i64 {
        self.0.get(&lane).copied().unwrap_or(0)
    }

    /// The lanes and their positions, in order of lane.
    pub fn iter(&self) -> impl Iterator<Item = Position> + '_ {
        self.0.iter().map(|(lane, seq)| Position { lane: *lane, seq: *seq })
    }

    /// Whether the decision at `position` is in this cut.
    pub fn includes(&self, position: Position) -> bool {
        position.seq <= self.seq(position.lane)
    }
}

impl FromIterator<Position> for PositionVector {
    fn from_iter<T: IntoIterator<Item = Position>>(positions: T) -> Self {
        Self(positions.into_iter().map(|p| (p.lane, p.seq)).collect())
    }
}

impl fmt::Display for PositionVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, position) in self.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{position}")?;
        }
        Ok(())
    }
}

/// The text is not a vector of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a position reads as lane:number, joined by commas, lanes ascending from 1")]
pub struct ParsePositionError;

impl FromStr for PositionVector {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, ParsePositionError> {
        let mut lanes = BTreeMap::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (lane, seq) = part.split_once(':').ok_or(ParsePositionError)?;
            let lane: i16 = lane.parse().map_err(|_| ParsePositionError)?;
            let seq: i64 = seq.parse().map_err(|_| ParsePositionError)?;
            let ascending = lanes.last_key_value().is_none_or(|(last, _)| *last < lane);
            if lane < 1 || seq < 0 || !ascending {
                return Err(ParsePositionError);
            }
            lanes.insert(lane, seq);
        }
        Ok(Self(lanes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_reads_as_it_is_written() {
        for text in ["", "1:0", "1:523,2:88,16:9223372036854775807"] {
            let vector: PositionVector = text.parse().expect("well formed");
            assert_eq!(vector.to_string(), text);
        }
        for bad in ["1", "1:", ":1", "0:1", "-1:1", "1:-1", "2:1,1:1", "1:1,1:2", "1:1,", "a:b", "1:1 ,2:2"] {
            assert_eq!(bad.parse::<PositionVector>(), Err(ParsePositionError), "{bad:?}");
        }
    }

    #[test]
    fn a_lane_that_is_not_named_stands_at_its_start() {
        let vector: PositionVector = "2:5".parse().expect("well formed");
        assert!(vector.includes(Position { lane: 2, seq: 5 }));
        assert!(!vector.includes(Position { lane: 2, seq: 6 }));
        assert!(!vector.includes(Position { lane: 1, seq: 1 }));
    }
}
