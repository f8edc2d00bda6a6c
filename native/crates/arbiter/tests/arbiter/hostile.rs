//! Forged and corrupt packets move nothing for good.

use tickdeck_arbiter::SessionEventKind::{Changed, Ended, Resumed, Started};
use tickdeck_arbiter::{Config, Disposition, Event, SessionEventKind, Start};

use crate::support::{A, B, MS, Rig, session};

const JUMP: u64 = 1_000_000;
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

fn started() -> Rig {
    let mut rig = Rig::starting(Start::SessionStart);
    rig.data(A, 1, 5);
    rig.data(B, 1, 5);
    rig
}

/// One packet far ahead, of whatever kind, on whatever line: refused, counted, and the stream
/// and the account of the line go on as if it had never been.
#[test]
fn one_far_packet_moves_nothing() {
    for far in [5 + JUMP + 2, 1 << 40, (1 << 62) - 2] {
        for kind in 0..3 {
            let mut rig = started();
            let disposition = match kind {
                0 => rig.heartbeat(A, far),
                1 => rig.data(A, far, far),
                _ => rig.end(A, far),
            };
            assert_eq!(disposition, Disposition::ImplausibleJump);
            assert_eq!(rig.arbiter.gaps().count(), 0);
            assert!(!rig.arbiter.session_has_ended());
            assert_eq!(rig.data(A, 6, 7), Disposition::Delivered);
            assert_eq!(rig.data(B, 6, 8), Disposition::Delivered);
            assert_eq!(rig.arbiter.next_sequence(), 9);
            let counters = rig.arbiter.counters();
            assert_eq!((counters.implausible_jumps, counters.lines[0].lost), (1, 0));
        }
    }
}

/// The limit itself is believed.
#[test]
fn jump_within_the_limit_is_believed() {
    let mut rig = started();
    assert_eq!(rig.heartbeat(A, 6 + JUMP), Disposition::Control);
    assert_eq!(rig.holes(1), [(6, 5 + JUMP)]);
}

/// Numbers that no session reaches are refused in any state, also as the first packet.
#[test]
fn endless_numbers_are_refused() {
    for start in [Start::FirstSeen, Start::SessionStart] {
        let mut rig = Rig::starting(start);
        for sequence in [u64::MAX, (1 << 62) + 1] {
            assert_eq!(
                rig.heartbeat(A, sequence),
                Disposition::SequenceOverflow,
                "{sequence}"
            );
            assert_eq!(rig.end(B, sequence), Disposition::SequenceOverflow);
        }
        assert_eq!(
            rig.data(A, u64::MAX - 1, u64::MAX - 1),
            Disposition::SequenceOverflow
        );
        assert_eq!(rig.arbiter.session(), None);
        assert_eq!(rig.arbiter.counters().sequence_overflows, 5);
        assert_eq!(rig.data(A, 1, 1), Disposition::Delivered);
    }
}

/// A jump is real when the other line is there too, or when the same line goes on behind it.
#[test]
fn confirmed_jump_is_believed() {
    let far = 5_000_000;
    let mut rig = started();
    assert_eq!(rig.data(A, far, far), Disposition::ImplausibleJump);
    assert_eq!(rig.data(B, far, far), Disposition::Held);
    assert_eq!(rig.holes(1), [(6, far - 1)]);
    let mut rig = started();
    assert_eq!(rig.data(A, far, far), Disposition::ImplausibleJump);
    assert_eq!(rig.data(A, far + 1, far + 1), Disposition::Held);
    assert_eq!(rig.holes(1), [(6, far)]);
    let mut rig = started();
    assert_eq!(rig.heartbeat(B, far), Disposition::ImplausibleJump);
    assert_eq!(
        rig.heartbeat(B, far),
        Disposition::Control,
        "an idle line repeats itself"
    );
}

