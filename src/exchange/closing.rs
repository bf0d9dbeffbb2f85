//! What is brought home when a position is closed. Pure.

use partita_db::BookId;
use partita_provider::Currency;

use crate::chart::{Chart, PlatformAccount};
use crate::journal::Entry;

/// What of a payment is the platform's own, or owed by it to the state: it is brought into the balance's currency.
const BROUGHT_HOME: [PlatformAccount; 9] = [
    PlatformAccount::Commission,
    PlatformAccount::Fees,
    PlatformAccount::Processing,
    PlatformAccount::DisputeFee,
    PlatformAccount::DisputeLoss,
    PlatformAccount::Goodwill,
    PlatformAccount::BadDebt,
    PlatformAccount::TaxPayable,
    PlatformAccount::CommissionVat,
];

/// What the first crossing of a subject moved: the rate at which what is the platform's of it is valued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    /// In the payment's currency; minor units, not zero.
    pub of: i64,
    /// In the balance's; minor units.
    pub settled: i64,
}

impl Ratio {
    /// An amount of the payment's currency in the balance's, rounded half away from zero; minor units.
    pub fn settle(self, amount: i64) -> i64 {
        scale(amount, self.settled, self.of)
    }

    /// An amount of the balance's currency in the payment's, rounded half away from zero; minor units. Nothing, where the
    /// provider moved nothing.
    pub fn own(self, settled: i64) -> i64 {
        scale(settled, self.of, self.settled)
    }
}

fn scale(amount: i64, by: i64, over: i64) -> i64 {
    if over == 0 {
        return 0;
    }
    let product = i128::from(amount) * i128::from(by);
    let over = i128::from(over);
    let (half, sign) = (over.abs() / 2, product.signum() * over.signum());
    let rounded = (product.abs() + half) / over.abs() * sign;
    i64::try_from(rounded).unwrap_or(if sign < 0 { i64::MIN } else { i64::MAX })
}

/// An account's balance under a subject, credits positive; minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Balance {
    pub(super) path: String,
    pub(super) currency: Currency,
    pub(super) amount: i64,
}

/// What earlier closings took off an account; minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Earlier {
    pub(super) account: String,
    pub(super) amount: i64,
    pub(super) settled: i64,
}

/// What stands under a subject that crossed currencies.
#[derive(Debug, Clone)]
pub(super) struct Position {
    pub(super) subject: i64,
    /// The subject's own currency.
    pub(super) own: Currency,
    /// That of the first crossing.
    pub(super) settled: Currency,
    pub(super) ratio: Ratio,
    /// How many closings there were.
    pub(super) closings: i32,
    pub(super) balances: Vec<Balance>,
    pub(super) earlier: Vec<Earlier>,
}

/// What one account is brought home by: credits positive; minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The platform's account.
    pub account: PlatformAccount,
    /// The payment's currency.
    pub own: Currency,
    /// What leaves the account in it.
    pub amount: i64,
    /// The balance's currency.
    pub settled: Currency,
    /// What the account is credited with in it.
    pub settled_amount: i64,
}

impl Position {
    /// Whether no seller has anything of it, nothing is in clearing and nothing disputed. What a seller owes is a debt, not on its
    /// way.
    pub(super) fn is_at_rest(&self) -> bool {
        let moves = |path: &str| match path.split('.').next() {
            Some("clr" | "dsp") => true,
            Some("sel") => path.split('.').next_back() != Some("debt"),
            _ => false,
        };
        self.balances.iter().all(|balance| balance.amount == 0 || !moves(&balance.path))
    }

