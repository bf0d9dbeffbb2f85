//! A storm: three of ten requests to the provider go wrong in every way at once, webhooks come several times, late, in
//! any order and with forged ones among them. When it is over, every payment has happened once and the books agree.
//!
//! `PARTITA_STORM_PAYMENTS=1000 PARTITA_STORM_SEED=7 cargo test --test it storm` makes it larger: the same code, by hand.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use partita_simulator::{FaultKind, FaultPlan, WebhookPlan};
use serde_json::{Value, json};

use crate::support::{Dice, cart, taxed};
use crate::test_app::{DAY, TestApp, text};

const HOUR: i64 = 3_600;

fn setting(name: &str, default: i64) -> i64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

/// Three of ten, per mille.
fn weather(seed: i64) -> FaultPlan {
    let writes = [
        (FaultKind::RateLimited, 40),
        (FaultKind::KeyInUse, 30),
        (FaultKind::ErrorBefore, 50),
        (FaultKind::ErrorAfter, 50),
        (FaultKind::AnswerLost, 40),
        (FaultKind::Garbage, 30),
        (FaultKind::Repeated, 30),
        (FaultKind::WebhookFirst, 30),
    ];
    let reads = [(FaultKind::RateLimited, 100), (FaultKind::ErrorBefore, 100), (FaultKind::Garbage, 100)];
    FaultPlan {
        seed: seed.unsigned_abs(),
        path: String::new(),
        writes: BTreeMap::from(writes),
        reads: BTreeMap::from(reads),
        webhooks: WebhookPlan {
            copies: 5,
            delay_seconds: 72 * 3_600,
            shuffled: true,
            other_mode: 50,
            other_account: 50,
            unknown_type: 50,
            other_version: 50,
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_storm_every_payment_has_happened_once_and_the_books_agree() {
    let (count, seed) = (setting("PARTITA_STORM_PAYMENTS", 40), setting("PARTITA_STORM_SEED", 1));
    let t = TestApp::new().await;
    let mut dice = Dice::new(seed.unsigned_abs());
    t.default_fee(1_000).await;
    let sellers = t.many_sellers(4, "DE", "EUR", "daily").await;
    t.top_up("float", 900_000_00, "EUR").await;

    t.control.set_fault_plan(weather(seed)).expect("a lawful plan");
    let carts: Vec<Value> = (0..count)
        .map(|number| {
            let [one, other] =
                [0, 1].map(|step| &sellers[usize::try_from(dice.roll(0, 1) * 2 + step).expect("0 to 3")]);
            let lines = [
                taxed(one, dice.roll(1_00, 300_00), dice.roll(0, 20_00)),
                taxed(other, dice.roll(1_00, 300_00), dice.roll(0, 20_00)),
            ];
            cart(&format!("order-{number}"), "EUR", &lines)
        })
        .collect();
    let asked = futures::stream::iter(carts).map(|cart| {
        let t = &t;
        async move { t.post("/v1/payments", &text(&cart["reference"]), cart.clone()).await }
    });
    let answers: Vec<_> = asked.buffered(8).collect().await;
    assert!(answers.iter().all(|answer| [201, 202].contains(&answer.status)), "no payment is refused by the weather");
    let unsure = answers.iter().filter(|answer| answer.status == 202).count();
    assert!(unsure > 0, "a storm that nobody felt");
    let payments: Vec<Value> = answers.into_iter().map(|answer| answer.json()).collect();
    for _ in 0..6 {
        t.advance_on_time(HOUR).await;
    }
    for (number, payment) in payments.iter().enumerate() {
        if dice.roll(0, 2) == 0 && t.payment(payment).await["status"] == "succeeded" {
            let amount = dice.roll(50, 1_00);
            let body = json!({"payment": payment["id"], "amount": amount});
            let status = t.post("/v1/refunds", &format!("ret-{number}"), body).await.status;
            assert!([201, 202].contains(&status), "{status}");
        }
    }
    for _ in 0..4 * 24 {
        t.advance_on_time(HOUR).await;
    }

    // It clears up. What hangs has until the next look-ups; the last webhooks are still three days away.
    t.control.clear_faults();
    for _ in 0..24 {
        t.advance_on_time(HOUR).await;
    }
    for _ in 0..3 {
        t.advance_on_time(DAY).await;
    }
    for payment in &payments {
        assert_eq!(t.payment(payment).await["status"], "succeeded", "{}", payment["reference"]);
    }
    let charged = t.effects("/v1/payment_intents").await;
    assert_eq!(charged, payments.len(), "each was charged once");
    t.assert_no_double_effect().await;
    assert_eq!(t.list("/v1/operations?state=needs_review").await, Vec::<Value>::new(), "nothing needs a person");
    let balances = t.balances().await;
    assert!(!balances.keys().any(|path| path.starts_with("clr.")), "{balances:#?}");
    t.finish().await;
}
