//! Every problem this service can answer with, in one table: the code, the status, and what it means for a client.
//!
//! A [`Problem`](super::problem::Problem) can only be made from a row of this table, so a code that is answered but not
//! explained cannot be written. `/docs/errors` and the page of each code are made from it.

/// One kind of problem.
#[derive(Debug, PartialEq, Eq)]
pub struct ProblemType {
    /// Machine-readable name, snake_case. Never changes its meaning.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    /// Short and the same for every occurrence.
    pub title: &'static str,
    /// Whether the same request, with the same `Idempotency-Key`, may succeed later.
    pub retryable: bool,
    /// What it means and what to do, in plain English.
    pub explanation: &'static str,
}

impl ProblemType {
    /// The last part of the problem's address: the code in kebab-case.
    pub fn slug(&self) -> String {
        self.code.replace('_', "-")
    }

    /// The problem's `type`: the address of the page that explains it, relative to this instance.
    pub fn uri(&self) -> String {
        format!("/docs/errors/{}", self.slug())
    }

    /// The kind that [`Self::slug`] names.
    pub fn by_slug(slug: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|kind| kind.slug() == slug)
    }
}

/// What may be wrong with one field or parameter; stands in `errors[].code`.
#[derive(Debug, PartialEq, Eq)]
pub struct FieldCode {
    /// Machine-readable name, snake_case.
    pub code: &'static str,
    /// What it means.
    pub explanation: &'static str,
}

macro_rules! problem_types {
    ($($name:ident = $code:literal, $status:literal, $retryable:literal, $title:literal, $explanation:literal;)*) => {
        $(
            #[doc = $explanation]
            pub static $name: ProblemType = ProblemType {
                code: $code, status: $status, title: $title, retryable: $retryable, explanation: $explanation,
            };
        )*
        /// Every kind, in the order of the table.
        pub static ALL: &[&ProblemType] = &[$(&$name,)*];
    };
}

macro_rules! field_codes {
    ($($name:ident = $code:literal, $explanation:literal;)*) => {
        $(
            #[doc = $explanation]
            pub static $name: FieldCode = FieldCode { code: $code, explanation: $explanation };
        )*
        /// Every field code, in the order of the table.
        pub static FIELD_CODES: &[&FieldCode] = &[$(&$name,)*];
    };
}

