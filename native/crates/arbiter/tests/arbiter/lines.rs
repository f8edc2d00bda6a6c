//! The account of each line, whatever the merge does.

use tickdeck_arbiter::Start;

use crate::support::{A, B, R, Rig};

/// Each line's loss is its own, also when the merge lost nothing; a late copy takes it back.
#[test]
fn loss_is_counted_per_line() {
    let mut rig = Rig::starting(Start::FirstSeen);
    rig.data(A, 1, 2);
    rig.data(B, 1, 2);
    rig.data(A, 5, 6);
    rig.data(B, 3, 6);
    rig.heartbeat(B, 9);
    let lost = |rig: &Rig| {
        let lines = &rig.arbiter.counters().lines;
        (lines[0].lost, lines[1].lost)
    };
    assert_eq!(lost(&rig), (2, 2));
    rig.data(A, 3, 3);
    rig.data(A, 7, 8);
    assert_eq!(lost(&rig), (1, 2));
    rig.data(R, 7, 8);
    assert_eq!(lost(&rig), (1, 2), "an answer is not the line's own copy");
}

/// Packets and messages are counted with their copies; the number shown next is known.
#[test]
fn packets_and_messages() {
    let mut rig = Rig::starting(Start::FirstSeen);
    rig.data(A, 1, 3);
    rig.data(A, 1, 3);
    rig.heartbeat(A, 4);
    let line = rig.arbiter.counters().lines[0];
    assert_eq!(
        (line.packets, line.messages, line.first, line.next_sequence),
        (3, 6, 3, 4)
    );
}

/// Who was first counts when a copy is taken, also behind a hole.
#[test]
fn race_is_decided_on_arrival() {
    let mut rig = Rig::starting(Start::FirstSeen);
    rig.data(A, 1, 1);
    rig.data(B, 3, 4);
    rig.data(A, 2, 4);
    let counters = rig.arbiter.counters();
    assert_eq!((counters.lines[0].first, counters.lines[1].first), (2, 2));
    assert_eq!(counters.duplicates, 2);
}
