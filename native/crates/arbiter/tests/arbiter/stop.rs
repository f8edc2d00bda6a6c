//! The output stops exactly before a number and goes on behind it.

use proptest::prelude::*;
use tickdeck_arbiter::{Config, Disposition, Event, LossReason, Source, Start, StopError};

use crate::support::{A, B, MS, Out, R, Rig, session};

fn rig() -> Rig {
    Rig::starting(Start::SessionStart)
}

impl Rig {
    fn stop_at(&mut self, sequence: u64) -> Result<(), StopError> {
        self.arbiter
            .stop_at(sequence, self.now_ns, &mut self.checked)
    }

    fn carry_to(&mut self, sequence: u64) -> Result<(), StopError> {
        self.arbiter
            .carry_to(sequence, self.now_ns, &mut self.checked)
    }

    fn go_on(&mut self) -> bool {
        self.arbiter.go_on(self.now_ns, &mut self.checked)
    }

    fn lost(&self) -> Vec<(u64, u64, LossReason)> {
        let lost = |event: &Event| match event {
            Event::GapLost { gap, reason } => Some((gap.first, gap.last, *reason)),
            _ => None,
        };
        self.events().iter().filter_map(lost).collect()
    }
}

/// What is missing below is lost to the snapshot, what is held below leaves, the run that
/// straddles is cut there, and the rest of its gap stays open.
#[test]
fn output_stops_exactly_there() {
    let mut rig = rig();
    rig.data(A, 1, 1);
    rig.data(A, 4, 9);
    rig.data(A, 15, 16);
    assert_eq!(rig.stop_at(6), Ok(()));
    assert_eq!(rig.runs(), [(1, 1), (4, 5)]);
    assert_eq!(rig.lost(), [(2, 3, LossReason::Snapshot)]);
    assert_eq!(rig.events().last(), Some(&Event::Stopped { sequence: 6 }));
    assert_eq!(rig.arbiter.stopped_at(), Some(6));
    assert_eq!(rig.holes(2), [(10, 14)]);
    assert!(rig.go_on());
    assert_eq!(rig.runs(), [(1, 1), (4, 5), (6, 9)]);
    assert_eq!(rig.arbiter.stopped_at(), None);
}

/// A stop inside a hole: its front part is lost, its rest is still missing and can be filled.
#[test]
fn hole_is_cut_at_the_stop() {
    let mut rig = rig();
    rig.data(A, 1, 1);
    rig.data(A, 9, 9);
    assert_eq!(rig.stop_at(5), Ok(()));
    assert_eq!(rig.lost(), [(2, 4, LossReason::Snapshot)]);
    assert_eq!(rig.holes(1), [(5, 8)]);
    rig.data(R, 5, 8);
    assert_eq!(rig.runs(), [(1, 1)], "nothing leaves");
    assert!(rig.go_on());
    assert_eq!(rig.runs(), [(1, 1), (5, 8), (9, 9)]);
    let closed = rig.events().into_iter().find_map(|event| match event {
        Event::GapUnrecovered { lost, reason, .. } => Some((lost, reason)),
        _ => None,
    });
    assert_eq!(closed, Some((3, LossReason::Snapshot)));
    assert_eq!(rig.arbiter.counters().messages_lost, 3);
}

/// While it stands, data is held without a gap and without a timer; copies are counted.
#[test]
fn stopped_output_holds() {
    let mut rig = rig();
    rig.data(A, 1, 2);
    assert_eq!(rig.stop_at(3), Ok(()));
    assert_eq!(rig.data(A, 3, 4), Disposition::Held);
    assert_eq!(rig.data(B, 5, 5), Disposition::Held);
    assert_eq!(rig.data(B, 3, 4), Disposition::Duplicate);
    assert_eq!(rig.data(A, 1, 2), Disposition::Duplicate);
    assert_eq!(rig.arbiter.gaps().count(), 0);
    assert_eq!(rig.arbiter.next_deadline_ns(), None);
    rig.advance(100 * MS);
    assert_eq!(rig.runs(), [(1, 2)]);
    assert!(rig.go_on());
    assert_eq!(rig.runs(), [(1, 2), (3, 4), (5, 5)]);
    assert!(!rig.go_on(), "it goes on already");
    assert_eq!(rig.data(A, 6, 6), Disposition::Delivered);
}