problem_types! {
    INVALID_JSON = "invalid_json", 400, false, "The body is not valid JSON",
        "The body could not be read as one JSON object. The detail names the line and the column. A key that stands twice in one object counts as invalid, because programs disagree on which of the two holds.";
    BAD_REQUEST = "bad_request", 400, false, "The request is malformed",
        "The path, the query or a header is not well formed, for instance a percent sign that is not followed by two hexadecimal digits.";
    BAD_CURSOR = "bad_cursor", 400, false, "The cursor is not valid here",
        "A cursor belongs to the list and the filters that it was made for. Take it from next_cursor of the page before and send the same filters with it, or start again without a cursor.";
    IDEMPOTENCY_KEY_MISSING = "idempotency_key_missing", 400, false, "An Idempotency-Key is required",
        "Every POST that can move money needs the header Idempotency-Key: your own unique text for this one action, 1 to 255 visible ASCII characters. When an answer gets lost, send the same request with the same key again.";
    IDEMPOTENCY_KEY_INVALID = "idempotency_key_invalid", 400, false, "The Idempotency-Key is not valid",
        "The header Idempotency-Key must stand once and have 1 to 255 visible ASCII characters, without spaces.";
    WEBHOOK_REFUSED = "webhook_refused", 400, false, "The webhook was refused",
        "A provider's message was not accepted. For safety the answer does not say why: check the endpoint's address, its secret and the sender's clock.";
    AUTHENTICATION_REQUIRED = "authentication_required", 401, false, "An API key is required",
        "Send the header Authorization: Bearer followed by an API key (ptk_test_.. or ptk_live_..).";
    API_KEY_INVALID = "api_key_invalid", 401, false, "The API key is not valid",
        "No such API key exists here. Check for missing characters, and that the key belongs to this instance.";
    API_KEY_EXPIRED = "api_key_expired", 401, false, "The API key has expired",
        "The API key had an expiry date, which has passed. Make a new key.";
    API_KEY_REVOKED = "api_key_revoked", 401, false, "The API key was revoked",
        "The API key was revoked and no longer opens anything. Make a new key.";
    PAYMENT_DECLINED = "payment_declined", 402, false, "The payment was declined",
        "The buyer's bank or the provider declined the payment, and no money moved. provider.decline_code says why, as far as the bank tells. Ask the buyer for another payment method and make a new payment with a new Idempotency-Key.";
    BUYER_AUTHENTICATION_REQUIRED = "buyer_authentication_required", 402, false, "The buyer has to confirm the payment",
        "The buyer's bank wants the buyer to confirm, and the buyer is away (off_session). No money moved, and the payment has failed. Ask the buyer to come back, and make a new payment with a new Idempotency-Key, the same saved payment method, off_session false and a return_url: it is in requires_action, and GET ../client_action says what the buyer has to do.";
    PAYMENT_METHOD_REFUSED = "payment_method_refused", 402, false, "The payment method was refused",
        "The buyer's bank or the provider did not let the payment method be saved. No money moved; object is the payment method, which has failed. Ask the buyer for another one.";
    SCOPE_MISSING = "scope_missing", 403, false, "The API key may not do this",
        "The API key lacks a scope that this request needs; the detail names it. Use a key that has it.";
    NOT_FOUND = "not_found", 404, false, "Not found",
        "There is no such object in the book that the API key opens. An id of the other mode (test or live) or of another platform is answered in the same way.";
    ROUTE_NOT_FOUND = "route_not_found", 404, false, "No such address",
        "Nothing is served under this path. The reference is at /docs.";
    METHOD_NOT_ALLOWED = "method_not_allowed", 405, false, "The method is not allowed here",
        "The path exists, but not for this HTTP method. The header Allow names those that it has.";
    REQUEST_TIMEOUT = "request_timeout", 408, true, "The body did not arrive in time",
        "The request's body took too long to arrive. Nothing was done. Send it again.";
    STATE_CONFLICT = "state_conflict", 409, false, "The object's state does not allow this",
        "What was asked is not possible in the state that the object has now, for instance to cancel a payment that has succeeded. Read the object, then decide.";
    APPROVAL_OF_OWN_PROPOSAL = "approval_of_own_proposal", 409, false, "Whoever proposed cannot approve",
        "Two people have to agree, and this key made the proposal. Let somebody else approve it, with a key of their own that has the scope approvals:write; the maker may only withdraw it, by rejecting it.";
    PAYMENT_DISPUTED = "payment_disputed", 409, false, "The payment is disputed",
        "The buyer's bank has taken what was to be refunded: it was disputed, and giving it back too would pay the buyer twice. What is not disputed can be refunded. If the dispute is won, everything can be refunded again.";
    REFERENCE_TAKEN = "reference_taken", 409, false, "The reference is taken",
        "Another object of this type has this reference. References are yours and unique per type. To repeat a request whose answer got lost, send it with the same Idempotency-Key.";
    IDEMPOTENCY_KEY_IN_USE = "idempotency_key_in_use", 409, true, "A request with this Idempotency-Key is under way",
        "An earlier request with the same key has not been answered yet. Wait for as long as Retry-After says and send the same request again: it is answered with the first one's result.";
    PROVIDER_NOT_CONNECTED = "provider_not_connected", 409, false, "No payment provider is connected",
        "The platform's book has no connection to a payment provider in this mode. Whoever runs the service connects one; see the chapter on deployment.";
    LINK_EXPIRED = "link_expired", 410, false, "The link has expired",
        "Onboarding links are short-lived. Make a new one.";
    LINK_USED = "link_used", 410, false, "The link was used",
        "An onboarding link works once. Make a new one.";
    BODY_TOO_LARGE = "body_too_large", 413, false, "The body is too large",
        "A request's body may have 256 kB, a provider's webhook 1 MiB, a file of evidence 5 MiB.";
    CONTENT_TYPE_UNSUPPORTED = "content_type_unsupported", 415, false, "The content type is not supported",
        "Send JSON in UTF-8, with the header Content-Type: application/json. Files are PDF, JPEG or PNG, under their own types.";
    CONTENT_ENCODING_UNSUPPORTED = "content_encoding_unsupported", 415, false, "Compressed bodies are not supported",
        "Send the body as it is, without a Content-Encoding.";
    VALIDATION_FAILED = "validation_failed", 422, false, "The request is not valid",
        "The request was understood, but something in it cannot be. errors lists each fault with a JSON pointer to the field, or the name of the query parameter. Nothing was changed.";
    CARD_NUMBER_REFUSED = "card_number_refused", 422, false, "Card numbers are not accepted",
        "The request contains what looks like a payment card number: 13 to 19 digits with a card scheme's prefix and a valid check digit. It was neither stored nor logged. Card data must go from the buyer's browser to the provider directly; send the provider's token instead. If it is a number of your own, put letters before it, such as order_.";
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused", 422, false, "The Idempotency-Key was used for another request",
        "The same key came before with another method, path or body. A key stands for one action: take a new one for a new action.";
    PROVIDER_REFUSED = "provider_refused", 422, false, "The payment provider refused",
        "The provider looked at the request and refused it; no money moved. provider.code is its reason. Where an object was made for the request, it is shown and has failed.";
    TOO_MANY_REQUESTS = "too_many_requests", 429, true, "Too many requests",
        "The rate limit of the API key or of the client's address is reached. Wait for as long as Retry-After says. The headers RateLimit-Policy and RateLimit tell the limit and what is left.";
    INTERNAL_ERROR = "internal_error", 500, true, "Something went wrong here",
        "A fault of this service. Money is safe: what was done is recorded, and the same request with the same Idempotency-Key continues where this one stopped. Give request_id to whoever runs the service.";
    PROVIDER_FAILED = "provider_failed", 502, true, "The payment provider did not answer properly",
        "The provider could not be reached, or its answer could not be understood. Try again later with the same Idempotency-Key.";
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable", 503, true, "Temporarily unavailable",
        "The service or its database is starting, stopping or overloaded. Try again with the same Idempotency-Key after as long as Retry-After says.";
    MONEY_MOVEMENT_HALTED = "money_movement_halted", 503, true, "The movement of money is halted",
        "Verification found that the book contradicts itself, or another database server has taken over that lacks what was acknowledged, so nothing that moves money is started in it until a person has looked; for some seconds after each takeover, too, until the provider was asked: no payment, refund, top-up or transfer. Reading goes on, and so does what was started before. Try again with the same Idempotency-Key after as long as Retry-After says; whoever runs the service sees the reason with partita verify.";
    TIMED_OUT = "timed_out", 504, true, "The request took too long",
        "The request was not finished in time; what it began goes on. Send it again with the same Idempotency-Key to learn the result.";
}

