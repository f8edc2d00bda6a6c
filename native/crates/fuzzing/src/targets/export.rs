//! Frames and messages of TICKDECK/1: what is accepted encodes to the bytes that came.

use tickdeck_export::frame::{self, Decoder, Frame, HEADER_LEN, MAX_PAYLOAD};
use tickdeck_export::message::{MAX_CONTROL_PAYLOAD, Message};

/// A stream, cut by its first byte: the same frames come as without a cut, and a decoder that has
/// refused gives nothing more.
pub(crate) fn run_stream(bytes: &[u8]) {
    let Some((cut, stream)) = bytes.split_first() else {
        return;
    };
    let (whole, failed) = frames(stream, stream.len().max(1));
    assert!(stream.starts_with(&whole));
    let (pieces, failed_again) = frames(stream, usize::from(*cut).max(1));
    assert_eq!((whole, failed), (pieces, failed_again));
}

/// The bytes of all frames, encoded again, and whether an error ended them.
fn frames(stream: &[u8], step: usize) -> (Vec<u8>, bool) {
    let (mut decoder, mut out) = (Decoder::new(MAX_PAYLOAD), Vec::new());
    for piece in stream.chunks(step) {
        decoder.feed(piece);
        loop {
            match decoder.next() {
                Ok(Some(read)) => frame::push(&mut out, read.kind, read.seq, read.payload),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.next(), Err(error));
                    assert_eq!(decoder.pending(), 0);
                    return (out, true);
                }
            }
        }
        assert!(decoder.pending() < HEADER_LEN + MAX_PAYLOAD);
    }
    (out, false)
}

/// A type, a sequence and a payload, as if a checksum had passed them.
pub(crate) fn run_message(bytes: &[u8]) {
    let Some((head, payload)) = bytes.split_first_chunk::<9>() else {
        return;
    };
    let [kind, seq @ ..] = *head;
    let seq = u64::from_le_bytes(seq);
    let Ok(message) = Message::parse(&Frame { kind, seq, payload }) else {
        return;
    };
    assert_eq!((message.kind(), message.seq()), (kind, seq));
    assert_eq!(message.payload(), payload);
    let control = !matches!(message, Message::Data(_));
    assert!(!control || payload.len() <= MAX_CONTROL_PAYLOAD);
}
