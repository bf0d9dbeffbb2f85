//! Stripe's published examples through the adapter: each resource reads, in our words.

use std::time::Duration;

use partita_provider::{
    BalanceTransaction, Currency, DisputeStatus, FetchError, Lookup, Money, PageRequest, PaymentStatus, PayoutStatus,
    Provider as _, ProviderObject, RefundStatus, SettlementState, TopUpStatus,
};
use serde_json::{Value, json};

use crate::support::{Fake, Reply, adapter, example, lookups, payment};

async fn fetch(lookup: Lookup, body: Value) -> Result<ProviderObject, FetchError> {
    let fake = Fake::start(move |_| Reply::json(200, &[], &body)).await;
    adapter(&fake.address, Duration::from_secs(20)).fetch(&lookup).await
}

fn dollars(cents: i64) -> Money {
    Money::new(cents, Currency::parse("USD").expect("USD is current"))
}

fn movement(changes: Value) -> Value {
    example("balance_transaction", changes)
}

#[tokio::test]
async fn a_movement_that_was_converted_reads_in_its_own_currency_with_its_rate() {
    for (rate, read_as) in [(json!(0.923_077), Some("0.923077")), (json!(1), Some("1")), (json!(null), None)] {
        let body = movement(json!({"amount": 12_000, "currency": "eur", "exchange_rate": rate}));
        let fake = Fake::start(move |_| Reply::json(200, &[], &body)).await;
        let read = adapter(&fake.address, Duration::from_secs(20)).balance_transaction(None, "txn_1").await;
        let read = read.expect("readable");
        assert_eq!((read.amount, read.currency.code()), (12_000, "EUR"));
        assert_eq!(read.exchange_rate.as_deref(), read_as);
    }
}

#[tokio::test]
async fn a_payment_reads_with_its_charge_and_the_processors_fee() {
    let moved = movement(json!({"id": "txn_1", "amount": 1099, "fee": 62, "net": 1037, "status": "pending"}));
    let charge = example("charge", json!({"id": "ch_1", "amount": 1099, "paid": false, "balance_transaction": moved}));
    let error = json!({"type": "card_error", "code": "card_declined", "message": "No.", "decline_code": "lost_card"});
    let body = example(
        "payment_intent",
        json!({"id": "pi_1", "status": "succeeded", "latest_charge": charge, "last_payment_error": error,
            "metadata": {"op_id": "op_1"}}),
    );
    let ProviderObject::Payment(read) = fetch(Lookup::Payment("pi_1".into()), body).await.expect("readable") else {
        panic!("a payment")
    };
    assert_eq!((read.id.as_str(), &read.status, read.amount), ("pi_1", &PaymentStatus::Succeeded, dollars(1099)));
    assert_eq!(read.metadata.get("op_id").map(String::as_str), Some("op_1"));
    assert!(!read.livemode);
    let refusal = read.last_error.expect("an error");
    assert_eq!((refusal.code.as_str(), refusal.decline_code.as_deref()), ("card_declined", Some("lost_card")));
    let charge = read.charge.expect("the answer holds it");
    assert_eq!((charge.id.as_str(), charge.amount, charge.paid), ("ch_1", dollars(1099), false));
    let moved = charge.balance_transaction.expect("the answer holds it");
    assert_eq!((moved.amount, moved.fee, moved.net), (1099, 62, 1037));
    assert_eq!((moved.kind.as_str(), moved.state), ("charge", SettlementState::Pending));
}

#[tokio::test]
async fn a_charge_that_is_only_named_reads_as_none() {
    let body = example("payment_intent", json!({"latest_charge": "ch_1"}));
    let ProviderObject::Payment(read) = fetch(Lookup::Payment("pi_1".into()), body).await.expect("readable") else {
        panic!("a payment")
    };
    assert_eq!(read.charge, None);
}