field_codes! {
    MISSING = "missing", "The field is required.";
    UNKNOWN_FIELD = "unknown_field", "There is no field or parameter of this name here.";
    WRONG_TYPE = "wrong_type", "The value has another JSON type than the field, for instance text where a number is wanted.";
    NOT_AN_INTEGER = "not_an_integer", "The value has decimals or is far too large. Amounts are whole minor units: 12000 for 120.00 EUR.";
    OUT_OF_RANGE = "out_of_range", "The number is too small or too large.";
    INVALID_VALUE = "invalid_value", "The value has the right type but not the form that the field needs.";
    TOO_LONG = "too_long", "The text or the list is too long.";
    TOO_SHORT = "too_short", "The text or the list is too short.";
    CARD_NUMBER = "card_number", "The value contains what looks like a card number.";
    SUM_MISMATCH = "sum_mismatch", "Amounts that must add up do not.";
    CURRENCY_MISMATCH = "currency_mismatch", "Two currencies that must be the same are not.";
    UNKNOWN_REFERENCE = "unknown_reference", "The field names an object that does not exist.";
    NOT_ALLOWED = "not_allowed", "The field must not stand here, given the other fields.";
    TOO_MUCH = "too_much", "More was asked than there is.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_snake_case_words_and_explained() {
        let mut seen = HashSet::new();
        let fields = FIELD_CODES.iter().map(|code| (code.code, code.explanation));
        for (code, explanation) in ALL.iter().map(|kind| (kind.code, kind.explanation)).chain(fields) {
            assert!(seen.insert(code), "{code} stands twice");
            assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{code}");
            assert!(explanation.len() > 15 && explanation.ends_with('.'), "{code} needs an explanation");
        }
    }

    #[test]
    fn a_slug_leads_back_to_its_kind() {
        for kind in ALL {
            assert_eq!(ProblemType::by_slug(&kind.slug()), Some(*kind));
            assert!((400..600).contains(&kind.status), "{}", kind.code);
        }
        assert_eq!(ProblemType::by_slug("no-such-thing"), None);
    }
}
