//! A short run of two faults by a fixed seed: that the suite runs, and that what it does for seconds is survived. Long runs,
//! and the crash points, are by hand: `docs/reliability.md` has them.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// Runs one fault for some seconds; its report.
fn run(fault: &str, seconds: u32) -> Value {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = std::env::temp_dir().join(format!("partita-faults-test-{fault}-{}", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_partita-faults"))
        .args(["--seed", "7", "--json", "--only", fault, "--seconds", &seconds.to_string(), "--folder"])
        .arg(&folder)
        .output()
        .expect("the suite runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {told}{complained}", output.status);
    let report: Value = serde_json::from_str(&told).expect("a report");
    assert_eq!(report["violations"], Value::Array(Vec::new()));
    assert!(report["done"]["movements_compared"].as_u64() > Some(0), "it did something: {report}");
    report
}

/// One at a time: a run has six processes of its own.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn commits_whose_reply_is_eaten_are_neither_lost_nor_done_twice() {
    let report = run("F5", 5);
    assert!(report["done"]["commits_eaten"].as_u64() > Some(0), "{report}");
}

#[test]
fn a_race_has_one_winner() {
    run("F14", 1);
}
