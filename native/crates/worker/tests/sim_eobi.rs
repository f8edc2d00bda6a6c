//! `tickdeck-sim play-eobi` as a process: its lines on loopback multicast, read and recovered.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tickdeck_recovery::eobi::{
    Collector, CollectorConfig, Cycle, Output, Replayer, ReplayerConfig, Trust,
};
use tickdeck_wire::eobi::{Message, Packet, PacketError, Release};

const SIM: &str = env!("CARGO_BIN_EXE_tickdeck-sim");
const PATIENCE: Duration = Duration::from_secs(60);
const RELEASE: Release = Release::V14_1;

/// A datagram, and when it was read.
type Received = Vec<(Instant, Vec<u8>)>;

/// Proves that both lines carry the same packets but for their stamps, except those that a fault
/// drops on both, and that a reader restores every product that lost messages from the snapshot
/// channel, without ever having had a wrong number.
#[test]
fn a_gap_on_both_lines_is_restored_from_snapshots() {
    let fault = r#"{"fault":"drop","args":{"line":"AB","ranges":[[400,440]]},"lease_ms":600000}"#;
    let [a, b, snapshots] = play(1, &["--steps", "800", "--rate", "800", "--fault", fault]);
    let numbers =
        |received: &Received| -> Vec<u32> { packets(received).map(|p| p.sequence()).collect() };
    let expected: Vec<u32> = numbers(&a);
    let last = *expected.last().expect("packets came");
    assert!(last > 800);
    assert!(
        expected
            .iter()
            .copied()
            .eq((1..=last).filter(|n| !(400..=440).contains(n)))
    );
    assert_eq!(numbers(&b), expected);
    let same = packets(&a)
        .zip(packets(&b))
        .all(|(a, b)| a.bytes()[32..] == b.bytes()[32..]);
    assert!(same, "A and B have the same messages");

    let mut reader = Reader::default();
    let (mut replayer, mut collector) = (
        Replayer::new(ReplayerConfig::default()),
        Collector::new(CollectorConfig::default()),
    );
    let mut all: Vec<_> = a.iter().map(|one| (one, false)).collect();
    all.extend(snapshots.iter().map(|one| (one, true)));
    all.sort_by_key(|((at, _), _)| *at);
    for ((_, bytes), is_snapshot) in all {
        let Ok(packet) = Packet::parse(bytes, RELEASE) else {
            continue;
        };
        if is_snapshot {
            collector.on_packet(0, &packet, &mut |cycle| {
                replayer.on_cycle(&cycle, &mut reader);
            });
        } else {
            replayer.on_packet(&packet, &mut reader);
        }
    }
    let counters = replayer.counters();
    assert_eq!((counters.gaps, counters.lost_packets), (1, 41));
    assert_eq!(counters.feed_inconsistent, 0);
    assert!(reader.suspects > 0 && reader.loads > 0);
    for product in 600..604 {
        assert_eq!(
            replayer.trust(product),
            Some(Trust::Good),
            "product {product}"
        );
    }
}

/// Proves that the service restarts when told to, with the reset indicator on both channels, and
/// that a silent snapshot channel is silent.
#[test]
fn it_restarts_and_is_silent_when_told() {
    let extra = ["--steps", "300", "--rate", "2000", "--restart-at", "150"];
    let [a, b, snapshots] = play(2, &[&extra[..], &["--snapshot-fault", "silent"]].concat());
    for line in [&a, &b] {
        let resets = packets(line).filter(|packet| packet.resets()).count();
        let ones = packets(line)
            .filter(|packet| packet.sequence() == 1)
            .count();
        assert_eq!((resets, ones), (8, 2));
    }
    assert!(snapshots.is_empty());
}

