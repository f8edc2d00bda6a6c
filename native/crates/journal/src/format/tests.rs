//! Golden bytes of every structure of format version 1. A change here is a new format version.

use super::seal::Totals;
use super::state::Slot;
use super::*;
use crate::codec::Codec;
use crate::error::Class;
use crate::kind::{self, JournalHole};
use crate::writer::Record;

/// Hex, spaces ignored.
fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(char::is_ascii_hexdigit).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16);
    digits
        .chunks(2)
        .map(|pair| byte(pair).expect("hex"))
        .collect()
}

fn segment_header() -> SegmentHeader {
    SegmentHeader {
        preallocated: true,
        continues_abandoned: false,
        codecs: 0b001,
        log_id: *b"0123456789abcdef",
        number: 3,
        base_seq: 0x0102_0304_0506_0708,
        writer_epoch: 0x1_0000_0009,
        created_ns: 1_700_000_000_123_456_789,
        boot_id: [0xB0; 16],
        prev_last_seq: 0x0102_0304_0506_0707,
        prev_seal_hash: [0x5E; 32],
        schema_id: 0xA1A2_A3A4,
    }
}

fn block_header() -> BlockHeader {
    BlockHeader {
        kind: BlockKind::Data,
        codec: Codec::None,
        stored_len: 51,
        raw_len: 51,
        base_seq: 1000,
        count: 2,
        pad_len: 5,
        first_rx_ns: 1_700_000_000_000_000_001,
        last_mono_ns: 77,
        durable_seq_before: 990,
        epoch_low: 9,
        prev_block_crc: 0x1122_3344,
        payload_crc: 0x5566_7788,
    }
}

/// The mask of RELIABILITY.md 6.1 over the check value of CRC32C.
#[test]
fn crc_is_masked() {
    let plain: u32 = 0xE306_9283;
    assert_eq!(crc32c::crc32c(b"123456789"), plain);
    assert_eq!(masked_crc(b"123456789"), 0xC78A_B0E5);
}

/// Every field of the segment header at its offset.
#[test]
fn segment_header_golden() {
    let encoded = segment_header().encode();
    let golden = bytes(
        "54444a524e534547 0100 8000 01090100 30313233343536373839616263646566
         0300000000000000 0807060504030201 0900000001000000 15cd853dfe9c9717
         b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0 0707060504030201
         5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e a4a3a2a1",
    );
    assert_eq!(encoded[..124], golden, "{encoded:02x?}");
    assert_eq!(get_u32(&encoded, 124), masked_crc(&golden));
    assert_eq!(SegmentHeader::parse(&encoded), Ok(segment_header()));
    assert_eq!(
        super::segment_header::stored_crc(&encoded),
        get_u32(&encoded, 124)
    );
    for codecs in [0b011, 0b101, 0b111] {
        let header = SegmentHeader {
            codecs,
            ..segment_header()
        };
        assert_eq!(header.encode()[12..16], [codecs, 9, 1, 0]);
        assert_eq!(SegmentHeader::parse(&header.encode()), Ok(header));
    }
}

/// The successor of an abandoned segment: bit 18, and what it names in place of a seal.
#[test]
fn abandoned_golden() {
    let successor = SegmentHeader {
        continues_abandoned: true,
        ..segment_header()
    };
    let encoded = successor.encode();
    assert_eq!(encoded[12..16], [0x01, 0x09, 0x05, 0x00]);
    assert_eq!(SegmentHeader::parse(&encoded), Ok(successor));
    let hash = abandoned_hash(&segment_header(), 0x0102_0304_0506_0710);
    let golden = bytes("1691f0a27950b342af6ee9a10d2a3010bccbb8d82850c2ecf42cb27421e5839d");
    assert_eq!(hash, *golden, "{hash:02x?}");
    assert_ne!(hash, abandoned_hash(&segment_header(), 7));
}

