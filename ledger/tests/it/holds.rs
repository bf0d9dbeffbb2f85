//! Holds: placed, captured, voided, expired, and counted against the floor.

use jiff::SignedDuration;
use partita_ledger::{
    AccountClass, Floors, HoldEnd, HoldOutcome, HoldRefusal, LedgerError, NewCapture, NewHold, NewPosting,
    NewTransaction, NormalSide, Position, PostOutcome, PostRefusal, VoidOutcome,
};

use crate::support::{TestLedger, account, key, noon};

fn posted(outcome: PostOutcome) -> bool {
    matches!(outcome, PostOutcome::Posted { .. })
}

#[tokio::test]
async fn what_is_held_cannot_be_spent_and_a_credit_is_never_refused() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let out = |amount| ledger.transfer(shop.seller, shop.provider, amount);
    ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 100)).await;
    let hold = ledger.new_hold(shop.seller, 70);
    let placed = ledger.hold_one(book, hold.clone()).await;
    assert_eq!(placed, HoldOutcome::Placed { position: Position { lane: 1, seq: 2 } });
    // Both ways of the posting function: the plain one, and the one that goes item by item.
    let short = PostRefusal::InsufficientFunds { account: shop.seller, needed: 31, available: 30 };
    assert_eq!(ledger.post_one(book, out(31)).await, PostOutcome::Refused(short));
    let first = out(20);
    let slice = vec![first.clone(), first, out(11), out(10)];
    let outcomes = ledger.post(book, slice).await.expect("a call of post");
    let short = PostRefusal::InsufficientFunds { account: shop.seller, needed: 11, available: 10 };
    assert!(posted(outcomes[0]) && matches!(outcomes[1], PostOutcome::Replayed { .. }) && posted(outcomes[3]));
    assert_eq!(outcomes[2], PostOutcome::Refused(short));
    // Nothing is left but what is held: no debit, no hold, any credit, and what passes floors.
    let short = HoldRefusal::InsufficientFunds { account: shop.seller, needed: 1, available: 0 };
    assert_eq!(ledger.hold_one(book, ledger.new_hold(shop.seller, 1)).await, HoldOutcome::Refused(short));
    let refund = NewTransaction { floors: Floors::Pass, ..out(50) };
    assert!(posted(ledger.post_one(book, refund).await));
    assert!(posted(ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 1)).await));
    let short = PostRefusal::InsufficientFunds { account: shop.seller, needed: 1, available: -49 };
    assert_eq!(ledger.post_one(book, out(1)).await, PostOutcome::Refused(short));
    // The capture of what was held is not refused, although the refund has taken the money.
    let capture = NewCapture { hold: hold.id, transaction: out(70) };
    let captured = ledger.capture(book, vec![capture]).await.expect("a call of capture");
    assert!(posted(captured[0]), "{captured:?}");
    assert_eq!(ledger.balance(book, shop.seller).await, -49);
    assert_eq!(ledger.verify(book).await, []);
}

