//! What is booked under a payment that was charged on its seller's own account: one transaction for each movement.

use std::collections::BTreeMap;

use super::{MovementRow, PaymentFacts, Transactions, add};
use crate::chart::{Chart, Kind};
use crate::payments::DirectCharge;
use crate::payments::direct::{DIRECT_CHARGE, entries};

pub(super) fn of_direct(
    chart: Chart,
    direct: &DirectCharge,
    returned_vats: &BTreeMap<i64, i64>,
    facts: &PaymentFacts,
) -> Transactions {
    let mut booked = Transactions::new();
    for movement in &facts.movements {
        let MovementRow { key, fee, net, booked_as: state, .. } = *movement;
        let (kind, entries) = match kind_of(facts, movement) {
            Kind::ApplicationFeeReceived => {
                let received = entries::fee_received(chart, net + fee, direct.vat, fee, state);
                (Kind::ApplicationFeeReceived, received)
            }
            Kind::ApplicationFeeReturned => {
                let vat = returned_vats.get(&key).copied().unwrap_or(0);
                (Kind::ApplicationFeeReturned, entries::fee_returned(chart, -net - fee, vat, fee, state))
            }
            kind => (kind, entries::moved(chart, direct.number, net, state)),
        };
        add(&mut booked, kind, key, entries);
    }
    booked
}

fn kind_of(facts: &PaymentFacts, movement: &MovementRow) -> Kind {
    let amount = movement.net + movement.fee;
    match movement.object_type.as_str() {
        DIRECT_CHARGE => Kind::DirectCharged,
        "direct_failure" => Kind::DirectFailed,
        "application_fee" => Kind::ApplicationFeeReceived,
        "application_fee_refund" => Kind::ApplicationFeeReturned,
        _ if facts.disputes.iter().any(|(dispute, _)| movement.object == Some(dispute.id.uuid())) => {
            if amount < 0 {
                Kind::DirectDisputed
            } else {
                Kind::DirectDisputeReinstated
            }
        }
        _ if amount < 0 => Kind::DirectRefunded,
        _ => Kind::DirectRefundReturned,
    }
}
