//! Ending a command by what people found out, where the provider's answers left it open.

use jiff::{SignedDuration, Timestamp};
use partita_db::Tx;
use partita_provider::{Command, Lookup, ProviderObject, Refusal, Search};

use super::submit::take_object;
use super::{ApplyError, Origin, apply_refusal};
use crate::journal::Journal;
use crate::operations::{self, Conclusion, Operation};
use crate::sellers::METADATA_OPERATION;

/// Under one key a command is sent for 23 hours at most: the list of what was made meanwhile ends there, however long the
/// doubt lasts.
const SENT_WITHIN_HOURS: i64 = 24;

/// Where the provider shows the object of a command, given the object's id; none for commands that make none.
pub fn lookup_of(operation: &Operation, provider_object: &str) -> Option<Lookup> {
    lookup(&operation.command, provider_object.to_owned())
}

fn lookup(command: &Command, id: String) -> Option<Lookup> {
    Some(match command {
        Command::OnAccount(on) => return Some(lookup(&on.asked, id)?.on(Some(&on.account))),
        Command::CreateAccount(_) | Command::UpdateAccount(_) => Lookup::Account(id),
        Command::CreatePayment(_) | Command::CancelPayment(_) | Command::CapturePayment(_) => Lookup::Payment(id),
        Command::CreateTransfer(_) => Lookup::Transfer(id),
        Command::CreateReversal(asked) => Lookup::Reversal { transfer: asked.transfer.clone(), reversal: id },
        Command::CreateRefund(_) => Lookup::Refund(id),
        Command::CreateTopUp(_) => Lookup::TopUp(id),
        Command::CreatePayout(asked) => Lookup::Payout { account: asked.account.clone(), payout: id },
        Command::SubmitEvidence(_) | Command::AcceptDispute(_) => Lookup::Dispute(id),
        Command::CreateCustomer(_) => Lookup::Customer(id),
        Command::CreateSetup(_) => Lookup::Setup(id),
        Command::DetachMethod(_) => Lookup::Method(id),
        Command::CreateAccountLink(_) => return None,
    })
}

/// How the provider is asked whether it has the object of a command.
pub fn search_for(operation: &Operation) -> Search {
    let sent_from = operation.first_sent_at.unwrap_or(operation.created_at);
    Search {
        command: operation.command.clone(),
        marker: METADATA_OPERATION.to_owned(),
        sent_from: sent_from.as_second(),
        sent_until: Some((sent_from + SignedDuration::from_hours(SENT_WITHIN_HOURS)).as_second()),
    }
}

/// Books the object that a command made, and ends the command.
///
/// # Errors
/// [`ApplyError`]: the object is another command's, or contradicts this one; the caller's transaction must not commit.
pub async fn adopt(
    tx: &mut Tx,
    operation: &Operation,
    object: &ProviderObject,
    origin: Origin<'_>,
    journal: &mut Journal,
) -> Result<(), ApplyError> {
    let origin = Origin { provider: &operation.provider, account: operation.account(), ..origin };
    take_object(tx, operation, object, origin, journal).await
}

/// Undoes what was booked when a command was asked that had no effect, and ends the command.
///
/// # Errors
/// [`ApplyError`]; the caller's transaction must not commit.
pub async fn give_up(
    tx: &mut Tx,
    operation: &Operation,
    refusal: &Refusal,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), ApplyError> {
    apply_refusal(tx, operation, refusal, journal, now).await?;
    let conclusion = Conclusion::Failed { refusal: refusal.clone() };
    if operations::conclude(tx, operation, &conclusion, now).await? { Ok(()) } else { Err(ApplyError::Overtaken) }
}
