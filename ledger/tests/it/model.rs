//! The ledger as one would explain it: a map, exact integers, one transaction after the other.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use partita_ledger::{
    AccountClass, AccountKey, Floors, HoldEnd, HoldOutcome, HoldRefusal, NewAccount, NewHold, NewPosting,
    NewTransaction, NormalSide, PostOutcome, PostRefusal,
};

#[derive(Clone, Debug)]
struct Account {
    normal_side: NormalSide,
    class: AccountClass,
    debits: i128,
    credits: i128,
    held: i128,
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
    captures: Option<i64>,
}

/// What the model says becomes of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExpectedHold {
    Placed,
    Replayed { id: i64 },
    Refused(HoldRefusal),
}

impl From<HoldOutcome> for ExpectedHold {
    fn from(outcome: HoldOutcome) -> Self {
        match outcome {
            HoldOutcome::Placed { .. } => Self::Placed,
            HoldOutcome::Replayed { id, .. } => Self::Replayed { id },
            HoldOutcome::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

/// A hold as the model keeps it.
#[derive(Clone, Debug)]
pub(crate) struct ModelHold {
    pub(crate) hold: NewHold,
    pub(crate) remaining: i64,
    pub(crate) captured: i64,
    pub(crate) in_use: bool,
    pub(crate) end: Option<HoldEnd>,
}

/// The whole ledger of one book.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    accounts: BTreeMap<AccountKey, Account>,
    posted: Vec<Posted>,
    by_source: HashMap<(i16, i64), usize>,
    reversed_by: HashMap<i64, i64>,
    pub(crate) holds: Vec<ModelHold>,
}

impl Model {
    pub(crate) fn open(&mut self, accounts: &[NewAccount]) {
        for account in accounts {
            let NewAccount { key, normal_side, class, .. } = account;
            let account = Account { normal_side: *normal_side, class: *class, debits: 0, credits: 0, held: 0 };
            self.accounts.insert(*key, account);
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

    pub(crate) fn held(&self, account: AccountKey) -> i128 {
        self.accounts[&account].held
    }

    pub(crate) fn post(&mut self, transaction: &NewTransaction, reverses: Option<i64>) -> Expected {
        self.post_with(transaction, reverses, None)
    }

    pub(crate) fn capture(&mut self, transaction: &NewTransaction, hold: i64) -> Expected {
        self.post_with(transaction, None, Some(hold))
    }

    fn post_with(&mut self, transaction: &NewTransaction, reverses: Option<i64>, captures: Option<i64>) -> Expected {
        if let Some(place) = self.by_source.get(&(transaction.kind, transaction.source)) {
            let first = &self.posted[*place];
            let id = first.transaction.id;
            let same = (first.reverses, first.captures) == (reverses, captures)
                && content(&first.transaction) == content(transaction);
            return if same {
                Expected::Replayed { id }
            } else {
                Expected::Refused(PostRefusal::SourceConflict { existing: id })
            };
        }
        let moves = moves(transaction);
        if let Some(refusal) = self.refusal(transaction, reverses, captures, &moves) {
            return Expected::Refused(refusal);
        }
        if let Some(captured) = captures.and_then(|hold| self.captured(hold, &moves)) {
            let hold = self.holds.iter_mut().find(|h| Some(h.hold.id) == captures).expect("it was found before");
            let amount = i64::try_from(captured).expect("at most what is left");
            hold.remaining -= amount;
            hold.captured += amount;
            hold.end = (hold.remaining == 0).then_some(HoldEnd::Captured);
            self.accounts.get_mut(&hold.hold.account).expect("a held account").held -= captured;
        }
        for (key, (debit, credit)) in moves {
            let account = self.accounts.get_mut(&key).expect("an unknown account is refused");
            account.debits += debit;
            account.credits += credit;
        }
        self.by_source.insert((transaction.kind, transaction.source), self.posted.len());
        self.posted.push(Posted { transaction: transaction.clone(), reverses, captures });
        if let Some(original) = reverses {
            self.reversed_by.insert(original, transaction.id);
        }
        Expected::Posted
    }

    /// What a transaction takes from the account of a hold, net; `None` if there is no such hold.
    fn captured(&self, hold: i64, moves: &BTreeMap<AccountKey, (i128, i128)>) -> Option<i128> {
        let account = self.holds.iter().find(|h| h.hold.id == hold)?.hold.account;
        let (debit, credit) = moves.get(&account).copied().unwrap_or_default();
        Some(-self.accounts[&account].normal_side.signed(debit, credit))
    }

    fn capture_refusal(&self, hold: i64, moves: &BTreeMap<AccountKey, (i128, i128)>) -> Option<PostRefusal> {
        let Some(captured) = self.captured(hold, moves) else { return Some(PostRefusal::UnknownHold { hold }) };
        let remaining = self.holds.iter().find(|h| h.hold.id == hold).map_or(0, |h| h.remaining);
        if captured <= 0 {
            return Some(PostRefusal::NothingCaptured { hold });
        }
        let needed = i64::try_from(captured).unwrap_or(i64::MAX);
        (captured > i128::from(remaining)).then_some(PostRefusal::HoldTooSmall { hold, needed, remaining })
    }

    pub(crate) fn place(&mut self, hold: &NewHold) -> ExpectedHold {
        let same_source = |h: &&ModelHold| (h.hold.kind, h.hold.source) == (hold.kind, hold.source);
        if let Some(first) = self.holds.iter().find(same_source) {
            let content = |h: &NewHold| (h.account, h.amount, h.subject, h.expires_at);
            let id = first.hold.id;
            return if content(&first.hold) == content(hold) {
                ExpectedHold::Replayed { id }
            } else {
                ExpectedHold::Refused(HoldRefusal::SourceConflict { existing: id })
            };
        }
        if let Some(refusal) = self.hold_refusal(hold) {
            return ExpectedHold::Refused(refusal);
        }
        self.accounts.get_mut(&hold.account).expect("an unknown account is refused").held += i128::from(hold.amount);
        let NewHold { amount, in_use, .. } = *hold;
        self.holds.push(ModelHold { hold: hold.clone(), remaining: amount, captured: 0, in_use, end: None });
        ExpectedHold::Placed
    }

    fn hold_refusal(&self, hold: &NewHold) -> Option<HoldRefusal> {
        let NewHold { account: key, amount, .. } = *hold;
        let Some(account) = self.accounts.get(&key) else { return Some(HoldRefusal::UnknownAccount { account: key }) };
        let AccountClass::Floored { floor } = account.class else {
            return Some(HoldRefusal::NotFloored { account: key });
        };
        if account.held + i128::from(amount) > i128::from(PostRefusal::MOST) {
            return Some(HoldRefusal::Overflow { account: key });
        }
        let available = account.signed() - account.held - i128::from(floor);
        (i128::from(amount) > available).then(|| HoldRefusal::InsufficientFunds {
            account: key,
            needed: amount,
            available: i64::try_from(available).expect("less than an amount"),
        })
    }

    /// Gives back what the hold has left; `None` if that is nothing.
    pub(crate) fn release(&mut self, place: usize, end: HoldEnd) -> Option<i64> {
        let hold = &mut self.holds[place];
        let left = hold.remaining;
        if left == 0 {
            return None;
        }
        hold.remaining = 0;
        hold.end = Some(end);
        self.accounts.get_mut(&hold.hold.account).expect("a held account").held -= i128::from(left);
        Some(left)
    }

    /// Expires what is due and not in use, and counts it.
    pub(crate) fn expire(&mut self, now: Timestamp) -> u64 {
        let due = |h: &ModelHold| !h.in_use && h.hold.expires_at.is_some_and(|at| at <= now);
        let due: Vec<usize> = (0..self.holds.len()).filter(|place| due(&self.holds[*place])).collect();
        due.into_iter().filter_map(|place| self.release(place, HoldEnd::Expired)).map(|_| 1).sum()
    }

    fn refusal(
        &self,
        transaction: &NewTransaction,
        reverses: Option<i64>,
        captures: Option<i64>,
        moves: &BTreeMap<AccountKey, (i128, i128)>,
    ) -> Option<PostRefusal> {
        if let Some(account) = moves.keys().find(|key| !self.accounts.contains_key(key)) {
            return Some(PostRefusal::UnknownAccount { account: *account });
        }
        if let Some(by) = reverses.and_then(|original| self.reversed_by.get(&original)) {
            return Some(PostRefusal::AlreadyReversed { by: *by });
        }
        if let Some(refusal) = captures.and_then(|hold| self.capture_refusal(hold, moves)) {
            return Some(refusal);
        }
        let captured = self.holds.iter().find(|h| Some(h.hold.id) == captures).map(|h| h.hold.account);
        for (key, (debit, credit)) in moves {
            let account = &self.accounts[key];
            let most = i128::from(PostRefusal::MOST);
            if account.debits + debit > most || account.credits + credit > most {
                return Some(PostRefusal::Overflow { account: *key });
            }
        }
        let respects = transaction.floors == Floors::Respect;
        moves.iter().filter(|(key, _)| respects && Some(**key) != captured).find_map(|(key, (debit, credit))| {
            let account = &self.accounts[key];
            let AccountClass::Floored { floor } = account.class else { return None };
            let net = account.normal_side.signed(*debit, *credit);
            let available = account.signed() - account.held - i128::from(floor);
            let short = net < 0 && available + net < 0;
            short.then(|| PostRefusal::InsufficientFunds {
                account: *key,
                needed: i64::try_from(-net).expect("a sum that fits"),
                available: i64::try_from(available).expect("a balance that fits"),
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
