//! The chart of accounts: which accounts a book has, what their keys are, and how they are guarded.
//!
//! An account's key says all there is to say (book, currency, owner, kind), so nothing is looked up to post. The
//! number part of the key is the owner (26 bits; 0 is the platform) and the kind (7 bits).

use partita_db::{BookId, Tx};
use partita_ledger::{AccountClass, AccountKey, LedgerError, NewAccount, NormalSide, open_accounts};
use partita_provider::{Currency, SettlementState};

use crate::id::SellerId;

const KIND_BITS: u32 = 7;

/// A seller as the ledger knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SellerNumber(pub i32);

macro_rules! kinds {
    ($name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal, $path:literal, $side:ident, $class:expr;)* }) => {
        #[doc = "One kind of account of this owner."]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            fn number(self) -> u64 {
                match self { $(Self::$variant => $number,)* }
            }

            /// Its place in the chart, as it is shown.
            pub fn path(self) -> &'static str {
                match self { $(Self::$variant => $path,)* }
            }

            fn normal_side(self) -> NormalSide {
                match self { $(Self::$variant => NormalSide::$side,)* }
            }

            fn class(self) -> AccountClass {
                match self { $(Self::$variant => $class,)* }
            }
        }
    };
}

kinds!(PlatformAccount {
    /// Charged, held by the provider.
    ProviderPending = 1, "prov.pending", Debit, AccountClass::Striped;
    /// Usable at the provider.
    ProviderAvailable = 2, "prov.available", Debit, AccountClass::Striped;
    /// Held by the provider against negative connected accounts.
    ProviderReserved = 3, "prov.reserved", Debit, AccountClass::Striped;
    /// On its way from the provider to the bank.
    ProviderInTransit = 4, "prov.in_transit", Debit, AccountClass::Striped;
    /// The platform's bank account.
    Bank = 5, "bank", Debit, AccountClass::Striped;
    /// Transfers asked and not confirmed.
    ClearingTransfer = 10, "clr.transfer", Credit, AccountClass::Striped;
    /// Refunds asked and not confirmed.
    ClearingRefund = 11, "clr.refund", Credit, AccountClass::Striped;
    /// Top-ups asked and not confirmed.
    ClearingTopUp = 12, "clr.topup", Credit, AccountClass::Striped;
    /// Payouts by bank file, asked and not confirmed.
    ClearingPayout = 14, "clr.payout", Credit, AccountClass::Striped;
    /// Taken by the provider for disputes that are not decided.
    Disputed = 13, "dsp.receivable", Debit, AccountClass::Striped;
    /// Commission on sales.
    Commission = 20, "rev.commission", Credit, AccountClass::Striped;
    /// The platform's own sales and other fees.
    Fees = 21, "rev.fees", Credit, AccountClass::Striped;
    /// What the processor keeps of charges.
    Processing = 30, "exp.processing", Debit, AccountClass::Striped;
    /// What the provider takes for disputes.
    DisputeFee = 31, "exp.dispute_fee", Debit, AccountClass::Striped;
    /// Of lost disputes and of payments that failed late, what nobody else bears.
    DisputeLoss = 32, "exp.dispute_loss", Debit, AccountClass::Striped;
    /// What the platform gives sellers of its own.
    Goodwill = 33, "exp.goodwill", Debit, AccountClass::Striped;
    /// Sellers' debts that were given up.
    BadDebt = 34, "exp.bad_debt", Debit, AccountClass::Striped;
    /// What the provider takes of the platform for sellers' instant payouts.
    PayoutCost = 36, "exp.payout", Debit, AccountClass::Striped;
    /// Between a payment's own currency and that of the provider's balance; one side of it in each.
    Exchange = 50, "fx", Debit, AccountClass::Striped;
    /// What converting came to: above zero a loss.
    ExchangeResult = 51, "fx.result", Debit, AccountClass::Striped;
    /// Tax that the platform owes.
    TaxPayable = 40, "tax.payable", Credit, AccountClass::Striped;
    /// Tax on the commission, which the platform owes.
    CommissionVat = 41, "vat.commission", Credit, AccountClass::Striped;
});

