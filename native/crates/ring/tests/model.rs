//! The ring against a model that is a plain list of what was published.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tickdeck_ring::{Read, Reader, RecordHeader, RingConfig, RingError, Writer};

proptest! {
    /// After any publications, every sequence reads as the model says: the last `slot_count`
    /// records with header and payload, everything older lapped, everything newer not yet.
    #[test]
    fn every_sequence_reads_as_the_model_says(
        slot_bits in 0u32..5,
        start_seq in prop_oneof![Just(0), Just(1), 1u64..1_000_000, Just(1 << 62)],
        records in prop::collection::vec((any_header(), 0usize..=40), 0..70),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ring");
        let slot_count = 1u32 << slot_bits;
        let config = RingConfig { slot_count, slot_bytes: 37, start_seq, ..config() };
        let mut writer = Writer::create(&path, &config).unwrap();
        let reader = Reader::open(&path).unwrap();
        let mut published = Vec::new();
        for (header, length) in records {
            let payload = pattern(published.len(), length);
            match writer.publish(&header, &payload) {
                Ok(seq) => {
                    prop_assert_eq!(seq, start_seq + published.len() as u64);
                    published.push((header, payload));
                }
                Err(RingError::TooLong { length: refused, capacity: 37 }) => {
                    prop_assert!(refused == length && length > 37);
                }
                Err(error) => prop_assert!(false, "{}", error),
            }
            check(&reader, &published, start_seq, u64::from(slot_count))?;
        }
        check(&reader, &published, start_seq, u64::from(slot_count))?;
    }
}

/// A payload that does not fit is refused and nothing becomes visible.
#[test]
fn an_oversize_payload_changes_nothing() {
    let (_dir, path) = place();
    let mut writer = Writer::create(&path, &config()).unwrap();
    let reader = Reader::open(&path).unwrap();
    let error = writer
        .publish(&RecordHeader::default(), &[0; 65])
        .err()
        .unwrap();
    assert!(matches!(
        error,
        RingError::TooLong {
            length: 65,
            capacity: 64
        }
    ));
    assert_eq!((writer.next_seq(), reader.next_seq()), (100, 100));
    assert_eq!(reader.read(100, &mut [0; 64]), Read::NotYet);
    assert_eq!(
        writer.publish(&RecordHeader::default(), &[1; 64]).unwrap(),
        100
    );
}

/// A ring keeps the identity it was made with, and its payload size.
#[test]
fn the_identity_reads_back() {
    let (_dir, path) = place();
    let writer = Writer::create(&path, &config()).unwrap();
    let reader = Reader::open(&path).unwrap();
    assert_eq!((reader.log_id(), reader.incarnation()), ([1; 16], [2; 16]));
    assert_eq!(
        (
            reader.slot_bytes(),
            reader.slot_count(),
            writer.slot_bytes()
        ),
        (64, 8, 64)
    );
    assert_eq!((reader.oldest_seq(), reader.next_seq()), (100, 100));
}

/// A new ring of the same name is noticed; readers of the old one can still finish it.
#[test]
fn a_new_writer_is_noticed_and_the_old_ring_stays_readable() {
    let (_dir, path) = place();
    let mut old = Writer::create(&path, &config()).unwrap();
    old.publish(
        &RecordHeader {
            kind: 1,
            ..RecordHeader::default()
        },
        b"old",
    )
    .unwrap();
    let reader = Reader::open(&path).unwrap();
    assert!(!reader.writer_changed());
    drop(old);
    assert!(
        !reader.writer_changed(),
        "a writer that is gone is not yet a new one"
    );
    let config = RingConfig {
        start_seq: 101,
        incarnation: [3; 16],
        ..config()
    };
    let _new = Writer::create(&path, &config).unwrap();
    assert!(reader.writer_changed());
    let mut payload = [0; 64];
    assert!(matches!(
        reader.read(100, &mut payload),
        Read::Record { len: 3, .. }
    ));
    assert_eq!(&payload[..3], b"old");
    let again = Reader::open(&path).unwrap();
    assert_eq!(
        (again.incarnation(), again.writer_changed()),
        ([3; 16], false)
    );
    assert_eq!(
        again.read(100, &mut payload),
        Read::Lapped { oldest_seq: 101 }
    );
    std::fs::remove_file(&path).unwrap();
    assert!(
        again.writer_changed(),
        "a path that names nothing does not name this ring"
    );
}

/// Shapes that cannot work are refused by name, and what was there stays.
#[test]
fn wrong_shapes_are_refused() {
    let (_dir, path) = place();
    let _writer = Writer::create(&path, &config()).unwrap();
    let wrong = [
        (
            "slot_count",
            RingConfig {
                slot_count: 0,
                ..config()
            },
        ),
        (
            "slot_count",
            RingConfig {
                slot_count: 12,
                ..config()
            },
        ),
        (
            "slot_bytes",
            RingConfig {
                slot_bytes: 0,
                ..config()
            },
        ),
        (
            "slot_bytes",
            RingConfig {
                slot_bytes: (1 << 20) + 1,
                ..config()
            },
        ),
        (
            "start_seq",
            RingConfig {
                start_seq: u64::MAX,
                ..config()
            },
        ),
    ];
    for (name, config) in wrong {
        let error = Writer::create(&path, &config).err().unwrap();
        assert!(
            matches!(error, RingError::Config { field, .. } if field == name),
            "{error}"
        );
    }
    assert_eq!(Reader::open(&path).unwrap().incarnation(), [2; 16]);
}

