//! The gap ledger: one row per gap, kept current from the merge's events, from what the recovery
//! reports and from what operators say. Only the receive thread writes it.
//!
//! A row lives twice. The table of the stats file shows the last 256 gaps as they are now; it
//! outlives a crash. The stream, and so the journal, gets each row when its gap is closed, and
//! again when the ladder's verdict comes later; rows that are due wait in `due` until the merge
//! publishes them.

use tickdeck_arbiter::{Gap, LossReason, Source};
use tickdeck_net::clock;
use tickdeck_stats::gaps::SLOTS;
use tickdeck_stats::{GapRow, GapState, GapTable};
use tickdeck_wire::ledger::{FAULTS, LedgerRow, SNAPSHOT_BIT};
use tickdeck_wire::moldudp64::Session;

pub(super) struct GapRows {
    table: GapTable,
    incarnation: [u8; 16],
    channel: u16,
    /// By `id % rows.len()`: more than can be open at a time.
    rows: Vec<Kept>,
    /// Id of the newest gap.
    newest: u64,
    /// Rows for the stream.
    due: Vec<Kept>,
}

/// A row and the session of its numbers.
#[derive(Clone, Copy)]
struct Kept {
    row: GapRow,
    session: Session,
}

impl GapRows {
    /// `most_open` is how many gaps the merge can have open at a time.
    pub(super) fn new(
        table: GapTable,
        incarnation: [u8; 16],
        channel: u16,
        most_open: usize,
    ) -> Self {
        let unused = Kept {
            row: GapRow::default(),
            session: Session([b' '; 10]),
        };
        Self {
            table,
            incarnation,
            channel,
            rows: vec![unused; SLOTS.max(2 * most_open)],
            newest: 0,
            // All rows can be due at once, by a snapshot.
            due: Vec::with_capacity(SLOTS.max(2 * most_open)),
        }
    }

    /// A gap was seen in this session; it waits for the other lines.
    pub(super) fn opened(&mut self, gap: &Gap, session: Session) {
        let row = GapRow {
            id: gap.id,
            first: gap.first,
            last: gap.last,
            state: GapState::Waiting,
            detected_ns: utc_of(gap.opened_ns),
            missing: gap.last - gap.first + 1,
            channel: u64::from(self.channel),
            ..GapRow::default()
        };
        let at = self.slot(gap.id);
        let before = std::mem::replace(&mut self.rows[at], Kept { row, session });
        if before.row.id != 0 && !before.row.state.is_final() {
            // It waits for a snapshot still, and there is no room to wait any longer.
            self.due.push(before);
        }
        self.newest = self.newest.max(gap.id);
        self.table.put(&row);
    }

    /// The reorder window is over, and these lines have gone on behind the gap without it.
    pub(super) fn waited(&mut self, id: u64, lines: u16) {
        self.change(id, |row| {
            row.waited_ns = clock::realtime_ns();
            row.lines_missed |= u64::from(lines);
        });
    }

    /// Which lines missed it is known.
    pub(super) fn missed_by(&mut self, id: u64, lines: u16) {
        self.change(id, |row| row.lines_missed |= u64::from(lines));
    }

    /// A part of `messages` came.
    pub(super) fn progressed(&mut self, id: u64, messages: u64, missing: u64, source: Source) {
        self.change(id, |row| {
            *brought_by(row, source) += messages;
            row.missing = missing;
            row.sources |= u64::from(source.bit());
            if row.partial_ns == 0 {
                row.partial_ns = clock::realtime_ns();
            }
            if row.state == GapState::Requested {
                row.state = GapState::Partial;
            }
        });
    }

    /// A source was asked.
    pub(super) fn requested(&mut self, id: u64, requests: u32, at_ns: u64) {
        self.change(id, |row| {
            row.attempts = u64::from(requests);
            row.requested_last_ns = at_ns;
            if row.requested_ns == 0 {
                row.requested_ns = at_ns;
            }
            if row.state == GapState::Waiting {
                row.state = GapState::Requested;
            }
        });
    }

