//! Payments: one cart, one buyer, any number of sellers.
//!
//! 1. [`create`] checks and prices the cart, stores the split and the intent in one transaction.
//! 2. The caller submits the operation; [`apply`] or [`apply_refusal`] takes the provider's word, whoever brings it.
//!    An amount that is only authorised moves nothing; [`capture()`] or [`cancel`] (`hold.rs`) goes the same way.
//! 3. A charge that succeeded books the split and the processor's fee, from the provider's own figures.
//! 4. When the provider makes the money usable, the sellers' shares are released ([`release`]).
//!
//! The split is a snapshot: every later event reads the stored lines, never a policy.

mod apply;
mod capture;
mod charge_type;
mod charging;
pub(crate) mod direct;
mod discounts;
mod entries;
mod error;
mod explain;
mod hold;
pub mod line_release;
mod payer;
mod policies;
mod quote;
mod simulate;
mod split;
mod state;
mod store;
mod volume;
#[cfg(test)]
pub(crate) mod worked_cart;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, Scope, Tx};
use partita_provider::{CaptureMethod, Currency, Money, Refusal};

pub use apply::{apply, apply_refusal, release};
pub use capture::CaptureAsked;
pub use charge_type::{ChargePolicy, ChargeType, declare_charge_policy, to_release};
pub use direct::{
    DirectCharge, FEE_DUE_KIND, NotDirect, apply_fee, find_direct, is_told_by, release_direct, schedule_fee,
};
pub use discounts::{CommissionOf, Discount, FundedBy, NewDiscount, QuotedDiscount};
pub use entries::{
    RefundShare, SellerShare, charged, fees_passed, funds_available, refund_confirmed, refund_reinstated,
    refund_returned, refund_settled, refund_shares, rest_released, shares_released, taken_back,
};
pub(crate) use entries::{owner_account, tax_on_commission};
pub use error::PaymentError;
pub use explain::{fee_in_words, who_gets_what};
pub use hold::{cancel, capture};
pub use payer::Payer;
use policies::Policies;
pub use quote::{Quote, QuoteError, QuotedLine, QuotedPrice, quote};
pub use simulate::{
    LONGEST_PERIOD_DAYS, MOST_SIMULATED_LINES, NewSimulation, Simulation, SimulationError, Sums, Trial, simulate,
};
pub(crate) use split::proportion;
pub use split::{
    Remaining, Standing, fee_parts, fees_at_charge, losses, released_shares, seller_shares, shares_by_release,
};
pub use state::{Funds, PaymentStatus};
pub use store::{
    accounts_with_direct_charges, fees_going_back, find, find_by_key, find_by_provider_for_update, find_charge_policy,
    find_direct as find_direct_of, find_discounts, find_for_update, find_lines, give_up_refund, list, record_dispute,
    record_refund, returned_vats,
};

use crate::actor::Actor;
use crate::app::App;
use crate::chart::SellerNumber;
use crate::fees::SaleKind;
use crate::id::{FeePolicyId, OperationId, PaymentId, SellerId};
use crate::idempotency::{self, Begun};
use crate::operations::{self, FirstTry, NewOperation, Target};
use crate::outbox::{self, Change};
use crate::reserves;
use crate::sellers::{self, Seller};

/// What a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// Goods or services of a seller.
    Item,
    /// Shipping by a seller.
    Shipping,
    /// A tip for a seller.
    Tip,
    /// The platform's own.
    Platform,
}

impl LineKind {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Shipping => "shipping",
            Self::Tip => "tip",
            Self::Platform => "platform",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Item, Self::Shipping, Self::Tip, Self::Platform].into_iter().find(|kind| kind.as_str() == text)
    }

    /// What it is to a fee policy; none for the platform's own, of which there is nothing to take.
    pub fn sale(self) -> Option<SaleKind> {
        match self {
            Self::Item => Some(SaleKind::Item),
            Self::Shipping => Some(SaleKind::Shipping),
            Self::Tip => Some(SaleKind::Tip),
            Self::Platform => None,
        }
    }
}

/// Who owes a line's tax to the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaxLiability {
    /// The platform, as a marketplace facilitator.
    Platform,
    /// The seller.
    Seller,
}

