//! Salvage onto a failing device, and out of records that hold blocks.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::disk::recording::{Call, Fault, How, RecordingDisk};
use crate::reader::Reader;
use crate::retention::{Limits, prune};
use crate::writer::Record;

fn append(writer: &mut Writer, payload: &[u8]) {
    let record = Record {
        kind: kind::DATA,
        stamp: 1,
        line: 0,
        channel: 3,
        venue_seq: 1,
        rx_ns: 1,
        payload,
    };
    writer.append(&record).expect("appends");
}

fn open(dir: &Path) -> Writer {
    let config = WriterConfig::new(dir, 256 * 1024, SyncPolicy::Os, 1);
    Writer::open(config).expect("opens").0
}

/// A salvage onto a device that fails once is no success, although the writer gets over it.
#[test]
fn a_failing_target_is_told() {
    let (home, into) = (
        TempDir::new().expect("a directory"),
        TempDir::new().expect("a directory"),
    );
    let mut writer = open(home.path());
    (0..40).for_each(|_| append(&mut writer, &[7; 60_000]));
    writer.close().expect("closes");
    let mut failed = 0;
    for at in 0..30 {
        let target = into.path().join(at.to_string());
        let disk = RecordingDisk::new();
        let (how, persistent) = (How::Errno(EIO), false);
        let fault = Fault {
            at,
            how,
            persistent,
        };
        disk.fail_kind(Call::Write, fault);
        let done = salvage_on(
            Box::new(disk.clone()),
            home.path(),
            Some(&target),
            &mut |_, _| {},
        );
        if disk.failed_call().is_none() {
            break;
        }
        failed += 1;
        assert!(done.is_err(), "write {at} failed: {done:?}");
    }
    assert!(failed > 20, "{failed}");
}

/// A record whose payload is a block of this log, in a block that is damaged: it is no block.
#[test]
fn a_block_in_a_payload_is_none() {
    for flipped in [20, 80] {
        let home = TempDir::new().expect("a directory");
        let mut writer = open(home.path());
        append(&mut writer, b"the first");
        writer.flush().expect("writes");
        let path = home.path().join(directory::segment_name(1));
        let block = 128..fs::read(&path).expect("reads").len().min(128 + 112);
        let mut image = fs::read(&path).expect("reads")[block].to_vec();
        // Of the sequence behind the damage, and valid.
        forge(&mut image, 9);
        append(&mut writer, &image);
        writer.flush().expect("writes");
        for text in [&b"the third"[..], b"the fourth"] {
            append(&mut writer, text);
            writer.flush().expect("writes");
        }
        writer.close().expect("closes");
        let mut bytes = fs::read(&path).expect("reads");
        let second = 128 + 112;
        assert_eq!(&bytes[second..second + 4], b"TDBK");
        bytes[second + flipped] ^= 1;
        fs::write(&path, bytes).expect("writes");

        let target = home.path().join("new");
        let found = salvage(home.path(), Some(&target), &mut |_, _| {}).expect("salvages");
        let lost: Vec<_> = found.lost.iter().map(|it| (it.from, it.to)).collect();
        assert_eq!((found.last_seq, lost), (4, vec![(2, 2)]), "{flipped}");
        let mut reader = Reader::open(&target).expect("opens");
        let mut texts = Vec::new();
        while let Some(entry) = reader.next().expect("reads") {
            texts.push((entry.seq, entry.record.payload.to_vec()));
        }
        let third = texts.iter().find(|(seq, _)| *seq == 3).expect("the third");
        assert_eq!(third.1, b"the third", "{flipped}");
    }
}

/// The new log begins where a pruned one does, and is another log.
#[test]
fn a_pruned_log_keeps_its_beginning() {
    let home = TempDir::new().expect("a directory");
    let mut writer = open(home.path());
    for _ in 0..3 {
        append(&mut writer, b"a record");
        writer.seal().expect("seals");
    }
    append(&mut writer, b"the last");
    let old = writer.log_id();
    writer.close().expect("closes");
    let limits = Limits {
        max_bytes: 1,
        ..Limits::default()
    };
    let first_seq = prune(home.path(), &limits, None, true)
        .expect("prunes")
        .first_seq;
    assert!(first_seq > 1);
    let target = home.path().join("new");
    let found = salvage(home.path(), Some(&target), &mut |_, _| {}).expect("salvages");
    assert_eq!(
        (found.first_seq, found.last_seq, found.lost),
        (first_seq, 4, vec![])
    );
    let mut reader = Reader::open(&target).expect("opens");
    assert_ne!(reader.log_id(), old);
    assert_eq!(
        reader.next().expect("reads").expect("a record").seq,
        first_seq
    );
}

/// Gives a block another first sequence, and the checksum that belongs to it.
fn forge(image: &mut [u8], base_seq: u64) {
    let header = BlockHeader::parse(&image[..BlockHeader::LEN]).expect("a block");
    let forged = BlockHeader { base_seq, ..header };
    image[..BlockHeader::LEN].copy_from_slice(&forged.encode());
}

const EIO: i32 = 5;
