//! What each line brought and what it skipped, whatever the other lines did.
//!
//! A line shows a loss itself: a packet, or a heartbeat, that begins behind the sequence number
//! the line should show next. The skipped numbers are remembered, so that a late copy on the
//! same line is told from a second copy of something it had already brought: only the first
//! takes the loss back. The memory is bounded; what falls out of it stays counted as lost.
//! A line's account of a session begins with its own first packet: what was sent before this
//! receiver listened is no loss of the line.

use crate::counters::LineCounters;
use crate::ranges::{RangeSet, Span};

/// Ranges remembered per line.
const REMEMBERED_RANGES: usize = 4096;

#[derive(Debug)]
pub(crate) struct LineBook {
    /// The lowest sequence number the line has shown; `None` before its first packet.
    start: Option<u64>,
    next: u64,
    skipped: RangeSet,
    /// The longest run of a session before.
    run_most_before: u64,
}

impl LineBook {
    pub(crate) fn new() -> Self {
        Self {
            start: None,
            next: 0,
            skipped: RangeSet::with_capacity(REMEMBERED_RANGES),
            run_most_before: 0,
        }
    }

    /// Forgets the sequence numbers of the session before; totals stay.
    pub(crate) fn begin_session(&mut self, counters: &mut LineCounters) {
        self.run_most_before = self.loss_run_most();
        self.start = None;
        self.next = 0;
        self.skipped.clear();
        counters.next_sequence = 0;
    }

    /// Accounts for a packet that carries `span`, which is empty for a heartbeat.
    #[inline]
    pub(crate) fn on_packet(&mut self, span: Span, counters: &mut LineCounters) {
        counters.packets += 1;
        counters.messages += span.len();
        if self.start.is_some() && span.first == self.next {
            self.next = span.end;
        } else {
            self.out_of_order(span, counters);
        }
        counters.next_sequence = self.next;
    }

    /// The longest run of consecutive numbers that the line skipped and has not brought late.
    /// Looks through all that is remembered.
    pub(crate) fn loss_run_most(&self) -> u64 {
        self.run_most_before.max(self.skipped.longest())
    }

    /// How many messages of `span` this line skipped.
    pub(crate) fn skipped_in(&self, span: Span) -> u64 {
        self.skipped.count_in(span)
    }

    #[cold]
    fn out_of_order(&mut self, span: Span, counters: &mut LineCounters) {
        let Some(start) = self.start else {
            self.start = Some(span.first);
            self.next = span.end;
            return;
        };
        if span.first > self.next {
            self.skip(self.next, span.first, counters);
            self.next = span.end;
            return;
        }
        if span.len() == 0 {
            return;
        }
        if span.first < start {
            // The line's first packet was overtaken: between the two, something is missing.
            self.skip(span.end, start, counters);
            self.start = Some(span.first);
        }
        counters.lost = counters.lost.saturating_sub(self.skipped.remove(span));
        self.next = self.next.max(span.end);
    }

    fn skip(&mut self, first: u64, end: u64, counters: &mut LineCounters) {
        let span = Span { first, end };
        counters.lost = counters.lost.saturating_add(span.len());
        self.skipped.insert(span);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(first: u64, end: u64) -> Span {
        Span { first, end }
    }

    fn feed(packets: &[Span]) -> LineCounters {
        let mut book = LineBook::new();
        let mut counters = LineCounters::default();
        for packet in packets {
            book.on_packet(*packet, &mut counters);
        }
        counters
    }

    /// A late copy takes a loss back once; a second copy of it changes nothing.
    #[test]
    fn late_arrival_reduces_the_loss_once() {
        assert_eq!(feed(&[span(1, 3), span(6, 8)]).lost, 3);
        assert_eq!(feed(&[span(1, 3), span(6, 8), span(4, 5)]).lost, 2);
        assert_eq!(
            feed(&[span(1, 3), span(6, 8), span(4, 5), span(4, 5)]).lost,
            2
        );
        assert_eq!(
            feed(&[span(1, 3), span(6, 8), span(6, 8), span(1, 3)]).lost,
            3
        );
    }

    /// A heartbeat shows a loss at the tail; one with an older number shows nothing.
    #[test]
    fn heartbeat_shows_a_loss() {
        assert_eq!(feed(&[span(1, 3), span(9, 9)]).lost, 6);
        assert_eq!(feed(&[span(1, 3), span(2, 2)]).lost, 0);
    }

    proptest! {
        /// In any order and with copies, the loss is what lies between the lowest and the
        /// highest number the line has shown and never arrived on it.
        #[test]
        fn loss_is_what_never_arrived(
            packets in proptest::collection::vec((1..60u64, 1..6u64), 1..80),
        ) {
            let packets: Vec<Span> = packets.iter().map(|(f, n)| span(*f, f + n)).collect();
            let arrived: std::collections::BTreeSet<u64> =
                packets.iter().flat_map(|p| p.first..p.end).collect();
            let low = *arrived.first().expect("at least one packet");
            let high = *arrived.last().expect("at least one packet");
            prop_assert_eq!(feed(&packets).lost, high - low + 1 - arrived.len() as u64);
        }
    }
}
