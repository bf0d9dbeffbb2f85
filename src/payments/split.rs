//! The split of a cart: pricing its lines, and what each seller gets of it. Pure.

use std::collections::{BTreeMap, HashMap};

use partita_provider::allocate;

use super::{Line, LineFee, NewLine, NewPayment, PaymentError, Policies, RefundShare, SellerShare, TaxLiability};
use crate::chart::SellerNumber;
use crate::fees::{self, FeePolicy, Sale};
use crate::id::SellerId;
use crate::sellers::{Seller, SellerStatus};

/// Refuses a cart whose lines and taxes, less its discounts, do not make its amount.
pub(super) fn check_sum(input: &NewPayment) -> Result<(), PaymentError> {
    let sum: i128 = input.lines.iter().map(|line| i128::from(line.amount) + i128::from(line.tax_amount)).sum();
    let not_paid: i128 = input.discounts.iter().map(|discount| i128::from(discount.amount)).sum();
    let sum = sum - not_paid;
    if sum == i128::from(input.amount.minor) {
        Ok(())
    } else {
        Err(PaymentError::WrongSum { sum, amount: input.amount.minor })
    }
}

/// A seller's line as its fee policy sees it; none for the platform's own lines and for sellers that are not known.
fn sale_of<'a>(line: &'a NewLine, input: &NewPayment, sellers: &'a HashMap<SellerId, Seller>) -> Option<Sale<'a>> {
    let seller = sellers.get(&line.seller?)?;
    Some(Sale {
        seller: Some(seller.id),
        country: Some(&seller.country),
        currency: input.amount.currency,
        category: line.category.as_deref(),
        kind: line.kind.sale()?,
        amount: line.amount,
    })
}

/// Whose volume of the month the prices depend on.
pub(super) fn sellers_with_tiers(
    input: &NewPayment,
    sellers: &HashMap<SellerId, Seller>,
    policies: &Policies,
) -> Vec<SellerId> {
    let with_tiers = |line: &NewLine| {
        let sale = sale_of(line, input, sellers)?;
        sale.seller.filter(|_| policies.of(line).is_some_and(|policy| policy.terms.needs_volume(&sale)))
    };
    let mut ids: Vec<SellerId> = input.lines.iter().filter_map(with_tiers).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Prices every line by its policy. `volumes` are those of the sellers with tiers.
pub(super) fn price(
    input: &NewPayment,
    sellers: &HashMap<SellerId, Seller>,
    policies: &Policies,
    volumes: &HashMap<SellerId, i64>,
) -> Result<Vec<Line>, PaymentError> {
    let lines = input.lines.iter().enumerate();
    lines.map(|(index, line)| price_line(index, line, input, sellers, policies, volumes)).collect()
}

fn price_line(
    index: usize,
    line: &NewLine,
    input: &NewPayment,
    sellers: &HashMap<SellerId, Seller>,
    policies: &Policies,
    volumes: &HashMap<SellerId, i64>,
) -> Result<Line, PaymentError> {
    let currency = input.amount.currency;
    if line.seller.is_none() && line.tax_liability == TaxLiability::Seller {
        return Err(PaymentError::TaxOfNoSeller { line: index });
    }
    let seller = match line.seller {
        None => None,
        Some(id) => {
            let seller = sellers.get(&id).ok_or(PaymentError::UnknownSeller { line: index })?;
            if seller.status == SellerStatus::Failed {
                return Err(PaymentError::SellerFailed { line: index });
            }
            if seller.default_currency != currency {
                return Err(PaymentError::SellerCurrency {
                    line: index,
                    seller: seller.default_currency,
                    payment: currency,
                });
            }
            Some((id, seller.number))
        }
    };
    let priced = sale_of(line, input, sellers).zip(policies.of(line)).map(|(sale, policy)| {
        let volume = sale.seller.and_then(|seller| volumes.get(&seller)).copied().unwrap_or(0);
        price_sale(policy, &sale, volume)
    });
    let (charge, fee_policy) = match priced {
        Some((charge, fee)) => (charge, Some(fee)),
        None => (Charge::default(), None),
    };
    Ok(Line {
        number: i32::try_from(index).expect("a cart has few lines"),
        kind: line.kind,
        seller,
        amount: line.amount,
        tax_amount: line.tax_amount,
        tax_liability: line.tax_liability,
        tax_jurisdiction: line.tax_jurisdiction.clone(),
        category: line.category.clone(),
        commission: charge.commission,
        commission_vat: charge.vat,
        fee_policy,
        refunded_amount: 0,
        refunded_tax: 0,
        returned_commission: 0,
        returned_vat: 0,
        disputed_amount: 0,
        disputed_tax: 0,
        disputed_commission: 0,
        disputed_vat: 0,
        withheld_share: 0,
        passed_fee: 0,
        failed: Remaining::default(),
        uncaptured: Remaining::default(),
        standing: Standing::WithPayment,
    })
}

/// What a policy keeps of a sale; minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Charge {
    /// With the tax on it.
    pub(super) commission: i64,
    /// The tax.
    pub(super) vat: i64,
}

