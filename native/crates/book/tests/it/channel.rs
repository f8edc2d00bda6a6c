//! Following a channel's records: continuity, gaps, losses, sessions, holes.

use proptest::prelude::*;
use tickdeck_book::{BooksConfig, Cause, Channel, Doubt, Record, RecordMark, Side, Trust};
use tickdeck_wire::binaryfile;
use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::record::{
    GapEvent, JournalHole, LossReason, LostEvent, SessionEvent, SessionEventKind, kind,
};

use crate::common::messages::{add, event};

pub(crate) const ONE: Session = Session(*b"SESSION001");
pub(crate) const TWO: Session = Session(*b"SESSION002");

/// A channel and the number of its next record.
pub(crate) struct Stream {
    pub(crate) channel: Channel,
    pub(crate) seq: u64,
}

impl Stream {
    /// A channel whose session started at message 1.
    pub(crate) fn started() -> Self {
        let mut stream = Self {
            channel: Channel::new(config()),
            seq: 1,
        };
        stream.session(SessionEventKind::Started, ONE, 1);
        stream
    }

    pub(crate) fn record(&mut self, kind: u8, venue_seq: u64, payload: &[u8]) {
        self.channel.apply(Record {
            seq: self.seq,
            kind,
            venue_seq,
            rx_ns: 0,
            payload,
        });
        self.seq += 1;
    }

    pub(crate) fn session(&mut self, kind: SessionEventKind, session: Session, next_sequence: u64) {
        let event = SessionEvent {
            kind,
            session,
            next_sequence,
        };
        self.record(kind::SESSION, 0, &event.encode());
    }

    /// Adds with the sequence number as reference and price, `first..=last`.
    pub(crate) fn data(&mut self, first: u64, last: u64) {
        let payload = blocks((first..=last).map(|n| add(n, n as u32)));
        self.record(kind::DATA, first, &payload);
    }

    pub(crate) fn gap(&mut self, kind: u8, gap_id: u64, first: u64, last: u64) {
        self.record(
            kind,
            0,
            &GapEvent {
                gap_id,
                first,
                last,
                detected_ns: 0,
            }
            .encode(),
        );
    }

    pub(crate) fn lost(&mut self, gap_id: u64, first: u64, last: u64) {
        let gap = GapEvent {
            gap_id,
            first,
            last,
            detected_ns: 0,
        };
        let event = LostEvent {
            gap,
            reason: LossReason::AttemptsExhausted,
        };
        self.record(kind::GAP_LOST, 0, &event.encode());
    }

    pub(crate) fn trust(&self) -> Trust {
        self.channel.books().channel_trust()
    }

    /// References that rest, ascending.
    pub(crate) fn references(&self) -> Vec<u64> {
        let mut references: Vec<u64> = self
            .channel
            .books()
            .iter()
            .flat_map(|book| {
                book.queue(Side::Bid)
                    .map(|order| order.reference)
                    .collect::<Vec<_>>()
            })
            .collect();
        references.sort_unstable();
        references
    }

    pub(crate) fn errors(&self) -> u64 {
        self.channel.counters().sequence_errors
    }
}

fn config() -> BooksConfig {
    BooksConfig {
        initial_orders: 16,
        ..BooksConfig::default()
    }
}

pub(crate) fn blocks(messages: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut payload = Vec::new();
    for message in messages {
        binaryfile::push(&mut payload, &message).expect("messages are short");
    }
    payload
}

pub(crate) fn suspect(since: u64, cause: Cause) -> Trust {
    Trust::Suspect(Doubt { since, cause })
}

/// Runs in order are applied once each, and the expected sequence follows.
#[test]
fn runs_in_order_are_applied() {
    let mut stream = Stream::started();
    stream.data(1, 3);
    stream.data(4, 4);
    assert_eq!(stream.references(), [1, 2, 3, 4]);
    assert_eq!(stream.channel.next_sequence(), Some(5));
    assert_eq!(stream.channel.cursor(), 4);
    assert_eq!((stream.errors(), stream.trust()), (0, Trust::Good));
}

