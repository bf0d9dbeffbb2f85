//! The reply to a commit is lost on the way.
//!
//! Between pool and server stands a proxy that knows the message with the commit. Once, when told to, it cuts the
//! connection there: after the server has done it, or before the server hears of it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering},
    },
};

use partita_db::{Db, DbError, DbOptions};
use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::rig::{Rig, book, note};

const PASS: u8 = 0;
/// Let the server commit, keep its reply back.
const EAT_REPLY: u8 = 1;
/// Keep the commit itself back.
const EAT_COMMIT: u8 = 2;
/// As `EAT_REPLY`, and take no more connections.
const EAT_REPLY_AND_DIE: u8 = 3;
const DEAD: u8 = 4;

async fn spawn_proxy(server: SocketAddr) -> (SocketAddr, Arc<AtomicU8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let mode = Arc::new(AtomicU8::new(PASS));
    let shared = Arc::clone(&mode);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            if shared.load(Ordering::SeqCst) == DEAD {
                continue;
            }
            let server = TcpStream::connect(server).await.expect("the server is there");
            tokio::spawn(relay(client, server, Arc::clone(&shared)));
        }
    });
    (address, mode)
}

async fn relay(mut client: TcpStream, mut server: TcpStream, mode: Arc<AtomicU8>) {
    let (mut from_client, mut from_server) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut eat_reply = false;
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(length @ 1..) = read else { return };
                let message = &from_client[..length];
                if message.windows(8).any(|part| part == b"; commit") {
                    match mode.swap(PASS, Ordering::SeqCst) {
                        EAT_COMMIT => return,
                        EAT_REPLY => eat_reply = true,
                        EAT_REPLY_AND_DIE => {
                            eat_reply = true;
                            mode.store(DEAD, Ordering::SeqCst);
                        }
                        other => mode.store(other, Ordering::SeqCst),
                    }
                }
                if server.write_all(message).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(length @ 1..) = read else { return };
                if eat_reply || client.write_all(&from_server[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A pool through the proxy, one unit of work with its commit struck in this way, and how often it ran.
async fn strike(rig: &Rig, how: u8) -> (Result<u64, DbError>, u32) {
    let url: PgConnectOptions = rig.database.app_url.parse().expect("a URL");
    let server = SocketAddr::from(([127, 0, 0, 1], url.get_port()));
    let (proxy, mode) = spawn_proxy(server).await;
    let mut options = DbOptions::new(String::from(url.port(proxy.port()).to_url_lossy()));
    // The one that is struck, so that the question needs a new one.
    options.max_connections = 1;
    options.acquire_timeout = std::time::Duration::from_millis(500);
    let db = Db::connect(&options).await.expect("through the proxy");
    mode.store(how, Ordering::SeqCst);
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let result = db
        .run_tx("pay", book(1), move |tx| {
            counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                note(tx, 1).await?;
                Ok(tx.xid().expect("it writes"))
            })
        })
        .await;
    (result, runs.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_commit_whose_reply_is_lost_is_found_to_be_done() {
    let rig = Rig::new().await;
    let (result, runs) = strike(&rig, EAT_REPLY).await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!((runs, rig.notes().await), (1, vec![1]), "done once, not run again");
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_run_again() {
    let rig = Rig::new().await;
    let (result, runs) = strike(&rig, EAT_COMMIT).await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!((runs, rig.notes().await), (2, vec![1]), "run again, and there once");
}

#[tokio::test]
async fn a_commit_that_nobody_can_be_asked_about_is_unknown() {
    let rig = Rig::new().await;
    let (result, runs) = strike(&rig, EAT_REPLY_AND_DIE).await;
    match &result {
        Err(error @ DbError::CommitUnknown { name: "pay", .. }) => assert!(!error.is_retryable()),
        other => panic!("not unknown: {other:?}"),
    }
    assert_eq!((runs, rig.notes().await), (1, vec![1]), "never run again: it was committed");
}
