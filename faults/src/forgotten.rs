//! What a database has forgotten that took over without everything its predecessor had acknowledged: a standby that was
//! behind, a restored backup. It cannot be had back from nowhere; but all of it must be told by reconciliation, and the
//! service must do nothing a second time because it does not remember the first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use partita::actor::Actor;
use partita::reconciliation;

use crate::check::{self, Findings, Places};
use crate::rig::Rig;

/// What is not there any more.
#[derive(Debug, Clone)]
pub struct Forgotten {
    /// The keys of acknowledged requests whose answer is gone.
    pub acknowledged: BTreeSet<String>,
    /// How many movements the first reconciliation took over from the provider.
    pub adopted: i64,
    /// How many differences it left.
    pub breaks: i32,
}

impl Forgotten {
    /// Reconciles, as an operator does first, and sees what is gone.
    ///
    /// # Errors
    /// When it cannot be found out.
    pub async fn find(rig: &Rig) -> anyhow::Result<Self> {
        let app = rig.app().await?;
        let run = reconciliation::run(&app, rig.book.id, Actor::System).await.context("reconciliation");
        app.db.close().await;
        let run = run?;
        let rows: Vec<(String, Option<Vec<u8>>)> =
            sqlx::query_as("select key, response_body from idempotency_keys").fetch_all(&rig.admin).await?;
        let kept: BTreeMap<String, Option<Vec<u8>>> = rows.into_iter().collect();
        let acknowledged = rig.history.acknowledged().into_iter();
        let gone = acknowledged.filter(|said| kept.get(&said.key).cloned().flatten().as_ref() != Some(&said.answer));
        Ok(Self { acknowledged: gone.map(|said| said.key).collect(), adopted: run.adopted, breaks: run.breaks })
    }
}

/// A movement at the provider that the ledger does not have.
#[derive(Debug, Clone, sqlx::FromRow)]
struct Movement {
    id: String,
    account: String,
    currency: String,
    net: i64,
}

/// A difference that reconciliation has stored.
#[derive(Debug, Clone, sqlx::FromRow)]
struct Break {
    kind: String,
    account: String,
    movement_id: Option<String>,
    currency: String,
    /// What the provider has more.
    more: i64,
}

const THEIR_MOVEMENTS: &str = "select id, account, upper(currency::text) as currency, net from balance_transactions";

const BREAKS: &str = "
    select kind, account, movement_id, currency::text as currency,
           (coalesce(provider_amount, 0) - coalesce(ledger_amount, 0))::bigint as more
    from reconciliation_breaks where run_id = $1";

/// Books that do not know the server that has taken over.
const RESTING: &str = "
    select count(*) from books b
    where b.mode = 'test'
        and not exists (select from book_timelines t
                        where t.book_id = b.book_id and t.timeline = substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))";

/// How long a book may rest: the longest that what the predecessor had sent is under way, and time to ask.
const KNOWN_WITHIN: Duration = Duration::from_mins(2);

/// What one platform moved twice at the provider, by what it was for.
const MOVED_TWICE: [(&str, &str); 2] = [
    (
        "payments were charged twice",
        "select count(*) from (
             select from objects where object = 'payment_intent' and body ->> 'status' = 'succeeded'
             group by body ->> 'description' having count(*) > 1) as twice",
    ),
    // A share may be moved in parts, where a seller was short: these differ.
    (
        "shares of sellers were transferred twice",
        "select count(*) from (
             select from objects where object = 'transfer' and not (body ->> 'reversed')::boolean
             group by body ->> 'transfer_group', body ->> 'destination', body ->> 'amount' having count(*) > 1) as twice",
    ),
];

/// I5, where something was forgotten: every movement that the ledger does not have is named by reconciliation, balances
/// differ by exactly these, and nothing was moved twice. How many are named.
///
/// # Errors
/// When it cannot be found out.
pub async fn is_told(rig: &Rig, places: &Places<'_>, found: &mut Findings) -> anyhow::Result<usize> {
    let app = rig.app().await?;
    let run = reconciliation::run(&app, rig.book.id, Actor::System).await.context("reconciliation");
    app.db.close().await;
    let theirs: Vec<Movement> = sqlx::query_as(THEIR_MOVEMENTS).fetch_all(places.provider).await?;
    let ours: Vec<String> =
        sqlx::query_scalar("select movement_id from provider_movements").fetch_all(places.admin).await?;
    let ours: BTreeSet<String> = ours.into_iter().collect();
    let breaks: Vec<Break> = sqlx::query_as(BREAKS).bind(run?.id.uuid()).fetch_all(places.admin).await?;
    let missing: Vec<&Movement> = theirs.iter().filter(|movement| !ours.contains(&movement.id)).collect();
    let named: BTreeSet<&str> = breaks.iter().filter_map(|found| found.movement_id.as_deref()).collect();

    for movement in missing.iter().filter(|movement| !named.contains(movement.id.as_str())) {
        found.add("I5", format!("the provider has {}, the ledger has not, and nobody is told", movement.id));
    }
    let known: BTreeSet<&str> = theirs.iter().map(|movement| movement.id.as_str()).collect();
    for invented in ours.iter().filter(|id| !known.contains(id.as_str())) {
        found.add("I5", format!("the ledger has {invented}, the provider has not"));
    }
    for wrong in &breaks {
        let of_missing = matches!(wrong.kind.as_str(), "missing_in_ledger" | "timing" | "balance_mismatch");
        let is_missing = wrong.movement_id.as_ref().is_none_or(|id| missing.iter().any(|movement| movement.id == *id));
        if !of_missing || !is_missing {
            found.add("I5", format!("a break that nothing forgotten explains: {wrong:?}"));
        }
    }
    let platform = rig.control.platform_account();
    let mut by_balance: BTreeMap<(String, String), i64> = BTreeMap::new();
    for movement in &missing {
        let account = if movement.account == platform { String::new() } else { movement.account.clone() };
        *by_balance.entry((account, movement.currency.clone())).or_default() += movement.net;
    }
    for balance in breaks.iter().filter(|found| found.kind == "balance_mismatch") {
        *by_balance.entry((balance.account.clone(), balance.currency.clone())).or_default() -= balance.more;
    }
    for ((account, currency), rest) in by_balance.into_iter().filter(|(_, rest)| *rest != 0) {
        found.add(
            "I5",
            format!("{rest} {currency} of account {account:?} are explained by no movement that is missing"),
        );
    }
    // Until it has asked the provider the book rests, which takes longer than quiet does.
    let deadline = Instant::now() + KNOWN_WITHIN;
    while check::count(places.admin, RESTING).await? > 0 {
        if Instant::now() > deadline {
            found.add("I7", "a book rests and is not asked about at the provider");
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let halted = check::count(places.admin, "select count(*) from halted_books").await?;
    if halted == 0 && !missing.is_empty() {
        found.add("I4", "money goes on moving though commands were forgotten");
    }
    for (what, sql) in MOVED_TWICE {
        found.none("I4", check::count(places.provider, sql).await?, what);
    }
    Ok(missing.len())
}
