//! W18: idle channels cost the busy one nothing. The journal thread has one source, the ring, and takes
//! what is there in batches; an idle exchange is another process, whose journal thread sleeps.

use std::time::Instant;

use super::*;

const BUSY: u16 = 7;
/// Records of the busy channel in the measurement.
const RECORDS: u64 = 200_000;
const IDLE: usize = 15;

fn config(dir: &Path) -> WriterConfig {
    WriterConfig::new(dir.join("journal"), 64 << 20, SyncPolicy::Os, 1)
}

/// Records of each pass until nothing is left.
fn passes(channels: &[u16]) -> Vec<usize> {
    let directory = tempfile::tempdir().expect("temporary directory");
    let dir = directory.path();
    let (thread, _stats) = thread_of(config(dir), dir, 8_192, channels.iter().copied());
    let mut copier = Copier::new(thread);
    let counts = std::iter::from_fn(|| {
        let count = copier.copy_and_poll(monotonic_ns()).expect("copies");
        (count > 0).then_some(count)
    });
    counts.collect()
}

/// A pass takes what is there up to its bound, whoever it is of, so nothing is slept over while there is
/// more; fifteen channels with a record now and then change that by nothing.
#[test]
fn idle_channels_cost_no_pass() {
    let alone = vec![BUSY; 5_000];
    let mut beside = alone.clone();
    for (at, channel) in beside.iter_mut().step_by(5_000 / IDLE).zip(100..) {
        *at = channel;
    }
    let full = vec![RECORDS_PER_PASS; 5_000 / RECORDS_PER_PASS];
    let expected = [full, vec![5_000 % RECORDS_PER_PASS]].concat();
    assert_eq!(passes(&alone), expected);
    assert_eq!(passes(&beside), expected);
}

/// Records a second of one busy journal thread, beside so many idle ones.
fn rate(idle: usize) -> f64 {
    let directory = tempfile::tempdir().expect("temporary directory");
    let dir_of = |number: usize| {
        let dir = directory.path().join(number.to_string());
        std::fs::create_dir(&dir).expect("a directory");
        dir
    };
    let sleepers: Vec<_> = (1..=idle)
        .map(|number| {
            let dir = dir_of(number);
            let (thread, stats) = thread_with(config(&dir), &dir, 64, 0);
            thread.end.store(STILL_GROWING, Ordering::Release);
            let end = Arc::clone(&thread.end);
            (end, std::thread::spawn(move || thread.run()), stats)
        })
        .collect();
    let dir = dir_of(0);
    let (busy, _stats) = thread_with(config(&dir), &dir, 262_144, RECORDS);
    let begun = Instant::now();
    busy.run().expect("everything is journalled");
    let took = begun.elapsed();
    for (end, sleeper, _stats) in sleepers {
        end.store(1, Ordering::Release);
        sleeper.join().expect("joins").expect("ends well");
    }
    RECORDS as f64 / took.as_secs_f64()
}

/// By turns alone and beside fifteen idle ones; wanted is 0.95.
#[test]
#[ignore = "a measurement: native/soak.sh idle-channels"]
fn measure_idle_channels() {
    let mut rounds: Vec<[f64; 2]> = (0..10)
        .map(|round| match round % 2 {
            0 => [rate(0), rate(IDLE)],
            _ => {
                let beside = rate(IDLE);
                [rate(0), beside]
            }
        })
        .collect();
    // The first one warms up.
    rounds.remove(0);
    let mut ratios: Vec<f64> = rounds
        .iter()
        .map(|[alone, beside]| beside / alone)
        .collect();
    ratios.sort_by(f64::total_cmp);
    let (least, median, most) = (
        ratios[0],
        ratios[ratios.len() / 2],
        ratios[ratios.len() - 1],
    );
    println!(
        "{{\"idle\":{IDLE},\"rounds\":{},\"ratio\":{median:.3},\"least\":{least:.3},\
         \"most\":{most:.3},\"wanted\":0.95,\"is_met\":{}}}",
        ratios.len(),
        median >= 0.95
    );
}
