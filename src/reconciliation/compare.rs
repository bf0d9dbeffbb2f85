//! Comparing a movement and a balance of the provider with what the ledger has of it. Pure.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use partita_provider::{Balance, BalanceTransaction, Currency, Money, SettlementState};

use crate::provider_movements::Movement;

/// A movement this young may still be on its way into the ledger.
pub(super) const ON_ITS_WAY_SECONDS: i64 = 120;

/// What kind of difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakKind {
    /// The provider has a movement that the ledger does not have.
    MissingInLedger,
    /// The ledger has a movement that the provider does not have.
    MissingAtProvider,
    /// The amounts differ.
    AmountMismatch,
    /// The currencies differ.
    CurrencyMismatch,
    /// The fees differ.
    FeeMismatch,
    /// Pending here, available there; or too young to be here.
    Timing,
    /// Booked more than once.
    Duplicate,
    /// A balance as a whole differs.
    BalanceMismatch,
}

impl BreakKind {
    const ALL: [Self; 8] = [
        Self::MissingInLedger,
        Self::MissingAtProvider,
        Self::AmountMismatch,
        Self::CurrencyMismatch,
        Self::FeeMismatch,
        Self::Timing,
        Self::Duplicate,
        Self::BalanceMismatch,
    ];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingInLedger => "missing_in_ledger",
            Self::MissingAtProvider => "missing_at_provider",
            Self::AmountMismatch => "amount_mismatch",
            Self::CurrencyMismatch => "currency_mismatch",
            Self::FeeMismatch => "fee_mismatch",
            Self::Timing => "timing",
            Self::Duplicate => "duplicate",
            Self::BalanceMismatch => "balance_mismatch",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A difference, before it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub kind: BreakKind,
    pub movement: Option<String>,
    /// Of a balance as a whole: which state of it.
    pub state: Option<&'static str>,
    pub currency: Currency,
    pub ledger_amount: Option<i64>,
    pub provider_amount: Option<i64>,
    pub detail: String,
}

impl Finding {
    /// What differs: with kind, account and currency it tells whether two runs found the same.
    pub(super) fn subject(&self) -> &str {
        self.movement.as_deref().or(self.state).unwrap_or_default()
    }

    /// The provider's figure less the ledger's, where both have one; minor units.
    pub(super) fn difference(&self) -> Option<i64> {
        self.provider_amount?.checked_sub(self.ledger_amount?)
    }
}

/// The states of a balance, as the subjects of findings.
pub(super) const BALANCE_STATES: [&str; 3] = ["pending", "available", "reserved"];

/// What the ledger has of a movement: what its transactions moved on the provider's accounts.
#[derive(Debug, Clone)]
pub(super) struct InLedger {
    pub movement: Movement,
    /// On the pending account; minor units.
    pub pending: i128,
    /// On the available account; minor units.
    pub available: i128,
}

/// What the ledger has, by the provider's id.
pub(super) type Known = HashMap<String, InLedger>;

pub(super) fn compare_page(page: &[BalanceTransaction], known: &Known, now: Timestamp) -> Vec<Finding> {
    page.iter().filter_map(|said| compare(said, known.get(&said.id), now)).collect()
}

fn compare(said: &BalanceTransaction, ours: Option<&InLedger>, now: Timestamp) -> Option<Finding> {
    let finding = |kind, ledger_amount, detail: String| {
        Some(Finding {
            kind,
            movement: Some(said.id.clone()),
            state: None,
            currency: said.currency,
            ledger_amount,
            provider_amount: Some(said.net),
            detail,
        })
    };
    let Some(ours) = ours else {
        let age = crate::clock::from_seconds(said.created).map(|made| now.duration_since(made));
        let young = age.is_some_and(|age| age < SignedDuration::from_secs(ON_ITS_WAY_SECONDS));
        let kind = if young { BreakKind::Timing } else { BreakKind::MissingInLedger };
        return finding(kind, None, format!("a {} of {} is not in the ledger", said.kind, money(said.net, said)));
    };
    let total = i64::try_from(ours.pending + ours.available).ok();
    if ours.movement.currency != said.currency {
        let detail = format!("booked in {}, moved in {}", ours.movement.currency, said.currency);
        return finding(BreakKind::CurrencyMismatch, total, detail);
    }
    if total != Some(said.net) {
        let detail = format!(
            "the ledger moved {} minor units for a {} of {}",
            ours.pending + ours.available,
            said.kind,
            money(said.net, said)
        );
        return finding(BreakKind::AmountMismatch, total, detail);
    }
    if ours.movement.fee != said.fee {
        let detail = format!("fee booked as {}, taken as {}", ours.movement.fee, said.fee);
        return finding(BreakKind::FeeMismatch, Some(ours.movement.fee), detail);
    }
    let elsewhere = match said.state {
        SettlementState::Pending => ours.available,
        SettlementState::Available => ours.pending,
    };
    if elsewhere != 0 {
        let detail = format!("the provider has it as {}, the ledger not", state_word(said.state));
        return finding(BreakKind::Timing, total, detail);
    }
    None
}

pub(super) fn missing_at_provider(movement: &Movement) -> Finding {
    Finding {
        kind: BreakKind::MissingAtProvider,
        movement: Some(movement.id.clone()),
        state: None,
        currency: movement.currency,
        ledger_amount: Some(movement.net),
        provider_amount: None,
        detail: format!("the ledger has a {} that the provider does not list", movement.kind),
    }
}

