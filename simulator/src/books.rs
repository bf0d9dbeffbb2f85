//! The simulator's own books. A movement is a balance transaction, its legs (which sum to zero) and the balance it
//! changes, written by one statement. Whoever moves money first locks the balances it touches, in one order, so that
//! what it checked stays true and no two movements wait for each other.

use serde_json::{Value, json};

use crate::context::Cx;
use crate::error::ApiError;
use crate::ids::new_id;
use crate::jobs;

/// What stands on the other side of a movement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counterpart {
    /// Buyers' cards.
    Cards,
    /// Bank accounts: top-ups and payouts.
    Banks,
    /// Another balance at the provider; what leaves one enters the other.
    Transfers,
    /// The same account's reserve for connected accounts below zero.
    ConnectReserve,
    /// What is kept of others' charges and payouts: application fees come from there and go back.
    Fees,
}

impl Counterpart {
    fn bucket(self) -> &'static str {
        match self {
            Self::Cards => "cards",
            Self::Banks => "banks",
            Self::Transfers => "transfers",
            Self::ConnectReserve => "connect_reserved",
            Self::Fees => "fees",
        }
    }
}

/// A movement to be booked. Amounts in minor units, signed from the account's point of view; the fee is a cost, in the currency
/// of the balance.
#[derive(Debug)]
pub(crate) struct Movement<'a> {
    pub(crate) account: &'a str,
    pub(crate) currency: &'a str,
    pub(crate) amount: i64,
    pub(crate) fee: i64,
    /// Stripe's word for what it is (docs.stripe.com/reports/balance-transaction-types).
    pub(crate) kind: &'static str,
    /// Stripe's coarser word (docs.stripe.com/reports/reporting-categories).
    pub(crate) category: &'static str,
    /// The object that caused it.
    pub(crate) source: &'a str,
    pub(crate) description: Option<&'a str>,
    /// Seconds; in the future, the funds are pending until then.
    pub(crate) available_on: i64,
    pub(crate) counterpart: Counterpart,
}

/// A balance as it was locked; minor units.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Held {
    pub(crate) account: String,
    pub(crate) currency: String,
    pub(crate) available: i64,
}

/// Locks the balances of some accounts in one currency until the transaction ends; the platform's too, whose reserve
/// follows a connected account below zero, and the one that its own movements in this currency change.
pub(crate) async fn lock(cx: &mut Cx, accounts: &[&str], currency: &str) -> Result<Vec<Held>, ApiError> {
    let mut held = lock_in(cx, accounts, currency).await?;
    let (_, kept_in) = settled(cx, &cx.platform, 0, currency);
    if kept_in != currency {
        held.retain(|balance| balance.account != *cx.platform);
        held.extend(lock_in(cx, &[], &kept_in).await?);
    }
    Ok(held)
}

/// What a movement of so much changes an account's balance by, and in which currency.
pub(crate) fn settled(cx: &Cx, account: &str, amount: i64, currency: &str) -> (i64, String) {
    let exchange = cx.settings.exchange.as_ref().filter(|_| account == &*cx.platform);
    let converted = exchange.and_then(|exchange| exchange.convert(amount, currency, cx.now));
    converted.map_or_else(|| (amount, currency.to_owned()), |(amount, _, currency)| (amount, currency.to_owned()))
}

async fn lock_in(cx: &mut Cx, accounts: &[&str], currency: &str) -> Result<Vec<Held>, ApiError> {
    let mut names: Vec<String> = accounts.iter().map(|a| (*a).to_owned()).collect();
    names.push(cx.platform.to_string());
    names.sort_unstable();
    names.dedup();
    sqlx::query(
        "insert into balances (account, currency)
         select account, $2 from unnest($1::text[]) as a (account) order by account
         on conflict do nothing",
    )
    .bind(&names)
    .bind(currency)
    .execute(&mut *cx.conn)
    .await?;
    Ok(sqlx::query_as(
        "select account, currency, available from balances
         where account = any ($1) and currency = $2
         order by account
         for no key update",
    )
    .bind(&names)
    .bind(currency)
    .fetch_all(&mut *cx.conn)
    .await?)
}

/// The available amount of one of the locked balances.
pub(crate) fn available(held: &[Held], account: &str) -> i64 {
    held.iter().find(|h| h.account == account).map_or(0, |h| h.available)
}

/// Books a movement on a locked balance; the id of its balance transaction.
pub(crate) async fn book(cx: &mut Cx, movement: Movement<'_>) -> Result<String, ApiError> {
    let id = write(cx, &movement).await?;
    let (amount, currency) = settled(cx, movement.account, movement.amount, movement.currency);
    if movement.available_on > cx.now {
        let target = format!("{}:{currency}", movement.account);
        jobs::schedule(cx, movement.available_on, jobs::Kind::Settle, &target).await?;
    } else {
        available_changed(cx, movement.account, &currency, amount - movement.fee).await?;
    }
    Ok(id)
}

