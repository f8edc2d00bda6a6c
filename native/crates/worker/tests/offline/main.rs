//! `tickdeck-rx offline` as a process: generated captures that the test writes, and real ones when
//! they lie beside the repository.

mod generated;
mod real;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs it on a capture.
fn offline(capture: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickdeck-rx"));
    command.args(["offline", "--capture"]).arg(capture);
    command
        .args(arguments)
        .output()
        .expect("tickdeck-rx starts")
}

/// The channels of its JSON, which is all that it prints.
fn channels(capture: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = offline(capture, &[arguments, &["--json"]].concat());
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {log}", capture.display());
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(text.lines().count(), 1, "one object: {text}");
    let found: Value = serde_json::from_str(&text).expect("JSON");
    found["channels"].as_array().expect("channels").clone()
}

/// The same of a capture with one channel.
fn channel(capture: &Path, arguments: &[&str]) -> Value {
    let mut channels = channels(capture, arguments);
    assert_eq!(channels.len(), 1, "{channels:?}");
    channels.remove(0)
}
