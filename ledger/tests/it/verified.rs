//! Incremental verification goes on from where the last one ended.

use partita_ledger::{Verification, Violation};

use crate::support::TestLedger;

async fn new(ledger: &TestLedger, book: partita_db::BookId) -> Verification {
    let verified: Result<_, partita_ledger::LedgerError> = ledger
        .db
        .read("verify", partita_db::Scope::Book(book), |tx| {
            Box::pin(async move { partita_ledger::verify_new(tx).await })
        })
        .await;
    verified.expect("verify runs")
}

#[tokio::test]
async fn only_what_is_new_is_read() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let into = |amount| ledger.transfer(shop.provider, shop.seller, amount);
    ledger.post(book, vec![into(1), into(2), into(3)]).await.expect("posted");
    let first = new(&ledger, book).await;
    assert_eq!((first.decisions, first.postings, first.is_clean()), (3, 3, true));
    assert_eq!(first.position().seq(1), 3);
    assert_eq!(ledger.verify_new(book).await, []);
    assert_eq!(new(&ledger, book).await.decisions, 0);
    ledger.post_one(book, into(4)).await;
    ledger.hold_one(book, ledger.new_hold(shop.seller, 5)).await;
    let second = new(&ledger, book).await;
    assert_eq!((second.decisions, second.postings, second.position().seq(1)), (2, 1, 5));
    // A position is not taken back by who was slower.
    let noted = ledger.run(book, move |tx| {
        let second = second.clone();
        Box::pin(async move { partita_ledger::record_verified(tx, &second).await })
    });
    assert!(noted.await.expect("noted"));
    let again = ledger.run(book, move |tx| {
        let first = first.clone();
        Box::pin(async move { partita_ledger::record_verified(tx, &first).await })
    });
    assert!(again.await.expect("noted"));
    assert_eq!(new(&ledger, book).await.decisions, 0);
}

#[tokio::test]
async fn a_violation_is_not_noted_as_verified() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 1)).await;
    ledger.tamper(&format!("update ledger_postings set subject = 7 where book_id = {book}")).await;
    let broken = [Violation::HeadDiffers { lane: 1, seq: 1 }];
    assert_eq!(ledger.verify_new(book).await, broken);
    assert_eq!(ledger.verify_new(book).await, broken);
}

/// A change, and a violation that it must lead to.
type Expectation = (&'static str, fn(&Violation) -> bool);

/// A change after the verified position, and one of a touched balance, is found without reading the rest.
#[tokio::test]
async fn what_is_new_is_checked_like_in_a_complete_run() {
    let ledger = TestLedger::start().await;
    let changes: [Expectation; 12] = [
        ("update ledger_postings set amount = 8 where seq = 3", |v| matches!(v, Violation::BalanceDiffers { .. })),
        ("update ledger_balances set credits = credits + 1 where stripe = 0", |v| {
            matches!(v, Violation::BalanceDiffers { .. })
        }),
        ("update ledger_balances set held = held + 1 where stripe = 0", |v| matches!(v, Violation::HeldDiffers { .. })),
        ("update ledger_balances set floor = -9 where stripe = 0", |v| matches!(v, Violation::BalanceShape { .. })),
        ("update ledger_holds set remaining = remaining - 1", |v| matches!(v, Violation::HoldDiffers { .. })),
        ("update ledger_holds set subject = 99", |v| matches!(v, Violation::HeadDiffers { .. })),
        ("delete from ledger_transactions where seq = 3", |v| matches!(v, Violation::SequenceBroken { .. })),
        ("delete from ledger_postings where seq = 3", |v| matches!(v, Violation::PostingsDiffer { .. })),
        ("update ledger_lanes set seq = 3", |v| matches!(v, Violation::SequenceBroken { .. })),
        ("update ledger_lanes set seq = 1", |v| matches!(v, Violation::LaneBehind { .. })),
        ("update ledger_lanes set head = sha256(head)", |v| matches!(v, Violation::HeadDiffers { .. })),
        (
            "alter table ledger_transactions drop constraint if exists ledger_transactions_id_once; update ledger_transactions set id = (select id from ledger_transactions where seq = 1 and book_id = ledger_books_touched()) where seq = 3",
            |v| matches!(v, Violation::NotUnique { .. }),
        ),
    ];
    for (change, expected) in changes {
        let (book, shop) = ledger.shop().await;
        let into = |amount| ledger.transfer(shop.provider, shop.seller, amount);
        ledger.post(book, vec![into(1), into(2)]).await.expect("posted");
        assert_eq!(ledger.verify_new(book).await, []);
        ledger.post_one(book, into(4)).await;
        ledger.hold_one(book, ledger.new_hold(shop.seller, 5)).await;
        let joined = if change.contains(" where ") { "and" } else { "where" };
        let of_lane = if change.contains("ledger_lanes") { " and lane = 1" } else { "" };
        let change = change.replace("ledger_books_touched()", &book.to_string());
        ledger.tamper(&format!("{change} {joined} book_id = {book}{of_lane}")).await;
        let found = ledger.verify_new(book).await;
        assert!(found.iter().any(expected), "{change}: {found:?}");
    }
}

#[tokio::test]
async fn a_rewritten_past_shows_where_it_was_verified() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 100)).await;
    assert_eq!(ledger.verify_new(book).await, []);
    ledger
        .tamper(&format!(
            "delete from ledger_postings where book_id = {book};
             delete from ledger_transactions where book_id = {book};
             update ledger_lanes set seq = 0, head = decode(repeat('00', 32), 'hex') where book_id = {book};
             update ledger_balances set debits = 0, credits = 0 where book_id = {book}"
        ))
        .await;
    ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 200)).await;
    assert_eq!(ledger.verify(book).await, [], "the new past is whole");
    assert_eq!(ledger.verify_new(book).await, [Violation::HeadDiffers { lane: 1, seq: 1 }]);
}
