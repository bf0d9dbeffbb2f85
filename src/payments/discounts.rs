//! Discounts of a cart: what the buyer does not pay, and who bears it. Pure.
//!
//! A discount is spread over lines in proportion to their net amounts, by largest remainder, and never takes a line below zero. The
//! stored line has what the buyer pays; who bears the difference shows in its commission:
//!
//! - borne by the *seller*, it lowers the seller's share; the commission is that of the discounted price, or of the full one;
//! - borne by the *platform*, it comes out of its commission: the seller has its full share.
//!
//! So refunds, disputes and captures in part go by what the buyer paid, and need to know no discount.

use partita_provider::{Currency, Money, allocate};

use super::split::Charge;
use super::{Line, LineKind, NewPayment, PaymentError, proportion};
use crate::id::SellerId;
use crate::words::words;

/// Who bears a discount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FundedBy {
    /// A seller, out of its share.
    Seller(SellerId),
    /// The platform, out of its commission.
    Platform,
}

impl FundedBy {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seller(_) => "seller",
            Self::Platform => "platform",
        }
    }

    /// The seller, if one bears it.
    pub fn seller(self) -> Option<SellerId> {
        match self {
            Self::Seller(id) => Some(id),
            Self::Platform => None,
        }
    }
}

words! {
    /// Of which price the commission is, where a seller bears the discount.
    CommissionOf {
        /// Of what the buyer pays.
        DiscountedPrice = "discounted_price",
        /// Of the price before the discount.
        FullPrice = "full_price",
    }
}

/// A discount of a new cart.
#[derive(Debug, Clone)]
pub struct NewDiscount {
    /// Its place in the cart, from 0: after all lines that are paid for.
    pub line: i32,
    /// What the buyer does not pay; minor units.
    pub amount: i64,
    /// Who bears it.
    pub funded_by: FundedBy,
    /// Of which price the commission is.
    pub commission_of: CommissionOf,
    /// The lines that it is on; none: all that are not tips, of its seller or of all sellers.
    pub on: Option<Vec<i32>>,
}

/// A stored discount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discount {
    /// Its place in the cart, from 0.
    pub line: i32,
    /// What the buyer does not pay; minor units.
    pub amount: i64,
    /// Who bears it.
    pub funded_by: FundedBy,
    /// Of which price the commission is.
    pub commission_of: CommissionOf,
    /// What of it each line has: (line, minor units), in their order.
    pub parts: Vec<(i32, i64)>,
}

/// A discount on one line to quote.
#[derive(Debug, Clone, Copy)]
pub struct QuotedDiscount {
    /// What the buyer would not pay; minor units.
    pub amount: i64,
    /// Whether the platform would bear it; else the line's seller.
    pub by_platform: bool,
    /// Of which price the commission would be, where the seller bears it.
    pub commission_of: CommissionOf,
}

impl QuotedDiscount {
    /// What the commission of a line of this price would be of; minor units.
    pub(super) fn base(self, price: i64) -> i64 {
        let lowers_it = !self.by_platform && self.commission_of == CommissionOf::DiscountedPrice;
        if lowers_it { (price - self.amount).max(0) } else { price }
    }

    /// What the buyer would pay of a line of this price, what the platform would keep of it, and that in words; or the most that the
    /// discount could be. Minor units.
    pub(super) fn take_off(self, price: i64, charge: Charge, currency: Currency) -> Result<(i64, i64, String), i64> {
        let most = if self.by_platform { charge.commission - charge.vat } else { price };
        if self.amount > most {
            return Err(most);
        }
        let pays = price - self.amount;
        if self.by_platform {
            let left = charge.commission - self.amount;
            return Ok((pays, left, borne_by_platform_in_words(self.amount, left, currency)));
        }
        Ok((pays, charge.commission.min(pays), borne_by_seller_in_words(price, pays, currency)))
    }
}

/// A cart once its sellers' discounts are taken off, before it is priced.
#[derive(Debug)]
pub(super) struct BySellers {
    /// The cart, each line with what its commission is of.
    pub(super) cart: NewPayment,
    /// What the buyer pays of each line; minor units.
    pays: Vec<i64>,
    /// What was taken off.
    spread: Vec<Discount>,
}