    /// What brings the platform's part home and leaves nothing on the position; nothing where that is so.
    pub(super) fn close(&self) -> Vec<Closed> {
        let mut closed: Vec<Closed> = BROUGHT_HOME.iter().filter_map(|account| self.bring_home(*account)).collect();
        let brought: i64 = closed.iter().map(|one| one.settled_amount).sum();
        let positions = self.balances.iter().filter(|balance| balance.currency != self.own);
        let mut left: Vec<(Currency, i64)> = positions
            .filter(|balance| balance.path == PlatformAccount::Exchange.path())
            .map(|balance| (balance.currency, balance.amount))
            .collect();
        match left.iter_mut().find(|(currency, _)| *currency == self.settled) {
            Some((_, amount)) => *amount -= brought,
            None => left.push((self.settled, -brought)),
        }
        closed.extend(left.into_iter().filter(|(_, amount)| *amount != 0).map(|(settled, settled_amount)| Closed {
            account: PlatformAccount::ExchangeResult,
            own: self.own,
            amount: 0,
            settled,
            settled_amount,
        }));
        closed
    }

    /// All that ever came of the account is valued at one rate, so that any sequence of closings ends at the same cent.
    fn bring_home(&self, account: PlatformAccount) -> Option<Closed> {
        let own = self.balances.iter().find(|balance| balance.path == account.path() && balance.currency == self.own);
        let amount = own.map_or(0, |balance| balance.amount);
        let (mut before, mut settled_before) = (0, 0);
        for earlier in self.earlier.iter().filter(|earlier| earlier.account == account.path()) {
            before += earlier.amount;
            settled_before += earlier.settled;
        }
        let settled_amount = self.ratio.settle(before + amount) - settled_before;
        (amount != 0).then_some(Closed { account, own: self.own, amount, settled: self.settled, settled_amount })
    }
}

