//! Several sources: who is asked in which order, and how much at once.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tickdeck_recovery::{
    Action, Config, Engine, Fault, LossReason, RangeSource, SourceConfig, Verdict,
};

use crate::support::{MS, SESSION, brought, config, open, run_until, three_sources, wanted};

const SECOND: u64 = 1000 * MS;

/// A source that does not answer gives way to the next; after the last one the gap is given up,
/// once each had its attempts.
#[test]
fn sources_are_asked_in_their_order() {
    let mut engine = Engine::new(three_sources());
    open(&mut engine, 1, 10, 12, 0);
    let mut now_ns = 0;
    let (requests, action) = run_until(&mut engine, &mut now_ns, 100 * SECOND);
    let sources: Vec<RangeSource> = requests.iter().map(|request| request.0).collect();
    let twice = RangeSource::ALL.map(|source| [source; 2]);
    assert_eq!(sources, twice.concat());
    assert!(
        requests
            .iter()
            .all(|request| (request.2, request.3) == (10, 3))
    );
    let (reason, fault) = (LossReason::AttemptsExhausted, Fault::Silent);
    assert_eq!(
        action,
        Some(Action::GiveUp {
            id: 1,
            reason,
            fault
        })
    );
    assert_eq!(engine.counters().escalations, 2);
    assert_eq!(engine.counters().lies_of(Fault::Silent), 6);
}

/// A late answer of a source that was exhausted is taken while its messages are missing.
#[test]
fn answer_of_an_earlier_source_is_wanted() {
    let mut engine = Engine::new(three_sources());
    open(&mut engine, 1, 10, 12, 0);
    let mut now_ns = 0;
    let (requests, _) = run_until(&mut engine, &mut now_ns, 130 * MS);
    assert_eq!(
        requests.last().map(|request| request.0),
        Some(RangeSource::Stream)
    );
    let verdict = engine.on_answer(RangeSource::Request, brought(10, 3), now_ns);
    assert_eq!(verdict, wanted(10, 12));
    assert_eq!(engine.fault_of(1), Some(Fault::Slow));
    let closed = engine.narrowed(1, 10, 12, now_ns).expect("complete");
    assert_eq!((closed.requests, closed.fault), (3, Fault::Slow));
    assert!(
        !engine.awaits(RangeSource::Stream),
        "nobody waits for the stream any more"
    );
}

/// A source whose wanted answers the merge refuses brings the same for ever, so it is left at once,
/// although it answers; the last one leaves the gap given up for that reason.
#[test]
fn refused_answers_exhaust_a_source() {
    let mut engine = Engine::new(three_sources());
    open(&mut engine, 1, 10, 12, 0);
    let (mut now_ns, mut asked) = (0, Vec::new());
    let given_up = loop {
        match engine.poll(now_ns) {
            Some(Action::Request { source, .. }) => {
                asked.push(source);
                assert!(asked.len() < 10, "it would go on for ever");
                assert_eq!(
                    engine.on_answer(source, brought(10, 3), now_ns),
                    wanted(10, 12)
                );
                assert!(engine.on_refused(source, SESSION, 10, now_ns));
                assert!(!engine.on_refused(source, SESSION, 11, now_ns), "once");
            }
            Some(Action::GiveUp { fault, .. }) => break fault,
            Some(_) => {}
            None => now_ns = engine.next_deadline_ns().expect("a gap is open"),
        }
    };
    assert_eq!(asked, RangeSource::ALL);
    assert_eq!(given_up, Fault::WrongSession);
}

/// What one source was asked for is not taken from another.
#[test]
fn each_source_answers_for_itself() {
    let mut engine = Engine::new(three_sources());
    open(&mut engine, 1, 10, 12, 0);
    let mut now_ns = 0;
    run_until(&mut engine, &mut now_ns, 0);
    let verdict = engine.on_answer(RangeSource::Peer, brought(10, 3), 0);
    assert_eq!(verdict, Verdict::NotAsked);
}

