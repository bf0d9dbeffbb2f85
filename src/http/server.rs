//! Serves a router over HTTP/1.1: a time limit for headers that works, a bound on connections, and a shutdown with a
//! deadline.
//!
//! `axum::serve` gives hyper no timer, so its limit for reading headers never strikes and a client that sends one byte
//! a minute keeps its connection for ever. Here hyper gets a timer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::limits::Peer;
use crate::telemetry::names;

/// How long a client may take to send a request's headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait when the system has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How to serve.
#[derive(Debug, Clone, Copy)]
pub struct ServerOptions {
    /// Connections held at once; further ones wait to be accepted.
    pub max_connections: usize,
    /// How long requests under way may take to end after the shutdown has begun.
    pub drain: Duration,
}

/// Serves until `shutdown` is cancelled, then lets requests under way end within the deadline and cuts the rest.
pub async fn serve(listener: TcpListener, router: Router, options: ServerOptions, shutdown: CancellationToken) {
    let slots = Arc::new(Semaphore::new(options.max_connections));
    let graceful = GracefulShutdown::new();
    let cut = CancellationToken::new();
    let connections = Connections { router, cut: cut.clone() };
    loop {
        let Some(accepted) = shutdown.run_until_cancelled(accept(&listener, &slots)).await else { break };
        match accepted {
            Ok((stream, slot)) => connections.start(stream, slot, &graceful),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(options.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were cut off at the end of the time to drain");
    }
    cut.cancel();
}

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.expect("the semaphore is never closed");
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}

/// What each connection needs.
struct Connections {
    router: Router,
    cut: CancellationToken,
}

impl Connections {
    fn start(&self, stream: TcpStream, slot: OwnedSemaphorePermit, graceful: &GracefulShutdown) {
        let Ok(peer) = stream.peer_addr() else { return };
        // Answers are small and awaited: they are not held back to be sent together.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the connection keeps Nagle's algorithm");
        }
        let router = self.router.clone();
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            router.clone().oneshot(request.map(Body::new))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        let watched = graceful.watch(connection);
        let cut = self.cut.clone();
        tokio::spawn(async move {
            metrics::gauge!(names::HTTP_CONNECTIONS).increment(1);
            // Clients that hang up or send no HTTP are their own affair.
            if let Some(Err(error)) = cut.run_until_cancelled(watched).await {
                tracing::debug!(%error, "a connection ended early");
            }
            metrics::gauge!(names::HTTP_CONNECTIONS).decrement(1);
            drop(slot);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;

    use super::*;

    struct Running {
        address: SocketAddr,
        shutdown: CancellationToken,
        task: JoinHandle<()>,
    }

    async fn start(router: Router, max_connections: usize, drain: Duration) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shutdown = CancellationToken::new();
        let options = ServerOptions { max_connections, drain };
        let task = tokio::spawn(serve(listener, router, options, shutdown.clone()));
        Running { address, shutdown, task }
    }

    async fn connect(address: SocketAddr) -> TcpStream {
        TcpStream::connect(address).await.expect("listening")
    }

    async fn read_all(stream: &mut TcpStream) -> String {
        let mut text = String::new();
        // A reset is an end too.
        let _ = stream.read_to_string(&mut text).await;
        text
    }

    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_request_is_answered() {
        let server = start(Router::new().route("/", get(|| async { "hello" })), 8, Duration::ZERO).await;
        let mut client = connect(server.address).await;
        client.write_all(GET).await.expect("sent");
        let answer = read_all(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer}");
    }

    #[tokio::test]
    async fn headers_that_trickle_in_are_cut_off_after_ten_seconds() {
        let server = start(Router::new(), 8, Duration::ZERO).await;
        let mut client = connect(server.address).await;
        client.write_all(b"GET / HTTP/1.1\r\nx-slow: ").await.expect("sent");
        let started = std::time::Instant::now();
        let trickle = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if client.write_all(b"a").await.is_err() {
                    break;
                }
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(20), trickle).await.is_ok(), "still open after 20 s");
        assert!(started.elapsed() >= HEADER_TIMEOUT, "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn connections_beyond_the_bound_wait_for_a_free_slot() {
        let server = start(Router::new().route("/", get(|| async { "hello" })), 1, Duration::ZERO).await;
        let mut holder = connect(server.address).await;
        holder.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
        let mut first = [0; 15];
        holder.read_exact(&mut first).await.expect("answered");
        let mut waiting = connect(server.address).await;
        waiting.write_all(GET).await.expect("sent");
        let early = tokio::time::timeout(Duration::from_millis(200), waiting.read_u8()).await;
        assert!(early.is_err(), "served beyond the bound");
        drop(holder);
        assert!(read_all(&mut waiting).await.ends_with("hello"));
    }

    #[tokio::test]
    async fn a_request_under_way_ends_before_the_server_does() {
        let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (in_handler, wait) = (Arc::clone(&entered), Arc::clone(&go_on));
        let handler = move || async move {
            in_handler.notify_one();
            wait.notified().await;
            "done"
        };
        let server = start(Router::new().route("/", get(handler)), 8, Duration::from_secs(10)).await;
        let mut client = connect(server.address).await;
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
        entered.notified().await;
        server.shutdown.cancel();
        go_on.notify_one();
        assert!(read_all(&mut client).await.ends_with("done"));
        server.task.await.expect("ended");
        assert!(TcpStream::connect(server.address).await.is_err(), "still listening");
    }

    #[tokio::test]
    async fn a_request_that_does_not_end_is_cut_at_the_deadline() {
        let entered = Arc::new(Notify::new());
        let in_handler = Arc::clone(&entered);
        let handler = move || async move {
            in_handler.notify_one();
            std::future::pending::<()>().await;
        };
        let server = start(Router::new().route("/", get(handler)), 8, Duration::from_millis(50)).await;
        let mut client = connect(server.address).await;
        client.write_all(GET).await.expect("sent");
        entered.notified().await;
        server.shutdown.cancel();
        server.task.await.expect("ended");
        assert_eq!(read_all(&mut client).await, "");
    }
}
