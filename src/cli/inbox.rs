//! `partita inbox`.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use partita_db::Scope;
use partita_webhooks::inbox::{self, InboxEventDetail, InboxState, InboxSummary};
use serde_json::{Value, json};

use super::books::{self, ModeArg};
use super::connection::ToolArgs;
use super::{Outcome, output};
use crate::app::App;
use crate::platforms::Book;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List events, the last received first
    List(ListArgs),
    /// Show one event with the body that the provider sent
    Show(EventArgs),
    /// Have quarantined or ignored events looked at again by the worker
    Replay(ReplayArgs),
}

/// Which book.
#[derive(Debug, clap::Args)]
struct BookArgs {
    /// The platform, by its reference; may be left out where there is only one
    #[arg(long, value_name = "REFERENCE")]
    platform: Option<String>,
    /// Which of its books
    #[arg(long, value_enum, default_value = "test")]
    mode: ModeArg,
    #[command(flatten)]
    tool: ToolArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  partita inbox list --state quarantined
  partita inbox list --limit 100 --json")]
pub(super) struct ListArgs {
    /// Only events in this state: received, applied, parked, ignored or quarantined
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Option<InboxState>,
    /// How many at most
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    book: BookArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  partita inbox show evt_1QMr0I2eZvKYlo2C1fYbUl4x")]
pub(super) struct EventArgs {
    /// The provider's id of the event
    id: String,
    #[command(flatten)]
    book: BookArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  partita inbox replay evt_1QMr0I2eZvKYlo2C1fYbUl4x
  partita inbox replay --quarantined       after the cause of them all was mended

What was applied before is never booked twice: an event only says where to look.")]
pub(super) struct ReplayArgs {
    /// The provider's ids of the events
    #[arg(required_unless_present = "quarantined", conflicts_with = "quarantined")]
    ids: Vec<String>,
    /// Every quarantined event of the book
    #[arg(long)]
    quarantined: bool,
    #[command(flatten)]
    book: BookArgs,
}

fn parse_state(text: &str) -> Result<InboxState, String> {
    InboxState::parse(text).ok_or_else(|| "expected received, applied, parked, ignored or quarantined".to_owned())
}

pub(super) async fn run(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::List(args) => list(args).await,
        Command::Show(args) => show(args).await,
        Command::Replay(args) => replay(args).await,
    }
}

impl BookArgs {
    async fn open(&self) -> anyhow::Result<(Arc<App>, Book)> {
        let app = self.tool.connect().await?;
        let book = books::one(&app, self.platform.as_deref(), self.mode).await?;
        Ok((app, book))
    }
}

async fn list(args: ListArgs) -> anyhow::Result<Outcome> {
    let (app, book) = args.book.open().await?;
    let events = read_list(&app, &book, args.state, args.limit).await?;
    app.db.close().await;
    if args.json {
        output::json(&events.iter().map(as_json).collect::<Vec<_>>())?;
    } else if events.is_empty() {
        output::text("no such events")?;
    } else {
        let rows = events.iter().map(row).collect();
        output::text(&output::table(&["received", "id", "type", "state", "tries", "why"], rows))?;
    }
    Ok(Outcome::Done)
}

async fn read_list(
    app: &Arc<App>,
    book: &Book,
    state: Option<InboxState>,
    limit: i64,
) -> anyhow::Result<Vec<InboxSummary>> {
    app.db
        .read("list inbox", Scope::Book(book.id), move |tx| {
            Box::pin(async move { inbox::list(tx, state, None, limit).await })
        })
        .await
        .context("the inbox cannot be read")
}

fn row(event: &InboxSummary) -> Vec<String> {
    vec![
        format!("{:.0}", event.received_at),
        event.key.event_id.clone(),
        event.kind.clone(),
        event.state.to_string(),
        event.attempts.to_string(),
        event.last_error.clone().unwrap_or_default(),
    ]
}

fn as_json(event: &InboxSummary) -> Value {
    json!({
        "id": event.key.event_id, "provider": event.key.provider, "account": event.key.account, "type": event.kind,
        "state": event.state.as_str(), "attempts": event.attempts, "last_error": event.last_error,
        "happened_at": event.created_at, "received_at": event.received_at, "applied_at": event.applied_at,
    })
}

async fn find(app: &Arc<App>, book: &Book, id: &str) -> anyhow::Result<Vec<InboxEventDetail>> {
    let wanted = id.to_owned();
    let found = app
        .db
        .read("get inbox event", Scope::Book(book.id), move |tx| {
            let wanted = wanted.clone();
            Box::pin(async move { inbox::find(tx, &wanted).await })
        })
        .await
        .context("the inbox cannot be read")?;
    if found.is_empty() {
        bail!(
            "{} ({}) has no event {id}; `partita inbox list` shows what there is",
            book.reference,
            book.mode.as_str()
        );
    }
    Ok(found)
}

async fn show(args: EventArgs) -> anyhow::Result<Outcome> {
    let (app, book) = args.book.open().await?;
    let found = find(&app, &book, &args.id).await?;
    app.db.close().await;
    for event in found {
        let mut shown = as_json(&event.summary);
        shown["masked"] = event.masked.into();
        shown["body"] = serde_json::from_slice(&event.raw).unwrap_or(Value::Null);
        output::json(&shown)?;
    }
    Ok(Outcome::Done)
}

async fn replay(args: ReplayArgs) -> anyhow::Result<Outcome> {
    let (app, book) = args.book.open().await?;
    let mut events = Vec::new();
    if args.quarantined {
        events = read_list(&app, &book, Some(InboxState::Quarantined), 10_000).await?;
    }
    for id in &args.ids {
        events.extend(find(&app, &book, id).await?.into_iter().map(|event| event.summary));
    }
    let now = app.clock.now();
    for event in &events {
        let key = event.key.clone();
        app.db
            .run_tx("replay inbox event", Scope::Book(book.id), move |tx| {
                let key = key.clone();
                Box::pin(async move { inbox::reopen(tx, &key, now).await })
            })
            .await
            .with_context(|| format!("{} is {} and was not replayed", event.key.event_id, event.state))?;
    }
    app.db.close().await;
    output::text(&match events.len() {
        1 => "1 event is looked at again by the worker".to_owned(),
        count => format!("{count} events are looked at again by the worker"),
    })?;
    Ok(Outcome::Done)
}
