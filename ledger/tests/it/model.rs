//! The ledger as one would explain it: a map, exact integers, one transaction after the other.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use partita_ledger::{
    AccountClass, AccountKey, Floors, NewAccount, NewPosting, NewTransaction, NormalSide, PostOutcome, PostRefusal,
};

#[derive(Clone, Debug)]
struct Account {
    normal_side: NormalSide,
    class: AccountClass,
    debits: i128,
    credits: i128,
}

impl Account {
    fn signed(&self) -> i128 {
        self.normal_side.signed(self.debits, self.credits)
    }
}

/// What the model says becomes of a transaction; positions are left to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Posted,
    Replayed { id: i64 },
    Refused(PostRefusal),
}

impl From<PostOutcome> for Expected {
    fn from(outcome: PostOutcome) -> Self {
        match outcome {
            PostOutcome::Posted { .. } => Self::Posted,
            PostOutcome::Replayed { id, .. } => Self::Replayed { id },
            PostOutcome::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

#[derive(Clone, Debug)]
struct Posted {
    transaction: NewTransaction,
    reverses: Option<i64>,
}

/// The whole ledger of one book.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    accounts: BTreeMap<AccountKey, Account>,
    posted: Vec<Posted>,
    by_source: HashMap<(i16, i64), usize>,
    reversed_by: HashMap<i64, i64>,
}

impl Model {
    pub(crate) fn open(&mut self, accounts: &[NewAccount]) {
        for account in accounts {
            let NewAccount { key, normal_side, class, .. } = account;
            self.accounts.insert(*key, Account { normal_side: *normal_side, class: *class, debits: 0, credits: 0 });
        }
    }

    /// Number of posted transactions: a place in the history.
    pub(crate) fn len(&self) -> usize {
        self.posted.len()
    }

    pub(crate) fn transaction(&self, place: usize) -> &NewTransaction {
        &self.posted[place].transaction
    }

    /// Debits and credits of an account.
    pub(crate) fn sums(&self, account: AccountKey) -> (i128, i128) {
        let account = &self.accounts[&account];
        (account.debits, account.credits)
    }

    /// Debits and credits of an account from what was effective at `as_of` among the first `known` transactions.
    pub(crate) fn sums_at(&self, account: AccountKey, as_of: Option<Timestamp>, known: usize) -> (i128, i128) {
        let seen = self.posted[..known].iter().filter(|p| as_of.is_none_or(|at| p.transaction.effective_at <= at));
        let mut sums = (0, 0);
        for posting in seen.flat_map(|p| &p.transaction.postings) {
            let amount = i128::from(posting.amount);
            sums.0 += if posting.debit == account { amount } else { 0 };
            sums.1 += if posting.credit == account { amount } else { 0 };
        }
        sums
    }

    pub(crate) fn reversal_of(original: &NewTransaction) -> Vec<NewPosting> {
        let swap = |p: &NewPosting| NewPosting { debit: p.credit, credit: p.debit, ..*p };
        original.postings.iter().map(swap).collect()
    }

    pub(crate) fn post(&mut self, transaction: &NewTransaction, reverses: Option<i64>) -> Expected {
        if let Some(place) = self.by_source.get(&(transaction.kind, transaction.source)) {
            let first = &self.posted[*place];
            let id = first.transaction.id;
            let same = first.reverses == reverses && content(&first.transaction) == content(transaction);
            return if same {
                Expected::Replayed { id }
            } else {
                Expected::Refused(PostRefusal::SourceConflict { existing: id })
            };
        }
        let moves = moves(transaction);
        if let Some(refusal) = self.refusal(transaction, reverses, &moves) {
            return Expected::Refused(refusal);
        }
        for (key, (debit, credit)) in moves {
            let account = self.accounts.get_mut(&key).expect("an unknown account is refused");
            account.debits += debit;
            account.credits += credit;
        }
        self.by_source.insert((transaction.kind, transaction.source), self.posted.len());
        self.posted.push(Posted { transaction: transaction.clone(), reverses });
        if let Some(original) = reverses {
            self.reversed_by.insert(original, transaction.id);
        }
        Expected::Posted
    }

    fn refusal(
        &self,
        transaction: &NewTransaction,
        reverses: Option<i64>,
        moves: &BTreeMap<AccountKey, (i128, i128)>,
    ) -> Option<PostRefusal> {
        if let Some(account) = moves.keys().find(|key| !self.accounts.contains_key(key)) {
            return Some(PostRefusal::UnknownAccount { account: *account });
        }
        if let Some(by) = reverses.and_then(|original| self.reversed_by.get(&original)) {
            return Some(PostRefusal::AlreadyReversed { by: *by });
        }
        for (key, (debit, credit)) in moves {
            let account = &self.accounts[key];
            let most = i128::from(PostRefusal::MOST);
            if account.debits + debit > most || account.credits + credit > most {
                return Some(PostRefusal::Overflow { account: *key });
            }
        }
        let respects = transaction.floors == Floors::Respect;
        moves.iter().filter(|_| respects).find_map(|(key, (debit, credit))| {
            let account = &self.accounts[key];
            let AccountClass::Floored { floor } = account.class else { return None };
            let net = account.normal_side.signed(*debit, *credit);
            let short = net < 0 && account.signed() + net < i128::from(floor);
            short.then(|| PostRefusal::InsufficientFunds {
                account: *key,
                needed: i64::try_from(-net).expect("a sum that fits"),
                available: i64::try_from(account.signed() - i128::from(floor)).expect("a balance that fits"),
            })
        })
    }
}

/// Debits and credits of a transaction, by account.
fn moves(transaction: &NewTransaction) -> BTreeMap<AccountKey, (i128, i128)> {
    let mut moves: BTreeMap<AccountKey, (i128, i128)> = BTreeMap::new();
    for posting in &transaction.postings {
        moves.entry(posting.debit).or_default().0 += i128::from(posting.amount);
        moves.entry(posting.credit).or_default().1 += i128::from(posting.amount);
    }
    moves
}

fn content(transaction: &NewTransaction) -> Vec<(AccountKey, AccountKey, i64, i64)> {
    let mut content: Vec<_> = transaction.postings.iter().map(|p| (p.debit, p.credit, p.amount, p.subject)).collect();
    content.sort_unstable();
    content
}
