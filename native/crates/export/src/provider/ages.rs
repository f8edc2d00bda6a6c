//! When each sequence became available, remembered the more coarsely the longer ago it was.

/// The newest end of the log at some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Newest sequence that may be sent.
    pub seq: u64,
    /// Bytes of the log up to it, from any origin.
    pub bytes: u64,
}

/// What the head was since the history began.
///
/// What came within a grain is one cell; cells older than a minute are merged as long as a cell spans
/// no more than a 64th of its age. So a lag is never told too short, and too long by at most a grain
/// or a 64th of it: for some three weeks, beyond which the oldest cells become coarser still. Memory
/// is bounded by the count.
#[derive(Clone, Debug, Default)]
pub struct HeadHistory {
    /// Rising in time and sequence. The first one is what was there when the history began.
    cells: Vec<Cell>,
}

/// What came from one time to another, and the head then.
#[derive(Clone, Copy, Debug)]
struct Cell {
    since_ns: u64,
    until_ns: u64,
    head: Head,
}

impl HeadHistory {
    /// Most cells that are kept.
    pub const CAPACITY: usize = 4_096;
    /// Room that merging leaves at least: it is not done at each step.
    const ROOM: usize = 512;
    /// Longest time of a young cell.
    const GRAIN_NS: u64 = 60_000_000;
    const YOUNG_NS: u64 = 60_000_000_000;
    /// An old cell spans at most this part of its age.
    const PRECISION: u64 = 64;

    /// Notes the head. A lower one than before is a new log or another writer: all starts anew.
    pub fn note(&mut self, now_ns: u64, head: Head) {
        match self.cells.last() {
            Some(last) if last.head == head => return,
            Some(Cell { head: last, .. }) if head.seq < last.seq || head.bytes < last.bytes => {
                self.cells.clear();
            }
            _ => {}
        }
        let is_first = self.cells.len() <= 1;
        if let Some(last) = self.cells.last_mut().filter(|_| !is_first)
            && now_ns - last.since_ns < Self::GRAIN_NS
        {
            // It keeps its begin: the age of what lies in it is never told too short.
            (last.until_ns, last.head) = (now_ns, head);
            return;
        }
        if self.cells.len() == Self::CAPACITY {
            self.merge_old(now_ns);
        }
        if self.cells.capacity() == 0 {
            self.cells.reserve_exact(Self::CAPACITY);
        }
        self.cells.push(Cell {
            since_ns: now_ns,
            until_ns: now_ns,
            head,
        });
    }

    /// The newest head.
    #[must_use]
    pub fn head(&self) -> Head {
        self.cells.last().map_or(Head::default(), |cell| cell.head)
    }

    /// For how long what follows `seq` has been available; 0 when nothing follows it. What was there
    /// when the history began is as old as the history.
    #[must_use]
    pub fn age_ns(&self, now_ns: u64, seq: u64) -> u64 {
        let since = self.cells.get(self.cell_behind(seq));
        since.map_or(0, |cell| now_ns.saturating_sub(cell.since_ns))
    }

    /// Bytes of the log behind `seq`, as if the records of a cell were of one length.
    #[must_use]
    pub fn bytes_behind(&self, seq: u64) -> u64 {
        let (Some(first), head) = (self.cells.first(), self.head()) else {
            return 0;
        };
        if seq >= head.seq {
            return 0;
        }
        let at = self.cell_behind(seq);
        if let Some(before) = at.checked_sub(1) {
            let (from, to) = (self.cells[before].head, self.cells[at].head);
            let (bytes, records) = (to.bytes - from.bytes, to.seq - from.seq);
            let share = u128::from(bytes) * u128::from(seq - from.seq) / u128::from(records);
            // At most `bytes`.
            return head.bytes - from.bytes - share as u64;
        }
        // Older than the history: its average goes on.
        let (span, bytes) = (head.seq - first.head.seq, head.bytes - first.head.bytes);
        let each = bytes
            .checked_div(span)
            .unwrap_or(0)
            .max(Self::LEAST_RECORD_BYTES);
        bytes + (first.head.seq - seq).saturating_mul(each)
    }

    /// Cells in memory, at most [`CAPACITY`](Self::CAPACITY).
    #[must_use]
    pub fn cells(&self) -> usize {
        self.cells.len()
    }

    /// The cell in which what follows `seq` came.
    fn cell_behind(&self, seq: u64) -> usize {
        self.cells.partition_point(|cell| cell.head.seq <= seq)
    }

    /// Merges neighbours as far as their age lets it, and the oldest ones beyond that when it is not
    /// enough.
    fn merge_old(&mut self, now_ns: u64) {
        // The first one is the origin of sequences and bytes.
        let mut kept = 1;
        for at in 1..self.cells.len() {
            let cell = self.cells[at];
            let age_ns = now_ns.saturating_sub(cell.until_ns);
            let most_ns = match age_ns < Self::YOUNG_NS {
                true => 0,
                false => age_ns / Self::PRECISION,
            };
            let last = &mut self.cells[kept - 1];
            if kept > 1 && cell.until_ns - last.since_ns <= most_ns {
                (last.until_ns, last.head) = (cell.until_ns, cell.head);
            } else {
                self.cells[kept] = cell;
                kept += 1;
            }
        }
        self.cells.truncate(kept);
        let excess = (kept + Self::ROOM).saturating_sub(Self::CAPACITY);
        if excess > 0 {
            let since_ns = self.cells[1].since_ns;
            self.cells.drain(1..=excess);
            self.cells[1].since_ns = since_ns;
        }
    }

    /// A record's header, and hardly anything.
    const LEAST_RECORD_BYTES: u64 = 32;
}
