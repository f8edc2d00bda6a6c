//! Random schedules against a model that is only a set of numbers.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tickdeck_arbiter::{Config, Event, LossReason, Source, Start};

use crate::support::{A, B, R, Rig};

const LAST: u64 = 120;

#[derive(Clone, Copy, Debug)]
enum Step {
    Data(Source, u64, u64),
    Heartbeat(Source, u64),
    Wait(u64),
    GiveUp(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let line = || prop_oneof![Just(A), Just(B)];
    prop_oneof![
        12 => (prop_oneof![4 => line(), 1 => Just(R)], 1..=LAST, 1..10u64)
            .prop_map(|(source, first, count)| {
                Step::Data(source, first, (first + count - 1).min(LAST))
            }),
        1 => (line(), 1..=LAST + 1).prop_map(|(source, next)| Step::Heartbeat(source, next)),
        1 => (0..4_000_000u64).prop_map(Step::Wait),
        1 => (0..4usize).prop_map(Step::GiveUp),
    ]
}

/// What must have been delivered: everything known up to the first number that is neither here
/// nor given up.
#[derive(Default)]
struct Model {
    here: BTreeSet<u64>,
    given_up: BTreeSet<u64>,
    revealed: u64,
}

impl Model {
    fn next(&self) -> u64 {
        (1..)
            .find(|n| !self.here.contains(n) && !self.given_up.contains(n))
            .expect("unbounded")
    }

    fn missing(&self) -> BTreeSet<u64> {
        let next = self.next();
        (next..self.revealed)
            .filter(|n| !self.here.contains(n))
            .collect()
    }
}

fn run(rig: &mut Rig, model: &mut Model, step: Step) {
    match step {
        Step::Data(source, first, last) => {
            rig.data(source, first, last);
            let end = if source == R {
                model.revealed.min(last + 1)
            } else {
                last + 1
            };
            let passed = model.next();
            model.here.extend((first..end).filter(|n| *n >= passed));
            model.revealed = model.revealed.max(end);
        }
        Step::Heartbeat(source, next) => {
            rig.heartbeat(source, next);
            model.revealed = model.revealed.max(next);
        }
        Step::Wait(ns) => rig.advance(ns),
        Step::GiveUp(index) => {
            let gap = rig.arbiter.gaps().nth(index).map(|view| view.gap);
            if let Some(gap) = gap {
                rig.give_up(gap.id);
                model.given_up.extend(gap.first..=gap.last);
            }
        }
    }
}

/// The arbiter's own view of what is missing, given-up gaps left out.
fn missing(rig: &Rig) -> BTreeSet<u64> {
    let open = rig.arbiter.gaps().map(|view| view.gap.id);
    open.flat_map(|id| rig.holes(id))
        .flat_map(|(first, last)| first..=last)
        .collect()
}

fn check_account(rig: &Rig) {
    let counters = rig.arbiter.counters();
    let first: u64 = counters.lines.iter().map(|line| line.first).sum();
    let taken = counters.delivered + counters.held_messages;
    assert_eq!(taken, first + counters.retransmitted);
    let refused = counters.duplicates + counters.stale + counters.hold_dropped;
    assert_eq!(
        rig.fed,
        taken + refused,
        "each message is counted exactly once"
    );
    assert_eq!(counters.conflicts, 0, "equal bytes never conflict");
    let per_gap: u64 = rig.arbiter.gaps().map(|view| view.missing).sum();
    assert_eq!(
        per_gap,
        missing(rig).len() as u64,
        "gaps know what they miss"
    );
    let open = rig.arbiter.gaps().count() as u64;
    assert_eq!(
        counters.gaps_opened,
        counters.gaps_filled + counters.gaps_unrecovered + open
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// After every step the arbiter stands exactly where the set of numbers says, knows exactly
    /// what is missing, and in the end every number was delivered or is in a told loss.
    #[test]
    fn stands_where_the_model_stands(steps in proptest::collection::vec(step(), 1..150)) {
        let mut rig = Rig::new(Config { start: Start::SessionStart, ..Config::default() });
        let mut model = Model { revealed: 1, ..Model::default() };
        rig.heartbeat(A, 1);
        for step in steps {
            run(&mut rig, &mut model, step);
            prop_assert_eq!(rig.arbiter.next_sequence(), model.next());
            prop_assert_eq!(missing(&rig), model.missing());
            check_account(&rig);
        }
        rig.heartbeat(B, LAST + 1);
        rig.advance(u64::MAX / 2);
        let open: Vec<u64> = rig.arbiter.gaps().map(|view| view.gap.id).collect();
        for id in open {
            rig.arbiter.give_up(id, LossReason::Operator, rig.now_ns, &mut rig.checked);
        }
        let lost = rig.events().into_iter().filter_map(|event| match event {
            Event::GapLost { gap, .. } => Some(gap.last - gap.first + 1),
            _ => None,
        });
        let delivered: u64 = rig.runs().iter().map(|(first, last)| last - first + 1).sum();
        prop_assert_eq!(delivered + lost.sum::<u64>(), LAST);
        prop_assert_eq!(rig.arbiter.next_sequence(), LAST + 1);
    }

    /// With room for almost nothing, packets are dropped, but after the lines repeat everything
    /// in order all of it has left, once and in sequence.
    #[test]
    fn small_limits_lose_nothing(
        steps in proptest::collection::vec(step(), 1..120),
        hold in 1..4usize,
        gaps in 1..3usize,
    ) {
        let mut rig = Rig::new(Config {
            start: Start::SessionStart,
            hold_capacity_packets: hold,
            gap_capacity: gaps,
            ..Config::default()
        });
        for step in steps.into_iter().filter(|step| !matches!(step, Step::GiveUp(_))) {
            run(&mut rig, &mut Model::default(), step);
            let counters = rig.arbiter.counters();
            prop_assert!(counters.held_packets <= hold as u64);
            prop_assert!(rig.arbiter.gaps().count() <= gaps);
            check_account(&rig);
        }
        for first in (1..=LAST).step_by(5) {
            rig.data(A, first, (first + 4).min(LAST));
        }
        prop_assert_eq!(rig.arbiter.next_sequence(), LAST + 1);
        prop_assert_eq!(rig.arbiter.counters().messages_lost, 0);
        prop_assert_eq!(rig.arbiter.counters().delivered, LAST);
    }
}