async fn write(cx: &mut Cx, movement: &Movement<'_>) -> Result<String, ApiError> {
    let id = new_id("txn");
    // A reserve stands against a balance in that balance's currency.
    let settings = cx.settings.clone();
    let exchange = settings.exchange.as_ref().filter(|_| movement.account == &*cx.platform);
    let exchange = exchange.filter(|_| movement.counterpart != Counterpart::ConnectReserve);
    let converted = exchange.and_then(|exchange| exchange.convert(movement.amount, movement.currency, cx.now));
    let rate = converted.map(|(_, rate, _)| rate);
    let (amount, currency) =
        converted.map_or((movement.amount, movement.currency), |(amount, _, currency)| (amount, currency));
    let net = amount - movement.fee;
    let state = if movement.available_on > cx.now { "pending" } else { "available" };
    let reserve = movement.counterpart == Counterpart::ConnectReserve;
    let other = if reserve { movement.account } else { "outside" };
    let done = sqlx::query(
        "with txn as (
             insert into balance_transactions (id, account, currency, amount, fee, net, type, reporting_category,
                 source, description, fee_description, available_on, created, status, exchange_rate)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $18)
         ), leg as (
             insert into legs (balance_transaction, account, bucket, currency, amount)
             select $1, account, bucket, currency, amount
             from (values ($2, $14, $3, $6), ($15, $16, $19, -$20), ('outside', 'fees', $3, $5),
                          ('outside', 'exchange', $3, -$4), ('outside', 'exchange', $19, $20))
                  as l (account, bucket, currency, amount)
             where amount <> 0 and (bucket <> 'exchange' or $18 is not null)
         )
         update balances
         set pending = pending + case when $14 = 'pending' then $6 else 0 end,
             available = available + case when $14 = 'available' then $6 else 0 end,
             connect_reserved = connect_reserved + case when $17 then -$4 else 0 end
         where account = $2 and currency = $3",
    )
    .bind(&id)
    .bind(movement.account)
    .bind(currency)
    .bind(amount)
    .bind(movement.fee)
    .bind(net)
    .bind(movement.kind)
    .bind(movement.category)
    .bind(movement.source)
    .bind(movement.description)
    .bind((movement.fee != 0).then_some(fee_description(movement.kind)))
    .bind(movement.available_on.max(cx.now))
    .bind(cx.now)
    .bind(state)
    .bind(other)
    .bind(movement.counterpart.bucket())
    .bind(reserve)
    .bind(rate)
    .bind(movement.currency)
    .bind(movement.amount)
    .execute(&mut *cx.conn)
    .await?;
    if done.rows_affected() == 1 { Ok(id) } else { Err(ApiError::internal("A movement met no balance.")) }
}

fn fee_description(kind: &str) -> &'static str {
    match kind {
        "adjustment" => "Dispute fee",
        "payout" | "payout_failure" | "payout_cancel" => "Application fee",
        _ => "Stripe processing fees",
    }
}

/// Moves what has become available by now; the amount that moved.
pub(crate) async fn settle(cx: &mut Cx, account: &str, currency: &str) -> Result<i64, ApiError> {
    lock(cx, &[account], currency).await?;
    let moved: i64 = sqlx::query_scalar(
        "with due as (
             update balance_transactions set status = 'available'
             where account = $1 and currency = $2 and status = 'pending' and available_on <= $3
             returning id, net
         ), leg as (
             insert into legs (balance_transaction, account, bucket, currency, amount)
             select id, $1, bucket, $2, sign * net
             from due cross join (values ('pending', -1), ('available', 1)) as side (bucket, sign)
         ), moved as (
             select coalesce(sum(net), 0)::bigint as net from due
         )
         update balances set pending = pending - moved.net, available = available + moved.net
         from moved
         where account = $1 and currency = $2
         returning moved.net",
    )
    .bind(account)
    .bind(currency)
    .bind(cx.now)
    .fetch_one(&mut *cx.conn)
    .await?;
    available_changed(cx, account, currency, moved).await?;
    Ok(moved)
}

/// What follows when an available balance changed: the platform's reserve follows a connected account below zero, and
/// refunds that wait for funds are tried again.
async fn available_changed(cx: &mut Cx, account: &str, currency: &str, change: i64) -> Result<(), ApiError> {
    if change > 0 {
        retry_refunds(cx, account, currency).await?;
    }
    if account == &*cx.platform {
        return Ok(());
    }
    adjust_reserve(cx, account, currency).await
}

async fn retry_refunds(cx: &mut Cx, account: &str, currency: &str) -> Result<(), ApiError> {
    let waiting: bool =
        sqlx::query_scalar("select exists (select from pending_refunds where account = $1 and currency = $2)")
            .bind(account)
            .bind(currency)
            .fetch_one(&mut *cx.conn)
            .await?;
    if waiting {
        jobs::schedule(cx, cx.now, jobs::Kind::RetryRefunds, &format!("{account}:{currency}")).await?;
    }
    Ok(())
}

