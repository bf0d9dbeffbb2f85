//! Forms with a file (`multipart/form-data`), turned into the parameters that every endpoint reads. Of the file itself only
//! what it says of itself is kept.

use axum::body::Bytes;
use futures::stream;
use multer::{Field, Multipart};

use crate::error::ApiError;

/// The largest form, in bytes: more than the largest file that is taken.
pub(crate) const LARGEST_FORM: usize = 6 * 1024 * 1024;

/// The form as form-encoded parameters; none when the content type is another.
pub(crate) async fn as_parameters(content_type: &str, body: &Bytes) -> Result<Option<Vec<u8>>, ApiError> {
    let Ok(boundary) = multer::parse_boundary(content_type) else { return Ok(None) };
    let whole = stream::iter([Ok::<_, std::convert::Infallible>(body.clone())]);
    let mut form = Multipart::new(whole, boundary);
    let mut parameters: Vec<(String, String)> = Vec::new();
    while let Some(field) = form.next_field().await.map_err(|error| broken(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        match field.file_name().map(str::to_owned) {
            None => {
                parameters.push((name, field.text().await.map_err(|error| broken(&error))?));
            }
            Some(file_name) => {
                let media_type = field.content_type().map_or_else(String::new, ToString::to_string);
                let size = size(field).await?.to_string();
                let said = [("filename", file_name), ("media_type", media_type), ("size", size)];
                parameters.extend(said.map(|(part, value)| (format!("{name}[{part}]"), value)));
            }
        }
    }
    let encoded = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    Ok(Some(encoded.into_bytes()))
}

async fn size(field: Field<'_>) -> Result<usize, ApiError> {
    Ok(field.bytes().await.map_err(|error| broken(&error))?.len())
}

fn broken(error: &multer::Error) -> ApiError {
    ApiError::invalid(format!("The form cannot be read: {error}"))
}
