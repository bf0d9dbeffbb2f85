//! Why a payout has its amount: what came onto and left the seller's account since the payout before, and what was left.
//!
//! A payout by bank file is what it pays of each payment and adjustment. For one by the provider:
//!
//! What stood there after the payout before, and each movement since, come to this payout and what was left after it; to the
//! cent, because all of them are the provider's own movements, each of which the books have once.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use partita_db::Tx;
use partita_ledger::{Balance, LedgerError, balances};

use super::schedule::Day;
use super::{Payout, PayoutStatus, store};
use crate::chart::{Chart, SellerAccount};
use crate::id::{AdjustmentId, PaymentId};
use crate::payments::line_release;
use crate::sellers::{self, Seller};

/// Where a line stands among the movements of its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// When the books took it, in microseconds.
    pub recorded_micros: i64,
    /// Its number.
    pub key: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.recorded_micros, self.key)
    }
}

impl FromStr for Place {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (recorded, key) = text.split_once('.').unwrap_or((text, ""));
        Ok(Self { recorded_micros: recorded.parse()?, key: key.parse()? })
    }
}

/// What moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A share or an adjustment came.
    Transfer,
    /// It was taken back, in part or whole.
    Reversal,
    /// A payout of before came back.
    PayoutReturned,
    /// The seller sold on its own account, or that was refunded, disputed or taken back.
    DirectCharge,
    /// Something else.
    Other,
}

impl What {
    /// The shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::Reversal => "reversal",
            Self::PayoutReturned => "payout_returned",
            Self::DirectCharge => "direct_charge",
            Self::Other => "other",
        }
    }
}

/// One movement of a seller's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it stands.
    pub place: Place,
    /// When the provider moved it.
    pub at: Timestamp,
    /// What moved.
    pub what: What,
    /// By how much; minor units, below zero where it left.
    pub amount: i64,
    /// The payment that it belongs to.
    pub payment: Option<PaymentId>,
    /// The platform's own id of that.
    pub payment_reference: Option<String>,
    /// The adjustment that it belongs to.
    pub adjustment: Option<AdjustmentId>,
}

/// What movements came to; minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// What stood on the account after the payout before.
    pub opening: i64,
    /// What came by transfers.
    pub transfers: i64,
    /// What reversals took; zero or less.
    pub reversals: i64,
    /// What came back of payouts.
    pub payouts_returned: i64,
    /// What direct charges left on the account, after fees, refunds and disputes.
    pub direct_charges: i64,
    /// Anything else.
    pub other: i64,
}

impl Sums {
    /// What stood on the account before the payout.
    pub fn total(&self) -> i64 {
        self.opening + self.transfers + self.reversals + self.payouts_returned + self.direct_charges + self.other
    }
}

/// What a seller has or will have that is not paid out, and why; minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotPaid {
    /// Which part.
    pub what: &'static str,
    /// How much.
    pub amount: i64,
    /// Why.
    pub why: &'static str,
}

/// Why a payout has its amount.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The payout.
    pub payout: Payout,
    /// What its account's movements came to.
    pub sums: Sums,
    /// The payout day that it was asked on, if a schedule of ours did.
    pub day: Option<Day>,
    /// What the seller has now that is not paid out.
    pub not_paid: Vec<NotPaid>,
    /// A page of the movements, newest first, and one more if there is.
    pub lines: Vec<Line>,
}

impl Explanation {
    /// What was left on the account; minor units.
    pub fn left(&self) -> i64 {
        self.sums.total() - self.payout.amount.minor - self.payout.fee.taken
    }
}

/// Whether there is anything to explain: a payout that was refused took nothing.
pub fn is_explainable(payout: &Payout) -> bool {
    payout.status != PayoutStatus::Failed || payout.provider_payout.is_some() || payout.bank.is_some()
}

/// Explains a payout, with a page of its lines.
///
/// # Errors
/// What the database says.
pub async fn explain(
    tx: &mut Tx,
    payout: Payout,
    after: Option<Place>,
    limit: i64,
) -> Result<Explanation, LedgerError> {
    let seller = sellers::find(tx, payout.seller).await?.expect("payouts_seller keeps it");
    let day = store::find_day_of(tx, payout.id).await?;
    let not_paid = not_paid(tx, &seller).await?;
    if payout.bank.is_some() {
        let sums = Sums { transfers: payout.amount.minor, ..Sums::default() };
        let lines = store::lines_by_bank(tx, &payout, after, limit).await?;
        return Ok(Explanation { payout, sums, day, not_paid, lines });
    }
    let account = seller.account.clone().unwrap_or_default();
    let window = store::window_of(tx, &payout, &account).await?;
    let standing = standing(tx, &seller).await?;
    let sums = store::sums_in(tx, &account, window, standing).await?;
    let lines = store::lines_in(tx, &account, window, after, limit).await?;
    Ok(Explanation { payout, sums, day, not_paid, lines })
}

/// What stands on a seller's account at the provider, usable or not; minor units.
async fn standing(tx: &mut Tx, seller: &Seller) -> Result<i64, LedgerError> {
    let chart = Chart { book: tx.book_id(), currency: seller.default_currency };
    let parts = [SellerAccount::ConnectedPending, SellerAccount::ConnectedAvailable];
    let found = balances(tx, &parts.map(|kind| chart.seller(seller.number, kind))).await?;
    let sum: i128 = found.iter().map(Balance::signed).sum();
    Ok(i64::try_from(sum).unwrap_or(i64::MAX))
}

async fn not_paid(tx: &mut Tx, seller: &Seller) -> Result<Vec<NotPaid>, LedgerError> {
    const PARTS: [(SellerAccount, &str, &str); 8] = [
        (SellerAccount::Pending, "pending", "earned; the provider has not made the buyers' money usable yet"),
        (
            SellerAccount::Available,
            "available",
            "earned and on its way to the seller's account, or owed where below zero",
        ),
        (SellerAccount::Held, "held", "held while disputes hang over it"),
        (SellerAccount::Reserve, "reserve", "kept back against refunds and disputes"),
        (SellerAccount::Debt, "debt", "what the seller owes; later sales pay it before anything is sent"),
        (SellerAccount::ConnectedPending, "provider_pending", "on the seller's account, not usable yet"),
        (SellerAccount::ConnectedAvailable, "provider_available", "on the seller's account, for the next payout"),
        (SellerAccount::ConnectedInTransit, "in_transit", "on its way to the seller's bank"),
    ];
    let chart = Chart { book: tx.book_id(), currency: seller.default_currency };
    let found = balances(tx, &PARTS.map(|(kind, _, _)| chart.seller(seller.number, kind))).await?;
    let amounts = found.iter().map(|balance| i64::try_from(balance.signed()).unwrap_or(i64::MAX));
    let mut parts: Vec<NotPaid> =
        PARTS.iter().zip(amounts).map(|((_, what, why), amount)| NotPaid { what, amount, why }).collect();
    let waiting = line_release::waiting_sum_of(tx, seller.id, seller.default_currency).await?;
    // The first part is pending, of which lines that wait are.
    parts[0].amount -= waiting;
    let why = "earned and usable; it waits until its line is released";
    parts.insert(1, NotPaid { what: "waiting", amount: waiting, why });
    parts.retain(|part| part.amount != 0);
    Ok(parts)
}

/// A payout's place among the movements of its account.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// When the books took the payout before; none: there was none.
    pub(super) after: Option<Timestamp>,
    /// When they took this one; none: it is asked and not answered.
    pub(super) before: Option<Timestamp>,
}
