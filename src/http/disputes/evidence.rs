//! What speaks for a platform, as a client writes it.

use std::collections::BTreeMap;

use partita_provider::EvidenceKind;
use serde::{Deserialize, Deserializer, de};
use utoipa::ToSchema;

use crate::http::problem::Problem;
use crate::http::problem_types;

/// The most characters of evidence that the provider takes, all together.
const MOST_EVIDENCE: usize = 150_000;
/// And in one field.
const MOST_OF_FIELD: usize = 20_000;

/// A text of evidence: as [`Text`](crate::http::fields::Text), but of several lines, as logs and letters are.
#[derive(Debug)]
pub(super) struct Said(String);

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let length = text.chars().count();
        if !(1..=MOST_OF_FIELD).contains(&length) {
            let expected = format!("text of 1 to {MOST_OF_FIELD} characters");
            return Err(de::Error::invalid_length(length, &expected.as_str()));
        }
        if text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\r' | '\t')) {
            return Err(de::Error::custom("must have no control characters but ends of lines and tabs"));
        }
        if text.trim().is_empty() {
            return Err(de::Error::custom("must not be blank"));
        }
        Ok(Self(text))
    }
}

/// The provider's token of a file.
#[derive(Debug)]
pub(super) struct Token(String);

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let token = String::deserialize(deserializer)?;
        let lawful = (1..=255).contains(&token.len())
            && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if lawful { Ok(Self(token)) } else { Err(de::Error::custom("must be the id of an uploaded file")) }
    }
}

macro_rules! evidence {
    (
        texts { $($(#[$doc:meta])* $field:ident = $kind:ident;)* }
        files { $($(#[$of_file:meta])* $file:ident = $file_kind:ident;)* }
    ) => {
        /// What speaks for you: texts, 150,000 characters in all, and files by the ids that
        /// `POST /v1/disputes/{id}/evidence_files` gave them; at least one field.
        #[derive(Debug, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        #[schema(as = NewDisputeEvidence, example = json!({
            "product_description": "Two chairs, oak", "shipping_carrier": "DHL", "shipping_tracking_number": "JJD000390"
        }))]
        pub(super) struct EvidenceBody {
            $($(#[$doc])* #[schema(value_type = Option<String>, max_length = 20000)] $field: Option<Said>,)*
            $($(#[$of_file])* #[schema(value_type = Option<String>, max_length = 255)] $file: Option<Token>,)*
        }

        impl EvidenceBody {
            /// What was said, if it is something and not too much.
            pub(super) fn into_evidence(self) -> Result<BTreeMap<EvidenceKind, String>, Problem> {
                let mut evidence = BTreeMap::new();
                $(if let Some(Said(text)) = self.$field { evidence.insert(EvidenceKind::$kind, text); })*
                refuse_too_much(&evidence)?;
                $(if let Some(Token(file)) = self.$file { evidence.insert(EvidenceKind::$file_kind, file); })*
                if evidence.is_empty() {
                    let detail = "expected at least one field";
                    return Err(Problem::invalid_field::<&str>(&[], &problem_types::TOO_SHORT, detail));
                }
                Ok(evidence)
            }
        }
    };
}

evidence! {
    texts {
        /// Logs that show the buyer using what was bought.
        access_activity_log = AccessActivityLog;
        /// The buyer's billing address.
        billing_address = BillingAddress;
        /// How and when the buyer was shown the terms of cancellation.
        cancellation_policy_disclosure = CancellationPolicyDisclosure;
        /// Why the subscription was not cancelled.
        cancellation_rebuttal = CancellationRebuttal;
        /// The buyer's e-mail address.
        customer_email_address = CustomerEmailAddress;
        /// The buyer's name.
        customer_name = CustomerName;
        /// The address of the network that the buyer bought from.
        customer_purchase_ip = CustomerPurchaseIp;
        /// What tells the charge from one that is said to be the same.
        duplicate_charge_explanation = DuplicateChargeExplanation;
        /// The other charge's id at the provider.
        duplicate_charge_id = DuplicateChargeId;
        /// What was sold.
        product_description = ProductDescription;
        /// How and when the buyer was shown the terms of refunds.
        refund_policy_disclosure = RefundPolicyDisclosure;
        /// Why the buyer gets no refund.
        refund_refusal_explanation = RefundRefusalExplanation;
        /// When the service began.
        service_date = ServiceDate;
        /// Where the goods were sent.
        shipping_address = ShippingAddress;
        /// Who carried them.
        shipping_carrier = ShippingCarrier;
        /// When they were sent.
        shipping_date = ShippingDate;
        /// The carrier's number of the parcel.
        shipping_tracking_number = ShippingTrackingNumber;
        /// Anything else.
        uncategorized_text = UncategorizedText;
    }
    files {
        /// The terms of cancellation, as the buyer was shown them.
        cancellation_policy = CancellationPolicy;
        /// What the buyer wrote.
        customer_communication = CustomerCommunication;
        /// A document that the buyer signed.
        customer_signature = CustomerSignature;
        /// What proves the charge that is said to be the same.
        duplicate_charge_documentation = DuplicateChargeDocumentation;
        /// The receipt that the buyer was sent.
        receipt = Receipt;
        /// The terms of refunds, as the buyer was shown them.
        refund_policy = RefundPolicy;
        /// What proves that the service was rendered.
        service_documentation = ServiceDocumentation;
        /// What proves that the goods were sent.
        shipping_documentation = ShippingDocumentation;
        /// Anything else.
        uncategorized_file = UncategorizedFile;
    }
}

/// Refuses more text than the provider takes.
fn refuse_too_much(texts: &BTreeMap<EvidenceKind, String>) -> Result<(), Problem> {
    let characters: usize = texts.values().map(|text| text.chars().count()).sum();
    if characters <= MOST_EVIDENCE {
        return Ok(());
    }
    let detail = format!("expected at most {MOST_EVIDENCE} characters in all");
    Err(Problem::invalid_field::<&str>(&[], &problem_types::TOO_LONG, detail))
}
