//! What goes in: a packet is cut into pieces, and each is delivered, held, or compared with what
//! was there before it.
//!
//! Nearly every packet is the next one of the stream or a whole copy of an earlier one. Both go
//! a short way; everything else goes through [`Arbiter::take_in_pieces`].

use crate::copies::{First, difference};
use crate::hold::Cover;
use crate::io::{Conflict, Disposition, Event, Output, Source};
use crate::pieces::{Piece, Taken};
use crate::ranges::Span;

use super::Arbiter;

impl Arbiter {
    /// Data of a line.
    #[inline]
    pub(super) fn on_data(
        &mut self,
        line: usize,
        piece: Piece<'_>,
        now_ns: u64,
        out: &mut impl Output,
    ) -> Disposition {
        let span = piece.span;
        let disposition = if span.first == self.next && self.is_clear() && span.len() > 0 {
            self.copies.keep(&piece, now_ns);
            self.pass_on(&piece, out);
            self.counters.lines[line].first += span.len();
            Disposition::Delivered
        } else if span.end <= self.next
            && let Some(original) = self.copies.find(&piece)
            && original.bytes == piece.comparable()
        {
            if let Some(first) = original.race {
                self.tell_race(line as u8, piece.rx_ns, first, now_ns, out);
            }
            self.counters.duplicates += span.len();
            Disposition::Duplicate
        } else {
            return self.on_other_data(piece, now_ns, out);
        };
        if self.shown > self.revealed || self.sessions.has_ended() {
            self.finish(now_ns, out);
        }
        disposition
    }

    /// Whether nothing is held or missing, so that the next messages leave without another look.
    #[inline]
    fn is_clear(&self) -> bool {
        self.revealed == self.next && !self.stopped
    }

    /// What is neither the next of the stream nor an equal copy, or is no line's.
    #[inline(never)]
    pub(super) fn on_other_data(
        &mut self,
        mut piece: Piece<'_>,
        now_ns: u64,
        out: &mut impl Output,
    ) -> Disposition {
        let mut taken = Taken::default();
        let source = piece.source;
        if !source.is_line() && piece.span.end > self.revealed {
            // Nobody asked for what lies behind: an answer must not decide what exists.
            let wanted = piece.split_to(self.revealed.max(piece.span.first));
            taken.stale += piece.span.len();
            piece = wanted;
        }
        self.take_in_pieces(piece, now_ns, &mut taken, out);
        self.count(source, &taken);
        self.finish(now_ns, out);
        taken.disposition()
    }

    /// Cuts a packet at the edges of what is there already and takes each part.
    fn take_in_pieces(
        &mut self,
        mut rest: Piece<'_>,
        now_ns: u64,
        taken: &mut Taken,
        out: &mut impl Output,
    ) {
        while rest.span.len() > 0 {
            let first = rest.span.first;
            if first < self.next {
                let old = rest.split_to(self.next);
                self.take_copy(&old, now_ns, taken, out);
                continue;
            }
            match self.hold.cover(first) {
                Cover::Held { end } => {
                    let copy = rest.split_to(end);
                    self.take_copy(&copy, now_ns, taken, out);
                }
                Cover::Free { until } => {
                    let part = rest.split_to(until);
                    if first == self.next && !self.stopped {
                        self.deliver(part, now_ns, taken, out);
                    } else {
                        self.hold(part, now_ns, taken, out);
                    }
                }
            }
        }
    }

    /// Delivers a piece that begins at `next`, and what it makes deliverable.
    fn deliver(&mut self, piece: Piece<'_>, now_ns: u64, taken: &mut Taken, out: &mut impl Output) {
        self.copies.keep(&piece, now_ns);
        self.credit(&piece, now_ns, out);
        taken.delivered += piece.span.len();
        self.pass_on(&piece, out);
        self.settle(out);
        self.advance(out);
    }

    /// Hands the next messages on.
    #[inline]
    pub(super) fn pass_on(&mut self, piece: &Piece<'_>, out: &mut impl Output) {
        debug_assert_eq!(
            piece.span.first, self.next,
            "output is strictly in sequence"
        );
        self.counters.delivered += piece.span.len();
        self.next = piece.span.end;
        self.revealed = self.revealed.max(self.next);
        out.deliver(piece.run());
    }

    /// Holds a piece that cannot leave yet; opens a gap when it begins behind all known.
    fn hold(&mut self, piece: Piece<'_>, now_ns: u64, taken: &mut Taken, out: &mut impl Output) {
        let reveals = piece.span.first > self.revealed;
        let room = self.hold.fits(piece.payload.len()) && !(reveals && self.gaps.is_full());
        if !room || !self.hold.insert(&piece) {
            taken.dropped += piece.span.len();
            return;
        }
        self.copies.keep(&piece, now_ns);
        if reveals {
            self.open_gap(piece.span.first, now_ns, out);
        }
        self.revealed = self.revealed.max(piece.span.end);
        taken.held += piece.span.len();
        self.credit(&piece, now_ns, out);
    }

