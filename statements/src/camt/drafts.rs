//! What is known of a statement, a balance, an entry and a payment while their elements are open.

use jiff::civil::Date;
use partita_provider::Currency;

use crate::error::Reason;
use crate::output::{Draft, Open, Output};
use crate::statement::{Balance, Detail};

/// A value that may stand once.
#[derive(Debug)]
pub(super) struct Once<T>(Option<T>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Once<T> {
    pub(super) fn set(&mut self, what: &'static str, value: T) -> Result<(), Reason> {
        if self.0.is_some() {
            return Err(Reason::Repeated(what));
        }
        self.0 = Some(value);
        Ok(())
    }

    fn take(self) -> Option<T> {
        self.0
    }

    fn required(self, what: &str) -> Result<T, Reason> {
        self.0.ok_or_else(|| Reason::Missing(what.to_owned()))
    }
}

/// An amount that is as yet unsigned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Amount {
    pub(super) minor: i64,
    pub(super) currency: Currency,
}

/// Which way an amount goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Credit,
    Debit,
}

impl Side {
    fn sign(self, minor: i64) -> i64 {
        if self == Self::Credit { minor } else { -minor }
    }
}

/// Page of a message or of a statement.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Page {
    pub(super) number: Option<u64>,
    pub(super) is_last: Option<bool>,
}

/// Totals of one side, as the bank states them.
#[derive(Debug, Default)]
pub(super) struct Total {
    pub(super) count: Option<i64>,
    /// As it stands: its currency is known later.
    pub(super) sum: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct BalanceDraft {
    pub(super) code: Once<String>,
    pub(super) amount: Once<Amount>,
    pub(super) side: Once<Side>,
    pub(super) date: Once<Date>,
}

#[derive(Debug, Default)]
pub(super) struct DetailDraft {
    pub(super) amount: Once<Amount>,
    pub(super) transaction_amount: Once<Amount>,
    pub(super) side: Once<Side>,
    pub(super) end_to_end_id: Once<String>,
    pub(super) bank_reference: Once<String>,
    pub(super) debtor: Once<String>,
    pub(super) creditor: Once<String>,
    pub(super) debtor_account: Once<String>,
    pub(super) creditor_account: Once<String>,
    pub(super) remittance: Vec<String>,
    pub(super) return_reason: Once<String>,
}

#[derive(Debug, Default)]
pub(super) struct EntryDraft {
    pub(super) line: u64,
    pub(super) amount: Once<Amount>,
    pub(super) side: Once<Side>,
    pub(super) reversal: Once<bool>,
    pub(super) status: Once<String>,
    pub(super) booked_on: Once<Date>,
    pub(super) value_on: Once<Date>,
    pub(super) bank_reference: Once<String>,
    pub(super) code: Vec<String>,
    pub(super) info: Once<String>,
    pub(super) has_charges: bool,
    pub(super) batch_size: Once<u64>,
    pub(super) detail: Option<DetailDraft>,
    pub(super) details: Vec<DetailDraft>,
}

#[derive(Default)]
pub(super) struct Statement {
    pub(super) line: u64,
    pub(super) id: Once<String>,
    pub(super) electronic_number: Once<u64>,
    pub(super) legal_number: Once<u64>,
    pub(super) page: Page,
    pub(super) account: Once<String>,
    pub(super) currency: Once<Currency>,
    pub(super) balance: Option<BalanceDraft>,
    pub(super) balances: Vec<(String, Balance)>,
    pub(super) credits: Total,
    pub(super) debits: Total,
    pub(super) entry: Option<EntryDraft>,
    credit_count: i64,
    debit_count: i64,
    /// From the first balance or entry on, for then its account and currency are known.
    open: Option<Open>,
}

impl Statement {
    pub(super) fn at(line: u64) -> Self {
        Self { line, ..Self::default() }
    }

