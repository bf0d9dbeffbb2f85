//! Commands as requests: async-stripe's typed builders give method, path and form; we fix the order of the form.

use std::collections::{BTreeMap, HashMap};

use partita_provider::{
    CancelPayment, CaptureMethod, CapturePayment, Command, CreateAccount, CreateAccountLink, CreatePayment,
    CreatePayout, CreateRefund, CreateReversal, CreateSetup, CreateTopUp, CreateTransfer, DetachMethod, EvidenceKind,
    OnAccount, PayoutInterval, PrepareError, PreparedRequest, SubmitEvidence, UpdateAccount,
};
use stripe_client_core::{RequestBuilder, StripeMethod, StripeRequest};
use stripe_connect::account as accounts;
use stripe_connect::account_link as links;
use stripe_connect::{topup as topups, transfer as transfers, transfer_reversal as reversals};
use stripe_core::customer as customers;
use stripe_core::dispute as disputes;
use stripe_core::payment_intent as intents;
use stripe_core::payout as payouts;
use stripe_core::refund as refunds;
use stripe_core::setup_intent as setups;

use crate::amount::{payout_amount, to_stripe, to_stripe_currency};
use crate::objects::expand;
use crate::resource::is_id;

/// The exact bytes of a command's request.
pub(crate) fn prepare(command: &Command) -> Result<PreparedRequest, PrepareError> {
    let request = match command {
        Command::OnAccount(OnAccount { account, asked }) => {
            let account = path_id("account", account)?.to_owned();
            return Ok(PreparedRequest { account: Some(account), ..prepare(asked)? });
        }
        Command::CreateAccount(c) => create_account(c)?,
        Command::CreateAccountLink(c) => create_account_link(c),
        Command::CreatePayment(c) => create_payment(c)?,
        Command::CancelPayment(c) => cancel_payment(c)?,
        Command::CapturePayment(c) => capture_payment(c)?,
        Command::CreateTransfer(c) => create_transfer(c)?,
        Command::CreateReversal(c) => create_reversal(c)?,
        Command::CreateRefund(c) => create_refund(c)?,
        Command::CreateTopUp(c) => create_top_up(c)?,
        Command::UpdateAccount(c) => update_account(c)?,
        Command::CreatePayout(c) => create_payout(c)?,
        Command::SubmitEvidence(c) => submit_evidence(c)?,
        Command::CreateCustomer(c) => customers::CreateCustomer::new().metadata(metadata(&c.metadata)).build(),
        Command::CreateSetup(c) => create_setup(c),
        Command::DetachMethod(c) => detach_method(c)?,
        Command::AcceptDispute(c) => disputes::CloseDispute::new(path_id("dispute", &c.dispute)?).build(),
    };
    Ok(PreparedRequest {
        method: method(request.method).to_owned(),
        path: format!("/v1{}", request.path),
        body: ordered(&request.body.unwrap_or_default()),
        account: acting(command),
    })
}

/// The connected account that a command acts for; the platform for itself when none.
fn acting(command: &Command) -> Option<String> {
    match command {
        Command::CreatePayout(c) => c.account.clone(),
        _ => None,
    }
}

/// The method's name on the wire.
pub(crate) fn method(method: StripeMethod) -> &'static str {
    match method {
        StripeMethod::Get => "GET",
        StripeMethod::Post => "POST",
        StripeMethod::Delete => "DELETE",
    }
}

/// Sorts a form's pairs. The builders keep metadata in a hash map, whose order changes from run to run; the same
/// command must always make the same bytes. Array members carry their index, so their order survives.
fn ordered(form: &str) -> String {
    let mut pairs: Vec<&str> = form.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    pairs.join("&")
}

fn metadata(kept: &BTreeMap<String, String>) -> HashMap<String, String> {
    kept.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn path_id<'a>(what: &str, id: &'a str) -> Result<&'a str, PrepareError> {
    if is_id(id) { Ok(id) } else { Err(PrepareError::Unsupported(format!("{id:?} is not an id of a {what}"))) }
}

fn create_account(command: &CreateAccount) -> Result<RequestBuilder, PrepareError> {
    let country = &command.country;
    if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(PrepareError::Unsupported(format!("{country:?} is not an ISO 3166 country code")));
    }
    let mut request = accounts::CreateAccount::new()
        .country(country.clone())
        .email(command.email.clone())
        .default_currency(to_stripe_currency(command.default_currency)?)
        .capabilities(capabilities())
        .controller(controller())
        .settings(payout_settings(command.payout_interval))
        .metadata(metadata(&command.metadata));
    if let Some(business_type) = &command.business_type {
        request = request.business_type(match business_type.as_str() {
            "company" => stripe_shared::AccountBusinessType::Company,
            "individual" => stripe_shared::AccountBusinessType::Individual,
            other => return Err(PrepareError::Unsupported(format!("no business type {other:?}"))),
        });
    }
    Ok(request.build())
}

