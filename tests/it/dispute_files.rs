//! Files that speak for a platform: they reach the provider, evidence names them, and nothing of them stays here.

use partita_simulator::FaultKind;
use serde_json::{Value, json};

use crate::disputes::{at_provider, dispute_at_provider, paid_cart, the_dispute};
use crate::support::Raw;
use crate::test_app::{Answer, TestApp, text};

const PDF: &[u8] = b"%PDF-1.7\n--partita-0000000000000000\r\n\x00\xff a receipt";

/// A dispute that wants an answer, and the path of its files.
async fn disputed(t: &TestApp) -> (Value, String) {
    let payment = paid_cart(t).await;
    dispute_at_provider(t, at_provider(&payment)).await;
    t.settle().await;
    let dispute = the_dispute(t).await;
    let files = format!("/v1/disputes/{}/evidence_files", text(&dispute["id"]));
    (dispute, files)
}

async fn upload(t: &TestApp, path: &str, media_type: &str, bytes: &[u8]) -> Answer {
    let headers = vec![("content-type", media_type)];
    t.send_raw(Raw { method: "POST", path, headers, body: bytes.to_vec() }).await
}

/// The dispute as the provider shows it.
async fn there(t: &TestApp, dispute: &Value) -> Value {
    t.at_provider("GET", &format!("/v1/disputes/{}", text(&dispute["provider"]["id"])), &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_reaches_the_provider_and_goes_to_the_bank_when_evidence_names_it() {
    let t = TestApp::new().await;
    let (dispute, files) = disputed(&t).await;
    let counts = t.row_counts().await;
    let file = upload(&t, &format!("{files}?name=receipt.pdf"), "application/pdf", PDF).await.expect(201);
    assert_eq!(
        (&file["object"], &file["name"], &file["media_type"], &file["size"]),
        (&json!("evidence_file"), &json!("receipt.pdf"), &json!("application/pdf"), &json!(PDF.len()))
    );
    assert_eq!(t.row_counts().await, counts, "nothing of it stays here");
    let kept = t.at_provider("GET", &format!("/v1/files/{}", text(&file["id"])), &[]).await;
    assert_eq!(
        (&kept["filename"], &kept["size"], &kept["type"]),
        (&json!("receipt.pdf"), &json!(PDF.len()), &json!("pdf"))
    );
    assert_eq!(there(&t, &dispute).await["evidence"]["receipt"], Value::Null, "the bank has seen nothing yet");

    let path = format!("/v1/disputes/{}/evidence", text(&dispute["id"]));
    let evidence = json!({"receipt": file["id"], "customer_name": "Ada"});
    t.post(&path, "ev-1", evidence).await.expect(200);
    let shown = there(&t, &dispute).await;
    assert_eq!((&shown["evidence"]["receipt"], &shown["status"]), (&file["id"], &json!("under_review")));
    let late = upload(&t, &format!("{files}?name=more.pdf"), "application/pdf", PDF).await.expect(409);
    assert_eq!(late["detail"], "Evidence was submitted, which can be done once.");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_is_refused_before_the_provider_sees_it() {
    let t = TestApp::new().await;
    let (dispute, files) = disputed(&t).await;
    let named = format!("{files}?name=receipt.pdf");
    let unknown = upload(&t, &named, "text/html", b"<p>").await.expect(415);
    assert!(text(&unknown["detail"]).contains("image/png"), "{unknown}");
    for (media_type, bytes) in [("image/png", PDF), ("application/pdf", b"".as_slice())] {
        let refused = upload(&t, &named, media_type, bytes).await.expect(422);
        assert_eq!(
            (&refused["errors"][0]["code"], &refused["errors"][0]["pointer"]),
            (&json!("invalid_value"), &json!("#"))
        );
    }
    let mut large = PDF.to_vec();
    large.resize(5 * 1024 * 1024 + 1, b' ');
    assert_eq!(upload(&t, &named, "application/pdf", &large).await.expect(413)["code"], "body_too_large");
    large.pop();
    upload(&t, &named, "application/pdf", &large).await.expect(201);
    let nameless = upload(&t, &files, "application/pdf", PDF).await.expect(422);
    assert_eq!(nameless["errors"][0]["parameter"], "name");
    let nowhere = "/v1/disputes/dsp_01h455vb4pex5vsknk084sn02q/evidence_files?name=a.pdf";
    upload(&t, nowhere, "application/pdf", PDF).await.expect(404);
    assert_eq!(t.effects("/v1/files").await, 1, "the one that is a file");

    let path = format!("/v1/disputes/{}/evidence", text(&dispute["id"]));
    let odd = t.post(&path, "ev-0", json!({"receipt": "../receipt"})).await.expect(422);
    assert_eq!(odd["errors"][0]["pointer"], "#/receipt");
    let unknown = t.post(&path, "ev-1", json!({"receipt": "file_of_somebody_else"})).await.expect(422);
    assert_eq!(unknown["code"], "provider_refused");
    assert_eq!(the_dispute(&t).await["status"], "needs_response", "it can still be answered");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_answer_is_lost_may_be_sent_again() {
    let t = TestApp::new().await;
    let (_, files) = disputed(&t).await;
    let named = format!("{files}?name=receipt.pdf");
    for fault in [FaultKind::ErrorBefore, FaultKind::AnswerLost] {
        t.next_post_fails(fault, "/v1/files");
        let failed = upload(&t, &named, "application/pdf", PDF).await.expect(502);
        assert_eq!(failed["code"], "provider_failed");
    }
    upload(&t, &named, "application/pdf", PDF).await.expect(201);
    t.finish().await;
}
