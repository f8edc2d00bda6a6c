//! A stream in force: window, acknowledgements, signs of life, the end.

use tickdeck_export::message::{
    ErrorCode, Gap, GapReason, Goodbye, GoodbyeReason, Message, Sentence, Start,
};
use tickdeck_export::provider::{Action, CloseReason, Event, SlowPolicy, StreamState, refusal};

use crate::support::*;

fn violation(desk: &mut Desk) -> String {
    let (heard, actions) = desk.take();
    let err = heard.last();
    let is_told = |code| matches!(err, Some(Heard::Err(refused)) if refused.code == code);
    assert!(
        is_told(ErrorCode::Violation) || is_told(ErrorCode::BadFrame),
        "{heard:?}"
    );
    match actions.last() {
        Some(Action::Close(CloseReason::Violation(text))) => text.clone(),
        other => panic!("{other:?}"),
    }
}

/// Nothing is read before a subscription, above the bound, beyond the window, or while the socket
/// is behind.
#[test]
fn reading_is_bounded() {
    let mut desk = Desk::new(config(), admission(SlowPolicy::Disconnect), 100);
    assert_eq!(desk.session.read_limit(&desk.log, 0), None);
    desk.send(&Message::Subscribe(subscribe(Start::Seq(1))));
    desk.take();
    assert_eq!(desk.session.read_limit(&desk.log, 0), Some(100));
    assert_eq!(desk.session.read_limit(&desk.log, 256 * 1024), None);
    let mut last = 0;
    while desk.read_block(last + 1, last + 1, 60_000) {
        last += 1;
        desk.out.bytes.clear();
    }
    // A window of 1 MiB, and the frame that fills it.
    assert_eq!(last, (1 << 20) / 60_020 + 1);
    desk.ack(1);
    assert_eq!(desk.session.read_limit(&desk.log, 0), Some(100));
    desk.ack(last);
    let status = desk.session.status(desk.now_ns, &desk.log, &desk.history);
    assert_eq!(
        (status.sent_seq, status.acked_seq, status.in_flight_bytes),
        (last, last, 0)
    );
    while last < 100 {
        assert!(desk.read_block(last + 1, last + 1, 100));
        last += 1;
    }
    assert_eq!(desk.session.read_limit(&desk.log, 0), None);
}

/// ACKs rise, and name what was sent.
#[test]
fn acks_are_judged() {
    let ready = || {
        let mut desk = Desk::live(SlowPolicy::Disconnect, 100);
        desk.grow(10);
        assert!(desk.read_block(101, 105, 500));
        desk
    };
    let mut desk = ready();
    desk.ack(100);
    desk.ack(103);
    desk.ack(103);
    desk.ack(105);
    let (_, actions) = desk.take();
    assert_eq!(actions, [Action::Acked(103), Action::Acked(105)]);

    let mut desk = ready();
    desk.ack(106);
    assert_eq!(violation(&mut desk), "ACK of 106, sent up to 105");
    let mut desk = ready();
    desk.ack(104);
    desk.ack(103);
    assert_eq!(violation(&mut desk), "ACK of 103 after 104");
    let mut desk = ready();
    desk.ack(99);
    violation(&mut desk);
    let mut desk = ready();
    desk.ack(u64::MAX);
    violation(&mut desk);
}

/// What only a provider sends, a second SUBSCRIBE, an early ACK, garbage: all end the session.
#[test]
fn violations_end_a_session() {
    let live = || Desk::live(SlowPolicy::Disconnect, 100);
    let mut desk = live();
    desk.send(&Message::Subscribe(subscribe(Start::Live)));
    assert_eq!(violation(&mut desk), "a second SUBSCRIBE");
    let mut desk = Desk::new(config(), admission(SlowPolicy::Disconnect), 100);
    desk.ack(1);
    violation(&mut desk);
    let (from, to, reason) = (1, 2, GapReason::Policy);
    let mut desk = live();
    desk.send(&Message::Gap(Gap { from, to, reason }));
    violation(&mut desk);
    let long = [&257u32.to_le_bytes()[..], &[10, 0, 0, 0]].concat();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xFF; 40], &long, &[0; 20]] {
        let mut desk = live();
        desk.step(Event::Received(garbage));
        violation(&mut desk);
        // And that is all: nothing is done for it any more.
        desk.ack(100);
        desk.tick();
        desk.step(Event::PeerClosed);
        let (heard, actions) = desk.take();
        assert!(heard.is_empty() && actions.is_empty());
    }
}