/// What a seller needs to be paid by transfers. `card_payments` comes with it because Stripe grants `transfers` alone
/// only under the recipient agreement (<https://docs.stripe.com/connect/account-capabilities>).
fn capabilities() -> accounts::CreateAccountCapabilities {
    let mut asked = accounts::CreateAccountCapabilities::new();
    asked.card_payments = Some(accounts::CreateAccountCapabilitiesCardPayments { requested: Some(true) });
    asked.transfers = Some(accounts::CreateAccountCapabilitiesTransfers { requested: Some(true) });
    asked
}

/// Stripe collects requirements and hosts a dashboard; the platform bears fees and losses: an Express account
/// (<https://docs.stripe.com/connect/migrate-to-controller-properties>).
fn controller() -> accounts::CreateAccountController {
    accounts::CreateAccountController {
        fees: Some(accounts::CreateAccountControllerFees {
            payer: Some(accounts::CreateAccountControllerFeesPayer::Application),
        }),
        losses: Some(accounts::CreateAccountControllerLosses {
            payments: Some(accounts::CreateAccountControllerLossesPayments::Application),
        }),
        requirement_collection: Some(accounts::CreateAccountControllerRequirementCollection::Stripe),
        stripe_dashboard: Some(accounts::CreateAccountControllerStripeDashboard {
            type_: Some(accounts::CreateAccountControllerStripeDashboardType::Express),
        }),
    }
}

fn payout_settings(interval: PayoutInterval) -> accounts::CreateAccountSettings {
    let mut schedule = accounts::CreateAccountSettingsPayoutsSchedule::new();
    schedule.interval = Some(match interval {
        PayoutInterval::Daily => accounts::CreateAccountSettingsPayoutsScheduleInterval::Daily,
        PayoutInterval::Manual => accounts::CreateAccountSettingsPayoutsScheduleInterval::Manual,
    });
    let mut payouts = accounts::CreateAccountSettingsPayouts::new();
    payouts.schedule = Some(schedule);
    let mut settings = accounts::CreateAccountSettings::new();
    settings.payouts = Some(payouts);
    settings
}

fn update_account(command: &UpdateAccount) -> Result<RequestBuilder, PrepareError> {
    let id = path_id("account", &command.account)?;
    let mut schedule = accounts::UpdateAccountSettingsPayoutsSchedule::new();
    schedule.interval = Some(match command.payout_interval {
        PayoutInterval::Daily => accounts::UpdateAccountSettingsPayoutsScheduleInterval::Daily,
        PayoutInterval::Manual => accounts::UpdateAccountSettingsPayoutsScheduleInterval::Manual,
    });
    let mut payouts = accounts::UpdateAccountSettingsPayouts::new();
    payouts.schedule = Some(schedule);
    let mut settings = accounts::UpdateAccountSettings::new();
    settings.payouts = Some(payouts);
    Ok(accounts::UpdateAccount::new(id).settings(settings).build())
}

fn create_payout(command: &CreatePayout) -> Result<RequestBuilder, PrepareError> {
    if let Some(account) = &command.account {
        path_id("account", account)?;
    }
    let currency = to_stripe_currency(command.amount.currency)?;
    let mut request = payouts::CreatePayout::new(payout_amount(command.amount)?, currency)
        .metadata(metadata(&command.metadata))
        .expand(expand(&expand::PAYOUT));
    if let Some(destination) = &command.instant_to {
        request = request.method(payouts::CreatePayoutMethod::Instant).destination(destination.clone());
    }
    Ok(request.build())
}

fn create_account_link(command: &CreateAccountLink) -> RequestBuilder {
    links::CreateAccountLink::new(command.account.clone(), links::CreateAccountLinkType::AccountOnboarding)
        .refresh_url(command.refresh_url.clone())
        .return_url(command.return_url.clone())
        .build()
}

