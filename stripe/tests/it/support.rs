//! A server that says what a test wants and remembers what it was asked; Stripe's published examples; commands with
//! every optional field filled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use partita_provider::{
    AcceptDispute, CancelPayment, CaptureMethod, CapturePayment, Command, CreateAccount, CreateAccountLink,
    CreateCustomer, CreatePayment, CreatePayout, CreateRefund, CreateReversal, CreateSetup, CreateTopUp,
    CreateTransfer, Currency, Destination, DetachMethod, EvidenceKind, Lookup, Money, PayoutInterval, SubmitEvidence,
    UpdateAccount,
};
use partita_stripe::{Stripe, StripeOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// A key that no answer, log line or error may repeat.
pub(crate) const SECRET: &str = "sk_test_thisIsTheSecretThatNobodyMaySee";

/// An adapter towards `address` that waits `timeout` for an answer.
pub(crate) fn adapter(address: &str, timeout: Duration) -> Stripe {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut options = StripeOptions::new(SECRET.into());
    options.base_url = Url::parse(address).expect("an address");
    options.timeout = timeout;
    Stripe::try_new(&options).expect("a client")
}

/// A request as it came over the wire.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// What the server does after it has read a request.
pub(crate) enum Reply {
    /// Writes these bytes and closes.
    Raw(String),
    /// Says nothing and keeps the connection.
    Silence,
}

impl Reply {
    /// A whole answer.
    pub(crate) fn json(status: u16, headers: &[(&str, &str)], body: &Value) -> Self {
        Self::text(status, headers, &body.to_string())
    }

    /// A whole answer of any text.
    pub(crate) fn text(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        Self::promising(body.len(), status, headers, body)
    }

    /// An answer that announces `length` bytes, however many follow.
    pub(crate) fn promising(length: usize, status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let headers = headers.iter().fold(String::new(), |text, (name, value)| text + name + ": " + value + "\r\n");
        Self::Raw(format!(
            "HTTP/1.1 {status} X\r\nrequest-id: req_test\r\n{headers}content-length: {length}\r\n\
             connection: close\r\n\r\n{body}"
        ))
    }
}

/// The server. Its task ends with the test's runtime.
pub(crate) struct Fake {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    /// Starts a server on a free loopback port.
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("a bound listener"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&log), Arc::clone(&answer)));
            }
        });
        Self { address, seen }
    }

    /// The only request that came.
    pub(crate) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "one request is sent once");
        seen.into_iter().next().expect("one")
    }

    /// All requests, oldest first.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panics while it holds this").clone()
    }
}

