//! With its memory locked the receive thread takes no page fault after warm-up, on every path.

use std::fs;
use std::sync::Arc;

use serde_json::json;
use tickdeck_testbed::or_skip;

use crate::plant::{Plant, Worker};

/// Packets of warm-up: more than any ring of the test has places, so that each was used once.
const WARM_UP: u64 = 6_000;
const COUNTED: u64 = 20_000;

/// The kernel counts the faults of each thread (getrusage(2) and /proc/PID/task/TID/stat show the
/// same counters); they stand still while packets go through receiver, merge and ring.
#[test]
fn no_page_fault_after_warm_up() {
    let Some(testbed) = or_skip("no_page_fault_after_warm_up", 1) else {
        return;
    };
    let testbed = Arc::new(testbed);
    for path in ["recvmmsg", "packet_mmap", "af_xdp"] {
        let mut plant = Plant::across(&testbed, path);
        plant.set("/exchange/general/mlock_all", json!(true));
        plant.set("/exchange/capture/enabled", json!(true));
        let worker = plant.start();
        let mut next = 1;
        play(&plant, &worker, &mut next, WARM_UP);
        let before = faults(&worker);
        play(&plant, &worker, &mut next, COUNTED);
        let after = faults(&worker);
        assert!(
            before.0 > 0,
            "{path}: the warm-up faulted, so the counter counts"
        );
        assert_eq!(
            after, before,
            "{path}: (minor, major) faults of the receive thread"
        );
        worker.stop();
    }
}

fn play(plant: &Plant, worker: &Worker, next: &mut u64, count: u64) {
    for _ in 0..count / 100 {
        for sequence in *next..*next + 100 {
            plant.send_both(sequence, sequence);
        }
        *next += 100;
        worker.wait_for("arbiter_next_sequence", "", *next);
    }
}

/// Minor and major faults of the thread named "receive".
fn faults(worker: &Worker) -> (u64, u64) {
    let tasks = fs::read_dir(format!("/proc/{}/task", worker.pid())).expect("threads");
    let stats = tasks.map(|task| {
        let path = task.expect("a thread").path().join("stat");
        fs::read_to_string(path).expect("its counters")
    });
    let mut receive = stats.filter(|stat| stat.contains("(receive)"));
    let stat = receive.next().expect("a thread named receive");
    // proc(5): behind the name in brackets come state and then numbers; minflt is field 10 of all,
    // majflt field 12.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let field = |number: usize| fields[number - 3].parse().expect("a number");
    (field(10), field(12))
}
