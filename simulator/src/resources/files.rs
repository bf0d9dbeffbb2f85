//! Files (docs.stripe.com/file-upload): what evidence names. Their bytes are not kept.

use serde_json::json;

use crate::context::{Answer, Cx};
use crate::error::ApiError;
use crate::ids::new_id;
use crate::params::Params;
use crate::settings::DAY;
use crate::store;

const PURPOSE: &str = "dispute_evidence";
const LARGEST_BYTES: i64 = 5 * 1024 * 1024;
/// How long evidence is kept.
const KEPT: i64 = 270 * DAY;

/// `POST /v1/files`.
pub(crate) async fn create(cx: &mut Cx, mut params: Params) -> Answer {
    let purpose = params.required_text("purpose")?;
    let mut file = params.hash("file")?.ok_or_else(|| params.missing("file"))?;
    params.finish()?;
    let filename = file.required_text("filename")?;
    let media_type = file.text("media_type")?.unwrap_or_default();
    let size: i64 = file.required_text("size")?.parse().map_err(|_| ApiError::invalid("Invalid file").param("file"))?;
    file.finish()?;
    if purpose != PURPOSE {
        return Err(
            ApiError::invalid(format!("This simulator keeps files of the purpose {PURPOSE} only.")).param("purpose")
        );
    }
    let kind = match media_type.as_str() {
        "application/pdf" => "pdf",
        "image/jpeg" => "jpg",
        "image/png" => "png",
        _ => {
            return Err(
                ApiError::invalid(format!("A file of the type {media_type} cannot be {PURPOSE}.")).param("file")
            );
        }
    };
    if !(1..=LARGEST_BYTES).contains(&size) {
        let message = format!("A file for {PURPOSE} has 1 to {LARGEST_BYTES} bytes, not {size}.");
        return Err(ApiError::invalid(message).param("file"));
    }
    let id = new_id("file");
    let file = json!({
        "id": id,
        "object": "file",
        "created": cx.now,
        "expires_at": cx.now + KEPT,
        "filename": filename,
        "links": { "object": "list", "data": [], "has_more": false, "url": format!("/v1/file_links?file={id}") },
        "purpose": purpose,
        "size": size,
        "title": null,
        "type": kind,
        "url": format!("https://files.stripe.com/v1/files/{id}/contents"),
    });
    let account = cx.account.clone();
    store::insert(cx, &account, None, &file).await?;
    Ok(file)
}

/// `GET /v1/files/{id}`.
pub(crate) async fn retrieve(cx: &mut Cx, id: &str, params: Params) -> Answer {
    super::retrieve(cx, "file", id, params).await
}

/// Refuses a token of no file of this account.
pub(crate) async fn demand(cx: &mut Cx, id: &str) -> Result<(), ApiError> {
    let account = cx.account.clone();
    let found = store::find_for_update(&mut cx.conn, &account, "file", id).await?;
    found.map(|_| ()).ok_or_else(|| ApiError::invalid(format!("No such file upload: '{id}'")).code("resource_missing"))
}
