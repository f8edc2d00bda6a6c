//! A running worker with a slow, a hanging and a full journal device (R11, R12, R13): receiving
//! never waits for the journal.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tickdeck_journal::verify;
use tickdeck_testbed::promised;

use crate::devices::{SlowDisk, SmallDisk, Tracer, is_privileged};
use crate::plant::{Entry, Plant, Worker};

/// Codes of `journal_state`.
const OK: u64 = 0;
const SLOW: u64 = 1;
const HUNG: u64 = 2;
const FULL: u64 = 4;

/// Each packet has so many messages.
const MESSAGES: u64 = 20;
/// Slots of a ring that a slow journal is soon behind by.
const SMALL_RING: u64 = 256;
/// So many packets are sent before the worker is waited for.
const BURST: u64 = 32;
/// No good device takes as long for what a small ring holds.
const SLOW_SYNC_NS: u64 = 50_000_000;

/// The venue's feed to one worker, on both lines.
struct Feed<'a> {
    plant: &'a Plant,
    worker: &'a Worker,
    packets: u64,
    /// The most records that were in the ring and not in the journal after a burst.
    most_behind: u64,
}

impl<'a> Feed<'a> {
    fn new(plant: &'a Plant, worker: &'a Worker) -> Self {
        let (packets, most_behind) = (0, 0);
        Self {
            plant,
            worker,
            packets,
            most_behind,
        }
    }

    /// Sends a burst and waits until it is in the ring.
    fn burst(&mut self) {
        for _ in 0..BURST {
            let first = self.packets * MESSAGES + 1;
            self.plant.send_both(first, first + MESSAGES - 1);
            self.packets += 1;
        }
        let next = self.packets * MESSAGES + 1;
        self.worker.wait_for("arbiter_next_sequence", "", next);
        let appended = self.value("journal_appended_seq");
        let behind = (self.value("ring_next_seq") - 1).saturating_sub(appended);
        self.most_behind = self.most_behind.max(behind);
    }

    fn bursts(&mut self, count: u64) {
        (0..count).for_each(|_| self.burst());
    }

    fn value(&self, name: &str) -> u64 {
        self.worker.value(name, "")
    }

    /// The longest sync until now.
    fn longest_sync_ns(&self) -> u64 {
        let histograms = self.worker.stats().histograms();
        let syncs = histograms.iter().find(|it| it.name == "journal_sync_ns");
        syncs.expect("is there").max
    }

    /// Waits until all that is in the ring is durable.
    fn wait_for_durable(&self) {
        let last_seq = self.value("ring_next_seq") - 1;
        let is_there = |durable| durable >= last_seq;
        self.worker.wait_until("journal_durable_seq", "", is_there);
    }

    /// Every packet was received on both lines and nothing was dropped on the way to the ring.
    fn assert_all_received(&self) {
        for line in ["line=A", "line=B"] {
            let value = |name: &str| self.worker.value(name, line);
            assert_eq!(value("rx_packets_total"), self.packets, "{line}");
            assert_eq!(value("rx_kernel_drops_total"), 0, "{line}");
        }
        let delivered = self.value("arbiter_delivered_total");
        assert_eq!(delivered, self.packets * MESSAGES);
        for name in ["arbiter_hold_dropped_total", "ring_oversize_total"] {
            assert_eq!(self.value(name), 0, "{name}");
        }
    }

    /// The journal has missed nothing.
    fn assert_no_hole(&self) {
        for name in [
            "journal_overrun_total",
            "journal_holes_total",
            "journal_hole_records_total",
            "journal_acked_loss_total",
        ] {
            assert_eq!(self.value(name), 0, "{name}");
        }
    }
}

fn assert_whole(plant: &Plant) {
    let report = verify(plant.path("journal"), &mut |_| {}).expect("verifies");
    assert_eq!(report.problems, []);
}

/// Every sync takes half a second: the journal falls behind and says SLOW, receiving does not, and in the
/// end all of it is journalled.
#[test]
fn a_slow_disk_slows_only_the_journal() {
    if !is_privileged("a_slow_disk_slows_only_the_journal") {
        return;
    }
    let mut plant = Plant::new();
    let worker = plant.start();
    let tracer = Tracer::tamper(worker.pid(), "delay_enter=500000");
    let mut feed = Feed::new(&plant, &worker);
    // Fewer records than the ring has slots.
    feed.bursts(100);
    assert!(feed.most_behind > 2 * BURST, "{}", feed.most_behind);
    worker.wait_for("journal_state", "", SLOW);
    feed.wait_for_durable();
    feed.assert_all_received();
    feed.assert_no_hole();
    let packets = feed.packets;
    worker.stop();
    drop(tracer);
    assert_eq!(plant.journalled_messages(), packets * MESSAGES);
    assert_whole(&plant);
}

/// The same with a ring that is too small for it: the ring overtakes the journal, receiving loses
/// nothing all the same, and holes tell exactly the records that the journal has missed.
#[test]
fn a_slow_disk_behind_a_small_ring_leaves_exact_holes() {
    if !is_privileged("a_slow_disk_behind_a_small_ring_leaves_exact_holes") {
        return;
    }
    let mut plant = Plant::new();
    plant.set("/exchange/ring/slot_count", json!(SMALL_RING));
    let worker = plant.start();
    let tracer = Tracer::tamper(worker.pid(), "delay_enter=500000");
    let told = overrun(&plant, worker, || drop(tracer));
    assert_eq!(told["log_id"].as_str().map(str::len), Some(32));
}