#[tokio::test]
async fn a_hold_is_captured_in_parts_and_the_rest_is_voided() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 100)).await;
    let hold = ledger.new_hold(shop.seller, 100);
    ledger.hold_one(book, hold.clone()).await;
    let part = |amount| {
        let transaction = ledger.transfer(shop.seller, shop.provider, amount);
        NewCapture { hold: hold.id, transaction }
    };
    let first = part(30);
    let mut mixed = part(50);
    // Gives 10 back at once: what it takes from the account is 40.
    mixed.transaction.postings.push(NewPosting { debit: shop.fees, credit: shop.seller, amount: 10, subject: 1 });
    let nothing = NewCapture { hold: hold.id, transaction: ledger.transfer(shop.provider, shop.seller, 5) };
    let unknown = NewCapture { hold: -1, ..part(1) };
    let slice = vec![first.clone(), mixed, part(31), nothing, unknown, first.clone()];
    let outcomes = ledger.capture(book, slice).await.expect("a call of capture");
    assert!(posted(outcomes[0]) && posted(outcomes[1]));
    let too_small = PostRefusal::HoldTooSmall { hold: hold.id, needed: 31, remaining: 30 };
    assert_eq!(outcomes[2], PostOutcome::Refused(too_small));
    assert_eq!(outcomes[3], PostOutcome::Refused(PostRefusal::NothingCaptured { hold: hold.id }));
    assert_eq!(outcomes[4], PostOutcome::Refused(PostRefusal::UnknownHold { hold: -1 }));
    assert!(matches!(outcomes[5], PostOutcome::Replayed { id, .. } if id == first.transaction.id));
    // The same source without the hold is something else.
    let plain = ledger.post_one(book, NewTransaction { id: ledger.id(), ..first.transaction.clone() }).await;
    let conflict = PostRefusal::SourceConflict { existing: first.transaction.id };
    assert_eq!(plain, PostOutcome::Refused(conflict));

    let open = ledger.find_hold(book, hold.id).await.expect("it was placed");
    assert_eq!((open.amount, open.captured, open.remaining, open.end), (100, 70, 30, None));
    let listed = ledger.run(book, move |tx| Box::pin(partita_ledger::list_open_holds(tx, shop.seller, 9)));
    assert_eq!(listed.await.expect("a list"), [open]);
    assert!(matches!(ledger.void(book, hold.id).await, VoidOutcome::Voided { amount: 30, .. }));
    assert_eq!(ledger.void(book, hold.id).await, VoidOutcome::Already { end: HoldEnd::Voided });
    assert_eq!(ledger.void(book, -1).await, VoidOutcome::Unknown);
    let late = ledger.capture(book, vec![part(1)]).await.expect("a call of capture");
    let closed = PostRefusal::HoldTooSmall { hold: hold.id, needed: 1, remaining: 0 };
    assert_eq!(late, [PostOutcome::Refused(closed)]);
    let closed = ledger.find_hold(book, hold.id).await.expect("it was placed");
    assert_eq!((closed.captured, closed.remaining, closed.end), (70, 0, Some(HoldEnd::Voided)));
    assert_eq!(ledger.balance(book, shop.seller).await, 30);
    assert!(posted(ledger.post_one(book, ledger.transfer(shop.seller, shop.provider, 30)).await));
    assert_eq!(ledger.verify(book).await, []);
}

#[tokio::test]
async fn a_capture_respects_the_floors_of_other_accounts() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let reserve = shop.reserve;
    ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 10)).await;
    let hold = ledger.new_hold(shop.seller, 10);
    ledger.hold_one(book, hold.clone()).await;
    let mut transaction = ledger.transfer(shop.seller, shop.provider, 10);
    transaction.postings.push(NewPosting { debit: reserve, credit: shop.provider, amount: 1, subject: 1 });
    let outcomes =
        ledger.capture(book, vec![NewCapture { hold: hold.id, transaction }]).await.expect("a call of capture");
    let short = PostRefusal::InsufficientFunds { account: reserve, needed: 1, available: 0 };
    assert_eq!(outcomes, [PostOutcome::Refused(short)]);
    assert_eq!(ledger.find_hold(book, hold.id).await.expect("placed").remaining, 10);
    assert_eq!(ledger.verify(book).await, []);
}

#[tokio::test]
async fn a_hold_that_comes_again_names_the_first() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 100)).await;
    let hold = ledger.new_hold(shop.seller, 40);
    let again = NewHold { id: ledger.id(), actor: 9, in_use: true, ..hold.clone() };
    let other = NewHold { id: ledger.id(), amount: 41, ..hold.clone() };
    let outcomes = ledger.hold(book, vec![hold.clone(), again.clone(), other]).await;
    let first = Position { lane: 1, seq: 2 };
    let replayed = HoldOutcome::Replayed { id: hold.id, position: first };
    let conflict = HoldOutcome::Refused(HoldRefusal::SourceConflict { existing: hold.id });
    assert_eq!(outcomes, [HoldOutcome::Placed { position: first }, replayed, conflict]);
    assert_eq!(ledger.hold_one(book, again).await, replayed);
    let position = ledger.run(book, |tx| Box::pin(partita_ledger::current_position(tx))).await.expect("a position");
    assert_eq!(position.seq(1), 3, "a replay takes no position");
    assert_eq!(ledger.verify(book).await, []);
}

