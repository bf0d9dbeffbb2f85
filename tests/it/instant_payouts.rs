//! Instant payouts: quoted before anything moves, taken with their fee by the provider's figure, given back or kept when they
//! come back.

use partita::worker;
use partita_simulator::{Fault, FaultKind, FeeRate, Settings};
use serde_json::{Value, json};

use crate::support::{cart, item};
use crate::test_app::{Answer, DAY, TestApp, text};

/// What the provider takes of sellers for instant payouts, in cents.
async fn priced(t: &TestApp, fixed: i64) {
    let fee = FeeRate { basis_points: 0, fixed };
    t.control.set_settings(Settings { instant_payout_fee: fee, ..t.control.settings() }).await.expect("lawful");
}

async fn declare(t: &TestApp, fixed: i64, when_failed: &str) -> Value {
    let body = json!({"percent_bps": 0, "amounts": {"EUR": {"fixed": fixed}}, "when_failed": when_failed});
    t.send("PUT", "/v1/instant_payout_policy", None, Some(body)).await.expect(200)
}

/// A seller with money on its account at the provider.
async fn seller_with(t: &TestApp, reference: &str, amount: i64) -> Value {
    let seller = t.seller(reference, "DE", "EUR", "manual").await;
    t.pay(cart(&format!("order-{reference}"), "EUR", &[item(&seller, amount)])).await;
    t.advance(3 * DAY).await;
    seller
}

/// A platform with 50 cents declared and priced, and seller A with 32.50.
async fn market(when_failed: &str) -> (TestApp, Value) {
    let t = TestApp::new().await;
    priced(&t, 50).await;
    declare(&t, 50, when_failed).await;
    t.top_up("float", 100_00, "EUR").await;
    let a = seller_with(&t, "A", 32_50).await;
    (t, a)
}

async fn ask(t: &TestApp, seller: &Value, reference: &str) -> Answer {
    let body = json!({"reference": reference, "seller": seller["id"], "method": "instant"});
    t.post("/v1/payouts", reference, body).await
}

async fn reread(t: &TestApp, payout: &Value) -> Value {
    t.get(&format!("/v1/payouts/{}", text(&payout["id"]))).await
}

