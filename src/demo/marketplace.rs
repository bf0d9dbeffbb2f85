//! The demo's marketplace, and what happens in it: four shops in two countries and some days of orders. Pure; the same
//! every time, but for the days.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::id::SellerId;

/// The marketplace's reference.
pub(super) const REFERENCE: &str = "demo";
/// Its name, as sellers see it.
pub(super) const NAME: &str = "Market Square (demo)";
/// How many days ago it opens.
pub(super) const DAYS: i64 = 5;
/// The shop that has not finished its onboarding.
pub(super) const NEWCOMER: usize = 3;

/// Orders of each day: the first, the second, and so on.
const ORDERS: [u64; 6] = [6, 8, 10, 7, 9, 6];
/// The first order of a day, in hours after midnight, and the time between two.
const OPENING_HOUR: i64 = 7;
const BETWEEN_ORDERS: SignedDuration = SignedDuration::from_mins(83);
/// When nothing is ordered but the clock is looked at: the provider settles at midnight and pays out after it.
const NIGHT_LOOKS: [SignedDuration; 2] = [SignedDuration::from_mins(10), SignedDuration::from_hours(5)];
/// Nothing is ordered so shortly before the demo begins: people's own payments are then the newest.
const QUIET_END: SignedDuration = SignedDuration::from_mins(5);

/// Something a shop sells.
#[derive(Debug, Clone, Copy)]
struct Product {
    category: &'static str,
    /// Net of tax; minor units.
    price: i64,
    /// Basis points.
    tax_bps: i64,
}

/// A shop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shop {
    /// The marketplace's own id of it.
    pub(super) reference: &'static str,
    /// Its name.
    pub(super) name: &'static str,
    /// Whom the provider writes to.
    pub(super) email: &'static str,
    /// ISO 3166-1 alpha-2.
    pub(super) country: &'static str,
    /// What it sells in.
    pub(super) currency: &'static str,
    /// BCP 47.
    pub(super) locale: &'static str,
    /// A bank account of the provider's test data.
    pub(super) bank_account: &'static str,
    /// Who owes the state its taxes.
    liability: &'static str,
    products: [Product; 4],
}

const fn product(category: &'static str, price: i64, tax_bps: i64) -> Product {
    Product { category, price, tax_bps }
}

/// Every shop.
pub(super) const SHOPS: [Shop; 4] = [
    Shop {
        reference: "toepferei-lindenhof",
        name: "Töpferei Lindenhof",
        email: "werkstatt@toepferei-lindenhof.example",
        country: "DE",
        currency: "EUR",
        locale: "de",
        bank_account: "DE89370400440532013000",
        liability: "seller",
        products: [
            product("tableware", 24_00, 1_900),
            product("tableware", 61_50, 1_900),
            product("vases", 38_90, 1_900),
            product("workshops", 85_00, 1_900),
        ],
    },
    Shop {
        reference: "buchladen-am-markt",
        name: "Buchladen am Markt",
        email: "hallo@buchladen-am-markt.example",
        country: "DE",
        currency: "EUR",
        locale: "de",
        bank_account: "DE89370400440532013000",
        liability: "seller",
        products: [
            product("books", 14_95, 700),
            product("books", 22_43, 700),
            product("maps", 9_34, 700),
            product("games", 32_77, 1_900),
        ],
    },
    Shop {
        reference: "harbour-lane-candles",
        name: "Harbour Lane Candles",
        email: "hello@harbour-lane-candles.example",
        country: "GB",
        currency: "GBP",
        locale: "en-GB",
        bank_account: "GB82WEST12345698765432",
        liability: "platform",
        products: [
            product("candles", 12_50, 2_000),
            product("candles", 28_00, 2_000),
            product("gifts", 45_83, 2_000),
            product("gifts", 19_17, 2_000),
        ],
    },
    Shop {
        reference: "thistle-and-thread",
        name: "Thistle & Thread",
        email: "orders@thistle-and-thread.example",
        country: "GB",
        currency: "GBP",
        locale: "en-GB",
        bank_account: "GB82WEST12345698765432",
        liability: "platform",
        products: [
            product("knitwear", 54_17, 2_000),
            product("knitwear", 89_00, 2_000),
            product("yarn", 7_92, 2_000),
            product("childrens-clothes", 31_00, 0),
        ],
    },
];

