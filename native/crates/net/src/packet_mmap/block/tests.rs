use proptest::prelude::*;

use super::*;

/// A block as the kernel writes it, with a frame for each payload. The frames' headers lie behind
/// the block's, 8-byte aligned.
fn block_of(frames: &[Vec<u8>], block_bytes: usize) -> Vec<u8> {
    let mut block = vec![0; block_bytes];
    let mut at = BLOCK_HEADER_BYTES;
    put(&mut block, BLOCK_COUNT_AT, frames.len() as u32);
    put(&mut block, BLOCK_FIRST_AT, at as u32);
    for (index, frame) in frames.iter().enumerate() {
        let next = (ETHERNET + frame.len()).next_multiple_of(8);
        if index + 1 < frames.len() {
            put(&mut block, at + FRAME_NEXT_AT, next as u32);
        }
        put(&mut block, at + FRAME_SECONDS_AT, 2);
        put(&mut block, at + FRAME_NANOSECONDS_AT, index as u32);
        put(&mut block, at + FRAME_CAPTURED_AT, frame.len() as u32);
        put(&mut block, at + FRAME_WIRE_AT, frame.len() as u32 + 1);
        block[at + FRAME_ETHERNET_AT] = ETHERNET as u8;
        block[at + ETHERNET..][..frame.len()].copy_from_slice(frame);
        at += next;
    }
    block
}

fn put(block: &mut [u8], at: usize, value: u32) {
    block[at..at + 4].copy_from_slice(&value.to_ne_bytes());
}

/// Where the kernel puts the Ethernet header of a frame on a packet socket of type RAW.
const ETHERNET: usize = 82;

/// Reads a block to its end; checks that each frame lies inside and that the walk is finite.
fn walk(block: &[u8]) -> Vec<Result<Frame<'_>, Broken>> {
    let Ok(mut cursor) = Cursor::open(block) else {
        return vec![Err(Broken)];
    };
    let mut found = Vec::new();
    while !cursor.is_at_end() {
        let frame = cursor.next(block);
        if let Ok(frame) = frame {
            let (whole, part) = (block.as_ptr_range(), frame.bytes.as_ptr_range());
            assert!(whole.start <= part.start && part.end <= whole.end);
        }
        found.push(frame);
        let most = block.len() / FRAME_HEADER_BYTES + 1;
        assert!(found.len() <= most, "each frame is behind the one before");
    }
    found
}

/// The layout is that of linux/if_packet.h.
#[test]
fn the_layout_is_the_kernels() {
    use std::mem::{offset_of, size_of};

    use libc::{tpacket_block_desc, tpacket_hdr_v1, tpacket3_hdr};
    let head = offset_of!(tpacket_block_desc, hdr);
    assert_eq!(BLOCK_HEADER_BYTES, size_of::<tpacket_block_desc>());
    let status = head + offset_of!(tpacket_hdr_v1, block_status);
    assert_eq!(BLOCK_STATUS_AT, status);
    let count = head + offset_of!(tpacket_hdr_v1, num_pkts);
    assert_eq!(BLOCK_COUNT_AT, count);
    let first = head + offset_of!(tpacket_hdr_v1, offset_to_first_pkt);
    assert_eq!(BLOCK_FIRST_AT, first);
    assert_eq!(FRAME_HEADER_BYTES, size_of::<tpacket3_hdr>());
    for (ours, kernel) in [
        (FRAME_NEXT_AT, offset_of!(tpacket3_hdr, tp_next_offset)),
        (FRAME_SECONDS_AT, offset_of!(tpacket3_hdr, tp_sec)),
        (FRAME_NANOSECONDS_AT, offset_of!(tpacket3_hdr, tp_nsec)),
        (FRAME_CAPTURED_AT, offset_of!(tpacket3_hdr, tp_snaplen)),
        (FRAME_WIRE_AT, offset_of!(tpacket3_hdr, tp_len)),
        (FRAME_STATUS_AT, offset_of!(tpacket3_hdr, tp_status)),
        (FRAME_ETHERNET_AT, offset_of!(tpacket3_hdr, tp_mac)),
    ] {
        assert_eq!(ours, kernel);
    }
    const { assert!(libc::TPACKET3_HDRLEN + 16 <= FRAME_OVERHEAD_BYTES) };
}