async fn balance(t: &TestApp, account: &str) -> i64 {
    t.balances().await.get(&format!("{account} EUR")).copied().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_32_50_the_bank_gets_32_00_the_platform_0_50_and_the_provider_0_32() {
    let (t, a) = market("returned").await;
    let before = t.balances().await;
    assert_eq!(before["conn.available.A EUR"], 32_50);
    let preview = json!({"seller": a["id"]});
    let preview = t.send("POST", "/v1/payouts/preview", None, Some(preview)).await.expect(200);
    let figures = ["amount", "fee", "total", "most", "policy_version"].map(|name| &preview[name]);
    assert_eq!(figures, [&json!(32_00), &json!(50), &json!(32_50), &json!(32_00), &json!(1)]);
    assert_eq!(t.balances().await, before, "nothing moves by a preview");

    let payout = ask(&t, &a, "now").await.expect(201);
    assert_eq!(
        (&payout["method"], &payout["amount"], &payout["status"]),
        (&json!("instant"), &json!(32_00), &json!("pending"))
    );
    assert_eq!(payout["fee"], json!({"quoted": 50, "policy_version": 1, "taken": 50, "returned": 0}));
    t.settle().await;
    let fees = balance(&t, "rev.fees").await;
    assert_eq!(fees, 50);
    t.reconcile().await;
    let after = t.balances().await;
    assert_eq!((after["exp.payout EUR"], after.get("conn.available.A EUR")), (32, None));
    assert_eq!(after["prov.available EUR"], before["prov.available EUR"] + 50 - 32);
    assert_eq!(after["owner.A EUR"], 32_00);
    t.advance(1_800).await;
    assert_eq!(reread(&t, &payout).await["status"], "paid", "within half an hour");
    assert_eq!(balance(&t, "ext.bank.A").await, 32_00);

    let explained = t.get(&format!("/v1/payouts/{}/explain", text(&payout["id"]))).await;
    let figures = ["transfers", "amount", "fee", "left"].map(|name| &explained[name]);
    assert_eq!(figures, [&json!(32_50), &json!(32_00), &json!(50), &json!(0)]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fee_is_given_back_with_its_payout_unless_the_platform_keeps_it() {
    for (when_failed, fees, owed) in [("returned", 0, 0), ("kept", 50, -50)] {
        let (t, a) = market(when_failed).await;
        let payout = ask(&t, &a, "now").await.expect(201);
        t.advance(1_800).await;
        t.control.fail_payout(&text(&payout["provider"]["id"]), "could_not_process").await.expect("failed");
        t.settle().await;
        let failed = reread(&t, &payout).await;
        assert_eq!((&failed["status"], &failed["fee"]["returned"]), (&json!("failed"), &json!(50)));
        let after = t.balances().await;
        assert_eq!(after["conn.available.A EUR"], 32_50, "the provider gives both back");
        assert_eq!(after.get("rev.fees EUR").copied().unwrap_or(0), fees, "{when_failed}");
        assert_eq!(after.get("sel.A.available EUR").copied().unwrap_or(0), owed, "{when_failed}");
        let adjustments = t.list("/v1/adjustments").await;
        assert_eq!(adjustments.len(), usize::from(when_failed == "kept"));
        // What is owed keeps the next payout from being made.
        let next = ask(&t, &a, "again").await.status;
        assert_eq!(next, if when_failed == "kept" { 409 } else { 201 });
        t.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_the_answer_there_is_one_payout_with_one_fee() {
    let (t, _) = market("returned").await;
    for (kind, reference) in
        [(FaultKind::AnswerLost, "lost"), (FaultKind::ErrorAfter, "error"), (FaultKind::WebhookFirst, "early")]
    {
        let seller = seller_with(&t, reference, 32_50).await;
        t.next_post_fails(kind, "/v1/payouts");
        let key = format!("payout-{reference}");
        let first = ask(&t, &seller, &key).await;
        assert!([201, 202].contains(&first.status), "{kind:?}: {}", first.text());
        for _ in 0..6 {
            t.advance(300).await;
        }
        t.advance(3_600).await;
        let path = format!("/v1/sellers/{}/payouts", text(&seller["id"]));
        let made = t.list(&path).await;
        assert_eq!(
            (made.len(), &made[0]["status"], &made[0]["fee"]["taken"]),
            (1, &json!("paid"), &json!(50)),
            "{kind:?}"
        );
        let same = ask(&t, &seller, &key).await;
        assert_eq!((same.status, same.bytes), (first.status, first.bytes), "{kind:?}");
    }
    assert_eq!(balance(&t, "rev.fees").await, 1_50);
    t.assert_no_double_effect().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fee_that_is_told_of_before_its_payout_waits_for_it() {
    let (t, a) = market("returned").await;
    t.next_post_fails(FaultKind::AnswerLost, "/v1/payouts");
    let payout = ask(&t, &a, "now").await.expect(202);
    // The provider tells of the fee first, then of the payout.
    t.settle().await;
    assert_ne!(reread(&t, &payout).await["status"], "processing");
    t.advance(120).await;
    assert_eq!(reread(&t, &payout).await["fee"]["taken"], 50);
    assert_eq!(balance(&t, "rev.fees").await, 50);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_only_what_is_there_is_sent() {
    let (t, a) = market("returned").await;
    let (one, other) = tokio::join!(ask(&t, &a, "one"), ask(&t, &a, "other"));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "{} {}", one.text(), other.text());
    assert_eq!(t.effects("/v1/payouts").await, 1);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_webhook_reconciliation_books_fee_cost_and_return() {
    let (t, a) = market("returned").await;
    let payout = ask(&t, &a, "now").await.expect(201);
    worker::drain(&t.app).await.expect("drained");
    assert_eq!(balance(&t, "rev.fees").await, 0, "nobody has told of it");
    assert_eq!(t.reconcile().await.breaks, 0);
    assert_eq!((balance(&t, "rev.fees").await, balance(&t, "exp.payout").await), (50, 32));
    t.control.fail_payout(&text(&payout["provider"]["id"]), "could_not_process").await.expect("failed");
    // The platform's account is compared before it is known that the payout came back.
    t.reconcile().await;
    assert_eq!(t.reconcile().await.breaks, 0);
    assert_eq!((balance(&t, "rev.fees").await, balance(&t, "exp.payout").await), (0, 32));
    assert_eq!(reread(&t, &payout).await["status"], "failed");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_takes_is_booked_beside_what_was_quoted() {
    let (t, a) = market("returned").await;
    priced(&t, 70).await;
    let payout = ask(&t, &a, "now").await.expect(201);
    assert_eq!(payout["amount"], 31_80, "what the provider says can be sent, by its own price");
    assert_eq!((&payout["fee"]["quoted"], &payout["fee"]["taken"]), (&json!(50), &json!(70)));
    t.settle().await;
    assert_eq!(balance(&t, "rev.fees").await, 70);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_at_once_is_refused_clearly_and_nothing_is_kept() {
    let (t, a) = market("returned").await;
    let rows = t.row_counts().await["payouts"];
    let refused = |answer: Answer, status: u16, says: &str| {
        let detail = text(&answer.expect(status)["detail"]);
        assert!(detail.contains(says), "{detail}");
    };
    // Swiss bank accounts take no instant payouts.
    let swiss = t.seller("S", "CH", "CHF", "manual").await;
    t.pay(cart("order-s", "CHF", &[item(&swiss, 40_00)])).await;
    t.advance(3 * DAY).await;
    refused(ask(&t, &swiss, "swiss").await, 409, "instant_not_supported");
    let empty = t.seller("E", "DE", "EUR", "manual").await;
    refused(ask(&t, &empty, "empty").await, 409, "nothing_to_pay");
    let body = |amount: i64| json!({"reference": "x", "seller": a["id"], "method": "instant", "amount": amount, "currency": "EUR"});
    let too_much = t.post("/v1/payouts", "x", body(32_01)).await.expect(422);
    assert_eq!(
        (&too_much["errors"][0]["pointer"], &too_much["errors"][0]["code"]),
        (&json!("#/amount"), &json!("too_much"))
    );
    let odd = json!({"reference": "x", "seller": a["id"], "method": "soon"});
    let odd = t.post("/v1/payouts", "odd", odd).await.expect(422);
    assert_eq!(odd["errors"][0]["pointer"], "#/method");
    let account = json!({"holder": "Shop B", "iban": "DE89370400440532013000"});
    let b = t.seller("B", "DE", "EUR", "manual").await;
    t.send("PUT", &format!("/v1/sellers/{}/bank_details", text(&b["id"])), None, Some(account)).await.expect(200);
    refused(ask(&t, &b, "by-bank").await, 409, "paid_by_bank_file");
    let fault =
        Fault { kind: FaultKind::ErrorBefore, method: "GET".to_owned(), path: "/v1/balance".to_owned(), times: 1 };
    t.control.plan_fault(fault);
    assert_eq!(ask(&t, &a, "down").await.expect(502)["code"], "provider_failed");
    assert_eq!(t.row_counts().await["payouts"], rows);
    assert_eq!(t.effects("/v1/payouts").await, 0);

    // What only the provider knows is its refusal, which moved nothing.
    t.control.set_settings(Settings { instant_payout_largest: 31_00, ..t.control.settings() }).await.expect("lawful");
    let limited = ask(&t, &a, "limited").await.expect(422);
    assert_eq!(
        (&limited["code"], &limited["provider"]["code"]),
        (&json!("provider_refused"), &json!("instant_payouts_limit_exceeded"))
    );
    assert_eq!(limited["object"]["status"], "failed");
    assert_eq!(balance(&t, "conn.available.A").await, 32_50);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_price_is_declared_in_versions_of_one_book() {
    let t = TestApp::new().await;
    let none = t.get("/v1/instant_payout_policy").await;
    assert_eq!(
        (&none["version"], &none["percent_bps"], &none["when_failed"]),
        (&json!(0), &json!(0), &json!("returned"))
    );
    assert_eq!(declare(&t, 50, "returned").await["version"], 1);
    let second = declare(&t, 75, "kept").await;
    assert_eq!((&second["version"], &second["amounts"]["EUR"]["fixed"]), (&json!(2), &json!(75)));
    assert_eq!(t.get("/v1/instant_payout_policy").await, second);
    let told = t.list("/v1/events?type=instant_payout_policy.declared").await;
    assert_eq!(told.len(), 2);
    let other = t.tenant("other").await;
    let theirs = t.send_as(&other.key, "GET", "/v1/instant_payout_policy", None, None).await.expect(200);
    assert_eq!(theirs["version"], 0, "another book's");
    for (body, pointer) in [
        (json!({"percent_bps": 10_001}), "#/percent_bps"),
        (json!({}), "#/percent_bps"),
        (json!({"percent_bps": 1, "amounts": {"EUR": {"minimum": 2, "maximum": 1}}}), "#/amounts/EUR/minimum"),
        (json!({"percent_bps": 1, "when_failed": "lost"}), "#/when_failed"),
    ] {
        let refused = t.send("PUT", "/v1/instant_payout_policy", None, Some(body)).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer);
    }
    assert_eq!(t.get("/v1/instant_payout_policy").await["version"], 2);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fee_that_its_movements_do_not_say_is_seen() {
    let (t, a) = market("returned").await;
    ask(&t, &a, "now").await.expect(201);
    t.settle().await;
    assert_eq!(t.findings().await, Vec::<String>::new());
    let of_movement =
        "update provider_movements set amount = amount + 1, net = net + 1 where object_type = 'payout_fee'";
    let back = of_movement.replace('+', "-");
    for (lie, undo, found) in [
        (
            "update payouts set fee_taken = fee_taken + 1",
            "update payouts set fee_taken = fee_taken - 1",
            "a payout's fee is what its movements took and gave back",
        ),
        (of_movement, back.as_str(), "the platform gets of payouts' fees what was taken"),
    ] {
        assert_eq!(t.tamper(lie).await, 1, "{lie}");
        let findings = t.findings().await;
        assert!(findings.iter().any(|finding| finding.starts_with(found)), "{findings:#?}");
        t.tamper(undo).await;
    }
    t.finish().await;
}
