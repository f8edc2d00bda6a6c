//! Follows the records of a channel and drives its books.
//!
//! The receiver numbers its records without holes and writes them to ring and journal alike. This
//! state machine takes them in that order, from either, and holds two continuities against them:
//!
//! - *records*: each has the number after the one before. A record that comes again is skipped, one
//!   that is missing leaves a hole in which anything may have happened, so every book is suspect.
//! - *messages*: each run starts with the expected venue sequence number. The receiver promises
//!   this, with GAP_LOST exactly where messages are missing; a break without it is counted in
//!   [`StreamCounters::sequence_errors`], which therefore stays 0 as long as everybody works.

use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::record::{
    GapEvent, JournalHole, LostEvent, PayloadError, SessionEvent, SessionEventKind, SnapshotEvent,
    kind,
};

use crate::books::{Books, BooksConfig};
use crate::itch_venue::Itch;
use crate::trust::Cause;
use crate::venue::{Run, Venue};

/// One record of the stream.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Number of the record in the journal and the ring.
    pub seq: u64,
    /// Kind, as in [`tickdeck_wire::record::kind`].
    pub kind: u8,
    /// Venue sequence number of the first message of a DATA record.
    pub venue_seq: u64,
    /// Receive time, UTC ns.
    pub rx_ns: u64,
    /// Message blocks of a DATA or SNAPSHOT_DATA record, else the event.
    pub payload: &'a [u8],
}

/// What identifies a record beside its number.
///
/// After a power cut a journal may have given a number to another record than before. The mark of
/// the record before the cursor tells whether a snapshot belongs to the journal as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMark {
    /// Kind of the record.
    pub kind: u8,
    /// Venue sequence number.
    pub venue_seq: u64,
    /// Receive time, UTC ns.
    pub rx_ns: u64,
    /// Bytes of the payload.
    pub payload_len: u32,
}

impl Record<'_> {
    /// The mark of this record.
    #[inline]
    pub fn mark(&self) -> RecordMark {
        RecordMark {
            kind: self.kind,
            venue_seq: self.venue_seq,
            rx_ns: self.rx_ns,
            // Records are far below 4 GiB; a cut length still tells them apart.
            payload_len: self.payload.len() as u32,
        }
    }
}

/// What happened to the stream since it began, restored snapshots included. Only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounters {
    /// Records applied.
    pub records: u64,
    /// Records given again and skipped.
    pub repeated_records: u64,
    /// Records that are missing, by a JOURNAL_HOLE or without.
    pub missing_records: u64,
    /// Records whose payload could not be read.
    pub malformed_records: u64,
    /// Messages that came twice or are missing without an explanation.
    pub sequence_errors: u64,
    /// Messages declared lost, or missing behind a hole of records.
    pub lost_messages: u64,
    /// Sessions that started or took over; each emptied the books.
    pub sessions: u64,
}

impl StreamCounters {
    pub(crate) const WORDS: usize = 7;

    pub(crate) fn words(&self) -> [u64; Self::WORDS] {
        [
            self.records,
            self.repeated_records,
            self.missing_records,
            self.malformed_records,
            self.sequence_errors,
            self.lost_messages,
            self.sessions,
        ]
    }

    pub(crate) fn from_words(words: &[u64; Self::WORDS]) -> Self {
        let [
            records,
            repeated_records,
            missing_records,
            malformed_records,
            sequence_errors,
            lost_messages,
            sessions,
        ] = *words;
        Self {
            records,
            repeated_records,
            missing_records,
            malformed_records,
            sequence_errors,
            lost_messages,
            sessions,
        }
    }
}

/// The books of a channel and their place in its stream of records.
pub struct Channel<V = Itch> {
    pub(crate) venue: V,
    /// Number of the next record.
    pub(crate) cursor: u64,
    /// The record just before the cursor, unless that one is missing.
    pub(crate) last_record: Option<RecordMark>,
    pub(crate) session: Option<Session>,
    pub(crate) session_ended: bool,
    /// Venue sequence number of the next message, once known.
    pub(crate) next_sequence: Option<u64>,
    /// Records are missing since the last message: its successor may have any number.
    pub(crate) after_hole: bool,
    pub(crate) counters: StreamCounters,
}

impl Channel<Itch> {
    /// Empty books of ITCH 5.0 before record 1.
    pub fn new(config: BooksConfig) -> Self {
        Self::with(Itch::new(config))
    }

    /// The books alone, when the stream is over.
    pub fn into_books(self) -> Books {
        self.venue.into_books()
    }
}

impl<V: Venue> Channel<V> {
    /// A venue's books, empty, before record 1.
    pub fn with(venue: V) -> Self {
        Self {
            venue,
            cursor: 1,
            last_record: None,
            session: None,
            session_ended: false,
            next_sequence: None,
            after_hole: false,
            counters: StreamCounters::default(),
        }
    }

