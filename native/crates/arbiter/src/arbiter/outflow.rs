//! What goes out: held pieces and given-up holes, until something is missing.

use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::record::{LossReason, SessionEventKind};

use crate::gaps::GapView;
use crate::io::{Event, Gap, Output};
use crate::ranges::Span;

use super::Arbiter;

impl Arbiter {
    /// Carries the output through held pieces and given-up holes, unless it is stopped.
    pub(super) fn advance(&mut self, out: &mut impl Output) {
        if !self.stopped {
            self.advance_to(u64::MAX, None, out);
        }
    }

    /// Carries the output to `end` at most. `give_up`: holes that nobody gave up are lost for
    /// this reason.
    pub(super) fn advance_to(
        &mut self,
        end: u64,
        give_up: Option<LossReason>,
        out: &mut impl Output,
    ) {
        while self.next < end {
            if !self.pass_held(end, out) && !self.pass_lost_hole(end, give_up, out) {
                return;
            }
            self.settle(out);
        }
    }

    /// Delivers the held piece at `next`, up to `end`, if there is one.
    fn pass_held(&mut self, end: u64, out: &mut impl Output) -> bool {
        let Some(mut piece) = self.hold.front_at(self.next) else {
            return false;
        };
        let whole = piece.span.end <= end;
        let part = piece.split_to(end);
        self.next = part.span.end;
        self.counters.delivered += part.span.len();
        out.deliver(part.run());
        if whole {
            self.hold.pop_front();
        } else {
            self.hold.trim_front(end);
        }
        true
    }

    /// Passes the hole at `next`, up to `end`, if it is given up.
    fn pass_lost_hole(
        &mut self,
        end: u64,
        give_up: Option<LossReason>,
        out: &mut impl Output,
    ) -> bool {
        let held_from = self.hold.first();
        let Some(view) = self.gaps.at(self.next) else {
            return false;
        };
        let Some(reason) = view.given_up.or(give_up) else {
            return false;
        };
        let hole = Span {
            first: self.next,
            end: held_from.min(view.gap.last + 1).min(end),
        };
        view.missing -= hole.len();
        view.lost += hole.len();
        view.lost_for = Some(reason);
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
    pub(super) fn settle(&mut self, out: &mut impl Output) {
        while let Some(view) = self.gaps.pop_passed(self.next) {
            debug_assert_eq!(view.missing, 0, "a passed gap is delivered or lost");
            let GapView {
                gap,
                sources,
                wait_over,
                ..
            } = view;
            if let Some(reason) = view.lost_for {
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
    pub(super) fn finish(&mut self, now_ns: u64, out: &mut impl Output) {
        self.counters.held_packets = self.hold.packets();
        self.counters.held_messages = self.hold.messages();
        self.reveal_rest(now_ns, out);
        if self.sessions.has_ended() && !self.end_told && self.next == self.revealed {
            self.end_told = true;
            if let Some(session) = self.sessions.current() {
                self.tell_session(SessionEventKind::Ended, session, true, out);
            }
        }
    }

    /// Opens a gap up to what the lines have shown, once everything before it has left.
    #[inline]
    pub(super) fn reveal_rest(&mut self, now_ns: u64, out: &mut impl Output) {
        if self.next == self.revealed && self.shown > self.revealed {
            self.open_gap(self.shown, now_ns, out);
            self.revealed = self.shown;
        }
    }

    pub(super) fn tell_session(
        &self,
        kind: SessionEventKind,
        session: Session,
        expected: bool,
        out: &mut impl Output,
    ) {
        out.event(Event::Session {
            kind,
            session,
            next_sequence: self.next,
            expected,
        });
    }
}