    /// The recovery takes longer than promised.
    pub(super) fn slo_missed(&mut self, id: u64) {
        self.change(id, |row| row.slo_violated = true);
    }

    /// The output has passed it and nothing was lost.
    pub(super) fn filled(&mut self, id: u64, sources: u16) {
        self.change(id, |row| {
            row.sources |= u64::from(sources);
            row.missing = 0;
            close(row, GapState::Filled, clock::realtime_ns());
        });
    }

    /// The output has passed it and `lost` messages were given up. When a snapshot is to stand in
    /// for them, the row stays open until it does.
    pub(super) fn unrecovered(&mut self, id: u64, lost: u64, sources: u16, reason: LossReason) {
        self.change(id, |row| {
            row.sources |= u64::from(sources);
            row.reason = reason as u64;
            row.missing = lost;
            if reason == LossReason::Snapshot {
                row.state = GapState::Snapshot;
            } else {
                close(row, GapState::Unrecoverable, clock::realtime_ns());
            }
        });
    }

    /// The ladder's verdict; it may come when the gap is closed already.
    pub(super) fn found(&mut self, id: u64, layer: u64, lost: u64) {
        let at = self.slot(id);
        let kept = &mut self.rows[at];
        if kept.row.id != id {
            return;
        }
        (kept.row.drop_layer, kept.row.drop_count) = (layer, lost);
        if kept.row.state.is_final() {
            self.due.push(*kept);
        }
        self.show(at);
    }

    /// An operator noted something on it, closed or not.
    pub(super) fn noted(&mut self, id: u64) {
        self.amend(id, |row| row.noted = true);
    }

    /// Whether there was such a gap.
    pub(super) fn has_seen(&self, id: u64) -> bool {
        (1..=self.newest).contains(&id)
    }

    /// The row of a gap, unless it is too old.
    pub(super) fn get(&self, id: u64) -> Option<&GapRow> {
        let row = &self.rows[self.slot(id)].row;
        (id != 0 && row.id == id).then_some(row)
    }

    /// Hands the rows that the stream is to get to `publish`, in order.
    pub(super) fn take_due(&mut self, mut publish: impl FnMut(&LedgerRow)) {
        for Kept { row, session } in self.due.drain(..) {
            publish(&LedgerRow::from_words(
                self.incarnation,
                session,
                &row.words(),
            ));
        }
    }

    /// Changes a row whose gap is open, unless a newer gap has taken its slot.
    fn change(&mut self, id: u64, change: impl FnOnce(&mut GapRow)) {
        let at = self.slot(id);
        let kept = &mut self.rows[at];
        if kept.row.id != id || kept.row.state.is_final() {
            return;
        }
        change(&mut kept.row);
        if kept.row.state.is_final() {
            self.due.push(*kept);
        }
        self.show(at);
    }

    /// Changes a row in the table, whether its gap is open or not.
    fn amend(&mut self, id: u64, change: impl FnOnce(&mut GapRow)) {
        let at = self.slot(id);
        if self.rows[at].row.id == id {
            change(&mut self.rows[at].row);
            self.show(at);
        }
    }

    /// Shows a row in the table, if it is one of the last that the table has.
    fn show(&self, at: usize) {
        let row = &self.rows[at].row;
        if self.newest - row.id < SLOTS as u64 {
            self.table.put(row);
        }
    }

    fn slot(&self, id: u64) -> usize {
        (id % self.rows.len() as u64) as usize
    }
}

/// What the recovery tells beside requests and answers.
impl GapRows {
    /// No source brings the rest: it waits for a snapshot.
    pub(super) fn snapshot_waited(&mut self, id: u64) {
        self.change(id, |row| row.state = GapState::Snapshot);
    }

    /// A snapshot that was whole at `at_ns`, UTC, stands in for what is missing.
    pub(super) fn snapshot_healed(&mut self, id: u64, at_ns: u64) {
        self.change(id, |row| {
            row.by_snapshot += std::mem::take(&mut row.missing);
            row.sources |= SNAPSHOT_BIT;
            row.reason = LossReason::Snapshot as u64;
            row.snapshot_ns = at_ns;
            close(row, GapState::Filled, at_ns);
        });
    }

