//! One re-request server: what is asked for when, and what its answers are worth.

use proptest::prelude::*;
use tickdeck_recovery::{Action, Config, Engine, LossReason, SourceConfig, Verdict};
use tickdeck_wire::moldudp64::{Packet, Session, heartbeat};

use crate::support::{MS, SESSION, answer, answer_of, asked, config, on_packet, open, wanted};

/// A long gap is asked for in pieces of the allowed size, lowest first, never too often.
#[test]
fn asks_in_pieces_and_not_too_often() {
    let mut engine = Engine::new(config());
    open(&mut engine, 2, 900, 910, 0);
    open(&mut engine, 1, 1, 250, 0);
    assert_eq!(asked(&mut engine, 0), Some((1, 1, 100)));
    assert_eq!(asked(&mut engine, 5 * MS - 1), None);
    assert_eq!(engine.next_deadline_ns(), Some(5 * MS));
    assert_eq!(asked(&mut engine, 5 * MS), Some((2, 900, 11)));
}

/// A partial answer: the rest is asked for at once, in portions of what an answer brings, two of
/// them for each answer.
#[test]
fn asks_for_the_rest() {
    let mut engine = Engine::new(config());
    open(&mut engine, 1, 10, 60, 0);
    assert_eq!(asked(&mut engine, 0), Some((1, 10, 51)));
    assert_eq!(answer(&mut engine, 10, 20, MS), wanted(10, 29));
    assert_eq!(asked(&mut engine, MS), Some((1, 30, 20)));
    assert_eq!(asked(&mut engine, MS), Some((1, 50, 11)));
    assert_eq!(asked(&mut engine, MS), None, "all of it is on its way");
    assert_eq!(engine.narrowed(1, 10, 29, MS), None);
    assert_eq!(answer(&mut engine, 30, 5, 2 * MS), wanted(30, 34));
    assert_eq!(engine.narrowed(1, 30, 34, 2 * MS), None);
    assert_eq!(asked(&mut engine, 2 * MS), Some((1, 35, 5)));
    assert_eq!(asked(&mut engine, 2 * MS), Some((1, 40, 5)));
    let closed = engine.narrowed(1, 35, 60, 20 * MS).expect("complete");
    assert_eq!((closed.latency_ns, closed.requests), (20 * MS, 5));
    assert_eq!((engine.open_gaps(), engine.next_deadline_ns()), (0, None));
    assert_eq!(engine.counters().fetched_ranges, 1);
    assert_eq!(engine.counters().failures, 0);
}

/// A whole answer to a small request says nothing about how long an answer may be.
#[test]
fn small_gap_does_not_make_small_requests() {
    let mut engine = Engine::new(config());
    open(&mut engine, 1, 10, 10, 0);
    assert_eq!(asked(&mut engine, 0), Some((1, 10, 1)));
    assert_eq!(answer(&mut engine, 10, 1, MS), wanted(10, 10));
    open(&mut engine, 2, 20, 99, MS);
    assert_eq!(asked(&mut engine, MS), Some((2, 20, 80)));
}

/// What an answer brought but the merge did not take is asked for again.
#[test]
fn lost_injection_is_asked_again() {
    let mut engine = Engine::new(config());
    open(&mut engine, 1, 10, 12, 0);
    assert_eq!(asked(&mut engine, 0), Some((1, 10, 3)));
    assert_eq!(answer(&mut engine, 10, 3, MS), wanted(10, 12));
    assert_eq!(asked(&mut engine, 21 * MS - 1), None);
    assert_eq!(asked(&mut engine, 21 * MS), Some((1, 10, 3)));
}

/// A silent server: linear backoff, then the gap is given up, and only that one.
#[test]
fn gives_up_after_its_attempts() {
    let mut engine = Engine::new(config());
    open(&mut engine, 1, 10, 12, 0);
    let mut requests = Vec::new();
    let mut now_ns = 0;
    let given_up = loop {
        match engine.poll(now_ns) {
            Some(Action::Request { .. }) => requests.push(now_ns / MS),
            Some(Action::GiveUp { id, reason, .. }) => break (now_ns / MS, id, reason),
            Some(other) => panic!("{other:?} within the objective"),
            None => now_ns = engine.next_deadline_ns().expect("a gap is open"),
        }
    };
    assert_eq!(
        requests,
        [0, 70, 160],
        "timeout 50 ms, then 20 and 40 ms of backoff"
    );
    assert_eq!(given_up, (210, 1, LossReason::AttemptsExhausted));
    assert_eq!(engine.poll(now_ns), None);
    let counters = engine.counters();
    assert_eq!(
        (counters.requests, counters.retries, counters.failures),
        (3, 2, 3)
    );
    assert_eq!(counters.unrecoverable_gaps, 1);
}

