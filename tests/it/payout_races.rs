//! Payouts of sellers' accounts racing refunds, and the reversals that refunds bring: whichever comes first at the
//! provider, nothing is paid out that is not there, and an account that ends below zero does so with us as with the provider.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use partita::worker;
use partita_postgres::Role;
use partita_simulator::{ReversalWhenShort, Settings};
use serde_json::{Value, json};

use crate::support::{Dice, cart, item};
use crate::test_app::{DAY, TestApp, text};

/// Repeats of each race.
const REPEATS: usize = 100;
/// Races under way at once, each beside the others' workers.
const AT_ONCE: usize = 4;

/// One seller with one payment, transferred; minor units.
struct Race {
    number: usize,
    account: String,
    payment: Value,
    share: i64,
    refund: i64,
    payout: i64,
    order: i64,
}

/// What came of a race.
struct Outcome {
    race: Race,
    /// Whether the provider paid out.
    paid: bool,
}

/// Sellers whose shares have just arrived at their accounts, at nine in the morning: the day's payouts are made at midnight.
async fn races(t: &TestApp, count: usize, interval: &str, seed: u64) -> Vec<Race> {
    t.top_up("float", 900_000_00, "EUR").await;
    let mut dice = Dice::new(seed);
    let sellers = t.many_sellers(count, "DE", "EUR", interval).await;
    let carts: Vec<(usize, Value, i64)> = sellers
        .into_iter()
        .enumerate()
        .map(|(number, seller)| {
            let share = dice.roll(10_00, 500_00);
            (number, seller, share)
        })
        .collect();
    let paid = futures::stream::iter(carts).map(|(number, seller, share)| async move {
        let reference = format!("order-{number}");
        let body = cart(&reference, "EUR", &[item(&seller, share)]);
        (number, text(&seller["provider"]["id"]), t.post("/v1/payments", &reference, body).await.expect(201), share)
    });
    let paid: Vec<_> = paid.buffered(8).collect().await;
    t.advance(2 * DAY).await;
    let arrived = t.balances().await;
    paid.into_iter()
        .map(|(number, account, payment, share)| {
            assert_eq!(arrived[&format!("conn.available.shop-{number} EUR")], share);
            // Half of them want all of it twice, the others sometimes get along.
            let whole = dice.roll(0, 1) == 0;
            let part = |dice: &mut Dice| if whole { share } else { dice.roll(1_00, share) };
            let (refund, payout) = (part(&mut dice), part(&mut dice));
            Race { number, account, payment, share, refund, payout, order: dice.roll(0, 3) }
        })
        .collect()
}

impl Race {
    async fn ask_refund(&self, t: &TestApp) {
        let body = json!({"payment": self.payment["id"], "amount": self.refund});
        let status = t.post("/v1/refunds", &format!("ret-{}", self.number), body).await.status;
        assert!([201, 202].contains(&status), "{status}");
    }

    async fn pay_out(&self, t: &TestApp) -> bool {
        t.control.create_payout(Some(&self.account), self.payout, "eur").await.is_ok()
    }

    /// By our own command: taken, open, or refused, as the seller owes or has not so much.
    async fn ask_payout(&self, t: &TestApp) {
        let reference = format!("out-{}", self.number);
        let seller = &self.payment["lines"][0]["seller"];
        let body = json!({"reference": reference, "seller": seller, "amount": self.payout, "currency": "EUR"});
        let answer = t.post("/v1/payouts", &reference, body).await;
        assert!([201, 202, 402, 409, 422].contains(&answer.status), "{}: {}", answer.status, answer.text());
    }

    /// As [`Self::run`], with a payout that is asked here.
    async fn run_asked_here(&self, t: &TestApp) {
        let work = || async { worker::drain(&t.app).await.expect("drained") };
        match self.order {
            0 => {
                self.ask_payout(t).await;
                tokio::join!(self.ask_refund(t), work());
            }
            1 => {
                self.ask_refund(t).await;
                t.settle().await;
                self.ask_payout(t).await;
            }
            2 => {
                tokio::join!(self.ask_payout(t), self.ask_refund(t), work());
            }
            _ => {
                self.ask_refund(t).await;
                tokio::join!(self.ask_payout(t), work(), work());
            }
        }
    }

