//! Slow subscribers: from when on, and what happens.

use tickdeck_export::message::{GapReason, Message, Start};
use tickdeck_export::provider::{
    Action, CloseReason, Head, HeadHistory, SessionConfig, SlowPolicy, StreamState,
};

use crate::support::*;

/// Records of 100 bytes that make so many bytes.
fn records(bytes: u64) -> u64 {
    bytes / 100 + 1
}

/// Ticks each 100 ms with ACKs as signs of life, and gives the time until it was closed.
fn time_to_close(desk: &mut Desk, at_most_ns: u64) -> Option<(u64, CloseReason)> {
    let begin_ns = desk.now_ns;
    while desk.now_ns < begin_ns + at_most_ns {
        desk.pass(100 * MS);
        desk.ack(100);
        desk.tick();
        if let Some(reason) = desk.closed() {
            return Some((desk.now_ns - begin_ns, reason));
        }
    }
    None
}

/// Beyond the soft limit a subscriber has the soft time, no more and no less.
#[test]
fn soft_limit_is_for_a_time() {
    let mut desk = Desk::live(SlowPolicy::Disconnect, 100);
    desk.tick();
    desk.grow(records(8 << 20));
    let (after_ns, reason) = time_to_close(&mut desk, 60 * SECOND).expect("is cut");
    assert!(matches!(reason, CloseReason::Slow(_)), "{reason:?}");
    assert!((5 * SECOND..6 * SECOND).contains(&after_ns), "{after_ns}");

    // One that comes back below in between has the time again.
    let mut desk = Desk::live(SlowPolicy::Disconnect, 100);
    desk.tick();
    desk.grow(records(8 << 20));
    assert!(desk.read_block(101, 100 + records(8 << 20), 1_000));
    desk.take();
    desk.pass(4 * SECOND);
    desk.ack(100);
    desk.tick();
    desk.ack(100 + records(8 << 20));
    desk.tick();
    desk.pass(4 * SECOND);
    desk.tick();
    assert_eq!(desk.closed(), None);
}

/// The hard limits act at once: too many bytes, or too long.
#[test]
fn hard_limits_act_at_once() {
    let mut desk = Desk::live(SlowPolicy::Disconnect, 100);
    desk.tick();
    desk.grow(records(32 << 20));
    let (after_ns, reason) = time_to_close(&mut desk, 60 * SECOND).expect("is cut");
    assert!(
        after_ns <= SECOND && matches!(reason, CloseReason::Slow(_)),
        "{reason:?}"
    );

    let mut desk = Desk::live(SlowPolicy::Disconnect, 100);
    desk.tick();
    desk.grow(1);
    let (after_ns, reason) = time_to_close(&mut desk, 60 * SECOND).expect("is cut");
    assert!(
        (30 * SECOND..31 * SECOND).contains(&after_ns),
        "{after_ns} {reason:?}"
    );
    assert!(desk.session.is_closed());
}

/// One that is told a gap goes on at the end; the gap is exactly what it did not get.
#[test]
fn skipping_declares_what_is_skipped() {
    let mut desk = Desk::live(SlowPolicy::SkipToLive, 100);
    desk.tick();
    desk.grow(records(32 << 20) + 100);
    assert!(desk.read_block(101, 200, 80));
    let head = desk.log.durable;
    desk.take();
    desk.pass(100 * MS);
    desk.tick();
    let (heard, actions) = desk.take();
    let gap = match &heard[..] {
        [Heard::Gap(gap)] => *gap,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (gap.from, gap.to, gap.reason),
        (201, head, GapReason::Policy)
    );
    assert_eq!(actions, [Action::Declared(gap), Action::Seek(head + 1)]);
    desk.ack(200);
    desk.ack(head);
    desk.grow(5);
    assert!(desk.read_block(head + 1, head + 5, 80));
    desk.tick();
    assert_eq!(desk.closed(), None);
}

/// Whoever is retained keeps its place, however far behind.
#[test]
fn a_retained_one_keeps_its_place() {
    let mut desk = Desk::live(SlowPolicy::Retain, 100);
    desk.tick();
    desk.grow(records(1 << 30));
    assert_eq!(time_to_close(&mut desk, 90 * SECOND), None);
    assert!(desk.read_block(101, 200, 80));
}

/// Without waiting for a full window, the policy acts when it is full.
#[test]
fn a_full_window_may_be_too_slow() {
    for waits in [true, false] {
        let config = SessionConfig {
            waits_on_full_window: waits,
            ..config()
        };
        let mut desk = Desk::new(config, admission(SlowPolicy::Disconnect), 100);
        desk.send(&Message::Subscribe(subscribe(Start::Live)));
        desk.tick();
        desk.grow(10);
        assert!(desk.read_block(101, 105, 2 << 20 >> 1));
        desk.tick();
        assert_eq!(desk.session.is_closed(), !waits);
    }
}