/// R12 by the device (blkio throttle of cgroup v1 on a loop device): it takes a tenth of the goal's
/// 1 MB/s, so that the feed of a busy machine is faster than it, too.
#[test]
fn a_throttled_disk_slows_only_the_journal() {
    let name = "a_throttled_disk_slows_only_the_journal";
    if !is_privileged(name) {
        return;
    }
    let mut plant = Plant::new();
    plant.set("/exchange/ring/slot_count", json!(SMALL_RING));
    let Some(disk) = SlowDisk::mount(name, plant.path("journal"), &plant.path("image")) else {
        return;
    };
    let worker = plant.start();
    disk.throttle(worker.pid(), 100_000);
    overrun(&plant, worker, || disk.release());
}

/// Sends until the ring has overtaken the journal, lets the device go, and looks at what is left: RX
/// has dropped nothing, and each record that the journal missed is in a hole that is counted and told. Returns what was told.
fn overrun(plant: &Plant, worker: Worker, let_go: impl FnOnce()) -> Value {
    let mut feed = Feed::new(plant, &worker);
    let begun = Instant::now();
    // A small ring is overtaken beside a good disk too: it must be a bad one.
    while feed.value("journal_overrun_total") == 0 || feed.longest_sync_ns() < SLOW_SYNC_NS {
        feed.burst();
        let elapsed = begun.elapsed();
        assert!(elapsed < Duration::from_secs(60), "no overrun, or fast");
    }
    let_go();
    feed.wait_for_durable();
    feed.assert_all_received();
    let packets = feed.packets;
    let overrun = feed.value("journal_overrun_total");
    let told = worker.call("journal.losses", &json!({}))["result"].clone();
    worker.stop();
    let (mut missed, mut journalled, mut holes) = (0, 0, vec![]);
    for entry in plant.journal() {
        match entry {
            Entry::Hole(from, to) => {
                missed += to - from + 1;
                holes.push(json!({"kind": "hole", "from": from, "to": to}));
            }
            Entry::Data(..) => journalled += 1,
            _ => {}
        }
    }
    assert_eq!(missed, overrun);
    assert_eq!(journalled + missed, packets);
    assert_eq!(told["losses"], Value::Array(holes));
    assert_whole(plant);
    told
}

/// One sync does not come back until it is let go: HUNG is shown within two, receiving goes on
/// meanwhile, and afterwards all is well and nothing is missing.
#[test]
fn a_hanging_disk_is_shown_and_survived() {
    if !is_privileged("a_hanging_disk_is_shown_and_survived") {
        return;
    }
    let mut plant = Plant::new();
    let worker = plant.start();
    let mut feed = Feed::new(&plant, &worker);
    feed.burst();
    feed.wait_for_durable();
    worker.wait_for("journal_state", "", OK);
    let tracer = Tracer::tamper(worker.pid(), "delay_enter=600000000:when=1");
    let begun = Instant::now();
    feed.burst();
    worker.wait_for("journal_state", "", HUNG);
    let shown_after = begun.elapsed();
    assert!(
        shown_after < promised(Duration::from_secs(3)),
        "{shown_after:?}"
    );
    let durable = feed.value("journal_durable_seq");
    feed.bursts(10);
    // All of that came in while the same sync was still hanging.
    assert_eq!(feed.value("journal_state"), HUNG);
    assert_eq!(feed.value("journal_durable_seq"), durable);
    feed.assert_all_received();
    // Ten seconds from here on, not from when the sync began: it was slow until now.
    let ended = Instant::now();
    drop(tracer);
    worker.wait_for("journal_state", "", SLOW);
    feed.burst();
    feed.wait_for_durable();
    worker.wait_for("journal_state", "", OK);
    let shown = ended.elapsed();
    assert!(shown > Duration::from_secs(9), "SLOW for {shown:?}");
    feed.assert_all_received();
    feed.assert_no_hole();
    let packets = feed.packets;
    worker.stop();
    assert_eq!(plant.journalled_messages(), packets * MESSAGES);
    assert_whole(&plant);
}

/// The journal's file system is full: FULL is shown, receiving goes on, and within five seconds of
/// the space the journal is well by itself, with all that was received meanwhile.
#[test]
fn a_full_disk_is_survived() {
    if !is_privileged("a_full_disk_is_survived") {
        return;
    }
    let mut plant = Plant::new();
    // Not longer than what one burst fills, so that the end of the space is met at once.
    plant.set("/exchange/journal/segment_size_bytes", json!(16_384));
    let disk = SmallDisk::mount(plant.path("journal"), "32m");
    let worker = plant.start();
    let mut feed = Feed::new(&plant, &worker);
    feed.burst();
    feed.wait_for_durable();
    disk.fill();
    feed.bursts(4);
    worker.wait_for("journal_state", "", FULL);
    feed.bursts(50);
    assert_eq!(feed.value("journal_state"), FULL);
    feed.assert_all_received();
    disk.make_room();
    let freed = Instant::now();
    worker.wait_for("journal_state", "", OK);
    let took = freed.elapsed();
    assert!(took < promised(Duration::from_secs(6)), "{took:?}");
    feed.burst();
    feed.wait_for_durable();
    feed.assert_all_received();
    feed.assert_no_hole();
    let packets = feed.packets;
    worker.stop();
    assert_eq!(plant.journalled_messages(), packets * MESSAGES);
    assert_whole(&plant);
    assert!(disk.path().join("STATE").exists(), "it was on that disk");
}