#[tokio::test]
async fn only_a_floored_account_of_the_book_can_be_held() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let (_, other) = ledger.shop().await;
    let hold = |account, amount| ledger.new_hold(account, amount);
    let slice = vec![
        hold(shop.pending, 1),
        hold(shop.provider, 1),
        hold(shop.unknown, 1),
        hold(shop.seller, 0),
        hold(other.seller, 1),
        hold(shop.seller, i64::MAX),
    ];
    let outcomes = ledger.hold(book, slice).await;
    let expected = [
        HoldRefusal::NotFloored { account: shop.pending },
        HoldRefusal::NotFloored { account: shop.provider },
        HoldRefusal::UnknownAccount { account: shop.unknown },
        HoldRefusal::Malformed { account: shop.seller, amount: 0 },
        HoldRefusal::Malformed { account: other.seller, amount: 1 },
        HoldRefusal::Overflow { account: shop.seller },
    ];
    assert_eq!(outcomes, expected.map(HoldOutcome::Refused));
    assert_eq!(ledger.verify(book).await, []);
    let of_no_floor =
        ledger.run(book, move |tx| Box::pin(async move { partita_ledger::availability(tx, &[shop.pending]).await }));
    assert!(matches!(of_no_floor.await, Err(LedgerError::UnknownAccount { .. })));
}

#[tokio::test]
async fn holds_expire_by_the_business_clock_unless_they_are_in_use() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 100)).await;
    let at = |minutes| noon() + SignedDuration::from_mins(minutes);
    let until = |minutes, in_use| NewHold { expires_at: Some(at(minutes)), in_use, ..ledger.new_hold(shop.seller, 10) };
    let (soon, later, used, endless) =
        (until(10, false), until(20, false), until(10, true), ledger.new_hold(shop.seller, 10));
    ledger.hold(book, vec![soon.clone(), later.clone(), used.clone(), endless.clone()]).await;
    let expire = async |minutes| {
        let step = ledger.run(book, move |tx| Box::pin(partita_ledger::expire_holds(tx, at(minutes), 1, 1)));
        let step = step.await.expect("holds expire");
        (step.expired, step.finished)
    };
    let end = async |hold: &NewHold| ledger.find_hold(book, hold.id).await.expect("placed").end;
    assert_eq!(expire(9).await, (0, true));
    assert_eq!(expire(10).await, (1, false));
    assert_eq!(expire(10).await, (0, true));
    assert_eq!((end(&soon).await, end(&later).await, end(&used).await), (Some(HoldEnd::Expired), None, None));
    let release = ledger.run(book, move |tx| Box::pin(partita_ledger::set_hold_in_use(tx, used.id, false)));
    assert!(release.await.expect("set"));
    assert_eq!(expire(20).await, (1, false));
    assert_eq!(expire(20).await, (1, false));
    assert_eq!(expire(20).await, (0, true));
    assert_eq!(
        (end(&later).await, end(&used).await, end(&endless).await),
        (Some(HoldEnd::Expired), Some(HoldEnd::Expired), None)
    );
    let closed = ledger.run(book, move |tx| Box::pin(partita_ledger::set_hold_in_use(tx, soon.id, true)));
    assert!(!closed.await.expect("asked"), "a closed hold is not used again");
    assert_eq!(ledger.void(book, soon.id).await, VoidOutcome::Already { end: HoldEnd::Expired });
    let available =
        ledger.run(book, move |tx| Box::pin(async move { partita_ledger::availability(tx, &[shop.seller]).await }));
    let available = available.await.expect("a floored account")[0];
    assert_eq!((available.balance, available.held, available.available()), (100, 10, 90));
    assert_eq!(ledger.verify(book).await, []);
}

#[tokio::test]
async fn an_account_whose_balance_stands_on_the_debit_side_is_held_too() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let drawer = key(book, "EUR", 60);
    ledger.open(book, vec![account(drawer, "drawer", NormalSide::Debit, AccountClass::Floored { floor: 5 })]).await;
    ledger.post_one(book, ledger.transfer(drawer, shop.fees, 30)).await;
    let hold = ledger.new_hold(drawer, 20);
    assert!(matches!(ledger.hold_one(book, hold.clone()).await, HoldOutcome::Placed { .. }));
    let out = |amount| ledger.transfer(shop.fees, drawer, amount);
    let short = PostRefusal::InsufficientFunds { account: drawer, needed: 6, available: 5 };
    assert_eq!(ledger.post_one(book, out(6)).await, PostOutcome::Refused(short));
    let outcomes = ledger.capture(book, vec![NewCapture { hold: hold.id, transaction: out(20) }]).await;
    assert!(posted(outcomes.expect("a call of capture")[0]));
    assert!(posted(ledger.post_one(book, out(5)).await));
    assert_eq!(ledger.verify(book).await, []);
}
