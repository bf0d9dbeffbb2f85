//! Finding what a command made, when its answer was lost: which lists of Stripe's would show it, and how it is told
//! from others. Pure; the adapter sends.
//!
//! An object is recognised by its metadata and nothing else: two payments may well have one amount. Lists are read to
//! their end, because only a complete list can show an absence. Payments are searched for too: search sees past the
//! time window and the bound on pages, but its index lags (<https://docs.stripe.com/search#data-freshness>), so that it
//! can show a presence and never an absence.

use std::collections::BTreeSet;

use partita_provider::{Command, DisputeStatus, FetchError, LookedUp, Lookup, PaymentStatus, ProviderObject, Search};
use serde_json::Value;
use stripe_client_core::StripeRequest as _;
use stripe_connect::account as accounts;
use stripe_connect::{topup as topups, transfer as transfers, transfer_reversal as reversals};
use stripe_core::customer as customers;
use stripe_core::payment_intent as intents;
use stripe_core::payout as payouts;
use stripe_core::refund as refunds;
use stripe_core::setup_intent as setups;
use stripe_types::{RangeBoundsTs, RangeQueryTs};

use crate::read::{Read, checked};
use crate::resource::is_id;

/// How far Stripe's clock and ours may be apart, in seconds. Wider than any clock of a machine that signs or verifies.
const CLOCK_MARGIN_SECONDS: i64 = 3_600;

/// The largest page that Stripe gives.
const PAGE: i64 = 100;

/// How many pages are read before we admit that we cannot tell: ten thousand objects within the window.
pub(crate) const MOST_PAGES: usize = 100;

/// How a command's object is looked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// The object is known by id: whether the command struck is written on it.
    Written(Lookup),
    /// Through the list that [`page`] reads, and by search where Stripe offers it.
    Listed {
        /// What only the sought object carries.
        value: String,
        /// Whether [`search`] may find it too.
        searchable: bool,
    },
    /// There is nothing to look at.
    Nowhere(&'static str),
}

/// How to look.
pub(crate) fn plan(search: &Search) -> Plan {
    let account = account_of(&search.command);
    let written = |lookup: Lookup| Plan::Written(lookup.on(account));
    let searchable = match asked(&search.command) {
        Command::CancelPayment(command) => return written(Lookup::Payment(command.payment.clone())),
        Command::CapturePayment(command) => return written(Lookup::Payment(command.payment.clone())),
        Command::UpdateAccount(command) => return Plan::Written(Lookup::Account(command.account.clone())),
        Command::SubmitEvidence(command) => return written(Lookup::Dispute(command.dispute.clone())),
        Command::AcceptDispute(command) => return written(Lookup::Dispute(command.dispute.clone())),
        Command::DetachMethod(command) => return Plan::Written(Lookup::Method(command.payment_method.clone())),
        Command::CreateAccountLink(_) => return Plan::Nowhere("Stripe keeps no list of account links"),
        Command::OnAccount(_) => return Plan::Nowhere("a command is for one account, not for one of another's"),
        Command::CreatePayment(_) => true,
        Command::CreateAccount(_)
        | Command::CreateTransfer(_)
        | Command::CreateReversal(_)
        | Command::CreateRefund(_)
        | Command::CreateCustomer(_)
        | Command::CreateSetup(_)
        | Command::CreatePayout(_)
        | Command::CreateTopUp(_) => false,
    };
    match search.marker_value().filter(|value| !value.is_empty()) {
        Some(value) => Plan::Listed { value: value.to_owned(), searchable },
        None => Plan::Nowhere("the command carries no marker in its metadata"),
    }
}

/// What is asked, whoever it is asked for.
fn asked(command: &Command) -> &Command {
    match command {
        Command::OnAccount(on) => &on.asked,
        command => command,
    }
}

/// The connected account that a command is for; none for the platform's own.
pub(crate) fn account_of(command: &Command) -> Option<&str> {
    match command {
        Command::OnAccount(on) => Some(&on.account),
        _ => None,
    }
}

/// One page of the list that would show the object; none for commands without one.
///
/// # Errors
/// [`FetchError::Unreadable`] when an id of the command is none: nothing is asked then.
pub(crate) fn page(search: &Search, after: Option<&str>) -> Result<Option<Read>, FetchError> {
    /// The cursor, for any of the builders.
    macro_rules! from {
        ($request:expr) => {{
            let request = $request.limit(PAGE);
            match after {
                Some(after) => request.starting_after(after).build(),
                None => request.build(),
            }
        }};
    }
    let request = match asked(&search.command) {
        Command::CreateAccount(_) => from!(accounts::ListAccount::new().created(window(search))),
        Command::CreatePayment(_) => from!(intents::ListPaymentIntent::new().created(window(search))),
        Command::CreateCustomer(_) => from!(customers::ListCustomer::new().created(window(search))),
        Command::CreateSetup(_) => from!(setups::ListSetupIntent::new().created(window(search))),
        Command::CreateTopUp(_) => from!(topups::ListTopup::new().created(window(search))),
        Command::CreatePayout(c) => {
            let request = from!(payouts::ListPayout::new().created(window(search)));
            let account = c.account.as_deref().map(checked).transpose()?;
            return Ok(Some(Read::of(request, account)));
        }
        Command::CreateTransfer(c) => from!(transfers::ListTransfer::new().transfer_group(c.transfer_group.clone())),
        Command::CreateReversal(c) => from!(reversals::ListIdTransferReversal::new(checked(&c.transfer)?)),
        Command::CreateRefund(c) => from!(refunds::ListRefund::new().payment_intent(c.payment.clone())),
        Command::CancelPayment(_)
        | Command::CapturePayment(_)
        | Command::CreateAccountLink(_)
        | Command::UpdateAccount(_)
        | Command::SubmitEvidence(_)
        | Command::DetachMethod(_)
        | Command::OnAccount(_)
        | Command::AcceptDispute(_) => return Ok(None),
    };
    let account = account_of(&search.command).map(checked).transpose()?;
    Ok(Some(Read::of(request, account)))
}

