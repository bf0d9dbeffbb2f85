//! What `pgbench` gets from the same server.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use partita_postgres::{Binaries, PrivateServer, Role};

use crate::Settings;

pub(crate) const PGBENCH_CLIENTS: &str = "8";

/// The URL without the parameters that only sqlx knows.
fn libpq_url(url: &str) -> String {
    url.split('?').next().unwrap_or(url).to_owned()
}

/// pgbench's TPC-B on a database of its own.
pub(crate) struct PgBench {
    program: std::path::PathBuf,
    url: String,
    seconds: String,
}

impl PgBench {
    pub(crate) fn prepare(server: &PrivateServer, settings: &Settings) -> Result<Self> {
        let bench = Self {
            program: Self::program()?,
            url: libpq_url(&server.cluster().url(Role::Admin, "postgres")),
            seconds: settings.seconds.to_string(),
        };
        bench.output(&["-i", "-q", "-s", &settings.scale.to_string()])?;
        Ok(bench)
    }

    /// Beside the server's own programs, wherever a link to these leads.
    fn program() -> Result<std::path::PathBuf> {
        let server = Binaries::find()?.program("postgres").canonicalize()?;
        let beside = server.with_file_name("pgbench");
        Ok(if beside.is_file() { beside } else { "pgbench".into() })
    }

    /// Transactions a second.
    pub(crate) fn run(&self) -> Result<u64> {
        let output = self.output(&["-n", "-c", PGBENCH_CLIENTS, "-j", "2", "-T", &self.seconds])?;
        let line = output.lines().find_map(|line| line.strip_prefix("tps = ")).context("pgbench names no rate")?;
        let whole = line.split(['.', ' ']).next().context("pgbench names no rate")?;
        whole.parse().with_context(|| format!("pgbench's rate is {line:?}"))
    }

    fn output(&self, arguments: &[&str]) -> Result<String> {
        let program = self.program.display();
        let output = Command::new(&self.program).args(arguments).arg(&self.url).output();
        let output = output.with_context(|| format!("{program} does not start"))?;
        ensure!(output.status.success(), "pgbench {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}