fn create_payment(command: &CreatePayment) -> Result<RequestBuilder, PrepareError> {
    let mut methods = intents::CreatePaymentIntentAutomaticPaymentMethods::new(true);
    // The payment is confirmed by a server, which can follow no redirect: only who says where the buyer comes back to
    // can have it redirected.
    methods.allow_redirects = Some(match command.return_url {
        Some(_) => intents::CreatePaymentIntentAutomaticPaymentMethodsAllowRedirects::Always,
        None => intents::CreatePaymentIntentAutomaticPaymentMethodsAllowRedirects::Never,
    });
    let currency = to_stripe_currency(command.amount.currency)?;
    let mut request = intents::CreatePaymentIntent::new(to_stripe(command.amount)?, currency)
        .confirm(true)
        .payment_method(command.payment_method.clone())
        // Not the default `automatic_async`, which answers before the balance transaction exists
        // (docs.stripe.com/payments/payment-intents/asynchronous-capture).
        .capture_method(match command.capture {
            CaptureMethod::Automatic => stripe_shared::PaymentIntentCaptureMethod::Automatic,
            CaptureMethod::Manual => stripe_shared::PaymentIntentCaptureMethod::Manual,
        })
        .automatic_payment_methods(methods)
        .transfer_group(command.transfer_group.clone())
        .metadata(metadata(&command.metadata))
        .expand(expand(&expand::PAYMENT));
    if let Some(fee) = command.application_fee {
        request = request.application_fee_amount(to_stripe(fee)?);
    }
    if let Some(description) = &command.description {
        request = request.description(description.clone());
    }
    if let Some(return_url) = &command.return_url {
        request = request.return_url(return_url.clone());
    }
    if let Some(destination) = &command.destination {
        let mut data = intents::CreatePaymentIntentTransferData::new(destination.account.clone());
        data.amount = Some(to_stripe(destination.amount)?);
        request = request.transfer_data(data);
    }
    if let Some(account) = &command.on_behalf_of {
        request = request.on_behalf_of(account.clone());
    }
    if let Some(customer) = &command.customer {
        request = request.customer(customer.clone());
    }
    if command.off_session {
        request = request.off_session(intents::CreatePaymentIntentOffSession::Bool(true));
    }
    Ok(request.build())
}

fn capture_payment(command: &CapturePayment) -> Result<RequestBuilder, PrepareError> {
    let id = path_id("payment", &command.payment)?;
    let mut request = intents::CapturePaymentIntent::new(id)
        .amount_to_capture(to_stripe(command.amount)?)
        .expand(expand(&expand::PAYMENT));
    if let Some(sent) = command.sent {
        let data = intents::CapturePaymentIntentTransferData { amount: Some(to_stripe(sent)?) };
        request = request.transfer_data(data);
    }
    Ok(request.build())
}

fn cancel_payment(command: &CancelPayment) -> Result<RequestBuilder, PrepareError> {
    let id = path_id("payment", &command.payment)?;
    Ok(intents::CancelPaymentIntent::new(id).expand(expand(&expand::PAYMENT)).build())
}

/// Confirmed at once, as payments are, and for charges while the buyer is away.
fn create_setup(command: &CreateSetup) -> RequestBuilder {
    let mut methods = setups::CreateSetupIntentAutomaticPaymentMethods::new(true);
    methods.allow_redirects = Some(match command.return_url {
        Some(_) => setups::CreateSetupIntentAutomaticPaymentMethodsAllowRedirects::Always,
        None => setups::CreateSetupIntentAutomaticPaymentMethodsAllowRedirects::Never,
    });
    let mut request = setups::CreateSetupIntent::new()
        .confirm(true)
        .customer(command.customer.clone())
        .payment_method(command.payment_method.clone())
        .automatic_payment_methods(methods)
        .usage(setups::CreateSetupIntentUsage::OffSession)
        .metadata(metadata(&command.metadata))
        .expand(expand(&expand::SETUP));
    if let Some(return_url) = &command.return_url {
        request = request.return_url(return_url.clone());
    }
    request.build()
}

/// Of a crate of async-stripe's that nothing else here needs.
fn detach_method(command: &DetachMethod) -> Result<RequestBuilder, PrepareError> {
    let id = path_id("payment method", &command.payment_method)?;
    Ok(RequestBuilder::new(StripeMethod::Post, format!("/payment_methods/{id}/detach")))
}

fn create_transfer(command: &CreateTransfer) -> Result<RequestBuilder, PrepareError> {
    let currency = to_stripe_currency(command.amount.currency)?;
    let mut request = transfers::CreateTransfer::new(currency, command.destination.clone())
        .amount(to_stripe(command.amount)?)
        .transfer_group(command.transfer_group.clone())
        .metadata(metadata(&command.metadata))
        .expand(expand(&expand::TRANSFER));
    if let Some(charge) = &command.source_charge {
        request = request.source_transaction(charge.clone());
    }
    Ok(request.build())
}