#[tokio::test]
async fn a_transfer_and_its_reversal_read_with_both_movements() {
    let paid = example("charge", json!({"balance_transaction": movement(json!({"id": "txn_2"}))}));
    let body = example(
        "transfer",
        json!({"id": "tr_1", "amount_reversed": 100, "balance_transaction": movement(json!({"id": "txn_1"})),
            "destination_payment": paid}),
    );
    let ProviderObject::Transfer(read) = fetch(Lookup::Transfer("tr_1".into()), body).await.expect("readable") else {
        panic!("a transfer")
    };
    assert_eq!((read.amount, read.amount_reversed), (dollars(1100), 100));
    assert_eq!(read.destination, "acct_1PgafTB7WZ01zgkW");
    let id = |moved: &Option<BalanceTransaction>| moved.as_ref().expect("the answer holds it").id.clone();
    assert_eq!((id(&read.balance_transaction), id(&read.destination_transaction)), ("txn_1".into(), "txn_2".into()));

    let refund = example("refund", json!({"balance_transaction": movement(json!({"id": "txn_4"}))}));
    let body = example(
        "transfer_reversal",
        json!({"id": "trr_1", "transfer": "tr_1", "balance_transaction": movement(json!({"id": "txn_3"})),
            "destination_payment_refund": refund}),
    );
    let lookup = Lookup::Reversal { transfer: "tr_1".into(), reversal: "trr_1".into() };
    let ProviderObject::Reversal(read) = fetch(lookup, body).await.expect("readable") else { panic!("a reversal") };
    assert_eq!((read.id.as_str(), read.transfer.as_str()), ("trr_1", "tr_1"));
    assert_eq!((id(&read.balance_transaction), id(&read.source_transaction)), ("txn_3".into(), "txn_4".into()));
}

#[tokio::test]
async fn a_transfer_to_nowhere_is_unreadable() {
    let read = fetch(Lookup::Transfer("tr_1".into()), example("transfer", json!({"destination": null}))).await;
    assert!(matches!(read, Err(FetchError::Unreadable(_))));
}

#[tokio::test]
async fn refunds_top_ups_and_payouts_read_in_every_state_they_may_have() {
    for (word, status) in [
        (json!("pending"), RefundStatus::Pending),
        (json!("requires_action"), RefundStatus::RequiresAction),
        (json!("succeeded"), RefundStatus::Succeeded),
        (json!("failed"), RefundStatus::Failed),
        (json!("canceled"), RefundStatus::Canceled),
        (json!("new"), RefundStatus::Other("new".into())),
        (Value::Null, RefundStatus::Other(String::new())),
    ] {
        let body = example("refund", json!({"status": word, "payment_intent": "pi_1", "failure_reason": "lost"}));
        let Ok(ProviderObject::Refund(read)) = fetch(Lookup::Refund("re_1".into()), body).await else { panic!() };
        assert_eq!((read.status, read.payment.as_deref()), (status, Some("pi_1")));
        assert_eq!(read.failure_reason.as_deref(), Some("lost"));
    }
    for (word, status) in [
        ("pending", TopUpStatus::Pending),
        ("succeeded", TopUpStatus::Succeeded),
        ("failed", TopUpStatus::Failed),
        ("canceled", TopUpStatus::Canceled),
        ("reversed", TopUpStatus::Reversed),
        ("new", TopUpStatus::Other("new".into())),
    ] {
        let body = example("topup", json!({"status": word, "source": null}));
        let Ok(ProviderObject::TopUp(read)) = fetch(Lookup::TopUp("tu_1".into()), body).await else { panic!() };
        assert_eq!(read.status, status);
    }
    for (word, status) in [
        ("pending", PayoutStatus::Pending),
        ("in_transit", PayoutStatus::InTransit),
        ("paid", PayoutStatus::Paid),
        ("failed", PayoutStatus::Failed),
        ("canceled", PayoutStatus::Canceled),
        ("new", PayoutStatus::Other("new".into())),
    ] {
        let body = example(
            "payout",
            json!({"status": word, "balance_transaction": movement(json!({"id": "txn_1"})),
                "failure_balance_transaction": movement(json!({"id": "txn_2"})), "failure_code": "no_account"}),
        );
        let lookup = Lookup::Payout { account: None, payout: "po_1".into() };
        let Ok(ProviderObject::Payout(read)) = fetch(lookup, body).await else { panic!() };
        assert_eq!((read.status, read.automatic, read.arrival_on), (status, true, 1_234_567_890));
        assert_eq!(read.balance_transaction.map(|moved| moved.id).as_deref(), Some("txn_1"));
        assert_eq!(read.failure_transaction.map(|moved| moved.id).as_deref(), Some("txn_2"));
        assert_eq!(read.failure_code.as_deref(), Some("no_account"));
    }
}

