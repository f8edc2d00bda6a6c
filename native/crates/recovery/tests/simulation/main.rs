//! The merge and the recovery against a model network and a model server, from one seed.
//!
//! Everything random comes from the seed, time is simulated, and the invariants are checked at
//! each delivery and after each step. A failing seed is printed and replays:
//!
//! ```text
//! TICKDECK_SIM_SEED=1234 cargo test -p tickdeck-recovery --test simulation
//! TICKDECK_SIM_SEEDS=100000 cargo test --release -p tickdeck-recovery --test simulation
//! ```

mod check;
mod network;
mod random;
mod server;
mod world;

use world::{Report, World};

const DEFAULT_SEEDS: u64 = 500;

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
    let report = World::new(seed).run();
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

/// Whatever the lines and the server do: strictly in sequence, nothing twice, each hole an
/// explicit loss, and nothing at all lost when the server works. Over all seeds every kind of
/// trouble has occurred.
#[test]
fn invariants_hold_for_every_seed() {
    if let Some(seed) = number("TICKDECK_SIM_SEED") {
        println!("{:#?}", run(seed));
        return;
    }
    let seeds = number("TICKDECK_SIM_SEEDS").unwrap_or(DEFAULT_SEEDS);
    let mut total = Report::default();
    for seed in 0..seeds {
        total.add(&run(seed));
    }
    println!("{seeds} seeds: {total:#?}");
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
