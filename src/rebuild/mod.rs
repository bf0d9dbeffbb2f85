//! What the ledger must say, told anew from the stored facts, and compared with what it says.
//!
//! The facts are what was asked (payments with their snapshots, refunds with their shares, operations), what the
//! provider moved (`provider_movements`, one row for each of its balance transactions) and in which order states
//! changed. [`expected`] makes of them, without a look at the ledger, each transaction that there must be; every posting
//! of every transaction is then compared, and their number with the ledger's, so that one too many shows as well as one
//! too few. What the expected postings come to is at last compared with the stored balance of every account. It reads one
//! snapshot and keeps in memory the facts of one payment at a time and two sums for each account.

mod balances;
mod expected;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use partita_db::{BookId, DbError, Scope, Tx};
use partita_ledger::{LedgerError, current_position};

use crate::app::App;
use crate::chart::Chart;
use crate::id::Of;
use crate::operations;
use crate::rebuild::balances::Balances;
use crate::{adjustments, debts, disputes, exchange, payments, refunds, reserves, transfers};

/// How many differences are kept to be shown; all are counted.
const SHOWN: usize = 100;
/// Payments, top-ups or movements read at once.
const PAGE: i64 = 200;
/// How long it may take before the database is taken for lost.
const COMPARED_WITHIN: Duration = Duration::from_hours(12);

/// What makes a transaction the only one of its kind: kind and source.
type Source = (i16, i64);
/// The postings of a transaction: debit, credit, minor units; sorted.
type Postings = Vec<(i64, i64, i64)>;
/// Transactions by their source.
type Transactions = BTreeMap<Source, Postings>;

/// A transaction that is not what the facts make of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The kind's number; 0 where a balance or the number of transactions is meant.
    pub kind: i16,
    /// Its source; the account where a balance is meant, 0 where it is the number of transactions.
    pub source: i64,
    /// What is wrong, in words.
    pub detail: String,
}

/// What a comparison came to.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// The ledger's position that it is valid for.
    pub position: String,
    /// Transactions that the facts make.
    pub expected: u64,
    /// Transactions that the ledger has.
    pub found: u64,
    /// Accounts whose balances were compared.
    pub accounts: u64,
    /// How many are not the same.
    pub differing: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
    balances: Balances,
}

impl Comparison {
    /// Whether ledger and facts say the same.
    pub fn agrees(&self) -> bool {
        self.differing == 0
    }

    fn note(&mut self, (kind, source): Source, detail: String) {
        self.differing += 1;
        if self.differences.len() < SHOWN {
            self.differences.push(Difference { kind, source, detail });
        }
    }

    fn compare(&mut self, expected: &Transactions, found: &Transactions) {
        self.expected += u64::try_from(expected.len()).unwrap_or(u64::MAX);
        for (source, postings) in expected {
            self.balances.add(postings);
            match found.get(source) {
                Some(same) if same == postings => {}
                Some(other) => self.note(*source, format!("{other:?} instead of {postings:?}")),
                None => self.note(*source, format!("is missing: {postings:?}")),
            }
        }
        for (source, postings) in found.iter().filter(|(source, _)| !expected.contains_key(*source)) {
            self.note(*source, format!("follows from no fact: {postings:?}"));
        }
    }
}

/// Why a book could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Compares a book's ledger with what its facts make.
///
/// # Errors
/// [`RebuildError`] when it could not be finished; that says nothing about the books.
pub async fn check(app: &Arc<App>, book: BookId) -> Result<Comparison, RebuildError> {
    app.db
        .read_at_length("compare ledger with facts", Scope::Book(book), COMPARED_WITHIN, |tx| {
            Box::pin(async move {
                let mut comparison =
                    Comparison { position: current_position(tx).await?.to_string(), ..Comparison::default() };
                compare_payments(tx, &mut comparison).await?;
                compare_adjustments(tx, &mut comparison).await?;
                compare_top_ups(tx, &mut comparison).await?;
                compare_payouts(tx, &mut comparison).await?;
                compare_platform_payouts(tx, &mut comparison).await?;
                compare_movements(tx, &mut comparison).await?;
                comparison.found = store::count_transactions(tx).await?;
                if comparison.found != comparison.expected {
                    let (found, expected) = (comparison.found, comparison.expected);
                    comparison.note((0, 0), format!("the ledger has {found} transactions, the facts make {expected}"));
                }
                compare_balances(tx, &mut comparison).await?;
                Ok(comparison)
            })
        })
        .await
}

