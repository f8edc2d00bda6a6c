//! R12, the figure: what a journal whose syncs take 200 ms costs from the receiver to the books.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::devices::{Tracer, is_privileged};
use crate::flow::Flow;
use crate::live::LiveReceiver;
use crate::worker::Worker;

/// Messages in a packet, and the time between two packets.
const MESSAGES: u64 = 20;
const PACE: Duration = Duration::from_micros(500);

/// Rounds of both by turns; the p99 of each as the stats file has it, minimum, median and maximum. A
/// measurement: it fails only when something is lost.
#[test]
#[ignore = "a measurement: native/soak.sh slow-journal"]
fn a_slow_journal_beside_the_books() {
    if !is_privileged("a_slow_journal_beside_the_books") {
        return;
    }
    let rounds = std::env::var("TICKDECK_LATENCY_ROUNDS").ok();
    let rounds: usize = rounds.map_or(5, |text| text.parse().expect("a number"));
    let flow = Flow::new(60_000);
    let mut p99_ns = [vec![], vec![]];
    for round in 0..rounds {
        for turn in 0..2 {
            let is_slow = (round + turn) % 2 == 1;
            p99_ns[usize::from(is_slow)].push(measure(&flow, is_slow));
        }
    }
    let [plain, slow] = p99_ns.map(|mut values| {
        values.sort_unstable();
        [
            values[0],
            values[values.len() / 2],
            values[values.len() - 1],
        ]
    });
    let change = slow[1] as f64 / plain[1] as f64 - 1.0;
    let figures = json!({
        "rounds": rounds, "plain_p99_ns": plain, "slow_p99_ns": slow,
        "change_of_median": change, "within_20_percent": change < 0.2,
    });
    println!("\n{figures}");
}

/// One run; the p99 from the receiver to the books.
fn measure(flow: &Flow, is_slow: bool) -> u64 {
    let root = tempfile::tempdir().expect("temporary directory");
    let receiver = LiveReceiver::start(root.path());
    let mut book = Worker::ready(root.path());
    let tracer = is_slow.then(|| Tracer::tamper(receiver.pid(), "delay_enter=200000"));
    let mut due = Instant::now();
    for first in (1..=flow.last()).step_by(usize::try_from(MESSAGES).expect("few")) {
        receiver.send(flow, first, flow.last().min(first + MESSAGES - 1));
        due += PACE;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    book.wait_status("messages", flow.last());
    for name in ["book_sequence_errors_total", "book_lost_messages_total"] {
        assert_eq!(book.value(name), 0, "{name}");
    }
    drop(tracer);
    let histograms = book.stats().expect("stats").histograms();
    let latency = histograms
        .iter()
        .find(|histogram| histogram.name == "latency_rx_to_book_ns")
        .expect("a latency");
    tickdeck_stats::histogram::percentile(&latency.buckets, 0.99).expect("records were timed")
}