/// What does not confirm a jump: a copy of the packet, another number, the line's own return.
#[test]
fn unconfirmed_jump_is_forgotten() {
    let far = 5_000_000;
    let mut rig = started();
    assert_eq!(rig.data(A, far, far + 1), Disposition::ImplausibleJump);
    assert_eq!(rig.data(A, far, far + 1), Disposition::ImplausibleJump);
    assert_eq!(rig.data(B, 9 * far, 9 * far), Disposition::ImplausibleJump);
    rig.data(A, 6, 6);
    assert_eq!(rig.data(A, far + 2, far + 2), Disposition::ImplausibleJump);
    assert_eq!(rig.arbiter.gaps().count(), 0);
}

/// A resumed stream that is far behind needs two packets to see it, and then asks for the rest.
#[test]
fn resume_far_behind() {
    let mut rig = Rig::starting(Start::Resume {
        session: session(b'1'),
        next_sequence: 500,
    });
    assert_eq!(rig.heartbeat(A, 1_000 + JUMP), Disposition::ImplausibleJump);
    assert_eq!(rig.heartbeat(B, 1_000 + JUMP), Disposition::Control);
    assert_eq!(rig.holes(1), [(500, 999 + JUMP)]);
}

/// Confirmed losses without end add up without an overflow.
#[test]
fn sums_do_not_overflow() {
    let mut rig = Rig::new(Config {
        start: Start::SessionStart,
        ..Config::default()
    });
    let far = (1 << 62) - 1;
    for name in b'1'..=b'7' {
        rig.session = session(name);
        rig.advance(TAKEOVER_NS);
        rig.data(A, 1, 1);
        rig.heartbeat(A, far);
        assert_eq!(rig.heartbeat(A, far), Disposition::Control);
        let id = rig.arbiter.gaps().next().expect("a gap").gap.id;
        rig.give_up(id);
    }
    assert_eq!(rig.arbiter.counters().messages_lost, u64::MAX);
}

/// A stray packet after a restart does not take over; the resumed session is waited for.
#[test]
fn stray_does_not_win_after_a_restart() {
    let mut rig = Rig::starting(Start::Resume {
        session: session(b'2'),
        next_sequence: 500,
    });
    rig.session = session(b'1');
    assert_eq!(rig.end(A, 1000), Disposition::WrongSession);
    rig.advance(TAKEOVER_NS - 1);
    assert_eq!(rig.data(A, 1, 1), Disposition::WrongSession);
    rig.session = session(b'2');
    assert_eq!(rig.data(A, 500, 510), Disposition::Delivered);
    assert_eq!(told(&rig), [(Resumed, b'2', 500)]);
}

/// An end below what is known is none, nor is one that more follows.
#[test]
fn spurious_end_is_taken_back() {
    let mut rig = started();
    rig.end(A, 2);
    assert!(!rig.arbiter.session_has_ended());
    rig.end(B, 6);
    assert!(rig.arbiter.session_has_ended());
    rig.data(A, 6, 9);
    assert!(!rig.arbiter.session_has_ended());
    rig.session = session(b'X');
    assert_eq!(rig.heartbeat(B, 1), Disposition::WrongSession);
    rig.session = session(b'1');
    rig.end(A, 10);
    assert_eq!(
        told(&rig),
        [
            (Started, b'1', 1),
            (Ended, b'1', 6),
            (Resumed, b'1', 6),
            (Ended, b'1', 10)
        ]
    );
}

/// A forged end and a stray packet take the stream away only until the stray is silent.
#[test]
fn session_comes_back_from_a_forged_end() {
    let mut rig = started();
    rig.end(A, 6);
    rig.session = session(b'X');
    rig.heartbeat(B, 1);
    rig.session = session(b'1');
    assert_eq!(rig.data(A, 6, 9), Disposition::WrongSession);
    rig.advance(TAKEOVER_NS);
    assert_eq!(
        rig.end(A, 6),
        Disposition::WrongSession,
        "nothing new in it"
    );
    assert_eq!(rig.data(A, 10, 12), Disposition::Held);
    assert_eq!(rig.holes(1), [(6, 9)]);
    assert_eq!(
        told(&rig)[1..],
        [(Ended, b'1', 6), (Changed, b'X', 1), (Changed, b'1', 6)]
    );
}
