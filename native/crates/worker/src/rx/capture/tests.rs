use std::path::Path;
use std::time::{Duration, Instant};

use tickdeck_net::Stamp;
use tickdeck_stats::{Builder, Identity, reader};

use super::cutter::{Cut, CutError};
use super::files::Occasion;
use super::plan::Span;
use super::*;
use crate::capture::{Reader, Skip};
use crate::spec::Kind;

const EVERYTHING: Span = Span {
    from_ns: 0,
    to_ns: u64::MAX,
};
const NOW_NS: u64 = 1_700_000_000_000_000_000;

/// A tap and its capture thread in a directory, with the reader of the thread's metrics.
struct Bench {
    directory: tempfile::TempDir,
    tap: Tap,
    thread: CaptureThread,
    orders: SyncSender<CutOrder>,
    stats: reader::Reader,
}

impl Bench {
    fn new(change: impl Fn(&mut spec::Exchange)) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let dir = directory.path();
        let mut spec = spec_in(dir);
        change(&mut spec.exchange);
        let mut builder = Builder::new(Identity {
            worker_id: "X-rx".to_owned(),
            resource: "X".to_owned(),
            build_id: "0".to_owned(),
            incarnation: [1; 16],
            generation: 1,
        });
        let metrics = CaptureMetrics::new(&mut builder);
        let file = builder.create(dir).expect("stats file");
        let stats = reader::Reader::open(file.path()).expect("readable");
        let (orders, ends) = link(&spec.exchange.capture).expect("is enabled");
        let (tap, thread) = open(&spec, Some(ends), metrics).expect("opens");
        Self {
            tap: tap.expect("is enabled"),
            thread: thread.expect("is enabled"),
            directory,
            orders,
            stats,
        }
    }

    fn cut(&mut self, span: Span) -> Result<Cut, CutError> {
        self.thread
            .cutter
            .cut(span, Occasion::Order, "a test", NOW_NS)
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.directory.path().join("captures"))
            .expect("lists")
            .map(|entry| {
                entry
                    .expect("lists")
                    .file_name()
                    .into_string()
                    .expect("UTF-8")
            })
            .collect();
        names.sort();
        names
    }
}

/// The spec of the spec's own tests with a capture of a few dozen packets.
fn spec_in(dir: &Path) -> Spec {
    let text = spec::WHOLE
        .replace(
            "\"runtime_dir\":\"/r\"",
            &format!("\"runtime_dir\":{dir:?}"),
        )
        .replace(
            "\"data_dir\":\"/c\"",
            &format!("\"data_dir\":{:?}", dir.join("captures")),
        )
        .replace("\"ring_bytes\":1048576", "\"ring_bytes\":65536")
        .replace("\"max_packet_bytes\":2048", "\"max_packet_bytes\":100")
        .replace("\"enabled\":false", "\"enabled\":true");
    let path = dir.join("spec.json");
    fs::write(&path, text).expect("writes");
    Spec::load(&path, Kind::Rx).expect("a valid spec")
}

fn datagram(payload: &[u8], rx_ns: u64) -> Datagram<'_> {
    Datagram {
        line: 0,
        payload,
        rx_ns,
        stamp: Stamp::Kernel,
        truncated: false,
        source: "192.168.7.9:65535".parse().expect("an address"),
    }
}

fn gap(id: u64, opened_ns: u64) -> Gap {
    Gap {
        id,
        first: 5,
        last: 6,
        opened_ns,
    }
}