/// Adds the tax to a commission of a line; together they are never more than the line.
fn with_vat(commission: i64, vat_bps: i32, amount: i64) -> Charge {
    let points = i64::from(vat_bps);
    let vat = proportion(commission, points, 10_000);
    if commission + vat <= amount {
        return Charge { commission: commission + vat, vat };
    }
    Charge { commission: amount, vat: proportion(amount, points, 10_000 + points) }
}

/// What a policy keeps of a sale, and how that came about.
pub(super) fn price_sale(policy: &FeePolicy, sale: &Sale<'_>, volume: i64) -> (Charge, LineFee) {
    let priced = fees::price(&policy.terms, sale, volume);
    let vat_bps = priced.map_or(0, |priced| policy.terms.vat_bps(priced.rule));
    let charge = with_vat(priced.map_or(0, |priced| priced.calculation.commission), vat_bps, sale.amount);
    let mut sentence = fees::sentence(&policy.reference, policy.version, &policy.terms, sale, priced.as_ref());
    if vat_bps > 0 {
        sentence = format!("{sentence} {}", fees::vat_sentence(vat_bps, charge.vat, charge.commission, sale.currency));
    }
    let fee = LineFee {
        policy: policy.id,
        version: policy.version,
        rule: priced.map(|priced| priced.rule_number()),
        volume: priced.and_then(|priced| priced.calculation.volume).map(|volume| volume.sold),
        sentence: Some(sentence),
        passes_processor_fee: priced.is_some_and(|priced| policy.terms.passes_processor_fee(priced.rule)),
    };
    (charge, fee)
}

/// What is left of a line; minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remaining {
    /// Of the net amount.
    pub amount: i64,
    /// Of the tax.
    pub tax: i64,
    /// Of the commission.
    pub commission: i64,
    /// Of the tax on it.
    pub vat: i64,
}

/// When a line's share becomes its seller's to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// With the payment's money.
    WithPayment,
    /// By itself, and it waits.
    Waiting,
    /// By itself, and it was released.
    Released,
}

impl Line {
    /// What its seller is entitled to of it, after commission, the processor's fee that it bears, refunds and what disputes keep;
    /// minor units, signed.
    pub fn share(&self) -> i64 {
        let left = self.remaining();
        left.amount + self.sellers_tax(left.tax) - left.commission - self.withheld_share - self.passed_fee
    }

    /// What is left of it after its refunds, and after its payment's late failure.
    pub fn remaining(&self) -> Remaining {
        Remaining {
            amount: self.amount - self.refunded_amount - self.failed.amount,
            tax: self.tax_amount - self.refunded_tax - self.failed.tax,
            commission: self.commission - self.returned_commission - self.failed.commission,
            vat: self.commission_vat - self.returned_vat - self.failed.vat,
        }
    }

    /// What may still be given back, or disputed: neither refunds nor disputes have taken it.
    pub fn refundable(&self) -> Remaining {
        Remaining {
            amount: self.amount - self.gone_amount(),
            tax: self.tax_amount - self.gone_tax(),
            commission: self.commission - self.returned_commission - self.disputed_commission - self.failed.commission,
            vat: self.commission_vat - self.returned_vat - self.disputed_vat - self.failed.vat,
        }
    }

    /// Of its net amount, what refunds, disputes and a late failure have taken.
    pub(crate) fn gone_amount(&self) -> i64 {
        self.refunded_amount + self.disputed_amount + self.failed.amount
    }

    /// Of its tax, what refunds, disputes and a late failure have taken.
    pub(crate) fn gone_tax(&self) -> i64 {
        self.refunded_tax + self.disputed_tax + self.failed.tax
    }

    /// The commission that the next `amount` of its net amount carries. What was kept in earlier refunds stays kept.
    pub(crate) fn commission_of(&self, amount: i64) -> i64 {
        if self.amount == 0 {
            return 0;
        }
        let before = proportion(self.commission, self.gone_amount(), self.amount);
        let after = proportion(self.commission, self.gone_amount() + amount, self.amount);
        (after - before).clamp(0, self.refundable().commission)
    }

    /// Of the tax on its commission, what goes with the next `commission` of it: the rounded proportion of all that went, less
    /// what went before.
    pub(crate) fn vat_of(&self, commission: i64) -> i64 {
        if self.commission == 0 {
            return 0;
        }
        let left = self.refundable();
        let gone = self.commission - left.commission + commission;
        let target = proportion(self.commission_vat, gone, self.commission);
        (target - (self.commission_vat - left.vat)).clamp(0, left.vat.min(commission))
    }

