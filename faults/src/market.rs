//! The marketplace that the load runs on: some sellers, a commission, a float; and what its buyers do.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use partita_simulator::Control;
use serde_json::{Value, json};

use crate::client::Client;
use crate::dice::Dice;

/// How many sellers there are.
const SELLERS: usize = 4;

/// The platform's own money at the provider, which refunds may draw on; minor units.
const FLOAT: i64 = 90_000_000;

/// How long the sellers may take until they can be paid.
const OPEN_WITHIN: Duration = Duration::from_mins(2);

/// Of a thousand deeds of buyers, so many are refunds.
const REFUNDS: u16 = 200;

/// Of a thousand payments, so many are declined.
const DECLINED: u16 = 30;

/// A payment that succeeded.
#[derive(Debug, Clone)]
struct Paid {
    id: String,
    amount: i64,
}

/// The marketplace.
#[derive(Debug)]
pub struct Market {
    /// The sellers' ids.
    pub sellers: Vec<String>,
    paid: Mutex<Vec<Paid>>,
}

/// A request of a buyer's.
#[derive(Debug, Clone)]
pub struct Deed {
    /// Where to post.
    pub path: &'static str,
    /// What to post.
    pub body: Value,
    amount: i64,
}

impl Market {
    /// Opens it by the interface that everyone uses.
    ///
    /// # Errors
    /// When the service does not do what it should in fair weather.
    pub async fn open(client: &Client, control: &Control) -> anyhow::Result<Self> {
        let fee = json!({"reference": "standard", "name": "10 %", "default": true, "percent_bps": 1_000});
        ask(client, "/v1/fee_policies", "fee", &fee).await?;
        let float = json!({"reference": "float", "amount": FLOAT, "currency": "EUR"});
        ask(client, "/v1/top_ups", "float", &float).await?;
        let mut sellers = Vec::new();
        for number in 0..SELLERS {
            let reference = format!("shop-{number}");
            let body = json!({
                "reference": reference, "email": format!("{reference}@example.com"), "country": "DE",
                "default_currency": "EUR", "payout_interval": "manual",
            });
            let seller = ask(client, "/v1/sellers", &reference, &body).await?;
            let account = seller["provider"]["id"].as_str().context("a seller has an account")?;
            control.complete_onboarding(account).await?;
            sellers.push(seller["id"].as_str().context("a seller has an id")?.to_owned());
        }
        Ok(Self { sellers, paid: Mutex::default() })
    }

    /// Waits until every seller may be paid.
    ///
    /// # Errors
    /// When one may not in time.
    pub async fn wait_until_open(&self, client: &Client) -> anyhow::Result<()> {
        let deadline = Instant::now() + OPEN_WITHIN;
        for seller in &self.sellers {
            while client.get(&format!("/v1/sellers/{seller}")).await?["status"] != "active" {
                anyhow::ensure!(Instant::now() < deadline, "a seller is not active after {OPEN_WITHIN:?}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    /// What a buyer does next.
    pub fn deed(&self, dice: &mut Dice, reference: &str) -> Deed {
        if dice.happens(REFUNDS)
            && let Some(paid) = self.some_payment(dice)
        {
            // Together they may ask for more than was paid: that is refused, and must be.
            let amount = 1 + i64::try_from(dice.below(paid.amount.unsigned_abs())).unwrap_or(0);
            return Deed { path: "/v1/refunds", body: json!({"payment": paid.id, "amount": amount}), amount };
        }
        self.payment(dice, reference)
    }

    /// A payment for one to three sellers.
    pub fn payment(&self, dice: &mut Dice, reference: &str) -> Deed {
        let (mut lines, mut amount) = (Vec::new(), 0);
        for _ in 0..=dice.below(3) {
            let price = 500 + i64::try_from(dice.below(9_500)).unwrap_or(0);
            amount += price;
            lines.push(json!({"seller": self.sellers[dice.index(self.sellers.len())], "amount": price}));
        }
        let method = if dice.happens(DECLINED) { "pm_card_chargeDeclined" } else { "pm_card_visa" };
        let body = json!({
            "amount": amount, "currency": "EUR", "payment_method": method, "reference": reference, "lines": lines,
            // What the provider shows of the request: it tells whether one was charged twice.
            "description": reference,
        });
        Deed { path: "/v1/payments", body, amount }
    }

    /// Takes the answer to a deed: a payment that succeeded can be refunded.
    pub fn learn(&self, deed: &Deed, answer: &Value) {
        if deed.path == "/v1/payments"
            && answer["status"] == "succeeded"
            && let Some(id) = answer["id"].as_str()
        {
            let paid = Paid { id: id.to_owned(), amount: deed.amount };
            self.paid.lock().unwrap_or_else(PoisonError::into_inner).push(paid);
        }
    }

    fn some_payment(&self, dice: &mut Dice) -> Option<Paid> {
        let paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        paid.get(dice.index(paid.len())).cloned()
    }
}

/// Posts something that must succeed.
async fn ask(client: &Client, path: &str, key: &str, body: &Value) -> anyhow::Result<Value> {
    let answer = client.post(path, key, body).await.with_context(|| format!("no answer to {path}"))?;
    anyhow::ensure!(answer.status < 300, "{path}: {} {}", answer.status, String::from_utf8_lossy(&answer.bytes));
    Ok(answer.json())
}
