//! What a lost answer left behind is found again, is told from what others made, and is never invented.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use partita_provider::{Command, FetchError, LookedUp, Outcome, Provider as _, ProviderObject, Search};
use partita_simulator::{Fault, FaultKind, Settings};
use serde_json::{Value, json};

use crate::commands::{
    cancel, create_account, create_link, create_payment, create_payout, create_refund, create_reversal, create_top_up,
    create_transfer,
};
use crate::support::{Fake, Reply, adapter, error, example, payment};
use crate::world::{DAY, World};

pub(crate) fn search(command: &Command, sent_from: i64) -> Search {
    Search { command: command.clone(), marker: "op_id".into(), sent_from, sent_until: Some(sent_from + 60) }
}

/// The same command of another operation.
fn of_operation(command: &Command, operation: &str) -> Command {
    let mut command = command.clone();
    match &mut command {
        Command::CreateAccount(c) => mark(&mut c.metadata, operation),
        Command::CreatePayment(c) => mark(&mut c.metadata, operation),
        Command::CreateTransfer(c) => mark(&mut c.metadata, operation),
        Command::CreateReversal(c) => mark(&mut c.metadata, operation),
        Command::CreateRefund(c) => mark(&mut c.metadata, operation),
        Command::CreateTopUp(c) => mark(&mut c.metadata, operation),
        Command::CreatePayout(c) => mark(&mut c.metadata, operation),
        Command::SubmitEvidence(c) => mark(&mut c.metadata, operation),
        Command::CreateCustomer(c) => mark(&mut c.metadata, operation),
        Command::CreateSetup(c) => mark(&mut c.metadata, operation),
        Command::CreateAccountLink(_)
        | Command::CancelPayment(_)
        | Command::CapturePayment(_)
        | Command::DetachMethod(_)
        | Command::UpdateAccount(_)
        | Command::OnAccount(_)
        | Command::AcceptDispute(_) => {}
    }
    command
}

fn mark(metadata: &mut BTreeMap<String, String>, operation: &str) {
    metadata.insert("op_id".into(), operation.into());
}

impl World {
    fn fault(&self, kind: FaultKind) {
        self.control.plan_fault(Fault { kind, method: "POST".into(), path: "/v1/".into(), times: 1 });
    }

    async fn look_up(&self, command: &Command) -> LookedUp {
        self.stripe.look_up(&search(command, self.control.now())).await.expect("looked up")
    }

    /// One of each command that makes an object, on objects that are there.
    async fn commands(&self) -> Vec<Command> {
        let seller = self.account().await.id;
        self.control.complete_onboarding(&seller).await.expect("onboarded");
        let paid = self.payment(20_000, "pm_card_bypassPending", "op_parent.1").await;
        let charge = paid.charge.expect("the answer holds it").id;
        let parent = create_transfer(5_000, &seller, Some(&charge));
        let ProviderObject::Transfer(transfer) = self.done(&parent, "op_parent.2").await else { panic!("a transfer") };
        vec![
            create_account(),
            create_payment(5_000, "pm_card_visa"),
            create_transfer(500, &seller, Some(&charge)),
            create_reversal(200, &transfer.id),
            create_refund(300, &paid.id),
            create_top_up(5_000),
            create_payout(100, &seller),
        ]
    }
}

#[tokio::test]
async fn what_was_made_without_an_answer_is_found_and_is_what_the_answer_would_have_said() {
    let world = World::start().await;
    for command in world.commands().await {
        let name = command.name();
        // The same, asked for by somebody else, before and after.
        world.done(&of_operation(&command, "op_before"), &format!("{name}.before")).await;
        let ours = of_operation(&command, "op_ours");
        world.fault(FaultKind::AnswerLost);
        let lost = world.submit(&ours, &format!("{name}.ours")).await;
        assert!(matches!(lost.outcome, Outcome::Unknown { .. }), "{name}: {:?}", lost.outcome);
        world.done(&of_operation(&command, "op_after"), &format!("{name}.after")).await;

        let LookedUp::Found(found) = world.look_up(&ours).await else { panic!("{name} was not found") };
        let told = world.done(&ours, &format!("{name}.ours")).await;
        assert_eq!(found.id(), told.id(), "{name}: the key's own answer names the same object");
        let strangers = of_operation(&command, "op_never_sent");
        assert_eq!(world.look_up(&strangers).await, LookedUp::Absent, "{name}");
    }
    world.end().await;
}

#[tokio::test]
async fn an_error_before_the_effect_leaves_nothing_to_find() {
    let world = World::start().await;
    for command in world.commands().await {
        let (name, ours) = (command.name(), of_operation(&command, "op_ours"));
        world.fault(FaultKind::ErrorBefore);
        let failed = world.submit(&ours, &format!("{name}.ours")).await;
        assert!(matches!(failed.outcome, Outcome::Unknown { .. }), "{name}: {:?}", failed.outcome);
        assert_eq!(world.look_up(&ours).await, LookedUp::Absent, "{name}");
    }
    world.end().await;
}

