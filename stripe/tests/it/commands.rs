//! The commands that the tests against the simulator send.

use std::collections::BTreeMap;

use partita_provider::{
    AcceptDispute, CancelPayment, CaptureMethod, CapturePayment, Command, CreateAccount, CreateAccountLink,
    CreatePayment, CreatePayout, CreateRefund, CreateReversal, CreateTopUp, CreateTransfer, Currency, EvidenceKind,
    PayoutInterval, SubmitEvidence, UpdateAccount,
};

use crate::support::euros;

pub(crate) fn kept(operation: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("op_id".to_owned(), operation.to_owned()), ("note".to_owned(), "ä & b".to_owned())])
}

pub(crate) fn create_account() -> Command {
    Command::CreateAccount(CreateAccount {
        country: "DE".into(),
        email: "seller@example.com".into(),
        default_currency: Currency::parse("EUR").expect("EUR is current"),
        business_type: Some("individual".into()),
        payout_interval: PayoutInterval::Manual,
        metadata: kept("op_account"),
    })
}

pub(crate) fn update_account(account: &str, payout_interval: PayoutInterval) -> Command {
    Command::UpdateAccount(UpdateAccount { account: account.into(), payout_interval })
}

pub(crate) fn create_payout(cents: i64, account: &str) -> Command {
    Command::CreatePayout(CreatePayout {
        account: Some(account.into()),
        amount: euros(cents),
        instant_to: None,
        metadata: kept("op_payout"),
    })
}

pub(crate) fn create_payment(cents: i64, method: &str) -> Command {
    Command::CreatePayment(CreatePayment {
        amount: euros(cents),
        payment_method: method.into(),
        transfer_group: "pay_1".into(),
        description: Some("Order 7".into()),
        capture: CaptureMethod::Automatic,
        return_url: None,
        destination: None,
        on_behalf_of: None,
        application_fee: None,
        customer: None,
        off_session: false,
        metadata: kept("op_payment"),
    })
}

pub(crate) fn create_transfer(cents: i64, destination: &str, charge: Option<&str>) -> Command {
    Command::CreateTransfer(CreateTransfer {
        amount: euros(cents),
        destination: destination.into(),
        source_charge: charge.map(str::to_owned),
        transfer_group: "pay_1".into(),
        metadata: kept("op_transfer"),
    })
}

pub(crate) fn create_reversal(cents: i64, transfer: &str) -> Command {
    Command::CreateReversal(CreateReversal {
        transfer: transfer.into(),
        amount: euros(cents),
        metadata: kept("op_reversal"),
    })
}

pub(crate) fn create_refund(cents: i64, payment: &str) -> Command {
    Command::CreateRefund(CreateRefund {
        payment: payment.into(),
        amount: euros(cents),
        returns_application_fee: false,
        metadata: kept("op_refund"),
    })
}

pub(crate) fn create_top_up(cents: i64) -> Command {
    Command::CreateTopUp(CreateTopUp {
        amount: euros(cents),
        description: Some("Float".into()),
        metadata: kept("op_topup"),
    })
}

pub(crate) fn create_link(account: &str) -> Command {
    Command::CreateAccountLink(CreateAccountLink {
        account: account.into(),
        return_url: "https://example.com/back?a=1&b=2".into(),
        refresh_url: "https://example.com/again".into(),
    })
}

pub(crate) fn cancel(payment: &str) -> Command {
    Command::CancelPayment(CancelPayment { payment: payment.into() })
}

pub(crate) fn capture(payment: &str, cents: i64) -> Command {
    Command::CapturePayment(CapturePayment { payment: payment.into(), amount: euros(cents), sent: None })
}

/// A payment that is held on the card until it is captured.
pub(crate) fn authorize(cents: i64, method: &str) -> Command {
    let Command::CreatePayment(mut command) = create_payment(cents, method) else { panic!("a payment") };
    command.capture = CaptureMethod::Manual;
    Command::CreatePayment(command)
}

pub(crate) fn submit_evidence(dispute: &str, operation: &str, text: &str) -> Command {
    Command::SubmitEvidence(SubmitEvidence {
        dispute: dispute.into(),
        evidence: BTreeMap::from([(EvidenceKind::UncategorizedText, text.to_owned())]),
        metadata: kept(operation),
    })
}

pub(crate) fn accept_dispute(dispute: &str) -> Command {
    Command::AcceptDispute(AcceptDispute { dispute: dispute.into() })
}
