//! Why a payout has its amount: its lines add up to it, to the cent, and name the orders.

use serde_json::{Value, json};

use crate::support::{cart, item};
use crate::test_app::{DAY, TestApp, text};

async fn explained(t: &TestApp, payout: &Value) -> Value {
    let explanation = t.get(&format!("/v1/payouts/{}/explain?limit=100", text(&payout["id"]))).await;
    let part = |name: &str| explanation[name].as_i64().expect("minor units");
    let parts = ["opening", "transfers", "reversals", "payouts_returned", "direct_charges", "other"];
    let came: i64 = parts.into_iter().map(part).sum();
    assert_eq!(came, part("amount") + part("left"), "{explanation:#}");
    let lines = explanation["lines"].as_array().expect("lines");
    let moved: i64 = lines.iter().map(|line| line["amount"].as_i64().expect("minor units")).sum();
    assert_eq!(moved, came - part("opening"), "{explanation:#}");
    explanation
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_is_what_came_since_the_one_before_less_what_went_back_and_stays() {
    let t = TestApp::new().await;
    t.top_up("float", 200_00, "EUR").await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let daily = json!({"interval": "weekly", "weekdays": ["thursday"], "cut_off": "16:00", "time_zone": "Europe/Berlin", "delay_days": 1});
    let path = format!("/v1/sellers/{}", text(&a["id"]));
    t.send("PATCH", &path, None, Some(json!({"payout_schedule": daily}))).await.expect(200);
    let first = t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    t.pay(cart("order-2", "EUR", &[item(&a, 40_00)])).await;
    t.advance(2 * DAY).await;
    t.post("/v1/refunds", "ret-1", json!({"payment": first["id"], "amount": 22_50})).await.expect(201);
    t.settle().await;
    t.advance(2 * DAY).await;
    let one = t.list("/v1/payouts").await.remove(0);
    assert_eq!(one["amount"], 77_50, "60 + 40 - 22.50, on the account since Wednesday");
    let explanation = explained(&t, &one).await;
    assert_eq!(
        [&explanation["opening"], &explanation["transfers"], &explanation["reversals"], &explanation["left"]],
        [&json!(0), &json!(100_00), &json!(-22_50), &json!(0)]
    );
    let decision = &explanation["decision"];
    assert_eq!(
        (&decision["on"], &decision["usable"], &decision["too_late"], &decision["payable"]),
        (&json!("2026-03-05"), &json!(77_50), &json!(0), &json!(77_50))
    );
    let taken_back = &explanation["lines"][0];
    assert_eq!((&taken_back["what"], &taken_back["amount"]), (&json!("reversal"), &json!(-22_50)));
    assert_eq!((&taken_back["payment"], &taken_back["payment_reference"]), (&first["id"], &json!("order-1")));

    // The next one: order 3 in time, order 4 too late, and the first payout came back in between.
    t.pay(cart("order-3", "EUR", &[item(&a, 30_00)])).await;
    t.control.fail_payout(&text(&one["provider"]["id"]), "could_not_process").await.expect("failed");
    t.settle().await;
    t.advance(4 * DAY).await;
    t.pay(cart("order-4", "EUR", &[item(&a, 10_00)])).await;
    t.advance(3 * DAY).await;
    let two = t.list("/v1/payouts").await.remove(0);
    assert_eq!(two["amount"], 107_50);
    let explanation = explained(&t, &two).await;
    assert_eq!(
        [&explanation["opening"], &explanation["transfers"], &explanation["payouts_returned"], &explanation["left"]],
        [&json!(0), &json!(40_00), &json!(77_50), &json!(10_00)]
    );
    assert_eq!(explanation["decision"]["too_late"], 10_00);
    let parts = explanation["not_paid_out"].as_array().expect("a list");
    let waits =
        |what: &str| parts.iter().find(|part| part["what"] == what).map_or(json!(0), |part| part["amount"].clone());
    assert_eq!(
        (waits("provider_available"), waits("in_transit"), waits("debt")),
        (json!(10_00), json!(107_50), json!(0))
    );

    // The third begins with what the second left, and the second stays as it was.
    t.advance(7 * DAY).await;
    let three = t.list("/v1/payouts").await.remove(0);
    assert_eq!(three["amount"], 10_00);
    let sums = |of: &Value| ["opening", "transfers", "left"].map(|name| of[name].as_i64().expect("minor units"));
    assert_eq!(sums(&explained(&t, &three).await), [10_00, 0, 0]);
    assert_eq!(sums(&explained(&t, &two).await), [0, 40_00, 10_00]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_come_in_pages_and_a_refused_payout_has_none() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "daily").await;
    for order in 0..5 {
        t.pay(cart(&format!("order-{order}"), "EUR", &[item(&a, 10_00 + order)])).await;
    }
    t.advance(4 * DAY).await;
    let payout = t.list("/v1/payouts").await.remove(0);
    assert_eq!(payout["amount"], 50_10, "by the provider's own schedule");
    let explanation = explained(&t, &payout).await;
    assert_eq!(explanation["decision"], Value::Null);
    let base = format!("/v1/payouts/{}/explain", text(&payout["id"]));
    let (mut seen, mut next) = (Vec::new(), Value::Null);
    loop {
        let cursor = next.as_str().map_or(String::new(), |cursor| format!("&cursor={cursor}"));
        let page = t.get(&format!("{base}?limit=2{cursor}")).await;
        seen.extend(page["lines"].as_array().expect("lines").clone());
        next = page["next_cursor"].clone();
        assert_eq!(page["has_more"], json!(next.is_string()));
        if next.is_null() {
            break;
        }
    }
    assert_eq!(json!(seen), explanation["lines"]);
    assert_eq!(seen.len(), 5);
    t.send("GET", "/v1/payouts/pyt_01h455vb4pex5vsknk084sn02q/explain", None, None).await.expect(404);
    t.finish().await;
}