/// Each lie of a block or frame header ends the block, and the frames before it are kept.
#[test]
fn lying_headers_end_the_block() {
    let frames = [vec![1; 60], vec![2; 61], vec![3; 62]];
    let good = block_of(&frames, 4_096);
    let second = BLOCK_HEADER_BYTES + (ETHERNET + 60).next_multiple_of(8);
    for (what, at, value, kept) in [
        ("first frame in the block's header", BLOCK_FIRST_AT, 40, 0),
        ("first frame outside", BLOCK_FIRST_AT, 4_096, 0),
        ("first frame cut by the end", BLOCK_FIRST_AT, 4_049, 0),
        ("first frame far outside", BLOCK_FIRST_AT, u32::MAX, 0),
        ("more frames than there are", BLOCK_COUNT_AT, u32::MAX, 2),
        ("no way forward", second + FRAME_NEXT_AT, 0, 1),
        ("a step into the header", second + FRAME_NEXT_AT, 47, 1),
        ("a step outside", second + FRAME_NEXT_AT, u32::MAX, 1),
        (
            "more captured than there is",
            second + FRAME_CAPTURED_AT,
            4_096,
            1,
        ),
        ("more captured than sent", second + FRAME_WIRE_AT, 60, 1),
        ("bytes in the header", second + FRAME_ETHERNET_AT, 47, 1),
        ("bytes outside", second + FRAME_ETHERNET_AT, 0xFFFF, 1),
    ] {
        let mut block = good.clone();
        put(&mut block, at, value);
        let found = walk(&block);
        let (last, before) = found.split_last().unwrap();
        assert_eq!(*last, Err(Broken), "{what}");
        let kept_frames = before.iter().filter(|frame| frame.is_ok()).count();
        assert_eq!((kept_frames, before.len()), (kept, kept), "{what}");
    }
    assert_eq!(walk(&good).len(), 3);
    assert!(walk(&block_of(&[], 4_096)).is_empty(), "an empty block");
    assert_eq!(walk(&good[..40]), [Err(Broken)], "no block at all");
}

/// The stamp is the frame's, and the card's only where the frame says so.
#[test]
fn stamps_are_read_and_labelled() {
    let mut block = block_of(&[vec![1; 60], vec![2; 60]], 4_096);
    let status = libc::TP_STATUS_TS_RAW_HARDWARE | libc::TP_STATUS_USER;
    put(&mut block, BLOCK_HEADER_BYTES + FRAME_STATUS_AT, status);
    let stamps: Vec<_> = walk(&block)
        .into_iter()
        .map(|frame| frame.map(|frame| (frame.rx_ns, frame.is_hardware_stamp)))
        .collect();
    let second = 2_000_000_000;
    assert_eq!(stamps, [Ok((second, true)), Ok((second + 1, false))]);
}

proptest! {
    /// What the kernel wrote is read back: each frame once, in order, in full.
    #[test]
    fn frames_come_back(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..15),
    ) {
        let block = block_of(&frames, 4_096);
        let found = walk(&block);
        prop_assert_eq!(found.len(), frames.len());
        for (found, frame) in found.iter().zip(&frames) {
            let found = found.unwrap();
            prop_assert_eq!(found.bytes, frame.as_slice());
            prop_assert_eq!(found.wire_bytes, frame.len() + 1);
        }
    }

    /// Whatever stands in the words of a block, nothing outside of it is read and the walk ends.
    #[test]
    fn hostile_words_stay_inside(
        lies in prop::collection::vec((0usize..1_024, word_like()), 1..40),
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..15),
    ) {
        let mut block = block_of(&frames, 4_096);
        for (word, value) in lies {
            put(&mut block, word * 4, value);
        }
        walk(&block);
    }

    /// The same for a block of noise.
    #[test]
    fn noise_stays_inside(
        mut noise in prop::collection::vec(any::<u8>(), 0..600),
        first in word_like(), count in word_like(),
    ) {
        if noise.len() >= BLOCK_HEADER_BYTES {
            put(&mut noise, BLOCK_FIRST_AT, first);
            put(&mut noise, BLOCK_COUNT_AT, count);
        }
        walk(&noise);
    }
}

/// Small values, which offsets are, and any others.
fn word_like() -> impl Strategy<Value = u32> {
    prop_oneof![0u32..256, 0u32..5_000, Just(u32::MAX), any::<u32>()]
}
