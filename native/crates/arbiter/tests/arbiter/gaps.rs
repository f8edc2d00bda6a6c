//! The life of a gap.

use tickdeck_arbiter::{Config, Disposition, Event, Gap, LossReason, Source, Start};

use crate::support::{A, B, MS, Out, R, Rig};

fn gap(id: u64, first: u64, last: u64) -> Gap {
    Gap {
        id,
        first,
        last,
        opened_ns: 0,
    }
}

fn progress(id: u64, first: u64, last: u64, missing: u64, source: Source) -> Out {
    Out::Event(Event::GapProgress {
        id,
        first,
        last,
        missing,
        source,
        wait_over: false,
    })
}

fn lost(id: u64, first: u64, last: u64) -> Out {
    let reason = LossReason::AttemptsExhausted;
    Out::Event(Event::GapLost {
        gap: gap(id, first, last),
        reason,
    })
}

/// A hole that the other line fills: opened, delivered in order, filled right behind it.
#[test]
fn filled_by_the_other_line() {
    let mut rig = Rig::starting(Start::FirstSeen);
    rig.data(A, 1, 2);
    rig.take();
    assert_eq!(rig.data(A, 5, 6), Disposition::Held);
    let opened = Out::Event(Event::GapOpened { gap: gap(1, 3, 4) });
    assert_eq!(rig.take(), [opened]);
    assert_eq!(rig.data(B, 3, 4), Disposition::Delivered);
    let filled = Event::GapFilled {
        gap: gap(1, 3, 4),
        sources: B.bit(),
        wait_over: false,
    };
    let wanted = [
        progress(1, 3, 4, 0, B),
        Out::Run(3, 4, B),
        Out::Event(filled),
        Out::Run(5, 6, A),
    ];
    assert_eq!(rig.take(), wanted);
    assert_eq!(rig.arbiter.gaps().count(), 0);
}

/// It is time to ask only when the reorder window has passed, once, and not for what has come.
#[test]
fn asked_for_after_the_window() {
    let mut rig = Rig::starting(Start::FirstSeen);
    rig.data(A, 1, 1);
    rig.data(A, 4, 4);
    rig.data(A, 6, 6);
    rig.data(B, 5, 5);
    rig.take();
    assert_eq!(rig.arbiter.next_deadline_ns(), Some(2 * MS));
    rig.advance(2 * MS - 1);
    assert_eq!(rig.take(), []);
    rig.advance(1);
    assert_eq!(
        rig.take(),
        [Out::Event(Event::GapWaitOver { gap: gap(1, 2, 3) })]
    );
    rig.advance(100 * MS);
    assert_eq!(rig.take(), []);
    assert_eq!(rig.arbiter.next_deadline_ns(), None);
    rig.data(R, 2, 3);
    let asked = |event: &Event| {
        matches!(
            event,
            Event::GapFilled {
                wait_over: true,
                ..
            }
        )
    };
    assert!(
        rig.events().iter().any(asked),
        "who closes it knows that it was asked for"
    );
}

/// Parts from three sources fill one gap; what is missing is always known exactly.
#[test]
fn partly_filled_by_each_source() {
    let mut rig = Rig::starting(Start::FirstSeen);
    rig.data(A, 1, 1);
    rig.data(A, 12, 12);
    rig.data(B, 4, 5);
    assert_eq!(rig.holes(1), [(2, 3), (6, 11)]);
    rig.data(R, 7, 9);
    assert_eq!(rig.holes(1), [(2, 3), (6, 6), (10, 11)]);
    assert_eq!(rig.arbiter.gaps().next().map(|view| view.missing), Some(5));
    rig.data(A, 2, 3);
    assert_eq!(rig.holes(1), [(6, 6), (10, 11)]);
    rig.data(R, 6, 11);
    assert_eq!(rig.arbiter.next_sequence(), 13);
    let filled = Event::GapFilled {
        gap: gap(1, 2, 11),
        sources: A.bit() | B.bit() | R.bit(),
        wait_over: false,
    };
    assert!(rig.events().contains(&filled));
}

/// Given up, each hole is told in its place, before the data behind it; then the whole gap.
#[test]
fn holes_are_lost_in_their_place() {
    let mut rig = Rig::starting(Start::FirstSeen);
    rig.data(A, 1, 1);
    rig.data(A, 9, 9);
    rig.data(B, 4, 5);
    rig.take();
    assert!(rig.give_up(1));
    let unrecovered = Event::GapUnrecovered {
        gap: gap(1, 2, 8),
        lost: 5,
        sources: B.bit(),
        wait_over: false,
        reason: LossReason::AttemptsExhausted,
    };
    let wanted = [
        lost(1, 2, 3),
        Out::Run(4, 5, B),
        lost(1, 6, 8),
        Out::Event(unrecovered),
        Out::Run(9, 9, A),
    ];
    assert_eq!(rig.take(), wanted);
    let counters = rig.arbiter.counters();
    assert_eq!((counters.messages_lost, counters.gaps_unrecovered), (5, 1));
    assert!(!rig.give_up(1), "a closed gap cannot be given up");
}

