//! Another server takes over while the reply to a commit is on its way, and does not have the transaction.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use partita_db::{Db, DbError, DbOptions};
use partita_postgres::{PrivateServer, Role, ServerOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::rig::{SCHEMA, book, note};

const DATABASE: &str = "notes";

/// More than the numbers that the first server gives until the commit is struck.
const NUMBERS_GIVEN_ANEW: u32 = 200;

/// A server that was copied from another one, as of now, and has gone on by itself: a restored backup.
async fn restore(from: PrivateServer, to: &Path) -> (PrivateServer, PrivateServer) {
    let folder = from.folder().to_owned();
    from.shutdown().await.expect("it stops");
    let copied = Command::new("cp").arg("--archive").arg(&folder).arg(to).status().expect("cp");
    assert!(copied.success());
    fs::write(to.join("cluster/recovery.signal"), "").expect("a file");
    let mut options = ServerOptions::new(to);
    options.settings.push(("restore_command".to_owned(), "false".to_owned()));
    let restored = PrivateServer::start(options).await.expect("the restored server");
    (PrivateServer::start(ServerOptions::new(folder)).await.expect("the first server"), restored)
}

/// Leads to the first server until a commit comes: that never arrives, and all that follows goes to the second one.
async fn spawn_proxy(first: SocketAddr, second: SocketAddr) -> (SocketAddr, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let strike = Arc::new(AtomicBool::new(false));
    let (shared, over) = (Arc::clone(&strike), Arc::new(AtomicBool::new(false)));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let to = if over.load(Ordering::SeqCst) { second } else { first };
            let server = TcpStream::connect(to).await.expect("the server is there");
            tokio::spawn(relay(client, server, Arc::clone(&shared), Arc::clone(&over)));
        }
    });
    (address, strike)
}

async fn relay(mut client: TcpStream, mut server: TcpStream, strike: Arc<AtomicBool>, over: Arc<AtomicBool>) {
    let (mut from_client, mut from_server) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(length @ 1..) = read else { return };
                let commits = from_client[..length].windows(8).any(|part| part == b"; commit");
                if commits && strike.swap(false, Ordering::SeqCst) {
                    over.store(true, Ordering::SeqCst);
                    return;
                }
                if server.write_all(&from_client[..length]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&from_server[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_took_over_is_not_believed_about_a_number_that_it_gave_anew() {
    let place = tempfile::Builder::new().prefix("partita-takeover").tempdir_in("/tmp").expect("a temporary folder");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("our own folder");
    let server = PrivateServer::start(ServerOptions::new(place.path().join("first"))).await.expect("a server");
    server.cluster().create_database(DATABASE, Role::Owner).await.expect("a database");
    let mut owner = PgConnection::connect(&server.cluster().url(Role::Owner, DATABASE)).await.expect("the owner");
    sqlx::raw_sql(SCHEMA).execute(&mut owner).await.expect("the schema");
    owner.close().await.expect("closed");
    let (first, second) = restore(server, &place.path().join("second")).await;
    // On the second server each of the numbers that come next is of a transaction that was committed.
    let mut admin = PgConnection::connect(&second.cluster().url(Role::Admin, DATABASE)).await.expect("the superuser");
    for _ in 0..NUMBERS_GIVEN_ANEW {
        sqlx::query("insert into counters (id) values (3) on conflict (id) do update set n = counters.n + 1")
            .execute(&mut admin)
            .await
            .expect("a row");
    }

    let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let (proxy, strike) = spawn_proxy(loopback(first.cluster().port()), loopback(second.cluster().port())).await;
    let url: PgConnectOptions = first.cluster().url(Role::App, DATABASE).parse().expect("a URL");
    let mut options = DbOptions::new(String::from(url.port(proxy.port()).to_url_lossy()));
    // The one that is struck, so that the question needs a new one.
    options.max_connections = 1;
    let db = Db::connect(&options).await.expect("through the proxy");
    strike.store(true, Ordering::SeqCst);
    let paid = db.run_tx("pay", book(1), |tx| Box::pin(async move { note(tx, 1).await })).await;
    match &paid {
        Err(error @ DbError::CommitUnknown { name: "pay", .. }) => {
            assert!(!error.is_retryable() && error.is_unavailable());
        }
        other => panic!("not unknown: {other:?}"),
    }
    let notes: i64 = sqlx::query_scalar("select count(*) from notes").fetch_one(&mut admin).await.expect("a row");
    assert_eq!(notes, 0, "the second server never had it");
}
