//! Anchors prove what the database alone cannot.

use partita_db::BookId;
use partita_ledger::{Anchor, LedgerError, PostOutcome, Violation};

use crate::support::{Shop, TestLedger};

/// A book with a sale, a payout and an anchor over both.
async fn anchored_book(ledger: &TestLedger) -> (BookId, Shop, Anchor) {
    let (book, shop) = ledger.shop().await;
    ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 100)).await;
    ledger.post_one(book, ledger.transfer(shop.seller, shop.provider, 30)).await;
    let anchor = ledger.anchor(book).await;
    (book, shop, anchor)
}

#[tokio::test]
async fn an_anchor_holds_while_the_ledger_goes_on() {
    let ledger = TestLedger::start().await;
    let (book, shop, first) = anchored_book(&ledger).await;
    assert_eq!((first.number, first.previous, first.position().seq(1)), (1, [0; 32], 2));
    ledger.post_one(book, ledger.transfer(shop.provider, shop.fees, 5)).await;
    ledger.hold_one(book, ledger.new_hold(shop.seller, 5)).await;
    let second = ledger.anchor(book).await;
    assert_eq!((second.number, second.previous, second.position().seq(1)), (2, first.digest, 4));
    let last = ledger.run(book, |tx| Box::pin(partita_ledger::last_anchor(tx))).await.expect("a look-up");
    assert_eq!(last.as_ref(), Some(&second));
    for anchor in [first, second] {
        let copy = Anchor::from_json(&anchor.to_json()).expect("its own form");
        assert_eq!(ledger.verify_against(book, &copy).await, []);
    }
    assert_eq!(ledger.verify(book).await, []);
}

#[tokio::test]
async fn an_anchor_of_another_book_is_not_compared() {
    let ledger = TestLedger::start().await;
    let (_, _, anchor) = anchored_book(&ledger).await;
    let other = ledger.book().await;
    let refused = ledger.run(other, move |tx| {
        let anchor = anchor.clone();
        Box::pin(async move { partita_ledger::verify_against(tx, &anchor).await })
    });
    assert!(matches!(refused.await, Err(LedgerError::OtherBook { .. })));
}

#[tokio::test]
async fn a_single_bit_before_the_anchor_shows_against_it() {
    let ledger = TestLedger::start().await;
    let (book, shop, anchor) = anchored_book(&ledger).await;
    let (a, b) = (shop.provider.get(), shop.seller.get());
    // The superuser repairs the balances, too.
    ledger
        .tamper(&format!(
            "update ledger_postings set amount = amount # 1 where book_id = {book} and seq = 1;
             update ledger_balances set debits = debits + 1 where book_id = {book} and account = {a};
             update ledger_balances set credits = credits + 1 where book_id = {book} and account = {b}"
        ))
        .await;
    assert_eq!(
        ledger.verify_against(book, &anchor).await,
        [Violation::AnchoredHeadDiffers { number: 1, lane: 1, seq: 2 }]
    );
    let found = ledger.verify(book).await;
    assert!(found.contains(&Violation::HeadDiffers { lane: 1, seq: 2 }), "{found:?}");
    assert!(!found.iter().any(|v| matches!(v, Violation::BalanceDiffers { .. })), "{found:?}");
}

/// Rewrites the whole history of the book, 101 instead of 100, by the ledger's own function: every head fits again.
async fn rewrite(ledger: &TestLedger, book: BookId, shop: Shop, first: i64) {
    ledger
        .tamper(&format!(
            "delete from ledger_postings where book_id = {book};
             delete from ledger_transactions where book_id = {book};
             update ledger_lanes set seq = 0, head = decode(repeat('00', 32), 'hex') where book_id = {book};
             update ledger_balances set debits = 0, credits = 0, checked_balance = null where book_id = {book}"
        ))
        .await;
    for (debit, credit, amount) in [(shop.provider, shop.seller, first), (shop.seller, shop.provider, 30)] {
        let posted = ledger.post_one(book, ledger.transfer(debit, credit, amount)).await;
        assert!(matches!(posted, PostOutcome::Posted { .. }));
    }
}

#[tokio::test]
async fn a_history_rewritten_with_its_heads_shows_against_the_stored_anchor() {
    let ledger = TestLedger::start().await;
    let (book, shop, _) = anchored_book(&ledger).await;
    rewrite(&ledger, book, shop, 101).await;
    assert_eq!(ledger.verify(book).await, [Violation::AnchoredHeadDiffers { number: 1, lane: 1, seq: 2 }]);
}

#[tokio::test]
async fn a_history_rewritten_with_its_heads_and_anchors_shows_only_against_the_exported_one() {
    let ledger = TestLedger::start().await;
    let (book, shop, exported) = anchored_book(&ledger).await;
    rewrite(&ledger, book, shop, 101).await;
    ledger.tamper(&format!("delete from ledger_anchors where book_id = {book}")).await;
    ledger.anchor(book).await;
    assert_eq!(ledger.verify(book).await, [], "nothing in the database tells");
    let expected =
        [Violation::AnchorDiffers { number: 1 }, Violation::AnchoredHeadDiffers { number: 1, lane: 1, seq: 2 }];
    assert_eq!(ledger.verify_against(book, &exported).await, expected);
}

#[tokio::test]
async fn a_lane_that_was_cut_short_shows_against_the_anchor() {
    let ledger = TestLedger::start().await;
    let (book, shop, anchor) = anchored_book(&ledger).await;
    ledger
        .tamper(&format!(
            "delete from ledger_postings where book_id = {book};
             delete from ledger_transactions where book_id = {book};
             update ledger_lanes set seq = 0, head = decode(repeat('00', 32), 'hex') where book_id = {book};
             update ledger_balances set debits = 0, credits = 0, checked_balance = null where book_id = {book}"
        ))
        .await;
    ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 100)).await;
    let short = Violation::AnchoredLaneShort { number: 1, lane: 1, seq: 2, found: 1 };
    let found = ledger.verify_against(book, &anchor).await;
    assert!(found.contains(&short), "{found:?}");
    let found = ledger.verify(book).await;
    assert!(found.contains(&short), "{found:?}");
}

#[tokio::test]
async fn a_changed_anchor_breaks_the_chain_of_anchors() {
    let ledger = TestLedger::start().await;
    for change in [
        "update ledger_anchors set taken_at = taken_at + interval '1 us' where number = 1",
        "update ledger_anchors set previous = sha256(previous) where number = 2",
        "update ledger_anchors set digest = sha256(digest) where number = 1",
        "delete from ledger_anchors where number = 1",
        "update ledger_anchors set seqs[1] = seqs[1] - 1 where number = 2",
    ] {
        let (book, shop, _) = anchored_book(&ledger).await;
        ledger.post_one(book, ledger.transfer(shop.provider, shop.fees, 5)).await;
        let second = ledger.anchor(book).await;
        assert_eq!(ledger.verify_against(book, &second).await, []);
        ledger.tamper(&format!("{change} and book_id = {book}")).await;
        let found = ledger.verify(book).await;
        assert!(found.iter().any(|v| matches!(v, Violation::AnchorDiffers { .. })), "{change}: {found:?}");
    }
}