/// Progress renews the attempts: a slow server that brings a little each time is not given up.
#[test]
fn progress_renews_the_attempts() {
    let mut engine = Engine::new(config());
    open(&mut engine, 1, 1, 20, 0);
    let mut now_ns = 0;
    let mut left = 1..=20;
    while engine.open_gaps() > 0 {
        match engine.poll(now_ns) {
            Some(Action::Request { requests, .. }) if requests % 3 == 0 => {
                let sequence = left.next().expect("something is missing");
                assert_eq!(
                    answer(&mut engine, sequence, 1, now_ns + MS),
                    wanted(sequence, sequence)
                );
                engine.narrowed(1, sequence, sequence, now_ns + MS);
            }
            Some(Action::Request { .. }) => {}
            Some(other) => panic!("{other:?} in spite of progress"),
            None => now_ns = engine.next_deadline_ns().expect("a gap is open"),
        }
    }
    assert!(left.next().is_none());
}

/// A server that answers is not given up because the merge has no room for its answers yet: only
/// unanswered requests in a row count.
#[test]
fn answers_renew_the_attempts() {
    let mut engine = Engine::new(config());
    open(&mut engine, 1, 10, 12, 0);
    let mut now_ns = 0;
    let mut requests = 0;
    while requests < 30 {
        match engine.poll(now_ns) {
            Some(Action::Request { .. }) => {
                requests += 1;
                if requests % 3 == 0 {
                    assert_eq!(answer(&mut engine, 10, 3, now_ns + MS), wanted(10, 12));
                }
            }
            Some(other) => panic!("{other:?} though the server answers"),
            None => now_ns = engine.next_deadline_ns().expect("a gap is open"),
        }
    }
}

/// Each kind of useless answer is told apart and renews nothing.
#[test]
fn judges_answers() {
    let mut engine = Engine::new(config());
    let stranger = answer_of(Session(*b"OTHER     "), 10, 3);
    let stranger = Packet::parse(&stranger).expect("well formed");
    assert_eq!(
        on_packet(&mut engine, &stranger, 0),
        Verdict::WrongSession,
        "nothing was asked"
    );
    open(&mut engine, 1, 10, 12, 0);
    assert_eq!(
        answer(&mut engine, 10, 3, 0),
        Verdict::NotAsked,
        "known, but not asked for yet"
    );
    assert_eq!(asked(&mut engine, 0), Some((1, 10, 3)));
    assert_eq!(on_packet(&mut engine, &stranger, 0), Verdict::WrongSession);
    assert_eq!(answer(&mut engine, 13, 9, 0), Verdict::NotAsked);
    let quiet = heartbeat(SESSION, 10);
    let quiet = Packet::parse(&quiet).expect("well formed");
    assert_eq!(on_packet(&mut engine, &quiet, 0), Verdict::NotAsked);
    assert_eq!(
        answer(&mut engine, 1, 11, 0),
        wanted(10, 11),
        "its tail is wanted"
    );
    engine.narrowed(1, 10, 11, 0);
    assert_eq!(answer(&mut engine, 10, 2, 0), Verdict::Stale);
    assert!(engine.narrowed(1, 12, 12, 0).is_some());
    assert_eq!(answer(&mut engine, 12, 1, 0), Verdict::Stale);
    let counters = engine.counters();
    assert_eq!((counters.injected_packets, counters.stale_packets), (1, 2));
    assert_eq!(
        (counters.wrong_session_packets, counters.not_asked_packets),
        (2, 3)
    );
}

