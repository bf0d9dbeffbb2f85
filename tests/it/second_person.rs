//! What one person may not decide alone: about refunds that came back above what is declared for a day, and to recover less of
//! what sellers are short of.

use serde_json::{Value, json};

use crate::debts::ladder;
use crate::doubt::{decide, second_key};
use crate::late_failures::{RETURNED, assert_balances, comes_back, refund_30, resolution, worked_cart};
use crate::support::{cart, item};
use crate::test_app::{Answer, DAY, TestApp, text};

/// About how much of refunds that came back one key may decide alone, as two people declared it.
pub(crate) async fn let_one_decide(t: &TestApp, currency: &str, amount: i64) {
    let body = json!({"currency": currency, "alone_up_to": amount, "reason": "the support team's allowance"});
    let approval = t.send("POST", "/v1/refund_resolution_limits", None, Some(body)).await.expect(201);
    assert_eq!(
        (&approval["kind"], &approval["proposal"]["alone_up_to"]),
        (&json!("refund_resolution_limit"), &json!(amount))
    );
    decide(t, &second_key(t).await, &approval, "approve").await.expect(200);
}

async fn resolve(t: &TestApp, refund: &Value, key: &str, outcome: &str) -> Answer {
    let answer = t.post(&resolution(refund), key, json!({"outcome": outcome, "reason": "as agreed"})).await;
    t.settle().await;
    answer
}

async fn read(t: &TestApp, refund: &Value) -> Value {
    t.get(&format!("/v1/refunds/{}", text(&refund["id"]))).await
}