kinds!(SellerAccount {
    /// Earned, not usable yet.
    Pending = 1, "pending", Credit, AccountClass::Single;
    /// Usable; nothing may be taken out below zero.
    Available = 2, "available", Credit, AccountClass::Floored { floor: 0 };
    /// Held while a dispute hangs over it.
    Held = 3, "held", Credit, AccountClass::Single;
    /// Kept back against refunds and disputes.
    Reserve = 4, "reserve", Credit, AccountClass::Floored { floor: 0 };
    /// What the seller owes.
    Debt = 5, "debt", Debit, AccountClass::Single;
    /// Mirror: not usable yet at the provider.
    ConnectedPending = 10, "conn.pending", Debit, AccountClass::Single;
    /// Mirror: usable at the provider.
    ConnectedAvailable = 11, "conn.available", Debit, AccountClass::Single;
    /// Mirror: on its way to the seller's bank.
    ConnectedInTransit = 12, "conn.in_transit", Debit, AccountClass::Single;
    /// Mirror: the seller's bank.
    ExternalBank = 13, "ext.bank", Debit, AccountClass::Single;
    /// Mirror: what the seller owns at the provider.
    Owner = 14, "owner", Credit, AccountClass::Single;
});

/// The accounts of one book in one currency.
#[derive(Debug, Clone, Copy)]
pub struct Chart {
    /// The book.
    pub book: BookId,
    /// The currency.
    pub currency: Currency,
}

impl Chart {
    /// The key of an account of the platform's.
    pub fn platform(self, kind: PlatformAccount) -> AccountKey {
        self.key(0, kind.number())
    }

    /// The key of an account of a seller's.
    pub fn seller(self, seller: SellerNumber, kind: SellerAccount) -> AccountKey {
        self.key(seller.0, kind.number())
    }

    /// The account of the platform's at the provider that a movement stands on.
    pub fn provider(self, state: SettlementState) -> AccountKey {
        self.platform(match state {
            SettlementState::Pending => PlatformAccount::ProviderPending,
            SettlementState::Available => PlatformAccount::ProviderAvailable,
        })
    }

    /// The account of a seller's at the provider that a movement stands on.
    pub fn connected(self, seller: SellerNumber, state: SettlementState) -> AccountKey {
        let kind = match state {
            SettlementState::Pending => SellerAccount::ConnectedPending,
            SettlementState::Available => SellerAccount::ConnectedAvailable,
        };
        self.seller(seller, kind)
    }

    fn key(self, owner: i32, kind: u64) -> AccountKey {
        let owner = u64::try_from(owner).expect("book_counters_seller_fits_account_key keeps it positive");
        AccountKey::new(self.book, self.currency, owner << KIND_BITS | kind)
            .expect("26 bits of owner and 7 of kind fit the 33 bits of the number")
    }

    fn platform_accounts(self) -> impl Iterator<Item = NewAccount> {
        PlatformAccount::ALL.iter().map(move |kind| NewAccount {
            key: self.platform(*kind),
            path: kind.path().to_owned(),
            normal_side: kind.normal_side(),
            class: kind.class(),
        })
    }

    fn seller_accounts(self, number: SellerNumber, id: SellerId) -> impl Iterator<Item = NewAccount> {
        SellerAccount::ALL.iter().map(move |kind| NewAccount {
            key: self.seller(number, *kind),
            path: match kind.path() {
                mirrored if kind.number() >= 10 => format!("{mirrored}.{id}"),
                own => format!("sel.{id}.{own}"),
            },
            normal_side: kind.normal_side(),
            class: kind.class(),
        })
    }

    /// Opens the platform's accounts in this currency; again changes nothing.
    ///
    /// # Errors
    /// What the ledger says.
    pub async fn open_platform(self, tx: &mut Tx) -> Result<(), LedgerError> {
        open_accounts(tx, &self.platform_accounts().collect::<Vec<_>>()).await
    }

    /// Opens the platform's and a seller's accounts in this currency; again changes nothing.
    ///
    /// # Errors
    /// What the ledger says.
    pub async fn open_seller(self, tx: &mut Tx, number: SellerNumber, id: SellerId) -> Result<(), LedgerError> {
        let accounts: Vec<_> = self.platform_accounts().chain(self.seller_accounts(number, id)).collect();
        open_accounts(tx, &accounts).await
    }
}

