//! Disputes against the simulator: reading, answering, giving up, and what a lost answer leaves to be found.

use partita_provider::{
    Command, Dispute, DisputeStatus, EvidenceFile, EvidenceKind, FetchError, FileKind, LookedUp, Lookup, Outcome,
    Provider as _, ProviderObject, Search, SettlementState,
};
use partita_simulator::NewDispute;

use crate::commands::{accept_dispute, submit_evidence};
use crate::support::euros;
use crate::world::World;

/// A dispute of a fresh payment of 120.00, with the payment's id.
async fn disputed(world: &World, key: &str) -> (Dispute, String) {
    let payment = world.payment(12_000, "pm_card_visa", key).await;
    let opened = world.control.open_dispute(NewDispute::of(&payment.id)).await.expect("disputed");
    (read(world, opened["id"].as_str().expect("an id")).await, payment.id)
}

async fn read(world: &World, id: &str) -> Dispute {
    match world.stripe.fetch(&Lookup::Dispute(id.to_owned())).await {
        Ok(ProviderObject::Dispute(dispute)) => dispute,
        other => panic!("{other:?}"),
    }
}

fn search(command: Command) -> Search {
    Search { command, marker: "op_id".into(), sent_from: 1_790_000_000, sent_until: None }
}

#[tokio::test]
async fn a_dispute_reads_with_what_it_moved() {
    let world = World::start().await;
    let (dispute, payment) = disputed(&world, "op_1.1").await;
    assert_eq!((&dispute.status, dispute.amount), (&DisputeStatus::NeedsResponse, euros(12_000)));
    assert_eq!((dispute.payment.as_deref(), dispute.reason.as_str()), (Some(payment.as_str()), "fraudulent"));
    assert!(dispute.charge.starts_with("ch_") && dispute.due_by.is_some() && !dispute.livemode);
    let [moved] = dispute.movements.as_slice() else { panic!("one movement: {dispute:?}") };
    assert_eq!((moved.amount, moved.fee, moved.net), (-12_000, 1_500, -13_500));
    assert_eq!((moved.kind.as_str(), moved.state), ("adjustment", SettlementState::Available));
    assert_eq!(moved.source.as_deref(), Some(dispute.id.as_str()));

    world.control.decide_dispute(&dispute.id, "won").await.expect("decided");
    let won = read(&world, &dispute.id).await;
    let moved = won.movements.last().expect("two movements");
    assert_eq!((&won.status, won.movements.len(), moved.net), (&DisputeStatus::Won, 2, 13_500));
    assert_eq!(world.stripe.fetch(&Lookup::Dispute("du_0".into())).await, Err(FetchError::NotFound));
    world.end().await;
}

#[tokio::test]
async fn an_inquiry_reads_as_one_and_ends_without_money() {
    let world = World::start().await;
    let payment = world.payment(12_000, "pm_card_visa", "op_1.1").await;
    let inquiry = NewDispute { inquiry: true, ..NewDispute::of(&payment.id) };
    let opened = world.control.open_dispute(inquiry).await.expect("asked");
    let id = opened["id"].as_str().expect("an id");
    let said = read(&world, id).await;
    assert_eq!((said.status, said.movements.len()), (DisputeStatus::Inquiry, 0));
    world.done(&submit_evidence(id, "op_2", "It was sent."), "op_2.1").await;
    assert_eq!(read(&world, id).await.status, DisputeStatus::InquiryUnderReview);
    world.control.decide_dispute(id, "warning_closed").await.expect("decided");
    assert_eq!(read(&world, id).await.status, DisputeStatus::Closed);
    world.end().await;
}

