//! The queues between the receive thread and the watcher, and the receive thread's end of them.
//!
//! The receive thread reads its own counters (some `getsockopt`s) once a second, and at a gap that
//! both lines missed, at most once per [`ASK_INTERVAL_NS`]: a storm of gaps costs ten readings a
//! second. Gaps of the same interval share the reading at its end. Nobody waits for a verdict; a
//! gap that found no room gets none, and is counted.

use rtrb::{Consumer, Producer, RingBuffer};
use tickdeck_stats::gaps::SLOTS;

use super::own::Own;

/// Least time between two readings at gaps.
const ASK_INTERVAL_NS: u64 = 100_000_000;
/// Notes in flight: ten seconds of readings, and the gaps of the whole table.
const NOTES: usize = SLOTS + 128;

/// What the receive thread tells.
#[derive(Debug)]
pub(in crate::rx) enum Note {
    /// A reading of its own counters, complete at `at_ns`.
    Counts { at_ns: u64, own: Own },
    /// A gap that belongs to the reading told last.
    Gap(GapNote),
}

/// A gap that asks for a verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::rx) struct GapNote {
    pub(in crate::rx) id: u64,
    /// When the last packet in front of it came, monotonic ns: nothing of it was lost before.
    pub(in crate::rx) since_ns: u64,
    /// Messages that did not fit behind the gap before and were dropped: they are the next gap, and
    /// may have been lost long before it is seen.
    pub(in crate::rx) hold_dropped: u64,
}

/// A verdict for the gap table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rx) struct Found {
    pub(in crate::rx) id: u64,
    /// [`super::verdict::Verdict::code`].
    pub(in crate::rx) layer: u64,
    pub(in crate::rx) lost: u64,
}

/// The receive thread's end.
pub(in crate::rx) struct Asker {
    notes: Producer<Note>,
    found: Consumer<Found>,
    /// By `id % SLOTS`: gaps that are open.
    opened: Vec<GapNote>,
    /// What the merge had dropped when the last gap opened.
    hold_dropped: u64,
    /// Gaps that wait for a reading.
    waiting: Vec<GapNote>,
    ask_due_ns: u64,
    unanswered: usize,
    /// Gaps without a verdict, because there was no room.
    pub(in crate::rx) skipped: u64,
}

/// The watcher's end.
pub(in crate::rx) struct WatchEnd {
    pub(in crate::rx) notes: Consumer<Note>,
    pub(in crate::rx) found: Producer<Found>,
}

/// Makes the queues.
pub(in crate::rx) fn link() -> (Asker, WatchEnd) {
    let (notes_in, notes_out) = RingBuffer::new(NOTES);
    let (found_in, found_out) = RingBuffer::new(NOTES);
    let asker = Asker {
        notes: notes_in,
        found: found_out,
        opened: vec![GapNote::default(); SLOTS],
        hold_dropped: 0,
        waiting: Vec::with_capacity(SLOTS),
        ask_due_ns: 0,
        unanswered: 0,
        skipped: 0,
    };
    let end = WatchEnd {
        notes: notes_out,
        found: found_in,
    };
    (asker, end)
}

impl Asker {
    /// A gap opened; the last packet in front of it came at `since_ns`, and the merge has dropped
    /// `hold_dropped` messages since its start.
    pub(in crate::rx) fn opened(&mut self, id: u64, since_ns: u64, hold_dropped: u64) {
        self.opened[slot(id)] = GapNote {
            id,
            since_ns,
            hold_dropped: hold_dropped - self.hold_dropped,
        };
        self.hold_dropped = hold_dropped;
    }

    /// Both lines missed the gap: it wants a verdict.
    pub(in crate::rx) fn missed(&mut self, id: u64) {
        let note = self.opened[slot(id)];
        // No allocation here: the list never grows beyond its room.
        if note.id == id && self.waiting.len() < self.waiting.capacity() {
            self.waiting.push(note);
        } else {
            self.skipped += 1;
        }
    }

    /// Whether a gap waits for a reading, and one may be made.
    #[inline]
    pub(in crate::rx) fn wants_counts(&self, now_ns: u64) -> bool {
        !self.waiting.is_empty() && now_ns >= self.ask_due_ns
    }

    /// Tells a reading, and the gaps that waited for it.
    pub(in crate::rx) fn tell(&mut self, at_ns: u64, own: Own) {
        if self.notes.push(Note::Counts { at_ns, own }).is_err() {
            // Gaps must not be judged by an older reading: they wait for the next.
            return;
        }
        if self.waiting.is_empty() {
            return;
        }
        self.ask_due_ns = at_ns + ASK_INTERVAL_NS;
        for note in self.waiting.drain(..) {
            match self.notes.push(Note::Gap(note)) {
                Ok(()) => self.unanswered += 1,
                Err(_) => self.skipped += 1,
            }
        }
    }

    /// The next verdict; costs nothing while none is awaited.
    #[inline]
    pub(in crate::rx) fn next_found(&mut self) -> Option<Found> {
        if self.unanswered == 0 {
            return None;
        }
        let found = self.found.pop().ok()?;
        self.unanswered -= 1;
        Some(found)
    }
}

fn slot(id: u64) -> usize {
    (id % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(end: &mut WatchEnd) -> Vec<Option<GapNote>> {
        let notes = std::iter::from_fn(|| end.notes.pop().ok());
        let gap = |note| match note {
            Note::Counts { .. } => None,
            Note::Gap(gap) => Some(gap),
        };
        notes.map(gap).collect()
    }

    /// Gaps of one interval share a reading, which comes before them; a gap that the other line
    /// brought asks for nothing. What the hold dropped is charged to the next gap, once.
    #[test]
    fn gaps_of_an_interval_share_a_reading() {
        let (mut asker, mut end) = link();
        for id in 1..=4 {
            asker.opened(id, id * 10, id / 3 * 7);
        }
        assert!(!asker.wants_counts(u64::MAX));
        asker.missed(1);
        assert!(asker.wants_counts(5));
        asker.tell(5, Own::default());
        asker.missed(3);
        asker.missed(4);
        assert!(!asker.wants_counts(5 + ASK_INTERVAL_NS - 1));
        assert!(asker.wants_counts(5 + ASK_INTERVAL_NS));
        asker.tell(5 + ASK_INTERVAL_NS, Own::default());
        let gap = |id, since_ns, hold_dropped| {
            Some(GapNote {
                id,
                since_ns,
                hold_dropped,
            })
        };
        assert_eq!(
            told(&mut end),
            [None, gap(1, 10, 0), None, gap(3, 30, 7), gap(4, 40, 0)]
        );
    }

    /// A storm of gaps and a watcher that stands still cost verdicts, which are counted, and
    /// nothing else.
    #[test]
    fn storm_is_bounded_and_counted() {
        let (mut asker, mut end) = link();
        for id in 1..=2_000 {
            asker.opened(id, 0, 0);
            asker.missed(id);
            if id % 500 == 0 {
                asker.tell(id, Own::default());
            }
        }
        let gaps = told(&mut end).into_iter().flatten().count() as u64;
        assert_eq!(gaps + asker.skipped + asker.waiting.len() as u64, 2_000);
        assert!(asker.skipped > 1_000 && asker.waiting.capacity() == SLOTS);
    }
}
