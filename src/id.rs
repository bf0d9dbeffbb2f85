//! Public identifiers: TypeID text (a prefix and a UUIDv7 in Crockford base32), one type per resource, so that a
//! payment's id cannot stand where a seller's is wanted. The only place that makes random identifiers and secrets.

use std::fmt;

use rand::Rng as _;
use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const SUFFIX_CHARACTERS: usize = 26;

/// Text that is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix}_ and 26 characters")]
pub struct BadId {
    /// The prefix that was wanted.
    pub prefix: &'static str,
}

fn encode(prefix: &str, value: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(prefix)?;
    f.write_str("_")?;
    for position in (0..SUFFIX_CHARACTERS).rev() {
        let index = usize::try_from((value >> (position * 5)) & 31).expect("five bits");
        write!(f, "{}", char::from(ALPHABET[index]))?;
    }
    Ok(())
}

fn decode(prefix: &'static str, text: &str) -> Result<u128, BadId> {
    let bad = || BadId { prefix };
    let suffix = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).ok_or_else(bad)?;
    // 26 characters hold 130 bits: the first may only carry three.
    if suffix.len() != SUFFIX_CHARACTERS || suffix.as_bytes()[0] > b'7' {
        return Err(bad());
    }
    suffix.bytes().try_fold(0_u128, |value, byte| {
        let digit = ALPHABET.iter().position(|c| *c == byte).ok_or_else(bad)?;
        Ok(value << 5 | u128::try_from(digit).expect("below 32"))
    })
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, sqlx::Type)]
        #[sqlx(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The text before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id; later ones sort after earlier ones.
            #[expect(clippy::new_without_default, reason = "a default id would hide that it is random")]
            pub fn new() -> Self {
                Self(new_uuid())
            }

            /// The id as it is stored.
            pub fn uuid(self) -> Uuid {
                self.0
            }

            /// Reads the public text.
            ///
            /// # Errors
            /// [`BadId`] for any other text, another resource's id included.
            pub fn parse(text: &str) -> Result<Self, BadId> {
                decode($prefix, text).map(|value| Self(Uuid::from_u128(value)))
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                encode($prefix, self.0.as_u128(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::parse(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some(concat!("^", $prefix, "_[0-7][0-9a-hjkmnp-tv-z]{25}$")))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    )*};
}

ids! {
    /// A platform: one marketplace.
    PlatformId = "plt";
    /// An API key (the key itself is a secret; this names it).
    ApiKeyId = "key";
    /// A seller.
    SellerId = "slr";
    /// A link that starts a seller's onboarding.
    OnboardingLinkId = "onb";
    /// A fee policy.
    FeePolicyId = "fep";
    /// A payment: one cart, one buyer, any number of sellers.
    PaymentId = "pay";
    /// A buyer who comes again.
    CustomerId = "cst";
    /// A buyer's saved payment method.
    PaymentMethodId = "pmt";
    /// A transfer of a seller's share.
    TransferId = "trf";
    /// A transfer taken back.
    ReversalId = "rev";
    /// A line of a payment whose share waits by itself.
    LineReleaseId = "pln";
    /// A refund.
    RefundId = "ref";
    /// A dispute of a payment.
    DisputeId = "dsp";
    /// A payout to a bank account.
    PayoutId = "pyt";
    /// A payout of the platform's own.
    PlatformPayoutId = "ppt";
    /// Where a seller is paid by bank file.
    BankDetailsId = "bdt";
    /// The platform's own bank account that a currency is paid from.
    OwnBankAccountId = "oba";
    /// A file that the platform's bank pays sellers by.
    BankFileId = "bkf";
    /// Money added from the platform's bank account.
    TopUpId = "top";
    /// Money that people gave a seller, or took from it.
    AdjustmentId = "adj";
    /// What a seller owes.
    DebtId = "dbt";
    /// What of a seller's money is kept back.
    ReserveId = "rsv";
    /// Money that does not move on.
    StuckId = "stk";
    /// A durable command towards a provider.
    OperationId = "opn";
    /// What one person proposes and another decides.
    ApprovalId = "apr";
    /// An event told to the outside.
    EventId = "evn";
    /// An address of the platform that gets events.
    WebhookEndpointId = "whe";
    /// What a webhook endpoint's deliveries are signed with; never shown.
    WebhookSecretId = "whs";
    /// An event on its way to an endpoint.
    DeliveryId = "dlv";
    /// A reconciliation run.
    RunId = "rec";
    /// A difference that reconciliation found.
    BreakId = "brk";
    /// One HTTP request.
    RequestId = "rqt";
    /// A run of verify.
    VerifyRunId = "vrf";
}

/// A public id of a ledger row, whose own key is a number within a book.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LedgerId {
    prefix: &'static str,
    book: i32,
    key: i64,
}

impl LedgerId {
    /// The id of a ledger account (`lac_`).
    pub fn account(book: partita_db::BookId, key: i64) -> Self {
        Self { prefix: "lac", book: book.get(), key }
    }

    /// The id of a ledger transaction (`ltx_`).
    pub fn transaction(book: partita_db::BookId, key: i64) -> Self {
        Self { prefix: "ltx", book: book.get(), key }
    }

