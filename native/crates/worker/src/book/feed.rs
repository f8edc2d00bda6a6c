//! Where the records of a channel come from: its journal, then the receiver's ring.
//!
//! ```text
//!            no log yet                 at its end, and the ring holds the cursor
//!  WAITING ─────────────► JOURNAL ───────────────────────────────────────────────► RING
//!     ▲   journal opened     │ ▲                                                     │
//!     └──────────────────────┘ └─────────────────────────────────────────────────────┘
//!        cannot be read                    lapped, or another writer's ring
//! ```
//!
//! Ring and journal number records alike, so the only thing kept across all changes is the
//! channel's cursor. Each time the journal is opened, the record before the cursor is compared with
//! the one that the channel applied: after a power cut a journal may have lost its end and given
//! the same numbers to other records. Then the books start over.
//!
//! Nothing here ends the worker: what is not there is waited for, and [`Feed::stage`] says so.

use std::path::{Path, PathBuf};

use tickdeck_book::{Cause, Phase, Record, RecordMark};
use tickdeck_journal::{JournalError, Reader as Journal};
use tickdeck_net::clock;
use tickdeck_ring::{Read, Reader as Ring};
use tickdeck_wire::record::{kind, line, stamp};

use super::checkpoints::{Checkpoints, Scout, Verdict};
use super::metrics::Metrics;
use super::pulse::Pulse;
use super::venue::BookChannel;

mod fit;
mod stage;

pub(crate) use fit::{Fit, fit};
use stage::Retry;
pub(crate) use stage::Stage;

/// Records applied before commands and clocks are looked at again.
const BATCH: usize = 256;

/// How often a ring at rest is compared with the file at its path.
const RING_CHECK_NS: u64 = 100_000_000;

/// A journal that cannot be read for so long is given up in favour of the ring.
const DAMAGE_PATIENCE_NS: u64 = 2_000_000_000;

/// Records of one channel, wherever they are.
pub(crate) struct Feed {
    journal_dir: PathBuf,
    ring_path: PathBuf,
    source: Source,
    stage: Stage,
    /// The log that the channel's cursor counts in.
    log_id: Option<[u8; 16]>,
    ring: Option<OpenRing>,
    /// At the end of the ring since the last change of source.
    caught_up: bool,
    buffer: Vec<u8>,
    retry: Retry,
    /// For a ring of another log than the journal's.
    foreign: Retry,
    ring_check_at_ns: u64,
    damaged_since_ns: Option<u64>,
    problem: String,
    checkpoints: Checkpoints,
}

enum Source {
    Waiting,
    Journal {
        reader: Box<Journal>,
        /// The record before the cursor was found to be the one applied.
        is_checked: bool,
        /// Looks ahead for checkpoints.
        scout: Option<Box<Scout>>,
    },
    Ring,
}

struct OpenRing {
    ring: Ring,
    pulse: Pulse,
}

impl Feed {
    /// A feed that has looked nowhere yet.
    pub(crate) fn new(journal_dir: &Path, ring_path: &Path) -> Self {
        Self {
            journal_dir: journal_dir.to_owned(),
            ring_path: ring_path.to_owned(),
            source: Source::Waiting,
            stage: Stage::WaitingForJournal,
            log_id: None,
            ring: None,
            caught_up: false,
            buffer: Vec::new(),
            retry: Retry::default(),
            foreign: Retry::default(),
            ring_check_at_ns: 0,
            damaged_since_ns: None,
            problem: String::new(),
            checkpoints: Checkpoints::default(),
        }
    }

    /// Opens the journal for the first time, if it is there, and says which log it holds.
    pub(crate) fn open_log(&mut self, now_ns: u64) -> Option<[u8; 16]> {
        if !self.retry.is_due(now_ns) {
            return None;
        }
        match Journal::open(&self.journal_dir) {
            Ok(reader) => {
                self.retry = Retry::default();
                self.log_id = Some(reader.log_id());
                self.source = Source::Journal {
                    reader: Box::new(reader),
                    is_checked: false,
                    scout: None,
                };
            }
            Err(error) => self.wait(now_ns, Stage::WaitingForJournal, &error.to_string()),
        }
        self.log_id
    }