    /// The statement with account and currency, which stand before everything else.
    fn open(&mut self, output: &mut Output<'_>, first: Currency) -> Result<&mut Open, Reason> {
        let opened = if let Some(open) = self.open.take() {
            open
        } else {
            let account = std::mem::take(&mut self.account).required("the account (Acct/Id)")?;
            let currency = std::mem::take(&mut self.currency).take().unwrap_or(first);
            output.open(account, currency, self.line)
        };
        Ok(self.open.insert(opened))
    }

    pub(super) fn end_balance(&mut self, output: &mut Output<'_>) -> Result<(), Reason> {
        let Some(draft) = self.balance.take() else { return Ok(()) };
        let amount = draft.amount.required("the amount of a balance (Bal/Amt)")?;
        let side = draft.side.required("whether a balance is credit or debit (Bal/CdtDbtInd)")?;
        self.open(output, amount.currency)?.same_currency(amount.currency)?;
        let code = draft.code.required("which balance it is (Bal/Tp)")?;
        let intermediate = code == "ITBD";
        let balance = Balance { amount: side.sign(amount.minor), date: draft.date.take(), intermediate };
        if self.balances.len() == 100 {
            return Err(Reason::TooMany { what: "balances", limit: 100 });
        }
        self.balances.push((code, balance));
        Ok(())
    }

    pub(super) fn end_entry(&mut self, output: &mut Output<'_>) -> Result<(), Reason> {
        let Some(entry) = self.entry.take() else { return Ok(()) };
        let amount = entry.amount.required("the amount of an entry (Ntry/Amt)")?;
        let side = entry.side.required("whether an entry is credit or debit (Ntry/CdtDbtInd)")?;
        let open = self.open(output, amount.currency)?;
        open.same_currency(amount.currency)?;
        let status = entry.status.required("the status of an entry (Ntry/Sts)")?;
        if status != "BOOK" {
            open.not_booked += 1;
            return Ok(());
        }
        let signed = side.sign(amount.minor);
        let details = details(entry.details, side, amount.currency);
        check_batch(signed, entry.has_charges, entry.batch_size.take(), &details)?;
        let draft = Draft {
            line: entry.line,
            amount: signed,
            fee: 0,
            reversal: entry.reversal.take().unwrap_or(false),
            booked_on: entry.booked_on.required("the day of booking (Ntry/BookgDt)")?,
            value_on: entry.value_on.take(),
            bank_reference: entry.bank_reference.take(),
            code: (!entry.code.is_empty()).then(|| entry.code.join("/")),
            info: entry.info.take(),
            details,
        };
        output.entry(open, draft).map_err(|refusal| refusal.reason)?;
        let count = if side == Side::Credit { &mut self.credit_count } else { &mut self.debit_count };
        *count += 1;
        Ok(())
    }

    /// Ends the statement; `page` is the message's, for statements of .001.02 have none of their own.
    pub(super) fn end(mut self, page: Page, output: &mut Output<'_>, line: u64) -> Result<(), Reason> {
        let mut open = self.open.take().ok_or_else(|| Reason::Missing("the opening balance".to_owned()))?;
        open.opening = Some(self.opening()?);
        open.closing = Some(self.closing()?);
        let page = if self.page.number.is_some() { self.page } else { page };
        let is_whole = page.number.is_none_or(|number| number == 1) && page.is_last.unwrap_or(true);
        if is_whole {
            self.check_totals(&open)?;
        }
        open.id = self.id.take();
        open.sequence = self.electronic_number.take().or(self.legal_number.take());
        open.page = page.number;
        output.close(open, line).map_err(|refusal| refusal.reason)
    }

    fn balance(&self, code: &str) -> Result<Option<Balance>, Reason> {
        let mut found = self.balances.iter().filter(|(found, _)| found == code).map(|(_, balance)| *balance);
        let first = found.next();
        if found.next().is_some() { Err(Reason::Repeated("a balance (Bal)")) } else { Ok(first) }
    }

    fn intermediate(&self) -> impl Iterator<Item = Balance> {
        self.balances.iter().filter(|(code, _)| code == "ITBD").map(|(_, balance)| *balance)
    }

