//! Fee policies as ordered rules: which rule prices a line, from when a version holds, what tiers count, what is told.

use serde_json::{Value, json};

use crate::support::{cart, item, paid_with};
use crate::test_app::{DAY, TestApp, text};

/// A default policy with these rules.
async fn policy(t: &TestApp, reference: &str, rules: Value) -> Value {
    let body = json!({"reference": reference, "name": "By rules", "default": true, "rules": rules});
    t.post("/v1/fee_policies", reference, body).await.expect(201)
}

fn path(policy: &Value, rest: &str) -> String {
    format!("/v1/fee_policies/{}{rest}", text(&policy["id"]))
}

/// Commission and rule of each line.
fn priced(payment: &Value) -> Vec<(i64, Option<i64>)> {
    let lines = payment["lines"].as_array().expect("lines");
    lines.iter().map(|line| (line["commission"].as_i64().expect("an amount"), line["fee_rule"].as_i64())).collect()
}

async fn explained(t: &TestApp, payment: &Value) -> Vec<(String, String)> {
    let explanation = t.get(&format!("/v1/payments/{}/explain", text(&payment["id"]))).await;
    assert_eq!((&explanation["object"], &explanation["payment"]), (&json!("payment_explanation"), &payment["id"]));
    let lines = explanation["lines"].as_array().expect("lines");
    lines.iter().map(|line| (text(&line["fee"]), text(&line["shares"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_rule_that_is_for_a_line_prices_it_and_says_so() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let b = t.seller("B", "FR", "EUR", "manual").await;
    let rules = json!([
        {"when": {"types": ["tip"]}, "price": {"percent_bps": 0}},
        {"name": "books from Germany", "when": {"countries": ["DE"], "categories": ["books"]},
         "price": {"percent_bps": 1_000, "amounts": {"EUR": {"fixed": 30, "minimum": 50}}}},
        {"name": "large", "when": {"amounts": {"EUR": {"from": 100_00}}, "currencies": ["EUR"]}, "price": {"percent_bps": 500}},
        {"when": {"sellers": [b["id"]]}, "price": {"percent_bps": 1_250, "amounts": {"EUR": {"maximum": 5_00}}}},
    ]);
    let made = policy(&t, "standard", rules.clone()).await;
    assert_eq!(
        (&made["percent_bps"], &made["amounts"], &made["rules"][1]["name"]),
        (&json!(null), &json!(null), &rules[1]["name"])
    );
    let line = |seller: &Value, amount: i64, more: Value| {
        let mut line = item(seller, amount);
        line.as_object_mut().expect("a line").extend(more.as_object().expect("fields").clone());
        line
    };
    let lines = [
        line(&a, 60_00, json!({"category": "books", "tax": {"amount": 12_00}})),
        line(&a, 5_00, json!({"type": "tip", "category": "books"})),
        line(&b, 200_00, json!({"category": "books"})),
        line(&b, 50_00, json!({"category": "toys"})),
        line(&a, 10_00, json!({"type": "shipping"})),
        json!({"type": "platform", "amount": 3_00}),
    ];
    let payment = t.pay(cart("order-1", "EUR", &lines)).await;
    let expected = [(6_30, Some(2)), (0, Some(1)), (10_00, Some(3)), (5_00, Some(4)), (0, None), (0, None)];
    assert_eq!(priced(&payment), expected);
    assert_eq!(payment["lines"][4]["fee_policy"], made["id"], "the policy had no rule for it");
    assert_eq!(payment["lines"][5]["fee_policy"], json!(null));

    let words = explained(&t, &payment).await;
    let fees: Vec<&str> = words.iter().map(|(fee, _)| fee.as_str()).collect();
    assert_eq!(
        fees,
        [
            "10 % of 60.00 EUR is 6.00, plus 0.30, at least 0.50: 6.30 by rule 2 'books from Germany' of policy standard, \
             version 1.",
            "0 % of 5.00 EUR is 0.00: 0.00 by rule 1 of policy standard, version 1.",
            "5 % of 200.00 EUR is 10.00: 10.00 by rule 3 'large' of policy standard, version 1.",
            "12.5 % of 50.00 EUR is 6.25, at most 5.00: 5.00 by rule 4 of policy standard, version 1.",
            "No rule of policy standard, version 1, is for this line: no commission.",
            "The line is the platform's own: no commission.",
        ]
    );
    assert_eq!(
        words[0].1,
        "The buyer pays 72.00 EUR: 60.00 EUR net and 12.00 EUR tax. Seller A gets 53.70 EUR; the platform keeps 6.30 EUR \
         commission and 12.00 EUR tax, owed to the state."
    );
    assert_eq!(words[5].1, "The buyer pays 3.00 EUR. The platform gets 3.00 EUR.");

    t.top_up("float", 300_00, "EUR").await;
    let refund = json!({"payment": payment["id"], "lines": [{"line": 0, "amount": 30_00}]});
    t.post("/v1/refunds", "ret-1", refund).await.expect(201);
    let after = explained(&t, &payment).await;
    assert_eq!(after[0].0, words[0].0, "how it was priced does not change");
    assert!(
        after[0].1.ends_with(
            "Of that, 30.00 EUR and 6.00 EUR tax went back to the buyer. The platform returned 3.15 EUR of its commission."
        ),
        "{}",
        after[0].1
    );
    t.settle().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_holds_from_its_time_on_and_the_latest_begun_wins() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let made = t.default_fee(1_000).await;
    let change = async |terms: Value| t.send("PATCH", &path(&made, ""), None, Some(terms)).await;
    let after = |seconds: i64| {
        let time = t.clock.now() + jiff::SignedDuration::from_secs(seconds);
        json!(time.to_string())
    };
    let planned = change(json!({"percent_bps": 2_000, "valid_from": after(2 * DAY)})).await.expect(200);
    let shown = (&planned["version"], &planned["newest_version"], &planned["percent_bps"]);
    assert_eq!(shown, (&json!(1), &json!(2), &json!(1_000)), "the first still holds");
    let pay = async |reference: &str| {
        let payment = t.pay(cart(reference, "EUR", &[item(&a, 10_00)])).await;
        (payment["lines"][0]["fee_policy_version"].clone(), payment["lines"][0]["commission"].clone())
    };
    t.advance(2 * DAY - 1).await;
    assert_eq!(pay("order-1").await, (json!(1), json!(1_00)), "a second before");
    t.advance(1).await;
    assert_eq!(pay("order-2").await, (json!(2), json!(2_00)), "at its time");
    assert_eq!(t.get(&path(&made, "")).await["version"], 2);

    // Two that begin together: the newer. One that begins now holds until a planned one begins.
    let at = after(3 * DAY);
    change(json!({"percent_bps": 3_000, "valid_from": at})).await.expect(200);
    change(json!({"percent_bps": 3_500, "valid_from": at})).await.expect(200);
    let now = change(json!({"percent_bps": 500})).await.expect(200);
    assert_eq!((&now["version"], &now["newest_version"]), (&json!(5), &json!(5)));
    assert_eq!(pay("order-3").await, (json!(5), json!(50)));
    t.advance(3 * DAY).await;
    assert_eq!(pay("order-4").await, (json!(4), json!(3_50)));

    let counts = t.row_counts().await;
    let refused = change(json!({"percent_bps": 1, "valid_from": after(-1)})).await.expect(422);
    assert_eq!(refused["errors"][0]["pointer"], "#/valid_from");
    assert_eq!(t.row_counts().await, counts);

    let versions = t.list(&path(&made, "/versions")).await;
    let shown: Vec<_> = versions.iter().map(|row| (row["version"].as_i64(), row["percent_bps"].as_i64())).collect();
    assert_eq!(
        shown,
        [(5, 500), (4, 3_500), (3, 3_000), (2, 2_000), (1, 1_000)].map(|(version, bps)| (Some(version), Some(bps)))
    );
    assert_eq!(versions[1]["valid_from"], versions[2]["valid_from"]);
    assert!(text(&versions[0]["created_by"]).starts_with("key_"));
    let first = t.get(&path(&made, "/versions?limit=2")).await;
    let next = format!("/versions?limit=2&cursor={}", text(&first["next_cursor"]));
    assert_eq!(t.get(&path(&made, &next)).await["data"][0]["version"], 3);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tiers_count_what_a_seller_has_sold_in_the_month() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    let tiers = json!({"EUR": [{"from": 100_00, "percent_bps": 500}, {"from": 200_00, "percent_bps": 200}]});
    policy(&t, "tiered", json!([{"price": {"percent_bps": 1_000, "tiers": tiers}}])).await;

    let first = t.pay(cart("order-1", "EUR", &[item(&a, 60_00), item(&a, 39_50)])).await;
    assert_eq!(priced(&first), [(6_00, Some(1)), (3_95, Some(1))], "lines of a cart do not count for each other");
    let declined = paid_with(cart("order-2", "EUR", &[item(&a, 50_00)]), "pm_card_visa_chargeDeclined");
    t.post("/v1/payments", "order-2", declined).await.expect(402);
    let second = t.pay(cart("order-3", "EUR", &[item(&a, 50)])).await;
    assert_eq!(
        explained(&t, &second).await[0].0,
        "10 % (sales of the month below 100.00; 99.50 so far) of 0.50 EUR is 0.05: 0.05 by rule 1 of policy tiered, version 1."
    );
    let third = t.pay(cart("order-4", "EUR", &[item(&a, 100_00), item(&b, 100_00)])).await;
    assert_eq!(priced(&third), [(5_00, Some(1)), (10_00, Some(1))], "each seller has a volume of its own");

    t.top_up("float", 300_00, "EUR").await;
    t.post("/v1/refunds", "ret-1", json!({"payment": third["id"]})).await.expect(201);
    t.settle().await;
    let fourth = t.pay(cart("order-5", "EUR", &[item(&a, 100_00)])).await;
    assert_eq!(priced(&fourth), [(2_00, Some(1))], "a tier that was reached stays");
    let explanation = t.get(&format!("/v1/payments/{}/explain", text(&fourth["id"]))).await;
    assert_eq!(explanation["lines"][0]["fee_volume"], 200_00);

    // It is March; with the first second of April every volume begins at nothing.
    t.advance(30 * DAY).await;
    let fifth = t.pay(cart("order-6", "EUR", &[item(&a, 100_00)])).await;
    assert_eq!(priced(&fifth), [(10_00, Some(1))]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_is_what_a_payment_would_cost() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let dollars = t.seller("C", "US", "USD", "manual").await;
    let rules = json!([
        {"name": "German books", "when": {"countries": ["DE"], "categories": ["books"]}, "price": {"percent_bps": 800}},
        {"price": {"percent_bps": 1_000, "tiers": {"EUR": [{"from": 50_00, "percent_bps": 900}]}}},
    ]);
    let made = policy(&t, "standard", rules).await;
    let line = json!({"seller": a["id"], "amount": 60_00, "category": "books"});
    let lines = [line, item(&a, 40_00)];
    t.pay(cart("order-1", "EUR", &lines)).await;
    let counts = t.row_counts().await;
    let ask = async |body: Value| t.send("POST", &path(&made, "/quote"), None, Some(body)).await;

    let quote = ask(json!({"currency": "EUR", "lines": lines})).await.expect(200);
    assert_eq!((&quote["amount"], &quote["commission"]), (&json!(100_00), &json!(8_40)));
    assert_eq!(t.row_counts().await, counts, "nothing is stored");
    let payment = t.pay(cart("order-2", "EUR", &lines)).await;
    let quoted: Vec<_> =
        (0..2_usize).map(|n| (quote["lines"][n]["commission"].clone(), quote["lines"][n]["rule"].clone())).collect();
    let paid: Vec<_> = (0..2_usize)
        .map(|n| (payment["lines"][n]["commission"].clone(), payment["lines"][n]["fee_rule"].clone()))
        .collect();
    assert_eq!(quoted, paid);
    let words: Vec<String> = explained(&t, &payment).await.into_iter().map(|(fee, _)| fee).collect();
    assert_eq!(words, [text(&quote["lines"][0]["explanation"]), text(&quote["lines"][1]["explanation"])]);

    let counts = t.row_counts().await;
    let short = ask(json!({"amount": 60_00, "currency": "EUR"})).await.expect(200);
    assert_eq!(
        (&short["commission"], &short["lines"][0]["rule"]),
        (&json!(6_00), &json!(2)),
        "for nobody in particular"
    );
    let one =
        ask(json!({"amount": 60_00, "currency": "EUR", "seller": a["id"], "category": "books"})).await.expect(200);
    assert_eq!((&one["commission"], &one["lines"][0]["rule"]), (&json!(4_80), &json!(1)));
    let nobody = "slr_01h455vb4pex5vsknk084sn02q";
    for (body, pointer, code) in [
        (json!({"currency": "EUR"}), "#/amount", "missing"),
        (json!({"amount": 1, "currency": "EUR", "lines": [{"amount": 1}]}), "#/amount", "not_allowed"),
        (json!({"currency": "EUR", "lines": []}), "#/lines", "too_short"),
        (json!({"currency": "EUR", "lines": vec![json!({"amount": 1}); 201]}), "#/lines", "too_long"),
        (json!({"amount": 1, "currency": "EUR", "seller": nobody}), "#/seller", "unknown_reference"),
        (
            json!({"currency": "EUR", "lines": [{"amount": 1}, {"amount": 1, "seller": nobody}]}),
            "#/lines/1/seller",
            "unknown_reference",
        ),
        (json!({"amount": 1, "currency": "EUR", "seller": dollars["id"]}), "#/seller", "currency_mismatch"),
        (json!({"amount": 1, "currency": "EUR", "type": "platform"}), "#/type", "invalid_value"),
    ] {
        let problem = ask(body.clone()).await.expect(422);
        assert_eq!(
            (&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]),
            (&json!(pointer), &json!(code)),
            "{body}"
        );
    }
    assert_eq!(t.row_counts().await, counts);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_says_what_a_period_would_have_cost_and_changes_nothing() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let c = t.seller("C", "US", "USD", "manual").await;
    let other = json!({"reference": "other", "name": "Other", "percent_bps": 100});
    let other = t.post("/v1/fee_policies", "other", other).await.expect(201);
    let made = t.default_fee(1_000).await;
    t.pay(cart("order-0", "EUR", &[item(&a, 60_00)])).await;
    t.advance(DAY).await;
    let from = t.clock.now().to_string();
    let book = json!({"seller": a["id"], "amount": 100_00, "category": "books"});
    let elsewhere = json!({"seller": a["id"], "amount": 10_00, "fee_policy": other["id"]});
    t.pay(cart("order-1", "EUR", &[book.clone(), item(&a, 50_00), elsewhere])).await;
    t.pay(cart("order-2", "USD", &[item(&c, 20_00)])).await;
    let declined = paid_with(cart("order-3", "EUR", &[item(&a, 50_00)]), "pm_card_visa_chargeDeclined");
    t.post("/v1/payments", "order-3", declined).await.expect(402);
    t.advance(1).await;
    let before = t.clock.now().to_string();
    t.pay(cart("order-4", "EUR", &[item(&a, 70_00)])).await;
    t.send("PATCH", &path(&made, ""), None, Some(json!({"percent_bps": 2_000}))).await.expect(200);

    let counts = t.row_counts().await;
    let simulate = async |mut body: Value| {
        if body.get("from").is_none() {
            body["from"] = json!(from);
        }
        if body.get("before").is_none() {
            body["before"] = json!(before);
        }
        t.send("POST", &path(&made, "/simulate"), None, Some(body)).await
    };
    let totals = |found: &Value| -> Vec<(String, i64, i64, i64)> {
        let number = |value: &Value| value.as_i64().expect("a number");
        let rows = found["totals"].as_array().expect("totals").iter();
        rows.map(|row| {
            (text(&row["currency"]), number(&row["lines"]), number(&row["charged"]), number(&row["difference"]))
        })
        .collect()
    };
    let row = |currency: &str, lines, charged, difference| (currency.to_owned(), lines, charged, difference);

    let same = simulate(json!({"version": 1})).await.expect(200);
    assert_eq!((&same["lines"], &same["fee_policy_version"]), (&json!(3), &json!(1)));
    assert_eq!(totals(&same), [row("EUR", 2, 15_00, 0), row("USD", 1, 2_00, 0)]);
    let current = simulate(json!({})).await.expect(200);
    assert_eq!(totals(&current), [row("EUR", 2, 15_00, 15_00), row("USD", 1, 2_00, 2_00)]);
    assert_eq!(current["fee_policy_version"], 2);
    let all = simulate(json!({"lines": "all", "percent_bps": 0})).await.expect(200);
    assert_eq!(totals(&all), [row("EUR", 3, 15_10, -15_10), row("USD", 1, 2_00, -2_00)]);

    // 60.00 of the month before the period count: the second payment is in the tier from 60.00 on.
    let rules = json!([
        {"name": "books", "when": {"categories": ["books"]}, "price": {"percent_bps": 500, "amounts": {"EUR": {"fixed": 50}}}},
        {"when": {"currencies": ["EUR"]}, "price": {"percent_bps": 1_000, "tiers": {"EUR": [{"from": 60_00, "percent_bps": 400}]}}},
    ]);
    let tried = simulate(json!({"rules": rules})).await.expect(200);
    assert_eq!(totals(&tried), [row("EUR", 2, 15_00, 5_50 + 2_00 - 15_00), row("USD", 1, 2_00, -2_00)]);
    let expected = json!([
        {"rule": null, "name": null, "currency": "USD", "lines": 1, "amount": 20_00, "charged": 2_00, "simulated": 0},
        {"rule": 1, "name": "books", "currency": "EUR", "lines": 1, "amount": 100_00, "charged": 10_00, "simulated": 5_50},
        {"rule": 2, "name": null, "currency": "EUR", "lines": 1, "amount": 50_00, "charged": 5_00, "simulated": 2_00},
    ]);
    assert_eq!(tried["rules"], expected);

    for (body, pointer, code) in [
        (json!({"before": from}), "#/before", "out_of_range"),
        (json!({"before": "2026-12-31T00:00:00Z"}), "#/before", "too_much"),
        (
            json!({"from": before, "before": (t.clock.now() + jiff::SignedDuration::from_secs(1)).to_string()}),
            "#/before",
            "out_of_range",
        ),
        (json!({"version": 3}), "#/version", "unknown_reference"),
        (json!({"version": 1, "percent_bps": 1}), "#/version", "not_allowed"),
        (json!({"rules": []}), "#/rules", "too_short"),
        (
            json!({"rules": [{"when": {"sellers": ["slr_01h455vb4pex5vsknk084sn02q"]}, "price": {"percent_bps": 1}}]}),
            "#/rules/0/when/sellers/0",
            "unknown_reference",
        ),
    ] {
        let problem = simulate(body.clone()).await.expect(422);
        assert_eq!(
            (&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]),
            (&json!(pointer), &json!(code)),
            "{body}"
        );
    }
    assert_eq!(t.row_counts().await, counts);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terms_that_cannot_be_leave_no_row() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let made = t.default_fee(1_000).await;
    let tenant = t.tenant("other").await;
    let counts = t.row_counts().await;
    let all = json!({"price": {"percent_bps": 1}});
    let sellers =
        json!([{"when": {"sellers": [a["id"], "slr_01h455vb4pex5vsknk084sn02q"]}, "price": {"percent_bps": 1}}]);
    for (rules, pointer) in [
        (sellers, "#/rules/0/when/sellers/1"),
        (json!([{"when": {"countries": ["DE", "UK"]}, "price": {"percent_bps": 1}}]), "#/rules/0/when/countries/1"),
        (json!([all, {"when": {"types": ["tip"]}, "price": {"percent_bps": 1}}]), "#/rules/1"),
        (json!(vec![all; 101]), "#/rules"),
    ] {
        let new = json!({"reference": "x", "name": "X", "default": true, "rules": rules});
        for answer in [
            t.post("/v1/fee_policies", "a-key", new).await,
            t.send("PATCH", &path(&made, ""), None, Some(json!({"rules": rules}))).await,
        ] {
            assert_eq!(answer.expect(422)["errors"][0]["pointer"], pointer, "{rules}");
        }
    }
    // Another platform's seller does not exist, be it named in a rule or in a quote.
    let foreign = json!({"reference": "x", "name": "X", "rules": [{"when": {"sellers": [a["id"]]}, "price": {"percent_bps": 1}}]});
    let refused = t.send_as(&tenant.key, "POST", "/v1/fee_policies", None, Some(foreign)).await.expect(422);
    assert_eq!(refused["errors"][0]["pointer"], "#/rules/0/when/sellers/0");
    assert_eq!(t.row_counts().await, counts);
    t.finish().await;
}

/// Rows as a release writes and reads them that knows no rules: its versions hold at once, its lines have a time, and of
/// terms with rules it finds the price of what no other rule is for.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_without_rules_lives_beside_this_one() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let made = t.default_fee(1_000).await;
    t.pay(cart("order-1", "EUR", &[item(&a, 90_00)])).await;
    t.tamper(
        "insert into fee_policy_versions (book_id, policy_id, version, percent_bps, amounts, created_by, created_at)
         select book_id, id, 2, 500, '{}', 'system', created_at + interval '1 second' from fee_policies",
    )
    .await;
    t.tamper("update fee_policies set version = 2").await;
    t.advance(DAY).await;
    let payment = t.pay(cart("order-2", "EUR", &[item(&a, 10_00)])).await;
    assert_eq!(
        (&payment["lines"][0]["commission"], &payment["lines"][0]["fee_policy_version"]),
        (&json!(50), &json!(2))
    );

    // Lines without a time and a sentence: with a time, given by the database, they count for volumes.
    let admin = t.admin().await;
    let filled = "with gone as (delete from payment_lines returning *)
        insert into payment_lines (book_id, payment_id, line, type, seller_id, amount, tax_amount, tax_liability, commission,
                                   fee_policy_id, fee_policy_version)
        select book_id, payment_id, line, type, seller_id, amount, tax_amount, tax_liability, commission, fee_policy_id,
               fee_policy_version from gone";
    sqlx::query(filled).execute(&admin).await.expect("as it wrote them");
    admin.close().await;
    assert_eq!(t.count("select count(*) from payment_lines where priced_at is null").await, 0);
    let told = format!("0.50 EUR by policy {}, version 2.", text(&made["id"]));
    assert_eq!(explained(&t, &payment).await[0].0, told);

    let rules = json!([
        {"when": {"countries": ["DE"]}, "price": {"percent_bps": 100}},
        {"price": {"percent_bps": 700, "amounts": {"EUR": {"fixed": 5}}, "tiers": {"EUR": [{"from": 100_00, "percent_bps": 600}]}}},
    ]);
    t.send("PATCH", &path(&made, ""), None, Some(json!({"rules": rules}))).await.expect(200);
    let later = (t.clock.now() + jiff::SignedDuration::from_secs(DAY)).to_string();
    t.send("PATCH", &path(&made, ""), None, Some(json!({"percent_bps": 1, "valid_from": later}))).await.expect(200);
    let as_it_reads = "select count(*) from fee_policies p
        join fee_policy_versions v on v.book_id = p.book_id and v.policy_id = p.id and v.version = p.version
        where p.version = 3 and v.percent_bps = 700 and (v.amounts -> 'EUR' ->> 'fixed')::int = 5";
    assert_eq!(t.count(as_it_reads).await, 1, "not the version that is planned for later");
    let tiered = json!([{"price": {"percent_bps": 1_000, "tiers": {"EUR": [{"from": 100_00, "percent_bps": 500}]}}}]);
    t.send("PATCH", &path(&made, ""), None, Some(json!({"rules": tiered}))).await.expect(200);
    assert_eq!(priced(&t.pay(cart("order-3", "EUR", &[item(&a, 10_00)])).await), [(50, Some(1))]);
    t.finish().await;
}
