//! Damage of any size and place in segments of 64 KiB, of each codec: it is found, no record of it is
//! read, nothing at or below what was synced is ever taken for the unfinished end of a crash, and
//! nothing makes a reader take memory without bounds. That no bit and no length at all passes as a
//! block is shown in `src/scan/tests.rs`.
//!
//! `TICKDECK_DAMAGE_STRIDE` is the distance between two bits or lengths that are tried (1 is all of
//! them), `TICKDECK_DAMAGE_CASES` the number of random damages for each codec,
//! `TICKDECK_DAMAGE_SEGMENT_BYTES` the size of the segments.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use tempfile::TempDir;
use tickdeck_journal::{Codec, Reader, Report, Writer};

use crate::compression::masked_crc;
use crate::support::*;

/// One bit at a time.
#[test]
fn bits_of_long_segments_matter() {
    each_bit(&Victim::sealed(Codec::None), stride(61));
    each_bit(&Victim::open(Codec::None), stride(61));
}

/// One bit at a time, in compressed blocks.
#[test]
fn bits_of_compressed_blocks_matter() {
    for codec in [Codec::Lz4, Codec::Zstd] {
        each_bit(&Victim::sealed(codec), stride(257));
        each_bit(&Victim::open(codec), stride(257));
    }
}

/// Two to 32 random bytes anywhere.
#[test]
fn random_damage_is_found() {
    for codec in CODECS {
        let victims = [Victim::sealed(codec), Victim::open(codec)];
        let mut random = Random(7);
        for case in 0..knob("TICKDECK_DAMAGE_CASES", 1000) {
            let victim = &victims[random.below(2) as usize];
            let len = 2 + random.below(31) as usize;
            let at = random.below((victim.used - len) as u64) as usize;
            let bytes: Vec<u8> = (0..len).map(|_| random.below(256) as u8).collect();
            if bytes != victim.intact[at..at + len] {
                victim.damage(at, &bytes);
                victim.judge(true, &format!("case {case}: {len} bytes at {at}"));
                victim.restore(at, len);
            }
        }
    }
}

/// Random bytes in what a codec made, under right checksums: the seal, the next block or the codec
/// itself gives them away, and none of them makes it write more than was announced.
#[test]
fn forged_compressed_content_is_found() {
    for codec in [Codec::Lz4, Codec::Zstd] {
        let victim = Victim::sealed(codec);
        let mut random = Random(11);
        let blocks = victim.blocks(|kind| kind == DATA);
        for case in 0..knob("TICKDECK_DAMAGE_CASES", 1000) {
            let (at, stored_len) = blocks[random.below(blocks.len() as u64) as usize];
            let len = 1 + random.below(4) as usize;
            let from = random.below((stored_len - len) as u64) as usize;
            let mut block = victim.intact[at..at + BLOCK_LEN + stored_len].to_vec();
            for byte in &mut block[BLOCK_LEN + from..BLOCK_LEN + from + len] {
                *byte ^= 1 + random.below(255) as u8;
            }
            let payload_crc = masked_crc(&block[BLOCK_LEN..]);
            block[64..68].copy_from_slice(&payload_crc);
            let header_crc = masked_crc(&block[..68]);
            block[68..72].copy_from_slice(&header_crc);
            victim.damage(at, &block);
            let context = format!("{codec}, case {case}: {len} bytes at {from} of {at}");
            victim.report(&context);
            victim.restore(at, block.len());
        }
    }
}

/// Every length: what is left is a prefix of whole blocks, torn only above what was synced.
#[test]
fn every_length_is_a_prefix() {
    for codec in CODECS {
        let victim = Victim::open(codec);
        let edges = victim.blocks(|_| true);
        let whole = victim.read_prefix();
        let usual = if codec == Codec::None { 7 } else { 61 };
        let mut seen = (0, 0);
        // Shorter and shorter, so that nothing has to be written again.
        for len in (0..victim.used).rev().step_by(stride(usual) as usize) {
            victim.file.set_len(len as u64).expect("cuts");
            let report = check(victim.dir.path());
            let last = victim.read_prefix();
            assert!(last < whole, "{codec}, length {len}");
            let problems = &report.problems;
            let is_torn = problems.iter().all(|it| it.class.name() == "torn_tail");
            assert!(
                !is_torn || last >= victim.synced,
                "{codec}, length {len}: {problems:?}"
            );
            if last < victim.synced {
                assert!(!report.is_whole(), "{codec}, length {len}: {last} is left");
                seen.0 += 1;
            } else {
                seen.1 += 1;
            }
            // The report names the file and the end of the last whole block.
            let mut before = edges.iter().map(|(at, _)| *at).filter(|at| *at <= len);
            if let (Some(problem), Some(edge)) = (problems.first(), before.next_back()) {
                assert!(victim.path.ends_with(&problem.file), "{problem}");
                let end = usize::try_from(problem.offset).expect("small");
                assert!(end == edge || end == 0, "{codec}, length {len}: {problem}");
            }
        }
        assert!(seen.0 > 2 && seen.1 > 2, "{codec}: {seen:?}");
    }
}

