//! [`Stripe`]: the port's functions put together from the pure parts and the transport.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use partita_provider::{
    Balance, BalanceTransaction, Command, Event, EventQuery, EvidenceFile, FetchError, ListedEvent, LookedUp, Lookup,
    Money, Outcome, Page, PageRequest, PrepareError, PreparedRequest, Provider, ProviderObject, Search, Submission,
};
use reqwest::Method;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::look_up::Listed;
use crate::objects::{self, parse};
use crate::read::{self, Plan, Read};
use crate::resource::Resource;
use crate::transport::{Answer, Content, Exchange, Outgoing, Transport};
use crate::{event, look_up, outcome, prepare, upload};

/// The version of Stripe's API that is spoken: the one that the pinned async-stripe crates were generated from.
/// Webhook endpoints are to be created with the same.
pub const API_VERSION: &str = "2026-09-30.endive";

/// How often a page of a list is asked for while a lost command is looked up.
const TRIES_OF_A_PAGE: u32 = 4;
/// The pause after the first of these tries; it grows with each.
const PAUSE_BETWEEN_TRIES: Duration = Duration::from_millis(250);

/// What a [`Stripe`] needs to know.
#[derive(Debug, Clone)]
pub struct StripeOptions {
    /// `sk_..` or a restricted `rk_..` key.
    pub secret_key: SecretString,
    /// Where Stripe is; a path is kept as a prefix.
    pub base_url: Url,
    /// How long one request may take, answer included.
    pub timeout: Duration,
}

impl StripeOptions {
    /// Stripe itself, with 30 seconds for each request.
    pub fn new(secret_key: SecretString) -> Self {
        let base_url = Url::parse("https://api.stripe.com").expect("a constant address parses");
        Self { secret_key, base_url, timeout: Duration::from_secs(30) }
    }
}

/// Why the adapter cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum StripeSetupError {
    /// The key is empty or holds something that no header can.
    #[error("the secret key is empty or has characters that no key has")]
    Key,
    /// The address is not a plain `http` or `https` one.
    #[error("{0} is not a base address: http or https, no credentials, no query, no fragment")]
    Address(Url),
    /// A live key would cross the network in the clear.
    #[error("a live key is sent to https addresses only, not to {0}")]
    LiveKeyInTheClear(Url),
    /// The HTTP client could not be opened.
    #[error("the HTTP client could not be opened")]
    Client(#[source] reqwest::Error),
}

/// The Stripe adapter. Needs a rustls crypto provider installed for the process, and a tokio runtime.
pub struct Stripe {
    transport: Transport,
}

impl fmt::Debug for Stripe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stripe").finish_non_exhaustive()
    }
}

