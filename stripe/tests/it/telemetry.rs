//! What leaves the adapter for logs and metrics: enough to follow a request, nothing that names a person or a key.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use partita_provider::{Lookup, Provider as _};
use serde_json::json;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::support::{Fake, Reply, SECRET, adapter, commands, example, intent};

/// Keeps the names and labels of what is counted.
#[derive(Default)]
struct Counted(Mutex<Vec<String>>);

impl Counted {
    fn keep(&self, key: &Key) {
        let labels: Vec<String> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        self.0.lock().expect("not poisoned").push(format!("{} {}", key.name(), labels.join(",")));
    }
}

impl Recorder for Counted {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.keep(key);
        Counter::noop()
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.keep(key);
        Gauge::noop()
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.keep(key);
        Histogram::noop()
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn traffic() {
    let fake = Fake::start(|seen| match seen.path.as_str() {
        "/v1/accounts" => Reply::json(200, &[], &example("account", json!({"email": "seller@example.com"}))),
        "/v1/refunds" => Reply::Raw(String::new()),
        _ => Reply::json(200, &[], &intent("succeeded")),
    })
    .await;
    let stripe = adapter(&fake.address, Duration::from_secs(20));
    for command in commands() {
        let request = stripe.prepare(&command).expect("a lawful command");
        stripe.submit(&request, "op_1.1").await;
    }
    stripe.fetch(&Lookup::Payment("pi_1".into())).await.expect("readable");
}

#[test]
fn requests_are_counted_and_traced_without_ids_secrets_or_people() {
    let (counted, log) = (Counted::default(), Log::default());
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // While there is only one subscriber, tracing asks the subscriber of whichever thread passes a span first whether the
    // span is wanted, for good: another test's thread has none. With two it asks them all.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    tracing::subscriber::with_default(subscriber, || {
        tracing::callsite::rebuild_interest_cache();
        metrics::with_local_recorder(&counted, || runtime.block_on(traffic()));
    });

    let counted = counted.0.into_inner().expect("not poisoned");
    for expected in [
        "provider_requests_total provider=stripe,method=POST,path=/v1/payment_intents,result=200",
        "provider_requests_total provider=stripe,method=POST,path=/v1/refunds,result=unclear",
        "provider_requests_total provider=stripe,method=GET,path=/v1/payment_intents/{id},result=200",
        "provider_request_seconds provider=stripe,method=POST,path=/v1/transfers/{id}/reversals",
    ] {
        assert!(counted.iter().any(|line| line == expected), "{expected} not in {counted:#?}");
    }
    assert!(counted.iter().all(|line| !line.contains("pi_1") && !line.contains("tr_1")), "{counted:#?}");

    let log = String::from_utf8(log.0.lock().expect("not poisoned").clone()).expect("text");
    for word in ["stripe.request", "method=\"POST\"", "path=\"/v1/payment_intents\"", "status=200", "req_test", "ms="] {
        assert!(log.contains(word), "{word} not in {log}");
    }
    for secret in [SECRET, "thisIsTheSecret", "seller@example.com", "seller%40example.com", "_secret_"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
