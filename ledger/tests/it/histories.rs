//! Random histories, posted in slices and one by one, against the model.

use jiff::{SignedDuration, Timestamp};
use partita_db::BookId;
use partita_ledger::{
    AccountClass, AccountKey, Floors, HoldEnd, NewAccount, NewCapture, NewHold, NewPosting, NewReversal,
    NewTransaction, NormalSide, PositionVector, VoidOutcome,
};
use proptest::{prelude::*, sample::Index, test_runner::TestRunner};

use crate::{
    model::{Expected, ExpectedHold, Model, ModelHold},
    support::{TestLedger, account, key, noon},
};

/// A posting before the book is known: accounts by number in one of the two currencies.
#[derive(Clone, Debug)]
struct Leg {
    currency: usize,
    debit: usize,
    credit: usize,
    amount: i64,
    subject: i64,
}

#[derive(Clone, Debug)]
struct Draft {
    kind: i16,
    source: i64,
    hours: i64,
    floors: Floors,
    legs: Vec<Leg>,
}

#[derive(Clone, Debug)]
enum Step {
    Post(Vec<Draft>),
    /// Posts again what was posted, under another id.
    Replay(Index),
    Reverse {
        original: Index,
        source: i64,
        hours: i64,
        floors: Floors,
    },
    /// Takes this many positions of each lane into the day sums.
    Roll(u32),
    Hold(Vec<HoldDraft>),
    Capture(Vec<CaptureDraft>),
    Void(Index),
    UseHold(Index, bool),
    /// Expires what is due at this hour.
    Expire(i64),
    /// Verifies what is new, from the last position that was verified.
    VerifyNew,
}

/// A hold before the book is known.
#[derive(Clone, Debug)]
struct HoldDraft {
    source: i64,
    currency: usize,
    account: usize,
    amount: i64,
    expires: Option<i64>,
    in_use: bool,
}

/// A capture before the hold is known.
#[derive(Clone, Debug)]
struct CaptureDraft {
    hold: Index,
    source: i64,
    counter: usize,
    amount: i64,
    forwards: bool,
    floors: Floors,
    more: Vec<Leg>,
}

const CURRENCIES: [&str; 2] = ["EUR", "JPY"];
const OPEN: usize = 8;

fn accounts(book: BookId) -> Vec<NewAccount> {
    use AccountClass::{Floored, Single, Striped};
    use NormalSide::{Credit, Debit};
    let kinds = [
        ("prov", Debit, Striped),
        ("sel.a", Credit, Floored { floor: 0 }),
        ("sel.b", Credit, Floored { floor: -50 }),
        ("drawer", Debit, Floored { floor: 10 }),
        ("sel.a.pending", Credit, Single),
        ("debt", Debit, Single),
        ("fees", Credit, Striped),
        ("owed", Credit, Floored { floor: i64::MIN }),
    ];
    assert_eq!(kinds.len(), OPEN);
    let of = |currency| {
        kinds
            .into_iter()
            .zip(0..)
            .map(move |((path, side, class), n)| account(key(book, currency, n), path, side, class))
    };
    CURRENCIES.into_iter().flat_map(of).collect()
}

fn legs() -> impl Strategy<Value = Leg> {
    let amount = prop_oneof![
        30 => 1_i64..60,
        3 => 1_i64..5_000,
        1 => (i64::MAX / 5)..=i64::MAX,
    ];
    // The account after the open ones is unknown to the book.
    let number = prop_oneof![40 => 0..OPEN, 1 => Just(OPEN)];
    (0..CURRENCIES.len(), number.clone(), number, amount, 1_i64..4).prop_filter_map(
        "two accounts",
        |(currency, debit, credit, amount, subject)| {
            (debit != credit).then_some(Leg { currency, debit, credit, amount, subject })
        },
    )
}

fn floors() -> impl Strategy<Value = Floors> {
    prop_oneof![4 => Just(Floors::Respect), 1 => Just(Floors::Pass)]
}

