//! `/v1/bank_files`: what your bank is asked to pay; and what it did, `/v1/payouts/{id}/confirm`, `../return`, `../cancel`.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::alone_limits::{LimitBody, NewLimitBody};
use super::approvals::ApprovalBody;
use super::auth::Caller;
use super::commands::{self, Progress, Reply};
use super::cursor::{self, List};
use super::fields::{Currency, Day, Reference, Text, currency_schema};
use super::idempotency::Idempotent;
use super::json::{Json as Body, PathId};
use super::payouts::{PayoutBody, read as read_payout};
use super::problem::Problem;
use super::problem_types;
use super::query::{NoParameters, Query};
use super::render::{CommandRefusals, Refusals, Time};
use crate::approvals;
use crate::id::{BankFileId, PayoutId};
use crate::idempotency::{Begun, Request};
use crate::payouts::bank::{self, BankFile, NewBankFile};
use crate::payouts::{self, PayoutError, PayoutStatus};
use crate::platforms::Mode;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(fetch))
        .routes(routes!(download))
        .routes(routes!(confirm))
        .routes(routes!(send_back))
        .routes(routes!(cancel))
        .routes(routes!(list_limits, propose_limit))
}

/// What your bank is to be asked to pay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewBankFile, example = json!({"reference": "week-10", "currency": "EUR", "execute_on": "2026-03-06"}))]
struct NewFileBody {
    /// Your own id of the file, unique among your files.
    reference: Reference,
    /// Of the payouts: every one by bank file that waits in it, a thousand at most.
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// When the bank is to pay; tomorrow (UTC) when absent. From today to a year ahead.
    execute_on: Option<Day>,
}

/// What your bank is asked to pay, as one file.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = BankFile)]
struct FileBody {
    /// Always `bank_file`.
    #[schema(value_type = String, example = "bank_file")]
    object: &'static str,
    id: BankFileId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// Your own id of it.
    reference: String,
    /// Always `pain.001.001.09`.
    #[schema(value_type = String, example = "pain.001.001.09")]
    format: &'static str,
    /// How many payouts are in it.
    #[schema(example = 2)]
    payouts: i32,
    /// What they come to; minor units.
    #[schema(example = 9000)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// When the bank is to pay.
    #[schema(format = Date, example = "2026-03-06")]
    execute_on: String,
    /// Country and last four characters of the IBAN that is paid from.
    #[schema(example = "NL**4300")]
    paid_from: String,
    /// SHA-256 of the file's bytes, hexadecimal.
    sha256: String,
    created_at: Time,
}

impl FileBody {
    fn show(mode: Mode, file: BankFile) -> Self {
        Self {
            object: "bank_file",
            id: file.id,
            mode: mode.as_str(),
            reference: file.reference,
            format: "pain.001.001.09",
            payouts: file.payouts,
            amount: file.amount.minor,
            currency: file.amount.currency,
            execute_on: file.execute_on.to_string(),
            paid_from: file.paid_from,
            sha256: hex::encode(file.digest),
            created_at: Time(file.created_at),
        }
    }
}

