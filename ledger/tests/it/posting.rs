//! What one call of `post` does.

use partita_db::{Db, Scope};
use partita_ledger::{
    Floors, LedgerError, Malformed, NewPosting, NewTransaction, Period, Position, PostOutcome, PostRefusal,
    TransactionFilter,
};

use crate::support::{TestLedger, key, noon};

#[tokio::test]
async fn a_slice_takes_consecutive_positions_of_one_lane() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let credit = |amount| ledger.transfer(shop.provider, shop.seller, amount);
    let first = ledger.post(book, vec![credit(1), credit(2)]).await.expect("posted");
    let at = |seq| PostOutcome::Posted { position: Position { lane: 1, seq } };
    assert_eq!(first, [at(1), at(2)]);
    assert_eq!(ledger.post_one(book, credit(3)).await, at(3));
    assert_eq!(ledger.post(book, Vec::new()).await.expect("nothing to do"), []);
    let position = ledger.run(book, |tx| Box::pin(partita_ledger::current_position(tx))).await.expect("a position");
    assert_eq!(position.seq(1), 3);
}

#[tokio::test]
async fn the_floor_is_tested_on_the_net_effect_in_slice_order() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let out = |amount| ledger.transfer(shop.seller, shop.provider, amount);
    let into = |amount| ledger.transfer(shop.provider, shop.seller, amount);
    // Takes 30 and gives 40 at once: the net effect is a credit, never refused.
    let mut both_ways = out(30);
    both_ways.postings.push(NewPosting { debit: shop.provider, credit: shop.seller, amount: 40, subject: 1 });
    let slice = vec![out(1), both_ways, out(11), out(10), into(5), out(5)];
    let outcomes = ledger.post(book, slice).await.expect("a call of post");
    let at = |seq| PostOutcome::Posted { position: Position { lane: 1, seq } };
    let short = |needed, available| {
        PostOutcome::Refused(PostRefusal::InsufficientFunds { account: shop.seller, needed, available })
    };
    assert_eq!(outcomes, [short(1, 0), at(2), short(11, 10), at(4), at(5), at(6)]);
    assert_eq!(ledger.balance(book, shop.seller).await, 0);
    assert_eq!(ledger.verify(book).await, []);
}

#[tokio::test]
async fn a_refund_passes_the_floor_and_a_later_credit_is_taken() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let refund = NewTransaction { floors: Floors::Pass, ..ledger.transfer(shop.seller, shop.provider, 30) };
    assert!(matches!(ledger.post_one(book, refund).await, PostOutcome::Posted { .. }));
    assert_eq!(ledger.balance(book, shop.seller).await, -30);
    let out = ledger.post_one(book, ledger.transfer(shop.seller, shop.provider, 1)).await;
    let short = PostRefusal::InsufficientFunds { account: shop.seller, needed: 1, available: -30 };
    assert_eq!(out, PostOutcome::Refused(short));
    let credit = ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 10)).await;
    assert!(matches!(credit, PostOutcome::Posted { .. }), "a credit is never refused: {credit:?}");
    assert_eq!(ledger.balance(book, shop.seller).await, -20);
}

#[tokio::test]
async fn a_source_that_comes_again_names_the_first() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let mut first = ledger.transfer(shop.provider, shop.seller, 60);
    first.postings.push(NewPosting { debit: shop.provider, credit: shop.fees, amount: 40, subject: 2 });
    let PostOutcome::Posted { position } = ledger.post_one(book, first.clone()).await else { panic!("not posted") };

    // Another id, another time, another actor, the postings in another order: still the same fact.
    let mut again = NewTransaction { id: ledger.id(), actor: 9, effective_at: noon(), ..first.clone() };
    again.postings.reverse();
    let replayed = PostOutcome::Replayed { id: first.id, position };
    assert_eq!(ledger.post_one(book, again.clone()).await, replayed);

    let mut other = NewTransaction { id: ledger.id(), ..first.clone() };
    other.postings[0].amount = 61;
    let conflict = PostOutcome::Refused(PostRefusal::SourceConflict { existing: first.id });
    assert_eq!(ledger.post_one(book, other.clone()).await, conflict);

    let other_kind = NewTransaction { id: ledger.id(), kind: 2, ..first.clone() };
    let outcomes = ledger.post(book, vec![again, other, other_kind]).await.expect("a call of post");
    assert_eq!(outcomes[..2], [replayed, conflict]);
    assert!(matches!(outcomes[2], PostOutcome::Posted { .. }), "another kind is another transaction");
    assert_eq!(ledger.balance(book, shop.seller).await, 120);
    assert_eq!(ledger.verify(book).await, []);
}

