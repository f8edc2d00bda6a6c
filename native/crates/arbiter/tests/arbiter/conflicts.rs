//! Copies with other bytes than what was accepted.

use tickdeck_arbiter::{Config, Conflict, Content, Disposition, Source, Start, Unit};

use crate::support::{A, B, R, Rig, data, session};

/// Messages `first..=last`, of which those in `forged` end in another byte.
fn forged(first: u64, last: u64, forged: &[u64]) -> Vec<u8> {
    let mut bytes = data(session(b'1'), first, last - first + 1);
    let mut at = 20;
    for sequence in first..=last {
        at += 2 + usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        if forged.contains(&sequence) {
            bytes[at - 1] ^= 0x80;
        }
    }
    bytes
}

fn conflict(source: Source, first_sequence: u64, count: u64) -> Conflict {
    Conflict {
        source,
        first_sequence,
        count,
    }
}

fn rig() -> Rig {
    Rig::starting(Start::SessionStart)
}

/// The messages that differ are conflicts, of their line; the others of the packet duplicates. The
/// accepted bytes have left already and nothing changes. An equal copy later conflicts not.
#[test]
fn other_bytes_are_a_conflict() {
    let mut rig = rig();
    rig.data(A, 1, 5);
    let copy = forged(1, 5, &[2, 4]);
    assert_eq!(rig.packet(B, &copy), Disposition::Conflict);
    assert_eq!(rig.checked.conflicts, [conflict(B, 2, 2)]);
    assert_eq!(rig.data(B, 1, 5), Disposition::Duplicate);
    let counters = rig.arbiter.counters();
    assert_eq!((counters.conflicts, counters.duplicates), (2, 8));
    assert_eq!(counters.duplicates_uncompared, 0);
    assert_eq!([0, 1].map(|line| counters.lines[line].conflicts), [0, 2]);
    assert_eq!(rig.runs(), [(1, 5)], "the accepted bytes left once");
}

/// What is held was accepted: the copy does not replace it, also where packets are cut otherwise.
#[test]
fn held_bytes_win() {
    let mut rig = rig();
    rig.data(A, 1, 1);
    rig.data(A, 3, 6);
    assert_eq!(rig.packet(B, &forged(3, 6, &[6])), Disposition::Conflict);
    assert_eq!(rig.packet(B, &forged(4, 5, &[5])), Disposition::Conflict);
    assert_eq!(rig.data(B, 4, 5), Disposition::Duplicate);
    let conflicts = [conflict(B, 6, 1), conflict(B, 5, 1)];
    assert_eq!(rig.checked.conflicts, conflicts);
    // The output checks every byte that leaves.
    rig.data(B, 2, 2);
    assert_eq!(rig.arbiter.next_sequence(), 7);
    assert_eq!(rig.packet(B, &forged(3, 6, &[3])), Disposition::Conflict);
}

/// A copy that is cut into other packets is not compared once the bytes have left, and is counted
/// so; it never conflicts.
#[test]
fn other_boundaries_are_counted_as_uncompared() {
    let mut rig = rig();
    rig.data(A, 1, 4);
    for (first, last) in [(1, 2), (3, 4), (2, 4), (1, 3)] {
        assert_eq!(rig.data(B, first, last), Disposition::Duplicate);
    }
    let counters = rig.arbiter.counters();
    assert_eq!((counters.duplicates, counters.conflicts), (10, 0));
    assert_eq!(counters.duplicates_uncompared, 10);
}

/// A new tail behind a forged copy is taken; the packet counts as delivered.
#[test]
fn new_messages_behind_a_conflict_are_delivered() {
    let mut rig = rig();
    rig.data(A, 1, 1);
    rig.data(A, 3, 3);
    let copy = forged(2, 4, &[3]);
    assert_eq!(rig.packet(B, &copy), Disposition::Delivered);
    assert_eq!(rig.checked.conflicts, [conflict(B, 3, 1)]);
    assert_eq!(rig.arbiter.next_sequence(), 5);
}

/// Of whole packets the part that the lines mark differently is left out, the rest is compared.
#[test]
fn whole_packets_are_compared_from_where_they_are_equal() {
    let mut rig = rig();
    rig.data(A, 1, 1);
    let mut bring = |source, bytes: &[u8]| {
        let content = Content::Whole {
            packet: bytes,
            compare_from: 4,
        };
        rig.unit(source, Unit::new(session(b'1'), 3, content))
    };
    assert_eq!(bring(A, b"AAAAsame"), Disposition::Held);
    assert_eq!(bring(B, b"BBBBsame"), Disposition::Duplicate);
    assert_eq!(bring(B, b"AAAAsamf"), Disposition::Conflict);
    assert_eq!(bring(B, b"AAAAsame "), Disposition::Conflict);
    assert_eq!(
        bring(B, b"AAA"),
        Disposition::Conflict,
        "shorter than the mark"
    );
    assert_eq!(rig.checked.conflicts, [conflict(B, 3, 1); 3]);
}

/// An answer that lies about what was accepted is counted, but of no line.
#[test]
fn forged_answer_is_a_conflict_of_no_line() {
    let mut rig = rig();
    rig.data(A, 1, 3);
    assert_eq!(rig.packet(R, &forged(1, 3, &[1])), Disposition::Conflict);
    let counters = rig.arbiter.counters();
    assert_eq!((counters.conflicts, counters.duplicates), (1, 0));
    assert!(counters.lines.iter().all(|line| line.conflicts == 0));
    // And the other way round: what an answer brought is what a late line is measured by.
    rig.data(A, 6, 6);
    rig.data(R, 4, 5);
    assert_eq!(rig.packet(B, &forged(4, 5, &[5])), Disposition::Conflict);
}

/// Where the memory has gone round, or there is none, copies are uncompared; no memory of other
/// bytes is ever taken for theirs.
#[test]
fn forgotten_bytes_are_uncompared() {
    for compare_bytes in [0, 1, 64, 200] {
        let mut rig = Rig::new(Config {
            start: Start::SessionStart,
            compare_bytes,
            ..Config::default()
        });
        for first in 1..=500 {
            rig.data(A, first, first);
        }
        for first in 1..=400 {
            assert_eq!(rig.data(B, first, first), Disposition::Duplicate);
        }
        let counters = rig.arbiter.counters();
        assert_eq!((counters.duplicates, counters.conflicts), (400, 0));
        assert_eq!(counters.duplicates_uncompared, 400, "{compare_bytes}");
    }
}

/// The numbers of another session mean other messages.
#[test]
fn another_session_has_other_bytes() {
    let mut rig = rig();
    rig.data(A, 1, 1);
    rig.data(A, 2, 3);
    rig.end(A, 4);
    rig.session = session(b'2');
    rig.data(A, 1, 3);
    // Cut like a packet of the session before, which must not be what it is compared with.
    rig.data(B, 2, 3);
    assert_eq!(rig.arbiter.counters().session_changes, 1);
    assert_eq!(rig.arbiter.counters().conflicts, 0);
    assert_eq!(rig.runs(), [(1, 1), (2, 3), (1, 3)]);
}