/// Makes a file for your bank of the payouts by bank file that wait in a currency; they are `in_transit` then.
///
/// A payout is in one file, and a file never changes. Get it from `../file`, give it to your bank, and tell with
/// `/v1/payouts/{id}/confirm` or `../return` what the bank did.
#[utoipa::path(
    post, path = "/v1/bank_files", tag = "Payouts", operation_id = "create_bank_file",
    request_body = NewFileBody,
    params(("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters")),
    responses((status = 201, description = "The file", body = FileBody), CommandRefusals),
)]
async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    input: Idempotent<NewFileBody>,
) -> Result<Response, Problem> {
    caller.require("payouts:write")?;
    let NewFileBody { reference, currency, execute_on } = input.body;
    let new = NewBankFile { reference: reference.into_string(), currency, execute_on: execute_on.map(Day::date) };
    let begun = bank::create_file(&state.app, caller.book, caller.actor, input.claim.clone(), new).await?;
    let id = match commands::begun(begun) {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let file = read(&state, &caller, id).await?;
    let reply = Reply::created(FileBody::show(caller.mode, file));
    commands::answer(&state, &caller, Some(&input.claim), reply).await
}

async fn read(state: &HttpState, caller: &Caller, id: BankFileId) -> Result<BankFile, Problem> {
    let found = state
        .app
        .db
        .read("get bank file", caller.scope(), move |tx| Box::pin(async move { payouts::find_file(tx, id).await }))
        .await?;
    found.ok_or_else(|| Problem::not_found("bank file"))
}

/// One bank file.
#[utoipa::path(
    get, path = "/v1/bank_files/{id}", tag = "Payouts", operation_id = "get_bank_file",
    params(("id" = BankFileId, Path, description = "The file")),
    responses((status = 200, description = "The file", body = FileBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<BankFileId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<FileBody>, Problem> {
    caller.require("payouts:read")?;
    Ok(Json(FileBody::show(caller.mode, read(&state, &caller, id).await?)))
}

/// The file for your bank, byte for byte as it was made. It has the sellers' bank accounts in clear.
#[utoipa::path(
    get, path = "/v1/bank_files/{id}/file", tag = "Payouts", operation_id = "download_bank_file",
    params(("id" = BankFileId, Path, description = "The file")),
    responses(
        (status = 200, description = "ISO 20022, pain.001.001.09", body = String, content_type = "application/xml"),
        Refusals,
    ),
)]
async fn download(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<BankFileId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    caller.require("payouts:write")?;
    let text = bank::read_file(&state.app, caller.book, id).await?.ok_or_else(|| Problem::not_found("bank file"))?;
    let name = HeaderValue::try_from(format!("attachment; filename=\"{id}.xml\"")).expect("ids are plain text");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8")),
        (header::CONTENT_DISPOSITION, name),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, text.expose_secret().to_owned()).into_response())
}

/// Pages of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Pages {
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Bank files, newest first.
#[utoipa::path(
    get, path = "/v1/bank_files", tag = "Payouts", operation_id = "list_bank_files",
    params(Pages),
    responses((status = 200, description = "A page of files", body = List<FileBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(pages): Query<Pages>,
) -> Result<Response, Problem> {
    caller.require("payouts:read")?;
    let page = cursor::page::<BankFileId, _>("/v1/bank_files", &(), pages.limit, pages.cursor.as_deref())?;
    let (after, limit) = (page.after, page.fetch_limit());
    let rows = state
        .app
        .db
        .read("list bank files", caller.scope(), move |tx| {
            Box::pin(async move { payouts::list_files(tx, after, limit).await })
        })
        .await?;
    Ok(page.list(rows, |file| file.id, |file| FileBody::show(caller.mode, file)).respond(&uri))
}

/// Nothing more is said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConfirmPayout, example = json!({}))]
struct NothingBody {}

/// Why your bank did not pay a payout, or got it back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReturnPayout, example = json!({"code": "AC04", "note": "line 7 of the statement of 9 March"}))]
struct ReturnBody {
    /// As your bank says it: a code of ISO 20022 (`AC01` wrong account, `AC04` closed, `AM04` not covered ..).
    #[schema(value_type = String, pattern = "^[A-Z]{2}[A-Z0-9]{2}$", example = "AC04")]
    code: Text<4, 4>,
    /// Where you have it from.
    note: Text<1, 500>,
}

/// Tells that your bank has paid a payout by bank file.
#[utoipa::path(
    post, path = "/v1/payouts/{id}/confirm", tag = "Payouts", operation_id = "confirm_payout",
    params(
        ("id" = PayoutId, Path, description = "The payout"),
        ("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters"),
    ),
    request_body = NothingBody,
    responses((status = 200, description = "The payout, `paid`", body = PayoutBody), CommandRefusals),
)]
async fn confirm(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<PayoutId>,
    input: Idempotent<NothingBody>,
) -> Result<Response, Problem> {
    caller.require("payouts:write")?;
    let begun = bank::confirm(&state.app, caller.book, caller.actor, input.claim.clone(), id).await;
    reply(&state, &caller, &input.claim, begun).await
}

