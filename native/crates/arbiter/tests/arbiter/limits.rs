//! What happens at each limit.

use tickdeck_arbiter::{Arbiter, Config, ConfigError, Disposition, Start};

use crate::support::{A, B, MS, R, Rig, session};

fn small(hold: usize, gaps: usize) -> Rig {
    Rig::new(Config {
        hold_capacity_packets: hold,
        gap_capacity: gaps,
        start: Start::SessionStart,
        ..Config::default()
    })
}

/// The hold is full: the newest packet is dropped and counted, and comes back as a later gap.
#[test]
fn full_hold_drops_the_newest_and_asks_again() {
    let mut rig = small(2, 8);
    rig.data(A, 1, 1);
    rig.data(A, 3, 3);
    rig.data(A, 4, 4);
    assert_eq!(rig.data(A, 5, 6), Disposition::HoldFull);
    assert_eq!(rig.arbiter.counters().hold_dropped, 2);
    rig.data(B, 2, 2);
    assert_eq!(rig.arbiter.next_sequence(), 5);
    rig.data(A, 7, 7);
    assert_eq!(
        rig.holes(2),
        [(5, 6)],
        "the dropped messages are a gap of their own"
    );
    rig.data(R, 5, 6);
    assert_eq!(rig.arbiter.next_sequence(), 8);
    assert_eq!(rig.arbiter.counters().messages_lost, 0);
}

/// A heartbeat shows what was dropped at the tail even when no data follows.
#[test]
fn dropped_tail_is_shown_by_a_heartbeat() {
    let mut rig = small(1, 8);
    rig.data(A, 1, 1);
    rig.data(A, 3, 3);
    rig.data(A, 4, 4);
    rig.heartbeat(A, 5);
    assert_eq!(rig.holes(2), [(4, 4)]);
}

/// No room for another gap: the packet that would open one is dropped, and comes back later.
#[test]
fn full_gap_table_opens_no_gap() {
    let mut rig = small(8, 1);
    rig.data(A, 1, 1);
    rig.data(A, 3, 3);
    assert_eq!(rig.data(A, 5, 5), Disposition::HoldFull);
    assert_eq!(
        rig.data(A, 4, 4),
        Disposition::Held,
        "what opens no gap is still held"
    );
    rig.heartbeat(A, 9);
    assert_eq!(rig.arbiter.gaps().count(), 1);
    rig.data(B, 2, 2);
    assert_eq!(rig.arbiter.next_sequence(), 5);
    assert_eq!(rig.holes(2), [(5, 8)]);
}

/// A packet that is too long for a slot cannot be held, only asked for; in order it is delivered.
#[test]
fn long_packet_is_delivered_in_order() {
    let mut rig = Rig::new(Config {
        max_packet_bytes: 100,
        start: Start::SessionStart,
        ..Config::default()
    });
    assert_eq!(rig.data(A, 2, 50), Disposition::HoldFull);
    assert_eq!(rig.holes(1), [(1, 50)]);
    assert_eq!(rig.data(A, 1, 50), Disposition::Delivered);
    assert_eq!(rig.arbiter.gaps().count(), 0);
}

/// What was dropped becomes a gap as soon as the hold has drained, also when the lines fall
/// silent or the next session comes.
#[test]
fn dropped_tail_needs_no_further_packet() {
    let drop_the_tail = || {
        let mut rig = small(1, 8);
        for sequence in [1, 3, 4] {
            rig.data(A, sequence, sequence);
        }
        rig
    };
    let mut rig = drop_the_tail();
    rig.data(B, 2, 2);
    assert_eq!(rig.holes(2), [(4, 4)]);
    let mut rig = drop_the_tail();
    rig.give_up(1);
    assert_eq!(rig.holes(2), [(4, 4)]);
    let mut rig = drop_the_tail();
    rig.end(A, 5);
    rig.advance(4_000 * MS);
    rig.session = session(b'2');
    rig.data(A, 1, 1);
    assert_eq!(
        rig.arbiter.counters().messages_lost,
        2,
        "told as lost, not left out"
    );
}

/// A configuration that cannot work is refused and the field is named.
#[test]
fn bad_configuration_is_refused() {
    let refusal = |config| Arbiter::new(config).expect_err("refused");
    let config = Config::default();
    assert_eq!(
        refusal(Config { lines: 0, ..config }),
        ConfigError::Lines { lines: 0 }
    );
    assert_eq!(
        refusal(Config { lines: 8, ..config }),
        ConfigError::Lines { lines: 8 }
    );
    let zero = refusal(Config {
        gap_capacity: 0,
        ..config
    });
    assert!(zero.to_string().contains("gap_capacity is 0"));
    let start = Start::Resume {
        session: session(b'1'),
        next_sequence: 0,
    };
    assert_eq!(
        refusal(Config { start, ..config }),
        ConfigError::ResumeAtZero
    );
}