    fn opening(&self) -> Result<Balance, Reason> {
        let missing = || Reason::Missing("the opening balance (Bal with OPBD or PRCD)".to_owned());
        match (self.balance("OPBD")?, self.balance("PRCD")?) {
            (Some(opening), Some(previous)) if opening.amount != previous.amount => Err(Reason::Total {
                what: "the opening balance (OPBD)",
                computed: previous.amount,
                stated: opening.amount,
            }),
            (Some(balance), _) | (None, Some(balance)) => Ok(balance),
            (None, None) => self.intermediate().next().ok_or_else(missing),
        }
    }

    fn closing(&self) -> Result<Balance, Reason> {
        let missing = || Reason::Missing("the closing balance (Bal with CLBD)".to_owned());
        if let Some(closing) = self.balance("CLBD")? {
            return Ok(closing);
        }
        let opens = usize::from(self.balance("OPBD")?.or(self.balance("PRCD")?).is_none());
        self.intermediate().skip(opens).last().ok_or_else(missing)
    }

    fn check_totals(&self, open: &Open) -> Result<(), Reason> {
        let (credits, debits) = open.turnover();
        let sides = [
            (&self.credits, credits, self.credit_count, "the sum of credits", "the number of credits"),
            (&self.debits, debits, self.debit_count, "the sum of debits", "the number of debits"),
        ];
        for (total, sum, count, of_sum, of_count) in sides {
            let stated = total.sum.as_deref().map(|text| super::fields::minor(text, open.currency)).transpose()?;
            for (stated, computed, what) in [(stated, sum, of_sum), (total.count, count, of_count)] {
                if let Some(stated) = stated.filter(|stated| *stated != computed) {
                    return Err(Reason::Total { what, computed, stated });
                }
            }
        }
        Ok(())
    }
}

fn details(drafts: Vec<DetailDraft>, entry: Side, account_currency: Currency) -> Vec<Detail> {
    drafts.into_iter().map(|draft| detail(draft, entry, account_currency)).collect()
}

fn detail(draft: DetailDraft, entry: Side, account_currency: Currency) -> Detail {
    let side = draft.side.take().unwrap_or(entry);
    let amount = draft.amount.take().or(draft.transaction_amount.take());
    let amount = amount.filter(|amount| amount.currency == account_currency);
    // Who the other one is depends on who is the account's owner.
    let (name, account) = match side {
        Side::Credit => (draft.debtor, draft.debtor_account),
        Side::Debit => (draft.creditor, draft.creditor_account),
    };
    Detail {
        amount: amount.map(|amount| side.sign(amount.minor)),
        end_to_end_id: draft.end_to_end_id.take().filter(|id| id != "NOTPROVIDED"),
        bank_reference: draft.bank_reference.take(),
        counterparty: name.take(),
        counterparty_account: account.take(),
        remittance: (!draft.remittance.is_empty()).then(|| draft.remittance.join(" ")),
        return_reason: draft.return_reason.take(),
    }
}

/// A batch whose payments are listed has to be their sum, unless charges were taken of it.
fn check_batch(amount: i64, has_charges: bool, size: Option<u64>, details: &[Detail]) -> Result<(), Reason> {
    if details.len() < 2 {
        return Ok(());
    }
    if let Some(size) = size {
        let count = u64::try_from(details.len()).unwrap_or(u64::MAX);
        if size != count {
            let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
            return Err(Reason::Total {
                what: "the number of payments of a batch",
                computed: number(count),
                stated: number(size),
            });
        }
    }
    let Some(amounts) = details.iter().map(|detail| detail.amount).collect::<Option<Vec<i64>>>() else { return Ok(()) };
    let sum = amounts.into_iter().try_fold(0_i64, i64::checked_add).ok_or(Reason::Overflow)?;
    if sum != amount && !has_charges {
        return Err(Reason::Total { what: "the amount of a batch", computed: sum, stated: amount });
    }
    Ok(())
}
