//! Making a file: what is refused, what is left behind, who may use a handle when.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tickdeck_stats::layout::AT_PID;
use tickdeck_stats::reader::Reader;
use tickdeck_stats::{Builder, ExitReason, GapRow, GapState, Identity, State, StatsError};

/// A mistake in a name, unit or label list is an error of `create` that names it, and no file.
#[test]
fn mistakes_in_definitions_are_refused() {
    let define: [fn(&mut Builder); 8] = [
        |b| drop(b.counter("Upper", "packets", "")),
        |b| drop(b.counter("", "packets", "")),
        |b| drop(b.counter(&"x".repeat(89), "packets", "")),
        |b| drop(b.counter("x", &"u".repeat(17), "")),
        |b| drop(b.counter("x", "packets", "line")),
        |b| drop(b.counter("x", "packets", "line=A,,side=B")),
        |b| {
            drop((
                b.counter("x", "packets", "line=A"),
                b.gauge("x", "packets", "line=B"),
            ))
        },
        |b| drop((b.gap_table(), b.gap_table())),
    ];
    for (index, define) in define.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let mut builder = Builder::new(identity());
        define(&mut builder);
        let error = builder.create(dir.path()).err();
        assert!(
            matches!(error, Some(StatsError::Definition { .. })),
            "{index}: {error:?}"
        );
        assert_eq!(files_in(dir.path()), [""; 0], "{index}");
    }
}

/// A worker id that does not fit its field is refused, not cut.
#[test]
fn an_identity_that_does_not_fit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Builder::new(Identity {
        worker_id: "w".repeat(65),
        ..identity()
    });
    let text = builder.create(dir.path()).err().unwrap().to_string();
    assert!(
        text.starts_with("worker id") && text.contains("www"),
        "{text}"
    );
}

/// A directory that is absent is an error with the path; nothing else happens.
#[test]
fn an_absent_directory_is_an_error_with_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let error = Builder::new(identity())
        .create(&dir.path().join("absent"))
        .err()
        .unwrap();
    assert!(error.to_string().contains("absent/stats."), "{error}");
}

/// The file has its final name alone, mode 0640 at most, and every page allocated.
#[test]
fn the_file_is_complete_and_never_sparse() {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(identity());
    drop((builder.histogram("h", "ns", ""), builder.gap_table()));
    let file = builder.create(dir.path()).unwrap();
    let metadata = fs::metadata(file.path()).unwrap();
    assert_eq!(
        files_in(dir.path()),
        ["stats.07070707-0707-0707-0707-070707070707.dat"]
    );
    assert_eq!(metadata.permissions().mode() & 0o7777 & !0o640, 0);
    assert!(metadata.blocks() * 512 >= metadata.len());
    assert_eq!(
        Reader::open(file.path()).unwrap().state(),
        Some(State::Starting)
    );
}

/// A second file of the same incarnation replaces the first; the old mapping stays usable.
#[test]
fn a_file_of_the_same_name_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Builder::new(identity());
    let counter = first.counter("x", "packets", "");
    let _first = first.create(dir.path()).unwrap();
    let second = Builder::new(identity()).create(dir.path()).unwrap();
    counter.add(1);
    assert_eq!(counter.get(), 1);
    assert!(Reader::open(second.path()).unwrap().metrics().is_empty());
}

/// A handle that is used before its file exists is a mistake of the program and panics.
#[test]
fn a_handle_before_its_file_panics() {
    let mut builder = Builder::new(identity());
    let counter = builder.counter("x", "packets", "");
    let histogram = builder.histogram("y", "ns", "");
    assert!(catch_unwind(AssertUnwindSafe(|| counter.add(1))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| histogram.record(1))).is_err());
}