/// ACKs that bring nothing are taken at the pace of a sign of life, not as a flood.
#[test]
fn a_flood_of_acks_is_a_violation() {
    let mut desk = Desk::live(SlowPolicy::Disconnect, 100);
    for _ in 0..50 {
        desk.pass(SECOND);
        desk.ack(100);
        desk.ack(100);
    }
    assert_eq!(desk.closed(), None);
    for _ in 0..200 {
        desk.ack(100);
    }
    assert!(violation(&mut desk).contains("flood"));
}

/// A heartbeat each second, with the watermarks and the place; silence of the peer ends it.
#[test]
fn heartbeats_and_silence() {
    let mut desk = Desk::live(SlowPolicy::Disconnect, 100);
    desk.grow(1);
    desk.pass(999 * MS);
    desk.tick();
    assert_eq!(desk.take().0, []);
    desk.pass(MS);
    desk.tick();
    let (heard, _) = desk.take();
    let [Heard::Heartbeat(beat)] = &heard[..] else {
        panic!("{heard:?}");
    };
    assert_eq!((beat.next_seq, beat.written, beat.durable), (101, 106, 101));
    assert_eq!((beat.epoch, beat.utc_ns), (3, 1));
    desk.pass(4 * SECOND);
    desk.tick();
    assert!(desk.closed().is_none());
    desk.pass(MS);
    desk.tick();
    let (heard, actions) = desk.take();
    assert!(matches!(&heard[..], [Heard::Goodbye(bye)] if bye.reason == GoodbyeReason::Timeout));
    assert!(matches!(
        &actions[..],
        [Action::Close(CloseReason::Timeout(_))]
    ));
}

/// Whoever proves itself has to subscribe in time, however busily it drips.
#[test]
fn subscribing_has_a_deadline() {
    let mut desk = Desk::new(config(), admission(SlowPolicy::Disconnect), 100);
    let bytes = Message::Subscribe(subscribe(Start::Live)).to_frame();
    for byte in &bytes[..20] {
        desk.pass(260 * MS);
        desk.step(Event::Received(&[*byte]));
        desk.tick();
    }
    assert!(matches!(desk.closed(), Some(CloseReason::Timeout(_))));
}

/// The time to subscribe begins when it is listened to; one that cannot be judged is told to come
/// again.
#[test]
fn who_is_not_listened_to_is_not_late() {
    let mut desk = Desk::new(config(), admission(SlowPolicy::Disconnect), 100);
    desk.pass(60 * SECOND);
    desk.step(Event::Heard);
    desk.tick();
    assert!(!desk.session.is_closed());
    desk.pass(60 * SECOND);
    desk.tick();
    assert!(matches!(desk.closed(), Some(CloseReason::Timeout(_))));

    let mut desk = Desk::new(config(), admission(SlowPolicy::Disconnect), 100);
    desk.step(Event::Busy("later"));
    let said = desk.out.bytes.clone();
    assert_eq!(said, refusal(ErrorCode::Busy, 0, "later"));
    assert!(matches!(
        desk.closed(),
        Some(CloseReason::Refused(ErrorCode::Busy, _))
    ));
}

/// A socket that takes nothing is given up, though its owner keeps talking.
#[test]
fn a_stuck_socket_is_given_up() {
    let mut desk = Desk::live(SlowPolicy::Retain, 100);
    desk.grow(1_000);
    assert!(desk.read_block(101, 200, 50_000));
    for second in 1..=10 {
        desk.pass(SECOND);
        desk.ack(100);
        desk.tick();
        assert!(!desk.session.is_closed(), "after {second} s");
    }
    desk.step(Event::Progress);
    desk.pass(10 * SECOND);
    desk.ack(100);
    desk.tick();
    assert!(!desk.session.is_closed());
    desk.pass(MS);
    desk.tick();
    assert!(desk.session.is_closed());
}