/// A record that comes again, as after a return from the journal to the ring, changes nothing.
#[test]
fn a_repeated_record_is_skipped() {
    let mut stream = Stream::started();
    stream.data(1, 3);
    stream.seq = 2;
    stream.data(1, 3);
    assert_eq!(stream.channel.books().counters().messages, 3);
    assert_eq!(stream.channel.counters().repeated_records, 1);
    assert_eq!((stream.errors(), stream.trust()), (0, Trust::Good));
}

/// Messages that come twice in a new record are counted as errors and not applied again.
#[test]
fn repeated_messages_are_errors_and_applied_once() {
    let mut stream = Stream::started();
    stream.data(1, 3);
    stream.data(2, 5);
    assert_eq!(stream.references(), [1, 2, 3, 4, 5]);
    assert_eq!(stream.channel.books().counters().messages, 5);
    assert_eq!(stream.channel.books().counters().faults_total(), 0);
    assert_eq!(stream.errors(), 1);
}

/// Missing messages that nothing explains are an error, and every book is suspect from there on.
#[test]
fn an_unexplained_hole_is_an_error() {
    let mut stream = Stream::started();
    stream.data(1, 3);
    stream.data(6, 7);
    assert_eq!(stream.references(), [1, 2, 3, 6, 7]);
    assert_eq!(
        (stream.errors(), stream.trust()),
        (1, suspect(4, Cause::SequenceBreak))
    );
    assert_eq!(stream.channel.next_sequence(), Some(8));
}

/// While a gap is open every book is suspect, one named later too, until the last gap is filled.
#[test]
fn open_gaps_make_every_book_suspect() {
    let mut stream = Stream::started();
    stream.data(1, 3);
    stream.gap(kind::GAP_OPEN, 1, 4, 5);
    stream.gap(kind::GAP_OPEN, 2, 8, 8);
    assert_eq!(stream.trust(), suspect(4, Cause::GapOpen));
    assert_eq!(stream.channel.books().suspect_count(), 1);
    stream.data(4, 5);
    stream.gap(kind::GAP_FILLED, 1, 4, 5);
    stream.data(6, 7);
    assert_eq!(stream.trust(), suspect(8, Cause::GapOpen));
    stream.data(8, 8);
    stream.gap(kind::GAP_FILLED, 2, 8, 8);
    assert_eq!((stream.errors(), stream.trust()), (0, Trust::Good));
}

/// Lost messages are skipped without an error, counted, and leave a doubt that no later fill ends.
#[test]
fn lost_messages_explain_the_hole_and_stay_a_doubt() {
    let mut stream = Stream::started();
    stream.data(1, 3);
    stream.gap(kind::GAP_OPEN, 1, 4, 9);
    stream.data(4, 5);
    stream.lost(1, 6, 9);
    stream.data(10, 11);
    assert_eq!(stream.references(), [1, 2, 3, 4, 5, 10, 11]);
    assert_eq!(stream.channel.counters().lost_messages, 4);
    assert_eq!(
        (stream.errors(), stream.trust()),
        (0, suspect(6, Cause::MessagesLost))
    );
    stream.gap(kind::GAP_OPEN, 2, 12, 12);
    stream.data(12, 12);
    stream.gap(kind::GAP_FILLED, 2, 12, 12);
    assert_eq!(stream.trust(), suspect(6, Cause::MessagesLost));
}

/// A loss declared for messages that were delivered contradicts the stream: counted, not skipped.
#[test]
fn a_loss_of_delivered_messages_is_an_error() {
    let mut stream = Stream::started();
    stream.data(1, 5);
    stream.lost(1, 2, 3);
    stream.data(6, 6);
    assert_eq!((stream.errors(), stream.trust()), (1, Trust::Good));
}

/// A new session empties the books and ends every doubt of the old one.
#[test]
fn a_new_session_starts_with_empty_books() {
    for new in [SessionEventKind::Started, SessionEventKind::Changed] {
        let mut stream = Stream::started();
        stream.data(1, 3);
        stream.lost(1, 4, 5);
        stream.session(SessionEventKind::Ended, ONE, 6);
        assert!(stream.channel.session_ended());
        assert_eq!(
            stream.references(),
            [1, 2, 3],
            "books persist through the end"
        );
        stream.session(new, TWO, 1);
        assert!(stream.channel.books().is_empty());
        assert_eq!(stream.channel.session(), Some(TWO));
        assert!(!stream.channel.session_ended());
        stream.data(1, 2);
        assert_eq!((stream.references(), stream.errors()), (vec![1, 2], 0));
        assert_eq!(stream.trust(), Trust::Good);
    }
}