/// What was received on both lines comes out of a cut as it came: payloads, times, addresses of both
/// ends; a truncated datagram is told as such.
#[test]
fn a_cut_holds_what_was_received() {
    let mut bench = Bench::new(|_| {});
    let long = [7; 100];
    bench.tap.record(&datagram(b"first", NOW_NS + 1));
    bench.tap.record(&Datagram {
        line: 1,
        ..datagram(b"", NOW_NS)
    });
    bench.tap.record(&Datagram {
        line: 1,
        truncated: true,
        ..datagram(&long, NOW_NS + 2)
    });
    bench.tap.record(&Datagram {
        stamp: Stamp::User,
        ..datagram(&long, NOW_NS + 3)
    });
    let cut = bench.cut(EVERYTHING).expect("a file");
    assert_eq!((cut.packets, cut.lapped, bench.tap.packets()), (4, 0, 4));
    assert_eq!((cut.first_ns, cut.last_ns), (NOW_NS, NOW_NS + 3));
    assert_eq!(cut.bytes, fs::metadata(&cut.path).expect("a file").len());
    let mut reader = Reader::open(&cut.path).expect("a capture");
    let (a, b) = ("239.1.1.1:1", "239.1.1.2:2");
    for (at_ns, destination, payload) in [
        (NOW_NS + 1, a, Some(&b"first"[..])),
        (NOW_NS, b, Some(&b""[..])),
        (NOW_NS + 2, b, None),
        (NOW_NS + 3, a, Some(&long[..])),
    ] {
        let frame = reader.next_frame().expect("whole").expect("a frame");
        assert_eq!(frame.at_ns, at_ns);
        match payload {
            None => assert_eq!(frame.datagram, Err(Skip::Truncated)),
            Some(payload) => {
                let found = frame.datagram.expect("a datagram");
                assert_eq!(found.source.to_string(), "192.168.7.9:65535");
                assert_eq!(found.destination.to_string(), destination);
                assert_eq!(found.payload, payload);
            }
        }
    }
    assert!(reader.next_frame().expect("whole").is_none());
}

/// The address of an IPv6 sender comes back, and its datagram whole up to the longest.
#[test]
fn a_sender_of_ipv6_is_kept() {
    let mut bench = Bench::new(|_| {});
    let sent = Datagram {
        source: "[fd77::9]:4000".parse().expect("an address"),
        ..datagram(&[7; 100], NOW_NS)
    };
    bench.tap.record(&sent);
    let mut slot = vec![0; 200];
    let path = bench.directory.path().join(RING);
    let ring = tickdeck_ring::Reader::open(&path).expect("the ring");
    let tickdeck_ring::Read::Record { header, len } = ring.read(1, &mut slot) else {
        panic!("the record is there");
    };
    assert_eq!(opened(&header, &slot[..len]), (sent.source, sent.payload));
}

/// Only packets of the span are cut, both ends included; when there are none, the answer says what
/// the ring holds and no file is left.
#[test]
fn a_span_is_cut() {
    let mut bench = Bench::new(|_| {});
    let error = bench.cut(EVERYTHING).expect_err("nothing came");
    assert!(error.to_string().contains("it is empty"), "{error}");
    for rx_ns in 10..20 {
        bench.tap.record(&datagram(b"x", rx_ns));
    }
    let span = |from_ns, to_ns| Span { from_ns, to_ns };
    let cut = bench.cut(span(13, 15)).expect("a file");
    assert_eq!((cut.packets, cut.first_ns, cut.last_ns), (3, 13, 15));
    let error = bench.cut(span(20, 90)).expect_err("nothing then");
    assert!(
        error
            .to_string()
            .contains("it holds 10 packets, received 10 to 19"),
        "{error}"
    );
    assert_eq!(bench.files(), ["X-cut-20231114T221320.000000000Z.pcapng"]);
}

/// The ring keeps the newest packets; what it has lost before a cut began is no loss of that cut.
#[test]
fn the_newest_packets_stay() {
    let mut bench = Bench::new(|_| {});
    // Slots of 104 bytes and 40 of their own, on cache lines: 192; 319 fit, so 256 are made.
    for rx_ns in 1..=1_000 {
        bench.tap.record(&datagram(&[1; 100], rx_ns));
    }
    let cut = bench.cut(EVERYTHING).expect("a file");
    assert_eq!((cut.packets, cut.lapped), (256, 0));
    assert_eq!((cut.first_ns, cut.last_ns), (745, 1_000));
}

