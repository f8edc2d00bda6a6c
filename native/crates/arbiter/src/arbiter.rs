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

mod intake;
mod outflow;
mod stop;

use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::record::{LossReason, SessionEventKind};

use crate::beyond::Beyond;
use crate::config::{Config, ConfigError, Start};
use crate::copies::Copies;
use crate::counters::{Counters, LineCounters};
use crate::gaps::{GapView, Gaps};
use crate::hold::Hold;
use crate::io::{Arrival, Disposition, Event, Output, Source};
use crate::jumps::{Jumps, SEQUENCE_LIMIT};
use crate::lines::LineBook;
use crate::pieces::Piece;
use crate::ranges::{RangeSet, Span};
use crate::sessions::{Admission, Sessions};
use crate::unit::{Content, Reset, Unit};
use crate::watch::{Alone, Watch};
use crate::window::Window;

pub use stop::StopError;

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
    copies: Copies,
    watch: Watch,
    window: Window,
    beyond: Beyond,
    /// Where the output stands still, until it is let go on.
    stopped: bool,
    counters: Counters,
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
            copies: Copies::new(config.compare_bytes),
            watch: Watch::new(config.lines, config.line_silence_ns),
            window: Window::new(config.reorder_window_min_ns, config.reorder_window_ns),
            beyond: Beyond::new(config.lines, config.reorder_window_packets),
            stopped: false,
            counters: Counters {
                lines: vec![LineCounters::default(); config.lines],
                reorder_window_ns: config.reorder_window_ns,
                ..Counters::default()
            },
        })
    }

    /// Takes a packet. Deliveries and events reach `out` before this returns.
    ///
    /// # Panics
    /// When the source is a line that the configuration does not have.
    // Handing the arrival over in memory costs as much again as the short ways through the merge.
    #[inline(always)]
    pub fn on_packet(&mut self, arrival: Arrival<'_>, out: &mut impl Output) -> Disposition {
        // All in scalars: a struct that a rare path takes by reference would be written to memory
        // on every packet.
        let Unit {
            session,
            first_sequence: first,
            content,
            reset,
        } = arrival.unit;
        let now_ns = arrival.now_ns;
        let (payload, compare_from, is_whole) = content.payload();
        let span = Span {
            first,
            end: first.saturating_add(u64::from(content.count())),
        };
        if span.end > SEQUENCE_LIMIT || span.first == 0 {
            self.counters.sequence_overflows += 1;
            return Disposition::SequenceOverflow;
        }
        let piece = Piece {
            span,
            payload,
            compare_from,
            is_whole,
            source: arrival.source,
            rx_ns: arrival.rx_ns,
            stamp: arrival.stamp,
        };
        let Source::Line(line) = arrival.source else {
            return self.on_answer(session, piece, now_ns, out);
        };
        if !self.sessions.is_current(&session, now_ns)
            && !self.admit_other(session, span, reset, now_ns, out)
        {
            self.counters.wrong_session += 1;
            return Disposition::WrongSession;
        }
        let index = usize::from(line);
        if !self.jumps.believes(index, span, self.shown) {
            self.counters.implausible_jumps += 1;
            return Disposition::ImplausibleJump;
        }
        self.lines[index].on_packet(span, &mut self.counters.lines[index]);
        if span.end > self.shown {
            self.show(span.end, out);
        }
        self.watch.on_packet(index, span.end, self.shown, now_ns);
        let disposition = match content {
            Content::Blocks { .. } | Content::Whole { .. } => {
                self.on_data(index, piece, now_ns, out)
            }
            Content::Heartbeat => self.on_control(first, false, now_ns, out),
            Content::EndOfSession => self.on_control(first, true, now_ns, out),
        };
        if self.gaps.is_waiting() {
            self.note_beyond(index, first, now_ns);
        }
        disposition
    }

    /// Tells which gaps have waited long enough for another line.
    pub fn poll(&mut self, now_ns: u64, out: &mut impl Output) {
        self.sessions.watch(now_ns);
        self.watch.listen(now_ns);
        while let Some(gap) = self.gaps.wait_over(now_ns, self.window.current_ns()) {
            out.event(Event::GapWaitOver { gap });
        }
    }

    /// When [`Arbiter::poll`] has something to do, monotonic ns.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        self.gaps.next_deadline_ns(self.window.current_ns())
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

    /// The line that carries the stream while every other is silent or hangs behind.
    pub fn alone(&self, now_ns: u64) -> Option<Alone> {
        self.watch.alone(now_ns)
    }

    /// The longest run of consecutive numbers that a line skipped and has not brought late.
    ///
    /// # Panics
    /// When the configuration does not have the line.
    pub fn loss_run_most(&self, line: usize) -> u64 {
        self.lines[line].loss_run_most()
    }

    /// What was counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The sequence number to deliver next; 0 before the first session.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// The end of what the lines have shown to exist, which may be ahead of the output.
    pub fn shown_sequence(&self) -> u64 {
        self.shown
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
                self.tell_session(SessionEventKind::Resumed, session, true, out);
            }
        }
    }

    /// Notes how far the line is beyond the gaps that wait; enough packets end their waiting.
    #[cold]
    fn note_beyond(&mut self, line: usize, first: u64, now_ns: u64) {
        self.beyond.note(line, first);
        let passed = self.beyond.passed(|line| self.watch.keeps_up(line, now_ns));
        self.gaps.pass(passed);
    }

    /// A packet that answers a request: it only fills holes of the current session.
    #[cold]
    fn on_answer(
        &mut self,
        session: Session,
        piece: Piece<'_>,
        now_ns: u64,
        out: &mut impl Output,
    ) -> Disposition {
        if self.sessions.current() != Some(session) {
            self.counters.wrong_session += 1;
            return Disposition::WrongSession;
        }
        if piece.span.len() == 0 {
            return Disposition::Control;
        }
        self.on_other_data(piece, now_ns, out)
    }

    /// Decides about a packet of another session than the current one; changes to it where that
    /// is due.
    #[cold]
    fn admit_other(
        &mut self,
        session: Session,
        span: Span,
        reset: Reset,
        now_ns: u64,
        out: &mut impl Output,
    ) -> bool {
        let complete = self.next == self.revealed;
        match self.sessions.admit(session, span, reset, now_ns, complete) {
            Admission::Refused => false,
            Admission::Resumed => {
                self.sessions.enter(session, self.next, now_ns);
                self.tell_session(SessionEventKind::Resumed, session, true, out);
                true
            }
            Admission::First { start } => {
                self.sessions.enter(session, 0, now_ns);
                self.begin(start);
                self.tell_session(SessionEventKind::Started, session, true, out);
                true
            }
            Admission::Takeover { start, expected } => {
                self.leave(now_ns, out);
                self.sessions.enter(session, self.next, now_ns);
                self.begin(start);
                self.counters.session_changes += 1;
                self.counters.session_changes_unexpected += u64::from(!expected);
                self.tell_session(SessionEventKind::Changed, session, expected, out);
                true
            }
        }
    }

    /// Closes the current session: what is held is delivered, what is missing is lost.
    fn leave(&mut self, now_ns: u64, out: &mut impl Output) {
        self.stopped = false;
        self.advance(out);
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
        self.copies.clear();
        self.beyond.clear();
        self.gaps.begin_session();
        self.watch.begin_session(start);
        for (line, counters) in self.lines.iter_mut().zip(&mut self.counters.lines) {
            line.begin_session(counters);
        }
    }
}
