//! The receive paths in the worker, across a wire between two network namespaces.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tickdeck_net::{
    LineConfig, MulticastSender, Receiver, SocketConfig, UdpReceiver, find_interface,
};
use tickdeck_testbed::{RX_INTERFACE, Testbed, or_skip};
use tickdeck_wire::moldudp64::{PacketBuilder, Session};

use crate::plant::{Plant, packet};

/// The same stream comes out of every path, and the worker says which one it took and why.
#[test]
fn every_path_gives_the_same_stream() {
    let Some(testbed) = or_skip("every_path_gives_the_same_stream", 1) else {
        return;
    };
    let testbed = Arc::new(testbed);
    for (wish, wait) in [
        ("recvmmsg", "block"),
        ("packet_mmap", "block"),
        ("packet_mmap", "spin"),
        ("af_xdp", "block"),
        ("af_xdp", "spin"),
        ("auto", "block"),
    ] {
        let mut plant = Plant::across(&testbed, wish);
        plant.set("/exchange/receive/wait", json!(wait));
        let worker = plant.start();
        // In bursts that every ring of the test holds: nobody would bring again what is lost.
        for burst in 0..10 {
            for sequence in (1 + burst * 200..=(burst + 1) * 200).step_by(2) {
                plant.send_both(sequence, sequence + 1);
            }
            worker.wait_for("arbiter_next_sequence", "", (burst + 1) * 200 + 1);
        }
        worker.stop();
        assert_eq!(plant.journalled_messages(), 2_000, "{wish}, {wait}");
    }
}

/// A datagram that the kernel has put together from fragments joins the stream of a spinning bypass.
#[test]
fn fragments_are_taken_while_the_lines_are_busy() {
    let Some(testbed) = or_skip("fragments_are_taken_while_the_lines_are_busy", 1) else {
        return;
    };
    let testbed = Arc::new(testbed);
    for path in ["af_xdp", "packet_mmap"] {
        let mut plant = Plant::across(&testbed, path);
        plant.set("/exchange/receive/wait", json!("spin"));
        plant.set("/exchange/receive/max_packet_bytes", json!(4096));
        let worker = plant.start();
        plant.send_both(1, 1);
        let long = long_packet(plant.session, 2, 250);
        assert!(long.len() > 1_500, "it does not fit one frame");
        let start = Instant::now();
        plant.send_bytes(0, &long);
        while worker.value("arbiter_next_sequence", "") < 251 {
            assert!(start.elapsed() < LIMIT, "{path}: the fragments are taken");
            for _ in 0..50 {
                plant.heartbeat(0, 1);
                plant.heartbeat(1, 1);
            }
        }
        worker.stop();
        assert_eq!(plant.journalled_messages(), 250, "{path}");
    }
}

/// Killed without warning, the worker leaves no program on the interface: the kernel's sockets get
/// the packets at once, and the next worker binds the same queues and goes on.
#[test]
fn a_kill_gives_the_packets_back_to_the_kernel() {
    let Some(testbed) = or_skip("a_kill_gives_the_packets_back_to_the_kernel", 1) else {
        return;
    };
    let testbed = Arc::new(testbed);
    for require in ["native", "any"] {
        let mut plant = Plant::across(&testbed, "af_xdp");
        plant.set("/exchange/afxdp/require", json!(require));
        let mut kernel = kernel_socket(&testbed, &plant);
        let mut next = 1;
        for round in 0..3 {
            let worker = plant.start();
            assert!(has_program(&testbed), "round {round}");
            plant.send_both(next, next + 9);
            worker.wait_for("arbiter_next_sequence", "", next + 10);
            assert_eq!(
                taken(&mut kernel, 0),
                0,
                "the kernel gets nothing meanwhile"
            );
            worker.kill();
            let deadline = Instant::now() + LIMIT;
            while has_program(&testbed) {
                assert!(Instant::now() < deadline, "the link ends with its process");
            }
            plant.send_bytes(0, &packet(plant.session, next, next));
            assert_eq!(taken(&mut kernel, 1), 1, "the kernel takes over");
            next += 10;
        }
        let worker = plant.start();
        plant.send_both(next, next);
        worker.wait_for("arbiter_next_sequence", "", next + 1);
        worker.stop();
        assert_eq!(plant.journalled_messages(), next);
    }
}

