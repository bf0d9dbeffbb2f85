//! The shell between us and Postgres.
//!
//! It is there because nothing else outlives a `kill -9` of its owner: when the owner is gone, however it went, the
//! pipe between them closes, and the shell stops Postgres. It holds the supervisor's lock, by a file it inherited, so
//! that the next owner knows whether a stop is under way.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{
    account::Account,
    binaries::Binaries,
    error::{Error, Trying},
    folder::Folder,
};

/// Runs Postgres until standard input ends. A server that was struck down by a signal is brought back, some times, for
/// what is left of the dead one can be in the way for a moment. One that had run for a while and gave up, as with a full
/// disk, is tried again for as long as it takes; one that never came up is not.
///
/// Arguments: `pg_ctl`, cluster, log, mark of the stop; then the server's command.
const OWNED: &str = r#"
pg_ctl=$1 cluster=$2 log=$3 stop=$4
shift 4
rm -f "$stop"
exec 3<&0
{
    read -r _ <&3
    : >"$stop"
    # Again and again, for the server may be between two lives.
    while kill -0 $$ 2>/dev/null; do
        "$pg_ctl" stop -D "$cluster" -m fast -t 60 >/dev/null 2>&1 || sleep 0.2
    done
} >/dev/null 2>&1 &
watch=$!
tries=0 lived=
while [ ! -e "$stop" ]; do
    began=$(date +%s) pause=0.3
    "$@" </dev/null 3<&- >>"$log" 2>&1 &
    wait $!
    status=$?
    [ $(($(date +%s) - began)) -ge 5 ] && lived=yes
    if [ "$status" -eq 0 ]; then break
    elif [ "$status" -gt 128 ]; then tries=20
    elif [ "$tries" -gt 0 ]; then tries=$((tries - 1))
    elif [ -n "$lived" ]; then pause=2
    else break
    fi
    [ -e "$stop" ] || sleep "$pause"
done
rm -f "$stop"
kill "$watch" 2>/dev/null
"#;

/// Stops a server that another run started, when standard input ends. Arguments: `pg_ctl`, cluster.
const ADOPTED: &str = r#"
read -r _
"$1" stop -D "$2" -m fast -t 60 >/dev/null 2>&1
"#;

/// Runs Postgres, or takes over one that runs if no command is given, until nobody has touched the heartbeat for some
/// minutes.
///
/// The heartbeat is moved away while its age is looked at, so that nobody can count on the server between the look and
/// the stop. Arguments: `pg_ctl`, cluster, log, heartbeat, its other name, minutes; then the server's command.
const SHARED: &str = r#"
pg_ctl=$1 cluster=$2 log=$3 beat=$4 taken=$5 minutes=$6
shift 6
reap() {
    while sleep 10; do
        [ -n "$(find "$beat" -mmin "+$minutes")" ] || continue
        mv "$beat" "$taken" || continue
        if [ -n "$(find "$taken" -mmin "+$minutes")" ]; then break; fi
        mv "$taken" "$beat"
    done
    "$pg_ctl" stop -D "$cluster" -m fast -t 60
}
if [ $# -eq 0 ]; then
    reap >/dev/null 2>&1
else
    "$@" </dev/null >>"$log" 2>&1 &
    server=$!
    reap >/dev/null 2>&1 </dev/null &
    watch=$!
    wait "$server"
    kill "$watch" 2>/dev/null
fi
rm -f "$taken"
"#;

/// Starts a server that lives as long as the child's standard input.
pub(crate) fn own(
    account: &Account,
    folder: &Folder,
    binaries: &Binaries,
    server: &Command,
    lock: File,
) -> Result<Child, Error> {
    let mut shell = shell(account, OWNED);
    shell.arg(binaries.program("pg_ctl")).arg(folder.cluster()).arg(folder.log()).arg(folder.stop_mark());
    append(&mut shell, server);
    spawn(shell.stdin(Stdio::piped()).stdout(lock))
}

/// Ties a running server to the child's standard input.
pub(crate) fn adopt(account: &Account, folder: &Folder, binaries: &Binaries, lock: File) -> Result<Child, Error> {
    let mut shell = shell(account, ADOPTED);
    shell.arg(binaries.program("pg_ctl")).arg(folder.cluster());
    spawn(shell.stdin(Stdio::piped()).stdout(lock))
}

/// Starts a server, or takes over the one that runs if there is no command, that lives as long as its heartbeat is
/// touched.
pub(crate) fn share(
    account: &Account,
    folder: &Folder,
    binaries: &Binaries,
    idle_minutes: u32,
    server: Option<&Command>,
    lock: File,
) -> Result<Child, Error> {
    let mut shell = shell(account, SHARED);
    shell.arg(binaries.program("pg_ctl")).arg(folder.cluster()).arg(folder.log());
    shell.arg(folder.heartbeat()).arg(folder.taken_heartbeat()).arg(idle_minutes.to_string());
    if let Some(server) = server {
        append(&mut shell, server);
    }
    spawn(shell.stdin(Stdio::null()).stdout(lock))
}

fn shell(account: &Account, script: &str) -> Command {
    let mut shell = account.command(Path::new("/bin/sh"));
    // Standard error is not ours either: whoever reads our output would wait for the server's end.
    shell.arg("-c").arg(script).arg("partita-postgres").stderr(Stdio::null());
    shell
}

fn append(shell: &mut Command, server: &Command) {
    shell.arg(server.get_program()).args(server.get_args());
}

fn spawn(shell: &mut Command) -> Result<Child, Error> {
    shell.spawn().trying(|| "run /bin/sh".to_owned())
}