    /// By hand, in one of four orders.
    async fn run(self, t: &TestApp) -> Outcome {
        let work = || async { worker::drain(&t.app).await.expect("drained") };
        let paid = match self.order {
            0 => {
                let paid = self.pay_out(t).await;
                assert!(paid, "all of it was there");
                tokio::join!(self.ask_refund(t), work());
                paid
            }
            1 => {
                self.ask_refund(t).await;
                t.settle().await;
                self.pay_out(t).await
            }
            2 => tokio::join!(self.pay_out(t), self.ask_refund(t), work()).0,
            // The refund is given, its reversal is about to be asked.
            _ => {
                self.ask_refund(t).await;
                tokio::join!(self.pay_out(t), work(), work()).0
            }
        };
        Outcome { race: self, paid }
    }
}

/// What each connected account has at the provider; minor units.
async fn at_provider(t: &TestApp, race: &Race) -> i64 {
    let balance = t.control.balance(Some(&race.account)).await.expect("a balance");
    balance["available"][0]["amount"].as_i64().expect("minor units")
}

/// Payouts that the account's balance did not cover when they were made, by the provider's own books.
async fn uncovered_payouts(t: &TestApp) -> i64 {
    let pool = sqlx::PgPool::connect(&t.simulator_database.url(Role::Admin)).await.expect("the superuser");
    let sql = "select count(*) from (
                   select type, sum(net) over (partition by account, currency order by seq) as left_over
                   from balance_transactions) as running
               where type = 'payout' and left_over < 0";
    let count = sqlx::query_scalar(sql).fetch_one(&pool).await.expect("a count");
    pool.close().await;
    count
}

/// The provider refuses only what is not there.
fn assert_none_refused_in_vain(outcomes: &[Outcome]) {
    for Outcome { race, paid } in outcomes {
        let was_there = race.refund + race.payout <= race.share;
        assert!(*paid || race.payout == 0 || !was_there, "refused although it was there: shop-{}", race.number);
    }
}

