//! What the tests share: a session, answers, and the next thing that the engine wants.

use tickdeck_recovery::{Action, Config, Engine, RangeSource, SourceConfig, Verdict};
use tickdeck_wire::moldudp64::{Packet, PacketBuilder, Session};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SESSION: Session = Session(*b"DEMO000001");

pub(crate) fn config() -> Config {
    Config {
        sources: vec![SourceConfig {
            max_messages_per_request: 100,
            ..SourceConfig::request()
        }],
        min_request_interval_ns: 5 * MS,
        retry_attempts: 3,
        retry_backoff_ns: 20 * MS,
        slo_ns: 10_000 * MS,
        coalesce_messages: 0,
        storm_gaps: 0,
        gap_capacity: 4,
        ..Config::default()
    }
}

pub(crate) fn open(engine: &mut Engine, id: u64, first: u64, last: u64, now_ns: u64) {
    engine.open(id, SESSION, first, last, now_ns).expect("room");
}

pub(crate) fn answer_of(session: Session, first: u64, count: u64) -> Vec<u8> {
    let mut builder = PacketBuilder::new(session, 60_000);
    builder.begin(first);
    for _ in 0..count {
        assert!(builder.push(b"message"));
    }
    builder.finish().to_vec()
}

pub(crate) fn on_packet(engine: &mut Engine, packet: &Packet<'_>, now_ns: u64) -> Verdict {
    engine.on_answer(RangeSource::Request, packet.into(), now_ns)
}

pub(crate) fn wanted(first: u64, last: u64) -> Verdict {
    Verdict::Wanted { first, last }
}

pub(crate) fn answer(engine: &mut Engine, first: u64, count: u64, now_ns: u64) -> Verdict {
    let bytes = answer_of(SESSION, first, count);
    on_packet(engine, &Packet::parse(&bytes).expect("well formed"), now_ns)
}

/// The request made at `now_ns`, as gap, first number and count.
pub(crate) fn asked(engine: &mut Engine, now_ns: u64) -> Option<(u64, u64, u64)> {
    match engine.poll(now_ns) {
        Some(Action::Request {
            id,
            session,
            first,
            count,
            ..
        }) => {
            assert_eq!(session, SESSION);
            Some((id, first, count))
        }
        Some(other) => panic!("wanted a request, got {other:?}"),
        None => None,
    }
}

/// A request server, a stream and a peer, in this order, two attempts each.
pub(crate) fn three_sources() -> Config {
    Config {
        sources: vec![
            SourceConfig::request(),
            SourceConfig::stream(),
            SourceConfig::peer(),
        ],
        retry_attempts: 2,
        gap_capacity: 1000,
        ..config()
    }
}

/// A request as source, gap, first number and count.
pub(crate) type Asked = (RangeSource, u64, u64, u64);

/// Runs the engine until it wants something other than to ask or to tell that a gap is late, or
/// until `until_ns`. Returns what it asked for, and what it wants with its time.
pub(crate) fn run_until(
    engine: &mut Engine,
    now_ns: &mut u64,
    until_ns: u64,
) -> (Vec<Asked>, Option<Action>) {
    let mut requests = Vec::new();
    loop {
        match engine.poll(*now_ns) {
            Some(Action::Request {
                id,
                source,
                first,
                count,
                ..
            }) => requests.push((source, id, first, count)),
            Some(Action::Joined { .. } | Action::SloMissed { .. }) => {}
            Some(other) => return (requests, Some(other)),
            None => match engine.next_deadline_ns() {
                Some(next_ns) if next_ns <= until_ns => *now_ns = next_ns.max(*now_ns),
                _ => return (requests, None),
            },
        }
    }
}

/// An answer of any source.
pub(crate) fn brought(first: u64, count: u64) -> tickdeck_recovery::Answer {
    tickdeck_recovery::Answer {
        session: SESSION,
        first,
        count,
        bytes: 1400,
    }
}