fn drafts() -> impl Strategy<Value = Draft> {
    let source = prop_oneof![3 => 1_i64..6, 7 => 6_i64..1_000_000];
    (1_i16..3, source, 0_i64..72, floors(), prop::collection::vec(legs(), 1..5))
        .prop_map(|(kind, source, hours, floors, legs)| Draft { kind, source, hours, floors, legs })
}

fn hold_drafts() -> impl Strategy<Value = HoldDraft> {
    let source = prop_oneof![1 => 1_i64..4, 4 => 4_i64..1_000_000];
    let amount = prop_oneof![30 => 1_i64..40, 1 => (i64::MAX / 5)..=i64::MAX];
    // Mostly floored accounts.
    let account = prop_oneof![5 => Just(1), 3 => Just(2), 3 => Just(3), 2 => Just(7), 1 => 0..=OPEN];
    let expires = prop::option::of(0_i64..72);
    (source, 0..CURRENCIES.len(), account, amount, expires, prop::bool::weighted(0.2)).prop_map(
        |(source, currency, account, amount, expires, in_use)| HoldDraft {
            source,
            currency,
            account,
            amount,
            expires,
            in_use,
        },
    )
}

fn capture_drafts() -> impl Strategy<Value = CaptureDraft> {
    let source = prop_oneof![1 => 1_i64..4, 4 => 4_i64..1_000_000];
    let more = prop::collection::vec(legs(), 0..2);
    (any::<Index>(), source, 0..OPEN, 1_i64..40, prop::bool::weighted(0.9), floors(), more).prop_map(
        |(hold, source, counter, amount, forwards, floors, more)| CaptureDraft {
            hold,
            source,
            counter,
            amount,
            forwards,
            floors,
            more,
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => prop::collection::vec(drafts(), 1..8).prop_map(Step::Post),
        1 => any::<Index>().prop_map(Step::Replay),
        2 => (any::<Index>(), 1_i64..4, 0_i64..72, floors())
            .prop_map(|(original, source, hours, floors)| Step::Reverse { original, source, hours, floors }),
        1 => (1_u32..6).prop_map(Step::Roll),
        3 => prop::collection::vec(hold_drafts(), 1..5).prop_map(Step::Hold),
        3 => prop::collection::vec(capture_drafts(), 1..4).prop_map(Step::Capture),
        1 => any::<Index>().prop_map(Step::Void),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(hold, in_use)| Step::UseHold(hold, in_use)),
        1 => (0_i64..80).prop_map(Step::Expire),
        1 => Just(Step::VerifyNew),
    ];
    prop::collection::vec(step, 1..16)
}

fn after(hours: i64) -> Timestamp {
    noon() + SignedDuration::from_hours(hours)
}

impl Draft {
    fn in_book(&self, book: BookId, id: i64) -> NewTransaction {
        let number = |n: usize| u64::try_from(n).expect("a small number");
        let account = |leg: &Leg, n: usize| key(book, CURRENCIES[leg.currency], number(n));
        let posting = |leg: &Leg| NewPosting {
            debit: account(leg, leg.debit),
            credit: account(leg, leg.credit),
            amount: leg.amount,
            subject: leg.subject,
        };
        NewTransaction {
            id,
            kind: self.kind,
            source: self.source,
            actor: 7,
            effective_at: after(self.hours),
            floors: self.floors,
            postings: self.legs.iter().map(posting).collect(),
        }
    }
}

impl HoldDraft {
    fn in_book(&self, book: BookId, id: i64) -> NewHold {
        let number = u64::try_from(self.account).expect("a small number");
        NewHold {
            id,
            kind: 9,
            source: self.source,
            actor: 7,
            effective_at: after(1),
            account: key(book, CURRENCIES[self.currency], number),
            amount: self.amount,
            subject: 5,
            expires_at: self.expires.map(after),
            in_use: self.in_use,
        }
    }
}

