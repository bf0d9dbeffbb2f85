//! A movement of the provider beside what it is of. Pure.

use partita_db::BookId;
use partita_provider::{BalanceTransaction, Money, SettlementState};

use super::Ratio;
use crate::chart::{Chart, PlatformAccount};
use crate::journal::Entry;

/// A movement's figures, and what it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// What the provider moved, signed from the balance's point of view.
    pub gross: Money,
    /// What it kept; minor units of the balance's currency.
    pub fee: i64,
    /// Whether the money can be used.
    pub state: SettlementState,
    /// What it is of, signed in the same way. In one currency the movement itself says it.
    pub of: Money,
}

impl Moved {
    /// A movement of what is `of`, signed as the movement.
    pub fn new(movement: &BalanceTransaction, of: Money) -> Self {
        let gross = Money::new(movement.amount, movement.currency);
        Self { gross, fee: movement.fee, state: movement.state, of }
    }

    /// Whether the provider converted.
    pub fn crosses(self) -> bool {
        self.gross.currency != self.of.currency
    }

    /// What moved in the currency of what it is of; minor units.
    pub fn amount(self) -> i64 {
        if self.crosses() { self.of.minor } else { self.gross.minor }
    }

    /// What of the fee is in the currency of what it is of; minor units. Where the provider converted its fee is in the balance's.
    pub fn fee(self) -> i64 {
        if self.crosses() { 0 } else { self.fee }
    }

    /// A fee of the provider's, of this movement or of one that belongs to it, in the currency of what it is of: at the movement's
    /// own rate where the provider converted; minor units.
    pub fn own_fee(self, fee: i64) -> i64 {
        if self.crosses() { Ratio { of: self.of.minor, settled: self.gross.minor }.own(fee) } else { fee }
    }

    /// What is left of the amount; minor units.
    pub fn net(self) -> i64 {
        self.amount() - self.fee()
    }

    /// What is booked: entries `made` in the currency of what it is of, as if the provider had moved that, go by the position
    /// account instead, and the provider's own figures stand against its other side.
    pub fn entries(self, book: BookId, mut made: Vec<Entry>, cost: PlatformAccount) -> Vec<Entry> {
        if !self.crosses() {
            return made;
        }
        let own = Chart { book, currency: self.of.currency };
        let settled = Chart { book, currency: self.gross.currency };
        let (replaced, position) = (own.provider(self.state), own.platform(PlatformAccount::Exchange));
        for entry in &mut made {
            for account in [&mut entry.debit, &mut entry.credit] {
                if *account == replaced {
                    *account = position;
                }
            }
        }
        let provider = settled.provider(self.state);
        made.push(Entry::signed(provider, settled.platform(PlatformAccount::Exchange), self.gross.minor));
        made.push(Entry::signed(settled.platform(cost), provider, self.fee));
        made
    }
}

#[cfg(test)]
mod tests {
    use partita_ledger::AccountKey;
    use partita_provider::Currency;

    use super::*;
    use crate::chart::{SellerAccount, SellerNumber};

    const A: SellerNumber = SellerNumber(1);

    fn book() -> BookId {
        BookId::try_new(1).expect("in range")
    }

    fn chart(code: &str) -> Chart {
        Chart { book: book(), currency: Currency::parse(code).expect("a currency") }
    }

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, Currency::parse(code).expect("a currency"))
    }

    fn entry(debit: AccountKey, credit: AccountKey, amount: i64) -> Entry {
        Entry { debit, credit, amount }
    }

    fn moved(gross: Money, fee: i64, of: Money) -> Moved {
        Moved { gross, fee, state: SettlementState::Available, of }
    }

    #[test]
    fn a_charge_of_usd_130_that_is_settled_as_eur_120_crosses_the_position_in_both_currencies() {
        let (own, settled) = (chart("USD"), chart("EUR"));
        let charge = moved(money(120_00, "EUR"), 3_20, money(130_00, "USD"));
        assert_eq!((charge.amount(), charge.fee(), charge.net()), (130_00, 0, 130_00));
        let (pending, commission) = (own.seller(A, SellerAccount::Pending), own.platform(PlatformAccount::Commission));
        let made = vec![
            entry(own.platform(PlatformAccount::ProviderAvailable), pending, 130_00),
            entry(pending, commission, 13_00),
        ];
        let provider = settled.platform(PlatformAccount::ProviderAvailable);
        assert_eq!(
            charge.entries(book(), made, PlatformAccount::Processing),
            [
                entry(own.platform(PlatformAccount::Exchange), pending, 130_00),
                entry(pending, commission, 13_00),
                entry(provider, settled.platform(PlatformAccount::Exchange), 120_00),
                entry(settled.platform(PlatformAccount::Processing), provider, 3_20),
            ]
        );
    }

    #[test]
    fn a_transfer_of_usd_117_that_cost_eur_108_60_and_a_refund_leave_by_the_position() {
        let (own, settled) = (chart("USD"), chart("EUR"));
        let provider = settled.platform(PlatformAccount::ProviderAvailable);
        let position = own.platform(PlatformAccount::Exchange);
        for (clearing, gross, of) in
            [(PlatformAccount::ClearingTransfer, 108_60, 117_00), (PlatformAccount::ClearingRefund, 27_90, 30_00)]
        {
            let clearing = own.platform(clearing);
            let made = vec![entry(clearing, own.platform(PlatformAccount::ProviderAvailable), of)];
            let out = moved(money(-gross, "EUR"), 0, money(-of, "USD"));
            assert_eq!(
                out.entries(book(), made, PlatformAccount::Processing),
                [
                    entry(clearing, position, of),
                    entry(settled.platform(PlatformAccount::Exchange), provider, gross),
                    entry(settled.platform(PlatformAccount::Processing), provider, 0),
                ]
            );
        }
    }

    #[test]
    fn in_one_currency_the_provider_says_it_all() {
        let same = moved(money(119_00, "EUR"), 3_20, money(120_00, "EUR"));
        assert_eq!((same.amount(), same.fee(), same.net()), (119_00, 3_20, 115_80));
        let made =
            vec![entry(chart("EUR").platform(PlatformAccount::Bank), chart("EUR").platform(PlatformAccount::Fees), 1)];
        assert_eq!(same.entries(book(), made.clone(), PlatformAccount::Processing), made);
    }
}
