//! Every route, on one page. The paths stand at the handlers, in the files named here.

use axum::{Router, middleware};
use utoipa_axum::router::OpenApiRouter;

use super::{
    HttpState, adjustments, approvals, auth, balances, bank_accounts, bank_details, bank_files, customers, debts,
    deliveries, disputes, docs, edge, events, fee_policies, health, inbox, instant_payouts, ledger, limits,
    onboarding_links, openapi, operations, payment_methods, payment_story, payments, payout_explanation,
    payout_schedules, payouts, platform_payouts, reconciliation, refunds, reserves, seller_balance, sellers,
    stuck_money, top_ups, transfers, webhook_endpoints, webhooks,
};

/// `/v1/..`: behind an API key.
fn api() -> OpenApiRouter<HttpState> {
    OpenApiRouter::with_openapi(openapi::frame())
        .merge(sellers::routes()) //            /v1/sellers, ../{id}
        .merge(seller_balance::routes()) //     /v1/sellers/{id}/balance
        .merge(onboarding_links::routes()) //   /v1/sellers/{id}/onboarding_links
        .merge(fee_policies::routes()) //       /v1/fee_policies, ../{id}, ../versions, ../quote, ../simulate
        .merge(customers::routes()) //          /v1/customers, ../{id}
        .merge(payment_methods::routes()) //    /v1/payment_methods, ../{id}, ../{id}/detach, ../{id}/client_action
        .merge(payments::routes()) //           /v1/payments, ../{id}, ../{id}/capture, ../cancel, ../client_action, ../explain, ../lines/{n}/hold, ../release, /v1/release_policy
        .merge(payment_story::routes()) //      /v1/payments/{id}/timeline, ../{id}/postings
        .merge(refunds::routes()) //            /v1/refunds, ../preview, ../{id}, ../{id}/resolution, /v1/refund_policy, ..
        .merge(disputes::routes()) //           /v1/disputes, ../{id}, ../{id}/evidence, ../{id}/accept, /v1/dispute_policy
        .merge(transfers::routes()) //          /v1/transfers, ../{id}, ../{id}/reversals
        .merge(top_ups::routes()) //            /v1/top_ups, ../{id}
        .merge(payouts::routes()) //            /v1/payouts, ../{id}, /v1/sellers/{id}/payouts
        .merge(instant_payouts::routes()) //    /v1/instant_payout_policy, /v1/payouts/preview
        .merge(payout_explanation::routes()) // /v1/payouts/{id}/explain
        .merge(bank_accounts::routes()) //      /v1/sellers/{id}/unblock_bank_account
        .merge(bank_details::routes()) //       /v1/sellers/{id}/bank_details, /v1/own_bank_accounts
        .merge(bank_files::routes()) //         /v1/bank_files, ../{id}, ../{id}/file, /v1/payouts/{id}/confirm, ../return, ../cancel, /v1/payout_return_limits
        .merge(payout_schedules::routes()) //   /v1/bank_holidays
        .merge(platform_payouts::routes()) //   /v1/platform_payouts, ../{id}
        .merge(adjustments::routes()) //        /v1/adjustments, ../{id}, ../{id}/reverse, /v1/adjustment_limits
        .merge(debts::routes()) //              /v1/debts, ../{id}, ../settlements, ../write_off, /v1/recovery_policy
        .merge(reserves::routes()) //           /v1/reserves, ../{id}, ../steps, ../release, /v1/reserve_policy, /v1/sellers/{id}/reserve_policy
        .merge(stuck_money::routes()) //        /v1/stuck_money, ../{id}
        .merge(operations::routes()) //         /v1/operations, ../{id}, ../{id}/resolution
        .merge(approvals::routes()) //          /v1/approvals, ../{id}, ../{id}/approve, ../{id}/reject
        .merge(balances::routes()) //           /v1/balances
        .merge(ledger::routes()) //             /v1/ledger/accounts, ../transactions, ../trial_balance
        .merge(reconciliation::routes()) //     /v1/reconciliation/runs, ../{id}, ../{id}/breaks
        .merge(events::routes()) //             /v1/events
        .merge(inbox::routes()) //              /v1/inbox, ../{id}, ../{id}/replay
        .merge(webhook_endpoints::routes()) //  /v1/webhook_endpoints, ../{id}, ../{id}/rotate_secret, ../{id}/test
        .merge(deliveries::routes()) //         /v1/deliveries, ../{id}, ../{id}/resend, /v1/events/replay
}

/// What needs no API key.
fn open() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().merge(webhooks::routes()) // /webhooks/{provider}/{endpoint}
}

/// The contract of the routes.
pub fn contract() -> utoipa::openapi::OpenApi {
    openapi::shortened(api().merge(open()).merge(health::routes()).into_openapi())
}

/// The main port. `pages` are the server-rendered ones; they stand behind the address limit, without an API key.
pub fn main_router(state: HttpState, pages: Router<HttpState>) -> Router {
    let (api, _) = api().split_for_parts();
    let (open, _) = open().split_for_parts();
    let (health, _) = health::routes().split_for_parts();
    let limited = api
        .layer(middleware::from_fn_with_state(state.clone(), auth::authenticate))
        .merge(open)
        .merge(docs::routes())
        .merge(pages)
        .layer(middleware::from_fn_with_state(state.clone(), limits::limit_address));
    edge::wrap(
        limited
            .merge(health) // /livez, /readyz, /version: not limited, or a busy client would make the service look dead
            .fallback(edge::route_not_found)
            .method_not_allowed_fallback(edge::method_not_allowed)
            .with_state(state),
    )
}

/// The admin port: health, and `/metrics`.
pub fn admin_router(state: HttpState) -> Router {
    let (health, _) = health::routes().split_for_parts();
    edge::wrap(
        health
            .merge(health::admin_routes())
            .fallback(edge::route_not_found)
            .method_not_allowed_fallback(edge::method_not_allowed)
            .with_state(state),
    )
}
