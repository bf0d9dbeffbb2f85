//! Sellers: who is paid, and what the provider still wants of them.
//!
//! A seller's account at the provider is opened by a durable command. Coming back from the provider's pages proves
//! nothing: only the account's own requirements and capabilities move the status.

mod bank_details;
mod error;
mod onboarding;
mod state;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, Scope, Tx};
use partita_provider::{Account, Command, CreateAccount, Currency, PayoutInterval, Refusal};

pub use bank_details::{BankDetails, declare_bank_details, end_bank_details, reseal_bank_details};
pub use error::SellerError;
pub use onboarding::{NewOnboardingLink, OnboardingLink, OnboardingPage, create_link, follow_link, open_link};
pub use state::SellerStatus;
pub use store::{
    find, find_bank_details, find_by_account, find_by_id_for_update, find_by_ids, find_by_key_for_update, list,
    list_accounts, list_bank_details,
};

use crate::actor::Actor;
use crate::app::App;
use crate::chart::{Chart, SellerNumber};
use crate::id::{OperationId, SellerId};
use crate::idempotency::{self, Begun};
use crate::operations::{self, FirstTry, NewOperation, Target};
pub use crate::operations::{METADATA_OBJECT, METADATA_OPERATION, metadata};
use crate::outbox::{self, Change};

/// A seller.
#[derive(Debug, Clone)]
pub struct Seller {
    /// Its id.
    pub id: SellerId,
    /// Its ledger subject.
    pub key: i64,
    /// How ledger account keys name it.
    pub number: SellerNumber,
    /// The platform's own id of it.
    pub reference: String,
    /// E-mail address.
    pub email: String,
    /// ISO 3166 alpha-2.
    pub country: String,
    /// What it sells and is paid out in.
    pub default_currency: Currency,
    /// `individual` or `company`.
    pub business_type: Option<String>,
    /// BCP 47 tag.
    pub locale: String,
    /// When the provider pays it out.
    pub payout_interval: PayoutInterval,
    /// Where it stands.
    pub status: SellerStatus,
    /// Its account's id at the provider.
    pub account: Option<String>,
    /// What the provider lets it do and wants of it.
    pub standing: Standing,
    /// The platform's own data.
    pub metadata: serde_json::Value,
    /// How often it changed.
    pub sequence: i32,
    /// When it was made, by the business clock.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What the provider lets an account do and wants of it.
#[expect(clippy::struct_excessive_bools, reason = "the provider's own four answers, each asked for by its name")]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// May take charges.
    pub charges_enabled: bool,
    /// May be paid out.
    pub payouts_enabled: bool,
    /// The hosted form was filled in.
    pub details_submitted: bool,
    /// Money can be transferred to it.
    pub transfers_active: bool,
    /// Capability name to status.
    pub capabilities: BTreeMap<String, String>,
    /// Requirements to meet now.
    pub currently_due: Vec<String>,
    /// Requirements that were not met in time.
    pub past_due: Vec<String>,
    /// Why it is restricted.
    pub disabled_reason: Option<String>,
    /// By when what is currently due must be met.
    pub deadline: Option<Timestamp>,
    /// The bank account that it is paid out to, by its id at the provider.
    pub bank_account: Option<String>,
}

/// What a platform says of a new seller.
#[derive(Debug, Clone)]
pub struct NewSeller {
    /// The platform's own id, unique among its sellers.
    pub reference: String,
    /// E-mail address.
    pub email: String,
    /// ISO 3166 alpha-2, upper case.
    pub country: String,
    /// What it sells and is paid out in.
    pub default_currency: Currency,
    /// `individual` or `company`.
    pub business_type: Option<String>,
    /// BCP 47 tag.
    pub locale: String,
    /// When the provider pays it out.
    pub payout_interval: PayoutInterval,
    /// The platform's own data.
    pub metadata: serde_json::Value,
}

/// Makes a seller and the intent to open its account; the caller submits the operation.
///
/// # Errors
/// [`SellerError`].
pub async fn create(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: Option<idempotency::Request>,
    input: NewSeller,
) -> Result<Begun<SellerId>, SellerError> {
    let provider = app.provider(book).await?;
    let now = app.clock.now();
    let (app_in, input) = (Arc::clone(app), Arc::new(input));
    app.db
        .run_tx("create seller", Scope::Book(book), move |tx| {
            let (app, input, provider, request) =
                (Arc::clone(&app_in), Arc::clone(&input), Arc::clone(&provider), request.clone());
            Box::pin(async move {
                if let Some(request) = &request
                    && let Some(earlier) = idempotency::claim(tx, request, now).await?
                {
                    return Ok(earlier);
                }
                let id = SellerId::new();
                let operation_id = OperationId::new();
                let number = store::next_number(tx).await?;
                let key = app.keys.next(tx).await?;
                store::insert(tx, id, key, number, &input, now).await?;
                if let Some(request) = &request {
                    idempotency::bind(tx, &request.key, "seller", id.uuid()).await?;
                }
                Chart { book, currency: input.default_currency }.open_seller(tx, number, id).await?;
                let command = Command::CreateAccount(CreateAccount {
                    country: input.country.clone(),
                    email: input.email.clone(),
                    default_currency: input.default_currency,
                    business_type: input.business_type.clone(),
                    payout_interval: input.payout_interval,
                    metadata: metadata(operation_id, &id.to_string()),
                });
                let operation = NewOperation {
                    id: operation_id,
                    key: app.keys.next(tx).await?,
                    target: Target { object_type: "seller", object_id: id.uuid(), object_key: key },
                    provider: provider.name(),
                    request: provider.prepare(&command)?,
                    command,
                    actor,
                };
                operations::plan(tx, &operation, FirstTry::Now, now).await?;
                let seller = find(tx, id).await?.expect("inserted above");
                record(tx, &seller, None, "seller.created", actor, now).await?;
                Ok(Begun::Fresh(id))
            })
        })
        .await
}

