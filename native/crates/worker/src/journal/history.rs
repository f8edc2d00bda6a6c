//! The gap ledger as a journal tells it: rows, what the events of the stream say of the same gaps,
//! and what operators noted.
//!
//! A row comes when a gap is closed, so a gap that was open when its worker died has none: all that
//! is known of it is its GAP_OPEN. Ids begin anew with each incarnation of the worker. A new one
//! is seen by a GAP_OPEN whose id is not above the last, or by the name in a row.

use tickdeck_wire::ledger::{LedgerNote, LedgerRow};
use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::record::{
    GapEvent, JournalHole, LossReason, LostEvent, PayloadError, SessionEvent, SessionEventKind,
    kind,
};

/// Every gap of the records taken so far. Grows with the gaps, not with the journal.
#[derive(Debug, Default)]
pub(super) struct History {
    /// In the order of opening.
    gaps: Vec<GapHistory>,
    /// The incarnations in whose records gaps are, the oldest first.
    incarnations: Vec<Incarnation>,
    session: Option<Session>,
    /// Records that the journal does not have.
    holes: u64,
}

/// One incarnation of the worker.
#[derive(Debug)]
struct Incarnation {
    /// Known once one of its rows was read.
    name: Option<[u8; 16]>,
    /// Id of its newest gap.
    newest: u64,
    /// Where its gaps begin.
    from: usize,
}

/// All that is known of one gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GapHistory {
    /// Number of the incarnation that saw it, from 1.
    pub(super) incarnation: usize,
    pub(super) id: u64,
    pub(super) first: u64,
    pub(super) last: u64,
    /// When it was seen, UTC ns.
    pub(super) detected_ns: u64,
    pub(super) channel: u16,
    pub(super) session: Option<Session>,
    /// Journal sequence of its GAP_OPEN.
    pub(super) opened_seq: Option<u64>,
    /// Journal sequence of the GAP_FILLED.
    pub(super) filled_seq: Option<u64>,
    /// What was declared lost of it: first, last, reason.
    pub(super) lost: Vec<(u64, u64, LossReason)>,
    /// Its row, and the row's journal sequence.
    pub(super) row: Option<(LedgerRow, u64)>,
    pub(super) notes: Vec<Note>,
}

/// What an operator noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) at_ns: u64,
    pub(super) actor: String,
    pub(super) note: String,
}

/// What became of a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The row's own word.
    Row(&'static str),
    /// By the events alone: nothing of it was lost.
    Filled,
    /// By the events alone: something of it was lost.
    Lost,
    /// Lost in the stream; a snapshot is to stand in for it.
    WaitsForSnapshot,
    /// Nothing closes it.
    Open,
}

impl Outcome {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Row(name) => name,
            Self::Filled => "filled",
            Self::Lost => "unrecoverable",
            Self::WaitsForSnapshot => "snapshot",
            Self::Open => "open",
        }
    }
}

impl History {
    /// Takes a record; the others than those of gaps and sessions are nothing to it.
    ///
    /// # Errors
    /// [`PayloadError`] when the record is not what its kind says.
    pub(super) fn take(
        &mut self,
        seq: u64,
        channel: u16,
        kind: u8,
        payload: &[u8],
    ) -> Result<(), PayloadError> {
        match kind {
            kind::SESSION => self.on_session(&SessionEvent::decode(payload)?),
            kind::JOURNAL_HOLE => {
                let hole = JournalHole::decode(payload)?;
                self.holes += hole.to.saturating_sub(hole.from).saturating_add(1);
            }
            kind::GAP_OPEN => self.on_open(seq, channel, &GapEvent::decode(payload)?),
            kind::GAP_FILLED => {
                let event = GapEvent::decode(payload)?;
                self.of_event(channel, &event).filled_seq = Some(seq);
            }
            kind::GAP_LOST => {
                let LostEvent { gap, reason } = LostEvent::decode(payload)?;
                let lost = (gap.first, gap.last, reason);
                self.of_event(channel, &gap).lost.push(lost);
            }
            kind::GAP_ROW => self.on_row(seq, &LedgerRow::decode(payload)?),
            kind::GAP_NOTE => self.on_note(&LedgerNote::decode(payload)?),
            _ => {}
        }
        Ok(())
    }

    /// The gaps, in the order of opening.
    pub(super) fn gaps(&self) -> &[GapHistory] {
        &self.gaps
    }

    /// Records that the journal does not have: what they said of gaps is not known.
    pub(super) fn holes(&self) -> u64 {
        self.holes
    }

    /// The name of the incarnation that saw a gap, if a row of it tells.
    pub(super) fn incarnation(&self, gap: &GapHistory) -> Option<[u8; 16]> {
        self.incarnations[gap.incarnation - 1].name
    }

    /// Whether the worker ended with the gap open, and another went on.
    pub(super) fn was_left_open(&self, gap: &GapHistory) -> bool {
        gap.outcome() == Outcome::Open && gap.incarnation < self.incarnations.len()
    }

