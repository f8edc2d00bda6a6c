//! When each sequence became available, remembered coarsely.

use std::collections::VecDeque;

/// The newest end of the log at some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Newest sequence that may be sent.
    pub seq: u64,
    /// Bytes of the log up to it, from any origin.
    pub bytes: u64,
}

/// What the head was over the last minute or so.
///
/// Samples are merged so that they are no closer than the grain; memory is bounded by the count.
#[derive(Clone, Debug, Default)]
pub struct HeadHistory {
    /// Rising in time and sequence: from this time on, the log had at least this.
    samples: VecDeque<(u64, Head)>,
}

impl HeadHistory {
    /// Most samples that are kept.
    const CAPACITY: usize = 2_048;
    /// Time in which at most two of them lie: together they span a minute.
    const GRAIN_NS: u64 = 60_000_000;

    /// Notes the head. A lower one than before is a new log or another writer: all starts anew.
    pub fn note(&mut self, now_ns: u64, head: Head) {
        match self.samples.back() {
            Some((_, last)) if *last == head => return,
            Some((_, last)) if head.seq < last.seq || head.bytes < last.bytes => {
                self.samples.clear();
            }
            _ => {}
        }
        // The newest sample may be overwritten while the one before it is near.
        let len = self.samples.len();
        if len >= 2 && now_ns - self.samples[len - 2].0 < Self::GRAIN_NS {
            // It keeps its time: the age of what lies in it is never told too short.
            self.samples[len - 1].1 = head;
            return;
        }
        if len == Self::CAPACITY {
            self.samples.pop_front();
        }
        self.samples.push_back((now_ns, head));
    }

    /// The newest head.
    #[must_use]
    pub fn head(&self) -> Head {
        self.samples
            .back()
            .map_or(Head::default(), |(_, head)| *head)
    }

    /// For how long what follows `seq` has been available; 0 when nothing follows it. Longer than
    /// the history reaches is told as its length.
    #[must_use]
    pub fn age_ns(&self, now_ns: u64, seq: u64) -> u64 {
        let behind = self.samples.partition_point(|(_, head)| head.seq <= seq);
        let since = self.samples.get(behind);
        since.map_or(0, |(time_ns, _)| now_ns.saturating_sub(*time_ns))
    }

    /// Bytes of the log behind `seq`, too many by what came within a grain.
    #[must_use]
    pub fn bytes_behind(&self, seq: u64) -> u64 {
        let (Some(first), head) = (self.samples.front(), self.head()) else {
            return 0;
        };
        if seq >= head.seq {
            return 0;
        }
        let behind = self.samples.partition_point(|(_, head)| head.seq <= seq);
        match behind.checked_sub(1).map(|at| self.samples[at].1) {
            Some(at) => head.bytes - at.bytes,
            // Older than the history: its average goes on.
            None => {
                let (span, bytes) = (head.seq - first.1.seq, head.bytes - first.1.bytes);
                let each = bytes
                    .checked_div(span)
                    .unwrap_or(0)
                    .max(Self::LEAST_RECORD_BYTES);
                bytes + (first.1.seq - seq).saturating_mul(each)
            }
        }
    }

    /// A record's header, and hardly anything.
    const LEAST_RECORD_BYTES: u64 = 32;
}
