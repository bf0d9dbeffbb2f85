//! `verify` finds what a superuser changed.

use partita_db::BookId;
use partita_ledger::{NewCapture, NewHold, PostOutcome, Violation};

use crate::support::{Shop, TestLedger, noon};

/// A book with a slice, a refusal, a reversal and day sums.
async fn busy_book(ledger: &TestLedger) -> (BookId, Shop) {
    let (book, shop) = ledger.shop().await;
    let sale = ledger.transfer(shop.provider, shop.seller, 100);
    let out = |amount| ledger.transfer(shop.seller, shop.provider, amount);
    let slice = vec![sale.clone(), out(30), out(80), ledger.transfer(shop.provider, shop.fees, 10)];
    ledger.post(book, slice).await.expect("posted");
    ledger.reverse(book, ledger.reversal(sale.id)).await.expect("reversed");
    // A hold that is captured in part and voided, one that expires, one that stays and one that is refused.
    let hold = |amount| ledger.new_hold(shop.reserve, amount);
    ledger.post_one(book, ledger.transfer(shop.provider, shop.reserve, 40)).await;
    let captured = hold(20);
    let expiring = NewHold { expires_at: Some(noon()), ..hold(5) };
    ledger.hold(book, vec![captured.clone(), expiring, hold(4), hold(99)]).await;
    let part = ledger.transfer(shop.reserve, shop.provider, 12);
    let captures = vec![NewCapture { hold: captured.id, transaction: part }];
    ledger.capture(book, captures).await.expect("captured");
    ledger.void(book, captured.id).await;
    let expired = ledger.run(book, |tx| Box::pin(partita_ledger::expire_holds(tx, noon(), 1, 9))).await;
    assert_eq!(expired.expect("expired").expired, 1);
    let rolled = ledger.run(book, |tx| Box::pin(partita_ledger::roll_day_balances(tx, 100))).await;
    assert!(rolled.expect("rolled").finished);
    let last = ledger.post_one(book, ledger.transfer(shop.provider, shop.pending, 7)).await;
    assert!(matches!(last, PostOutcome::Posted { .. }));
    assert_eq!(ledger.verify(book).await, [], "untouched");
    (book, shop)
}