/// A source that answers now and then is never exhausted, yet it does not keep a gap for ever: the
/// sources take turns.
#[test]
fn a_trickle_gives_way() {
    let mut engine = Engine::new(Config {
        retry_attempts: 4,
        ..three_sources()
    });
    open(&mut engine, 1, 1, 1000, 0);
    let (mut now_ns, mut asked, mut next) = (0, Vec::new(), 1);
    while asked.len() < 300 {
        match engine.poll(now_ns) {
            Some(Action::Request { source, .. }) => {
                asked.push(source);
                if asked.len() % 2 == 0 {
                    engine.on_answer(source, brought(next, 1), now_ns);
                    engine.narrowed(1, next, next, now_ns);
                    next += 1;
                }
            }
            Some(Action::SloMissed { .. }) => {}
            Some(other) => panic!("{other:?} though something comes"),
            None => now_ns = engine.next_deadline_ns().expect("a gap is open"),
        }
    }
    assert!(RangeSource::ALL.iter().all(|source| asked.contains(source)));
}

/// A source that was silent for all its attempts is passed over for new gaps, until a probe or
/// its rest brings it back.
#[test]
fn a_dead_source_rests() {
    let first_asked = |engine: &mut Engine, id: u64, now_ns: u64| {
        open(engine, id, id * 100, id * 100, now_ns);
        let mut at_ns = now_ns;
        let (requests, _) = run_until(engine, &mut at_ns, now_ns);
        let (source, _, first, count) = requests[0];
        engine.on_answer(source, brought(first, count), now_ns);
        engine.narrowed(id, first, first, now_ns);
        source
    };
    let mut engine = Engine::new(three_sources());
    open(&mut engine, 1, 10, 10, 0);
    let mut now_ns = 0;
    run_until(&mut engine, &mut now_ns, 130 * MS);
    engine.closed(1, now_ns);
    now_ns += 10 * MS;
    assert!(engine.is_abandoned(RangeSource::Request, now_ns));
    assert_eq!(first_asked(&mut engine, 2, now_ns), RangeSource::Stream);
    engine.source_ready(RangeSource::Request);
    assert_eq!(first_asked(&mut engine, 3, now_ns), RangeSource::Request);

    let mut engine = Engine::new(three_sources());
    open(&mut engine, 1, 10, 10, 0);
    now_ns = 0;
    run_until(&mut engine, &mut now_ns, 130 * MS);
    engine.closed(1, now_ns);
    assert_eq!(
        first_asked(&mut engine, 2, now_ns + 4 * SECOND),
        RangeSource::Stream
    );
    assert_eq!(
        first_asked(&mut engine, 3, now_ns + 6 * SECOND),
        RangeSource::Request
    );
}

/// A stream is asked once for several gaps and all between them; what it brings is taken part by
/// part, each gap closes by its own parts, and nothing is asked for twice meanwhile.
#[test]
fn a_stream_brings_neighbouring_gaps_at_once() {
    let mut engine = Engine::new(Config {
        sources: vec![SourceConfig::stream()],
        ..config()
    });
    for (id, first, last) in [(1, 100, 199), (2, 300, 349), (3, 400, 999)] {
        open(&mut engine, id, first, last, 0);
    }
    assert_eq!(
        engine.poll(0),
        Some(Action::Request {
            id: 1,
            requests: 1,
            source: RangeSource::Stream,
            session: SESSION,
            first: 100,
            count: 900,
        })
    );
    for id in [2, 3] {
        let source = RangeSource::Stream;
        assert_eq!(
            engine.poll(0),
            Some(Action::Joined {
                id,
                requests: 1,
                source
            })
        );
    }
    let mut closed = Vec::new();
    for part in 0..90 {
        let (first, now_ns) = (100 + part * 10, part * MS);
        let verdict = engine.on_answer(RangeSource::Stream, brought(first, 10), now_ns);
        let is_between = (200..300).contains(&first) || (350..400).contains(&first);
        if is_between {
            assert_eq!(verdict, Verdict::Stale, "{first}");
        } else {
            assert_eq!(verdict, wanted(first, first + 9));
        }
        for id in 1..=3 {
            if engine.narrowed(id, first, first + 9, now_ns).is_some() {
                closed.push((id, first + 9));
            }
        }
        assert_eq!(engine.poll(now_ns), None, "the rest is on its way");
    }
    assert_eq!(closed, [(1, 199), (2, 349), (3, 999)]);
    assert_eq!(engine.counters().lies, [0; 12]);
}

