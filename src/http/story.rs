//! What happened, in plain words.

use crate::operations::HistoryStep;
use crate::outbox::StateChange;

/// One step of a command towards the provider.
pub fn of_operation(step: &HistoryStep) -> String {
    let why = because(step.detail.as_deref());
    let attempt = step.attempt;
    match (step.from.as_deref(), step.to.as_str()) {
        (None, "planned") => "The command was stored, to be sent by the worker.".to_owned(),
        (None, _) => "The command was stored and is being sent.".to_owned(),
        (Some("submitting"), "planned") => format!("Attempt {attempt} certainly had no effect{why} It is sent again."),
        (_, "submitting") => format!("Attempt {attempt} was begun."),
        (_, "unknown") => {
            format!(
                "Nobody can tell what became of attempt {attempt}{why} It is not taken for a failure: it is asked for again or looked up."
            )
        }
        (_, "needs_review") => format!("Two people have to decide what became of it{why}"),
        (_, "succeeded") => "The provider did it.".to_owned(),
        (_, "failed") => format!("It was refused and had no effect{why}"),
        (_, other) => format!("It became {other}{why}"),
    }
}

/// One change of an object's state.
pub fn of_change(change: &StateChange) -> String {
    let why = because(change.detail.as_deref());
    let thing = match change.object_type.as_str() {
        "payment" => "The payment",
        "refund" => "The refund",
        "transfer" => "The transfer to the seller",
        "reversal" => "The reversal of the transfer",
        "dispute" => "The dispute",
        _ => "It",
    };
    match (change.object_type.as_str(), change.from.as_deref(), change.to.as_str()) {
        ("dispute", None, "inquiry") => format!("The buyer's bank asks about the payment{why}"),
        ("dispute", None, _) => format!("The buyer's bank disputes the payment{why}"),
        ("dispute", Some(before), after) if before == after => {
            "The dispute moved money, or its deadline or evidence changed.".to_owned()
        }
        ("dispute", _, "needs_response") => "The bank made a dispute of its inquiry.".to_owned(),
        ("dispute", _, "under_review") => "The bank has the evidence.".to_owned(),
        ("dispute", _, "won") => "The dispute was won; the money is back.".to_owned(),
        ("dispute", _, "lost") => "The dispute was lost; the buyer has the money.".to_owned(),
        ("dispute", _, "closed") => "The inquiry ended before any money was taken.".to_owned(),
        ("payment_line", None, "waiting") => "The share of a line waits to be released.".to_owned(),
        ("payment_line", _, "held") => format!("A person holds the share of a line{why}"),
        ("payment_line", _, "released") => "The share of the line is its seller's to use.".to_owned(),
        ("payment_line", _, _) => "The share of the line has a date, or may not be held for much longer.".to_owned(),
        (_, None, _) => format!("{thing} was asked for."),
        ("payment", Some("succeeded"), "succeeded") => {
            "The provider made the money usable, part of it was refunded, or the application fee came or went back."
                .to_owned()
        }
        ("payment", _, "authorized") => "The amount is held on the buyer's card; nothing moved.".to_owned(),
        ("payment", _, "succeeded") => "The buyer was charged.".to_owned(),
        ("payment", _, "requires_action") => "The buyer has to do something first.".to_owned(),
        ("payment", Some("succeeded"), "failed") => format!("The buyer's bank took the payment back{why}"),
        ("payment", Some("failed"), "failed") => "Its application fee came, or went back.".to_owned(),
        ("payment", Some("processing"), "processing") => {
            "The provider has it and waits for the buyer's bank.".to_owned()
        }
        ("payment", _, "canceled") => "The payment was given up; nobody was charged.".to_owned(),
        ("refund", _, "pending") => "The provider has the refund and waits with it.".to_owned(),
        ("refund", _, "returned") => {
            format!("The refund came back after its money had left; the buyer is still owed{why}")
        }
        ("refund", _, "settled") => format!("The refund was paid from the bank instead{why}"),
        ("refund", Some("returned"), "failed") => {
            format!("The refund was given up; everyone has back what was taken{why}")
        }
        ("refund", _, "succeeded") => "The refund went out to the buyer.".to_owned(),
        ("transfer", _, "succeeded") => "The seller's share reached the seller's account at the provider.".to_owned(),
        ("reversal", _, "succeeded") => "The provider took the money back from the seller's account.".to_owned(),
        (_, _, "failed") => format!("{thing} failed{why}"),
        (_, _, other) => format!("{thing} became {other}{why}"),
    }
}

/// `: why.`, or the full stop alone.
fn because(detail: Option<&str>) -> String {
    match detail.map(|detail| detail.trim_end_matches('.')) {
        Some(detail) if !detail.is_empty() => format!(": {detail}."),
        _ => ".".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::id::OperationId;

    fn step(from: Option<&str>, to: &str, detail: Option<&str>) -> HistoryStep {
        HistoryStep {
            operation: OperationId::new(),
            step: 2,
            from: from.map(str::to_owned),
            to: to.to_owned(),
            attempt: 3,
            detail: detail.map(str::to_owned),
            at: Timestamp::UNIX_EPOCH,
            recorded_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_doubt_is_told_as_a_doubt() {
        let text = of_operation(&step(Some("submitting"), "unknown", Some("timed out.")));
        assert!(text.starts_with("Nobody can tell what became of attempt 3: timed out. It is not"), "{text}");
    }

    #[test]
    fn a_step_without_a_reason_is_a_whole_sentence() {
        assert_eq!(of_operation(&step(Some("submitting"), "failed", None)), "It was refused and had no effect.");
        assert_eq!(of_operation(&step(Some("unknown"), "succeeded", None)), "The provider did it.");
    }
}
