//! Where the server's binaries are.

use std::{
    cmp::Reverse,
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The oldest release the schema is written for.
pub const OLDEST_MAJOR: u32 = 15;

/// The programs that must stand together in one folder.
const PROGRAMS: [&str; 3] = ["postgres", "initdb", "pg_ctl"];

/// Folders with one folder per release below, and below that `bin`: Debian, the project's RPMs, and the like.
const RELEASE_ROOTS: [(&str, &str); 3] =
    [("/usr/lib/postgresql", ""), ("/usr", "pgsql-"), ("/opt/local/lib", "postgresql")];
/// Homebrew's prefixes: Apple silicon, Intel, Linux.
const HOMEBREW: [&str; 3] = ["/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"];

/// The binaries of one release of Postgres.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    folder: PathBuf,
    major: u32,
}

/// No usable binaries: what was looked for, where, and how to get them.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq)]
#[error(
    "no Postgres server found. Looked for postgres, initdb and pg_ctl, version {OLDEST_MAJOR} or newer, in:\n{}\n\
     Install it with\n    {install}\nor name the folder of its binaries in PARTITA_PG_BIN",
    self.lines()
)]
pub struct NotFound {
    /// The places, each with what was wrong there.
    pub looked_in: Vec<(PathBuf, String)>,
    /// The command that installs a server on this system.
    pub install: &'static str,
}

impl NotFound {
    fn lines(&self) -> String {
        let lines = self.looked_in.iter().map(|(folder, fault)| format!("    {}: {fault}", folder.display()));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Where to look. [`Search::from_environment`] is the usual one.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// The only place, if named (`PARTITA_PG_BIN`).
    pub named: Option<PathBuf>,
    /// The folders to look in.
    pub folders: Vec<PathBuf>,
}

impl Search {
    /// `PARTITA_PG_BIN` alone if set; else `PATH`, `/usr/lib/postgresql/*/bin` and its like, Homebrew.
    pub fn from_environment() -> Self {
        let mut folders: Vec<PathBuf> =
            env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
        folders.retain(|folder| folder.is_absolute());
        for (root, prefix) in RELEASE_ROOTS {
            folders.extend(subfolders(Path::new(root), prefix));
        }
        for root in HOMEBREW {
            folders.extend(subfolders(Path::new(root), "postgresql"));
        }
        let named = env::var_os("PARTITA_PG_BIN").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        Self { named, folders }
    }

    fn places(&self) -> Vec<PathBuf> {
        let mut places = self.named.clone().map_or_else(|| self.folders.clone(), |named| vec![named]);
        let mut seen = Vec::new();
        places.retain(|place| {
            let real = fs::canonicalize(place).unwrap_or_else(|_| place.clone());
            let new = !seen.contains(&real);
            seen.push(real);
            new
        });
        places
    }
}

impl Binaries {
    /// The newest binaries of this system.
    ///
    /// # Errors
    /// If there are none of version 15 or newer.
    pub fn find() -> Result<Self, NotFound> {
        Self::find_all(&Search::from_environment()).map(|mut all| all.swap_remove(0))
    }

    /// All that are found, the newest first; never empty.
    ///
    /// # Errors
    /// If there are none of version 15 or newer.
    pub fn find_all(search: &Search) -> Result<Vec<Self>, NotFound> {
        let mut found = Vec::new();
        let mut looked_in = Vec::new();
        for folder in search.places() {
            match Self::examine(&folder) {
                Ok(binaries) => found.push(binaries),
                Err(fault) => looked_in.push((folder, fault)),
            }
        }
        // A stable sort: among equals the first place wins.
        found.sort_by_key(|binaries| Reverse(binaries.major));
        if found.is_empty() {
            if looked_in.is_empty() {
                let nowhere = "no folder with Postgres in its name".to_owned();
                looked_in.extend(RELEASE_ROOTS.map(|(root, _)| (PathBuf::from(root), nowhere.clone())));
            }
            return Err(NotFound { looked_in, install: install_command() });
        }
        Ok(found)
    }

