//! What `postmaster.pid` says about a server.

use std::{fs, path::Path};

use rustix::process::{Pid, test_kill_process};

/// A server that is alive, by its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Postmaster {
    pub(crate) port: u16,
    pub(crate) status: Status,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Starting,
    Ready,
    Stopping,
}

impl Postmaster {
    /// The live server of this cluster, if there is one.
    pub(crate) fn of(cluster: &Path) -> Option<Self> {
        let text = fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
        let (pid, postmaster) = parse(&text)?;
        is_alive(pid).then_some(postmaster)
    }
}

/// The lines are: pid, data directory, start time, port, socket directory, address, shared memory, status. They are
/// written one after the other, so a young file is short.
fn parse(text: &str) -> Option<(i32, Postmaster)> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let pid = lines.first()?.parse().ok()?;
    let port = lines.get(3).and_then(|port| port.parse().ok()).unwrap_or(0);
    let status = match lines.get(7) {
        Some(&"ready") => Status::Ready,
        Some(&"stopping") => Status::Stopping,
        _ => Status::Starting,
    };
    Some((pid, Postmaster { port, status }))
}

/// Whether this process exists, and is not one that got the number of a dead server.
fn is_alive(pid: i32) -> bool {
    let Some(pid) = Pid::from_raw(pid) else { return false };
    let exists = !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH));
    let command = fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero()));
    exists && command.map_or(true, |command| command.trim() == "postgres")
}

#[cfg(test)]
mod tests {
    use super::{Postmaster, Status, parse};

    #[test]
    fn a_whole_file_and_a_young_one_are_read() {
        let text = "123\n/data\n1700000000\n5433\n\n127.0.0.1\n  1 2\nready   \n";
        assert_eq!(parse(text), Some((123, Postmaster { port: 5433, status: Status::Ready })));
        assert_eq!(parse("123\n/data\n"), Some((123, Postmaster { port: 0, status: Status::Starting })));
        assert_eq!(parse(""), None);
    }
}