impl Stripe {
    /// Opens the adapter; nothing is sent.
    ///
    /// # Errors
    /// [`StripeSetupError`].
    pub fn try_new(options: &StripeOptions) -> Result<Self, StripeSetupError> {
        let address = &options.base_url;
        let plain = matches!(address.scheme(), "http" | "https") && address.has_host();
        let bare = address.username().is_empty() && address.password().is_none();
        if !plain || !bare || address.query().is_some() || address.fragment().is_some() {
            return Err(StripeSetupError::Address(without_credentials(address)));
        }
        let key = options.secret_key.expose_secret();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(StripeSetupError::Key);
        }
        if key.contains("_live_") && address.scheme() != "https" {
            return Err(StripeSetupError::LiveKeyInTheClear(address.clone()));
        }
        let authorization = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| StripeSetupError::Key)?;
        let base = address.as_str().trim_end_matches('/').to_owned();
        let transport =
            Transport::try_new(base, authorization, API_VERSION, options.timeout).map_err(StripeSetupError::Client)?;
        Ok(Self { transport })
    }

    async fn get(&self, read: &Read) -> Result<Answer, FetchError> {
        let outgoing = Outgoing {
            method: Method::GET,
            path: &read.path,
            query: &read.query,
            body: None,
            account: read.account.as_deref(),
            idempotency_key: None,
        };
        answered(self.transport.exchange(outgoing).await)
    }

    async fn object(&self, read: &Read, resource: Resource) -> Result<ProviderObject, FetchError> {
        resource.read(&self.get(read).await?.body)
    }

    /// Whether the command struck, as the object that it is about shows it.
    async fn written(&self, search: &Search, lookup: &Lookup) -> Result<LookedUp, FetchError> {
        let object = self.fetch(lookup).await?;
        let struck = look_up::struck(search, &object);
        Ok(if struck { LookedUp::Found(Box::new(object)) } else { LookedUp::Absent })
    }

    /// The ids of the objects that carry the marker, and whether all that could were looked at.
    async fn marked(&self, search: &Search, value: &str) -> Result<(BTreeSet<String>, bool), FetchError> {
        let (mut marked, mut after) = (BTreeSet::new(), None);
        for _ in 0..look_up::MOST_PAGES {
            let Some(read) = look_up::page(search, after.as_deref())? else { return Ok((marked, false)) };
            let page = self.listed(&read, &search.marker, value).await?;
            marked.extend(page.marked);
            after = page.next;
            if after.is_none() {
                return Ok((marked, true));
            }
        }
        Ok((marked, false))
    }

    /// A page of a list, asked for a few times: if each failure had a long list begun anew, it would hardly ever be read
    /// to its end.
    async fn listed(&self, read: &Read, marker: &str, value: &str) -> Result<Listed, FetchError> {
        let mut tries = 1;
        loop {
            let page = match self.get(read).await {
                Ok(answer) => look_up::listed(&answer.body, marker, value),
                Err(error) => Err(error),
            };
            match page {
                Err(FetchError::Unreachable(_) | FetchError::Unreadable(_)) if tries < TRIES_OF_A_PAGE => {
                    tokio::time::sleep(PAUSE_BETWEEN_TRIES * tries).await;
                    tries += 1;
                }
                ended => return ended,
            }
        }
    }

    /// What Stripe's search index shows. Not every account may search (<https://docs.stripe.com/search>): a refusal
    /// shows nothing, and the list says the rest.
    async fn searched(&self, search: &Search, value: &str) -> Result<Vec<String>, FetchError> {
        let read = look_up::search(look_up::account_of(&search.command), &search.marker, value);
        match self.get(&read).await {
            Ok(answer) => Ok(look_up::listed(&answer.body, &search.marker, value)?.marked),
            Err(FetchError::Refused(_)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// The answer to something that may be asked again at any time.
fn answered(exchange: Exchange) -> Result<Answer, FetchError> {
    match exchange {
        Exchange::Answered(answer) if (200..=299).contains(&answer.status) => Ok(answer),
        Exchange::Answered(answer) => Err(outcome::read_failure(&answer)),
        Exchange::NotSent(reason) | Exchange::Unclear { reason, .. } => Err(FetchError::Unreachable(reason)),
    }
}

/// That Stripe does not know what a command is about (the payment to refund, the transfer to take back) must not pass
/// for the absence of what the command makes.
fn known_parent(looked: Result<LookedUp, FetchError>) -> Result<LookedUp, FetchError> {
    match looked {
        Err(FetchError::NotFound) => {
            Ok(LookedUp::CannotTell { why: "Stripe does not know the object that the command is about".to_owned() })
        }
        other => other,
    }
}

fn without_credentials(address: &Url) -> Url {
    let mut shown = address.clone();
    // Fails only for addresses that cannot have credentials.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown
}

#[async_trait]
impl Provider for Stripe {
    fn name(&self) -> &'static str {
        "stripe"
    }

    fn prepare(&self, command: &Command) -> Result<PreparedRequest, PrepareError> {
        prepare::prepare(command)
    }

    fn payable(&self, amount: Money) -> i64 {
        crate::amount::payable(amount)
    }

    async fn submit(&self, request: &PreparedRequest, idempotency_key: &str) -> Submission {
        // Stored by a version that knew more, perhaps sent by it: nothing can be said about it.
        let Some(resource) = Resource::made_by(&request.path).filter(|_| request.method == "POST") else {
            let reason = format!("this version does not send {} {}", request.method, request.path);
            return Submission { outcome: Outcome::Unknown { reason }, raw: None };
        };
        let outgoing = Outgoing {
            method: Method::POST,
            path: &request.path,
            query: "",
            body: Some(Content::Parameters(&request.body)),
            account: request.account.as_deref(),
            idempotency_key: Some(idempotency_key),
        };
        match self.transport.exchange(outgoing).await {
            Exchange::Answered(answer) => {
                Submission { outcome: outcome::sort(resource, &answer), raw: Some(answer.into_raw()) }
            }
            Exchange::NotSent(_) => Submission { outcome: Outcome::Retry { after: None }, raw: None },
            Exchange::Unclear { reason, partial } => {
                Submission { outcome: Outcome::Unknown { reason }, raw: partial.map(Answer::into_raw) }
            }
        }
    }

    fn read_answer(&self, request: &PreparedRequest, body: &[u8]) -> Result<ProviderObject, FetchError> {
        let unknown = || FetchError::Unreadable(format!("this version does not send to {}", request.path));
        let resource = Resource::made_by(&request.path).ok_or_else(unknown)?;
        match outcome::error(body) {
            // A refusal holds an object only if it carries the payment that was refused.
            Ok(error) => match &error.payment_intent {
                Some(payment) => objects::payment(payment).map(ProviderObject::Payment),
                None => Err(FetchError::Unreadable("a refusal without an object".to_owned())),
            },
            Err(_) => resource.read(body),
        }
    }

    async fn fetch(&self, lookup: &Lookup) -> Result<ProviderObject, FetchError> {
        match read::plan(lookup)? {
            Plan::Object(read, resource) => self.object(&read, resource).await,
            Plan::Charge(read) => {
                let charge: stripe_shared::Charge = parse("charge", &self.get(&read).await?.body)?;
                // A charge made without a payment intent is none of ours.
                let payment = charge.payment_intent.as_ref().ok_or(FetchError::NotFound)?;
                let read = Read { account: read.account, ..read::payment(payment.id())? };
                self.object(&read, Resource::Payment).await
            }
        }
    }

    async fn look_up(&self, search: &Search) -> Result<LookedUp, FetchError> {
        let (value, searchable) = match look_up::plan(search) {
            look_up::Plan::Nowhere(why) => return Ok(LookedUp::CannotTell { why: why.to_owned() }),
            look_up::Plan::Written(lookup) => return known_parent(self.written(search, &lookup).await),
            look_up::Plan::Listed { value, searchable } => (value, searchable),
        };
        let (mut marked, complete) = match self.marked(search, &value).await {
            Err(error) => return known_parent(Err(error)),
            Ok(marked) => marked,
        };
        if searchable {
            marked.extend(self.searched(search, &value).await?);
        }
        let id = match look_up::verdict(marked, complete) {
            Ok(id) => id,
            Err(looked_up) => return Ok(looked_up),
        };
        let Some(lookup) = look_up::found(&search.command, id) else {
            return Ok(LookedUp::CannotTell { why: "what was found cannot be read".to_owned() });
        };
        Ok(LookedUp::Found(Box::new(self.fetch(&lookup).await?)))
    }

    async fn upload_evidence(&self, account: Option<&str>, file: &EvidenceFile) -> Result<String, FetchError> {
        let form = upload::evidence(file);
        let outgoing = Outgoing {
            method: Method::POST,
            path: upload::PATH,
            query: "",
            body: Some(Content::Form(&form)),
            account,
            idempotency_key: None,
        };
        let answer = match self.transport.exchange(outgoing).await {
            // Not the file: our key may not hand any over, which is ours to mend.
            Exchange::Answered(Answer { status: status @ (401 | 403), .. }) => {
                tracing::error!(status, "the provider's key may not upload files");
                return Err(FetchError::Unreachable(format!("HTTP {status}: the key may not upload files")));
            }
            exchange => answered(exchange)?,
        };
        let file: stripe_shared::File = parse("file", &answer.body)?;
        Ok(file.id.as_str().to_owned())
    }

    async fn balance_transaction(&self, account: Option<&str>, id: &str) -> Result<BalanceTransaction, FetchError> {
        let answer = self.get(&read::balance_transaction(account, id)?).await?;
        objects::balance_transaction(&parse("balance transaction", &answer.body)?)
    }

    async fn balance_transactions(
        &self,
        account: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<BalanceTransaction>, FetchError> {
        let answer = self.get(&read::balance_transactions(account, page)).await?;
        let list: stripe_types::List<stripe_shared::BalanceTransaction> =
            parse("list of balance transactions", &answer.body)?;
        let data = list.data.iter().map(objects::balance_transaction).collect::<Result<_, _>>()?;
        Ok(Page { data, has_more: list.has_more })
    }

    async fn balance(&self, account: Option<&str>) -> Result<Balance, FetchError> {
        let answer = self.get(&read::balance(account)).await?;
        objects::balance(&parse("balance", &answer.body)?)
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<ListedEvent>, FetchError> {
        event::list(&self.get(&read::events(query)).await?.body, query.account.as_deref())
    }

    fn read_event(&self, body: &[u8]) -> Result<Event, FetchError> {
        event::read(body)
    }
}
