//! Tenancy: no platform, no mode and no role sees or changes what is not its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use partita_db::{BookId, Db, DbError, DbOptions, Scope};
use partita_postgres::Role;
use partita_simulator::NewDispute;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::adjustments::{adjust, adjustment, allow_alone};
use crate::debts;
use crate::doubt::decided_review;
use crate::held_lines::hold;
use crate::reserves::keep_back;
use crate::support::{Tenant, cart, taxed};
use crate::test_app::{DAY, TestApp, text};

/// Tables that are read before the book is known: no row-level security, and no payload.
const ROUTING: &[&str] = &[
    "api_keys",
    "book_timelines",
    "books",
    "due",
    "event_fanout",
    "halted_books",
    "incoming_webhook_endpoints",
    "onboarding_tokens",
    "provider_connections",
];

/// Tables of a book that only grow.
const APPEND_ONLY: &[&str] = &[
    "adjustment_limits",
    "bank_holidays",
    "charge_policies",
    "debt_settlements",
    "dispute_lines",
    "dispute_policies",
    "fee_policy_versions",
    "funding",
    "instant_payout_policies",
    "ledger_accounts",
    "ledger_postings",
    "ledger_refusals",
    "ledger_transactions",
    "operation_history",
    "outbox",
    "payment_discount_parts",
    "payment_discounts",
    "payout_days",
    "payout_schedules",
    "provider_answers",
    "reconciliation_breaks",
    "recovery_policies",
    "refund_lines",
    "release_policies",
    "release_policy_limits",
    "reserve_moves",
    "reserve_policies",
    "reserve_policy_amounts",
    "state_history",
    "webhook_delivery_attempts",
];

