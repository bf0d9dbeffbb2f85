//! Every scenario of the folder `scenarios/` comes out as it says, by what `partita simulate` plays it with.

use std::collections::BTreeSet;
use std::path::Path;

use partita::scenarios::{Ground, Played, Script, play};

use crate::test_app::databases;

async fn played(text: &str) -> Played {
    let script = Script::parse(text).expect("a scenario");
    let (service, provider) = databases().await;
    let folder = tempfile::tempdir().expect("a folder");
    let ground = Ground {
        owner_url: None,
        app_url: service.app_url.clone(),
        simulator_url: provider.app_url.clone(),
        folder: folder.path().to_owned(),
    };
    play(&script, &ground).await.expect("played")
}

async fn comes_out(name: &str) {
    let text = std::fs::read_to_string(folder().join(format!("{name}.yaml"))).expect("a scenario");
    let played = played(&text).await;
    assert_eq!(played.failures, Vec::<String>::new(), "{:#?}", played.told);
    assert!(played.expectations > 0 && played.movements > 0, "it proves something");
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

macro_rules! scenarios {
    ($($test:ident = $name:literal),+ $(,)?) => {
        const NAMES: &[&str] = &[$($name),+];
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                comes_out($name).await;
            }
        )+
    };
}

scenarios! {
    charged_on_the_sellers_account = "charged-on-the-sellers-account",
    dispute_above_the_payment = "dispute-above-the-payment",
    dispute_won_pays_again = "dispute-won-pays-again",
    key_that_the_provider_forgot = "key-that-the-provider-forgot",
    money_that_does_not_move = "money-that-does-not-move",
    no_answer_after_the_effect = "no-answer-after-the-effect",
    paid_when_delivered = "paid-when-delivered",
    partial_refund_of_a_cart = "partial-refund-of-a-cart",
    payout_explained = "payout-explained",
    payout_returned_after_paid = "payout-returned-after-paid",
    refund_at_another_rate = "refund-at-another-rate",
    refund_after_payout = "refund-after-payout",
    refund_before_the_share_is_usable = "refund-before-the-share-is-usable",
    refund_that_fails_days_later = "refund-that-fails-days-later",
    refund_uses_the_reserve_first = "refund-uses-the-reserve-first",
    refunded_in_the_dashboard = "refunded-in-the-dashboard",
    reserve_rolls_and_is_released = "reserve-rolls-and-is-released",
    seller_below_zero = "seller-below-zero",
    seller_who_is_not_onboarded = "seller-who-is-not-onboarded",
    shares_that_do_not_divide = "shares-that-do-not-divide",
    told_before_the_answer = "told-before-the-answer",
    who_bears_the_lost_fee = "who-bears-the-lost-fee",
}

#[test]
fn every_scenario_is_played() {
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .expect("the folder")
        .map(|file| file.expect("a file").file_name().to_string_lossy().trim_end_matches(".yaml").to_owned())
        .collect();
    assert_eq!(files, NAMES.iter().map(ToString::to_string).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_come_out_is_told() {
    let played = played(
        "
title: Wrong on purpose
about: It says what is not so.
steps:
  - seller: { name: anna, country: DE, currency: EUR }
  - pay:
      name: order-1
      lines: [{ seller: anna, amount: 60.00 EUR }]
  - expect:
      balances: { sel.anna.pending: 59.00 EUR }
  - expect:
      get: { path: /v1/payments/$order-1, has: { status: failed } }
  - expect:
      books: []
ends: { breaks: 1 }
",
    )
    .await;
    let of = |part: &str| played.failures.iter().filter(|failure| failure.contains(part)).count();
    assert_eq!(played.failures.len(), 4, "{:#?}", played.failures);
    assert_eq!(of("sel.anna.pending is 60.00 EUR, not 59.00 EUR"), 1);
    assert_eq!(of("/status is \"succeeded\", not \"failed\""), 1);
    assert_eq!((of("the books are"), of("reconciliation finds 0 differences, not 1")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_cannot_be_played_ends_it() {
    let played = played(
        "
title: Nobody sells
about: The seller has no name yet.
steps:
  - pay:
      name: order-1
      lines: [{ seller: anna, amount: 60.00 EUR }]
  - wait: 1 day
",
    )
    .await;
    assert_eq!(played.failures, ["step 1 cannot be played: nothing is called anna yet"]);
}