/// A cart. Amounts in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    /// Its number, from 0.
    pub(super) number: usize,
    /// What it is paid in.
    pub(super) currency: &'static str,
    /// The provider's test card.
    pub(super) card: &'static str,
    lines: Vec<OrderLine>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct OrderLine {
    kind: &'static str,
    /// The shop; none for the platform's own.
    shop: Option<usize>,
    category: &'static str,
    amount: i64,
    tax: i64,
}

/// What is given back of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// So much of the first line, net; minor units.
    FirstLine(i64),
    /// Everything.
    Whole,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    /// A buyer orders.
    Order(Order),
    /// A buyer gets money back.
    Refund {
        /// The order's number.
        order: usize,
        /// How much of it.
        part: Part,
        /// Why.
        reason: &'static str,
    },
    /// Nothing; the provider's clock may bring something.
    Look,
}

/// When something happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// Business time.
    pub(super) at: Timestamp,
    /// What.
    pub(super) deed: Deed,
}

/// Everything that happens between two times, in order.
pub(super) fn story(from: Timestamp, until: Timestamp) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut number = 0;
    for (day, orders) in (0..).zip(ORDERS) {
        let midnight = start_of_day(from) + SignedDuration::from_hours(24 * day);
        steps.extend(NIGHT_LOOKS.map(|after| Step { at: midnight + after, deed: Deed::Look }));
        let opening = midnight + SignedDuration::from_hours(OPENING_HOUR);
        for place in 0..orders {
            let minutes = SignedDuration::from_secs(i64::try_from(mixed(place, number) % 3_600).unwrap_or(0));
            let after = BETWEEN_ORDERS * i32::try_from(place).unwrap_or(0) + minutes;
            order_and_refund(opening + after, number, &mut steps);
            number += 1;
        }
    }
    steps.retain(|step| from < step.at && step.at + QUIET_END < until);
    steps.sort_by_key(|step| step.at);
    steps
}

fn order_and_refund(at: Timestamp, number: u64, steps: &mut Vec<Step>) {
    let order = order(number);
    let (id, first) = (order.number, order.lines.first().map_or(0, |line| line.amount));
    steps.push(Step { at, deed: Deed::Order(order) });
    let mut refund = |hours, part, reason| {
        let at = at + SignedDuration::from_hours(hours);
        steps.push(Step { at, deed: Deed::Refund { order: id, part, reason } });
    };
    match number % 10 {
        3 => refund(26, Part::FirstLine(first / 2), "arrived damaged"),
        7 => refund(3, Part::Whole, "changed their mind"),
        9 => refund(51, Part::FirstLine(first), "returned"),
        _ => {}
    }
}

/// A cart of one or two shops of the same currency.
fn order(number: u64) -> Order {
    let german = mixed(number, 1).is_multiple_of(2);
    let [first, second] = if german { [0, 1] } else { [2, NEWCOMER] };
    let shops = match mixed(number, 2) % 5 {
        0 => vec![second],
        1 | 2 => vec![first],
        _ => vec![first, second],
    };
    let mut lines = Vec::new();
    for shop in &shops {
        lines.push(item(*shop, mixed(number, 3 + lines.len() as u64)));
    }
    if mixed(number, 8).is_multiple_of(3) {
        lines.push(item(shops[0], mixed(number, 9)));
    }
    lines.push(OrderLine { kind: "shipping", shop: Some(shops[0]), category: "shipping", amount: 4_90, tax: 0 });
    if mixed(number, 10).is_multiple_of(4) {
        lines.push(OrderLine { kind: "platform", shop: None, category: "service fee", amount: 1_50, tax: 0 });
    }
    Order {
        number: usize::try_from(number).expect("some dozens"),
        currency: SHOPS[first].currency,
        card: match number % 12 {
            5 => "pm_card_visa_chargeDeclinedInsufficientFunds",
            11 => "pm_card_visa_chargeDeclined",
            1 | 4 | 8 => "pm_card_mastercard",
            6 => "pm_card_amex",
            _ => "pm_card_visa",
        },
        lines,
    }
}

fn item(shop: usize, pick: u64) -> OrderLine {
    let products = SHOPS[shop].products;
    let product = products[usize::try_from(pick % 4).expect("below four")];
    let amount = product.price * if pick.is_multiple_of(7) { 2 } else { 1 };
    let tax = (amount * product.tax_bps + 5_000) / 10_000;
    OrderLine { kind: "item", shop: Some(shop), category: product.category, amount, tax }
}