/// What each change breaks, beside the chain.
type Expectation = (&'static str, fn(&Violation) -> bool);

const CHANGES: [Expectation; 43] = [
    ("update ledger_postings set amount = amount + 1 where seq = 1", |v| matches!(v, Violation::BalanceDiffers { .. })),
    ("update ledger_postings set subject = 99 where seq = 1", |v| matches!(v, Violation::HeadDiffers { .. })),
    ("update ledger_postings set ordinal = 2 where seq = 1", |v| matches!(v, Violation::PostingsDiffer { .. })),
    (
        "alter table ledger_postings drop constraint if exists ledger_postings_amount_positive; update ledger_postings set amount = -amount where seq = 6",
        |v| matches!(v, Violation::PostingMalformed { .. }),
    ),
    ("update ledger_postings set credit_account = credit_account + 100 where seq = 6", |v| {
        matches!(v, Violation::AccountMissing { .. })
    }),
    ("delete from ledger_postings where seq = 2", |v| matches!(v, Violation::PostingsDiffer { found: 0, .. })),
    ("update ledger_postings set seq = 3 where seq = 2", |v| matches!(v, Violation::OrphanPostings { .. })),
    ("update ledger_postings set seq = 77 where seq = 2", |v| matches!(v, Violation::OrphanPostings { .. })),
    ("update ledger_transactions set effective_at = effective_at + interval '1 us' where seq = 6", |v| {
        matches!(v, Violation::HeadDiffers { .. })
    }),
    ("update ledger_transactions set effective_at = effective_at + interval '1 day' where seq = 1", |v| {
        matches!(v, Violation::DayDiffers { .. })
    }),
    ("update ledger_transactions set effective_at = effective_at + interval '1 month' where seq = 6", |v| {
        matches!(v, Violation::PeriodTooEarly { .. })
    }),
    ("update ledger_transactions set recorded_at = recorded_at + interval '1 us' where seq = 2", |v| {
        matches!(v, Violation::HeadDiffers { .. })
    }),
    ("update ledger_transactions set actor = 99 where seq = 2", |v| matches!(v, Violation::HeadDiffers { .. })),
    ("update ledger_transactions set kind = 99 where seq = 2", |v| matches!(v, Violation::HeadDiffers { .. })),
    ("update ledger_transactions set source = 0 where seq = 2", |v| matches!(v, Violation::HeadDiffers { .. })),
    ("update ledger_transactions set passes_floor = true where seq = 2", |v| {
        matches!(v, Violation::HeadDiffers { .. })
    }),
    ("update ledger_transactions set period = 203001 where seq = 6", |v| matches!(v, Violation::HeadDiffers { .. })),
    ("update ledger_transactions set in_call = 0 where seq = 2", |v| matches!(v, Violation::HeadDiffers { .. })),
    (
        "update ledger_transactions set reverses = (select id from ledger_transactions where seq = 2 and book_id = ledger_books_touched()) where seq = 5",
        |v| matches!(v, Violation::ReversalDiffers { .. }),
    ),
    ("update ledger_transactions set reverses = null where seq = 5", |v| matches!(v, Violation::HeadDiffers { .. })),
    ("delete from ledger_transactions where seq = 6", |v| matches!(v, Violation::SequenceBroken { .. })),
    ("update ledger_refusals set needed = 1", |v| matches!(v, Violation::HeadDiffers { .. })),
    ("delete from ledger_refusals", |v| matches!(v, Violation::SequenceBroken { .. })),
    ("update ledger_holds set subject = 99 where remaining > 0", |v| matches!(v, Violation::HeadDiffers { .. })),
    ("update ledger_holds set expires_at = expires_at + interval '1 us' where expires_at is not null", |v| {
        matches!(v, Violation::HeadDiffers { .. })
    }),
    ("update ledger_holds set actor = 99 where remaining > 0", |v| matches!(v, Violation::HeadDiffers { .. })),
    ("update ledger_holds set amount = amount + 1, remaining = remaining + 1 where remaining > 0", |v| {
        matches!(v, Violation::HeldDiffers { .. })
    }),
    ("update ledger_holds set remaining = remaining - 1 where remaining > 0", |v| {
        matches!(v, Violation::HoldDiffers { .. })
    }),
    ("delete from ledger_holds where remaining > 0", |v| matches!(v, Violation::SequenceBroken { .. })),
    ("delete from ledger_holds where remaining = 0", |v| matches!(v, Violation::CaptureDiffers { .. })),
    ("update ledger_hold_captures set amount = amount + 1", |v| matches!(v, Violation::CaptureDiffers { .. })),
    ("update ledger_hold_captures set hold = hold + 1", |v| matches!(v, Violation::HeadDiffers { .. })),
    ("delete from ledger_hold_captures", |v| matches!(v, Violation::HoldDiffers { .. })),
    ("update ledger_hold_releases set amount = amount + 1 where reason = 1", |v| {
        matches!(v, Violation::HoldDiffers { .. })
    }),
    ("update ledger_hold_releases set reason = 1 where reason = 2", |v| matches!(v, Violation::HeadDiffers { .. })),
    ("delete from ledger_hold_releases where reason = 2", |v| matches!(v, Violation::SequenceBroken { .. })),
    ("update ledger_balances set held = 0 where held > 0", |v| matches!(v, Violation::HeldDiffers { .. })),
    ("update ledger_balances set credits = credits + 1 where stripe = 0", |v| {
        matches!(v, Violation::BalanceDiffers { .. })
    }),
    ("update ledger_balances set floor = -50 where floor = 0", |v| matches!(v, Violation::BalanceShape { .. })),
    ("update ledger_lanes set head = sha256(head) where lane = 1", |v| matches!(v, Violation::HeadDiffers { .. })),
    ("update ledger_lanes set seq = 5 where lane = 1", |v| matches!(v, Violation::SequenceBroken { .. })),
    ("update ledger_balance_days set debits = debits + 1", |v| matches!(v, Violation::DayDiffers { .. })),
    ("update ledger_day_positions set seq = 60 where lane = 1", |v| matches!(v, Violation::DaysAhead { .. })),
];

#[tokio::test]
async fn every_change_of_the_past_is_found() {
    let ledger = TestLedger::start().await;
    for (change, expected) in CHANGES {
        let (book, _) = busy_book(&ledger).await;
        let joined = if change.contains(" where ") { "and" } else { "where" };
        let change = change.replace("ledger_books_touched()", &book.to_string());
        ledger.tamper(&format!("{change} {joined} book_id = {book}")).await;
        let violations = ledger.verify(book).await;
        assert!(violations.iter().any(expected), "{change}: {violations:?}");
        assert!(violations.iter().all(|v| !v.to_string().is_empty()));
    }
}

#[tokio::test]
async fn a_forged_transaction_that_fits_everything_else_breaks_the_chain() {
    let ledger = TestLedger::start().await;
    let (book, shop) = busy_book(&ledger).await;
    let (a, b) = (shop.provider.get(), shop.pending.get());
    ledger
        .tamper(&format!(
            "insert into ledger_transactions
             select book_id, lane, kind, 15, 9999, 9999, actor, effective_at, recorded_at, period, 0, 1, passes_floor, null
             from ledger_transactions where book_id = {book} and lane = 1 and seq = 14;
             insert into ledger_postings values ({book}, 1, 1, 15, {a}, {b}, 500, 1);
             update ledger_balances set debits = debits + 500 where account = {a} and stripe = 1;
             update ledger_balances set credits = credits + 500 where account = {b};
             update ledger_lanes set seq = 15 where book_id = {book} and lane = 1"
        ))
        .await;
    let violations = ledger.verify(book).await;
    assert_eq!(violations, [Violation::HeadDiffers { lane: 1, seq: 15 }]);
}

#[tokio::test]
async fn an_empty_book_verifies() {
    let ledger = TestLedger::start().await;
    let book = ledger.book().await;
    assert_eq!(ledger.verify(book).await, []);
}
