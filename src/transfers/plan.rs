//! What to ask for, so that what a seller has got of a payment becomes what it is entitled to. Pure.

use super::{Transfer, TransferStatus};

/// What to ask for; minor units.
#[derive(Debug, Default)]
pub(super) struct Plan<'a> {
    /// To be sent.
    pub transfer: i64,
    /// To be sent later: the seller has not got it to spend.
    pub short: i64,
    /// To be taken back, by transfer.
    pub reversals: Vec<(&'a Transfer, i64)>,
}

/// Decides for one seller: `share` is its entitlement, `spendable` what it may be sent.
pub(super) fn plan<'a>(share: i64, transfers: &[&'a Transfer], spendable: i64) -> Plan<'a> {
    let missing = missing(share, transfers);
    if missing >= 0 {
        let transfer = missing.min(spendable);
        return Plan { transfer, short: missing - transfer, reversals: Vec::new() };
    }
    let mut excess = -missing;
    let mut reversals = Vec::new();
    // The newest first: what was sent too much was most likely sent last.
    for transfer in transfers.iter().rev().filter(|transfer| transfer.status == TransferStatus::Succeeded) {
        let amount = excess.min(standing(transfer));
        if amount > 0 {
            reversals.push((*transfer, amount));
            excess -= amount;
        }
    }
    Plan { transfer: 0, short: 0, reversals }
}

/// What the seller has not got of its share; below zero what it got too much. Minor units.
pub(super) fn missing(share: i64, transfers: &[&Transfer]) -> i64 {
    let got: i64 = transfers.iter().map(|transfer| standing(transfer)).sum();
    share.max(0) - got
}

/// What a transfer leaves with the seller: nothing when refused, else what is not taken back or asked back.
fn standing(transfer: &Transfer) -> i64 {
    match transfer.status {
        TransferStatus::Failed => 0,
        TransferStatus::Processing | TransferStatus::Succeeded => {
            transfer.amount.minor - transfer.reversed_amount - transfer.reversing_amount
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use partita_provider::{Currency, Money};

    use super::*;
    use crate::id::{Of, PaymentId, SellerId, TransferId};

    fn transfer(amount: i64, status: TransferStatus, reversed: i64, reversing: i64) -> Transfer {
        Transfer {
            id: TransferId::new(),
            key: 1,
            of: Of::Payment(PaymentId::new()),
            seller: SellerId::new(),
            amount: Money::new(amount, Currency::parse("EUR").expect("a currency")),
            status,
            reversed_amount: reversed,
            reversing_amount: reversing,
            provider: "stripe".to_owned(),
            provider_transfer: Some("tr_1".to_owned()),
            failure: None,
            sequence: 1,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn amounts(plan: &Plan<'_>) -> (i64, i64, Vec<i64>) {
        (plan.transfer, plan.short, plan.reversals.iter().map(|(_, amount)| *amount).collect())
    }

    #[test]
    fn a_share_is_sent_once() {
        assert_eq!(amounts(&plan(54_00, &[], 54_00)), (54_00, 0, vec![]));
        let asked = transfer(54_00, TransferStatus::Processing, 0, 0);
        assert_eq!(amounts(&plan(54_00, &[&asked], 54_00)), (0, 0, vec![]));
        let refused = transfer(54_00, TransferStatus::Failed, 0, 0);
        assert_eq!(amounts(&plan(54_00, &[&refused], 54_00)), (54_00, 0, vec![]));
    }

    #[test]
    fn a_short_seller_gets_what_it_has() {
        assert_eq!(amounts(&plan(54_00, &[], 31_50)), (31_50, 22_50, vec![]));
        assert_eq!(amounts(&plan(54_00, &[], 0)), (0, 54_00, vec![]));
    }

    #[test]
    fn a_refund_after_the_transfer_takes_the_difference_back_once() {
        let sent = transfer(54_00, TransferStatus::Succeeded, 0, 0);
        assert_eq!(amounts(&plan(31_50, &[&sent], 0)), (0, 0, vec![22_50]));
        let asked_back = transfer(54_00, TransferStatus::Succeeded, 0, 22_50);
        assert_eq!(amounts(&plan(31_50, &[&asked_back], 0)), (0, 0, vec![]));
        let back = transfer(54_00, TransferStatus::Succeeded, 22_50, 0);
        assert_eq!(amounts(&plan(0, &[&back], 0)), (0, 0, vec![31_50]));
    }

    #[test]
    fn what_is_not_confirmed_cannot_be_taken_back_yet() {
        let asked = transfer(54_00, TransferStatus::Processing, 0, 0);
        assert_eq!(amounts(&plan(0, &[&asked], 0)), (0, 0, vec![]));
    }

    #[test]
    fn the_newest_transfers_go_back_first() {
        let first = transfer(30_00, TransferStatus::Succeeded, 0, 0);
        let second = transfer(24_00, TransferStatus::Succeeded, 0, 0);
        assert_eq!(amounts(&plan(20_00, &[&first, &second], 0)), (0, 0, vec![24_00, 10_00]));
    }

    #[test]
    fn a_kept_commission_takes_back_no_more_than_was_sent() {
        let sent = transfer(54_00, TransferStatus::Succeeded, 0, 0);
        assert_eq!(amounts(&plan(-6_00, &[&sent], 0)), (0, 0, vec![54_00]));
    }
}
