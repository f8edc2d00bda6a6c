//! What came back: only what was asked for and is missing passes, and what is wrong has a name.

use tickdeck_wire::moldudp64::Session;

use crate::action::{Answer, Verdict};
use crate::engine::{Engine, near};
use crate::fault::Fault;
use crate::gap::Stage;
use crate::source::RangeSource;

/// A datagram with fewer bytes of messages has room for more of them: no path is so narrow.
const FULL_DATAGRAM_BYTES: usize = 1000;

impl Engine {
    /// Judges an answer. Of one that is [`Verdict::Wanted`] the numbers told may be merged,
    /// nothing else may.
    pub fn on_answer(&mut self, source: RangeSource, answer: Answer, now_ns: u64) -> Verdict {
        let Some(index) = self.index_of(source) else {
            self.counters.not_asked_packets += 1;
            return Verdict::NotAsked;
        };
        let verdict = self.judge(index, &answer);
        match verdict {
            Verdict::Wanted { first, last } => {
                self.counters.injected_packets += 1;
                self.take(index, &answer, (first, last), now_ns);
            }
            Verdict::Stale => {
                self.counters.stale_packets += 1;
                self.note_stale(index, &answer, now_ns);
            }
            Verdict::WrongSession => {
                self.counters.wrong_session_packets += 1;
                self.blame_waiting(index, Fault::WrongSession);
            }
            Verdict::NotAsked => {
                self.counters.not_asked_packets += 1;
                self.blame_waiting(index, Fault::NotAsked);
            }
        }
        verdict
    }

    /// Something was wrong with a source that is no answer: bytes that cannot be read, a refusal,
    /// a connection that broke. The last two fail what the source was asked for at once.
    pub fn on_fault(&mut self, source: RangeSource, fault: Fault, now_ns: u64) {
        let Some(index) = self.index_of(source) else {
            return;
        };
        if matches!(fault, Fault::Refused | Fault::Disconnected) {
            self.on_failed(source, fault, now_ns);
        } else {
            self.blame_waiting(index, fault);
        }
    }

    /// What this source was asked for is over, with less than all of it: a connection that has said
    /// so need not be waited for.
    pub fn on_failed(&mut self, source: RangeSource, fault: Fault, now_ns: u64) {
        let Some(index) = self.index_of(source) else {
            return;
        };
        self.blame_waiting(index, fault);
        while let Some(flight) = self.channels[index].window.fail() {
            self.count_failure(index, &flight, now_ns);
        }
    }

    /// A probe has found that this source works: it is asked again before its rest is over.
    pub fn source_ready(&mut self, source: RangeSource) {
        if let Some(index) = self.index_of(source) {
            self.channels[index].abandoned_ns = None;
        }
    }

    pub(crate) fn index_of(&self, source: RangeSource) -> Option<usize> {
        let mut channels = self.channels.iter();
        channels.position(|channel| channel.kind == source)
    }

    fn judge(&self, index: usize, answer: &Answer) -> Verdict {
        let asked = &self.channels[index].asked;
        let session = answer.session;
        if !asked.knows(session) && self.gaps.iter().all(|gap| gap.session != session) {
            return Verdict::WrongSession;
        }
        if answer.count == 0 {
            return Verdict::NotAsked;
        }
        let mut verdict = Verdict::NotAsked;
        let mut lowest = u64::MAX;
        for (low, high) in asked.overlapping(session, answer.first, answer.last()) {
            let (low, high) = (low.max(answer.first), high.min(answer.last()));
            match self.missing_in(session, low, high) {
                Some((first, last)) if first <= lowest => {
                    lowest = first;
                    verdict = Verdict::Wanted { first, last };
                }
                None if verdict == Verdict::NotAsked => verdict = Verdict::Stale,
                _ => {}
            }
        }
        verdict
    }

