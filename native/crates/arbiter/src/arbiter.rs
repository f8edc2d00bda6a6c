//! The state machine.
//!
//! Two numbers rule it: `next` is what the output wants, `revealed` is the end of what is dealt
//! with. Everything in between is either held or missing, and every missing message belongs to
//! exactly one gap. Where there was no room to hold a packet or to open a gap, `shown` remembers
//! how far the lines have really come; the rest becomes a gap once the output stands there.
//!
//! A packet is cut into pieces at the edges of what is there already: a piece at `next` is
//! delivered, one ahead of it is held, and one that begins behind `revealed` opens a gap first.
//! After each delivery the output is carried on through held pieces and given-up holes until it
//! stands before something missing.

use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::record::{LossReason, SessionEventKind};

use crate::config::{Config, ConfigError, Start};
use crate::counters::{Counters, LineCounters};
use crate::gaps::{GapView, Gaps};
use crate::hold::{Cover, Hold};
use crate::io::{Arrival, Disposition, Event, Gap, Output, Source};
use crate::jumps::{Jumps, SEQUENCE_LIMIT};
use crate::lines::LineBook;
use crate::pieces::{Piece, Taken};
use crate::ranges::{RangeSet, Span};
use crate::sessions::{Admission, Sessions};
use crate::unit::Content;

/// Given-up ranges remembered, to call their late arrival stale and not a duplicate.
const REMEMBERED_LOSSES: usize = 256;

/// Merges lines into one ordered stream; see the crate's documentation.
#[derive(Debug)]
pub struct Arbiter {
    /// The sequence number to deliver next; 0 before the first session.
    next: u64,
    /// The end of what is delivered, held, or in a gap.
    revealed: u64,
    /// The end of what a line has shown to exist.
    shown: u64,
    /// Where the stream of this session began.
    origin: u64,
    hold: Hold,
    gaps: Gaps,
    sessions: Sessions,
    jumps: Jumps,
    end_told: bool,
    lost: RangeSet,
    lines: Vec<LineBook>,
    counters: Counters,
    reorder_window_ns: u64,
}

