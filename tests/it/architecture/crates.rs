//! Which crate may depend on which, read from the manifests.

use super::source::{File, Tree};
use super::{Breaches, assert_breaches, assert_kept};

/// What each crate of ours may name under `[dependencies]`, of ours.
const OWN: [(&str, &[&str]); 10] = [
    ("provider", &[]),
    ("documents", &["partita-provider"]),
    ("postgres", &[]),
    ("db", &[]),
    ("simulator", &["partita-postgres"]),
    ("ledger", &["partita-provider", "partita-db"]),
    ("webhooks", &["partita-provider", "partita-db"]),
    ("stripe", &["partita-provider"]),
    ("statements", &["partita-provider"]),
    // Stands above the service: it runs it, breaks it and checks it. Nobody may use it.
    (
        "faults",
        &["partita", "partita-db", "partita-ledger", "partita-postgres", "partita-simulator", "partita-webhooks"],
    ),
];

/// What may be named by few only, under any kind of dependency.
const RESERVED: [(&str, &[&str]); 3] = [
    // Its generated types move with every release; one crate translates them.
    ("async-stripe", &["stripe"]),
    // The service's interface, the simulated provider's and the receivers of webhooks that the faults put up; nothing else
    // knows of HTTP servers.
    ("axum", &["", "simulator", "faults"]),
    ("utoipa", &[""]),
];

/// A dependency as a manifest names it.
#[derive(Debug, PartialEq, Eq)]
struct Dependency {
    name: String,
    line: usize,
    /// Under `[dev-dependencies]`: tests may use more, but a test server only.
    dev: bool,
}

fn dependencies(manifest: &str) -> Vec<Dependency> {
    let (mut section, mut found) = (String::new(), Vec::new());
    for (index, line) in manifest.lines().map(str::trim).enumerate() {
        if let Some(header) = line.strip_prefix('[') {
            header.trim_end_matches(']').clone_into(&mut section);
            if let Some((table, name)) = section.rsplit_once('.').filter(|(table, _)| is_dependency_table(table)) {
                found.push(Dependency { name: name.to_owned(), line: index + 1, dev: table.contains("dev-") });
            }
            continue;
        }
        let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
        if is_dependency_table(&section) && !name.is_empty() && !name.starts_with('#') {
            let dev = section.contains("dev-");
            found.push(Dependency { name: name.trim_matches('"').to_owned(), line: index + 1, dev });
        }
    }
    found
}

/// `[workspace.dependencies]` only says which versions there are.
fn is_dependency_table(section: &str) -> bool {
    section.ends_with("dependencies") && !section.starts_with("workspace")
}

/// The manifests, each with the name of its crate's folder.
fn manifests(tree: &Tree) -> impl Iterator<Item = (&str, &File)> {
    tree.0.iter().filter_map(|file| match file.path.as_str() {
        "Cargo.toml" => Some(("", file)),
        path => Some((path.strip_suffix("/Cargo.toml")?, file)),
    })
}

fn our_crates_depend_only_downwards(tree: &Tree) -> Breaches {
    let mut breaches = Vec::new();
    for (folder, manifest) in manifests(tree).filter(|(folder, _)| !folder.is_empty()) {
        let Some((_, allowed)) = OWN.iter().find(|(name, _)| *name == folder) else {
            breaches.push(format!("{}: a crate that the rules do not know", manifest.path));
            continue;
        };
        for dependency in dependencies(&manifest.text) {
            let for_tests =
                dependency.dev && matches!(dependency.name.as_str(), "partita-postgres" | "partita-simulator");
            if dependency.name.starts_with("partita") && !allowed.contains(&dependency.name.as_str()) && !for_tests {
                breaches.push(format!("{}: {folder} may not use {}", manifest.at(dependency.line), dependency.name));
            }
        }
    }
    breaches
}

fn reserved_crates_stay_where_they_belong(tree: &Tree) -> Breaches {
    let mut breaches = Vec::new();
    for (folder, manifest) in manifests(tree) {
        for dependency in dependencies(&manifest.text) {
            for (reserved, homes) in RESERVED {
                if dependency.name.starts_with(reserved) && !homes.contains(&folder) {
                    breaches.push(format!(
                        "{}: {} is not for this crate",
                        manifest.at(dependency.line),
                        dependency.name
                    ));
                }
            }
        }
    }
    breaches
}

#[test]
fn crates_depend_on_each_other_only_as_the_architecture_says() {
    assert_kept(our_crates_depend_only_downwards);
    assert_kept(reserved_crates_stay_where_they_belong);
}

#[test]
fn a_dependency_in_the_wrong_direction_is_seen() {
    let rule = our_crates_depend_only_downwards;
    assert_breaches(rule, &[("simulator/Cargo.toml", "[dependencies]\npartita-webhooks.workspace = true\n")], 1);
    assert_breaches(rule, &[("provider/Cargo.toml", "[dependencies.partita-db]\npath = \"../db\"\n")], 1);
    assert_breaches(
        rule,
        &[("db/Cargo.toml", "[target.'cfg(unix)'.dependencies]\n\"partita-ledger\" = { path = \"x\" }\n")],
        1,
    );
    assert_breaches(rule, &[("provider/Cargo.toml", "[dev-dependencies]\npartita-ledger.workspace = true\n")], 1);
    assert_breaches(rule, &[("utilities/Cargo.toml", "")], 1);
    let lawful = "[dependencies]\n# partita-http = 1\npartita-db.workspace = true\nserde = \"1\"\n\
                  [dev-dependencies]\npartita-postgres.workspace = true\n";
    assert_breaches(rule, &[("ledger/Cargo.toml", lawful)], 0);
}

#[test]
fn a_reserved_crate_elsewhere_is_seen() {
    let rule = reserved_crates_stay_where_they_belong;
    let stripe = "[dependencies]\nasync-stripe-core.workspace = true\n";
    assert_breaches(rule, &[("Cargo.toml", stripe), ("webhooks/Cargo.toml", stripe)], 2);
    assert_breaches(rule, &[("stripe/Cargo.toml", stripe)], 0);
    assert_breaches(rule, &[("Cargo.toml", "[workspace.dependencies]\nasync-stripe-core = \"=1\"\n")], 0);
    assert_breaches(rule, &[("webhooks/Cargo.toml", "[dependencies]\naxum.workspace = true\n")], 1);
}
