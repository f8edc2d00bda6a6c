//! The ledger's rows, by what the stats file shows and by what the stream gets.

use proptest::prelude::*;
use tickdeck_stats::reader::Reader;
use tickdeck_stats::{Builder, Identity};

use super::*;

const SESSION: Session = Session(*b"DEMO000001");
const INCARNATION: [u8; 16] = [7; 16];
const MOST_OPEN: usize = 1024;

/// Rows and a reader of their table.
struct Ledger {
    rows: GapRows,
    reader: Reader,
    _directory: tempfile::TempDir,
}

impl Ledger {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let mut builder = Builder::new(Identity {
            worker_id: "TEST-rx".into(),
            resource: "TEST".into(),
            build_id: "test".into(),
            incarnation: INCARNATION,
            generation: 1,
        });
        let table = builder.gap_table();
        let file = builder.create(directory.path()).expect("stats file");
        Self {
            rows: GapRows::new(table, INCARNATION, 9, MOST_OPEN),
            reader: Reader::open(file.path()).expect("stats file"),
            _directory: directory,
        }
    }

    fn open(&mut self, id: u64, first: u64, last: u64) {
        let opened_ns = clock::monotonic_ns();
        let gap = Gap {
            id,
            first,
            last,
            opened_ns,
        };
        self.rows.opened(&gap, SESSION);
    }

    fn shown(&self, id: u64) -> GapRow {
        let rows = self.reader.gaps();
        *rows.iter().find(|row| row.id == id).expect("a row")
    }

    fn due(&mut self) -> Vec<LedgerRow> {
        let mut due = Vec::new();
        self.rows.take_due(|row| due.push(*row));
        due
    }
}

/// A gap that one line fills late: the row names the line that missed it, both times, and who
/// brought what; the stream gets the same row once.
#[test]
fn late_on_one_line() {
    let mut ledger = Ledger::new();
    ledger.open(1, 10, 19);
    ledger.rows.waited(1, 0b01);
    ledger.rows.progressed(1, 4, 6, Source::Line(1));
    ledger.rows.progressed(1, 6, 0, Source::Line(1));
    assert!(ledger.due().is_empty(), "not closed yet");
    ledger.rows.missed_by(1, 0b01);
    ledger.rows.filled(1, 0b10);
    let row = ledger.shown(1);
    assert_eq!(
        (row.state, row.missing, row.channel),
        (GapState::Filled, 0, 9)
    );
    assert_eq!((row.by_line_a, row.by_line_b, row.by_request), (0, 10, 0));
    assert_eq!((row.lines_missed, row.sources), (0b01, 0b10));
    let times = [
        row.detected_ns,
        row.waited_ns,
        row.partial_ns,
        row.closed_ns,
    ];
    assert!(times.is_sorted() && times[0] > 0, "{times:?}");
    assert_eq!((row.requested_ns, row.attempts), (0, 0));
    let [told] = ledger.due()[..] else {
        panic!("one row");
    };
    assert_eq!(told.words(), row.words());
    assert_eq!((told.incarnation, told.session), (INCARNATION, SESSION));
    assert_eq!((told.lost_on(), told.lines_missed), ("one", 0b01));
}

/// A gap that both lines lost: asked for twice, partly brought, the rest given up.
#[test]
fn lost_on_both_lines() {
    let mut ledger = Ledger::new();
    ledger.open(1, 10, 19);
    ledger.rows.waited(1, 0b11);
    ledger.rows.requested(1, 1, 500);
    assert_eq!(ledger.shown(1).state, GapState::Requested);
    ledger.rows.progressed(1, 3, 7, Source::Retransmit);
    assert_eq!(ledger.shown(1).state, GapState::Partial);
    ledger.rows.requested(1, 2, 600);
    ledger.rows.progressed(1, 2, 5, Source::Stream);
    ledger.rows.progressed(1, 1, 4, Source::Peer);
    ledger.rows.slo_missed(1);
    ledger.rows.fault(1, 4);
    ledger.rows.injected(1, 3);
    ledger.rows.stale_answer(11);
    let bits = [Source::Retransmit, Source::Stream, Source::Peer].map(Source::bit);
    let sources = bits.into_iter().fold(0, |all, bit| all | bit);
    let reason = LossReason::AttemptsExhausted;
    ledger.rows.unrecovered(1, 4, sources, reason);
    let row = ledger.due()[0];
    assert_eq!((row.state, row.missing), (6, 4));
    assert_eq!((row.by_request, row.by_stream, row.by_peer), (3, 2, 1));
    assert_eq!((row.requested_ns, row.requested_last_ns), (500, 600));
    assert_eq!((row.attempts, row.slo_violated, row.reason), (2, true, 1));
    assert_eq!((row.fault, row.injected, row.stale_answers), (4, 3, 1));
    assert_eq!((row.lost_on(), row.sources), ("all", 256 + 512 + 4));
}