impl Arbiter {
    /// Allocates everything the arbiter will ever use.
    ///
    /// # Errors
    /// [`ConfigError`] when a limit is out of range.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let next = match config.start {
            Start::Resume { next_sequence, .. } => next_sequence,
            Start::FirstSeen | Start::SessionStart => 0,
        };
        Ok(Self {
            next,
            revealed: next,
            shown: next,
            origin: next,
            hold: Hold::new(config.hold_capacity_packets, config.max_packet_bytes),
            gaps: Gaps::new(config.gap_capacity),
            sessions: Sessions::new(config.start, config.session_takeover_ns),
            jumps: Jumps::new(config.max_jump_messages),
            end_told: false,
            lost: RangeSet::with_capacity(REMEMBERED_LOSSES),
            lines: (0..config.lines).map(|_| LineBook::new()).collect(),
            counters: Counters {
                lines: vec![LineCounters::default(); config.lines],
                ..Counters::default()
            },
            reorder_window_ns: config.reorder_window_ns,
        })
    }

    /// Takes a packet. Deliveries and events reach `out` before this returns.
    ///
    /// # Panics
    /// When the source is a line that the configuration does not have.
    pub fn on_packet(&mut self, arrival: Arrival<'_>, out: &mut impl Output) -> Disposition {
        let span = arrival.unit.span();
        if span.end > SEQUENCE_LIMIT || span.first == 0 {
            self.counters.sequence_overflows += 1;
            return Disposition::SequenceOverflow;
        }
        if !self.admit(&arrival, span, out) {
            self.counters.wrong_session += 1;
            return Disposition::WrongSession;
        }
        if let Source::Line(line) = arrival.source {
            let line = usize::from(line);
            if !self.jumps.believes(line, span, self.shown) {
                self.counters.implausible_jumps += 1;
                return Disposition::ImplausibleJump;
            }
            self.lines[line].on_packet(span, &mut self.counters.lines[line]);
            if span.end > self.shown {
                self.show(span.end, out);
            }
        }
        match arrival.unit.content {
            Content::Blocks { blocks, .. } => self.on_data(&arrival, span, blocks, 0, out),
            Content::Whole {
                packet,
                compare_from,
            } => self.on_data(&arrival, span, packet, compare_from, out),
            Content::Heartbeat => self.on_control(&arrival, false, out),
            Content::EndOfSession => self.on_control(&arrival, true, out),
        }
    }

    /// Tells which gaps have waited long enough for another line.
    pub fn poll(&mut self, now_ns: u64, out: &mut impl Output) {
        self.sessions.watch(now_ns);
        while let Some(gap) = self.gaps.wait_over(now_ns, self.reorder_window_ns) {
            out.event(Event::GapWaitOver { gap });
        }
    }

    /// When [`Arbiter::poll`] has something to do, monotonic ns.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        self.gaps.next_deadline_ns(self.reorder_window_ns)
    }

    /// Gives up what is missing of a gap. The loss is told when the output comes to it; what
    /// still arrives before that is used. `false` when the gap is not open or was given up.
    pub fn give_up(
        &mut self,
        gap_id: u64,
        reason: LossReason,
        now_ns: u64,
        out: &mut impl Output,
    ) -> bool {
        let known = self.gaps.give_up(gap_id, reason);
        if known {
            self.advance(out);
            self.finish(now_ns, out);
        }
        known
    }

    /// The gaps that the output has not passed yet, in order.
    pub fn gaps(&self) -> impl Iterator<Item = &GapView> {
        self.gaps.iter()
    }

    /// What is missing of a gap, as inclusive ranges in order; nothing for an unknown gap.
    pub fn holes(&self, gap_id: u64) -> impl Iterator<Item = (u64, u64)> {
        let whole = self.gaps.get(gap_id).map(|view| Span {
            first: view.gap.first.max(self.next),
            end: view.gap.last + 1,
        });
        let holes = whole.into_iter().flat_map(|span| self.hold.holes(span));
        holes.map(|hole| (hole.first, hole.end - 1))
    }

    /// The lines that skipped any of `first..=last`, as [`Source::bit`]s.
    pub fn lines_that_missed(&self, first: u64, last: u64) -> u16 {
        let span = Span {
            first,
            end: last.saturating_add(1),
        };
        let missed = (0u8..)
            .zip(&self.lines)
            .filter(|(_, line)| line.skipped_in(span) > 0);
        missed.fold(0, |bits, (line, _)| bits | Source::Line(line).bit())
    }

    /// What was counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The sequence number to deliver next; 0 before the first session.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// The current session.
    pub fn session(&self) -> Option<Session> {
        self.sessions.current()
    }

    /// Whether the current session has said that it ended.
    pub fn session_has_ended(&self) -> bool {
        self.sessions.has_ended()
    }

    /// Notes that a line has come as far as `end`. A session that goes on has not ended.
    #[inline]
    fn show(&mut self, end: u64, out: &mut impl Output) {
        self.shown = end;
        if self.sessions.has_ended() {
            self.sessions.reopen();
            if std::mem::take(&mut self.end_told)
                && let Some(session) = self.sessions.current()
            {
                self.tell_session(SessionEventKind::Resumed, session, out);
            }
        }
    }

    /// Decides about the packet's session; changes to it where that is due.
    #[inline]
    fn admit(&mut self, arrival: &Arrival<'_>, span: Span, out: &mut impl Output) -> bool {
        let session = arrival.unit.session;
        if !arrival.source.is_line() {
            return self.sessions.current() == Some(session);
        }
        let complete = self.next == self.revealed;
        match self.sessions.admit(session, span, arrival.now_ns, complete) {
            Admission::Current => true,
            Admission::Refused => false,
            Admission::Resumed => {
                self.sessions.enter(session, self.next, arrival.now_ns);
                self.tell_session(SessionEventKind::Resumed, session, out);
                true
            }
            Admission::First { start } => {
                self.sessions.enter(session, 0, arrival.now_ns);
                self.begin(start);
                self.tell_session(SessionEventKind::Started, session, out);
                true
            }
            Admission::Takeover { start } => {
                self.leave(arrival.now_ns, out);
                self.sessions.enter(session, self.next, arrival.now_ns);
                self.begin(start);
                self.counters.session_changes += 1;
                self.tell_session(SessionEventKind::Changed, session, out);
                true
            }
        }
    }

    /// Closes the current session: what is held is delivered, what is missing is lost.
    fn leave(&mut self, now_ns: u64, out: &mut impl Output) {
        self.lose_open_gaps(out);
        self.reveal_rest(now_ns, out);
        self.lose_open_gaps(out);
        self.finish(now_ns, out);
        assert!(
            self.next == self.shown && self.gaps.is_empty(),
            "a session that is left has nothing open"
        );
    }

    fn lose_open_gaps(&mut self, out: &mut impl Output) {
        self.gaps.give_up_all(LossReason::SessionEnded);
        self.advance(out);
    }

    fn begin(&mut self, start: u64) {
        self.next = start;
        self.revealed = start;
        self.shown = start;
        self.origin = start;
        self.end_told = false;
        self.lost.clear();
        self.jumps.clear();
        for (line, counters) in self.lines.iter_mut().zip(&mut self.counters.lines) {
            line.begin_session(counters);
        }
    }

    #[inline]
    fn on_data(
        &mut self,
        arrival: &Arrival<'_>,
        span: Span,
        payload: &[u8],
        compare_from: usize,
        out: &mut impl Output,
    ) -> Disposition {
        let mut taken = Taken::default();
        let mut piece = Piece {
            span,
            payload,
            compare_from,
            source: arrival.source,
            rx_ns: arrival.rx_ns,
            stamp: arrival.stamp,
        };
        if !arrival.source.is_line() && span.end > self.revealed {
            // Nobody asked for what lies behind: an answer must not decide what exists.
            let wanted = piece.split_to(self.revealed.max(span.first));
            taken.stale += piece.span.len();
            piece = wanted;
        }
        if piece.span.first == self.next && piece.span.end <= self.hold.first() {
            self.deliver(piece, &mut taken, out);
        } else {
            self.take_in_pieces(piece, arrival.now_ns, &mut taken, out);
        }
        self.count(arrival.source, &taken);
        self.finish(arrival.now_ns, out);
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
                self.count_old(old.span, rest.source, taken);
            } else if first == self.next {
                let part = rest.split_to(self.hold.first());
                self.deliver(part, taken, out);
            } else {
                match self.hold.cover(first) {
                    Cover::Held { end } => taken.old += rest.split_to(end).span.len(),
                    Cover::Free { until } => {
                        let part = rest.split_to(until);
                        self.hold(part, now_ns, taken, out);
                    }
                }
            }
        }
    }

    /// Delivers a piece that begins at `next`, and what it makes deliverable.
    #[inline]
    fn deliver(&mut self, piece: Piece<'_>, taken: &mut Taken, out: &mut impl Output) {
        debug_assert_eq!(
            piece.span.first, self.next,
            "output is strictly in sequence"
        );
        if piece.span.len() == 0 {
            return;
        }
        if !self.gaps.is_empty() {
            self.gaps
                .credit(piece.span, piece.source, |event| out.event(event));
        }
        taken.delivered += piece.span.len();
        self.counters.delivered += piece.span.len();
        self.next = piece.span.end;
        self.revealed = self.revealed.max(self.next);
        out.deliver(piece.run());
        if !self.gaps.is_empty() {
            self.settle(out);
            self.advance(out);
        }
    }

    /// Holds a piece that begins ahead of `next`; opens a gap when it begins behind all known.
    fn hold(&mut self, piece: Piece<'_>, now_ns: u64, taken: &mut Taken, out: &mut impl Output) {
        let reveals = piece.span.first > self.revealed;
        let room = self.hold.fits(piece.payload.len()) && !(reveals && self.gaps.is_full());
        if !room || !self.hold.insert(&piece) {
            taken.dropped += piece.span.len();
            return;
        }
        if reveals {
            self.open_gap(piece.span.first, now_ns, out);
        }
        self.revealed = self.revealed.max(piece.span.end);
        taken.held += piece.span.len();
        self.gaps
            .credit(piece.span, piece.source, |event| out.event(event));
    }

    fn on_control(
        &mut self,
        arrival: &Arrival<'_>,
        ends: bool,
        out: &mut impl Output,
    ) -> Disposition {
        if !arrival.source.is_line() {
            return Disposition::Control;
        }
        let next = arrival.unit.first_sequence;
        if next > self.revealed && !self.gaps.is_full() {
            self.open_gap(next, arrival.now_ns, out);
            self.revealed = next;
        }
        // An end below what is known is no end: the session has gone on behind it.
        if ends && next == self.shown {
            self.sessions.end(arrival.now_ns);
        }
        self.finish(arrival.now_ns, out);
        Disposition::Control
    }

    /// Opens a gap from the end of what is known up to, not including, `end`.
    fn open_gap(&mut self, end: u64, now_ns: u64, out: &mut impl Output) {
        let hole = Span {
            first: self.revealed,
            end,
        };
        let gap = self.gaps.open(hole, now_ns);
        self.counters.gaps_opened += 1;
        out.event(Event::GapOpened { gap });
    }

    /// Carries the output through held pieces and given-up holes.
    fn advance(&mut self, out: &mut impl Output) {
        loop {
            if let Some(piece) = self.hold.front_at(self.next) {
                self.next = piece.span.end;
                self.counters.delivered += piece.span.len();
                out.deliver(piece.run());
                self.hold.pop_front();
            } else if !self.pass_lost_hole(out) {
                return;
            }
            self.settle(out);
        }
    }

    /// Passes the hole at `next` if its gap was given up.
    fn pass_lost_hole(&mut self, out: &mut impl Output) -> bool {
        let held_from = self.hold.first();
        let Some(view) = self.gaps.at(self.next) else {
            return false;
        };
        let Some(reason) = view.given_up else {
            return false;
        };
        let hole = Span {
            first: self.next,
            end: held_from.min(view.gap.last + 1),
        };
        view.missing -= hole.len();
        view.lost += hole.len();
        let gap = Gap {
            first: hole.first,
            last: hole.end - 1,
            ..view.gap
        };
        let lost = self.counters.messages_lost.saturating_add(hole.len());
        self.counters.messages_lost = lost;
        self.lost.insert(hole);
        self.next = hole.end;
        out.event(Event::GapLost { gap, reason });
        true
    }

    /// Closes the gaps that the output has passed.
    fn settle(&mut self, out: &mut impl Output) {
        while let Some(view) = self.gaps.pop_passed(self.next) {
            debug_assert_eq!(view.missing, 0, "a passed gap is delivered or lost");
            let GapView {
                gap,
                sources,
                wait_over,
                ..
            } = view;
            if let Some(reason) = view.given_up.filter(|_| view.lost > 0) {
                self.counters.gaps_unrecovered += 1;
                out.event(Event::GapUnrecovered {
                    gap,
                    lost: view.lost,
                    sources,
                    wait_over,
                    reason,
                });
            } else {
                self.counters.gaps_filled += 1;
                out.event(Event::GapFilled {
                    gap,
                    sources,
                    wait_over,
                });
            }
        }
    }

    /// Ends every step: refreshes the gauges, opens a gap for what there was no room for, and
    /// tells the end of the session once nothing of it is missing.
    #[inline]
    fn finish(&mut self, now_ns: u64, out: &mut impl Output) {
        self.counters.held_packets = self.hold.packets();
        self.counters.held_messages = self.hold.messages();
        self.reveal_rest(now_ns, out);
        if self.sessions.has_ended() && !self.end_told && self.next == self.revealed {
            self.end_told = true;
            if let Some(session) = self.sessions.current() {
                self.tell_session(SessionEventKind::Ended, session, out);
            }
        }
    }

    /// Opens a gap up to what the lines have shown, once everything before it has left.
    #[inline]
    fn reveal_rest(&mut self, now_ns: u64, out: &mut impl Output) {
        if self.next == self.revealed && self.shown > self.revealed {
            self.open_gap(self.shown, now_ns, out);
            self.revealed = self.shown;
        }
    }

    fn tell_session(&self, kind: SessionEventKind, session: Session, out: &mut impl Output) {
        out.event(Event::Session {
            kind,
            session,
            next_sequence: self.next,
        });
    }

    /// Sorts messages below `next` into copies and those that came too late.
    fn count_old(&self, span: Span, source: Source, taken: &mut Taken) {
        if !source.is_line() {
            taken.stale += span.len();
            return;
        }
        let mut stale = self.origin.min(span.end).saturating_sub(span.first);
        if !self.lost.is_empty() {
            stale += self.lost.count_in(span);
        }
        taken.stale += stale;
        taken.old += span.len() - stale;
    }

    #[inline]
    fn count(&mut self, source: Source, taken: &Taken) {
        match source {
            Source::Line(line) => {
                self.counters.lines[usize::from(line)].first += taken.delivered + taken.held;
                self.counters.duplicates += taken.old;
                self.counters.stale += taken.stale;
            }
            Source::Retransmit | Source::Stream | Source::Peer => {
                self.counters.retransmitted += taken.delivered + taken.held;
                self.counters.stale += taken.old + taken.stale;
            }
        }
        self.counters.hold_dropped += taken.dropped;
    }
}
