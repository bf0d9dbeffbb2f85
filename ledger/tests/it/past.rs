//! Balances in the past and the worker's day sums.

use jiff::Timestamp;
use partita_db::BookId;
use partita_ledger::{AccountKey, NewTransaction, PositionVector, RollProgress};

use crate::support::TestLedger;

fn at(time: &str) -> Timestamp {
    time.parse().expect("a time")
}

async fn position(ledger: &TestLedger, book: BookId) -> PositionVector {
    ledger.run(book, |tx| Box::pin(partita_ledger::current_position(tx))).await.expect("a position")
}

async fn balance_at(
    ledger: &TestLedger,
    book: BookId,
    account: AccountKey,
    as_of: Option<&str>,
    position: Option<&PositionVector>,
) -> i128 {
    let (as_of, position) = (as_of.map(at), position.cloned());
    let read = ledger.run(book, move |tx| {
        let position = position.clone();
        Box::pin(async move { partita_ledger::balance_at(tx, account, as_of, position.as_ref()).await })
    });
    read.await.expect("a balance").signed()
}

#[tokio::test]
async fn what_happened_and_what_was_known_are_two_questions() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let on = |time: &str, amount| NewTransaction {
        effective_at: at(time),
        ..ledger.transfer(shop.provider, shop.seller, amount)
    };
    ledger.post_one(book, on("2026-11-01T10:00:00Z", 1)).await;
    ledger.post_one(book, on("2026-11-03T10:00:00Z", 10)).await;
    let before_the_late_one = position(&ledger, book).await;
    ledger.post_one(book, on("2026-11-02T10:00:00Z", 100)).await;

    // With no day sums, with all of them, with more after them: the answers are the same.
    for stage in 0..3 {
        let seen = async |as_of, position| balance_at(&ledger, book, shop.seller, as_of, position).await;
        let known = Some(&before_the_late_one);
        assert_eq!(seen(None, None).await, if stage < 2 { 111 } else { 1_111 }, "stage {stage}");
        assert_eq!(seen(None, known).await, 11, "stage {stage}");
        assert_eq!(seen(Some("2026-11-02T10:00:00Z"), None).await, 101, "stage {stage}");
        assert_eq!(seen(Some("2026-11-02T09:59:59.999999Z"), None).await, 1, "stage {stage}");
        assert_eq!(seen(Some("2026-11-02T23:00:00Z"), known).await, 1, "stage {stage}");
        assert_eq!(seen(Some("2026-11-03T12:00:00Z"), None).await, 111, "stage {stage}");
        assert_eq!(seen(Some("2026-10-31T23:00:00Z"), None).await, 0, "stage {stage}");
        match stage {
            0 => while !roll(&ledger, book, 2).await.finished {},
            1 => {
                ledger.post_one(book, on("2026-11-03T13:00:00Z", 1_000)).await;
            }
            _ => {}
        }
    }
    assert_eq!(ledger.verify(book).await, []);
}

async fn roll(ledger: &TestLedger, book: BookId, limit: u32) -> RollProgress {
    ledger.run(book, move |tx| Box::pin(partita_ledger::roll_day_balances(tx, limit))).await.expect("a step")
}

#[tokio::test]
async fn day_sums_are_kept_step_by_step() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let slice = (0..5).map(|_| ledger.transfer(shop.provider, shop.seller, 1)).collect();
    ledger.post(book, slice).await.expect("posted");
    ledger.post_one(book, ledger.transfer(shop.seller, shop.provider, 100)).await;
    assert_eq!(roll(&ledger, book, 4).await, RollProgress { positions: 4, finished: false });
    assert_eq!(roll(&ledger, book, 4).await, RollProgress { positions: 2, finished: true });
    assert_eq!(roll(&ledger, book, 4).await, RollProgress { positions: 0, finished: true });
    let days: Vec<(i64, String, i64, i64)> = ledger
        .run(book, |tx| {
            Box::pin(async move {
                let rows = sqlx::query_as(
                    "select account, debits::text, first_seq, last_seq from ledger_balance_days order by account",
                );
                Ok(rows.fetch_all(tx.conn()).await?)
            })
        })
        .await
        .expect("day sums");
    let row = |account: AccountKey, debits: &str| (account.get(), debits.to_owned(), 1, 5);
    assert_eq!(days, [row(shop.provider, "5"), row(shop.seller, "0")]);
    assert_eq!(ledger.verify(book).await, []);
}

#[tokio::test]
async fn a_trial_balance_has_equal_sides_in_every_currency() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 90)).await;
    ledger.post_one(book, ledger.transfer(shop.seller, shop.fees, 9)).await;
    let rows = ledger.run(book, |tx| Box::pin(partita_ledger::trial_balance(tx, None, None))).await.expect("rows");
    let lines: Vec<_> = rows.iter().map(|r| (r.path.as_str(), r.debits, r.credits)).collect();
    assert_eq!(lines, [("prov.available", 90, 0), ("rev.commission", 0, 9), ("sel.a.available", 9, 90)]);
    let sides = rows.iter().fold((0, 0), |sides, row| (sides.0 + row.debits, sides.1 + row.credits));
    assert_eq!(sides.0, sides.1);
}
