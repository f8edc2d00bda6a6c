use tickdeck_wire::ledger::WORDS;

use super::*;

const SESSION: Session = Session(*b"DEMO000001");

/// Takes records as a worker would write them.
#[derive(Default)]
struct Journal {
    history: History,
    seq: u64,
}

impl Journal {
    fn take(&mut self, kind: u8, payload: &[u8]) {
        self.seq += 1;
        self.history
            .take(self.seq, 7, kind, payload)
            .expect("a whole record");
    }

    fn session(&mut self) {
        let event = SessionEvent {
            kind: SessionEventKind::Resumed,
            session: SESSION,
            next_sequence: 1,
        };
        self.take(kind::SESSION, &event.encode());
    }

    fn gap(&mut self, kind: u8, gap_id: u64, first: u64, last: u64) {
        let event = GapEvent {
            gap_id,
            first,
            last,
            detected_ns: 77,
        };
        self.take(kind, &event.encode());
    }

    fn lost(&mut self, gap_id: u64, first: u64, last: u64, reason: LossReason) {
        let gap = GapEvent {
            gap_id,
            first,
            last,
            detected_ns: 77,
        };
        self.take(kind::GAP_LOST, &LostEvent { gap, reason }.encode());
    }

    fn row(&mut self, incarnation: u8, row: LedgerRow) {
        let incarnation = [incarnation; 16];
        self.take(kind::GAP_ROW, &LedgerRow { incarnation, ..row }.encode());
    }

    fn note(&mut self, gap_id: u64, note: &str) {
        let note = LedgerNote {
            gap_id,
            at_ns: 5,
            actor: "ops",
            note,
        };
        let mut out = [0; LedgerNote::MAX_LEN];
        self.take(kind::GAP_NOTE, note.encode(&mut out));
    }

    fn states(&self) -> Vec<&'static str> {
        let gaps = self.history.gaps().iter();
        gaps.map(|gap| gap.outcome().name()).collect()
    }
}

fn filled(id: u64, first: u64, last: u64) -> LedgerRow {
    LedgerRow {
        id,
        first,
        last,
        state: 5,
        by_request: last - first + 1,
        ..LedgerRow::from_words([0; 16], SESSION, &[0; WORDS])
    }
}

/// Each outcome, by rows and by events alone; of several rows of a gap the last one holds.
#[test]
fn outcomes() {
    let mut journal = Journal::default();
    journal.session();
    for id in 1..=5 {
        journal.gap(kind::GAP_OPEN, id, id * 10, id * 10 + 4);
    }
    journal.gap(kind::GAP_FILLED, 1, 10, 14);
    journal.row(1, filled(1, 10, 14));
    let found = LedgerRow {
        drop_layer: 3,
        ..filled(1, 10, 14)
    };
    journal.row(1, found);
    journal.gap(kind::GAP_FILLED, 2, 20, 24);
    journal.lost(3, 30, 34, LossReason::Operator);
    journal.lost(4, 40, 41, LossReason::Snapshot);
    assert_eq!(
        journal.states(),
        ["filled", "filled", "unrecoverable", "snapshot", "open"]
    );
    let gaps = journal.history.gaps();
    let (row, seq) = gaps[0].row.expect("a row");
    assert_eq!((row.drop_layer, seq), (3, 9));
    assert_eq!(gaps[2].messages_lost(), 5);
    assert!(
        gaps.iter()
            .all(|gap| gap.session == Some(SESSION) && gap.channel == 7)
    );
    assert!(gaps.iter().all(|gap| gap.contradictions().is_empty()));
    assert!(
        !journal.history.was_left_open(&gaps[4]),
        "its worker may live"
    );
}