/// What happened, as a ledger transaction says it. The numbers stand in rows: never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum Kind {
    /// A buyer was charged: the split, the commission and the processor's fee.
    PaymentCharged = 1,
    /// The provider made money of a movement usable.
    FundsAvailable = 2,
    /// Sellers' shares of a payment became usable.
    SharesReleased = 3,
    /// The provider gave back what was authorised and not captured.
    CaptureRestReleased = 4,
    /// The buyer's bank took a payment back that had succeeded.
    PaymentFailed = 5,
    /// A line's share that waited by itself became usable.
    LineReleased = 6,
    /// A transfer to a seller was asked.
    TransferAsked = 10,
    /// The provider moved it.
    TransferConfirmed = 11,
    /// The provider refused it.
    TransferRefused = 12,
    /// Mirror: it arrived on the seller's account.
    TransferArrived = 13,
    /// The provider took a transfer back.
    ReversalConfirmed = 14,
    /// Mirror: it left the seller's account.
    ReversalTaken = 15,
    /// The provider sent a seller its share with the charge itself.
    TransferWithCharge = 16,
    /// A refund was asked.
    RefundAsked = 20,
    /// The provider took it from the platform's balance.
    RefundConfirmed = 21,
    /// The provider refused it.
    RefundRefused = 22,
    /// It came back after its money had left.
    RefundReturned = 23,
    /// One that came back is given up: everyone has back what was taken for it.
    RefundReinstated = 24,
    /// One that came back was paid from the bank instead.
    RefundSettled = 25,
    /// Mirror: a seller's payout left its account.
    PayoutSent = 30,
    /// Mirror: it reached the bank.
    PayoutPaid = 31,
    /// Mirror: it came back.
    PayoutFailed = 32,
    /// A payout of the platform's own left its balance at the provider.
    PlatformPayoutSent = 33,
    /// It reached the platform's bank.
    PlatformPayoutPaid = 34,
    /// It came back to the balance.
    PlatformPayoutFailed = 35,
    /// A payout by bank file took of what a seller has of a payment or an adjustment.
    BankPayoutAsked = 36,
    /// The platform's bank paid it.
    BankPayoutPaid = 37,
    /// The seller's bank sent it back after it was paid.
    BankPayoutReturned = 38,
    /// It was given up, or the bank refused it: nothing was paid.
    BankPayoutEnded = 39,
    /// A top-up was asked.
    TopUpAsked = 40,
    /// It arrived at the provider.
    TopUpConfirmed = 41,
    /// The bank or the provider refused it.
    TopUpRefused = 42,
    /// The provider changed what it reserves against negative connected accounts.
    ReserveChanged = 50,
    /// The provider took a disputed amount and its fee.
    DisputeWithdrawn = 60,
    /// Sellers' shares of what is disputed are held.
    DisputeHeld = 61,
    /// The provider gave a disputed amount back.
    DisputeReinstated = 62,
    /// Sellers' held shares are theirs again.
    DisputeWon = 63,
    /// A disputed amount is borne by whom the policy names.
    DisputeLost = 64,
    /// People gave a seller money, or took it, by hand.
    AdjustmentBooked = 70,
    /// What a seller was short of at the end of a day is its debt.
    DebtOpened = 71,
    /// Later money of the seller paid a debt.
    DebtOffset = 72,
    /// Two people gave a debt up.
    DebtWrittenOff = 73,
    /// Of a debt that was written off, something came back.
    DebtRecovered = 74,
    /// What had paid a debt is the seller's again, as the debt's own money came back.
    DebtReturned = 75,
    /// What the platform has of a payment in its own currency was brought into that of the provider's balance.
    PositionClosed = 85,
    /// Of a seller's money, something is kept back.
    ReserveTaken = 90,
    /// What was kept back of a payment is used for its refund, dispute or late failure.
    ReserveDrawn = 91,
    /// What a reserve was used for did not stay: it is kept back again.
    ReserveRestored = 92,
    /// What was kept back is the seller's again.
    ReserveReleased = 93,
    /// Mirror: a buyer was charged on the seller's own account.
    DirectCharged = 100,
    /// Mirror: the buyer's bank took such a charge back from there.
    DirectFailed = 101,
    /// Mirror: it was refunded from there.
    DirectRefunded = 102,
    /// Mirror: such a refund came back.
    DirectRefundReturned = 103,
    /// Mirror: a dispute of it took money from there.
    DirectDisputed = 104,
    /// Mirror: a dispute of it gave money back.
    DirectDisputeReinstated = 105,
    /// What the platform keeps of a charge on a seller's account came onto its balance.
    ApplicationFeeReceived = 106,
    /// It went back, in part or whole.
    ApplicationFeeReturned = 107,
    /// The platform got the fee of an instant payout.
    PayoutFeeTaken = 110,
    /// The fee of an instant payout that came back was given back.
    PayoutFeeReturned = 111,
    /// The provider took what instant payouts cost the platform.
    PayoutCostTaken = 112,
}

impl Kind {
    /// The number that ledger rows carry.
    pub fn number(self) -> i16 {
        self as i16
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_account_has_its_own_key() {
        let chart = Chart {
            book: BookId::try_new(3).expect("in range"),
            currency: Currency::parse("EUR").expect("a currency"),
        };
        let largest = SellerNumber((1 << 26) - 1);
        let mut keys = HashSet::new();
        for kind in PlatformAccount::ALL {
            assert!(keys.insert(chart.platform(*kind).get()));
        }
        for seller in [SellerNumber(1), SellerNumber(2), largest] {
            for kind in SellerAccount::ALL {
                assert!(keys.insert(chart.seller(seller, *kind).get()));
            }
        }
    }
}
