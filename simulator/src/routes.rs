//! Every endpoint on one page.

use crate::context::{Answer, Cx};
use crate::params::Params;
use crate::resources::{
    account_links, accounts, application_fees, balance_transactions, captures, charges, customers, disputes, files,
    payment_intents, payment_methods, payouts, refunds, reversals, setup_intents, topups, transfers,
};
use crate::{books, events, search};

/// An endpoint with the ids of its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    AccountCreate,
    AccountRetrieve(Option<String>),
    AccountUpdate(String),
    AccountList,
    AccountExternalAccounts(String),
    AccountLinkCreate,
    ApplicationFeeRetrieve(String),
    Balance,
    BalanceTransactionRetrieve(String),
    BalanceTransactionList,
    ChargeRetrieve(String),
    ChargeList,
    CustomerCreate,
    CustomerRetrieve(String),
    CustomerList,
    DisputeRetrieve(String),
    DisputeUpdate(String),
    DisputeClose(String),
    DisputeList,
    EventRetrieve(String),
    EventList,
    FileCreate,
    FileRetrieve(String),
    PaymentIntentCreate,
    PaymentIntentRetrieve(String),
    PaymentIntentConfirm(String),
    PaymentIntentCancel(String),
    PaymentIntentCapture(String),
    PaymentIntentList,
    PaymentIntentSearch,
    PaymentMethodRetrieve(String),
    PaymentMethodAttach(String),
    PaymentMethodDetach(String),
    PaymentMethodList,
    PayoutCreate,
    PayoutRetrieve(String),
    PayoutList,
    RefundCreate,
    RefundRetrieve(String),
    RefundList,
    ReversalCreate(String),
    ReversalRetrieve(String, String),
    ReversalList(String),
    SetupIntentCreate,
    SetupIntentRetrieve(String),
    SetupIntentList,
    TopUpCreate,
    TopUpRetrieve(String),
    TopUpList,
    TransferCreate,
    TransferRetrieve(String),
    TransferList,
}

impl Call {
    /// The endpoint's name, without ids.
    pub(crate) fn endpoint(&self) -> String {
        let shown = format!("{self:?}");
        shown.split('(').next().unwrap_or_default().to_owned()
    }
}

/// The endpoint of a method and path.
pub(crate) fn find(method: &str, path: &str) -> Option<Call> {
    let steps: Vec<&str> = path.strip_prefix("/v1/")?.trim_end_matches('/').split('/').collect();
    let id = |text: &&str| (*text).to_owned();
    Some(match (method, steps.as_slice()) {
        ("POST", ["accounts"]) => Call::AccountCreate,
        ("GET", ["accounts"]) => Call::AccountList,
        ("GET", ["account"]) => Call::AccountRetrieve(None),
        ("GET", ["accounts", account]) => Call::AccountRetrieve(Some(id(account))),
        ("POST", ["accounts", account]) => Call::AccountUpdate(id(account)),
        ("GET", ["accounts", account, "external_accounts"]) => Call::AccountExternalAccounts(id(account)),
        ("POST", ["account_links"]) => Call::AccountLinkCreate,
        ("GET", ["application_fees", fee]) => Call::ApplicationFeeRetrieve(id(fee)),
        ("GET", ["balance"]) => Call::Balance,
        ("GET", ["balance_transactions"]) => Call::BalanceTransactionList,
        ("GET", ["balance_transactions", transaction]) => Call::BalanceTransactionRetrieve(id(transaction)),
        ("GET", ["charges"]) => Call::ChargeList,
        ("GET", ["charges", charge]) => Call::ChargeRetrieve(id(charge)),
        ("POST", ["customers"]) => Call::CustomerCreate,
        ("GET", ["customers"]) => Call::CustomerList,
        ("GET", ["customers", customer]) => Call::CustomerRetrieve(id(customer)),
        ("GET", ["disputes"]) => Call::DisputeList,
        ("GET", ["disputes", dispute]) => Call::DisputeRetrieve(id(dispute)),
        ("POST", ["disputes", dispute]) => Call::DisputeUpdate(id(dispute)),
        ("POST", ["disputes", dispute, "close"]) => Call::DisputeClose(id(dispute)),
        ("GET", ["events"]) => Call::EventList,
        ("GET", ["events", event]) => Call::EventRetrieve(id(event)),
        ("POST", ["files"]) => Call::FileCreate,
        ("GET", ["files", file]) => Call::FileRetrieve(id(file)),
        ("POST", ["payment_intents"]) => Call::PaymentIntentCreate,
        ("GET", ["payment_intents"]) => Call::PaymentIntentList,
        ("GET", ["payment_intents", "search"]) => Call::PaymentIntentSearch,
        ("GET", ["payment_intents", intent]) => Call::PaymentIntentRetrieve(id(intent)),
        ("POST", ["payment_intents", intent, "confirm"]) => Call::PaymentIntentConfirm(id(intent)),
        ("POST", ["payment_intents", intent, "cancel"]) => Call::PaymentIntentCancel(id(intent)),
        ("POST", ["payment_intents", intent, "capture"]) => Call::PaymentIntentCapture(id(intent)),
        ("GET", ["payment_methods"]) => Call::PaymentMethodList,
        ("POST", ["payment_methods", method, "attach"]) => Call::PaymentMethodAttach(id(method)),
        ("POST", ["payment_methods", method, "detach"]) => Call::PaymentMethodDetach(id(method)),
        ("GET", ["payment_methods", method]) => Call::PaymentMethodRetrieve(id(method)),
        ("POST", ["payouts"]) => Call::PayoutCreate,
        ("GET", ["payouts"]) => Call::PayoutList,
        ("GET", ["payouts", payout]) => Call::PayoutRetrieve(id(payout)),
        ("POST", ["refunds"]) => Call::RefundCreate,
        ("GET", ["refunds"]) => Call::RefundList,
        ("GET", ["refunds", refund]) => Call::RefundRetrieve(id(refund)),
        ("POST", ["setup_intents"]) => Call::SetupIntentCreate,
        ("GET", ["setup_intents"]) => Call::SetupIntentList,
        ("GET", ["setup_intents", intent]) => Call::SetupIntentRetrieve(id(intent)),
        ("POST", ["topups"]) => Call::TopUpCreate,
        ("GET", ["topups"]) => Call::TopUpList,
        ("GET", ["topups", topup]) => Call::TopUpRetrieve(id(topup)),
        ("POST", ["transfers"]) => Call::TransferCreate,
        ("GET", ["transfers"]) => Call::TransferList,
        ("GET", ["transfers", transfer]) => Call::TransferRetrieve(id(transfer)),
        ("POST", ["transfers", transfer, "reversals"]) => Call::ReversalCreate(id(transfer)),
        ("GET", ["transfers", transfer, "reversals"]) => Call::ReversalList(id(transfer)),
        ("GET", ["transfers", transfer, "reversals", reversal]) => Call::ReversalRetrieve(id(transfer), id(reversal)),
        _ => return None,
    })
}

