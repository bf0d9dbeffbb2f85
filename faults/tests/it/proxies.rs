//! The proxies do what they say, between parties that are not the service.

use std::net::SocketAddr;
use std::time::Duration;

use partita_faults::proxy::{Protocol, Proxy, Weather};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A server that sends back what it gets.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _closed = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

async fn through(protocol: Protocol, upstreams: Vec<SocketAddr>) -> (Proxy, TcpStream) {
    let proxy = Proxy::start("test", protocol, upstreams, 1).await.expect("a proxy");
    let stream = TcpStream::connect(proxy.address()).await.expect("a connection");
    (proxy, stream)
}

async fn say(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(text).await?;
    let mut heard = vec![0; text.len()];
    stream.read_exact(&mut heard).await?;
    Ok(heard)
}

#[tokio::test]
async fn in_fair_weather_everything_goes_through() {
    let (proxy, mut stream) = through(Protocol::Plain, vec![echo().await]).await;
    for text in [b"a".as_slice(), &vec![7; 64 * 1024]] {
        let (mut from, mut to) = stream.split();
        let mut heard = vec![0; text.len()];
        let (sent, read) = tokio::join!(to.write_all(text), from.read_exact(&mut heard));
        sent.expect("sent");
        read.expect("heard");
        assert_eq!(heard, text);
    }
    assert_eq!((proxy.counts().connections, proxy.counts().resets), (1, 0));
}

#[tokio::test]
async fn a_black_hole_holds_back_and_forgets_nothing() {
    let (proxy, mut stream) = through(Protocol::Plain, vec![echo().await]).await;
    assert_eq!(say(&mut stream, b"one").await.expect("heard"), b"one");
    proxy.set_weather(Weather { black_hole: true, ..Weather::default() });
    stream.write_all(b"two").await.expect("swallowed");
    let mut heard = [0; 3];
    let nothing = tokio::time::timeout(Duration::from_millis(100), stream.read_exact(&mut heard)).await;
    assert!(nothing.is_err(), "nobody answers");
    proxy.set_weather(Weather::default());
    stream.read_exact(&mut heard).await.expect("it arrives late");
    assert_eq!(&heard, b"two");
}

#[tokio::test]
async fn connections_are_reset_in_place_of_a_request_and_all_at_once() {
    let (proxy, mut stream) = through(Protocol::Plain, vec![echo().await]).await;
    proxy.set_weather(Weather { cut_request: 1_000, ..Weather::default() });
    let error = say(&mut stream, b"one").await.expect_err("cut");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    proxy.set_weather(Weather::default());
    let mut stream = TcpStream::connect(proxy.address()).await.expect("a connection");
    say(&mut stream, b"one").await.expect("heard");
    proxy.reset_all();
    let error = say(&mut stream, b"two").await.expect_err("cut");
    assert!(matches!(error.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe), "{error:?}");
}

#[tokio::test]
async fn an_upstream_that_is_gone_is_passed_over() {
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    for _ in 0..4 {
        let (_proxy, mut stream) = through(Protocol::Plain, vec![gone, echo().await]).await;
        assert_eq!(say(&mut stream, b"one").await.expect("heard"), b"one");
    }
}

/// A message of Postgres' protocol.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("short");
    [&[kind], length.to_be_bytes().as_slice(), body].concat()
}

/// A server that takes a start, notes what it is asked and says that it is ready.
async fn postgres() -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (told, asked) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let told = told.clone();
            tokio::spawn(async move {
                let mut start = [0; 8];
                stream.read_exact(&mut start).await.expect("a start");
                let mut head = [0; 5];
                while stream.read_exact(&mut head).await.is_ok() {
                    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) - 4;
                    let mut body = vec![0; usize::try_from(length).expect("short")];
                    stream.read_exact(&mut body).await.expect("a body");
                    told.send(String::from_utf8_lossy(&body).trim_end_matches('\0').to_owned()).expect("heard");
                    let _closed = stream.write_all(&message(b'Z', b"I")).await;
                }
            });
        }
    });
    (address, asked)
}

async fn query(stream: &mut TcpStream, sql: &str) -> std::io::Result<[u8; 6]> {
    stream.write_all(&message(b'Q', format!("{sql}\0").as_bytes())).await?;
    let mut ready = [0; 6];
    stream.read_exact(&mut ready).await?;
    Ok(ready)
}

#[tokio::test]
async fn a_commit_is_executed_and_its_reply_is_eaten_or_it_never_arrives() {
    for (weather, arrives) in [
        (Weather { eat_commit: 1_000, ..Weather::default() }, true),
        (Weather { drop_commit: 1_000, ..Weather::default() }, false),
    ] {
        let (address, mut asked) = postgres().await;
        let (proxy, mut stream) = through(Protocol::Postgres, vec![address]).await;
        proxy.set_weather(weather);
        stream.write_all(&[8_u32.to_be_bytes(), 80_877_103_u32.to_be_bytes()].concat()).await.expect("asks for TLS");
        let mut declined = [0; 1];
        stream.read_exact(&mut declined).await.expect("an answer");
        assert_eq!(&declined, b"N");
        stream.write_all(&[8_u32.to_be_bytes(), 196_608_u32.to_be_bytes()].concat()).await.expect("a start");
        query(&mut stream, "insert into t values (1)").await.expect("ready");
        assert_eq!(asked.recv().await.as_deref(), Some("insert into t values (1)"));
        let lost = query(&mut stream, "select pg_current_xact_id(); commit").await.expect_err("cut");
        assert!(
            matches!(lost.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::UnexpectedEof),
            "{lost:?}"
        );
        let counts = proxy.counts();
        assert_eq!((counts.commits_eaten, counts.commits_dropped), (u64::from(arrives), u64::from(!arrives)));
        assert_eq!(asked.try_recv().is_ok(), arrives);
    }
}