    /// Takes a piece off what is missing. How long a line let the hole wait is a lag of that line.
    fn credit(&mut self, piece: &Piece<'_>, now_ns: u64, out: &mut impl Output) {
        let tell = |event| out.event(event);
        let Some(missed_ns) = self.gaps.credit(piece.span, piece.source, tell) else {
            return;
        };
        if piece.source.is_line() {
            self.observe_lag(now_ns.saturating_sub(missed_ns), now_ns);
        }
    }

    /// Takes messages that were there before: delivered, held, or given up.
    fn take_copy(
        &mut self,
        piece: &Piece<'_>,
        now_ns: u64,
        taken: &mut Taken,
        out: &mut impl Output,
    ) {
        let Some(original) = self.copies.find(piece) else {
            return self.take_unknown_copy(piece, taken, out);
        };
        let (race, is_same) = (original.race, original.bytes == piece.comparable());
        if is_same {
            taken.old += piece.span.len();
        } else if let Some(conflict) = difference(piece, original.bytes) {
            self.take_conflict(piece, conflict, taken, out);
        }
        if let (Some(first), Source::Line(line)) = (race, piece.source) {
            self.tell_race(line, piece.rx_ns, first, now_ns, out);
        }
    }

    /// Takes a copy that was cut otherwise than what was accepted, or came too late.
    #[cold]
    fn take_unknown_copy(&mut self, piece: &Piece<'_>, taken: &mut Taken, out: &mut impl Output) {
        let length = piece.span.len();
        if piece.span.first >= self.next {
            let held = self.hold.held(piece.span);
            match held.and_then(|held| difference(piece, held.comparable())) {
                Some(conflict) => self.take_conflict(piece, conflict, taken, out),
                None => taken.old += length,
            }
            return;
        }
        if !piece.source.is_line() {
            taken.stale += length;
            return;
        }
        let before = self.origin.min(piece.span.end);
        let mut stale = before.saturating_sub(piece.span.first);
        if !self.lost.is_empty() {
            stale += self.lost.count_in(piece.span);
        }
        taken.stale += stale;
        taken.old += length - stale;
        taken.uncompared += length - stale;
    }

    #[cold]
    fn take_conflict(
        &mut self,
        piece: &Piece<'_>,
        conflict: Conflict,
        taken: &mut Taken,
        out: &mut impl Output,
    ) {
        taken.conflicts += conflict.count;
        taken.old += piece.span.len() - conflict.count;
        out.conflict(conflict);
    }

    #[inline]
    fn tell_race(
        &mut self,
        line: u8,
        rx_ns: u64,
        first: First,
        now_ns: u64,
        out: &mut impl Output,
    ) {
        self.observe_lag(now_ns.saturating_sub(first.now_ns), now_ns);
        out.race(first.line, line, rx_ns.saturating_sub(first.rx_ns));
    }

    #[inline]
    fn observe_lag(&mut self, lag_ns: u64, now_ns: u64) {
        if self.window.observe(lag_ns, now_ns) {
            self.counters.reorder_window_ns = self.window.current_ns();
        }
    }

    /// A heartbeat of a line, or an end of session, that names the number expected next.
    #[inline(never)]
    pub(super) fn on_control(
        &mut self,
        next: u64,
        ends: bool,
        now_ns: u64,
        out: &mut impl Output,
    ) -> Disposition {
        if next > self.revealed && !self.gaps.is_full() {
            self.open_gap(next, now_ns, out);
            self.revealed = next;
        }
        // An end below what is known is no end: the session has gone on behind it.
        if ends && next == self.shown {
            self.sessions.end(now_ns);
        }
        self.finish(now_ns, out);
        Disposition::Control
    }

    /// Opens a gap from the end of what is known up to, not including, `end`.
    pub(super) fn open_gap(&mut self, end: u64, now_ns: u64, out: &mut impl Output) {
        let hole = Span {
            first: self.revealed,
            end,
        };
        let gap = self.gaps.open(hole, now_ns);
        self.counters.gaps_opened += 1;
        out.event(Event::GapOpened { gap });
    }

    fn count(&mut self, source: Source, taken: &Taken) {
        let counters = &mut self.counters;
        let new = taken.delivered + taken.held;
        match source {
            Source::Line(line) => {
                let line = &mut counters.lines[usize::from(line)];
                line.first += new;
                line.conflicts += taken.conflicts;
                counters.duplicates += taken.old;
                counters.duplicates_uncompared += taken.uncompared;
                counters.stale += taken.stale;
            }
            Source::Retransmit | Source::Stream | Source::Peer => {
                counters.retransmitted += new;
                counters.stale += taken.old + taken.stale;
            }
        }
        counters.conflicts += taken.conflicts;
        counters.hold_dropped += taken.dropped;
    }
}
