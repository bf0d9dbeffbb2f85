//! Sellers paid by bank file, from the platform's own bank account: asked, put into a file, paid, sent back.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::debts::end_of_day;
use crate::disputes::assert_balances;
use crate::doubt::{decide, second_key};
use crate::reserves::{keep_back, market, ten_per_cent};
use crate::support::{cart, item};
use crate::test_app::{Answer, DAY, TestApp, text};

pub(crate) const IBAN: &str = "DE89370400440532013000";

pub(crate) fn of(seller: &Value, what: &str) -> String {
    format!("/v1/sellers/{}/{what}", text(&seller["id"]))
}

/// A, of whose sales the platform takes a tenth, with bank details here.
pub(crate) async fn by_bank(t: &TestApp) -> Value {
    let a = market(t).await;
    with_bank_details(t, &a).await;
    a
}

/// Has a seller paid by bank file from now on.
pub(crate) async fn with_bank_details(t: &TestApp, seller: &Value) {
    let details = json!({"holder": "Shop Ä", "iban": IBAN});
    let declared = t.send("PUT", &of(seller, "bank_details"), None, Some(details)).await.expect(200);
    assert_eq!((&declared["iban"], &declared["version"]), (&json!("DE**3000"), &json!(1)));
    t.send("PUT", "/v1/own_bank_accounts", None, Some(own_account("EUR"))).await.expect(200);
}

/// The platform's own bank account.
pub(crate) fn own_account(currency: &str) -> Value {
    json!({"currency": currency, "holder": "Fair Market", "iban": "NL91ABNA0417164300", "bic": "ABNANL2A"})
}

/// How much one key may say alone in a day that a bank sent it back, as two people declared it.
pub(crate) async fn let_one_say(t: &TestApp, currency: &str, amount: i64) {
    let body = json!({"currency": currency, "alone_up_to": amount, "reason": "the finance team's allowance"});
    let approval = t.send("POST", "/v1/payout_return_limits", None, Some(body)).await.expect(201);
    assert_eq!(
        (&approval["kind"], &approval["proposal"]["alone_up_to"]),
        (&json!("payout_return_limit"), &json!(amount))
    );
    decide(t, &second_key(t).await, &approval, "approve").await.expect(200);
}

/// A has sold for 40.00, and its share of 36.00 is usable.
pub(crate) async fn sold_40(t: &TestApp) -> (Value, Value) {
    let a = by_bank(t).await;
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 40_00)])).await;
    t.advance(4 * DAY).await;
    (a, payment)
}

pub(crate) async fn ask(t: &TestApp, seller: &Value, reference: &str) -> Answer {
    t.post("/v1/payouts", reference, json!({"reference": reference, "seller": seller["id"]})).await
}

pub(crate) async fn make_file(t: &TestApp, reference: &str) -> Answer {
    t.post("/v1/bank_files", reference, json!({"reference": reference, "currency": "EUR"})).await
}

async fn tell(t: &TestApp, payout: &Value, what: &str, body: Value) -> Answer {
    let path = format!("/v1/payouts/{}/{what}", text(&payout["id"]));
    let key = format!("{what}-{}", text(&payout["id"]));
    let told = t.post(&path, &key, body).await;
    t.settle().await;
    told
}

