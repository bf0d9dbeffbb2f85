//! A program of an older release, and what it does by its own command line, since this program knows only its own schema.

use std::path::Path;

use anyhow::Context as _;
use partita::platforms::{self, Mode};
use serde_json::Value;
use tokio::process::Command;

use crate::replica::ENCRYPTION_KEY;
use crate::rig::{PEPPER, PROVIDER_KEY, Prepared, WEBHOOK_SECRETS, open_app};

/// Has a program bring the schema up to its own.
///
/// # Errors
/// When it does not.
pub(crate) async fn migrate(program: &Path, owner_url: &str) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    // The name by which the suite's own program becomes the service.
    command.arg0(crate::replica::SERVICE).arg("migrate").env("PARTITA_OWNER_URL", owner_url);
    said(command).await.map(drop)
}

/// Has a program make a platform with its key and its webhook endpoints.
///
/// # Errors
/// When it does not.
pub(crate) async fn prepare(
    program: &Path,
    app_url: &str,
    provider_url: &str,
    folder: &Path,
) -> anyhow::Result<Prepared> {
    let run = |words: &[&str]| {
        let mut command = Command::new(program);
        command.args(words).env("DATABASE_URL", app_url).env("PARTITA_PEPPER", PEPPER);
        command.env("PARTITA_ENCRYPTION_KEY", ENCRYPTION_KEY);
        said(command)
    };
    let reference = |name: &str, secret: &str| {
        let file = folder.join(name);
        std::fs::write(&file, secret).with_context(|| format!("the secret {}", file.display()))?;
        anyhow::Ok(format!("file:{}", file.display()))
    };
    let provider_key = reference("provider.key", PROVIDER_KEY)?;
    let made = run(&[
        "platforms",
        "create",
        "--json",
        "--reference",
        "market",
        "--name",
        "Marketplace",
        "--stripe-secret-ref",
        &provider_key,
        "--stripe-base-url",
        provider_url,
    ])
    .await?;
    let made: Value = serde_json::from_str(&made).context("what was made")?;
    let books = made["books"].as_array().context("a platform has books")?;
    let test = books.iter().find(|book| book["mode"] == "test").context("a platform has a test book")?;
    let mut endpoints = Vec::new();
    for (kind, secret) in ["platform", "connect"].into_iter().zip(WEBHOOK_SECRETS) {
        let addresses = test["webhooks"].as_array().context("a book has webhook addresses")?;
        let address =
            addresses.iter().find(|address| address["kind"] == kind).and_then(|address| address["url"].as_str());
        let token = address.and_then(|address| address.rsplit('/').next()).context("an address ends with its token")?;
        let secret_ref = reference(&format!("{kind}.whsec"), secret)?;
        run(&["platforms", "webhook-secret", "--endpoint", token, "--secret-ref", &secret_ref]).await?;
        endpoints.push((token.to_owned(), secret.to_owned()));
    }
    let api_key =
        run(&["keys", "create", "--platform", "market", "--mode", "test", "--name", "faults", "--scope", "all"]);
    let api_key = api_key.await?.trim().to_owned();
    let app = open_app(app_url).await?;
    let book = platforms::book_of(&app, "market", Mode::Test).await?;
    app.db.close().await;
    let endpoints = endpoints.try_into().map_err(|_| anyhow::anyhow!("two endpoints"))?;
    Ok(Prepared { book, api_key, endpoints })
}

/// What a command printed, if it did what it was asked.
async fn said(mut command: Command) -> anyhow::Result<String> {
    let output = command.kill_on_drop(true).output().await.context("a program that can be started")?;
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "{:?} ended with {}: {complained}", command.as_std(), output.status);
    String::from_utf8(output.stdout).context("text")
}