async fn serve(mut stream: TcpStream, log: Arc<Mutex<Vec<Seen>>>, answer: Arc<impl Fn(&Seen) -> Reply>) {
    let Some(seen) = read_request(&mut stream).await else { return };
    let reply = answer(&seen);
    log.lock().expect("no test panics while it holds this").push(seen);
    match reply {
        Reply::Raw(text) => {
            // A client that has hung up is what some tests are about.
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Reply::Silence => std::future::pending().await,
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).await.ok()?;
    let mut words = line.split_whitespace();
    let method = words.next()?.to_owned();
    let (path, query) = words.next().map(|target| target.split_once('?').unwrap_or((target, "")))?;
    let mut seen = Seen { method, path: path.to_owned(), query: query.to_owned(), ..Seen::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        seen.headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = seen.headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.ok()?;
    seen.body = String::from_utf8(body).ok()?;
    Some(seen)
}

/// One of Stripe's published examples with some of its fields replaced.
pub(crate) fn example(resource: &str, changes: Value) -> Value {
    let all: Value = serde_json::from_str(include_str!("../fixtures/stripe.json")).expect("the fixtures are JSON");
    let mut object = all["resources"][resource].clone();
    assert!(object.is_object(), "no example of {resource}");
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    for (name, value) in changes {
        object[name] = value;
    }
    object
}

/// A payment intent in a state.
pub(crate) fn intent(status: &str) -> Value {
    example("payment_intent", json!({"id": "pi_1", "status": status, "currency": "eur", "last_payment_error": null}))
}

/// An error of Stripe's.
pub(crate) fn error(kind: &str, code: &Value, more: Value) -> Value {
    let mut error = json!({"type": kind, "code": code, "message": "Why not."});
    let Value::Object(more) = more else { panic!("more is an object") };
    for (name, value) in more {
        error[name] = value;
    }
    json!({"error": error})
}

/// An amount of euros, in cents.
pub(crate) fn euros(cents: i64) -> Money {
    Money::new(cents, Currency::parse("EUR").expect("EUR is current"))
}

/// Metadata of several keys, so that their order would show.
pub(crate) fn metadata() -> BTreeMap<String, String> {
    ["op_id", "payment", "seller"].into_iter().map(|key| (key.to_owned(), format!("{key} & more"))).collect()
}

/// A payment command with every optional field.
pub(crate) fn payment() -> Command {
    Command::CreatePayment(CreatePayment {
        amount: euros(12_345),
        payment_method: "pm_card_visa".into(),
        transfer_group: "pay_1".into(),
        description: Some("Order 7".into()),
        capture: CaptureMethod::Manual,
        return_url: Some("https://example.com/back".into()),
        destination: Some(Destination { account: "acct_1".into(), amount: euros(10_000) }),
        on_behalf_of: Some("acct_1".into()),
        application_fee: Some(euros(1_000)),
        customer: Some("cus_1".into()),
        off_session: true,
        metadata: metadata(),
    })
}

/// One of every command, every optional field filled.
pub(crate) fn commands() -> Vec<Command> {
    vec![
        Command::CreateAccount(CreateAccount {
            country: "DE".into(),
            email: "seller@example.com".into(),
            default_currency: Currency::parse("EUR").expect("EUR is current"),
            business_type: Some("company".into()),
            payout_interval: PayoutInterval::Manual,
            metadata: metadata(),
        }),
        Command::CreateAccountLink(CreateAccountLink {
            account: "acct_1".into(),
            return_url: "https://example.com/back?a=1&b=2".into(),
            refresh_url: "https://example.com/again".into(),
        }),
        payment(),
        Command::CancelPayment(CancelPayment { payment: "pi_1".into() }),
        Command::CapturePayment(CapturePayment {
            payment: "pi_1".into(),
            amount: euros(9_999),
            sent: Some(euros(8_000)),
        }),
        Command::CreateTransfer(CreateTransfer {
            amount: euros(700),
            destination: "acct_1".into(),
            source_charge: Some("ch_1".into()),
            transfer_group: "pay_1".into(),
            metadata: metadata(),
        }),
        Command::CreateReversal(CreateReversal { transfer: "tr_1".into(), amount: euros(200), metadata: metadata() }),
        Command::CreateRefund(CreateRefund {
            payment: "pi_1".into(),
            amount: euros(300),
            returns_application_fee: true,
            metadata: metadata(),
        }),
        Command::CreateTopUp(CreateTopUp {
            amount: euros(50_000),
            description: Some("Float".into()),
            metadata: metadata(),
        }),
        Command::UpdateAccount(UpdateAccount { account: "acct_1".into(), payout_interval: PayoutInterval::Manual }),
        Command::CreatePayout(CreatePayout {
            account: Some("acct_1".into()),
            amount: euros(5_400),
            instant_to: Some("ba_1".into()),
            metadata: metadata(),
        }),
        Command::SubmitEvidence(SubmitEvidence {
            dispute: "du_1".into(),
            evidence: every_evidence(),
            metadata: metadata(),
        }),
        Command::AcceptDispute(AcceptDispute { dispute: "du_1".into() }),
        Command::CreateCustomer(CreateCustomer { metadata: metadata() }),
        Command::CreateSetup(CreateSetup {
            customer: "cus_1".into(),
            payment_method: "pm_1".into(),
            return_url: Some("https://example.com/back".into()),
            metadata: metadata(),
        }),
        Command::DetachMethod(DetachMethod { payment_method: "pm_1".into() }),
        Command::CancelPayment(CancelPayment { payment: "pi_1".into() }).on(Some("acct_1")),
    ]
}

/// Something of every kind of evidence.
pub(crate) fn every_evidence() -> BTreeMap<EvidenceKind, String> {
    use EvidenceKind as Kind;
    let kinds = [
        Kind::AccessActivityLog,
        Kind::BillingAddress,
        Kind::CancellationPolicy,
        Kind::CancellationPolicyDisclosure,
        Kind::CancellationRebuttal,
        Kind::CustomerCommunication,
        Kind::CustomerEmailAddress,
        Kind::CustomerName,
        Kind::CustomerPurchaseIp,
        Kind::CustomerSignature,
        Kind::DuplicateChargeDocumentation,
        Kind::DuplicateChargeExplanation,
        Kind::DuplicateChargeId,
        Kind::ProductDescription,
        Kind::Receipt,
        Kind::RefundPolicy,
        Kind::RefundPolicyDisclosure,
        Kind::RefundRefusalExplanation,
        Kind::ServiceDate,
        Kind::ServiceDocumentation,
        Kind::ShippingAddress,
        Kind::ShippingCarrier,
        Kind::ShippingDate,
        Kind::ShippingDocumentation,
        Kind::ShippingTrackingNumber,
        Kind::UncategorizedFile,
        Kind::UncategorizedText,
    ];
    kinds.into_iter().map(|kind| (kind, "x & y".to_owned())).collect()
}

/// One of every lookup.
pub(crate) fn lookups() -> Vec<Lookup> {
    vec![
        Lookup::Account("acct_1".into()),
        Lookup::Payment("pi_1".into()),
        Lookup::PaymentOfCharge("ch_1".into()),
        Lookup::Refund("re_1".into()),
        Lookup::Transfer("tr_1".into()),
        Lookup::Reversal { transfer: "tr_1".into(), reversal: "trr_1".into() },
        Lookup::TopUp("tu_1".into()),
        Lookup::Dispute("du_1".into()),
        Lookup::Customer("cus_1".into()),
        Lookup::Setup("seti_1".into()),
        Lookup::Method("pm_1".into()),
        Lookup::Payout { account: Some("acct_1".into()), payout: "po_1".into() },
        Lookup::ApplicationFee("fee_1".into()),
        Lookup::PaymentOfCharge("ch_1".into()).on(Some("acct_1")),
    ]
}