#[tokio::test]
async fn an_account_reads_with_what_is_still_wanted_of_it() {
    let requirements = json!({
        "alternatives": [], "current_deadline": 1_800_000_000, "currently_due": ["external_account"],
        "disabled_reason": "requirements.past_due", "errors": [], "eventually_due": [],
        "past_due": ["individual.verification.document"], "pending_verification": [],
    });
    let body = example(
        "account",
        json!({"id": "acct_1", "capabilities": {"transfers": "pending", "card_payments": "newly_coined"},
            "requirements": requirements, "payouts_enabled": false}),
    );
    let Ok(ProviderObject::Account(read)) = fetch(Lookup::Account("acct_1".into()), body).await else { panic!() };
    assert_eq!(read.capabilities.get("transfers").map(String::as_str), Some("pending"));
    assert_eq!(read.capabilities.get("card_payments").map(String::as_str), Some("newly_coined"));
    assert_eq!(read.currently_due, ["external_account"]);
    assert_eq!(read.past_due, ["individual.verification.document"]);
    assert_eq!(read.disabled_reason.as_deref(), Some("requirements.past_due"));
    assert_eq!((read.deadline, read.payouts_enabled), (Some(1_800_000_000), false));

    let gone = json!({"id": "acct_1", "object": "account", "deleted": true});
    let Ok(ProviderObject::Account(read)) = fetch(Lookup::Account("acct_1".into()), gone).await else { panic!() };
    assert!(!read.charges_enabled && !read.payouts_enabled && !read.details_submitted);
}

#[tokio::test]
async fn balances_and_movements_read_in_minor_units_of_iso() {
    let balance = json!({
        "object": "balance", "livemode": false,
        "available": [{"amount": -700, "currency": "eur"}, {"amount": 1500, "currency": "isk"}],
        "pending": [{"amount": 900, "currency": "jpy", "source_types": {"card": 900}}],
        "connect_reserved": [{"amount": 5, "currency": "eur"}],
    });
    let page = json!({
        "object": "list", "url": "/v1/balance_transactions", "has_more": true,
        "data": [movement(json!({"id": "txn_1", "type": "coined_tomorrow", "source": null})),
            movement(json!({"id": "txn_2", "currency": "isk", "amount": -500, "fee": 100, "net": -600}))],
    });
    let fake = Fake::start(move |seen| match seen.path.as_str() {
        "/v1/balance" => Reply::json(200, &[], &balance),
        "/v1/balance_transactions" => Reply::json(200, &[], &page),
        _ => Reply::json(200, &[], &movement(json!({"id": "txn_9", "status": "in_limbo"}))),
    })
    .await;
    let stripe = adapter(&fake.address, Duration::from_secs(20));
    let money = |minor, code| Money::new(minor, Currency::parse(code).expect("a known code"));
    let read = stripe.balance(Some("acct_1")).await.expect("readable");
    assert_eq!(read.available, [money(-700, "EUR"), money(15, "ISK")]);
    assert_eq!((read.pending, read.reserved), (vec![money(900, "JPY")], vec![money(5, "EUR")]));

    let asked = PageRequest { after: Some("txn_0".into()), created_from: Some(1_700_000_000), limit: 0 };
    let read = stripe.balance_transactions(Some("acct_1"), &asked).await.expect("readable");
    assert!(read.has_more);
    assert_eq!((read.data[0].kind.as_str(), &read.data[0].source), ("coined_tomorrow", &None));
    assert_eq!((read.data[1].amount, read.data[1].fee, read.data[1].net), (-5, 1, -6));
    assert_eq!(read.data[1].source.as_deref(), Some("ch_1PgafuB7WZ01zgkWXYmPNZs8"));

    let limbo = stripe.balance_transaction(None, "txn_9").await;
    assert!(matches!(limbo, Err(FetchError::Unreadable(_))), "nobody can say whether that money may be used");
    for seen in fake.seen() {
        let account = seen.headers.get("stripe-account").map(String::as_str);
        assert_eq!(account, (!seen.path.ends_with("txn_9")).then_some("acct_1"));
    }
}

#[tokio::test]
async fn every_lookup_refuses_a_body_of_another_resource() {
    for lookup in lookups() {
        let body = example("balance", json!({"id": "x_1"}));
        // An account needs no field but its id: async-stripe's type, and Stripe's description behind it, are that wide.
        let read = fetch(lookup.clone(), body).await;
        assert!(read.is_err() || matches!(lookup, Lookup::Account(_)), "{lookup:?} read a balance");
    }
}

#[test]
fn an_onboarding_link_reads_from_a_stored_answer() {
    let stripe = adapter("http://127.0.0.1:1", Duration::from_secs(20));
    let mut request = stripe.prepare(&payment()).expect("lawful");
    request.path = "/v1/account_links".into();
    let body = example("account_link", json!({"url": "https://connect.stripe.com/x", "expires_at": 7})).to_string();
    let Ok(ProviderObject::AccountLink(read)) = stripe.read_answer(&request, body.as_bytes()) else { panic!() };
    assert_eq!((read.url.as_str(), read.expires_at), ("https://connect.stripe.com/x", 7));
    request.path = "/v1/elsewhere".into();
    assert!(stripe.read_answer(&request, body.as_bytes()).is_err());
}

