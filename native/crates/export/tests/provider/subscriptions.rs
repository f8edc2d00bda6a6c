//! Where a subscription begins, and why it does not.

use tickdeck_export::message::{ErrorCode, Guarantee, Message, Refused, Start, Subscribe};
use tickdeck_export::provider::{
    Action, Admission, CloseReason, LogView, Roster, Seat, SlowPolicy,
};

use crate::support::*;

/// Sequences 100 to 1,000 are durable, up to 1,005 written; epoch 2 began at 50, epoch 5 at 400,
/// epoch 6 at 900.
fn old_log() -> LogView {
    LogView {
        first_available: 100,
        epochs: vec![(2, 50), (5, 400), (6, 900)],
        ..log(1_000)
    }
}

fn answer(asked: Subscribe, admission: Admission) -> Result<u64, (ErrorCode, u64)> {
    answer_of(old_log(), asked, admission)
}

fn answer_of(
    log: LogView,
    asked: Subscribe,
    admission: Admission,
) -> Result<u64, (ErrorCode, u64)> {
    let mut desk = Desk::new(config(), admission, 1_000);
    desk.log = log;
    desk.send(&Message::Subscribe(asked));
    let (heard, actions) = desk.take();
    match (&heard[..], &actions[..]) {
        ([Heard::SubOk(ok)], [Action::Seek(seq)]) => {
            assert_eq!(*seq, ok.start_seq);
            assert_eq!(
                (ok.first_available, ok.next_seq, ok.durable_seq),
                (100, 1_006, 1_000)
            );
            assert_eq!(
                (ok.epoch, ok.heartbeat_ms, ok.timeout_ms),
                (6, 1_000, 5_000)
            );
            Ok(ok.start_seq)
        }
        ([Heard::Err(Refused { code, seq, .. })], [Action::Close(reason)]) => {
            assert!(matches!(reason, CloseReason::Refused(why, _) if why == code));
            Err((*code, *seq))
        }
        other => panic!("{other:?}"),
    }
}

fn from(seq: u64, epoch: u64) -> Subscribe {
    Subscribe {
        epoch,
        log_id: LOG_ID,
        ..subscribe(Start::Seq(seq))
    }
}

/// Each place a copy may end, and what it is told.
#[test]
fn copies_are_compared_with_the_log() {
    let of = |asked| answer(asked, admission(SlowPolicy::Disconnect));
    let forked = |at| Err((ErrorCode::Forked, at));
    let pruned = Err((ErrorCode::Pruned, 100));
    let cases = [
        (from(100, 6), Ok(100)),
        (from(99, 6), pruned),
        (from(1, 0), pruned),
        (from(1_001, 6), Ok(1_001)),
        (from(1_006, 6), Ok(1_006)),
        (from(1_007, 6), forked(1_006)),
        (from(u64::MAX, 6), forked(1_006)),
        // What was read under epoch 5 ends where epoch 6 began.
        (from(900, 5), Ok(900)),
        (from(901, 5), forked(900)),
        // Epochs 3 and 4 have no segment: epoch 5 ended them.
        (from(400, 3), Ok(400)),
        (from(401, 4), forked(400)),
        (from(100, 2), Ok(100)),
        (from(99, 2), pruned),
        // A copy from before all that is kept: both are true, the fork goes first.
        (from(60, 1), forked(50)),
        (from(50, 1), pruned),
        // An older log came back.
        (from(500, 7), forked(100)),
        (from(500, 0), Ok(500)),
    ];
    for (asked, expected) in cases {
        assert_eq!(of(asked), expected, "{asked:?}");
    }
}

/// As long as nobody knows how far the log goes, a copy that goes further than what is known is told
/// to come again: it is not told to cut itself. What an epoch has ended is known all the same.
#[test]
fn an_unknown_end_forks_nobody() {
    let log = LogView {
        end_is_known: false,
        ..old_log()
    };
    let of = |asked| answer_of(log.clone(), asked, admission(SlowPolicy::Disconnect));
    assert_eq!(of(from(1_006, 6)), Ok(1_006));
    assert_eq!(of(from(1_007, 6)), Err((ErrorCode::Busy, 0)));
    assert_eq!(of(from(u64::MAX, 6)), Err((ErrorCode::Busy, 0)));
    assert_eq!(of(from(901, 5)), Err((ErrorCode::Forked, 900)));
}

/// Starts without a copy, guarantees and logs.
#[test]
fn other_subscriptions() {
    let durable = admission(SlowPolicy::Disconnect);
    let written = Admission {
        allow_written: true,
        ..durable.clone()
    };
    let of = |start, guarantee| Subscribe {
        guarantee,
        ..subscribe(start)
    };
    let (durable_only, any) = (Guarantee::Durable, Guarantee::Written);
    assert_eq!(
        answer(of(Start::Earliest, durable_only), durable.clone()),
        Ok(100)
    );
    assert_eq!(
        answer(of(Start::Live, durable_only), durable.clone()),
        Ok(1_001)
    );
    let denied = Err((ErrorCode::Denied, 0));
    assert_eq!(answer(of(Start::Live, any), durable.clone()), denied);
    assert_eq!(answer(of(Start::Live, any), written), Ok(1_006));
    let wrong = Subscribe {
        log_id: [8; 16],
        ..subscribe(Start::Earliest)
    };
    assert_eq!(answer(wrong, durable), Err((ErrorCode::WrongLog, 0)));
}

/// One that the log is retained for is not refused for what was pruned: it gets a gap.
#[test]
fn a_retained_one_is_told_what_it_lost() {
    assert_eq!(answer(from(60, 2), admission(SlowPolicy::Retain)), Ok(60));
}

/// The window is what was asked for, or the most there is.
#[test]
fn windows_are_bounded() {
    for (asked, granted) in [(0, 1), (4_096, 4_096), (u32::MAX, 8 << 20)] {
        let mut desk = Desk::new(config(), admission(SlowPolicy::Disconnect), 10);
        let window_bytes = asked;
        desk.send(&Message::Subscribe(Subscribe {
            window_bytes,
            ..subscribe(Start::Live)
        }));
        let (heard, _) = desk.take();
        assert!(matches!(&heard[..], [Heard::SubOk(ok)] if ok.window_bytes == granted));
    }
}

/// One identity cannot take the seats of others, and all seats are counted.
#[test]
fn seats_are_counted() {
    let mut roster = Roster::new(3);
    let (a, b) = (client("a"), client("b"));
    assert_eq!(roster.enter(Some(&a), 2), Seat::Taken);
    assert_eq!(roster.enter(Some(&a), 2), Seat::Taken);
    assert_eq!(roster.enter(Some(&a), 2), Seat::OverQuota);
    assert_eq!(roster.enter(None, 2), Seat::Taken);
    assert_eq!(roster.enter(Some(&b), 2), Seat::Full);
    roster.leave(Some(&a));
    assert_eq!(roster.enter(Some(&b), 2), Seat::Taken);
    for name in [Some(&a), Some(&b), None] {
        roster.leave(name);
    }
    assert!(roster.is_empty());
}