#[tokio::test]
async fn two_objects_of_one_operation_are_a_contradiction() {
    let world = World::start().await;
    for command in world.commands().await {
        let (name, ours) = (command.name(), of_operation(&command, "op_ours"));
        let mut ids = Vec::new();
        for key in ["first", "second"] {
            ids.push(world.done(&ours, &format!("{name}.{key}")).await.id().to_owned());
        }
        ids.sort_unstable();
        assert_eq!(world.look_up(&ours).await, LookedUp::Contradiction { objects: ids }, "{name}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_payment_outside_the_window_is_found_by_search_once_the_index_has_caught_up() {
    let world = World::start().await;
    let settings = Settings { search_lag_seconds: 120, ..world.control.settings() };
    world.control.set_settings(settings).await.expect("set");
    let made = world.payment(5_000, "pm_card_visa", "op_1.1").await;
    let late = search(&create_payment(5_000, "pm_card_visa"), world.control.now() + 2 * DAY);
    assert_eq!(world.stripe.look_up(&late).await, Ok(LookedUp::Absent), "the list's window lies elsewhere");
    world.control.advance(119).await.expect("time passes");
    assert_eq!(world.stripe.look_up(&late).await, Ok(LookedUp::Absent));
    world.control.advance(1).await.expect("time passes");
    let found = world.stripe.look_up(&late).await.expect("looked up");
    assert!(matches!(&found, LookedUp::Found(object) if object.id() == made.id), "{found:?}");
    world.end().await;
}

#[tokio::test]
async fn whether_a_payment_was_given_up_is_written_on_it() {
    let world = World::start().await;
    let declined = world.submit(&create_payment(5_000, "pm_card_chargeDeclined"), "op_1.1").await;
    let Outcome::Refused { object: Some(object), .. } = declined.outcome else { panic!("{:?}", declined.outcome) };
    let command = cancel(object.id());
    assert_eq!(world.look_up(&command).await, LookedUp::Absent);
    world.fault(FaultKind::AnswerLost);
    world.submit(&command, "op_2.1").await;
    let LookedUp::Found(found) = world.look_up(&command).await else { panic!("it was given up") };
    assert_eq!(found.id(), object.id());
    world.end().await;
}

#[tokio::test]
async fn where_there_is_nothing_to_look_at_nothing_is_said() {
    let world = World::start().await;
    let mut unmarked = create_payment(5_000, "pm_card_visa");
    if let Command::CreatePayment(command) = &mut unmarked {
        command.metadata.clear();
    }
    // Of these, only the parents are looked at, and they are not there: that says nothing of what they may hold.
    for command in [create_link("acct_1"), cancel("pi_0"), create_reversal(100, "tr_0"), unmarked] {
        let looked_up = world.look_up(&command).await;
        assert!(matches!(looked_up, LookedUp::CannotTell { .. }), "{command:?}: {looked_up:?}");
    }
    world.end().await;
}

/// A server whose payments are these ids, two on a page, the marked one as named; search answers as given.
async fn stripe_with(payments: Vec<String>, marked: &'static str, searched: (u16, Value)) -> Fake {
    Fake::start(move |seen| {
        if seen.path == "/v1/payment_intents/search" {
            return Reply::json(searched.0, &[], &searched.1);
        }
        if seen.path != "/v1/payment_intents" {
            let id = seen.path.rsplit('/').next().expect("split gives one part at least");
            return Reply::json(200, &[], &example("payment_intent", json!({"id": id})));
        }
        let after = seen.query.split('&').find_map(|pair| pair.strip_prefix("starting_after="));
        let from = after.map_or(0, |after| payments.iter().position(|id| id == after).expect("a cursor of ours") + 1);
        let page = &payments[from..payments.len().min(from + 2)];
        let row =
            |id: &String| json!({"id": id, "metadata": {"op_id": if id == marked { "op_id & more" } else { "" }}});
        let rows: Vec<Value> = page.iter().map(row).collect();
        Reply::json(200, &[], &json!({"object": "list", "data": rows, "has_more": from + 2 < payments.len()}))
    })
    .await
}

fn nothing_searched() -> (u16, Value) {
    (200, json!({"object": "search_result", "data": [], "has_more": false, "next_page": null}))
}

async fn looked_up(fake: &Fake) -> Result<LookedUp, FetchError> {
    adapter(&fake.address, Duration::from_secs(20)).look_up(&search(&payment(), 1_790_000_000)).await
}

#[tokio::test]
async fn pages_are_followed_to_the_end() {
    let ids: Vec<String> = (1..=5).map(|number| format!("pi_{number}")).collect();
    let fake = stripe_with(ids.clone(), "pi_5", nothing_searched()).await;
    let found = looked_up(&fake).await.expect("looked up");
    assert!(matches!(&found, LookedUp::Found(object) if object.id() == "pi_5"), "{found:?}");
    let pages = fake.seen().iter().filter(|seen| seen.path == "/v1/payment_intents").count();
    assert_eq!(pages, 3);
    assert!(fake.seen()[0].query.contains("created[gte]=1789996400") || fake.seen()[0].query.contains("1789996400"));
    let fake = stripe_with(ids, "none", nothing_searched()).await;
    assert_eq!(looked_up(&fake).await, Ok(LookedUp::Absent));
}

/// What comes of a look-up over three pages when the second fails so often, and how often each was asked for.
async fn with_failing_page(failures: usize, failure: (u16, Value)) -> (Result<LookedUp, FetchError>, Vec<usize>) {
    let left = AtomicUsize::new(failures);
    let fake = Fake::start(move |seen| {
        let after = seen.query.split('&').find_map(|pair| pair.strip_prefix("starting_after="));
        let (id, more) = match (seen.path.as_str(), after) {
            ("/v1/payment_intents", None) => ("pi_1", true),
            ("/v1/payment_intents", Some("pi_1")) => {
                if left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                    return Reply::json(failure.0, &[], &failure.1);
                }
                ("pi_2", true)
            }
            ("/v1/payment_intents", _) => ("pi_3", false),
            ("/v1/payment_intents/search", _) => return Reply::json(200, &[], &nothing_searched().1),
            _ => return Reply::json(200, &[], &example("payment_intent", json!({"id": "pi_3"}))),
        };
        let marker = if id == "pi_3" { "op_id & more" } else { "" };
        let rows = json!([{"id": id, "metadata": {"op_id": marker}}]);
        Reply::json(200, &[], &json!({"object": "list", "data": rows, "has_more": more}))
    })
    .await;
    let looked = looked_up(&fake).await;
    let asked = |page: &str| {
        let of_page = |query: &str| match query.split_once("starting_after=") {
            None => page.is_empty(),
            Some((_, after)) => after.split('&').next() == Some(page),
        };
        fake.seen().iter().filter(|seen| seen.path == "/v1/payment_intents" && of_page(&seen.query)).count()
    };
    (looked, ["", "pi_1", "pi_2"].map(asked).to_vec())
}

#[tokio::test]
async fn a_page_that_fails_is_asked_for_again_and_the_list_does_not_begin_anew() {
    for failure in [(500, json!({})), (429, json!({})), (200, json!({"object": "list"}))] {
        let (looked, asked) = with_failing_page(3, failure.clone()).await;
        assert!(matches!(&looked, Ok(LookedUp::Found(object)) if object.id() == "pi_3"), "{failure:?}: {looked:?}");
        assert_eq!(asked, [1, 4, 1], "{failure:?}");
    }
}

#[tokio::test]
async fn a_page_that_fails_four_times_ends_the_look_up() {
    let (looked, asked) = with_failing_page(4, (500, json!({}))).await;
    assert!(matches!(looked, Err(FetchError::Unreachable(_))), "{looked:?}");
    assert_eq!(asked, [1, 4, 0]);
}

#[tokio::test]
async fn a_page_that_is_refused_is_asked_for_once() {
    let refusal = error("invalid_request_error", &Value::Null, json!({}));
    let (looked, asked) = with_failing_page(1, (403, refusal)).await;
    assert!(matches!(looked, Err(FetchError::Refused(_))), "{looked:?}");
    assert_eq!(asked, [1, 1, 0]);
}

#[tokio::test]
async fn a_list_without_end_is_no_absence() {
    let ids: Vec<String> = (1..=1_000).map(|number| format!("pi_{number}")).collect();
    let fake = stripe_with(ids, "pi_999", nothing_searched()).await;
    let looked = looked_up(&fake).await.expect("looked up");
    assert!(matches!(looked, LookedUp::CannotTell { .. }), "{looked:?}");
}

#[tokio::test]
async fn who_may_not_search_has_the_list() {
    let refused = (403, error("invalid_request_error", &Value::Null, json!({})));
    let fake = stripe_with(vec!["pi_1".into()], "pi_1", refused.clone()).await;
    assert!(matches!(looked_up(&fake).await, Ok(LookedUp::Found(_))));
    let fake = stripe_with(vec!["pi_1".into()], "none", refused).await;
    assert_eq!(looked_up(&fake).await, Ok(LookedUp::Absent));
}

#[tokio::test]
async fn a_provider_that_cannot_be_asked_to_the_end_tells_nothing() {
    for answer in [(500, json!({})), (429, json!({})), (200, json!({"object": "list"}))] {
        let fake = stripe_with(vec!["pi_1".into()], "none", answer.clone()).await;
        let looked = looked_up(&fake).await;
        assert!(
            matches!(looked, Err(FetchError::Unreachable(_) | FetchError::Unreadable(_))),
            "{answer:?}: {looked:?}"
        );
    }
}
