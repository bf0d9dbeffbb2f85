//! Which module of the service may use which, and where SQL, HTTP, time, chance and the environment are at home.

use super::source::{File, Reference, Tree};
use super::{Breaches, assert_breaches, assert_kept};

/// Folders of the service that face outwards: they call capabilities, nobody calls them.
const OUTER: [&str; 3] = ["http", "web", "worker"];

/// Files and folders that put the service together and so may use everything.
const ASSEMBLY: [&str; 5] = ["demo", "commands", "cli", "stage", "scenarios"];

/// Capabilities by rank: each may use those of a lower rank only.
const RANKS: [(&str, u8); 18] = [
    ("platforms", 0),
    ("webhook_endpoints", 1),
    ("sellers", 1),
    ("fees", 1),
    ("customers", 1),
    ("reserves", 1),
    ("payments", 2),
    ("adjustments", 2),
    ("debts", 2),
    ("top_ups", 2),
    ("transfers", 3),
    ("refunds", 4),
    ("disputes", 4),
    ("payouts", 5),
    ("stuck_money", 5),
    // Takes the provider's word to the capability that it concerns.
    ("events", 6),
    ("approvals", 7),
    ("reports", 7),
];

/// They read everything; nobody but the outer folders uses them.
const READERS: [&str; 3] = ["rebuild", "reconciliation", "reports"];

fn is_outer(module: &str) -> bool {
    OUTER.contains(&module) || ASSEMBLY.contains(&module)
}

/// The service's files that belong to a module, with the module's name.
fn service_modules(tree: &Tree) -> impl Iterator<Item = (&str, &File)> {
    tree.rust_in(&["src/"]).filter_map(|file| Some((*file.module().first()?, file)))
}

/// Uses of one module of the service by another, as (from, to, file, line).
fn uses(tree: &Tree) -> Vec<(&str, String, &File, usize)> {
    let mut uses = Vec::new();
    for (from, file) in service_modules(tree) {
        for reference in file.references() {
            if let Some(to) = reference.local_module().filter(|to| *to != from) {
                uses.push((from, to.to_owned(), file, reference.line));
            }
        }
    }
    uses
}

fn nobody_calls_outwards(tree: &Tree) -> Breaches {
    let outwards = |from: &str, to: &str| match (is_outer(from), ASSEMBLY.contains(&from)) {
        (false, _) => is_outer(to),
        (true, false) => ASSEMBLY.contains(&to),
        (true, true) => false,
    };
    let breach = |(from, to, file, line): (&str, String, &File, usize)| {
        outwards(from, &to).then(|| format!("{}: {from} may not use {to}", file.at(line)))
    };
    uses(tree).into_iter().filter_map(breach).collect()
}

fn capabilities_form_a_dag(tree: &Tree) -> Breaches {
    let rank = |module: &str| RANKS.iter().find(|(name, _)| *name == module).map(|(_, rank)| *rank);
    let breach = |(from, to, file, line): (&str, String, &File, usize)| {
        let (lower, upper) = (rank(&to)?, rank(from)?);
        (lower >= upper).then(|| format!("{}: {from} may not use {to}: it comes before it", file.at(line)))
    };
    uses(tree).into_iter().filter_map(breach).collect()
}

fn foundations_use_no_capability(tree: &Tree) -> Breaches {
    let is_capability = |module: &str| RANKS.iter().any(|(name, _)| *name == module) || READERS.contains(&module);
    let is_above = |module: &str| is_capability(module) || is_outer(module) || module == "verify";
    // `app` hands each book its provider, and which one that is stands with the platforms.
    let is_lawful = |from: &str, to: &str| from == "app" && to == "platforms";
    let breach = |(from, to, file, line): (&str, String, &File, usize)| {
        (!is_above(from) && is_capability(&to) && !is_lawful(from, &to))
            .then(|| format!("{}: {from} may not use {to}", file.at(line)))
    };
    uses(tree).into_iter().filter_map(breach).collect()
}

fn nobody_uses_the_readers(tree: &Tree) -> Breaches {
    let breach = |(from, to, file, line): (&str, String, &File, usize)| {
        let reads = READERS.contains(&to.as_str()) && !is_outer(from) && !READERS.contains(&from);
        reads.then(|| format!("{}: {from} may not use {to}, which reads everything", file.at(line)))
    };
    uses(tree).into_iter().filter_map(breach).collect()
}

