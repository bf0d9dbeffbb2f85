//! Ends of disputes where the provider's word and its money come apart, and where a seller cannot take part.

use std::sync::Arc;

use partita::disputes::DisputeError;
use partita::events::{self, ApplyError, Origin};
use partita::journal::Journal;
use partita::platforms::Mode;
use partita::rebuild;
use partita_db::Scope;
use partita_provider::{Dispute, DisputeStatus, Lookup, ProviderObject};
use partita_simulator::{ReversalWhenShort, Settings};
use serde_json::json;

use crate::disputes::{
    assert_balances, at_provider, declare, dispute_at_provider, disputed, paid, paid_cart, the_dispute, told,
    worked_cart,
};
use crate::test_app::{DAY, TestApp, text};

/// The dispute as the provider has it now.
async fn said(t: &TestApp, id: &str) -> Dispute {
    let provider = t.app.provider(t.book.id).await.expect("connected");
    match provider.fetch(&Lookup::Dispute(id.to_owned())).await.expect("read") {
        ProviderObject::Dispute(dispute) => dispute,
        other => panic!("not a dispute: {other:?}"),
    }
}

/// Takes the provider's word as a webhook brings it.
async fn take(t: &TestApp, said: Dispute) -> Result<(), ApplyError> {
    let (app, said, now) = (Arc::clone(&t.app), Arc::new(ProviderObject::Dispute(said)), t.clock.now());
    t.app
        .db
        .run_tx("news of test", Scope::Book(t.book.id), move |tx| {
            let (app, said) = (Arc::clone(&app), Arc::clone(&said));
            Box::pin(async move {
                let mut journal = Journal::new(&app.keys);
                let origin = Origin { provider: "stripe", account: "", mode: Mode::Test, now };
                events::apply_object(tx, &said, origin, &mut journal).await?;
                Ok(journal.post(tx).await?)
            })
        })
        .await
}

fn is_incomplete(taken: &Result<(), ApplyError>) -> bool {
    matches!(taken, Err(ApplyError::Dispute(DisputeError::Incomplete(_))))
}

async fn assert_rebuilt(t: &TestApp) {
    let comparison = rebuild::check(&t.app, t.book.id).await.expect("compared");
    assert!(comparison.agrees(), "{comparison:#?}");
}

/// The dispute as it would be if it had been closed instead of won.
fn closed(said: Dispute) -> Dispute {
    Dispute { status: DisputeStatus::Closed, ..said }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_win_waits_for_its_money_and_a_close_that_brings_it_gives_the_shares_back() {
    let t = TestApp::new().await;
    let payment = paid_cart(&t).await;
    let id = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    t.control.decide_dispute(&id, "won").await.expect("decided");
    let whole = said(&t, &id).await;
    let mut early = whole.clone();
    early.movements.retain(|movement| movement.amount < 0);
    assert_eq!((early.movements.len(), whole.movements.len()), (1, 2));
    let taken = take(&t, early.clone()).await;
    assert!(is_incomplete(&taken), "{taken:?}");
    let taken = take(&t, closed(early)).await;
    assert!(matches!(taken, Err(ApplyError::Dispute(DisputeError::Contradiction(_)))), "{taken:?}");
    assert_balances(&t, &disputed()).await;
    assert_eq!(the_dispute(&t).await["status"], json!("needs_response"));
    assert_rebuilt(&t).await;

    take(&t, closed(whole)).await.expect("booked");
    t.settle().await;
    assert_balances(&t, &paid()).await;
    assert_eq!(
        told(&t).await,
        ["dispute.opened", "dispute.funds_withdrawn", "dispute.funds_reinstated", "dispute.closed"]
    );
    assert_rebuilt(&t).await;
    t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"]})).await.expect(201);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_that_a_close_gave_back_while_they_were_pending_are_released_whole() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "pm_card_visa").await;
    let id = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    t.control.decide_dispute(&id, "won").await.expect("decided");
    let whole = said(&t, &id).await;
    take(&t, closed(whole)).await.expect("booked");
    assert_eq!(t.balances().await.get("sel.A.pending EUR"), Some(&54_00));
    t.advance(4 * DAY).await;
    assert_balances(&t, &paid()).await;
    assert_eq!(the_dispute(&t).await["status"], json!("closed"));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_waits_for_the_movement_that_took_the_money() {
    let t = TestApp::new().await;
    let payment = paid_cart(&t).await;
    let id = dispute_at_provider(&t, at_provider(&payment)).await;
    t.control.decide_dispute(&id, "lost").await.expect("decided");
    let whole = said(&t, &id).await;
    let taken = take(&t, Dispute { movements: Vec::new(), ..whole }).await;
    assert!(is_incomplete(&taken), "{taken:?}");
    assert!(t.list("/v1/disputes").await.is_empty(), "nothing was stored");
    t.settle().await;
    assert_eq!(the_dispute(&t).await["status"], json!("lost"));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_who_cannot_receive_keeps_what_a_win_gives_back_until_it_can() {
    let t = TestApp::new().await;
    let payment = paid_cart(&t).await;
    let id = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    t.tamper("update sellers set transfers_active = false where reference = 'A'").await;
    t.control.decide_dispute(&id, "won").await.expect("decided");
    t.settle().await;
    let mut waiting = paid();
    waiting.retain(|(path, _)| !["conn.available.A", "owner.A"].contains(path));
    waiting[1] = ("prov.available", 180_80);
    waiting.push(("sel.A.available", 54_00));
    assert_balances(&t, &waiting).await;
    t.advance(3 * DAY).await;
    assert_balances(&t, &waiting).await;
    t.tamper("update sellers set transfers_active = true where reference = 'A'").await;
    t.advance(2 * DAY).await;
    assert_balances(&t, &paid()).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_whose_account_is_empty_owes_what_a_lost_dispute_took() {
    let t = TestApp::new().await;
    declare(&t, json!({"liability": "sellers", "hold": "shares", "tax_relief": true, "fee": "platform"})).await;
    let settings = Settings { reversal_when_short: ReversalWhenShort::Refuse, ..t.control.settings() };
    t.control.set_settings(settings).await.expect("set");
    let payment = paid_cart(&t).await;
    let a = t.list("/v1/sellers").await.into_iter().find(|seller| seller["reference"] == "A").expect("A");
    t.control.create_payout(Some(&text(&a["provider"]["id"])), 54_00, "eur").await.expect("paid out");
    t.advance(3 * DAY).await;
    let id = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    // 126.80 less the dispute's 120 and 15, and B's 36 taken back; A's 54 are gone.
    let mut open = vec![
        ("bank", -100_00),
        ("prov.available", 27_80),
        ("dsp.receivable", 120_00),
        ("exp.dispute_fee", 15_00),
        ("sel.A.available", -54_00),
        ("sel.A.held", 54_00),
        ("sel.B.held", 36_00),
        ("tax.payable", 20_00),
        ("rev.commission", 10_00),
        ("exp.processing", 3_20),
        ("ext.bank.A", 54_00),
        ("owner.A", 54_00),
    ];
    assert_balances(&t, &open).await;
    t.control.decide_dispute(&id, "lost").await.expect("decided");
    t.settle().await;
    open.retain(|(path, _)| {
        !["dsp.receivable", "sel.A.held", "sel.B.held", "tax.payable", "rev.commission"].contains(path)
    });
    assert_balances(&t, &open).await;
    t.finish().await;
}