#[tokio::test]
async fn evidence_goes_out_once_and_is_found_again_by_its_marker() {
    let world = World::start().await;
    let (dispute, _) = disputed(&world, "op_1.1").await;
    let command = submit_evidence(&dispute.id, "op_2", "It was sent & received.");
    assert_eq!(world.stripe.look_up(&search(command.clone())).await, Ok(LookedUp::Absent));
    let ProviderObject::Dispute(answered) = world.done(&command, "op_2.1").await else { panic!("a dispute") };
    assert_eq!((&answered.status, answered.submissions), (&DisputeStatus::UnderReview, 1));
    assert_eq!(answered.metadata.get("op_id").map(String::as_str), Some("op_2"));
    world.done(&command, "op_2.1").await;
    assert_eq!(read(&world, &dispute.id).await.submissions, 1, "one key, one effect");
    let found = world.stripe.look_up(&search(command)).await;
    assert_eq!(found, Ok(LookedUp::Found(Box::new(ProviderObject::Dispute(answered)))));
    let other = submit_evidence(&dispute.id, "op_3", "More.");
    assert_eq!(world.stripe.look_up(&search(other.clone())).await, Ok(LookedUp::Absent));
    let refused = world.submit(&other, "op_3.1").await;
    assert!(matches!(refused.outcome, Outcome::Refused { .. }), "{:?}", refused.outcome);
    world.end().await;
}

#[tokio::test]
async fn a_dispute_that_is_given_up_is_lost_and_shows_it() {
    let world = World::start().await;
    let (dispute, _) = disputed(&world, "op_1.1").await;
    let command = accept_dispute(&dispute.id);
    assert_eq!(world.stripe.look_up(&search(command.clone())).await, Ok(LookedUp::Absent));
    let ProviderObject::Dispute(lost) = world.done(&command, "op_2.1").await else { panic!("a dispute") };
    assert_eq!((&lost.status, lost.movements.len()), (&DisputeStatus::Lost, 1));
    assert_eq!(
        world.stripe.look_up(&search(command.clone())).await,
        Ok(LookedUp::Found(Box::new(ProviderObject::Dispute(lost))))
    );
    let again = world.submit(&command, "op_3.1").await;
    assert!(matches!(again.outcome, Outcome::Refused { .. }), "{:?}", again.outcome);
    let nowhere = world.stripe.look_up(&search(accept_dispute("du_0"))).await;
    assert!(matches!(nowhere, Ok(LookedUp::CannotTell { .. })), "{nowhere:?}");
    world.end().await;
}

#[tokio::test]
async fn a_parameter_that_stripe_does_not_have_is_refused_with_disputes_too() {
    let world = World::start().await;
    let (dispute, _) = disputed(&world, "op_1.1").await;
    for (number, (command, extra)) in [
        (submit_evidence(&dispute.id, "op_2", "x"), "&unheard_of=1"),
        (submit_evidence(&dispute.id, "op_2", "x"), "&evidence[unheard_of]=1"),
        (accept_dispute(&dispute.id), "unheard_of=1"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut request = world.stripe.prepare(&command).expect("a lawful command");
        request.body.push_str(extra);
        let submission = world.stripe.submit(&request, &format!("op_spoilt_{number}.1")).await;
        let Outcome::Refused { refusal, .. } = submission.outcome else { panic!("{:?}", submission.outcome) };
        assert_eq!(refusal.code, "parameter_unknown", "{extra}");
    }
    assert_eq!(read(&world, &dispute.id).await.status, DisputeStatus::NeedsResponse);
    world.end().await;
}

#[tokio::test]
async fn a_file_is_handed_over_and_evidence_names_it() {
    let world = World::start().await;
    let (dispute, _) = disputed(&world, "op_1.1").await;
    let bytes = b"\x89PNG\r\n\x1a\n--partita-0000000000000000--\r\n\x00\xff".to_vec().into();
    let file = EvidenceFile { name: "a \"parcel\".png".into(), kind: FileKind::Png, bytes };
    let token = world.stripe.upload_evidence(None, &file).await.expect("taken");
    assert!(token.starts_with("file_"));
    let Command::SubmitEvidence(mut command) = submit_evidence(&dispute.id, "op_2", "It was sent.") else {
        panic!("evidence");
    };
    command.evidence.insert(EvidenceKind::ShippingDocumentation, token);
    world.done(&Command::SubmitEvidence(command), "op_2.1").await;
    assert_eq!(read(&world, &dispute.id).await.status, DisputeStatus::UnderReview);

    let empty = EvidenceFile { bytes: Vec::new().into(), ..file };
    let refused = world.stripe.upload_evidence(None, &empty).await;
    assert!(matches!(refused, Err(FetchError::Refused(_))), "{refused:?}");
    world.end().await;
}
