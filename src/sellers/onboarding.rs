//! Onboarding links: short-lived, bound to one seller, used up by the button and not by the visit, because mail
//! scanners visit. The token is 256 random bits; only its hash is stored.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, Scope};
use partita_provider::{Command, CreateAccountLink, Outcome, ProviderObject};
use sha2::{Digest as _, Sha256};

use super::{Seller, SellerError, store};
use crate::app::App;
use crate::id::{OnboardingLinkId, SellerId, random_hex};
use crate::platforms;

const LIFETIME_MINUTES: i64 = 15;

/// What a platform says of a new link.
#[derive(Debug, Clone)]
pub struct NewOnboardingLink {
    /// Where the seller goes after the provider's pages.
    pub return_url: String,
    /// Where the seller goes when the provider's own link has expired.
    pub refresh_url: String,
    /// BCP 47 tag; the seller's own when none is given.
    pub locale: Option<String>,
}

/// A link as it is shown, once.
#[derive(Debug, Clone)]
pub struct OnboardingLink {
    /// Its id.
    pub id: OnboardingLinkId,
    /// The secret part of its address.
    pub token: String,
    /// Until when it works, by the business clock.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What the page behind a link shows.
#[derive(Debug, Clone)]
pub struct OnboardingPage {
    /// Whose seller is meant.
    pub book: BookId,
    /// The marketplace's name.
    pub platform: String,
    /// Whether it is about play money.
    pub test_mode: bool,
    /// Who is meant.
    pub seller: Seller,
    /// Until when the link works.
    pub expires_at: Timestamp,
}

/// Makes a link for a seller.
///
/// # Errors
/// [`SellerError::NotFound`], [`SellerError::NoAccount`] while the provider has not opened the account.
pub async fn create_link(
    app: &Arc<App>,
    book: BookId,
    seller: SellerId,
    input: NewOnboardingLink,
) -> Result<OnboardingLink, SellerError> {
    let now = app.clock.now();
    let token = random_hex::<32>();
    let hash = token_hash(&token);
    let link = OnboardingLink {
        id: OnboardingLinkId::new(),
        token,
        expires_at: now + SignedDuration::from_mins(LIFETIME_MINUTES),
        created_at: now,
    };
    let stored = link.clone();
    app.db
        .run_tx("create onboarding link", Scope::Book(book), move |tx| {
            let (link, input) = (stored.clone(), input.clone());
            Box::pin(async move {
                let seller = store::find(tx, seller).await?.ok_or(SellerError::NotFound)?;
                if seller.account.is_none() {
                    return Err(SellerError::NoAccount);
                }
                let locale = input.locale.clone().unwrap_or_else(|| seller.locale.clone());
                store::insert_link(tx, &link, seller.id, &input, &locale).await?;
                store::insert_link_token(tx, &hash, link.id).await?;
                Ok(())
            })
        })
        .await?;
    Ok(link)
}

/// What the page behind a token shows. Changes nothing.
///
/// # Errors
/// [`SellerError::LinkNotFound`], [`SellerError::LinkExpired`], [`SellerError::LinkUsed`].
pub async fn open_link(app: &Arc<App>, token: &str) -> Result<OnboardingPage, SellerError> {
    let (book, link) = route(app, token).await?;
    let now = app.clock.now();
    let platform = platform_name(app, book).await?;
    app.db
        .read("open onboarding link", Scope::Book(book), move |tx| {
            let platform = platform.clone();
            Box::pin(async move {
                let stored = store::find_link(tx, link).await?.ok_or(SellerError::LinkNotFound)?;
                stored.check(now)?;
                let seller = store::find(tx, stored.seller).await?.ok_or(SellerError::NotFound)?;
                let (platform, test_mode) = platform;
                Ok(OnboardingPage { book, platform, test_mode, seller, expires_at: stored.expires_at })
            })
        })
        .await
}

/// Uses a link up and returns the address of the provider's hosted onboarding.
///
/// The provider is asked first and the link used up afterwards, so that a provider that is down costs the seller
/// nothing; of two presses at once, one wins.
///
/// # Errors
/// As [`open_link`], and [`SellerError::ProviderUnavailable`].
pub async fn follow_link(app: &Arc<App>, token: &str) -> Result<String, SellerError> {
    let (book, link) = route(app, token).await?;
    let page = open_link(app, token).await?;
    let account = page.seller.account.clone().ok_or(SellerError::NoAccount)?;
    let stored = app
        .db
        .read("read onboarding link", Scope::Book(book), move |tx| {
            Box::pin(async move { store::find_link(tx, link).await?.ok_or(SellerError::LinkNotFound) })
        })
        .await?;
    let provider = app.provider(book).await?;
    let command = Command::CreateAccountLink(CreateAccountLink {
        account,
        return_url: stored.return_url,
        refresh_url: stored.refresh_url,
    });
    let submission = provider.submit(&provider.prepare(&command)?, &format!("{link}.{}", random_hex::<8>())).await;
    let Outcome::Done(object) = submission.outcome else {
        return Err(SellerError::ProviderUnavailable("no definite answer".to_owned()));
    };
    let ProviderObject::AccountLink(address) = *object else {
        return Err(SellerError::ProviderUnavailable("an answer of another kind".to_owned()));
    };
    let now = app.clock.now();
    app.db
        .run_tx("use onboarding link", Scope::Book(book), move |tx| {
            Box::pin(async move { store::use_link(tx, link, now).await })
        })
        .await?;
    Ok(address.url)
}

async fn route(app: &Arc<App>, token: &str) -> Result<(BookId, OnboardingLinkId), SellerError> {
    let hash = token_hash(token);
    app.db
        .read("route onboarding link", Scope::Routing, move |tx| {
            Box::pin(async move { store::find_link_token(tx, &hash).await?.ok_or(SellerError::LinkNotFound) })
        })
        .await
}

async fn platform_name(app: &Arc<App>, book: BookId) -> Result<(String, bool), SellerError> {
    app.db
        .read("platform of link", Scope::Routing, move |tx| {
            Box::pin(async move {
                let platform = platforms::find_platform(tx, book).await?.ok_or(SellerError::LinkNotFound)?;
                Ok::<_, SellerError>((platform.name, platform.mode == platforms::Mode::Test))
            })
        })
        .await
}

fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// A stored link.
pub(super) struct StoredLink {
    pub seller: SellerId,
    pub return_url: String,
    pub refresh_url: String,
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
}

impl StoredLink {
    fn check(&self, now: Timestamp) -> Result<(), SellerError> {
        match self.used_at {
            Some(_) => Err(SellerError::LinkUsed),
            None if self.expires_at <= now => Err(SellerError::LinkExpired),
            None => Ok(()),
        }
    }
}