/// Whether a reference is a statement of SQL or builds one.
fn is_sql(reference: &Reference) -> bool {
    const MACROS: [&str; 6] = ["query", "query_as", "query_scalar", "query_file", "query_file_as", "query_file_scalar"];
    const FUNCTIONS: [&str; 7] =
        ["query", "query_as", "query_scalar", "query_with", "query_as_with", "raw_sql", "QueryBuilder"];
    MACROS.iter().any(|name| reference.ends_with(&[name, "!"]))
        || FUNCTIONS.iter().any(|name| reference.starts_with(&["sqlx", name]))
        || reference.ends_with(&["copy_in_raw"])
}

/// SQL is at home in store modules, `db/`, `src/verify/`, the server's own administration and the simulator's own books.
fn sql_stands_in_store_modules(tree: &Tree) -> Breaches {
    let at_home = |file: &File| {
        let module = file.module();
        module.contains(&"store") || (file.path.starts_with("src/") && module.first() == Some(&"verify"))
    };
    breaches_of(tree.rust_in(&["src/", "ledger/src/", "webhooks/src/", "provider/", "stripe/"]), at_home, is_sql, "SQL")
}

fn axum_stands_in_the_outer_folders(tree: &Tree) -> Breaches {
    let at_home = |file: &File| matches!(file.module().first(), Some(&("http" | "web")));
    let is_axum = |reference: &Reference| reference.path[0].starts_with("axum") || reference.path[0] == "utoipa_axum";
    breaches_of(tree.rust_in(&["src/"]), at_home, is_axum, "axum")
}

fn time_is_read_from_the_clock(tree: &Tree) -> Breaches {
    let is_now = |reference: &Reference| {
        ["Timestamp", "SystemTime", "Zoned", "Utc"].iter().any(|name| reference.ends_with(&[name, "now"]))
    };
    breaches_of(tree.rust_in(&LIBRARIES), |file| file.path == "src/clock.rs", is_now, "the time of day")
}

fn chance_is_taken_from_the_ids(tree: &Tree) -> Breaches {
    let is_chance = |reference: &Reference| {
        matches!(reference.path[0].as_str(), "rand" | "getrandom" | "fastrand")
            || reference.ends_with(&["Uuid", "now_v7"])
            || reference.ends_with(&["Uuid", "new_v4"])
    };
    breaches_of(tree.rust_in(&LIBRARIES), |file| file.path == "src/id.rs", is_chance, "chance")
}

fn the_environment_is_read_by_the_configuration(tree: &Tree) -> Breaches {
    let is_environment = |reference: &Reference| {
        ["var", "vars", "var_os", "vars_os"].iter().any(|name| reference.ends_with(&["env", name]))
    };
    breaches_of(tree.rust_in(&LIBRARIES), |file| file.path == "src/config.rs", is_environment, "the environment")
}

/// `run_tx` is the only way to open a transaction: `begin` is not safe to cancel (see `db/src/lib.rs`).
fn transactions_are_opened_by_run_tx(tree: &Tree) -> Breaches {
    let opens = |reference: &Reference| {
        ["begin", "try_begin", "begin_with", "acquire"].iter().any(|name| reference.starts_with(&[".", name]))
            || reference.ends_with(&["PgPool", "connect"])
    };
    breaches_of(tree.rust_in(&LIBRARIES), |_| false, opens, "a transaction opened by hand")
}

/// The crates that get time, chance and configuration passed in. `db` draws the pauses between two tries itself; `postgres`
/// and `simulator` are programs of their own.
const LIBRARIES: [&str; 7] =
    ["src/", "documents/src/", "ledger/src/", "webhooks/src/", "provider/src/", "statements/src/", "stripe/src/"];

fn breaches_of<'a>(
    files: impl Iterator<Item = &'a File>,
    at_home: impl Fn(&File) -> bool,
    is_meant: impl Fn(&Reference) -> bool,
    what: &str,
) -> Breaches {
    let mut breaches = Vec::new();
    for file in files.filter(|file| !at_home(file)) {
        let found = file.references().into_iter().filter(&is_meant);
        breaches.extend(found.map(|reference| format!("{}: {what} does not belong here", file.at(reference.line))));
    }
    breaches
}

#[test]
fn modules_use_each_other_only_as_the_architecture_says() {
    assert_kept(nobody_calls_outwards);
    assert_kept(capabilities_form_a_dag);
    assert_kept(foundations_use_no_capability);
    assert_kept(nobody_uses_the_readers);
}

#[test]
fn sql_axum_time_chance_and_environment_stay_at_home() {
    assert_kept(sql_stands_in_store_modules);
    assert_kept(axum_stands_in_the_outer_folders);
    assert_kept(time_is_read_from_the_clock);
    assert_kept(chance_is_taken_from_the_ids);
    assert_kept(the_environment_is_read_by_the_configuration);
    assert_kept(transactions_are_opened_by_run_tx);
}