/// An object of every resource, by the first part of its path.
async fn one_of_each(t: &TestApp) -> BTreeMap<&'static str, String> {
    // Nobody listens there: the attempts are written down all the same.
    let endpoint = json!({"url": "http://127.0.0.1:9/", "events": ["*"]});
    t.send("POST", "/v1/webhook_endpoints", None, Some(endpoint)).await.expect(201);
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "daily").await;
    t.top_up("float", 200_00, "EUR").await;
    partita::worker::schedule_stuck_money(&t.app).await.expect("scheduled");
    keep_back(
        t,
        json!({"rolling": {"percent_bps": 100, "hold_days": 900}, "fixed": [{"amount": 10, "currency": "EUR"}]}),
    )
    .await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    let account = json!({"holder": "Shop B", "iban": "DE89370400440532013000"});
    t.send("PUT", &format!("/v1/sellers/{}/bank_details", text(&b["id"])), None, Some(account)).await.expect(200);
    let own = json!({"currency": "EUR", "holder": "Fair Market", "iban": "NL91ABNA0417164300"});
    t.send("PUT", "/v1/own_bank_accounts", None, Some(own)).await.expect(200);
    let policy = json!({"release": {"from": "available"}, "countries": [{"country": "DE", "longest_hold_days": 90}]});
    t.send("PUT", "/v1/release_policy", None, Some(policy)).await.expect(200);
    let held = t.pay(cart("order-held", "EUR", &[taxed(&b, 10_00, 2_00)])).await;
    hold(t, &held, 0, "hold").await.expect(200);
    let mut for_less = cart("order-0", "EUR", &[taxed(&b, 10_00, 2_00)]);
    for_less["amount"] = json!(11_00);
    let discount = json!({"type": "discount", "funded_by": "seller", "seller": b["id"], "amount": 1_00});
    for_less["lines"].as_array_mut().expect("lines").push(discount);
    t.pay(for_less).await;
    let payment = t.pay(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00)])).await;
    t.tamper("update provider_movements set available_on = available_on - interval '5 days' where state = 'pending'")
        .await;
    let buyer = t.post("/v1/customers", "buyer", json!({"reference": "buyer"})).await.expect(201);
    let method = json!({"customer": buyer["id"], "token": "pm_card_visa"});
    t.post("/v1/payment_methods", "method", method).await.expect(201);
    t.advance(6 * DAY).await;
    t.post("/v1/payouts", "by-bank", json!({"reference": "by-bank", "seller": b["id"]})).await.expect(201);
    t.post("/v1/bank_files", "file-1", json!({"reference": "file-1", "currency": "EUR"})).await.expect(201);
    t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"], "amount": 30_00})).await.expect(201);
    t.settle().await;
    let policy = json!({"liability": "sellers", "hold": "shares", "tax_relief": false, "fee": "platform"});
    t.send("PUT", "/v1/dispute_policy", None, Some(policy)).await.expect(200);
    t.send("PUT", "/v1/instant_payout_policy", None, Some(json!({"percent_bps": 100}))).await.expect(200);
    t.send("PUT", "/v1/charge_policy", None, Some(json!({"charge_type": "separate"}))).await.expect(200);
    let dispute = NewDispute { amount: Some(10_00), ..NewDispute::of(&text(&payment["provider"]["id"])) };
    t.control.open_dispute(dispute).await.expect("disputed");
    t.settle().await;
    decided_review(t, &a).await;
    allow_alone(t, "EUR", 5_00).await;
    debts::declare(t, 0, 30).await;
    adjust(t, adjustment(&a, "late", "debit", 1_00, "penalty")).await.expect(201);
    debts::end_of_day(t).await;
    adjust(t, adjustment(&a, "sorry", "credit", 1_00, "goodwill")).await.expect(201);
    let closed = json!({"country": "DE", "days": ["2026-12-25"]});
    t.send("PUT", "/v1/bank_holidays", None, Some(closed)).await.expect(200);
    let schedule = json!({"payout_schedule": {"interval": "daily", "time_zone": "UTC"}});
    t.send("PATCH", &format!("/v1/sellers/{}", text(&a["id"])), None, Some(schedule)).await.expect(200);
    t.advance(3 * DAY).await;
    let own = json!({"reference": "own", "amount": 1_00, "currency": "EUR"});
    t.post("/v1/platform_payouts", "own", own).await.expect(201);
    t.settle().await;
    assert_eq!(t.reconcile().await.breaks, 0);
    let mut ids = BTreeMap::new();
    for resource in [
        "sellers",
        "fee_policies",
        "customers",
        "payment_methods",
        "payments",
        "refunds",
        "disputes",
        "transfers",
        "top_ups",
        "payouts",
        "platform_payouts",
        "bank_files",
        "adjustments",
        "debts",
        "stuck_money",
        "reserves",
        "operations",
        "approvals",
        "inbox",
        "ledger/accounts",
        "ledger/transactions",
        "reconciliation/runs",
        "webhook_endpoints",
        "deliveries",
    ] {
        ids.insert(resource, text(&t.list(&format!("/v1/{resource}")).await[0]["id"]));
    }
    ids
}

/// Every route of the contract below `/v1`: method and path.
fn routes() -> Vec<(String, String)> {
    let contract = serde_json::to_value(partita::http::router::contract()).expect("a document");
    let mut routes = Vec::new();
    for (path, item) in contract["paths"].as_object().expect("paths") {
        for method in ["get", "post", "patch", "put", "delete"] {
            if path.starts_with("/v1/") && item.get(method).is_some() {
                routes.push((method.to_uppercase(), path.clone()));
            }
        }
    }
    routes
}

