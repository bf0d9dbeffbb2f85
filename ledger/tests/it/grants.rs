//! What the application's role cannot do, and what not even the owner can.

use partita_ledger::NewCapture;
use partita_postgres::Role;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::{TestLedger, sql_state};

const INSUFFICIENT_PRIVILEGE: &str = "42501";
const APPEND_ONLY: &str = "23001";

/// Runs one statement in a transaction of its own, in this book, and gives its SQLSTATE; empty if it succeeded.
async fn attempt(connection: &mut PgConnection, book: i32, sql: &str) -> String {
    let mut tx = connection.begin().await.expect("a transaction");
    tx.execute(AssertSqlSafe(format!("set local partita.book = '{book}'"))).await.expect("a setting");
    let state = match tx.execute(AssertSqlSafe(sql.to_owned())).await {
        Ok(_) => String::new(),
        Err(error) => sql_state(&error),
    };
    tx.rollback().await.expect("a rollback");
    state
}

#[tokio::test]
async fn the_application_cannot_change_remove_or_redefine_anything() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 100)).await;
    let mut app = ledger.connect(Role::App).await;
    let mut refused = Vec::new();
    let tables = [
        "ledger_books",
        "ledger_lanes",
        "ledger_accounts",
        "ledger_balances",
        "ledger_balance_days",
        "ledger_day_positions",
        "ledger_transactions",
        "ledger_postings",
        "ledger_refusals",
        "ledger_holds",
        "ledger_hold_captures",
        "ledger_hold_releases",
        "ledger_anchors",
        "ledger_verified_positions",
    ];
    for table in tables {
        refused.push(format!("update {table} set book_id = book_id"));
        refused.push(format!("delete from {table}"));
        refused.push(format!("truncate {table} cascade"));
        refused.push(format!("alter table {table} disable trigger all"));
        refused.push(format!("alter table {table} no force row level security"));
        refused.push(format!("drop policy {table}_of_book on {table}"));
        refused.push(format!("alter table {table} add column spare int"));
        refused.push(format!("drop table {table} cascade"));
    }
    refused.extend(
        [
            "update ledger_postings set amount = 1",
            "update ledger_transactions set effective_at = now()",
            "update ledger_accounts set floor = -1",
            "update ledger_balances set floor = -1",
            "update ledger_lanes set open_period = 0",
            "update ledger_holds set amount = 1",
            "update ledger_holds set expires_at = null",
            "update ledger_hold_releases set amount = 1",
            "update ledger_anchors set digest = previous",
            "drop function ledger_place_holds",
            "drop function ledger_post",
            "create or replace function ledger_refuse_change() returns trigger language plpgsql as 'begin return new; end'",
            "create table mine (i int)",
            "insert into ledger_transaction_kinds values (1, 'a', 'b')",
            "set role partita_owner",
            "set session_replication_role = replica",
        ]
        .map(str::to_owned),
    );
    for sql in refused {
        let state = attempt(&mut app, book.get(), &sql).await;
        assert_eq!(state, INSUFFICIENT_PRIVILEGE, "{sql}");
    }
    assert_eq!(ledger.verify(book).await, []);
}

#[tokio::test]
async fn not_even_the_owner_changes_what_was_posted() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 100)).await;
    ledger.post_one(book, ledger.transfer(shop.seller, shop.provider, 101)).await;
    ledger.anchor(book).await;
    let hold = ledger.new_hold(shop.seller, 10);
    ledger.hold_one(book, hold.clone()).await;
    let transaction = ledger.transfer(shop.seller, shop.provider, 5);
    ledger.capture(book, vec![NewCapture { hold: hold.id, transaction }]).await.expect("captured");
    ledger.void(book, hold.id).await;
    let mut owner = ledger.connect(Role::Owner).await;
    for table in [
        "ledger_transactions",
        "ledger_postings",
        "ledger_refusals",
        "ledger_accounts",
        "ledger_hold_captures",
        "ledger_hold_releases",
        "ledger_anchors",
    ] {
        for sql in [
            format!("update {table} set book_id = book_id"),
            format!("delete from {table}"),
            format!("truncate {table} cascade"),
        ] {
            assert_eq!(attempt(&mut owner, book.get(), &sql).await, APPEND_ONLY, "{sql}");
        }
    }
    for sql in [
        "update ledger_holds set amount = amount + 1",
        "update ledger_holds set expires_at = now()",
        "update ledger_holds set account = account + 1",
        "delete from ledger_holds",
        "truncate ledger_holds",
    ] {
        assert_eq!(attempt(&mut owner, book.get(), sql).await, APPEND_ONLY, "{sql}");
    }
    assert_eq!(attempt(&mut owner, book.get(), "update ledger_holds set in_use = true").await, "");
}