/// Every field of the block header at its offset.
#[test]
fn block_header_golden() {
    let encoded = block_header().encode();
    let golden = bytes(
        "5444424b 0100 4800 33000000 33000000 e803000000000000 02000000 00 01 0500
         01002a36fe9c9717 4d00000000000000 de03000000000000 09000000 44332211 88776655",
    );
    assert_eq!(encoded[..68], golden, "{encoded:02x?}");
    assert_eq!(get_u32(&encoded, 68), masked_crc(&golden));
    assert_eq!(BlockHeader::parse(&encoded), Ok(block_header()));
    assert_eq!(block_header().block_len(), 128);
    for (kind, flag, stored_len, count) in [
        (BlockKind::Checkpoint, 2, 0, 0),
        (BlockKind::Seal, 4, 240, 0),
    ] {
        let header = BlockHeader {
            kind,
            stored_len,
            raw_len: stored_len,
            count,
            pad_len: 0,
            ..block_header()
        };
        assert_eq!(header.encode()[29], flag);
        assert_eq!(BlockHeader::parse(&header.encode()), Ok(header));
    }
    for (codec, number) in [(Codec::Lz4, 1), (Codec::Zstd, 2)] {
        let header = BlockHeader {
            codec,
            raw_len: 0x0001_0203,
            ..block_header()
        };
        assert_eq!(header.encode()[8..16], [51, 0, 0, 0, 3, 2, 1, 0]);
        assert_eq!(header.encode()[28], number);
        assert_eq!(BlockHeader::parse(&header.encode()), Ok(header));
    }
}

/// Every field of the record header at its offset, type and timestamp source in one byte.
#[test]
fn record_golden() {
    let record = Record {
        kind: kind::CONFIG_HASH,
        stamp: 2,
        line: 255,
        channel: 0x0B0A,
        venue_seq: 0x0102_0304_0506_0708,
        rx_ns: 0x1112_1314_1516_1718,
        payload: b"xyz",
    };
    let mut encoded = Vec::new();
    RecordHeader::encode(&record, &mut encoded);
    let golden = bytes("03000000 8a ff 0a0b 0807060504030201 1817161514131211 78797a");
    assert_eq!(encoded, golden);
    encoded.push(0xEE);
    assert_eq!(
        RecordHeader::split(&encoded),
        Some((record, &[0xEE_u8][..]))
    );
}

/// The record types keep their numbers, and a hole its 24 bytes.
#[test]
fn kinds_golden() {
    let names: Vec<&str> = (0..=16).map(kind::name).collect();
    assert_eq!(
        names.join(" "),
        "unknown data gap_open gap_filled gap_lost session snapshot_anchor clock_step export_hole \
         journal_hole config_hash snapshot_begin snapshot_data snapshot_end gap_row gap_note \
         unknown"
    );
    let hole = JournalHole {
        from: 5,
        to: 6,
        reason: 7,
    };
    let golden = bytes("0500000000000000 0600000000000000 07 00000000000000");
    assert_eq!(hole.encode()[..], golden);
    assert_eq!(JournalHole::decode(&golden), Some(hole));
    for (at, value) in [(0, 9), (17, 1), (23, 1)] {
        let mut bad = golden.clone();
        bad[at] = value;
        assert_eq!(JournalHole::decode(&bad), None, "byte {at}");
    }
    assert_eq!(JournalHole::decode(&golden[..23]), None);
}

/// Every field of seal and index at its offset.
#[test]
fn seal_golden() {
    let mut by_kind = [0; 16];
    (by_kind[0], by_kind[1], by_kind[15]) = (20, 21, 35);
    let totals = Totals {
        first_seq: 1,
        last_seq: 2,
        records: 3,
        blocks: 4,
        payload_bytes: 5,
        first_rx_ns: 6,
        last_rx_ns: 7,
        by_kind,
    };
    let entry = |n: u64| IndexEntry {
        seq: n,
        rx_ns: n + 1,
        offset: n + 2,
    };
    let seal = Seal {
        totals,
        sealed_by_epoch: 8,
        sealed_ns: 9,
        sha256: [0x5A; 32],
        index: vec![entry(100), entry(200)],
    };
    let encoded = seal.encode();
    assert_eq!(encoded.len(), 240 + 2 * 24);
    for (index, value) in (1..=9).chain([20, 21]).enumerate() {
        assert_eq!(get_u64(&encoded, index * 8), value, "word {index}");
    }
    assert_eq!(get_u64(&encoded, 72 + 15 * 8), 35);
    assert_eq!((get_u32(&encoded, 200), get_u32(&encoded, 204)), (2, 0));
    assert_eq!(encoded[208..240], [0x5A; 32]);
    let index: Vec<u64> = (240..288)
        .step_by(8)
        .map(|at| get_u64(&encoded, at))
        .collect();
    assert_eq!(index, [100, 101, 102, 200, 201, 202]);
    assert_eq!(Seal::parse(&encoded), Some(seal));
    assert_eq!(Seal::parse(&encoded[..287]), None);
    assert_eq!(
        Seal::parse(&encoded[..264]),
        None,
        "one entry fewer than counted"
    );
}