impl TaxLiability {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Seller => "seller",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Platform, Self::Seller].into_iter().find(|liability| liability.as_str() == text)
    }
}

/// A line of a new cart. Amounts in minor units of the payment's currency.
#[derive(Debug, Clone)]
pub struct NewLine {
    /// What it is for.
    pub kind: LineKind,
    /// Whose it is; none for [`LineKind::Platform`].
    pub seller: Option<SellerId>,
    /// Net of tax.
    pub amount: i64,
    /// Tax on top.
    pub tax_amount: i64,
    /// Who owes the tax.
    pub tax_liability: TaxLiability,
    /// Where it is owed.
    pub tax_jurisdiction: Option<String>,
    /// The platform's own category.
    pub category: Option<String>,
    /// What prices it; the book's default when none is named.
    pub fee_policy: Option<FeePolicyId>,
    /// When its share is released; the platform's declaration when it does not say.
    pub release: Option<line_release::ReleaseRule>,
}

/// A new cart.
#[derive(Debug, Clone)]
pub struct NewPayment {
    /// The platform's own id, unique among its payments.
    pub reference: String,
    /// What the buyer pays: the sum of lines and taxes.
    pub amount: Money,
    /// The provider's token of the buyer's payment method; empty where a saved one is named.
    pub payment_method: String,
    /// Who pays.
    pub payer: Payer,
    /// What the provider shows in its dashboard.
    pub description: Option<String>,
    /// When the buyer is charged.
    pub capture: CaptureMethod,
    /// Where the buyer comes back to from pages of its bank.
    pub return_url: Option<String>,
    /// How the charge reaches its sellers; the platform's declaration when it does not say.
    pub charge_type: Option<ChargeType>,
    /// The seller that the buyer buys from, to card networks and on statements.
    pub on_behalf_of: Option<SellerId>,
    /// What is paid for.
    pub lines: Vec<NewLine>,
    /// What of that the buyer does not pay.
    pub discounts: Vec<NewDiscount>,
    /// The platform's own data.
    pub metadata: serde_json::Value,
}

/// A stored payment.
#[derive(Debug, Clone)]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// Its ledger subject.
    pub key: i64,
    /// The platform's own id of it.
    pub reference: String,
    /// Where it stands.
    pub status: PaymentStatus,
    /// What the buyer pays.
    pub amount: Money,
    /// The provider's token of the buyer's payment method.
    pub payment_method: String,
    /// Who pays.
    pub payer: Payer,
    /// What the provider shows in its dashboard.
    pub description: Option<String>,
    /// Where its money is.
    pub funds: Funds,
    /// What the processor kept, once known; minor units.
    pub processor_fee: Option<i64>,
    /// What was given back or is being given back; minor units.
    pub refunded_amount: i64,
    /// When the provider makes the money usable.
    pub available_on: Option<Timestamp>,
    /// The provider's name.
    pub provider: String,
    /// Its id at the provider.
    pub provider_payment: Option<String>,
    /// Its charge's id at the provider.
    pub provider_charge: Option<String>,
    /// When the buyer is charged.
    pub capture: CaptureMethod,
    /// Until when what is authorised can be captured.
    pub capture_before: Option<Timestamp>,
    /// What was authorised and let go when the rest was captured; minor units.
    pub uncaptured_amount: i64,
    /// How the charge reaches its sellers.
    pub charge_type: ChargeType,
    /// The seller that the buyer buys from, to card networks and on statements.
    pub on_behalf_of: Option<SellerId>,
    /// What the provider sent to the one seller with the charge; minor units.
    pub sent_with_charge: i64,
    /// Why it failed.
    pub failure: Option<Refusal>,
    /// The platform's own data.
    pub metadata: serde_json::Value,
    /// How often it changed.
    pub sequence: i32,
    /// When it was made, by the business clock.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Payment {
    /// As reserves know it.
    pub fn reserve_ground(&self) -> reserves::Ground {
        reserves::Ground { payment: self.id, subject: self.key, currency: self.amount.currency }
    }

    /// What the buyer was charged; nothing before it was. Minor units.
    pub fn captured_amount(&self) -> i64 {
        match self.funds {
            Funds::None => 0,
            Funds::Pending | Funds::Available => self.amount.minor - self.uncaptured_amount,
        }
    }
}

