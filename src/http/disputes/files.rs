//! Files that speak for a platform: passed on to the provider, and kept nowhere here.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use partita_provider::{EvidenceFile, FileKind};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::disputes;
use crate::http::HttpState;
use crate::http::auth::Caller;
use crate::http::body::read_bytes;
use crate::http::fields::Text;
use crate::http::json::PathId;
use crate::http::problem::Problem;
use crate::http::problem_types;
use crate::http::query::Query;
use crate::http::render::CommandRefusals;
use crate::id::DisputeId;

/// The largest file that the provider takes (<https://docs.stripe.com/file-upload>).
const LARGEST_FILE: usize = 5 * 1024 * 1024;

/// The routes.
pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(upload))
}

/// A file that lies with the provider, for evidence to name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EvidenceFile)]
struct FileBody {
    /// Always `evidence_file`.
    #[schema(value_type = String, example = "evidence_file")]
    object: &'static str,
    /// The provider's token of it: what a field of the evidence takes.
    #[schema(example = "file_1Nv0Fq2eZvKYlo2C")]
    id: String,
    #[schema(example = "receipt.pdf")]
    name: String,
    #[schema(value_type = String, example = "application/pdf")]
    media_type: &'static str,
    /// Bytes.
    #[schema(example = 48_211)]
    size: usize,
}

/// The file, byte for byte.
#[derive(ToSchema)]
#[schema(as = EvidenceFileBytes, value_type = String, format = Binary)]
#[expect(dead_code, reason = "the contract alone names it")]
struct FileBytes(Vec<u8>);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Parameters {
    /// What the bank sees it called.
    #[param(value_type = String, min_length = 1, max_length = 255, example = "receipt.pdf")]
    name: Text<1, 255>,
}

/// Hands a file over to the provider: PDF, JPEG or PNG, up to 5 MiB, as the body itself.
///
/// Partita keeps nothing of it but what the answer says; the provider keeps the file. Nothing goes to the bank before you
/// name it in the evidence. Should the answer get lost, send the file again.
#[utoipa::path(
    post, path = "/v1/disputes/{id}/evidence_files", tag = "Disputes", operation_id = "upload_dispute_evidence_file",
    params(("id" = DisputeId, Path, description = "The dispute"), Parameters),
    request_body(
        content(
            (FileBytes = "application/pdf"),
            (FileBytes = "image/jpeg"),
            (FileBytes = "image/png"),
        ),
        description = "The file"
    ),
    responses((status = 201, description = "The provider has it", body = FileBody), CommandRefusals),
)]
async fn upload(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<DisputeId>,
    Query(Parameters { name }): Query<Parameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<FileBody>), Problem> {
    caller.require("payments:write")?;
    let dispute = disputes::can_take_files(&state.app, caller.book, id).await?;
    let kind = kind_of(&headers)?;
    let bytes = read_bytes(&headers, body, LARGEST_FILE).await?;
    if !kind.begins(&bytes) {
        let detail = format!("the body is no {}", kind.media_type());
        return Err(Problem::invalid_field::<&str>(&[], &problem_types::INVALID_VALUE, detail));
    }
    let file = EvidenceFile { name: name.into_string(), kind, bytes };
    let token = disputes::upload(&state.app, caller.book, &dispute, &file).await?;
    let (media_type, size) = (kind.media_type(), file.bytes.len());
    Ok((StatusCode::CREATED, Json(FileBody { object: "evidence_file", id: token, name: file.name, media_type, size })))
}

fn kind_of(headers: &HeaderMap) -> Result<FileKind, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    FileKind::ALL.into_iter().find(|kind| kind.media_type().eq_ignore_ascii_case(given.trim())).ok_or_else(|| {
        let known = FileKind::ALL.map(FileKind::media_type).join(", ");
        Problem::new(&problem_types::CONTENT_TYPE_UNSUPPORTED).detail(format!("A file is one of {known}."))
    })
}
