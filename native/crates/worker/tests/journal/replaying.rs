//! `replay` of a journal.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::tempdir;
use tickdeck_stats::reader::Reader as StatsReader;
use tickdeck_wire::moldudp64::end_of_session;
use tickdeck_wire::record::{SessionEventKind, kind};

use crate::support::*;

/// A day of two sessions; returns the packets that a replay must send, with their journal
/// sequences.
fn two_sessions(dir: &Path, step_ns: u64) -> Vec<(u64, Vec<u8>)> {
    let mut day = Day::open(dir, step_ns);
    let mut packets = Vec::new();
    day.session(SessionEventKind::Started, FIRST, 1);
    for first in [1, 3, 5] {
        let packet = day.data(FIRST, first, &[b"first", b"second"]);
        packets.push((day.writer.next_seq() - 1, packet));
    }
    day.gap(kind::GAP_OPEN);
    day.gap(kind::GAP_FILLED);
    let seq = day.session(SessionEventKind::Ended, FIRST, 7);
    packets.push((seq, end_of_session(FIRST, 7).to_vec()));
    day.session(SessionEventKind::Started, SECOND, 1);
    for first in 1..=20 {
        let packet = day.data(SECOND, first, &[&[first as u8; 700]]);
        packets.push((day.writer.next_seq() - 1, packet));
    }
    day.writer.close().expect("closes");
    packets
}

fn stats(dir: &Path) -> StatsReader {
    let file = std::fs::read_dir(dir)
        .expect("lists")
        .map(|entry| entry.expect("lists").path())
        .find(|path| path.extension().is_some_and(|extension| extension == "dat"))
        .expect("a stats file");
    StatsReader::open(&file).expect("is readable")
}

fn value(stats: &StatsReader, name: &str) -> u64 {
    stats
        .value(name, "")
        .unwrap_or_else(|| panic!("no metric {name}"))
}

/// The packets come back byte for byte, with the venue's sequences and the session of their time,
/// and the numbers tell what was sent.
#[test]
fn packets_come_back() {
    let dir = tempdir().expect("a directory");
    let packets = two_sessions(&dir.path().join("journal"), MS);
    let listener = Listener::new();
    let journal = dir.path().join("journal");
    let runtime = dir.path().join("runtime");
    let target = listener.target.to_string();
    let mut child = Running::start(&mut command(&[
        "replay",
        "--journal",
        text(&journal),
        "--target",
        &target,
        "--speed",
        "10",
        "--runtime-dir",
        text(&runtime),
    ]));
    let received = listener.receive(&mut child);
    assert_eq!(child.code(), Some(0));
    let sent: Vec<Vec<u8>> = packets.iter().map(|(_, packet)| packet.clone()).collect();
    assert_eq!(received, sent);
    let stats = stats(&runtime);
    assert_eq!(value(&stats, "replay_packets_sent_total"), 24);
    assert_eq!(value(&stats, "replay_messages_sent_total"), 26);
    assert_eq!(value(&stats, "replay_skipped_total"), 2, "two gap events");
    assert_eq!(value(&stats, "replay_position"), packets[23].0);
    assert_eq!(value(&stats, "replay_state"), 2);
}

/// `--json` tells at the end what was sent.
#[test]
fn the_end_is_told_as_json() {
    let dir = tempdir().expect("a directory");
    let journal = dir.path().join("journal");
    let packets = two_sessions(&journal, MS);
    let listener = Listener::new();
    let target = listener.target.to_string();
    let replay = ["replay", "--journal", text(&journal), "--target", &target];
    let output = run(&[&replay[..], &["--speed", "0", "--json"]].concat());
    assert_eq!(code(&output), 0, "{}", errors(&output));
    assert_eq!(
        json(&output),
        json!({"packets": 24, "messages": 26, "position": packets[23].0, "skipped": 2,
               "stopped": false})
    );
}

