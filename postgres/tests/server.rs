//! The private server's life, with real servers in temporary folders.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use partita_postgres::{Account, Error, Lifetime, PrivateServer, Role, ServerOptions};
use sqlx::{Connection, PgConnection};

const HELPER: &str = "PARTITA_POSTGRES_HELPER_FOLDER";

/// A folder that the server's user can reach, and that goes with the test.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = tempfile::Builder::new().prefix("partita-pg").tempdir_in("/tmp").expect("a temporary folder");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("our own folder");
        Self(place)
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }
}

async fn one(url: &str) -> i32 {
    let mut connection = PgConnection::connect(url).await.expect("the server answers");
    sqlx::query_scalar("select 1").fetch_one(&mut connection).await.expect("a row")
}

fn server_pid(data: &Path) -> Option<i32> {
    let text = fs::read_to_string(data.join("cluster/postmaster.pid")).ok()?;
    text.lines().next()?.parse().ok()
}

fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie is dead; only its parent has not looked yet.
    !stat.is_empty() && !stat.contains(") Z ")
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn signal(pid: i32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a process number");
    rustix::process::kill_process(pid, signal).expect("a process of ours");
}

/// Another process that owns a server: this test binary again, in `helper_process`.
fn spawn_helper(data: &Path) -> (Child, u32) {
    let mut child = Command::new(std::env::current_exe().expect("we run"))
        .args(["--exact", "helper_process", "--ignored", "--nocapture"])
        .env(HELPER, data)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this very binary");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let supervisor = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("supervisor=").and_then(|(_, pid)| pid.parse().ok()))
        .expect("the helper says when it is ready");
    (child, supervisor)
}

#[tokio::test]
#[ignore = "the other process of the tests here"]
async fn helper_process() {
    use std::io::Write as _;
    let Some(data) = std::env::var_os(HELPER) else { return };
    let server = PrivateServer::start(ServerOptions::new(data)).await.expect("it starts");
    let supervisor = server.supervisor_pid().expect("an owned server has one");
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nsupervisor={supervisor}").and_then(|()| out.flush()).expect("our parent reads");
    std::thread::sleep(Duration::from_mins(5));
}

#[tokio::test]
async fn a_server_starts_stops_and_finds_its_data_again() {
    let place = Place::new();
    let server = PrivateServer::start(ServerOptions::new(place.data())).await.expect("it starts");
    assert!(server.cluster().create_database("shop", Role::Owner).await.expect("created"));
    assert!(!server.cluster().create_database("shop", Role::Owner).await.expect("already there"));
    let mut owner = PgConnection::connect(&server.cluster().url(Role::Owner, "shop")).await.expect("the owner");
    sqlx::raw_sql("create table kept (n int); insert into kept values (7)").execute(&mut owner).await.expect("a table");
    let pid = server_pid(&place.data()).expect("it runs");
    server.shutdown().await.expect("it stops");
    assert!(!is_alive(pid));
    assert_eq!(server_pid(&place.data()), None, "a clean stop removes the file");

    let server = PrivateServer::start(ServerOptions::new(place.data())).await.expect("it starts again");
    let mut owner = PgConnection::connect(&server.cluster().url(Role::Owner, "shop")).await.expect("the owner");
    let kept: i32 = sqlx::query_scalar("select n from kept").fetch_one(&mut owner).await.expect("the row");
    assert_eq!(kept, 7);
    let checksums: String = sqlx::query_scalar("show data_checksums").fetch_one(&mut owner).await.expect("a setting");
    assert_eq!(checksums, "on");
    assert!(server.cluster().drop_database("shop").await.expect("dropped, though we are connected"));
    assert!(!server.cluster().drop_database("shop").await.expect("gone"));
    server.shutdown().await.expect("it stops");
}

#[tokio::test]
async fn a_dropped_server_stops_too() {
    let place = Place::new();
    let server = PrivateServer::start(ServerOptions::new(place.data())).await.expect("it starts");
    let pid = server_pid(&place.data()).expect("it runs");
    drop(server);
    wait_until("the stop", || !is_alive(pid));
    let again = PrivateServer::start(ServerOptions::new(place.data())).await.expect("nothing is in the way");
    again.shutdown().await.expect("it stops");
}

