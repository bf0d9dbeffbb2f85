//! What can be done with endpoints: make, change, sign anew, test, delete.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, Column, Scope, Tx, Vault};
use partita_webhooks::signing_key::SigningKey;
use secrecy::SecretString;

use super::state::{DeliveryReason, DisabledReason, EndpointStatus, Signing};
use super::store::{deliveries, endpoints as store};
use super::{Changes, DUE_KIND, Delivery, Endpoint, MOST_ENDPOINTS, MOST_SECRETS, NewEndpoint, WebhookError, filter};
use crate::actor::Actor;
use crate::app::App;
use crate::due;
use crate::id::{DeliveryId, WebhookEndpointId, WebhookSecretId, random_bytes};
use crate::outbox::{self, Change};

/// How many secrets are sealed in one transaction.
const SEALED_AT_ONCE: i64 = 100;

/// A key that was drawn, and what the receiver needs of it.
struct Fresh {
    id: WebhookSecretId,
    key: SigningKey,
}

impl Fresh {
    fn draw(signing: Signing) -> Self {
        let key = match signing {
            Signing::Hmac => SigningKey::shared(random_bytes()),
            Signing::Ed25519 => SigningKey::ed25519(random_bytes()),
        };
        Self { id: WebhookSecretId::new(), key }
    }

    /// Stores it, sealed, as the newest one.
    async fn store(&self, tx: &mut Tx, vault: &Vault, endpoint: &Endpoint, now: Timestamp) -> Result<(), WebhookError> {
        let sealed = vault.seal(column(self.id), &self.key.to_text())?;
        let public_key = match &self.key {
            SigningKey::Ed25519(_) => Some(self.key.verifying_text()),
            SigningKey::Shared(_) => None,
        };
        store::insert_secret(tx, endpoint.id, self.id, &sealed, public_key.as_ref(), now).await
    }
}

/// Where a sealed key belongs.
pub(super) fn column(id: WebhookSecretId) -> Column {
    Column { table: "webhook_endpoint_secrets", column: "sealed", row: id.uuid() }
}

/// Makes an endpoint; returns it with what the receiver verifies with, the shared secret or the public key. The secret is
/// shown this once.
///
/// # Errors
/// [`WebhookError::Destination`], [`WebhookError::UnknownEvent`], [`WebhookError::TooManyEndpoints`].
pub async fn create(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    new: NewEndpoint,
) -> Result<(Endpoint, SecretString), WebhookError> {
    app.courier.destination(&new.url)?;
    check_events(&new.events)?;
    let (now, id, fresh) = (app.clock.now(), WebhookEndpointId::new(), Arc::new(Fresh::draw(new.signing)));
    let shown = fresh.key.verifying_text();
    let app_in = Arc::clone(app);
    let endpoint = app
        .db
        .run_tx("create webhook endpoint", Scope::Book(book), move |tx| {
            let (app, new, fresh) = (Arc::clone(&app_in), new.clone(), Arc::clone(&fresh));
            Box::pin(async move {
                if store::count(tx).await? >= MOST_ENDPOINTS {
                    return Err(WebhookError::TooManyEndpoints { most: MOST_ENDPOINTS });
                }
                let key = app.keys.next(tx).await?;
                let endpoint = store::insert(tx, id, key, &new, actor, now).await?;
                fresh.store(tx, &app.vault, &endpoint, now).await?;
                record(tx, &endpoint, None, "webhook_endpoint.created", actor, None, now).await?;
                store::find(tx, id).await?.ok_or(WebhookError::NotFound)
            })
        })
        .await?;
    Ok((endpoint, shown))
}