#[tokio::test]
async fn a_slice_that_is_all_replays_moves_nothing() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let first = ledger.transfer(shop.provider, shop.seller, 60);
    ledger.post_one(book, first.clone()).await;
    let position = |ledger: &TestLedger| {
        let db = ledger.db.clone();
        async move { current_position(&db, book).await }
    };
    let before = position(&ledger).await;
    ledger.post(book, vec![first.clone(), first]).await.expect("a call of post");
    assert_eq!(position(&ledger).await, before);
}

async fn current_position(db: &Db, book: partita_db::BookId) -> String {
    let read = db.run_tx("test", Scope::Book(book), |tx| Box::pin(partita_ledger::current_position(tx)));
    read.await.expect("a position").to_string()
}

#[tokio::test]
async fn one_bad_item_does_not_spoil_a_slice() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let good = || ledger.transfer(shop.provider, shop.seller, 10);
    let empty = NewTransaction { postings: Vec::new(), ..good() };
    let negative = ledger.transfer(shop.provider, shop.seller, -1);
    let unknown = ledger.transfer(shop.provider, shop.unknown, 10);
    let dollars = ledger.transfer(shop.provider, key(book, "USD", 2), 10);
    let outcomes = ledger.post(book, vec![empty, good(), negative, unknown, dollars, good()]).await.expect("a call");
    let at = |seq| PostOutcome::Posted { position: Position { lane: 1, seq } };
    let malformed = |reason| PostOutcome::Refused(PostRefusal::Malformed(reason));
    assert_eq!(outcomes[0], malformed(Malformed::NoPostings));
    assert_eq!(outcomes[1], at(1));
    assert_eq!(outcomes[2], malformed(Malformed::AmountNotPositive { amount: -1 }));
    assert_eq!(outcomes[3], PostOutcome::Refused(PostRefusal::UnknownAccount { account: shop.unknown }));
    assert!(matches!(outcomes[4], PostOutcome::Refused(PostRefusal::Malformed(_))), "{:?}", outcomes[4]);
    assert_eq!(outcomes[5], at(3), "the stored refusal took position 2");
    assert_eq!(ledger.balance(book, shop.seller).await, 20);
    assert_eq!(ledger.verify(book).await, []);
}

#[tokio::test]
async fn sums_that_do_not_fit_are_refused() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let most = ledger.transfer(shop.provider, shop.pending, PostRefusal::MOST);
    assert!(matches!(ledger.post_one(book, most).await, PostOutcome::Posted { .. }));
    let beyond = ledger.transfer(shop.provider, shop.seller, i64::MAX);
    let overflow = PostOutcome::Refused(PostRefusal::Overflow { account: shop.provider });
    assert_eq!(ledger.post_one(book, beyond).await, overflow);
    let one_more = ledger.transfer(shop.fees, shop.pending, 1);
    let overflow = PostOutcome::Refused(PostRefusal::Overflow { account: shop.pending });
    assert_eq!(ledger.post_one(book, one_more).await, overflow);
    let mut within = ledger.transfer(shop.fees, shop.seller, PostRefusal::MOST);
    within.postings.push(NewPosting { debit: shop.fees, credit: shop.seller, amount: PostRefusal::MOST, subject: 1 });
    let overflow = PostOutcome::Refused(PostRefusal::Overflow { account: shop.seller });
    assert_eq!(ledger.post_one(book, within).await, overflow);
    assert_eq!(ledger.balance(book, shop.pending).await, i128::from(PostRefusal::MOST));
    assert_eq!(ledger.verify(book).await, []);
}

