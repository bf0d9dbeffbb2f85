//! What a policy would keep of a line or a cart that nobody has paid: priced as a payment would be now, and nothing stored.

use std::sync::Arc;

use partita_db::{BookId, DbError, Scope};
use partita_provider::Currency;

use super::discounts::QuotedDiscount;
use super::split::{Charge, price_sale};
use super::{LineFee, volume};
use crate::app::App;
use crate::fees::{self, Sale, SaleKind};
use crate::id::{FeePolicyId, SellerId};
use crate::sellers;

/// A line to quote.
#[derive(Debug, Clone)]
pub struct QuotedLine {
    /// Whose it would be. Without, no rule with conditions on sellers or countries is for it, and there is no volume.
    pub seller: Option<SellerId>,
    /// What it would be for.
    pub kind: SaleKind,
    /// Net of tax and before its discount, minor units.
    pub amount: i64,
    /// What the buyer would not pay of it.
    pub discount: Option<QuotedDiscount>,
    /// The platform's own category.
    pub category: Option<String>,
}

/// What a policy would keep.
#[derive(Debug, Clone)]
pub struct Quote {
    /// The version that holds now.
    pub version: i32,
    /// Per line, in order.
    pub lines: Vec<QuotedPrice>,
}

/// What would become of a line; minor units.
#[derive(Debug, Clone)]
pub struct QuotedPrice {
    /// What the buyer would pay of it.
    pub pays: i64,
    /// What the policy would keep of that.
    pub commission: i64,
    /// How that came about.
    pub fee: LineFee,
}

/// Why there is no quote.
#[derive(Debug, thiserror::Error)]
pub enum QuoteError {
    /// No such policy in this book.
    #[error("no such fee policy")]
    NotFound,
    /// A line names a seller that this book does not have.
    #[error("line {line} names an unknown seller")]
    UnknownSeller {
        /// The line, from 0.
        line: usize,
    },
    /// A line names a seller of another currency.
    #[error("line {line} names a seller who is paid in {seller}")]
    SellerCurrency {
        /// The line, from 0.
        line: usize,
        /// The seller's currency.
        seller: Currency,
    },
    /// A discount is more than who would bear it has of its line.
    #[error("the discount of line {line} is more than {most}")]
    DiscountTooLarge {
        /// The line, from 0.
        line: usize,
        /// What it could be; minor units.
        most: i64,
    },
    /// The database refused.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Prices lines by a policy as a payment made now would. Changes nothing.
///
/// # Errors
/// [`QuoteError`].
pub async fn quote(
    app: &Arc<App>,
    book: BookId,
    policy: FeePolicyId,
    currency: Currency,
    lines: Vec<QuotedLine>,
) -> Result<Quote, QuoteError> {
    let now = app.clock.now();
    let lines = Arc::new(lines);
    app.db
        .read("quote fee", Scope::Book(book), move |tx| {
            let lines = Arc::clone(&lines);
            Box::pin(async move {
                let policy = fees::find(tx, policy, now).await?.ok_or(QuoteError::NotFound)?;
                let mut ids: Vec<SellerId> = lines.iter().filter_map(|line| line.seller).collect();
                ids.sort_unstable();
                ids.dedup();
                let known = sellers::find_by_ids(tx, &ids).await?;
                let mut sales = Vec::with_capacity(lines.len());
                for (index, line) in lines.iter().enumerate() {
                    let seller = match line.seller {
                        None => None,
                        Some(id) => match known.iter().find(|seller| seller.id == id) {
                            None => return Err(QuoteError::UnknownSeller { line: index }),
                            Some(seller) if seller.default_currency != currency => {
                                return Err(QuoteError::SellerCurrency {
                                    line: index,
                                    seller: seller.default_currency,
                                });
                            }
                            known => known,
                        },
                    };
                    sales.push(Sale {
                        seller: line.seller,
                        country: seller.map(|seller| seller.country.as_str()),
                        currency,
                        category: line.category.as_deref(),
                        kind: line.kind,
                        amount: line.discount.map_or(line.amount, |discount| discount.base(line.amount)),
                    });
                }
                let with_tiers = sales.iter().filter(|sale| policy.terms.needs_volume(sale));
                let with_tiers: Vec<SellerId> = with_tiers.filter_map(|sale| sale.seller).collect();
                let volumes = volume::read(tx, &with_tiers, currency, now).await?;
                let prices = sales.iter().zip(lines.iter()).enumerate().map(|(index, (sale, line))| {
                    let volume = sale.seller.and_then(|seller| volumes.get(&seller)).copied().unwrap_or(0);
                    let (charge, fee) = price_sale(&policy, sale, volume);
                    discounted(index, line, (charge, fee), currency)
                });
                let prices = prices.collect::<Result<Vec<_>, _>>()?;
                Ok(Quote { version: policy.version, lines: prices })
            })
        })
        .await
}

fn discounted(
    index: usize,
    line: &QuotedLine,
    (charge, mut fee): (Charge, LineFee),
    currency: Currency,
) -> Result<QuotedPrice, QuoteError> {
    let Some(discount) = line.discount else {
        return Ok(QuotedPrice { pays: line.amount, commission: charge.commission, fee });
    };
    let taken = discount.take_off(line.amount, charge, currency);
    let (pays, commission, told) = taken.map_err(|most| QuoteError::DiscountTooLarge { line: index, most })?;
    fee.sentence = fee.sentence.map(|sentence| format!("{sentence} {told}"));
    Ok(QuotedPrice { pays, commission, fee })
}
