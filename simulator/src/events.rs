//! Events: what happened, as it looked when it happened (docs.stripe.com/api/events).

use serde_json::{Value, json};

use crate::API_VERSION;
use crate::context::{Answer, Cx, NewEvent};
use crate::error::ApiError;
use crate::ids::new_id;
use crate::list::{self, Page};
use crate::params::Params;
use crate::settings::DAY;
use crate::webhooks::Endpoint;

/// How long events can be read, in seconds.
const RETENTION: i64 = 30 * DAY;

/// Writes the transaction's events and plans their deliveries.
pub(crate) async fn write(cx: &mut Cx) -> Result<(), ApiError> {
    let (mut ids, mut accounts, mut kinds, mut payloads) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut delivered, mut endpoints) = (Vec::new(), Vec::new());
    for event in std::mem::take(&mut cx.events) {
        let listeners: Vec<&Endpoint> =
            cx.endpoints.iter().filter(|e| e.hears(event.account != *cx.platform, event.kind)).collect();
        let id = new_id("evt");
        payloads.push(payload(cx, &id, &event, listeners.len()));
        for listener in listeners {
            delivered.push(id.clone());
            endpoints.push(listener.id.clone());
        }
        ids.push(id);
        accounts.push(event.account);
        kinds.push(event.kind);
    }
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "with written as (
             insert into events (id, account, type, created, payload)
             select id, account, type, $5, payload
             from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality
                 as e (id, account, type, payload, position)
             order by position
         )
         insert into deliveries (event, endpoint, due_at)
         select event, endpoint, $5
         from unnest($6::text[], $7::text[]) with ordinality as d (event, endpoint, position)
         order by position",
    )
    .bind(&ids)
    .bind(&accounts)
    .bind(&kinds)
    .bind(&payloads)
    .bind(cx.now)
    .bind(&delivered)
    .bind(&endpoints)
    .execute(&mut *cx.conn)
    .await?;
    Ok(())
}

fn payload(cx: &Cx, id: &str, event: &NewEvent, listeners: usize) -> String {
    let mut data = json!({ "object": event.object });
    if let Some(previous) = &event.previous {
        data["previous_attributes"] = previous.clone();
    }
    let mut body = json!({
        "id": id,
        "object": "event",
        "api_version": API_VERSION,
        "created": cx.now,
        "data": data,
        "livemode": false,
        "pending_webhooks": listeners,
        "request": { "id": cx.request.id, "idempotency_key": cx.request.idempotency_key },
        "type": event.kind,
    });
    if event.account != *cx.platform {
        body["account"] = json!(event.account);
    }
    format!("{body:#}")
}

fn parse(payload: &str) -> Answer {
    serde_json::from_str(payload).map_err(|_| ApiError::internal("A stored event cannot be read."))
}

/// `GET /v1/events/{id}`.
pub(crate) async fn retrieve(cx: &mut Cx, id: &str, params: Params) -> Answer {
    params.finish()?;
    let payload: Option<String> =
        sqlx::query_scalar("select payload from events where id = $1 and account = $2 and created > $3")
            .bind(id)
            .bind(&cx.account)
            .bind(cx.now - RETENTION)
            .fetch_optional(&mut *cx.conn)
            .await?;
    parse(&payload.ok_or_else(|| ApiError::no_such("event", id))?)
}

/// `GET /v1/events`.
pub(crate) async fn index(cx: &mut Cx, mut params: Params) -> Answer {
    let kind = params.text("type")?;
    let kinds = params.list("types")?;
    let wanted: Option<Vec<String>> = kind.map(|k| vec![k]).or(kinds);
    let page = Page::read(&mut params)?;
    params.finish()?;
    let bounds = page.bounds(cx, "events").await?;
    let rows: Vec<String> = sqlx::query_scalar(list::directed!(
        page,
        "select payload from events
         where account = $1 and created > $2 and created between $3 and $4
           and seq < $5 and seq > $6 and ($7::text[] is null or type = any ($7))",
        "$8"
    ))
    .bind(&cx.account)
    .bind(cx.now - RETENTION)
    .bind(page.created_from)
    .bind(page.created_to)
    .bind(bounds.below)
    .bind(bounds.above)
    .bind(wanted)
    .bind(page.fetch_limit())
    .fetch_all(&mut *cx.conn)
    .await?;
    let data = rows.iter().map(|row| parse(row)).collect::<Result<Vec<Value>, _>>()?;
    Ok(list::page("/v1/events", data, &page))
}
