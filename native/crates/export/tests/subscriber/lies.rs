//! A provider that breaks the protocol: nothing it says is taken, and the session ends.

use tickdeck_export::authenticator::Method;
use tickdeck_export::message::{Ack, Data, Gap, GapReason, Message, kind};
use tickdeck_export::subscriber::{BadBlock, End, Event, Session};

use crate::provider::{
    Part, auth_ok, block, events, heartbeat, hello, said, say, session, settings, sub_ok,
    subscribed,
};

fn end(session: &mut Session) -> End {
    match events(session).pop() {
        Some(Event::Ended(end)) => end,
        other => panic!("not the end: {other:?}"),
    }
}

/// A hole that nobody declared, going back, and what only a subscriber says.
#[test]
fn undeclared_holes_end_the_session() {
    let hole = block(7, 2);
    let beyond = Data {
        base_seq: 7,
        block: &hole,
    };
    let mislabelled = Data {
        base_seq: 6,
        block: &hole,
    };
    let gap = |from, to, reason| Message::Gap(Gap { from, to, reason });
    let lies = [
        Message::Data(beyond),
        Message::Data(mislabelled),
        gap(7, 9, GapReason::Corrupt),
        gap(5, 9, GapReason::Corrupt),
        gap(4, 9, GapReason::JournalHole),
        heartbeat(7),
        heartbeat(5),
        Message::Hello(hello(Method::Transport)),
        auth_ok(),
        Message::SubOk(sub_ok(6)),
        Message::Ack(Ack { seq: 1 }),
    ];
    for lie in lies {
        let mut session = subscribed(&settings(), None, 1);
        let mut bytes = Vec::new();
        Part::Records { from: 1, to: 5 }.push(&mut bytes);
        session.on_bytes(&bytes, 0);
        say(&mut session, &lie, 0);
        assert!(matches!(end(&mut session), End::Violation(_)), "{lie:?}");
        assert_eq!(said(&mut session).kinds, [(kind::GOODBYE, 6)]);
    }
}

/// Anything out of turn before the data.
#[test]
fn out_of_turn() {
    let turns: [(&[Message<'_>], Message<'_>); 6] = [
        (&[], auth_ok()),
        (&[], Message::SubOk(sub_ok(1))),
        (&[], heartbeat(1)),
        (
            &[Message::Hello(hello(Method::Transport))],
            Message::SubOk(sub_ok(1)),
        ),
        (
            &[Message::Hello(hello(Method::Transport))],
            Message::Hello(hello(Method::Transport)),
        ),
        (
            &[Message::Hello(hello(Method::Transport)), auth_ok()],
            auth_ok(),
        ),
    ];
    for (before, lie) in turns {
        let mut session = session(&settings(), None);
        for message in before {
            say(&mut session, message, 0);
        }
        say(&mut session, &lie, 0);
        assert!(matches!(end(&mut session), End::Violation(_)), "{lie:?}");
    }
}

/// Every single-bit change of a frame with a block ends the session: by the frame's checksum, its
/// length, or (when the frame is honest about it) by the block's own.
#[test]
fn every_flipped_bit_is_seen() {
    let stored = block(1, 3);
    let frame = Message::Data(Data {
        base_seq: 1,
        block: &stored,
    })
    .to_frame();
    for bit in 0..8 * frame.len() {
        let mut bytes = frame.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut session = subscribed(&settings(), None, 1);
        session.on_bytes(&bytes, 0);
        session.on_time(5_000_000_000);
        assert!(
            matches!(end(&mut session), End::BadFrame(_) | End::Silent(_)),
            "bit {bit}"
        );
    }
    for bit in 0..8 * stored.len() {
        let mut damaged = stored.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let mut session = subscribed(&settings(), None, 1);
        say(
            &mut session,
            &Message::Data(Data {
                base_seq: 1,
                block: &damaged,
            }),
            0,
        );
        let end = end(&mut session);
        assert!(matches!(end, End::BadBlock(_)), "bit {bit}: {end:?}");
    }
}

/// Blocks with right checksums and wrong fields.
#[test]
fn honest_checksums_do_not_help() {
    for (what, wanted) in [
        ((24, 0), BadBlock::Field("sequence")),
        ((28, 3), BadBlock::Field("codec")),
        ((29, 2), BadBlock::Field("kind")),
        ((8, 1), BadBlock::Field("length")),
        ((15, 0x40), BadBlock::Field("length")),
    ] {
        let (at, value) = what;
        let mut block = block(1, 3);
        block[at] = value;
        let crc = crc32c::crc32c(&block[..68])
            .rotate_right(15)
            .wrapping_add(0xA282_EAD8);
        block[68..72].copy_from_slice(&crc.to_le_bytes());
        let mut session = subscribed(&settings(), None, 1);
        say(
            &mut session,
            &Message::Data(Data {
                base_seq: 1,
                block: &block,
            }),
            0,
        );
        assert_eq!(end(&mut session), End::BadBlock(wanted));
    }
}