/// What must hold after races whose reversals all succeed.
async fn check(t: TestApp, outcomes: &[Outcome]) {
    t.settle().await;
    t.advance(3 * DAY).await;
    assert_eq!(uncovered_payouts(&t).await, 0);
    // What the provider reserves for accounts below zero is told by reconciliation alone.
    assert_eq!(t.reconcile().await.breaks, 0);
    let ours = t.balances().await;
    let mut below_zero = 0;
    for Outcome { race, paid } in outcomes {
        let left = race.share - race.refund - if *paid { race.payout } else { 0 };
        assert_eq!(at_provider(&t, race).await, left, "shop-{}, order {}", race.number, race.order);
        let mirrored = ours.get(&format!("conn.available.shop-{} EUR", race.number)).copied().unwrap_or_default();
        assert_eq!(mirrored, left, "shop-{}, order {}", race.number, race.order);
        below_zero += (-left).max(0);
    }
    assert_eq!(ours.get("prov.reserved EUR").copied().unwrap_or_default(), below_zero);
    assert!(below_zero > 0, "no payout ever came first");
    assert!(!ours.keys().any(|path| path.starts_with("clr.") || path.starts_with("sel.")), "{ours:#?}");
    t.assert_no_double_effect().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_by_hand_racing_a_refund_and_its_reversal_never_pays_what_is_gone() {
    let t = TestApp::new().await;
    let races = races(&t, REPEATS, "manual", 7).await;
    let orders = races.iter().fold(BTreeMap::new(), |mut orders: BTreeMap<i64, usize>, race| {
        *orders.entry(race.order).or_default() += 1;
        orders
    });
    assert!(orders.len() == 4 && orders.values().all(|count| *count > 10), "{orders:?}");
    let outcomes: Vec<Outcome> =
        futures::stream::iter(races).map(|race| race.run(&t)).buffer_unordered(AT_ONCE).collect().await;
    assert!(outcomes.iter().any(|outcome| !outcome.paid), "no refund ever came first");
    assert_none_refused_in_vain(&outcomes);
    check(t, &outcomes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_that_is_asked_here_racing_a_refund_and_its_reversal_never_pays_what_is_gone() {
    let t = TestApp::new().await;
    let races = races(&t, REPEATS, "manual", 17).await;
    let shared = &t;
    let ran = futures::stream::iter(races).map(|race| async move {
        race.run_asked_here(shared).await;
        race
    });
    let races: Vec<Race> = ran.buffer_unordered(AT_ONCE).collect().await;
    t.settle().await;
    let asked = t.list("/v1/payouts").await;
    let mut outcomes = Vec::new();
    for race in races {
        let reference = json!(format!("out-{}", race.number));
        let payout = asked.iter().find(|payout| payout["reference"] == reference);
        let paid = payout.is_some_and(|payout| payout["status"] != "failed");
        // Whose refund was answered before owes it, or it is on its way back: nothing of that is asked to be paid out.
        let left = race.share - race.refund - if paid { race.payout } else { 0 };
        assert!(left >= 0 || [0, 2].contains(&race.order), "shop-{}, order {}: {left}", race.number, race.order);
        outcomes.push(Outcome { race, paid });
    }
    let of = |order: i64, paid: bool| outcomes.iter().filter(|one| one.race.order == order && one.paid == paid).count();
    assert!(of(0, true) > 10 && of(0, false) == 0, "what was asked first is paid");
    assert!(of(1, false) > 10 && of(3, false) > 10, "what was asked after the refund is paid only where it is there");
    check(t, &outcomes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_days_payouts_racing_refunds_and_their_reversals_never_pay_what_is_gone() {
    let t = TestApp::new().await;
    let races = races(&t, REPEATS, "daily", 11).await;
    t.advance(15 * 3_600 - 1).await;
    // At midnight the provider pays everyone out, while a third of the refunds are on their way, a third of the reversals
    // are about to be asked, and a third come with it.
    let refunds = |order: std::ops::Range<i64>| {
        let (t, races) = (&t, &races);
        let some = races.iter().filter(move |race| order.contains(&race.order));
        futures::stream::iter(some).for_each_concurrent(8, move |race| race.ask_refund(t))
    };
    refunds(0..1).await;
    let midnight = t.move_clocks(1);
    let ((), (), (), one, other) =
        tokio::join!(midnight, refunds(1..3), refunds(3..4), worker::drain(&t.app), worker::drain(&t.app));
    one.expect("drained");
    other.expect("drained");
    t.settle().await;
    let mut outcomes = Vec::new();
    let paid = t.list("/v1/payouts").await;
    for race in races {
        // The schedule pays out what is there when its turn comes: all of it, or what a reversal left.
        let seller = text(&race.payment["lines"][0]["seller"]);
        let amounts: Vec<i64> = paid
            .iter()
            .filter(|payout| payout["seller"] == json!(seller))
            .filter_map(|p| p["amount"].as_i64())
            .collect();
        let payout: i64 = amounts.iter().sum();
        assert!([race.share, race.share - race.refund].contains(&payout), "{payout} of {}", race.share);
        outcomes.push(Outcome { race: Race { payout, ..race }, paid: payout > 0 });
    }
    assert_none_refused_in_vain(&outcomes);
    check(t, &outcomes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reversal_that_a_payout_left_nothing_for_is_refused_and_the_seller_owes() {
    let t = TestApp::new().await;
    let settings = Settings { reversal_when_short: ReversalWhenShort::Refuse, ..t.control.settings() };
    t.control.set_settings(settings).await.expect("set");
    let races = races(&t, 20, "manual", 13).await;
    let outcomes: Vec<Outcome> =
        futures::stream::iter(races).map(|race| race.run(&t)).buffer_unordered(AT_ONCE).collect().await;
    t.settle().await;
    assert_eq!(uncovered_payouts(&t).await, 0);
    let ours = t.balances().await;
    let mut owing = 0;
    for Outcome { race, paid } in &outcomes {
        let owed = -ours.get(&format!("sel.shop-{}.available EUR", race.number)).copied().unwrap_or_default();
        assert!([0, race.refund].contains(&owed), "shop-{} owes {owed} of {}", race.number, race.refund);
        let left = race.share - (race.refund - owed) - if *paid { race.payout } else { 0 };
        assert!(left >= 0, "shop-{}: {left}", race.number);
        assert_eq!(at_provider(&t, race).await, left);
        owing += i64::from(owed > 0);
    }
    assert!(owing > 0, "no payout ever came first");
    assert!(!ours.contains_key("prov.reserved EUR"), "nobody is below zero");
    t.finish().await;
}
