//! The adapter against the simulator, over HTTP: every command and every read, declines, faults and events. All that
//! comes back has gone through async-stripe's types; all that goes out is what the simulator takes, no more, no less.

use std::collections::BTreeMap;
use std::time::Duration;

use partita_provider::{
    AccountLink, FetchError, LookedUp, Lookup, Outcome, PageRequest, PaymentStatus, PayoutInterval, PayoutStatus,
    Provider as _, ProviderObject, Refund, RefundStatus, Reversal, SettlementState, TopUp, TopUpStatus, Transfer,
};
use partita_simulator::{Fault, FaultKind, NewDispute, NewEndpoint};
use serde_json::json;

use crate::commands::{
    cancel, create_account, create_link, create_payment, create_payout, create_refund, create_reversal, create_top_up,
    create_transfer, kept, update_account,
};
use crate::looking_up::search;
use crate::support::{Fake, Reply, adapter, euros};
use crate::world::{DAY, World};

#[tokio::test]
async fn a_seller_is_opened_onboarded_and_read() {
    let world = World::start().await;
    let account = world.account().await;
    assert!(account.id.starts_with("acct_") && !account.charges_enabled && !account.details_submitted);
    assert_eq!(account.capabilities.get("transfers").map(String::as_str), Some("inactive"));
    assert!(!account.currently_due.is_empty());
    assert_eq!(account.metadata, kept("op_account"));

    let ProviderObject::AccountLink(AccountLink { url, expires_at }) =
        world.done(&create_link(&account.id), "op_link.1").await
    else {
        panic!("a link")
    };
    assert!(url.starts_with(&world.simulator.base_url()) && expires_at > world.control.now());

    world.control.complete_onboarding(&account.id).await.expect("onboarded");
    let read = world.stripe.fetch(&Lookup::Account(account.id.clone())).await.expect("an account");
    let ProviderObject::Account(read) = read else { panic!("an account") };
    assert!(read.charges_enabled && read.payouts_enabled && read.details_submitted);
    assert_eq!(read.capabilities.get("transfers").map(String::as_str), Some("active"));
    assert_eq!((read.currently_due.len(), read.disabled_reason), (0, None));
    world.end().await;
}

#[tokio::test]
async fn an_account_is_left_to_be_paid_out_by_hand_and_is() {
    let world = World::start().await;
    let seller = world.account().await.id;
    world.control.complete_onboarding(&seller).await.expect("onboarded");
    for interval in [PayoutInterval::Daily, PayoutInterval::Manual] {
        let command = update_account(&seller, interval);
        let ProviderObject::Account(account) = world.done(&command, &format!("op_{interval:?}.1")).await else {
            panic!("an account")
        };
        assert_eq!((account.id.as_str(), account.payout_interval), (seller.as_str(), Some(interval)));
        let found = world.stripe.look_up(&search(&command, world.control.now())).await.expect("looked up");
        assert_eq!(found, LookedUp::Found(Box::new(ProviderObject::Account(account))));
        let other = update_account(&seller, PayoutInterval::Daily);
        let struck = world.stripe.look_up(&search(&other, world.control.now())).await.expect("looked up");
        assert_eq!(struck == LookedUp::Absent, interval == PayoutInterval::Manual, "it is as it was asked, or not");
    }
    world.payment(10_000, "pm_card_bypassPending", "op_payment.1").await;
    world.done(&create_transfer(5_400, &seller, None), "op_transfer.1").await;
    let ProviderObject::Payout(payout) = world.done(&create_payout(5_400, &seller), "op_payout.1").await else {
        panic!("a payout")
    };
    assert_eq!((payout.amount, payout.status, payout.automatic), (euros(5_400), PayoutStatus::Pending, false));
    assert_eq!(payout.metadata, kept("op_payout"));
    assert_eq!(payout.balance_transaction.map(|movement| movement.net), Some(-5_400));
    let short = world.submit(&create_payout(1, &seller), "op_payout.2").await;
    let Outcome::Refused { refusal, .. } = short.outcome else { panic!("{:?}", short.outcome) };
    assert_eq!(refusal.code, "balance_insufficient");
    world.end().await;
}