/// A snapshot stands in for what was lost: until it is whole the row waits, then it is filled, and
/// only then the stream gets it.
#[test]
fn healed_by_a_snapshot() {
    let mut ledger = Ledger::new();
    ledger.open(1, 10, 19);
    ledger.rows.snapshot_waited(1);
    ledger.rows.progressed(1, 1, 9, Source::Line(0));
    assert_eq!(ledger.shown(1).state, GapState::Snapshot);
    ledger.rows.unrecovered(1, 9, 0b01, LossReason::Snapshot);
    let waiting = ledger.shown(1);
    assert_eq!((waiting.state, waiting.missing), (GapState::Snapshot, 9));
    assert_eq!(waiting.closed_ns, 0);
    assert!(ledger.due().is_empty());
    ledger.rows.snapshot_healed(1, 700);
    let row = ledger.due()[0];
    assert_eq!((row.state, row.missing, row.by_snapshot), (5, 0, 9));
    assert_eq!((row.snapshot_ns, row.closed_ns, row.reason), (700, 700, 6));
    assert_eq!(row.sources, 1024 + 1);
    ledger.open(2, 30, 30);
    ledger.rows.unrecovered(2, 1, 0, LossReason::Snapshot);
    ledger
        .rows
        .snapshot_failed(2, LossReason::AttemptsExhausted);
    let lost = ledger.due()[0];
    assert_eq!((lost.state, lost.missing, lost.reason), (6, 1, 1));
}

/// What is learned of a closed gap: a verdict is told again, a note and a stale answer are shown;
/// nothing else changes it any more.
#[test]
fn after_the_end() {
    let mut ledger = Ledger::new();
    ledger.open(1, 10, 19);
    ledger.rows.found(1, 3, 5);
    assert!(ledger.due().is_empty(), "the row is told at the end");
    ledger.rows.filled(1, 4);
    let closed = ledger.due()[0];
    assert_eq!((closed.drop_layer, closed.drop_count), (3, 5));
    ledger.rows.found(1, 8, 11);
    let again = ledger.due()[0];
    assert_eq!((again.drop_layer, again.drop_count), (8, 11));
    ledger.rows.stale_answer(11);
    ledger.rows.stale_answer(11);
    ledger.rows.noted(1);
    ledger.rows.requested(1, 9, 9);
    ledger.rows.unrecovered(1, 3, 0, LossReason::SessionEnded);
    assert!(ledger.due().is_empty());
    let shown = ledger.shown(1);
    assert_eq!((shown.stale_answers, shown.noted), (2, true));
    assert_eq!((shown.attempts, shown.state), (0, GapState::Filled));
    ledger.rows.fault(1, 2);
    assert_eq!(ledger.due()[0].fault, 2, "the recovery's word comes last");
    ledger.rows.fault(1, 2);
    assert!(ledger.due().is_empty(), "and once");
    assert!(ledger.rows.has_seen(1) && !ledger.rows.has_seen(2) && !ledger.rows.has_seen(0));
}