#[tokio::test]
async fn another_book_is_out_of_reach() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let (other, _) = ledger.shop().await;
    ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 100)).await;
    ledger.hold_one(book, ledger.new_hold(shop.seller, 10)).await;
    ledger.anchor(book).await;
    for role in [Role::App, Role::Owner] {
        let mut connection = ledger.connect(role).await;
        for table in [
            "ledger_transactions",
            "ledger_postings",
            "ledger_balances",
            "ledger_accounts",
            "ledger_entries",
            "ledger_holds",
            "ledger_anchors",
        ] {
            let mut tx = connection.begin().await.expect("a transaction");
            tx.execute(AssertSqlSafe(format!("set local partita.book = '{other}'"))).await.expect("a setting");
            let count = format!("select count(*) from {table} where book_id = {book}");
            let seen: i64 = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&mut *tx).await.expect("a count");
            assert_eq!(seen, 0, "{role:?} sees {table} of another book");
            tx.rollback().await.expect("a rollback");
        }
        let insert = format!("insert into ledger_lanes (book_id, lane) values ({book}, 99)");
        assert_eq!(attempt(&mut connection, other.get(), &insert).await, INSUFFICIENT_PRIVILEGE);
        let update = format!("update ledger_lanes set seq = 0 where book_id = {book}");
        let mut tx = connection.begin().await.expect("a transaction");
        tx.execute(AssertSqlSafe(format!("set local partita.book = '{other}'"))).await.expect("a setting");
        let updated = tx.execute(AssertSqlSafe(update)).await.expect("no row is in reach");
        assert_eq!(updated.rows_affected(), 0);
        tx.rollback().await.expect("a rollback");
        // A setting that was local to an earlier transaction is empty afterwards, not unset: an error too.
        for (mut session, state) in [(connection, "22P02"), (ledger.connect(role).await, "42704")] {
            let no_book = session.execute("select from ledger_balances").await.expect_err("no book is named");
            assert_eq!(sql_state(&no_book), state, "no book is an error, not an empty answer");
        }
    }
}

#[tokio::test]
async fn a_row_that_breaks_the_shape_cannot_be_written() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let (other, foreign) = ledger.shop().await;
    ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 100)).await;
    ledger.hold_one(book, ledger.new_hold(shop.seller, 10)).await;
    let mut app = ledger.connect(Role::App).await;
    let (a, b) = (shop.provider.get(), shop.seller.get());
    let dollars = crate::support::key(book, "USD", 9).get();
    let (c, d) = (foreign.provider.get(), foreign.seller.get());
    assert_ne!(book, other);
    let posting = |debit: i64, credit: i64, amount: i64| {
        format!("insert into ledger_postings values ({book}, 1, 1, 1, {debit}, {credit}, {amount}, 1)")
    };
    for sql in [
        posting(a, b, 0),
        posting(a, b, -5),
        posting(a, a, 5),
        posting(a, dollars, 5),
        posting(c, b, 5),
        posting(c, d, 5),
        format!("update ledger_balances set checked_balance = -1 where account = {b}"),
        format!("update ledger_balances set debits = -1 where account = {b}"),
        format!("update ledger_balances set held = -1 where account = {b}"),
        "update ledger_holds set remaining = remaining + 1".to_owned(),
        "update ledger_holds set remaining = -1".to_owned(),
        "update ledger_lanes set head = 'x'".to_owned(),
    ] {
        assert_eq!(attempt(&mut app, book.get(), &sql).await, "23514", "{sql}");
    }
}
