//! S04: a flood at the door. Those inside do not notice.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tickdeck_testbed::promised;

use crate::peer::{Copy, Peer, Said, dial};
use crate::plant::Plant;

const CONNECTS: u32 = 5_000;
const SILENT: u16 = 200;

/// Five thousand connects and two hundred that say nothing: never more than 32 before their proof,
/// each gone within three seconds, and the stream that is there goes on.
#[test]
fn a_flood_stays_outside() {
    let begin = Instant::now();
    let mut plant = Plant::new();
    plant.append(100, 40);
    let (exporter, port) = plant.export_on_tcp(json!({"heartbeat_ms": 200}));
    let mut peer = Peer::on_tcp(port, 0x0801);
    let mut copy = Copy::default();
    assert!(matches!(peer.resume(Some("a"), &mut copy), Said::SubOk(_)));
    peer.follow_to(100, &mut copy);
    let (over, most) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let silent = scope.spawn(move || stay_silent(port));
        let flood = scope.spawn(move || {
            for n in 0..CONNECTS {
                drop(dial(port, 0x0A00 + (n % 250) as u16).expect("connects"));
            }
        });
        let watch = scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                most.fetch_max(exporter.stat("tcp_export_preauth"), Ordering::AcqRel);
                thread::sleep(Duration::from_millis(1));
            }
        });
        let mut longest = Duration::ZERO;
        while !(flood.is_finished() && silent.is_finished()) {
            plant.append(20, 100);
            let asked = Instant::now();
            peer.follow_to(plant.durable(), &mut copy);
            longest = longest.max(asked.elapsed());
        }
        flood.join().expect("floods");
        let lasted = silent.join().expect("is thrown out");
        over.store(true, Ordering::Release);
        watch.join().expect("watches");
        assert!(
            longest < promised(Duration::from_secs(1)),
            "a record took {longest:?}"
        );
        assert!(
            lasted < promised(Duration::from_secs(5)),
            "the last one left after {lasted:?}"
        );
    });
    assert_eq!(copy.gaps, []);
    let most = most.into_inner();
    assert!((1..=32).contains(&most), "{most} before their proof");
    assert!(exporter.stat("tcp_export_subscriber_rejected_total") >= 4_000);
    let audit = exporter.log_text();
    let lines = audit
        .lines()
        .filter(|line| line.contains("\"source\":\"door\""))
        .count();
    let seconds = begin.elapsed().as_secs() as usize;
    assert!(
        lines <= 10 * (seconds + 2),
        "{lines} audit lines in {seconds} s"
    );
}

/// Connects and says nothing; how long it took until the last one was thrown out.
fn stay_silent(port: u16) -> Duration {
    let sockets: Vec<_> = (0..SILENT)
        .map(|n| dial(port, 0x0900 + n).expect("connects"))
        .collect();
    let begin = Instant::now();
    for mut socket in sockets {
        let left = Duration::from_secs(70).saturating_sub(begin.elapsed());
        let patience = left.max(Duration::from_millis(1));
        socket.set_read_timeout(Some(patience)).expect("sets");
        // HELLO, maybe BUSY, then the end.
        let mut bytes = Vec::new();
        if let Err(error) = socket.read_to_end(&mut bytes) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
    begin.elapsed()
}
