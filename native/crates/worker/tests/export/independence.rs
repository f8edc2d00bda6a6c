//! Who does not wait for whom: the writer for no collector (W21), those inside for nobody at the door
//! (X1). What it costs in time is in `tickdeck-bench export`.

use std::io::{ErrorKind, Read as _};
use std::time::Duration;

use rustix::process::geteuid;
use serde_json::json;
use tickdeck_export::message::Start;
use tickdeck_journal::read_pins;
use tickdeck_testbed::skip;

use crate::peer::{Copy, Peer, Said, Socket as _, dial};
use crate::plant::{Exporter, Plant, wait_until};
use crate::tracer::Tracer;

/// More than the sockets between exporter and collector hold.
const ROUNDS: u64 = 60;
const RECORDS: u64 = 500;
const BYTES: usize = 400;

/// System calls of this thread that read and write, and bytes written. (Bytes read would be those of
/// this file too, which grows with its numbers.)
fn work() -> Vec<u64> {
    // One read, however long the numbers are: it is counted too.
    let mut bytes = [0; 1_024];
    let mut file = std::fs::File::open("/proc/thread-self/io").expect("opens");
    let length = file.read(&mut bytes).expect("reads");
    let text = String::from_utf8_lossy(&bytes[..length]);
    let value = |line: &str| line.rsplit_once(' ').and_then(|(_, it)| it.parse().ok());
    ["wchar", "syscr", "syscw"]
        .iter()
        .map(|name| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(value).expect("a number")
        })
        .collect()
}

/// What the writer does for so many records.
fn write(plant: &mut Plant) -> Vec<u64> {
    let before = work();
    for _ in 0..ROUNDS {
        plant.append(RECORDS, BYTES);
    }
    let after = work();
    after.iter().zip(before).map(|(b, a)| b - a).collect()
}

/// The collector that everything is retained for, connected, and not reading.
fn dead_collector(plant: &Plant) -> (Exporter, Peer) {
    // However long the machine takes, it is not thrown out.
    let exporter = plant.export_on_unix(json!({
        "heartbeat_timeout_ms": 600_000, "write_timeout_ms": 600_000, "subscribers": [
        {"id": "a", "slow_policy": "retain", "retain_max_bytes": 0, "retain_max_age_s": 0,
         "allow_written": false, "max_connections": 1}]}));
    let mut peer = Peer::on_unix(&plant.path("socket"));
    assert!(matches!(peer.prove(Some("a")), Said::AuthOk(_)));
    let said = peer.subscribe(Start::Live, &Copy::default());
    assert!(matches!(said, Said::SubOk(_)), "{said:?}");
    wait_until("the log is kept for it", || {
        !read_pins(plant.journal()).expect("reads").is_empty()
    });
    (exporter, peer)
}

/// W21: the writer does the same, call for call and byte for byte, whether there is no exporter, one
/// whose collector takes nothing, or one that does not run at all.
#[test]
fn a_dead_collector_is_nothing_to_the_writer() {
    // What a process reads once only, it has read in the first of them.
    let [_, alone] = [(); 2].map(|()| {
        let mut plant = Plant::with_segments(1 << 20);
        plant.append(10, BYTES);
        write(&mut plant)
    });
    let bytes = ROUNDS * RECORDS * BYTES as u64;
    assert!(alone[0] > bytes && alone[2] >= ROUNDS, "{alone:?}");
    for is_stopped in [false, true] {
        let mut plant = Plant::with_segments(1 << 20);
        plant.append(10, BYTES);
        let (exporter, _peer) = dead_collector(&plant);
        if is_stopped {
            exporter.signal("STOP");
        }
        assert_eq!(write(&mut plant), alone, "stopped: {is_stopped}");
        if is_stopped {
            exporter.signal("CONT");
        }
        // It was there, and what it did not take waits in the log.
        wait_until("it is far behind", || {
            exporter.stat("tcp_export_lag_records") == ROUNDS * RECORDS
        });
        assert_eq!(exporter.stat("tcp_export_active_subscribers"), 1);
    }
}

/// X1: the thread at the door stands still in a system call, and those inside get every record.
#[test]
fn a_door_that_stands_still_holds_nobody_inside() {
    let name = "a_door_that_stands_still_holds_nobody_inside";
    if !geteuid().is_root() {
        return skip(name, "it needs root to trace");
    }
    let mut plant = Plant::new();
    plant.append(100, 40);
    let (exporter, port) = plant.export_on_tcp(json!({}));
    let mut peer = Peer::on_tcp(port, 0x0C01);
    let mut copy = Copy::default();
    assert!(matches!(peer.resume(Some("a"), &mut copy), Said::SubOk(_)));
    let tracer = Tracer::on(exporter.pid(), "door", "accept4", "delay_enter=600000000");
    let mut stranger = dial(port, 0x0C02).expect("connects");
    for _ in 0..200 {
        plant.append(20, 100);
        peer.follow_to(plant.durable(), &mut copy);
    }
    assert_eq!((copy.end, copy.again, copy.gaps.len()), (4_100, 0, 0));
    // All the while nobody was let in.
    stranger.set_nonblocking(true).expect("sets");
    let error = stranger.read(&mut [0]).expect_err("nothing is said");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    drop(tracer);
    stranger.set_nonblocking(false).expect("sets");
    stranger.set_patience(Duration::from_secs(20));
    assert_eq!(stranger.read(&mut [0]).expect("a HELLO"), 1);
}