/// A ring that cannot be allocated leaves neither a file nor a damaged predecessor.
#[test]
fn a_ring_without_room_leaves_the_old_one() {
    let (dir, path) = place();
    let _writer = Writer::create(&path, &config()).unwrap();
    let huge = RingConfig {
        slot_count: 1 << 31,
        slot_bytes: 1 << 20,
        ..config()
    };
    let error = Writer::create(&path, &huge).err().unwrap();
    assert!(
        matches!(
            error,
            RingError::Io {
                doing: "allocate",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(Reader::open(&path).unwrap().incarnation(), [2; 16]);
}

/// What is no ring is refused with its path: absent, empty, of other content, cut, or with a head
/// that no writer reaches.
#[test]
fn what_is_no_ring_is_refused() {
    let (_dir, path) = place();
    assert!(matches!(
        Reader::open(&path).err().unwrap(),
        RingError::Io { doing: "open", .. }
    ));
    drop(Writer::create(&path, &config()).unwrap());
    let whole = std::fs::read(&path).unwrap();
    const HEAD: std::ops::Range<usize> = 256..264;
    let changes: [fn(&mut Vec<u8>); 8] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(4_096),
        |bytes| bytes.truncate(bytes.len() - 8),
        |bytes| bytes[7] = b'2',
        |bytes| bytes[8] = 7,
        |bytes| bytes[16] ^= 1,
        |bytes| bytes[HEAD].fill(0),
        |bytes| bytes[HEAD].fill(0xFF),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut bytes = whole.clone();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        let error = Reader::open(&path).err().unwrap();
        assert!(
            matches!(error, RingError::Format { .. }),
            "{index}: {error}"
        );
        assert!(error.to_string().contains("/ring"), "{error}");
    }
}

/// The whole memory of the ring is there before the first record.
#[test]
fn the_file_is_never_sparse() {
    use std::os::unix::fs::MetadataExt;
    let (_dir, path) = place();
    let _writer = Writer::create(&path, &config()).unwrap();
    let metadata = std::fs::metadata(&path).unwrap();
    assert_eq!(
        metadata.len(),
        4_096 + 8 * 128,
        "slots of 40 + 64 bytes on whole cache lines"
    );
    assert!(metadata.blocks() * 512 >= metadata.len());
}

fn check(
    reader: &Reader,
    published: &[(RecordHeader, Vec<u8>)],
    start_seq: u64,
    slot_count: u64,
) -> Result<(), TestCaseError> {
    let head = start_seq + published.len() as u64;
    let oldest = head.saturating_sub(slot_count).max(start_seq);
    prop_assert_eq!((reader.oldest_seq(), reader.next_seq()), (oldest, head));
    let mut payload = [0xEE; 64];
    for seq in start_seq.saturating_sub(2)..head + 2 {
        let expected = if seq >= head {
            Read::NotYet
        } else if seq < oldest {
            Read::Lapped { oldest_seq: oldest }
        } else {
            let (header, payload) = &published[(seq - start_seq) as usize];
            Read::Record {
                header: *header,
                len: payload.len(),
            }
        };
        let read = reader.read(seq, &mut payload);
        prop_assert_eq!(read, expected, "seq {}", seq);
        if let Read::Record { len, .. } = read {
            prop_assert_eq!(
                &payload[..len],
                &published[(seq - start_seq) as usize].1[..]
            );
        }
    }
    Ok(())
}

fn any_header() -> impl Strategy<Value = RecordHeader> {
    let codes = (any::<u8>(), any::<u8>(), any::<u8>(), any::<u16>());
    (codes, any::<u32>(), any::<u64>(), any::<u64>()).prop_map(
        |((kind, line, stamp, channel), count, venue_seq, rx_ns)| RecordHeader {
            kind,
            line,
            stamp,
            channel,
            count,
            venue_seq,
            rx_ns,
        },
    )
}

/// Bytes that differ from record to record and from place to place.
fn pattern(record: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|place| (record * 31 + place * 7 + 1) as u8)
        .collect()
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = Path::join(dir.path(), "ring");
    (dir, path)
}

fn config() -> RingConfig {
    RingConfig {
        slot_count: 8,
        slot_bytes: 64,
        start_seq: 100,
        log_id: [1; 16],
        incarnation: [2; 16],
    }
}

/// The number of slots for a size is the largest power of two whose file is not longer; for sizes
/// that hold no slot there is none.
#[test]
fn the_most_slots_of_a_size() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("ring");
    for slot_bytes in [1, 24, 25, 1500, 2048] {
        let slot_count = tickdeck_ring::slots_within(1 << 20, slot_bytes).expect("room");
        for (slot_count, fits) in [(slot_count, true), (2 * slot_count, false)] {
            let config = RingConfig {
                slot_count,
                slot_bytes,
                ..config()
            };
            drop(Writer::create(&path, &config).expect("a ring"));
            let length = std::fs::metadata(&path).expect("a file").len();
            assert_eq!(
                length <= 1 << 20,
                fits,
                "{slot_count} slots of {slot_bytes}"
            );
        }
    }
    assert_eq!(tickdeck_ring::slots_within(4096 + 63, 1), None);
    assert_eq!(tickdeck_ring::slots_within(4096 + 64, 1), Some(1));
    assert_eq!(tickdeck_ring::slots_within(1 << 30, 0), None);
}