    /// Whether the opened log, or the ring that will be drained into it, holds what a snapshot with
    /// this cursor ends with.
    pub(crate) fn fit(
        &mut self,
        cursor: u64,
        mark: Option<RecordMark>,
    ) -> Result<Fit, JournalError> {
        let Source::Journal { reader, .. } = &mut self.source else {
            return Ok(Fit::Beyond);
        };
        match fit(reader, cursor, mark)? {
            Fit::Beyond => Ok(self.fit_of_ring(cursor, mark)),
            answer => Ok(answer),
        }
    }

    /// Applies what there is, at most one batch, and returns how many records.
    pub(crate) fn poll(
        &mut self,
        channel: &mut BookChannel,
        metrics: &Metrics,
        now_ns: u64,
    ) -> usize {
        match &self.source {
            Source::Waiting => {
                self.reopen_journal(channel, now_ns);
                0
            }
            Source::Journal {
                is_checked: false, ..
            } => {
                self.check_journal(channel, now_ns);
                0
            }
            Source::Journal { .. } => self.read_journal(channel, metrics, now_ns),
            Source::Ring => self.read_ring(channel, metrics, now_ns),
        }
    }

    /// What the feed is doing.
    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    /// The last thing that could not be done, empty when there was none.
    pub(crate) fn problem(&self) -> &str {
        &self.problem
    }

    /// The log that the cursor counts in, once known.
    pub(crate) fn log_id(&self) -> Option<[u8; 16]> {
        self.log_id
    }

    /// At the end of the ring.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// Records that the ring is ahead of the cursor; 0 when there is no ring of this log.
    pub(crate) fn lag(&self, cursor: u64) -> u64 {
        self.own_ring()
            .map_or(0, |open| open.ring.next_seq().saturating_sub(cursor))
    }

    /// The checkpoints of the stream and the own ones.
    pub(crate) fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    /// As [`Self::checkpoints`], to remember one that was taken.
    pub(crate) fn checkpoints_mut(&mut self) -> &mut Checkpoints {
        &mut self.checkpoints
    }

    /// Where books that are applied from here stand.
    pub(crate) fn phase(&mut self, now_ns: u64) -> Phase {
        if self.stage == Stage::Journal {
            return Phase::Rebuilding;
        }
        let (log_id, caught_up) = (self.log_id, self.caught_up);
        let ring = self
            .ring
            .as_mut()
            .filter(|open| Some(open.ring.log_id()) == log_id);
        match ring.is_some_and(|open| open.pulse.is_beating(now_ns)) {
            true if caught_up => Phase::Live,
            true => Phase::Rebuilding,
            false => Phase::Stale,
        }
    }

    /// Opens the journal again, after an error or a change of the ring.
    fn reopen_journal(&mut self, channel: &mut BookChannel, now_ns: u64) {
        if !self.retry.is_due(now_ns) {
            return;
        }
        let reader = match Journal::open(&self.journal_dir) {
            Ok(reader) => reader,
            Err(error) => return self.wait(now_ns, Stage::WaitingForJournal, &error.to_string()),
        };
        if self.log_id != Some(reader.log_id()) {
            tracing::warn!(
                journal = %self.journal_dir.display(),
                "the journal is another log now: the books start over"
            );
            channel.start_over();
            self.checkpoints.forget();
            self.log_id = Some(reader.log_id());
        }
        self.source = Source::Journal {
            reader: Box::new(reader),
            is_checked: false,
            scout: None,
        };
        self.check_journal(channel, now_ns);
    }