/// W14: no other value of any of the first sixteen bytes makes a segment one of another format.
#[test]
fn the_format_cannot_be_changed_by_damage() {
    let victim = Victim::sealed(Codec::None);
    for byte in 0..16 {
        for value in (0..=255).filter(|value| *value != victim.intact[byte]) {
            victim.damage(byte, &[value]);
            let opened = Reader::open(victim.dir.path());
            let first_seq = opened.map_or(0, |reader| reader.first_seq());
            assert_ne!(first_seq, 1, "byte {byte} = {value}");
            let report = check(victim.dir.path());
            assert!(
                classes(&report).contains(&"bad_segment_header"),
                "byte {byte} = {value}: {:?}",
                report.problems
            );
        }
        victim.restore(byte, 1);
    }
}

/// A log whose first segment is damaged in place.
struct Victim {
    dir: TempDir,
    path: PathBuf,
    file: File,
    name: String,
    /// What the records hold.
    contents: Vec<Vec<u8>>,
    intact: Vec<u8>,
    /// End of what is not zero.
    used: usize,
    is_sealed: bool,
    /// Last sequence that was synced.
    synced: u64,
}

impl Victim {
    /// A sealed segment, behind which the next one was begun.
    fn sealed(codec: Codec) -> Self {
        let (dir, mut writer) = filled(codec);
        let synced = writer.watermarks().appended;
        writer.seal().expect("seals");
        writer.poll(3_000_000_000).expect("polls");
        writer.close().expect("closes");
        assert_eq!(segment_files(dir.path()).len(), 2);
        Self::of(dir, codec, true, synced)
    }

    /// A log whose writer died; about half of it is synced.
    fn open(codec: Codec) -> Self {
        let (dir, writer) = filled(codec);
        let synced = writer.watermarks().durable;
        assert!(synced > 100 && synced < writer.watermarks().appended - 100);
        drop(writer);
        Self::of(dir, codec, false, synced)
    }

    fn of(dir: TempDir, codec: Codec, is_sealed: bool, synced: u64) -> Self {
        let path = segment_files(dir.path()).remove(0);
        let intact = fs::read(&path).expect("reads");
        let zeros = intact.iter().rev().take_while(|byte| **byte == 0).count();
        let file = OpenOptions::new().write(true).open(&path).expect("opens");
        let used = intact.len() - zeros;
        assert!(used as u64 >= segment_bytes(), "{used} bytes");
        Self {
            dir,
            path,
            file,
            contents: (1..=1 + used as u64 / 40).map(content).collect(),
            name: format!("codec {codec}, sealed: {is_sealed}"),
            used,
            intact,
            is_sealed,
            synced,
        }
    }

    fn damage(&self, at: usize, bytes: &[u8]) {
        self.file.write_all_at(bytes, at as u64).expect("writes");
    }

    fn restore(&self, at: usize, len: usize) {
        self.damage(at, &self.intact[at..at + len]);
    }

    /// Where each block of a kind begins, and the length of its stored payload.
    fn blocks(&self, is_wanted: impl Fn(u8) -> bool) -> Vec<(usize, usize)> {
        let (mut at, mut blocks) = (FIRST, Vec::new());
        while at < self.used && self.intact[at..].starts_with(b"TDBK") {
            let header = &self.intact[at..at + BLOCK_LEN];
            let stored = u32::from_le_bytes(header[8..12].try_into().expect("four"));
            let pad = u16::from_le_bytes(header[30..32].try_into().expect("two"));
            if is_wanted(header[29]) {
                blocks.push((at, stored as usize));
            }
            at += BLOCK_LEN + stored as usize + usize::from(pad);
        }
        blocks
    }

    /// What `verify` says of the damage: it is noticed, and cheaply.
    fn report(&self, context: &str) -> Report {
        let mut report = None;
        let taken = allocation_counter::measure(|| report = Some(check(self.dir.path())));
        let report = report.expect("a report");
        assert!(!report.is_whole(), "{context}: not noticed");
        let peak = taken.bytes_max;
        assert!(peak < MOST_MEMORY, "{context}: {peak} bytes");
        report
    }