/// A stream that stops in the middle is resumed where it stopped, and called partial.
#[test]
fn a_stream_that_stalls_is_resumed() {
    let mut engine = Engine::new(Config {
        sources: vec![SourceConfig::stream()],
        ..config()
    });
    open(&mut engine, 1, 1, 100, 0);
    let mut now_ns = 0;
    run_until(&mut engine, &mut now_ns, 0);
    engine.on_answer(RangeSource::Stream, brought(1, 40), 400 * MS);
    engine.narrowed(1, 1, 40, 400 * MS);
    let (requests, _) = run_until(&mut engine, &mut now_ns, 899 * MS);
    assert_eq!(requests, [], "its time begins anew with each part");
    let (requests, _) = run_until(&mut engine, &mut now_ns, 950 * MS);
    assert_eq!(requests, [(RangeSource::Stream, 1, 41, 60)]);
    assert_eq!(engine.fault_of(1), Some(Fault::Partial));
}

/// Near gaps share a request to the server too, far ones do not; only what is missing is taken.
#[test]
fn near_gaps_share_a_request() {
    let mut engine = Engine::new(Config {
        coalesce_messages: 8,
        ..config()
    });
    for (id, first, last) in [(1, 10, 11), (2, 20, 21), (3, 31, 31)] {
        open(&mut engine, id, first, last, 0);
    }
    let mut now_ns = 0;
    let (requests, _) = run_until(&mut engine, &mut now_ns, 0);
    assert_eq!(requests, [(RangeSource::Request, 1, 10, 12)]);
    assert_eq!(engine.counters().joined, 1);
    let verdict = engine.on_answer(RangeSource::Request, brought(10, 12), MS);
    assert_eq!(verdict, wanted(10, 21));
    assert!(engine.narrowed(1, 10, 11, MS).is_some());
    assert!(engine.narrowed(2, 20, 20, MS).is_none(), "a part of it");
    assert!(engine.narrowed(2, 21, 21, MS).is_some());
    assert_eq!(engine.open_gaps(), 1);
}

proptest! {
    /// Whatever gaps there are, and however they are asked for together: each missing message is
    /// fetched, none twice, and each gap closes by its own parts, with the last of them.
    #[test]
    fn every_part_is_fetched_once(
        gaps in proptest::collection::vec((1..40u64, 1..30u64), 1..30),
        coalesce_messages in 0..64u64,
        portion in 1..50u64,
        kind in proptest::sample::select(&RangeSource::ALL[..]),
        storm_gaps in 0..20usize,
    ) {
        let mut engine = Engine::new(Config {
            sources: vec![SourceConfig { kind, ..SourceConfig::request() }],
            coalesce_messages,
            storm_gaps,
            gap_capacity: 30,
            ..config()
        });
        let mut missing = BTreeMap::new();
        let mut next = 1;
        for (id, (distance, length)) in (1..).zip(gaps) {
            let first = next + distance;
            next = first + length;
            open(&mut engine, id, first, next - 1, 0);
            missing.extend((first..next).map(|number| (number, id)));
        }
        let mut now_ns = 0;
        while !missing.is_empty() {
            let until_ns = now_ns + 5 * MS;
            prop_assert!(until_ns < 100 * SECOND, "it comes to an end");
            let (requests, action) = run_until(&mut engine, &mut now_ns, until_ns);
            now_ns = until_ns;
            prop_assert_eq!(action, None);
            for (_, _, first, count) in requests {
                let answers = match kind {
                    RangeSource::Request => 1,
                    _ => count.div_ceil(portion),
                };
                for part in 0..answers {
                    let at = first + part * portion;
                    let answer = brought(at, portion.min(first + count - at));
                    let verdict = engine.on_answer(kind, answer, now_ns);
                    if let Verdict::Wanted { first, last } = verdict {
                        take(&mut engine, &mut missing, first, last, now_ns)?;
                    }
                }
            }
        }
        prop_assert_eq!(engine.open_gaps(), 0);
        prop_assert_eq!(engine.counters().failures, 0);
    }
}

/// The merge takes what an answer brought: of each gap what is missing, and the gap is closed
/// exactly with its last number.
fn take(
    engine: &mut Engine,
    missing: &mut BTreeMap<u64, u64>,
    first: u64,
    last: u64,
    now_ns: u64,
) -> Result<(), TestCaseError> {
    let ends = missing.contains_key(&first) && missing.contains_key(&last);
    prop_assert!(ends, "{}..={} is wanted and not missing", first, last);
    for number in first..=last {
        if let Some(id) = missing.remove(&number) {
            let is_last = missing.values().all(|other| *other != id);
            let closed = engine.narrowed(id, number, number, now_ns);
            prop_assert_eq!(closed.is_some(), is_last);
        }
    }
    Ok(())
}

