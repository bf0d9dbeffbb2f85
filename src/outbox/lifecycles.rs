//! Which state may follow which, of every object that keeps a history: said here once. The database takes no other change
//! (`state_changes_allowed`), and `docs/states.md` is drawn from it.

use std::fmt::Write as _;

/// One way from a state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The state before; none for a new object.
    pub from: Option<&'static str>,
    /// The state after.
    pub to: &'static str,
    /// What leads there.
    pub by: &'static str,
}

/// The states of one kind of objects.
#[derive(Debug)]
pub struct Lifecycle {
    /// The resource, as histories and events name it.
    pub object_type: &'static str,
    /// What it is, for a heading.
    pub title: &'static str,
    /// The ways between its states, all of them.
    pub steps: &'static [Step],
}

macro_rules! lifecycles {
    ($($object:literal $title:literal { $($by:literal: $($from:ident),* => $to:ident;)* })*) => {
        /// Every kind of objects that has states.
        pub static LIFECYCLES: &[Lifecycle] = &[$(Lifecycle {
            object_type: $object,
            title: $title,
            steps: &[$($(Step { from: lifecycles!(@before $from), to: stringify!($to), by: $by },)*)*],
        },)*];
    };
    (@before new) => { None };
    (@before $state:ident) => { Some(stringify!($state)) };
}

lifecycles! {
    "seller" "Sellers" {
        "created": new => onboarding;
        "transfers work": onboarding, restricted, failed => active;
        "transfers were taken away": active => restricted;
        "the provider refused the account": onboarding => failed;
        "the provider shows an account after all": failed => onboarding;
    }
    "payment" "Payments" {
        "asked of the provider": new => processing;
        "the buyer has to act": processing => requires_action;
        "held on the card": processing, requires_action => authorized;
        "charged or captured": processing, requires_action, authorized, failed, canceled => succeeded;
        "declined or refused": processing, requires_action, authorized => failed;
        "given up, or the hold ran out": processing, requires_action, authorized => canceled;
        "the buyer's bank took it back": succeeded => failed;
    }
    "transfer" "Transfers" {
        "asked of the provider": new => processing;
        "the share arrived": processing => succeeded;
        "refused, nothing moved": processing => failed;
    }
    "reversal" "Transfer reversals" {
        "asked of the provider": new => processing;
        "the share is back": processing => succeeded;
        "refused, nothing moved": processing => failed;
    }
    "refund" "Refunds" {
        "asked of the provider": new => processing;
        "the provider waits, for funds for instance": processing => pending;
        "sent to the buyer": processing, pending => succeeded;
        "refused": processing, pending => failed;
        "it came back after its money had left": processing, pending, succeeded => returned;
        "given up: everyone has their share again": returned => failed;
        "paid from the bank instead": returned => settled;
    }
    "dispute" "Disputes" {
        "the bank asks": new => inquiry;
        "the bank took the money": new, inquiry => needs_response;
        "evidence is with the bank": inquiry, needs_response => under_review;
        "won": inquiry, needs_response, under_review => won;
        "lost or accepted": inquiry, needs_response, under_review => lost;
        "over before money was taken": inquiry, needs_response, under_review => closed;
    }
    "payout" "Sellers' payouts" {
        "asked of the provider": new => processing;
        "it left the balance": new, processing => pending;
        "handed to the bank": pending => in_transit;
        "credited": pending, in_transit => paid;
        "refused, or the bank sent it back": processing, pending, in_transit, paid => failed;
        "given up before it was sent": pending, in_transit, paid => canceled;
    }
    "platform_payout" "The platform's payouts" {
        "asked of the provider": new => processing;
        "it left the balance": processing => pending;
        "handed to the bank": pending => in_transit;
        "credited": pending, in_transit => paid;
        "refused, or the bank sent it back": processing, pending, in_transit, paid => failed;
        "given up before it was sent": pending, in_transit, paid => canceled;
    }
    "top_up" "Top-ups" {
        "asked of the provider": new => processing;
        "on its way from the bank": processing => pending;
        "arrived": processing, pending => succeeded;
        "refused, nothing moved": processing, pending => failed;
    }
    "adjustment" "Adjustments" {
        "proposed": new => pending;
        "small enough for one key": new => booked;
        "approved by another key": pending => booked;
        "turned down or withdrawn": pending => rejected;
        "nobody decided in time": pending => expired;
    }
    "approval" "Approvals" {
        "requested": new => pending;
        "approved by another key": pending => approved;
        "turned down or withdrawn": pending => rejected;
        "nobody decided in time": pending => expired;
    }
    "debt" "Debts" {
        "a seller was short at the end of a day": new => open;
        "paid by later money": open => paid;
        "what is left was given up, by two people": open => written_off;
    }
    "reserve" "Reserves" {
        "kept back": new => open;
        "its date came, or a person released it": open => releasing;
        "nothing is held any more": releasing => released;
    }
    "stuck_money" "Stuck money" {
        "it did not move for too long": new => open;
        "it moved on": open => cleared;
    }
    "reconciliation_break" "Breaks of the reconciliation" {
        "ledger and provider differ": new => open;
    }
    "verify_run" "Violations of an invariant" {
        "the books break an invariant": new => violated;
        "a person cleared the halt": violated => cleared;
    }
    "recovery_policy" "How debts are recovered" {
        "declared": new => declared;
    }
    "refund_policy" "Who bears what of refunds" {
        "declared": new => declared;
    }
    "dispute_policy" "Who bears what of lost disputes" {
        "declared": new => declared;
    }
    "reserve_policy" "What is kept back of sellers" {
        "declared": new => declared;
    }
    "bank_holidays" "Bank holidays" {
        "declared": new => declared;
    }
    "charge_policy" "How charges reach their sellers" {
        "declared": new => declared;
    }
    "release_policy" "When shares of lines are released" {
        "declared": new => declared;
    }
    "payment_line" "Lines whose share waits" {
        "its rule says so": new => waiting;
        "held by a person": new, waiting => held;
        "to be released on a date": held => waiting;
        "its date came, a person released it, or it was held for as long as it may be": waiting, held => released;
    }
    "customer" "Customers" {
        "asked of the provider": new => processing;
        "the provider knows it": processing => active;
        "refused": processing => failed;
    }
    "payment_method" "Saved payment methods" {
        "asked of the provider": new => processing;
        "the buyer has to act": processing => requires_action;
        "it can be charged": processing, requires_action, failed => saved;
        "refused, or given up": processing, requires_action => failed;
        "taken from its customer": saved => detached;
    }
    "instant_payout_policy" "What instant payouts cost" {
        "declared": new => declared;
    }
    "own_bank_account" "The platform's own bank account" {
        "declared": new => declared;
    }
    "bank_file" "Files for the bank" {
        "made": new => created;
    }
    "webhook_endpoint" "Webhook endpoints" {
        "created": new => enabled;
        "turned off, or it failed for too long": enabled => disabled;
        "turned on again": disabled => enabled;
        "deleted": enabled, disabled => deleted;
    }
    "operation" "Commands to the provider" {
        "written down": new => planned;
        "written down and sent at once": new => submitting;
        "sent": planned, submitting, unknown => submitting;
        "it had its effect": planned, submitting, unknown, needs_review => succeeded;
        "it certainly had none": submitting, unknown, needs_review => failed;
        "to be sent later, it had no effect": submitting => planned;
        "nobody can tell": submitting => unknown;
        "people have to find out": submitting, unknown => needs_review;
    }
    "inbox_event" "Events from the provider" {
        "received": new => received;
        "its effect is booked": received, parked => applied;
        "it came too early": received, parked => parked;
        "it concerns nothing here": received, parked => ignored;
        "it cannot be understood": received, parked => quarantined;
        "reopened, by a person or a newer release": quarantined, ignored => received;
    }
}

