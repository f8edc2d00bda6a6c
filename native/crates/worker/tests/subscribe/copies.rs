//! Copies in a directory: whole after cut connections, kills and torn files.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tickdeck_export::frame::{Decoder, HEADER_LEN, MAX_PAYLOAD};
use tickdeck_export::message::{ErrorCode, Message};
use tickdeck_journal::unpack;

use crate::provider::{Log, Provider};
use crate::support::{Place, command, lines, position, seqs, told, wait_for};

/// The sequences of the DATA records in a copy, in its order; gaps are checked to fit.
fn copied(dir: &Path) -> Vec<u64> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let mut decoder = Decoder::new(MAX_PAYLOAD);
    let mut seqs: Vec<u64> = Vec::new();
    for file in files {
        decoder.feed(&fs::read(file).expect("reads"));
        while let Some(frame) = decoder.next().expect("good frames") {
            match Message::parse(&frame).expect("a message") {
                Message::Data(data) => {
                    let count = u32::from_le_bytes(data.block[24..28].try_into().expect("four"));
                    let payload = &data.block[72..];
                    let (entries, _) = unpack(data.base_seq, count, payload).expect("records");
                    seqs.extend(entries.iter().map(|entry| entry.seq));
                }
                Message::Gap(_) => {}
                other => panic!("in a copy: {other:?}"),
            }
        }
    }
    assert_eq!(decoder.pending(), 0, "a torn frame at the end");
    seqs
}

struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().expect("kills");
        self.0.wait().expect("waits");
    }
}

fn run(mut command: Command) -> Running {
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    Running(child.expect("runs"))
}

fn acked(place: &Place) -> u64 {
    position(&place.path("state")).map_or(0, |state| state["acked_seq"].as_u64().expect("a number"))
}

fn subscriber(place: &Place) -> Command {
    let endpoint = format!("unix:{}", place.arg("socket"));
    let (state, into) = (place.arg("state"), place.arg("copy"));
    command(&[
        "--connect",
        &endpoint,
        "--state",
        &state,
        "--into",
        &into,
        "--client",
        "desk",
    ])
}

/// X15, X16: connections are cut at any byte and the subscriber is killed 12 times with -9; the copy
/// has every sequence once, and nothing was acknowledged that is not in it.
#[test]
fn whole_after_cuts_and_kills() {
    let place = Place::new();
    let log = Log {
        cuts: Some(7),
        hole: Some((101, 180)),
        ..Log::up_to(20_000)
    };
    let provider = Provider::new(log, None);
    provider.on_unix(&place.path("socket"));
    for kill in 0..12 {
        let subscriber = run(subscriber(&place));
        let before = provider.seen.lock().expect("lock").connections;
        // At another connection each time, in the middle of whatever it is doing.
        wait_for("connections", || {
            provider.seen.lock().expect("lock").connections >= before + 1 + kill % 4
        });
        drop(subscriber);
    }
    let subscriber = run(subscriber(&place));
    wait_for("the end", || acked(&place) == 20_000);
    drop(subscriber);
    let copied = copied(&place.path("copy"));
    let wanted = (1..=101).chain(181..=20_000);
    let wrong = copied
        .iter()
        .zip(wanted.clone())
        .find(|(found, wanted)| *found != wanted);
    assert_eq!((copied.len(), wrong), (wanted.count(), None));
    let acks = provider.seen.lock().expect("lock").acks.clone();
    assert!(acks.iter().all(|ack| *ack <= acked(&place)), "{acks:?}");
}

/// What lies above the position, or is torn, is cut when the copy is opened, and comes again.
#[test]
fn an_end_that_does_not_count_is_cut() {
    let place = Place::new();
    let provider = Provider::new(Log::up_to(100), None);
    provider.on_unix(&place.path("socket"));
    let subscriber_1 = run(subscriber(&place));
    wait_for("the end", || acked(&place) == 100);
    drop(subscriber_1);
    let file = place.path("copy").join(format!("from-{:020}.frames", 1));
    let whole = fs::read(&file).expect("reads");
    // A part of a frame, as a kill leaves it.
    fs::write(&file, [&whole[..], &whole[..33]].concat()).expect("writes");
    provider.log.lock().expect("lock").last = 200;
    let subscriber_2 = run(subscriber(&place));
    wait_for("the end", || acked(&place) == 200);
    drop(subscriber_2);
    assert_eq!(copied(&place.path("copy")), (1..=200).collect::<Vec<u64>>());
    // The position goes back: the copy follows it.
    let text = fs::read_to_string(place.path("state")).expect("reads");
    fs::write(place.path("state"), text.replace("200", "150")).expect("writes");
    let subscriber_3 = run(subscriber(&place));
    wait_for("the end", || acked(&place) == 200);
    drop(subscriber_3);
    assert_eq!(copied(&place.path("copy")), (1..=200).collect::<Vec<u64>>());
}

