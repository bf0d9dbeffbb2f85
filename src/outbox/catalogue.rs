//! Every type of event that can be told. A subscription names one of them; the contract has a page for each.

/// A type of event.
#[derive(Debug, PartialEq, Eq)]
pub struct EventType {
    /// `resource.past_tense`.
    pub name: &'static str,
    /// What happened.
    pub meaning: &'static str,
}

macro_rules! event_types {
    ($($name:literal: $meaning:literal;)*) => {
        /// Every type, by resource.
        pub static EVENT_TYPES: &[EventType] = &[$(EventType { name: $name, meaning: $meaning },)*];
    };
}

event_types! {
    "payment.created": "A payment was asked of the provider.";
    "payment.processing": "The provider works on a payment.";
    "payment.requires_action": "The buyer has to do something, such as to confirm at the bank.";
    "payment.authorized": "The amount is held on the buyer's card until it is captured or let go; nothing moved.";
    "payment.succeeded": "The buyer was charged.";
    "payment.failed": "A payment was declined or refused and no money moved, or the buyer's bank took it back after it had succeeded.";
    "payment.canceled": "A payment was given up before the buyer was charged.";
    "payment.funds_available": "The provider made the money of a payment usable.";
    "payment_line.waiting": "The share of a line waits by itself: it is released some days after the money is usable or delivered, or when you release it.";
    "payment_line.held": "A person holds the share of a line until somebody releases it.";
    "payment_line.scheduled": "The share of a line is to be released on a date; at once where that has come and the money is usable.";
    "payment_line.limit_near": "The share of a line is held and may not be for much longer; told once.";
    "payment_line.limit_reached": "The share of a line is held for as long as it may be, and goes on being held until a person releases it; told once.";
    "payment_line.released": "The share of a line that waited is its seller's to use.";
    "payment.application_fee_received": "What the platform keeps of a direct charge came onto its balance.";
    "payment.application_fee_returned": "Of what the platform kept of a direct charge, a part or all went back to the seller's account.";
    "customer.created": "A customer was asked of the provider.";
    "customer.activated": "The provider knows a customer: payment methods can be saved for it.";
    "customer.failed": "The provider refused to know a customer.";
    "payment_method.created": "A payment method is being saved for later.";
    "payment_method.requires_action": "The buyer has to do something before a payment method is saved.";
    "payment_method.saved": "A payment method was saved: it can be charged.";
    "payment_method.failed": "A payment method could not be saved.";
    "payment_method.detached": "A payment method was taken from its customer and cannot be charged any more.";
    "refund.created": "A refund was asked of the provider.";
    "refund.pending": "The provider has the refund and waits, for funds for instance.";
    "refund.succeeded": "The money is on its way back to the buyer.";
    "refund.returned": "A refund failed after its money had left: the money is back, the buyer is still owed, somebody has to decide.";
    "refund.settled": "A refund that came back was paid from the bank instead.";
    "refund.failed": "A refund did not go through; the shares are as before.";
    "transfer.created": "A transfer of a seller's share was asked of the provider.";
    "transfer.succeeded": "The share is in the seller's account at the provider.";
    "transfer.failed": "The provider refused a transfer; no money moved.";
    "transfer.reversed": "A transfer was taken back, in part or whole.";
    "reversal.created": "To take a transfer back was asked of the provider.";
    "reversal.succeeded": "The money left the seller's account at the provider.";
    "reversal.failed": "The provider refused to take a transfer back.";
    "top_up.created": "A top-up was asked of the provider.";
    "top_up.pending": "The money of a top-up is on its way from the bank.";
    "top_up.succeeded": "A top-up arrived at the provider.";
    "top_up.failed": "A top-up was refused; no money moved.";
    "payout.created": "A payout to a seller was asked of the provider, or the provider began one by its own schedule.";
    "payout.accepted": "The provider has taken a payout that was asked: it left the seller's balance.";
    "payout.in_transit": "A payout is on its way to the seller's bank.";
    "payout.paid": "A payout reached the seller's bank. The bank may still return it.";
    "payout.failed": "A payout came back, or the provider refused it.";
    "payout.returned": "The bank sent back a payout by bank file, or did not take it; return_code says why. The money is the seller's again.";
    "payout.canceled": "A payout was given up before it was sent.";
    "bank_file.created": "A file was made for the platform's bank to pay sellers by.";
    "own_bank_account.declared": "The platform's own bank account was declared that a currency is paid from.";
    "instant_payout_policy.declared": "What sellers pay for instant payouts was declared anew.";
    "platform_payout.created": "A payout of the platform's own was asked of the provider.";
    "platform_payout.accepted": "The provider has taken it: it left the platform's balance.";
    "platform_payout.in_transit": "A payout of the platform's own is on its way to its bank.";
    "platform_payout.paid": "A payout of the platform's own reached its bank. The bank may still return it.";
    "platform_payout.failed": "A payout of the platform's own came back, or the provider refused it.";
    "platform_payout.canceled": "A payout of the platform's own was given up before it was sent.";
    "dispute.opened": "A buyer's bank disputes a payment, or asks about it.";
    "dispute.funds_withdrawn": "The provider took a disputed amount and its fee; sellers' shares of it are held if the policy says so.";
    "dispute.updated": "A dispute's status, deadline, reason or evidence changed.";
    "dispute.response_due": "A dispute is not answered and its deadline is near: evidence, or it is lost.";
    "dispute.funds_reinstated": "The provider gave a disputed amount back.";
    "dispute.won": "A dispute was won: sellers' shares are theirs again.";
    "dispute.lost": "A dispute was lost; who bears it is booked by the declared policy.";
    "dispute.closed": "An inquiry ended before any money was taken.";
    "seller.created": "A seller was made.";
    "seller.updated": "What the provider says of a seller changed.";
    "seller.payout_schedule_changed": "When a seller is paid out was declared anew.";
    "seller.payout_skipped": "A seller was not paid out on a payout day of its schedule; payout_day says why.";
    "seller.bank_account_blocked": "A payout came back because of the seller's bank account: none is sent to it any more, the seller has to give another one.";
    "seller.bank_details_changed": "Where a seller is paid by bank file was declared anew, or it is paid out by the provider again.";
    "seller.bank_account_unblocked": "Payouts go to the seller's bank again.";
    "seller.onboarding_completed": "A seller can get money.";
    "seller.requirements_due": "The provider wants something of a seller.";
    "seller.failed": "The provider refused to open a seller's account.";
    "operation.needs_review": "Nobody can tell what became of a command to the provider, or it contradicts what was asked: two people have to decide.";
    "operation.resolved": "Two people decided what became of a command to the provider.";
    "approval.requested": "Somebody proposed something that another person has to agree to.";
    "approval.approved": "A proposal was agreed to, and done.";
    "approval.rejected": "A proposal was turned down or withdrawn.";
    "approval.expired": "Nobody decided about a proposal in time; nothing was done.";
    "adjustment.created": "Somebody wants to adjust a seller's balance by more than one person may; a second one has to agree.";
    "adjustment.booked": "People gave a seller money, or took it, by hand.";
    "adjustment.rejected": "An adjustment was turned down or withdrawn; nothing was booked.";
    "adjustment.expired": "Nobody agreed to an adjustment in time; nothing was booked.";
    "debt.opened": "What a seller was short of at the end of a day is its debt; later sales pay it before anything is sent.";
    "debt.offset": "Later money of a seller paid part of a debt.";
    "debt.paid": "Later money of a seller paid what was left of a debt.";
    "debt.written_off": "Two people gave up what was left of a debt.";
    "debt.returned": "What a debt was of came back after later money had paid the debt: that money is the seller's again.";
    "debt.recovered": "Of a debt that was written off, something came back.";
    "reserve.created": "Something of a seller's money is to be kept back, by a rule or by hand.";
    "reserve.taken": "Of a share that was released, something was put into a reserve.";
    "reserve.drawn": "A refund, a dispute or a late failure of the very payment used what was kept back of it.";
    "reserve.restored": "What a reserve was used for did not stay: it is kept back again.";
    "reserve.changed": "The rule of a fixed reserve names another amount.";
    "reserve.releasing": "What is left in a reserve goes back to its seller.";
    "reserve.returned": "Of what a reserve kept back, something is its seller's again.";
    "reserve.released": "A reserve holds nothing any more.";
    "stuck_money.found": "Money does not move on, for longer than its cause allows; told once, with what helps.";
    "stuck_money.cleared": "Money that did not move on has moved on.";
    "recovery_policy.declared": "How what sellers are short of is recovered was declared anew.";
    "release_policy.declared": "When shares of lines are released that do not say it themselves, and how long any may be held, was declared anew.";
    "charge_policy.declared": "How payments are charged that do not say it themselves was declared anew.";
    "reserve_policy.declared": "What is kept back of a seller, or of all, was declared anew.";
    "bank_holidays.declared": "On which days the banks of a country do not work was declared anew.";
    "dispute_policy.declared": "Who bears what of lost disputes was declared anew.";
    "refund_policy.declared": "Who bears what of refunds was declared anew.";
    "reconciliation.break_found": "Ledger and provider differ, and did not the last time they were compared; told once for as long as it stands.";
    "verify.violation": "What the books say contradicts itself; if their integrity is concerned, no movement of money is started any more.";
    "verify.cleared": "A person found the books whole again: money moves again.";
    "webhook_endpoint.created": "A webhook endpoint was made.";
    "webhook_endpoint.updated": "A webhook endpoint's address, events or notes were changed.";
    "webhook_endpoint.enabled": "A webhook endpoint gets events again.";
    "webhook_endpoint.disabled": "A webhook endpoint gets no more events: it was asked for, or it answered 410, or it failed for 75 hours.";
    "webhook_endpoint.secret_rotated": "A webhook endpoint got a new secret.";
    "webhook_endpoint.deleted": "A webhook endpoint was deleted.";
    "webhook_endpoint.tested": "Somebody asked for a test of a webhook endpoint; only that endpoint gets it.";
}

/// Whether events of this type are told.
pub fn is_event_type(name: &str) -> bool {
    EVENT_TYPES.iter().any(|known| known.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn types_are_a_resource_and_what_happened_each_once() {
        let mut seen = HashSet::new();
        for EventType { name, meaning } in EVENT_TYPES {
            assert!(seen.insert(name), "{name} stands twice");
            let (resource, happened) = name.split_once('.').expect("a resource and what happened");
            for part in [resource, happened] {
                assert!(!part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            }
            assert!(meaning.ends_with('.'), "{name}");
        }
        assert!(is_event_type("payment.succeeded") && !is_event_type("payment.exploded"));
    }
}
