//! Messages survive their encoding, and nothing else is a message.

use proptest::prelude::*;
use tickdeck_export::frame::{Decoder, Frame, HEADER_LEN, MAX_PAYLOAD};
use tickdeck_export::message::{Data, MAX_CONTROL_PAYLOAD, Message, MessageError, Sentence};

use crate::support::{any_message, one_of_each};

fn reread(message: &Message<'_>) -> Message<'static> {
    let mut decoder = Decoder::new(MAX_CONTROL_PAYLOAD);
    decoder.feed(&message.to_frame());
    let frame = decoder.next().expect("a frame").expect("whole");
    match Message::parse(&frame).expect("a message") {
        Message::Data(_) => unreachable!("none is made here"),
        Message::Hello(read) => Message::Hello(read),
        Message::Auth(read) => Message::Auth(read),
        Message::AuthOk(read) => Message::AuthOk(read),
        Message::Subscribe(read) => Message::Subscribe(read),
        Message::SubOk(read) => Message::SubOk(read),
        Message::Err(read) => Message::Err(read),
        Message::Heartbeat(read) => Message::Heartbeat(read),
        Message::Gap(read) => Message::Gap(read),
        Message::Ack(read) => Message::Ack(read),
        Message::Goodbye(read) => Message::Goodbye(read),
    }
}

proptest! {
    /// Encoding and reading again changes nothing, and every control message fits its cap.
    #[test]
    fn messages_survive(message in any_message()) {
        prop_assert_eq!(reread(&message), message);
    }

    /// Any bytes are a message or an error; a message encodes to the bytes it was read from.
    #[test]
    fn any_bytes_are_judged(
        kind in 0..14u8,
        seq in prop_oneof![Just(0), any::<u64>()],
        payload in prop::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..140),
    ) {
        if let Ok(message) = Message::parse(&Frame { kind, seq, payload: &payload }) {
            prop_assert_eq!(message.payload(), &payload[..]);
            prop_assert_eq!((message.kind(), message.seq()), (kind, seq));
        }
    }

    /// A block travels as it is.
    #[test]
    fn data_is_verbatim(base_seq in 1u64.., block in prop::collection::vec(any::<u8>(), 72..2_000)) {
        let bytes = Message::Data(Data { base_seq, block: &block }).to_frame();
        prop_assert_eq!(&bytes[HEADER_LEN..], &block[..]);
        let mut decoder = Decoder::new(MAX_PAYLOAD);
        decoder.feed(&bytes);
        let frame = decoder.next().expect("a frame").expect("whole");
        prop_assert_eq!(Message::parse(&frame), Ok(Message::Data(Data { base_seq, block: &block })));
    }
}

/// No message is one byte shorter or longer than it is, DATA and ACK apart.
#[test]
fn lengths_are_exact() {
    for message in one_of_each() {
        let (kind, seq, payload) = (message.kind(), message.seq(), message.payload());
        let parse = |payload: &[u8]| Message::parse(&Frame { kind, seq, payload }).map(|_| ());
        assert_eq!(parse(&payload), Ok(()));
        let longer = [&payload[..], &[0]].concat();
        let data = matches!(message, Message::Data(_));
        assert_eq!(parse(&longer).is_ok(), data, "{message:?}");
        let len = payload.len().saturating_sub(1);
        let shorter = &payload[..if data { 71 } else { len }];
        let refused = MessageError::WrongLength {
            kind,
            len: shorter.len(),
        };
        if !payload.is_empty() {
            assert_eq!(parse(shorter), Err(refused), "{message:?}");
        }
    }
}

/// Types that do not exist.
#[test]
fn unknown_types_are_refused() {
    for kind in [0, 12, 255] {
        let frame = Frame {
            kind,
            seq: 0,
            payload: b"",
        };
        assert_eq!(Message::parse(&frame), Err(MessageError::UnknownType(kind)));
    }
}

/// Sentences are made to fit.
#[test]
fn texts_are_tame() {
    assert_eq!(Sentence::new("ä\u{1b}[2J~").as_str(), "??[2J~");
    assert_eq!(
        Sentence::new(&"é".repeat(900)).as_str().len(),
        Sentence::MAX_LEN
    );
}

/// Each byte that is said to be zero is checked.
#[test]
fn reserved_bytes_are_checked() {
    let reserved: [&[usize]; 11] = [
        &[5, 6, 7],
        &[2, 3],
        &[],
        &[2, 3],
        &[],
        &[2, 3],
        &[],
        &[],
        &[9, 12, 15],
        &[],
        &[2, 3],
    ];
    for (message, places) in one_of_each().iter().zip(reserved) {
        for at in places {
            let mut payload = message.payload();
            payload[*at] = 1;
            let (kind, seq, payload) = (message.kind(), message.seq(), &payload[..]);
            let read = Message::parse(&Frame { kind, seq, payload });
            let field = "reserved bytes";
            assert_eq!(
                read,
                Err(MessageError::BadField { kind, field }),
                "byte {at}"
            );
        }
    }
}
