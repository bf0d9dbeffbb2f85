//! SQL of webhook_endpoints, webhook_endpoint_secrets, webhook_deliveries and webhook_delivery_attempts.

pub(super) mod claims;
pub(super) mod deliveries;
pub(super) mod endpoints;