/// A session that is joined late leaves every book suspect from its first message.
#[test]
fn a_late_start_is_suspect() {
    let mut stream = Stream {
        channel: Channel::new(config()),
        seq: 1,
    };
    stream.session(SessionEventKind::Started, ONE, 500);
    stream.data(500, 501);
    assert_eq!(
        (stream.errors(), stream.trust()),
        (0, suspect(1, Cause::MidSession))
    );
}

/// A restarted receiver goes on with the same books; gaps of its predecessor are its to find again.
#[test]
fn a_resumed_session_goes_on() {
    let mut stream = Stream::started();
    stream.data(1, 3);
    stream.gap(kind::GAP_OPEN, 1, 4, 4);
    stream.session(SessionEventKind::Resumed, ONE, 4);
    assert_eq!(stream.trust(), Trust::Good);
    stream.gap(kind::GAP_OPEN, 1, 4, 4);
    assert_eq!(stream.trust(), suspect(4, Cause::GapOpen));
    stream.data(4, 4);
    stream.gap(kind::GAP_FILLED, 1, 4, 4);
    assert_eq!(stream.references(), [1, 2, 3, 4]);
    assert_eq!((stream.errors(), stream.trust()), (0, Trust::Good));
    // One that resumes somewhere else has lost or repeated something.
    stream.session(SessionEventKind::Resumed, ONE, 9);
    assert_eq!(stream.errors(), 1);
}

/// Records that the journal did not keep, declared or simply absent, leave every book suspect; the
/// jump of the venue sequence behind them is explained.
#[test]
fn missing_records_are_a_doubt_and_no_error() {
    let hole = JournalHole {
        from: 3,
        to: 6,
        reason: 1,
    };
    for declared in [true, false] {
        let mut stream = Stream::started();
        stream.data(1, 3);
        if declared {
            stream.record(kind::JOURNAL_HOLE, 0, &hole.encode());
            assert_eq!(stream.channel.cursor(), 7);
        }
        stream.seq = 7;
        stream.data(9, 9);
        stream.data(10, 10);
        assert_eq!(stream.references(), [1, 2, 3, 9, 10]);
        assert_eq!(
            (stream.errors(), stream.trust()),
            (0, suspect(4, Cause::JournalHole))
        );
        assert_eq!(stream.channel.counters().lost_messages, 5);
        assert_eq!(stream.channel.counters().missing_records, 4);
        stream.data(12, 12);
        assert_eq!(
            stream.errors(),
            1,
            "only the first run behind the hole is excused"
        );
    }
}

/// When the sequence falls behind a hole, a session changed inside it: the old orders are gone.
#[test]
fn a_session_change_inside_a_hole_empties_the_books() {
    let mut stream = Stream::started();
    stream.data(1, 9);
    stream.seq = 8;
    stream.data(4, 5);
    assert_eq!(stream.references(), [4, 5]);
    assert_eq!(stream.errors(), 0);
    assert_eq!(stream.trust().name(), "SUSPECT");
}

/// The mark names the record before the cursor, and nothing behind a hole.
#[test]
fn the_mark_is_of_the_record_before_the_cursor() {
    let mut stream = Stream {
        channel: Channel::new(config()),
        seq: 1,
    };
    assert_eq!(stream.channel.last_record(), None);
    let record = Record {
        seq: 1,
        kind: kind::DATA,
        venue_seq: 1,
        rx_ns: 77,
        payload: &[0, 1, b'z'],
    };
    stream.channel.apply(record);
    let mark = RecordMark {
        kind: kind::DATA,
        venue_seq: 1,
        rx_ns: 77,
        payload_len: 3,
    };
    assert_eq!(stream.channel.last_record(), Some(mark));
    stream.seq = 2;
    stream.record(
        kind::JOURNAL_HOLE,
        0,
        &JournalHole {
            from: 2,
            to: 4,
            reason: 0,
        }
        .encode(),
    );
    assert_eq!(stream.channel.last_record(), None);
}