/// The epoch goes before the first block of it.
#[test]
fn epochs_are_announced() {
    let mut desk = Desk::live(SlowPolicy::Disconnect, 100);
    desk.grow(10);
    desk.log.epochs.push((4, 103));
    for (base_seq, last_seq, epoch_low) in [(101, 102, 3), (103, 110, 4)] {
        desk.step(Event::Block {
            base_seq,
            last_seq,
            epoch_low,
            bytes: &[1; 80],
            hole: None,
        });
    }
    let (heard, _) = desk.take();
    let [
        Heard::Data(101, _),
        Heard::Heartbeat(beat),
        Heard::Data(103, _),
    ] = &heard[..]
    else {
        panic!("{heard:?}");
    };
    assert_eq!((beat.epoch, beat.next_seq), (4, 103));
}

/// A hole is told behind its block; missing sequences move the place, and can be acknowledged.
#[test]
fn gaps_are_declared() {
    let mut desk = Desk::live(SlowPolicy::Disconnect, 100);
    desk.grow(100);
    desk.step(Event::Block {
        base_seq: 101,
        last_seq: 120,
        epoch_low: 3,
        bytes: &[1; 80],
        hole: Some((103, 120)),
    });
    desk.step(Event::Missing {
        from: 121,
        to: 130,
        reason: GapReason::Corrupt,
    });
    desk.ack(130);
    let (heard, actions) = desk.take();
    let hole = Gap {
        from: 103,
        to: 120,
        reason: GapReason::JournalHole,
    };
    let corrupt = Gap {
        from: 121,
        to: 130,
        reason: GapReason::Corrupt,
    };
    assert_eq!(
        heard,
        [Heard::Data(101, 80), Heard::Gap(hole), Heard::Gap(corrupt)]
    );
    let told = [
        Action::Declared(hole),
        Action::Declared(corrupt),
        Action::Acked(130),
    ];
    assert_eq!(actions, told);
}

/// A stop sends what was available when it came, waits for the last ACK, and no longer than told.
#[test]
fn a_stop_waits_for_the_last_ack() {
    let stopping = || {
        let mut desk = Desk::live(SlowPolicy::Disconnect, 100);
        desk.grow(10);
        let deadline_ns = desk.now_ns + 2 * SECOND;
        desk.step(Event::Stop { deadline_ns });
        assert!(!desk.session.is_closed());
        desk.grow(50);
        assert_eq!(desk.session.read_limit(&desk.log, 0), Some(110));
        assert!(desk.read_block(101, 110, 80));
        assert_eq!(desk.session.read_limit(&desk.log, 0), None);
        let state = desk
            .session
            .status(desk.now_ns, &desk.log, &desk.history)
            .state;
        assert_eq!(state, StreamState::Draining);
        desk.ack(109);
        assert_eq!(desk.closed(), None);
        desk
    };
    let mut desk = stopping();
    desk.ack(110);
    let (heard, actions) = desk.take();
    let bye = Goodbye {
        next_seq: 111,
        reason: GoodbyeReason::Stopping,
        text: Sentence::default(),
    };
    assert_eq!(heard, [Heard::Goodbye(bye)]);
    let stopped = Action::Close(CloseReason::Stopped { unacked: 0 });
    assert_eq!(actions, [Action::Acked(110), stopped]);

    let mut desk = stopping();
    desk.pass(2 * SECOND);
    desk.tick();
    assert_eq!(desk.closed(), Some(CloseReason::Stopped { unacked: 1 }));
}

/// A peer that leaves, one way or the other.
#[test]
fn peers_leave() {
    let mut desk = Desk::live(SlowPolicy::Disconnect, 100);
    desk.step(Event::PeerClosed);
    assert_eq!(desk.closed(), Some(CloseReason::PeerClosed));
    let mut desk = Desk::live(SlowPolicy::Disconnect, 100);
    let (reason, text) = (GoodbyeReason::Done, Sentence::default());
    desk.send(&Message::Goodbye(Goodbye {
        next_seq: 101,
        reason,
        text,
    }));
    assert_eq!(
        desk.closed(),
        Some(CloseReason::Goodbye(GoodbyeReason::Done))
    );
    let mut desk = Desk::live(SlowPolicy::Disconnect, 100);
    desk.step(Event::End(GoodbyeReason::Revoked));
    let (heard, _) = desk.take();
    assert!(matches!(&heard[..], [Heard::Goodbye(bye)] if bye.reason == GoodbyeReason::Revoked));
}
