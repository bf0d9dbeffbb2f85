//! The data folder: who may be in it, what lies where, and its locks.

use std::{
    env,
    fs::{self, DirBuilder, File, TryLockError},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::{
    account::Account,
    error::{Error, Trying},
};

/// Where root keeps the data.
const ROOTS_FOLDER: &str = "/var/lib/partita";

/// Where the data are if nothing else is said: `PARTITA_DATA`; else `/var/lib/partita` for root, and
/// `$XDG_DATA_HOME/partita` or `~/.local/share/partita` for others.
///
/// # Errors
/// [`Error::NoDataFolder`] if none of these is set to an absolute path.
pub fn default_data_folder() -> Result<PathBuf, Error> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(folder) = env::var_os("PARTITA_DATA").filter(|folder| !folder.is_empty()) {
        return std::path::absolute(folder).trying(|| "find the folder of PARTITA_DATA".to_owned());
    }
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from(ROOTS_FOLDER));
    }
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("partita"))
        .ok_or(Error::NoDataFolder)
}

/// A data folder that exists, belongs to the server's user and is closed to others.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

/// What a lock is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lock {
    /// Held while the cluster is made, started or adopted and its roles are created.
    Start,
    /// Held by the process that owns the server, as long as it lives.
    Owner,
    /// Held by the shell between the owner and Postgres, as long as it lives.
    Supervisor,
}

impl Folder {
    /// Makes the folder, or checks the one that is there.
    pub(crate) fn prepare(path: &Path, account: &Account) -> Result<Self, Error> {
        let path = std::path::absolute(path).trying(|| format!("find {}", path.display()))?;
        make_reachable_folders(&path)?;
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => account.own(&path)?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).trying(|| format!("make the folder {}", path.display())),
        }
        if let Some(obstacle) = account.obstacle(&path).filter(|obstacle| *obstacle != path) {
            return Err(Error::Unreachable { folder: path, obstacle, user: account.name().to_owned() });
        }
        let data = fs::symlink_metadata(&path).trying(|| format!("look at {}", path.display()))?;
        if data.uid() != account.uid() && is_empty(&path) {
            // Given to us empty, by an installer or `mkdir`.
            account.own(&path)?;
        } else if data.uid() != account.uid() {
            return Err(Error::ForeignFolder { folder: path, owner: data.uid(), expected: account.uid() });
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
            .trying(|| format!("close {} to others", path.display()))?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Postgres' own data directory.
    pub(crate) fn cluster(&self) -> PathBuf {
        self.path.join("cluster")
    }

    /// Where `initdb` works, until all is there.
    pub(crate) fn draft(&self) -> PathBuf {
        self.path.join("cluster.new")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("server.log")
    }

    pub(crate) fn passwords(&self) -> PathBuf {
        self.path.join("passwords")
    }

    /// Where the supervisor notes that it was told to stop.
    pub(crate) fn stop_mark(&self) -> PathBuf {
        self.path.join("stop")
    }

    /// Touched by those who use a shared server.
    pub(crate) fn heartbeat(&self) -> PathBuf {
        self.path.join("heartbeat")
    }

    /// Where the reaper moves the heartbeat while it decides.
    pub(crate) fn taken_heartbeat(&self) -> PathBuf {
        self.path.join("heartbeat.taken")
    }

    /// Waits for a lock. It ends when the file, and every copy a child inherited, is closed.
    pub(crate) async fn lock(&self, lock: Lock) -> Result<File, Error> {
        let (file, path) = self.open(lock)?;
        let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
        locked.map_err(std::io::Error::other).flatten().trying(|| format!("lock {}", path.display()))
    }

    /// The lock, or `None` if someone holds it.
    pub(crate) fn try_lock(&self, lock: Lock) -> Result<Option<File>, Error> {
        let (file, path) = self.open(lock)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).trying(|| format!("lock {}", path.display())),
        }
    }

    fn open(&self, lock: Lock) -> Result<(File, PathBuf), Error> {
        let path = self.path.join(match lock {
            Lock::Start => "start.lock",
            Lock::Owner => "owner.lock",
            Lock::Supervisor => "supervisor.lock",
        });
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        Ok((file.trying(|| format!("open {}", path.display()))?, path))
    }
}

/// Makes the missing folders above the path, open to pass through whatever the umask says: the server's user may be
/// another one than ours.
fn make_reachable_folders(path: &Path) -> Result<(), Error> {
    let missing: Vec<&Path> = path.ancestors().skip(1).take_while(|folder| !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        match fs::create_dir(folder) {
            Ok(()) => fs::set_permissions(folder, fs::Permissions::from_mode(0o755)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
        .trying(|| format!("make the folder {}", folder.display()))?;
    }
    Ok(())
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}