/// A stored line: the split snapshot, as far as it was captured, and what became of it. Amounts in minor units.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its place in the cart, from 0.
    pub number: i32,
    /// What it is for.
    pub kind: LineKind,
    /// Whose it is.
    pub seller: Option<(SellerId, SellerNumber)>,
    /// Net of tax.
    pub amount: i64,
    /// Tax on top.
    pub tax_amount: i64,
    /// Who owes the tax.
    pub tax_liability: TaxLiability,
    /// Where it is owed.
    pub tax_jurisdiction: Option<String>,
    /// The platform's own category.
    pub category: Option<String>,
    /// What the platform keeps of the amount.
    pub commission: i64,
    /// Of `commission`, the tax on it, which the platform owes.
    pub commission_vat: i64,
    /// What priced it.
    pub fee_policy: Option<LineFee>,
    /// Given back of `amount`.
    pub refunded_amount: i64,
    /// Given back of `tax_amount`.
    pub refunded_tax: i64,
    /// Returned of `commission`.
    pub returned_commission: i64,
    /// Of it, the tax.
    pub returned_vat: i64,
    /// Of `amount`, what disputes have taken that are open or lost.
    pub disputed_amount: i64,
    /// Of `tax_amount`, the same.
    pub disputed_tax: i64,
    /// Of `commission`, the same.
    pub disputed_commission: i64,
    /// Of that, the tax.
    pub disputed_vat: i64,
    /// What disputes keep from the seller: held, or gone at its cost.
    pub withheld_share: i64,
    /// Of the processor's fee, what was passed to the seller: at the charge, or with refunds.
    pub passed_fee: i64,
    /// What the buyer's bank took back when the payment failed after it had succeeded.
    pub failed: Remaining,
    /// What was authorised beside `amount`, `tax_amount` and `commission`, and not captured.
    pub uncaptured: Remaining,
    /// When its share becomes its seller's to use.
    pub standing: Standing,
}

/// By how much a dispute changes what a line counts of it; minor units, signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineChange {
    /// The line, from 0.
    pub line: i32,
    /// Of [`Line::disputed_amount`].
    pub amount: i64,
    /// Of [`Line::disputed_tax`].
    pub tax: i64,
    /// Of [`Line::disputed_commission`].
    pub commission: i64,
    /// Of [`Line::disputed_vat`].
    pub vat: i64,
    /// Of [`Line::withheld_share`].
    pub withheld: i64,
}

/// What priced a line, and how: part of its snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineFee {
    /// The policy.
    pub policy: FeePolicyId,
    /// Its version.
    pub version: i32,
    /// The number of its rule, from 1. None: no rule was for the line, or a release priced it that kept no rule.
    pub rule: Option<i32>,
    /// Where the rule has tiers: what the seller had sold in the month, minor units.
    pub volume: Option<i64>,
    /// How the commission came about, in words.
    pub sentence: Option<String>,
    /// Whether the line's seller bears its part of the processor's fee from the charge on.
    pub passes_processor_fee: bool,
}

/// Which payments to list.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Any of these; all when empty.
    pub statuses: Vec<String>,
    /// The platform's own id.
    pub reference: Option<String>,
    /// With a line of this seller.
    pub seller: Option<SellerId>,
    /// Made at this time or later.
    pub created_from: Option<Timestamp>,
    /// Made before this time.
    pub created_before: Option<Timestamp>,
    /// Older than this payment.
    pub before: Option<PaymentId>,
}

