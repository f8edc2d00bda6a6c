//! S02, S03: one good subscriber among fifteen bad ones. What is asserted is structure (nothing is
//! missing, nobody is silent for long, the bad ones are gone in time and with a reason, memory is
//! bounded); the figures come from `tickdeck-bench export`.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tickdeck_export::message::{Ack, Message, Start};
use tickdeck_testbed::promised;

use crate::peer::{Copy, Peer, Said, dial};
use crate::plant::{PATIENCE, Plant};

const BAD: u16 = 15;
/// Those who never read, and those who read five bytes a second (X11).
const SLOW: [&str; 6] = [
    "client-3", "client-4", "client-5", "client-6", "client-7", "client-8",
];
const SOFT_BYTES: u64 = 1 << 20;
const SOFT: Duration = Duration::from_millis(1_000);
/// Longest time without a word for the good one: a heartbeat comes each 200 ms.
const SILENCE: Duration = Duration::from_secs(2);
const RUN: Duration = Duration::from_secs(4);
/// Records that the good one may be behind before the journal waits for it: half of what is too many.
const BEHIND: u64 = SOFT_BYTES / 2 / 224;

fn settings() -> Value {
    json!({"lag_soft_bytes": SOFT_BYTES, "lag_soft_ms": 1_000, "lag_hard_bytes": 256 << 20,
           "lag_hard_ms": 30_000, "heartbeat_ms": 200, "heartbeat_timeout_ms": 5_000,
           "write_timeout_ms": 1_500, "max_subscribers": 32})
}

/// Follows from the end and acknowledges; its copy, and the longest silence.
fn good(port: u16, end: &AtomicU64, has: &AtomicU64) -> (Copy, Duration) {
    let mut peer = Peer::on_tcp(port, 0x0401);
    let mut copy = Copy::default();
    assert!(matches!(peer.prove(Some("a")), Said::AuthOk(_)));
    let said = peer.subscribe(Start::Live, &copy);
    copy.keep(&said);
    let (mut heard, mut longest, mut acked) = (Instant::now(), Duration::ZERO, copy.end);
    while end.load(Ordering::Acquire) == 0 || copy.end < end.load(Ordering::Acquire) {
        let said = peer.next();
        longest = longest.max(heard.elapsed());
        heard = Instant::now();
        assert!(
            !matches!(said, Said::End | Said::Err(_) | Said::Goodbye(_)),
            "{said:?}"
        );
        copy.keep(&said);
        has.store(copy.end, Ordering::Release);
        if copy.end > acked + 100 || matches!(said, Said::Heartbeat(_)) {
            acked = copy.end;
            peer.ack(acked);
        }
    }
    (copy, longest)
}

/// A subscriber of one of the bad kinds, until it is told to stop or was thrown out.
fn bad(kind: u16, port: u16, over: &AtomicBool) {
    let host = 0x0500 + kind;
    if kind < 3 {
        return drip(port, host, over);
    }
    let name = format!("client-{kind}");
    let mut peer = Peer::on_tcp(port, host);
    assert!(matches!(peer.prove(Some(&name)), Said::AuthOk(_)));
    assert!(matches!(
        peer.subscribe(Start::Live, &Copy::default()),
        Said::SubOk(_)
    ));
    let place = || Message::Ack(Ack { seq: 1 }).to_frame();
    match kind {
        // Never read a byte.
        3..=6 => hold(over),
        // A byte now and then.
        7 | 8 => {
            peer.socket.set_patience(Duration::from_millis(200));
            let mut byte = [0];
            while !over.load(Ordering::Acquire) {
                if matches!(peer.socket.read(&mut byte), Ok(0)) {
                    return;
                }
                thread::sleep(Duration::from_millis(200));
            }
        }
        // Come and go.
        9 => {
            drop(peer);
            for turn in 0..20 {
                let mut peer = Peer::on_tcp(port, 0x0600 + turn);
                let said = peer.resume(Some(&name), &mut Copy::default());
                assert!(!matches!(said, Said::Gap(_)));
            }
        }
        10 | 11 => write_all(&mut peer, &[0xA5; 4_096]),
        // Acknowledge nothing, very often.
        12 => {
            let flood: Vec<u8> = place().repeat(500);
            write_all(&mut peer, &flood);
        }
        13 => write_all(
            &mut peer,
            &Message::Ack(Ack { seq: u64::MAX - 1 }).to_frame(),
        ),
        _ => {
            let socket = dial(port, host + 0x0100).expect("connects");
            let mut half = Peer::over(socket.try_clone().expect("clones"));
            let said = half.prove(Some("client-30"));
            assert!(matches!(said, Said::AuthOk(_)), "{said:?}");
            half.subscribe(Start::Live, &Copy::default());
            socket.shutdown(Shutdown::Write).expect("shuts");
            hold(over);
        }
    }
}

