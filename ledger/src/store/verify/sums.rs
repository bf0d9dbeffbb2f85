//! Balances recomputed from postings.

use std::collections::{HashMap, HashSet};

use futures::TryStreamExt;
use jiff::civil::Date;
use partita_db::{BookId, Tx};

use super::{
    Findings,
    days::{Days, StoredDay},
    walk::Passenger,
};
use crate::{
    chain::{Held, Leg, Released},
    error::LedgerError,
    store::balances::{current_position, current_sums, past_sums},
    violation::Violation,
};

/// Accounts that are compared at a time.
const ACCOUNTS: usize = 5_000;

/// Debits and credits of every account, minor units.
#[derive(Default)]
pub(super) struct Sums(HashMap<i64, (i128, i128)>);

/// What a complete verification recomputes on its way.
pub(super) struct Whole {
    pub(super) sums: Sums,
    pub(super) days: Days,
}

impl Whole {
    pub(super) fn new(days: Days) -> Self {
        Self { sums: Sums::default(), days }
    }
}

impl Passenger for Whole {
    fn posting(&mut self, leg: &Leg, day: Option<Date>) {
        self.sums.0.entry(leg.debit).or_default().0 += i128::from(leg.amount);
        self.sums.0.entry(leg.credit).or_default().1 += i128::from(leg.amount);
        if let Some(day) = day {
            self.days.posting(leg, day);
        }
    }

    fn hold(&mut self, _: &Held) {}

    fn release(&mut self, _: &Released) {}

    fn settle(&mut self, lane: i16, days: Vec<StoredDay>, findings: &mut Findings) {
        self.days.settle(lane, days, findings);
    }
}

impl Sums {
    /// Compares with the stored balances, which are read account by account.
    pub(super) async fn compare(
        mut self,
        tx: &mut Tx,
        book: BookId,
        findings: &mut Findings,
    ) -> Result<(), LedgerError> {
        let mut differing = Vec::new();
        let mut rows = sqlx::query!(
            "select account, debits, credits from ledger_balances where book_id = $1 order by account",
            book.get()
        )
        .fetch(tx.conn());
        let mut open: Option<(i64, (i128, i128))> = None;
        loop {
            let row = rows.try_next().await?;
            if let Some((account, sums)) = &mut open
                && row.as_ref().is_none_or(|row| row.account != *account)
            {
                let posted = self.0.remove(account).unwrap_or_default();
                differing.extend((posted != *sums).then_some((*account, *sums, posted)));
                open = None;
            }
            let Some(row) = row else { break };
            let (_, (debits, credits)) = open.get_or_insert((row.account, (0, 0)));
            *debits += i128::from(row.debits);
            *credits += i128::from(row.credits);
        }
        drop(rows);
        differing.extend(self.0.into_iter().map(|(account, posted)| (account, (0, 0), posted)));
        report(tx, book, differing, findings).await
    }
}

/// Compares the balances of these accounts, as they are, with their day sums and the postings after those.
pub(super) async fn compare_touched(
    tx: &mut Tx,
    book: BookId,
    accounts: &[i64],
    findings: &mut Findings,
) -> Result<(), LedgerError> {
    let position = current_position(tx).await?;
    for accounts in accounts.chunks(ACCOUNTS) {
        let stored = current_sums(tx, Some(accounts)).await?;
        let posted = past_sums(tx, Some(accounts), None, &position).await?;
        let of = |sums: &HashMap<i64, (i128, i128)>, account| sums.get(account).copied().unwrap_or_default();
        let differing = accounts
            .iter()
            .map(|account| (*account, of(&stored, account), of(&posted, account)))
            .filter(|(_, stored, posted)| stored != posted);
        report(tx, book, differing.collect(), findings).await?;
    }
    Ok(())
}

/// Account, stored sums, posted sums.
type Differing = (i64, (i128, i128), (i128, i128));

async fn report(
    tx: &mut Tx,
    book: BookId,
    differing: Vec<Differing>,
    findings: &mut Findings,
) -> Result<(), LedgerError> {
    if differing.is_empty() {
        return Ok(());
    }
    let accounts: Vec<i64> = differing.iter().map(|(account, ..)| *account).collect();
    let missing = sqlx::query_scalar!(
        r#"select n.account as "account!"
           from unnest($2::bigint[]) n (account)
           left join ledger_accounts a on a.book_id = $1 and a.account = n.account
           where a.account is null"#,
        book.get(),
        &accounts
    )
    .fetch_all(tx.conn())
    .await?;
    findings.extend(differing.into_iter().map(|(account, stored, posted)| Violation::BalanceDiffers {
        account,
        debits: stored.0,
        credits: stored.1,
        sum_of_debits: posted.0,
        sum_of_credits: posted.1,
    }));
    findings.extend(missing.into_iter().map(|account| Violation::AccountMissing { account }));
    Ok(())
}

/// Which accounts a stretch touches.
#[derive(Default)]
pub(super) struct Touched {
    accounts: HashSet<i64>,
    released_holds: Vec<i64>,
}

impl Passenger for Touched {
    fn posting(&mut self, leg: &Leg, _: Option<Date>) {
        self.accounts.extend([leg.debit, leg.credit]);
    }

    fn hold(&mut self, held: &Held) {
        self.accounts.insert(held.account);
    }

    fn release(&mut self, released: &Released) {
        self.released_holds.push(released.hold);
    }

    fn settle(&mut self, _: i16, _: Vec<StoredDay>, _: &mut Findings) {}
}

impl Touched {
    /// The accounts, those of released holds among them.
    pub(super) async fn accounts(mut self, tx: &mut Tx, book: BookId) -> Result<Vec<i64>, LedgerError> {
        let of_holds = sqlx::query_scalar!(
            "select account from ledger_holds where book_id = $1 and id = any ($2)",
            book.get(),
            &self.released_holds
        )
        .fetch_all(tx.conn())
        .await?;
        self.accounts.extend(of_holds);
        Ok(self.accounts.into_iter().collect())
    }
}

/// For walks that only want the head.
pub(super) struct Nothing;

impl Passenger for Nothing {
    fn posting(&mut self, _: &Leg, _: Option<Date>) {}

    fn hold(&mut self, _: &Held) {}

    fn release(&mut self, _: &Released) {}

    fn settle(&mut self, _: i16, _: Vec<StoredDay>, _: &mut Findings) {}
}
