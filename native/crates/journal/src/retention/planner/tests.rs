//! Retention over any history.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

const SECOND_NS: u64 = 1_000_000_000;

fn pin(client: &str, acked_seq: u64) -> Pin {
    Pin {
        client: client.into(),
        acked_seq,
        retain_max_bytes: 0,
        retain_max_age_s: 0,
        acked_ns: 0,
        lost: false,
    }
}

/// One thing that happens to a log.
#[derive(Debug, Clone)]
enum Step {
    /// A segment of so many records and bytes is closed.
    Close(u64, u64),
    /// Time passes.
    Wait(u64),
    /// Reader `n` acknowledges up to a part of the log, in percent.
    Ack(usize, u64),
    /// Reader `n` gets other caps, or its pin is written anew, or goes.
    Caps(usize, u64, u64),
    Renew(usize),
    Leave(usize),
    /// The newest SESSION record moves to the head.
    Session,
    Limits(u64, u64),
    Round,
}

/// Steps are drawn as numbers: strategies of strategies would take most of the time.
fn step(chance: u32, a: u32, b: u32) -> Step {
    let (reader, a, b) = ((a % 4) as usize, u64::from(a / 4), u64::from(b));
    match chance % 29 {
        0..6 => Step::Close(1 + a % 49, 1 + b % 999),
        6..9 => Step::Wait(1 + a % 99),
        9..13 => Step::Ack(reader, b % 101),
        13 => Step::Caps(reader, a % 3000, b % 200),
        14 => Step::Renew(reader),
        15 => Step::Leave(reader),
        16..18 => Step::Session,
        18 => Step::Limits(a % 5000, b % 300),
        _ => Step::Round,
    }
}

/// A log as a reader of the rules would keep it.
#[derive(Debug, Default)]
struct Model {
    /// First sequence, last sequence, bytes, closing time in seconds.
    segments: Vec<(u64, u64, u64, u64)>,
    next_seq: u64,
    now_s: u64,
    pins: BTreeMap<String, Pin>,
    session_seq: u64,
    limits: Limits,
    pruned: u64,
    passed: u64,
}

const OPEN_BYTES: u64 = 100;

impl Model {
    fn client(reader: usize) -> String {
        [BOOK_PIN, "east", "north", "west"][reader].to_owned()
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Close(records, bytes) => {
                let first = self.next_seq;
                self.next_seq += records;
                let closed = (first, self.next_seq - 1, *bytes, self.now_s);
                self.segments.push(closed);
            }
            Step::Wait(seconds) => self.now_s += seconds,
            Step::Ack(reader, part) => {
                let seq = self.next_seq * part / 100;
                let client = Self::client(*reader);
                let pin = self
                    .pins
                    .entry(client.clone())
                    .or_insert_with(|| pin(&client, 0));
                pin.acked_seq = pin.acked_seq.max(seq);
            }
            Step::Caps(reader, bytes, seconds) => {
                if let Some(pin) = self.pins.get_mut(&Self::client(*reader)) {
                    (pin.retain_max_bytes, pin.retain_max_age_s) = (*bytes, *seconds);
                }
            }
            Step::Renew(reader) => {
                if let Some(pin) = self.pins.get_mut(&Self::client(*reader)) {
                    pin.lost = false;
                }
            }
            Step::Leave(reader) => {
                self.pins.remove(&Self::client(*reader));
            }
            Step::Session => self.session_seq = self.next_seq,
            Step::Limits(max_bytes, max_age_s) => {
                self.limits = Limits {
                    max_bytes: *max_bytes,
                    max_age_s: *max_age_s,
                    needs_book_pin: true,
                };
            }
            Step::Round => self.round(),
        }
    }

    fn age_ns(&self, at: usize) -> u64 {
        (self.now_s - self.segments[at].3) * SECOND_NS
    }

    fn round(&mut self) {
        let closed: Vec<Closed> = (0..self.segments.len())
            .map(|at| Closed {
                last_seq: self.segments[at].1,
                bytes: self.segments[at].2,
                age_ns: self.age_ns(at),
            })
            .collect();
        let pins: Vec<Pin> = self.pins.values().cloned().collect();
        let needed = Some(self.session_seq);
        let decision = decide(&closed, OPEN_BYTES, &pins, &self.limits, needed, usize::MAX);
        for at in 0..decision.prune {
            self.assert_may_go(at, &decision);
        }
        for client in &decision.lost {
            let last_seq = self.segments[decision.prune - 1].1;
            let pin = self.pins.get_mut(client).expect("a pin of the list");
            assert!(pin.acked_seq < last_seq, "{client} lost nothing");
            pin.lost = true;
            self.passed += 1;
        }
        self.segments.drain(..decision.prune);
        self.pruned += decision.prune as u64;
        self.assert_nothing_more(&decision);
    }

    /// The rule of R16, in its own words.
    fn assert_may_go(&self, at: usize, decision: &Decision) {
        let (_, last_seq, ..) = self.segments[at];
        let left: u64 = OPEN_BYTES + self.segments[at..].iter().map(|it| it.2).sum::<u64>();
        let limits = &self.limits;
        let by_bytes = limits.max_bytes > 0 && left > limits.max_bytes;
        let by_age = limits.max_age_s > 0 && self.age_ns(at) >= limits.max_age_s * SECOND_NS;
        assert!(by_bytes || by_age, "nothing asked for it");
        assert!(
            last_seq < self.session_seq,
            "the newest SESSION record went"
        );
        let book = self.pins.get(BOOK_PIN).expect("no book, no pruning");
        assert!(
            book.lost || book.acked_seq >= last_seq,
            "the books needed it"
        );
        for pin in self
            .pins
            .values()
            .filter(|pin| !pin.lost && pin.acked_seq < last_seq)
        {
            assert!(
                decision.lost.contains(&pin.client),
                "{} was not told",
                pin.client
            );
            let first_at = self
                .segments
                .iter()
                .position(|it| it.1 > pin.acked_seq)
                .expect("one");
            let backlog: u64 =
                OPEN_BYTES + self.segments[first_at..].iter().map(|it| it.2).sum::<u64>();
            assert!(
                is_beyond_cap(pin, backlog, self.age_ns(first_at)),
                "{} was passed within its cap",
                pin.client
            );
        }
    }

    /// What is beyond the limits and still there is there for the reason that is given.
    fn assert_nothing_more(&self, decision: &Decision) {
        let Some((_, last_seq, ..)) = self.segments.first() else {
            return;
        };
        let left: u64 = OPEN_BYTES + self.segments.iter().map(|it| it.2).sum::<u64>();
        let limits = &self.limits;
        let beyond = limits.max_bytes > 0 && left > limits.max_bytes
            || limits.max_age_s > 0 && self.age_ns(0) >= limits.max_age_s * SECOND_NS;
        match &decision.held {
            None => assert!(!beyond, "it was forgotten"),
            Some(Held::NoBookPin) => assert!(!self.pins.contains_key(BOOK_PIN)),
            Some(Held::Resume) => assert!(*last_seq >= self.session_seq),
            Some(Held::Pin(client)) => {
                let pin = &self.pins[client];
                assert!(!pin.lost && pin.acked_seq < *last_seq);
            }
        }
    }
}

