//! Runs the simulator alone: `cargo run -p partita-simulator -- --port 12111`.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Context;
use clap::Parser;
use partita_postgres::{PrivateServer, Role, ServerOptions, default_data_folder};
use partita_simulator::{ClockMode, Simulator, SimulatorOptions};

/// A stateful look-alike of Stripe Connect, with its own books and a clock.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 12_111)]
    port: u16,
    /// Address to listen on. The control calls ask for no key: keep it on loopback.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Its own Postgres database; without one, a private server is started.
    #[arg(long, env = "PARTITA_SIMULATOR_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// The platform's secret key.
    #[arg(long, default_value = "sk_test_simulator")]
    secret_key: String,
    /// The platform's country, two capital letters.
    #[arg(long, default_value = "DE")]
    country: String,
    /// Drive the clock from this second on (since 1970-01-01 UTC) instead of following the machine's.
    #[arg(long)]
    clock: Option<i64>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let (server, database_url) = match arguments.database_url {
        Some(url) => (None, url),
        None => private_database().await.map(|(server, url)| (Some(server), url))?,
    };
    let options = SimulatorOptions {
        bind: SocketAddr::new(arguments.bind, arguments.port),
        secret_key: arguments.secret_key,
        country: arguments.country,
        clock: arguments.clock.map_or(ClockMode::System, ClockMode::Manual),
        ..SimulatorOptions::new(database_url)
    };
    let simulator = Simulator::start(options).await.context("the simulator cannot start")?;
    welcome(&simulator)?;
    stop_signal().await?;
    simulator.shutdown().await;
    if let Some(server) = server {
        server.shutdown().await.context("the private server does not stop")?;
    }
    Ok(())
}

/// A private server of the simulator's own, with its database.
async fn private_database() -> anyhow::Result<(PrivateServer, String)> {
    let folder = default_data_folder()?.join("simulator");
    let server = PrivateServer::start(ServerOptions::new(folder)).await.context("no private Postgres")?;
    server.cluster().create_database("simulator", Role::Simulator).await?;
    let url = server.cluster().url(Role::Simulator, "simulator");
    Ok((server, url))
}

/// Waits for Ctrl-C or a polite kill.
async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        done = tokio::signal::ctrl_c() => done?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn welcome(simulator: &Simulator) -> std::io::Result<()> {
    let (url, key) = (simulator.base_url(), simulator.secret_key());
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "The simulator listens on {url}; its key is {key}.\n\n\
         A payment:\n  \
         curl {url}/v1/payment_intents -u {key}: -d amount=12000 -d currency=eur -d confirm=true \\\n    \
         -d payment_method=pm_card_visa -d 'allowed_payment_method_types[]=card' \\\n    \
         -d 'expand[]=latest_charge.balance_transaction'\n\n\
         Control:\n  \
         curl {url}/_control/clock\n  \
         curl -X POST {url}/_control/clock/advance -H 'content-type: application/json' -d '{{\"seconds\": 86400}}'\n  \
         curl -X POST {url}/_control/endpoints -H 'content-type: application/json' \\\n    \
         -d '{{\"url\": \"http://127.0.0.1:8080/hook\", \"connect\": false}}'\n  \
         curl -X POST {url}/_control/webhooks/flush\n  \
         curl {url}/_control/books\n\n\
         Ctrl-C stops it."
    )?;
    out.flush()
}
