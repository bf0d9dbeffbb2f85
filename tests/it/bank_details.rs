//! Bank accounts that sellers are paid to by bank file: read with care, never in clear, sealed anew.

use partita::app::{App, RESEND_UP_TO, Secrets};
use partita::clock::Clock;
use partita::id::BankFileId;
use partita::payouts::bank;
use partita_db::{Db, DbOptions, Vault};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::bank_payouts::{IBAN, ask, by_bank, make_file, of, own_account, sold_40};
use crate::reserves::market;
use crate::test_app::{TestApp, egress, secrets, text};

#[tokio::test(flavor = "multi_thread")]
async fn bank_details_are_nowhere_in_clear() {
    let t = TestApp::new().await;
    let (a, _) = sold_40(&t).await;
    ask(&t, &a, "one").await.expect(201);
    let file = make_file(&t, "file-1").await.expect(201);
    for shown in [t.get(&of(&a, "bank_details")).await, t.get("/v1/own_bank_accounts").await, file] {
        assert!(!shown.to_string().contains("0440532") && !shown.to_string().contains("0417164"), "{shown:#}");
    }
    let admin = t.admin().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "select quote_ident(table_name) from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'",
    )
    .fetch_all(&admin)
    .await
    .expect("tables");
    assert!(tables.len() > 50);
    for table in tables {
        let sql = format!(
            "select count(*) from {table} r where r::text ~ '37040044|0417164300|Shop' and '{table}' <> 'sellers'"
        );
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&admin).await.expect("a count");
        assert_eq!(found, 0, "{table}");
    }
    admin.close().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_bank_account_is_refused_and_changes_nothing() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    let before = t.row_counts().await;
    for (body, pointer) in [
        (json!({"holder": "Shop A", "iban": "DE89370400440532013001"}), "#/iban"),
        (json!({"holder": "Shop A", "iban": "DE8937040044053201300"}), "#/iban"),
        (json!({"holder": "Κατάστημα", "iban": IBAN}), "#/holder"),
        (json!({"holder": "Shop A", "iban": IBAN, "bic": "COBA1EFF"}), "#/bic"),
        (json!({"holder": "Shop A"}), "#/iban"),
        (json!({"holder": "Shop A", "iban": IBAN, "swift": "COBADEFF"}), "#/swift"),
    ] {
        let refused = t.send("PUT", &of(&a, "bank_details"), None, Some(body.clone())).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{body}: {refused:#}");
        assert!(!refused.to_string().contains("37040044"), "{refused:#}");
    }
    assert_eq!(make_file(&t, "file-1").await.expect(409)["code"], "state_conflict");
    let late = json!({"reference": "late", "currency": "EUR", "execute_on": "2026-02-28"});
    assert_eq!(t.post("/v1/bank_files", "late", late).await.expect(422)["errors"][0]["pointer"], "#/execute_on");
    assert_eq!(t.row_counts().await, before);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_account_again_is_no_new_version() {
    let t = TestApp::new().await;
    let a = by_bank(&t).await;
    let before = t.row_counts().await;
    for (path, body) in [
        ("/v1/own_bank_accounts".to_owned(), own_account("EUR")),
        (of(&a, "bank_details"), json!({"holder": "Shop Ä", "iban": IBAN})),
    ] {
        assert_eq!(t.send("PUT", &path, None, Some(body)).await.expect(200)["version"], 1, "{path}");
    }
    assert_eq!(t.row_counts().await, before);
    let mut moved = own_account("EUR");
    moved["holder"] = json!("Fair Market Ltd");
    assert_eq!(t.send("PUT", "/v1/own_bank_accounts", None, Some(moved)).await.expect(200)["version"], 2);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_encryption_key_seals_details_and_files_anew_and_reads_them_as_they_were() {
    let t = TestApp::new().await;
    let (a, _) = sold_40(&t).await;
    ask(&t, &a, "one").await.expect(201);
    let file = text(&make_file(&t, "file-1").await.expect(201)["id"]);
    let made = t.send("GET", &format!("/v1/bank_files/{file}/file"), None, None).await.text();
    let keys = "2:f0e1d2c3b4a5968778695a4b3c2d1e0f00112233445566778899aabbccddeeff \
                1:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let vault = Vault::parse(&SecretString::from(keys)).expect("keys");
    let db = Db::connect(&DbOptions::new(t.database.app_url.clone())).await.expect("connected");
    let clock = Clock::Driven(t.clock.clone());
    let app = App::new(db, clock, Secrets { vault, ..secrets() }, egress(), RESEND_UP_TO);
    assert_eq!(bank::reseal(&app, t.book.id).await.expect("sealed"), 3, "A's account, ours, and the file");
    assert_eq!(bank::reseal(&app, t.book.id).await.expect("sealed"), 0);
    let under_the_new_one = "select (select count(*) from seller_bank_details where key_version = 2)
                                  + (select count(*) from own_bank_accounts where key_version = 2)
                                  + (select count(*) from bank_files where key_version = 2)";
    assert_eq!(t.count(under_the_new_one).await, 3);
    let id = BankFileId::parse(&file).expect("an id");
    let read = bank::read_file(&app, t.book.id, id).await.expect("read").expect("there");
    assert_eq!(read.expose_secret(), made);
    // Bytes that are not those that were made are not given to a bank.
    t.tamper("update bank_files set digest = sha256('other')").await;
    bank::read_file(&app, t.book.id, id).await.expect_err("seen");
    app.db.close().await;
    t.close().await;
}
