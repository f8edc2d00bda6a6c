//! A log of very many segments costs those who are served nothing: counted, not timed.

use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
use serde_json::json;
use tickdeck_export::message::{Guarantee, Start, Subscribe};

use crate::peer::{Copy, Peer, Said};
use crate::plant::{PATIENCE, Plant, wait_until};

const SEGMENTS: u64 = 2_000;

/// Every file of a directory that anybody opens, as the kernel tells it.
struct Opens(OwnedFd);

impl Opens {
    fn watch(dir: &Path) -> Self {
        let queue = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).expect("inotify");
        add_watch(&queue, dir, WatchFlags::OPEN).expect("watches");
        Self(queue)
    }

    /// How many of them were segments since it was asked last.
    fn segments(&self) -> u64 {
        let mut count = 0;
        let mut buffer = [MaybeUninit::uninit(); 64 * 1024];
        let mut events = Reader::new(&self.0, &mut buffer);
        loop {
            let event = match events.next() {
                Ok(event) => event,
                Err(rustix::io::Errno::AGAIN) => return count,
                Err(error) => panic!("{error}"),
            };
            let lost = event.events().contains(ReadFlags::QUEUE_OVERFLOW);
            assert!(!lost, "more opens than the kernel remembers");
            // Without a name it is the directory, which its writer syncs.
            if let Some(name) = event.file_name() {
                let name = Path::new(OsStr::from_bytes(name.to_bytes()));
                count += u64::from(name.extension().is_some_and(|it| it == "seg"));
            }
        }
    }
}

/// Two thousand segments, and everything that looks at the log: one that skips again and again with
/// a full window, one that takes its time to subscribe, one that follows. Segments are opened as they
/// come, and the log is never gone through.
#[test]
fn thousands_of_segments_are_not_gone_through() {
    let mut plant = Plant::with_segments(16 * 1024);
    plant.append(SEGMENTS, 14_000);
    let exporter = plant.export_on_unix(json!({
        "slow_policy": "skip_to_live", "backpressure_on_full": false,
    }));
    let socket = plant.path("socket");
    let mut follower = Peer::on_unix(&socket);
    let mut copy = Copy {
        first: 1,
        end: plant.durable(),
        ..Copy::default()
    };
    assert!(matches!(follower.resume(None, &mut copy), Said::SubOk(_)));
    let mut skipper = Peer::on_unix(&socket);
    assert!(matches!(skipper.prove(None), Said::AuthOk(_)));
    let said = skipper.ask(Subscribe {
        start: Start::Live,
        guarantee: Guarantee::Durable,
        window_bytes: 1,
        epoch: 0,
        log_id: [0; 16],
    });
    assert!(matches!(said, Said::SubOk(_)), "{said:?}");
    let mut silent = Peer::on_unix(&socket);
    assert!(matches!(silent.prove(None), Said::AuthOk(_)));

    let opens = Opens::watch(&plant.journal());
    let looks = exporter.stat("tcp_export_looks_total");
    let (begun, before) = (Instant::now(), plant.durable());
    // A look stats each of the thousands: on a busy machine ten take longer.
    let has_looked = || exporter.stat("tcp_export_looks_total") > looks + 10;
    let new = |plant: &Plant| plant.durable() - before;
    let mut opened = 0;
    while begun.elapsed() < Duration::from_millis(1_500) || !has_looked() || new(&plant) <= 20 {
        assert!(begun.elapsed() < PATIENCE, "no looks");
        plant.append(1, 14_000);
        follower.follow_to(plant.durable(), &mut copy);
        opened += opens.segments();
    }
    let took = begun.elapsed();
    let new = new(&plant);
    wait_until("it has skipped", || {
        exporter.stat("tcp_export_dropped_total") > 10
    });
    // Each new one by the look, by who follows, and by who skips to it.
    assert!(opened <= 12 * new, "{opened} opened for {new} new ones");
    let looks = exporter.stat("tcp_export_looks_total") - looks;
    let most = took.as_secs_f64() * 50.0 + 5.0;
    assert!(looks as f64 <= most, "{looks} looks in {took:?}");
}