#[tokio::test]
async fn a_sale_goes_all_its_way_and_every_object_reads() {
    let world = World::start().await;
    let stripe = &world.stripe;
    let seller = world.account().await.id;
    world.control.complete_onboarding(&seller).await.expect("onboarded");

    let ProviderObject::TopUp(TopUp { id: top_up, status, amount, .. }) =
        world.done(&create_top_up(50_000), "op_topup.1").await
    else {
        panic!("a top-up")
    };
    assert!(matches!(status, TopUpStatus::Pending | TopUpStatus::Succeeded));
    assert_eq!(amount, euros(50_000));
    world.control.advance(3 * DAY).await.expect("time passes");
    let Ok(ProviderObject::TopUp(read)) = stripe.fetch(&Lookup::TopUp(top_up)).await else { panic!("a top-up") };
    assert_eq!(read.status, TopUpStatus::Succeeded);
    assert_eq!(read.balance_transaction.map(|moved| (moved.kind, moved.net)), Some(("topup".into(), 50_000)));

    let payment = world.payment(12_000, "pm_card_visa", "op_payment.1").await;
    assert_eq!((&payment.status, payment.amount, payment.livemode), (&PaymentStatus::Succeeded, euros(12_000), false));
    assert_eq!(payment.metadata, kept("op_payment"));
    let charge = payment.charge.clone().expect("the answer holds it");
    let moved = charge.balance_transaction.clone().expect("the answer holds it");
    assert!(charge.paid);
    assert_eq!((moved.kind.as_str(), moved.amount, moved.fee, moved.net), ("charge", 12_000, 320, 11_680));
    assert_eq!((moved.state, moved.source.as_deref()), (SettlementState::Pending, Some(charge.id.as_str())));
    let lookups = [Lookup::Payment(payment.id.clone()), Lookup::PaymentOfCharge(charge.id.clone())];
    for lookup in lookups {
        assert_eq!(stripe.fetch(&lookup).await, Ok(ProviderObject::Payment(payment.clone())), "{lookup:?}");
    }

    let command = create_transfer(5_000, &seller, Some(&charge.id));
    let ProviderObject::Transfer(transfer) = world.done(&command, "op_transfer.1").await else { panic!("a transfer") };
    let Transfer { balance_transaction: Some(here), destination_transaction: Some(there), .. } = &transfer else {
        panic!("both movements: {transfer:?}")
    };
    assert_eq!((here.kind.as_str(), here.net, there.net), ("transfer", -5_000, 5_000));
    assert_eq!((transfer.amount, transfer.amount_reversed), (euros(5_000), 0));
    assert_eq!((transfer.destination.as_str(), &transfer.metadata), (seller.as_str(), &kept("op_transfer")));

    let command = create_reversal(2_000, &transfer.id);
    let ProviderObject::Reversal(reversal) = world.done(&command, "op_reversal.1").await else { panic!("a reversal") };
    let Reversal { balance_transaction: Some(here), source_transaction: Some(there), .. } = &reversal else {
        panic!("both movements: {reversal:?}")
    };
    assert_eq!((here.net, there.net, reversal.transfer.as_str()), (2_000, -2_000, transfer.id.as_str()));
    let lookup = Lookup::Reversal { transfer: transfer.id.clone(), reversal: reversal.id.clone() };
    assert_eq!(stripe.fetch(&lookup).await, Ok(ProviderObject::Reversal(reversal.clone())));
    let Ok(ProviderObject::Transfer(read)) = stripe.fetch(&Lookup::Transfer(transfer.id.clone())).await else {
        panic!("a transfer")
    };
    assert_eq!(read, Transfer { amount_reversed: 2_000, ..transfer });

    let command = create_refund(3_000, &payment.id);
    let ProviderObject::Refund(refund) = world.done(&command, "op_refund.1").await else { panic!("a refund") };
    let Refund { balance_transaction: Some(moved), .. } = &refund else { panic!("a movement: {refund:?}") };
    assert_eq!((moved.net, &refund.status, refund.amount), (-3_000, &RefundStatus::Succeeded, euros(3_000)));
    assert_eq!(refund.payment.as_deref(), Some(payment.id.as_str()));
    assert_eq!(stripe.fetch(&Lookup::Refund(refund.id.clone())).await, Ok(ProviderObject::Refund(refund.clone())));

    // 500.00 + 116.80 - 50.00 + 20.00 - 30.00, and what the seller keeps.
    let total = |balance: &partita_provider::Balance| -> i64 {
        balance.available.iter().chain(&balance.pending).map(|amount| amount.minor).sum()
    };
    assert_eq!(total(&stripe.balance(None).await.expect("a balance")), 55_680);
    assert_eq!(total(&stripe.balance(Some(&seller)).await.expect("a balance")), 3_000);
    the_list_gives_each_movement_once(&world, None, 5, 55_680).await;
    the_list_gives_each_movement_once(&world, Some(&seller), 2, 3_000).await;
    world.end().await;
}

