//! What is appended is what is read, with the same sequences, over any number of segments.

use proptest::prelude::*;
use tickdeck_journal::{JournalError, Reader, Record, Writer, kind};

use crate::support::*;

const MAX_PAYLOAD: usize = (1 << 20) - 24;

/// The first sequence of a new log is 1, a clean log verifies, and reads back entirely.
#[test]
fn a_closed_log_is_whole() {
    let dir = scratch();
    let (mut writer, report) = Writer::open(config(dir.path(), SMALL)).expect("opens");
    assert!(report.created && !report.clean);
    assert_eq!(
        (report.next_seq, report.writer_epoch, writer.next_seq()),
        (1, 1, 1)
    );
    fill(&mut writer, 1000, 64);
    writer.close().expect("closes");

    let report = check(dir.path());
    assert_eq!(report.problems, []);
    assert_eq!(
        (report.records, report.first_seq, report.last_seq),
        (1000, 1, 1000)
    );
    assert_eq!(report.durable_seq, 1000);
    assert!(report.segments > 5, "{} segments", report.segments);
    assert_eq!(
        read_all(dir.path()).expect("reads"),
        (1..=1000).collect::<Vec<_>>()
    );
}

/// Empty payloads and the longest possible one pass; one byte more is refused and changes nothing.
#[test]
fn extreme_payloads_round_trip() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    for len in [
        0,
        MAX_PAYLOAD,
        0,
        61_416,
        61_417,
        61_440,
        65_536,
        1,
        MAX_PAYLOAD,
        0,
    ] {
        fill(&mut writer, 1, len);
    }
    let too_long = vec![0; MAX_PAYLOAD + 1];
    let refused = writer.append(&record(11, &too_long));
    assert!(
        matches!(refused, Err(JournalError::BadRecord(_))),
        "{refused:?}"
    );
    fill(&mut writer, 1, 8);
    writer.close().expect("closes");
    assert_eq!(check(dir.path()).problems, []);
    assert_eq!(
        read_all(dir.path()).expect("reads"),
        (1..=11).collect::<Vec<_>>()
    );
}

/// Types and timestamp sources that the record header cannot hold are refused before they get a
/// sequence.
#[test]
fn fields_out_of_range_are_refused() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    let good = record(1, &[]);
    for bad in [
        Record { kind: 0, ..good },
        Record { kind: 64, ..good },
        Record { stamp: 3, ..good },
        Record {
            kind: kind::JOURNAL_HOLE,
            ..good
        },
    ] {
        assert!(
            matches!(writer.append(&bad), Err(JournalError::BadRecord(_))),
            "{bad:?}"
        );
    }
    assert_eq!(writer.next_seq(), 1);
}

/// A hole spends its sequences: the record behind it continues after them, across segments and
/// restarts, and seeking into it finds the hole.
#[test]
fn holes_spend_their_sequences() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    fill(&mut writer, 10, 100);
    assert!(
        writer.append_hole(10, 12, 1).is_err(),
        "a hole begins at the next sequence"
    );
    assert!(
        writer.append_hole(11, 10, 1).is_err(),
        "a hole has a record"
    );
    assert_eq!(writer.append_hole(11, 40, 3).expect("appends"), 11);
    assert_eq!(writer.next_seq(), 41);
    fill(&mut writer, 5, 100);
    assert_eq!(writer.append_hole(46, 46, 3).expect("appends"), 46);
    writer.seal().expect("seals");
    fill(&mut writer, 1, 100);
    drop(writer);
    let mut writer = open(dir.path(), SMALL);
    assert_eq!(
        writer.next_seq(),
        47,
        "an unwritten record is lost with its process"
    );
    fill(&mut writer, 1, 100);
    writer.append_hole(48, 1000, 3).expect("appends");
    writer.close().expect("closes");

    assert_eq!(check(dir.path()).problems, []);
    assert_eq!(check(dir.path()).last_seq, 1000);
    let mut reader = Reader::open(dir.path()).expect("opens");
    let expected: Vec<u64> = (1..=11).chain(41..=48).collect();
    assert_eq!(read_on(&mut reader).expect("reads"), expected);
    for (seek, found) in [
        (11, 11),
        (12, 11),
        (40, 11),
        (41, 41),
        (46, 46),
        (47, 47),
        (999, 48),
    ] {
        reader.seek(seek).expect("seeks");
        assert_eq!(
            reader.next().expect("reads").map(|entry| entry.seq),
            Some(found)
        );
    }
    assert_eq!(open(dir.path(), SMALL).next_seq(), 1001);
}