#[tokio::test]
async fn a_dispute_reads_whatever_its_status() {
    let id = || Lookup::Dispute("dp_1".into());
    for (word, status) in [
        ("warning_needs_response", DisputeStatus::Inquiry),
        ("warning_under_review", DisputeStatus::InquiryUnderReview),
        ("warning_closed", DisputeStatus::Closed),
        ("needs_response", DisputeStatus::NeedsResponse),
        ("under_review", DisputeStatus::UnderReview),
        ("won", DisputeStatus::Won),
        ("lost", DisputeStatus::Lost),
        ("prevented", DisputeStatus::Closed),
        ("unheard_of", DisputeStatus::Other("unheard_of".into())),
    ] {
        let moved = movement(json!({"id": "txn_1", "amount": -1000, "fee": 1500, "net": -2500}));
        let body = example("dispute", json!({"status": word, "balance_transactions": [moved]}));
        let ProviderObject::Dispute(read) = fetch(id(), body).await.expect("readable") else { panic!("a dispute") };
        assert_eq!((read.status, read.amount, read.movements[0].net), (status, dollars(1000), -2500));
        assert_eq!((read.due_by, read.payment), (Some(1_723_679_999), None));
    }
}

#[tokio::test]
async fn a_payouts_fee_reads_without_the_charge_that_it_does_not_have() {
    let fee = |source: Value| {
        json!({
            "id": "fee_1", "object": "application_fee", "account": "acct_1", "amount": 50, "currency": "usd", "charge": null,
            "fee_source": source, "balance_transaction": movement(json!({"id": "txn_1", "amount": 50, "fee": 0, "net": 50})),
            "refunds": {"object": "list", "data": [
                {"id": "fr_1", "balance_transaction": movement(json!({"id": "txn_2", "amount": -50, "fee": 0, "net": -50}))},
            ]},
        })
    };
    let lookup = || Lookup::ApplicationFee("fee_1".into());
    let of_payout = fee(json!({"charge": null, "payout": "po_1", "type": "payout"}));
    let Ok(ProviderObject::PayoutFee(read)) = fetch(lookup(), of_payout).await else { panic!() };
    assert_eq!((read.account.as_str(), read.payout.as_str(), read.amount), ("acct_1", "po_1", dollars(50)));
    assert_eq!(read.balance_transaction.map(|moved| moved.net), Some(50));
    assert_eq!(read.refunds.iter().map(|moved| (moved.id.as_str(), moved.net)).collect::<Vec<_>>(), [("txn_2", -50)]);
    let nameless = fee(json!({"charge": null, "payout": null, "type": "payout"}));
    for unreadable in [nameless, json!({"id": "ch_1", "object": "charge"})] {
        assert!(matches!(fetch(lookup(), unreadable).await, Err(FetchError::Unreadable(_))));
    }
}

#[tokio::test]
async fn a_charges_fee_reads_by_the_same_look_up() {
    let fee = json!({
        "id": "fee_1", "object": "application_fee", "account": "acct_1", "amount": 50, "amount_refunded": 0, "application": "ca_1",
        "balance_transaction": null, "charge": "ch_1", "created": 1, "currency": "usd",
        "fee_source": {"charge": "ch_1", "type": "charge"}, "livemode": false, "originating_transaction": null, "refunded": false,
        "refunds": {"object": "list", "data": [], "has_more": false, "url": "/v1/application_fees/fee_1/refunds"},
    });
    let read = fetch(Lookup::ApplicationFee("fee_1".into()), fee).await;
    let Ok(ProviderObject::ApplicationFee(read)) = read else { panic!("{read:?}") };
    assert_eq!((read.charge.as_str(), read.amount), ("ch_1", dollars(50)));
}

#[tokio::test]
async fn what_can_be_paid_out_at_once_reads_by_bank_account() {
    let amount = |cents: i64| json!({"amount": cents, "currency": "usd", "source_types": {"card": cents}});
    let mut instant = amount(500);
    instant["net_available"] = json!([{"amount": 490, "destination": "ba_1", "source_types": {"card": 490}}]);
    let body = json!({
        "object": "balance", "livemode": false, "available": [amount(500)], "pending": [amount(0)],
        "instant_available": [instant],
    });
    let fake = Fake::start(move |_| Reply::json(200, &[], &body)).await;
    let balance = adapter(&fake.address, Duration::from_secs(20)).balance(Some("acct_1")).await.expect("a balance");
    let instant: Vec<_> = balance.instant.iter().map(|one| (one.destination.as_str(), one.amount)).collect();
    assert_eq!(instant, [("ba_1", dollars(490))]);
    assert_eq!(balance.available, [dollars(500)]);
}
