//! Every route, on one page.

use axum::{Router, middleware};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::{HttpState, auth, docs, edge, health, limits};

#[derive(OpenApi)]
#[openapi(info(title = "Partita", description = "Orchestrates the money of a marketplace."))]
struct Contract;

fn api() -> OpenApiRouter<HttpState> {
    OpenApiRouter::with_openapi(Contract::openapi())
}

/// The contract of the routes.
pub fn contract() -> utoipa::openapi::OpenApi {
    api().into_openapi()
}

/// The main port.
pub fn main_router(state: HttpState) -> Router {
    let (api, _) = api().split_for_parts();
    let limited = api
        .layer(middleware::from_fn_with_state(state.clone(), auth::authenticate))
        .merge(docs::routes())
        .layer(middleware::from_fn_with_state(state.clone(), limits::limit_address));
    edge::wrap(
        limited
            .merge(health::routes())
            .fallback(edge::route_not_found)
            .method_not_allowed_fallback(edge::method_not_allowed)
            .with_state(state),
    )
}

/// The admin port.
pub fn admin_router(state: HttpState) -> Router {
    edge::wrap(health::admin_routes().fallback(edge::route_not_found).with_state(state))
}