/// Pages through a balance's movements one by one.
async fn the_list_gives_each_movement_once(world: &World, account: Option<&str>, rows: usize, net: i64) {
    let (mut seen, mut page) = (Vec::new(), PageRequest { limit: 1, ..PageRequest::default() });
    loop {
        let got = world.stripe.balance_transactions(account, &page).await.expect("a page");
        page.after = got.data.last().map(|row| row.id.clone());
        seen.extend(got.data);
        if !got.has_more {
            break;
        }
    }
    assert_eq!((seen.len(), seen.iter().map(|row| row.net).sum::<i64>()), (rows, net));
    for row in &seen {
        assert_eq!(world.stripe.balance_transaction(account, &row.id).await.as_ref(), Ok(row));
    }
    let later = PageRequest { created_from: Some(world.control.now() + 1), limit: 100, after: None };
    let got = world.stripe.balance_transactions(account, &later).await.expect("a page");
    assert!(got.data.is_empty() && !got.has_more);
}

#[tokio::test]
async fn a_payout_reads_when_it_is_made_paid_and_returned() {
    let world = World::start().await;
    let seller = world.account().await.id;
    world.control.complete_onboarding(&seller).await.expect("onboarded");
    let payment = world.payment(10_000, "pm_card_visa", "op_payment.1").await;
    let charge = payment.charge.expect("the answer holds it").id;
    world.done(&create_transfer(4_000, &seller, Some(&charge)), "op_transfer.1").await;
    world.control.advance(10 * DAY).await.expect("time passes");

    let made = world.control.create_payout(Some(&seller), 4_000, "eur").await.expect("a payout");
    let id = made["id"].as_str().expect("an id").to_owned();
    let lookup = Lookup::Payout { account: Some(seller.clone()), payout: id.clone() };
    let read = || async {
        match world.stripe.fetch(&lookup).await {
            Ok(ProviderObject::Payout(payout)) => payout,
            other => panic!("{other:?}"),
        }
    };
    let payout = read().await;
    assert_eq!((payout.amount, payout.automatic), (euros(4_000), false));
    assert!(matches!(payout.status, PayoutStatus::Pending | PayoutStatus::InTransit));
    assert_eq!(payout.balance_transaction.map(|moved| moved.net), Some(-4_000));
    world.control.advance(10 * DAY).await.expect("time passes");
    assert_eq!(read().await.status, PayoutStatus::Paid);

    world.control.fail_payout(&id, "account_closed").await.expect("returned");
    let payout = read().await;
    assert_eq!((payout.status, payout.failure_code.as_deref()), (PayoutStatus::Failed, Some("account_closed")));
    assert_eq!(payout.failure_transaction.map(|moved| moved.net), Some(4_000));
    let elsewhere = Lookup::Payout { account: None, payout: id };
    assert_eq!(world.stripe.fetch(&elsewhere).await, Err(FetchError::NotFound), "the platform has no such payout");
    world.end().await;
}

