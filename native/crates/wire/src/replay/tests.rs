use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const REQUEST: Request = Request {
    session: Session(*b"DEMO000001"),
    first_sequence: 0x0102,
    count: 3,
};

fn bytes_of(frame: Frame<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    frame.encode(&mut out);
    out
}

fn decode(bytes: &[u8]) -> Result<usize, FrameError> {
    let mut decoder = FrameDecoder::new();
    let mut rest = bytes;
    let mut frames = 0;
    while !rest.is_empty() {
        rest = &rest[decoder.push(rest)..];
        while decoder.next()?.is_some() {
            frames += 1;
        }
    }
    Ok(frames)
}

/// Proves the bytes of the request and of every kind of frame.
#[test]
fn golden_bytes() {
    assert_eq!(
        REQUEST.encode(),
        *b"TDRP\0\x01DEMO000001\0\0\0\0\0\0\x01\x02\0\0\0\x03"
    );
    let begin = bytes_of(Frame::Begin(REQUEST));
    assert_eq!(
        begin,
        b"\0\0\0\x1a\0\0\0\0\0\0\x01\x02\0\0B\0DEMO000001\0\0\0\x03"
    );
    let messages = bytes_of(Frame::Messages {
        first_sequence: 5,
        count: 2,
        blocks: b"\0\x01a\0\0",
    });
    assert_eq!(
        messages,
        b"\0\0\0\x11\0\0\0\0\0\0\0\x05\0\x02M\0\0\x01a\0\0"
    );
    let packet = bytes_of(Frame::Packet {
        sequence: 5,
        packet: b"xyz",
    });
    assert_eq!(packet, b"\0\0\0\x0f\0\0\0\0\0\0\0\x05\0\x01W\0xyz");
    let end = bytes_of(Frame::End { next_sequence: 7 });
    assert_eq!(end, b"\0\0\0\x0c\0\0\0\0\0\0\0\x07\0\0E\0");
    let refused = bytes_of(Frame::Refused {
        first_sequence: 7,
        reason: Refusal::NotHere,
    });
    assert_eq!(refused, b"\0\0\0\x14\0\0\0\0\0\0\0\x07\0\0R\0not_here");
}

/// Proves that each broken rule has its reason.
#[test]
fn broken_bytes_name_the_rule() {
    let request = |at: usize, byte: u8| {
        let mut bytes = REQUEST.encode();
        bytes[at] = byte;
        Request::parse(&bytes).map_err(|error| error.reason())
    };
    assert_eq!(request(0, b'X'), Err("bad_magic"));
    assert_eq!(request(5, 2), Err("unknown_version"));
    assert_eq!(request(27, 0), Err("bad_range"));
    let frame = |mut bytes: Vec<u8>, at: usize, byte: u8| {
        bytes[at] = byte;
        decode(&bytes).unwrap_err().reason()
    };
    let end = || bytes_of(Frame::End { next_sequence: 7 });
    assert_eq!(frame(end(), 0, 1), "bad_length");
    assert_eq!(frame(end(), 3, 11), "bad_length");
    assert_eq!(frame(end(), 14, b'X'), "unknown_kind");
    assert_eq!(frame(end(), 15, 1), "bad_field");
    assert_eq!(frame(end(), 13, 1), "bad_field");
    assert_eq!(frame(end(), 11, 0), "bad_field");
    let blocks = b"\0\x01a";
    let messages = |count| Frame::Messages {
        first_sequence: 5,
        count,
        blocks,
    };
    assert_eq!(decode(&bytes_of(messages(1))), Ok(1));
    assert!(decode(&bytes_of(messages(2))).is_err(), "one block too few");
    assert!(decode(&bytes_of(messages(0))).is_err(), "no messages");
    let refused = || {
        bytes_of(Frame::Refused {
            first_sequence: 7,
            reason: Refusal::Busy,
        })
    };
    assert_eq!(frame(refused(), 16, b'x'), "bad_field");
}

proptest! {
    /// Proves that what was encoded comes back, whatever the chunks.
    #[test]
    fn chunks_do_not_matter(
        runs in vec((1u64..1_000, vec(vec(any::<u8>(), 0..20), 1..10)), 0..10),
        chunk in 1usize..90,
    ) {
        let mut stream = bytes_of(Frame::Begin(REQUEST));
        let mut expected = Vec::new();
        for (first_sequence, messages) in &runs {
            let mut blocks = Vec::new();
            for message in messages {
                blocks.extend_from_slice(&(message.len() as u16).to_be_bytes());
                blocks.extend_from_slice(message);
            }
            let (first_sequence, count) = (*first_sequence, messages.len() as u16);
            Frame::Messages { first_sequence, count, blocks: &blocks }.encode(&mut stream);
            expected.push((first_sequence, count, blocks));
        }
        let mut decoder = FrameDecoder::new();
        let (mut received, mut begun) = (Vec::new(), false);
        for chunk in stream.chunks(chunk) {
            prop_assert_eq!(decoder.push(chunk), chunk.len());
            while let Some(frame) = decoder.next().unwrap() {
                match frame {
                    Frame::Begin(request) => begun = request == REQUEST,
                    Frame::Messages { first_sequence, count, blocks } => {
                        received.push((first_sequence, count, blocks.to_vec()));
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
        prop_assert!(begun && !decoder.is_inside_frame());
        prop_assert_eq!(received, expected);
    }

    /// Proves that no bytes panic, be they random or a frame with one byte changed.
    #[test]
    fn any_bytes_are_judged(
        bytes in vec(any::<u8>(), 0..200),
        at in 0usize..30,
        byte in any::<u8>(),
    ) {
        let _ = decode(&bytes);
        let mut changed = bytes_of(Frame::Begin(REQUEST));
        changed[at] = byte;
        let _ = decode(&changed);
        if let Some(request) = bytes.first_chunk() {
            let _ = Request::parse(request);
        }
        let mut decoder = RequestDecoder::new();
        decoder.push(&bytes);
        let _ = decoder.next();
    }

    /// Proves that a request survives the way in any chunks.
    #[test]
    fn requests_come_back(first_sequence in 1u64..u64::MAX - u64::from(u32::MAX), count in 1u32..) {
        let request = Request { first_sequence, count, ..REQUEST };
        let mut decoder = RequestDecoder::new();
        let bytes = request.encode();
        decoder.push(&bytes[..11]);
        prop_assert_eq!(decoder.next(), Ok(None));
        decoder.push(&bytes[11..]);
        prop_assert_eq!(decoder.next(), Ok(Some(request)));
    }
}
