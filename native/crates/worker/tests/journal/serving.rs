//! `serve`: ranges of a journal to the client of the recovery.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use serde_json::Value;
use tickdeck_recovery::Fault;
use tickdeck_recovery::replay::{ReplayClient, ReplayConfig};
use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::record::{SessionEventKind, kind};
use tickdeck_wire::replay::Request;

use crate::driver::{Outcome, drive};
use crate::support::{Day, FIRST, MS, Running, SECOND, code, command, errors, run, text};

struct Server {
    process: Running,
    address: SocketAddr,
}

impl Server {
    fn start(dir: &Path, extra: &[&str]) -> Self {
        let args = ["serve", "--dir", text(dir), "--listen", "127.0.0.1:0"];
        let mut child = command(&[&args[..], extra].concat())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the ready line");
        let ready: Value = serde_json::from_str(&line).expect("JSON");
        let address = ready["listen"].as_str().expect("listens").parse();
        Self {
            process: Running(child),
            address: address.expect("an address"),
        }
    }

    fn ask(&self, session: Session, first_sequence: u64, count: u32) -> Outcome {
        let mut client = ReplayClient::new(ReplayConfig::default());
        let range = Request {
            session,
            first_sequence,
            count,
        };
        client.ask(range, 0);
        drive(&mut client, self.address, Instant::now())
    }

    fn stop(mut self) {
        let id = i32::try_from(self.process.0.id()).expect("a process id");
        let pid = rustix::process::Pid::from_raw(id).expect("not zero");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signal");
        assert_eq!(self.process.code(), Some(0));
    }
}

fn message(session: Session, sequence: u64) -> Vec<u8> {
    let mut message = sequence.to_be_bytes().to_vec();
    message.push(session.0[9]);
    message.resize(9 + (sequence % 50) as usize, b'm');
    message
}

/// Appends records of three messages each.
fn append(day: &mut Day, session: Session, numbers: std::ops::RangeInclusive<u64>) {
    for first in numbers.step_by(3) {
        let messages: Vec<_> = (first..first + 3).map(|n| message(session, n)).collect();
        let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        day.data(session, first, &messages);
    }
}

fn assert_range(outcome: &Outcome, session: Session, first: u64, count: u64) {
    assert_eq!(outcome.end, Ok(first + count));
    let messages = outcome.messages(first);
    assert_eq!(messages.len() as u64, count);
    for (sequence, found) in (first..).zip(messages) {
        assert_eq!(found, message(session, sequence));
    }
}

/// Proves that any range of either session comes exactly, over segments and events; that a hole,
/// a number that is not there yet and a foreign session are refused; that a range which runs into
/// a hole ends there; and that what is appended later is served without a restart.
#[test]
fn a_journal_answers_its_ranges() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let dir = directory.path().join("journal");
    let mut day = Day::open(&dir, MS);
    day.session(SessionEventKind::Started, FIRST, 1);
    append(&mut day, FIRST, 1..=3_000);
    day.gap(kind::GAP_LOST);
    append(&mut day, FIRST, 3_100..=3_399);
    day.session(SessionEventKind::Changed, SECOND, 1);
    append(&mut day, SECOND, 1..=600);
    day.writer.sync().expect("syncs");
    assert!(day.writer.counters().rotations > 3, "several segments");
    let server = Server::start(&dir, &[]);
    for (first, count) in [
        (1, 3_000),
        (1, 1),
        (2, 1),
        (3_000, 1),
        (1_234, 1_111),
        (3_100, 300),
    ] {
        assert_range(
            &server.ask(FIRST, first, count),
            FIRST,
            first,
            u64::from(count),
        );
    }
    assert_range(&server.ask(SECOND, 1, 600), SECOND, 1, 600);
    for (session, first) in [
        (FIRST, 3_001),
        (FIRST, 3_400),
        (SECOND, 601),
        (Session([b'x'; 10]), 1),
    ] {
        let outcome = server.ask(session, first, 1);
        assert_eq!(
            (outcome.end, outcome.deliveries.len()),
            (Err(Fault::Refused), 0)
        );
    }
    let outcome = server.ask(FIRST, 2_990, 200);
    assert_eq!(
        (outcome.end, outcome.messages(2_990).len()),
        (Err(Fault::Partial), 11)
    );
    append(&mut day, SECOND, 601..=900);
    day.writer.sync().expect("syncs");
    assert_range(&server.ask(SECOND, 500, 401), SECOND, 500, 401);
    server.stop();
}

/// Proves that of a protocol that numbers packets whole packets come.
#[test]
fn whole_packets_come_whole() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let dir = directory.path().join("journal");
    let mut day = Day::open(&dir, MS);
    let epoch = Session(*b"EPOCH00001");
    day.session(SessionEventKind::Started, epoch, 7);
    for number in 7..=500 {
        day.append(kind::DATA, number, &message(epoch, number));
    }
    day.writer.sync().expect("syncs");
    let server = Server::start(&dir, &["--numbered", "packets"]);
    assert_range(&server.ask(epoch, 7, 494), epoch, 7, 494);
    server.stop();
}

/// Proves that an address which other hosts reach is refused with the reason, before anything is
/// opened there, and that a directory without a journal is named.
#[test]
fn it_stays_at_home() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let dir = text(directory.path());
    let output = run(&["serve", "--dir", dir, "--listen", "0.0.0.0:0"]);
    assert_eq!(code(&output), 78);
    assert!(errors(&output).contains("no TLS"), "{}", errors(&output));
    let output = run(&["serve", "--dir", dir, "--listen", "127.0.0.1:0"]);
    assert_eq!(code(&output), 78);
}
