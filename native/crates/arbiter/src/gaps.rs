//! The gaps that the output has not passed yet.
//!
//! A gap always opens at the highest sequence number known, so the deque is in order of sequence
//! and of opening time at once. Which messages of a gap are missing is not kept here: it is what
//! the hold does not have.

use std::collections::VecDeque;

use tickdeck_wire::record::LossReason;

use crate::io::{Event, Gap, Source};
use crate::ranges::Span;

/// A gap that the output has not passed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapView {
    /// The gap.
    pub gap: Gap,
    /// Messages of it that are still missing.
    pub missing: u64,
    /// Messages of it that were given up and passed.
    pub lost: u64,
    /// Whether [`Event::GapWaitOver`] was told of it.
    pub wait_over: bool,
    /// Why it was given up; what is missing is lost when the output comes to it.
    pub given_up: Option<LossReason>,
    /// Why messages of it were lost, once the output has passed any.
    pub lost_for: Option<LossReason>,
    /// Who brought parts of it, as [`Source::bit`]s.
    pub sources: u16,
}

#[derive(Debug)]
pub(crate) struct Gaps {
    open: VecDeque<GapView>,
    capacity: usize,
    /// Index of the first gap whose reorder window may still run.
    waiting: usize,
    /// Gaps below this have waited long enough.
    passed: u64,
    next_id: u64,
}

impl Gaps {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            open: VecDeque::with_capacity(capacity),
            capacity,
            waiting: 0,
            passed: 0,
            next_id: 1,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.open.len() >= self.capacity
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether a gap may still wait for another line.
    #[inline]
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting < self.open.len()
    }

    /// The lines have left every gap below `sequence` behind: none of them waits longer.
    pub(crate) fn pass(&mut self, sequence: u64) {
        self.passed = self.passed.max(sequence);
    }

    /// Forgets how far the lines had come; all gaps are closed.
    pub(crate) fn begin_session(&mut self) {
        self.passed = 0;
    }

    /// Opens a gap behind all others; the caller knows that there is room.
    pub(crate) fn open(&mut self, hole: Span, now_ns: u64) -> Gap {
        debug_assert!(!self.is_full(), "a gap opens only where there is room");
        let gap = Gap {
            id: self.next_id,
            first: hole.first,
            last: hole.end - 1,
            opened_ns: now_ns,
        };
        self.next_id += 1;
        self.open.push_back(GapView {
            gap,
            missing: hole.len(),
            lost: 0,
            wait_over: false,
            given_up: None,
            lost_for: None,
            sources: 0,
        });
        gap
    }

    /// Takes `span` off what is missing and tells which gaps it was part of. Returns when the
    /// oldest of them was opened.
    pub(crate) fn credit(
        &mut self,
        span: Span,
        source: Source,
        mut tell: impl FnMut(Event),
    ) -> Option<u64> {
        let mut missed_ns = None;
        let start = self.open.partition_point(|view| view.gap.last < span.first);
        for view in self.open.iter_mut().skip(start) {
            let part = view.span().overlap(span);
            if part.len() == 0 {
                break;
            }
            missed_ns.get_or_insert(view.gap.opened_ns);
            view.missing -= part.len();
            view.sources |= source.bit();
            tell(Event::GapProgress {
                id: view.gap.id,
                first: part.first,
                last: part.end - 1,
                missing: view.missing,
                source,
                wait_over: view.wait_over,
            });
        }
        missed_ns
    }

    /// Marks a gap as given up; `false` when it is not open or was given up before.
    pub(crate) fn give_up(&mut self, id: u64, reason: LossReason) -> bool {
        match self.open.iter_mut().find(|view| view.gap.id == id) {
            Some(view) if view.given_up.is_none() => {
                view.given_up = Some(reason);
                true
            }
            _ => false,
        }
    }

    pub(crate) fn give_up_all(&mut self, reason: LossReason) {
        for view in &mut self.open {
            view.given_up.get_or_insert(reason);
        }
    }

    /// The first gap, if the output stands in it.
    pub(crate) fn at(&mut self, sequence: u64) -> Option<&mut GapView> {
        self.open
            .front_mut()
            .filter(|view| view.gap.first <= sequence)
    }

    /// Removes and returns the first gap if the output has passed it.
    pub(crate) fn pop_passed(&mut self, next: u64) -> Option<GapView> {
        let passed = self.open.front().is_some_and(|view| view.gap.last < next);
        let view = passed.then(|| self.open.pop_front()).flatten();
        if view.is_some() {
            self.waiting = self.waiting.saturating_sub(1);
        }
        view
    }

    /// Removes and returns the waits that are over; gaps that are complete need no asking.
    pub(crate) fn wait_over(&mut self, now_ns: u64, window_ns: u64) -> Option<Gap> {
        while let Some(view) = self.open.get_mut(self.waiting) {
            let is_over = view.gap.last < self.passed
                || view.gap.opened_ns.saturating_add(window_ns) <= now_ns;
            if view.missing > 0 && !is_over {
                return None;
            }
            self.waiting += 1;
            if view.missing > 0 && view.given_up.is_none() {
                view.wait_over = true;
                return Some(view.gap);
            }
        }
        None
    }

    /// When the next wait is over.
    pub(crate) fn next_deadline_ns(&self, window_ns: u64) -> Option<u64> {
        let waiting = self.open.get(self.waiting)?;
        if waiting.gap.last < self.passed {
            return Some(waiting.gap.opened_ns);
        }
        Some(waiting.gap.opened_ns.saturating_add(window_ns))
    }

    pub(crate) fn get(&self, id: u64) -> Option<&GapView> {
        self.open.iter().find(|view| view.gap.id == id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &GapView> {
        self.open.iter()
    }
}

impl GapView {
    pub(crate) fn span(&self) -> Span {
        Span {
            first: self.gap.first,
            end: self.gap.last + 1,
        }
    }
}
