//! W11: damage is reported, and nothing behind it is read as if it followed.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;
use tickdeck_journal::Reader;
use tickdeck_wire::record::SessionEventKind;

use crate::support::*;

/// Three segments or more; the packets of a replay with their journal sequences.
fn three_segments(dir: &Path) -> Vec<(u64, Vec<u8>)> {
    let mut day = Day::open(dir, MS);
    day.session(SessionEventKind::Started, FIRST, 1);
    let mut packets = Vec::new();
    for first in 1..=70 {
        let packet = day.data(FIRST, first, &[&[first as u8; 700]]);
        packets.push((day.writer.next_seq() - 1, packet));
    }
    day.writer.close().expect("closes");
    packets
}

fn segment(dir: &Path, number: u64) -> std::path::PathBuf {
    dir.join(format!("{number:020}.seg"))
}

/// Bytes of a segment that were written.
fn written(path: &Path) -> usize {
    let bytes = fs::read(path).expect("reads");
    1 + bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .expect("is not empty")
}

fn flip(path: &Path, at: usize, bit: u8) {
    let mut bytes = fs::read(path).expect("reads");
    bytes[at] ^= 1 << bit;
    fs::write(path, bytes).expect("writes");
}

/// One bit of segment 2 of at least 3, in its header, a block's header, a payload, its end: the report
/// names the file, the reader and a replay give all before it and nothing of segment 3.
#[test]
fn a_flipped_bit_ends_what_is_read() {
    let dir = tempdir().expect("a directory");
    let packets = three_segments(dir.path());
    let path = segment(dir.path(), 2);
    let third: Value = json(&run(&["info", text(dir.path()), "--json"]));
    let third_base = third["segments"][2]["base_seq"].as_u64().expect("a third");
    let whole = fs::read(&path).expect("reads");
    let end = written(&path);
    for (at, bit) in [
        (40, 0),
        (130, 3),
        (128 + 72 + 9, 7),
        (end / 2, 1),
        (end * 3 / 4, 5),
    ] {
        flip(&path, at, bit);
        let report = json(&run(&["verify", text(dir.path()), "--json"]));
        let files: Vec<&str> = report["problems"]
            .as_array()
            .expect("problems")
            .iter()
            .map(|problem| problem["file"].as_str().expect("a file"))
            .collect();
        let name = "00000000000000000002.seg";
        assert!(files.contains(&name), "bit {bit} of byte {at}: {report}");

        let mut reader = Reader::open(dir.path()).expect("opens");
        let mut last_seq = 0;
        let error = loop {
            match reader.next() {
                Ok(Some(entry)) => last_seq = entry.seq,
                Ok(None) => panic!("bit {bit} of byte {at}: read to the end"),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains(name), "bit {bit} of byte {at}: {error}");
        assert!(last_seq < third_base, "bit {bit} of byte {at}: {last_seq}");
        for _ in 0..3 {
            assert!(reader.next().is_err(), "it goes on behind the damage");
        }

        let listener = Listener::new();
        let target = listener.target.to_string();
        let log = fs::File::create(dir.path().join("log.txt")).expect("creates");
        let replay = ["replay", "--journal", text(dir.path()), "--target", &target];
        let rest = ["--speed", "0"];
        let mut child = Running::start(command(&[&replay[..], &rest[..]].concat()).stderr(log));
        let received = listener.receive(&mut child);
        assert_eq!(child.code(), Some(76), "bit {bit} of byte {at}");
        let wanted: Vec<Vec<u8>> = packets
            .iter()
            .filter(|(seq, _)| *seq <= last_seq)
            .map(|(_, packet)| packet.clone())
            .collect();
        assert_eq!(received.len(), wanted.len(), "bit {bit} of byte {at}");
        assert!(received == wanted, "bit {bit} of byte {at}: other packets");
        let log = fs::read_to_string(dir.path().join("log.txt")).expect("reads");
        assert!(log.contains(name), "bit {bit} of byte {at}: {log}");
        fs::write(&path, &whole).expect("writes");
    }
    assert_eq!(code(&run(&["verify", text(dir.path())])), 0);
}