/// More gaps open than the table has slots: each gets its whole row into the stream all the same,
/// and the table keeps the newest.
#[test]
fn more_open_than_the_table_shows() {
    let mut ledger = Ledger::new();
    let count = MOST_OPEN as u64;
    for id in 1..=count {
        ledger.open(id, id * 10, id * 10 + 1);
    }
    for id in 1..=count {
        ledger.rows.waited(id, 0b11);
        ledger.rows.progressed(id, 2, 0, Source::Retransmit);
        ledger.rows.filled(id, 4);
    }
    let due = ledger.due();
    assert_eq!(due.len(), MOST_OPEN);
    assert!(
        due.iter()
            .all(|row| row.by_request == 2 && row.lines_missed == 3)
    );
    ledger.rows.found(1, 3, 1);
    let shown: Vec<u64> = ledger.reader.gaps().iter().map(|row| row.id).collect();
    assert_eq!(shown, (count - 255..=count).collect::<Vec<_>>());
}

/// A row that waits for a snapshot when its place is needed is not lost: the stream gets it as it is.
#[test]
fn a_row_that_must_go_is_told() {
    let mut ledger = Ledger::new();
    ledger.open(1, 10, 19);
    ledger.rows.unrecovered(1, 10, 0, LossReason::Snapshot);
    ledger.open(1 + 2 * MOST_OPEN as u64, 30, 30);
    let told = ledger.due()[0];
    assert_eq!((told.id, told.state, told.missing), (1, 7, 10));
    ledger.rows.snapshot_healed(1, 5);
    assert!(ledger.due().is_empty() && ledger.rows.get(1).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever brings the parts, and whatever becomes of the rest: at every moment what was brought
    /// and what is missing are the whole gap, and a closed gap is told exactly once.
    #[test]
    fn every_message_is_accounted_for(
        size in 1..200u64,
        parts in proptest::collection::vec((1..50u64, 0..6usize), 0..20),
        end in 0..4u8,
    ) {
        let mut ledger = Ledger::new();
        ledger.open(1, 1_000, 999 + size);
        let (mut missing, mut sources) = (size, 0);
        for (messages, place) in parts {
            let messages = messages.min(missing);
            let lines = [Source::Line(0), Source::Line(1), Source::Line(2)];
            let others = [Source::Retransmit, Source::Stream, Source::Peer];
            let source = [lines, others].concat()[place];
            if messages > 0 {
                missing -= messages;
                sources |= source.bit();
                ledger.rows.progressed(1, messages, missing, source);
            }
            prop_assert_eq!(total(&ledger.shown(1)), size);
        }
        match end {
            _ if missing == 0 => ledger.rows.filled(1, sources),
            0 => ledger.rows.unrecovered(1, missing, sources, LossReason::SessionEnded),
            1 => ledger.rows.snapshot_healed(1, 1),
            2 => {
                ledger.rows.unrecovered(1, missing, sources, LossReason::Snapshot);
                prop_assert!(ledger.due().is_empty());
                ledger.rows.snapshot_healed(1, 1);
            }
            _ => ledger.rows.snapshot_failed(1, LossReason::Operator),
        }
        let row = ledger.shown(1);
        prop_assert!(row.state.is_final());
        prop_assert_eq!(total(&row), size);
        prop_assert_eq!(ledger.due().len(), 1);
    }
}

fn total(row: &GapRow) -> u64 {
    let lines = row.by_line_a + row.by_line_b + row.by_other_lines;
    let recovered = row.by_request + row.by_stream + row.by_peer + row.by_snapshot;
    lines + recovered + row.missing
}

/// A row that waits for a snapshot is closed when another session takes over, and no snapshot of
/// that one heals it; a session that goes on leaves it open.
#[test]
fn a_session_that_is_left_has_no_snapshot() {
    let mut ledger = Ledger::new();
    ledger.open(1, 10, 14);
    ledger.rows.unrecovered(1, 5, 0, LossReason::Snapshot);
    ledger.rows.session_began(SESSION);
    assert_eq!(ledger.shown(1).state, GapState::Snapshot);
    ledger.rows.session_began(Session(*b"DEMO000002"));
    ledger.rows.healed_below(100, 1);
    let row = ledger.shown(1);
    assert_eq!(row.state, GapState::Unrecoverable);
    assert_eq!((row.missing, row.by_snapshot), (5, 0));
    assert_eq!(row.reason, LossReason::SessionEnded as u64);
    assert_eq!(ledger.due().len(), 1);
}