async fn events(t: &TestApp, of: &str) -> Vec<String> {
    let mut kinds: Vec<String> = t.list("/v1/events").await.iter().map(|event| text(&event["type"])).collect();
    kinds.retain(|kind| kind.starts_with(of));
    kinds.reverse();
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_36_is_paid_by_bank_and_sent_back_with_the_banks_code() {
    let t = TestApp::new().await;
    let (a, _) = sold_40(&t).await;
    let_one_say(&t, "EUR", 36_00).await;
    let sold = [("bank", -100_00), ("prov.available", 140_00), ("rev.commission", 4_00)];
    assert_balances(&t, &[&sold[..], &[("sel.A.available", 36_00)]].concat()).await;
    assert_eq!(t.list("/v1/transfers").await, Vec::<Value>::new(), "nothing is sent to the account at the provider");

    let payout = ask(&t, &a, "week-10").await.expect(201);
    assert_eq!(
        (&payout["status"], &payout["method"], &payout["amount"], &payout["provider"]["id"]),
        (&json!("pending"), &json!("bank_file"), &json!(36_00), &Value::Null)
    );
    assert_eq!((&payout["bank"]["iban"], &payout["bank"]["file"]), (&json!("DE**3000"), &Value::Null));
    assert_balances(&t, &[&sold[..], &[("clr.payout", 36_00)]].concat()).await;
    assert_eq!(ask(&t, &a, "week-10").await.expect(201), payout, "the first answer");

    let file = make_file(&t, "file-1").await.expect(201);
    assert_eq!(
        (&file["payouts"], &file["amount"], &file["paid_from"], &file["execute_on"]),
        (&json!(1), &json!(36_00), &json!("NL**4300"), &json!("2026-03-07"))
    );
    let path = format!("/v1/bank_files/{}/file", text(&file["id"]));
    let made = t.send("GET", &path, None, None).await;
    assert_eq!(made.status, 200);
    assert_eq!(made.headers["content-type"], "application/xml; charset=utf-8");
    let end_to_end = text(&payout["bank"]["end_to_end_id"]);
    assert_eq!(end_to_end, text(&payout["id"]).replace('_', "-"));
    for part in [
        format!("<EndToEndId>{end_to_end}</EndToEndId>"),
        format!("<IBAN>{IBAN}</IBAN>"),
        "<InstdAmt Ccy=\"EUR\">36.00</InstdAmt>".to_owned(),
        "<Nm>Shop Ae</Nm>".to_owned(),
        "<CtrlSum>36.00</CtrlSum>".to_owned(),
    ] {
        assert!(made.text().contains(&part), "{part}: {}", made.text());
    }
    assert_eq!(file["sha256"], hex::encode(Sha256::digest(&made.bytes)));
    let in_file = t.get(&format!("/v1/payouts/{}", text(&payout["id"]))).await;
    assert_eq!((&in_file["status"], &in_file["bank"]["file"]), (&json!("in_transit"), &file["id"]));
    assert_balances(&t, &[&sold[..], &[("clr.payout", 36_00)]].concat()).await;

    let paid = tell(&t, &payout, "confirm", json!({})).await.expect(200);
    assert_eq!(paid["status"], "paid");
    let after = [("bank", -136_00), ("prov.available", 140_00), ("rev.commission", 4_00)];
    assert_balances(&t, &after).await;
    assert_eq!(tell(&t, &payout, "confirm", json!({})).await.expect(200), paid, "told once");

    let back = tell(&t, &payout, "return", json!({"code": "AC04", "note": "statement of 9 March"})).await.expect(200);
    assert_eq!((&back["status"], &back["bank"]["return_code"]), (&json!("failed"), &json!("AC04")));
    assert_balances(&t, &[&sold[..], &[("sel.A.available", 36_00)]].concat()).await;
    let told = ["payout.created", "payout.in_transit", "payout.paid", "payout.returned"];
    assert_eq!(events(&t, "payout.").await, told);
    assert_eq!(t.send("GET", &path, None, None).await.bytes, made.bytes, "the file is as it was made");

    // The account is closed: nothing more goes there, until there is another one.
    assert!(text(&ask(&t, &a, "again").await.expect(409)["detail"]).contains("bank_account_blocked"));
    let details = json!({"holder": "Shop A", "iban": "BE68539007547034"});
    t.send("PUT", &of(&a, "bank_details"), None, Some(details)).await.expect(200);
    let again = ask(&t, &a, "again").await.expect(201);
    assert_eq!((&again["amount"], &again["bank"]["iban"]), (&json!(36_00), &json!("BE**7034")));
    let second = make_file(&t, "file-2").await.expect(201);
    assert_ne!(second["id"], file["id"]);
    tell(&t, &again, "confirm", json!({})).await.expect(200);
    assert_balances(&t, &after).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bank_never_took_or_nobody_put_into_a_file_is_the_sellers_again() {
    let t = TestApp::new().await;
    let (a, _) = sold_40(&t).await;
    let_one_say(&t, "EUR", 36_00).await;
    let payout = ask(&t, &a, "one").await.expect(201);
    let sold = [("bank", -100_00), ("prov.available", 140_00), ("sel.A.available", 36_00), ("rev.commission", 4_00)];
    assert_eq!(tell(&t, &payout, "cancel", json!({})).await.expect(200)["status"], "canceled");
    assert_balances(&t, &sold).await;
    let payout = ask(&t, &a, "two").await.expect(201);
    make_file(&t, "file-1").await.expect(201);
    // It did not lie with the seller's account.
    tell(&t, &payout, "return", json!({"code": "RR01", "note": "our own account was wrong"})).await.expect(200);
    assert_balances(&t, &sold).await;
    t.advance(DAY).await;
    let payout = ask(&t, &a, "three").await.expect(201);
    assert_eq!(payout["amount"], 36_00);
    make_file(&t, "file-2").await.expect(201);
    tell(&t, &payout, "return", json!({"code": "AM04", "note": "not covered"})).await.expect(200);
    assert_eq!(ask(&t, &a, "four").await.expect(201)["amount"], 36_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_payout_stands_says_what_can_be_told_of_it() {
    let t = TestApp::new().await;
    let (a, _) = sold_40(&t).await;
    let payout = ask(&t, &a, "one").await.expect(201);
    let_one_say(&t, "EUR", 36_00).await;
    let returned = json!({"code": "AC01", "note": "statement of 9 March"});
    let conflict = async |what: &str, body: &Value, state: &str| {
        let refused = tell(&t, &payout, what, body.clone()).await.expect(409);
        assert_eq!(refused["code"], "state_conflict");
        assert!(
            text(&refused["detail"]).starts_with(&format!("A payout that is {state} cannot be")),
            "{what}: {refused:#}"
        );
    };
    conflict("confirm", &json!({}), "pending").await;
    conflict("return", &returned, "pending").await;
    make_file(&t, "file-1").await.expect(201);
    conflict("cancel", &json!({}), "in_transit").await;
    tell(&t, &payout, "return", returned).await.expect(200);
    let late = t.post(&format!("/v1/payouts/{}/confirm", text(&payout["id"])), "late", json!({})).await.expect(409);
    assert!(text(&late["detail"]).starts_with("A payout that is failed cannot be confirmed"), "{late:#}");
    // What the provider pays is told by the provider.
    let b = t.seller("B", "DE", "EUR", "manual").await;
    t.pay(cart("order-2", "EUR", &[item(&b, 10_00)])).await;
    t.advance(4 * DAY).await;
    let by_provider = ask(&t, &b, "two").await.expect(201);
    let refused = tell(&t, &by_provider, "confirm", json!({})).await.expect(409);
    assert!(text(&refused["detail"]).contains("provider tells"), "{refused:#}");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_after_the_payout_is_owed_and_later_sales_pay_it_before_the_bank_pays_anything() {
    let t = TestApp::new().await;
    let (a, payment) = sold_40(&t).await;
    let payout = ask(&t, &a, "one").await.expect(201);
    make_file(&t, "file-1").await.expect(201);
    tell(&t, &payout, "confirm", json!({})).await.expect(200);
    let body = json!({"payment": payment["id"], "lines": [{"line": 0, "amount": 25_00}]});
    t.post("/v1/refunds", "ret-1", body).await.expect(201);
    t.settle().await;
    assert_eq!(t.balances().await["sel.A.available EUR"], -22_50, "25 less its commission of 2.50");
    assert!(text(&ask(&t, &a, "short").await.expect(409)["detail"]).contains("owes_platform"));
    end_of_day(&t).await;
    assert_eq!(t.balances().await["sel.A.debt EUR"], 22_50);
    t.pay(cart("order-2", "EUR", &[item(&a, 40_00)])).await;
    t.advance(4 * DAY).await;
    let balances = t.balances().await;
    assert_eq!((balances.get("sel.A.debt EUR"), balances["sel.A.available EUR"]), (None, 13_50), "36 less 22.50");
    assert_eq!(ask(&t, &a, "two").await.expect(201)["amount"], 13_50);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_back_is_not_paid_and_paid_when_it_is_given_back() {
    let t = TestApp::new().await;
    keep_back(&t, ten_per_cent()).await;
    let (a, _) = sold_40(&t).await;
    let payout = ask(&t, &a, "one").await.expect(201);
    assert_eq!((&payout["amount"], t.balances().await["sel.A.reserve EUR"]), (&json!(32_40), 3_60));
    t.advance(91 * DAY).await;
    assert_eq!(ask(&t, &a, "two").await.expect(201)["amount"], 3_60);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payouts_and_files_at_once_pay_nothing_twice() {
    let t = TestApp::new().await;
    let (a, payment) = sold_40(&t).await;
    let asked = ["a", "b", "c", "d"].map(|reference| ask(&t, &a, reference));
    let refund = json!({"payment": payment["id"], "amount": 10_00});
    let (answers, refunded) = tokio::join!(futures::future::join_all(asked), t.post("/v1/refunds", "ret-1", refund));
    refunded.expect(201);
    let taken: Vec<i64> = answers
        .iter()
        .filter(|one| one.status == 201)
        .map(|one| one.json()["amount"].as_i64().expect("minor"))
        .collect();
    assert!(answers.iter().all(|one| [201, 409].contains(&one.status)));
    assert!(taken == [36_00] || taken == [27_00] || taken.is_empty(), "{taken:?}");
    t.settle().await;
    if taken.is_empty() {
        ask(&t, &a, "after").await.expect(201);
    }
    let (one, other) = tokio::join!(make_file(&t, "one"), make_file(&t, "other"));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_pays_by_bank_on_its_days_and_a_halted_book_pays_nothing() {
    let t = TestApp::new().await;
    let a = by_bank(&t).await;
    let schedule = json!({"payout_schedule": {"interval": "daily", "cut_off": "15:00", "time_zone": "UTC"}});
    t.send("PATCH", &format!("/v1/sellers/{}", text(&a["id"])), None, Some(schedule)).await.expect(200);
    t.pay(cart("order-1", "EUR", &[item(&a, 40_00)])).await;
    t.advance(4 * DAY).await;
    let payout = t.list("/v1/payouts").await.remove(0);
    assert_eq!(
        (&payout["automatic"], &payout["method"], &payout["amount"]),
        (&json!(true), &json!("bank_file"), &json!(36_00))
    );
    let explained = t.get(&format!("/v1/payouts/{}/explain", text(&payout["id"]))).await;
    assert_eq!((&explained["transfers"], &explained["left"]), (&json!(36_00), &json!(0)));
    let line = &explained["lines"][0];
    assert_eq!((&line["payment_reference"], &line["amount"]), (&json!("order-1"), &json!(36_00)));
    assert_eq!(explained["decision"]["payable"], 36_00);

    t.pay(cart("order-2", "EUR", &[item(&a, 10_00)])).await;
    let halted = "insert into halted_books (book_id, run_id) select book_id, gen_random_uuid() from sellers";
    assert_eq!(t.tamper(halted).await, 1);
    assert_eq!(make_file(&t, "file-1").await.expect(503)["code"], "money_movement_halted");
    assert_eq!(ask(&t, &a, "halted").await.expect(503)["code"], "money_movement_halted");
    let returned = json!({"code": "AC04", "note": "statement of 9 March"});
    for (what, body) in [("cancel", json!({})), ("return", returned)] {
        assert_eq!(tell(&t, &payout, what, body).await.expect(503)["code"], "money_movement_halted", "{what}");
    }
    t.advance(4 * DAY).await;
    assert_eq!(t.list("/v1/payouts").await.len(), 1);
    assert_eq!(t.tamper("delete from halted_books").await, 1);
    t.advance(4 * DAY).await;
    assert_eq!(t.list("/v1/payouts").await.len(), 2);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_is_paid_out_by_the_provider_again_when_its_details_end() {
    let t = TestApp::new().await;
    let (a, _) = sold_40(&t).await;
    let payout = ask(&t, &a, "one").await.expect(201);
    let waits = t.send("DELETE", &of(&a, "bank_details"), None, None).await.expect(409);
    assert!(text(&waits["detail"]).contains("waits for its bank file"), "{waits:#}");
    let other = json!({"holder": "Shop B", "iban": "BE68539007547034"});
    t.send("PUT", &of(&a, "bank_details"), None, Some(other)).await.expect(409);
    assert_eq!(t.get(&of(&a, "bank_details")).await["iban"], "DE**3000");
    tell(&t, &payout, "cancel", json!({})).await.expect(200);
    assert_eq!(t.send("DELETE", &of(&a, "bank_details"), None, None).await.status, 204);
    t.settle().await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 36_00);
    t.send("GET", &of(&a, "bank_details"), None, None).await.expect(404);
    assert_eq!(t.count("select count(*) from bank_payables").await, 0);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_that_was_changed_behind_the_books_is_seen() {
    let t = TestApp::new().await;
    let (a, _) = sold_40(&t).await;
    ask(&t, &a, "one").await.expect(201);
    make_file(&t, "file-1").await.expect(201);
    assert_eq!(t.findings().await, Vec::<String>::new());
    for (lie, undo, seen) in [
        (
            "update bank_payout_parts set amount = amount - 1",
            "update bank_payout_parts set amount = amount + 1",
            "a payout by bank file pays what it took",
        ),
        (
            "update bank_payout_parts set undone = true",
            "update bank_payout_parts set undone = false",
            "a payout by bank file pays what it took",
        ),
        (
            "update bank_files set amount = amount + 1",
            "update bank_files set amount = amount - 1",
            "a bank file is the sum of its payouts",
        ),
        (
            "update payment_lines set commission = commission + 1",
            "update payment_lines set commission = commission - 1",
            "what is sent and paid by bank is within the sellers' shares",
        ),
    ] {
        assert_eq!(t.tamper(lie).await, 1, "{lie}");
        let findings = t.findings().await;
        assert!(findings.iter().any(|finding| finding.starts_with(seen)), "{lie}: {findings:#?}");
        t.tamper(undo).await;
    }
    assert_eq!(t.tamper("update bank_payout_parts set amount = amount - 1").await, 1);
    assert!(!partita::rebuild::check(&t.app, t.book.id).await.expect("compared").agrees());
    t.tamper("update bank_payout_parts set amount = amount + 1").await;
    let admin = t.admin().await;
    for (sql, fact) in [
        ("delete from bank_files", "append-only"),
        ("update payouts set bank_file = null", "payouts_in_one_bank_file"),
        ("update payouts set status = 'pending'", "payouts_by_bank_file_whole"),
    ] {
        let refused = sqlx::query(sql).execute(&admin).await.expect_err("refused");
        assert!(format!("{refused:?}").contains(fact), "{sql}: {refused:?}");
    }
    admin.close().await;
    t.tamper("delete from halted_books").await;
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_that_waits_too_long_for_its_bank_is_told_of() {
    let t = TestApp::new().await;
    let (a, _) = sold_40(&t).await;
    let look = async || {
        partita::worker::schedule_stuck_money(&t.app).await.expect("scheduled");
        t.advance(DAY).await;
        t.list("/v1/stuck_money?status=open").await
    };
    let payout = ask(&t, &a, "one").await.expect(201);
    assert_eq!(look().await, Vec::<Value>::new());
    t.advance(8 * DAY).await;
    let found = look().await;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(
        (&found[0]["cause"], &found[0]["amount"], &found[0]["seller"]),
        (&json!("clearing_too_long"), &json!(36_00), &a["id"])
    );
    tell(&t, &payout, "cancel", json!({})).await.expect(200);
    assert_eq!(look().await, Vec::<Value>::new());
    // Nobody asks for it any more.
    t.advance(65 * DAY).await;
    let found = look().await;
    assert_eq!((&found[0]["cause"], &found[0]["amount"]), (&json!("payouts_parked"), &json!(36_00)), "{found:#?}");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn above_the_limit_two_people_say_that_a_payout_came_back() {
    let t = TestApp::new().await;
    let (a, _) = sold_40(&t).await;
    let payout = ask(&t, &a, "one").await.expect(201);
    make_file(&t, "file-1").await.expect(201);
    tell(&t, &payout, "confirm", json!({})).await.expect(200);
    let paid = t.balances().await;
    let returned = json!({"code": "MS03", "note": "statement of 9 March"});
    let path = format!("/v1/payouts/{}/return", text(&payout["id"]));
    let first = t.post(&path, "ret-1", returned.clone()).await;
    assert_eq!(first.bytes, t.post(&path, "ret-1", returned.clone()).await.bytes, "the first answer");
    assert_eq!(first.expect(202)["status"], "paid");
    assert_eq!(t.balances().await, paid);
    let proposed = t.list("/v1/approvals").await.remove(0);
    assert_eq!(
        (&proposed["kind"], &proposed["target"]["id"], &proposed["proposal"]["code"]),
        (&json!("payout_return"), &payout["id"], &json!("MS03"))
    );
    t.post(&path, "ret-2", returned.clone()).await.expect(409);
    let own = format!("/v1/approvals/{}/approve", text(&proposed["id"]));
    assert_eq!(t.send("POST", &own, None, Some(json!({}))).await.status, 409, "not by whoever proposed");
    decide(&t, &second_key(&t).await, &proposed, "approve").await.expect(200);
    t.settle().await;
    let back = t.get(&format!("/v1/payouts/{}", text(&payout["id"]))).await;
    assert_eq!((&back["status"], &back["failure"]["message"]), (&json!("failed"), &json!("statement of 9 March")));
    assert_eq!(t.balances().await["sel.A.available EUR"], 36_00);

    // Within the limit, and then beyond what is left of it for the day.
    let_one_say(&t, "EUR", 36_00).await;
    for (reference, status) in [("two", 200), ("three", 202)] {
        let payout = ask(&t, &a, reference).await.expect(201);
        make_file(&t, &format!("file-{reference}")).await.expect(201);
        tell(&t, &payout, "return", returned.clone()).await.expect(status);
    }
    assert_eq!(t.get("/v1/payout_return_limits").await["data"][0]["alone_up_to"], 36_00);
    assert_eq!(t.count("select count(*) from payout_returns where approved_by is null").await, 1);
    assert_eq!(t.tamper("update payout_returns set amount = amount - 1 where approved_by is null").await, 1);
    let seen = "a payout that came back is what people said about it";
    assert!(t.findings().await.iter().any(|finding| finding.starts_with(seen)));
    t.tamper("update payout_returns set amount = amount + 1 where approved_by is null").await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_whom_the_provider_will_not_have_is_paid_by_bank() {
    let t = TestApp::new().await;
    market(&t).await;
    let body = json!({"reference": "B", "email": "b@example.com", "country": "DE", "default_currency": "EUR"});
    let b = t.post("/v1/sellers", "B", body).await.expect(201);
    t.pay(cart("order-1", "EUR", &[item(&b, 40_00)])).await;
    t.advance(4 * DAY).await;
    assert_eq!(t.balances().await["sel.B.available EUR"], 36_00);
    assert!(text(&ask(&t, &b, "early").await.expect(409)["detail"]).contains("nothing_to_pay"));
    let details = json!({"holder": "Shop B", "iban": IBAN});
    t.send("PUT", &of(&b, "bank_details"), None, Some(details)).await.expect(200);
    t.settle().await;
    assert_eq!(ask(&t, &b, "now").await.expect(201)["amount"], 36_00);
    t.finish().await;
}
