//! Scenarios: a marketplace's months in seconds. A script says what happens; the service and the simulated provider play it
//! on one clock, over their real interfaces. Whatever it is about, in the end the books must verify, follow from the facts
//! and agree with the provider.

mod acts;
mod amount;
mod ground;
mod names;
mod player;
mod script;

use jiff::Timestamp;
use partita_provider::Money;
use serde::{Serialize, Serializer};

use self::player::Player;
pub use ground::{Ground, TemporaryGround};
pub use script::{Script, ScriptError};

/// What happened.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    /// When, by the scenario's clock.
    pub at: Timestamp,
    /// What, for a person.
    pub what: String,
}

/// An account with its balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// Its path, with sellers' names.
    pub account: String,
    /// What stands there, on its normal side.
    #[serde(serialize_with = "shown")]
    pub amount: Money,
}

fn shown<S: Serializer>(amount: &Money, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

/// What a scenario came to.
#[derive(Debug, Clone, Serialize)]
pub struct Played {
    /// What it shows.
    pub title: String,
    /// What happened.
    pub told: Vec<Told>,
    /// How much was expected.
    pub expectations: u32,
    /// What is not as it should be.
    pub failures: Vec<String>,
    /// The books at the end: what is not zero.
    pub books: Vec<Balance>,
    /// Movements that ledger and provider agree about.
    pub movements: i64,
}

/// Plays a script.
///
/// # Errors
/// What kept it from being played at all; what did not come out as it should stands in [`Played::failures`].
pub async fn play(script: &Script, ground: &Ground) -> anyhow::Result<Played> {
    let mut player = Player::open(script, ground).await?;
    let played = player.play(script).await;
    player.close().await;
    played
}