/// A body that the route would take from the object's owner.
fn body_for(method: &str, path: &str) -> Option<Value> {
    match (method, path) {
        // Of a file, whose dispute it is for comes before what kind it is.
        ("GET" | "DELETE", _) | ("POST", "/v1/disputes/{id}/evidence_files") => None,
        ("PATCH", "/v1/fee_policies/{id}") => Some(json!({"percent_bps": 1})),
        ("POST", "/v1/fee_policies/{id}/quote") => Some(json!({"amount": 100, "currency": "EUR"})),
        ("POST", "/v1/fee_policies/{id}/simulate") => {
            Some(json!({"from": "2026-03-01T00:00:00Z", "before": "2026-03-02T00:00:00Z"}))
        }
        ("PATCH", "/v1/sellers/{id}") => Some(json!({"payout_schedule": {"interval": "daily", "time_zone": "UTC"}})),
        ("PATCH", "/v1/webhook_endpoints/{id}") => Some(json!({"status": "disabled"})),
        ("POST", "/v1/adjustments/{id}/reverse") => Some(json!({"reference": "undone", "note": "found"})),
        ("POST", "/v1/debts/{id}/write_off") => Some(json!({"reason": "the shop is gone"})),
        ("POST", "/v1/reserves/{id}/release") => Some(json!({"reason": "they have arrived"})),
        ("PUT", "/v1/sellers/{id}/reserve_policy") => Some(json!({"rolling": {"percent_bps": 1, "hold_days": 1}})),
        ("POST", "/v1/operations/{id}/resolution") => Some(json!({"outcome": "failed", "reason": "no trace of it"})),
        (
            "POST",
            "/v1/payments/{id}/cancel"
            | "/v1/payments/{id}/capture"
            | "/v1/payments/{id}/lines/{n}/hold"
            | "/v1/payments/{id}/lines/{n}/release"
            | "/v1/payment_methods/{id}/detach"
            | "/v1/disputes/{id}/accept"
            | "/v1/payouts/{id}/confirm"
            | "/v1/payouts/{id}/cancel"
            | "/v1/approvals/{id}/approve"
            | "/v1/approvals/{id}/reject"
            | "/v1/inbox/{id}/replay"
            | "/v1/webhook_endpoints/{id}/rotate_secret"
            | "/v1/webhook_endpoints/{id}/test"
            | "/v1/deliveries/{id}/resend",
        ) => Some(json!({})),
        ("PUT", "/v1/sellers/{id}/bank_details") => Some(json!({"holder": "Shop C", "iban": "DE89370400440532013000"})),
        ("POST", "/v1/payouts/{id}/return") => Some(json!({"code": "AC04", "note": "statement of 9 March"})),
        ("POST", "/v1/refunds/{id}/resolution") => Some(json!({"outcome": "reinstated", "reason": "as agreed"})),
        ("POST", "/v1/disputes/{id}/evidence") => Some(json!({"customer_name": "Ada"})),
        ("POST", "/v1/sellers/{id}/unblock_bank_account") => Some(json!({"reason": "it works again"})),
        ("POST", "/v1/sellers/{id}/onboarding_links") => Some(json!({"return_url": "https://market.example/done"})),
        _ => panic!("{method} {path} is new: say here what its owner would send"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_with_an_id_is_404_for_another_platform_and_for_the_other_mode() {
    let t = TestApp::new().await;
    let ids = one_of_each(&t).await;
    let other = t.tenant("other").await;
    let scopes = partita::platforms::SCOPES.iter().map(ToString::to_string).collect();
    let live = partita::platforms::book_of(&t.app, "market", partita::platforms::Mode::Live).await.expect("a book");
    partita::platforms::connect_provider(&t.app, live.id, t.connection().await).await.expect("connected");
    let (_, live) = partita::platforms::create_key(&t.app, &live, "live", scopes, None).await.expect("a key");
    let counts = t.row_counts().await;
    let mut tried = BTreeSet::new();
    for (method, path) in routes().into_iter().filter(|(_, path)| path.contains("{id}")) {
        let resource = path.strip_prefix("/v1/").and_then(|rest| rest.split("/{id}").next()).expect("a resource");
        let id = ids.get(resource).unwrap_or_else(|| panic!("{path} is new: make one of it above"));
        let query = if path.ends_with("/evidence_files") { "?name=receipt.pdf" } else { "" };
        let address = path.replace("{id}", id).replace("{n}", "0") + query;
        for key in [&other.key, &other.live_key, &live] {
            let answer = t.send_as(key, &method, &address, Some("a-key"), body_for(&method, &path)).await;
            assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text());
            assert_eq!(answer.json()["code"], "not_found", "{method} {path}");
        }
        if method == "GET" {
            // The payment has succeeded: its buyer has nothing to do.
            let expected = if path.ends_with("/client_action") { 409 } else { 200 };
            assert_eq!(t.send("GET", &address, None, None).await.status, expected, "{path} for its owner");
        }
        tried.insert(resource.to_owned());
    }
    assert_eq!(tried.len(), ids.len(), "every resource was tried");
    for (path, field, what) in [
        ("/v1/refunds", "#/payment", json!({"payment": ids["payments"]})),
        ("/v1/refunds/preview", "#/payment", json!({"payment": ids["payments"]})),
        ("/v1/payments", "#/lines/0/seller", cart("x", "EUR", &[json!({"seller": ids["sellers"], "amount": 1_00})])),
        ("/v1/payment_methods", "#/customer", json!({"customer": ids["customers"], "token": "pm_card_visa"})),
        ("/v1/payments", "#/payment_method", {
            let mut cart = cart("x", "EUR", &[json!({"type": "platform", "amount": 1_00})]);
            cart["payment_method"] = json!(ids["payment_methods"]);
            cart
        }),
        ("/v1/payments", "#/lines/0/fee_policy", {
            let line = json!({"type": "platform", "amount": 1_00, "fee_policy": ids["fee_policies"]});
            cart("x", "EUR", &[line])
        }),
    ] {
        let problem = t.send_as(&other.key, "POST", path, Some("a-key"), Some(what)).await.expect(422);
        assert_eq!(
            (&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]),
            (&json!(field), &json!("unknown_reference"))
        );
    }
    assert_eq!(t.row_counts().await, counts);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_of_another_platform_is_empty() {
    let t = TestApp::new().await;
    let ids = one_of_each(&t).await;
    let Tenant { key, live_key, .. } = t.tenant("other").await;
    for (method, path) in routes().into_iter().filter(|(method, path)| method == "GET" && !path.contains('{')) {
        for key in [&key, &live_key] {
            let answer = t.send_as(key, &method, &path, None, None).await;
            let shown = answer.text();
            let list = answer.expect(200);
            for name in ["data", "balances", "accounts"] {
                assert!(list[name].as_array().is_none_or(Vec::is_empty), "{path} shows {shown}");
            }
            assert!(ids.values().all(|id| !shown.contains(id.as_str())), "{path} shows {shown}");
        }
        let own = t.send("GET", &path, None, None).await;
        assert_eq!(own.status, 200, "{path}");
    }
    // A filter by somebody else's object finds nothing either, and does not tell that it exists.
    for filter in
        [format!("/v1/payments?seller={}", ids["sellers"]), format!("/v1/refunds?payment={}", ids["payments"])]
    {
        let list = t.send_as(&key, "GET", &filter, None, None).await.expect(200);
        assert_eq!(list["data"], json!([]), "{filter}");
    }
    t.finish().await;
}

async fn tables_with(pool: &sqlx::PgPool, condition: &str) -> BTreeSet<String> {
    let sql = format!(
        "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'public' and c.relkind in ('r', 'p') and ({condition})"
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await.expect("tables").into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_of_a_book_is_shut_without_it_and_empty_in_another() {
    let t = TestApp::new().await;
    one_of_each(&t).await;
    let other = t.tenant("other").await;
    let admin = t.admin().await;
    let of_books = tables_with(
        &admin,
        "exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'book_id' and not a.attisdropped)",
    )
    .await;
    let forced = tables_with(&admin, "c.relrowsecurity and c.relforcerowsecurity").await;
    let open: BTreeSet<String> = of_books.difference(&forced).cloned().collect();
    assert_eq!(open, ROUTING.iter().map(ToString::to_string).collect(), "and no other table is without a policy");

    let app = sqlx::PgPool::connect(&t.database.app_url).await.expect("the application's role");
    for table in &forced {
        let sql = format!("select count(*) from {table}");
        let without = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql.clone())).fetch_one(&app).await;
        let error = without.expect_err("no book is named");
        // Never set, or set once in this session and unset since: an error in both cases, never all rows.
        let told = error.to_string();
        assert!(
            told.contains("partita.book") || told.contains("invalid input syntax for type integer"),
            "{table}: {told}"
        );
        let mut tx = app.begin().await.expect("a transaction");
        let name = format!("set local partita.book = '{}'", other.book.id.get());
        sqlx::query(AssertSqlSafe(name)).execute(&mut *tx).await.expect("set");
        let sql = format!("select count(*) from {table} where book_id = {}", t.book.id.get());
        let seen: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *tx).await.expect("a count");
        assert_eq!(seen, 0, "{table}");
        tx.rollback().await.expect("rolled back");
    }
    // Nor can a row be written into another's book.
    let mut tx = app.begin().await.expect("a transaction");
    sqlx::query(AssertSqlSafe(format!("set local partita.book = '{}'", other.book.id.get())))
        .execute(&mut *tx)
        .await
        .expect("set");
    let sql = format!(
        "insert into state_history (book_id, object_type, object_id, sequence, to_state, actor, at)
         values ({}, 'payment', gen_random_uuid(), 1, 'processing', 'nobody', now())",
        t.book.id.get()
    );
    let refused = sqlx::query(AssertSqlSafe(sql)).execute(&mut *tx).await.expect_err("another's book");
    assert!(refused.to_string().contains("row-level security"), "{refused}");
    tx.rollback().await.expect("rolled back");
    app.close().await;
    admin.close().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_append_only_is_so_for_every_role() {
    let t = TestApp::new().await;
    one_of_each(&t).await;
    let set_book = format!("set local partita.book = '{}'", t.book.id.get());
    for role in [Role::App, Role::Owner, Role::Admin] {
        let pool = sqlx::PgPool::connect(&t.database.url(role)).await.expect("connected");
        for table in APPEND_ONLY {
            for sql in [
                format!("update {table} set book_id = book_id"),
                format!("delete from {table}"),
                format!("truncate {table} cascade"),
            ] {
                let mut tx = pool.begin().await.expect("a transaction");
                sqlx::query(AssertSqlSafe(set_book.clone())).execute(&mut *tx).await.expect("set");
                let done = sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut *tx).await;
                let may_be_empty =
                    ["ledger_refusals", "reconciliation_breaks"].contains(table) && !sql.starts_with("truncate");
                if role == Role::App || !may_be_empty {
                    let Err(error) = done else { panic!("{role:?} may {sql}") };
                    let told = error.to_string();
                    assert!(
                        told.contains("append-only") || told.contains("permission denied"),
                        "{role:?}: {sql}: {told}"
                    );
                }
                tx.rollback().await.expect("rolled back");
            }
        }
        if role == Role::App {
            for sql in [
                "alter table ledger_postings disable trigger all",
                "drop table ledger_postings",
                "create table mine (a integer)",
                "alter table payments no force row level security",
                "set role partita_owner",
                "set session_replication_role = replica",
            ] {
                assert!(sqlx::query(sql).execute(&pool).await.is_err(), "{sql}");
            }
        }
        pool.close().await;
    }
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_refuses_to_work_as_a_stronger_role() {
    let t = TestApp::new().await;
    for role in [Role::Owner, Role::Admin] {
        let refused = Db::connect(&DbOptions::new(t.database.url(role))).await.expect_err("too strong");
        assert!(matches!(refused, DbError::RoleTooStrong { .. }), "{role:?}: {refused}");
    }
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_books_on_a_small_pool_leak_nothing() {
    let t = TestApp::new().await;
    for number in 0..24 {
        partita::platforms::create(&t.app, &format!("market-{number}"), "Market").await.expect("a platform");
    }
    let options = DbOptions { max_connections: 3, ..DbOptions::new(t.database.app_url.clone()) };
    let db = Arc::new(Db::connect(&options).await.expect("connected"));
    let look = |book: BookId, write: bool| {
        let db = Arc::clone(&db);
        async move {
            let seen = db
                .run_tx("look around", Scope::Book(book), move |tx| {
                    Box::pin(async move {
                        let lanes: Vec<i32> = sqlx::query_scalar("select distinct book_id from ledger_lanes")
                            .fetch_all(tx.conn())
                            .await?;
                        if write {
                            sqlx::query("update book_counters set last_seller = last_seller + 1")
                                .execute(tx.conn())
                                .await?;
                        }
                        Ok::<_, DbError>(lanes)
                    })
                })
                .await
                .expect("looked");
            assert_eq!(seen, [book.get()]);
        }
    };
    let books: Vec<BookId> = (1..=50).map(|number| BookId::try_new(number).expect("in range")).collect();
    let work: Vec<_> = (0..20).flat_map(|round| books.iter().map(move |book| (*book, round % 2 == 0))).collect();
    futures::future::join_all(work.into_iter().map(|(book, write)| look(book, write))).await;
    assert_eq!(t.count("select count(*) from book_counters where last_seller <> 10").await, 0, "each wrote in its own");
    db.close().await;
    t.tamper("update book_counters set last_seller = 0").await;
    t.finish().await;
}
