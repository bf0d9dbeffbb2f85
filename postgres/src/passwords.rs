//! The passwords of a cluster's roles: random, one each, made before the cluster.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use crate::{
    cluster::Role,
    error::{Error, Trying},
};

/// A password for every role. Not printed.
#[derive(Clone)]
pub(crate) struct Passwords(BTreeMap<&'static str, String>);

impl Passwords {
    /// 128 random bits each.
    pub(crate) fn random() -> Self {
        Self::made_by(|_| hex::encode(rand::random::<[u8; 16]>()))
    }

    pub(crate) fn made_by(make: impl Fn(Role) -> String) -> Self {
        Self(Role::ALL.iter().map(|role| (role.name(), make(*role))).collect())
    }

    pub(crate) fn of(&self, role: Role) -> &str {
        self.0.get(role.name()).expect("every role has one from the start")
    }

    /// Reads the file, `None` if it is not there.
    pub(crate) fn read(file: &Path) -> Result<Option<Self>, Error> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).trying(|| format!("read {}", file.display())),
        };
        Self::parse(&text).map(Some).ok_or_else(|| Error::PasswordsLost { file: file.to_owned() })
    }

    fn parse(text: &str) -> Option<Self> {
        let found: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let passwords = Role::ALL.iter().map(|role| {
            let password = found.get(role.name()).filter(|password| !password.is_empty())?;
            Some((role.name(), (*password).to_owned()))
        });
        passwords.collect::<Option<_>>().map(Self)
    }

    /// Writes the file so that only its owner can read it, and whole or not at all.
    pub(crate) fn write(&self, file: &Path) -> Result<(), Error> {
        let draft = file.with_extension("new");
        let written = private_file(&draft).and_then(|mut out| {
            for (role, password) in &self.0 {
                writeln!(out, "{role}={password}")?;
            }
            out.sync_all()?;
            fs::rename(&draft, file)
        });
        written.trying(|| format!("write {}", file.display()))
    }
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords(..)")
    }
}

/// A new file that only its owner can read; one that a killed run left is removed first, with its permissions.
pub(crate) fn private_file(path: &Path) -> std::io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::Passwords;
    use crate::{cluster::Role, error::Error};

    #[test]
    fn what_is_written_is_read_again_and_closed_to_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("passwords");
        assert!(Passwords::read(&file).expect("absence is no error").is_none());
        let passwords = Passwords::random();
        assert_ne!(passwords.of(Role::App), passwords.of(Role::Owner));
        passwords.write(&file).expect("written");
        assert_eq!(std::fs::metadata(&file).expect("there").mode() & 0o777, 0o600);
        let again = Passwords::read(&file).expect("readable").expect("there");
        assert_eq!(again.of(Role::App), passwords.of(Role::App));
        std::fs::write(&file, "partita_app=\n").expect("ours");
        assert!(matches!(Passwords::read(&file), Err(Error::PasswordsLost { .. })));
    }
}
