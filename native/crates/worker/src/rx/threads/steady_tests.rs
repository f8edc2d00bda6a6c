//! Passes of the receive thread, one by one on the test's own clock: that they take no memory after
//! warm-up, and starve nothing.

use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use tickdeck_net::{MulticastSender, find_interface};
use tickdeck_testbed::{RX_INTERFACE, TX_INTERFACE, or_skip};

use super::*;
use crate::rx::create_stats;
use crate::spec::Kind;

/// Everything of the receive thread but the thread: lines on the loopback interface, merge, ring,
/// gap table, capture, drop ladder.
#[test]
fn a_pass_allocates_nothing() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let spec = spec_in(directory.path());
    let senders = senders(&spec);
    let mut thread = receive_thread(&spec);
    let mut next = 1;
    play(&senders, &mut thread, &mut next, 2_000);
    let passes = || play(&senders, &mut thread, &mut next, 20_000);
    let taken = allocation_counter::measure(passes);
    assert_eq!((taken.count_total, taken.bytes_total), (0, 0), "{taken:?}");
    let counters = thread.merge.arbiter.counters();
    assert_eq!(counters.delivered + counters.messages_lost, next - 1);
    assert!(counters.messages_lost > 0 && counters.duplicates > 0);
    assert!(counters.lines[0].lost > 0 && counters.held_packets < 10);
    let noticed = allocation_counter::measure(|| drop(std::hint::black_box(vec![0u8; 9])));
    assert_eq!(noticed.count_total, 1, "the counter counts");
}

/// However busy a bypass is, what the kernel has put together from fragments is taken within a
/// millisecond of the thread's clock.
#[test]
fn a_busy_bypass_starves_nothing_beside() {
    let Some(testbed) = or_skip("a_busy_bypass_starves_nothing_beside", 1) else {
        return;
    };
    for path in ["af_xdp", "packet_mmap"] {
        let directory = tempfile::tempdir().expect("temporary directory");
        let mut spec = spec_in(directory.path());
        for line in &mut spec.exchange.lines {
            line.interface = RX_INTERFACE.to_owned();
            line.receive = match path {
                "af_xdp" => spec::ReceivePath::AfXdp,
                _ => spec::ReceivePath::PacketMmap,
            };
        }
        let line = &spec.exchange.lines[0];
        let sender = testbed.in_tx(|| {
            let interface = find_interface(TX_INTERFACE).expect("the sending end");
            MulticastSender::open(line.group, line.port, &interface, 1).expect("a sender")
        });
        testbed.in_rx(|| {
            let mut thread = receive_thread(&spec);
            let mut long = b"STEADY0001\0\0\0\0\0\0\0\x01\0\x01".to_vec();
            long.extend(1_800u16.to_be_bytes());
            long.resize(long.len() + 1_800, 7);
            let heartbeat = *b"STEADY0001\0\0\0\0\0\0\0\x01\0\0";
            let heard = |thread: &ReceiveThread| thread.merge.lines[0].heartbeats.get();
            let mut now_ns = monotonic_ns();
            for count in 1..=30 {
                if count == 5 {
                    sender.send(&long).expect("sent");
                }
                sender.send(&heartbeat).expect("sent");
                let start = Instant::now();
                while heard(&thread) < count {
                    assert!(start.elapsed() < LIMIT, "{path}: heartbeat {count}");
                    // A tenth of a millisecond for each packet, none for a pass without one.
                    thread.pass(now_ns).expect("received");
                }
                now_ns += 100_000;
            }
            assert_eq!(thread.merge.arbiter.next_sequence(), 2, "{path}");
        });
    }
}

/// Sends `count` messages, a packet each, on both lines, with every kind of trouble, and takes them.
fn play(senders: &[MulticastSender], thread: &mut ReceiveThread, next: &mut u64, count: u64) {
    // Headers and one message of eight bytes: made by hand, since building one allocates.
    let mut packet = *b"STEADY0001\0\0\0\0\0\0\0\0\0\x01\0\x0812345678";
    let end = *next + count;
    let start = Instant::now();
    while *next < end {
        for sequence in *next..(*next + 20).min(end) {
            packet[10..18].copy_from_slice(&sequence.to_be_bytes());
            let is_lost = |line: u64| sequence % 97 == line || sequence % 500 == 250;
            for (line, sender) in (0..).zip(senders) {
                if !is_lost(line) {
                    sender.send(&packet).expect("sent");
                }
            }
        }
        *next = (*next + 20).min(end);
        pass(thread);
    }
    while thread.merge.arbiter.next_sequence() < end && start.elapsed() < LIMIT {
        pass(thread);
    }
    assert_eq!(thread.merge.arbiter.next_sequence(), end);
}