    /// Reads the number of a ledger transaction of `book`.
    ///
    /// # Errors
    /// [`BadId`] for any other text and for another book's id.
    pub fn parse_transaction(book: partita_db::BookId, text: &str) -> Result<i64, BadId> {
        Self::parse("ltx", book, text)
    }

    /// Reads the number of a ledger account of `book`.
    ///
    /// # Errors
    /// [`BadId`] for any other text and for another book's id.
    pub fn parse_account(book: partita_db::BookId, text: &str) -> Result<i64, BadId> {
        Self::parse("lac", book, text)
    }

    fn parse(prefix: &'static str, book: partita_db::BookId, text: &str) -> Result<i64, BadId> {
        let value = decode(prefix, text)?;
        let of_book = i32::try_from(value >> 64).ok() == Some(book.get());
        let key = i64::try_from(value & u128::from(u64::MAX)).ok();
        key.filter(|_| of_book).ok_or(BadId { prefix })
    }
}

impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let book = u128::from(self.book.unsigned_abs());
        let key = u128::from(self.key.unsigned_abs());
        encode(self.prefix, book << 64 | key, f)
    }
}

/// What money of a seller is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A payment: the seller's share.
    Payment(PaymentId),
    /// An adjustment: what the seller was given by hand, of the platform's own money, or gave.
    Adjustment(AdjustmentId),
}

impl Of {
    /// As two columns have it; none if neither has.
    pub fn stored(payment: Option<Uuid>, adjustment: Option<Uuid>) -> Option<Self> {
        payment.map(|id| Self::Payment(id.into())).or(adjustment.map(|id| Self::Adjustment(id.into())))
    }

    /// The payment, if it is one.
    pub fn payment(self) -> Option<PaymentId> {
        match self {
            Self::Payment(id) => Some(id),
            Self::Adjustment(_) => None,
        }
    }

    /// The adjustment, if it is one.
    pub fn adjustment(self) -> Option<AdjustmentId> {
        match self {
            Self::Payment(_) => None,
            Self::Adjustment(id) => Some(id),
        }
    }
}

/// The public id of an object that a row names by type and UUID.
pub fn public_id(object_type: &str, id: Uuid) -> String {
    match object_type {
        "payment" => PaymentId::from(id).to_string(),
        "customer" => CustomerId::from(id).to_string(),
        "payment_method" => PaymentMethodId::from(id).to_string(),
        "payment_line" => LineReleaseId::from(id).to_string(),
        "refund" => RefundId::from(id).to_string(),
        "transfer" => TransferId::from(id).to_string(),
        "reversal" => ReversalId::from(id).to_string(),
        "top_up" => TopUpId::from(id).to_string(),
        "payout" => PayoutId::from(id).to_string(),
        "bank_file" => BankFileId::from(id).to_string(),
        "dispute" => DisputeId::from(id).to_string(),
        "adjustment" => AdjustmentId::from(id).to_string(),
        "debt" => DebtId::from(id).to_string(),
        "reserve" => ReserveId::from(id).to_string(),
        "stuck_money" => StuckId::from(id).to_string(),
        "operation" => OperationId::from(id).to_string(),
        "approval" => ApprovalId::from(id).to_string(),
        "seller" => SellerId::from(id).to_string(),
        // A type that this release does not know: shown as it is stored.
        _ => id.to_string(),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that makes identifiers")]
fn new_uuid() -> Uuid {
    Uuid::now_v7()
}

/// Random bytes for a secret, from the operating system's generator by way of the thread's own.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// A number that spreads what would otherwise happen at once.
pub fn chance() -> u16 {
    u16::from_le_bytes(random_bytes())
}

/// A random secret of `N` bytes in lower-case hexadecimal digits.
pub fn random_hex<const N: usize>() -> String {
    hex::encode(random_bytes::<N>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_value_agree_with_the_published_example() {
        // From the TypeID specification (github.com/jetify-com/typeid, valid.yml, Apache-2.0).
        let uuid = Uuid::parse_str("01890a5d-ac96-774b-bcce-b302099a8057").expect("a UUID");
        let id = PaymentId::from(uuid);
        assert_eq!(id.to_string(), "pay_01h455vb4pex5vsknk084sn02q");
        assert_eq!(PaymentId::parse("pay_01h455vb4pex5vsknk084sn02q"), Ok(id));
    }

    #[test]
    fn other_text_is_refused() {
        for bad in [
            "slr_01h455vb4pex5vsknk084sn02q",
            "pay_01H455VB4PEX5VSKNK084SN02Q",
            "pay_81h455vb4pex5vsknk084sn02q",
            "pay_01h455vb4pex5vsknk084sn02",
            "pay_01h455vb4pex5vsknk084sn02ü",
            "pay",
            "",
            "pay_u1h455vb4pex5vsknk084sn02q",
        ] {
            assert!(PaymentId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ledger_ids_belong_to_their_book() {
        let book = partita_db::BookId::try_new(7).expect("in range");
        let other = partita_db::BookId::try_new(8).expect("in range");
        let text = LedgerId::transaction(book, 42).to_string();
        assert_eq!(LedgerId::parse_transaction(book, &text), Ok(42));
        assert!(LedgerId::parse_transaction(other, &text).is_err());
        assert!(LedgerId::parse_account(book, &text).is_err());
    }
}
