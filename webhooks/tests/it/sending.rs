//! What reaches whom: real connections on loopback, and names that answer as the test says.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use partita_webhooks::sending::{Answer, Courier, EgressPolicy, Lookup, Parcel, SendError, SystemLookup};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Where good connections go; 127.0.0.1 is where none may arrive.
const INSIDE: &str = "127.0.0.2";
const CANARY: &str = "127.0.0.1";

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn now() -> Timestamp {
    Timestamp::from_second(1_763_796_085).expect("a time")
}

/// A server that counts its connections, remembers the last request and always says the same.
struct Sink {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    last: Arc<std::sync::Mutex<String>>,
}

impl Sink {
    async fn start(host: &str, port: u16, answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind(SocketAddr::new(ip(host), port)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (connections, last) = (Arc::new(AtomicUsize::new(0)), Arc::new(std::sync::Mutex::new(String::new())));
        let (counted, remembered, answer) = (Arc::clone(&connections), Arc::clone(&last), Arc::new(answer.into()));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&remembered)));
            }
        });
        Self { address, connections, last }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn last(&self) -> String {
        self.last.lock().expect("not poisoned").clone()
    }
}

async fn serve(mut stream: TcpStream, answer: Arc<Vec<u8>>, remembered: Arc<std::sync::Mutex<String>>) {
    let (mut request, mut buffer) = (Vec::new(), [0; 4_096]);
    while let Ok(length) = stream.read(&mut buffer).await {
        request.extend_from_slice(&buffer[..length]);
        if length == 0 || request.ends_with(b"{}") {
            break;
        }
    }
    *remembered.lock().expect("not poisoned") = String::from_utf8_lossy(&request).into_owned();
    // The client may have gone: that is what some tests are about.
    drop(stream.write_all(&answer).await);
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}")
}

/// Names that answer as the test says, in turns.
struct Script {
    turns: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Script {
    fn new(turns: &[&[&str]]) -> Self {
        let turns = turns.iter().map(|turn| turn.iter().map(|address| ip(address)).collect()).collect();
        Self { turns, asked: AtomicUsize::new(0) }
    }
}

impl Lookup for Script {
    fn addresses(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst) % self.turns.len();
        let addresses = self.turns[turn].clone();
        Box::pin(async move { Ok(addresses) })
    }
}

/// A courier that may send to 127.0.0.2 only.
fn courier(lookup: impl Lookup) -> Courier {
    // Another test of this process may have installed it.
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let policy = EgressPolicy::new(vec![443], vec![format!("{INSIDE}/32").parse().expect("a network")]);
    Courier::try_new(policy, lookup).expect("a courier")
}

async fn send(courier: &Courier, url: &str) -> Result<Answer, SendError> {
    let parcel = Parcel {
        destination: courier.destination(url).expect("a destination"),
        id: "evn_1".to_owned(),
        timestamp: now(),
        signature: "v1,abc".to_owned(),
        body: b"{}".to_vec(),
    };
    courier.send(parcel, now()).await
}

#[tokio::test]
async fn a_webhook_arrives_with_its_headers_and_the_answer_comes_back() {
    let sink = Sink::start(INSIDE, 0, answer("200 OK", "", "thanks, 4242 4242 4242 4242\u{7}")).await;
    let courier = courier(SystemLookup);
    let answered = send(&courier, &format!("http://{}/hooks?a=1", sink.address)).await.expect("an answer");
    assert_eq!((answered.status, answered.retry_after), (200, None));
    assert!(answered.body.starts_with("thanks, ") && answered.body.ends_with('\u{fffd}'), "{}", answered.body);
    assert!(!answered.body.contains("4242 4242 4242 4242"), "{}", answered.body);
    let request = sink.last().to_lowercase();
    assert!(request.starts_with("post /hooks?a=1 http/1.1\r\n"), "{request}");
    for header in [
        "content-type: application/json",
        "webhook-id: evn_1",
        "webhook-timestamp: 1763796085",
        "webhook-signature: v1,abc",
        "user-agent: partita/",
    ] {
        assert!(request.contains(&format!("\r\n{header}")), "{request}");
    }
    assert!(request.ends_with("\r\n\r\n{}"), "{request}");
}

