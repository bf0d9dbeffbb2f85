//! The system's user that Postgres runs as.

use std::{
    fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use crate::error::{Error, Trying};

/// The users that root may run Postgres as, the first that exists.
const STAND_INS: [&str; 2] = ["postgres", "nobody"];

/// A user of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    name: String,
    uid: u32,
    gid: u32,
    /// Whether a process of ours must change to it.
    other: bool,
}

impl Account {
    /// Who runs Postgres: ourselves, or a stand-in if we are root.
    ///
    /// # Errors
    /// [`Error::NoAccount`] if we are root and there is no stand-in.
    pub fn for_server() -> Result<Self, Error> {
        let uid = rustix::process::geteuid();
        if !uid.is_root() {
            let gid = rustix::process::getegid();
            return Ok(Self { name: uid.as_raw().to_string(), uid: uid.as_raw(), gid: gid.as_raw(), other: false });
        }
        let users = fs::read_to_string("/etc/passwd").trying(|| "read /etc/passwd".to_owned())?;
        STAND_INS.iter().find_map(|name| find_user(&users, name)).ok_or(Error::NoAccount)
    }

    /// The user's number.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The user's name, or the number as text if it is our own.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that runs as this user, with `/` as its working directory, in a process group of its own (so that
    /// Ctrl-C in our terminal is not for it), and without variables of ours that Postgres would obey.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C")
            .current_dir("/")
            .process_group(0);
        if self.other {
            // Changing the user as root also gives up root's supplementary groups.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Gives a file of ours to the user.
    ///
    /// # Errors
    /// [`Error::Io`] if the system refuses.
    pub fn own(&self, path: &Path) -> Result<(), Error> {
        if !self.other {
            return Ok(());
        }
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .trying(|| format!("give {} to {}", path.display(), self.name))
    }

    /// The first part of the path, from the root down, that this user may not pass through.
    pub(crate) fn obstacle(&self, path: &Path) -> Option<PathBuf> {
        let mut parts: Vec<&Path> = path.ancestors().collect();
        parts.reverse();
        parts.into_iter().find(|part| fs::metadata(part).is_ok_and(|data| !self.may_pass(&data))).map(Path::to_owned)
    }

    fn may_pass(&self, folder: &fs::Metadata) -> bool {
        let execute = if folder.uid() == self.uid {
            0o100
        } else if folder.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        folder.mode() & execute != 0
    }
}

fn find_user(users: &str, name: &str) -> Option<Account> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next()? == name;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (found && uid != 0).then(|| Account { name: name.to_owned(), uid, gid, other: true })
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::{Account, find_user};

    const USERS: &str = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n";

    #[test]
    fn users_are_found_by_name_and_never_root() {
        let nobody = find_user(USERS, "nobody").expect("it is there");
        assert_eq!((nobody.uid, nobody.gid), (65_534, 65_533));
        assert_eq!(find_user(USERS, "postgres"), None);
        assert_eq!(find_user(USERS, "root"), None);
    }

    #[test]
    fn a_closed_folder_on_the_way_is_named() {
        let base = tempfile::tempdir().expect("a folder");
        let closed = base.path().join("closed");
        let deep = closed.join("deep");
        fs::create_dir_all(&deep).expect("folders");
        for folder in [base.path(), closed.as_path(), deep.as_path()] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("our own folder");
        }
        let stranger = Account { name: "stranger".to_owned(), uid: 4_294_000, gid: 4_294_000, other: true };
        assert_eq!(stranger.obstacle(&deep), None);
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("our own folder");
        assert_eq!(stranger.obstacle(&deep), Some(closed));
    }
}
