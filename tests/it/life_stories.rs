//! Random lives of marketplaces: whatever happens in whatever order, after every step the books verify and follow from
//! the facts, ledger and provider agree object by object, the provider's own books hold, and every seller's statement
//! adds up.

use std::collections::BTreeMap;

use partita::{rebuild, verify};
use partita_simulator::{FaultKind, NewDispute};
use serde_json::{Value, json};

use crate::agreement;
use crate::bank_payouts::{IBAN, of};
use crate::random_market::{declare, saved_method};
use crate::support::{Dice, cart, item, paid_with, taxed};
use crate::test_app::{Answer, DAY, TestApp, text};

/// What happens in a life after the marketplace has opened.
const STEPS: i64 = 10;

/// Countries whose currency has two, no and three decimals, and what the smallest step of an amount is there: Stripe takes
/// three decimals in tens only (docs.stripe.com/currencies#three-decimal).
const MARKETS: [(&str, &str, i64); 3] = [("DE", "EUR", 1), ("JP", "JPY", 1), ("AE", "KWD", 10)];

/// How many sellers a marketplace has.
const SELLERS: [i64; 3] = [1, 2, 7];

/// What may go wrong at the provider. Each is settled by asking again: those that need look-ups and hours have tests of
/// their own.
const FAULTS: [FaultKind; 6] = [
    FaultKind::RateLimited,
    FaultKind::KeyInUse,
    FaultKind::AnswerLost,
    FaultKind::Garbage,
    FaultKind::Doubled,
    FaultKind::WebhookFirst,
];

/// What each seller is owed less what it owes, by all entries that it ever had.
const STATEMENTS: &str = "
    select split_part(a.path, '.', 2), sum(case e.side when 2 then e.amount else -e.amount end)::bigint
    from ledger_entries e join ledger_accounts a on a.book_id = e.book_id and a.account = e.account
    where a.path like 'sel.%' group by 1";

struct Life {
    t: TestApp,
    dice: Dice,
    currency: &'static str,
    unit: i64,
    sellers: Vec<Value>,
    /// The method that a buyer who comes again has saved.
    saved: Value,
    /// Payments, whatever has become of them.
    payments: Vec<Value>,
    disputes: Vec<String>,
    refunds: Vec<String>,
    requests: u32,
    story: Vec<String>,
}

impl Life {
    async fn begin(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let pick = |dice: &mut Dice, most: usize| {
            usize::try_from(dice.roll(0, i64::try_from(most).expect("few") - 1)).expect("small")
        };
        let (country, currency, unit) = MARKETS[pick(&mut dice, MARKETS.len())];
        let count = SELLERS[pick(&mut dice, SELLERS.len())];
        let t = TestApp::new().await;
        let mut declared = declare(&t, &mut dice, currency, unit).await;
        if seed % 2 == 1 {
            let policy = json!({"charge_type": "destination"});
            t.send("PUT", "/v1/charge_policy", None, Some(policy.clone())).await.expect(200);
            declared.push(format!("/v1/charge_policy {policy}"));
        }
        let mut sellers = Vec::new();
        for number in 0..count {
            let interval = if dice.roll(0, 1) == 0 { "manual" } else { "daily" };
            let seller = t.seller(&format!("shop-{number}"), country, currency, interval).await;
            if dice.roll(0, 3) == 0 {
                let schedule = json!({"interval": "daily", "cut_off": "16:00", "time_zone": "Europe/Berlin"});
                let path = format!("/v1/sellers/{}", text(&seller["id"]));
                t.send("PATCH", &path, None, Some(json!({"payout_schedule": schedule}))).await.expect(200);
            }
            if dice.roll(0, 3) == 0 {
                let details = json!({"holder": "Shop", "iban": IBAN});
                t.send("PUT", &of(&seller, "bank_details"), None, Some(details)).await.expect(200);
            }
            sellers.push(seller);
        }
        if dice.roll(0, 2) > 0 {
            t.top_up("float", dice.roll(1, 500_00) * unit, currency).await;
        }
        let saved = saved_method(&t).await;
        let mut story = vec![format!("seed {seed}: {count} sellers in {country}, {currency}")];
        story.extend(declared);
        let none = Vec::new;
        Self {
            t,
            dice,
            currency,
            unit,
            sellers,
            saved,
            payments: Vec::new(),
            disputes: none(),
            refunds: none(),
            requests: 0,
            story,
        }
    }

