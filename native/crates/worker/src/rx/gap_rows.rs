//! The gap table of the stats file: one row per gap, kept current from the merge's events and
//! from what the recovery reports. Only the receive thread writes it.

use tickdeck_arbiter::{Gap, LossReason};
use tickdeck_net::clock;
use tickdeck_stats::gaps::SLOTS;
use tickdeck_stats::{GapRow, GapState, GapTable};

pub(super) struct GapRows {
    table: GapTable,
    rows: Vec<GapRow>,
}

impl GapRows {
    pub(super) fn new(table: GapTable) -> Self {
        Self {
            table,
            rows: vec![GapRow::default(); SLOTS],
        }
    }

    /// A gap was seen; it waits for the other line.
    pub(super) fn opened(&mut self, gap: &Gap) {
        let row = GapRow {
            id: gap.id,
            first: gap.first,
            last: gap.last,
            state: GapState::Waiting,
            detected_ns: utc_of(gap.opened_ns),
            missing: gap.last - gap.first + 1,
            ..GapRow::default()
        };
        self.rows[slot(gap.id)] = row;
        self.table.put(&row);
    }

    /// A part came.
    pub(super) fn progressed(&mut self, id: u64, missing: u64, source: u16) {
        self.change(id, |row| {
            row.missing = missing;
            row.sources |= u64::from(source);
            if row.state == GapState::Requested {
                row.state = GapState::Partial;
            }
        });
    }

    /// The venue was asked.
    pub(super) fn requested(&mut self, id: u64, requests: u32, at_ns: u64) {
        self.change(id, |row| {
            row.attempts = u64::from(requests);
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

    /// Which lines missed it is known.
    pub(super) fn missed_by(&mut self, id: u64, lines: u16) {
        self.change(id, |row| row.lines_missed |= u64::from(lines));
    }

    /// The output has passed it and nothing was lost.
    pub(super) fn filled(&mut self, id: u64, sources: u16) {
        self.change(id, |row| {
            row.state = GapState::Filled;
            row.sources |= u64::from(sources);
            row.missing = 0;
            row.closed_ns = clock::realtime_ns();
        });
    }

    /// The output has passed it and `lost` messages were given up.
    pub(super) fn unrecovered(&mut self, id: u64, lost: u64, sources: u16, reason: LossReason) {
        self.change(id, |row| {
            row.state = GapState::Unrecoverable;
            row.sources |= u64::from(sources);
            row.reason = reason as u64;
            row.missing = lost;
            row.closed_ns = clock::realtime_ns();
        });
    }

    /// The ladder's verdict; it may come when the gap is closed already.
    pub(super) fn found(&mut self, id: u64, layer: u64, lost: u64) {
        let row = &mut self.rows[slot(id)];
        if row.id == id {
            (row.drop_layer, row.drop_count) = (layer, lost);
            self.table.put(row);
        }
    }

    /// Changes a row, unless a newer gap has taken its slot.
    fn change(&mut self, id: u64, change: impl FnOnce(&mut GapRow)) {
        let row = &mut self.rows[slot(id)];
        if row.id == id && !row.state.is_final() {
            change(row);
            self.table.put(row);
        }
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

fn slot(id: u64) -> usize {
    (id % SLOTS as u64) as usize
}