/// History may be read at any distance as long as it is read; the floor is asked for each soft
/// period. Once near, the limits hold.
#[test]
fn reading_history_needs_progress_only() {
    let last = records(1 << 30);
    let reading = |each_second: u64| {
        let mut desk = Desk::new(config(), admission(SlowPolicy::Disconnect), last);
        desk.send(&Message::Subscribe(subscribe(Start::Earliest)));
        desk.take();
        let (mut seq, begin_ns) = (0, desk.now_ns);
        while desk.now_ns < begin_ns + 60 * SECOND {
            desk.pass(SECOND);
            if each_second > 0 {
                let len = usize::try_from(each_second).expect("small");
                assert!(desk.read_block(seq + 1, seq + 10, len));
                seq += 10;
            }
            desk.out.bytes.clear();
            desk.ack(seq);
            desk.tick();
            if desk.session.is_closed() {
                return Some(desk.now_ns - begin_ns);
            }
        }
        let status = desk.session.status(desk.now_ns, &desk.log, &desk.history);
        assert_eq!(status.state, StreamState::CatchingUp);
        None
    };
    assert_eq!(reading(20_000), None);
    let cut = |each_second| reading(each_second).expect("is cut");
    assert!(cut(0) <= 6 * SECOND);
    assert!(cut(1_000) <= 6 * SECOND);
}

/// A subscriber that read old history at a good pace is not cut for the age of it when it comes
/// near.
#[test]
fn old_data_is_no_lag() {
    let mut desk = Desk::new(config(), admission(SlowPolicy::Disconnect), 1_000);
    desk.pass(3_600 * SECOND);
    desk.step(tickdeck_export::provider::Event::End(
        tickdeck_export::message::GoodbyeReason::Done,
    ));
    let mut desk = Desk::new(config(), admission(SlowPolicy::Disconnect), 1_000);
    let started_ns = desk.now_ns;
    desk.now_ns = started_ns + 3_600 * SECOND;
    desk.session = tickdeck_export::provider::Session::new(
        desk.now_ns,
        config(),
        admission(SlowPolicy::Disconnect),
    );
    desk.send(&Message::Subscribe(subscribe(Start::Seq(1))));
    desk.take();
    assert!(desk.read_block(1, 500, 40_000) && desk.read_block(501, 1_000, 40_000));
    for seq in [300, 600, 900] {
        desk.pass(SECOND);
        desk.out.bytes.clear();
        desk.ack(seq);
        desk.tick();
        assert_eq!(desk.closed(), None);
    }
    desk.ack(1_000);
    desk.tick();
    let status = desk.session.status(desk.now_ns, &desk.log, &desk.history);
    assert_eq!(
        (status.state, status.lag_ns, status.lag_bytes),
        (StreamState::Live, 0, 0)
    );
}

/// Ages and distances of a history that was noted each 10 ms for ten minutes.
#[test]
fn history_is_bounded_and_right() {
    let mut history = HeadHistory::default();
    let at = |step: u64| step * 10 * MS;
    for step in 1..=60_000 {
        history.note(
            at(step),
            Head {
                seq: step * 5,
                bytes: step * 500,
            },
        );
    }
    let now_ns = at(60_000);
    assert_eq!(history.age_ns(now_ns, 300_000), 0);
    assert_eq!(history.bytes_behind(300_000), 0);
    for behind in [1, 10, 100, 1_000, 5_000] {
        let seq = (60_000 - behind) * 5;
        let (age, bytes) = (history.age_ns(now_ns, seq), history.bytes_behind(seq));
        let exact = (at(behind), behind * 500);
        assert!(
            age + 70 * MS >= exact.0 && age <= exact.0 + 140 * MS,
            "{behind}: {age}"
        );
        assert!(
            bytes >= exact.1 && bytes <= exact.1 + 7_000,
            "{behind}: {bytes}"
        );
    }
    // Further back than it reaches: at least its length, and its average.
    assert!(history.age_ns(now_ns, 1) >= 50 * SECOND);
    let (bytes, exact) = (history.bytes_behind(5), 59_999 * 500);
    assert!(bytes.abs_diff(exact) < exact / 10, "{bytes}");
    // Another log: nothing is known of it.
    history.note(
        now_ns,
        Head {
            seq: 10,
            bytes: 1_000,
        },
    );
    assert_eq!(
        (history.head().seq, history.age_ns(now_ns + SECOND, 9)),
        (10, SECOND)
    );
}