    /// The release: 15, 16 ..
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The path of one of the programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn examine(folder: &Path) -> Result<Self, String> {
        if let Some(missing) = PROGRAMS.iter().find(|program| !folder.join(program).is_file()) {
            return Err(format!("no {missing}"));
        }
        let output = Command::new(folder.join("postgres"))
            .arg("--version")
            .current_dir("/")
            .output()
            .map_err(|error| format!("postgres does not run: {error}"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        match major_of(&said) {
            Some(major) if major >= OLDEST_MAJOR => Ok(Self { folder: folder.to_owned(), major }),
            Some(major) => Err(format!("version {major} is too old")),
            None => Err(format!("postgres --version says {:?}", said.trim())),
        }
    }
}

/// `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)` is 15, `postgres (PostgreSQL) 18beta1` is 18.
fn major_of(said: &str) -> Option<u32> {
    let version = said.split_once("(PostgreSQL)")?.1.trim_start();
    let digits = version.find(|c: char| !c.is_ascii_digit()).map_or(version, |end| &version[..end]);
    digits.parse().ok()
}

fn subfolders(root: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join("bin"))
        .filter(|folder| folder.is_dir())
        .collect();
    folders.sort();
    folders
}

fn install_command() -> &'static str {
    if cfg!(target_os = "macos") {
        return "brew install postgresql@17";
    }
    let os = fs::read_to_string("/etc/os-release").unwrap_or_default();
    install_command_for(&os)
}

/// By the `ID` and `ID_LIKE` of `/etc/os-release`.
fn install_command_for(os_release: &str) -> &'static str {
    let ids: Vec<OsString> = os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|ids| ids.trim_matches('"').split_whitespace())
        .map(OsString::from)
        .collect();
    let is = |names: &[&str]| names.iter().any(|name| ids.iter().any(|id| id == name));
    if is(&["debian", "ubuntu"]) {
        "sudo apt-get install -y postgresql"
    } else if is(&["fedora", "rhel", "centos"]) {
        "sudo dnf install -y postgresql-server"
    } else if is(&["suse", "opensuse"]) {
        "sudo zypper install -y postgresql-server"
    } else if is(&["arch"]) {
        "sudo pacman -S --needed postgresql"
    } else if is(&["alpine"]) {
        "sudo apk add postgresql"
    } else {
        "(the way of your system: https://www.postgresql.org/download/)"
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Binaries, Search, install_command_for, major_of};

    #[test]
    fn versions_are_read_from_what_postgres_says() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_of("postgres (PostgreSQL) \n"), None);
        assert_eq!(major_of("something else"), None);
    }

    #[test]
    fn the_error_names_what_where_and_the_one_command() {
        let search = Search { named: None, folders: vec![PathBuf::from("/nowhere/bin"), PathBuf::from("/proc")] };
        let text = Binaries::find_all(&search).expect_err("nothing is there").to_string();
        for part in ["postgres, initdb and pg_ctl", "15 or newer", "/nowhere/bin: no postgres", "PARTITA_PG_BIN"] {
            assert!(text.contains(part), "{part:?} is missing in:\n{text}");
        }
    }

    #[test]
    fn a_named_folder_is_the_only_place() {
        let mut search = Search::from_environment();
        search.named = Some(PathBuf::from("/nowhere"));
        let error = Binaries::find_all(&search).expect_err("the named folder has none");
        assert_eq!(error.looked_in, [(PathBuf::from("/nowhere"), "no postgres".to_owned())]);
    }

    #[test]
    fn each_family_of_systems_has_its_command() {
        assert!(install_command_for("ID=ubuntu\nID_LIKE=debian").contains("apt-get"));
        assert!(install_command_for("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"").contains("dnf"));
        assert!(install_command_for("ID=alpine").contains("apk"));
        assert!(install_command_for("").contains("https://www.postgresql.org/download/"));
    }
}