/// Tells that your bank sent a payout by bank file back, before it was paid or after: its money is the seller's again. At once
/// where you may say that alone, within what your key has left of the day's limit (`/v1/payout_return_limits`). Above it, somebody
/// else has to approve (`/v1/approvals`), and the payout stays as it is until then.
///
/// Where the code says that it lies with the account, nothing is paid there until the seller has other bank details.
#[utoipa::path(
    post, path = "/v1/payouts/{id}/return", tag = "Payouts", operation_id = "return_payout",
    params(
        ("id" = PayoutId, Path, description = "The payout"),
        ("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters"),
    ),
    request_body = ReturnBody,
    responses(
        (status = 200, description = "The payout, `failed`", body = PayoutBody),
        (status = 202, description = "Waits for somebody else to approve it: the payout as it is", body = PayoutBody),
        CommandRefusals,
    ),
)]
async fn send_back(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<PayoutId>,
    input: Idempotent<ReturnBody>,
) -> Result<Response, Problem> {
    caller.require("payouts:write")?;
    let code = input.body.code.as_str();
    let (letters, rest) = code.as_bytes().split_at(code.len().min(2));
    let is_lawful = letters.iter().all(u8::is_ascii_uppercase)
        && rest.len() == 2
        && rest.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if !is_lawful {
        let detail = "must be a code of ISO 20022, such as AC04";
        return Err(Problem::invalid_field(&["code"], &problem_types::INVALID_VALUE, detail));
    }
    let why = (code.to_owned(), input.body.note.into_string());
    let begun = approvals::return_payout(&state.app, caller.book, caller.actor, input.claim.clone(), id, why).await?;
    let id = match commands::begun(begun) {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let payout = read_payout(&state, &caller, id).await?;
    let waits = payout.status != PayoutStatus::Failed;
    let body = PayoutBody::show(caller.mode, payout);
    let reply = if waits { Reply::Open(body) } else { Reply::Done(StatusCode::OK, body) };
    commands::answer(&state, &caller, Some(&input.claim), reply).await
}

/// How much one key may say alone in a day that a bank sent it back, by currency. A currency that is not here: nothing.
#[utoipa::path(
    get, path = "/v1/payout_return_limits", tag = "Payouts", operation_id = "list_payout_return_limits",
    responses((status = 200, description = "All limits", body = List<LimitBody>), Refusals),
)]
async fn list_limits(
    State(state): State<HttpState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<List<LimitBody>>, Problem> {
    caller.require("payouts:read")?;
    let limits = state
        .app
        .db
        .read("list payout return limits", caller.scope(), |tx| {
            Box::pin(async move { payouts::list_return_limits(tx).await })
        })
        .await?;
    let show = |limit| LimitBody::show("payout_return_limit", caller.mode, limit);
    Ok(Json(List::whole(limits.into_iter().map(show).collect())))
}

/// Proposes how much one key may say alone in a day that a bank sent it back. Somebody else has to approve: what lets one person
/// act alone is decided by two.
#[utoipa::path(
    post, path = "/v1/payout_return_limits", tag = "Payouts", operation_id = "propose_payout_return_limit",
    request_body = NewLimitBody,
    responses((status = 201, description = "The proposal, to be approved by somebody else", body = ApprovalBody), CommandRefusals),
)]
async fn propose_limit(
    State(state): State<HttpState>,
    caller: Caller,
    Body(body): Body<NewLimitBody>,
) -> Result<(StatusCode, Json<ApprovalBody>), Problem> {
    caller.require("payouts:write")?;
    let (limit, reason) = body.read();
    let approval = approvals::propose_return_limit(&state.app, caller.book, caller.actor, limit, reason).await?;
    Ok((StatusCode::CREATED, Json(ApprovalBody::show(caller.mode, approval, state.app.clock.now()))))
}

/// Gives up a payout by bank file that no file has yet: its money is the seller's again.
#[utoipa::path(
    post, path = "/v1/payouts/{id}/cancel", tag = "Payouts", operation_id = "cancel_payout",
    params(
        ("id" = PayoutId, Path, description = "The payout"),
        ("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters"),
    ),
    request_body = NothingBody,
    responses((status = 200, description = "The payout, `canceled`", body = PayoutBody), CommandRefusals),
)]
async fn cancel(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<PayoutId>,
    input: Idempotent<NothingBody>,
) -> Result<Response, Problem> {
    caller.require("payouts:write")?;
    let begun = bank::cancel(&state.app, caller.book, caller.actor, input.claim.clone(), id).await;
    reply(&state, &caller, &input.claim, begun).await
}

async fn reply(
    state: &HttpState,
    caller: &Caller,
    claim: &Request,
    begun: Result<Begun<PayoutId>, PayoutError>,
) -> Result<Response, Problem> {
    let id = match commands::begun(begun?) {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let payout = read_payout(state, caller, id).await?;
    let reply = Reply::Done(StatusCode::OK, PayoutBody::show(caller.mode, payout));
    commands::answer(state, caller, Some(claim), reply).await
}