/// Takes the discounts that sellers bear off their lines.
///
/// # Errors
/// [`PaymentError::DiscountOnNothing`], [`PaymentError::DiscountTooLarge`].
pub(super) fn by_sellers(input: &NewPayment) -> Result<BySellers, PaymentError> {
    let mut pays: Vec<i64> = input.lines.iter().map(|line| line.amount).collect();
    let mut of_commission = pays.clone();
    let mut spread = Vec::new();
    for discount in input.discounts.iter().filter(|discount| discount.funded_by != FundedBy::Platform) {
        let places = places_of(discount, input)?;
        let room: Vec<i64> = places.iter().map(|place| pays[*place]).collect();
        let parts = take(discount, &places, &room, &pays)?;
        for (place, part) in &parts {
            pays[*place] -= part;
            if discount.commission_of == CommissionOf::DiscountedPrice {
                of_commission[*place] -= part;
            }
        }
        spread.push(stored(discount, &parts));
    }
    let mut cart = input.clone();
    for (line, amount) in cart.lines.iter_mut().zip(of_commission) {
        line.amount = amount;
    }
    Ok(BySellers { cart, pays, spread })
}

/// What the buyer pays of each priced line, once the discounts that the platform bears are taken off too; and how each was spread.
///
/// # Errors
/// [`PaymentError::DiscountOnNothing`], [`PaymentError::DiscountTooLarge`], [`PaymentError::TaxOfNothing`].
pub(super) fn take_off(
    input: &NewPayment,
    by_sellers: BySellers,
    mut lines: Vec<Line>,
) -> Result<(Vec<Line>, Vec<Discount>), PaymentError> {
    let currency = input.amount.currency;
    let BySellers { pays, mut spread, .. } = by_sellers;
    for ((line, pays), full) in lines.iter_mut().zip(pays).zip(&input.lines) {
        borne_by_seller(line, pays, full.amount, currency);
    }
    for discount in input.discounts.iter().filter(|discount| discount.funded_by == FundedBy::Platform) {
        let places = places_of(discount, input)?;
        let room: Vec<i64> = places.iter().map(|place| kept_of(&lines[*place])).collect();
        let weights: Vec<i64> = lines.iter().map(|line| line.amount).collect();
        let parts = take(discount, &places, &room, &weights)?;
        for (place, part) in &parts {
            borne_by_platform(&mut lines[*place], *part, currency);
        }
        spread.push(stored(discount, &parts));
    }
    if let Some(line) = lines.iter().position(|line| line.amount == 0 && line.tax_amount > 0) {
        return Err(PaymentError::TaxOfNothing { line });
    }
    spread.sort_by_key(|discount| discount.line);
    Ok((lines, spread))
}

fn stored(discount: &NewDiscount, parts: &[(usize, i64)]) -> Discount {
    let number = |place: usize| i32::try_from(place).expect("a cart has few lines");
    Discount {
        line: discount.line,
        amount: discount.amount,
        funded_by: discount.funded_by,
        commission_of: discount.commission_of,
        parts: parts.iter().map(|(place, part)| (number(*place), *part)).collect(),
    }
}

/// The lines that a discount is on, by their places.
fn places_of(discount: &NewDiscount, input: &NewPayment) -> Result<Vec<usize>, PaymentError> {
    let borne_by = |seller: Option<SellerId>| match discount.funded_by {
        FundedBy::Seller(id) => seller == Some(id),
        FundedBy::Platform => true,
    };
    let Some(named) = &discount.on else {
        let whole = |(_, line): &(usize, &super::NewLine)| {
            line.kind != LineKind::Tip && line.kind != LineKind::Platform && borne_by(line.seller)
        };
        let places: Vec<usize> = input.lines.iter().enumerate().filter(whole).map(|(place, _)| place).collect();
        let nothing = PaymentError::DiscountOnNothing { line: place(discount.line), named: None };
        return if places.is_empty() { Err(nothing) } else { Ok(places) };
    };
    let mut places = Vec::with_capacity(named.len());
    for (index, number) in named.iter().enumerate() {
        let found = usize::try_from(*number).ok().filter(|place| {
            input.lines.get(*place).is_some_and(|line| borne_by(line.seller)) && !places.contains(place)
        });
        places.push(found.ok_or(PaymentError::DiscountOnNothing { line: place(discount.line), named: Some(index) })?);
    }
    Ok(places)
}

