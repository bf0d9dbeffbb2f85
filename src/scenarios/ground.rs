//! Where a scenario is played: two databases, and a folder for the provider's key.

use std::path::PathBuf;

use anyhow::Context as _;
use partita_postgres::{Account, PrivateServer, Role, ServerOptions};

use crate::id::random_hex;

/// Databases to play in.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The service's, under its owner's role; none where the schema is there already.
    pub owner_url: Option<String>,
    /// The service's, under the application's role.
    pub app_url: String,
    /// The simulator's.
    pub simulator_url: String,
    /// Where the provider's key may lie.
    pub folder: PathBuf,
}

/// A private server for scenarios; each ground has databases of its own.
pub struct TemporaryGround {
    server: PrivateServer,
}

impl TemporaryGround {
    /// Starts the server, in the folder for temporary files.
    ///
    /// # Errors
    /// With what is missing, and how it is installed.
    pub async fn open() -> anyhow::Result<Self> {
        let user = Account::for_server()?;
        let folder = std::env::temp_dir().join(format!("partita-scenarios-{}", user.name()));
        Ok(Self { server: PrivateServer::start(ServerOptions::new(folder)).await? })
    }

    /// Makes two empty databases.
    ///
    /// # Errors
    /// What the server says.
    pub async fn make(&self) -> anyhow::Result<Ground> {
        let cluster = self.server.cluster();
        let [service, simulator] =
            ["scenario", "scenario_provider"].map(|name| format!("{name}_{}", random_hex::<6>()));
        cluster.create_database(&service, Role::Owner).await?;
        cluster.create_database(&simulator, Role::Simulator).await?;
        Ok(Ground {
            owner_url: Some(cluster.url(Role::Owner, &service)),
            app_url: cluster.url(Role::App, &service),
            simulator_url: cluster.url(Role::Simulator, &simulator),
            folder: self.server.folder().to_owned(),
        })
    }

    /// Removes a ground's databases.
    ///
    /// # Errors
    /// What the server says.
    pub async fn remove(&self, ground: &Ground) -> anyhow::Result<()> {
        for url in [&ground.app_url, &ground.simulator_url] {
            let url = url::Url::parse(url).context("a database's address")?;
            self.server.cluster().drop_database(url.path().trim_start_matches('/')).await?;
        }
        Ok(())
    }

    /// Stops the server.
    ///
    /// # Errors
    /// When it does not.
    pub async fn close(self) -> anyhow::Result<()> {
        self.server.shutdown().await.context("Postgres does not stop")
    }
}