/// Runs an endpoint.
pub(crate) async fn call(cx: &mut Cx, call: &Call, params: Params) -> Answer {
    match call {
        Call::AccountCreate => accounts::create(cx, params).await,
        Call::AccountRetrieve(id) => accounts::retrieve(cx, id.as_deref(), params).await,
        Call::AccountUpdate(id) => accounts::update(cx, id, params).await,
        Call::AccountList => accounts::index(cx, params).await,
        Call::AccountExternalAccounts(id) => accounts::external_accounts(cx, id, params).await,
        Call::AccountLinkCreate => account_links::create(cx, params).await,
        Call::ApplicationFeeRetrieve(id) => application_fees::retrieve(cx, id, params).await,
        Call::Balance => {
            params.finish()?;
            let account = cx.account.clone();
            books::balance(cx, &account).await
        }
        Call::BalanceTransactionRetrieve(id) => balance_transactions::retrieve(cx, id, params).await,
        Call::BalanceTransactionList => balance_transactions::index(cx, params).await,
        Call::ChargeRetrieve(id) => charges::retrieve(cx, id, params).await,
        Call::ChargeList => charges::index(cx, params).await,
        Call::CustomerCreate => customers::create(cx, params).await,
        Call::CustomerRetrieve(id) => customers::retrieve(cx, id, params).await,
        Call::CustomerList => customers::index(cx, params).await,
        Call::DisputeRetrieve(id) => disputes::retrieve(cx, id, params).await,
        Call::DisputeUpdate(id) => disputes::update(cx, id, params).await,
        Call::DisputeClose(id) => disputes::close(cx, id, params).await,
        Call::DisputeList => disputes::index(cx, params).await,
        Call::EventRetrieve(id) => events::retrieve(cx, id, params).await,
        Call::EventList => events::index(cx, params).await,
        Call::FileCreate => files::create(cx, params).await,
        Call::FileRetrieve(id) => files::retrieve(cx, id, params).await,
        Call::PaymentIntentCreate => payment_intents::create(cx, params).await,
        Call::PaymentIntentRetrieve(id) => payment_intents::retrieve(cx, id, params).await,
        Call::PaymentIntentConfirm(id) => payment_intents::confirm(cx, id, params).await,
        Call::PaymentIntentCancel(id) => payment_intents::cancel(cx, id, params).await,
        Call::PaymentIntentCapture(id) => captures::capture(cx, id, params).await,
        Call::PaymentIntentList => payment_intents::index(cx, params).await,
        Call::PaymentIntentSearch => search::objects(cx, params, "payment_intent", "/v1/payment_intents/search").await,
        Call::PaymentMethodRetrieve(id) => payment_methods::retrieve(cx, id, params).await,
        Call::PaymentMethodAttach(id) => payment_methods::attach(cx, id, params).await,
        Call::PaymentMethodDetach(id) => payment_methods::detach(cx, id, params).await,
        Call::PaymentMethodList => payment_methods::index(cx, params).await,
        Call::PayoutCreate => payouts::create(cx, params).await,
        Call::PayoutRetrieve(id) => payouts::retrieve(cx, id, params).await,
        Call::PayoutList => payouts::index(cx, params).await,
        Call::RefundCreate => refunds::create(cx, params).await,
        Call::RefundRetrieve(id) => refunds::retrieve(cx, id, params).await,
        Call::RefundList => refunds::index(cx, params).await,
        Call::ReversalCreate(transfer) => reversals::create(cx, transfer, params).await,
        Call::ReversalRetrieve(transfer, id) => reversals::retrieve(cx, transfer, id, params).await,
        Call::ReversalList(transfer) => reversals::index(cx, transfer, params).await,
        Call::SetupIntentCreate => setup_intents::create(cx, params).await,
        Call::SetupIntentRetrieve(id) => setup_intents::retrieve(cx, id, params).await,
        Call::SetupIntentList => setup_intents::index(cx, params).await,
        Call::TopUpCreate => topups::create(cx, params).await,
        Call::TopUpRetrieve(id) => topups::retrieve(cx, id, params).await,
        Call::TopUpList => topups::index(cx, params).await,
        Call::TransferCreate => transfers::create(cx, params).await,
        Call::TransferRetrieve(id) => transfers::retrieve(cx, id, params).await,
        Call::TransferList => transfers::index(cx, params).await,
    }
}