/// FORKED: the copy loses what the log does not have, then goes on with what it has now.
#[test]
fn a_fork_cuts_the_copy() {
    let place = Place::new();
    let provider = Provider::new(Log::up_to(100), None);
    provider.on_unix(&place.path("socket"));
    let subscriber_1 = run(subscriber(&place));
    wait_for("the end", || acked(&place) == 100);
    drop(subscriber_1);
    {
        let mut log = provider.log.lock().expect("lock");
        (log.refusal, log.last) = (Some((ErrorCode::Forked, 41)), 70);
    }
    let subscriber_2 = run(subscriber(&place));
    wait_for("the end", || acked(&place) == 70);
    drop(subscriber_2);
    assert_eq!(copied(&place.path("copy")), (1..=70).collect::<Vec<u64>>());
}

/// The copy is synced before the position, the position before the ACK: an unwritable position stops
/// the subscriber, and nothing is acknowledged.
#[test]
fn nothing_is_acknowledged_that_is_not_stored() {
    let place = Place::new();
    let provider = Provider::new(Log::up_to(100), None);
    provider.on_unix(&place.path("socket"));
    // The temporary file of the position cannot be made: a directory has its name.
    fs::create_dir(place.path("state.new")).expect("makes");
    let output = subscriber(&place).output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("position file"), "{text}");
    let seen = provider.seen.lock().expect("lock").clone();
    assert_eq!(seen.acks, [] as [u64; 0]);
    assert!(
        OpenOptions::new()
            .read(true)
            .open(place.path("state"))
            .is_err()
    );
}

/// `tickdeck-journal verify` or `cat` of a copy, with JSON.
fn look(place: &Place, command: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tickdeck-journal"))
        .arg(command)
        .arg(place.path("copy"))
        .arg("--json")
        .args(arguments)
        .output()
        .expect("runs")
}

/// Exit code of `verify`, and each problem with its sequences.
fn verified(place: &Place) -> (i32, Vec<(String, u64, Option<u64>)>) {
    let output = look(place, "verify", &[]);
    let report = lines(&output).remove(0);
    let problems = report["problems"].as_array().expect("a list").iter();
    let problems = problems.map(|problem| {
        let class = problem["class"].as_str().expect("a name").to_owned();
        let from = problem["from"].as_u64().expect("a number");
        (class, from, problem["to"].as_u64())
    });
    (told(&output).0, problems.collect())
}

/// A copy is verified and printed by the commands that read a journal; what is torn, damaged or gone is
/// named, and what is whole before it is printed.
#[test]
fn verify_and_cat_read_a_copy() {
    let place = Place::new();
    let log = Log {
        hole: Some((101, 180)),
        ..Log::up_to(400)
    };
    let provider = Provider::new(log, None);
    provider.on_unix(&place.path("socket"));
    let subscriber = run(subscriber(&place));
    wait_for("the end", || acked(&place) == 400);
    drop(subscriber);

    let output = look(&place, "verify", &[]);
    let report = lines(&output).remove(0);
    assert_eq!(
        (told(&output).0, &report["problems"]),
        (0, &serde_json::json!([]))
    );
    assert_eq!(report["records"], 321);
    assert_eq!(
        (&report["first_seq"], &report["last_seq"]),
        (&1.into(), &400.into())
    );
    assert_eq!(
        (&report["gaps"], &report["gap_sequences"]),
        (&1.into(), &80.into())
    );
    let output = look(&place, "cat", &["--from", "95", "--to", "185"]);
    assert_eq!(told(&output).0, 0, "{}", told(&output).1);
    let printed = lines(&output);
    assert_eq!(
        seqs(&printed),
        (95..=101).chain(181..=185).collect::<Vec<u64>>()
    );
    let gaps: Vec<_> = printed
        .iter()
        .filter(|line| line["gap"].is_object())
        .collect();
    assert_eq!(gaps.len(), 1, "{printed:?}");

    let file = place.path("copy").join(format!("from-{:020}.frames", 1));
    let whole = fs::read(&file).expect("reads");
    let mut decoder = Decoder::new(MAX_PAYLOAD);
    decoder.feed(&whole);
    let (mut frames, mut at) = (Vec::new(), 0);
    while let Some(frame) = decoder.next().expect("good frames") {
        let end = at + HEADER_LEN + frame.payload.len();
        frames.push((frame.seq, at..end));
        at = end;
    }
    let (first, second) = (&frames[2], &frames[3]);

    fs::write(&file, [&whole[..], &whole[..33]].concat()).expect("writes");
    assert_eq!(verified(&place), (1, vec![("torn_tail".into(), 401, None)]));

    let gone = [&whole[..first.1.start], &whole[first.1.end..]].concat();
    fs::write(&file, gone).expect("writes");
    let missing = ("missing".into(), first.0, Some(second.0 - 1));
    assert_eq!(verified(&place), (1, vec![missing]));

    let mut flipped = whole.clone();
    flipped[first.1.start + 60] ^= 1;
    fs::write(&file, flipped).expect("writes");
    assert_eq!(
        verified(&place),
        (1, vec![("bad_frame".into(), first.0, None)])
    );
    let output = look(&place, "cat", &[]);
    assert_ne!(told(&output).0, 0);
    assert!(told(&output).1.contains("bad_frame"), "{}", told(&output).1);
    assert_eq!(seqs(&lines(&output)), (1..first.0).collect::<Vec<u64>>());
}