/// A gap is cut when the thread ends at the latest, gaps of the same second are only counted, and
/// so are those that the queue had no room for.
#[test]
fn gaps_are_cut() {
    let mut bench = Bench::new(|exchange| exchange.capture.max_files = 5);
    bench.tap.record(&datagram(b"x", utc_of(0)));
    let now_ns = tickdeck_net::clock::monotonic_ns();
    bench.tap.record(&datagram(b"x", utc_of(now_ns)));
    for id in 0..GAPS as u64 + 3 {
        bench.tap.gap(&gap(id, now_ns));
    }
    let dir = bench.directory.path().join("captures");
    bench.thread.run(&true.into());
    let value = |name| bench.stats.value(name, "").expect("a metric");
    assert_eq!(value("capture_cuts_total"), 1);
    assert_eq!(value("capture_cuts_skipped_total"), GAPS as u64 + 2);
    let entry = fs::read_dir(dir).expect("lists").next().expect("a file");
    let name = entry.expect("lists").file_name();
    assert!(name.to_string_lossy().starts_with("X-gap-0-"), "{name:?}");
}

/// A directory that cannot be written fails the cut with its name, is counted, and the next one
/// works when it can be.
#[test]
fn an_unwritable_directory_is_told() {
    let mut bench = Bench::new(|_| {});
    bench.tap.record(&datagram(b"x", 1));
    let place = bench.directory.path().join("captures");
    fs::write(&place, b"in the way").expect("writes");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let Bench {
        orders,
        thread,
        stats,
        ..
    } = bench;
    let order = || {
        let (reply, answer) = mpsc::sync_channel(1);
        let order = CutOrder {
            span: EVERYTHING,
            reason: String::new(),
            reply,
        };
        orders.send(order).expect("is taken");
        answer
            .recv_timeout(Duration::from_secs(10))
            .expect("an answer")
    };
    std::thread::scope(|scope| {
        scope.spawn(|| thread.run(&stop));
        let error = order().expect_err("no directory");
        assert!(error.to_string().contains("captures"), "{error}");
        fs::remove_file(&place).expect("removes");
        let cut = order();
        stop.store(true, Ordering::Release);
        assert_eq!(cut.expect("a file").packets, 1);
    });
    assert_eq!(stats.value("capture_cut_errors_total", ""), Some(1));
    assert_eq!(stats.value("capture_cuts_total", ""), Some(1));
}

/// A ring too small for a packet is refused; without a capture a ring of before goes.
#[test]
fn the_ring_follows_the_settings() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let mut spec = spec_in(directory.path());
    spec.exchange.capture.ring_bytes = 4_200;
    let metrics = || {
        CaptureMetrics::new(&mut Builder::new(Identity {
            worker_id: String::new(),
            resource: String::new(),
            build_id: String::new(),
            incarnation: [1; 16],
            generation: 1,
        }))
    };
    let ends = link(&spec.exchange.capture).map(|(_, ends)| ends);
    let failure = open(&spec, ends, metrics()).err().expect("too small");
    assert_eq!(failure.code, Code::Config);
    assert!(
        failure.message.contains("capture.ring_bytes 4200"),
        "{failure}"
    );
    let old = directory.path().join(RING);
    fs::write(&old, b"old").expect("writes");
    spec.exchange.capture.enabled = false;
    assert!(link(&spec.exchange.capture).is_none());
    for _ in 0..2 {
        let (tap, thread) = open(&spec, None, metrics()).expect("opens");
        assert!(tap.is_none() && thread.is_none());
        assert!(!old.exists());
    }
}

/// Prints what a packet costs; run it with `--release -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a check"]
fn cost_of_a_record() {
    for (ring_bytes, length) in [(1 << 20, 100), (64 << 20, 100), (64 << 20, 1400)] {
        let mut bench = Bench::new(|exchange| {
            exchange.capture.ring_bytes = ring_bytes;
            exchange.receive.max_packet_bytes = 2048;
        });
        let payload = vec![7; length];
        let datagram = datagram(&payload, NOW_NS);
        let begin = Instant::now();
        for _ in 0..PACKETS {
            bench.tap.record(std::hint::black_box(&datagram));
        }
        let ns = begin.elapsed().as_nanos() as f64 / f64::from(PACKETS);
        println!(
            "ring of {} KiB, payload of {length} bytes: {ns:.1} ns",
            ring_bytes >> 10
        );
    }
}

const PACKETS: u32 = 5_000_000;