/// A stop beyond what the lines have shown takes the venue's word: the rest below is lost.
#[test]
fn stop_ahead_of_the_lines() {
    let mut rig = rig();
    rig.data(A, 1, 1);
    assert_eq!(rig.stop_at(5), Ok(()));
    assert_eq!(rig.lost(), [(2, 4, LossReason::Snapshot)]);
    assert_eq!(
        rig.data(A, 3, 5),
        Disposition::Held,
        "5 is new, 3 and 4 are late"
    );
    assert_eq!(rig.arbiter.counters().stale, 2);
    rig.go_on();
    assert_eq!(rig.runs(), [(1, 1), (5, 5)]);
}

/// An output that stands is carried on to a later number and not beyond, although nothing is
/// missing behind it; where it cannot be, it goes on standing where it stood.
#[test]
fn standing_output_is_carried_on() {
    let mut rig = rig();
    rig.data(A, 1, 2);
    assert_eq!(rig.stop_at(3), Ok(()));
    rig.data(A, 3, 9);
    rig.data(A, 12, 12);
    assert_eq!(rig.carry_to(6), Ok(()));
    assert_eq!(rig.runs(), [(1, 2), (3, 5)]);
    assert_eq!(rig.events().last(), Some(&Event::Stopped { sequence: 6 }));
    assert_eq!(rig.carry_to(5), Err(StopError::Passed { next: 6 }));
    assert_eq!(rig.arbiter.stopped_at(), Some(6));
    assert_eq!(rig.carry_to(11), Ok(()));
    assert_eq!(rig.runs(), [(1, 2), (3, 5), (6, 9)]);
    assert_eq!(rig.lost(), [(10, 10, LossReason::Snapshot)]);
    rig.data(B, 11, 11);
    rig.go_on();
    assert_eq!(rig.runs(), [(1, 2), (3, 5), (6, 9), (11, 11), (12, 12)]);
}

/// Where the output cannot stop, the caller is told and nothing changes.
#[test]
fn impossible_stops_are_refused() {
    let mut rig = rig();
    assert_eq!(rig.stop_at(1), Err(StopError::NoSession));
    rig.data(A, 1, 9);
    assert_eq!(rig.stop_at(9), Err(StopError::Passed { next: 10 }));
    let far = StopError::TooFar { shown: 10 };
    assert_eq!(rig.stop_at(2_000_000), Err(far), "a lying server");
    assert_eq!(rig.stop_at(u64::MAX), Err(far));
    assert_eq!(rig.stop_at(10), Ok(()), "it stands there already");
    assert_eq!(rig.stop_at(12), Err(StopError::Standing { at: 10 }));
    rig.go_on();
    assert_eq!(rig.data(A, 10, 10), Disposition::Delivered);
    assert!(rig.lost().is_empty());
}

/// A full hold drops what comes while the output stands; it is a gap afterwards.
#[test]
fn full_hold_while_stopped() {
    let mut rig = Rig::new(Config {
        start: Start::SessionStart,
        hold_capacity_packets: 2,
        ..Config::default()
    });
    rig.data(A, 1, 1);
    assert_eq!(rig.stop_at(2), Ok(()));
    for number in 2..=5 {
        rig.data(A, number, number);
    }
    assert_eq!(rig.arbiter.counters().hold_dropped, 2);
    rig.go_on();
    assert_eq!(rig.arbiter.next_sequence(), 4);
    assert_eq!(rig.holes(1), [(4, 5)]);
    rig.data(B, 4, 5);
    assert_eq!(rig.arbiter.next_sequence(), 6);
}

/// A session that takes over lets the output go on; the end of a session is not told while data
/// of it is held.
#[test]
fn next_session_ends_a_stop() {
    let mut rig = rig();
    rig.data(A, 1, 1);
    assert_eq!(rig.stop_at(2), Ok(()));
    rig.data(A, 2, 3);
    rig.end(A, 4);
    rig.advance(3_000 * MS);
    rig.session = session(b'2');
    rig.data(A, 1, 2);
    assert_eq!(rig.arbiter.stopped_at(), None);
    assert_eq!(rig.runs(), [(1, 1), (2, 3), (1, 2)]);
    assert!(!rig.go_on());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Data(Source, u64, u64),
    Stop(u64),
    GoOn,
}