/// The interface of one line is removed: the line has no path from then on, the log says so, and the
/// other line carries the stream.
#[test]
fn a_removed_interface_costs_only_its_line() {
    for path in ["recvmmsg", "packet_mmap", "af_xdp"] {
        let Some(testbed) = or_skip("a_removed_interface_costs_only_its_line", 1) else {
            return;
        };
        let testbed = Arc::new(testbed);
        let mut plant = Plant::across(&testbed, path);
        plant.set("/exchange/lines/1/interface", json!("lo"));
        plant.set("/exchange/lines/1/receive", json!("recvmmsg"));
        let (group, port) = plant.group(1);
        let other = testbed.in_rx(|| {
            let lo = find_interface("lo").expect("the loopback interface");
            MulticastSender::open(group, port, &lo, 1).expect("a sender")
        });
        let worker = plant.start();
        plant.send(0, 1, 1);
        other.send(&packet(plant.session, 1, 1)).expect("sent");
        worker.wait_for("arbiter_next_sequence", "", 2);
        assert_ne!(worker.value("rx_path", "line=A"), 0, "{path}");
        testbed.command_rx("ip link delete rx0").expect("removed");
        worker.wait_for("rx_path", "line=A", 0);
        other.send(&packet(plant.session, 2, 9)).expect("sent");
        worker.wait_for("arbiter_next_sequence", "", 10);
        assert_eq!(worker.value("rx_path", "line=B"), 5, "{path}");
        let log = worker.stop_for_log();
        assert!(
            log.contains("was removed") && log.contains("lines lost"),
            "{log}"
        );
        assert_eq!(plant.journalled_messages(), 9, "{path}");
    }
}

/// `auto` takes the best that the host has, and the log tells the refusal of each better one.
#[test]
fn auto_reports_each_refusal() {
    let Some(testbed) = or_skip("auto_reports_each_refusal", 1) else {
        return;
    };
    let testbed = Arc::new(testbed);
    let mut plant = Plant::across(&testbed, "auto");
    let report = plant.probe();
    let rungs = report["lines"][1]["rungs"].as_array().expect("rungs");
    let of = |rung: usize, key: &str| rungs[rung][key].clone();
    assert_eq!(of(0, "path"), "af_xdp zero-copy");
    assert_eq!((of(0, "ok"), of(0, "errno")), (json!(false), json!(95)));
    assert_eq!((of(1, "ok"), of(1, "errno")), (json!(true), Value::Null));
    assert_eq!(report["lines"][1]["chosen"], "af_xdp native copy");
    // A probe leaves nothing behind.
    assert!(!has_program(&testbed));
    let worker = plant.start();
    let log = worker.stop_for_log();
    assert!(
        log.contains("receive path refused") && log.contains("\"errno\":95"),
        "{log}"
    );
    assert!(log.contains("af_xdp native copy"), "{log}");
}

/// A rung that is worse than the configuration demands is a failure to start, with every refusal.
#[test]
fn a_demand_that_cannot_be_met_is_refused() {
    let Some(testbed) = or_skip("a_demand_that_cannot_be_met_is_refused", 1) else {
        return;
    };
    let mut plant = Plant::across(&Arc::new(testbed), "af_xdp");
    plant.set("/exchange/afxdp/require", json!("zerocopy"));
    let (code, log) = plant.start_in_vain();
    assert_eq!(code, 69, "{log}");
    assert!(
        log.contains("af_xdp zero-copy: ") && log.contains("os error 95"),
        "{log}"
    );
}

fn long_packet(session: Session, first: u64, last: u64) -> Vec<u8> {
    let mut builder = PacketBuilder::new(session, 4_000);
    builder.begin(first);
    for sequence in first..=last {
        assert!(builder.push(&sequence.to_be_bytes()), "the packet has room");
    }
    builder.finish().to_vec()
}

const LIMIT: Duration = Duration::from_secs(60);

fn has_program(testbed: &Testbed) -> bool {
    let shown = testbed.command_rx("ip link show rx0").expect("ip link");
    shown.contains("xdp")
}

/// Somebody else's kernel socket on line A.
fn kernel_socket(testbed: &Testbed, plant: &Plant) -> UdpReceiver {
    let (group, port) = plant.group(0);
    testbed.in_rx(|| {
        let line = LineConfig {
            line: 0,
            group,
            port,
            interface: find_interface(RX_INTERFACE).expect("the receiving end"),
            source: None,
        };
        UdpReceiver::open(&line, &SocketConfig::default()).expect("a kernel socket")
    })
}

/// Datagrams at the socket: waits for `expected`, then takes what else is there.
fn taken(socket: &mut UdpReceiver, expected: usize) -> usize {
    let (deadline, mut count) = (Instant::now() + LIMIT, 0);
    while count < expected && Instant::now() < deadline {
        count += socket.receive(&mut |_| {}).expect("received");
    }
    count + socket.receive(&mut |_| {}).expect("received")
}
