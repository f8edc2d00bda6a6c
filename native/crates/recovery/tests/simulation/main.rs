//! The merge and the recovery against a model network and model servers, from one seed.
//!
//! Everything random comes from the seed, time is simulated, and the invariants are checked at
//! each delivery and after each step. A failing seed is printed and replays; a soak takes seeds
//! that no run took before:
//!
//! ```text
//! TICKDECK_SIM_SEED=1234 cargo test -p tickdeck-recovery --test simulation invariants
//! TICKDECK_SIM_FROM=200000 TICKDECK_SIM_SEEDS=1000000 \
//!     cargo test --release -p tickdeck-recovery --test simulation -- --nocapture invariants
//! ```

mod check;
mod desk;
mod forgery;
mod ledger;
mod network;
mod plan;
mod random;
mod report;
mod scenarios;
mod servers;
mod snapshots;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use plan::Plan;
use report::Report;
use world::World;

const DEFAULT_SEEDS: u64 = 4000;
/// Seeds between two lines of progress.
const PROGRESS_SEEDS: u64 = 10_000;

/// Names the seed when a run fails.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failing seed: TICKDECK_SIM_SEED={}", self.0);
        }
    }
}

fn run(seed: u64) -> Report {
    let replay = Replay(seed);
    let report = World::new(Plan::random(seed)).run();
    std::mem::forget(replay);
    report
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|error| panic!("{variable}={text}: {error}")),
    )
}

/// Runs so many seeds from `from` on every core; the first failure ends it.
fn run_all(from: u64, seeds: u64) -> Report {
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let worker = || {
        let stop = StopOnPanic(&next);
        let mut total = Report::default();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= seeds {
                break;
            }
            total.add(&run(from + index));
            let done = index + 1;
            if done.is_multiple_of(PROGRESS_SEEDS) {
                let rate = done as f64 / begun.elapsed().as_secs_f64();
                println!("{done} of {seeds} seeds, {rate:.0} per second");
            }
        }
        std::mem::forget(stop);
        total
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut total = Report::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            let report = worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            total.add(&report);
        }
    });
    println!("{seeds} seeds in {:?}: {total:#?}", begun.elapsed());
    total
}

/// Lets no other core begin a seed once one has failed.
struct StopOnPanic<'a>(&'a AtomicU64);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        self.0.store(u64::MAX / 2, Ordering::Relaxed);
    }
}

/// Whatever the lines and the servers do: strictly in sequence, nothing twice, no byte that the
/// venue did not send, each hole an explicit loss with a reason, every gap accounted for, and
/// nothing lost for want of an answer when a server works. Over all seeds every kind of trouble
/// has occurred.
#[test]
fn invariants_hold_for_every_seed() {
    if let Some(seed) = number("TICKDECK_SIM_SEED") {
        println!("{:#?}", run(seed));
        return;
    }
    let seeds = number("TICKDECK_SIM_SEEDS").unwrap_or(DEFAULT_SEEDS);
    let from = number("TICKDECK_SIM_FROM").unwrap_or(0);
    let total = run_all(from, seeds);
    if seeds >= DEFAULT_SEEDS {
        total.assert_everything_occurred();
    }
}

/// A seed gives the same run each time, so a failure can be studied.
#[test]
fn a_seed_replays() {
    for seed in [3, 17, 99] {
        assert_eq!(run(seed), run(seed));
    }
}

/// Steps of the wall clock change nothing: only receive times show it, and nothing is decided by
/// them.
#[test]
fn the_wall_clock_decides_nothing() {
    for seed in 0..50 {
        let _replay = Replay(seed);
        let reports = [0, 200].map(|clock_step_permille| {
            let plan = Plan {
                clock_step_permille,
                ..Plan::random(seed)
            };
            World::new(plan).run()
        });
        assert_eq!(reports[0].counts, reports[1].counts);
        assert_eq!(reports[0].steps, reports[1].steps);
        assert!(reports[1].clock_steps > 0);
    }
}
