//! Stripe's test payment methods (docs.stripe.com/testing).

use serde_json::{Value, json};

use crate::ids::random_text;

/// What charging a test card does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// The charge succeeds and settles as usual.
    Succeeds,
    /// The charge succeeds and its funds are available at once.
    BypassesPending,
    /// The charge succeeds and settles as usual; then the buyer's bank disputes it, or asks about it.
    Disputed { reason: &'static str, inquiry: bool },
    /// A bank account that is debited: days later the payment has succeeded, or was refused for the code's reason.
    Debits { refusal: Option<&'static str> },
    /// The buyer has to authenticate.
    NeedsAuthentication,
    /// The issuer refuses.
    Declines { code: &'static str, decline_code: Option<&'static str>, message: &'static str },
}

/// A test card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Card {
    /// The name it goes by in requests.
    pub(crate) token: &'static str,
    brand: &'static str,
    last4: &'static str,
    funding: &'static str,
    pub(crate) behaviour: Behaviour,
}

const fn good(token: &'static str, brand: &'static str, last4: &'static str, funding: &'static str) -> Card {
    Card { token, brand, last4, funding, behaviour: Behaviour::Succeeds }
}

const fn disputed(token: &'static str, last4: &'static str, reason: &'static str, inquiry: bool) -> Card {
    Card { token, brand: "visa", last4, funding: "credit", behaviour: Behaviour::Disputed { reason, inquiry } }
}

const fn bad(
    token: &'static str,
    last4: &'static str,
    code: &'static str,
    decline_code: Option<&'static str>,
    message: &'static str,
) -> Card {
    let behaviour = Behaviour::Declines { code, decline_code, message };
    Card { token, brand: "visa", last4, funding: "credit", behaviour }
}

const fn debit(token: &'static str, last4: &'static str, refusal: Option<&'static str>) -> Card {
    Card { token, brand: "", last4, funding: "debit", behaviour: Behaviour::Debits { refusal } }
}

const DECLINED: &str = "Your card was declined.";
const NO_FUNDS: &str = "Your card has insufficient funds.";
const EXPIRED: &str = "Your card has expired.";
const BAD_CVC: &str = "Your card's security code is incorrect.";
const ERROR: &str = "An error occurred while processing your card. Try again in a little bit.";

const CARDS: [Card; 30] = [
    good("pm_card_visa", "visa", "4242", "credit"),
    good("pm_card_visa_debit", "visa", "5556", "debit"),
    good("pm_card_mastercard", "mastercard", "4444", "credit"),
    good("pm_card_mastercard_debit", "mastercard", "8210", "debit"),
    good("pm_card_amex", "amex", "8431", "credit"),
    good("pm_card_discover", "discover", "9424", "credit"),
    good("pm_card_diners", "diners", "3237", "credit"),
    good("pm_card_jcb", "jcb", "0505", "credit"),
    good("pm_card_unionpay", "unionpay", "0005", "credit"),
    Card {
        token: "pm_card_bypassPending",
        brand: "visa",
        last4: "0077",
        funding: "credit",
        behaviour: Behaviour::BypassesPending,
    },
    Card {
        token: "pm_card_authenticationRequired",
        brand: "visa",
        last4: "3184",
        funding: "credit",
        behaviour: Behaviour::NeedsAuthentication,
    },
    debit("pm_usBankAccount_success", "6789", None),
    debit("pm_usBankAccount_insufficientFunds", "2227", Some("insufficient_funds")),
    debit("pm_usBankAccount_accountClosed", "1113", Some("account_closed")),
    debit("pm_usBankAccount_noAccount", "1116", Some("no_account")),
    disputed("pm_card_createDispute", "0259", "fraudulent", false),
    disputed("pm_card_createDisputeProductNotReceived", "2685", "product_not_received", false),
    disputed("pm_card_createDisputeInquiry", "1976", "general", true),
    bad("pm_card_visa_chargeDeclined", "0002", "card_declined", Some("generic_decline"), DECLINED),
    bad("pm_card_chargeDeclined", "0002", "card_declined", Some("generic_decline"), DECLINED),
    bad("pm_card_visa_chargeDeclinedInsufficientFunds", "9995", "card_declined", Some("insufficient_funds"), NO_FUNDS),
    bad("pm_card_chargeDeclinedInsufficientFunds", "9995", "card_declined", Some("insufficient_funds"), NO_FUNDS),
    bad("pm_card_visa_chargeDeclinedLostCard", "9987", "card_declined", Some("lost_card"), DECLINED),
    bad("pm_card_visa_chargeDeclinedStolenCard", "9979", "card_declined", Some("stolen_card"), DECLINED),
    bad("pm_card_chargeDeclinedFraudulent", "0019", "card_declined", Some("fraudulent"), DECLINED),
    bad("pm_card_chargeDeclinedExpiredCard", "0069", "expired_card", Some("expired_card"), EXPIRED),
    bad("pm_card_chargeDeclinedIncorrectCvc", "0127", "incorrect_cvc", Some("incorrect_cvc"), BAD_CVC),
    bad("pm_card_chargeDeclinedProcessingError", "0119", "processing_error", Some("processing_error"), ERROR),
    bad(
        "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
        "6975",
        "card_declined",
        Some("card_velocity_exceeded"),
        DECLINED,
    ),
    bad("pm_card_chargeCustomerFail", "0341", "card_declined", Some("generic_decline"), DECLINED),
];

/// The test card of a token.
pub(crate) fn find(token: &str) -> Option<Card> {
    CARDS.into_iter().find(|card| card.token == token)
}

/// Billing details that nobody gave.
pub(crate) fn no_billing_details() -> Value {
    json!({
        "address": {
            "city": null, "country": null, "line1": null, "line2": null, "postal_code": null, "state": null
        },
        "email": null,
        "name": null,
        "phone": null,
        "tax_id": null,
    })
}

impl Card {
    /// Whether its charges' funds are available at once.
    pub(crate) fn bypasses_pending(self) -> bool {
        self.behaviour == Behaviour::BypassesPending
    }

    fn bank_account(&self) -> Value {
        json!({
            "account_holder_type": "individual",
            "account_type": "checking",
            "bank_name": "STRIPE TEST BANK",
            "fingerprint": random_text(16),
            "last4": self.last4,
            "routing_number": "110000000",
        })
    }

    /// A payment method made from the card.
    pub(crate) fn payment_method(&self, id: &str, now: i64) -> Value {
        if let Behaviour::Debits { .. } = self.behaviour {
            return json!({
                "id": id,
                "object": "payment_method",
                "allow_redisplay": "unspecified",
                "billing_details": no_billing_details(),
                "created": now,
                "customer": null,
                "customer_account": null,
                "livemode": false,
                "metadata": {},
                "type": "us_bank_account",
                "us_bank_account": self.bank_account(),
            });
        }
        json!({
            "id": id,
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": no_billing_details(),
            "card": {
                "brand": self.brand,
                "checks": { "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass" },
                "country": "US",
                "display_brand": self.brand,
                "exp_month": 12,
                "exp_year": 2034,
                "fingerprint": random_text(16),
                "funding": self.funding,
                "generated_from": null,
                "last4": self.last4,
                "networks": { "available": [self.brand], "preferred": null },
                "regulated_status": "unregulated",
                "three_d_secure_usage": { "supported": true },
                "wallet": null,
            },
            "created": now,
            "customer": null,
            "customer_account": null,
            "livemode": false,
            "metadata": {},
            "type": "card",
        })
    }

    /// What a charge shows of the card.
    pub(crate) fn charge_details(&self, amount: i64) -> Value {
        if let Behaviour::Debits { .. } = self.behaviour {
            return json!({ "type": "us_bank_account", "us_bank_account": self.bank_account() });
        }
        json!({
            "card": {
                "amount_authorized": amount,
                "authorization_code": null,
                "brand": self.brand,
                "checks": { "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass" },
                "country": "US",
                "exp_month": 12,
                "exp_year": 2034,
                "extended_authorization": { "status": "disabled" },
                "fingerprint": random_text(16),
                "funding": self.funding,
                "incremental_authorization": { "status": "unavailable" },
                "installments": null,
                "last4": self.last4,
                "mandate": null,
                "multicapture": { "status": "unavailable" },
                "network": self.brand,
                "network_token": { "used": false },
                "network_transaction_id": random_text(15),
                "overcapture": { "maximum_amount_capturable": amount, "status": "unavailable" },
                "regulated_status": "unregulated",
                "three_d_secure": null,
                "transaction_link_id": null,
                "wallet": null,
            },
            "type": "card",
        })
    }
}