/// A worker that dies with a gap open, and the next one, whose ids begin anew: the gap is left
/// open, and the one that continues it is named.
#[test]
fn two_incarnations() {
    let mut journal = Journal::default();
    journal.session();
    journal.gap(kind::GAP_OPEN, 1, 10, 14);
    journal.gap(kind::GAP_FILLED, 1, 10, 14);
    journal.row(1, filled(1, 10, 14));
    journal.gap(kind::GAP_OPEN, 2, 20, 29);
    journal.note(2, "called the venue");
    journal.session();
    journal.gap(kind::GAP_OPEN, 1, 15, 17);
    journal.gap(kind::GAP_OPEN, 2, 20, 35);
    journal.gap(kind::GAP_FILLED, 2, 20, 35);
    journal.row(2, filled(2, 20, 35));
    assert_eq!(journal.states(), ["filled", "open", "open", "filled"]);
    let gaps = journal.history.gaps();
    let left: Vec<bool> = gaps
        .iter()
        .map(|gap| journal.history.was_left_open(gap))
        .collect();
    assert_eq!(left, [false, true, false, false]);
    let continued = journal.history.continued_by(&gaps[1]);
    let continued: Vec<_> = continued.map(|gap| (gap.incarnation, gap.id)).collect();
    assert_eq!(continued, [(2, 2)]);
    assert_eq!(gaps[1].notes[0].note, "called the venue");
    assert_eq!(journal.history.incarnation(&gaps[1]), Some([1; 16]));
    assert_eq!(journal.history.incarnation(&gaps[2]), Some([2; 16]));
}

/// A worker that dies in its first gap, again and again: each has a gap 1.
#[test]
fn always_the_first_gap() {
    let mut journal = Journal::default();
    for _ in 0..3 {
        journal.session();
        journal.gap(kind::GAP_OPEN, 1, 10, 14);
    }
    let gaps = journal.history.gaps();
    let left = gaps.iter().filter(|gap| journal.history.was_left_open(gap));
    assert_eq!((gaps.len(), left.count()), (3, 2));
    let continued = journal.history.continued_by(&gaps[0]);
    assert_eq!(
        continued.map(|gap| gap.incarnation).collect::<Vec<_>>(),
        [2, 3]
    );
}

/// The opening of an incarnation's gaps is lost with a hole: its name in a row still tells it from
/// the one before, and nothing is checked that cannot be known.
#[test]
fn openings_in_a_hole() {
    let mut journal = Journal::default();
    journal.gap(kind::GAP_OPEN, 1, 10, 14);
    journal.row(1, filled(1, 10, 14));
    let hole = JournalHole {
        from: 3,
        to: 9,
        reason: 1,
    };
    journal.take(kind::JOURNAL_HOLE, &hole.encode());
    journal.row(2, filled(4, 40, 41));
    journal.note(5, "no more than a note");
    journal.row(2, filled(5, 50, 51));
    let gaps = journal.history.gaps();
    let known: Vec<_> = gaps
        .iter()
        .map(|gap| (gap.incarnation, gap.id, gap.first))
        .collect();
    assert_eq!(known, [(1, 1, 10), (2, 4, 40), (2, 5, 50)]);
    assert_eq!((journal.history.holes(), gaps[2].notes.len()), (7, 1));
    assert!(gaps.iter().all(|gap| gap.contradictions().is_empty()));
}

/// Rows that disagree with the stream or with themselves are found out.
#[test]
fn contradictions_are_named() {
    let mut journal = Journal::default();
    let lost = |missing| LedgerRow {
        state: 6,
        by_request: 5 - missing,
        missing,
        ..filled(1, 10, 14)
    };
    journal.gap(kind::GAP_OPEN, 1, 10, 14);
    journal.lost(1, 12, 14, LossReason::AttemptsExhausted);
    journal.row(1, lost(3));
    assert!(journal.history.gaps()[0].contradictions().is_empty());
    journal.row(1, lost(2));
    let found = journal.history.gaps()[0].contradictions();
    assert_eq!(found, ["the stream declares 3 messages lost, the row 2"]);
    let short = LedgerRow {
        by_request: 1,
        ..lost(3)
    };
    journal.row(1, short);
    let found = journal.history.gaps()[0].contradictions();
    assert_eq!(found, ["the row accounts for 4 of 5 messages"]);
    journal.row(1, filled(1, 10, 15));
    journal.gap(kind::GAP_FILLED, 1, 10, 14);
    assert_eq!(journal.history.gaps()[0].contradictions().len(), 3);
}

/// A row of which a snapshot heals what the stream declared lost contradicts nothing.
#[test]
fn healed_by_a_snapshot() {
    let mut journal = Journal::default();
    journal.gap(kind::GAP_OPEN, 1, 10, 14);
    journal.lost(1, 12, 14, LossReason::Snapshot);
    let row = LedgerRow {
        by_request: 2,
        by_snapshot: 3,
        ..filled(1, 10, 14)
    };
    journal.row(1, row);
    assert_eq!(journal.states(), ["filled"]);
    assert!(journal.history.gaps()[0].contradictions().is_empty());
}