const LAST: u64 = 80;

fn step() -> impl Strategy<Value = Step> {
    let line = prop_oneof![Just(A), Just(B)];
    prop_oneof![
        10 => (line, 1..=LAST, 1..8u64)
            .prop_map(|(line, first, count)| Step::Data(line, first, (first + count - 1).min(LAST))),
        1 => (0..6u64).prop_map(Step::Stop),
        1 => Just(Step::GoOn),
    ]
}

/// Feeds the steps and then everything in order. Stops ask for a number at or a little beyond
/// the output, but not into what is missing.
fn play(steps: &[Step], with_stops: bool) -> Rig {
    let mut rig = rig();
    rig.heartbeat(A, 1);
    for step in steps {
        match *step {
            Step::Data(source, first, last) => {
                rig.data(source, first, last);
            }
            Step::Stop(ahead) if with_stops && rig.arbiter.stopped_at().is_none() => {
                let at = rig.arbiter.next_sequence();
                let can_be = |ahead: &u64| {
                    let gap = rig.arbiter.gaps().next();
                    gap.is_none_or(|view| at + ahead <= view.gap.first)
                };
                let is_shown = rig.arbiter.gaps().count() > 0;
                let ahead = if is_shown && can_be(&ahead) { ahead } else { 0 };
                assert_eq!(rig.stop_at(at + ahead), Ok(()));
                assert_eq!(rig.arbiter.next_sequence(), at + ahead);
            }
            Step::GoOn if with_stops => {
                rig.go_on();
            }
            Step::Stop(_) | Step::GoOn => {}
        }
        if let Some(at) = rig.arbiter.stopped_at() {
            assert_eq!(rig.arbiter.next_sequence(), at, "nothing leaves");
        }
    }
    rig.go_on();
    for first in (1..=LAST).step_by(5) {
        rig.data(A, first, first + 4);
    }
    rig
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Stops and resumptions change when messages leave, but not which and in what order.
    #[test]
    fn stops_change_nothing_that_leaves(steps in proptest::collection::vec(step(), 1..100)) {
        let messages = |rig: &Rig| -> Vec<u64> {
            rig.runs().iter().flat_map(|(first, last)| *first..=*last).collect()
        };
        let (plain, stopped) = (play(&steps, false), play(&steps, true));
        prop_assert_eq!(messages(&plain), messages(&stopped));
        prop_assert_eq!(messages(&stopped), (1..=LAST).collect::<Vec<u64>>());
        prop_assert_eq!(stopped.arbiter.counters().messages_lost, 0);
        let stops = stopped.checked.out.iter();
        let stops = stops.filter(|out| matches!(out, Out::Event(Event::Stopped { .. })));
        prop_assert!(stops.count() <= steps.len());
    }

    /// A stop anywhere, into holes too: the output is there at once, everything below it was
    /// delivered or told lost, and the rest still leaves whole.
    #[test]
    fn stop_anywhere_accounts_for_everything(
        steps in proptest::collection::vec(step(), 1..60),
        at in 1..LAST,
    ) {
        let mut rig = rig();
        rig.heartbeat(A, 1);
        for step in &steps {
            if let Step::Data(source, first, last) = *step {
                rig.data(source, first, last);
            }
        }
        let next = rig.arbiter.next_sequence();
        if at < next {
            prop_assert_eq!(rig.stop_at(at), Err(StopError::Passed { next }));
        } else {
            prop_assert_eq!(rig.stop_at(at), Ok(()));
            prop_assert_eq!(rig.arbiter.next_sequence(), at);
            for first in (1..=LAST).step_by(5) {
                rig.data(B, first, first + 4);
            }
            prop_assert_eq!(rig.arbiter.next_sequence(), at);
            rig.go_on();
        }
        for first in (1..=LAST).step_by(5) {
            rig.data(B, first, first + 4);
        }
        let lost: u64 = rig.lost().iter().map(|(first, last, _)| last - first + 1).sum();
        let left: u64 = rig.runs().iter().map(|(first, last)| last - first + 1).sum();
        prop_assert_eq!(left + lost, LAST);
        prop_assert!(rig.lost().iter().all(|(_, last, _)| *last < at));
        prop_assert_eq!(rig.arbiter.gaps().count(), 0);
    }
}
