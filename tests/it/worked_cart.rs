//! The worked cart of docs/postings.md, to its end: EUR 120.00 = A 60 + B 40 + tax 20, commission 10 %, processor's
//! fee 3.20, topped up, charged, transferred, A paid out, refunded in two steps, reversed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::test_app::{DAY, TestApp, text};

/// Balances by path, EUR minor units.
fn expected(rows: &[(&str, i64)]) -> BTreeMap<String, i64> {
    rows.iter().map(|(path, amount)| (format!("{path} EUR"), *amount)).collect()
}

/// `debit credit amount` of every posting, by transaction kind, with sellers' references.
fn postings(value: &Value, names: &[(String, &str)]) -> Vec<(String, String)> {
    let rows = value["postings"].as_array().expect("a list");
    let account = |value: &Value| names.iter().fold(text(value), |path, (id, name)| path.replace(id.as_str(), name));
    rows.iter()
        .map(|row| {
            let line = format!("{} / {} {}", account(&row["debit"]), account(&row["credit"]), row["amount"]);
            (text(&row["kind"]), line)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worked_cart_gives_exactly_its_postings_and_balances() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 250, 20).await.expect("2.5 % + 0.20");
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "daily").await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    let names = [(text(&a["id"]), "A"), (text(&b["id"]), "B")];

    // 24: the top-up.
    t.top_up("float", 100_00, "EUR").await;
    assert_eq!(t.balances().await, expected(&[("bank", -100_00), ("prov.available", 100_00)]));

    // 1 and 2a: the charge and the processor's fee.
    let body = json!({
        "amount": 120_00, "currency": "EUR", "payment_method": "pm_card_visa", "reference": "order-1",
        "lines": [
            {"seller": a["id"], "amount": 60_00, "tax": {"amount": 12_00}},
            {"seller": b["id"], "amount": 40_00, "tax": {"amount": 8_00}},
        ],
    });
    let payment = t.post("/v1/payments", "order-1", body).await.expect(201);
    assert_eq!(payment["status"], "succeeded");
    t.settle().await;
    let charged = [
        ("bank", -100_00),
        ("prov.available", 100_00),
        ("prov.pending", 116_80),
        ("sel.A.pending", 54_00),
        ("sel.B.pending", 36_00),
        ("tax.payable", 20_00),
        ("rev.commission", 10_00),
        ("exp.processing", 3_20),
    ];
    assert_eq!(t.balances().await, expected(&charged));

    // 3, 4, 4b and 12: available, transferred, A paid out by its schedule.
    t.advance(10 * DAY).await;
    let paid_out = [
        ("bank", -100_00),
        ("prov.available", 126_80),
        ("tax.payable", 20_00),
        ("rev.commission", 10_00),
        ("exp.processing", 3_20),
        ("ext.bank.A", 54_00),
        ("owner.A", 54_00),
        ("conn.available.B", 36_00),
        ("owner.B", 36_00),
    ];
    assert_eq!(t.balances().await, expected(&paid_out));

    // 5, 5b and 6b: 25.00 of A's line and its tax of 5.00 go back, and 22.50 of A's transfer.
    let refund = json!({"payment": payment["id"], "lines": [{"line": 0, "amount": 25_00}]});
    let refund = t.post("/v1/refunds", "ret-1", refund).await.expect(201);
    assert_eq!((&refund["amount"], &refund["status"]), (&json!(30_00), &json!("succeeded")));
    t.settle().await;
    t.reconcile().await;
    let refunded = [
        ("bank", -100_00),
        ("prov.available", 96_80),
        ("prov.reserved", 22_50),
        ("tax.payable", 15_00),
        ("rev.commission", 7_50),
        ("exp.processing", 3_20),
        ("ext.bank.A", 54_00),
        ("owner.A", 31_50),
        ("conn.available.A", -22_50),
        ("conn.available.B", 36_00),
        ("owner.B", 36_00),
    ];
    assert_eq!(t.balances().await, expected(&refunded));

    // 7 and 6b: the rest, 90.00, and both transfers.
    let rest = t.post("/v1/refunds", "ret-2", json!({"payment": payment["id"]})).await.expect(201);
    assert_eq!(rest["amount"], json!(90_00));
    t.settle().await;
    t.reconcile().await;
    let end = [
        ("bank", -100_00),
        ("prov.available", 42_80),
        ("prov.reserved", 54_00),
        ("exp.processing", 3_20),
        ("ext.bank.A", 54_00),
        ("conn.available.A", -54_00),
    ];
    assert_eq!(t.balances().await, expected(&end));

    after_every_row(&t, &names).await;

    let shown = t.get(&format!("/v1/payments/{}/postings", text(&payment["id"]))).await;
    let lines = postings(&shown, &names);
    let of = |kind: &str| -> Vec<&str> {
        lines.iter().filter(|(name, _)| name == kind).map(|(_, line)| line.as_str()).collect()
    };
    assert_eq!(
        of("payment_charged"),
        [
            "prov.pending / sel.A.pending 6000",
            "prov.pending / tax.payable 1200",
            "prov.pending / sel.B.pending 4000",
            "prov.pending / tax.payable 800",
            "sel.A.pending / rev.commission 600",
            "sel.B.pending / rev.commission 400",
            "exp.processing / prov.pending 320",
        ]
    );
    assert_eq!(of("funds_available"), ["prov.available / prov.pending 11680"]);
    assert_eq!(of("shares_released"), ["sel.A.pending / sel.A.available 5400", "sel.B.pending / sel.B.available 3600"]);
    let sorted = |mut lines: Vec<&'static str>| {
        lines.sort_unstable();
        lines
    };
    let of_sorted = |kind: &str| {
        let mut lines = of(kind);
        lines.sort_unstable();
        lines
    };
    assert_eq!(
        of_sorted("transfer_asked"),
        sorted(vec!["sel.A.available / clr.transfer 5400", "sel.B.available / clr.transfer 3600"])
    );
    assert_eq!(
        of_sorted("transfer_confirmed"),
        sorted(vec!["clr.transfer / prov.available 5400", "clr.transfer / prov.available 3600"])
    );
    assert_eq!(
        of_sorted("transfer_arrived"),
        sorted(vec!["conn.available.A / owner.A 5400", "conn.available.B / owner.B 3600"])
    );
    assert_eq!(
        of("refund_asked"),
        [
            "sel.A.available / clr.refund 2500",
            "tax.payable / clr.refund 500",
            "rev.commission / sel.A.available 250",
            "sel.A.available / clr.refund 3500",
            "tax.payable / clr.refund 700",
            "sel.B.available / clr.refund 4000",
            "tax.payable / clr.refund 800",
            "rev.commission / sel.A.available 350",
            "rev.commission / sel.B.available 400",
        ]
    );
    assert_eq!(of("refund_confirmed"), ["clr.refund / prov.available 3000", "clr.refund / prov.available 9000"]);
    assert_eq!(
        of_sorted("reversal_confirmed"),
        sorted(vec![
            "prov.available / sel.A.available 2250",
            "prov.available / sel.A.available 3150",
            "prov.available / sel.B.available 3600",
        ])
    );
    assert_eq!(
        of_sorted("reversal_taken"),
        sorted(vec![
            "owner.A / conn.available.A 2250",
            "owner.A / conn.available.A 3150",
            "owner.B / conn.available.B 3600"
        ])
    );
    t.finish().await;
}