/// The trailer, byte for byte.
#[test]
fn trailer_golden() {
    let encoded = Trailer {
        seal_offset: 0x0A0B,
    }
    .encode();
    let mut golden = bytes("54444a524e454e44 0b0a000000000000");
    golden.resize(60, 0);
    assert_eq!(encoded[..60], golden);
    assert_eq!(get_u32(&encoded, 60), masked_crc(&golden));
    assert_eq!(
        Trailer::parse(&encoded),
        Some(Trailer {
            seal_offset: 0x0A0B
        })
    );
    for byte in 0..Trailer::LEN {
        let mut bad = encoded;
        bad[byte] ^= 1;
        assert_eq!(Trailer::parse(&bad), None, "byte {byte}");
    }
}

/// Every field of a STATE slot at its offset, and the slot that a generation lies in.
#[test]
fn state_golden() {
    let state = State {
        generation: 11,
        writer_epoch: 12,
        active_segment: 13,
        last_sealed_seq: 14,
        last_seal_hash: [0x5A; 32],
        durable_seq: 15,
        clean: true,
    };
    let encoded = state.encode();
    let words: Vec<u64> = [0, 8, 16, 24, 64]
        .iter()
        .map(|at| get_u64(&encoded, *at))
        .collect();
    assert_eq!(words, [11, 12, 13, 14, 15]);
    assert_eq!(encoded[32..64], [0x5A; 32]);
    assert_eq!(encoded[72], 1);
    assert!(is_zero(&encoded[73..508]));
    assert_eq!(get_u32(&encoded, 508), masked_crc(&encoded[..508]));
    assert_eq!(State::parse_slot(&encoded), Slot::Valid(state));
    assert_eq!((state.offset(), State::FILE_LEN), (512, 1024));
    assert_eq!(State::parse_slot(&[0; 512]), Slot::Empty);
    for byte in 0..State::SLOT_LEN {
        let mut bad = encoded;
        bad[byte] ^= 0x40;
        assert_eq!(State::parse_slot(&bad), Slot::Damaged, "byte {byte}");
    }
}

/// Any other value of any byte of a header is refused, and never another format or version: what
/// carries a wrong checksum is damage.
#[test]
fn no_damage_makes_another_format() {
    let segment = segment_header().encode();
    let block = block_header().encode();
    for value in 1..=255 {
        for byte in 0..segment.len() {
            let mut bad = segment;
            bad[byte] ^= value;
            let class = SegmentHeader::parse(&bad).expect_err("one byte differs").0;
            assert_eq!(class, Class::BadSegmentHeader, "byte {byte}");
        }
        for byte in 0..block.len() {
            let mut bad = block;
            bad[byte] ^= value;
            let class = BlockHeader::parse(&bad).expect_err("one byte differs").0;
            assert_eq!(class, Class::BadBlockHeader, "byte {byte}");
        }
    }
}

/// Valid checksums over what this build does not know: a clear class, and no length is believed
/// above the cap.
#[test]
fn unknown_versions_codecs_and_lengths_are_refused() {
    let block = |at: usize, value: &[u8]| {
        let mut bytes = block_header().encode();
        bytes[at..at + value.len()].copy_from_slice(value);
        let crc = masked_crc(&bytes[..68]);
        Fields(&mut bytes).u32(68, crc);
        BlockHeader::parse(&bytes).expect_err("refused").0
    };
    assert_eq!(block(4, &[2, 0]), Class::UnsupportedVersion);
    assert_eq!(block(28, &[3]), Class::UnsupportedCodec);
    assert_eq!(block(28, &[255]), Class::UnsupportedCodec);
    for codec in [1, 2] {
        assert_eq!(
            block(28, &[codec]),
            Class::BadBlockHeader,
            "compressed without a gain"
        );
    }
    assert_eq!(block(8, &[0xFF; 4]), Class::BadBlockHeader);
    assert_eq!(block(12, &[0xFF; 4]), Class::BadBlockHeader);
    assert_eq!(block(29, &[3]), Class::BadBlockHeader, "two flags");
    assert_eq!(
        block(24, &[0]),
        Class::BadBlockHeader,
        "data without records"
    );
    assert_eq!(
        block(16, &[0xFF; 8]),
        Class::BadBlockHeader,
        "sequence overflow"
    );
    let at_the_end = (MAX_NUMBER - 1).to_le_bytes();
    assert_eq!(
        block(16, &at_the_end),
        Class::BadBlockHeader,
        "the last of its records"
    );
    assert_eq!(
        block(30, &[4]),
        Class::BadBlockHeader,
        "not a multiple of 8"
    );

    let segment = |at: usize, value: &[u8]| {
        let mut bytes = segment_header().encode();
        bytes[at..at + value.len()].copy_from_slice(value);
        let crc = masked_crc(&bytes[..124]);
        Fields(&mut bytes).u32(124, crc);
        SegmentHeader::parse(&bytes).expect_err("refused").0
    };
    assert_eq!(segment(8, &[2, 0]), Class::UnsupportedVersion);
    assert_eq!(segment(10, &[136]), Class::UnsupportedVersion);
    assert_eq!(segment(12, &[8 | 1]), Class::UnsupportedCodec);
    assert_eq!(segment(12, &[2]), Class::UnsupportedCodec, "without none");
    assert_eq!(segment(13, &[12]), Class::UnsupportedCodec, "sector unit");
    assert_eq!(segment(14, &[3]), Class::UnsupportedCodec, "keyed chain");
}