    /// Applies one record and moves the cursor behind it. Never fails: see the counters and doubts.
    #[inline]
    pub fn apply(&mut self, record: Record<'_>) {
        self.apply_with(record, |_, _, _| {});
    }

    /// As [`Self::apply`]; calls `after(books, sequence, message)` after each message of the
    /// record.
    #[inline]
    pub fn apply_with(&mut self, record: Record<'_>, after: impl FnMut(&Books, u64, &[u8])) {
        if record.seq < self.cursor {
            self.counters.repeated_records += 1;
            return;
        }
        if record.seq > self.cursor {
            self.skip_to(record.seq);
        }
        self.cursor = record.seq.saturating_add(1);
        self.last_record = Some(record.mark());
        self.counters.records += 1;
        if record.kind == kind::DATA {
            self.on_data(record.venue_seq, record.payload, after);
        } else {
            self.on_event(record.kind, record.payload);
        }
    }

    /// Says that the records before `seq` cannot be had any more; `seq` comes next.
    pub fn skip_to(&mut self, seq: u64) {
        if seq > self.cursor {
            let missing = seq - self.cursor;
            self.counters.missing_records = self.counters.missing_records.saturating_add(missing);
            self.cursor = seq;
            self.open_hole();
        }
    }

    /// Empties everything to follow another log from its first record. Counters go on.
    pub fn start_over(&mut self) {
        self.restart();
        self.cursor = 1;
        self.last_record = None;
    }

    /// The books.
    #[inline]
    pub fn books(&self) -> &Books {
        self.venue.books()
    }

    /// The books, to set their phase.
    pub fn books_mut(&mut self) -> &mut Books {
        self.venue.books_mut()
    }

    /// What makes the books.
    pub fn venue(&self) -> &V {
        &self.venue
    }

    /// A hash of everything that the books hold, as a checkpoint in the journal carries it.
    pub fn channel_hash(&self) -> u64 {
        self.venue.channel_hash()
    }

    /// Whether a snapshot of the venue's is half read. The books are not worth keeping then.
    pub fn is_loading(&self) -> bool {
        self.venue.is_loading()
    }

    /// Number of the next record.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The record just before the cursor; `None` at the start and behind a hole.
    pub fn last_record(&self) -> Option<RecordMark> {
        self.last_record
    }

    /// The session, once known.
    pub fn session(&self) -> Option<Session> {
        self.session
    }

    /// Whether the venue ended the session.
    pub fn session_ended(&self) -> bool {
        self.session_ended
    }

    /// Venue sequence number of the next message, once known.
    pub fn next_sequence(&self) -> Option<u64> {
        self.next_sequence
    }

    /// What happened to the stream.
    pub fn counters(&self) -> &StreamCounters {
        &self.counters
    }

    #[inline]
    fn on_data(
        &mut self,
        first_sequence: u64,
        payload: &[u8],
        after: impl FnMut(&Books, u64, &[u8]),
    ) {
        if self.next_sequence != Some(first_sequence) || self.venue.is_loading() {
            self.on_break(first_sequence);
        }
        let expected = self.next_sequence.unwrap_or(first_sequence);
        let run = Run {
            first_sequence,
            expected,
            payload,
        };
        let taken = self.venue.apply(run, after);
        self.next_sequence = Some(taken.next_sequence.max(expected));
        self.after_hole = false;
        if !taken.is_whole {
            self.on_malformed();
        }
    }

    /// The run does not start with the expected message.
    #[cold]
    fn on_break(&mut self, first_sequence: u64) {
        // Messages inside a venue's snapshot: it is not whole, and the doubts it began with stay.
        self.venue.leave_snapshot();
        if self.next_sequence == Some(first_sequence) {
            return;
        }
        let Some(expected) = self.next_sequence else {
            self.start_at(first_sequence);
            return;
        };
        if self.after_hole {
            if first_sequence < expected {
                // Sequences fall only between sessions: the event that said so is in the hole.
                self.restart();
                self.counters.sessions += 1;
                self.open_hole();
            } else if first_sequence > expected {
                self.count_lost(expected, first_sequence - 1);
            }
            self.next_sequence = Some(first_sequence);
            return;
        }
        self.counters.sequence_errors += 1;
        if first_sequence > expected {
            self.venue.doubt_all(expected, Cause::SequenceBreak);
            self.next_sequence = Some(first_sequence);
        }
    }

