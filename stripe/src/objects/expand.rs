//! What is asked for along with an object, so that one answer holds all that its booking needs.

/// A payment's charge with its movement on the balance, what gave the rest of a capture back, what took it all away, and
/// what was sent to its destination.
pub(crate) const PAYMENT: [&str; 5] = [
    "latest_charge.balance_transaction",
    "latest_charge.failure_balance_transaction",
    "latest_charge.refunds.data.balance_transaction",
    "latest_charge.transfer.balance_transaction",
    "latest_charge.transfer.destination_payment.balance_transaction",
];
/// An application fee's movement, and those of its refunds.
pub(crate) const APPLICATION_FEE: [&str; 2] = ["balance_transaction", "refunds.data.balance_transaction"];
/// Of a connected account's balance, what each of its bank accounts and cards takes at once. The platform's own has none, and
/// Stripe refuses to be asked.
pub(crate) const INSTANT: [&str; 1] = ["instant_available.net_available"];
/// A payout's movement, and the one that gives it back.
pub(crate) const PAYOUT: [&str; 2] = ["balance_transaction", "failure_balance_transaction"];
/// A refund's movement, and the one that gives it back.
pub(crate) const REFUND: [&str; 2] = ["balance_transaction", "failure_balance_transaction"];
/// A reversal's movements, on the platform's balance and on the connected account's.
pub(crate) const REVERSAL: [&str; 2] = ["balance_transaction", "destination_payment_refund.balance_transaction"];
/// The method that a set-up saves.
pub(crate) const SETUP: [&str; 1] = ["payment_method"];
/// A top-up's movement.
pub(crate) const TOP_UP: [&str; 1] = ["balance_transaction"];
/// A transfer's movements, on the platform's balance and on the connected account's.
pub(crate) const TRANSFER: [&str; 2] = ["balance_transaction", "destination_payment.balance_transaction"];

/// The form in which the builders take them.
pub(crate) fn expand(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}
