//! `partita platforms ..`.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use partita_db::Scope;
use partita_webhooks::WebhookSecret;
use partita_webhooks::endpoint::{self, EndpointError, EndpointKind, EndpointMode, NewEndpoint};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use url::Url;

use super::books::{self, ModeArg};
use super::connection::ToolArgs;
use super::{Outcome, output};
use crate::app::App;
use crate::config::{self, EncryptionArgs, SecretRefError};
use crate::id::random_hex;
use crate::platforms::{self, Book, Mode, ProviderConnection};

/// The one provider so far.
pub(crate) const PROVIDER: &str = "stripe";
const BOTH_KINDS: [EndpointKind; 2] = [EndpointKind::Platform, EndpointKind::Connect];

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a platform, with a test and a live book and the addresses of their webhooks
    Create(CreateArgs),
    /// Say how a book of a platform reaches Stripe, or say it anew
    Connect(ConnectArgs),
    /// Say what Stripe signs the webhooks of an address with
    WebhookSecret(WebhookSecretArgs),
}

/// How to reach Stripe.
#[derive(Debug, Clone, clap::Args)]
struct StripeArgs {
    /// Base address of Stripe's API
    #[arg(long, value_name = "URL", default_value = "https://api.stripe.com")]
    stripe_base_url: Url,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  partita platforms create --reference acme --name 'Acme Market' --stripe-secret-ref env:STRIPE_TEST_KEY

The secret itself is not stored, only where it is: the service reads it there. Give a key of the book's mode
(--mode, test unless said otherwise); connect the other book later with `partita platforms connect`.

Four webhook addresses are printed, two for each book. Register the first of a pair at Stripe for events on your
account, the second for events on connected accounts; then hand over the signing secrets that Stripe shows, with
`partita platforms webhook-secret`. Until then whatever arrives there is refused.")]
pub(super) struct CreateArgs {
    /// Your own short name of the platform, unique here
    #[arg(long)]
    reference: String,
    /// Its name, as sellers see it
    #[arg(long)]
    name: String,
    /// Where Stripe's secret key is: env:NAME or file:/path
    #[arg(long, value_name = "REF")]
    stripe_secret_ref: Option<String>,
    /// Which book the secret key is for
    #[arg(long, value_enum, default_value = "test")]
    mode: ModeArg,
    /// Address under which Stripe reaches this service, for the printed addresses
    #[arg(long, env = "PARTITA_PUBLIC_URL", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    public_url: Url,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stripe: StripeArgs,
    #[command(flatten)]
    encryption: EncryptionArgs,
    #[command(flatten)]
    tool: ToolArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  partita platforms connect --platform acme --mode live --stripe-secret-ref file:/run/secrets/stripe_live

A running service keeps the connection it has used; restart it to take the new one.")]
pub(super) struct ConnectArgs {
    /// The platform, by its reference; may be left out where there is only one
    #[arg(long, value_name = "REFERENCE")]
    platform: Option<String>,
    /// Which of its books
    #[arg(long, value_enum)]
    mode: ModeArg,
    /// Where Stripe's secret key is: env:NAME or file:/path
    #[arg(long, value_name = "REF")]
    stripe_secret_ref: String,
    #[command(flatten)]
    stripe: StripeArgs,
    #[command(flatten)]
    tool: ToolArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  partita platforms webhook-secret --endpoint https://pay.market.example/webhooks/stripe/4f1c.. --secret-ref env:WHSEC

The secret is stored, encrypted: deliveries are checked with it. One that was set before stops working.")]
pub(super) struct WebhookSecretArgs {
    /// The address, or its last part
    #[arg(long, value_name = "URL")]
    endpoint: String,
    /// Where the signing secret (whsec_..) is: env:NAME or file:/path
    #[arg(long, value_name = "REF")]
    secret_ref: String,
    #[command(flatten)]
    encryption: EncryptionArgs,
    #[command(flatten)]
    tool: ToolArgs,
}

pub(super) async fn run(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Create(args) => create(args).await?,
        Command::Connect(args) => {
            let app = args.tool.connect().await?;
            let book = books::one(&app, args.platform.as_deref(), args.mode).await?;
            connect(&app, &book, &args.stripe_secret_ref, &args.stripe.stripe_base_url).await?;
            app.db.close().await;
            output::text(&format!("{} ({}) is connected to Stripe", book.reference, book.mode.as_str()))?;
        }
        Command::WebhookSecret(args) => set_webhook_secret(args).await?,
    }
    Ok(Outcome::Done)
}

/// A webhook address of a book.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct WebhookAddress {
    /// Whose events belong there: `platform` or `connect`.
    pub(crate) kind: &'static str,
    /// Where to send them.
    pub(crate) url: String,
}

#[derive(Debug, Serialize)]
struct BookAnswer {
    mode: &'static str,
    book: i32,
    connected: bool,
    webhooks: Vec<WebhookAddress>,
}

async fn create(args: CreateArgs) -> anyhow::Result<()> {
    let app = args.tool.connect_with_vault(&args.encryption).await?;
    let mode = Mode::from(args.mode);
    if let Some(reference) = &args.stripe_secret_ref {
        check_secret(reference, mode)?;
    }
    let books = platforms::create(&app, &args.reference, &args.name).await?;
    let platform = books.first().map(|book| book.platform).context("a platform has books")?;
    let mut answers = Vec::new();
    for book in &books {
        let secret_ref = args.stripe_secret_ref.as_deref().filter(|_| book.mode == mode);
        if let Some(secret_ref) = secret_ref {
            connect(&app, book, secret_ref, &args.stripe.stripe_base_url).await?;
        }
        let mut webhooks = Vec::new();
        for kind in BOTH_KINDS {
            // Nobody knows this secret, so nothing is taken before the provider's own one is set.
            let secret = format!("whsec_{}", random_hex::<32>());
            webhooks.push(register_endpoint(&app, book, kind, &secret, args.public_url.as_str()).await?);
        }
        let connected = secret_ref.is_some();
        answers.push(BookAnswer { mode: book.mode.as_str(), book: book.id.get(), connected, webhooks });
    }
    app.db.close().await;
    if args.json {
        return output::json(&serde_json::json!({
            "id": platform, "reference": args.reference, "name": args.name, "books": answers,
        }));
    }
    output::text(&for_people(&args.reference, &platform.to_string(), &answers))
}

fn for_people(reference: &str, platform: &str, books: &[BookAnswer]) -> String {
    let mut lines = vec![format!("{reference} is {platform}.")];
    for book in books {
        let connected = if book.connected { "connected to Stripe" } else { "not connected to Stripe yet" };
        lines.push(format!("\n{}: book {}, {connected}; webhooks to", book.mode, book.book));
        lines.extend(book.webhooks.iter().map(|webhook| {
            let whose = if webhook.kind == "platform" { "your account" } else { "connected accounts" };
            format!("  {}  ({whose})", webhook.url)
        }));
    }
    lines.push(format!(
        "\nNext: register the addresses at Stripe and hand over their secrets (`partita platforms webhook-secret`), then\n\
         make an API key: partita keys create --platform {reference} --mode test --name backend --scope all"
    ));
    lines.join("\n")
}

/// Makes an address for the webhooks of a book, and stores what they are signed with.
///
/// # Errors
/// What the database says.
pub(crate) async fn register_endpoint(
    app: &Arc<App>,
    book: &Book,
    kind: EndpointKind,
    secret: &str,
    public_url: &str,
) -> anyhow::Result<WebhookAddress> {
    let endpoint = NewEndpoint {
        token: random_hex::<16>(),
        book: book.id,
        provider: PROVIDER.to_owned(),
        kind,
        mode: match book.mode {
            Mode::Test => EndpointMode::Test,
            Mode::Live => EndpointMode::Live,
        },
        secret: WebhookSecret::parse(secret)?,
        created_at: app.clock.now(),
    };
    let url = format!("{}/webhooks/{PROVIDER}/{}", public_url.trim_end_matches('/'), endpoint.token);
    let vault = app.vault.clone();
    app.db
        .run_tx("register webhook endpoint", Scope::Routing, move |tx| {
            let (vault, endpoint) = (vault.clone(), endpoint.clone());
            Box::pin(async move { endpoint::insert_endpoint(tx, &vault, &endpoint).await })
        })
        .await?;
    Ok(WebhookAddress { kind: kind.as_str(), url })
}

async fn connect(app: &Arc<App>, book: &Book, secret_ref: &str, base_url: &Url) -> anyhow::Result<()> {
    check_secret(secret_ref, book.mode)?;
    let connection = ProviderConnection {
        provider: PROVIDER.to_owned(),
        base_url: base_url.to_string(),
        secret_ref: secret_ref.to_owned(),
    };
    Ok(platforms::connect_provider(app, book.id, connection).await?)
}

/// Refuses a reference that leads nowhere by its form, and a key of the other mode; a key that can be read by the service
/// only is taken on trust.
fn check_secret(reference: &str, mode: Mode) -> anyhow::Result<()> {
    let secret = match config::resolve_secret(reference) {
        Ok(secret) => secret,
        Err(error @ SecretRefError::BadForm) => return Err(error.into()),
        Err(error) => {
            output::note(&format!("warning: {error} here; the service must be able to read it"));
            return Ok(());
        }
    };
    let other = match mode {
        Mode::Test => "_live_",
        Mode::Live => "_test_",
    };
    if secret.expose_secret().contains(other) {
        bail!("the key in {reference} is not one for the {} book", mode.as_str());
    }
    Ok(())
}

async fn set_webhook_secret(args: WebhookSecretArgs) -> anyhow::Result<()> {
    let secret = config::resolve_secret(&args.secret_ref)?;
    let secret = WebhookSecret::parse(secret.expose_secret())?;
    let app = args.tool.connect_with_vault(&args.encryption).await?;
    let token = args.endpoint.rsplit('/').next().unwrap_or_default().to_owned();
    let (now, vault) = (app.clock.now(), app.vault.clone());
    app.db
        .run_tx("set webhook secret", Scope::Routing, move |tx| {
            let (token, secret, vault) = (token.clone(), secret.clone(), vault.clone());
            Box::pin(async move {
                let found = endpoint::find_endpoint(tx, &vault, &token, now).await?.ok_or(EndpointError::NotFound)?;
                endpoint::rotate_secret(tx, &vault, found.book, &token, &secret, now, now).await
            })
        })
        .await?;
    app.db.close().await;
    output::text("the secret is set")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference_to(secret: &str) -> (tempfile::NamedTempFile, String) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), secret).expect("ours");
        let reference = format!("file:{}", file.path().display());
        (file, reference)
    }

    #[test]
    fn a_key_of_the_other_mode_is_refused() {
        let (_test, test) = reference_to("sk_test_1");
        let (_live, live) = reference_to("rk_live_1");
        assert!(check_secret(&test, Mode::Test).is_ok() && check_secret(&live, Mode::Live).is_ok());
        assert!(check_secret(&test, Mode::Live).is_err() && check_secret(&live, Mode::Test).is_err());
    }

    #[test]
    fn a_reference_is_env_or_file() {
        assert!(check_secret("sk_test_1", Mode::Test).is_err());
        assert!(check_secret("env:PARTITA_NO_SUCH_VARIABLE", Mode::Test).is_ok());
    }
}