/// One book and the model of it. Ids count from 1 in every book, so that two books can be compared.
struct Run<'a> {
    ledger: &'a TestLedger,
    book: BookId,
    accounts: Vec<AccountKey>,
    model: Model,
    next_id: i64,
    cuts: Vec<(PositionVector, usize)>,
}

impl<'a> Run<'a> {
    async fn start(ledger: &'a TestLedger) -> Self {
        let book = ledger.book().await;
        let accounts = accounts(book);
        ledger.open(book, accounts.clone()).await;
        let mut model = Model::default();
        model.open(&accounts);
        let keys = accounts.iter().map(|account| account.key).collect();
        Self { ledger, book, accounts: keys, model, next_id: 1, cuts: Vec::new() }
    }

    fn id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    /// Takes a step, in slices or one by one; the ledger answers what the model says.
    async fn step(&mut self, step: &Step, one_by_one: bool) {
        match step {
            Step::Post(drafts) => {
                let slice: Vec<_> = drafts.iter().map(|draft| draft.in_book(self.book, self.id())).collect();
                self.post(slice, one_by_one).await;
            }
            Step::Replay(index) if self.model.len() > 0 => {
                let again = self.model.transaction(index.index(self.model.len())).clone();
                let id = self.id();
                self.post(vec![NewTransaction { id, ..again }], one_by_one).await;
            }
            Step::Reverse { original, source, hours, floors } if self.model.len() > 0 => {
                let original = self.model.transaction(original.index(self.model.len())).clone();
                self.reverse(&original, *source, *hours, *floors).await;
            }
            Step::Roll(limit) => {
                let limit = *limit;
                let rolled =
                    self.ledger.run(self.book, move |tx| Box::pin(partita_ledger::roll_day_balances(tx, limit)));
                rolled.await.expect("day sums roll");
            }
            Step::Hold(drafts) => {
                let slice: Vec<_> = drafts.iter().map(|draft| draft.in_book(self.book, self.id())).collect();
                self.hold(slice, one_by_one).await;
            }
            Step::Capture(drafts) if !self.model.holds.is_empty() => {
                let slice: Vec<_> = drafts.iter().map(|draft| self.capture_of(draft)).collect();
                self.capture(slice, one_by_one).await;
            }
            Step::Void(index) if !self.model.holds.is_empty() => {
                self.void(index.index(self.model.holds.len())).await;
            }
            Step::UseHold(index, in_use) if !self.model.holds.is_empty() => {
                let place = index.index(self.model.holds.len());
                let hold = &mut self.model.holds[place];
                hold.in_use = if hold.remaining > 0 { *in_use } else { hold.in_use };
                let (id, in_use, open) = (hold.hold.id, *in_use, hold.remaining > 0);
                let set =
                    self.ledger.run(self.book, move |tx| Box::pin(partita_ledger::set_hold_in_use(tx, id, in_use)));
                assert_eq!(set.await.expect("set"), open);
            }
            Step::Expire(hours) => self.expire(*hours, one_by_one).await,
            Step::VerifyNew => {
                assert_eq!(self.ledger.verify_new(self.book).await, []);
            }
            Step::Replay(_) | Step::Reverse { .. } | Step::Capture(_) | Step::Void(_) | Step::UseHold(..) => {}
        }
    }