#[tokio::test]
async fn a_refusal_is_stored_only_if_the_caller_commits() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let out = ledger.transfer(shop.seller, shop.provider, 10);
    let slice = vec![out.clone()];
    let rolled_back: Result<(), LedgerError> = ledger
        .run(book, move |tx| {
            let slice = slice.clone();
            Box::pin(async move {
                partita_ledger::post(tx, &slice).await?;
                Err(LedgerError::UnknownTransaction { id: 0 })
            })
        })
        .await;
    assert!(rolled_back.is_err());
    assert_eq!(refusals(&ledger, book).await, 0);
    ledger.post_one(book, out).await;
    assert_eq!(refusals(&ledger, book).await, 1);
    assert_eq!(ledger.verify(book).await, []);
}

async fn refusals(ledger: &TestLedger, book: partita_db::BookId) -> i64 {
    let count = ledger.run(book, |tx| {
        Box::pin(
            async move { Ok(sqlx::query_scalar("select count(*) from ledger_refusals").fetch_one(tx.conn()).await?) },
        )
    });
    count.await.expect("a count")
}

#[tokio::test]
async fn a_transaction_is_reversed_whole_and_once() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let mut sale = ledger.transfer(shop.provider, shop.seller, 90);
    sale.postings.push(NewPosting { debit: shop.provider, credit: shop.fees, amount: 10, subject: 4 });
    ledger.post_one(book, sale.clone()).await;
    ledger.post_one(book, ledger.transfer(shop.seller, shop.provider, 50)).await;

    let reversal = ledger.reversal(sale.id);
    let strict = partita_ledger::NewReversal { floors: Floors::Respect, ..ledger.reversal(sale.id) };
    let short = PostRefusal::InsufficientFunds { account: shop.seller, needed: 90, available: 40 };
    assert_eq!(ledger.reverse(book, strict).await.expect("refused"), PostOutcome::Refused(short));

    let first = ledger.reverse(book, reversal).await.expect("reversed");
    let PostOutcome::Posted { position } = first else { panic!("{first:?}") };
    let same_source = partita_ledger::NewReversal { id: ledger.id(), ..reversal };
    let again = ledger.reverse(book, same_source).await.expect("a replay");
    assert_eq!(again, PostOutcome::Replayed { id: reversal.id, position });
    let second = ledger.reverse(book, ledger.reversal(sale.id)).await.expect("refused");
    assert_eq!(second, PostOutcome::Refused(PostRefusal::AlreadyReversed { by: reversal.id }));

    assert_eq!(ledger.balance(book, shop.seller).await, -50);
    assert_eq!(ledger.balance(book, shop.fees).await, 0);
    let missing = ledger.reverse(book, ledger.reversal(123_456)).await;
    assert!(matches!(missing, Err(LedgerError::UnknownTransaction { id: 123_456 })), "{missing:?}");
    assert_eq!(ledger.verify(book).await, []);

    let read = |id| ledger.run(book, move |tx| Box::pin(partita_ledger::find_transaction(tx, id)));
    let original = read(sale.id).await.expect("read").expect("it is there");
    assert_eq!((original.reverses, original.reversed_by), (None, Some(reversal.id)));
    let undone = read(reversal.id).await.expect("read").expect("it is there");
    assert_eq!((undone.reverses, undone.reversed_by), (Some(sale.id), None));
    assert_eq!((undone.postings[1].debit_path.as_str(), undone.postings[1].subject), ("rev.commission", 4));
}