/// Checks, prices and stores a cart and the intent to charge it; the caller submits the operation.
///
/// # Errors
/// [`PaymentError`]; nothing is stored then.
pub async fn create(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    input: NewPayment,
) -> Result<Begun<PaymentId>, PaymentError> {
    split::check_sum(&input)?;
    let provider = app.provider(book).await?;
    let now = app.clock.now();
    let (app_in, input) = (Arc::clone(app), Arc::new(input));
    app.db
        .run_tx("create payment", Scope::Book(book), move |tx| {
            let (app, input, provider, request) =
                (Arc::clone(&app_in), Arc::clone(&input), Arc::clone(&provider), request.clone());
            Box::pin(async move {
                if let Some(earlier) = idempotency::claim_movement(tx, &request, now).await? {
                    return Ok(earlier);
                }
                let sellers = sellers_of(tx, &input).await?;
                let policies = Policies::find(tx, &input, now).await?;
                let by_sellers = discounts::by_sellers(&input)?;
                let cart = &by_sellers.cart;
                let with_tiers = split::sellers_with_tiers(cart, &sellers, &policies);
                let volumes = volume::read(tx, &with_tiers, input.amount.currency, now).await?;
                let priced = split::price(cart, &sellers, &policies, &volumes)?;
                let (mut lines, discounts) = discounts::take_off(&input, by_sellers, priced)?;
                let waiting = line_release::plan(tx, &input, &mut lines, &sellers).await?;
                let (id, operation_id) = (PaymentId::new(), OperationId::new());
                let charging = charging::decide(tx, &*provider, &input, &lines, &sellers, (id, operation_id)).await?;
                let key = app.keys.next(tx).await?;
                let operation = NewOperation {
                    id: operation_id,
                    key: app.keys.next(tx).await?,
                    target: Target { object_type: "payment", object_id: id.uuid(), object_key: key },
                    provider: provider.name(),
                    request: charging.request.clone(),
                    command: charging.command.clone(),
                    actor,
                };
                // A seller's accounts stand since it was made, and the platform's beside them.
                // The account of the tax on commissions is younger than some of them.
                if lines.iter().all(|line| line.seller.is_none()) || lines.iter().any(|line| line.commission_vat > 0) {
                    chart(book, input.amount.currency).open_platform(tx).await?;
                }
                let payment =
                    store::insert(tx, id, key, &input, &charging, &lines, provider.name(), actor, now).await?;
                store::insert_discounts(tx, id, &discounts).await?;
                if let Some(direct) = &charging.route.direct {
                    store::insert_direct(tx, id, direct).await?;
                }
                line_release::insert(tx, &payment, &waiting, &app.keys, actor, now).await?;
                idempotency::bind(tx, &request.key, "payment", id.uuid()).await?;
                operations::plan(tx, &operation, FirstTry::Now, now).await?;
                record(tx, &payment, None, "payment.created", actor, now).await?;
                Ok(Begun::Fresh(id))
            })
        })
        .await
}

async fn sellers_of(tx: &mut Tx, input: &NewPayment) -> Result<HashMap<SellerId, Seller>, PaymentError> {
    let mut ids: Vec<SellerId> = input.lines.iter().filter_map(|line| line.seller).collect();
    ids.sort_unstable();
    ids.dedup();
    let sellers = sellers::find_by_ids(tx, &ids).await?;
    Ok(sellers.into_iter().map(|seller| (seller.id, seller)).collect())
}

async fn record(
    tx: &mut Tx,
    payment: &Payment,
    from: Option<PaymentStatus>,
    event: &'static str,
    actor: Actor,
    now: Timestamp,
) -> Result<(), PaymentError> {
    let change = Change {
        object_type: "payment",
        object_id: payment.id.uuid(),
        sequence: payment.sequence,
        from: from.map(PaymentStatus::as_str),
        to: payment.status.as_str(),
        event,
        payload: snapshot(payment),
        actor,
        detail: payment.failure.as_ref().map(|failure| failure.message.clone()),
        at: now,
    };
    Ok(outbox::record(tx, &change).await?)
}

fn snapshot(payment: &Payment) -> serde_json::Value {
    serde_json::json!({
        "object": "payment", "id": payment.id, "reference": payment.reference, "status": payment.status.as_str(),
        "amount": payment.amount.minor, "currency": payment.amount.currency, "funds": payment.funds.as_str(),
        "refunded_amount": payment.refunded_amount, "captured_amount": payment.captured_amount(),
        "failure_code": payment.failure.as_ref().map(|failure| failure.code.clone()),
    })
}

/// The chart of a payment's book in its currency.
pub(crate) fn chart(book: BookId, currency: Currency) -> crate::chart::Chart {
    crate::chart::Chart { book, currency }
}
