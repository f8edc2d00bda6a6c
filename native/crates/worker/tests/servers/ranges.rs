//! Ranges from the stream and from the peer.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use tickdeck_recovery::Fault;
use tickdeck_recovery::client::Timing;
use tickdeck_recovery::replay::{ReplayClient, ReplayConfig};
use tickdeck_recovery::soup::{SoupClient, SoupConfig, Wanted, itch50_message};
use tickdeck_sim::lies::Lie;
use tickdeck_wire::replay::Request;

use crate::driver::{Outcome, drive, read};
use crate::support::{SESSION, Sim, command, day};

const SOURCES: [&str; 2] = ["soup", "peer"];

/// Asks one source for a range, which may take its time on a busy machine.
fn ask(sim: &Sim, source: &str, first: u64, count: u32) -> Outcome {
    ask_within(60_000_000_000, sim, source, first, count)
}

/// Asks one source for a range, and takes so long a silence for one.
fn ask_within(timeout_ns: u64, sim: &Sim, source: &str, first: u64, count: u32) -> Outcome {
    let timing = Timing {
        login_timeout_ns: timeout_ns,
        answer_timeout_ns: timeout_ns,
        reconnect_wait_ns: 5_000_000,
        ..Timing::default()
    };
    let started = Instant::now();
    if source == "soup" {
        let mut client = SoupClient::new(SoupConfig {
            check: itch50_message,
            timing,
            ..SoupConfig::default()
        });
        client.ask(wanted(first, count), 0);
        return drive(&mut client, sim.address("soup"), started);
    }
    let mut client = ReplayClient::new(ReplayConfig {
        check: itch50_message,
        timing,
        ..ReplayConfig::default()
    });
    let range = Request {
        session: SESSION,
        first_sequence: first,
        count,
    };
    client.ask(range, 0);
    drive(&mut client, sim.address("peer"), started)
}

/// Whether a lie was named, on the way or at the end.
fn names(outcome: &Outcome, lie: Lie) -> bool {
    let last = outcome.end.err().into_iter();
    let mut all = outcome.noticed.iter().copied().chain(last);
    all.any(|fault| fault.name() == lie.name())
}

fn wanted(first: u64, count: u32) -> Wanted {
    Wanted {
        session: Some(SESSION),
        first_sequence: first,
        count: Some(u64::from(count)),
    }
}

/// Proves that any range comes byte for byte from both, and that nothing beyond the day does.
#[test]
fn ranges_come_byte_for_byte() {
    let (sim, history) = (Sim::played(1), day());
    for source in SOURCES {
        for (first, count) in [(1, 1), (1_000, 1_000), (1, history.messages() as u32)] {
            let outcome = ask(&sim, source, first, count);
            assert_eq!(outcome.end, Ok(first + u64::from(count)), "{source}");
            assert!(outcome.noticed.is_empty(), "{source}");
            let messages = outcome.messages(first);
            assert_eq!(messages.len(), count as usize);
            for (sequence, message) in (first..).zip(&messages) {
                assert_eq!(Some(&message[..]), history.message(sequence));
            }
        }
        let beyond = ask(&sim, source, history.next_sequence() + 1, 1);
        assert_eq!(
            (beyond.end, beyond.deliveries.len()),
            (Err(Fault::Refused), 0)
        );
    }
}

/// Proves that a stream follows the lines: messages come when they are sent there.
#[test]
fn a_stream_follows_the_lines() {
    let (sim, history) = (Sim::start(2, &["--rate", "10000"]), day());
    let outcome = ask(&sim, "soup", 1, history.messages() as u32);
    assert_eq!(
        outcome.end,
        Ok(history.next_sequence()),
        "{:?}",
        outcome.noticed
    );
    let messages = outcome.messages(1);
    let sent = (1..).map(|sequence| history.message(sequence));
    assert!(
        messages
            .iter()
            .map(|message| Some(&message[..]))
            .eq(sent.take(messages.len()))
    );
}

/// Proves for each lie of both servers that it is told, named, and that nothing but the day's
/// bytes is delivered; and that the server is honest again when the lie is cleared.
#[test]
fn lies_are_named_and_bring_nothing() {
    let (mut sim, history) = (Sim::played(3), day());
    for source in SOURCES {
        for lie in Lie::ALL {
            sim.arm(source, lie.name(), 2_000);
            let outcome = ask_within(300_000_000, &sim, source, 2_000, 50);
            assert!(names(&outcome, lie), "{source} {lie:?}: {outcome:?}");
            for (sequence, message) in (2_000..).zip(outcome.messages(2_000)) {
                assert_eq!(
                    Some(&message[..]),
                    history.message(sequence),
                    "{source} {lie:?}"
                );
            }
            assert!(sim.clear() >= 1, "{source} {lie:?} is counted");
        }
        assert_eq!(ask(&sim, source, 2_000, 50).end, Ok(2_050), "{source}");
    }
}

/// Proves that a server with a user lets only that one in, and that a password which everybody
/// may read is not taken.
#[test]
fn only_the_named_user_gets_in() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("password");
    fs::write(&path, "Sesame\n").expect("write");
    let chmod = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode));
    chmod(0o600).expect("chmod");
    let file = path.to_str().expect("a path in UTF-8");
    let extra = [
        "--rate",
        "max",
        "--username",
        "tick",
        "--password-file",
        file,
    ];
    let sim = Sim::start(4, &extra);
    for (password, end) in [("sesame", Ok(2)), ("sesam", Err(Fault::Refused))] {
        let mut client = SoupClient::new(SoupConfig {
            username: "TICK".parse().expect("a name"),
            password: password.parse().expect("a password"),
            ..SoupConfig::default()
        });
        client.ask(wanted(1, 1), 0);
        let outcome = drive(&mut client, sim.address("soup"), Instant::now());
        assert_eq!(outcome.end, end);
    }
    chmod(0o644).expect("chmod");
    // Should it play all the same, it ends.
    let output = command(5)
        .args(extra)
        .args(["--exit-after-end-ms", "0"])
        .output()
        .expect("run");
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{log}");
    assert!(log.contains("mode 644") && !log.contains("Sesame"), "{log}");
}

/// Proves that connections are bounded: a ninth is told so and closed, and one that ends makes
/// room. A client that says nothing does not keep the others from their answers.
#[test]
fn connections_are_bounded() {
    let sim = Sim::played(6);
    let connect = || TcpStream::connect(sim.address("peer")).expect("connect");
    let mut silent: Vec<TcpStream> = (0..7).map(|_| connect()).collect();
    assert_eq!(ask(&sim, "peer", 1, 10).end, Ok(11));
    silent.push(connect());
    let started = Instant::now();
    // The eighth may still wait to be accepted, so the ninth is not always the one.
    while ask(&sim, "peer", 1, 10).end != Err(Fault::Refused) {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "nobody is turned away"
        );
    }
    silent.clear();
    while ask(&sim, "peer", 1, 10).end != Ok(11) {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "there is no room again"
        );
    }
    let mut garbage = connect();
    std::io::Write::write_all(&mut garbage, &[7; 64]).expect("send");
    let mut said = Vec::new();
    while read(Some(&mut garbage), Duration::from_secs(60), |bytes| {
        said.extend_from_slice(bytes.unwrap_or_default());
    }) {}
    assert!(said.ends_with(b"bad_request"), "{said:?}");
}