/// Takes the provider's word on a seller's account. Returns the seller it belongs to, if it is one of this book's.
///
/// # Errors
/// [`SellerError`].
pub async fn apply(tx: &mut Tx, account: &Account, now: Timestamp) -> Result<Option<SellerId>, SellerError> {
    let named = account.metadata.get(METADATA_OBJECT).and_then(|text| SellerId::parse(text).ok());
    let Some(seller) = store::find_for_update(tx, named, &account.id).await? else {
        return Ok(None);
    };
    if seller.account.as_ref().is_some_and(|known| *known != account.id) {
        return Err(SellerError::OtherAccount);
    }
    // The answer to the creation may come after news of what was filled in since: nothing filled in is ever taken back.
    if seller.standing.details_submitted && !account.details_submitted {
        return Ok(Some(seller.id));
    }
    let standing = standing_of(account);
    let status = state::next(seller.status, &standing);
    let interval = account.payout_interval.unwrap_or(seller.payout_interval);
    let same = seller.standing == standing && seller.status == status && seller.payout_interval == interval;
    if seller.account.is_some() && same {
        return Ok(Some(seller.id));
    }
    let changed = store::update(tx, seller.id, &account.id, status, &standing, interval, now).await?;
    let event = state::event(seller.status, &changed.standing, status);
    record(tx, &changed, Some(seller.status), event, Actor::System, now).await?;
    Ok(Some(seller.id))
}

/// Writes down a change of what others keep of a seller, which is locked.
///
/// # Errors
/// What the database says.
pub async fn note(
    tx: &mut Tx,
    seller: &Seller,
    event: &'static str,
    actor: Actor,
    detail: Option<String>,
    now: Timestamp,
) -> Result<Seller, SellerError> {
    let changed = store::touch(tx, seller.id, now).await?;
    let change = Change { detail, ..change_of(&changed, Some(seller.status), event, actor, now) };
    outbox::record(tx, &change).await?;
    Ok(changed)
}

/// Takes the provider's refusal to open a seller's account.
///
/// # Errors
/// [`SellerError`].
pub async fn apply_refusal(tx: &mut Tx, id: SellerId, refusal: &Refusal, now: Timestamp) -> Result<(), SellerError> {
    let seller = store::find_by_id_for_update(tx, id).await?.ok_or(SellerError::NotFound)?;
    if seller.account.is_some() || seller.status == SellerStatus::Failed {
        return Ok(());
    }
    let standing = Standing { disabled_reason: Some(refusal.message.clone()), ..Standing::default() };
    let changed = store::fail(tx, id, &standing, now).await?;
    record(tx, &changed, Some(seller.status), "seller.failed", Actor::System, now).await
}

fn standing_of(account: &Account) -> Standing {
    Standing {
        charges_enabled: account.charges_enabled,
        payouts_enabled: account.payouts_enabled,
        details_submitted: account.details_submitted,
        transfers_active: account.capabilities.get("transfers").is_some_and(|status| status == "active"),
        capabilities: account.capabilities.clone(),
        currently_due: account.currently_due.clone(),
        past_due: account.past_due.clone(),
        disabled_reason: account.disabled_reason.clone(),
        deadline: account.deadline.and_then(crate::clock::from_seconds),
        bank_account: account.bank_account.clone(),
    }
}

async fn record(
    tx: &mut Tx,
    seller: &Seller,
    from: Option<SellerStatus>,
    event: &'static str,
    actor: Actor,
    now: Timestamp,
) -> Result<(), SellerError> {
    Ok(outbox::record(tx, &change_of(seller, from, event, actor, now)).await?)
}

fn change_of(seller: &Seller, from: Option<SellerStatus>, event: &'static str, actor: Actor, now: Timestamp) -> Change {
    Change {
        object_type: "seller",
        object_id: seller.id.uuid(),
        sequence: seller.sequence,
        from: from.map(SellerStatus::as_str),
        to: seller.status.as_str(),
        event,
        payload: serde_json::json!({
            "object": "seller", "id": seller.id, "reference": seller.reference, "status": seller.status.as_str(),
            "currently_due": seller.standing.currently_due, "past_due": seller.standing.past_due,
        }),
        actor,
        detail: seller.standing.disabled_reason.clone(),
        at: now,
    }
}