/// One byte of a proof at a time.
fn drip(port: u16, host: u16, over: &AtomicBool) {
    let mut socket = dial(port, host).expect("connects");
    for byte in [100u8, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0] {
        if over.load(Ordering::Acquire) || socket.write_all(&[byte]).is_err() {
            return;
        }
        thread::sleep(Duration::from_millis(400));
    }
}

fn hold(over: &AtomicBool) {
    while !over.load(Ordering::Acquire) {
        thread::sleep(Duration::from_millis(20));
    }
}

fn write_all(peer: &mut Peer, bytes: &[u8]) {
    // It may be thrown out on the way.
    if let Err(error) = peer.socket.write_all(bytes) {
        assert!(!error.to_string().is_empty());
    }
}

/// The good one gets everything at its time; the bad ones are gone, each for its reason, in bounded
/// time and memory.
#[test]
fn fifteen_bad_ones_disturb_nobody() {
    let mut plant = Plant::with_segments(4 << 20);
    plant.append(100, 40);
    let (mut exporter, port) = plant.export_on_tcp(settings());
    let (end, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let has = AtomicU64::new(plant.durable());
    let before = exporter.memory();
    thread::scope(|scope| {
        let _end = AtTheEnd(&over);
        let good = scope.spawn(|| good(port, &end, &has));
        for kind in 0..BAD {
            let over = &over;
            scope.spawn(move || bad(kind, port, over));
        }
        crate::plant::wait_until("the silent ones are in", || {
            let rows = exporter.rows();
            let is_in = |name: &str| rows.iter().any(|row| row["id"] == name);
            is_in("a") && SLOW.iter().all(|name| is_in(name))
        });
        let (begin, mut crossed, mut written, mut cut) = (Instant::now(), None, 0, None);
        let mut peak = 0;
        while begin.elapsed() < RUN || cut.is_none() {
            assert!(begin.elapsed() < PATIENCE, "the silent ones stay");
            plant.append(50, 200);
            // Some 4 MB/s: far more than a bad one may stay behind, and no more than the good one takes
            // on this machine.
            thread::sleep(Duration::from_micros(2_500));
            while plant.durable() > has.load(Ordering::Acquire) + BEHIND && !good.is_finished() {
                thread::sleep(Duration::from_millis(1));
            }
            written += 50 * 224;
            if written > SOFT_BYTES {
                crossed.get_or_insert_with(Instant::now);
            }
            if written % (20 * 50 * 224) == 0 {
                peak = peak.max(exporter.memory());
                if cut.is_none() && !exporter.rows().iter().any(is_silent_and_seated) {
                    cut = Some(Instant::now());
                }
            }
        }
        end.store(plant.durable(), Ordering::Release);
        let (copy, longest) = good.join().expect("is served");
        over.store(true, Ordering::Release);
        assert_eq!(
            (copy.end, copy.again, copy.gaps.len()),
            (plant.durable(), 0, 0)
        );
        assert!(longest < promised(SILENCE), "silent for {longest:?}");
        let (crossed, cut) = (
            crossed.expect("much is written"),
            cut.expect("they are cut"),
        );
        let after = cut.saturating_duration_since(crossed);
        let most = promised(SOFT + Duration::from_secs(1));
        assert!(after < most, "cut after {after:?}");
        let grown = peak.saturating_sub(before);
        assert!(grown < u64::from(BAD + 1) * (4 << 20), "{grown} bytes more");
    });
    let rows = exporter.rows();
    for name in SLOW {
        let row = rows.iter().find(|row| row["id"] == name);
        let reason = row
            .and_then(|row| row["reason"].as_str())
            .unwrap_or("is not shown");
        assert!(
            reason.starts_with("slow: more than 1048576 bytes"),
            "{name} {reason}"
        );
    }
    assert!(exporter.stat("tcp_export_violations_total") >= 4);
    assert_eq!(exporter.stat("tcp_export_dropped_total"), 0);
}

/// Lets the bad ones go, whatever happens.
struct AtTheEnd<'a>(&'a AtomicBool);

impl Drop for AtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn is_silent_and_seated(row: &Value) -> bool {
    row["reason"] == "" && SLOW.iter().any(|name| row["id"] == *name)
}