async fn adjust_reserve(cx: &mut Cx, account: &str, currency: &str) -> Result<(), ApiError> {
    let (available, held): (i64, i64) = sqlx::query_as(
        "select b.available, coalesce(r.amount, 0)
         from balances b left join connect_reserves r on r.account = b.account and r.currency = b.currency
         where b.account = $1 and b.currency = $2",
    )
    .bind(account)
    .bind(currency)
    .fetch_one(&mut *cx.conn)
    .await?;
    let wanted = (-available).max(0);
    if wanted == held || !platform_bears_losses(cx, account).await? {
        return Ok(());
    }
    sqlx::query(
        "insert into connect_reserves (account, currency, amount) values ($1, $2, $3)
         on conflict (account, currency) do update set amount = excluded.amount",
    )
    .bind(account)
    .bind(currency)
    .bind(wanted)
    .execute(&mut *cx.conn)
    .await?;
    let platform = cx.platform.clone();
    let description = format!("Connect reserve for {account}");
    let source = reserve_object(cx, held - wanted, currency, &description).await?;
    let movement = Movement {
        account: &platform,
        currency,
        amount: held - wanted,
        fee: 0,
        kind: "reserve_transaction",
        category: "connect_reserved_funds",
        source: &source,
        description: Some(&description),
        available_on: cx.now,
        counterpart: Counterpart::ConnectReserve,
    };
    write(cx, &movement).await?;
    if wanted < held { retry_refunds(cx, &platform, currency).await } else { Ok(()) }
}

async fn reserve_object(cx: &mut Cx, amount: i64, currency: &str, description: &str) -> Result<String, ApiError> {
    let object = json!({
        "id": new_id("rtx"),
        "object": "reserve_transaction",
        "amount": amount,
        "currency": currency,
        "description": description,
    });
    let platform = cx.platform.clone();
    crate::store::insert(cx, &platform, None, &object).await?;
    Ok(crate::store::id(&object).to_owned())
}

async fn platform_bears_losses(cx: &mut Cx, account: &str) -> Result<bool, ApiError> {
    let bearer: Option<String> =
        sqlx::query_scalar("select body #>> '{controller,losses,payments}' from objects where id = $1")
            .bind(account)
            .fetch_optional(&mut *cx.conn)
            .await?
            .flatten();
    Ok(bearer.as_deref() == Some("application"))
}

/// `GET /v1/balance` of an account.
pub(crate) async fn balance(cx: &mut Cx, account: &str) -> Result<Value, ApiError> {
    let mut rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        "select currency::text, pending, available, connect_reserved from balances where account = $1 order by currency",
    )
    .bind(account)
    .fetch_all(&mut *cx.conn)
    .await?;
    if rows.is_empty() {
        let (_, body) = crate::store::find_any(&mut cx.conn, account)
            .await?
            .ok_or_else(|| ApiError::internal("An account without its object."))?;
        rows.push((crate::store::text(&body, "default_currency").to_owned(), 0, 0, 0));
    }
    let by_source = |amount: i64, currency: &str| json!({ "amount": amount, "currency": currency, "source_types": { "card": amount } });
    let mut balance = json!({
        "object": "balance",
        "available": rows.iter().map(|r| by_source(r.2, &r.0)).collect::<Vec<_>>(),
        "livemode": false,
        "pending": rows.iter().map(|r| by_source(r.1, &r.0)).collect::<Vec<_>>(),
    });
    if account == &*cx.platform {
        balance["connect_reserved"] =
            rows.iter().map(|r| json!({ "amount": r.3, "currency": r.0 })).collect::<Vec<_>>().into();
        return Ok(balance);
    }
    let mut instant = Vec::with_capacity(rows.len());
    for (currency, _, available, _) in &rows {
        let mut gross = by_source((*available).max(0), currency);
        gross["net_available"] = crate::resources::payouts::instant_net(cx, account, currency, *available).await?;
        instant.push(gross);
    }
    balance["instant_available"] = instant.into();
    Ok(balance)
}

/// A break between balances, balance transactions and legs; there must be none.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct BookBreak {
    /// Whose balance.
    pub account: String,
    /// Lower-case code.
    pub currency: String,
    /// `pending`, `available`, `connect_reserved`, or `transfers` for a transfer with one side only.
    pub state: String,
    /// What the balance says; minor units.
    pub balance: i64,
    /// What the balance transactions sum to; minor units.
    pub transactions: i64,
    /// What the legs sum to; minor units.
    pub legs: i64,
}

/// Every [`BookBreak`].
pub(crate) async fn breaks(conn: &mut sqlx::PgConnection) -> Result<Vec<BookBreak>, sqlx::Error> {
    sqlx::query_as(
        "select account, currency::text as currency, state, balance, transactions, legs from book_breaks
         order by account, currency, state",
    )
    .fetch_all(conn)
    .await
}
