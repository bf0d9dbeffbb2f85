//! What happened to a payment: its timeline, and its postings.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use partita_db::{BookId, DbError, Tx};
use partita_ledger::{LedgerError, PostingView, postings_by_subject};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::cursor::List;
use super::fields::{Currency, currency_schema};
use super::json::PathId;
use super::ledger::{PostingBody, shown};
use super::problem::Problem;
use super::query::{NoParameters, Query};
use super::render::{Refusals, Time};
use super::{HttpState, story};
use crate::id::{LedgerId, OperationId, PaymentId, public_id};
use crate::operations::{self, HistoryStep, Operation};
use crate::outbox::{self, StateChange};
use crate::payments::line_release::list_releases;
use crate::{disputes, payments, refunds, transfers};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(timeline)).routes(routes!(postings))
}

/// A change of state.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = StateChange)]
struct ChangeBody {
    /// Always `state_change`.
    #[schema(value_type = String, example = "state_change")]
    object: &'static str,
    /// When, in business time.
    at: Time,
    /// What changed: `payment`, `payment_line`, `refund`, `dispute`, `transfer`, `reversal`, or an `operation`, the command that asked for it.
    #[schema(example = "payment")]
    of: String,
    /// Its id.
    #[schema(example = "pay_01jd9z8p3hfh7s4k2n0q5r6t7v")]
    id: String,
    /// Counts its changes, from 1.
    #[schema(example = 2)]
    sequence: i32,
    /// The state before; null for a new object.
    #[schema(example = "processing")]
    from: Option<String>,
    /// The state after.
    #[schema(example = "succeeded")]
    to: String,
    /// Who did it: a key's id, or `system`.
    #[schema(example = "system")]
    actor: String,
    /// What happened, in plain words.
    #[schema(example = "The buyer was charged.")]
    text: String,
    /// Why, for a person.
    detail: Option<String>,
}

impl From<StateChange> for ChangeBody {
    fn from(change: StateChange) -> Self {
        Self {
            object: "state_change",
            at: Time(change.at),
            text: story::of_change(&change),
            id: public_id(&change.object_type, change.object_id),
            of: change.object_type,
            sequence: change.sequence,
            from: change.from,
            to: change.to,
            actor: change.actor,
            detail: change.detail,
        }
    }
}

impl ChangeBody {
    fn of_step(step: HistoryStep, actor: String) -> Self {
        Self {
            object: "state_change",
            at: Time(step.at),
            text: story::of_operation(&step),
            of: "operation".to_owned(),
            id: step.operation.to_string(),
            sequence: step.step,
            from: step.from,
            to: step.to,
            actor,
            detail: step.detail,
        }
    }
}

/// What happened to a payment, to its refunds, disputes, transfers and reversals, and to the commands that asked for
/// them, oldest first; all of it.
#[utoipa::path(
    get, path = "/v1/payments/{id}/timeline", tag = "Payments", operation_id = "get_payment_timeline",
    params(("id" = PaymentId, Path, description = "The payment")),
    responses((status = 200, description = "Every change of state", body = List<ChangeBody>), Refusals),
)]
async fn timeline(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<PaymentId>,
    OriginalUri(uri): OriginalUri,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    caller.require("payments:read")?;
    let found = state
        .app
        .db
        .read("payment timeline", caller.scope(), move |tx| Box::pin(async move { what_happened(tx, id).await }))
        .await?;
    let happened = found.ok_or_else(|| Problem::not_found("payment"))?;
    Ok(List::whole(happened.in_order()).respond(&uri))
}

/// All that is known of a payment's life.
struct Happened {
    changes: Vec<StateChange>,
    operations: Vec<Operation>,
    steps: Vec<HistoryStep>,
}

async fn what_happened(tx: &mut Tx, id: PaymentId) -> Result<Option<Happened>, DbError> {
    if payments::find(tx, id).await?.is_none() {
        return Ok(None);
    }
    let mut objects = vec![id.uuid()];
    objects.extend(refunds::list_by_payment(tx, id).await?.iter().map(|refund| refund.id.uuid()));
    objects.extend(disputes::list_by_payment(tx, id).await?.iter().map(|dispute| dispute.id.uuid()));
    objects.extend(list_releases(tx, id).await?.iter().map(|release| release.id.uuid()));
    objects.extend(transfers::list_by_payment(tx, id).await?.iter().map(|transfer| transfer.id.uuid()));
    objects.extend(transfers::list_reversals(tx, id).await?.iter().map(|reversal| reversal.id.uuid()));
    let changes = outbox::timeline(tx, &objects).await?;
    let operations = operations::list_by_object(tx, &objects).await?;
    let ids: Vec<OperationId> = operations.iter().map(|operation| operation.id).collect();
    let steps = operations::list_history(tx, &ids).await?;
    Ok(Some(Happened { changes, operations, steps }))
}