fn place(number: i32) -> usize {
    usize::try_from(number).unwrap_or_default()
}

/// What the platform keeps of a line and can give: its commission without the tax on it, or all of a line of its own.
fn kept_of(line: &Line) -> i64 {
    if line.seller.is_none() { line.amount } else { line.commission - line.commission_vat }
}

/// Spreads a discount over the lines at these places, each of which has so much room.
fn take(
    discount: &NewDiscount,
    places: &[usize],
    room: &[i64],
    weights: &[i64],
) -> Result<Vec<(usize, i64)>, PaymentError> {
    let weights: Vec<i64> = places.iter().map(|place| weights[*place]).collect();
    let parts = spread(discount.amount, &weights, room).ok_or_else(|| PaymentError::DiscountTooLarge {
        line: place(discount.line),
        most: room.iter().sum(),
        funded_by: discount.funded_by.as_str(),
    })?;
    Ok(places.iter().copied().zip(parts).filter(|(_, part)| *part > 0).collect())
}

/// Splits an amount in proportion to weights, none beyond its room; what does not fit one goes to the others. None where there is
/// not so much room.
fn spread(amount: i64, weights: &[i64], room: &[i64]) -> Option<Vec<i64>> {
    let mut parts = vec![0; room.len()];
    let mut left = amount;
    if room.iter().sum::<i64>() < amount {
        return None;
    }
    while left > 0 {
        // Every round fills one of them at least, or spreads all that is left.
        let open = |place: usize| if parts[place] < room[place] { weights[place].max(1) } else { 0 };
        let open: Vec<i64> = (0..parts.len()).map(open).collect();
        let step = allocate(left, &open).expect("there is room for what is left");
        for (place, more) in step.into_iter().enumerate() {
            let more = more.min(room[place] - parts[place]);
            parts[place] += more;
            left -= more;
        }
    }
    Some(parts)
}

/// The buyer pays less of a line, and its seller gets less. The commission is never more than what is paid.
fn borne_by_seller(line: &mut Line, pays: i64, full: i64, currency: Currency) {
    line.amount = pays;
    if pays == full {
        return;
    }
    if line.commission > pays {
        line.commission_vat = proportion(line.commission_vat, pays, line.commission);
        line.commission = pays;
    }
    tell(line, &borne_by_seller_in_words(full, pays, currency));
}

fn borne_by_seller_in_words(full: i64, pays: i64, currency: Currency) -> String {
    let money = |minor: i64| Money::new(minor, currency);
    format!("Of the price of {}, the seller bears a discount of {}.", money(full), money(full - pays))
}

/// The buyer pays less of a line, and the platform keeps less of it.
fn borne_by_platform(line: &mut Line, part: i64, currency: Currency) {
    line.amount -= part;
    if line.seller.is_some() {
        line.commission -= part;
    }
    let left = line.commission;
    tell(line, &borne_by_platform_in_words(part, left, currency));
}

fn borne_by_platform_in_words(part: i64, left: i64, currency: Currency) -> String {
    let money = |minor: i64| Money::new(minor, currency);
    format!("The platform bears a discount of {} out of its commission: {} is left.", money(part), money(left))
}