/// The same numbers of another session are another matter.
#[test]
fn sessions_are_kept_apart() {
    let mut engine = Engine::new(config());
    let tuesday = Session(*b"DEMO000002");
    open(&mut engine, 1, 10, 12, 0);
    engine.open(2, tuesday, 10, 12, 0).expect("room");
    assert_eq!(asked(&mut engine, 0), Some((1, 10, 3)));
    let bytes = answer_of(tuesday, 10, 3);
    let packet = Packet::parse(&bytes).expect("well formed");
    assert_eq!(
        on_packet(&mut engine, &packet, MS),
        Verdict::NotAsked,
        "only Monday was asked for"
    );
}

/// An answer that comes after its timeout is still wanted while its messages are missing.
#[test]
fn late_answer_is_wanted() {
    let mut engine = Engine::new(config());
    open(&mut engine, 1, 10, 12, 0);
    assert_eq!(asked(&mut engine, 0), Some((1, 10, 3)));
    assert_eq!(asked(&mut engine, 55 * MS), None);
    assert_eq!(answer(&mut engine, 10, 3, 60 * MS), wanted(10, 12));
}

/// A gap that stays open too long misses its objective once; it is not given up for that.
#[test]
fn objective_is_missed_once() {
    let mut engine = Engine::new(Config {
        slo_ns: 30 * MS,
        ..config()
    });
    open(&mut engine, 7, 10, 12, 0);
    assert!(asked(&mut engine, 0).is_some());
    assert_eq!(engine.next_deadline_ns(), Some(30 * MS));
    assert_eq!(engine.poll(30 * MS), Some(Action::SloMissed { id: 7 }));
    assert_eq!(engine.poll(30 * MS), None);
    assert_eq!(
        (engine.counters().slo_violations, engine.open_gaps()),
        (1, 1)
    );
}

/// An operator's retry does not wait for the backoff, but for the least interval.
#[test]
fn retry_now() {
    let mut engine = Engine::new(config());
    open(&mut engine, 1, 10, 12, 0);
    assert!(asked(&mut engine, 0).is_some());
    assert_eq!(engine.retry_now(Some(9), MS), 0);
    assert_eq!(engine.retry_now(None, MS), 1);
    assert_eq!(asked(&mut engine, MS), None);
    assert_eq!(asked(&mut engine, 5 * MS), Some((1, 10, 3)));
}

/// Too many gaps: the next one is refused and counted; holes of known gaps are always taken.
#[test]
fn gap_table_is_bounded() {
    let mut engine = Engine::new(config());
    for id in 1..=4 {
        open(&mut engine, id, id * 10, id * 10, 0);
    }
    let refused = engine.open(5, SESSION, 50, 50, 0).expect_err("full");
    assert!(refused.to_string().contains("4 gaps"));
    open(&mut engine, 4, 45, 46, 0);
    assert_eq!(engine.counters().requests_dropped, 1);
    engine.forget_all();
    assert_eq!(engine.open_gaps(), 0);
}

/// At the top of the number range nothing overflows.
#[test]
fn largest_sequence_numbers() {
    let mut engine = Engine::new(config());
    let last = u64::MAX - 1;
    open(&mut engine, 1, last - 1, last, u64::MAX - 1);
    assert_eq!(asked(&mut engine, u64::MAX - 1), Some((1, last - 1, 2)));
    assert_eq!(
        answer(&mut engine, last - 1, 2, u64::MAX),
        wanted(last - 1, last)
    );
    assert!(engine.narrowed(1, last - 1, last, u64::MAX).is_some());
}

proptest! {
    /// Whatever holes there are, and however little each answer brings, every missing message
    /// is asked for, nothing else is, and requests that no answer allows keep their distance.
    #[test]
    fn asks_for_all_and_only_what_is_missing(
        holes in proptest::collection::vec((1..200u64, 1..20u64), 1..4),
        portions in proptest::collection::vec(1..15u64, 1..50),
    ) {
        let mut engine = Engine::new(config());
        let mut missing = std::collections::BTreeSet::new();
        for (first, count) in holes {
            open(&mut engine, 1, first, first + count - 1, 0);
            missing.extend(first..first + count);
        }
        let mut portions = portions.into_iter().cycle();
        let (mut now_ns, mut last_ns, mut early, mut answers) = (0, None, 0, 0);
        while !missing.is_empty() {
            let Some(action) = engine.poll(now_ns) else {
                now_ns = engine.next_deadline_ns().expect("something is missing");
                continue;
            };
            let Action::Request { first, count, .. } = action else {
                panic!("{action:?} from a server that answers");
            };
            early += u64::from(last_ns.is_some_and(|last_ns| now_ns - last_ns < 5 * MS));
            prop_assert!(early <= 2 * answers);
            answers += 1;
            last_ns = Some(now_ns);
            prop_assert!((first..first + count).all(|n| missing.contains(&n)));
            let count = count.min(portions.next().expect("a cycle"));
            prop_assert_eq!(answer(&mut engine, first, count, now_ns), wanted(first, first + count - 1));
            missing.retain(|n| !(first..first + count).contains(n));
            engine.narrowed(1, first, first + count - 1, now_ns);
        }
        prop_assert_eq!(engine.open_gaps(), 0);
    }
}