fn money(minor: i64, said: &BalanceTransaction) -> Money {
    Money::new(minor, said.currency)
}

fn state_word(state: SettlementState) -> &'static str {
    match state {
        SettlementState::Pending => "pending",
        SettlementState::Available => "available",
    }
}

/// The ledger's balances of one account at the provider; minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LedgerBalances {
    pub pending: i128,
    pub available: i128,
    pub reserved: i128,
}

/// One account and currency: ledger and provider side by side.
#[derive(Debug, Clone)]
pub(super) struct BalanceRow {
    account: String,
    currency: Currency,
    ledger: LedgerBalances,
    provider: LedgerBalances,
}

impl BalanceRow {
    pub(super) fn new(account: &str, currency: Currency, ledger: LedgerBalances, said: &Balance) -> Self {
        let sum = |amounts: &[Money]| {
            amounts.iter().filter(|money| money.currency == currency).map(|money| i128::from(money.minor)).sum()
        };
        let provider = LedgerBalances {
            pending: sum(&said.pending),
            available: sum(&said.available),
            reserved: sum(&said.reserved),
        };
        Self { account: account.to_owned(), currency, ledger, provider }
    }

    fn states(&self) -> [(&'static str, i128, i128); 3] {
        [
            ("pending", self.ledger.pending, self.provider.pending),
            ("available", self.ledger.available, self.provider.available),
            ("reserved", self.ledger.reserved, self.provider.reserved),
        ]
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        let differs = |(state, ours, theirs): (&'static str, i128, i128)| {
            (ours != theirs).then(|| Finding {
                kind: BreakKind::BalanceMismatch,
                movement: None,
                state: Some(state),
                currency: self.currency,
                ledger_amount: i64::try_from(ours).ok(),
                provider_amount: i64::try_from(theirs).ok(),
                detail: format!(
                    "the {state} balance is {ours} in the ledger and {theirs} at the provider, in minor units"
                ),
            })
        };
        self.states().into_iter().filter_map(differs).collect()
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        let state = |(name, ours, theirs): (&'static str, i128, i128)| {
            // Minor units fit 64 bits: a row that did not would have been refused by the ledger.
            let figure = |value: i128| i64::try_from(value).unwrap_or(i64::MAX);
            serde_json::json!({"state": name, "ledger": figure(ours), "provider": figure(theirs)})
        };
        serde_json::json!({
            "account": self.account, "currency": self.currency, "states": self.states().map(state),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eur() -> Currency {
        Currency::parse("EUR").expect("a currency")
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).expect("a time")
    }

    fn said(net: i64, fee: i64, state: SettlementState) -> BalanceTransaction {
        BalanceTransaction {
            id: "txn_1".to_owned(),
            kind: "charge".to_owned(),
            amount: net + fee,
            fee,
            net,
            currency: eur(),
            state,
            available_on: 1_799_990_000,
            created: 1_799_000_000,
            source: Some("ch_1".to_owned()),
            description: None,
            exchange_rate: None,
        }
    }

    fn ours(fee: i64, pending: i128, available: i128) -> InLedger {
        let movement = Movement {
            key: 1,
            account: String::new(),
            id: "txn_1".to_owned(),
            kind: "charge".to_owned(),
            fee,
            net: 116_80,
            currency: eur(),
            state: SettlementState::Pending,
            object_type: "payment".to_owned(),
            object_id: None,
        };
        InLedger { movement, pending, available }
    }

    fn kind(said: &BalanceTransaction, ours: Option<&InLedger>) -> Option<BreakKind> {
        compare(said, ours, now()).map(|finding| finding.kind)
    }

    #[test]
    fn what_agrees_is_no_finding() {
        let pending = said(116_80, 3_20, SettlementState::Pending);
        assert_eq!(kind(&pending, Some(&ours(3_20, 116_80, 0))), None);
        let available = said(116_80, 3_20, SettlementState::Available);
        assert_eq!(kind(&available, Some(&ours(3_20, 0, 116_80))), None);
    }

    #[test]
    fn every_difference_has_its_name() {
        let movement = said(116_80, 3_20, SettlementState::Available);
        assert_eq!(kind(&movement, None), Some(BreakKind::MissingInLedger));
        assert_eq!(kind(&movement, Some(&ours(3_20, 0, 116_79))), Some(BreakKind::AmountMismatch));
        assert_eq!(kind(&movement, Some(&ours(3_10, 0, 116_80))), Some(BreakKind::FeeMismatch));
        assert_eq!(kind(&movement, Some(&ours(3_20, 116_80, 0))), Some(BreakKind::Timing));
        let mut other = ours(3_20, 0, 116_80);
        other.movement.currency = Currency::parse("USD").expect("a currency");
        assert_eq!(kind(&movement, Some(&other)), Some(BreakKind::CurrencyMismatch));
        let young = BalanceTransaction { created: 1_799_999_990, ..movement };
        assert_eq!(kind(&young, None), Some(BreakKind::Timing));
    }

    #[test]
    fn balances_are_compared_per_state() {
        let ledger = LedgerBalances { pending: 10, available: 29_30, reserved: 54_00 };
        let said = Balance {
            available: vec![Money::new(29_30, eur())],
            pending: vec![Money::new(11, eur())],
            reserved: vec![Money::new(54_00, eur())],
            ..Balance::default()
        };
        let findings = BalanceRow::new("", eur(), ledger, &said).findings();
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].ledger_amount, findings[0].provider_amount), (Some(10), Some(11)));
    }
}