#[tokio::test]
async fn history_reads_back_what_was_posted() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let mut sale = ledger.transfer(shop.provider, shop.seller, 90);
    sale.postings.push(NewPosting { debit: shop.seller, credit: shop.fees, amount: 9, subject: 4 });
    let payout = NewTransaction { kind: 5, ..ledger.transfer(shop.seller, shop.provider, 7) };
    ledger.post(book, vec![sale.clone(), payout.clone()]).await.expect("posted");

    let view = ledger.run(book, move |tx| Box::pin(partita_ledger::transactions_by_source(tx, 1, sale.source)));
    let view = view.await.expect("read").expect("it is there");
    assert_eq!((view.id, view.kind, view.source, view.actor), (sale.id, 1, sale.source, 1));
    assert_eq!((view.effective_at, view.period), (noon(), Period { year: 2026, month: 11 }));
    assert_eq!((view.floors, view.position.seq, view.postings.len()), (Floors::Respect, 1, 2));
    assert_eq!((view.postings[1].amount, view.postings[1].currency.code()), (9, "EUR"));

    let by_subject = ledger.run(book, |tx| Box::pin(partita_ledger::postings_by_subject(tx, 1)));
    let by_subject = by_subject.await.expect("read");
    assert_eq!(by_subject.iter().map(|p| p.amount).collect::<Vec<_>>(), [90, 7]);
    assert_eq!(by_subject[1].debit_path, "sel.a.available");

    let list = |filter: TransactionFilter| {
        ledger.run(book, move |tx| Box::pin(async move { partita_ledger::list_transactions(tx, &filter, 10).await }))
    };
    let ids = |views: Vec<partita_ledger::TransactionView>| views.iter().map(|v| v.id).collect::<Vec<_>>();
    assert_eq!(ids(list(TransactionFilter::default()).await.expect("read")), [payout.id, sale.id]);
    let before = TransactionFilter { before: Some(payout.id), kind: None };
    assert_eq!(ids(list(before).await.expect("read")), [sale.id]);
    let kind = TransactionFilter { before: None, kind: Some(5) };
    assert_eq!(ids(list(kind).await.expect("read")), [payout.id]);
}

#[tokio::test]
async fn a_closed_period_takes_nothing_and_the_open_one_takes_what_is_late() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let on = |day: &str| NewTransaction {
        effective_at: format!("{day}T00:00:00Z").parse().expect("a time"),
        ..ledger.transfer(shop.provider, shop.seller, 1)
    };
    let period = async |transaction: NewTransaction| {
        let id = transaction.id;
        ledger.post_one(book, transaction).await;
        let view = ledger.run(book, move |tx| Box::pin(partita_ledger::find_transaction(tx, id)));
        view.await.expect("read").expect("posted").period.to_string()
    };
    assert_eq!(period(on("2025-12-31")).await, "2025-12");
    ledger.tamper("update ledger_lanes set open_period = 202602").await;
    assert_eq!(period(on("2025-12-31")).await, "2026-02");
    assert_eq!(period(on("2026-02-28")).await, "2026-02");
    assert_eq!(period(on("2026-03-01")).await, "2026-03");
    assert_eq!(ledger.verify(book).await, []);
}

#[tokio::test]
async fn mistakes_of_the_caller_are_errors() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let first = ledger.transfer(shop.provider, shop.seller, 1);
    ledger.post_one(book, first.clone()).await;
    let same_id = NewTransaction { source: ledger.id(), ..first.clone() };
    let twice = ledger.post(book, vec![same_id]).await;
    assert!(matches!(twice, Err(LedgerError::DuplicateId)), "{twice:?}");

    let closed = partita_db::BookId::try_new(4_711).expect("a book");
    let foreign = ledger.transfer(key(closed, "EUR", 1), key(closed, "EUR", 2), 1);
    let not_open = ledger.post(closed, vec![foreign]).await;
    assert!(matches!(not_open, Err(LedgerError::BookNotOpen { .. })), "{not_open:?}");

    let routing = ledger.db.run_tx("test", Scope::Routing, move |tx| {
        let first = first.clone();
        Box::pin(async move { partita_ledger::post(tx, &[first]).await })
    });
    assert!(matches!(routing.await, Err(LedgerError::NoBook)));

    let unknown = ledger
        .run(book, move |tx| Box::pin(async move { partita_ledger::balances(tx, &[shop.seller, shop.unknown]).await }));
    assert!(matches!(unknown.await, Err(LedgerError::UnknownAccount { account }) if account == shop.unknown));
}
