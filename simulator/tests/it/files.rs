//! Files of evidence, uploaded as forms.

use partita_simulator::NewDispute;
use serde_json::{Value, json};

use crate::support::{Reply, Sim};

/// A part of a form: its name, what stands after it in its head, its content.
type Part<'a> = (&'a str, &'a str, &'a [u8]);

async fn upload(sim: &Sim, parts: &[Part<'_>]) -> Reply {
    let mut body = Vec::new();
    for (name, more, content) in parts {
        body.extend(format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n").into_bytes());
        body.extend_from_slice(content);
        body.extend(b"\r\n");
    }
    body.extend(b"--edge--\r\n");
    let request = sim.request(reqwest::Method::POST, "/v1/files");
    sim.send(request.header("content-type", "multipart/form-data; boundary=edge").body(body)).await
}

const HEAD: &str = "; filename=\"receipt.pdf\"\r\nContent-Type: application/pdf";
const PURPOSE: Part<'_> = ("purpose", "", b"dispute_evidence");

#[tokio::test]
async fn a_file_is_kept_by_what_it_says_of_itself_and_named_by_evidence() {
    let sim = Sim::start().await;
    let file = upload(&sim, &[PURPOSE, ("file", HEAD, b"%PDF-1.7 \x00\xff")]).await.ok().body;
    let id = file["id"].as_str().expect("an id");
    assert!(id.starts_with("file_"));
    assert_eq!(
        (&file["object"], &file["filename"], &file["purpose"], &file["size"], &file["type"]),
        (&json!("file"), &json!("receipt.pdf"), &json!("dispute_evidence"), &json!(11), &json!("pdf"))
    );
    assert_eq!(sim.get(&format!("/v1/files/{id}")).await.ok().body, file);

    let payment = sim.pay("12000", "pm_card_visa").await.ok();
    let dispute = sim.control.open_dispute(NewDispute::of(payment.id())).await.expect("disputed");
    let path = format!("/v1/disputes/{}", dispute["id"].as_str().expect("an id"));
    let unknown = sim.post(&path, &[("evidence[receipt]", "file_0")]).await;
    assert_eq!((unknown.status, &unknown.body["error"]["param"]), (400, &json!("evidence[receipt]")));
    let shown = sim.post(&path, &[("evidence[receipt]", id), ("submit", "false")]).await.ok().body;
    assert_eq!((&shown["evidence"]["receipt"], &shown["status"]), (&json!(id), &json!("needs_response")));
    sim.finish().await;
}

#[tokio::test]
async fn what_stripe_would_not_take_is_refused() {
    let sim = Sim::start().await;
    let large = vec![b' '; 5 * 1024 * 1024 + 1];
    let html = "; filename=\"page.html\"\r\nContent-Type: text/html";
    let cases: [(&str, Vec<Part<'_>>); 6] = [
        ("purpose", vec![("file", HEAD, b"x")]),
        ("purpose", vec![("purpose", "", b"business_logo"), ("file", HEAD, b"x")]),
        ("file", vec![PURPOSE]),
        ("file", vec![PURPOSE, ("file", html, b"x")]),
        ("file", vec![PURPOSE, ("file", HEAD, b"")]),
        ("file", vec![PURPOSE, ("file", HEAD, &large)]),
    ];
    for (parameter, parts) in cases {
        let refused = upload(&sim, &parts).await;
        assert_eq!((refused.status, &refused.body["error"]["param"]), (400, &json!(parameter)), "{:#}", refused.body);
    }
    let unknown: Value = upload(&sim, &[PURPOSE, ("colour", "", b"red"), ("file", HEAD, b"x")]).await.body;
    assert_eq!(unknown["error"]["code"], "parameter_unknown");
    sim.finish().await;
}