/// A row of the table: after how many transactions of a kind it stands, and what is not zero then; debits are positive.
type Row = (&'static str, usize, &'static [(&'static str, i64)]);

/// What the provider reserves against A's negative account (16b) is counted with what is available, as the table does.
const ROWS: [Row; 9] = [
    (
        "shares_released",
        1,
        &[
            ("bank", -100_00),
            ("exp.processing", 3_20),
            ("prov.available", 216_80),
            ("rev.commission", -10_00),
            ("sel.A.available", -54_00),
            ("sel.B.available", -36_00),
            ("tax.payable", -20_00),
        ],
    ),
    (
        "transfer_arrived",
        2,
        &[
            ("bank", -100_00),
            ("conn.available.A", 54_00),
            ("conn.available.B", 36_00),
            ("exp.processing", 3_20),
            ("owner.A", -54_00),
            ("owner.B", -36_00),
            ("prov.available", 126_80),
            ("rev.commission", -10_00),
            ("tax.payable", -20_00),
        ],
    ),
    (
        "payout_paid",
        1,
        &[
            ("bank", -100_00),
            ("conn.available.B", 36_00),
            ("exp.processing", 3_20),
            ("ext.bank.A", 54_00),
            ("owner.A", -54_00),
            ("owner.B", -36_00),
            ("prov.available", 126_80),
            ("rev.commission", -10_00),
            ("tax.payable", -20_00),
        ],
    ),
    (
        "refund_asked",
        1,
        &[
            ("bank", -100_00),
            ("clr.refund", -30_00),
            ("conn.available.B", 36_00),
            ("exp.processing", 3_20),
            ("ext.bank.A", 54_00),
            ("owner.A", -54_00),
            ("owner.B", -36_00),
            ("prov.available", 126_80),
            ("rev.commission", -7_50),
            ("sel.A.available", 22_50),
            ("tax.payable", -15_00),
        ],
    ),
    (
        "refund_confirmed",
        1,
        &[
            ("bank", -100_00),
            ("conn.available.B", 36_00),
            ("exp.processing", 3_20),
            ("ext.bank.A", 54_00),
            ("owner.A", -54_00),
            ("owner.B", -36_00),
            ("prov.available", 96_80),
            ("rev.commission", -7_50),
            ("sel.A.available", 22_50),
            ("tax.payable", -15_00),
        ],
    ),
    (
        "reversal_taken",
        1,
        &[
            ("bank", -100_00),
            ("conn.available.A", -22_50),
            ("conn.available.B", 36_00),
            ("exp.processing", 3_20),
            ("ext.bank.A", 54_00),
            ("owner.A", -31_50),
            ("owner.B", -36_00),
            ("prov.available", 119_30),
            ("rev.commission", -7_50),
            ("tax.payable", -15_00),
        ],
    ),
    (
        "refund_asked",
        2,
        &[
            ("bank", -100_00),
            ("clr.refund", -90_00),
            ("conn.available.A", -22_50),
            ("conn.available.B", 36_00),
            ("exp.processing", 3_20),
            ("ext.bank.A", 54_00),
            ("owner.A", -31_50),
            ("owner.B", -36_00),
            ("prov.available", 119_30),
            ("sel.A.available", 31_50),
            ("sel.B.available", 36_00),
        ],
    ),
    (
        "refund_confirmed",
        2,
        &[
            ("bank", -100_00),
            ("conn.available.A", -22_50),
            ("conn.available.B", 36_00),
            ("exp.processing", 3_20),
            ("ext.bank.A", 54_00),
            ("owner.A", -31_50),
            ("owner.B", -36_00),
            ("prov.available", 29_30),
            ("sel.A.available", 31_50),
            ("sel.B.available", 36_00),
        ],
    ),
    (
        "reversal_taken",
        3,
        &[
            ("bank", -100_00),
            ("conn.available.A", -54_00),
            ("exp.processing", 3_20),
            ("ext.bank.A", 54_00),
            ("prov.available", 96_80),
        ],
    ),
];

/// Adds up the ledger's transactions in the order of their recording and compares at every row of the table.
async fn after_every_row(t: &TestApp, names: &[(String, &str)]) {
    let mut transactions = t.list("/v1/ledger/transactions").await;
    // Newest first; what was recorded in one millisecond stays in the order of its ids.
    transactions.reverse();
    transactions.sort_by_key(|transaction| text(&transaction["recorded_at"]));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut balances: BTreeMap<String, i64> = BTreeMap::new();
    let mut checked = 0;
    for transaction in transactions {
        for posting in transaction["postings"].as_array().expect("postings") {
            let amount = posting["amount"].as_i64().expect("an amount");
            for (side, signed) in [("debit", amount), ("credit", -amount)] {
                let path = names.iter().fold(text(&posting[side]), |path, (id, name)| path.replace(id.as_str(), name));
                *balances.entry(path.replace("prov.reserved", "prov.available")).or_default() += signed;
            }
        }
        balances.retain(|_, balance| *balance != 0);
        let kind = text(&transaction["kind"]);
        let count = seen.entry(kind.clone()).or_default();
        *count += 1;
        if let Some((_, _, row)) = ROWS.iter().find(|(of, nth, _)| *of == kind && nth == count) {
            let wanted: BTreeMap<String, i64> =
                row.iter().map(|(path, amount)| ((*path).to_owned(), *amount)).collect();
            assert_eq!(balances, wanted, "after {kind} number {count}");
            checked += 1;
        }
    }
    assert_eq!(checked, ROWS.len());
}
