//! Machines whose clocks are wrong: a library that is loaded before the service and adds an offset to the time of day,
//! which can be changed while the service runs.
//!
//! Only the time of day is changed, as on a machine whose clock is set: time that is measured (`CLOCK_MONOTONIC`) runs on.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Where systems keep the library.
const PLACES: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
];

/// A clock that can be set.
#[derive(Debug)]
pub struct WrongClock {
    offset: PathBuf,
    library: PathBuf,
}

impl WrongClock {
    /// A clock that is right until it is set; the offset stands in a file.
    ///
    /// # Errors
    /// With what to install when the library is not there.
    pub fn make(offset: PathBuf) -> anyhow::Result<Self> {
        let library = PLACES.iter().map(Path::new).find(|path| path.is_file());
        let library = library.context("no libfaketime (`apt-get install libfaketime`)")?.to_owned();
        let clock = Self { offset, library };
        clock.set(0)?;
        Ok(clock)
    }

    /// Sets it so many seconds ahead of the machine's, or behind; a second later at most it is so.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set(&self, seconds: i64) -> anyhow::Result<()> {
        // Whole or not at all: it is read while it is written.
        let draft = self.offset.with_extension("new");
        std::fs::write(&draft, format!("{seconds:+}\n"))
            .and_then(|()| std::fs::rename(&draft, &self.offset))
            .context("a clock")
    }

    /// What makes a process live by it.
    pub fn environment(&self) -> Vec<(String, OsString)> {
        [
            ("LD_PRELOAD", self.library.clone().into_os_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.offset.clone().into_os_string()),
            ("FAKETIME_CACHE_DURATION", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("FAKETIME_DONT_RESET", "1".into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}
