//! Segments that were deleted, doubled, renumbered, mixed or brought from another log: all pairs of
//! five.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tickdeck_journal::{JournalError, Reader, Writer};

use crate::compression::masked_crc;
use crate::support::*;

/// Each is reported by `verify` and refused by a writer that repairs no more than a torn tail; what
/// is read before is in order; and every segment file is there afterwards as it was before.
#[test]
fn rearranged_segments_are_noticed() {
    for is_closed in [true, false] {
        let (ours, theirs) = (five_segments(is_closed), five_segments(is_closed));
        let (intact, foreign) = (contents(ours.path()), contents(theirs.path()));
        assert_eq!((intact.len(), foreign.len()), (5, 5));
        assert!(check(ours.path()).is_whole());
        let cases = cases(&intact, &foreign);
        assert_eq!(cases.len(), 5 + 10 + 5 + 20 + 10 + 10 + 25 + 5);
        for (name, files) in cases {
            let context = format!("{name}, closed: {is_closed}");
            let dir = with_segments(ours.path(), &files);
            assert_noticed(dir.path(), &files, &context);
        }
    }
}

/// Five segments under any two exchanged names are one log still: the number in the header is the
/// authority.
#[test]
fn exchanged_names_change_nothing() {
    let ours = five_segments(true);
    let intact = contents(ours.path());
    for (one, two) in pairs() {
        let mut files: Vec<Vec<u8>> = intact.clone();
        files.swap(one, two);
        let dir = with_segments(ours.path(), &named(&files));
        assert!(check(dir.path()).is_whole(), "{one} and {two}");
        let seqs = read_all(dir.path()).expect("reads");
        assert_eq!(seqs, (1..=100).collect::<Vec<_>>());
        let (_, report) = Writer::open(config(dir.path(), SMALL)).expect("opens");
        assert_eq!((report.next_seq, report.problems), (101, vec![]));
    }
}

/// Contents by name.
type Files = BTreeMap<String, Vec<u8>>;

/// What was done, and what came of it.
type Case = (String, Files);

fn cases(intact: &[Vec<u8>], foreign: &[Vec<u8>]) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |name: String, act: &dyn Fn(&mut Files)| {
        let mut files = named(intact);
        act(&mut files);
        cases.push((name, files));
    };
    for one in 0..5 {
        case(format!("without {one}"), &|files| {
            files.remove(&name(one));
        });
        case(format!("{one} twice"), &|files| {
            files.insert(EXTRA.into(), intact[one].clone());
        });
        case(format!("beside them another log's {one}"), &|files| {
            files.insert(EXTRA.into(), foreign[one].clone());
        });
        for two in 0..5 {
            case(format!("another log's {two} over {one}"), &|files| {
                files.insert(name(one), foreign[two].clone());
            });
            if one != two {
                case(format!("{two} over {one}"), &|files| {
                    files.insert(name(one), intact[two].clone());
                });
            }
        }
    }
    for (one, two) in pairs() {
        case(format!("without {one} and {two}"), &|files| {
            files.remove(&name(one));
            files.remove(&name(two));
        });
        case(format!("headers of {one} and {two} exchanged"), &|files| {
            files.insert(name(one), with_header(&intact[one], &intact[two][..128]));
            files.insert(name(two), with_header(&intact[two], &intact[one][..128]));
        });
        case(format!("numbers of {one} and {two} exchanged"), &|files| {
            files.insert(name(one), renumbered(&intact[one], two));
            files.insert(name(two), renumbered(&intact[two], one));
        });
    }
    cases
}

fn assert_noticed(dir: &Path, files: &Files, context: &str) {
    let report = check(dir);
    assert!(!report.is_whole(), "{context}");
    assert!(
        !classes(&report).contains(&"torn_tail"),
        "{context}: {:?}",
        report.problems
    );
    let opened = Writer::open(config(dir, SMALL));
    assert!(
        matches!(opened, Err(JournalError::Refused { .. })),
        "{context}: {opened:?}"
    );
    let read = prefix(dir);
    let first = read.first().copied().unwrap_or(1);
    let expected: Vec<u64> = (first..).take(read.len()).collect();
    assert_eq!(read, expected, "{context}");
    let names = segment_files(dir).into_iter();
    let after: Files = names
        .map(|path| (file_name(&path), fs::read(&path).expect("reads")))
        .collect();
    assert!(after == *files, "{context}: a file has changed");
    assert!(!dir.join("quarantine").exists(), "{context}");
}

/// A hundred records in five segments; the last one is open, and known to be synced, when the log
/// was not closed.
fn five_segments(is_closed: bool) -> TempDir {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    for number in 1..=5 {
        fill(&mut writer, 20, 10);
        if number < 5 {
            writer.seal().expect("seals");
            // The next one is begun here.
            writer.poll(number).expect("polls");
        }
    }
    writer.sync().expect("syncs");
    writer.poll(5_000_000_000).expect("polls");
    if is_closed {
        writer.close().expect("closes");
    }
    dir
}

/// The log in `from` with these segments in place of its own.
fn with_segments(from: &Path, files: &Files) -> TempDir {
    let dir = scratch();
    fs::copy(from.join("STATE"), dir.path().join("STATE")).expect("copies");
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).expect("writes");
    }
    dir
}

fn contents(dir: &Path) -> Vec<Vec<u8>> {
    let files = segment_files(dir).into_iter();
    files.map(|path| fs::read(path).expect("reads")).collect()
}

fn named(files: &[Vec<u8>]) -> Files {
    (0..).map(name).zip(files.iter().cloned()).collect()
}

fn name(index: usize) -> String {
    format!("{:020}.seg", index + 1)
}

fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..5).flat_map(|one| (one + 1..5).map(move |two| (one, two)))
}

fn with_header(bytes: &[u8], header: &[u8]) -> Vec<u8> {
    [header, &bytes[header.len()..]].concat()
}

/// The segment under another number, with the right checksum.
fn renumbered(bytes: &[u8], index: usize) -> Vec<u8> {
    let mut header = bytes[..128].to_vec();
    header[32..40].copy_from_slice(&(index as u64 + 1).to_le_bytes());
    let crc = masked_crc(&header[..124]);
    header[124..].copy_from_slice(&crc);
    with_header(bytes, &header)
}

/// Everything that can be read before the first error.
fn prefix(dir: &Path) -> Vec<u64> {
    let Ok(mut reader) = Reader::open(dir) else {
        return Vec::new();
    };
    let mut seqs = Vec::new();
    while let Ok(Some(entry)) = reader.next() {
        seqs.push(entry.seq);
    }
    seqs
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().expect("a file");
    name.to_string_lossy().into_owned()
}

const EXTRA: &str = "extra.seg";
