//! Holds that are captured later, what a buyer must do, and payments that fail after they succeeded, against the simulator.

use partita_provider::{
    Command, LookedUp, Lookup, Outcome, Payment, PaymentStatus, Provider as _, ProviderObject, SettlementState,
};

use crate::commands::{authorize, capture, create_payment};
use crate::support::euros;
use crate::world::{DAY, World};

fn payment(object: ProviderObject) -> Payment {
    match object {
        ProviderObject::Payment(payment) => payment,
        other => panic!("{other:?}"),
    }
}

async fn read(world: &World, id: &str) -> Payment {
    payment(world.stripe.fetch(&Lookup::Payment(id.to_owned())).await.expect("readable"))
}

#[tokio::test]
async fn a_hold_reads_without_a_movement_and_a_capture_in_part_with_two() {
    let world = World::start().await;
    let held = payment(world.done(&authorize(12_000, "pm_card_visa"), "op_1.1").await);
    assert_eq!(held.status, PaymentStatus::RequiresCapture);
    let charge = held.charge.expect("the answer holds it");
    assert_eq!((charge.amount, charge.captured_amount), (euros(12_000), 0));
    assert_eq!(charge.capture_before, Some(world.control.now() + 7 * DAY));
    assert_eq!((charge.balance_transaction, charge.rest_transaction), (None, None));

    let search = crate::looking_up::search(&capture(&held.id, 9_000), world.control.now());
    assert_eq!(world.stripe.look_up(&search).await, Ok(LookedUp::Absent), "it is not captured");
    let captured = payment(world.done(&capture(&held.id, 9_000), "op_2.1").await);
    assert_eq!((&captured.status, captured.amount), (&PaymentStatus::Succeeded, euros(12_000)));
    let charge = captured.charge.clone().expect("the answer holds it");
    assert_eq!((charge.amount, charge.captured_amount), (euros(12_000), 9_000));
    let (all, rest) = (charge.balance_transaction.expect("moved"), charge.rest_transaction.expect("given back"));
    // 2.5 % of 90.00 and 0.20.
    assert_eq!((all.amount, all.fee, all.state), (12_000, 245, SettlementState::Pending));
    assert_eq!((rest.amount, rest.fee, rest.state), (-3_000, 0, SettlementState::Pending));
    assert_eq!(read(&world, &held.id).await, captured);
    assert!(matches!(world.stripe.look_up(&search).await, Ok(LookedUp::Found(_))));
    let again = world.submit(&capture(&held.id, 9_000), "op_3.1").await;
    assert!(matches!(again.outcome, Outcome::Refused { .. }), "{:?}", again.outcome);
    world.end().await;
}

#[tokio::test]
async fn what_a_buyer_must_do_reads_with_its_page_and_prints_no_secret() {
    let world = World::start().await;
    let Command::CreatePayment(mut command) = create_payment(5_000, "pm_card_authenticationRequired") else {
        panic!("a payment")
    };
    let by_script = payment(world.done(&Command::CreatePayment(command.clone()), "op_1.1").await);
    assert_eq!(by_script.client_action.as_ref().and_then(|action| action.redirect_url.clone()), None);
    command.return_url = Some("https://shop.example/back".into());
    let by_page = payment(world.done(&Command::CreatePayment(command), "op_2.1").await);
    assert_eq!(by_page.status, PaymentStatus::RequiresAction);
    let action = by_page.client_action.clone().expect("the buyer is waited for");
    assert!(action.redirect_url.is_some_and(|page| page.starts_with("https://hooks.stripe.com/")));
    assert!(action.client_secret.starts_with(&by_page.id) && !format!("{by_page:?}").contains(&action.client_secret));
    world.control.authenticate(&by_page.id, true).await.expect("it waits for its buyer");
    let done = read(&world, &by_page.id).await;
    assert_eq!((done.status, done.client_action), (PaymentStatus::Succeeded, None));
    world.end().await;
}

#[tokio::test]
async fn a_payment_that_fails_after_it_succeeded_reads_with_the_movement_that_took_it_back() {
    let world = World::start().await;
    let paid = world.payment(5_000, "pm_card_visa", "op_1.1").await;
    world.control.fail_payment(&paid.id, "insufficient_funds").await.expect("it has succeeded");
    let failed = read(&world, &paid.id).await;
    assert_eq!(failed.status, PaymentStatus::RequiresPaymentMethod);
    assert_eq!(failed.last_error.map(|error| error.code).as_deref(), Some("insufficient_funds"));
    let charge = failed.charge.expect("the answer holds it");
    assert_eq!(charge.balance_transaction.map(|moved| moved.amount), Some(5_000));
    assert_eq!(charge.failure_transaction.map(|moved| moved.amount), Some(-5_000));
    world.end().await;
}