    /// The judgement of the damage; then also whether what can be read is what was written.
    fn judge(&self, is_read: bool, context: &str) {
        for problem in self.report(context).problems {
            if problem.class.name() == "torn_tail" {
                assert!(!self.is_sealed, "{context}: a sealed segment has no tail");
                let from = problem.from.expect("a torn tail begins somewhere");
                let synced = self.synced;
                assert!(from > synced, "{context}: {problem} at or below {synced}");
            }
        }
        if is_read {
            let taken = allocation_counter::measure(|| {
                self.read_prefix();
            });
            assert!(taken.bytes_max < MOST_MEMORY, "{context}");
        }
    }

    /// Reads the records that follow one another, up to the last one that can be read, and compares
    /// them with what was written.
    fn read_prefix(&self) -> u64 {
        let Ok(mut reader) = Reader::open(self.dir.path()) else {
            return 0;
        };
        let mut last = reader.first_seq() - 1;
        while let Ok(Some(entry)) = reader.next() {
            assert_eq!(entry.seq, last + 1);
            let expected = record(entry.seq, &self.contents[last as usize]);
            assert_eq!(entry.record, expected, "no other record is read");
            last = entry.seq;
        }
        last
    }
}

/// Flips bits one by one; of each byte one is read at least.
fn each_bit(victim: &Victim, stride: u64) {
    for bit in (0..victim.used as u64 * 8).step_by(stride as usize) {
        let (at, mask) = ((bit / 8) as usize, 1 << (bit % 8));
        victim.damage(at, &[victim.intact[at] ^ mask]);
        let is_read = stride > 1 || bit % 8 == bit / 8 % 8;
        victim.judge(is_read, &format!("bit {bit}"));
        victim.restore(at, 1);
    }
    let bits = (victim.used as u64 * 8).div_ceil(stride);
    println!("{bits} damages of one bit, {}", victim.name);
    assert!(check(victim.dir.path()).is_whole() || !victim.is_sealed);
    assert_eq!(fs::read(&victim.path).expect("reads"), victim.intact);
}

/// A segment full of blocks of ten records, of which half is synced.
fn filled(codec: Codec) -> (TempDir, Writer) {
    let dir = scratch();
    let mut config = config(dir.path(), segment_bytes() + SPARE);
    config.codec = codec;
    let mut writer = Writer::open(config).expect("opens").0;
    while writer.counters().bytes < segment_bytes() {
        for _ in 0..10 {
            let seq = writer.next_seq();
            let appended = writer.append(&record(seq, &content(seq)));
            appended.expect("appends");
        }
        writer.flush().expect("writes");
        let bytes = writer.counters().bytes;
        if writer.watermarks().durable == 0 && bytes > segment_bytes() / 2 {
            writer.sync().expect("syncs");
            // A second later STATE says so too.
            writer.poll(0).expect("polls");
            writer.poll(2_000_000_000).expect("polls");
        }
    }
    // Besides the data there are CHECKPOINT blocks.
    let counters = writer.counters();
    let is_compressed = counters.compressed_blocks * 10 > counters.blocks * 9;
    assert_eq!(is_compressed, codec != Codec::None, "{counters:?}");
    assert_eq!(segment_files(dir.path()).len(), 1);
    (dir, writer)
}

/// What a record holds: half of it has no pattern.
fn content(seq: u64) -> Vec<u8> {
    let mut random = Random(seq);
    let noise = (0..48).map(|_| random.below(256) as u8);
    let rest = seq.to_le_bytes().into_iter().cycle();
    noise.chain(rest).take(100).collect()
}

/// The same numbers in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn stride(usual: u64) -> u64 {
    knob("TICKDECK_DAMAGE_STRIDE", usual)
}

fn segment_bytes() -> u64 {
    knob("TICKDECK_DAMAGE_SEGMENT_BYTES", 64 << 10)
}

fn knob(name: &str, usual: u64) -> u64 {
    let text = std::env::var(name);
    text.map_or(usual, |it| it.parse().expect("a number"))
}

const CODECS: [Codec; 3] = [Codec::None, Codec::Lz4, Codec::Zstd];
/// Where the first block of a segment begins.
const FIRST: usize = 128;
const BLOCK_LEN: usize = 72;
const DATA: u8 = 1;
/// What a writer keeps free for a block and the seal.
const SPARE: u64 = 12 << 10;
/// A window, a block of the greatest size, and a report.
const MOST_MEMORY: u64 = 2 << 20;