/// The first exit record stays: an orderly exit after a panic does not hide the panic.
#[test]
fn the_first_exit_record_wins() {
    let dir = tempfile::tempdir().unwrap();
    let file = Builder::new(identity()).create(dir.path()).unwrap();
    assert_eq!(Reader::open(file.path()).unwrap().exit_record(), None);
    let place = "book/src/lib.rs:7";
    assert!(
        file.header()
            .exit_at(ExitReason::Panic, 101, 0, "index out of range", place)
    );
    assert!(!file.header().exit(ExitReason::Drained, 0, "drained"));
    let record = Reader::open(file.path()).unwrap().exit_record().unwrap();
    assert_eq!(
        (record.reason, record.message.as_str()),
        (Some(ExitReason::Panic), "index out of range")
    );
    assert_eq!((record.code, record.location.as_str()), (101, place));
}

/// A gap that is put again while it is open is no overflow; another one in its slot is.
#[test]
fn only_another_gap_overflows_a_slot() {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(identity());
    let gaps = builder.gap_table();
    let file = builder.create(dir.path()).unwrap();
    let reader = Reader::open(file.path()).unwrap();
    let overflows = || reader.value("gap_table_overflows_total", "").unwrap();
    let open = |id| GapRow {
        id,
        ..GapRow::default()
    };
    for missing in [3, 2, 1] {
        gaps.put(&GapRow { missing, ..open(5) });
    }
    assert_eq!(overflows(), 0);
    gaps.put(&open(5 + 256));
    assert_eq!(overflows(), 1);
    let state = GapState::Filled;
    gaps.put(&GapRow {
        state,
        ..open(5 + 256)
    });
    gaps.put(&open(5 + 512));
    assert_eq!(overflows(), 1);
}

/// Values of one thread share slots of 16, values without a declared thread have their own.
#[test]
fn values_of_one_thread_are_packed() {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(identity());
    let alone = builder.counter("alone", "", "");
    builder.begin_thread();
    let packed: Vec<_> = (0..17)
        .map(|i| builder.counter(&format!("packed_{i}"), "", ""))
        .collect();
    builder.begin_thread();
    let other = builder.counter("other", "", "");
    let file = builder.create(dir.path()).unwrap();
    alone.add(1);
    for (count, counter) in (100..).zip(&packed) {
        counter.add(count);
    }
    other.add(3);
    let reader = Reader::open(file.path()).unwrap();
    let values: Vec<u64> = reader.metrics().iter().map(|metric| metric.value).collect();
    assert_eq!(
        values,
        [1].into_iter()
            .chain(100..117)
            .chain([3])
            .collect::<Vec<_>>()
    );
    let slots = u32::from_le_bytes(
        fs::read(file.path()).unwrap()[2104..2108]
            .try_into()
            .unwrap(),
    );
    assert_eq!(slots, 4, "one alone, two packed, one other");
}

/// A file that was cut, is not published, or of another version is refused with its reason.
#[test]
fn a_reader_refuses_what_is_no_stats_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = Builder::new(identity()).create(dir.path()).unwrap();
    let whole = fs::read(file.path()).unwrap();
    let open_after = |change: fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        let path = dir.path().join("changed");
        fs::write(&path, bytes).unwrap();
        Reader::open(&path).err().unwrap()
    };
    assert!(matches!(
        open_after(|b| b[0..8].fill(0)),
        StatsError::NotReady { .. }
    ));
    assert!(matches!(
        open_after(|b| b.truncate(100)),
        StatsError::NotReady { .. }
    ));
    assert!(matches!(
        open_after(|b| b[8] = 2),
        StatsError::Version { major: 2, .. }
    ));
    assert!(matches!(
        open_after(|b| b[24] ^= 8),
        StatsError::Damaged { .. }
    ));
    assert!(matches!(
        open_after(|b| b[88] = 65),
        StatsError::Damaged { .. }
    ));
}

/// The identity of the process is its own.
#[test]
fn the_identity_is_of_this_process() {
    let dir = tempfile::tempdir().unwrap();
    let file = Builder::new(identity()).create(dir.path()).unwrap();
    let reader = Reader::open(file.path()).unwrap();
    assert_eq!(reader.header_word(AT_PID) as u32, std::process::id());
}

fn identity() -> Identity {
    Identity {
        worker_id: "XNAS-rx".into(),
        resource: "XNAS".into(),
        build_id: "test".into(),
        incarnation: [7; 16],
        generation: 1,
    }
}

fn files_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}
