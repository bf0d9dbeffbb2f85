//! `Json<T>`: a body that was read and found valid; `PathId<T>`: an id of the path.

use std::str::FromStr;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::{body, input};

/// A JSON body of the shape `T`. Unknown fields must be refused by `T` (`deny_unknown_fields`).
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, content) = request.into_parts();
        let value = body::read_json(&parts.headers, content).await?;
        read(&value).map(Self)
    }
}

/// Reads `T` from a parsed body.
///
/// # Errors
/// 422 with the fault's JSON pointer.
pub fn read<T: DeserializeOwned>(value: &serde_json::Value) -> Result<T, Problem> {
    input::read_body(value).map_err(|fault| {
        let errors = vec![fault.of_body()];
        Problem::invalid(errors).expect("there is one fault")
    })
}

/// The one id in the path. Text that is no id of this kind names nothing: 404.
#[derive(Debug, Clone, Copy)]
pub struct PathId<T>(pub T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for PathId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) =
            Path::<String>::from_request_parts(parts, state).await.map_err(|_| Problem::not_found("object"))?;
        text.parse().map(Self).map_err(|_| Problem::not_found("object"))
    }
}
