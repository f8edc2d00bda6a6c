//! The next request: for the lowest gap that is due, and for its neighbours with it.

use tickdeck_wire::moldudp64::Session;

use crate::action::Action;
use crate::engine::Engine;
use crate::gap::{OpenGap, Stage};
use crate::source::Channel;
use crate::window::{Flight, WINDOW};

/// Requests under way to a re-request server during a storm.
const STORM_WINDOW: usize = 4;
/// How far a request reaches for the next missing range during a storm, in messages.
const STORM_REACH: u64 = 1024;
/// How far a stream's request reaches: to read on is cheaper than to begin anew.
const STREAM_REACH: u64 = 4096;

impl Engine {
    /// The next request, if one may be made.
    pub(crate) fn ask(&mut self, now_ns: u64) -> Option<Action> {
        (0..self.channels.len()).find_map(|index| self.ask_source(index, now_ns))
    }

    /// When a gap may be asked for; `None` when nothing of it is free to be.
    pub(crate) fn ask_deadline_ns(&self, gap: &OpenGap) -> Option<u64> {
        let Stage::Asking(index) = gap.stage else {
            return None;
        };
        let window = &self.channels[index].window;
        let next_ns = window.next_request_ns(self.config.min_request_interval_ns);
        (window.has_room(self.width()) && self.free_of(gap).is_some())
            .then_some(gap.due_ns.max(next_ns))
    }

    fn ask_source(&mut self, index: usize, now_ns: u64) -> Option<Action> {
        let interval_ns = self.config.min_request_interval_ns;
        let channel = &self.channels[index];
        let next_ns = channel.window.next_request_ns(interval_ns);
        if !channel.window.has_room(self.width()) || now_ns < next_ns {
            return None;
        }
        let is_due = |gap: &OpenGap| gap.stage == Stage::Asking(index) && gap.due_ns <= now_ns;
        let due = (0..).zip(&self.gaps).filter(|(_, gap)| is_due(gap));
        let (head, free) = due
            .filter_map(|(head, gap)| Some((head, self.free_of(gap)?)))
            .next()?;
        let most = if channel.is_stream() {
            channel.most
        } else {
            channel.window.next_count(channel.most)
        };
        let (first, last) = self.reach(index, head, free, most, now_ns);
        let session = self.gaps[head].session;
        let channel = &mut self.channels[index];
        let flight = channel.flight(session, first, last, now_ns);
        channel.window.sent(flight, interval_ns);
        channel.asked.add(session, first, last);
        channel.counters.requests += 1;
        self.counters.requests += 1;
        self.counters.retries += u64::from(self.gaps[head].unanswered > 0);
        Some(self.note_request(index, head, first, last))
    }

    /// Extends a free range over the next missing ones, of its gap or of those behind it, while
    /// they are near, due and free as well.
    fn reach(
        &self,
        index: usize,
        head: usize,
        free: (u64, u64),
        most: u64,
        now_ns: u64,
    ) -> (u64, u64) {
        let (first, mut last) = free;
        let end = first.saturating_add(most - 1);
        let channel = &self.channels[index];
        let reach = match (channel.is_stream(), self.storm) {
            (true, _) => STREAM_REACH.max(self.config.coalesce_messages),
            (false, true) => STORM_REACH.max(self.config.coalesce_messages),
            (false, false) => self.config.coalesce_messages,
        };
        let session = self.gaps[head].session;
        let gaps = self.gaps[head..].iter().take_while(|gap| {
            gap.session == session && gap.stage == Stage::Asking(index) && gap.due_ns <= now_ns
        });
        let ranges = gaps.flat_map(|gap| gap.missing.ranges());
        for range in ranges.filter(|range| range.0 > first) {
            let between = range.0.saturating_sub(last.saturating_add(1));
            let is_free = channel.window.first_free(session, &[*range]) == Some(*range);
            if reach == 0 || between > reach || range.0 > end || !is_free {
                break;
            }
            last = range.1;
        }
        (first, last.min(end))
    }

    /// Counts a request for every gap that it is for.
    fn note_request(&mut self, index: usize, head: usize, first: u64, last: u64) -> Action {
        let source = self.channels[index].kind;
        let session = self.gaps[head].session;
        for gap in &mut self.gaps[head..] {
            if !gap.overlaps(session, first, last) {
                continue;
            }
            gap.requests = gap.requests.saturating_add(1);
            self.pending.push_back(Action::Joined {
                id: gap.id,
                requests: gap.requests,
                source,
            });
        }
        let joined = self.pending.len().saturating_sub(1);
        self.counters.joined += joined as u64;
        self.pending.pop_front();
        let gap = &self.gaps[head];
        Action::Request {
            id: gap.id,
            requests: gap.requests,
            source,
            session,
            first,
            count: last - first + 1,
        }
    }

    /// What of a gap may be asked for next. Without an answer that allows more, a gap has one
    /// request at a time.
    fn free_of(&self, gap: &OpenGap) -> Option<(u64, u64)> {
        let Stage::Asking(index) = gap.stage else {
            return None;
        };
        let window = &self.channels[index].window;
        if !window.has_credit() && window.awaits(gap.session, &gap.missing) {
            return None;
        }
        window.first_free(gap.session, gap.missing.ranges())
    }

    fn width(&self) -> usize {
        if self.storm { STORM_WINDOW } else { WINDOW }
    }
}

impl Channel {
    fn flight(&self, session: Session, first: u64, last: u64, now_ns: u64) -> Flight {
        Flight {
            session,
            first,
            last,
            sent_ns: now_ns,
            until_ns: now_ns.saturating_add(self.timeout_ns),
            answered: false,
            begun: false,
            blamed: false,
        }
    }
}