    /// No snapshot comes for what the stream has passed already: it is lost for this reason.
    pub(super) fn snapshot_failed(&mut self, id: u64, reason: LossReason) {
        self.change(id, |row| {
            row.reason = reason as u64;
            close(row, GapState::Unrecoverable, clock::realtime_ns());
        });
    }

    /// `session` has taken over: no snapshot will stand in for what was lost of another.
    pub(super) fn session_began(&mut self, session: Session) {
        for at in 0..self.rows.len() {
            let kept = &self.rows[at];
            if kept.row.state == GapState::Snapshot && kept.session != session {
                self.snapshot_failed(kept.row.id, LossReason::SessionEnded);
            }
        }
    }

    /// As [`Self::snapshot_healed`] for every gap that waits for a snapshot and lies below the
    /// number that it resumes at.
    pub(super) fn healed_below(&mut self, resume_sequence: u64, at_ns: u64) {
        self.heal(|row| row.last < resume_sequence, at_ns);
    }

    /// As [`Self::snapshot_healed`] for this gap and those before it that wait for a snapshot.
    pub(super) fn healed_up_to(&mut self, newest: u64, at_ns: u64) {
        self.heal(|row| row.id <= newest, at_ns);
    }

    fn heal(&mut self, is_meant: impl Fn(&GapRow) -> bool, at_ns: u64) {
        for at in 0..self.rows.len() {
            let row = &self.rows[at].row;
            if row.state == GapState::Snapshot && is_meant(row) {
                self.snapshot_healed(row.id, at_ns);
            }
        }
    }

    /// A source lied while the gap was open; `code` is a place in [`FAULTS`]. The word of a gap
    /// that was just closed may come behind it; then the stream gets the row again.
    pub(super) fn fault(&mut self, id: u64, code: u64) {
        debug_assert!(code < FAULTS.len() as u64, "{code} is a fault");
        let at = self.slot(id);
        let kept = &mut self.rows[at];
        if kept.row.id != id || kept.row.fault == code {
            return;
        }
        kept.row.fault = code;
        if kept.row.state.is_final() {
            self.due.push(*kept);
        }
        self.show(at);
    }

    /// Answers to its requests went into the merge.
    pub(super) fn injected(&mut self, id: u64, packets: u64) {
        self.change(id, |row| row.injected += packets);
    }

    /// An answer came of which nothing was wanted any more. Mostly its gap is closed by then; only
    /// the table shows it.
    pub(super) fn stale_answer(&mut self, first: u64) {
        let covers = |row: &GapRow| row.id != 0 && (row.first..=row.last).contains(&first);
        let rows = self.rows.iter().map(|kept| &kept.row);
        let newest = rows.filter(|row| covers(row)).map(|row| row.id).max();
        if let Some(id) = newest {
            self.amend(id, |row| row.stale_answers += 1);
        }
    }
}

fn close(row: &mut GapRow, state: GapState, at_ns: u64) {
    row.state = state;
    row.closed_ns = at_ns;
}

/// The count of what a source brought.
fn brought_by(row: &mut GapRow, source: Source) -> &mut u64 {
    match source {
        Source::Line(0) => &mut row.by_line_a,
        Source::Line(1) => &mut row.by_line_b,
        Source::Line(_) => &mut row.by_other_lines,
        Source::Retransmit => &mut row.by_request,
        Source::Stream => &mut row.by_stream,
        Source::Peer => &mut row.by_peer,
    }
}

/// The UTC time of a monotonic time in the near past.
pub(super) fn utc_of(monotonic_ns: u64) -> u64 {
    let age_ns = clock::monotonic_ns().saturating_sub(monotonic_ns);
    clock::realtime_ns().saturating_sub(age_ns)
}

/// The monotonic time of a UTC time in the near past.
pub(super) fn monotonic_of(utc_ns: u64) -> u64 {
    let age_ns = clock::realtime_ns().saturating_sub(utc_ns);
    clock::monotonic_ns().saturating_sub(age_ns)
}

#[cfg(test)]
mod tests;