/// What the ledger adds to a journal is no packet of the venue's: it is skipped and counted.
#[test]
fn the_ledger_is_not_sent() {
    let dir = tempdir().expect("a directory");
    let journal = dir.path().join("journal");
    let runtime = dir.path().join("runtime");
    let mut day = Day::open(&journal, MS);
    day.session(SessionEventKind::Started, FIRST, 1);
    let mut sent = vec![day.data(FIRST, 1, &[b"one"])];
    day.row(1, 5);
    day.note(1, "nothing to send");
    sent.push(day.data(FIRST, 2, &[b"two"]));
    day.session(SessionEventKind::Ended, FIRST, 3);
    sent.push(end_of_session(FIRST, 3).to_vec());
    day.writer.close().expect("closes");
    let listener = Listener::new();
    let target = listener.target.to_string();
    let replay = ["replay", "--journal", text(&journal), "--target", &target];
    let rest = ["--speed", "10", "--runtime-dir", text(&runtime)];
    let mut child = Running::start(&mut command(&[&replay[..], &rest[..]].concat()));
    assert_eq!(listener.receive(&mut child), sent);
    assert_eq!(child.code(), Some(0));
    assert_eq!(value(&stats(&runtime), "replay_skipped_total"), 2);
}

/// A range from the middle of a session goes out under that session, as fast as possible.
#[test]
fn a_range_keeps_its_session() {
    let dir = tempdir().expect("a directory");
    let packets = two_sessions(dir.path(), 3_600_000 * MS);
    for (from, to) in [(1, 2), (3, 4), (4, 4), (3, 8), (9, 13), (20, 40)] {
        let listener = Listener::new();
        let target = listener.target.to_string();
        let mut child = Running::start(
            command(&["replay", "--journal", text(dir.path()), "--target", &target]).args([
                "--speed",
                "0",
                "--from",
                &from.to_string(),
                "--to",
                &to.to_string(),
            ]),
        );
        let received = listener.receive(&mut child);
        assert_eq!(child.code(), Some(0), "{from} to {to}");
        let wanted: Vec<Vec<u8>> = packets
            .iter()
            .filter(|(seq, _)| (from..=to).contains(seq))
            .map(|(_, packet)| packet.clone())
            .collect();
        assert_eq!(received, wanted, "{from} to {to}");
    }
}

/// The recorded distances are kept, divided by the speed.
#[test]
fn the_pace_is_kept() {
    let dir = tempdir().expect("a directory");
    // 24 packets over 26 distances of 100 ms, ten times faster: at least a quarter of a second.
    two_sessions(dir.path(), 100 * MS);
    let listener = Listener::new();
    let target = listener.target.to_string();
    let begin = Instant::now();
    let output = run(&[
        "replay",
        "--journal",
        text(dir.path()),
        "--target",
        &target,
        "--speed",
        "10",
    ]);
    assert_eq!(code(&output), 0, "{}", errors(&output));
    assert!(
        begin.elapsed() >= Duration::from_millis(250),
        "{:?}",
        begin.elapsed()
    );
}

/// SIGTERM and the op `drain` stop a replay that waits, with exit code 3; `status` tells where it
/// is.
#[test]
fn a_stop_is_obeyed() {
    for by_signal in [true, false] {
        let dir = tempdir().expect("a directory");
        let journal = dir.path().join("journal");
        let runtime = dir.path().join("runtime");
        two_sessions(&journal, 3_600_000 * MS);
        let listener = Listener::new();
        let target = listener.target.to_string();
        let mut child = Running::start(
            command(&["replay", "--journal", text(&journal), "--target", &target])
                .args(["--runtime-dir", text(&runtime)])
                .stderr(Stdio::null()),
        );
        listener.receive_one();
        if by_signal {
            let pid = rustix::process::Pid::from_child(&child.0);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signals");
        } else {
            // The packet is on the wire before the numbers tell so.
            let deadline = Instant::now() + Duration::from_secs(60);
            let mut answer = call(&runtime, "status");
            while answer["result"]["packets_sent"] == 0 {
                assert!(Instant::now() < deadline, "{answer}");
                answer = call(&runtime, "status");
            }
            assert_eq!(answer["result"]["packets_sent"], 1, "{answer}");
            assert_eq!(answer["result"]["position"], 2);
            assert_eq!(call(&runtime, "drain")["ok"], true);
        }
        assert_eq!(child.code(), Some(3));
        assert_eq!(value(&stats(&runtime), "replay_state"), 3);
    }
}

