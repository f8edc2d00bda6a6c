//! Blocks that are compressed: kept only with a gain, read like any other, never trusted.

use std::fs;
use std::path::Path;

use tickdeck_journal::{Class, Codec, Reader, SyncPolicy, Writer, WriterConfig, verify};

use crate::support::*;

const CODECS: [Codec; 2] = [Codec::Lz4, Codec::Zstd];
/// Where the first block of a segment begins.
const FIRST: usize = 128;

fn compressing(dir: &Path, codec: Codec, segment_size_bytes: u64) -> Writer {
    let mut config = WriterConfig::new(dir, segment_size_bytes, SyncPolicy::default(), 7);
    config.codec = codec;
    Writer::open(config).expect("opens").0
}

/// Bytes without any pattern.
fn noise(len: usize, mut seed: u64) -> Vec<u8> {
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A masked CRC32C as files hold it, for forging.
pub(crate) fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    let crc = crc32c::crc32c(bytes).rotate_right(15);
    crc.wrapping_add(0xA282_EAD8).to_le_bytes()
}

/// A log of one open segment whose first block is what `change` makes of a compressed one; all
/// checksums are right.
fn forged(codec: Codec, change: impl FnOnce(&mut Vec<u8>)) -> tempfile::TempDir {
    let dir = scratch();
    let mut writer = compressing(dir.path(), codec, 1 << 20);
    fill(&mut writer, 200, 64);
    writer.sync().expect("syncs");
    // STATE calls it synced, so that damage is not taken for a torn tail.
    writer.poll(0).expect("polls");
    writer.poll(1_000_000_000).expect("polls");
    drop(writer);
    let path = &segment_files(dir.path())[0];
    let mut bytes = fs::read(path).expect("reads");
    change(&mut bytes);
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4")) as usize;
    let stored_len = word(FIRST + 8);
    let payload = masked_crc(&bytes[FIRST + 72..FIRST + 72 + stored_len]);
    bytes[FIRST + 64..FIRST + 68].copy_from_slice(&payload);
    let header = masked_crc(&bytes[FIRST..FIRST + 68]);
    bytes[FIRST + 68..FIRST + 72].copy_from_slice(&header);
    fs::write(path, bytes).expect("writes");
    dir
}

fn class_of(dir: &Path) -> &'static str {
    let classes = classes(&check(dir));
    classes[0]
}

/// Compressed logs hold the same records over many segments, are smaller, can be sought, followed
/// and continued by a writer of another codec, and verify.
#[test]
fn compressed_logs_read_like_any_other() {
    for codec in CODECS {
        let dir = scratch();
        let mut writer = compressing(dir.path(), codec, SMALL);
        fill(&mut writer, 2000, 64);
        writer.append_hole(2001, 2010, 1).expect("a hole");
        fill(&mut writer, 100, 64);
        writer.seal().expect("seals");
        fill(&mut writer, 500, 64);
        writer.flush().expect("writes");
        let counters = *writer.counters();
        assert!(counters.compressed_blocks > 10, "{counters:?}");
        assert!(
            counters.bytes * 2 < counters.records * (64 + 24),
            "{codec}: {} bytes",
            counters.bytes
        );
        let mut reader = Reader::open(dir.path()).expect("opens");
        reader.seek(2500).expect("seeks");
        let seen = read_on(&mut reader).expect("reads");
        assert_eq!(seen, (2500..=2610).collect::<Vec<_>>());
        assert!(reader.last_record_of_kind(1).expect("reads").is_some());
        drop(writer);
        // Another codec goes on: the segment left open is sealed as it is.
        let mut writer = open(dir.path(), SMALL);
        assert_eq!(writer.next_seq(), 2611);
        fill(&mut writer, 10, 64);
        writer.close().expect("closes");
        assert_eq!(check(dir.path()).problems, []);
        let expected: Vec<u64> = (1..=2001).chain(2011..=2620).collect();
        assert_eq!(read_all(dir.path()).expect("reads"), expected);
    }
}