/// A gap given up behind another waits for its place; what still comes for it is used.
#[test]
fn given_up_gap_waits_for_its_place() {
    let mut rig = Rig::starting(Start::FirstSeen);
    for sequence in [1, 4, 8] {
        rig.data(A, sequence, sequence);
    }
    rig.take();
    assert!(rig.give_up(2));
    assert_eq!(rig.take(), []);
    assert_eq!(rig.data(R, 5, 6), Disposition::Held);
    rig.data(B, 2, 3);
    assert!(rig.take().ends_with(&[
        Out::Run(4, 4, A),
        Out::Run(5, 6, R),
        lost(2, 7, 7),
        Out::Event(Event::GapUnrecovered {
            gap: gap(2, 5, 7),
            lost: 1,
            sources: R.bit(),
            wait_over: false,
            reason: LossReason::AttemptsExhausted,
        }),
        Out::Run(8, 8, A),
    ]));
}

/// What comes after it was given up is stale: counted, and the order stays.
#[test]
fn late_data_is_stale() {
    let mut rig = Rig::starting(Start::FirstSeen);
    rig.data(A, 1, 1);
    rig.data(A, 4, 4);
    rig.give_up(1);
    rig.take();
    assert_eq!(rig.data(B, 2, 3), Disposition::Stale);
    assert_eq!(rig.data(R, 2, 3), Disposition::Stale);
    assert_eq!(rig.data(B, 4, 4), Disposition::Duplicate);
    assert_eq!(rig.take(), []);
    let counters = rig.arbiter.counters();
    assert_eq!((counters.stale, counters.duplicates), (4, 1));
}

/// A heartbeat and an end of session show a gap at the tail.
#[test]
fn quiet_line_shows_a_tail_gap() {
    for ends in [false, true] {
        let mut rig = Rig::starting(Start::FirstSeen);
        rig.data(A, 1, 1);
        rig.take();
        let disposition = if ends {
            rig.end(B, 5)
        } else {
            rig.heartbeat(B, 5)
        };
        assert_eq!(disposition, Disposition::Control);
        assert_eq!(
            rig.take(),
            [Out::Event(Event::GapOpened { gap: gap(1, 2, 4) })]
        );
        rig.data(R, 2, 4);
        assert_eq!(rig.arbiter.next_sequence(), 5);
    }
}

/// From the session's start: what was missed before the first packet is a gap.
#[test]
fn start_of_session_is_a_gap() {
    let mut rig = Rig::starting(Start::SessionStart);
    assert_eq!(rig.data(A, 10, 10), Disposition::Held);
    assert_eq!(rig.holes(1), [(1, 9)]);
    assert_eq!(
        rig.arbiter.counters().lines[0].lost,
        0,
        "the line has not lost it"
    );
}

/// The re-request server cannot make the stream longer, end it or open a gap.
#[test]
fn answers_only_fill() {
    let mut rig = Rig::new(Config::default());
    assert_eq!(
        rig.data(R, 1, 1),
        Disposition::WrongSession,
        "no session yet"
    );
    rig.data(A, 1, 1);
    rig.data(A, 3, 3);
    rig.take();
    rig.end(R, 50);
    rig.heartbeat(R, 50);
    assert_eq!(rig.data(R, 9, 12), Disposition::Stale);
    assert_eq!(rig.take(), []);
    assert_eq!(rig.data(R, 2, 12), Disposition::Delivered);
    assert_eq!(rig.arbiter.next_sequence(), 4);
    assert!(!rig.arbiter.session_has_ended());
    assert_eq!(rig.arbiter.counters().stale, 4 + 9 + 1);
}

/// Which lines missed a gap is known from what each showed itself.
#[test]
fn lines_that_missed() {
    let mut rig = Rig::starting(Start::FirstSeen);
    rig.data(A, 1, 1);
    rig.data(B, 1, 1);
    rig.data(A, 4, 4);
    assert_eq!(rig.arbiter.lines_that_missed(2, 3), A.bit());
    rig.data(B, 3, 3);
    assert_eq!(rig.arbiter.lines_that_missed(2, 3), A.bit() | B.bit());
    assert_eq!(rig.arbiter.lines_that_missed(3, 3), A.bit());
}