    fn capture_of(&mut self, draft: &CaptureDraft) -> NewCapture {
        let hold = self.model.holds[draft.hold.index(self.model.holds.len())].hold.clone();
        let currency = hold.account.currency().to_string();
        let counter = u64::try_from(draft.counter).expect("a small number");
        let counter = if hold.account.number() == counter { counter + 1 } else { counter };
        let counter = key(self.book, &currency, counter % 8);
        // The third account is the one whose balance stands on the debit side.
        let (from, to) = if hold.account.number() == 3 { (counter, hold.account) } else { (hold.account, counter) };
        let (debit, credit) = if draft.forwards { (from, to) } else { (to, from) };
        let kind = 4;
        let more = Draft { kind, source: draft.source, hours: 0, floors: draft.floors, legs: draft.more.clone() };
        let mut transaction = more.in_book(self.book, self.id());
        let amount = if draft.amount > 30 { hold.amount.min(5_000) } else { draft.amount };
        transaction.postings.push(NewPosting { debit, credit, amount, subject: 2 });
        NewCapture { hold: hold.id, transaction }
    }

    async fn hold(&mut self, slice: Vec<NewHold>, one_by_one: bool) {
        let expected: Vec<_> = slice.iter().map(|hold| self.model.place(hold)).collect();
        let mut outcomes = Vec::new();
        for slice in slice.chunks(if one_by_one { 1 } else { slice.len() }) {
            outcomes.extend(self.ledger.hold(self.book, slice.to_vec()).await);
        }
        let outcomes: Vec<_> = outcomes.into_iter().map(ExpectedHold::from).collect();
        assert_eq!(outcomes, expected);
    }

    async fn capture(&mut self, slice: Vec<NewCapture>, one_by_one: bool) {
        let expected: Vec<_> = slice.iter().map(|c| self.model.capture(&c.transaction, c.hold)).collect();
        let mut outcomes = Vec::new();
        for slice in slice.chunks(if one_by_one { 1 } else { slice.len() }) {
            outcomes.extend(self.ledger.capture(self.book, slice.to_vec()).await.expect("a call of capture"));
        }
        let outcomes: Vec<_> = outcomes.into_iter().map(Expected::from).collect();
        assert_eq!(outcomes, expected);
    }

    async fn void(&mut self, place: usize) {
        let end = self.model.holds[place].end;
        let released = self.model.release(place, HoldEnd::Voided);
        let outcome = self.ledger.void(self.book, self.model.holds[place].hold.id).await;
        match (released, outcome) {
            (Some(left), VoidOutcome::Voided { amount, .. }) => assert_eq!(amount, left),
            (None, VoidOutcome::Already { end: found }) => assert_eq!(Some(found), end),
            (expected, outcome) => panic!("{expected:?}: {outcome:?}"),
        }
    }

    async fn expire(&mut self, hours: i64, one_by_one: bool) {
        let limit = if one_by_one { 1 } else { 2 };
        let mut expired = 0;
        loop {
            let step = self
                .ledger
                .run(self.book, move |tx| Box::pin(partita_ledger::expire_holds(tx, after(hours), 7, limit)));
            let step = step.await.expect("holds expire");
            expired += step.expired;
            if step.finished {
                break;
            }
        }
        assert_eq!(expired, self.model.expire(after(hours)));
    }

    async fn check_holds(&self) {
        for ModelHold { hold, remaining, captured, end, in_use } in &self.model.holds {
            let found = self.ledger.find_hold(self.book, hold.id).await.expect("it was placed");
            let facts = (found.remaining, found.captured, found.end, found.in_use);
            assert_eq!(facts, (*remaining, *captured, *end, *in_use), "{hold:?}");
        }
        let floored: Vec<_> =
            self.accounts.iter().filter(|key| [1, 2, 3, 7].contains(&key.number())).copied().collect();
        let keys = floored.clone();
        let read = self.ledger.run(self.book, move |tx| {
            let keys = keys.clone();
            Box::pin(async move { partita_ledger::availability(tx, &keys).await })
        });
        for (account, available) in floored.iter().zip(read.await.expect("floored accounts")) {
            assert_eq!(i128::from(available.held), self.model.held(*account), "{account}");
        }
    }

