//! `partita demo`.

use std::path::PathBuf;

use super::connection::QuietLogArgs;
use super::{Outcome, output, signals};
use crate::demo::{self, DemoOptions};

#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  partita demo                      free ports, data in the default folder
  partita demo --port 8080 --data /var/tmp/partita
  partita demo reset                removes what the demo keeps

It needs Postgres' server programs (15 or newer) and nothing else: it runs a private server, a look-alike of Stripe, the
service and its worker, all on loopback ports. The first start makes a marketplace with some days of orders; later ones
find it again. Ctrl-C stops everything."
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Port of the service; a free one when absent
    #[arg(long, env = "PARTITA_DEMO_PORT")]
    port: Option<u16>,
    /// Port for metrics and health; a free one when absent
    #[arg(long, env = "PARTITA_DEMO_ADMIN_PORT", value_name = "PORT")]
    admin_port: Option<u16>,
    /// Port of the simulated provider; a free one when absent
    #[arg(long, env = "PARTITA_DEMO_SIMULATOR_PORT", value_name = "PORT")]
    simulator_port: Option<u16>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    log: QuietLogArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Remove everything the demo keeps
    Reset(Place),
}

#[derive(Debug, clap::Args)]
struct Place {
    /// Where the data are: in the folder `demo` below [default: /var/lib/partita for root, else ~/.local/share/partita]
    #[arg(long, env = "PARTITA_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Outcome> {
    if let Some(Command::Reset(place)) = args.command {
        let removed = demo::reset(place.data.as_deref()).await?;
        let text = removed
            .map_or_else(|| "there is nothing to remove".to_owned(), |folder| format!("removed {}", folder.display()));
        output::text(&text)?;
        return Ok(Outcome::Done);
    }
    args.log.set_up()?;
    let options = DemoOptions {
        port: args.port,
        admin_port: args.admin_port,
        simulator_port: args.simulator_port,
        data: args.place.data,
    };
    demo::run(options, signals::stop_on_signals()?).await?;
    Ok(Outcome::Done)
}
