//! R05 and R06 to their last bit and byte: no flipped bit and no length of a segment of 64 KiB leaves
//! the block, the header or the seal that it strikes a valid one.
//!
//! What `verify`, a reader and a writer make of it is the matter of `tests/journal/damage.rs`, where
//! each place costs a look at the whole log.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use tempfile::TempDir;

use super::{Block, Chain, Found, Source, read_seal};
use crate::codec::Codec;
use crate::crash_tests::scratch;
use crate::directory::{self, SegmentEntry};
use crate::format::{SegmentHeader, Trailer};
use crate::policy::SyncPolicy;
use crate::writer::{Record, Writer, WriterConfig};

/// Every bit of the blocks, sealed or left open, of every codec: the block is refused.
#[test]
fn no_bit_of_a_block_can_flip() {
    for (codec, is_sealed) in CASES {
        let mut victim = Victim::new(codec, is_sealed);
        let mut bits = 0;
        for (chain, block) in victim.blocks() {
            for at in block.offset..block.end() {
                for bit in 0..8 {
                    victim.flip(at, bit);
                    let found = victim.look(chain);
                    let is_bad = matches!(found, Found::Bad(..));
                    assert!(is_bad, "{codec}: bit {bit} of byte {at}: {found:?}");
                    victim.flip(at, bit);
                    bits += 1;
                }
            }
            assert_eq!(victim.look(chain), Found::Block(block), "is whole again");
        }
        assert!(bits > 8 * SEGMENT_BYTES, "{bits} bits");
    }
}

/// Every bit of the header and of the trailer: there is no such segment, or no such seal. The seal
/// block is one of the blocks above.
#[test]
fn no_bit_of_header_and_trailer_can_flip() {
    let victim = Victim::new(Codec::None, true);
    let header = victim.entry.header.clone();
    let len = victim.entry.len;
    let seal = || read_seal(&victim.file, len, &header).expect("reads");
    assert!(seal().is_some());
    let edges = (0..SegmentHeader::LEN as u64).chain(len - Trailer::LEN as u64..len);
    for at in edges {
        for bit in 0..8 {
            victim.flip(at, bit);
            let path = &victim.entry.path;
            let opened = directory::open_segment(path, victim.entry.name.clone()).expect("reads");
            match opened {
                Err(_) => assert!(at < SegmentHeader::LEN as u64, "byte {at}"),
                Ok(entry) => assert!(at >= len - 64 && entry.seal.is_none(), "byte {at}"),
            }
            victim.flip(at, bit);
        }
    }
    assert!(seal().is_some());
}

/// Every length: the block that is cut is refused, or is not there.
#[test]
fn no_length_leaves_more_than_whole_blocks() {
    for codec in CODECS {
        let mut victim = Victim::new(codec, false);
        let mut blocks = victim.blocks();
        blocks.reverse();
        for (chain, block) in blocks {
            for len in (block.offset..block.end()).rev() {
                victim.file.set_len(len).expect("cuts");
                let found = victim.look(chain);
                match len {
                    len if len == block.offset => assert_eq!(found, Found::Eof, "length {len}"),
                    _ => assert!(matches!(found, Found::Bad(..)), "length {len}: {found:?}"),
                }
            }
        }
    }
}

/// A segment that is damaged in place.
struct Victim {
    _home: TempDir,
    entry: SegmentEntry,
    file: File,
    source: Source,
}

impl Victim {
    fn new(codec: Codec, is_sealed: bool) -> Self {
        let home = scratch();
        let mut config = WriterConfig::new(home.path(), 2 * SEGMENT_BYTES, SyncPolicy::Os, 1);
        config.codec = codec;
        let (mut writer, _) = Writer::open(config).expect("opens");
        let mut payload = [0; 100];
        while writer.counters().bytes < SEGMENT_BYTES {
            for _ in 0..10 {
                let seq = writer.next_seq();
                noise(seq, &mut payload[..48]);
                let record = Record {
                    kind: 1,
                    stamp: 1,
                    line: 0,
                    channel: 1,
                    venue_seq: seq,
                    rx_ns: seq,
                    payload: &payload,
                };
                writer.append(&record).expect("appends");
            }
            writer.flush().expect("writes");
        }
        let compressed = writer.counters().compressed_blocks;
        assert_eq!(compressed > 0, codec != Codec::None);
        match is_sealed {
            true => writer.close().expect("closes"),
            false => drop(writer),
        }
        let listing = directory::list(home.path()).expect("lists");
        let entry = listing.segments.into_iter().next().expect("a segment");
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).open(&entry.path);
        let file = file.expect("opens");
        Self {
            source: Source::new(file.try_clone().expect("a descriptor")),
            _home: home,
            entry,
            file,
        }
    }

    /// Each block, and the state of a reader that stands before it.
    fn blocks(&self) -> Vec<(Chain, Block)> {
        let mut chain = Chain::begin(&self.entry.header, self.entry.header_crc);
        let mut source = Source::open(&self.entry.path).expect("opens");
        let mut blocks = Vec::new();
        loop {
            let before = chain;
            match chain.step(&mut source).expect("reads") {
                Found::Block(block) => blocks.push((before, block)),
                _ => return blocks,
            }
        }
    }

    fn flip(&self, at: u64, bit: u8) {
        let mut byte = [0];
        self.file.read_exact_at(&mut byte, at).expect("reads");
        byte[0] ^= 1 << bit;
        self.file.write_all_at(&byte, at).expect("writes");
    }

    fn look(&mut self, mut chain: Chain) -> Found {
        self.source.forget();
        chain.step(&mut self.source).expect("reads")
    }
}

fn noise(seed: u64, bytes: &mut [u8]) {
    let mut state = seed;
    for byte in bytes {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        *byte = (state >> 33) as u8;
    }
}

const SEGMENT_BYTES: u64 = 64 << 10;
const CODECS: [Codec; 3] = [Codec::None, Codec::Lz4, Codec::Zstd];
const CASES: [(Codec, bool); 4] = [
    (Codec::None, true),
    (Codec::None, false),
    (Codec::Lz4, false),
    (Codec::Zstd, false),
];
