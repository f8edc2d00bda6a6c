//! Who was first, by how much, who lost how much in a row, and who carries alone.

use tickdeck_arbiter::{Alone, Config, Start};

use crate::support::{A, B, MS, R, Rig, session};

const SILENCE_NS: u64 = 3_000 * MS;

fn rig() -> Rig {
    Rig::starting(Start::SessionStart)
}

/// The lead is told once per packet and line, when the second line brings its copy.
#[test]
fn lead_is_told_once() {
    let mut rig = rig();
    rig.data(A, 1, 2);
    rig.advance(700);
    rig.data(B, 1, 2);
    rig.data(B, 1, 2);
    rig.data(A, 1, 2);
    rig.data(B, 3, 3);
    rig.advance(20);
    rig.data(A, 3, 3);
    assert_eq!(rig.checked.races, [(0, 1, 700), (1, 0, 20)]);
}

/// The lead is what the receive times say, not when the merge came to look; where they disagree
/// with the order in which it did, there is none.
#[test]
fn lead_is_by_receive_times() {
    let mut rig = rig();
    rig.waited_ns = 500;
    rig.data(A, 1, 1);
    rig.waited_ns = 0;
    rig.advance(100);
    rig.data(B, 1, 1);
    rig.data(A, 2, 2);
    rig.waited_ns = 40;
    rig.data(B, 2, 2);
    assert_eq!(rig.checked.races, [(0, 1, 600), (0, 1, 0)]);
}

/// A held packet and one that has left race alike; an answer races with nobody.
#[test]
fn answers_do_not_race() {
    let mut rig = rig();
    rig.data(A, 1, 1);
    rig.data(A, 4, 4);
    rig.advance(30);
    rig.data(B, 4, 4);
    rig.data(R, 2, 3);
    rig.data(B, 2, 3);
    rig.data(R, 4, 4);
    assert_eq!(rig.checked.races, [(0, 1, 30)]);
}

/// With three lines the first is measured against each of the others.
#[test]
fn third_line_races_too() {
    let mut rig = Rig::new(Config {
        lines: 3,
        ..Config::default()
    });
    for line in [2, 0, 1] {
        rig.data(tickdeck_arbiter::Source::Line(line), 1, 1);
        rig.advance(10);
    }
    assert_eq!(rig.checked.races, [(2, 0, 10), (2, 1, 20)]);
}

/// The longest run counts consecutive numbers across packets, shrinks when a part comes late, and
/// outlives its session.
#[test]
fn longest_run_of_losses() {
    let mut rig = rig();
    rig.data(B, 1, 40);
    for (first, last) in [(1, 1), (4, 4), (15, 15), (18, 18)] {
        rig.data(A, first, last);
    }
    assert_eq!(rig.arbiter.loss_run_most(0), 10);
    rig.heartbeat(A, 25);
    rig.heartbeat(A, 31);
    assert_eq!(
        rig.arbiter.loss_run_most(0),
        12,
        "19 to 30, shown in two steps"
    );
    rig.data(A, 24, 24);
    assert_eq!(rig.arbiter.loss_run_most(0), 10, "it was only late");
    assert_eq!(rig.arbiter.loss_run_most(1), 0);
    rig.end(B, 41);
    rig.session = session(b'2');
    rig.data(B, 1, 1);
    rig.data(A, 1, 1);
    assert_eq!(rig.arbiter.loss_run_most(0), 10);
}

/// What no line brought is lost on all, whether an answer brought it or nothing did.
#[test]
fn lost_on_all_lines() {
    let mut rig = rig();
    rig.data(A, 1, 1);
    rig.data(A, 5, 5);
    rig.data(B, 2, 2);
    rig.advance(2 * MS);
    rig.data(R, 3, 3);
    assert!(rig.give_up(1));
    assert_eq!(rig.arbiter.counters().lost_on_all(), 2);
}

/// One line goes on, the other is silent: alone since the other was heard last. It ends with the
/// other's first packet that has caught up.
#[test]
fn silent_line_leaves_the_other_alone() {
    let mut rig = rig();
    rig.data(A, 1, 1);
    rig.data(B, 1, 1);
    rig.advance(10 * MS);
    rig.heartbeat(B, 2);
    let since_ns = rig.now_ns;
    for step in 0..30 {
        rig.advance(100 * MS);
        assert_eq!(rig.arbiter.alone(rig.now_ns - 1), None, "step {step}");
        rig.data(A, 2 + step, 2 + step);
    }
    let alone = Some(Alone { line: 0, since_ns });
    assert_eq!(rig.arbiter.alone(rig.now_ns), alone);
    rig.data(B, 31, 31);
    assert_eq!(rig.arbiter.alone(rig.now_ns), None);
}

/// A line that is heard but hangs behind for longer than the silence time carries nothing.
#[test]
fn line_that_hangs_behind_leaves_the_other_alone() {
    let mut rig = rig();
    rig.data(B, 1, 1);
    for step in 1..=100 {
        rig.data(A, step, step);
        rig.heartbeat(B, 2);
        rig.advance(100 * MS);
    }
    let alone = rig.arbiter.alone(rig.now_ns).expect("B hangs");
    assert_eq!(alone.line, 0);
    assert!(alone.since_ns <= 2 * SILENCE_NS, "{alone:?}");
}

/// A line that lags, but less than the silence time, keeps up, at any rate of the market.
#[test]
fn lag_is_not_being_behind() {
    let mut rig = rig();
    for step in 1..=200 {
        rig.data(A, step, step);
        if step > 20 {
            rig.data(B, step - 20, step - 20);
        }
        rig.advance(100 * MS);
        assert_eq!(rig.arbiter.alone(rig.now_ns), None, "step {step}");
    }
}

/// A line that was never heard counts as alive for one silence time; when nobody is heard, nobody
/// is alone; one line has no other to miss.
#[test]
fn nobody_is_alone_in_silence() {
    let mut rig = rig();
    let since_ns = rig.now_ns;
    rig.advance(0);
    for step in 1..=40 {
        rig.advance(100 * MS);
        rig.data(A, step, step);
    }
    assert_eq!(
        rig.arbiter.alone(rig.now_ns),
        Some(Alone { line: 0, since_ns })
    );
    rig.advance(SILENCE_NS);
    assert_eq!(rig.arbiter.alone(rig.now_ns), None);
    let mut single = Rig::new(Config {
        lines: 1,
        ..Config::default()
    });
    single.data(A, 1, 1);
    assert_eq!(single.arbiter.alone(single.now_ns), None);
}

/// The watch of lines goes on across a session change: numbers that begin again are not behind.
#[test]
fn session_change_leaves_nobody_behind() {
    let mut rig = rig();
    for step in 1..=100 {
        if step == 60 {
            rig.end(A, step);
            rig.session = session(b'2');
        }
        let number = if step < 60 { step } else { step - 59 };
        rig.data(A, number, number);
        rig.data(B, number, number);
        rig.advance(100 * MS);
        assert_eq!(rig.arbiter.alone(rig.now_ns), None, "step {step}");
    }
    assert_eq!(rig.arbiter.counters().session_changes, 1);
}
