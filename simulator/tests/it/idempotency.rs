//! `Idempotency-Key`.

use crate::support::{CONFIRMED, DAY, Sim};

fn payment(amount: &str) -> Vec<(&str, &str)> {
    let form =
        [("amount", amount), ("currency", "eur"), ("payment_method", "pm_card_visa"), ("metadata[op_id]", "op_1")];
    [form.as_slice(), &CONFIRMED].concat()
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer_once() {
    let sim = Sim::start().await;
    let first = sim.post_with_key("/v1/payment_intents", &payment("1200"), "k1").await.ok();
    assert_eq!(first.header("idempotency-key"), Some("k1"));
    assert_eq!(first.header("idempotent-replayed"), None);
    let replay = sim.post_with_key("/v1/payment_intents", &payment("1200"), "k1").await.ok();
    assert_eq!((replay.header("idempotent-replayed"), &replay.text), (Some("true"), &first.text));
    assert_eq!(replay.header("original-request"), first.header("request-id"));
    // The order of parameters makes no difference, their values do.
    let mut other_order = payment("1200");
    other_order.reverse();
    assert_eq!(sim.post_with_key("/v1/payment_intents", &other_order, "k1").await.ok().text, first.text);
    let mismatch = sim.post_with_key("/v1/payment_intents", &payment("1300"), "k1").await;
    assert_eq!(mismatch.error(), (400, "idempotency_error", "", ""));
    let elsewhere = sim.post_with_key("/v1/topups", &[("amount", "1"), ("currency", "eur")], "k1").await;
    assert_eq!(elsewhere.error(), (400, "idempotency_error", "", ""));
    assert_eq!(sim.control.effects().await.expect("effects").len(), 1);
    sim.finish().await;
}

#[tokio::test]
async fn fifty_at_once_make_one_payment() {
    let sim = Sim::start().await;
    let form = payment("1200");
    let tries = (0..50).map(|_| sim.post_with_key("/v1/payment_intents", &form, "k1"));
    let replies = futures::future::join_all(tries).await;
    let mut answers: Vec<&str> = replies.iter().filter(|r| r.status == 200).map(|r| r.text.as_str()).collect();
    let fresh = replies.iter().filter(|r| r.status == 200 && r.header("idempotent-replayed").is_none()).count();
    answers.dedup();
    assert_eq!((answers.len(), fresh), (1, 1));
    for reply in replies.iter().filter(|r| r.status != 200) {
        assert_eq!(reply.error(), (409, "idempotency_error", "idempotency_key_in_use", ""), "{}", reply.text);
    }
    assert_eq!(sim.movements(None).await.len(), 1);
    let effects = sim.control.effects().await.expect("effects");
    assert_eq!((effects.len(), effects[0].operation.as_deref()), (1, Some("op_1")));
    sim.finish().await;
}

#[tokio::test]
async fn declines_and_refusals_are_kept_but_bad_parameters_leave_the_key_free() {
    let sim = Sim::start().await;
    let form = [
        [("amount", "1200"), ("currency", "eur"), ("payment_method", "pm_card_visa_chargeDeclined")].as_slice(),
        &CONFIRMED,
    ]
    .concat();
    let declined = sim.post_with_key("/v1/payment_intents", &form, "declined").await;
    let replay = sim.post_with_key("/v1/payment_intents", &form, "declined").await;
    assert_eq!((declined.status, replay.status, &replay.text), (402, 402, &declined.text));
    assert_eq!(replay.header("idempotent-replayed"), Some("true"));
    let seller = sim.seller("manual").await;
    let transfer = [("amount", "500"), ("currency", "eur"), ("destination", seller.as_str())];
    let refused = sim.post_with_key("/v1/transfers", &transfer, "short").await;
    assert_eq!(refused.error().2, "balance_insufficient");
    sim.fund("1000").await;
    let again = sim.post_with_key("/v1/transfers", &transfer, "short").await;
    assert_eq!(
        (again.status, again.header("idempotent-replayed")),
        (400, Some("true")),
        "the refusal sticks to its key"
    );
    let bad = sim.post_with_key("/v1/transfers", &[("amount", "500"), ("nonsense", "1")], "free").await;
    assert_eq!(bad.status, 400);
    sim.post_with_key("/v1/transfers", &transfer, "free").await.ok();
    sim.finish().await;
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day_and_belongs_to_its_account() {
    let sim = Sim::start().await;
    let first = sim.post_with_key("/v1/payment_intents", &payment("1200"), "k1").await.ok();
    sim.control.advance(DAY - 1).await.expect("time passes");
    assert_eq!(sim.post_with_key("/v1/payment_intents", &payment("1200"), "k1").await.ok().id(), first.id());
    sim.control.advance(1).await.expect("time passes");
    assert_ne!(sim.post_with_key("/v1/payment_intents", &payment("1200"), "k1").await.ok().id(), first.id());
    let seller = sim.seller_with_cards().await;
    let request = sim
        .request(reqwest::Method::POST, "/v1/payment_intents")
        .form(&payment("1200"))
        .header("idempotency-key", "k1")
        .header("stripe-account", &seller);
    let theirs = sim.send(request).await.ok();
    assert_eq!(theirs.header("idempotent-replayed"), None);
    assert_eq!(theirs.header("stripe-account"), Some(seller.as_str()));
    let long = "k".repeat(256);
    assert_eq!(sim.post_with_key("/v1/payment_intents", &payment("1200"), &long).await.status, 400);
    sim.finish().await;
}
