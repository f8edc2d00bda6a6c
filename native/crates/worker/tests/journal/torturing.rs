//! `tickdeck-journal torture`: nothing that was reported durable is lost, and the harness notices
//! when something is.

use std::env;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tickdeck_testbed as testbed;

const BIN: &str = env!("CARGO_BIN_EXE_tickdeck-journal");

/// Cuts here, and with `TICKDECK_TORTURE_CUTS` in a soak.
fn cuts(usual: u64) -> String {
    let wanted = env::var("TICKDECK_TORTURE_CUTS").ok();
    let wanted = wanted.map(|text| text.parse().expect("TICKDECK_TORTURE_CUTS is a number"));
    wanted.unwrap_or(usual).to_string()
}

/// Runs a torture; its exit code must agree with its verdict.
fn torture(args: &[&str]) -> Value {
    let memory = Path::new("/dev/shm");
    let dir = if args.contains(&"--kind=power") && memory.is_dir() {
        TempDir::new_in(memory).expect("a directory in memory, for images")
    } else {
        TempDir::new().expect("a directory on a real disk")
    };
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
        "--within-ms=25",
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
        "--within-ms=25",
        "--claim=written",
        "--policy=os",
    ];
    assert_nothing_lost(&torture(&args));
}

/// R02: the writer dies at system calls one by one: here at some of all policies, in a soak
/// (`TICKDECK_TORTURE_CUTS`) at as many.
#[test]
fn death_at_any_system_call_loses_nothing_acknowledged() {
    if !Path::new("/usr/bin/strace").exists() {
        testbed::skip(
            "death_at_any_system_call_loses_nothing_acknowledged",
            "needs strace",
        );
        return;
    }
    let result = torture(&["--kind=syscalls", "--cuts", &cuts(200), "--lanes=4"]);
    assert_nothing_lost(&result);
    let count = |key: &str| result[key].as_u64().expect("is a count");
    assert!(count("cuts") >= 100, "{result}");
    assert!(count("acked") > 10 * count("cuts"), "{result}");
}

/// R10, in part: syncs fail again and again, and what was reported durable is there.
#[test]
fn failing_syncs_lose_nothing_acknowledged() {
    if !Path::new("/usr/bin/strace").exists() {
        testbed::skip("failing_syncs_lose_nothing_acknowledged", "needs strace");
        return;
    }
    let result = torture(&["--kind=errors", "--cuts=60", "--lanes=4"]);
    assert_nothing_lost(&result);
    let count = |key: &str| result[key].as_u64().expect("is a count");
    assert!(count("injected") > count("cuts") / 2, "{result}");
    assert!(count("acked") > count("cuts"), "{result}");
}

/// R03: the file system loses its power, and what was not synced.
#[test]
fn power_cuts_lose_nothing_acknowledged() {
    if !has_power_cuts("power_cuts_lose_nothing_acknowledged") {
        return;
    }
    let cuts = cuts(500);
    let result = torture(&[
        "--kind=power",
        "--cuts",
        &cuts,
        "--within-ms=15",
        "--lanes=4",
    ]);
    assert_nothing_lost(&result);
    let count = |key: &str| result[key].as_u64().expect("is a count");
    assert_eq!(count("cuts"), 2 * cuts.parse::<u64>().expect("a number"));
    assert!(count("acked") > count("cuts"), "{result}");
    assert!(count("torn_tails") > 0, "{result}");
}

/// A power cut does lose what was only written, and is seen to.
#[test]
fn a_power_cut_is_none_without_loss() {
    if !has_power_cuts("a_power_cut_is_none_without_loss") {
        return;
    }
    for fs in ["--fs=ext4", "--fs=xfs"] {
        let args = [
            "--kind=power",
            "--cuts=60",
            "--within-ms=15",
            "--claim=written",
            fs,
        ];
        let result = torture(&args);
        assert!(result["lost"].as_u64().expect("is a count") > 0, "{result}");
    }
}

/// What `--kind=power` needs: root, loop devices, xfsprogs.
fn has_power_cuts(test_name: &str) -> bool {
    let has = |path: &str| Path::new(path).exists();
    let missing = if !rustix::process::geteuid().is_root() {
        "needs root for loop mounts"
    } else if !has("/dev/loop-control") {
        "needs loop devices"
    } else if !has("/usr/sbin/xfs_io") || !has("/usr/sbin/mkfs.ext4") {
        "needs xfsprogs and e2fsprogs"
    } else {
        return true;
    };
    testbed::skip(test_name, missing);
    false
}

/// A writer that reports what it has only appended is caught.
#[test]
fn a_lying_writer_is_caught() {
    let args = [
        "--kind=kill",
        "--cuts=60",
        "--within-ms=25",
        "--claim=appended",
    ];
    let result = torture(&args);
    assert!(result["lost"].as_u64().expect("is a count") > 0, "{result}");
}
