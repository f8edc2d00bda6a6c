//! Each thing that a source can do wrong has its name, and none of it reaches the merge.

use tickdeck_recovery::{Answer, Engine, Fault, RangeSource, Verdict, cut_blocks};
use tickdeck_wire::moldudp64::{Blocks, Session};

use crate::support::{MS, brought, config, open, run_until, wanted};

/// An engine that has asked for 10 to 29 and knows of 40 to 49 too.
fn waiting() -> Engine {
    let mut engine = Engine::new(config());
    open(&mut engine, 1, 10, 29, 0);
    let mut now_ns = 0;
    run_until(&mut engine, &mut now_ns, 0);
    open(&mut engine, 2, 40, 49, 0);
    engine
}

fn on(engine: &mut Engine, answer: Answer, now_ns: u64) -> Verdict {
    engine.on_answer(RangeSource::Request, answer, now_ns)
}

fn assert_fault(engine: &Engine, fault: Fault) {
    assert_eq!(engine.fault_of(1), Some(fault));
    assert_eq!(engine.counters().lies_of(fault), 1);
    assert_eq!(engine.counters().lies.iter().sum::<u64>(), 1);
    assert_eq!(engine.fault_of(2), Some(Fault::None), "it waits for nobody");
}

/// Another session, and what nobody asked for, is refused and named.
#[test]
fn strangers() {
    let mut engine = waiting();
    let session = Session(*b"OTHER     ");
    let stranger = Answer {
        session,
        ..brought(10, 20)
    };
    assert_eq!(on(&mut engine, stranger, MS), Verdict::WrongSession);
    assert_fault(&engine, Fault::WrongSession);
    let mut engine = waiting();
    assert_eq!(on(&mut engine, brought(40, 10), MS), Verdict::NotAsked);
    assert_fault(&engine, Fault::NotAsked);
}

/// More than was asked for is cut to it, on both sides, also where the rest is missing too.
#[test]
fn more_than_asked_is_cut() {
    let mut engine = waiting();
    assert_eq!(on(&mut engine, brought(10, 40), MS), wanted(10, 29));
    assert_fault(&engine, Fault::Oversize);
    let mut engine = waiting();
    assert_eq!(on(&mut engine, brought(1, 29), MS), wanted(10, 29));
    assert_fault(&engine, Fault::Oversize);
}

/// A datagram that had room for more is partial, one that is full is not.
#[test]
fn a_part_is_partial_when_there_was_room() {
    let mut engine = waiting();
    let short = Answer {
        bytes: 200,
        ..brought(10, 5)
    };
    assert_eq!(on(&mut engine, short, MS), wanted(10, 14));
    assert_fault(&engine, Fault::Partial);
    let mut engine = waiting();
    assert_eq!(on(&mut engine, brought(10, 5), MS), wanted(10, 14));
    assert_eq!(engine.counters().lies, [0; 12]);
}

/// Silence is named when the request is over, an answer after that is slow.
#[test]
fn silence_and_lateness() {
    let mut engine = waiting();
    let mut now_ns = 0;
    run_until(&mut engine, &mut now_ns, 54 * MS);
    assert_eq!(engine.fault_of(1), Some(Fault::Silent));
    assert_eq!(on(&mut engine, brought(10, 20), 54 * MS), wanted(10, 29));
    assert_eq!(engine.fault_of(1), Some(Fault::Slow));
    assert_eq!(engine.counters().lies_of(Fault::Slow), 1);
}

/// A server slower than its timeout: its answer to the first request answers the repetition, the
/// answer to that is the late one.
#[test]
fn lateness_behind_a_repetition() {
    let mut engine = waiting();
    let mut now_ns = 0;
    run_until(&mut engine, &mut now_ns, 70 * MS);
    assert_eq!(on(&mut engine, brought(10, 20), 80 * MS), wanted(10, 29));
    engine.narrowed(1, 10, 29, 80 * MS);
    assert_eq!(engine.counters().lies_of(Fault::Slow), 0);
    assert_eq!(on(&mut engine, brought(10, 20), 150 * MS), Verdict::Stale);
    assert_eq!(engine.counters().lies_of(Fault::Slow), 1);
}

/// Silence does not hide what was seen before.
#[test]
fn silence_is_the_least() {
    let mut engine = waiting();
    on(&mut engine, brought(10, 40), MS);
    engine.narrowed(1, 10, 19, MS);
    let mut now_ns = MS;
    run_until(&mut engine, &mut now_ns, 200 * MS);
    assert!(engine.counters().lies_of(Fault::Silent) > 0);
    assert_eq!(engine.fault_of(1), Some(Fault::Oversize));
}

/// Bytes that cannot be read are named by the caller; then the request is not called silent.
#[test]
fn garbage_is_not_silence() {
    for fault in [Fault::Garbage, Fault::Truncated] {
        let mut engine = waiting();
        engine.on_fault(RangeSource::Request, fault, MS);
        assert_fault(&engine, fault);
        let mut now_ns = MS;
        run_until(&mut engine, &mut now_ns, 54 * MS);
        assert_eq!(engine.fault_of(1), Some(fault));
    }
}

/// An old answer is stale when the source repeats itself, not when a line was faster.
#[test]
fn repetition_is_stale() {
    let mut engine = waiting();
    on(&mut engine, brought(10, 10), MS);
    engine.narrowed(1, 10, 19, MS);
    let mut now_ns = MS;
    run_until(&mut engine, &mut now_ns, MS);
    assert_eq!(on(&mut engine, brought(10, 10), 2 * MS), Verdict::Stale);
    assert_eq!(engine.fault_of(1), Some(Fault::Stale));

    let mut engine = waiting();
    engine.narrowed(1, 10, 29, MS);
    let mut now_ns = 5 * MS;
    run_until(&mut engine, &mut now_ns, 5 * MS);
    assert_eq!(on(&mut engine, brought(10, 20), 6 * MS), Verdict::Stale);
    assert_eq!(engine.counters().lies, [0; 12], "the line was faster");
    assert_eq!(engine.fault_of(2), Some(Fault::None));
}

/// Blocks are cut to the wanted numbers, whatever their lengths.
#[test]
fn blocks_are_cut() {
    let texts: Vec<Vec<u8>> = (0..9u8)
        .map(|length| vec![length; usize::from(length)])
        .collect();
    let block = |text: &Vec<u8>| [&(text.len() as u16).to_be_bytes()[..], text].concat();
    let blocks = texts.iter().flat_map(block).collect::<Vec<u8>>();
    for first in 100..109 {
        for last in first..115 {
            let cut = cut_blocks(&blocks, 100, first, last);
            let found: Vec<&[u8]> = Blocks::new(cut).collect();
            let from = (first - 100) as usize;
            let to = (last - 100 + 1).min(9) as usize;
            assert_eq!(found, texts[from..to], "{first} to {last}");
        }
    }
    assert!(cut_blocks(&blocks, 100, 120, 130).is_empty());
    assert_eq!(cut_blocks(&blocks, 100, 50, 130), &blocks[..]);
}