/// The wait between repetitions grows by the same step up to its limit.
#[test]
fn backoff_is_linear_and_capped() {
    let mut engine = Engine::new(Config {
        retry_attempts: 6,
        retry_backoff_max_ns: 50 * MS,
        ..config()
    });
    open(&mut engine, 1, 10, 12, 0);
    let (mut now_ns, mut times) = (0, Vec::new());
    while engine.open_gaps() > 0 {
        match engine.poll(now_ns) {
            Some(Action::Request { .. }) => times.push(now_ns / MS),
            Some(_) => {}
            None => now_ns = engine.next_deadline_ns().expect("a gap is open"),
        }
    }
    assert_eq!(times, [0, 70, 160, 260, 360, 460]);
}

/// A refusal or a broken connection is a round at once, without waiting for the timeout.
#[test]
fn a_refusal_is_a_round() {
    let mut engine = Engine::new(three_sources());
    open(&mut engine, 1, 10, 12, 0);
    let mut now_ns = 0;
    run_until(&mut engine, &mut now_ns, 0);
    engine.on_fault(RangeSource::Request, Fault::Refused, MS);
    now_ns = MS;
    let (requests, _) = run_until(&mut engine, &mut now_ns, 21 * MS);
    assert_eq!(requests.len(), 1, "after its backoff it is asked again");
    engine.on_fault(RangeSource::Request, Fault::Disconnected, 22 * MS);
    now_ns = 22 * MS;
    let (requests, _) = run_until(&mut engine, &mut now_ns, 22 * MS);
    assert_eq!(requests, [(RangeSource::Stream, 1, 10, 3)]);
    assert_eq!(engine.fault_of(1), Some(Fault::Disconnected));
    assert_eq!(engine.counters().lies_of(Fault::Silent), 0);
}

/// A storm without a snapshot: a hundred gaps are asked for together, in few requests.
#[test]
fn a_storm_is_coalesced() {
    let mut engine = Engine::new(Config {
        sources: vec![SourceConfig::request()],
        storm_gaps: 64,
        gap_capacity: 1000,
        ..config()
    });
    for id in 1..=100 {
        open(&mut engine, id, id * 20, id * 20 + 9, 0);
    }
    let mut now_ns = 0;
    let (requests, action) = run_until(&mut engine, &mut now_ns, 4 * MS);
    assert_eq!((requests.len(), action), (1, None));
    assert!(engine.storm());
    assert_eq!(requests[0], (RangeSource::Request, 1, 20, 1990));
    assert_eq!(engine.counters().joined, 99);
    for id in 1..=69 {
        engine.closed(id, now_ns);
    }
    engine.poll(now_ns);
    assert!(!engine.storm(), "31 are below the half of 64");
    assert_eq!(engine.counters().storms, 1);
}

/// A source whose answers the merge never takes is exhausted like a silent one, and is named: the
/// number that the merge wants next always has room there. Progress keeps a source that works.
#[test]
fn answers_that_are_never_taken_are_none() {
    let mut engine = Engine::new(Config {
        sources: vec![SourceConfig::peer()],
        ..config()
    });
    open(&mut engine, 1, 10, 12, 0);
    let mut now_ns = 0;
    let mut answers = 0;
    let action = loop {
        match engine.poll(now_ns) {
            Some(Action::Request { first, count, .. }) => {
                answers += 1;
                assert!(answers < 100, "it is given up");
                let verdict = engine.on_answer(RangeSource::Peer, brought(first, count), now_ns);
                assert_eq!(verdict, wanted(first, 12));
                if answers == 3 {
                    engine.narrowed(1, 10, 10, now_ns);
                }
            }
            Some(Action::Joined { .. } | Action::SloMissed { .. }) => {}
            Some(other) => break other,
            None => now_ns = engine.next_deadline_ns().expect("a gap is open"),
        }
    };
    let (reason, fault) = (LossReason::AttemptsExhausted, Fault::Garbage);
    assert_eq!(
        action,
        Action::GiveUp {
            id: 1,
            reason,
            fault
        }
    );
    assert_eq!(answers, 2 + 3 * 8, "from the last progress on");
    assert_eq!(engine.counters().lies_of(Fault::Garbage), 1);
}