    /// Compares the record before the cursor and places the reader on the cursor.
    fn check_journal(&mut self, channel: &mut BookChannel, now_ns: u64) {
        if !self.retry.is_due(now_ns) {
            return;
        }
        let Source::Journal {
            reader,
            is_checked,
            scout,
        } = &mut self.source
        else {
            return;
        };
        let checkpoints = &mut self.checkpoints;
        let placed = fit(reader, channel.cursor(), channel.last_record()).and_then(|answer| {
            if answer == Fit::Other {
                tracing::error!(
                    cursor = channel.cursor(),
                    "the journal holds another record than the books end with: they start over"
                );
                channel.start_over();
                checkpoints.forget();
            }
            if answer != Fit::Beyond {
                channel.skip_to(reader.first_seq());
                reader.seek(channel.cursor())?;
            }
            Ok(answer)
        });
        match placed {
            Ok(Fit::Beyond) => {
                let text = format!("the journal ends before record {}", channel.cursor() - 1);
                self.retry.later(now_ns);
                self.enter(Stage::JournalBehindBooks, &text);
            }
            Ok(_) => {
                *is_checked = true;
                *scout = look_ahead(&self.journal_dir, channel.cursor());
                self.retry = Retry::default();
                // Other stages describe what is waited for beside the journal, and go on.
                if matches!(
                    self.stage,
                    Stage::WaitingForJournal | Stage::JournalBehindBooks
                ) {
                    self.enter(Stage::Journal, "");
                }
            }
            Err(error) => self.on_journal_error(channel, now_ns, &error),
        }
    }

    fn read_journal(&mut self, channel: &mut BookChannel, metrics: &Metrics, now_ns: u64) -> usize {
        let Source::Journal { reader, scout, .. } = &mut self.source else {
            return 0;
        };
        if let Some(scout) = scout {
            scout.keep_ahead(channel.cursor(), &mut self.checkpoints);
        }
        let mut count = 0;
        let end = loop {
            if count == BATCH {
                break Ok(false);
            }
            match reader.next() {
                Ok(Some(entry)) => {
                    let record = Record {
                        seq: entry.seq,
                        kind: entry.record.kind,
                        venue_seq: entry.record.venue_seq,
                        rx_ns: entry.record.rx_ns,
                        payload: entry.record.payload,
                    };
                    if let Some(verdict) = self.checkpoints.follow(channel, record) {
                        on_verdict(channel, &self.checkpoints, verdict);
                    }
                }
                Ok(None) => break Ok(true),
                Err(error) => break Err(error),
            }
            count += 1;
        };
        metrics.catchup_records.add(count as u64);
        // A journal that merely grows while something is waited for is no news.
        if count == BATCH || (count > 0 && self.damaged_since_ns.take().is_some()) {
            self.enter(Stage::Journal, "");
        }
        match end {
            Ok(false) => {}
            Ok(true) => self.attach_ring(channel, now_ns),
            Err(error) => self.on_journal_error(channel, now_ns, &error),
        }
        count
    }

    /// At the end of the journal: go on with the ring, if it goes on from here.
    fn attach_ring(&mut self, channel: &BookChannel, now_ns: u64) {
        if self.ring.is_none() && !self.open_ring(now_ns) {
            return;
        }
        let Some(open) = &self.ring else { return };
        let cursor = channel.cursor();
        let (oldest, next) = (open.ring.oldest_seq(), open.ring.next_seq());
        if Some(open.ring.log_id()) != self.log_id {
            self.on_foreign_ring(now_ns);
        } else if oldest <= cursor && cursor <= next {
            self.source = Source::Ring;
            self.foreign = Retry::default();
            self.ring_check_at_ns = now_ns + RING_CHECK_NS;
            self.enter(Stage::Ring, "");
        } else {
            let text = "the journal does not reach what the ring begins with";
            self.enter(Stage::JournalBehindRing, text);
            self.drop_replaced_ring(now_ns);
        }
    }