    fn one_of(&mut self, count: usize) -> Option<usize> {
        let last = i64::try_from(count).expect("few") - 1;
        (last >= 0).then(|| usize::try_from(self.dice.roll(0, last)).expect("few"))
    }

    async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.requests += 1;
        let answer = self.t.post(path, &format!("life-{}", self.requests), body.clone()).await;
        self.story.push(format!("POST {path} {body}: {} {}", answer.status, answer.text()));
        assert!(answer.status < 500, "{}", self.story.join("\n"));
        answer
    }

    /// Something happens, or what chance wanted cannot happen to this marketplace.
    async fn step(&mut self) {
        if self.dice.roll(0, 5) == 0 {
            let kind = FAULTS[self.one_of(FAULTS.len()).expect("some")];
            let path = ["/v1/payment_intents", "/v1/refunds", "/v1/transfers"][self.one_of(3).expect("three")];
            self.story.push(format!("{kind:?} at {path}"));
            self.t.next_post_fails(kind, path);
        }
        match self.dice.roll(0, 19) {
            0..=3 => self.pay().await,
            4..=5 => self.refund().await,
            6 => self.dispute().await,
            7 => self.decide().await,
            8 => self.fail_payout().await,
            9 => self.fail_refund().await,
            10 => self.by_hand().await,
            11 => self.platform_payout().await,
            12 => self.fail_late().await,
            13..=15 => self.pay_out().await,
            18..=19 => self.hold_or_release().await,
            _ => {
                let days = self.dice.roll(1, 6);
                self.story.push(format!("{days} days pass"));
                self.t.advance(days * DAY).await;
            }
        }
        self.come_to_rest().await;
    }

    async fn pay(&mut self) {
        let lines = self.dice.roll(1, 4);
        let mut cart_lines = Vec::new();
        for _ in 0..lines {
            let seller = self.one_of(self.sellers.len()).expect("a marketplace has sellers");
            let most = if self.dice.roll(0, 3) == 0 { 9 } else { 90_00 };
            let amount = self.dice.roll(1, most) * self.unit;
            let mut line = match self.dice.roll(0, 2) {
                0 => taxed(&self.sellers[seller], amount, self.dice.roll(1, 20_00) * self.unit),
                _ => item(&self.sellers[seller], amount),
            };
            if self.dice.roll(0, 7) == 0 {
                line["release"] = json!({"from": "available", "after_days": self.dice.roll(1, 5)});
            }
            cart_lines.push(line);
        }
        // Below the least that the provider charges it is refused.
        let reference = format!("order-{}", self.payments.len());
        let mut body = cart(&reference, self.currency, &cart_lines);
        body = match self.dice.roll(0, 7) {
            0 => paid_with(body, "pm_card_chargeDeclined"),
            1 | 2 => paid_with(body, "pm_card_bypassPending"),
            3 => {
                body["off_session"] = json!(true);
                paid_with(body, self.saved["id"].as_str().expect("an id"))
            }
            _ => body,
        };
        let is_held = self.dice.roll(0, 5) == 0;
        if is_held {
            body["capture_method"] = json!("manual");
        }
        let payment = self.post("/v1/payments", body).await;
        if payment.status >= 300 {
            return;
        }
        let payment = payment.json();
        let path = format!("/v1/payments/{}", text(&payment["id"]));
        self.payments.push(payment);
        if is_held {
            self.t.settle().await;
            match self.dice.roll(0, 2) {
                0 => drop(self.post(&format!("{path}/cancel"), json!({})).await),
                1 => drop(self.post(&format!("{path}/capture"), json!({})).await),
                _ => {
                    let whole = cart_lines[0]["amount"].as_i64().expect("an amount");
                    let part = self.dice.roll(1, whole / self.unit) * self.unit;
                    drop(self.post(&format!("{path}/capture"), json!({"lines": [{"line": 0, "amount": part}]})).await);
                }
            }
        }
    }

    /// A person holds the share of a line, or lets it go: now, or some days after a delivery that has just been.
    async fn hold_or_release(&mut self) {
        let Some(which) = self.one_of(self.payments.len()) else { return };
        let payment = self.payments[which].clone();
        let line = self.one_of(payment["lines"].as_array().expect("lines").len()).expect("a line");
        let path = format!("/v1/payments/{}/lines/{line}", text(&payment["id"]));
        match self.dice.roll(0, 3) {
            0 | 1 => drop(self.post(&format!("{path}/hold"), json!({})).await),
            2 => drop(self.post(&format!("{path}/release"), json!({})).await),
            _ => {
                let body = json!({"delivered_at": self.t.clock.now().to_string()});
                drop(self.post(&format!("{path}/release"), body).await);
            }
        }
    }

    async fn refund(&mut self) {
        let Some(which) = self.one_of(self.payments.len()) else { return };
        let payment = self.payments[which].clone();
        let mut body = json!({"payment": payment["id"], "reference": format!("return-{}", self.requests)});
        match self.dice.roll(0, 2) {
            0 => {}
            1 => {
                let most = payment["amount"].as_i64().expect("an amount") / self.unit;
                body["amount"] = json!(self.dice.roll(1, most) * self.unit);
            }
            _ => {
                let line = payment["lines"][0]["amount"].as_i64().expect("an amount") / self.unit;
                body["lines"] = json!([{"line": 0, "amount": self.dice.roll(1, line) * self.unit}]);
            }
        }
        if self.dice.roll(0, 2) == 0 {
            body["fee"] = json!("kept");
        }
        let preview = {
            let mut asked = body.clone();
            asked.as_object_mut().expect("an object").remove("reference");
            self.t.post("/v1/refunds/preview", "preview", asked).await
        };
        let refund = self.post("/v1/refunds", body).await;
        assert_eq!(preview.status == 200, refund.status < 300, "{}\n{}", preview.text(), self.story.join("\n"));
        if refund.status < 300 {
            let refund = refund.json();
            assert_eq!(preview.json()["amount"], refund["amount"], "{}", self.story.join("\n"));
            self.refunds.push(text(&refund["id"]));
        }
    }

    async fn dispute(&mut self) {
        let Some(which) = self.one_of(self.payments.len()) else { return };
        let payment = self.t.payment(&self.payments[which]).await;
        let Some(charge) = payment["provider_charge"].as_str() else { return };
        let whole = payment["amount"].as_i64().expect("an amount") / self.unit;
        let amount = (self.dice.roll(0, 1) == 0).then(|| self.dice.roll(1, whole) * self.unit);
        let new = NewDispute { amount, inquiry: self.dice.roll(0, 4) == 0, ..NewDispute::of(charge) };
        let opened = self.t.control.open_dispute(new).await;
        self.story.push(format!("{charge} is disputed, {amount:?}: {:?}", opened.as_ref().map(|d| d["id"].clone())));
        self.disputes.extend(opened.ok().map(|dispute| text(&dispute["id"])));
    }

    async fn decide(&mut self) {
        let Some(which) = self.one_of(self.disputes.len()) else { return };
        let (dispute, outcome) = (
            self.disputes[which].clone(),
            ["won", "lost", "escalated", "warning_closed"][self.one_of(4).expect("four")],
        );
        let decided = self.t.control.decide_dispute(&dispute, outcome).await;
        self.story.push(format!("{dispute} is decided {outcome}: {}", decided.is_ok()));
    }

    async fn fail_payout(&mut self) {
        let mut payouts = self.t.list("/v1/payouts").await;
        payouts.retain(|payout| payout["method"] != "bank_file");
        let Some(which) = self.one_of(payouts.len()) else { return };
        let payout = text(&payouts[which]["provider"]["id"]);
        let failed = self.t.control.fail_payout(&payout, "account_closed").await;
        self.story.push(format!("{payout} comes back: {}", failed.is_ok()));
    }

    /// A buyer's bank takes a payment back. While it is disputed that is for a person, and no life goes on from there.
    async fn fail_late(&mut self) {
        let Some(which) = self.one_of(self.payments.len()) else { return };
        let payment = self.t.payment(&self.payments[which]).await;
        let disputes = self.t.list(&format!("/v1/disputes?payment={}", text(&payment["id"]))).await;
        if payment["status"] == "succeeded" && disputes.is_empty() {
            let intent = text(&payment["provider"]["id"]);
            let failed = self.t.control.fail_payment(&intent, "insufficient_funds").await;
            self.story.push(format!("the bank takes {intent} back: {}", failed.is_ok()));
        }
    }

    async fn fail_refund(&mut self) {
        let Some(which) = self.one_of(self.refunds.len()) else { return };
        let refund = self.t.get(&format!("/v1/refunds/{}", self.refunds[which])).await;
        let Some(id) = refund["provider"]["id"].as_str() else { return };
        let failed = self.t.control.fail_refund(id, "lost_or_stolen_card").await;
        self.story.push(format!("{id} does not reach the buyer: {}", failed.is_ok()));
        self.t.settle().await;
        let now = self.t.get(&format!("/v1/refunds/{}", self.refunds[which])).await;
        if now["status"] == "returned" && self.dice.roll(0, 2) > 0 {
            let outcome = ["reinstated", "paid_from_bank"][self.one_of(2).expect("two")];
            let path = format!("/v1/refunds/{}/resolution", self.refunds[which]);
            self.post(&path, json!({"outcome": outcome, "reason": "as agreed with the buyer"})).await;
        }
    }

    /// A person keeps something back of a seller, or gives or takes something.
    async fn by_hand(&mut self) {
        let seller = self.one_of(self.sellers.len()).expect("a marketplace has sellers");
        let (seller, amount) = (self.sellers[seller]["id"].clone(), self.dice.roll(1, 40_00) * self.unit);
        let body = json!({"seller": seller, "amount": amount, "currency": self.currency});
        let (path, more) = match self.dice.roll(0, 2) {
            0 => ("/v1/reserves", json!({"reason": "orders are late", "release_on": "2026-03-20"})),
            1 => ("/v1/adjustments", json!({"direction": "credit", "reason": "goodwill"})),
            _ => ("/v1/adjustments", json!({"direction": "debit", "reason": "penalty"})),
        };
        let mut body = body;
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        if path == "/v1/adjustments" {
            body["reference"] = json!(format!("by-hand-{}", self.requests));
        }
        self.post(path, body).await;
    }

    /// A seller is paid out at once, or the bank gets a file, or somebody tells what became of what it got.
    async fn pay_out(&mut self) {
        let reference = format!("out-{}", self.requests);
        match self.dice.roll(0, 2) {
            0 => {
                let seller = self.one_of(self.sellers.len()).expect("a marketplace has sellers");
                let seller = self.sellers[seller]["id"].clone();
                self.post("/v1/payouts", json!({"reference": reference, "seller": seller})).await;
            }
            1 => drop(self.post("/v1/bank_files", json!({"reference": reference, "currency": self.currency})).await),
            _ => {
                let mut by_bank = self.t.list("/v1/payouts").await;
                by_bank.retain(|payout| payout["method"] == "bank_file");
                let Some(which) = self.one_of(by_bank.len()) else { return };
                let (what, body) = match self.dice.roll(0, 2) {
                    0 => ("confirm", json!({})),
                    1 => ("return", json!({"code": "AC04", "note": "statement of the bank"})),
                    _ => ("cancel", json!({})),
                };
                self.post(&format!("/v1/payouts/{}/{what}", text(&by_bank[which]["id"])), body).await;
            }
        }
    }

    /// The platform takes its own money out, as much as it has or more than that.
    async fn platform_payout(&mut self) {
        let amount = self.dice.roll(1, 300_00) * self.unit;
        let reference = format!("own-{}", self.requests);
        self.post("/v1/platform_payouts", json!({"reference": reference, "amount": amount, "currency": self.currency}))
            .await;
    }

    /// What was unclear becomes clear, as time passes.
    async fn come_to_rest(&mut self) {
        self.t.settle().await;
        for _ in 0..48 {
            if self.t.count("select count(*) from operations where state not in ('succeeded', 'failed')").await == 0 {
                return;
            }
            self.t.advance(3_600).await;
        }
        panic!("an operation stays open\n{}", self.story.join("\n"));
    }

    async fn check(&self) {
        assert_eq!(self.wrong().await, Vec::<String>::new(), "{}", self.story.join("\n"));
    }

    /// What does not hold of what must hold at every moment.
    async fn wrong(&self) -> Vec<String> {
        let t = &self.t;
        let mut wrong = Vec::new();
        let run = t.reconcile().await;
        if run.breaks != 0 {
            wrong.push(format!("breaks: {:#}", t.get(&format!("/v1/reconciliation/runs/{}/breaks", run.id)).await));
        }
        let report = verify::run(&t.app, t.book.id).await.expect("verified");
        wrong
            .extend(report.findings.iter().map(|finding| format!("verify: {}: {}", finding.invariant, finding.detail)));
        let comparison = rebuild::check(&t.app, t.book.id).await.expect("compared");
        if !comparison.agrees() {
            wrong.push(format!("the ledger does not follow from the facts: {comparison:#?}"));
        }
        wrong.extend(agreement::differences(t).await);
        wrong
            .extend(t.control.check_books().await.expect("checked").iter().map(|found| format!("provider: {found:?}")));
        wrong.extend(self.statements_that_do_not_add_up().await);
        wrong
    }

    /// What a seller is shown against the sum of all its entries.
    async fn statements_that_do_not_add_up(&self) -> Vec<String> {
        let admin = self.t.admin().await;
        let rows: Vec<(String, i64)> = sqlx::query_as(STATEMENTS).fetch_all(&admin).await.expect("entries");
        admin.close().await;
        let entries: BTreeMap<String, i64> = rows.into_iter().collect();
        let mut wrong = Vec::new();
        for seller in &self.sellers {
            let id = text(&seller["id"]);
            let balance = self.t.get(&format!("/v1/sellers/{id}/balance")).await;
            let shown: i64 = balance["balances"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|one| {
                    let of = |name: &str| one[name].as_i64().unwrap_or(0);
                    of("pending") + of("available") + of("held") + of("reserve") - of("debt")
                })
                .sum();
            let summed = entries.get(&id).copied().unwrap_or(0);
            if shown != summed {
                wrong.push(format!("{id} is shown {shown}, its entries come to {summed}: {balance}"));
            }
        }
        wrong
    }
}

/// Lives one life; what happened in it.
pub(crate) async fn live(seed: u64) -> Vec<String> {
    let mut life = Life::begin(seed).await;
    for _ in 0..STEPS {
        life.step().await;
        life.check().await;
    }
    life.t.finish().await;
    life.story
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cent_that_is_nobodys_is_seen_in_the_middle_of_a_life() {
    let mut life = Life::begin(3).await;
    life.pay().await;
    life.come_to_rest().await;
    assert_eq!(life.wrong().await, Vec::<String>::new());
    life.t.tamper("update payments set amount = amount + 1").await;
    assert!(life.wrong().await.len() >= 2, "{:#?}", life.wrong().await);
    life.t.close().await;
}
