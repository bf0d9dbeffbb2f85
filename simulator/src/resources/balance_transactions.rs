//! Balance transactions (docs.stripe.com/api/balance_transactions).

use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::context::{Answer, Cx};
use crate::error::ApiError;
use crate::list::{self, Page, directed};
use crate::params::Params;

#[derive(Debug, sqlx::FromRow)]
struct Row {
    id: String,
    currency: String,
    amount: i64,
    fee: i64,
    net: i64,
    #[sqlx(rename = "type")]
    kind: String,
    reporting_category: String,
    source: String,
    description: Option<String>,
    fee_description: Option<String>,
    available_on: i64,
    created: i64,
    status: String,
    exchange_rate: Option<String>,
}

impl Row {
    fn show(&self) -> Value {
        let fee = json!({
            "amount": self.fee,
            "application": null,
            "currency": self.currency,
            "description": self.fee_description,
            "type": if self.kind.starts_with("payout") { "application_fee" } else { "stripe_fee" },
        });
        json!({
            "id": self.id,
            "object": "balance_transaction",
            "amount": self.amount,
            "available_on": self.available_on,
            "balance_type": "payments",
            "created": self.created,
            "currency": self.currency,
            "description": self.description,
            "exchange_rate": self.exchange_rate.as_deref().and_then(|rate| rate.parse::<serde_json::Number>().ok()),
            "fee": self.fee,
            "fee_details": if self.fee == 0 { vec![] } else { vec![fee] },
            "net": self.net,
            "reporting_category": self.reporting_category,
            "source": self.source,
            "status": self.status,
            "type": self.kind,
        })
    }
}

/// A balance transaction by its id, whoever's it is.
pub(crate) async fn find(conn: &mut PgConnection, id: &str) -> Result<Option<Value>, ApiError> {
    let row: Option<Row> = sqlx::query_as(
        "select id, currency::text as currency, amount, fee, net, type, reporting_category, source, description,
                fee_description, available_on, created, status, exchange_rate
         from balance_transactions where id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await?;
    Ok(row.as_ref().map(Row::show))
}

/// When the funds of a balance transaction are available, in seconds.
pub(crate) async fn available_on(conn: &mut PgConnection, id: &str) -> Result<i64, ApiError> {
    Ok(sqlx::query_scalar("select available_on from balance_transactions where id = $1")
        .bind(id)
        .fetch_one(conn)
        .await?)
}

/// `GET /v1/balance_transactions/{id}`.
pub(crate) async fn retrieve(cx: &mut Cx, id: &str, params: Params) -> Answer {
    params.finish()?;
    let mine: bool =
        sqlx::query_scalar("select exists (select from balance_transactions where id = $1 and account = $2)")
            .bind(id)
            .bind(&cx.account)
            .fetch_one(&mut *cx.conn)
            .await?;
    let found = if mine { find(&mut cx.conn, id).await? } else { None };
    found.ok_or_else(|| ApiError::no_such("balance transaction", id))
}

/// `GET /v1/balance_transactions`.
pub(crate) async fn index(cx: &mut Cx, mut params: Params) -> Answer {
    let currency = params.text("currency")?;
    let payout = params.text("payout")?;
    let source = params.text("source")?;
    let kind = params.text("type")?;
    let page = Page::read(&mut params)?;
    params.finish()?;
    let bounds = page.bounds(cx, "balance_transactions").await?;
    let rows: Vec<Row> = sqlx::query_as(directed!(
        page,
        "select id, currency::text as currency, amount, fee, net, type, reporting_category, source, description,
                fee_description, available_on, created, status, exchange_rate
         from balance_transactions
         where account = $1 and created between $2 and $3 and seq < $4 and seq > $5
           and ($6::text is null or currency = $6) and ($7::text is null or payout = $7)
           and ($8::text is null or source = $8) and ($9::text is null or type = $9)",
        "$10"
    ))
    .bind(&cx.account)
    .bind(page.created_from)
    .bind(page.created_to)
    .bind(bounds.below)
    .bind(bounds.above)
    .bind(currency.map(|c| c.to_lowercase()))
    .bind(payout)
    .bind(source)
    .bind(kind)
    .bind(page.fetch_limit())
    .fetch_all(&mut *cx.conn)
    .await?;
    Ok(list::page("/v1/balance_transactions", rows.iter().map(Row::show).collect(), &page))
}
