//! What may follow what: the database's table is the drawn one, it refuses every other change, and every request that a
//! state does not allow is answered by 409 that names the state.

use std::collections::BTreeSet;

use partita::outbox::LIFECYCLES;
use serde_json::{Value, json};

use crate::adjustments::{adjust, adjustment};
use crate::disputes::{at_provider, dispute_at_provider, the_dispute};
use crate::doubt::{decide, second_key};
use crate::support::{cart, item, paid_with};
use crate::test_app::{Answer, DAY, TestApp, text};

/// The ways of a kind of objects, as rows of a table of transitions: empty for nothing before.
fn drawn(object_type: &str) -> BTreeSet<(String, String)> {
    let lifecycle = LIFECYCLES.iter().find(|one| one.object_type == object_type).expect("there is such a lifecycle");
    let row = |from: Option<&str>, to: &str| (from.unwrap_or_default().to_owned(), to.to_owned());
    lifecycle.steps.iter().map(|step| row(step.from, step.to)).collect()
}

async fn rows<T>(t: &TestApp, sql: &'static str) -> BTreeSet<T>
where
    T: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> + Ord + Send + Unpin,
{
    let admin = t.admin().await;
    sqlx::query_as(sql).fetch_all(&admin).await.expect("rows").into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_allows_what_is_drawn_and_nothing_else() {
    let t = TestApp::new().await;
    let of_histories: BTreeSet<(String, String, String)> = rows(
        &t,
        "select object_type, from_state, to_state from state_changes_allowed where object_type <> 'operation'",
    )
    .await;
    let own_tables = ["operation", "inbox_event"];
    let expected = LIFECYCLES.iter().map(|one| one.object_type).filter(|object| !own_tables.contains(object));
    let expected =
        expected.flat_map(|object| drawn(object).into_iter().map(move |(from, to)| (object.to_owned(), from, to)));
    assert_eq!(of_histories, expected.collect());

    let mut commands: BTreeSet<(String, String)> =
        rows(&t, "select from_state, to_state from operation_transitions").await;
    commands.extend(["planned", "submitting"].map(|first| (String::new(), first.to_owned())));
    assert_eq!(commands, drawn("operation"));
    let told: BTreeSet<(String, String)> =
        rows(&t, "select from_state, to_state from state_changes_allowed where object_type = 'operation'").await;
    assert!(told.is_subset(&commands), "{told:?}");
    let mut received: BTreeSet<(String, String)> =
        rows(&t, "select from_state, to_state from inbox_event_transitions").await;
    received.insert((String::new(), "received".to_owned()));
    assert_eq!(received, drawn("inbox_event"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_not_drawn_cannot_be_written_down() {
    let t = TestApp::new().await;
    let admin = t.admin().await;
    let write = async |object: &str, from: Option<&str>, to: &str| {
        sqlx::query(
            "insert into state_history (book_id, object_type, object_id, sequence, from_state, to_state, actor, at)
             values ($1, $2, gen_random_uuid(), 1, $3, $4, 'system', now())",
        )
        .bind(t.book.id.get())
        .bind(object)
        .bind(from)
        .bind(to)
        .execute(&admin)
        .await
    };
    for (object, from, to) in [
        ("payment", Some("succeeded"), "processing"),
        ("payment", None, "succeeded"),
        ("refund", Some("settled"), "failed"),
        ("payout", Some("failed"), "paid"),
        ("dispute", Some("won"), "lost"),
        ("debt", Some("written_off"), "open"),
        ("unicorn", None, "open"),
        ("unicorn", Some("open"), "open"),
        ("payment", Some("levitating"), "levitating"),
    ] {
        let refused = write(object, from, to).await.expect_err("not drawn");
        let refused = refused.as_database_error().expect("the database refuses");
        assert_eq!(refused.constraint(), Some("state_history_change_is_allowed"), "{object} {from:?} {to}: {refused}");
    }
    write("payment", Some("succeeded"), "succeeded").await.expect("something else of it changed");
    write("payment", Some("succeeded"), "failed").await.expect("a bank took it back");
}

/// The answer is a conflict whose sentence names the state, and nothing was stored for it.
async fn names_the_state(t: &TestApp, path: &str, body: Value, state: &str) {
    let counts = t.row_counts().await;
    let answer = t.post(path, &format!("{path}:{state}"), body).await;
    conflict(path, answer, state);
    assert_eq!(t.row_counts().await, counts, "{path}: nothing was stored");
}

fn conflict(path: &str, answer: Answer, state: &str) {
    let problem = answer.expect(409);
    assert_eq!(problem["code"], "state_conflict", "{path}: {problem:#}");
    let words: BTreeSet<String> =
        text(&problem["detail"]).split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned).collect();
    assert!(words.contains(state), "{path}: {} does not name {state}", problem["detail"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_state_of_a_payment_does_not_allow_is_refused_by_its_name() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let paid_by = async |reference: &str, method: &str, capture: &str| {
        let mut body = paid_with(cart(reference, "EUR", &[item(&a, 20_00)]), method);
        body["capture_method"] = json!(capture);
        let answer = t.post("/v1/payments", reference, body).await;
        t.settle().await;
        let id = text(&t.list(&format!("/v1/payments?reference={reference}")).await[0]["id"]);
        (answer.status, id)
    };
    let (_, succeeded) = paid_by("succeeded", "pm_card_visa", "automatic").await;
    let (_, failed) = paid_by("failed", "pm_card_chargeDeclined", "automatic").await;
    let (_, requires_action) = paid_by("requires_action", "pm_card_authenticationRequired", "automatic").await;
    let (_, authorized) = paid_by("authorized", "pm_card_visa", "manual").await;
    let (_, canceled) = paid_by("canceled", "pm_card_visa", "manual").await;
    t.post(&format!("/v1/payments/{canceled}/cancel"), "cancel", json!({})).await.expect(200);
    t.settle().await;
    // Every command in every state that does not allow it; the others are what captures and refunds are tested for.
    for (id, state, captured, given_up, refunded) in [
        (&succeeded, "succeeded", false, false, true),
        (&failed, "failed", false, false, false),
        (&requires_action, "requires_action", false, true, false),
        (&authorized, "authorized", true, true, false),
        (&canceled, "canceled", false, false, false),
    ] {
        assert_eq!(t.get(&format!("/v1/payments/{id}")).await["status"], state);
        if !captured {
            names_the_state(&t, &format!("/v1/payments/{id}/capture"), json!({}), state).await;
        }
        if !given_up {
            names_the_state(&t, &format!("/v1/payments/{id}/cancel"), json!({}), state).await;
        }
        if !refunded {
            names_the_state(&t, "/v1/refunds", json!({"payment": id}), state).await;
            let preview = t.send("POST", "/v1/refunds/preview", None, Some(json!({"payment": id}))).await;
            conflict("/v1/refunds/preview", preview, state);
        }
    }
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_cannot_be_decided_again_and_says_how_it_ended() {
    let t = TestApp::new().await;
    t.top_up("float", 200_00, "EUR").await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let sold = t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    let disputed = t.pay(cart("order-2", "EUR", &[item(&a, 20_00)])).await;
    t.advance(4 * DAY).await;

    let refund = t.post("/v1/refunds", "ret-1", json!({"payment": sold["id"], "amount": 10_00})).await.expect(201);
    t.settle().await;
    let path = format!("/v1/refunds/{}/resolution", text(&refund["id"]));
    let decision = json!({"outcome": "reinstated", "reason": "the account is closed"});
    names_the_state(&t, &path, decision, "succeeded").await;

    let at_bank = dispute_at_provider(&t, at_provider(&disputed)).await;
    t.settle().await;
    t.control.decide_dispute(&at_bank, "won").await.expect("decided");
    t.settle().await;
    let dispute = text(&the_dispute(&t).await["id"]);
    names_the_state(&t, &format!("/v1/disputes/{dispute}/evidence"), json!({"customer_name": "Ada"}), "won").await;
    names_the_state(&t, &format!("/v1/disputes/{dispute}/accept"), json!({}), "won").await;

    let checker = second_key(&t).await;
    for (word, ended) in [("approve", "approved"), ("reject", "rejected")] {
        let proposed = adjust(&t, adjustment(&a, word, "credit", 5_00, "goodwill")).await.expect(202);
        let approval = t.get(&format!("/v1/approvals/{}", text(&proposed["approval"]))).await;
        decide(&t, &checker, &approval, word).await.expect(200);
        for again in ["approve", "reject"] {
            conflict(again, decide(&t, &checker, &approval, again).await, ended);
        }
        if ended == "rejected" {
            let path = format!("/v1/adjustments/{}/reverse", text(&proposed["id"]));
            let undo = json!({"reference": "undo", "note": "never booked"});
            names_the_state(&t, &path, undo, "rejected").await;
        }
    }

    let kept = json!({
        "seller": a["id"], "amount": 5_00, "currency": "EUR", "reason": "orders are late", "release_on": "2026-06-01",
    });
    let kept = t.post("/v1/reserves", "kept", kept).await.expect(201);
    let path = format!("/v1/reserves/{}/release", text(&kept["id"]));
    t.post(&path, "first", json!({"reason": "all arrived"})).await.expect(200);
    t.settle().await;
    names_the_state(&t, &path, json!({"reason": "all arrived"}), "released").await;

    let operation = t.list("/v1/operations?state=succeeded").await.remove(0);
    let path = format!("/v1/operations/{}/resolution", text(&operation["id"]));
    let proposal = json!({"outcome": "failed", "reason": "not in the dashboard"});
    names_the_state(&t, &path, proposal, "succeeded").await;

    let event = t.list("/v1/inbox?state=applied").await.remove(0);
    let replay = format!("/v1/inbox/{}/replay", text(&event["id"]));
    conflict(&replay, t.send("POST", &replay, None, None).await, "applied");
    t.finish().await;
}