    fn on_event(&mut self, event: u8, payload: &[u8]) {
        let read = match event {
            kind::GAP_OPEN => range(GapEvent::decode(payload)).map(|gap| {
                self.books_mut().open_gap(gap.gap_id, gap.first, gap.last);
            }),
            kind::GAP_FILLED => range(GapEvent::decode(payload)).map(|gap| {
                self.books_mut().close_gap(gap.gap_id);
            }),
            kind::GAP_LOST => range(LostEvent::decode(payload).map(|lost| lost.gap))
                .map(|lost| self.on_lost(lost)),
            kind::SESSION => SessionEvent::decode(payload)
                .ok()
                .map(|event| self.on_session(event)),
            kind::JOURNAL_HOLE => JournalHole::decode(payload)
                .ok()
                .filter(|hole| hole.from <= hole.to)
                .map(|hole| self.on_hole(hole)),
            kind::SNAPSHOT_BEGIN => SnapshotEvent::decode(payload)
                .ok()
                .and_then(|event| self.venue.begin_snapshot(event)),
            kind::SNAPSHOT_DATA => self.venue.take_snapshot(payload),
            kind::SNAPSHOT_END => SnapshotEvent::decode(payload)
                .ok()
                .and_then(|event| self.on_snapshot_end(event)),
            // The others do not concern books.
            _ => Some(()),
        };
        if read.is_none() {
            self.on_malformed();
        }
    }

    /// Messages will never come: go on behind them, and trust no book any more.
    fn on_lost(&mut self, lost: GapEvent) {
        let expected = self.next_sequence.unwrap_or(lost.first);
        if lost.last < expected {
            // What was delivered cannot be lost; nothing is skipped.
            self.counters.sequence_errors += u64::from(!self.after_hole);
            return;
        }
        if expected < lost.first {
            self.on_break(lost.first);
        }
        let first = expected.max(lost.first);
        self.count_lost(first, lost.last);
        self.venue.doubt_all(first, Cause::MessagesLost);
        let next = lost.last.saturating_add(1);
        self.next_sequence = Some(next);
        self.after_hole = false;
        self.books_mut().trust.close_gaps_before(next);
    }

    fn on_session(&mut self, event: SessionEvent) {
        let same = self.session == Some(event.session);
        match event.kind {
            SessionEventKind::Ended => self.session_ended = true,
            SessionEventKind::Resumed if same => self.on_resumed(event.next_sequence),
            SessionEventKind::Started
                if same && self.next_sequence == Some(event.next_sequence) =>
            {
                self.books_mut().trust.close_all_gaps();
            }
            _ => {
                self.restart();
                self.counters.sessions += 1;
                self.session = Some(event.session);
                self.start_at(event.next_sequence);
            }
        }
    }

    /// A new incarnation of the receiver goes on where the journal ended. Gaps it inherited it will
    /// find and announce again under numbers of its own.
    fn on_resumed(&mut self, next_sequence: u64) {
        self.venue.leave_snapshot();
        self.books_mut().trust.close_all_gaps();
        self.session_ended = false;
        if self.next_sequence != Some(next_sequence) && !self.after_hole {
            self.counters.sequence_errors += 1;
        }
    }

    fn on_snapshot_end(&mut self, event: SnapshotEvent) -> Option<()> {
        if let Some(next) = self.venue.end_snapshot(event)? {
            self.next_sequence = Some(self.next_sequence.unwrap_or(next).max(next));
            self.after_hole = false;
        }
        Some(())
    }

    fn on_hole(&mut self, hole: JournalHole) {
        let missing = (hole.to - hole.from).saturating_add(1);
        self.counters.missing_records = self.counters.missing_records.saturating_add(missing);
        self.cursor = self.cursor.max(hole.to.saturating_add(1));
        self.open_hole();
    }

    /// Anything may have happened in records that are missing.
    fn open_hole(&mut self) {
        self.last_record = None;
        self.venue.leave_snapshot();
        let since = self.next_sequence.unwrap_or(1);
        self.venue.doubt_all(since, Cause::JournalHole);
        self.books_mut().trust.close_all_gaps();
        self.after_hole = true;
    }

    /// Counts messages `first..=last`. Numbers come from records, so sums are bounded, not trusted.
    fn count_lost(&mut self, first: u64, last: u64) {
        let lost = (last - first).saturating_add(1);
        self.counters.lost_messages = self.counters.lost_messages.saturating_add(lost);
    }

    #[cold]
    fn on_malformed(&mut self) {
        self.counters.malformed_records += 1;
        let since = self.next_sequence.unwrap_or(1);
        self.venue.doubt_all(since, Cause::MalformedRecord);
    }

    /// The first expected message of a session is known.
    fn start_at(&mut self, next_sequence: u64) {
        self.next_sequence = Some(next_sequence);
        if next_sequence > 1 {
            self.venue.doubt_all(1, Cause::MidSession);
        }
    }

    /// Empty books for another session.
    fn restart(&mut self) {
        self.venue.clear();
        self.session = None;
        self.session_ended = false;
        self.next_sequence = None;
        self.after_hole = false;
    }
}

/// The gap of an event that could be read and whose range is one.
fn range(event: Result<GapEvent, PayloadError>) -> Option<GapEvent> {
    event.ok().filter(|gap| gap.first <= gap.last)
}