/// One call over the control socket.
fn call(runtime: &Path, op: &str) -> Value {
    let stream = UnixStream::connect(runtime.join("control.sock")).expect("connects");
    let mut lines = BufReader::new(stream.try_clone().expect("clones")).lines();
    let hello: Value =
        serde_json::from_str(&lines.next().expect("a hello").expect("reads")).expect("JSON");
    assert_eq!(hello["worker"], "replay");
    // A repeated id would get the first answer again.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    writeln!(&stream, r#"{{"id":"{id}","op":"{op}"}}"#).expect("writes");
    serde_json::from_str(&lines.next().expect("an answer").expect("reads")).expect("JSON")
}

/// A newline on the ready descriptor when everything is open; none when it cannot be.
#[test]
fn readiness_is_told() {
    let dir = tempdir().expect("a directory");
    two_sessions(dir.path(), MS);
    let target = Listener::new().target.to_string();
    for (target, told) in [(target.as_str(), "\n"), ("10.0.0.1:5000", "")] {
        let script = format!(
            "exec 3>&1 >&2; exec '{}' replay --journal '{}' --target {target} --speed 0 \
             --ready-fd 3",
            env!("CARGO_BIN_EXE_tickdeck-journal"),
            text(dir.path()),
        );
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .expect("runs");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            told,
            "{}",
            errors(&output)
        );
    }
}

/// What cannot be replayed is refused with a code and a sentence, before anything is sent.
#[test]
fn impossible_orders_are_refused() {
    let dir = tempdir().expect("a directory");
    let (journal, bare) = (dir.path().join("journal"), dir.path().join("bare"));
    two_sessions(&journal, MS);
    let mut day = Day::open(&bare, MS);
    day.append(kind::DATA, 1, &[0, 1, b'x']);
    day.writer.close().expect("closes");
    let (journal, bare) = (text(&journal), text(&bare));
    let missing = dir.path().join("missing");
    let group = "239.1.1.1:5000";
    let cases: [(&[&str], i32, &str); 8] = [
        (
            &["--journal", journal, "--target", "10.0.0.1:5000"],
            78,
            "224.0.0.0/4",
        ),
        (
            &[
                "--journal",
                journal,
                "--target",
                group,
                "--interface",
                "nope0",
            ],
            69,
            "nope0",
        ),
        (
            &[
                "--journal",
                journal,
                "--target",
                group,
                "--from",
                "9",
                "--to",
                "3",
            ],
            78,
            "above",
        ),
        (
            &["--journal", journal, "--target", group, "--from", "999"],
            78,
            "1 to 28",
        ),
        (
            &["--journal", text(&missing), "--target", group],
            78,
            "no journal",
        ),
        (
            &["--journal", bare, "--target", group, "--speed", "0"],
            76,
            "no session record",
        ),
        (
            &["--journal", journal, "--target", group, "--speed", "-1"],
            2,
            "wanted 0",
        ),
        (&["--target", group], 2, "--journal"),
    ];
    for (args, exit_code, words) in cases {
        let output = run(&[&["replay"], args].concat());
        assert_eq!(code(&output), exit_code, "{args:?}: {}", errors(&output));
        assert!(
            errors(&output).contains(words),
            "{args:?}: {}",
            errors(&output)
        );
    }
}