    async fn post(&mut self, slice: Vec<NewTransaction>, one_by_one: bool) {
        let expected: Vec<_> = slice.iter().map(|transaction| self.model.post(transaction, None)).collect();
        let mut outcomes = Vec::new();
        if one_by_one {
            for transaction in slice {
                outcomes.push(self.ledger.post_one(self.book, transaction).await);
            }
        } else {
            outcomes = self.ledger.post(self.book, slice).await.expect("a call of post");
        }
        let outcomes: Vec<_> = outcomes.into_iter().map(Expected::from).collect();
        assert_eq!(outcomes, expected);
    }

    async fn reverse(&mut self, original: &NewTransaction, source: i64, hours: i64, floors: Floors) {
        let reversal = NewReversal {
            original: original.id,
            id: self.id(),
            kind: 3,
            source,
            actor: 7,
            effective_at: after(hours),
            floors,
        };
        let NewReversal { id, kind, actor, effective_at, .. } = reversal;
        let postings = Model::reversal_of(original);
        let as_posted = NewTransaction { id, kind, source, actor, effective_at, floors, postings };
        let expected = self.model.post(&as_posted, Some(original.id));
        let outcome = self.ledger.reverse(self.book, reversal).await.expect("the original is there");
        assert_eq!(Expected::from(outcome), expected);
    }

    async fn remember_cut(&mut self) {
        let position =
            self.ledger.run(self.book, |tx| Box::pin(partita_ledger::current_position(tx))).await.expect("a position");
        self.cuts.push((position, self.model.len()));
    }

    /// The whole ledger agrees with the model, now and at every cut on both axes.
    async fn check(&self) {
        for balance in self.ledger.balances(self.book, self.accounts.clone()).await {
            assert_eq!((balance.debits, balance.credits), self.model.sums(balance.account), "{}", balance.account);
        }
        for (position, known) in &self.cuts {
            for as_of in [None, Some(after(-1)), Some(after(12)), Some(after(13)), Some(after(36)), Some(after(72))] {
                self.check_cut(as_of, position, *known).await;
            }
        }
        self.check_holds().await;
        assert_eq!(self.ledger.verify_new(self.book).await, []);
        assert_eq!(self.ledger.verify(self.book).await, []);
    }

    async fn check_cut(&self, as_of: Option<Timestamp>, position: &PositionVector, known: usize) {
        let cut = position.clone();
        let rows = self.ledger.run(self.book, move |tx| {
            let cut = cut.clone();
            Box::pin(async move { partita_ledger::trial_balance(tx, as_of, Some(&cut)).await })
        });
        let rows = rows.await.expect("a trial balance");
        for account in &self.accounts {
            let row = rows.iter().find(|row| row.account == *account);
            let sums = row.map_or((0, 0), |row| (row.debits, row.credits));
            let expected = self.model.sums_at(*account, as_of, known);
            assert_eq!(sums, expected, "{account} as of {as_of:?} at {position}");
        }
        let by_account = self.accounts[1];
        let cut = position.clone();
        let one = self.ledger.run(self.book, move |tx| {
            let cut = cut.clone();
            Box::pin(async move { partita_ledger::balance_at(tx, by_account, as_of, Some(&cut)).await })
        });
        let one = one.await.expect("a balance");
        assert_eq!((one.debits, one.credits), self.model.sums_at(by_account, as_of, known), "{by_account} alone");
    }
}

#[test]
fn a_history_in_slices_is_the_history_one_by_one_and_the_models() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let ledger = runtime.block_on(TestLedger::start());
    let config = ProptestConfig { cases: 48, max_shrink_iters: 200, failure_persistence: None, ..Default::default() };
    let ran = TestRunner::new(config).run(&steps(), |steps| {
        runtime.block_on(async {
            let mut slices = Run::start(&ledger).await;
            let mut singly = Run::start(&ledger).await;
            for step in &steps {
                slices.step(step, false).await;
                singly.step(step, true).await;
                slices.remember_cut().await;
            }
            slices.check().await;
            singly.check().await;
        });
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
}
