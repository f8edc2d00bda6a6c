//! Sessions begin, end, change and are resumed.

use tickdeck_arbiter::SessionEventKind::{Changed, Ended, Resumed, Started};
use tickdeck_arbiter::{Disposition, Event, LossReason, SessionEventKind, Start};

use crate::support::{A, B, MS, Rig, session};

const TAKEOVER_NS: u64 = 3_000 * MS;

fn told(rig: &Rig) -> Vec<(SessionEventKind, u8, u64)> {
    let told = |event: &Event| match event {
        Event::Session {
            kind,
            session,
            next_sequence,
            ..
        } => Some((*kind, session.0[9], *next_sequence)),
        _ => None,
    };
    rig.events().iter().filter_map(told).collect()
}

fn resume(next_sequence: u64) -> Rig {
    Rig::starting(Start::Resume {
        session: session(b'1'),
        next_sequence,
    })
}

/// The first packet names the session, also when it is a heartbeat.
#[test]
fn first_packet_starts_a_session() {
    let mut rig = Rig::starting(Start::FirstSeen);
    rig.heartbeat(A, 7);
    rig.data(B, 7, 7);
    assert_eq!(told(&rig), [(Started, b'1', 7)]);
    assert_eq!(rig.runs(), [(7, 7)]);
}

/// A stray packet of another session changes nothing but its counter.
#[test]
fn stray_session_is_refused() {
    let mut rig = Rig::starting(Start::FirstSeen);
    rig.data(A, 1, 1);
    rig.session = session(b'2');
    assert_eq!(rig.data(B, 2, 2), Disposition::WrongSession);
    assert_eq!(rig.end(B, 9), Disposition::WrongSession);
    rig.session = session(b'1');
    assert_eq!(rig.data(A, 2, 2), Disposition::Delivered);
    assert_eq!(rig.arbiter.counters().wrong_session, 2);
    assert_eq!(told(&rig).len(), 1);
}

/// The end is told once, and only when nothing before it is missing.
#[test]
fn end_is_told_when_complete() {
    let mut rig = Rig::starting(Start::FirstSeen);
    rig.data(A, 1, 1);
    rig.end(A, 3);
    assert_eq!(told(&rig), [(Started, b'1', 1)]);
    rig.data(B, 2, 2);
    rig.end(B, 3);
    assert_eq!(told(&rig), [(Started, b'1', 1), (Ended, b'1', 3)]);
}

/// After a complete end the next session takes over at once and begins at sequence 1.
#[test]
fn next_session_follows_an_end() {
    let mut rig = Rig::starting(Start::SessionStart);
    rig.data(A, 1, 2);
    rig.end(A, 3);
    rig.session = session(b'2');
    assert_eq!(rig.data(A, 2, 2), Disposition::Held);
    assert_eq!(rig.holes(1), [(1, 1)]);
    assert_eq!(told(&rig)[1..], [(Ended, b'1', 3), (Changed, b'2', 1)]);
    assert_eq!(rig.arbiter.counters().session_changes, 1);
    rig.session = session(b'1');
    assert_eq!(
        rig.end(B, 3),
        Disposition::WrongSession,
        "an ended session never returns"
    );
}

/// While an ended session has gaps, it keeps its chance to be completed, for the takeover time.
#[test]
fn ended_session_may_still_be_completed() {
    let mut rig = Rig::starting(Start::SessionStart);
    rig.data(A, 1, 1);
    rig.end(A, 5);
    rig.session = session(b'2');
    assert_eq!(rig.data(A, 1, 1), Disposition::WrongSession);
    rig.advance(TAKEOVER_NS);
    rig.session = session(b'1');
    rig.end(B, 5);
    rig.session = session(b'2');
    assert_eq!(rig.data(A, 2, 2), Disposition::Held);
    let lost = rig.events().into_iter().find_map(|event| match event {
        Event::GapLost { gap, reason } => Some((gap.first, gap.last, reason)),
        _ => None,
    });
    assert_eq!(lost, Some((2, 4, LossReason::SessionEnded)));
    assert_eq!(told(&rig)[1..], [(Ended, b'1', 5), (Changed, b'2', 1)]);
    assert_eq!(
        rig.holes(2),
        [(1, 1)],
        "what was refused meanwhile is a gap"
    );
}

/// A silent session is left after the takeover time; a return to it repeats nothing.
#[test]
fn silent_session_is_left() {
    let mut rig = Rig::starting(Start::FirstSeen);
    rig.data(A, 1, 2);
    rig.session = session(b'2');
    rig.advance(TAKEOVER_NS - 1);
    assert_eq!(rig.data(A, 10, 10), Disposition::WrongSession);
    rig.advance(1);
    assert_eq!(rig.data(A, 11, 11), Disposition::Held);
    assert_eq!(
        rig.holes(1),
        [(10, 10)],
        "the refused packet is not forgotten"
    );
    rig.data(B, 10, 10);
    rig.session = session(b'1');
    rig.advance(TAKEOVER_NS);
    assert_eq!(rig.data(A, 1, 3), Disposition::Delivered);
    assert_eq!(rig.runs(), [(1, 2), (10, 10), (11, 11), (3, 3)]);
    assert_eq!(
        told(&rig),
        [(Started, b'1', 1), (Changed, b'2', 10), (Changed, b'1', 3)]
    );
}

/// A resumed session goes on where the journal ended: nothing twice, what was missed is a gap.
#[test]
fn resumed_session_continues() {
    let mut rig = resume(5);
    assert_eq!(rig.data(A, 1, 4), Disposition::Stale);
    assert_eq!(rig.data(A, 4, 5), Disposition::Delivered);
    assert_eq!(told(&rig), [(Resumed, b'1', 5)]);
    let mut rig = resume(5);
    assert_eq!(rig.data(B, 9, 9), Disposition::Held);
    assert_eq!(rig.holes(1), [(5, 8)]);
}

/// Nothing was heard of the resumed session: another one is taken after the takeover time,
/// from its start.
#[test]
fn new_session_after_a_restart() {
    let mut rig = resume(5);
    rig.advance(0);
    rig.session = session(b'2');
    rig.advance(TAKEOVER_NS - 1);
    assert_eq!(rig.data(A, 2, 2), Disposition::WrongSession);
    rig.advance(1);
    assert_eq!(rig.data(A, 3, 3), Disposition::Held);
    assert_eq!(told(&rig), [(Changed, b'2', 1)]);
    assert_eq!(rig.holes(1), [(1, 2)]);
}

/// Whether a takeover was expected: after an end it was, after mere silence it was not.
#[test]
fn takeover_is_expected_after_an_end() {
    for ended in [true, false] {
        let mut rig = Rig::starting(Start::SessionStart);
        rig.data(A, 1, 1);
        if ended {
            rig.end(A, 2);
        } else {
            rig.advance(3_000 * MS);
        }
        rig.session = session(b'2');
        rig.data(B, 1, 1);
        let changed = rig.events().into_iter().find_map(|event| match event {
            Event::Session {
                kind: SessionEventKind::Changed,
                expected,
                ..
            } => Some(expected),
            _ => None,
        });
        assert_eq!(changed, Some(ended));
        let counters = rig.arbiter.counters();
        assert_eq!(counters.session_changes, 1);
        assert_eq!(counters.session_changes_unexpected, u64::from(!ended));
    }
}