/// When the object was made, if it was.
fn window(search: &Search) -> RangeQueryTs {
    RangeQueryTs::Bounds(RangeBoundsTs {
        gte: Some(search.sent_from.saturating_sub(CLOCK_MARGIN_SECONDS)),
        lte: search.sent_until.map(|until| until.saturating_add(CLOCK_MARGIN_SECONDS)),
        ..RangeBoundsTs::default()
    })
}

/// The search for a payment with this value under this key of its metadata.
pub(crate) fn search(account: Option<&str>, marker: &str, value: &str) -> Read {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
    let query = format!("metadata['{}']:'{}'", quoted(marker), quoted(value));
    Read::of(intents::SearchPaymentIntent::new(query).limit(PAGE).build(), account)
}

/// What one page showed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Ids of the objects that carry the marker.
    pub(crate) marked: Vec<String>,
    /// The cursor of the next page, if there is one.
    pub(crate) next: Option<String>,
}

/// Reads a page of any kind of object, only as far as it matters here: a stranger's object of a shape that the
/// generated types do not know must not hide ours. Anything that is not surely a list is unreadable, because what is
/// not found counts as absent.
///
/// # Errors
/// [`FetchError::Unreadable`].
pub(crate) fn listed(body: &[u8], marker: &str, value: &str) -> Result<Listed, FetchError> {
    let unreadable = |what: &str| FetchError::Unreadable(format!("a list {what}"));
    let list: Value = serde_json::from_slice(body).map_err(|_| unreadable("that is not JSON"))?;
    if !matches!(list["object"].as_str(), Some("list" | "search_result")) {
        return Err(unreadable("that does not say that it is one"));
    }
    let rows = list["data"].as_array().ok_or_else(|| unreadable("without rows"))?;
    let has_more = list["has_more"].as_bool().ok_or_else(|| unreadable("that does not say whether more follows"))?;
    let mut marked = Vec::new();
    let mut last = None;
    for row in rows {
        let id = row["id"].as_str().filter(|id| is_id(id)).ok_or_else(|| unreadable("with a row without id"))?;
        last = Some(id.to_owned());
        match &row["metadata"] {
            Value::Object(kept) if kept.get(marker).and_then(Value::as_str) == Some(value) => {
                marked.push(id.to_owned());
            }
            Value::Null | Value::Object(_) => {}
            _ => return Err(unreadable("with a row whose metadata is none")),
        }
    }
    match (has_more, last) {
        (false, _) => Ok(Listed { marked, next: None }),
        (true, Some(last)) => Ok(Listed { marked, next: Some(last) }),
        (true, None) => Err(unreadable("that is empty and goes on")),
    }
}

/// How the object that was found is read with everything that its booking needs.
pub(crate) fn found(command: &Command, id: String) -> Option<Lookup> {
    match command {
        Command::OnAccount(on) => Some(found(&on.asked, id)?.on(Some(&on.account))),
        Command::CreateAccount(_) => Some(Lookup::Account(id)),
        Command::CreatePayment(_) => Some(Lookup::Payment(id)),
        Command::CreateTopUp(_) => Some(Lookup::TopUp(id)),
        Command::CreatePayout(c) => Some(Lookup::Payout { account: c.account.clone(), payout: id }),
        Command::CreateTransfer(_) => Some(Lookup::Transfer(id)),
        Command::CreateReversal(c) => Some(Lookup::Reversal { transfer: c.transfer.clone(), reversal: id }),
        Command::CreateRefund(_) => Some(Lookup::Refund(id)),
        Command::CreateCustomer(_) => Some(Lookup::Customer(id)),
        Command::CreateSetup(_) => Some(Lookup::Setup(id)),
        Command::CancelPayment(_)
        | Command::CapturePayment(_)
        | Command::CreateAccountLink(_)
        | Command::UpdateAccount(_)
        | Command::SubmitEvidence(_)
        | Command::DetachMethod(_)
        | Command::AcceptDispute(_) => None,
    }
}