#[tokio::test]
async fn a_decline_is_refused_with_its_payment_which_can_be_given_up_once() {
    let world = World::start().await;
    for (key, method, reason) in [
        ("op_1.1", "pm_card_chargeDeclined", "generic_decline"),
        ("op_2.1", "pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
    ] {
        let submission = world.submit(&create_payment(5_000, method), key).await;
        let Outcome::Refused { refusal, object: Some(object) } = submission.outcome else {
            panic!("{:?}", submission.outcome)
        };
        assert_eq!((refusal.code.as_str(), refusal.decline_code.as_deref()), ("card_declined", Some(reason)));
        let ProviderObject::Payment(payment) = *object else { panic!("a payment") };
        assert_eq!(payment.status, PaymentStatus::RequiresPaymentMethod);
        assert_eq!(payment.last_error.and_then(|error| error.decline_code).as_deref(), Some(reason));

        let ProviderObject::Payment(given_up) = world.done(&cancel(&payment.id), &format!("{key}.cancel")).await else {
            panic!("a payment")
        };
        assert_eq!((given_up.id.as_str(), &given_up.status), (payment.id.as_str(), &PaymentStatus::Canceled));
        let again = world.submit(&cancel(&payment.id), &format!("{key}.again")).await;
        assert!(matches!(again.outcome, Outcome::Refused { .. }), "{:?}", again.outcome);
    }
    let paid = world.payment(5_000, "pm_card_visa", "op_3.1").await;
    let late = world.submit(&cancel(&paid.id), "op_4.1").await;
    let Outcome::Refused { refusal, object } = late.outcome else { panic!("{:?}", late.outcome) };
    assert_eq!(refusal.code, "payment_intent_unexpected_state");
    if let Some(object) = object {
        assert_eq!(object.id(), paid.id);
    }
    world.end().await;
}

#[tokio::test]
async fn one_key_has_one_effect_and_never_a_second_meaning() {
    let world = World::start().await;
    let command = create_payment(5_000, "pm_card_visa");
    let first = world.done(&command, "op_1.1").await;
    assert_eq!(world.done(&command, "op_1.1").await, first);
    let other = world.submit(&create_payment(6_000, "pm_card_visa"), "op_1.1").await;
    assert!(matches!(other.outcome, Outcome::Unknown { .. }), "{:?}", other.outcome);
    assert_eq!(world.control.effects().await.expect("its log").len(), 1);
    world.end().await;
}

#[tokio::test]
async fn faults_leave_doubt_and_the_same_key_resolves_it() {
    let world = World::start().await;
    let command = create_payment(5_000, "pm_card_visa");
    let fault = |kind| {
        world.control.plan_fault(Fault { kind, method: "POST".into(), path: "/v1/payment_intents".into(), times: 1 });
    };
    fault(FaultKind::RateLimited);
    let limited = world.submit(&command, "op_1.1").await;
    assert!(matches!(limited.outcome, Outcome::Retry { .. }), "{:?}", limited.outcome);
    assert_eq!(world.control.effects().await.expect("its log").len(), 0);

    fault(FaultKind::AnswerLost);
    let lost = world.submit(&command, "op_1.1").await;
    assert!(matches!(lost.outcome, Outcome::Unknown { .. }), "{:?}", lost.outcome);
    world.done(&command, "op_1.1").await;
    assert_eq!(world.control.effects().await.expect("its log").len(), 1);

    for (kind, key) in [(FaultKind::ErrorBefore, "op_2.1"), (FaultKind::ErrorAfter, "op_3.1")] {
        fault(kind);
        for _ in 0..2 {
            let sticky = world.submit(&command, key).await;
            assert!(matches!(sticky.outcome, Outcome::Unknown { .. }), "{kind:?}: {:?}", sticky.outcome);
        }
    }
    world.end().await;
}

#[tokio::test]
async fn whatever_happens_to_an_answer_is_doubt_and_the_key_has_one_effect() {
    let world = World::start().await;
    let command = create_payment(5_000, "pm_card_visa");
    let impatient = world.adapter(Duration::from_millis(300));
    let request = impatient.prepare(&command).expect("a lawful command");
    let kinds = [
        (FaultKind::HangBefore, 0),
        (FaultKind::HangAfter, 1),
        (FaultKind::Garbage, 1),
        (FaultKind::Doubled, 1),
        (FaultKind::UnknownWord, 1),
    ];
    for (number, (kind, effects)) in kinds.into_iter().enumerate() {
        let before = world.control.effects().await.expect("its log").len();
        world.control.plan_fault(Fault { kind, method: "POST".into(), path: "/v1/payment_intents".into(), times: 1 });
        let key = format!("op_{number}.1");
        let doubt = impatient.submit(&request, &key).await;
        assert!(matches!(doubt.outcome, Outcome::Unknown { .. }), "{kind:?}: {:?}", doubt.outcome);
        // The client has gone: nobody waits for the effect but this.
        for _ in 0..100 {
            if world.control.effects().await.expect("its log").len() - before >= effects {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(world.control.effects().await.expect("its log").len() - before, effects, "{kind:?}");
        world.done(&command, &key).await;
        assert_eq!(world.control.effects().await.expect("its log").len() - before, 1, "{kind:?}");
    }
    world.control.plan_fault(Fault {
        kind: FaultKind::KeyInUse,
        method: "POST".into(),
        path: "/v1/payment_intents".into(),
        times: 1,
    });
    let busy = impatient.submit(&request, "op_9.1").await;
    assert!(matches!(busy.outcome, Outcome::Retry { .. }), "{:?}", busy.outcome);
    world.end().await;
}

#[tokio::test]
async fn wrong_keys_accounts_and_ids_are_told_apart() {
    let world = World::start().await;
    let stranger = adapter(&world.simulator.base_url(), Duration::from_secs(20));
    let request = stranger.prepare(&create_payment(5_000, "pm_card_visa")).expect("lawful");
    let refused = stranger.submit(&request, "op_1.1").await;
    assert!(matches!(refused.outcome, Outcome::Misconfigured(_)), "{:?}", refused.outcome);
    assert!(matches!(stranger.balance(None).await, Err(FetchError::Refused(_))));

    let stripe = &world.stripe;
    assert_eq!(stripe.balance(Some("acct_0000")).await, Err(FetchError::NoAccess));
    for lookup in [
        Lookup::Payment("pi_0".into()),
        Lookup::PaymentOfCharge("ch_0".into()),
        Lookup::Refund("re_0".into()),
        Lookup::Transfer("tr_0".into()),
        Lookup::Reversal { transfer: "tr_0".into(), reversal: "trr_0".into() },
        Lookup::TopUp("tu_0".into()),
        Lookup::Dispute("du_0".into()),
        Lookup::Payout { account: None, payout: "po_0".into() },
    ] {
        assert_eq!(stripe.fetch(&lookup).await, Err(FetchError::NotFound), "{lookup:?}");
    }
    assert_eq!(stripe.balance_transaction(None, "txn_0").await, Err(FetchError::NotFound));
    let nobody = world.submit(&create_transfer(100, "acct_0000", None), "op_2.1").await;
    assert!(matches!(nobody.outcome, Outcome::Refused { .. }), "{:?}", nobody.outcome);
    world.end().await;
}

/// That the simulator takes what is sent, the other tests show; here, that it takes nothing beside it.
#[tokio::test]
async fn a_parameter_that_stripe_does_not_have_is_refused_in_every_request() {
    let world = World::start().await;
    let seller = world.account().await.id;
    world.control.complete_onboarding(&seller).await.expect("onboarded");
    let payment = world.payment(5_000, "pm_card_visa", "op_payment.1").await;
    let charge = payment.charge.expect("the answer holds it").id;
    let ProviderObject::Transfer(transfer) =
        world.done(&create_transfer(1_000, &seller, Some(&charge)), "op_transfer.1").await
    else {
        panic!("a transfer")
    };
    let commands = [
        create_account(),
        create_link(&seller),
        create_payment(5_000, "pm_card_visa"),
        cancel(&payment.id),
        create_transfer(100, &seller, Some(&charge)),
        create_reversal(100, &transfer.id),
        create_refund(100, &payment.id),
        create_top_up(100),
        update_account(&seller, PayoutInterval::Manual),
        create_payout(100, &seller),
    ];
    let mut extras: Vec<(usize, &str)> = Vec::new();
    for command in 0..commands.len() {
        extras.extend(["unheard_of=1", "unheard_of[of]=1", "unheard_of[]=1"].map(|extra| (command, extra)));
    }
    extras.push((0, "settings[payouts][schedule][of]=1"));
    extras.push((0, "controller[fees][of]=1"));
    extras.push((0, "capabilities[transfers][of]=1"));
    extras.push((2, "automatic_payment_methods[of]=1"));
    let before = world.control.effects().await.expect("its log").len();
    for (index, (command, extra)) in extras.into_iter().enumerate() {
        let mut request = world.stripe.prepare(&commands[command]).expect("a lawful command");
        request.body = format!("{}&{extra}", request.body);
        let submission = world.stripe.submit(&request, &format!("op_spoilt_{index}.1")).await;
        let Outcome::Refused { refusal, .. } = submission.outcome else {
            panic!("{} with {extra}: {:?}", request.path, submission.outcome)
        };
        assert_eq!(refusal.code, "parameter_unknown", "{} with {extra}", request.path);
    }
    assert_eq!(world.control.effects().await.expect("its log").len(), before, "and nothing happened");
    world.end().await;
}

#[tokio::test]
async fn every_event_reads_and_leads_to_an_object_that_can_be_fetched() {
    let world = World::start().await;
    let sink = Fake::start(|_| Reply::json(200, &[], &json!({}))).await;
    for connect in [false, true] {
        let endpoint = NewEndpoint { url: sink.address.clone(), secret: None, connect, enabled_events: Vec::new() };
        world.control.register_endpoint(endpoint).await.expect("an endpoint");
    }
    let seller = world.account().await.id;
    world.control.complete_onboarding(&seller).await.expect("onboarded");
    world.done(&create_top_up(50_000), "op_topup.1").await;
    let payment = world.payment(10_000, "pm_card_visa", "op_payment.1").await;
    let charge = payment.charge.expect("the answer holds it").id;
    let ProviderObject::Transfer(transfer) =
        world.done(&create_transfer(4_000, &seller, Some(&charge)), "op_transfer.1").await
    else {
        panic!("a transfer")
    };
    world.done(&create_reversal(1_000, &transfer.id), "op_reversal.1").await;
    world.done(&create_refund(1_000, &payment.id), "op_refund.1").await;
    world.control.open_dispute(NewDispute::of(&charge)).await.expect("disputed");
    world.control.advance(10 * DAY).await.expect("time passes");
    world.control.create_payout(Some(&seller), 3_000, "eur").await.expect("a payout");
    world.control.flush_webhooks().await.expect("delivered");

    let mut concerned = BTreeMap::new();
    for seen in sink.seen() {
        let event = world.stripe.read_event(seen.body.as_bytes()).expect("an event");
        assert!(event.id.starts_with("evt_") && !event.livemode && event.created >= 1_790_000_000);
        if let Some(lookup) = event.concerns {
            let object = world.stripe.fetch(&lookup).await;
            assert!(object.is_ok(), "{} {lookup:?}: {object:?}", event.kind);
            concerned.insert(event.kind, lookup);
        }
    }
    let is = |kind: &str, expected: fn(&Lookup) -> bool| {
        assert!(concerned.get(kind).is_some_and(expected), "{kind}: {:?}", concerned.get(kind));
    };
    is("account.updated", |lookup| matches!(lookup, Lookup::Account(_)));
    is("payment_intent.succeeded", |lookup| matches!(lookup, Lookup::Payment(_)));
    is("charge.succeeded", |lookup| matches!(lookup, Lookup::Payment(_)));
    is("transfer.created", |lookup| matches!(lookup, Lookup::Transfer(_)));
    is("transfer.reversed", |lookup| matches!(lookup, Lookup::Transfer(_)));
    is("refund.created", |lookup| matches!(lookup, Lookup::Refund(_)));
    is("charge.dispute.created", |lookup| matches!(lookup, Lookup::Dispute(_)));
    is("charge.dispute.funds_withdrawn", |lookup| matches!(lookup, Lookup::Dispute(_)));
    is("topup.succeeded", |lookup| matches!(lookup, Lookup::TopUp(_)));
    is("payout.created", |lookup| matches!(lookup, Lookup::Payout { account: Some(_), .. }));
    world.end().await;
}