    /// Ring or journal is about to be replaced by one that fits the other; which, the next look
    /// tells.
    fn on_foreign_ring(&mut self, now_ns: u64) {
        self.enter(
            Stage::WaitingForRing,
            "the ring belongs to another log than the journal",
        );
        if self.foreign.is_due(now_ns) {
            self.foreign.later(now_ns);
            self.drop_replaced_ring(now_ns);
            self.source = Source::Waiting;
        }
    }

    /// Forgets an opened ring whose path names another one now; looks at most every 100 ms.
    fn drop_replaced_ring(&mut self, now_ns: u64) -> bool {
        if now_ns < self.ring_check_at_ns {
            return false;
        }
        self.ring_check_at_ns = now_ns + RING_CHECK_NS;
        let is_replaced = self
            .ring
            .as_ref()
            .is_some_and(|open| open.ring.writer_changed());
        if is_replaced {
            tracing::info!(ring = %self.ring_path.display(), "the ring has another writer");
            self.ring = None;
        }
        is_replaced
    }

    fn open_ring(&mut self, now_ns: u64) -> bool {
        if !self.retry.is_due(now_ns) {
            return false;
        }
        match Ring::open(&self.ring_path) {
            Ok(ring) => {
                self.retry = Retry::default();
                self.buffer.resize(ring.slot_bytes(), 0);
                let pulse = Pulse::of(&self.ring_path, &ring.incarnation());
                self.ring = Some(OpenRing { ring, pulse });
                true
            }
            Err(error) => {
                self.wait(now_ns, Stage::WaitingForRing, &error.to_string());
                false
            }
        }
    }

    fn read_ring(&mut self, channel: &mut BookChannel, metrics: &Metrics, now_ns: u64) -> usize {
        let Some(OpenRing { ring, .. }) = &self.ring else {
            self.source = Source::Waiting;
            return 0;
        };
        let mut count = 0;
        while count < BATCH {
            let seq = channel.cursor();
            let (header, len) = match ring.read(seq, &mut self.buffer) {
                Read::Record { header, len } => (header, len),
                Read::NotYet => {
                    self.caught_up = true;
                    // At rest: perhaps the writer was replaced. Whatever it published meanwhile,
                    // its successor has brought into the journal.
                    if count == 0 && self.drop_replaced_ring(now_ns) {
                        self.leave_ring();
                    }
                    return count;
                }
                Read::Lapped { oldest_seq } => {
                    metrics.laps.add(1);
                    tracing::warn!(seq, oldest_seq, "lapped by the ring: on from the journal");
                    self.leave_ring();
                    return count;
                }
            };
            let (kind, venue_seq, rx_ns) = (header.kind, header.venue_seq, header.rx_ns);
            let record = Record {
                seq,
                kind,
                venue_seq,
                rx_ns,
                payload: &self.buffer[..len],
            };
            if let Some(verdict) = self.checkpoints.follow(channel, record) {
                on_verdict(channel, &self.checkpoints, verdict);
            }
            if kind == kind::DATA {
                let is_late = header.stamp == stamp::USER || header.line == line::RETRANSMIT;
                metrics.rx_to_book(is_late, clock::realtime_ns().saturating_sub(rx_ns));
            }
            count += 1;
        }
        // Without an end in sight, nearly there is there: a busy channel is never quite at rest.
        self.caught_up |= ring.next_seq().saturating_sub(channel.cursor()) <= BATCH as u64;
        count
    }

    fn leave_ring(&mut self) {
        self.caught_up = false;
        self.source = Source::Waiting;
        self.retry = Retry::default();
        self.enter(Stage::WaitingForJournal, "");
    }