impl Happened {
    /// Oldest first, as it was written down.
    fn in_order(self) -> Vec<ChangeBody> {
        let actors: BTreeMap<_, _> =
            self.operations.into_iter().map(|operation| (operation.id.uuid(), operation.actor)).collect();
        let steps = self.steps.into_iter().map(|step| {
            let actor = actors.get(&step.operation.uuid()).cloned().unwrap_or_default();
            (step.recorded_at, ChangeBody::of_step(step, actor))
        });
        let changes = self.changes.into_iter().map(|change| (change.recorded_at, ChangeBody::from(change)));
        let mut all: Vec<_> = steps.chain(changes).collect();
        all.sort_by_key(|(recorded_at, _)| *recorded_at);
        all.into_iter().map(|(_, change)| change).collect()
    }
}

/// What a payment has moved on one account: one side of the T is debits, the other credits. Minor units.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = TAccount)]
struct TAccountBody {
    /// The account's id.
    #[schema(example = "lac_00000000000000800000000001")]
    account: String,
    /// Its name.
    #[schema(example = "prov.available")]
    path: String,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    #[schema(example = 11680)]
    debits: i64,
    #[schema(example = 5400)]
    credits: i64,
}

/// The postings of a payment: what was booked, and what that makes per account.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PaymentPostings)]
struct PostingsBody {
    /// Always `payment_postings`.
    #[schema(value_type = String, example = "payment_postings")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    payment: PaymentId,
    /// In the order they were recorded.
    postings: Vec<PostingBody>,
    /// The same by account, in order of path. Over all accounts of a currency, debits equal credits.
    accounts: Vec<TAccountBody>,
}

/// A payment's postings: the charge, the split, fees, transfers, refunds, disputes and reversals, to the cent.
#[utoipa::path(
    get, path = "/v1/payments/{id}/postings", tag = "Payments", operation_id = "get_payment_postings",
    params(("id" = PaymentId, Path, description = "The payment")),
    responses((status = 200, description = "Every posting", body = PostingsBody), Refusals),
)]
async fn postings(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<PaymentId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<PostingsBody>, Problem> {
    caller.require("ledger:read")?;
    let found = state
        .app
        .db
        .read("payment postings", caller.scope(), move |tx| {
            Box::pin(async move {
                let Some(payment) = payments::find(tx, id).await? else { return Ok(None) };
                Ok::<_, LedgerError>(Some(postings_by_subject(tx, payment.key).await?))
            })
        })
        .await?;
    let postings = found.ok_or_else(|| Problem::not_found("payment"))?;
    Ok(Json(PostingsBody {
        object: "payment_postings",
        mode: caller.mode.as_str(),
        payment: id,
        accounts: t_accounts(caller.book, &postings),
        postings: postings.into_iter().map(|posting| PostingBody::show(caller.book, posting)).collect(),
    }))
}

fn t_accounts(book: BookId, postings: &[PostingView]) -> Vec<TAccountBody> {
    let mut sums: BTreeMap<(&str, &str), (i64, Currency, i128, i128)> = BTreeMap::new();
    for posting in postings {
        let amount = i128::from(posting.amount);
        let code = posting.currency.code();
        let zero = |key: i64| (key, posting.currency, 0, 0);
        sums.entry((&posting.debit_path, code)).or_insert_with(|| zero(posting.debit.get())).2 += amount;
        sums.entry((&posting.credit_path, code)).or_insert_with(|| zero(posting.credit.get())).3 += amount;
    }
    let show =
        |((path, _), (key, currency, debits, credits)): ((&str, &str), (i64, Currency, i128, i128))| TAccountBody {
            account: LedgerId::account(book, key).to_string(),
            path: path.to_owned(),
            currency,
            debits: shown(debits),
            credits: shown(credits),
        };
    sums.into_iter().map(show).collect()
}
