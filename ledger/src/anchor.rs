//! Anchors: where all lanes of a book stood, in a form that can be kept elsewhere.

use jiff::Timestamp;
use partita_db::BookId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    chain::postgres_time,
    position::{Position, PositionVector},
};

/// Where one lane stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchoredLane {
    /// The lane, from 1.
    pub lane: i16,
    /// Its last position.
    pub seq: i64,
    /// Its head: sha256 over everything up to that position.
    pub head: [u8; 32],
}

/// Where all lanes of a book stood, chained to the anchor before.
///
/// Whoever keeps a copy outside the database can prove later with
/// [`verify_against`](crate::verify_against) that nothing up to here was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The book.
    pub book: BookId,
    /// From 1, without gaps.
    pub number: i64,
    /// Database time at which the lanes were read, to the microsecond.
    pub taken_at: Timestamp,
    /// The lanes in ascending order.
    pub lanes: Vec<AnchoredLane>,
    /// Digest of the anchor before; zeroes for the first.
    pub previous: [u8; 32],
    /// sha256 over all of the above.
    pub digest: [u8; 32],
}

/// The first field of an exported anchor; also the first bytes of what is hashed.
const FORMAT: &str = "partita-ledger-anchor-1";

impl Anchor {
    /// The anchor of these facts, with its digest.
    pub(crate) fn new(
        book: BookId,
        number: i64,
        taken_at: Timestamp,
        lanes: Vec<AnchoredLane>,
        previous: [u8; 32],
    ) -> Self {
        let mut anchor = Self { book, number, taken_at, lanes, previous, digest: [0; 32] };
        anchor.digest = anchor.recompute();
        anchor
    }

    /// `sha256(format || book || number || taken_at || previous || number of lanes || lane, seq, head of each)`; numbers
    /// big-endian of 4, 8, 8 (microseconds since 2000), 4, 2 and 8 bytes.
    pub(crate) fn recompute(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(FORMAT.as_bytes());
        hash.update(self.book.get().to_be_bytes());
        hash.update(self.number.to_be_bytes());
        hash.update(postgres_time(self.taken_at));
        hash.update(self.previous);
        hash.update(u32::try_from(self.lanes.len()).unwrap_or(u32::MAX).to_be_bytes());
        for lane in &self.lanes {
            hash.update(lane.lane.to_be_bytes());
            hash.update(lane.seq.to_be_bytes());
            hash.update(lane.head);
        }
        hash.finalize().into()
    }

    /// The position of the anchor.
    pub fn position(&self) -> PositionVector {
        self.lanes.iter().map(|lane| Position { lane: lane.lane, seq: lane.seq }).collect()
    }

    /// The anchor as JSON, to be kept outside the database. docs/ledger.md describes the fields.
    pub fn to_json(&self) -> String {
        let lane = |l: &AnchoredLane| LaneFile { lane: l.lane, seq: l.seq, head: hex::encode(l.head) };
        let file = AnchorFile {
            format: FORMAT.to_owned(),
            book: self.book.get(),
            number: self.number,
            taken_at: self.taken_at,
            lanes: self.lanes.iter().map(lane).collect(),
            previous: hex::encode(self.previous),
            digest: hex::encode(self.digest),
        };
        serde_json::to_string_pretty(&file).expect("numbers and texts have a JSON form")
    }

    /// Reads what [`Anchor::to_json`] wrote.
    ///
    /// # Errors
    /// [`ParseAnchorError`]: also if the digest does not fit the rest, so that a copy that was damaged is not taken for a
    /// difference of the ledger.
    pub fn from_json(text: &str) -> Result<Self, ParseAnchorError> {
        let file: AnchorFile = serde_json::from_str(text).map_err(ParseAnchorError::Json)?;
        if file.format != FORMAT {
            return Err(ParseAnchorError::Format(file.format));
        }
        let digest = |text: &str| {
            let mut bytes = [0; 32];
            hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseAnchorError::Field("a head or digest"))?;
            Ok(bytes)
        };
        let lane = |l: &LaneFile| Ok(AnchoredLane { lane: l.lane, seq: l.seq, head: digest(&l.head)? });
        let anchor = Self {
            book: BookId::try_new(file.book).ok_or(ParseAnchorError::Field("book"))?,
            number: file.number,
            taken_at: file.taken_at,
            lanes: file.lanes.iter().map(lane).collect::<Result<_, ParseAnchorError>>()?,
            previous: digest(&file.previous)?,
            digest: digest(&file.digest)?,
        };
        if anchor.digest != anchor.recompute() {
            return Err(ParseAnchorError::Damaged);
        }
        Ok(anchor)
    }
}

/// Why a text is no anchor.
#[derive(Debug, thiserror::Error)]
pub enum ParseAnchorError {
    /// It is not JSON, or lacks a field.
    #[error("not an anchor")]
    Json(#[source] serde_json::Error),
    /// It is of another format.
    #[error("the format {0:?} is not known")]
    Format(String),
    /// A field holds what no anchor has.
    #[error("{0} is not readable")]
    Field(&'static str),
    /// Its digest does not fit its content.
    #[error("the anchor was changed or damaged: its digest does not fit its content")]
    Damaged,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct AnchorFile {
    format: String,
    book: i32,
    number: i64,
    taken_at: Timestamp,
    lanes: Vec<LaneFile>,
    previous: String,
    digest: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct LaneFile {
    lane: i16,
    seq: i64,
    head: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor() -> Anchor {
        let lanes =
            vec![AnchoredLane { lane: 1, seq: 7, head: [3; 32] }, AnchoredLane { lane: 2, seq: 0, head: [0; 32] }];
        let taken_at = "2026-11-03T12:00:00.123456Z".parse().expect("a time");
        Anchor::new(BookId::try_new(9).expect("a book"), 4, taken_at, lanes, [5; 32])
    }

    #[test]
    fn an_anchor_reads_as_it_is_written() {
        let anchor = anchor();
        let text = anchor.to_json();
        assert_eq!(Anchor::from_json(&text).expect("its own form"), anchor, "{text}");
        assert_eq!(anchor.position().to_string(), "1:7,2:0");
    }

    #[test]
    fn a_changed_copy_is_not_an_anchor() {
        let text = anchor().to_json();
        for (from, to) in [
            ("\"seq\": 7", "\"seq\": 8"),
            ("0303", "0304"),
            ("\"number\": 4", "\"number\": 5"),
            (".123456Z", ".123457Z"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            assert!(matches!(Anchor::from_json(&changed), Err(ParseAnchorError::Damaged)), "{from}");
        }
        assert!(matches!(Anchor::from_json("{}"), Err(ParseAnchorError::Json(_))));
        let other = text.replace("anchor-1", "anchor-2");
        assert!(matches!(Anchor::from_json(&other), Err(ParseAnchorError::Format(_))));
    }
}
