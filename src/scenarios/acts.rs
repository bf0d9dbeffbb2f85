//! What the provider, a bank or a person in the provider's dashboard does.

use anyhow::{Context as _, bail};
use partita_simulator::{Fault, NewDispute, Settings};
use serde_json::{Map, Value};

use super::player::Player;
use super::script::Act;

impl Player {
    /// Does it; what happened, for a person.
    pub(super) async fn act(&mut self, act: &Act) -> anyhow::Result<String> {
        let control = self.stage.control.clone();
        Ok(match act {
            Act::Dispute { name, of, amount, reason, inquiry } => {
                let payment = self.get(&format!("/v1/payments/{}", self.names.id(of)?)).await?;
                let charge = payment["provider_charge"].as_str().context("nothing was charged yet")?.to_owned();
                let amount = amount.map(|amount| amount.0.minor);
                let new = NewDispute { charge, amount, reason: reason.clone(), inquiry: *inquiry };
                self.names.give(name, control.open_dispute(new).await?);
                format!("{name}: the buyer's bank disputes {of} as {reason}")
            }
            Act::Decide { dispute, outcome } => {
                control.decide_dispute(self.names.id(dispute)?, outcome).await?;
                format!("{dispute} is decided: {outcome}")
            }
            Act::FailPayout { seller, code } => {
                let payouts = self.get(&format!("/v1/payouts?seller={}&limit=1", self.names.id(seller)?)).await?;
                let newest = payouts.pointer("/data/0/provider/id").and_then(Value::as_str);
                control.fail_payout(newest.with_context(|| format!("{seller} has no payout"))?, code).await?;
                format!("the bank of {seller} returns its payout: {code}")
            }
            Act::FailRefund { refund, reason } => {
                let id = self.names.id(refund)?;
                let shown = self.get(&format!("/v1/refunds/{id}")).await?;
                let at_provider = shown.pointer("/provider/id").and_then(Value::as_str);
                control.fail_refund(at_provider.context("the provider has no such refund")?, reason).await?;
                format!("{refund} does not reach the buyer: {reason}")
            }
            Act::PayOut { seller, amount } => {
                let account = self.names.text(seller, "provider.id")?;
                control.create_payout(Some(account), amount.0.minor, amount.0.currency.code()).await?;
                format!("{seller} pays {} out by hand", amount.0)
            }
            Act::Onboard { seller } => {
                self.onboard(seller).await?;
                format!("{seller} does what the provider wants")
            }
            Act::Fault { kind, method, path, times } => {
                control.plan_fault(Fault { kind: *kind, method: method.clone(), path: path.clone(), times: *times });
                format!("the provider will fail {times} times at {method} {path}: {kind:?}")
            }
            Act::Heal => {
                control.clear_faults();
                "the provider is well again".to_owned()
            }
            Act::Settings(settings) => {
                self.set(settings).await?;
                "the provider behaves differently from here on".to_owned()
            }
            Act::Dashboard { path, fields } => self.dashboard(path, fields).await?,
        })
    }

    /// Has a seller do what the provider wants.
    pub(super) async fn onboard(&mut self, seller: &str) -> anyhow::Result<()> {
        self.stage.control.complete_onboarding(self.names.text(seller, "provider.id")?).await?;
        Ok(())
    }

    /// Changes some of the simulator's settings.
    pub(super) async fn set(&self, changes: &Map<String, Value>) -> anyhow::Result<()> {
        let mut settings = serde_json::to_value(self.stage.control.settings())?;
        for (name, value) in changes {
            let known: Vec<&String> = settings.as_object().into_iter().flat_map(Map::keys).collect();
            if !known.contains(&name) {
                bail!("the provider has no setting {name}; it has {known:?}");
            }
            settings[name] = self.names.body(value)?;
        }
        let settings: Settings = serde_json::from_value(settings).context("a setting of the provider")?;
        Ok(self.stage.control.set_settings(settings).await?)
    }

    /// A request that is not ours.
    async fn dashboard(
        &self,
        path: &str,
        fields: &std::collections::BTreeMap<String, String>,
    ) -> anyhow::Result<String> {
        let mut form = Vec::new();
        for (key, value) in fields {
            let value = match self.names.body(&Value::from(value.as_str()))? {
                Value::String(text) => text,
                other => other.to_string(),
            };
            form.push((key, value));
        }
        let url = format!("{}{}", self.simulator.base_url(), self.names.path(path)?);
        let http = reqwest::Client::builder().no_proxy().build()?;
        let answer = http.post(url).bearer_auth(&self.secret_key).form(&form).send().await?;
        let (status, found) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            bail!("the provider answered {status}: {found}");
        }
        Ok(format!("somebody does it in the provider's dashboard: POST {path}"))
    }
}
