//! `partita serve`.

use anyhow::Context as _;

use super::connection::{check_schema, connect, no_database};
use super::service::{Listeners, Service, ServiceOptions, listen};
use super::{Outcome, signals};
use crate::app::{App, Secrets};
use crate::clock::{Clock, DatabaseClock};
use crate::config::{
    CommandArgs, DatabaseArgs, EgressArgs, EncryptionArgs, HttpArgs, HttpSettings, LogArgs, PepperArgs,
};
use crate::telemetry::{self, Metrics};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  DATABASE_URL=postgres://partita_app:..@db/partita PARTITA_PEPPER_FILE=/run/secrets/pepper \
    PARTITA_ENCRYPTION_KEY_FILE=/run/secrets/encryption partita serve
  partita serve --bind 0.0.0.0:8080 --public-url https://pay.market.example --with-worker false

It needs a schema (`partita migrate`), a role that owns nothing, and Postgres 15 or newer. Behind a proxy that ends
TLS, say under which address the outside reaches it (--public-url) and whom to believe (--trusted-proxies). SIGTERM and
Ctrl-C stop it once the requests under way have ended.")]
pub(super) struct Args {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    pepper: PepperArgs,
    #[command(flatten)]
    encryption: EncryptionArgs,
    #[command(flatten)]
    egress: EgressArgs,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    commands: CommandArgs,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Outcome> {
    let (database, http) = (args.database.settings()?, args.http.settings()?);
    let url = database.url.ok_or_else(no_database)?;
    let secrets = Secrets { pepper: args.pepper.secret()?, vault: args.encryption.vault()? };
    telemetry::init_logs(&args.log.settings())?;
    let stop = signals::stop_on_signals()?;
    let db = connect(&url, database.connections.get()).await?;
    let clock = DatabaseClock::start(&db).await?;
    // The database's clock and no other: one that is driven would let money and signatures live in another time.
    let (egress, resend_up_to) = (args.egress.policy(), args.commands.resend_up_to);
    let app = App::new(db.clone(), Clock::Database(clock.clone()), secrets, egress, resend_up_to);
    check_schema(&app).await?;
    let main = listen(http.bind, "--bind")?;
    let admin = listen(http.admin_bind, "--admin-bind")?;
    let address = main.local_addr().context("the main port cannot be used")?;
    let options = options(http, &format!("http://{address}"));
    let listeners = Listeners { main: Some(main), admin };
    let mut service = Service::start(app, listeners, Metrics::install()?, &options)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), %address, public = options.public_origin, worker = options.with_worker,
        "serving"
    );
    let broken = stop.run_until_cancelled(service.broken()).await;
    tracing::info!("stopping");
    service.stop().await;
    db.close().await;
    broken.map_or(Ok(Outcome::Done), Err)
}

fn options(http: HttpSettings, bound: &str) -> ServiceOptions {
    ServiceOptions {
        public_origin: http.public_url.map_or_else(|| bound.to_owned(), |url| url.to_string()),
        max_connections: http.max_connections,
        shutdown_delay: http.shutdown_delay,
        drain: http.drain,
        rates: http.rates,
        with_worker: http.with_worker,
    }
}
