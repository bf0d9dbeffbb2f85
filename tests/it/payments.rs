//! Payments: the split, declines, prices, waiting, and what the lists and the timeline show.

use partita_simulator::FaultKind;
use serde_json::{Value, json};

use crate::support::{cart, item, paid_with, taxed};
use crate::test_app::{DAY, TestApp, text};

/// The balances whose path begins so, by path.
async fn balances_of(t: &TestApp, prefix: &str) -> Vec<(String, i64)> {
    t.balances().await.into_iter().filter(|(path, _)| path.starts_with(prefix)).collect()
}

fn owned(rows: &[(&str, i64)]) -> Vec<(String, i64)> {
    rows.iter().map(|(path, amount)| ((*path).to_owned(), *amount)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn carts_are_split_over_their_sellers_and_currencies_stand_alone() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 250, 20).await.expect("2.5 % + 0.20");
    t.control.set_fees("usd", 290, 30).await.expect("2.9 % + 0.30");
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let b = t.seller("B", "FR", "EUR", "manual").await;
    let c = t.seller("C", "US", "USD", "manual").await;

    t.pay(cart("order-1", "EUR", &[item(&a, 60_00), item(&b, 40_00), item(&a, 1_00)])).await;
    t.pay(cart("order-2", "USD", &[item(&c, 50_00)])).await;

    let expected = [
        ("exp.processing EUR", 2_73),
        ("exp.processing USD", 1_75),
        ("prov.pending EUR", 98_27),
        ("prov.pending USD", 48_25),
        ("rev.commission EUR", 10_10),
        ("rev.commission USD", 5_00),
        ("sel.A.pending EUR", 54_90),
        ("sel.B.pending EUR", 36_00),
        ("sel.C.pending USD", 45_00),
    ];
    assert_eq!(balances_of(&t, "").await, owned(&expected));
    t.advance(4 * DAY).await;
    assert_eq!(
        balances_of(&t, "conn.available").await,
        owned(&[("conn.available.A EUR", 54_90), ("conn.available.B EUR", 36_00), ("conn.available.C USD", 45_00)])
    );
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decline_is_402_with_the_providers_words_and_books_nothing() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    for (number, (card, decline_code)) in [
        ("pm_card_visa_chargeDeclined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
    ]
    .into_iter()
    .enumerate()
    {
        let reference = format!("order-{number}");
        let body = paid_with(cart(&reference, "EUR", &[item(&a, 25_00)]), card);
        let declined = t.post("/v1/payments", &reference, body.clone()).await;
        assert_eq!(declined.headers["content-type"], "application/problem+json");
        let again = t.post("/v1/payments", &reference, body).await;
        assert_eq!(again.headers["idempotency-replayed"], "true");
        assert_eq!(again.bytes, declined.bytes, "byte for byte");
        let problem = declined.expect(402);
        assert_eq!(problem["code"], "payment_declined");
        assert_eq!(problem["provider"]["code"], "card_declined");
        assert_eq!(problem["provider"]["decline_code"], decline_code);
        assert_eq!((&problem["object"]["status"], &problem["retryable"]), (&json!("failed"), &json!(false)));
        again.expect(402);
        t.settle().await;
        let payment = t.payment(&problem["object"]).await;
        assert_eq!((&payment["status"], &payment["funds"]), (&json!("failed"), &json!("none")));
        assert_eq!(payment["failure"]["decline_code"], decline_code);
        assert_eq!(t.effects("/v1/payment_intents").await, number + 1, "one attempt each");
    }
    assert!(t.balances().await.is_empty());
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_line_and_a_tax_that_the_seller_owes_go_to_their_owners() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 0, 0).await.expect("free of charge");
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let sellers_tax = json!({"seller": a["id"], "amount": 50_00, "tax": {"amount": 9_50, "liability": "seller"}});
    let shipping = json!({"seller": a["id"], "type": "shipping", "amount": 4_00, "tax": {"amount": 76}});
    let service = json!({"type": "platform", "amount": 3_00, "tax": {"amount": 57}});
    let payment = t.pay(cart("order-1", "EUR", &[sellers_tax, shipping, service])).await;
    assert_eq!(payment["lines"][2]["commission"], 0);
    let expected = [
        ("prov.pending EUR", 67_83),
        ("rev.commission EUR", 5_40),
        ("rev.fees EUR", 3_00),
        ("sel.A.pending EUR", 58_10),
        ("tax.payable EUR", 1_33),
    ];
    assert_eq!(balances_of(&t, "").await, owned(&expected));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_a_seller_can_owe_the_sellers_tax() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 0, 0).await.expect("free of charge");
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let odd = json!({"type": "platform", "amount": 3_00, "tax": {"amount": 57, "liability": "seller"}});
    let answer = t.post("/v1/payments", "order-1", cart("order-1", "EUR", &[item(&a, 10_00), odd])).await;
    let problem = answer.expect(422);
    assert_eq!(problem["errors"][0]["pointer"], "#/lines/1/tax/liability");
    assert_eq!(problem["errors"][0]["code"], "not_allowed");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_may_sell_alone_in_a_currency_without_sellers() {
    let t = TestApp::new().await;
    t.control.set_fees("chf", 0, 0).await.expect("free of charge");
    t.pay(cart("order-1", "CHF", &[json!({"type": "platform", "amount": 30_00, "tax": {"amount": 2_40}})])).await;
    assert_eq!(
        balances_of(&t, "").await,
        owned(&[("prov.pending CHF", 32_40), ("rev.fees CHF", 30_00), ("tax.payable CHF", 2_40)])
    );
    t.advance(4 * DAY).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_is_usable_at_once_is_transferred_at_once() {
    let t = TestApp::new().await;
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let payment = t.pay(paid_with(cart("order-1", "EUR", &[item(&a, 50_00)]), "pm_card_bypassPending")).await;
    assert_eq!(payment["funds"], "available");
    assert_eq!(balances_of(&t, "conn").await, owned(&[("conn.available.A EUR", 45_00)]));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_that_comes_back_after_it_was_paid_is_the_sellers_again() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "daily").await;
    t.pay(cart("order-1", "EUR", &[item(&a, 50_00)])).await;
    t.advance(7 * DAY).await;
    let payout = t.list(&format!("/v1/sellers/{}/payouts", text(&a["id"]))).await.remove(0);
    assert_eq!((&payout["status"], &payout["amount"]), (&json!("paid"), &json!(50_00)));
    assert_eq!(balances_of(&t, "ext.bank").await, owned(&[("ext.bank.A EUR", 50_00)]));
    t.control.fail_payout(&text(&payout["provider"]["id"]), "account_closed").await.expect("failed");
    t.settle().await;
    let payout = t.get(&format!("/v1/payouts/{}", text(&payout["id"]))).await;
    assert_eq!((&payout["status"], &payout["failure"]["code"]), (&json!("failed"), &json!("account_closed")));
    assert_eq!(balances_of(&t, "conn").await, owned(&[("conn.available.A EUR", 50_00)]));
    assert!(balances_of(&t, "ext.bank").await.is_empty());
    t.advance(DAY).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_is_a_snapshot_that_no_later_change_touches() {
    let t = TestApp::new().await;
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let vip = json!({
        "reference": "vip", "name": "VIP", "percent_bps": 500,
        "amounts": {"EUR": {"fixed": 30, "minimum": 1_00, "maximum": 3_00}},
    });
    let vip = t.post("/v1/fee_policies", "vip", vip).await.expect(201);
    let line = |amount: i64| json!({"seller": a["id"], "amount": amount, "fee_policy": vip["id"]});
    let lines = [line(40_00), line(2_00), line(90_00), item(&a, 10_00)];

    let before = t.pay(cart("order-1", "EUR", &lines)).await;
    let commissions = |payment: &Value| -> Vec<i64> {
        let lines = payment["lines"].as_array().expect("lines");
        lines.iter().map(|line| line["commission"].as_i64().expect("an amount")).collect()
    };
    assert_eq!(commissions(&before), [2_30, 1_00, 3_00, 1_00]);
    assert_eq!(before["lines"][0]["fee_policy_version"], 1);

    let path = format!("/v1/fee_policies/{}", text(&vip["id"]));
    let changed = t.send("PATCH", &path, None, Some(json!({"percent_bps": 2_000}))).await.expect(200);
    assert_eq!(changed["version"], 2);
    let after = t.pay(cart("order-2", "EUR", &lines)).await;
    assert_eq!(commissions(&after), [8_00, 40, 18_00, 1_00]);
    assert_eq!(after["lines"][0]["fee_policy_version"], 2);

    let unchanged = t.payment(&before).await;
    assert_eq!(unchanged["lines"], before["lines"]);
    t.top_up("float", 300_00, "EUR").await;
    let refund = json!({"payment": before["id"], "lines": [{"line": 0, "amount": 40_00}]});
    let refund = t.post("/v1/refunds", "ret-1", refund).await.expect(201);
    assert_eq!(refund["lines"][0]["commission"], 2_30, "what was taken is returned, not what would be taken now");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_payment_that_waits_for_its_buyer_can_be_canceled() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let waiting = paid_with(cart("order-1", "EUR", &[item(&a, 20_00)]), "pm_card_authenticationRequired");
    let waiting = t.post("/v1/payments", "order-1", waiting).await.expect(201);
    assert_eq!(waiting["status"], "requires_action");

    let path = format!("/v1/payments/{}/cancel", text(&waiting["id"]));
    let canceled = t.post(&path, "cancel-1", json!({})).await.expect(200);
    assert_eq!(canceled["status"], "canceled");
    let again = t.post(&path, "cancel-2", json!({})).await.expect(409);
    assert_eq!(
        (again["code"].as_str(), again["detail"].as_str()),
        (Some("state_conflict"), Some("A payment that is canceled cannot be canceled."),)
    );
    assert_eq!(t.post(&path, "cancel-1", json!({})).await.expect(200)["status"], "canceled", "the first answer again");

    let paid = t.pay(cart("order-2", "EUR", &[item(&a, 20_00)])).await;
    let path = format!("/v1/payments/{}/cancel", text(&paid["id"]));
    let refused = t.post(&path, "cancel-3", json!({})).await.expect(409);
    assert_eq!(refused["detail"], "A payment that is succeeded cannot be canceled.");
    assert_eq!(t.effects("/v1/payment_intents").await, 3, "two payments and one cancellation");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_waits_for_its_seller_and_is_transferred_after_onboarding() {
    let t = TestApp::new().await;
    let body = json!({
        "reference": "A", "email": "a@example.com", "country": "DE", "default_currency": "EUR", "payout_interval": "manual",
    });
    let a = t.post("/v1/sellers", "A", body).await.expect(201);
    assert_eq!(a["status"], "onboarding");
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 30_00)])).await;
    t.advance(5 * DAY).await;
    assert_eq!(balances_of(&t, "sel.A").await, owned(&[("sel.A.available EUR", 30_00)]));
    let transfers = format!("/v1/transfers?payment={}", text(&payment["id"]));
    assert!(t.list(&transfers).await.is_empty());

    t.control.complete_onboarding(&text(&a["provider"]["id"])).await.expect("onboarded");
    t.settle().await;
    t.advance(DAY).await;
    assert_eq!(balances_of(&t, "conn").await, owned(&[("conn.available.A EUR", 30_00)]));
    assert_eq!(t.list(&transfers).await.len(), 1);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unclear_answer_is_processing_and_the_worker_finds_the_one_payment() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    for (number, kind) in [FaultKind::AnswerLost, FaultKind::RateLimited].into_iter().enumerate() {
        let reference = format!("order-{number}");
        let body = cart(&reference, "EUR", &[item(&a, 12_00)]);
        t.next_post_fails(kind, "/v1/payment_intents");
        let first = t.post("/v1/payments", &reference, body.clone()).await;
        let bytes = first.bytes.clone();
        let payment = first.expect(202);
        assert_eq!(payment["status"], "processing");
        t.advance(60).await;
        assert_eq!(t.payment(&payment).await["status"], "succeeded", "{kind:?}");
        assert_eq!(t.effects("/v1/payment_intents").await, number + 1, "{kind:?}");
        let again = t.post("/v1/payments", &reference, body).await;
        assert_eq!((again.status, again.bytes), (202, bytes), "the answer of a key is final");
    }
    t.assert_no_double_effect().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_stands_for_one_payment() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.pay(cart("order-1", "EUR", &[item(&a, 12_00)])).await;
    let again = t.post("/v1/payments", "another-key", cart("order-1", "EUR", &[item(&a, 12_00)])).await.expect(409);
    assert_eq!((&again["code"], &again["errors"][0]["pointer"]), (&json!("reference_taken"), &json!("#/reference")));
    assert_eq!(t.effects("/v1/payment_intents").await, 1);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_of_two_hundred_sellers_pays_each_of_them_and_one_line_more_is_refused() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 150, 25).await.expect("1.5 % + 0.25");
    t.default_fee(1_250).await;
    let sellers = t.many_sellers(200, "DE", "EUR", "manual").await;
    let lines: Vec<Value> = sellers.iter().zip(1_i64..).map(|(seller, n)| taxed(seller, 10_00 + n, n)).collect();
    let more = [lines.clone(), vec![item(&sellers[0], 1)]].concat();
    let refused = t.post("/v1/payments", "more", cart("more", "EUR", &more)).await.expect(422);
    assert_eq!(
        (&refused["errors"][0]["pointer"], &refused["errors"][0]["code"]),
        (&json!("#/lines"), &json!("too_long"))
    );
    t.pay(cart("order-1", "EUR", &lines)).await;
    t.advance(3 * DAY).await;
    let paid = balances_of(&t, "conn.available").await;
    assert_eq!(paid.len(), 200);
    // 12.5 % of 10.01 is 1.25125: 1.25 half up. All shares: net less commission, line by line.
    let share = |n: i64| 10_00 + n - (2 * (10_00 + n) * 1_250 + 10_000) / 20_000;
    assert_eq!(paid.iter().map(|(_, amount)| amount).sum::<i64>(), (1..=200).map(share).sum::<i64>());
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_hold_at_their_limits() {
    let t = TestApp::new().await;
    t.default_fee(1_000).await;
    let eur = t.seller("A", "DE", "EUR", "manual").await;
    let yen = t.seller("J", "JP", "JPY", "manual").await;
    t.pay(cart("largest", "EUR", &[item(&eur, 99_999_999)])).await;
    let over = t.post("/v1/payments", "over", cart("over", "EUR", &[item(&eur, 100_000_000)])).await.expect(422);
    assert_eq!(
        (&over["errors"][0]["pointer"], &over["errors"][0]["code"]),
        (&json!("#/amount"), &json!("out_of_range"))
    );
    let tiny = t.post("/v1/payments", "tiny", cart("tiny", "EUR", &[item(&eur, 1)])).await.expect(402);
    assert_eq!(tiny["provider"]["code"], "amount_too_small");
    // 10 % of 55 yen is 5.5: rounded half up, and no hundredths anywhere.
    let payment = t.pay(cart("yen", "JPY", &[item(&yen, 55)])).await;
    assert_eq!(payment["lines"][0]["commission"], 6);
    assert_eq!(balances_of(&t, "sel.J").await, owned(&[("sel.J.pending JPY", 49)]));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_tells_every_change_in_order() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 12_00)])).await;
    t.advance(4 * DAY).await;
    let changes = t.get(&format!("/v1/payments/{}/timeline", text(&payment["id"]))).await["data"].clone();
    let changes = changes.as_array().expect("a list");
    let of = |object: &str| -> Vec<(Value, Value)> {
        let own = changes.iter().filter(|change| change["of"] == object);
        own.map(|change| (change["from"].clone(), change["to"].clone())).collect()
    };
    let step = |from: Option<&str>, to: &str| (json!(from), json!(to));
    assert_eq!(
        of("payment"),
        [step(None, "processing"), step(Some("processing"), "succeeded"), step(Some("succeeded"), "succeeded")]
    );
    assert_eq!(of("transfer"), [step(None, "processing"), step(Some("processing"), "succeeded")]);
    let times: Vec<String> = changes.iter().map(|change| text(&change["at"])).collect();
    assert!(times.is_sorted(), "{times:?}");
    let submitted = step(None, "submitting");
    let planned = step(None, "planned");
    let sent = [step(Some("planned"), "submitting"), step(Some("submitting"), "succeeded")];
    assert_eq!(of("operation")[..2], [submitted, step(Some("submitting"), "succeeded")], "the payment's own");
    assert_eq!(of("operation")[2..], [vec![planned], sent.to_vec()].concat(), "the transfer's");
    let of_payment: Vec<&Value> = changes.iter().filter(|change| change["of"] == "payment").collect();
    assert!(text(&of_payment[0]["actor"]).starts_with("key_") && of_payment[1]["actor"] == "system");
    assert_eq!(of_payment[1]["text"], "The buyer was charged.");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_and_pages_hold_still_while_payments_come_in() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    let mut made = Vec::new();
    for number in 0..5 {
        let seller = if number == 3 { &b } else { &a };
        made.push(t.pay(cart(&format!("order-{number}"), "EUR", &[item(seller, 10_00)])).await["id"].clone());
        t.advance(60).await;
    }
    let declined = paid_with(cart("declined", "EUR", &[item(&a, 10_00)]), "pm_card_visa_chargeDeclined");
    let declined = t.post("/v1/payments", "declined", declined).await.expect(402)["object"]["id"].clone();

    let mut seen = Vec::new();
    let mut path = "/v1/payments?limit=2&status=succeeded".to_owned();
    for page in 0.. {
        let answer = t.send("GET", &path, None, None).await;
        let link = answer.headers.get("link").map(|link| link.to_str().expect("ASCII").to_owned());
        let list = answer.expect(200);
        seen.extend(list["data"].as_array().expect("a list").iter().map(|payment| payment["id"].clone()));
        t.pay(cart(&format!("late-{page}"), "EUR", &[item(&a, 10_00)])).await;
        let Some(link) = link else {
            assert_eq!((&list["has_more"], &list["next_cursor"]), (&json!(false), &Value::Null));
            break;
        };
        assert!(link.ends_with("; rel=\"next\"") && list["has_more"] == true);
        path = link.split(['<', '>']).nth(1).expect("an address").to_owned();
    }
    let mut newest_first = made.clone();
    newest_first.reverse();
    assert_eq!(seen, newest_first, "none twice, none left out, none of the new ones");

    let ids = |list: Vec<Value>| -> Vec<Value> { list.into_iter().map(|payment| payment["id"].clone()).collect() };
    assert_eq!(ids(t.list("/v1/payments?status=failed").await), [declined]);
    assert_eq!(ids(t.list("/v1/payments?reference=order-1").await), [made[1].clone()]);
    assert_eq!(ids(t.list(&format!("/v1/payments?seller={}", text(&b["id"]))).await), [made[3].clone()]);
    assert_eq!(t.list("/v1/payments?status=failed&status=succeeded").await.len(), t.list("/v1/payments").await.len());
    let second = text(&t.get(&format!("/v1/payments/{}", text(&made[1]))).await["created_at"]);
    let range = format!("/v1/payments?created_at[lte]={second}&status=succeeded");
    assert_eq!(ids(t.list(&range).await), [made[1].clone(), made[0].clone()]);

    let first = t.get("/v1/payments?limit=2").await;
    let path = format!("/v1/payments?limit=2&status=failed&cursor={}", text(&first["next_cursor"]));
    assert_eq!(t.send("GET", &path, None, None).await.expect(400)["code"], "bad_cursor");
    t.finish().await;
}