#[tokio::test]
async fn a_name_that_changes_its_mind_never_gets_a_connection_where_none_may_go() {
    let good = Sink::start(INSIDE, 0, answer("204 No Content", "", "")).await;
    let canary = Sink::start(CANARY, good.address.port(), answer("200 OK", "", "secrets")).await;
    let turns: [&[&str]; 4] = [&[INSIDE], &[CANARY], &["::ffff:127.0.0.1"], &[CANARY, INSIDE]];
    let courier = courier(Script::new(&turns));
    let url = format!("http://rebinding.example:{}/", good.address.port());
    let (mut arrived, mut refused) = (0, 0);
    for _ in 0..1_000 {
        match send(&courier, &url).await {
            Ok(answer) => {
                assert_eq!(answer.status, 204);
                arrived += 1;
            }
            Err(SendError::Refused(address)) => {
                assert_eq!(address.address.to_canonical(), ip(CANARY));
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((arrived, refused), (500, 500));
    assert_eq!((good.connections(), canary.connections()), (500, 0));
}

#[tokio::test]
async fn a_public_name_that_resolves_to_a_private_address_is_refused() {
    let courier =
        courier(Script::new(&[&["10.0.0.1"], &["169.254.169.254", "::1"], &["fd00::1"], &["64:ff9b::a00:1"]]));
    for _ in 0..4 {
        let refused = send(&courier, "https://shop.example/").await.expect_err("private");
        assert!(matches!(refused, SendError::Refused(_)), "{refused}");
    }
    // Plain http goes to the operator's own networks only, whatever the name resolves to.
    let courier = self::courier(Script::new(&[&["1.1.1.1"]]));
    let refused = send(&courier, "http://shop.example/").await.expect_err("not inside");
    assert!(matches!(refused, SendError::Refused(_)), "{refused}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let canary = Sink::start(CANARY, 0, answer("200 OK", "", "secrets")).await;
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        for location in [format!("http://{}/", canary.address), "http://169.254.169.254/latest".to_owned()] {
            let sink = Sink::start(INSIDE, 0, answer(status, &format!("Location: {location}\r\n"), "")).await;
            let answered = send(&courier(SystemLookup), &format!("http://{}/", sink.address)).await.expect("an answer");
            assert_eq!(answered.status.to_string(), status[..3]);
            assert_eq!(sink.connections(), 1);
        }
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn no_more_of_an_answer_is_read_than_is_needed() {
    let endless = format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n{}", "x".repeat(200_000));
    let sink = Sink::start(INSIDE, 0, endless).await;
    let answered = send(&courier(SystemLookup), &format!("http://{}/", sink.address)).await.expect("an answer");
    assert_eq!((answered.status, answered.body.len()), (200, 2_000));
}

#[tokio::test]
async fn a_receivers_wish_to_wait_is_read() {
    let sink = Sink::start(INSIDE, 0, answer("503 Busy", "Retry-After: 90\r\n", "later")).await;
    let answered = send(&courier(SystemLookup), &format!("http://{}/", sink.address)).await.expect("an answer");
    assert_eq!(answered, Answer { status: 503, body: "later".into(), retry_after: Some(Duration::from_secs(90)) });
}

#[tokio::test]
async fn what_is_no_answer_is_told_without_the_address() {
    let free = TcpListener::bind(SocketAddr::new(ip(INSIDE), 0)).await.expect("a port").local_addr().expect("bound");
    let courier = courier(SystemLookup);
    let nobody = send(&courier, &format!("http://{free}/token-in-path")).await.expect_err("nobody listens");
    assert!(matches!(nobody, SendError::NotConnected(_)) && !nobody.to_string().contains("token-in-path"), "{nobody}");
    let sink = Sink::start(INSIDE, 0, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab").await;
    let broken = send(&courier, &format!("http://{}/token-in-path", sink.address)).await.expect_err("cut off");
    assert!(matches!(broken, SendError::Broken(_)) && !broken.to_string().contains("token-in-path"), "{broken}");
    let sink = Sink::start(INSIDE, 0, "SSH-2.0-OpenSSH_9\r\n").await;
    assert!(matches!(send(&courier, &format!("http://{}/", sink.address)).await, Err(SendError::Broken(_))));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_is_given_up_after_15_seconds() {
    let listener = TcpListener::bind(SocketAddr::new(ip(INSIDE), 0)).await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let held = tokio::spawn(async move { listener.accept().await });
    let started = tokio::time::Instant::now();
    let sent = send(&courier(SystemLookup), &format!("http://{address}/")).await.expect_err("no answer");
    assert!(matches!(sent, SendError::TimedOut), "{sent}");
    assert!(started.elapsed() <= Duration::from_secs(16), "{:?}", started.elapsed());
    drop(held);
}