/// What a closing books: each account leaves the payment's currency and enters the balance's by the position.
pub fn entries(book: BookId, closed: &[Closed]) -> Vec<Entry> {
    let sides = closed.iter().flat_map(|one| {
        [(one.own, one.amount, true), (one.settled, one.settled_amount, false)].map(|(currency, amount, leaves)| {
            let chart = Chart { book, currency };
            let (account, position) = (chart.platform(one.account), chart.platform(PlatformAccount::Exchange));
            let (debit, credit) = if leaves { (account, position) } else { (position, account) };
            Entry::signed(debit, credit, amount)
        })
    });
    sides.filter(|entry| entry.amount != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).expect("a currency")
    }

    fn balance(path: &str, code: &str, amount: i64) -> Balance {
        Balance { path: path.to_owned(), currency: currency(code), amount }
    }

    /// Credits positive: USD 130 charged as EUR 120, USD 117 transferred for EUR 108.60; EUR 3.20 the processor kept.
    fn sold() -> Position {
        Position {
            subject: 1,
            own: currency("USD"),
            settled: currency("EUR"),
            ratio: Ratio { of: 130_00, settled: 120_00 },
            closings: 0,
            balances: vec![
                balance("fx", "USD", -13_00),
                balance("rev.commission", "USD", 13_00),
                balance("fx", "EUR", 11_40),
                balance("exp.processing", "EUR", -3_20),
                balance("prov.available", "EUR", -8_20),
                balance("sel.x.available", "USD", 0),
            ],
            earlier: Vec::new(),
        }
    }

    fn result(closed: &[Closed]) -> Vec<(&'static str, i64, i64)> {
        closed.iter().map(|one| (one.account.path(), one.amount, one.settled_amount)).collect()
    }

    #[test]
    fn the_commission_of_usd_13_is_eur_12_and_sixty_cents_are_the_loss() {
        let closed = sold().close();
        assert_eq!(result(&closed), [("rev.commission", 13_00, 12_00), ("fx.result", 0, -60)]);
        let book = BookId::try_new(1).expect("in range");
        let (usd, eur) = (Chart { book, currency: currency("USD") }, Chart { book, currency: currency("EUR") });
        let entry = |debit, credit, amount| Entry { debit, credit, amount };
        assert_eq!(
            entries(book, &closed),
            [
                entry(usd.platform(PlatformAccount::Commission), usd.platform(PlatformAccount::Exchange), 13_00),
                entry(eur.platform(PlatformAccount::Exchange), eur.platform(PlatformAccount::Commission), 12_00),
                entry(eur.platform(PlatformAccount::ExchangeResult), eur.platform(PlatformAccount::Exchange), 60),
            ]
        );
    }

    /// All of it refunded at 0.95 (EUR 123.50), the transfer taken back at 0.90 (EUR 105.30): the commission is nobody's any more,
    /// in either currency, and the refund's rate is the platform's loss alone.
    #[test]
    fn a_full_refund_at_another_rate_takes_the_commission_back_to_the_cent() {
        let mut refunded = sold();
        refunded.closings = 1;
        refunded.earlier = vec![
            Earlier { account: "rev.commission".to_owned(), amount: 13_00, settled: 12_00 },
            Earlier { account: "fx.result".to_owned(), amount: 0, settled: -60 },
        ];
        refunded.balances = vec![
            balance("fx", "USD", 13_00),
            balance("rev.commission", "USD", -13_00),
            balance("rev.commission", "EUR", 12_00),
            balance("fx", "EUR", -123_50 + 105_30),
        ];
        // 120.00 - 108.60 - 123.50 + 105.30 = -6.80 in all, of which 0.60 were told before.
        assert_eq!(result(&refunded.close()), [("rev.commission", -13_00, -12_00), ("fx.result", 0, -6_20)]);
    }

    #[test]
    fn what_is_on_its_way_keeps_a_position_open_and_a_debt_does_not() {
        assert!(sold().is_at_rest());
        for path in ["sel.x.pending", "sel.x.available", "sel.x.held", "sel.x.reserve", "clr.refund", "dsp.receivable"]
        {
            let mut moving = sold();
            moving.balances.push(balance(path, "USD", -1));
            assert!(!moving.is_at_rest(), "{path}");
        }
        let mut owing = sold();
        owing.balances.push(balance("sel.x.debt", "USD", -22_50));
        assert!(owing.is_at_rest());
    }

    #[test]
    fn a_position_that_is_closed_has_nothing_to_close() {
        let mut closed = sold();
        closed.balances = vec![balance("rev.commission", "EUR", 12_00), balance("fx.result", "EUR", -60)];
        closed.earlier = vec![Earlier { account: "rev.commission".to_owned(), amount: 13_00, settled: 12_00 }];
        assert!(closed.close().is_empty());
    }

    #[test]
    fn parts_that_do_not_divide_end_at_the_cent_of_the_whole() {
        let mut position = sold();
        position.ratio = Ratio { of: 3_00, settled: 1_00 };
        let (mut earlier, mut told) = (Vec::new(), 0);
        for part in [1, 1, 1, 2, 5, 290] {
            position.balances = vec![balance("rev.fees", "USD", part)];
            position.earlier.clone_from(&earlier);
            let home = position.bring_home(PlatformAccount::Fees).expect("something");
            earlier.push(Earlier { account: "rev.fees".to_owned(), amount: part, settled: home.settled_amount });
            told += home.settled_amount;
        }
        assert_eq!(told, 1_00);
    }

    #[test]
    fn amounts_round_half_away_from_zero_whatever_the_decimals() {
        // KWD has three decimals, JPY none: KWD 10.010 for JPY 4,899.
        let ratio = Ratio { of: 10_010, settled: 4_899 };
        assert_eq!((ratio.settle(1_001), ratio.settle(-1_001)), (490, -490), "489.9");
        assert_eq!((ratio.own(4_899), ratio.own(490)), (10_010, 1_001), "1,001.2");
        let half = Ratio { of: 2, settled: 1 };
        assert_eq!((half.settle(1), half.settle(-1), half.settle(3)), (1, -1, 2));
        assert_eq!(Ratio { of: 1, settled: 0 }.own(5), 0);
    }
}
