//! What the operations stand on that are struck: payments to refund and to cancel, a second person, a sink for webhooks.

use anyhow::Context as _;
use futures::StreamExt as _;
use partita::platforms::{self, SCOPES};
use serde_json::{Value, json};

use super::pairs::{Kind, Pair};
use crate::client::Client;
use crate::dice::Dice;
use crate::scenarios::Scene;
use crate::sink::Sink;

/// Payments made at once.
const AT_ONCE: usize = 6;

/// What a payment that is to be refunded in pieces is about; minor units.
const AMOUNT: u64 = 100_00;

/// Payments that refunds share.
const SHARED: usize = 4;

/// What stands before anything is struck.
pub(super) struct Ground {
    pub(super) sink: Sink,
    /// Somebody else's API key: whoever proposes cannot approve.
    pub(super) second: Client,
    to_reverse: Vec<String>,
    to_refund: Vec<String>,
    to_cancel: Vec<String>,
    dice: Dice,
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) path: String,
    pub(super) key: String,
    pub(super) body: Value,
}

impl Ground {
    /// Makes everything that these pairs need.
    ///
    /// # Errors
    /// When the service does not do what it should in fair weather.
    pub(super) async fn lay(scene: &Scene, pairs: &[Pair]) -> anyhow::Result<Self> {
        let count = |kind| pairs.iter().filter(|pair| pair.kind == kind).count();
        let sink = Sink::start().await?;
        let client = scene.rig.client(0)?;
        let hook = json!({"url": sink.url(), "events": ["*"]});
        let made = client.tell("/v1/webhook_endpoints", &hook).await.context("the sink's endpoint")?;
        anyhow::ensure!(made.status < 300, "{}", String::from_utf8_lossy(&made.bytes));
        let app = scene.rig.app().await?;
        let scopes = SCOPES.iter().map(ToString::to_string).collect();
        let (_, key) = platforms::create_key(&app, &scene.rig.book, "second", scopes, None).await?;
        app.db.close().await;
        let mut dice = Dice::new(scene.rig.seed, "ground");
        let shared = pay(scene, &mut dice, "shared", SHARED, "pm_card_visa").await?;
        let to_reverse = pay(scene, &mut dice, "reversed", count(Kind::Reversal) + 1, "pm_card_visa").await?;
        let waiting = "pm_card_authenticationRequired";
        let to_cancel = pay(scene, &mut dice, "canceled", count(Kind::Cancel) + 1, waiting).await?;
        let second = client.with_key(key);
        Ok(Self { sink, second, to_reverse, to_refund: shared, to_cancel, dice })
    }

    /// A request that leads to an operation of this kind.
    ///
    /// # Errors
    /// When nothing is left to cancel or to reverse.
    pub(super) fn request(&mut self, scene: &Scene, kind: Kind, key: &str) -> anyhow::Result<Request> {
        let amount = 1_00 + i64::try_from(self.dice.below(4_00))?;
        let (path, body) = match kind {
            Kind::Account => (
                "/v1/sellers".to_owned(),
                json!({
                    "reference": key, "email": format!("{key}@example.com"), "country": "DE",
                    "default_currency": "EUR", "payout_interval": "manual",
                }),
            ),
            Kind::Payment | Kind::Transfer => {
                ("/v1/payments".to_owned(), payment(scene, &mut self.dice, key, "pm_card_visa"))
            }
            Kind::Cancel => {
                let payment = self.to_cancel.pop().context("no payment is left to cancel")?;
                (format!("/v1/payments/{payment}/cancel"), json!({}))
            }
            Kind::Reversal => {
                let payment = self.to_reverse.pop().context("no payment is left to refund")?;
                ("/v1/refunds".to_owned(), json!({"payment": payment, "amount": amount}))
            }
            Kind::Refund => {
                let payment = &self.to_refund[self.dice.index(self.to_refund.len())];
                ("/v1/refunds".to_owned(), json!({"payment": payment, "amount": amount}))
            }
            Kind::TopUp => ("/v1/top_ups".to_owned(), json!({"reference": key, "amount": amount, "currency": "EUR"})),
        };
        Ok(Request { path, key: key.to_owned(), body })
    }
}

/// A payment to one seller.
fn payment(scene: &Scene, dice: &mut Dice, reference: &str, method: &str) -> Value {
    let (sellers, amount) = (&scene.market.sellers, AMOUNT + dice.below(AMOUNT));
    let seller = &sellers[dice.index(sellers.len())];
    json!({
        "amount": amount, "currency": "EUR", "payment_method": method, "reference": reference,
        "lines": [{"seller": seller, "amount": amount}],
    })
}

/// Makes payments; their ids.
async fn pay(scene: &Scene, dice: &mut Dice, name: &str, count: usize, method: &str) -> anyhow::Result<Vec<String>> {
    let client = scene.rig.client(0)?;
    let bodies: Vec<(String, Value)> = (0..count)
        .map(|number| format!("{name}-{number}"))
        .map(|key| (key.clone(), payment(scene, dice, &key, method)))
        .collect();
    let paying = bodies.iter().map(|(key, body)| {
        let client = &client;
        async move {
            let answer = client.post("/v1/payments", key, body).await.context("no answer")?;
            anyhow::ensure!(answer.status == 201, "{key}: {}", String::from_utf8_lossy(&answer.bytes));
            Ok(answer.json()["id"].as_str().context("a payment has an id")?.to_owned())
        }
    });
    let paid: Vec<anyhow::Result<String>> = futures::stream::iter(paying).buffered(AT_ONCE).collect().await;
    paid.into_iter().collect()
}