/// `docs/states.md`.
pub fn states_markdown() -> String {
    let mut page = String::from(
        "# States\n\n<!-- Made from src/outbox/lifecycles.rs: UPDATE_GENERATED=1 cargo test --lib generated -->\n\n\
         Every object that keeps a history, its states, and the only ways between them: the database refuses a row of history\n\
         that goes another way. A request that a state does not allow is answered by 409 `state_conflict` and names the state.\n\
         What the provider tells late or twice changes nothing. An end that still has a way out is one that the provider can\n\
         take back.\n",
    );
    for lifecycle in LIFECYCLES.iter().filter(|lifecycle| lifecycle.steps.len() > 1) {
        write!(page, "\n## {}\n\n```mermaid\nstateDiagram-v2\n", lifecycle.title).expect("strings take everything");
        for step in lifecycle.steps {
            writeln!(page, "    {} --> {}: {}", step.from.unwrap_or("[*]"), step.to, step.by)
                .expect("strings take everything");
        }
        for end in ends(lifecycle) {
            writeln!(page, "    {end} --> [*]").expect("strings take everything");
        }
        page.push_str("```\n");
    }
    page
}

/// The states that nothing follows, in the order in which they are named.
fn ends(lifecycle: &Lifecycle) -> Vec<&'static str> {
    let mut ends = Vec::new();
    for step in lifecycle.steps {
        let goes_on = lifecycle.steps.iter().any(|other| other.from == Some(step.to));
        if !goes_on && !ends.contains(&step.to) {
            ends.push(step.to);
        }
    }
    ends
}

/// The states that may follow `from`.
#[cfg(test)]
pub fn following(object_type: &str, from: Option<&str>) -> std::collections::BTreeSet<&'static str> {
    let lifecycle = LIFECYCLES.iter().find(|one| one.object_type == object_type).expect("there is such a lifecycle");
    lifecycle.steps.iter().filter(|step| step.from == from).map(|step| step.to).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_way_is_said_twice_and_every_state_can_be_reached() {
        for Lifecycle { object_type, steps, .. } in LIFECYCLES {
            let ways: BTreeSet<_> = steps.iter().map(|step| (step.from, step.to)).collect();
            assert_eq!(ways.len(), steps.len(), "{object_type}");
            let mut reached = following(object_type, None);
            for _ in *steps {
                let next: Vec<_> = reached.iter().flat_map(|state| following(object_type, Some(state))).collect();
                reached.extend(next);
            }
            for step in *steps {
                assert!(step.from.is_none_or(|state| reached.contains(state)), "{object_type}: {step:?}");
            }
        }
    }

    #[test]
    fn what_can_still_change_is_no_end() {
        let payment = LIFECYCLES.iter().find(|one| one.object_type == "payment").expect("payments have states");
        assert!(ends(payment).is_empty(), "a bank can take any charge back");
        let refund = LIFECYCLES.iter().find(|one| one.object_type == "refund").expect("refunds have states");
        assert_eq!(ends(refund), ["failed", "settled"]);
    }
}