/// Changes what was asked. What waits for an endpoint that is enabled again is sent at once.
///
/// # Errors
/// As [`create`], and [`WebhookError::NotFound`].
pub async fn update(
    app: &Arc<App>,
    book: BookId,
    id: WebhookEndpointId,
    actor: Actor,
    changes: Changes,
) -> Result<Endpoint, WebhookError> {
    if let Some(url) = &changes.url {
        app.courier.destination(url)?;
    }
    if let Some(events) = &changes.events {
        check_events(events)?;
    }
    let now = app.clock.now();
    app.db
        .run_tx("update webhook endpoint", Scope::Book(book), move |tx| {
            let changes = changes.clone();
            Box::pin(async move {
                let endpoint = store::find_for_update(tx, id).await?.ok_or(WebhookError::NotFound)?;
                let Changes { url, description, events, enabled, metadata } = changes;
                let mut endpoint = endpoint;
                if url.is_some() || description.is_some() || events.is_some() || metadata.is_some() {
                    endpoint.url = url.unwrap_or(endpoint.url);
                    endpoint.description = description.or(endpoint.description).filter(|text| !text.is_empty());
                    endpoint.events = events.unwrap_or(endpoint.events);
                    endpoint.metadata = metadata.unwrap_or(endpoint.metadata);
                    endpoint = store::set_content(tx, &endpoint, now).await?;
                    record(tx, &endpoint, Some(endpoint.status), "webhook_endpoint.updated", actor, None, now).await?;
                }
                match (enabled, endpoint.status) {
                    (Some(true), EndpointStatus::Disabled(_)) => enable(tx, endpoint, actor, now).await,
                    (Some(false), EndpointStatus::Enabled) => {
                        disable(tx, endpoint, DisabledReason::Asked, actor, now).await
                    }
                    _ => Ok(endpoint),
                }
            })
        })
        .await
}

async fn enable(tx: &mut Tx, endpoint: Endpoint, actor: Actor, now: Timestamp) -> Result<Endpoint, WebhookError> {
    let enabled = store::set_status(tx, &endpoint, EndpointStatus::Enabled, now).await?;
    record(tx, &enabled, Some(endpoint.status), "webhook_endpoint.enabled", actor, None, now).await?;
    due::schedule(tx, DUE_KIND, enabled.key, now).await?;
    Ok(enabled)
}

/// Stops sending to an endpoint whose row is locked.
pub(super) async fn disable(
    tx: &mut Tx,
    endpoint: Endpoint,
    reason: DisabledReason,
    actor: Actor,
    now: Timestamp,
) -> Result<Endpoint, WebhookError> {
    let disabled = store::set_status(tx, &endpoint, EndpointStatus::Disabled(reason), now).await?;
    let detail = match reason {
        DisabledReason::Asked => None,
        DisabledReason::Gone => Some("it answered 410 Gone"),
        DisabledReason::Failing => Some("it failed for 75 hours without any success"),
    };
    record(tx, &disabled, Some(endpoint.status), "webhook_endpoint.disabled", actor, detail, now).await?;
    Ok(disabled)
}

/// Signs with a new secret from now on; those it had sign too for `overlap`. Returns what the receiver verifies with,
/// shown this once.
///
/// # Errors
/// [`WebhookError::NotFound`], [`WebhookError::TooManySecrets`].
pub async fn rotate_secret(
    app: &Arc<App>,
    book: BookId,
    id: WebhookEndpointId,
    actor: Actor,
    overlap: SignedDuration,
) -> Result<(Endpoint, SecretString), WebhookError> {
    let (now, vault) = (app.clock.now(), app.vault.clone());
    app.db
        .run_tx("rotate webhook secret", Scope::Book(book), move |tx| {
            let vault = vault.clone();
            Box::pin(async move {
                let endpoint = store::find_for_update(tx, id).await?.ok_or(WebhookError::NotFound)?;
                store::expire_secrets(tx, id, now + overlap).await?;
                if store::secrets(tx, id, now).await?.len() >= usize::try_from(MOST_SECRETS).unwrap_or(usize::MAX) {
                    return Err(WebhookError::TooManySecrets { most: MOST_SECRETS });
                }
                let fresh = Fresh::draw(endpoint.signing);
                fresh.store(tx, &vault, &endpoint, now).await?;
                let endpoint = store::set_content(tx, &endpoint, now).await?;
                let status = Some(endpoint.status);
                record(tx, &endpoint, status, "webhook_endpoint.secret_rotated", actor, None, now).await?;
                Ok((endpoint, fresh.key.verifying_text()))
            })
        })
        .await
}

