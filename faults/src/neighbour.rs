//! Another platform on the same replicas, with a provider, a marketplace and a history of its own.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use partita::app::App;
use partita::platforms::Book;
use partita_simulator::{Control, Simulator};
use sqlx::PgPool;

use crate::check::{self, Findings, Places};
use crate::client::Client;
use crate::history::History;
use crate::market::Market;
use crate::rig::{Rig, register_endpoints};

/// A platform beside the rig's own.
#[derive(Debug)]
pub struct Neighbour {
    /// Its name.
    pub name: String,
    /// Its book.
    pub book: Book,
    /// Control over its provider.
    pub control: Control,
    /// What its clients did.
    pub history: Arc<History>,
    bases: Vec<String>,
    api_key: String,
    provider_admin: PgPool,
    simulator: Simulator,
}

impl Neighbour {
    /// Moves in.
    ///
    /// # Errors
    /// With what could not be started.
    pub async fn move_in(rig: &Rig, name: &str) -> anyhow::Result<Self> {
        let (simulator, provider_admin) = rig.another_provider(name).await?;
        let control = simulator.control();
        let prepared = rig.another_platform(name, &simulator.base_url()).await?;
        register_endpoints(&control, &rig.to_service, prepared.endpoints).await?;
        Ok(Self {
            name: name.to_owned(),
            book: prepared.book,
            control,
            history: Arc::new(History::begin(&history_of(&rig.folder, name))?),
            bases: rig.bases(),
            api_key: prepared.api_key,
            provider_admin,
            simulator,
        })
    }

    /// A client of the replicas with this platform's key.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn client(&self, number: usize) -> anyhow::Result<Client> {
        Ok(Client::try_new(number, self.bases.clone(), self.api_key.clone(), Arc::clone(&self.history))?)
    }

    /// A marketplace whose sellers may be paid.
    ///
    /// # Errors
    /// When the service does not do what it should in fair weather.
    pub async fn market(&self) -> anyhow::Result<Arc<Market>> {
        let client = self.client(0)?;
        let market = Market::open(&client, &self.control).await?;
        market.wait_until_open(&client).await?;
        Ok(Arc::new(market))
    }

    /// Checks what must hold of its book.
    ///
    /// # Errors
    /// When it cannot be found out.
    pub async fn check(&self, app: &Arc<App>, admin: &PgPool, found: &mut Findings) -> anyhow::Result<()> {
        let places = Places { admin, provider: &self.provider_admin, control: &self.control, book: self.book.id };
        check::books(app, &places, found).await?;
        check::acknowledgements(&self.client(0)?, &self.history.acknowledged(), found).await?;
        check::effects(&self.control, found).await?;
        check::agreement(app, &places, found).await.with_context(|| self.name.clone())?;
        Ok(())
    }

    /// Stops its provider.
    pub async fn stop(self) {
        self.provider_admin.close().await;
        self.simulator.shutdown().await;
    }
}

fn history_of(folder: &Path, name: &str) -> std::path::PathBuf {
    folder.join(format!("history-{name}.jsonl"))
}
