//! Opening a log of 200 GiB costs memory and time for its segments, not for its bytes, and little of
//! both.
//!
//! The closed segments are holes between a header and a seal, as long as real ones, with the index
//! that a full one has: opening looks at nothing else of them. The last segment is a real one that a
//! writer left behind.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use crate::directory::{self, STATE_FILE, segment_name};
use crate::format::seal::Totals;
use crate::format::{
    BlockHeader, BlockKind, IndexEntry, Seal, SegmentHeader, State, Trailer, masked_crc,
};
use crate::grid::GRID;
use crate::scan::{self, Source, epoch_low, seal_hash};
use crate::{Codec, Record, SyncPolicy, Writer, WriterConfig, kind};

/// What a process of its own holds at most while it opens 200 GiB for writing, by the kernel's
/// count: 16 MiB, a quarter of what is promised for 100 GiB. And what it reads, by the kernel's count
/// too: the unsealed tail and a little of each segment, where time would tell of the machine.
#[test]
fn opening_200_gib_is_small_and_quick() {
    let memory = Path::new("/dev/shm");
    let dir = match memory.is_dir() {
        true => tempfile::TempDir::new_in(memory),
        false => tempfile::TempDir::new(),
    }
    .expect("a directory");
    let sealed_seq = make_closed_segments(dir.path(), SEGMENTS);
    let next_seq = leave_a_tail(dir.path());
    assert!(next_seq > sealed_seq + 1);
    let lengths = fs::read_dir(dir.path()).expect("lists").map(|entry| {
        let entry = entry.expect("lists").metadata().expect("a file");
        if entry.is_file() { entry.len() } else { 0 }
    });
    let bytes: u64 = lengths.sum();
    assert!(bytes >= LOG_BYTES, "{bytes} bytes");

    let child = Command::new(env::current_exe().expect("knows itself"))
        .args(["--exact", "large_log_tests::child_opens", "--nocapture"])
        .env(CHILD_DIR, dir.path())
        .output()
        .expect("starts");
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{text}");
    let figure = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let line = line.unwrap_or_else(|| panic!("no {name:?} in {text}"));
        line.parse().expect("a number")
    };
    let (peak_kib, read) = (figure("peak KiB "), figure("bytes read "));
    println!("opening {bytes} bytes: at most {peak_kib} KiB, {read} bytes read");
    assert_eq!(figure("next sequence "), next_seq);
    assert!(peak_kib <= MOST_KIB, "{peak_kib} KiB");
    assert!(read <= MOST_READ, "{read} bytes read");
}

/// The list of segments has no index; it is read when it is asked for, and only if it is the one that
/// was listed.
#[test]
fn an_index_is_read_on_demand() {
    let dir = tempfile::tempdir().expect("a directory");
    make_closed_segments(dir.path(), 1);
    let entry = directory::list(dir.path())
        .expect("lists")
        .segments
        .remove(0);
    let mut info = entry.seal.expect("is sealed");
    let mut source = Source::open(&entry.path).expect("opens");
    let index = scan::read_index(&mut source, &info).expect("reads");
    assert_eq!(index.len() as u64, SEGMENT_BYTES / GRID - 1);
    assert_eq!(index[7].seq, 1 + 7 * RECORDS_PER_BLOCK);
    info.seal.index_digest[0] ^= 1;
    assert_eq!(scan::read_index(&mut source, &info).expect("reads"), []);
    info.seal.index_digest[0] ^= 1;
    info.offset += GRID;
    assert_eq!(scan::read_index(&mut source, &info).expect("reads"), []);
}

/// The child of the first test. Does nothing in a normal test run.
#[test]
fn child_opens() {
    let Some(dir) = env::var_os(CHILD_DIR) else {
        return;
    };
    let begun = bytes_read();
    let (writer, report) = Writer::open(config(dir.as_ref())).expect("opens");
    let read = bytes_read() - begun;
    let status = fs::read_to_string("/proc/self/status").expect("reads");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))
        .expect("a peak");
    assert_eq!(report.problems, []);
    let mut out = std::io::stdout().lock();
    write!(out, "\npeak KiB {peak}\nbytes read {read}\n").expect("prints");
    writeln!(out, "next sequence {}", writer.next_seq()).expect("prints");
}

/// What read calls of this process have given, by the kernel's count.
fn bytes_read() -> u64 {
    let io = fs::read_to_string("/proc/self/io").expect("reads");
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.expect("a count").parse().expect("a number")
}

fn config(dir: &Path) -> WriterConfig {
    WriterConfig::new(dir, SEGMENT_BYTES, SyncPolicy::default(), 1)
}