    /// A journal that cannot be read is tried again, and after a while passed by with the ring.
    fn on_journal_error(&mut self, channel: &mut BookChannel, now_ns: u64, error: &JournalError) {
        self.source = Source::Waiting;
        self.wait(now_ns, Stage::JournalDamaged, &error.to_string());
        let since_ns = *self.damaged_since_ns.get_or_insert(now_ns);
        if now_ns < since_ns + DAMAGE_PATIENCE_NS {
            return;
        }
        let is_there = self.ring.is_some() || self.open_ring_now();
        if !is_there || self.own_ring().is_none() {
            self.ring = None;
            return;
        }
        let Some(open) = &self.ring else { return };
        tracing::error!(
            cursor = channel.cursor(),
            oldest_seq = open.ring.oldest_seq(),
            %error,
            "the journal cannot be read: on with the ring"
        );
        channel.skip_to(open.ring.oldest_seq());
        self.source = Source::Ring;
        self.damaged_since_ns = None;
        self.enter(Stage::Ring, "");
    }

    fn open_ring_now(&mut self) -> bool {
        self.retry = Retry::default();
        self.open_ring(0)
    }

    /// The ring, if it continues the log that the cursor counts in.
    fn own_ring(&self) -> Option<&OpenRing> {
        self.ring
            .as_ref()
            .filter(|open| Some(open.ring.log_id()) == self.log_id)
    }

    /// A ring that its dead writer could not bring into the journal any more still holds records.
    fn fit_of_ring(&mut self, cursor: u64, mark: Option<RecordMark>) -> Fit {
        if self.ring.is_none() && !self.open_ring_now() {
            return Fit::Beyond;
        }
        let Some(open) = self
            .ring
            .as_ref()
            .filter(|o| Some(o.ring.log_id()) == self.log_id)
        else {
            return Fit::Beyond;
        };
        let seq = cursor - 1;
        match (open.ring.read(seq, &mut self.buffer), mark) {
            (Read::Record { header, len }, Some(mark)) => {
                let (kind, venue_seq, rx_ns) = (header.kind, header.venue_seq, header.rx_ns);
                let payload = &self.buffer[..len];
                let found = Record {
                    seq,
                    kind,
                    venue_seq,
                    rx_ns,
                    payload,
                }
                .mark();
                if found == mark { Fit::Fits } else { Fit::Other }
            }
            _ => Fit::Beyond,
        }
    }

    fn wait(&mut self, now_ns: u64, stage: Stage, problem: &str) {
        self.retry.later(now_ns);
        self.enter(stage, problem);
    }

    /// Enters a stage; a change of stage or problem is logged once.
    fn enter(&mut self, stage: Stage, problem: &str) {
        if self.stage == stage && self.problem == problem {
            return;
        }
        if problem.is_empty() {
            tracing::info!(stage = stage.name(), "feed");
        } else {
            tracing::warn!(stage = stage.name(), problem, "feed");
        }
        self.stage = stage;
        problem.clone_into(&mut self.problem);
    }
}

/// Books that a checkpoint contradicts are suspect from where they were last known to be right.
#[cold]
fn on_verdict(channel: &mut BookChannel, checkpoints: &Checkpoints, verdict: Verdict) {
    let Verdict::Different(difference) = verdict else {
        return;
    };
    let (expected, found) = (difference.expected, difference.found);
    let since = checkpoints.equal_until();
    tracing::error!(
        cursor = expected.cursor,
        next_sequence = expected.next_sequence,
        expected = format!("{:016x}", expected.state_hash),
        found = format!("{:016x}", found.state_hash),
        equal_until = since,
        "the books are not those of a checkpoint in the journal; tickdeck-book verify tells which \
         side a replay agrees with"
    );
    channel
        .books_mut()
        .mark_suspect_all(since, Cause::CheckpointMismatch);
}

/// A scout in front of books at `cursor`. Without one their checkpoints are not compared.
fn look_ahead(journal: &Path, cursor: u64) -> Option<Box<Scout>> {
    match Scout::open(journal, cursor) {
        Ok(scout) => Some(Box::new(scout)),
        Err(error) => {
            tracing::warn!(%error, cursor, "checkpoints of the journal are not compared");
            None
        }
    }
}