/// Deletes an endpoint: it is found no more, what waits for it is canceled; the log of its deliveries stays.
///
/// # Errors
/// [`WebhookError::NotFound`].
pub async fn delete(app: &Arc<App>, book: BookId, id: WebhookEndpointId, actor: Actor) -> Result<(), WebhookError> {
    let now = app.clock.now();
    app.db
        .run_tx("delete webhook endpoint", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let endpoint = store::find_for_update(tx, id).await?.ok_or(WebhookError::NotFound)?;
                deliveries::cancel(tx, id, now).await?;
                store::expire_secrets(tx, id, now).await?;
                let deleted = store::set_status(tx, &endpoint, EndpointStatus::Deleted, now).await?;
                record(tx, &deleted, Some(endpoint.status), "webhook_endpoint.deleted", actor, None, now).await
            })
        })
        .await
}

/// Makes an event for this endpoint alone and its delivery, which is tried once.
///
/// # Errors
/// [`WebhookError::NotFound`], [`WebhookError::NotEnabled`].
pub async fn send_test(
    app: &Arc<App>,
    book: BookId,
    id: WebhookEndpointId,
    actor: Actor,
) -> Result<Delivery, WebhookError> {
    let (now, delivery) = (app.clock.now(), DeliveryId::new());
    app.db
        .run_tx("test webhook endpoint", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let endpoint = store::find_for_update(tx, id).await?.ok_or(WebhookError::NotFound)?;
                if endpoint.status != EndpointStatus::Enabled {
                    return Err(WebhookError::NotEnabled);
                }
                let endpoint = store::set_content(tx, &endpoint, now).await?;
                let change = change_of(&endpoint, Some(endpoint.status), "webhook_endpoint.tested", actor, None, now);
                let event = outbox::record_unannounced(tx, &change).await?;
                let new = deliveries::NewDelivery { id: delivery, endpoint: id, event, reason: DeliveryReason::Test };
                deliveries::insert(tx, &[new], actor, now).await?;
                due::schedule(tx, DUE_KIND, endpoint.key, now).await?;
                deliveries::find_delivery(tx, delivery).await?.ok_or(WebhookError::DeliveryNotFound)
            })
        })
        .await
}

/// Seals the book's secrets that are under an older encryption key; returns how many that were.
///
/// # Errors
/// Without an encryption key, or where an older one is missing.
pub async fn reseal(app: &Arc<App>, book: BookId) -> Result<usize, WebhookError> {
    let vault = app.vault.clone();
    app.db
        .run_tx("seal webhook secrets", Scope::Book(book), move |tx| {
            let vault = vault.clone();
            Box::pin(async move {
                let version = vault.version().ok_or(partita_db::VaultError::NoKey)?;
                let old = store::secrets_of_other_keys(tx, version, SEALED_AT_ONCE).await?;
                for secret in &old {
                    let sealed = vault.seal(column(secret.id), &vault.open(column(secret.id), &secret.sealed)?)?;
                    store::set_sealed(tx, secret.id, &sealed).await?;
                }
                Ok::<_, WebhookError>(old.len())
            })
        })
        .await
}

fn check_events(events: &[String]) -> Result<(), WebhookError> {
    match events.iter().position(|text| !filter::is_filter(text)) {
        None => Ok(()),
        Some(index) => Err(WebhookError::UnknownEvent { index, text: events[index].clone() }),
    }
}

async fn record(
    tx: &mut Tx,
    endpoint: &Endpoint,
    from: Option<EndpointStatus>,
    event: &'static str,
    actor: Actor,
    detail: Option<&'static str>,
    now: Timestamp,
) -> Result<(), WebhookError> {
    Ok(outbox::record(tx, &change_of(endpoint, from, event, actor, detail, now)).await?)
}

/// The address stays out of the event: parts of it may be secret, and other endpoints get the event too.
fn change_of(
    endpoint: &Endpoint,
    from: Option<EndpointStatus>,
    event: &'static str,
    actor: Actor,
    detail: Option<&'static str>,
    now: Timestamp,
) -> Change {
    Change {
        object_type: "webhook_endpoint",
        object_id: endpoint.id.uuid(),
        sequence: endpoint.sequence,
        from: from.map(EndpointStatus::as_str),
        to: endpoint.status.as_str(),
        event,
        payload: serde_json::json!({
            "object": "webhook_endpoint", "id": endpoint.id, "status": endpoint.status.as_str(),
            "disabled_reason": endpoint.status.reason().map(DisabledReason::as_str), "events": endpoint.events,
            "description": endpoint.description,
        }),
        actor,
        detail: detail.map(str::to_owned),
        at: now,
    }
}