impl Order {
    /// What the marketplace asks for it, over the interface.
    pub(super) fn body(&self, sellers: &[SellerId]) -> Value {
        let lines: Vec<Value> = self.lines.iter().map(|line| line.body(sellers)).collect();
        json!({
            "reference": format!("order-{}", 1_001 + self.number),
            "amount": self.lines.iter().map(|line| line.amount + line.tax).sum::<i64>(),
            "currency": self.currency,
            "payment_method": self.card,
            "description": format!("{NAME}, order {}", 1_001 + self.number),
            "lines": lines,
        })
    }
}

impl OrderLine {
    fn body(&self, sellers: &[SellerId]) -> Value {
        let mut line = json!({ "type": self.kind, "amount": self.amount, "category": self.category });
        if let Some(shop) = self.shop {
            line["seller"] = json!(sellers[shop]);
            if self.tax > 0 {
                let Shop { liability, country, .. } = SHOPS[shop];
                line["tax"] = json!({ "amount": self.tax, "liability": liability, "jurisdiction": country });
            }
        }
        line
    }
}

/// Midnight UTC before a time.
fn start_of_day(at: Timestamp) -> Timestamp {
    const DAY: i64 = 86_400;
    let seconds = at.as_second();
    Timestamp::from_second(seconds - seconds.rem_euclid(DAY)).expect("a day back is in range")
}

/// A number that looks random and is the same every time (the finaliser of splitmix64).
fn mixed(number: u64, salt: u64) -> u64 {
    let mut value = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt.wrapping_mul(0xd1b5_4a32_d192_ed03));
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> Vec<Step> {
        let until: Timestamp = "2026-11-22T09:30:00Z".parse().expect("a time");
        story(until - SignedDuration::from_hours(24 * DAYS), until)
    }

    fn orders() -> Vec<Order> {
        let steps = steps().into_iter();
        steps.filter_map(|step| if let Deed::Order(order) = step.deed { Some(order) } else { None }).collect()
    }

    #[test]
    fn it_is_the_same_every_time_and_in_order() {
        assert_eq!(steps(), steps());
        assert!(steps().is_sorted_by_key(|step| step.at));
    }

    #[test]
    fn every_order_is_of_one_currency_and_its_lines_make_its_amount() {
        let sellers: Vec<SellerId> = SHOPS.iter().map(|_| SellerId::new()).collect();
        for order in orders() {
            let shops = order.lines.iter().filter_map(|line| line.shop);
            assert!(shops.clone().all(|shop| SHOPS[shop].currency == order.currency), "{order:?}");
            let body = order.body(&sellers);
            let lines = body["lines"].as_array().expect("a list");
            let sum = lines
                .iter()
                .map(|line| line["amount"].as_i64().unwrap_or(0) + line["tax"]["amount"].as_i64().unwrap_or(0));
            assert_eq!(body["amount"].as_i64(), Some(sum.sum()));
        }
    }

    #[test]
    fn it_is_a_believable_marketplace() {
        let orders = orders();
        let count = |what: fn(&Order) -> bool| orders.iter().filter(|order| what(order)).count();
        assert!(orders.len() >= 35, "{}", orders.len());
        assert!(count(|order| order.currency == "EUR") >= 10 && count(|order| order.currency == "GBP") >= 10);
        assert!(count(|order| order.card.contains("Declined")) >= 2);
        assert!(count(|order| order.lines.iter().filter_map(|line| line.shop).any(|shop| shop == NEWCOMER)) >= 2);
        let refunds = steps();
        let parts = |whole| {
            refunds
                .iter()
                .filter(move |step| matches!(step.deed, Deed::Refund { part, .. } if (part == Part::Whole) == whole))
        };
        assert!(parts(true).count() >= 2 && parts(false).count() >= 3);
    }

    #[test]
    fn at_any_hour_a_paid_order_is_refunded_in_part() {
        for hour in 0..24 {
            let until = "2026-11-22T00:30:00Z".parse::<Timestamp>().expect("a time") + SignedDuration::from_hours(hour);
            let steps = story(until - SignedDuration::from_hours(24 * DAYS), until);
            let paid: Vec<usize> = steps
                .iter()
                .filter_map(|step| match &step.deed {
                    Deed::Order(order) if !order.card.contains("Declined") => Some(order.number),
                    _ => None,
                })
                .collect();
            let refunded = steps.iter().filter(|step| {
                matches!(step.deed, Deed::Refund { order, part: Part::FirstLine(_), .. } if paid.contains(&order))
            });
            assert!(refunded.count() >= 1, "{hour}");
        }
    }
}