/// What one turn of the thread's loop does.
fn pass(thread: &mut ReceiveThread) {
    let now_ns = monotonic_ns();
    thread.pass(now_ns).expect("received");
    thread.merge.take_verdicts();
    thread.merge.take_orders(now_ns);
    if thread.merge.asker.wants_counts(now_ns) {
        thread.show_drops().expect("counters");
    }
    assert!(thread.merge.failure.is_none());
}

fn senders(spec: &Spec) -> Vec<MulticastSender> {
    let loopback = find_interface("lo").expect("loopback interface");
    let lines = spec.exchange.lines.iter();
    let open = |line: &spec::Line| MulticastSender::open(line.group, line.port, &loopback, 0);
    lines.map(|line| open(line).expect("a sender")).collect()
}

fn receive_thread(spec: &Spec) -> ReceiveThread {
    let (file, metrics) = create_stats(spec).expect("stats file");
    let queues = Queues::new(spec).expect("queues").inner;
    let config = RingConfig {
        slot_count: 1_024,
        slot_bytes: 2_048,
        start_seq: 1,
        log_id: [0; 16],
        incarnation: [0; 16],
    };
    let ring = tickdeck_ring::Writer::create(&spec.ring_path, &config).expect("ring");
    let (tap, _) = capture::open(spec, queues.capture, metrics.capture).expect("capture");
    let (asker, _) = queues.ladder;
    let ends = MergeEnds {
        session_wanted: Arc::default(),
        port: None,
        asker,
        orders: queues.merge_orders,
        tap,
    };
    let begun = Beginning {
        start: tickdeck_arbiter::Start::SessionStart,
        framing: Wire::MoldUdp64.framing(),
        is_snapshot_cut: false,
    };
    ReceiveThread {
        lines: open_lines(spec).expect("lines"),
        merge: make_merge(spec, begun, ring, ends, metrics.receive).expect("a merge"),
        header: file.header(),
        wait: spec::Wait::Spin,
        cpu: None,
        stop: StopFlag::on_signals().expect("a stop flag"),
        batch: spec.exchange.receive.batch,
        woken: false,
        show_due_ns: 0,
        beside_due_ns: 0,
    }
}

pub(super) fn spec_in(dir: &Path) -> Spec {
    let probe = UdpSocket::bind(("127.0.0.1", 0)).expect("a free port");
    let port = probe.local_addr().expect("address").port();
    let mut text = spec::WHOLE.to_owned();
    let group = std::process::id() % 250;
    for (from, to) in [
        ("\"runtime_dir\":\"/r\"", format!("\"runtime_dir\":{dir:?}")),
        (
            "\"ring_path\":\"/r/ring\"",
            format!("\"ring_path\":{:?}", dir.join("ring")),
        ),
        (
            "\"data_dir\":\"/c\"",
            format!("\"data_dir\":{:?}", dir.join("captures")),
        ),
        (
            "\"capture\":{\"enabled\":false",
            "\"capture\":{\"enabled\":true".to_owned(),
        ),
        (
            "239.1.1.1\",\"port\":1",
            format!("239.78.{group}.1\",\"port\":{port}"),
        ),
        (
            "239.1.1.2\",\"port\":2",
            format!("239.78.{group}.2\",\"port\":{port}"),
        ),
        (
            "\"rcvbuf_bytes\":1,\"batch\":1",
            "\"rcvbuf_bytes\":1048576,\"batch\":64".to_owned(),
        ),
        (
            "\"reorder_window_ns\":1,",
            "\"reorder_window_ns\":1000000,".to_owned(),
        ),
        (
            "\"hold_capacity_packets\":1,",
            "\"hold_capacity_packets\":4096,".to_owned(),
        ),
        (
            "\"session_takeover_ms\":1}",
            "\"session_takeover_ms\":3000}".to_owned(),
        ),
        (
            "\"unrecoverable_policy\":\"halt\"",
            "\"unrecoverable_policy\":\"declare_lost\"".to_owned(),
        ),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, &to, 1);
    }
    let path = dir.join("spec.json");
    std::fs::write(&path, text).expect("writes");
    Spec::load(&path, Kind::Rx).expect("a valid spec")
}

const LIMIT: Duration = Duration::from_secs(60);