    /// The first and the last number in `low..=high` that is missing.
    fn missing_in(&self, session: Session, low: u64, high: u64) -> Option<(u64, u64)> {
        let gaps = &self.gaps[near(&self.gaps, session, low, high)];
        let gaps = gaps.iter().filter(|gap| gap.session == session);
        let hulls = gaps.filter_map(|gap| gap.missing.hull_in(low, high));
        hulls.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// An answer is handed to the merge: the source works.
    fn take(&mut self, index: usize, answer: &Answer, wanted: (u64, u64), now_ns: u64) {
        let (first, last) = wanted;
        let session = answer.session;
        let near = near(&self.gaps, session, first, last);
        for gap in &mut self.gaps[near] {
            if gap.overlaps(session, first, last) {
                gap.answers = gap.answers.saturating_add(1);
                // The source works, also when the merge has no room for what it brought yet.
                gap.renew(now_ns);
            }
        }
        self.end_silence(index);
        let channel = &mut self.channels[index];
        let wait_ns = self.config.injection_wait_ns(channel.timeout_ns);
        let found = channel.window.answered(
            session,
            answer.first,
            answer.last(),
            now_ns.saturating_add(wait_ns),
            now_ns.saturating_add(channel.timeout_ns),
        );
        channel.last_answer_ns = Some(now_ns);
        channel.abandoned_ns = None;
        channel.counters.answers += 1;
        channel.counters.messages += last - first + 1;
        // An answer to a repetition leaves the first request open: its answer is late still.
        let late = !found.matched && channel.overdue.answer(session, first, last);
        let has_more = {
            let mut asked = channel.asked.overlapping(session, first, last);
            asked.all(|(low, high)| answer.first < low || answer.last() > high)
        };
        let has_room = channel.is_stream() || answer.bytes < FULL_DATAGRAM_BYTES;
        let fault = if has_more {
            Fault::Oversize
        } else if late {
            Fault::Slow
        } else if found.partial && has_room && answer.is_within(first, last) {
            Fault::Partial
        } else {
            return;
        };
        self.blame(session, first, last, fault);
        self.counters.lies[fault as usize] += 1;
    }

    /// The rounds in which a source was silent altogether are over for all its gaps.
    fn end_silence(&mut self, index: usize) {
        if !std::mem::take(&mut self.channels[index].was_silent) {
            return;
        }
        for gap in &mut self.gaps {
            if gap.stage == Stage::Asking(index) {
                gap.silent = 0;
            }
        }
    }

    /// An answer brought only what is not missing: it lies between two ranges that were asked for
    /// together, or it is late, or what it brings has come from elsewhere meanwhile; else the
    /// source repeats itself.
    fn note_stale(&mut self, index: usize, answer: &Answer, now_ns: u64) {
        let (session, first, last) = (answer.session, answer.first, answer.last());
        let channel = &mut self.channels[index];
        channel.last_answer_ns = Some(now_ns);
        if channel.window.is_waiting_for(session, first, last) {
            let next_ns = now_ns.saturating_add(channel.timeout_ns);
            channel.window.passed(session, last, next_ns);
            return;
        }
        let needless = channel.needless.answer(session, first, last);
        if channel.overdue.answer(session, first, last) {
            self.blame_waiting(index, Fault::Slow);
        } else if !needless && channel.window.is_waiting() {
            self.blame_waiting(index, Fault::Stale);
        }
    }

    /// Counts a fault, and notes it on the gaps that wait for an answer of this source.
    pub(crate) fn blame_waiting(&mut self, index: usize, fault: Fault) {
        self.counters.lies[fault as usize] += 1;
        for flight in self.channels[index].window.waiting() {
            flight.blamed = true;
            let near = near(&self.gaps, flight.session, flight.first, flight.last);
            for gap in &mut self.gaps[near] {
                if gap.overlaps(flight.session, flight.first, flight.last) {
                    gap.fault = fault;
                }
            }
        }
    }

    /// Notes a fault on the gaps that have something missing in `first..=last`. Silence says
    /// less than anything that was seen before it.
    pub(crate) fn blame(&mut self, session: Session, first: u64, last: u64, fault: Fault) {
        let near = near(&self.gaps, session, first, last);
        for gap in &mut self.gaps[near] {
            let says_more = fault != Fault::Silent || gap.fault == Fault::None;
            if says_more && gap.overlaps(session, first, last) {
                gap.fault = fault;
            }
        }
    }
}

impl Answer {
    /// Its last sequence number; the first when it has no message.
    fn last(&self) -> u64 {
        self.first.saturating_add(self.count.saturating_sub(1))
    }

    fn is_within(&self, first: u64, last: u64) -> bool {
        first <= self.first && self.last() <= last
    }
}