/// Records that do not fill their block exactly, or a hole that is not last, are refused although
/// every checksum is right.
#[test]
fn records_must_add_up() {
    use super::record::next_seq_after;
    let mut payload = Vec::new();
    let data = Record {
        kind: 1,
        stamp: 0,
        line: 0,
        channel: 0,
        venue_seq: 1,
        rx_ns: 1,
        payload: b"abc",
    };
    RecordHeader::encode(&data, &mut payload);
    RecordHeader::encode(&data, &mut payload);
    assert_eq!(next_seq_after(10, 2, &payload), Ok(12));
    assert!(next_seq_after(10, 1, &payload).is_err(), "bytes left over");
    assert!(next_seq_after(10, 3, &payload).is_err(), "a record too few");
    let hole = JournalHole {
        from: 12,
        to: 20,
        reason: 0,
    }
    .encode();
    let hole = Record {
        kind: kind::JOURNAL_HOLE,
        payload: &hole,
        ..data
    };
    RecordHeader::encode(&hole, &mut payload);
    assert_eq!(next_seq_after(10, 3, &payload), Ok(21));
    assert!(
        next_seq_after(11, 3, &payload).is_err(),
        "a hole names its own sequence"
    );
    RecordHeader::encode(&data, &mut payload);
    assert!(
        next_seq_after(10, 4, &payload).is_err(),
        "a hole is last in its block"
    );
}

/// Figures with valid checksums behind which nothing can come, or that are below the first
/// sequence, are refused, so that no sum of the code behind wraps.
#[test]
fn figures_out_of_range_are_refused() {
    let header = segment_header;
    for hostile in [
        SegmentHeader {
            base_seq: 0,
            ..header()
        },
        SegmentHeader {
            base_seq: MAX_NUMBER + 1,
            ..header()
        },
        SegmentHeader {
            prev_last_seq: MAX_NUMBER,
            ..header()
        },
        SegmentHeader {
            number: MAX_NUMBER,
            ..header()
        },
        SegmentHeader {
            writer_epoch: MAX_NUMBER,
            ..header()
        },
    ] {
        let refused = SegmentHeader::parse(&hostile.encode()).expect_err("out of range");
        assert_eq!(refused.0, Class::BadSegmentHeader, "{}", refused.1);
    }
    let latest = SegmentHeader {
        base_seq: MAX_NUMBER,
        prev_last_seq: MAX_NUMBER - 1,
        ..header()
    };
    assert_eq!(SegmentHeader::parse(&latest.encode()), Ok(latest));
    let seal = |last_seq| Seal {
        totals: Totals {
            last_seq,
            ..Totals::new(1)
        },
        sealed_by_epoch: 1,
        sealed_ns: 1,
        sha256: [0; 32],
        index: vec![],
    };
    assert!(Seal::parse(&seal(MAX_NUMBER - 1).encode()).is_some());
    assert_eq!(Seal::parse(&seal(MAX_NUMBER).encode()), None);
    for place in [(0, 1, 128), (MAX_NUMBER + 1, 1, 128), (1, 1, u64::MAX - 71)] {
        let (seq, rx_ns, offset) = place;
        let entry = IndexEntry { seq, rx_ns, offset };
        let index = vec![entry];
        let seal = Seal { index, ..seal(9) };
        assert_eq!(Seal::parse(&seal.encode()), None, "{place:?}");
    }
    for at in [0, 8, 16, 24, 64] {
        let slot = |value: u64| {
            let mut bytes = State::default().encode();
            Fields(&mut bytes).u64(at, value);
            let crc = masked_crc(&bytes[..508]);
            Fields(&mut bytes).u32(508, crc);
            State::parse_slot(&bytes)
        };
        assert!(matches!(slot(MAX_NUMBER - 1), Slot::Valid(_)), "at {at}");
        assert_eq!(slot(MAX_NUMBER), Slot::Damaged, "at {at}");
    }
}