#[test]
fn a_capability_that_calls_outwards_is_seen() {
    let rule = nobody_calls_outwards;
    assert_breaches(rule, &[("src/payments/mod.rs", "use crate::http::Problem;")], 1);
    assert_breaches(rule, &[("src/payments/store.rs", "fn f() { super::super::worker::wake() }")], 1);
    assert_breaches(rule, &[("src/operations/mod.rs", "use crate::{clock::Clock, web::{a, b}};")], 2);
    assert_breaches(rule, &[("src/http/payments.rs", "use crate::{payments, http::json}; use crate::demo;")], 1);
    assert_breaches(rule, &[("src/app.rs", "use crate::worker;"), ("src/demo.rs", "use crate::{http, worker};")], 1);
    assert_breaches(rule, &[("src/payments/mod.rs", "// use crate::http;\nuse crate::operations;")], 0);
}

#[test]
fn a_capability_that_uses_a_later_one_is_seen() {
    let rule = capabilities_form_a_dag;
    assert_breaches(rule, &[("src/payments/mod.rs", "use crate::transfers::plan;")], 1);
    assert_breaches(rule, &[("src/refunds/mod.rs", "use crate::disputes::Dispute;")], 1);
    assert_breaches(rule, &[("src/sellers/mod.rs", "fn f() { crate::payouts::pay() }")], 1);
    assert_breaches(
        rule,
        &[("src/payouts/mod.rs", "use crate::{transfers, refunds, payments, sellers, payouts::x};")],
        0,
    );
}

#[test]
fn a_foundation_that_uses_a_capability_is_seen() {
    let rule = foundations_use_no_capability;
    assert_breaches(rule, &[("src/operations/mod.rs", "use crate::payments::Payment;")], 1);
    assert_breaches(rule, &[("src/id.rs", "use crate::reports::Report;")], 1);
    assert_breaches(rule, &[("src/app.rs", "use crate::{clock, platforms, payments};")], 1);
    assert_breaches(rule, &[("src/worker/mod.rs", "use crate::payments;"), ("src/lib.rs", "use crate::payments;")], 0);
}

#[test]
fn a_use_of_the_readers_is_seen() {
    let rule = nobody_uses_the_readers;
    assert_breaches(rule, &[("src/payouts/mod.rs", "use crate::reconciliation::Break;")], 1);
    assert_breaches(rule, &[("src/http/reports.rs", "use crate::reports;")], 0);
}

#[test]
fn sql_outside_the_store_is_seen() {
    let rule = sql_stands_in_store_modules;
    for text in ["fn f() { sqlx::query!(\"select 1\") }", "use sqlx::query_as;", "fn f() { query_scalar!(\"x\") }"] {
        assert_breaches(rule, &[("src/payments/mod.rs", text)], 1);
        assert_breaches(rule, &[("webhooks/src/receive.rs", text)], 1);
        assert_breaches(rule, &[("src/payments/store.rs", text), ("ledger/src/store/x.rs", text)], 0);
        assert_breaches(rule, &[("src/verify/mod.rs", text), ("db/src/lib.rs", text)], 0);
    }
    assert_breaches(rule, &[("src/payments/mod.rs", "use sqlx::PgConnection; // sqlx::query!")], 0);
}

#[test]
fn axum_elsewhere_is_seen() {
    let rule = axum_stands_in_the_outer_folders;
    assert_breaches(rule, &[("src/payments/mod.rs", "use axum::Json;"), ("src/http/x.rs", "use axum::Json;")], 1);
    assert_breaches(rule, &[("src/worker/mod.rs", "use axum_extra::TypedHeader;")], 1);
}

#[test]
fn time_chance_and_environment_elsewhere_are_seen() {
    let time = "fn f() { jiff::Timestamp::now(); SystemTime::now(); Instant::now() }";
    assert_breaches(time_is_read_from_the_clock, &[("src/payments/mod.rs", time), ("src/clock.rs", time)], 2);
    let chance = "use rand::Rng; fn f() { Uuid::now_v7() }";
    assert_breaches(chance_is_taken_from_the_ids, &[("ledger/src/lib.rs", chance), ("src/id.rs", chance)], 2);
    let environment = "use std::env; fn f() { env::var(\"A\"); std::env::var_os(\"B\"); env!(\"C\") }";
    let files = [("src/main.rs", environment), ("src/config.rs", environment)];
    assert_breaches(the_environment_is_read_by_the_configuration, &files, 2);
}

#[test]
fn a_transaction_opened_by_hand_is_seen() {
    let text = "async fn f() { pool.begin().await; connection.acquire(); let begin = 1; tx.begin_date }";
    assert_breaches(transactions_are_opened_by_run_tx, &[("src/payments/store.rs", text), ("db/src/lib.rs", text)], 2);
}