fn tell(line: &mut Line, sentence: &str) {
    if let Some(told) = line.fee_policy.as_mut().and_then(|fee| fee.sentence.as_mut()) {
        told.push(' ');
        told.push_str(sentence);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::payments::seller_shares;
    use crate::payments::worked_cart::{A, B, line, worked_cart};

    fn eur() -> Currency {
        Currency::parse("EUR").expect("a currency")
    }

    #[test]
    fn ten_over_60_and_40_are_6_and_4_and_what_does_not_fit_goes_to_the_other() {
        assert_eq!(spread(10_00, &[60_00, 40_00], &[60_00, 40_00]), Some(vec![6_00, 4_00]));
        assert_eq!(spread(10, &[1, 1, 1], &[60, 60, 60]), Some(vec![4, 3, 3]), "the first of equals has the rest");
        assert_eq!(spread(10_00, &[60_00, 40_00], &[6_00, 4_00]), Some(vec![6_00, 4_00]), "all of the commission");
        assert_eq!(spread(10_00, &[60_00, 40_00], &[3_00, 36_00]), Some(vec![3_00, 7_00]));
        assert_eq!(spread(10_01, &[60_00, 40_00], &[6_00, 4_00]), None);
        assert_eq!(spread(5, &[0, 7], &[0, 9]), Some(vec![0, 5]));
    }

    #[test]
    fn what_the_seller_bears_lowers_its_share_and_what_the_platform_bears_its_commission() {
        let mut cart = vec![line(0, Some(A), 60_00, 0, 6_00), line(1, Some(B), 40_00, 0, 4_00)];
        // Of the full price: 6.00 stay the commission of a line of which the buyer pays 50.00.
        borne_by_seller(&mut cart[0], 50_00, 60_00, eur());
        assert_eq!((cart[0].amount, cart[0].commission), (50_00, 6_00));
        borne_by_platform(&mut cart[1], 3_00, eur());
        assert_eq!((cart[1].amount, cart[1].commission), (37_00, 1_00));
        let shares: Vec<i64> = seller_shares(&cart).into_values().map(|(_, share)| share).collect();
        assert_eq!(shares, [44_00, 36_00], "B has its full share");
    }

    #[test]
    fn a_commission_is_never_more_than_what_is_paid_and_its_tax_goes_with_it() {
        let mut one = line(0, Some(A), 60_00, 0, 7_26);
        one.commission_vat = 1_26;
        borne_by_seller(&mut one, 3_63, 60_00, eur());
        assert_eq!((one.amount, one.commission, one.commission_vat), (3_63, 3_63, 63));
        borne_by_seller(&mut one, 0, 60_00, eur());
        assert_eq!((one.amount, one.commission, one.commission_vat), (0, 0, 0));
    }

    #[test]
    fn of_a_commission_with_tax_only_the_platforms_own_part_can_be_given() {
        let mut one = worked_cart().remove(0);
        (one.commission, one.commission_vat) = (7_26, 1_26);
        assert_eq!(kept_of(&one), 6_00);
        assert_eq!(kept_of(&line(1, None, 5_00, 0, 0)), 5_00, "a line of its own is all its own");
    }

    #[test]
    fn a_quote_says_what_a_cart_would_come_to() {
        let charge = Charge { commission: 7_26, vat: 1_26 };
        let by = |by_platform, amount, commission_of| QuotedDiscount { amount, by_platform, commission_of };
        let taken = |discount: QuotedDiscount| {
            discount.take_off(60_00, charge, eur()).map(|(pays, commission, _)| (pays, commission))
        };
        let platform = |amount| by(true, amount, CommissionOf::FullPrice);
        assert_eq!(taken(platform(6_00)), Ok((54_00, 1_26)), "the tax on the commission stays");
        assert_eq!(taken(platform(6_01)), Err(6_00));
        let seller = |amount| by(false, amount, CommissionOf::DiscountedPrice);
        assert_eq!((seller(10_00).base(60_00), platform(10_00).base(60_00)), (50_00, 60_00));
        assert_eq!(taken(by(false, 58_00, CommissionOf::FullPrice)), Ok((2_00, 2_00)), "never more than is paid");
        assert_eq!(taken(seller(60_01)), Err(60_00));
    }

    proptest! {
        #[test]
        fn a_discount_is_spread_exactly_and_never_beyond_the_room(
            lines in prop::collection::vec((1_i64..100_000, 0_i64..=10_000), 1..12), permille in 0_i64..=1_000
        ) {
            let weights: Vec<i64> = lines.iter().map(|(amount, _)| *amount).collect();
            let room: Vec<i64> = lines.iter().map(|(amount, bps)| amount * bps / 10_000).collect();
            let amount = room.iter().sum::<i64>() * permille / 1_000;
            let parts = spread(amount, &weights, &room).expect("there is room");
            prop_assert_eq!(parts.iter().sum::<i64>(), amount);
            for (part, room) in parts.iter().zip(&room) {
                prop_assert!((0..=*room).contains(part));
            }
            prop_assert_eq!(spread(room.iter().sum::<i64>() + 1, &weights, &room), None);
        }
    }
}
