//! The envelope: cut anywhere, damaged anywhere.

use proptest::prelude::*;
use tickdeck_export::frame::{self, Decoder, Frame, FrameError, HEADER_LEN, MAX_PAYLOAD};

fn frames_of(decoder: &mut Decoder) -> Result<Vec<(u8, u64, Vec<u8>)>, FrameError> {
    let mut out = Vec::new();
    while let Some(Frame { kind, seq, payload }) = decoder.next()? {
        out.push((kind, seq, payload.to_vec()));
    }
    Ok(out)
}

proptest! {
    /// However the stream is cut, the same frames come, and no byte stays behind.
    #[test]
    fn frames_survive_any_cut(
        frames in prop::collection::vec(
            (1u8.., any::<u64>(), prop::collection::vec(any::<u8>(), 0..300)), 0..8),
        cuts in prop::collection::vec(1..400usize, 1..40),
    ) {
        let mut stream = Vec::new();
        for (kind, seq, payload) in &frames {
            frame::push(&mut stream, *kind, *seq, payload);
        }
        let (mut decoder, mut got) = (Decoder::new(MAX_PAYLOAD), Vec::new());
        let (mut rest, mut cuts) = (&stream[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(*cuts.next().expect("endless")));
            rest = behind;
            decoder.feed(piece);
            got.extend(frames_of(&mut decoder).expect("good frames"));
        }
        prop_assert_eq!(got, frames);
        prop_assert_eq!(decoder.pending(), 0);
    }
}

/// No flipped bit of a frame gives a frame: an error, or a wait for bytes that do not come.
#[test]
fn every_bit_flip_is_seen() {
    let mut good = Vec::new();
    frame::push(
        &mut good,
        7,
        42,
        b"forty-two bytes of payload, or nearly so..",
    );
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut decoder = Decoder::new(MAX_PAYLOAD);
        decoder.feed(&bytes);
        if let Ok(Some(read)) = decoder.next() {
            panic!("bit {bit} gives {read:?}");
        }
    }
}

/// A frame that is too long is refused by its first four bytes, and nothing is kept for it.
#[test]
fn length_is_judged_before_anything_is_awaited() {
    for (limit, length) in [
        (MAX_PAYLOAD, u32::MAX),
        (MAX_PAYLOAD, (1 << 20) + 129),
        (256, 257),
    ] {
        let mut decoder = Decoder::new(limit);
        decoder.feed(&length.to_le_bytes());
        let limit = limit as u32;
        let refused = FrameError::TooLong { length, limit };
        assert_eq!(decoder.next(), Err(refused));
        decoder.feed(&[0; 100]);
        assert_eq!(decoder.next(), Err(refused));
        assert_eq!(decoder.pending(), 0);
    }
}

/// The longest frame passes.
#[test]
fn longest_frame_passes() {
    let mut bytes = Vec::new();
    frame::push(&mut bytes, 7, 1, &vec![9; MAX_PAYLOAD]);
    let mut decoder = Decoder::new(usize::MAX);
    decoder.feed(&bytes);
    let read = decoder.next().expect("a frame").expect("whole");
    assert_eq!(read.payload.len(), MAX_PAYLOAD);
}

/// Type 0, flags and reserved bytes are refused although their checksum is right.
#[test]
fn header_has_no_room_for_surprises() {
    for at in [4, 5, 6, 7] {
        let mut bytes = Vec::new();
        frame::push(&mut bytes, 1, 0, b"");
        bytes[at] = if at == 4 { 0 } else { 1 };
        let crc = crc32c(&bytes[..16]);
        bytes[16..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
        let mut decoder = Decoder::new(16);
        decoder.feed(&bytes);
        let read = decoder.next();
        assert!(
            matches!(read, Err(FrameError::BadHeader { .. })),
            "byte {at}"
        );
    }
}

/// CRC32C bit by bit: a second implementation.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| {
        if crc & 1 == 1 {
            crc >> 1 ^ 0x82F6_3B78
        } else {
            crc >> 1
        }
    };
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc))
    })
}
