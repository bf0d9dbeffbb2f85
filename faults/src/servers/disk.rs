//! A disk that can be filled: a file system of its own in a file, mounted through a loop device, for a server's folder.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use partita_postgres::Account;
use tokio::process::Command;

/// What fills the disk.
const BALLAST: &str = "ballast";

/// What the ballast is written in.
const PIECE: usize = 4 * 1024 * 1024;

/// A mounted disk. It is unmounted when it is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    mounted_at: PathBuf,
}

impl SmallDisk {
    /// Makes a disk of so many mebibytes in the file `image` and mounts it on the folder, which is made.
    ///
    /// # Errors
    /// When it cannot be mounted: that needs root, a loop device and `mkfs.ext4`.
    pub async fn mount(image: &Path, folder: &Path, mebibytes: u64) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("the folder {}", folder.display()))?;
        let file = std::fs::File::create(image).with_context(|| format!("the image {}", image.display()))?;
        file.set_len(mebibytes * 1024 * 1024).context("the size of a disk")?;
        drop(file);
        // Nothing is reserved for root, who lays the ballast.
        run("mkfs.ext4", &[OsStr::new("-q"), "-m".as_ref(), "0".as_ref(), image.as_ref()]).await?;
        run("mount", &["-o".as_ref(), "loop".as_ref(), image.as_ref(), folder.as_ref()]).await?;
        let disk = Self { mounted_at: folder.to_owned() };
        std::fs::remove_dir(folder.join("lost+found")).context("the folder of lost files")?;
        // The server's log is elsewhere, or it could not tell that the disk is full.
        let (account, log) = (Account::for_server()?, image.with_file_name("postgres.log"));
        std::fs::File::create(&log).context("a server's log")?;
        std::os::unix::fs::symlink(&log, folder.join("server.log")).context("the way to a server's log")?;
        account.own(&log)?;
        account.own(folder)?;
        Ok(disk)
    }

    /// Fills it to the last block.
    ///
    /// # Errors
    /// When that fails for another reason than that nothing is left.
    pub fn fill(&self) -> anyhow::Result<u64> {
        let mut file =
            std::fs::File::options().create(true).append(true).open(self.ballast()).context("the ballast")?;
        let (mut piece, mut written) = (PIECE, 0);
        while piece >= 512 {
            match file.write_all(&vec![1; piece]).and_then(|()| file.sync_data()) {
                Ok(()) => written += u64::try_from(piece)?,
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => piece /= 2,
                Err(error) => return Err(error).context("the ballast"),
            }
        }
        Ok(written)
    }

    /// Frees what the ballast took.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn free(&self) -> anyhow::Result<()> {
        match std::fs::remove_file(self.ballast()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("the ballast"),
            _ => Ok(()),
        }
    }

    fn ballast(&self) -> PathBuf {
        self.mounted_at.join(BALLAST)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that is still stopping keeps it until it has.
        let unmounted = std::process::Command::new("umount").arg("--lazy").arg(&self.mounted_at).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            tracing::error!(folder = %self.mounted_at.display(), "a disk stays mounted");
        }
    }
}

async fn run(program: &str, arguments: &[&OsStr]) -> anyhow::Result<()> {
    let needs = "a disk of its own needs root, a loop device and e2fsprogs (`apt-get install e2fsprogs mount`)";
    let output = Command::new(program).args(arguments).output().await.with_context(|| format!("{program}: {needs}"))?;
    anyhow::ensure!(output.status.success(), "{program}: {}; {needs}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