/// One call of the codec for a block, whatever its number of records; what does not get a tenth
/// smaller is stored as it is.
#[test]
fn one_call_for_a_block_and_none_of_it_for_noise() {
    for codec in CODECS {
        let dir = scratch();
        let mut writer = compressing(dir.path(), codec, 1 << 20);
        for round in 0..5_u64 {
            fill(&mut writer, 100, 64);
            writer.flush().expect("writes");
            assert_eq!(writer.counters().codec_calls, round + 1);
        }
        assert_eq!(writer.counters().compressed_blocks, 5);
        let len = 30_000;
        let payload = noise(len, 99);
        let seq = writer.next_seq();
        writer.append(&record(seq, &payload)).expect("appends");
        writer.flush().expect("writes");
        let counters = *writer.counters();
        assert_eq!((counters.codec_calls, counters.compressed_blocks), (6, 5));
        writer.close().expect("closes");
        let bytes = fs::read(&segment_files(dir.path())[0]).expect("reads");
        assert!(
            bytes.windows(len).any(|window| window == payload),
            "noise lies in the file as it is"
        );
        assert_eq!(check(dir.path()).problems, []);
    }
    let dir = scratch();
    let mut writer = compressing(dir.path(), Codec::None, 1 << 20);
    fill(&mut writer, 100, 64);
    writer.flush().expect("writes");
    assert_eq!(writer.counters().codec_calls, 0);
}

/// The edge of the tenth: a block that saves a little less is stored as it is, one that saves a
/// little more is not.
#[test]
fn a_gain_below_a_tenth_is_not_taken() {
    for codec in CODECS {
        for (zeros, compressed) in [(2_000, 0), (4_500, 1)] {
            let dir = scratch();
            let mut writer = compressing(dir.path(), codec, 1 << 20);
            let mut payload = noise(30_000 - zeros, 7);
            payload.resize(30_000, 0);
            writer.append(&record(1, &payload)).expect("appends");
            writer.flush().expect("writes");
            let counters = writer.counters();
            assert_eq!(
                counters.compressed_blocks, compressed,
                "{codec}, {zeros} zeros"
            );
        }
    }
}

/// Contexts and buffers are made once: a block more allocates nothing, compressed or not.
#[test]
fn a_running_writer_allocates_nothing() {
    for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
        let dir = scratch();
        let mut writer = compressing(dir.path(), codec, 8 << 20);
        let payloads: Vec<Vec<u8>> = (1..=400).map(|seq| payload(seq, 64)).collect();
        let noise = noise(20_000, 5);
        let blocks = |writer: &mut Writer, payloads: &[Vec<u8>]| {
            for payload in payloads {
                writer.append(&record(1, payload)).expect("appends");
                if writer.next_seq().is_multiple_of(50) {
                    writer.append(&record(1, &noise)).expect("appends");
                    writer.flush().expect("writes");
                }
            }
        };
        // Past the start of the thread that hashes.
        for _ in 0..4 {
            blocks(&mut writer, &payloads[..200]);
        }
        let before = writer.counters().blocks;
        let taken = allocation_counter::measure(|| blocks(&mut writer, &payloads[200..]));
        assert!(writer.counters().blocks >= before + 4);
        assert_eq!(taken.count_total, 0, "{codec}");
    }
}

/// Checksums are no proof: lengths that lie are refused before anything of their size is allocated.
#[test]
fn a_raw_length_beyond_the_cap_allocates_nothing() {
    for codec in CODECS {
        let dir = forged(codec, |bytes| {
            bytes[FIRST + 12..FIRST + 16].copy_from_slice(&[0xFF; 4]);
        });
        let mut found = None;
        let taken = allocation_counter::measure(|| {
            found = Some(verify(dir.path(), &mut |_| {}).expect("verifies"));
        });
        let report = found.expect("a report");
        assert_eq!(classes(&report), ["bad_block_header"]);
        assert!(report.problems[0].detail.contains("exceed 1 MiB"));
        assert!(taken.bytes_max < 1 << 20, "{} bytes", taken.bytes_max);
    }
}

