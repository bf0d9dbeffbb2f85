//! What a platform of a random life has: who bears what, what is kept back, who may decide alone.

use serde_json::{Value, json};

use crate::adjustments::allow_alone;
use crate::bank_payouts::{let_one_say, own_account};
use crate::second_person::let_one_decide;
use crate::support::Dice;
use crate::test_app::TestApp;

/// What a platform has declared: who bears what, and what is kept back. In words.
pub(crate) async fn declare(t: &TestApp, dice: &mut Dice, currency: &str, unit: i64) -> Vec<String> {
    let either =
        |dice: &mut Dice, words: [&'static str; 2]| words[usize::try_from(dice.roll(0, 1)).expect("one of two")];
    let (bps, vat) = (dice.roll(0, 3_000), dice.roll(0, 1) * 2_100);
    let rule = json!({
        "price": {"percent_bps": bps}, "vat_bps": vat, "processor_fee": either(dice, ["seller", "platform"]),
    });
    let fees = json!({"reference": "standard", "name": "Standard", "default": true, "rules": [rule]});
    t.post("/v1/fee_policies", "standard", fees.clone()).await.expect(201);
    let mut declared = vec![fees.to_string()];
    let refunds = json!({
        "fee": either(dice, ["returned", "kept"]), "processor_fee": either(dice, ["sellers", "platform"]),
        "tax": either(dice, ["returned", "kept"]),
    });
    let disputes = json!({
        "liability": either(dice, ["sellers", "platform"]), "hold": either(dice, ["shares", "nothing"]),
        "tax_relief": dice.roll(0, 1) == 0, "fee": either(dice, ["sellers", "platform"]),
    });
    let (percent, days) = (dice.roll(1, 5_000), dice.roll(1, 20));
    let reserves = match dice.roll(0, 3) {
        0 => json!({"fixed": [{"amount": dice.roll(1, 50_00) * unit, "currency": currency}]}),
        1 | 2 => json!({"rolling": {"percent_bps": percent, "hold_days": days}}),
        _ => json!({}),
    };
    for (path, policy) in
        [("/v1/refund_policy", refunds), ("/v1/dispute_policy", disputes), ("/v1/reserve_policy", reserves)]
    {
        if dice.roll(0, 1) == 0 {
            t.send("PUT", path, None, Some(policy.clone())).await.expect(200);
            declared.push(format!("{path} {policy}"));
        }
    }
    let_one_decide(t, currency, 1_000_000 * unit).await;
    allow_alone(t, currency, 1_000_000 * unit).await;
    let_one_say(t, currency, 1_000_000 * unit).await;
    t.send("PUT", "/v1/own_bank_accounts", None, Some(own_account(currency))).await.expect(200);
    declared
}

/// What a buyer who comes again is charged by.
pub(crate) async fn saved_method(t: &TestApp) -> Value {
    let buyer = t.post("/v1/customers", "buyer", json!({"reference": "buyer"})).await.expect(201);
    let body = json!({"customer": buyer["id"], "token": "pm_card_visa"});
    let saved = t.post("/v1/payment_methods", "saved", body).await.expect(201);
    t.settle().await;
    saved
}
