//! Seals that lie although every checksum is right, as a faulty writer would leave them.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{look, verify};
use crate::directory::{STATE_FILE, read_state, segment_name};
use crate::error::Class;
use crate::format::{BlockHeader, Fields, Seal, State, Trailer, masked_crc};
use crate::policy::SyncPolicy;
use crate::retention::{Limits, prune};
use crate::scan::seal_hash;
use crate::writer::{Record, Writer, WriterConfig};

const RECORD: Record<'_> = Record {
    kind: 1,
    stamp: 1,
    line: 0,
    channel: 1,
    venue_seq: 1,
    rx_ns: 5,
    payload: &[7; 900],
};

/// A closed log of one segment.
fn closed_log() -> TempDir {
    let dir = TempDir::new().expect("a directory");
    let config = WriterConfig::new(dir.path(), 1 << 20, SyncPolicy::Os, 1);
    let (mut writer, _) = Writer::open(config).expect("opens");
    for _ in 0..200 {
        writer.append(&RECORD).expect("appends");
    }
    writer.close().expect("closes");
    dir
}

/// Rewrites the seal of the only segment with right checksums everywhere.
fn forge(dir: &Path, change: impl FnOnce(&mut Seal)) {
    let path = dir.join(segment_name(1));
    let mut bytes = fs::read(&path).expect("reads");
    let trailer_at = bytes.len() - Trailer::LEN;
    let trailer = Trailer::parse(&bytes[trailer_at..]).expect("is sealed");
    let at = usize::try_from(trailer.seal_offset).expect("small");
    let header = BlockHeader::parse(&bytes[at..at + BlockHeader::LEN]).expect("a seal block");
    let payload = at + BlockHeader::LEN..at + BlockHeader::LEN + header.stored_len as usize;
    let mut seal = Seal::parse(&bytes[payload.clone()]).expect("a seal");
    change(&mut seal);
    bytes[payload.clone()].copy_from_slice(&seal.encode());
    let payload_crc = masked_crc(&bytes[payload]);
    Fields(&mut bytes[at..]).u32(64, payload_crc);
    let header_crc = masked_crc(&bytes[at..at + 68]);
    Fields(&mut bytes[at..]).u32(68, header_crc);
    let hash = seal_hash(&bytes[at..trailer_at], &trailer.encode());
    fs::write(&path, &bytes).expect("writes");
    let state = read_state(dir)
        .expect("reads")
        .current
        .expect("a checkpoint");
    let state = State {
        last_seal_hash: hash,
        ..state
    };
    let mut slots = fs::read(dir.join(STATE_FILE)).expect("reads");
    let at = usize::try_from(state.offset()).expect("small");
    slots[at..at + State::SLOT_LEN].copy_from_slice(&state.encode());
    fs::write(dir.join(STATE_FILE), slots).expect("writes");
}

fn classes_after(change: impl FnOnce(&mut Seal)) -> Vec<&'static str> {
    let dir = closed_log();
    forge(dir.path(), change);
    let report = verify(dir.path(), &mut |_| {}).expect("verifies");
    report
        .problems
        .iter()
        .map(|problem| problem.class.name())
        .collect()
}

/// A wrong hash, figure or index in an otherwise valid seal is found.
#[test]
fn a_lying_seal_is_found() {
    assert_eq!(
        classes_after(|_| {}),
        Vec::<&str>::new(),
        "the forgery itself is not noticed"
    );
    assert_eq!(classes_after(|seal| seal.sha256[3] ^= 1), ["hash_mismatch"]);
    assert_eq!(classes_after(|seal| seal.totals.records += 1), ["bad_seal"]);
    assert_eq!(classes_after(|seal| seal.totals.blocks += 1), ["bad_seal"]);
    assert_eq!(
        classes_after(|seal| seal.totals.by_kind[1] -= 1),
        ["bad_seal"]
    );
    assert_eq!(
        classes_after(|seal| seal.totals.first_seq += 1),
        ["bad_seal"]
    );
    assert_eq!(
        classes_after(|seal| seal.index[1].offset += 8),
        ["bad_seal"]
    );
    assert_eq!(classes_after(|seal| seal.index[1].seq -= 1), ["bad_seal"]);
}

/// A seal that claims fewer or more sequences than its blocks hold is found.
#[test]
fn a_seal_with_another_end_is_found() {
    assert_eq!(
        classes_after(|seal| seal.totals.last_seq -= 1),
        ["state_ahead", "bad_seal"]
    );
    assert_eq!(
        classes_after(|seal| seal.totals.last_seq += 1),
        ["bad_seal"]
    );
}

/// What retention takes while a verification is on its way is not missing.
#[test]
fn segments_that_are_pruned_meanwhile_are_no_damage() {
    let dir = TempDir::new().expect("a directory");
    let config = WriterConfig::new(dir.path(), 1 << 20, SyncPolicy::Os, 1);
    let (mut writer, _) = Writer::open(config).expect("opens");
    for _ in 0..5 {
        writer.append(&RECORD).expect("appends");
        writer.seal().expect("seals");
    }
    writer.close().expect("closes");
    let mut is_pruned = false;
    let report = verify(dir.path(), &mut |progress| {
        if progress.segments_done == 1 && !is_pruned {
            is_pruned = true;
            let pruned = prune(dir.path(), &Limits::default(), Some(4), true).expect("prunes");
            assert_eq!(pruned.deleted.len(), 3);
        }
    });
    let report = report.expect("verifies");
    assert!(is_pruned);
    assert_eq!(report.problems, []);
    assert_eq!((report.first_seq, report.last_seq), (4, 5));
}

/// A writer that begins segments between the looks at STATE and at them, and is closed before any
/// question whether one lives, does not make STATE an old copy; a copy put back afterwards is one.
#[test]
fn segments_that_are_begun_meanwhile_make_no_old_copy() {
    let dir = TempDir::new().expect("a directory");
    let config = WriterConfig::new(dir.path(), 1 << 20, SyncPolicy::Os, 1);
    let (mut writer, _) = Writer::open(config).expect("opens");
    writer.append(&RECORD).expect("appends");
    writer.seal().expect("seals");
    let early = fs::read(dir.path().join(STATE_FILE)).expect("reads");
    let found = look(dir.path(), || {
        for _ in 0..4 {
            writer.append(&RECORD).expect("appends");
            writer.seal().expect("seals");
        }
        writer.close().expect("closes");
    });
    let found = found.expect("looks");
    assert_eq!(found.problems, []);
    assert!(found.listing.segments.len() >= 5);
    fs::write(dir.path().join(STATE_FILE), early).expect("writes");
    let found = look(dir.path(), || ()).expect("looks");
    let classes: Vec<Class> = found.problems.iter().map(|it| it.class).collect();
    assert_eq!(classes, [Class::StateStale]);
}

/// Nor does retention that deletes meanwhile what STATE named.
#[test]
fn segments_that_are_begun_and_pruned_meanwhile_are_no_damage() {
    let dir = TempDir::new().expect("a directory");
    let config = WriterConfig::new(dir.path(), 1 << 20, SyncPolicy::Os, 1);
    let (mut writer, _) = Writer::open(config).expect("opens");
    writer.append(&RECORD).expect("appends");
    writer.seal().expect("seals");
    let found = look(dir.path(), || {
        for _ in 0..4 {
            writer.append(&RECORD).expect("appends");
            writer.seal().expect("seals");
        }
        writer.close().expect("closes");
        let pruned = prune(dir.path(), &Limits::default(), Some(4), true).expect("prunes");
        assert_eq!(pruned.deleted.len(), 3);
    });
    assert_eq!(found.expect("looks").problems, []);
}