async fn approval_of(t: &TestApp, refund: &Value) -> Value {
    t.get(&format!("/v1/approvals/{}", text(&refund["approval"]))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn above_the_limit_a_refund_that_came_back_is_decided_by_two_and_stays_owed_until_then() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "manual").await;
    let_one_decide(&t, "EUR", 29_99).await;
    t.advance(4 * DAY).await;
    let before = t.balances().await;
    let refund = comes_back(&t, &refund_30(&t, &payment).await).await;
    let first = t.post(&resolution(&refund), "res-1", json!({"outcome": "paid_from_bank", "reason": "E2E-4711"})).await;
    let again = t.post(&resolution(&refund), "res-1", json!({"outcome": "paid_from_bank", "reason": "E2E-4711"})).await;
    assert_eq!((first.status, &first.bytes), (again.status, &again.bytes));
    let waits = first.expect(202);
    assert_eq!((&waits["status"], &waits["resolution"]), (&json!("returned"), &Value::Null));
    let approval = approval_of(&t, &waits).await;
    assert_eq!(
        (&approval["kind"], &approval["target"]["id"], &approval["proposal"]["outcome"]),
        (&json!("refund_resolution"), &refund["id"], &json!("paid_from_bank"))
    );
    assert_balances(&t, &RETURNED).await;
    assert_eq!(
        resolve(&t, &refund, "res-2", "reinstated").await.expect(409)["code"],
        "state_conflict",
        "one at a time"
    );
    assert_eq!(decide(&t, &t.key, &approval, "approve").await.expect(409)["code"], "approval_of_own_proposal");
    let checker = second_key(&t).await;
    decide(&t, &checker, &approval, "reject").await.expect(200);
    assert_eq!(read(&t, &refund).await["status"], "returned", "the buyer is still owed");
    let expired = resolve(&t, &refund, "res-3", "paid_from_bank").await.expect(202);
    t.advance(DAY).await;
    assert_eq!(approval_of(&t, &expired).await["state"], "expired");
    assert_balances(&t, &RETURNED).await;

    let waits = resolve(&t, &refund, "res-4", "reinstated").await.expect(202);
    let approval = approval_of(&t, &waits).await;
    let halted = "insert into halted_books (book_id, run_id) select book_id, gen_random_uuid() from refunds";
    assert_eq!(t.tamper(halted).await, 1);
    assert_eq!(decide(&t, &checker, &approval, "approve").await.expect(503)["code"], "money_movement_halted");
    assert_eq!(t.tamper("delete from halted_books").await, 1);
    decide(&t, &checker, &approval, "approve").await.expect(200);
    t.settle().await;
    let decided = read(&t, &refund).await;
    let by = &decided["resolution"];
    assert_eq!((&decided["status"], &by["outcome"]), (&json!("failed"), &json!("reinstated")));
    assert!(by["approved_by"].is_string() && by["approved_by"] != by["resolved_by"], "{by:#}");
    assert_eq!(t.balances().await, before, "as if it had never been");
    assert_eq!(decide(&t, &checker, &approval, "approve").await.expect(409)["code"], "state_conflict");
    assert_eq!(
        resolve(&t, &refund, "res-5", "reinstated").await.expect(409)["detail"],
        "A refund that is failed has nothing to be decided."
    );
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_decisions_are_no_way_around_the_limit_of_the_day() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "manual").await;
    let_one_decide(&t, "EUR", 59_99).await;
    t.advance(4 * DAY).await;
    let first = comes_back(&t, &refund_30(&t, &payment).await).await;
    let body = json!({"payment": payment["id"], "lines": [{"line": 0, "amount": 25_00}]});
    let second = t.post("/v1/refunds", "ret-2", body).await.expect(201);
    t.settle().await;
    let second = comes_back(&t, &second).await;
    let (one, other) =
        tokio::join!(resolve(&t, &first, "res-1", "paid_from_bank"), resolve(&t, &second, "res-2", "paid_from_bank"));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 202], "two at once do not both find room");
    t.advance(DAY).await;
    let left = t.list("/v1/refunds?status=returned").await.remove(0);
    resolve(&t, &left, "res-3", "paid_from_bank").await.expect(200);
    assert_eq!(t.balances().await["bank EUR"], -160_00);
    let limits = t.get("/v1/refund_resolution_limits").await;
    assert_eq!((&limits["data"][0]["alone_up_to"], &limits["data"][0]["version"]), (&json!(59_99), &json!(2)));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_decision_is_seen_and_the_database_keeps_two_people_apart() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "manual").await;
    t.advance(4 * DAY).await;
    let refund = comes_back(&t, &refund_30(&t, &payment).await).await;
    resolve(&t, &refund, "res-1", "paid_from_bank").await.expect(200);
    assert_eq!(t.tamper("update refund_resolutions set outcome = 'reinstated'").await, 1);
    let findings = t.findings().await;
    let seen = "a refund that came back is what was decided about it";
    assert!(findings.iter().any(|finding| finding.starts_with(seen)), "{findings:#?}");
    assert_eq!(t.tamper("update refund_resolutions set outcome = 'paid_from_bank'").await, 1);
    let admin = t.admin().await;
    for (sql, constraint) in [
        (
            "insert into refund_resolutions select book_id, gen_random_uuid(), outcome, amount, currency, made_by, made_by, created_at
             from refund_resolutions",
            "refund_resolutions_maker_is_not_checker",
        ),
        ("update refund_resolutions set made_by = 'key_1'", "append-only"),
        ("delete from refund_resolution_limits", "append-only"),
        (
            "insert into refund_resolution_limits select book_id, currency, version + 1, 1, created_by, created_by, created_at
             from refund_resolution_limits",
            "refund_resolution_limits_maker_is_not_checker",
        ),
        (
            "insert into recovery_policies values (1, 1, 'write_off', 0, null, 'x', 'key_1', now(), 'key_1')",
            "recovery_policies_maker_is_not_checker",
        ),
        (
            "insert into payment_captures select o.book_id, o.id, l.payment_id, l.line, 1, 0, 0
             from operations o join payment_lines l on l.book_id = o.book_id where o.kind = 'create_refund' limit 1",
            "a captured share is of the command",
        ),
    ] {
        let refused = sqlx::query(sql).execute(&admin).await.expect_err("refused");
        assert!(format!("{refused:?}").contains(constraint), "{sql}: {refused:?}");
    }
    admin.close().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn captured_shares_are_of_the_payment_that_their_command_captures() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    for reference in ["order-1", "order-2"] {
        let mut body = cart(reference, "EUR", &[item(&a, 10_00)]);
        body["capture_method"] = json!("manual");
        t.post("/v1/payments", reference, body).await.expect(201);
    }
    let payment = t.list("/v1/payments?reference=order-1").await.remove(0);
    t.post(&format!("/v1/payments/{}/capture", text(&payment["id"])), "cap-1", json!({})).await.expect(200);
    let admin = t.admin().await;
    let of_another = "insert into payment_captures
        select o.book_id, o.id, p.id, 0, 1000, 0, 0 from operations o join payments p on p.book_id = o.book_id
        where o.kind = 'capture_payment' and p.id <> o.object_id";
    let refused = sqlx::query(of_another).execute(&admin).await.expect_err("of another payment");
    let constraint = refused.as_database_error().and_then(|error| error.constraint().map(str::to_owned));
    assert_eq!(constraint.as_deref(), Some("payment_captures_of_command"));
    admin.close().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ladder_that_recovers_less_takes_two_people_and_each_declaration_is_told() {
    let t = TestApp::new().await;
    let put = async |ladder: Value| t.send("PUT", "/v1/recovery_policy", None, Some(ladder)).await;
    let told = async || t.list("/v1/events?type=recovery_policy.declared").await;
    let mut sooner = ladder(0, 10);
    sooner["reason"] = json!("small debts are not worth a month");
    let approval = put(sooner.clone()).await.expect(202);
    assert_eq!(
        (&approval["kind"], &approval["reason"], &approval["proposal"]["rungs"][2]["after_days"]),
        (&json!("recovery_policy"), &sooner["reason"], &json!(10))
    );
    assert_eq!(t.get("/v1/recovery_policy").await["version"], 0);
    assert_eq!(put(ladder(1, 30)).await.expect(409)["code"], "state_conflict", "one proposal at a time");
    assert_eq!(decide(&t, &t.key, &approval, "approve").await.expect(409)["code"], "approval_of_own_proposal");
    assert!(told().await.is_empty(), "nothing was declared");
    let checker = second_key(&t).await;
    decide(&t, &checker, &approval, "approve").await.expect(200);
    let holds = t.get("/v1/recovery_policy").await;
    assert_eq!((&holds["version"], &holds["rungs"][2]["after_days"]), (&json!(1), &json!(10)));

    let stricter = put(ladder(0, 40)).await.expect(200);
    assert_eq!((&stricter["version"], &stricter["rungs"][2]["after_days"]), (&json!(2), &json!(40)));
    let rejected = put(ladder(0, 0)).await.expect(202);
    decide(&t, &checker, &rejected, "reject").await.expect(200);
    assert_eq!(t.get("/v1/recovery_policy").await["version"], 2);
    let events = told().await;
    assert_eq!(events.len(), 2, "{events:#?}");
    let (newest, oldest) = (&events[0]["data"]["object"], &events[1]["data"]["object"]);
    assert_eq!((&newest["version"], &newest["approved_by"]), (&json!(2), &Value::Null));
    assert_eq!(&oldest["version"], &json!(1));
    assert!(oldest["approved_by"].is_string() && oldest["approved_by"] != oldest["declared_by"], "{oldest:#}");
    assert_eq!(
        t.count("select count(*) from state_history where object_type = 'recovery_policy' and detail is not null")
            .await,
        2
    );
    let at_once = (0..10).map(|days| put(ladder(0, 41 + days)));
    let mut statuses: Vec<u16> =
        futures::future::join_all(at_once).await.into_iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert!(statuses.iter().all(|status| [200, 202, 409].contains(status)), "{statuses:?}");
    assert!(statuses.iter().filter(|status| **status == 202).count() <= 1, "{statuses:?}");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_has_proposed_is_not_decided_alone_meanwhile() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "manual").await;
    let_one_decide(&t, "EUR", 29_99).await;
    t.advance(4 * DAY).await;
    let refund = comes_back(&t, &refund_30(&t, &payment).await).await;
    let waits = resolve(&t, &refund, "res-1", "reinstated").await.expect(202);
    let_one_decide(&t, "EUR", 100_00).await;
    assert_eq!(resolve(&t, &refund, "res-2", "paid_from_bank").await.expect(409)["code"], "state_conflict");
    assert_eq!(read(&t, &refund).await["status"], "returned");
    let approval = approval_of(&t, &waits).await;
    decide(&t, &second_key(&t).await, &approval, "approve").await.expect(200);
    t.settle().await;
    assert_eq!(read(&t, &refund).await["status"], "failed");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_whose_record_is_gone_is_seen() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "manual").await;
    let_one_decide(&t, "EUR", 100_00).await;
    t.advance(4 * DAY).await;
    for (number, decision) in [("ret-1", "res-1"), ("ret-2", "res-2")] {
        let body = json!({"payment": payment["id"], "lines": [{"line": 0, "amount": 10_00}]});
        let refund = t.post("/v1/refunds", number, body).await.expect(201);
        t.settle().await;
        let refund = comes_back(&t, &refund).await;
        resolve(&t, &refund, decision, "paid_from_bank").await.expect(200);
        t.advance(60).await;
    }
    assert_eq!(t.findings().await, Vec::<String>::new());
    let last = "delete from refund_resolutions where created_at = (select max(created_at) from refund_resolutions)";
    assert_eq!(t.tamper(last).await, 1);
    let findings = t.findings().await;
    assert!(findings.iter().any(|finding| finding.contains("settled, by nobody")), "{findings:#?}");
    t.close().await;
}