/// A long gap and a server that answers each request with one small packet: its answers set the
/// pace, and the requests in flight stay bounded.
#[test]
fn catches_up_at_the_pace_of_the_answers() {
    let mut engine = Engine::new(Config {
        sources: vec![SourceConfig::request()],
        ..config()
    });
    open(&mut engine, 1, 1, 300_000, 0);
    let mut flying = std::collections::VecDeque::new();
    let (mut now_ns, mut most) = (0, 0);
    while engine.open_gaps() > 0 {
        match engine.poll(now_ns) {
            Some(Action::Request { first, count, .. }) => {
                flying.push_back((now_ns + MS, first, count));
            }
            Some(other) => panic!("{other:?} though the server answers"),
            None => {
                most = most.max(flying.len());
                let answer_ns = flying.front().map_or(u64::MAX, |(at_ns, ..)| *at_ns);
                let deadline_ns = engine.next_deadline_ns().unwrap_or(u64::MAX);
                now_ns = answer_ns.min(deadline_ns);
                if answer_ns <= deadline_ns {
                    let (_, first, count) = flying.pop_front().expect("one is due");
                    let count = count.min(8);
                    answer(&mut engine, first, count, now_ns);
                    engine.narrowed(1, first, first + count - 1, now_ns);
                }
            }
        }
    }
    let rate = 300_000 * 1000 * MS / now_ns;
    assert!(
        rate > 100_000,
        "{rate} messages/s with an answer after 1 ms"
    );
    assert!((8..=32).contains(&most), "{most} requests in flight");
    assert_eq!(engine.counters().failures, 0);
}

/// Many gaps and a dead server: a round of silence counts for all of them, so that they go
/// together, and the requests keep their distance.
#[test]
fn silence_counts_for_all_gaps() {
    let mut engine = Engine::new(Config {
        gap_capacity: 1000,
        ..config()
    });
    for id in 1..=1000 {
        open(&mut engine, id, id * 10, id * 10, 0);
    }
    let (mut now_ns, mut requests) = (0, 0);
    while engine.open_gaps() > 0 {
        match engine.poll(now_ns) {
            Some(Action::Request { .. }) => requests += 1,
            Some(_) => {}
            None => now_ns = engine.next_deadline_ns().expect("a gap is open"),
        }
    }
    assert!(
        now_ns <= 300 * MS,
        "a single gap takes 210 ms, all took {} ms",
        now_ns / MS
    );
    assert!(requests <= now_ns / (5 * MS) + 1, "{requests} requests");
    assert_eq!(engine.counters().unrecoverable_gaps, 1000);
}

/// A server that answers for some gaps is not silent: a gap is given up for its own requests only.
#[test]
fn answers_for_others_end_a_silence() {
    let mut engine = Engine::new(config());
    open(&mut engine, 1, 10, 10, 0);
    open(&mut engine, 2, 20, 20, 0);
    let (mut now_ns, mut given_up) = (0, Vec::new());
    while now_ns < 2_000 * MS && !given_up.contains(&1) {
        match engine.poll(now_ns) {
            Some(Action::Request { id: 2, .. }) => {
                assert_eq!(answer(&mut engine, 20, 1, now_ns), wanted(20, 20));
            }
            Some(Action::GiveUp { id, .. }) => given_up.push(id),
            Some(_) => {}
            None => now_ns = engine.next_deadline_ns().expect("a gap is open"),
        }
    }
    assert_eq!(given_up, [1]);
}