/// What all expected postings come to, and the balance of every account as it is stored.
async fn compare_balances(tx: &mut Tx, comparison: &mut Comparison) -> Result<(), RebuildError> {
    let expected = std::mem::take(&mut comparison.balances);
    let stored = store::balances(tx).await?;
    comparison.accounts = u64::try_from(stored.len()).unwrap_or(u64::MAX);
    for (account, detail) in expected.differences(stored) {
        comparison.note((0, account), detail);
    }
    Ok(())
}

/// Each payment with its refunds, disputes, transfers and reversals.
async fn compare_payments(tx: &mut Tx, comparison: &mut Comparison) -> Result<(), RebuildError> {
    let mut after = 0;
    loop {
        let page = store::page_of_payments(tx, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.key;
        for payment in page {
            let facts = read_payment(tx, &payment).await?;
            let expected = expected::of_payment(Chart { book: tx.book_id(), currency: payment.currency }, &facts);
            let found = store::transactions_of(tx, &[payment.key]).await?;
            comparison.compare(&expected, &found);
        }
    }
}

async fn read_payment(tx: &mut Tx, payment: &store::PaymentRow) -> Result<expected::PaymentFacts, RebuildError> {
    let lines = payments::find_lines(tx, payment.id).await?;
    let mut objects = vec![payment.id.uuid()];
    let mut given = Vec::new();
    let mut refund_keys = BTreeMap::new();
    for refund in refunds::list_by_payment(tx, payment.id).await? {
        objects.push(refund.id.uuid());
        refund_keys.insert(refund.id.uuid(), refund.key);
        given.push((refund.id.uuid(), refunds::find_lines(tx, refund.id).await?));
    }
    let mut disputed = Vec::new();
    for dispute in disputes::list_by_payment(tx, payment.id).await? {
        objects.push(dispute.id.uuid());
        let shares = disputes::find_lines(tx, dispute.id).await?;
        disputed.push((dispute, shares));
    }
    let releases = payments::line_release::list_releases(tx, payment.id).await?;
    objects.extend(releases.iter().map(|release| release.id.uuid()));
    let sent = transfers::list_by_payment(tx, payment.id).await?;
    let taken_back = transfers::list_reversals(tx, payment.id).await?;
    objects.extend(sent.iter().map(|transfer| transfer.id.uuid()));
    objects.extend(taken_back.iter().map(|reversal| reversal.id.uuid()));
    let mut ids: Vec<_> = sent.iter().map(|transfer| transfer.seller).collect();
    ids.extend(taken_back.iter().map(|reversal| reversal.seller));
    let direct = match payments::find_direct_of(tx, payment.id).await? {
        Some(direct) => Some((direct, payments::returned_vats(tx, payment.id).await?.into_iter().collect())),
        None => None,
    };
    let of = Of::Payment(payment.id);
    let (owed, settled) = (debts::list_of(tx, of).await?, debts::settled_of(tx, of).await?);
    ids.extend(owed.iter().map(|debt| debt.seller));
    let by_bank = transfers::parts_of(tx, of).await?;
    objects.extend(by_bank.iter().map(|part| part.payout.uuid()));
    ids.extend(by_bank.iter().map(|part| part.seller));
    let numbers = store::seller_numbers(tx, &ids).await?;
    let number = |seller| numbers.get(&seller).copied().expect("transfers_seller keeps sellers with transfers");
    Ok(expected::PaymentFacts {
        key: payment.key,
        id: payment.id.uuid(),
        sent_with_charge: payment.sent_with_charge,
        transfers: sent.iter().map(|t| (t.id.uuid(), (number(t.seller), t.amount.minor))).collect(),
        reversals: taken_back.iter().map(|r| (r.id.uuid(), number(r.seller))).collect(),
        lines,
        refunds: given,
        refund_keys,
        direct,
        disputes: disputed,
        releases,
        debts: expected::DebtFacts {
            debts: owed.into_iter().map(|debt| (number(debt.seller), debt)).collect(),
            settled,
        },
        kept_back: reserves::steps_of(tx, payment.id).await?,
        by_bank: by_bank.into_iter().map(|part| (number(part.seller), part)).collect(),
        closings: exchange::closings_of(tx, payment.key).await?,
        asks: operations::list_by_object(tx, &objects).await?,
        movements: store::movements_of(tx, &objects).await?,
        moments: store::moments_of(tx, &objects).await?,
    })
}

/// Each adjustment with its transfers and their reversals.
async fn compare_adjustments(tx: &mut Tx, comparison: &mut Comparison) -> Result<(), RebuildError> {
    let mut after = 0;
    loop {
        let page = store::page_of_adjustments(tx, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.adjustment.key;
        for row in page {
            let of = row.adjustment.id;
            // What undoes another one stands under that one.
            if row.adjustment.reverses.is_some() {
                continue;
            }
            let undone_by = adjustments::find_reversal(tx, of).await?;
            let sent = transfers::list_by_adjustment(tx, of).await?;
            let mut taken_back = Vec::new();
            for transfer in &sent {
                taken_back.extend(transfers::list_reversals_of(tx, transfer.id).await?);
            }
            let mut objects = vec![of.uuid()];
            objects.extend(sent.iter().map(|transfer| transfer.id.uuid()));
            objects.extend(taken_back.iter().map(|reversal| reversal.id.uuid()));
            let (owed, settled) =
                (debts::list_of(tx, Of::Adjustment(of)).await?, debts::settled_of(tx, Of::Adjustment(of)).await?);
            let by_bank = transfers::parts_of(tx, Of::Adjustment(of)).await?;
            objects.extend(by_bank.iter().map(|part| part.payout.uuid()));
            let debtors = owed.into_iter().map(|debt| (row.seller, debt)).collect();
            let facts = expected::AdjustmentFacts {
                undone_by,
                debts: expected::DebtFacts { debts: debtors, settled },
                transfers: sent.iter().map(|t| (t.id.uuid(), (row.seller, t.amount.minor))).collect(),
                reversals: taken_back.iter().map(|r| (r.id.uuid(), row.seller)).collect(),
                by_bank: by_bank.into_iter().map(|part| (row.seller, part)).collect(),
                closings: exchange::closings_of(tx, row.adjustment.key).await?,
                asks: operations::list_by_object(tx, &objects).await?,
                movements: store::movements_of(tx, &objects).await?,
                moments: store::moments_of(tx, &objects).await?,
            };
            let chart = Chart { book: tx.book_id(), currency: row.adjustment.amount.currency };
            let expected = expected::of_adjustment(chart, &row.adjustment, row.seller, &facts);
            let found = store::transactions_of(tx, &[row.adjustment.key]).await?;
            comparison.compare(&expected, &found);
        }
    }
}

async fn compare_top_ups(tx: &mut Tx, comparison: &mut Comparison) -> Result<(), RebuildError> {
    let mut after = 0;
    loop {
        let page = store::page_of_top_ups(tx, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.key;
        for top_up in page {
            let objects = [top_up.id];
            let (asks, movements, moments) = (
                operations::list_by_object(tx, &objects).await?,
                store::movements_of(tx, &objects).await?,
                store::moments_of(tx, &objects).await?,
            );
            let chart = Chart { book: tx.book_id(), currency: top_up.currency };
            let expected = expected::of_top_up(chart, top_up.amount, &asks, &movements, &moments);
            let found = store::transactions_of(tx, &[top_up.key]).await?;
            comparison.compare(&expected, &found);
        }
    }
}

async fn compare_payouts(tx: &mut Tx, comparison: &mut Comparison) -> Result<(), RebuildError> {
    let mut after = 0;
    loop {
        let page = store::page_of_payouts(tx, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.key;
        for payout in page {
            let objects = [payout.id];
            let movements = store::movements_of(tx, &objects).await?;
            let moments = store::moments_of(tx, &objects).await?;
            let chart = Chart { book: tx.book_id(), currency: payout.currency };
            let expected = expected::of_payout(chart, &payout, &movements, &moments);
            let found = store::transactions_of(tx, &[payout.key]).await?;
            comparison.compare(&expected, &found);
        }
    }
}

async fn compare_platform_payouts(tx: &mut Tx, comparison: &mut Comparison) -> Result<(), RebuildError> {
    let mut after = 0;
    loop {
        let page = store::page_of_platform_payouts(tx, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.key;
        for payout in page {
            let objects = [payout.id];
            let movements = store::movements_of(tx, &objects).await?;
            let moments = store::moments_of(tx, &objects).await?;
            let chart = Chart { book: tx.book_id(), currency: payout.currency };
            let expected = expected::of_platform_payout(chart, &payout, &movements, &moments);
            let found = store::transactions_of(tx, &[payout.key]).await?;
            comparison.compare(&expected, &found);
        }
    }
}

/// What is booked for a movement alone: that its money became usable, and what the provider reserves.
async fn compare_movements(tx: &mut Tx, comparison: &mut Comparison) -> Result<(), RebuildError> {
    let mut after = 0;
    loop {
        let page = store::page_of_movements(tx, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.key;
        let keys: Vec<i64> = page.iter().map(|movement| movement.key).collect();
        let mut expected = Transactions::new();
        for movement in page {
            let seller = store::seller_of_account(tx, &movement.account).await?;
            let chart = Chart { book: tx.book_id(), currency: movement.currency };
            expected.extend(expected::of_movement(chart, &movement, seller));
        }
        let found = store::transactions_of(tx, &keys).await?;
        comparison.compare(&expected, &found);
    }
}
