//! The server's machine vanishes: nothing comes any more, not even the end of the connection.
//!
//! Between pool and server stands a proxy that swallows everything on the connections that stand when it is told to, and
//! lets new ones through: as behind an address that leads to another machine by then.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use partita_db::{Db, DbError, DbOptions};
use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::rig::{Rig, book, note};

/// When the connections that stand fall silent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// With the statement that takes the note.
    AtWork,
    /// With the commit, which the server has heard.
    AtCommit,
    /// Before anything is asked of them again.
    Idle,
}

struct Proxy {
    address: SocketAddr,
    armed: Arc<AtomicBool>,
}

async fn spawn_proxy(server: SocketAddr, when: When) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (address, armed) = (listener.local_addr().expect("bound"), Arc::new(AtomicBool::new(false)));
    let shared = Arc::clone(&armed);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(server).await.expect("the server is there");
            tokio::spawn(relay(client, server, when, Arc::clone(&shared)));
        }
    });
    Proxy { address, armed }
}

async fn relay(mut client: TcpStream, mut server: TcpStream, when: When, armed: Arc<AtomicBool>) {
    let (mut from_client, mut from_server) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut silent = false;
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(length @ 1..) = read else { return };
                let message = &from_client[..length];
                let said = |words: &[u8]| message.windows(words.len()).any(|part| part == words);
                let struck = match when {
                    When::AtWork => said(b"insert into notes"),
                    When::AtCommit => said(b"; commit"),
                    When::Idle => true,
                };
                if struck && armed.swap(false, Ordering::SeqCst) {
                    silent = true;
                    if when == When::AtCommit {
                        server.write_all(message).await.expect("the server is there");
                    }
                }
                if !silent && server.write_all(message).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(length @ 1..) = read else { return };
                if !silent && client.write_all(&from_server[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// One unit of work whose connection falls silent; how it ended and how often it ran.
async fn strike(rig: &Rig, when: When) -> (Result<(), DbError>, u32) {
    let url: PgConnectOptions = rig.database.app_url.parse().expect("a URL");
    let proxy = spawn_proxy(SocketAddr::from(([127, 0, 0, 1], url.get_port())), when).await;
    let mut options = DbOptions::new(String::from(url.port(proxy.address.port()).to_url_lossy()));
    options.max_connections = 1;
    options.work_timeout = Duration::from_secs(1);
    let db = Db::connect(&options).await.expect("through the proxy");
    proxy.armed.store(true, Ordering::SeqCst);
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let result = db
        .run_tx("pay", book(1), move |tx| {
            counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move { note(tx, 1).await })
        })
        .await;
    (result, runs.load(Ordering::SeqCst))
}

#[tokio::test]
async fn work_on_a_connection_that_falls_silent_is_run_again_on_another() {
    let rig = Rig::new().await;
    let (result, runs) = strike(&rig, When::AtWork).await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!((runs, rig.notes().await), (2, vec![1]), "done once, on another connection");
}

#[tokio::test]
async fn a_commit_into_silence_is_asked_about_on_another_connection() {
    let rig = Rig::new().await;
    let (result, runs) = strike(&rig, When::AtCommit).await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!((runs, rig.notes().await), (1, vec![1]), "done once, not run again");
}

#[tokio::test]
async fn a_connection_that_fell_silent_in_the_pool_is_passed_over() {
    let rig = Rig::new().await;
    let (result, runs) = strike(&rig, When::Idle).await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!((runs, rig.notes().await), (1, vec![1]), "begun on another connection");
}
