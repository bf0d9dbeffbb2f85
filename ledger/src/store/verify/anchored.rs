//! Anchors against the chains, and an exported anchor against the ledger.

use std::collections::{BTreeMap, HashMap};

use partita_db::Tx;

use super::{Findings, Stretch, lanes, prepare, sums::Nothing, walk::walk};
use crate::{
    anchor::{Anchor, AnchoredLane},
    chain::Head,
    error::LedgerError,
    store::{anchors, book_of},
    verification::VerifiedLane,
    violation::Violation,
};

/// The heads that the stored anchors say the lanes had.
#[derive(Default)]
pub(super) struct Anchored {
    last: Option<(i64, Head)>,
    heads: HashMap<i16, Vec<(AnchoredLane, i64)>>,
}

impl Anchored {
    /// Takes the next anchor in order of number.
    pub(super) fn take(&mut self, anchor: &Anchor, lanes: &[VerifiedLane], findings: &mut Findings) {
        let expected = self.last.map_or((1, Head::default()), |(number, digest)| (number + 1, digest));
        if (anchor.number, anchor.previous) != expected || anchor.recompute() != anchor.digest {
            findings.push(Violation::AnchorDiffers { number: anchor.number });
        }
        self.last = Some((anchor.number, anchor.digest));
        for anchored in &anchor.lanes {
            compare_length(anchor, anchored, lanes, findings);
            let heads = self.heads.entry(anchored.lane).or_default();
            if heads.last().is_none_or(|(last, _)| last != anchored) {
                heads.push((*anchored, anchor.number));
            }
        }
    }

    /// Where heads of a lane are to be noted.
    pub(super) fn positions(&self, lane: i16) -> Vec<i64> {
        self.heads.get(&lane).map_or_else(Vec::new, |heads| heads.iter().map(|(anchored, _)| anchored.seq).collect())
    }

    /// Compares the heads that the rows of a lane gave with the anchored ones.
    pub(super) fn compare(&self, lane: i16, at: &BTreeMap<i64, Option<Head>>, findings: &mut Findings) {
        for (anchored, number) in self.heads.get(&lane).into_iter().flatten() {
            if at.get(&anchored.seq) != Some(&Some(anchored.head)) {
                findings.push(Violation::AnchoredHeadDiffers { number: *number, lane, seq: anchored.seq });
            }
        }
    }
}

/// The lane is there and at least as long as when it was anchored.
fn compare_length(anchor: &Anchor, anchored: &AnchoredLane, lanes: &[VerifiedLane], findings: &mut Findings) {
    let found = lanes.iter().find(|lane| lane.lane == anchored.lane).map_or(-1, |lane| lane.seq);
    if found < anchored.seq {
        let AnchoredLane { lane, seq, .. } = *anchored;
        findings.push(Violation::AnchoredLaneShort { number: anchor.number, lane, seq, found: found.max(0) });
    }
}

/// Recomputes the chains of the transaction's book up to an anchor that was kept elsewhere, and reports each difference:
/// what a superuser changed shows even if every head and every stored anchor was recomputed with it.
///
/// It says nothing of what came after the anchor, nor of balances: [`verify`](crate::verify) does.
///
/// # Errors
/// [`LedgerError::OtherBook`] if the anchor belongs to another book, and as [`verify`](crate::verify).
pub async fn verify_against(tx: &mut Tx, anchor: &Anchor) -> Result<Vec<Violation>, LedgerError> {
    let book = book_of(tx)?;
    if anchor.book != book {
        return Err(LedgerError::OtherBook { book: anchor.book });
    }
    prepare(tx).await?;
    let mut findings = Findings::default();
    let lanes = lanes(tx, book).await?;
    if anchors::find(tx, book, anchor.number).await?.as_ref() != Some(anchor) {
        findings.push(Violation::AnchorDiffers { number: anchor.number });
    }
    let number = anchor.number;
    for anchored in &anchor.lanes {
        compare_length(anchor, anchored, &lanes, &mut findings);
        let AnchoredLane { lane, seq, head } = *anchored;
        let stretch = Stretch { book: book.get(), lane, after: 0, head: Head::default(), until: seq };
        let walked = walk(tx, stretch, Vec::new(), Nothing, None, &mut findings).await?;
        if walked.chain.head != Some(head) {
            findings.push(Violation::AnchoredHeadDiffers { number, lane, seq });
        }
    }
    Ok(findings.into_vec())
}
