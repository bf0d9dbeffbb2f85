//! `partita worker`.

use std::net::SocketAddr;
use std::time::Duration;

use super::connection::{check_schema, connect, no_database};
use super::service::{Listeners, Service, ServiceOptions, listen};
use super::{Outcome, signals};
use crate::app::{App, Secrets};
use crate::clock::{Clock, DatabaseClock};
use crate::config::{CommandArgs, DatabaseArgs, EgressArgs, EncryptionArgs, LogArgs, RateSettings};
use crate::telemetry::{self, Metrics};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  DATABASE_URL=postgres://partita_app:..@db/partita PARTITA_ENCRYPTION_KEY_FILE=/run/secrets/encryption \
    partita worker --admin-bind 127.0.0.1:9091

Any number of workers may run beside each other. What is under way at SIGTERM or Ctrl-C is finished first.")]
pub(super) struct Args {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    encryption: EncryptionArgs,
    #[command(flatten)]
    egress: EgressArgs,
    /// Address and port for metrics and health; keep it private
    #[arg(
        long,
        env = "PARTITA_ADMIN_BIND",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9090",
        help_heading = "Server"
    )]
    admin_bind: SocketAddr,
    #[command(flatten)]
    commands: CommandArgs,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Outcome> {
    let database = args.database.settings()?;
    let url = database.url.ok_or_else(no_database)?;
    // The worker reads no API key, so it needs no pepper.
    let secrets = Secrets { vault: args.encryption.vault()?, ..Secrets::default() };
    telemetry::init_logs(&args.log.settings())?;
    let stop = signals::stop_on_signals()?;
    let db = connect(&url, database.connections.get()).await?;
    let clock = DatabaseClock::start(&db).await?;
    let (egress, resend_up_to) = (args.egress.policy(), args.commands.resend_up_to);
    let app = App::new(db.clone(), Clock::Database(clock.clone()), secrets, egress, resend_up_to);
    check_schema(&app).await?;
    let admin = listen(args.admin_bind, "--admin-bind")?;
    let options = ServiceOptions {
        public_origin: format!("http://{}", args.admin_bind),
        max_connections: 0,
        shutdown_delay: Duration::ZERO,
        drain: Duration::from_secs(5),
        rates: RateSettings::default(),
        with_worker: true,
    };
    let mut service = Service::start(app, Listeners { main: None, admin }, Metrics::install()?, &options)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "working");
    let broken = stop.run_until_cancelled(service.broken()).await;
    tracing::info!("stopping");
    service.stop().await;
    db.close().await;
    broken.map_or(Ok(Outcome::Done), Err)
}