    /// Of its `part` of the processor's fee, what goes with the next `amount` of its net amount and was not passed to its seller
    /// yet; nothing for the platform's own.
    pub(crate) fn fee_of(&self, part: i64, amount: i64) -> i64 {
        if self.seller.is_none() || self.amount == 0 {
            return 0;
        }
        let before = proportion(part, self.gone_amount(), self.amount);
        let after = proportion(part, self.gone_amount() + amount, self.amount);
        (after - before).min(part - self.passed_fee).max(0)
    }

    /// Whether its share waits by itself.
    pub fn waits(&self) -> bool {
        self.standing == Standing::Waiting
    }

    /// Whether its seller bears its part of the processor's fee from the charge on.
    fn bears_processor_fee(&self) -> bool {
        self.seller.is_some() && self.fee_policy.as_ref().is_some_and(|fee| fee.passes_processor_fee)
    }

    /// The tax that the seller gets and owes; none when the platform owes it.
    pub(crate) fn sellers_tax(&self, tax: i64) -> i64 {
        match self.tax_liability {
            TaxLiability::Seller => tax,
            TaxLiability::Platform => 0,
        }
    }
}

/// What each line has in the processor's fee, by its goods, in their order; minor units. The part of the platform's own lines is
/// the platform's.
pub fn fee_parts(lines: &[Line], fee: i64) -> Vec<i64> {
    let goods: Vec<i64> = lines.iter().map(|line| line.amount).collect();
    if fee > 0 && goods.iter().any(|amount| *amount > 0) {
        allocate(fee, &goods).expect("a fee over amounts that are not all zero")
    } else {
        vec![0; lines.len()]
    }
}

/// Of the processor's fee, what each line passes to its seller at the charge, by the rule that priced it: (line, minor units).
pub fn fees_at_charge(lines: &[Line], fee: i64) -> Vec<(i32, i64)> {
    let parts = lines.iter().zip(fee_parts(lines, fee));
    let passed = parts.filter(|(line, part)| *part > 0 && line.bears_processor_fee());
    passed.map(|(line, part)| (line.number, part)).collect()
}

/// All of a line that is left.
pub(super) fn everything_left(line: &Line) -> SellerShare {
    let Remaining { amount, tax, commission, vat } = line.refundable();
    SellerShare { line: line.number, amount, tax, commission, vat }
}

/// `whole * part / of`, rounded half up; all minor units, `0 <= part <= of`. Nothing of nothing is nothing.
pub(crate) fn proportion(whole: i64, part: i64, of: i64) -> i64 {
    if of == 0 {
        return 0;
    }
    let (whole, part, of) = (i128::from(whole), i128::from(part), i128::from(of));
    i64::try_from((2 * whole * part + of) / (2 * of)).expect("at most the whole")
}

/// What sellers lose by what is given back of their lines, each seller once; minor units. Of lines that wait nothing is kept back,
/// and they give out of themselves.
pub fn losses(lines: &[Line], given: &[RefundShare]) -> Vec<(SellerId, i64)> {
    let mut losses = BTreeMap::new();
    for RefundShare { share, processor_fee } in given {
        let Some(line) = lines.iter().find(|line| line.number == share.line && !line.waits()) else { continue };
        let Some((id, number)) = line.seller else { continue };
        let own = share.amount + line.sellers_tax(share.tax) - share.commission + processor_fee;
        losses.entry(number).or_insert((id, 0_i64)).1 += own;
    }
    losses.into_values().collect()
}

/// What each seller is entitled to of a payment, after commission, the processor's fee that it bears, refunds and what disputes
/// keep, in the order of their numbers; minor units. Negative when the platform kept its commission of goods that were given
/// back, or passed a fee on.
pub fn seller_shares(lines: &[Line]) -> BTreeMap<SellerNumber, (SellerId, i64)> {
    let mut shares = BTreeMap::new();
    for line in lines {
        let Some((id, number)) = line.seller else { continue };
        shares.entry(number).or_insert((id, 0_i64)).1 += line.share();
    }
    shares
}

/// The same without lines that wait; a seller all of whose lines do has nothing.
pub fn released_shares(lines: &[Line]) -> BTreeMap<SellerNumber, (SellerId, i64)> {
    let mut shares = BTreeMap::new();
    for line in lines {
        let Some((id, number)) = line.seller else { continue };
        shares.entry(number).or_insert((id, 0_i64)).1 += if line.waits() { 0 } else { line.share() };
    }
    shares
}

/// What was released together: of one line or, without a line, with the payment's money.
type Release = (Option<i32>, Vec<(SellerId, i64)>);

/// The same by how they were released: what came with the payment's money, without a line, then line by line.
pub fn shares_by_release(lines: &[Line]) -> Vec<Release> {
    let with_payment: Vec<Line> = lines.iter().filter(|line| line.standing == Standing::WithPayment).cloned().collect();
    let together = seller_shares(&with_payment).into_values().collect();
    let alone = lines.iter().filter(|line| line.standing == Standing::Released).filter_map(|line| {
        let (id, _) = line.seller?;
        Some((Some(line.number), vec![(id, line.share())]))
    });
    std::iter::once((None, together)).chain(alone).collect()
}
