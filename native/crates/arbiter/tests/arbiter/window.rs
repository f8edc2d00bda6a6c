//! How long a hole waits for another line.

use proptest::prelude::*;
use tickdeck_arbiter::{Config, ConfigError, Event, Start};

use crate::support::{A, B, MS, Rig};

const US: u64 = 1_000;

fn adaptive() -> Rig {
    Rig::new(Config {
        start: Start::SessionStart,
        reorder_window_packets: 0,
        ..Config::default()
    })
}

fn by_count(packets: usize) -> Rig {
    Rig::new(Config {
        start: Start::SessionStart,
        reorder_window_min_ns: 2 * MS,
        reorder_window_packets: packets,
        ..Config::default()
    })
}

fn waits_over(rig: &Rig) -> usize {
    let over = |event: &Event| matches!(event, Event::GapWaitOver { .. });
    rig.events().into_iter().filter(over).count()
}

/// A packet on A, and on B after `lag_ns`; then a second passes.
fn lag(rig: &mut Rig, number: u64, lag_ns: u64) -> u64 {
    rig.data(A, number, number);
    rig.advance(lag_ns);
    rig.data(B, number, number);
    let window_ns = rig.arbiter.counters().reorder_window_ns;
    rig.advance(1_000 * MS);
    window_ns
}

/// It begins at the upper bound, follows twice the lag of the slower line at once when that
/// grows, and slowly when it shrinks, and stays within its bounds.
#[test]
fn window_follows_the_lag() {
    let mut rig = adaptive();
    assert_eq!(rig.arbiter.counters().reorder_window_ns, 2 * MS);
    assert_eq!(lag(&mut rig, 1, 200 * US), 400 * US);
    assert_eq!(lag(&mut rig, 2, 600 * US), 1_200 * US);
    assert_eq!(lag(&mut rig, 3, 5 * MS), 2 * MS, "the upper bound");
    let mut windows = vec![2 * MS];
    windows.extend((4..60).map(|number| lag(&mut rig, number, 10)));
    assert!(windows.is_sorted_by(|before, after| before >= after));
    let half = windows.iter().filter(|window_ns| **window_ns > MS).count();
    assert!(
        (9..=12).contains(&half),
        "from twice 2 ms to twice 0.5: {half}"
    );
    assert_eq!(windows.last(), Some(&(100 * US)), "the lower bound");
}

/// The wait is over after the window, not before, and the deadline says so.
#[test]
fn hole_waits_for_the_window() {
    let mut rig = adaptive();
    lag(&mut rig, 1, 300 * US);
    rig.data(A, 3, 3);
    let deadline_ns = rig.now_ns + 600 * US;
    assert_eq!(rig.arbiter.next_deadline_ns(), Some(deadline_ns));
    rig.advance(600 * US - 1);
    assert_eq!(waits_over(&rig), 0);
    rig.advance(1);
    assert_eq!(waits_over(&rig), 1);
}

/// A line that fills a hole late teaches the window how long that took.
#[test]
fn late_fill_is_a_lag() {
    let mut rig = adaptive();
    lag(&mut rig, 1, 0);
    assert_eq!(rig.arbiter.counters().reorder_window_ns, 100 * US);
    rig.data(A, 3, 3);
    rig.advance(700 * US);
    assert_eq!(waits_over(&rig), 1, "too early, as it turns out");
    rig.data(B, 2, 2);
    assert_eq!(rig.arbiter.counters().reorder_window_ns, 1_400 * US);
}

/// A dead line teaches nothing: the window stays where the lag has put it.
#[test]
fn silence_teaches_nothing() {
    let mut rig = adaptive();
    lag(&mut rig, 1, 500 * US);
    for number in 2..200 {
        rig.data(A, number, number);
        rig.advance(1_000 * MS);
    }
    assert_eq!(rig.arbiter.counters().reorder_window_ns, MS);
}

/// So many packets from beyond the hole on every line end the waiting at once.
#[test]
fn packets_beyond_end_the_waiting() {
    let mut rig = by_count(3);
    rig.data(A, 1, 1);
    rig.data(B, 1, 1);
    for number in [3, 4, 5, 6, 7] {
        rig.data(A, number, number);
        rig.advance(10);
    }
    rig.data(B, 3, 3);
    rig.data(B, 4, 4);
    rig.advance(10);
    assert_eq!(waits_over(&rig), 0, "B has brought two");
    rig.data(B, 5, 5);
    assert_eq!(rig.arbiter.next_deadline_ns(), Some(0), "at once");
    rig.advance(10);
    assert_eq!(waits_over(&rig), 1);
}

/// Each of several holes has its own count.
#[test]
fn each_hole_counts_for_itself() {
    let mut rig = by_count(2);
    rig.data(A, 1, 1);
    for number in [3, 5, 6] {
        rig.data(A, number, number);
        rig.data(B, number, number);
    }
    rig.advance(1);
    assert_eq!(waits_over(&rig), 2);
    let mut rig = by_count(2);
    rig.data(A, 1, 1);
    for number in [3, 5] {
        rig.data(A, number, number);
        rig.data(B, number, number);
    }
    rig.advance(1);
    assert_eq!(waits_over(&rig), 1, "only one packet is beyond the second");
}

/// A silent line is not waited for; one that is only slow is.
#[test]
fn silent_line_is_not_waited_for() {
    for silent in [false, true] {
        let mut rig = by_count(2);
        rig.data(A, 1, 1);
        rig.data(B, 1, 1);
        rig.advance(2_900 * MS);
        rig.heartbeat(A, 2);
        if !silent {
            rig.heartbeat(B, 2);
        }
        rig.advance(200 * MS);
        for number in [3, 4, 5] {
            rig.data(A, number, number);
        }
        rig.advance(1);
        assert_eq!(waits_over(&rig), usize::from(silent));
    }
}

/// Bounds in the wrong order are an error, and so is a count beyond reason.
#[test]
fn bounds_are_checked() {
    let config = Config {
        reorder_window_ns: 10,
        reorder_window_min_ns: 11,
        ..Config::default()
    };
    let error = tickdeck_arbiter::Arbiter::new(config).expect_err("wrong order");
    assert!(matches!(error, ConfigError::Window { .. }), "{error}");
    let config = Config {
        reorder_window_packets: 1 << 20,
        ..Config::default()
    };
    let error = tickdeck_arbiter::Arbiter::new(config).expect_err("too many");
    assert!(matches!(error, ConfigError::TooLarge { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Whatever the lags, the window is within its bounds, covers the last lag as far as they
    /// allow, never waits longer than twice the largest lag, and two arbiters agree.
    #[test]
    fn window_is_bounded_and_deterministic(
        lags in proptest::collection::vec((0..3_000_000u64, 0..400_000_000u64), 1..60),
    ) {
        let (mut rig, mut twin) = (adaptive(), adaptive());
        let mut largest = 0;
        for (number, (lag_ns, pause_ns)) in (1..).zip(lags) {
            for rig in [&mut rig, &mut twin] {
                rig.data(A, number, number);
                rig.advance(lag_ns);
                rig.data(B, number, number);
            }
            largest = largest.max(lag_ns);
            let window_ns = rig.arbiter.counters().reorder_window_ns;
            prop_assert!((100 * US..=2 * MS).contains(&window_ns));
            prop_assert!(window_ns >= (2 * lag_ns).min(2 * MS));
            prop_assert!(window_ns <= (2 * largest).max(100 * US));
            for rig in [&mut rig, &mut twin] {
                rig.advance(pause_ns);
            }
        }
        prop_assert_eq!(rig.arbiter.counters(), twin.arbiter.counters());
    }
}