fn create_reversal(command: &CreateReversal) -> Result<RequestBuilder, PrepareError> {
    let id = path_id("transfer", &command.transfer)?;
    Ok(reversals::CreateIdTransferReversal::new(id)
        .amount(to_stripe(command.amount)?)
        .metadata(metadata(&command.metadata))
        .expand(expand(&expand::REVERSAL))
        .build())
}

fn create_refund(command: &CreateRefund) -> Result<RequestBuilder, PrepareError> {
    let mut request = refunds::CreateRefund::new()
        .payment_intent(command.payment.clone())
        .amount(to_stripe(command.amount)?)
        .metadata(metadata(&command.metadata))
        .expand(expand(&expand::REFUND));
    if command.returns_application_fee {
        request = request.refund_application_fee(true);
    }
    Ok(request.build())
}

fn create_top_up(command: &CreateTopUp) -> Result<RequestBuilder, PrepareError> {
    let currency = to_stripe_currency(command.amount.currency)?;
    let mut request = topups::CreateTopup::new(to_stripe(command.amount)?, currency)
        .metadata(metadata(&command.metadata))
        .expand(expand(&expand::TOP_UP));
    if let Some(description) = &command.description {
        request = request.description(description.clone());
    }
    Ok(request.build())
}

/// Evidence goes to the bank at once, and once.
fn submit_evidence(command: &SubmitEvidence) -> Result<RequestBuilder, PrepareError> {
    let id = path_id("dispute", &command.dispute)?;
    let mut evidence = disputes::UpdateDisputeEvidence::new();
    for (kind, text) in &command.evidence {
        *field(&mut evidence, *kind) = Some(text.clone());
    }
    Ok(disputes::UpdateDispute::new(id).evidence(evidence).metadata(metadata(&command.metadata)).submit(true).build())
}

fn field(evidence: &mut disputes::UpdateDisputeEvidence, kind: EvidenceKind) -> &mut Option<String> {
    match kind {
        EvidenceKind::AccessActivityLog => &mut evidence.access_activity_log,
        EvidenceKind::BillingAddress => &mut evidence.billing_address,
        EvidenceKind::CancellationPolicy => &mut evidence.cancellation_policy,
        EvidenceKind::CancellationPolicyDisclosure => &mut evidence.cancellation_policy_disclosure,
        EvidenceKind::CancellationRebuttal => &mut evidence.cancellation_rebuttal,
        EvidenceKind::CustomerCommunication => &mut evidence.customer_communication,
        EvidenceKind::CustomerEmailAddress => &mut evidence.customer_email_address,
        EvidenceKind::CustomerName => &mut evidence.customer_name,
        EvidenceKind::CustomerPurchaseIp => &mut evidence.customer_purchase_ip,
        EvidenceKind::CustomerSignature => &mut evidence.customer_signature,
        EvidenceKind::DuplicateChargeDocumentation => &mut evidence.duplicate_charge_documentation,
        EvidenceKind::DuplicateChargeExplanation => &mut evidence.duplicate_charge_explanation,
        EvidenceKind::DuplicateChargeId => &mut evidence.duplicate_charge_id,
        EvidenceKind::ProductDescription => &mut evidence.product_description,
        EvidenceKind::Receipt => &mut evidence.receipt,
        EvidenceKind::RefundPolicy => &mut evidence.refund_policy,
        EvidenceKind::RefundPolicyDisclosure => &mut evidence.refund_policy_disclosure,
        EvidenceKind::RefundRefusalExplanation => &mut evidence.refund_refusal_explanation,
        EvidenceKind::ServiceDate => &mut evidence.service_date,
        EvidenceKind::ServiceDocumentation => &mut evidence.service_documentation,
        EvidenceKind::ShippingAddress => &mut evidence.shipping_address,
        EvidenceKind::ShippingCarrier => &mut evidence.shipping_carrier,
        EvidenceKind::ShippingDate => &mut evidence.shipping_date,
        EvidenceKind::ShippingDocumentation => &mut evidence.shipping_documentation,
        EvidenceKind::ShippingTrackingNumber => &mut evidence.shipping_tracking_number,
        EvidenceKind::UncategorizedFile => &mut evidence.uncategorized_file,
        EvidenceKind::UncategorizedText => &mut evidence.uncategorized_text,
    }
}