/// A writer fills most of a segment and ends without a seal; gives the sequence behind.
fn leave_a_tail(dir: &Path) -> u64 {
    let (mut writer, report) = Writer::open(config(dir)).expect("opens");
    assert_eq!(report.problems, []);
    let payload = [0x5A; 1_000];
    for venue_seq in 0..40_000 {
        let record = Record {
            kind: kind::DATA,
            stamp: 1,
            line: 0,
            channel: 1,
            venue_seq,
            rx_ns: 1_700_000_000_000_000_000 + venue_seq,
            payload: &payload,
        };
        writer.append(&record).expect("appends");
    }
    writer.sync().expect("syncs");
    writer.next_seq()
}

/// Writes headers, seals and STATE; gives the last sequence.
fn make_closed_segments(dir: &Path, count: u64) -> u64 {
    let (mut last_seq, mut hash) = (0, [0; 32]);
    for number in 1..=count {
        let header = SegmentHeader {
            preallocated: false,
            continues_abandoned: false,
            codecs: Codec::None.bit(),
            log_id: [7; 16],
            number,
            base_seq: last_seq + 1,
            writer_epoch: 1,
            created_ns: number,
            boot_id: [8; 16],
            prev_last_seq: last_seq,
            prev_seal_hash: hash,
            schema_id: 1,
        };
        (last_seq, hash) = make_closed_segment(dir, &header);
    }
    let state = State {
        generation: 1,
        writer_epoch: 1,
        active_segment: count,
        last_sealed_seq: last_seq,
        last_seal_hash: hash,
        durable_seq: last_seq,
        clean: true,
    };
    let file = File::create(dir.join(STATE_FILE)).expect("creates");
    file.set_len(State::FILE_LEN as u64).expect("grows");
    file.write_all_at(&state.encode(), state.offset())
        .expect("writes");
    last_seq
}

/// One segment with nothing between header and seal; gives its last sequence and the hash of its
/// seal.
fn make_closed_segment(dir: &Path, header: &SegmentHeader) -> (u64, [u8; 32]) {
    let blocks = SEGMENT_BYTES / GRID - 1;
    let mut totals = Totals::new(header.base_seq);
    (totals.records, totals.blocks) = (blocks * RECORDS_PER_BLOCK, blocks);
    totals.last_seq = header.base_seq + totals.records - 1;
    let entry = |block| IndexEntry {
        seq: header.base_seq + block * RECORDS_PER_BLOCK,
        rx_ns: 0,
        offset: SegmentHeader::LEN as u64 + block * GRID,
    };
    let seal = Seal {
        sealed_by_epoch: header.writer_epoch,
        sealed_ns: 0,
        sha256: [9; 32],
        index: (0..blocks).map(entry).collect(),
        totals,
    };
    let payload = seal.encode();
    let block = BlockHeader {
        kind: BlockKind::Seal,
        codec: Codec::None,
        stored_len: payload.len() as u32,
        raw_len: payload.len() as u32,
        base_seq: seal.totals.last_seq + 1,
        count: 0,
        pad_len: 0,
        first_rx_ns: 0,
        last_mono_ns: 0,
        durable_seq_before: seal.totals.last_seq,
        epoch_low: epoch_low(header.writer_epoch),
        prev_block_crc: 0,
        payload_crc: masked_crc(&payload),
    };
    let block = [&block.encode()[..], &payload].concat();
    let trailer_at = SEGMENT_BYTES - Trailer::LEN as u64;
    let seal_offset = trailer_at - block.len() as u64;
    let trailer = Trailer { seal_offset }.encode();
    let encoded = header.encode();
    let file = File::create(dir.join(segment_name(header.number))).expect("creates");
    file.write_all_at(&encoded, 0).expect("writes");
    file.write_all_at(&block, seal_offset).expect("writes");
    file.write_all_at(&trailer, trailer_at).expect("writes");
    (seal.totals.last_seq, seal_hash(&block, &trailer))
}

/// The size that a venue has by default.
const SEGMENT_BYTES: u64 = 64 << 20;
const LOG_BYTES: u64 = 200 << 30;
const SEGMENTS: u64 = LOG_BYTES / SEGMENT_BYTES;
const MOST_KIB: u64 = 16 * 1024;
/// Of 200 GiB, four segments: some 200 MB are needed now, most of them lists of blocks in seals.
const MOST_READ: u64 = 4 * SEGMENT_BYTES;
const RECORDS_PER_BLOCK: u64 = 500;
const CHILD_DIR: &str = "TICKDECK_LARGE_LOG_TEST_CHILD";