/// Whether an object shows that the command about it struck: a payment that is cancelled or captured, a dispute that carries the
/// marker of its evidence, one that is lost, an account that is paid out as asked, a method that is with nobody.
pub(crate) fn struck(search: &Search, object: &ProviderObject) -> bool {
    match (asked(&search.command), object) {
        (Command::CancelPayment(_), ProviderObject::Payment(payment)) => payment.status == PaymentStatus::Canceled,
        (Command::CapturePayment(_), ProviderObject::Payment(payment)) => payment.status == PaymentStatus::Succeeded,
        (Command::UpdateAccount(asked), ProviderObject::Account(account)) => {
            account.payout_interval == Some(asked.payout_interval)
        }
        (Command::SubmitEvidence(_), ProviderObject::Dispute(dispute)) => search
            .marker_value()
            .is_some_and(|value| dispute.metadata.get(&search.marker).is_some_and(|kept| kept == value)),
        (Command::DetachMethod(_), ProviderObject::Method(method)) => method.customer.is_none(),
        (Command::AcceptDispute(_), ProviderObject::Dispute(dispute)) => dispute.status == DisputeStatus::Lost,
        _ => false,
    }
}

/// What the marked objects mean: exactly one is ours, or none, or something is wrong.
pub(crate) fn verdict(marked: BTreeSet<String>, complete: bool) -> Result<String, LookedUp> {
    let mut objects: Vec<String> = marked.into_iter().collect();
    match (objects.len(), complete) {
        (1, _) => Ok(objects.remove(0)),
        (0, true) => Err(LookedUp::Absent),
        (0, false) => {
            let why = format!("more than {MOST_PAGES} pages of objects were made at the time");
            Err(LookedUp::CannotTell { why })
        }
        _ => Err(LookedUp::Contradiction { objects }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(list: &Value) -> Result<Listed, FetchError> {
        listed(list.to_string().as_bytes(), "op_id", "op_1")
    }

    #[test]
    fn only_the_whole_marker_under_its_own_key_counts() {
        let rows = json!([
            {"id": "pi_1", "metadata": {"op_id": "op_1", "more": "x"}},
            {"id": "pi_2", "metadata": {"op_id": "op_11"}},
            {"id": "pi_3", "metadata": {"other": "op_1"}},
            {"id": "pi_4", "metadata": null},
            {"id": "pi_5"},
        ]);
        let page = read(&json!({"object": "list", "data": rows, "has_more": false})).expect("a list");
        assert_eq!(page, Listed { marked: vec!["pi_1".into()], next: None });
    }

    #[test]
    fn the_next_page_begins_after_the_last_row_whether_marked_or_not() {
        let rows = json!([{"id": "pi_1", "metadata": {"op_id": "op_1"}}, {"id": "pi_2", "metadata": {}}]);
        let page = read(&json!({"object": "list", "data": rows, "has_more": true})).expect("a list");
        assert_eq!(page, Listed { marked: vec!["pi_1".into()], next: Some("pi_2".into()) });
    }

    #[test]
    fn what_is_not_surely_a_list_never_passes_for_an_absence() {
        for bad in [
            json!({}),
            json!([]),
            json!({"object": "payment_intent", "data": [], "has_more": false}),
            json!({"object": "list", "has_more": false}),
            json!({"object": "list", "data": []}),
            json!({"object": "list", "data": [], "has_more": true}),
            json!({"object": "list", "data": [{}], "has_more": false}),
            json!({"object": "list", "data": [{"id": "pi_1/x"}], "has_more": false}),
            json!({"object": "list", "data": [{"id": "pi_1", "metadata": "op_1"}], "has_more": false}),
        ] {
            assert!(matches!(read(&bad), Err(FetchError::Unreadable(_))), "{bad}");
        }
        assert!(listed(b"{\"object\":\"list\",\"da", "op_id", "op_1").is_err());
    }

    #[test]
    fn one_is_ours_none_is_an_absence_only_at_the_end_and_two_are_a_contradiction() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(verdict(ids(&["pi_1"]), true), Ok("pi_1".into()));
        assert_eq!(verdict(ids(&["pi_1"]), false), Ok("pi_1".into()));
        assert_eq!(verdict(ids(&[]), true), Err(LookedUp::Absent));
        assert!(matches!(verdict(ids(&[]), false), Err(LookedUp::CannotTell { .. })));
        let both = LookedUp::Contradiction { objects: vec!["pi_1".into(), "pi_2".into()] };
        assert_eq!(verdict(ids(&["pi_2", "pi_1"]), false), Err(both));
    }

    #[test]
    fn a_quote_in_a_marker_ends_no_text_of_the_query() {
        let read = search(None, "op'id", r"op\1' OR status:'succeeded");
        let query: Vec<(String, String)> =
            url::form_urlencoded::parse(read.query.as_bytes()).map(|(k, v)| (k.into(), v.into())).collect();
        let said = query.iter().find(|(name, _)| name == "query").map(|(_, value)| value.as_str());
        assert_eq!(said, Some(r"metadata['op\'id']:'op\\1\' OR status:\'succeeded'"));
    }
}
