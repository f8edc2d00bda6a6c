//! `tickdeck-journal torture`: nothing that was reported durable is lost, and the harness notices
//! when something is.

use std::env;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

const BIN: &str = env!("CARGO_BIN_EXE_tickdeck-journal");

/// Cuts here, and with `TICKDECK_TORTURE_CUTS` in a soak.
fn cuts(usual: u64) -> String {
    let wanted = env::var("TICKDECK_TORTURE_CUTS").ok();
    let wanted = wanted.map(|text| text.parse().expect("TICKDECK_TORTURE_CUTS is a number"));
    wanted.unwrap_or(usual).to_string()
}

/// Runs a torture; its exit code must agree with its verdict.
fn torture(args: &[&str]) -> Value {
    let dir = TempDir::new().expect("a directory on a real disk");
    let mut command = Command::new(BIN);
    command.args(["torture", "--json", "--dir"]).arg(dir.path());
    let output = command.args(args).output();
    let output = output.expect("runs");
    let result = String::from_utf8_lossy(&output.stdout);
    let result: Value = serde_json::from_str(&result).unwrap_or_else(|error| {
        panic!("{error}: {output:?}");
    });
    println!("{result}");
    let is_clean = result["failures"].as_array().is_some_and(Vec::is_empty);
    assert_eq!(
        output.status.code(),
        Some(if is_clean { 0 } else { 1 }),
        "{result}"
    );
    result
}

fn assert_nothing_lost(result: &Value) {
    for key in ["lost", "duplicates", "wrong", "refused"] {
        assert_eq!(result[key], 0, "{key}: {result}");
    }
    assert_eq!(result["failures"], Value::Array(vec![]), "{result}");
}

/// R01: SIGKILL at random moments of life and recovery, over all sync policies: every record
/// reported durable is there once, with its content, in order, before and after the recovery.
#[test]
fn kills_lose_nothing_acknowledged() {
    let cuts = cuts(1000);
    let result = torture(&[
        "--kind=kill",
        "--cuts",
        &cuts,
        "--within-ms=50",
        "--lanes=4",
    ]);
    assert_nothing_lost(&result);
    let count = |key: &str| result[key].as_u64().expect("is a count");
    assert_eq!(count("cuts").to_string(), cuts);
    assert!(count("cuts_while_opening") * 50 > count("cuts"), "{result}");
    assert!(count("acked") > count("cuts"), "{result}");
    assert!(count("segments") * 2 > count("cuts"), "{result}");
    assert!(
        result["recovery_ms"]["max"].as_f64().expect("is a figure") < 2000.0,
        "{result}"
    );
}

/// What was handed to the kernel survives a kill as well, though nobody promised it.
#[test]
fn kills_lose_nothing_written() {
    let args = [
        "--kind=kill",
        "--cuts=60",
        "--within-ms=50",
        "--claim=written",
        "--policy=os",
    ];
    assert_nothing_lost(&torture(&args));
}

/// A writer that reports what it has only appended is caught.
#[test]
fn a_lying_writer_is_caught() {
    let args = [
        "--kind=kill",
        "--cuts=60",
        "--within-ms=50",
        "--claim=appended",
    ];
    let result = torture(&args);
    assert!(result["lost"].as_u64().expect("is a count") > 0, "{result}");
}
