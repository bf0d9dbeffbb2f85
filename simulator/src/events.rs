//! Events: what happened, as it looked when it happened (docs.stripe.com/api/events).

use serde_json::{Value, json};

use crate::API_VERSION;
use crate::context::{Answer, Cx, NewEvent};
use crate::error::ApiError;
use crate::faults::WebhookPlan;
use crate::ids::new_id;
use crate::list::{self, Page};
use crate::params::Params;
use crate::settings::DAY;
use crate::webhooks::Endpoint;
use crate::{dice, spoil};

/// How long events can be read, in seconds.
const RETENTION: i64 = 30 * DAY;

/// Rows of deliveries to be planned, column by column.
#[derive(Debug, Default)]
struct Deliveries {
    events: Vec<String>,
    endpoints: Vec<String>,
    due_at: Vec<i64>,
    /// Sent in place of the event's own.
    payloads: Vec<Option<String>>,
}

/// Writes the transaction's events and plans their deliveries.
pub(crate) async fn write(cx: &mut Cx) -> Result<(), ApiError> {
    let events = std::mem::take(&mut cx.events);
    if events.is_empty() {
        return Ok(());
    }
    let (seed, plan, mut number) = cx.faults.number_events(events.len());
    let (mut ids, mut accounts, mut kinds, mut payloads) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut planned = Deliveries::default();
    for event in events {
        let listeners: Vec<&Endpoint> =
            cx.endpoints.iter().filter(|e| e.hears(event.account != *cx.platform, event.kind)).collect();
        let id = new_id("evt");
        let payload = payload(cx, &id, &event, listeners.len());
        for listener in listeners {
            for (delay, instead) in webhook_fate(seed, number, &plan, &payload) {
                planned.events.push(id.clone());
                planned.endpoints.push(listener.id.clone());
                planned.due_at.push(cx.now + delay);
                planned.payloads.push(instead);
            }
        }
        number += 1;
        ids.push(id);
        accounts.push(event.account);
        kinds.push(event.kind);
        payloads.push(payload);
    }
    sqlx::query(
        "with written as (
             insert into events (id, account, type, created, payload, request_id)
             select id, account, type, $5, payload, $6
             from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality
                 as e (id, account, type, payload, position)
             order by position
         )
         insert into deliveries (event, endpoint, due_at, payload)
         select event, endpoint, due_at, payload
         from unnest($7::text[], $8::text[], $9::bigint[], $10::text[]) with ordinality
             as d (event, endpoint, due_at, payload, position)
         order by position",
    )
    .bind(&ids)
    .bind(&accounts)
    .bind(&kinds)
    .bind(&payloads)
    .bind(cx.now)
    .bind(&cx.request.id)
    .bind(&planned.events)
    .bind(&planned.endpoints)
    .bind(&planned.due_at)
    .bind(&planned.payloads)
    .execute(&mut *cx.conn)
    .await?;
    Ok(())
}

/// What goes with a delivery: its name, its rate per mille, and what it does to the event.
type Forgery = (&'static str, u16, fn(&mut Value));

/// What is delivered of the event of a number: seconds of delay, and what is sent in place of the event's own. One
/// delivery at once and as it is, unless faults are planned.
fn webhook_fate(seed: u64, number: u64, plan: &WebhookPlan, payload: &str) -> Vec<(i64, Option<String>)> {
    let copies = 1 + dice::roll(seed, "copies", number) % u64::from(plan.copies.max(1));
    let delay = |what: &str, copy: u64| {
        let within = u64::from(plan.delay_seconds) + 1;
        i64::try_from(dice::roll(seed, &format!("delay {what} {copy}"), number) % within).unwrap_or(0)
    };
    let mut sent: Vec<(i64, Option<String>)> = (0..copies).map(|copy| (delay("copy", copy), None)).collect();
    let forgeries: [Forgery; 4] = [
        ("other mode", plan.other_mode, spoil::other_mode),
        ("other account", plan.other_account, spoil::other_account),
        ("unknown type", plan.unknown_type, spoil::unknown_type),
        ("other version", plan.other_version, spoil::other_version),
    ];
    for (name, rate, spoil) in forgeries {
        if dice::happens(seed, name, number, rate) {
            let mut event: Value = serde_json::from_str(payload).unwrap_or_default();
            spoil(&mut event);
            sent.push((delay(name, 0), Some(format!("{event:#}"))));
        }
    }
    sent
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
