//! Settings of commands towards the provider.

use clap::Args;

use crate::app::RESEND_UP_TO;

/// Options of commands towards the provider.
#[derive(Debug, Clone, Args)]
pub struct CommandArgs {
    /// Up to this amount, in minor units of whatever currency, a command that the provider has no trace of is sent
    /// again under a new key; above it two people decide
    #[arg(
        long,
        env = "PARTITA_RESEND_UP_TO",
        value_name = "AMOUNT",
        default_value_t = RESEND_UP_TO,
        value_parser = clap::value_parser!(i64).range(0..),
        help_heading = "Commands towards the provider"
    )]
    pub resend_up_to: i64,
}