/// Over 100,000 steps of any history nothing goes that somebody needs, unless its cap says so, and
/// then its pin says so; and what may go goes.
#[test]
fn nothing_that_is_needed_goes() {
    let steps = std::env::var("TICKDECK_RETENTION_CASES");
    let steps = steps.map_or(100_000, |it| it.parse().expect("a number of steps"));
    let config = Config {
        cases: (steps / STEPS_PER_CASE).max(1),
        // A failing history is printed; there is no file for it.
        failure_persistence: None,
        ..Config::default()
    };
    let history = prop::collection::vec(any::<(u32, u32, u32)>(), STEPS_PER_CASE as usize);
    let (mut pruned, mut passed) = (0, 0);
    let result = TestRunner::new(config).run(&history, |steps| {
        let mut model = Model {
            next_seq: 1,
            ..Model::default()
        };
        for (chance, a, b) in steps {
            model.apply(&step(chance, a, b));
        }
        ROUNDS.with(|it| {
            let (pruned, passed) = it.get();
            it.set((pruned + model.pruned, passed + model.passed));
        });
        Ok(())
    });
    ROUNDS.with(|it| (pruned, passed) = it.get());
    result.unwrap_or_else(|error| panic!("{error}"));
    println!("{steps} steps: {pruned} segments pruned, {passed} pins passed");
    assert!(
        pruned > u64::from(steps) / 100,
        "only {pruned} segments went"
    );
    assert!(passed > 10, "only {passed} pins were passed");
}

thread_local! {
    static ROUNDS: std::cell::Cell<(u64, u64)> = const { std::cell::Cell::new((0, 0)) };
}
const STEPS_PER_CASE: u32 = 200;

/// Ages are those of monotonic clocks: nothing within the present boot is older than it is, a boot
/// before counts with what is known of it, and what has no stamp is as old as what follows.
#[test]
fn ages_are_never_too_high() {
    let moment = |boot: u8, seconds: u64| Moment {
        boot_id: [boot; 16],
        mono_ns: seconds * SECOND_NS,
    };
    let closed = [
        Some(moment(1, 100)),
        None,
        Some(moment(1, 900)),
        Some(moment(2, 50)),
        Some(moment(3, 10)),
        Some(moment(3, 30)),
        None,
    ];
    let seconds: Vec<u64> = ages(&closed, moment(3, 40))
        .iter()
        .map(|age| age / SECOND_NS)
        .collect();
    // Boot 3 has run 40 s, boot 2 at least 50 s.
    assert_eq!(seconds, [890, 90, 90, 40, 30, 10, 0]);
    assert_eq!(ages(&[Some(moment(1, 50))], moment(1, 40)), [0]);
}