/// Content that decompresses to more or less than the header says, or not at all, is damage.
#[test]
fn content_that_lies_is_damage() {
    for codec in CODECS {
        for raw_len in [17_599_u32, 17_601, 1 << 20] {
            let dir = forged(codec, |bytes| {
                bytes[FIRST + 12..FIRST + 16].copy_from_slice(&raw_len.to_le_bytes());
            });
            assert_eq!(class_of(dir.path()), "bad_payload", "{codec} {raw_len}");
        }
        let dir = forged(codec, |bytes| bytes[FIRST + 72..FIRST + 90].fill(0xEE));
        assert_eq!(class_of(dir.path()), "bad_payload", "{codec}");
        // The same content under the other codec's number.
        let other = if codec == Codec::Lz4 { 2 } else { 1 };
        let dir = forged(codec, |bytes| bytes[FIRST + 28] = other);
        let class = class_of(dir.path());
        assert_eq!(class, "bad_payload", "{codec} as {other}");
        let dir = forged(codec, |bytes| bytes[FIRST + 28] = 3);
        assert_eq!(class_of(dir.path()), "unsupported_codec", "{codec}");
    }
}

/// A block may only have a codec that its segment's header announces.
#[test]
fn a_codec_that_was_not_announced_is_refused() {
    let dir = forged(Codec::Zstd, |bytes| {
        bytes[12] = 1;
        let crc = masked_crc(&bytes[..124]);
        bytes[124..128].copy_from_slice(&crc);
        bytes[FIRST + 60..FIRST + 64].copy_from_slice(&crc);
    });
    let problem = check(dir.path()).problems.remove(0);
    assert_eq!(problem.class, Class::BadBlockHeader, "{problem}");
    assert!(problem.detail.contains("zstd"), "{problem}");
}

/// Every flipped bit of a compressed segment is found and none of it is read.
#[test]
fn every_byte_of_a_compressed_segment_matters() {
    for codec in CODECS {
        let dir = scratch();
        let mut writer = compressing(dir.path(), codec, SMALL);
        for _ in 0..3 {
            fill(&mut writer, 20, 40);
            writer.flush().expect("writes");
        }
        writer.close().expect("closes");
        let victim = segment_files(dir.path())[0].clone();
        let intact = fs::read(&victim).expect("reads");
        for byte in 0..intact.len() {
            let mut damaged = intact.clone();
            damaged[byte] ^= 1 << (byte % 8);
            fs::write(&victim, &damaged).expect("writes");
            assert!(!check(dir.path()).is_whole(), "{codec} byte {byte}");
        }
    }
}

/// A torn compressed block is a torn tail, and cut like any other.
#[test]
fn a_torn_compressed_block_is_a_torn_tail() {
    for codec in CODECS {
        let dir = scratch();
        let mut writer = compressing(dir.path(), codec, 1 << 20);
        fill(&mut writer, 50, 64);
        writer.sync().expect("syncs");
        fill(&mut writer, 50, 64);
        writer.flush().expect("writes");
        let len = FIRST as u64 + writer.counters().bytes;
        drop(writer);
        let path = &segment_files(dir.path())[0];
        let file = fs::OpenOptions::new().write(true).open(path);
        file.expect("opens").set_len(len - 20).expect("cuts");
        assert_eq!(classes(&check(dir.path())), ["torn_tail"]);
        let mut writer = compressing(dir.path(), codec, 1 << 20);
        assert_eq!(writer.next_seq(), 51);
        fill(&mut writer, 1, 64);
        writer.close().expect("closes");
        assert_eq!(check(dir.path()).problems, []);
    }
}

/// Names and numbers of codecs.
#[test]
fn codecs_are_named() {
    for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
        assert_eq!(Codec::from_name(codec.name()).expect("known"), codec);
        assert_eq!(Codec::from_code(codec.code()), Some(codec));
    }
    assert_eq!(Codec::from_code(3), None);
    assert!(Codec::from_name("gzip").is_err());
}
