//! What a path makes: from the address of a request to the type of its answer.

use partita_provider::{FetchError, ProviderObject};

use crate::objects;

/// The fixed words of the paths that this adapter uses; every other segment is an id.
const WORDS: [&str; 25] = [
    "v1",
    "accounts",
    "account_links",
    "application_fees",
    "balance",
    "balance_transactions",
    "cancel",
    "capture",
    "charges",
    "close",
    "customers",
    "detach",
    "disputes",
    "events",
    "files",
    "payment_intents",
    "payment_methods",
    "payouts",
    "refunds",
    "reversals",
    "search",
    "setup_intents",
    "topups",
    "transfers",
    "",
];

/// The path with its ids replaced: safe as a metric's label and in a log.
pub(crate) fn template(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').map(|s| if WORDS.contains(&s) { s } else { "{id}" }).collect();
    segments.join("/")
}

/// Whether a text can stand in a path as an id: nothing in it that could lead elsewhere.
pub(crate) fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && !WORDS.contains(&text)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A kind of object that Stripe answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    Account,
    AccountLink,
    ApplicationFee,
    Customer,
    Dispute,
    Method,
    Payment,
    Payout,
    Refund,
    Reversal,
    Setup,
    TopUp,
    Transfer,
}

impl Resource {
    /// What a POST to this path answers with; none for paths that this version does not send to.
    pub(crate) fn made_by(path: &str) -> Option<Self> {
        match template(path).as_str() {
            "/v1/accounts" | "/v1/accounts/{id}" => Some(Self::Account),
            "/v1/account_links" => Some(Self::AccountLink),
            "/v1/payment_intents" | "/v1/payment_intents/{id}/cancel" | "/v1/payment_intents/{id}/capture" => {
                Some(Self::Payment)
            }
            "/v1/disputes/{id}" | "/v1/disputes/{id}/close" => Some(Self::Dispute),
            "/v1/customers" => Some(Self::Customer),
            "/v1/payment_methods/{id}/detach" => Some(Self::Method),
            "/v1/setup_intents" => Some(Self::Setup),
            "/v1/payouts" => Some(Self::Payout),
            "/v1/refunds" => Some(Self::Refund),
            "/v1/topups" => Some(Self::TopUp),
            "/v1/transfers" => Some(Self::Transfer),
            "/v1/transfers/{id}/reversals" => Some(Self::Reversal),
            _ => None,
        }
    }

    /// Reads the object from an answer's body.
    ///
    /// # Errors
    /// [`FetchError::Unreadable`].
    pub(crate) fn read(self, body: &[u8]) -> Result<ProviderObject, FetchError> {
        use objects::parse;
        Ok(match self {
            Self::Account => ProviderObject::Account(objects::account(&parse("account", body)?)),
            Self::AccountLink => ProviderObject::AccountLink(objects::account_link(parse("account link", body)?)),
            Self::ApplicationFee => match objects::payout_fee(body)? {
                Some(fee) => ProviderObject::PayoutFee(fee),
                None => ProviderObject::ApplicationFee(objects::application_fee(&parse("application fee", body)?)?),
            },
            Self::Customer => ProviderObject::Customer(objects::customer(&parse("customer", body)?)),
            Self::Method => ProviderObject::Method(objects::method(&parse("payment method", body)?)),
            Self::Setup => ProviderObject::Setup(objects::setup(&parse("setup intent", body)?)),
            Self::Dispute => ProviderObject::Dispute(objects::dispute(&parse("dispute", body)?)?),
            Self::Payment => ProviderObject::Payment(objects::payment(&parse("payment intent", body)?)?),
            Self::Payout => ProviderObject::Payout(objects::payout(&parse("payout", body)?)?),
            Self::Refund => ProviderObject::Refund(objects::refund(&parse("refund", body)?)?),
            Self::Reversal => ProviderObject::Reversal(objects::reversal(&parse("reversal", body)?)?),
            Self::TopUp => ProviderObject::TopUp(objects::top_up(&parse("top-up", body)?)?),
            Self::Transfer => ProviderObject::Transfer(objects::transfer(&parse("transfer", body)?)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_do_not_show_in_templates() {
        assert_eq!(template("/v1/transfers/tr_1/reversals/trr_2"), "/v1/transfers/{id}/reversals/{id}");
        assert_eq!(template("/v1/balance"), "/v1/balance");
    }

    #[test]
    fn an_id_cannot_lead_to_another_path() {
        for good in ["pi_3Abc", "acct_1", "ch_x"] {
            assert!(is_id(good));
        }
        for bad in ["", "a/b", "..", "pi_1?x=y", "pi_1#", "pi 1", "pi_1%2f", "cancel", "pï"] {
            assert!(!is_id(bad), "{bad:?}");
        }
    }

    #[test]
    fn an_unknown_path_makes_nothing() {
        assert_eq!(Resource::made_by("/v1/charges"), None);
        assert_eq!(Resource::made_by("/v2/accounts"), None);
        assert_eq!(Resource::made_by("/v1/payment_intents/pi_1/cancel"), Some(Resource::Payment));
    }
}