/// Another log starts with empty books and no doubt; counters go on.
#[test]
fn another_log_starts_over() {
    let mut stream = Stream::started();
    stream.data(1, 3);
    stream.data(9, 9);
    stream.channel.start_over();
    stream.seq = 1;
    stream.session(SessionEventKind::Started, TWO, 1);
    stream.data(1, 1);
    assert_eq!(
        (stream.references(), stream.trust()),
        (vec![1], Trust::Good)
    );
    assert_eq!((stream.channel.cursor(), stream.errors()), (3, 1));
    assert_eq!(stream.channel.books().counters().messages, 5);
}

/// A payload that cannot be read is counted, and no book is trusted behind it.
#[test]
fn malformed_records_are_a_doubt() {
    for (kind, payload) in [(kind::GAP_OPEN, &[0; 3][..]), (kind::DATA, &[0, 9, 1])] {
        let mut stream = Stream::started();
        stream.data(1, 2);
        stream.record(kind, 3, payload);
        assert_eq!(stream.channel.counters().malformed_records, 1);
        assert_eq!(stream.trust(), suspect(3, Cause::MalformedRecord));
    }
}

/// The ledger's rows and notes, and kinds of a version to come, change no book and no doubt; they
/// spend their number like any record.
#[test]
fn the_ledger_does_not_concern_books() {
    let mut stream = Stream::started();
    stream.data(1, 3);
    for kind in (kind::GAP_ROW..=63).chain([kind::CONFIG_HASH, kind::CLOCK_STEP]) {
        stream.record(kind, 0, &[7; 280]);
    }
    stream.data(4, 5);
    assert_eq!(
        (stream.references(), stream.trust()),
        (vec![1, 2, 3, 4, 5], Trust::Good)
    );
    let counters = stream.channel.counters();
    assert_eq!(
        (counters.malformed_records, counters.missing_records),
        (0, 0)
    );
    assert_eq!((stream.errors(), stream.channel.cursor()), (0, stream.seq));
}

proptest! {
    /// No records make the channel panic or break an invariant; the cursor only grows.
    #[test]
    fn any_records_are_survived(
        records in prop::collection::vec((0..60_u64, 0..17_u8, any_number(), payload()), 1..60)
    ) {
        let mut channel = Channel::new(config());
        let mut cursor = channel.cursor();
        for (seq, kind, venue_seq, payload) in records {
            channel.apply(Record { seq, kind, venue_seq, rx_ns: 0, payload: &payload });
            prop_assert!(channel.cursor() >= cursor);
            cursor = channel.cursor();
            prop_assert_eq!(channel.books().check_invariants(), Ok(()));
        }
    }
}

fn any_number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..40_u64, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let gap = (0..4_u64, any_number(), any_number(), 0..7_u8).prop_map(
        |(gap_id, first, last, reason)| {
            let gap = GapEvent {
                gap_id,
                first,
                last,
                detected_ns: 0,
            };
            match LossReason::from_code(reason) {
                Some(reason) => LostEvent { gap, reason }.encode().to_vec(),
                None => gap.encode().to_vec(),
            }
        },
    );
    let session = (any::<bool>(), any_number(), 1..5_u8).prop_map(|(one, next_sequence, code)| {
        let kind = SessionEventKind::from_code(code).expect("codes 1 to 4 exist");
        SessionEvent {
            kind,
            session: if one { ONE } else { TWO },
            next_sequence,
        }
        .encode()
        .to_vec()
    });
    let hole = (any_number(), any_number()).prop_map(|(from, to)| {
        JournalHole {
            from,
            to,
            reason: 0,
        }
        .encode()
        .to_vec()
    });
    let data = prop::collection::vec(event(), 0..6)
        .prop_map(|events| blocks(events.into_iter().map(|event| event.encode())));
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![3 => gap, 2 => session, 1 => hole, 4 => data, 1 => bytes]
}