/// Proves that a mistake on the command line says what is wanted.
#[test]
fn mistakes_say_what_is_wanted() {
    for (extra, expected) in [
        (["--release", "14.0"], "use \"14.1\" or \"6.0\""),
        (["--snapshot-fault", "drop=2"], "is no probability"),
        (["--line", "A=239.81.1.1:4"], "named twice"),
        (["--fault", "{}"], "missing field"),
    ] {
        let output = Command::new(SIM)
            .args(["play-eobi", "--line", "A=239.81.1.1:31001", "--steps", "1"])
            .args(extra)
            .output()
            .expect("run");
        assert!(!output.status.success());
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(expected), "{text}");
    }
}

/// Counts what a replayer puts out.
#[derive(Default)]
struct Reader {
    suspects: u64,
    loads: u64,
}

impl Output for Reader {
    fn reset(&mut self) {}

    fn load(&mut self, _: &Cycle) {
        self.loads += 1;
    }

    fn apply(&mut self, _: i32, message: &Message<'_>) {
        message.content(RELEASE).expect("a known message");
    }

    fn trust(&mut self, _: i32, trust: Trust) {
        self.suspects += u64::from(matches!(trust, Trust::Suspect { .. }));
    }
}

/// The packets of a line, without technical heartbeats.
fn packets(received: &Received) -> impl Iterator<Item = Packet<'_>> {
    received
        .iter()
        .filter_map(|(_, bytes)| match Packet::parse(bytes, RELEASE) {
            Ok(packet) => Some(packet),
            Err(PacketError::TechnicalHeartbeat) => None,
            Err(error) => panic!("{error}"),
        })
}

/// Runs a sim to its end and returns what came on A, on B and on the snapshot line.
fn play(number: u8, extra: &[&str]) -> [Received; 3] {
    let sockets = [0, 1, 2].map(|line| join(number * 10 + line));
    let target = |(group, socket): &(Ipv4Addr, UdpSocket)| {
        let port = socket.local_addr().expect("bound").port();
        format!("A={group}:{port}")
    };
    let [a, b, snapshots] = sockets.each_ref().map(target);
    let child = Command::new(SIM)
        .args(["play-eobi", "--line", &a, "--line", &b.replace("A=", "B=")])
        .args(["--snapshot-line", &snapshots])
        .args(extra)
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the sim");
    let mut sim = Sim(child);
    let stdout = sim.0.stdout.take().expect("piped");
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    stdout.read_line(&mut line).expect("the ready line");
    assert!(line.contains("\"ready\":true"), "{line}");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (is_over, sockets) = (&is_over, &sockets);
        let readers = sockets
            .each_ref()
            .map(|(_, socket)| scope.spawn(move || read(socket, is_over)));
        let code = sim.exit_code();
        is_over.store(true, Ordering::Release);
        assert_eq!(code, Some(0));
        readers.map(|reader| reader.join().expect("a reader"))
    })
}

/// A running sim; killed when the test is done with it.
struct Sim(Child);

impl Sim {
    /// `None` when it does not end in time.
    fn exit_code(&mut self) -> Option<i32> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.0.try_wait().expect("wait") {
                return status.code();
            }
            std::thread::yield_now();
        }
        None
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // It has ended already, as a rule.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Reads until the sim is over and nothing is left.
fn read(socket: &UdpSocket, is_over: &AtomicBool) -> Received {
    let mut received = Received::new();
    let mut datagram = [0; 2_048];
    loop {
        // Looked at before the socket: what was sent before the end is there after it.
        let was_over = is_over.load(Ordering::Acquire);
        match socket.recv(&mut datagram) {
            Ok(length) => received.push((Instant::now(), datagram[..length].to_vec())),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if was_over {
                    return received;
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// A receiver on a group and port of its own.
fn join(number: u8) -> (Ipv4Addr, UdpSocket) {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let group = Ipv4Addr::new(239, 130 + number, high, low);
    let socket = UdpSocket::bind((group, 0)).expect("bind to the group");
    socket
        .join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)
        .expect("join");
    let moment = Duration::from_millis(20);
    socket.set_read_timeout(Some(moment)).expect("timeout");
    (group, socket)
}