#[tokio::test]
async fn the_folder_belongs_to_the_servers_user_and_is_closed() {
    let place = Place::new();
    let server = PrivateServer::start(ServerOptions::new(place.data())).await.expect("it starts");
    let account = Account::for_server().expect("there is one");
    assert_ne!(account.uid(), 0, "Postgres refuses root");
    let folder = fs::metadata(place.data()).expect("there");
    assert_eq!((folder.uid(), folder.mode() & 0o777), (account.uid(), 0o700));
    let passwords = fs::metadata(place.data().join("passwords")).expect("there");
    assert_eq!(passwords.mode() & 0o777, 0o600);
    // The last connection attempt: a wrong password is refused, so that a loopback port is no open door.
    let url = server.cluster().url(Role::App, "postgres");
    let (start, rest) = url.split_once("partita_app:").expect("a URL with a user");
    let (_, end) = rest.split_once('@').expect("and a host");
    let refused = PgConnection::connect(&format!("{start}partita_app:wrong@{end}")).await;
    assert!(refused.is_err());
    server.shutdown().await.expect("it stops");
}

#[tokio::test]
async fn roles_are_weak_and_reach_only_their_databases() {
    let place = Place::new();
    let server = PrivateServer::start(ServerOptions::new(place.data())).await.expect("it starts");
    let cluster = server.cluster();
    cluster.create_database("shop", Role::Owner).await.expect("created");
    cluster.create_database("psp", Role::Simulator).await.expect("created");
    assert_eq!(one(&cluster.url(Role::App, "shop")).await, 1);
    assert_eq!(one(&cluster.url(Role::Simulator, "psp")).await, 1);
    for (role, database) in [(Role::Simulator, "shop"), (Role::App, "psp"), (Role::Owner, "psp")] {
        assert!(PgConnection::connect(&cluster.url(role, database)).await.is_err(), "{role:?} reached {database}");
    }
    let mut admin = PgConnection::connect(&cluster.url(Role::Admin, "postgres")).await.expect("the superuser");
    let strong: Vec<String> = sqlx::query_scalar(
        "select rolname::text from pg_roles where rolname like 'partita\\_%' and rolname <> 'partita_admin'
            and (rolsuper or rolbypassrls or rolcreatedb or rolcreaterole or rolreplication)",
    )
    .fetch_all(&mut admin)
    .await
    .expect("rows");
    assert!(strong.is_empty(), "{strong:?}");
    let bad = cluster.create_database("a; drop database shop", Role::Owner).await;
    assert!(matches!(bad, Err(Error::BadDatabaseName { .. })));
    server.shutdown().await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killing_the_owner_leaves_nothing_running() {
    let place = Place::new();
    let (mut helper, supervisor) = spawn_helper(&place.data());
    let server = server_pid(&place.data()).expect("it runs");
    let supervisor = i32::try_from(supervisor).expect("a process number");

    let second = PrivateServer::start(ServerOptions::new(place.data())).await;
    assert!(matches!(second, Err(Error::InUse { .. })), "one owner at a time: {second:?}");

    helper.kill().expect("kill -9");
    helper.wait().expect("it is gone");
    wait_until("the end of the server", || !is_alive(server));
    wait_until("the end of the shell", || !is_alive(supervisor));
    let log = fs::read_to_string(place.data().join("server.log")).expect("a log");
    assert!(log.contains("received fast shutdown request"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_start_right_after_the_owners_death_waits_for_the_stop_under_way() {
    let place = Place::new();
    let (mut helper, _) = spawn_helper(&place.data());
    let killed = server_pid(&place.data()).expect("it runs");
    helper.kill().expect("kill -9");
    helper.wait().expect("it is gone");
    let server = PrivateServer::start(ServerOptions::new(place.data())).await.expect("it starts");
    assert!(!is_alive(killed));
    assert_eq!(one(&server.cluster().url(Role::Admin, "postgres")).await, 1);
    server.shutdown().await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_left_behind_is_adopted_and_stopped() {
    let place = Place::new();
    let (mut helper, supervisor) = spawn_helper(&place.data());
    let supervisor = i32::try_from(supervisor).expect("a process number");
    let left = server_pid(&place.data()).expect("it runs");
    // The shell first, all of its group, so that nobody is left to stop the server.
    stop_group_but(supervisor, left);
    helper.kill().expect("kill -9");
    helper.wait().expect("it is gone");
    assert!(is_alive(left), "the server was left behind");

    let server = PrivateServer::start(ServerOptions::new(place.data())).await.expect("adopted");
    assert_eq!(server_pid(&place.data()), Some(left));
    assert_eq!(one(&server.cluster().url(Role::Admin, "postgres")).await, 1);
    server.shutdown().await.expect("it stops");
    assert!(!is_alive(left));
}

/// Kills the supervising shell and its helpers with signal 9, and not the server.
fn stop_group_but(supervisor: i32, server: i32) {
    for entry in fs::read_dir("/proc").expect("Linux").flatten() {
        let Some(pid) = entry.file_name().to_string_lossy().parse::<i32>().ok() else { continue };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let group = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(2)?.parse::<i32>().ok());
        let is_shell = fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() != "postgres");
        if group == Some(supervisor) && pid != server && is_shell {
            signal(pid, rustix::process::Signal::KILL);
        }
    }
    wait_until("the end of the shell", || !is_alive(supervisor));
}

#[tokio::test]
async fn a_server_that_is_struck_down_comes_back_on_its_port() {
    let place = Place::new();
    let server = PrivateServer::start(ServerOptions::new(place.data())).await.expect("it starts");
    let url = server.cluster().url(Role::Admin, "postgres");
    let first = server_pid(&place.data()).expect("it runs");
    signal(first, rustix::process::Signal::KILL);
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        assert!(Instant::now() < deadline, "it did not come back");
        if server_pid(&place.data()) != Some(first) && PgConnection::connect(&url).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.shutdown().await.expect("it stops");
    assert_eq!(server_pid(&place.data()), None);
}

#[test]
fn eight_starts_at_once_share_one_server_or_are_told() {
    let place = Place::new();
    let data = place.data();
    let started = start_in_threads(&data, Lifetime::Shared { idle_minutes: 1 });
    let ports: Vec<u16> =
        started.iter().map(|server| server.as_ref().expect("all may use it").cluster().port()).collect();
    assert_eq!(ports.len(), 8);
    assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    let pid = server_pid(&data).expect("it runs");
    drop(started);
    assert!(is_alive(pid), "a shared server outlives those who use it");
    signal(pid, rustix::process::Signal::INT);
    wait_until("the stop", || !is_alive(pid));

    let started = start_in_threads(&data, Lifetime::Owned);
    let (won, lost): (Vec<_>, Vec<_>) = started.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|error| matches!(error, Err(Error::InUse { .. }))), "{lost:?}");
    drop(won);
    wait_until("the stop", || server_pid(&data).is_none());
}

fn start_in_threads(data: &Path, lifetime: Lifetime) -> Vec<Result<PrivateServer, Error>> {
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let options = ServerOptions { lifetime, ..ServerOptions::new(data) };
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(PrivateServer::start(options))
            })
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_gave_up_comes_back_when_the_cause_is_gone() {
    let place = Place::new();
    let server = PrivateServer::start(ServerOptions::new(place.data())).await.expect("it starts");
    let url = server.cluster().url(Role::Admin, "postgres");
    // One that gives up sooner has never been up.
    let up = Instant::now();
    wait_until("five seconds of service", || up.elapsed() > Duration::from_secs(6));
    let control = place.data().join("cluster/global/pg_control");
    fs::rename(&control, control.with_extension("away")).expect("ours");
    let mut admin = PgConnection::connect(&url).await.expect("the server answers");
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut admin).await.expect("a row");
    let postmaster = server_pid(&place.data()).expect("it runs");
    // The postmaster begins anew when a child is struck down, and cannot without its control file.
    signal(backend, rustix::process::Signal::KILL);
    wait_until("the end of the server", || !is_alive(postmaster));
    let down = Instant::now();
    wait_until("some tries without success", || down.elapsed() > Duration::from_secs(5));
    assert!(PgConnection::connect(&url).await.is_err(), "it cannot run");
    fs::rename(control.with_extension("away"), &control).expect("ours");
    let deadline = Instant::now() + Duration::from_mins(1);
    while PgConnection::connect(&url).await.is_err() {
        assert!(Instant::now() < deadline, "it did not come back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    server.shutdown().await.expect("it stops");
}

#[tokio::test]
async fn an_orphaned_shared_server_gets_a_new_reaper() {
    let place = Place::new();
    let shared =
        || ServerOptions { lifetime: Lifetime::Shared { idle_minutes: 1 }, ..ServerOptions::new(place.data()) };
    let first = PrivateServer::start(shared()).await.expect("it starts");
    let pid = server_pid(&place.data()).expect("it runs");
    let supervisor = i32::try_from(first.supervisor_pid().expect("we started it")).expect("a process number");
    stop_group_but(supervisor, pid);
    let second = PrivateServer::start(shared()).await.expect("adopted");
    assert_eq!(server_pid(&place.data()), Some(pid));
    assert!(second.supervisor_pid().is_some());
    // What the reaper looks at: a heartbeat older than its minute.
    let beat = fs::File::options().write(true).open(place.data().join("heartbeat")).expect("there");
    beat.set_modified(std::time::SystemTime::now() - Duration::from_mins(10)).expect("ours");
    wait_until("the reaping", || !is_alive(pid));
}

#[tokio::test]
async fn a_path_longer_than_a_socket_may_have_is_no_obstacle() {
    let place = Place::new();
    let data = place.0.path().join("a-rather-long-name".repeat(9)).join("data");
    assert!(data.as_os_str().len() > 107);
    let server = PrivateServer::start(ServerOptions::new(&data)).await.expect("it starts");
    assert_eq!(one(&server.cluster().url(Role::Admin, "postgres")).await, 1);
    server.shutdown().await.expect("it stops");
}

#[tokio::test]
async fn a_closed_folder_on_the_way_is_an_error_that_names_it() {
    let account = Account::for_server().expect("there is one");
    if account.uid() == rustix::process::geteuid().as_raw() {
        return; // Only root runs the server as another user, whom a folder can be closed to.
    }
    let place = Place::new();
    fs::set_permissions(place.0.path(), fs::Permissions::from_mode(0o700)).expect("our own folder");
    let error = PrivateServer::start(ServerOptions::new(place.data())).await.expect_err("it cannot be reached");
    let text = error.to_string();
    assert!(matches!(error, Error::Unreachable { .. }), "{text}");
    assert!(text.contains(&place.0.path().display().to_string()) && text.contains("PARTITA_DATA"), "{text}");
}

#[tokio::test]
async fn a_half_made_cluster_is_made_anew() {
    let place = Place::new();
    let draft = place.data().join("cluster.new");
    fs::create_dir_all(&draft).expect("a folder");
    fs::write(draft.join("rest"), "of a killed initdb").expect("a file");
    std::os::unix::fs::chown(place.data(), Some(Account::for_server().expect("there is one").uid()), None)
        .expect("root, or our own");
    let server = PrivateServer::start(ServerOptions::new(place.data())).await.expect("it starts");
    server.shutdown().await.expect("it stops");
}

#[tokio::test]
async fn a_taken_port_is_an_error_with_the_servers_words() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let options = ServerOptions { port: Some(port), ..ServerOptions::new(place.data()) };
    let error = PrivateServer::start(options).await.expect_err("the port is taken");
    assert!(error.to_string().contains("could not bind"), "{error}");
    let server = PrivateServer::start(ServerOptions::new(place.data())).await.expect("another port is free");
    server.shutdown().await.expect("it stops");
}