/// Seeking finds every sequence of a log with an index, waits for those to come, refuses those
/// gone.
#[test]
fn seek_reaches_every_sequence() {
    let dir = scratch();
    let mut writer = open(dir.path(), 1 << 20);
    fill(&mut writer, 3000, 700);
    let mut reader = Reader::open(dir.path()).expect("opens");
    writer.flush().expect("writes");
    for seq in (1..=3000).step_by(97).chain([1, 1486, 2999, 3000]) {
        reader.seek(seq).expect("seeks");
        assert_eq!(reader.position(), seq);
        assert_eq!(
            reader.next().expect("reads").map(|entry| entry.seq),
            Some(seq)
        );
    }
    reader.seek(3005).expect("seeks beyond the end");
    assert_eq!(reader.next().expect("reads"), None);
    fill(&mut writer, 10, 700);
    writer.flush().expect("writes");
    assert_eq!(
        read_on(&mut reader).expect("reads"),
        (3005..=3010).collect::<Vec<_>>()
    );
    assert!(matches!(
        reader.seek(0),
        Err(JournalError::Pruned {
            asked: 0,
            first_seq: 1
        })
    ));
}

/// The newest record of a kind is found in the segment where it is, sealed or not.
#[test]
fn last_record_of_a_kind() {
    let dir = scratch();
    let mut writer = open(dir.path(), SMALL);
    let session = |number| Record {
        kind: kind::SESSION,
        ..record(number, b"session")
    };
    writer.append(&session(1)).expect("appends");
    fill(&mut writer, 3, 50);
    writer.append(&session(5)).expect("appends");
    writer.flush().expect("writes");
    let reader = Reader::open(dir.path()).expect("opens");
    assert_eq!(reader.last_seq().expect("reads"), 5);
    let last = |kind| reader.last_record_of_kind(kind).expect("reads");
    assert_eq!(
        last(kind::SESSION).map(|found| (found.seq, found.venue_seq)),
        Some((5, 50))
    );
    for _ in 0..600 {
        let seq = writer.next_seq();
        writer
            .append(&record(seq, &payload(seq, 64)))
            .expect("appends");
    }
    writer.close().expect("closes");
    assert_eq!(last(kind::SESSION).map(|found| found.seq), Some(5));
    let data = last(kind::DATA).expect("there is data");
    assert_eq!((data.seq, data.payload), (605, payload(605, 64)));
    assert_eq!(last(kind::CLOCK_STEP), None);
    let below = |seq| {
        reader
            .last_record_of_kind_below(kind::SESSION, seq)
            .expect("reads")
    };
    for (seq, found) in [
        (606, Some(5)),
        (6, Some(5)),
        (5, Some(1)),
        (2, Some(1)),
        (1, None),
    ] {
        assert_eq!(below(seq).map(|record| record.seq), found, "below {seq}");
    }
    assert_eq!(reader.last_seq().expect("reads"), 605);
}

/// Settings out of range are refused with the name of the setting.
#[test]
fn bad_settings_are_refused() {
    let dir = scratch();
    for size in [0, SMALL - 1, (2 << 30) + 1] {
        let refused = Writer::open(config(dir.path(), size)).expect_err("too small or large");
        assert!(
            refused.to_string().contains("segment_size_bytes"),
            "{refused}"
        );
    }
    assert!(Reader::open(dir.path()).is_err_and(|e| matches!(e, JournalError::NotAJournal { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any sequence of appends, polls, flushes, seals, holes and reopenings, with any sizes, reads
    /// back exactly.
    #[test]
    fn any_history_reads_back(
        steps in prop::collection::vec(step(), 1..60),
        segment_size in prop::sample::select(vec![SMALL, 40_000, 200_000]),
    ) {
        let dir = scratch();
        let mut writer = open(dir.path(), segment_size);
        let mut expected = Vec::new();
        let mut now_ns = 0;
        for step in steps {
            match step {
                Step::Append(len) => {
                    expected.push(writer.next_seq());
                    fill(&mut writer, 1, len);
                }
                Step::Hole(len) => {
                    let from = writer.next_seq();
                    expected.push(from);
                    writer.append_hole(from, from + len, 1).expect("appends");
                }
                Step::Poll(ns) => {
                    now_ns += ns;
                    writer.poll(now_ns).expect("polls");
                }
                Step::Flush => writer.flush().expect("writes"),
                Step::Seal => writer.seal().expect("seals"),
                Step::Reopen => {
                    writer.close().expect("closes");
                    writer = open(dir.path(), segment_size);
                }
            }
        }
        let next_seq = writer.next_seq();
        writer.close().expect("closes");
        let report = check(dir.path());
        prop_assert_eq!(&report.problems, &[]);
        prop_assert_eq!(report.last_seq + 1, next_seq);
        prop_assert_eq!(read_all(dir.path()).expect("reads"), expected);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Hole(u64),
    Poll(u64),
    Flush,
    Seal,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop_oneof![0..200usize, 0..5_000usize, 50_000..70_000usize, Just(MAX_PAYLOAD)]
            .prop_map(Step::Append),
        1 => (0..50u64).prop_map(Step::Hole),
        3 => (0..3_000_000u64).prop_map(Step::Poll),
        1 => Just(Step::Flush),
        1 => Just(Step::Seal),
        1 => Just(Step::Reopen),
    ]
}