    /// The gaps of later incarnations in which messages of this one were missing again.
    pub(super) fn continued_by<'a>(
        &'a self,
        gap: &'a GapHistory,
    ) -> impl Iterator<Item = &'a GapHistory> {
        let from = self.incarnations.get(gap.incarnation);
        let later = from.map_or(&[][..], |next| &self.gaps[next.from..]);
        let is_same = |other: &&GapHistory| {
            other.session == gap.session && other.first <= gap.last && gap.first <= other.last
        };
        later.iter().filter(is_same)
    }

    fn on_session(&mut self, event: &SessionEvent) {
        if event.kind != SessionEventKind::Ended {
            self.session = Some(event.session);
        }
    }

    fn on_open(&mut self, seq: u64, channel: u16, event: &GapEvent) {
        let newest = self.incarnations.last().map(|last| last.newest);
        if newest.is_none_or(|newest| event.gap_id <= newest) {
            self.begin_incarnation();
        }
        self.add(channel, event).opened_seq = Some(seq);
    }

    fn on_row(&mut self, seq: u64, row: &LedgerRow) {
        let known = self.incarnations.last().map(|last| last.name);
        if known.is_none_or(|name| name.is_some_and(|name| name != row.incarnation)) {
            self.begin_incarnation();
        }
        if let Some(last) = self.incarnations.last_mut() {
            last.name = Some(row.incarnation);
        }
        let event = GapEvent {
            gap_id: row.id,
            first: row.first,
            last: row.last,
            detected_ns: row.detected_ns,
        };
        // A channel is a u16 in the record around it, too.
        let channel = u16::try_from(row.channel).unwrap_or(u16::MAX);
        let gap = self.of_event(channel, &event);
        gap.row = Some((*row, seq));
        gap.session = Some(row.session);
    }

    fn on_note(&mut self, note: &LedgerNote<'_>) {
        let kept = Note {
            at_ns: note.at_ns,
            actor: note.actor.to_owned(),
            note: note.note.to_owned(),
        };
        let event = GapEvent {
            gap_id: note.gap_id,
            first: 0,
            last: 0,
            detected_ns: 0,
        };
        self.of_event(0, &event).notes.push(kept);
    }

    fn begin_incarnation(&mut self) {
        self.incarnations.push(Incarnation {
            name: None,
            newest: 0,
            from: self.gaps.len(),
        });
    }

    /// The gap of the present incarnation with the event's id; added when its opening is not among
    /// the records.
    fn of_event(&mut self, channel: u16, event: &GapEvent) -> &mut GapHistory {
        if self.incarnations.is_empty() {
            self.begin_incarnation();
        }
        let from = self.incarnations.last().map_or(0, |last| last.from);
        // The newest ones are asked for most.
        let found = self.gaps[from..]
            .iter()
            .rposition(|gap| gap.id == event.gap_id);
        let Some(place) = found else {
            return self.add(channel, event);
        };
        let gap = &mut self.gaps[from + place];
        if gap.first == 0 {
            // So far only a note named it.
            (gap.first, gap.last, gap.channel) = (event.first, event.last, channel);
            gap.detected_ns = event.detected_ns;
        }
        gap
    }

    fn add(&mut self, channel: u16, event: &GapEvent) -> &mut GapHistory {
        let incarnation = self.incarnations.len();
        if let Some(last) = self.incarnations.last_mut() {
            last.newest = last.newest.max(event.gap_id);
        }
        self.gaps.push(GapHistory {
            incarnation,
            id: event.gap_id,
            first: event.first,
            last: event.last,
            detected_ns: event.detected_ns,
            channel,
            session: self.session,
            opened_seq: None,
            filled_seq: None,
            lost: Vec::new(),
            row: None,
            notes: Vec::new(),
        });
        let last = self.gaps.len() - 1;
        &mut self.gaps[last]
    }
}

impl GapHistory {
    /// What became of it.
    pub(super) fn outcome(&self) -> Outcome {
        let by_row = self
            .row
            .and_then(|(row, _)| tickdeck_wire::ledger::state_name(row.state));
        let waits = |(_, _, reason): &(u64, u64, LossReason)| *reason == LossReason::Snapshot;
        match by_row {
            Some(name) => Outcome::Row(name),
            None if self.filled_seq.is_some() => Outcome::Filled,
            None if self.lost.is_empty() => Outcome::Open,
            None if self.lost.iter().all(waits) => Outcome::WaitsForSnapshot,
            None => Outcome::Lost,
        }
    }

    /// Messages of it that the stream declared lost.
    pub(super) fn messages_lost(&self) -> u64 {
        let length = |(first, last, _): &(u64, u64, LossReason)| last.saturating_sub(*first) + 1;
        self.lost.iter().map(length).sum()
    }

    /// Where the row, the events of the stream and the gap itself contradict each other. Nothing is
    /// said when the opening is not among the records: then others may be missing as well.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let (Some((row, _)), Some(_)) = (&self.row, self.opened_seq) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        if (row.first, row.last) != (self.first, self.last) {
            found.push(format!(
                "the row is of {}..={}, its GAP_OPEN of {}..={}",
                row.first, row.last, self.first, self.last
            ));
        }
        let brought = [
            row.by_line_a,
            row.by_line_b,
            row.by_other_lines,
            row.by_request,
            row.by_stream,
            row.by_peer,
            row.by_snapshot,
        ];
        let told = brought.iter().chain([&row.missing]);
        let told: u128 = told.map(|messages| u128::from(*messages)).sum();
        let size = u128::from(row.last.saturating_sub(row.first)) + 1;
        if told != size {
            found.push(format!("the row accounts for {told} of {size} messages"));
        }
        let lost = self.messages_lost();
        if lost != row.missing + row.by_snapshot {
            found.push(format!(
                "the stream declares {lost} messages lost, the row {}",
                row.missing + row.by_snapshot
            ));
        }
        if lost > 0 && self.filled_seq.is_some() {
            found.push("the stream has both a GAP_FILLED and a GAP_LOST of it".to_owned());
        }
        found
    }
}

#[cfg(test)]
mod tests;
