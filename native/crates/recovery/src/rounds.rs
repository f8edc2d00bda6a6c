//! Silence: rounds without an answer, the next source, and what to do about too many gaps.

use tickdeck_wire::moldudp64::Session;

use crate::LossReason;
use crate::action::SnapshotReason;
use crate::engine::Engine;
use crate::fault::Fault;
use crate::gap::Stage;
use crate::source::RangeSource;
use crate::window::Flight;

impl Engine {
    /// Ends the waits that are over and counts those for answers.
    pub(crate) fn expire(&mut self, now_ns: u64) {
        for index in 0..self.channels.len() {
            while let Some(flight) = self.channels[index].window.expire(now_ns) {
                if flight.answered {
                    self.count_untaken(index, &flight);
                    continue;
                }
                let overdue = &mut self.channels[index].overdue;
                overdue.add(flight.session, flight.first, flight.last);
                if !flight.blamed {
                    let fault = if flight.begun {
                        Fault::Partial
                    } else {
                        Fault::Silent
                    };
                    self.counters.lies[fault as usize] += 1;
                    self.blame(flight.session, flight.first, flight.last, fault);
                }
                self.count_failure(index, &flight, now_ns);
            }
        }
    }

    /// An answer was handed on, and the merge did not take it in time. Of what lies ahead it may
    /// have no room for more, and while a snapshot is made it stands still. But what it wants next it
    /// always takes: a source that brings that and is not believed brings nothing.
    fn count_untaken(&mut self, index: usize, flight: &Flight) {
        if self.snapshot_runs() {
            return;
        }
        let Some(gap) = self.gaps.first_mut() else {
            return;
        };
        let next = gap.missing.first();
        let is_next = (flight.first..=flight.last).contains(&next);
        if gap.stage != Stage::Asking(index) || gap.session != flight.session || !is_next {
            return;
        }
        gap.untaken = gap.untaken.saturating_add(1);
        if gap.is_exhausted(self.config.retry_attempts.max(1)) {
            self.counters.lies[Fault::Garbage as usize] += 1;
            self.blame(flight.session, next, next, Fault::Garbage);
        }
    }

    /// A request was not answered: a round for its gaps, and for all that were due with it if the
    /// source has said nothing since. Requests of the same round count once.
    pub(crate) fn count_failure(&mut self, index: usize, flight: &Flight, now_ns: u64) {
        self.counters.failures += 1;
        self.channels[index].counters.failures += 1;
        let is_silent = self.channels[index]
            .last_answer_ns
            .is_none_or(|answer_ns| answer_ns < flight.sent_ns);
        for gap in &mut self.gaps {
            let is_own = gap.overlaps(flight.session, flight.first, flight.last);
            let was_due = gap.stage == Stage::Asking(index)
                && gap.due_ns <= flight.sent_ns
                && gap.counted_ns <= flight.sent_ns;
            if !was_due || !(is_own || is_silent) {
                continue;
            }
            if is_own {
                gap.unanswered = gap.unanswered.saturating_add(1);
            } else {
                gap.silent = gap.silent.saturating_add(1);
                self.channels[index].was_silent = true;
            }
            gap.stalls = gap.stalls.saturating_add(1);
            gap.counted_ns = now_ns;
            gap.due_ns = now_ns.saturating_add(self.config.backoff_ns(gap.rounds()));
        }
    }

    /// Hands the gaps whose source is exhausted to the next one, to the snapshot, or gives them
    /// up. A source that answers just often enough gives way for a turn.
    pub(crate) fn escalate(&mut self, now_ns: u64) {
        let most = self.config.retry_attempts.max(1);
        let mut index = 0;
        while let Some(gap) = self.gaps.get_mut(index) {
            index += 1;
            match gap.stage {
                Stage::Asking(source) if gap.is_exhausted(most) => {
                    let turn_ns = gap.turn_ns;
                    self.abandon_if_silent(source, turn_ns, now_ns);
                    index -= usize::from(!self.leave_source(index - 1, source, now_ns));
                }
                Stage::Asking(source) if gap.stalls >= most => {
                    let tried = gap.tried;
                    if let Some(next) = self.source_after(source, tried, now_ns) {
                        self.counters.escalations += 1;
                        self.gaps[index - 1].turn_to(next, now_ns);
                    }
                }
                Stage::Snapshot if !self.config.snapshot => {
                    index -= 1;
                    self.give_up(index, LossReason::NoRecoverySource);
                }
                _ => {}
            }
        }
    }

    /// The source is exhausted for this gap: the next one, the snapshot, or nobody. False when the
    /// gap was given up.
    fn leave_source(&mut self, index: usize, source: usize, now_ns: u64) -> bool {
        self.gaps[index].tried |= 1 << source;
        if let Some(next) = self.next_source(self.gaps[index].tried, now_ns) {
            self.counters.escalations += 1;
            self.gaps[index].turn_to(next, now_ns);
        } else if self.config.snapshot {
            self.gaps[index].stage = Stage::Snapshot;
            self.snapshots.reason = SnapshotReason::Exhausted;
        } else {
            self.give_up(index, LossReason::AttemptsExhausted);
            return false;
        }
        true
    }

    /// The merge has refused an answer that was wanted: it is of another epoch, which only the
    /// lines can tell. To ask this source again would bring the same. Returns whether a gap had to
    /// leave it.
    pub fn on_refused(
        &mut self,
        source: RangeSource,
        session: Session,
        sequence: u64,
        now_ns: u64,
    ) -> bool {
        let Some(source) = self.index_of(source) else {
            return false;
        };
        let fault = Fault::WrongSession;
        self.counters.lies[fault as usize] += 1;
        self.blame(session, sequence, sequence, fault);
        let (mut index, mut has_left) = (0, false);
        while let Some(gap) = self.gaps.get(index) {
            let is_meant =
                gap.stage == Stage::Asking(source) && gap.overlaps(session, sequence, sequence);
            has_left |= is_meant;
            if !is_meant || self.leave_source(index, source, now_ns) {
                index += 1;
            }
        }
        has_left
    }

    /// The best source that is not among `tried`; one that was given up as a whole only when
    /// there is no other.
    pub(crate) fn next_source(&self, tried: u8, now_ns: u64) -> Option<usize> {
        let rest_ns = self.config.source_rest_ns;
        let untried = || (0..self.channels.len()).filter(|index| tried & (1 << index) == 0);
        untried()
            .find(|index| !self.channels[*index].rests(now_ns, rest_ns))
            .or_else(|| untried().next())
    }

    /// The source that takes turns with one that brings too little to be exhausted: the next
    /// that is not.
    fn source_after(&self, source: usize, tried: u8, now_ns: u64) -> Option<usize> {
        let rest_ns = self.config.source_rest_ns;
        let count = self.channels.len();
        let others = || (source + 1..source + count).map(|index| index % count);
        let untried = || others().filter(|index| tried & (1 << index) == 0);
        untried()
            .find(|index| !self.channels[*index].rests(now_ns, rest_ns))
            .or_else(|| untried().next())
    }

    /// Begins or ends a storm.
    pub(crate) fn weigh_storm(&mut self) {
        let (open, most) = (self.gaps.len(), self.config.storm_gaps);
        if self.storm {
            self.storm = open.saturating_mul(2) >= most;
        } else if most > 0 && open > most {
            self.storm = true;
            self.snapshots.broken = false;
            self.counters.storms += 1;
        }
        if self.storm && self.config.snapshot && !self.snapshots.broken {
            self.leave_to_snapshot();
        }
    }

    fn leave_to_snapshot(&mut self) {
        let mut moved = false;
        for gap in &mut self.gaps {
            moved |= gap.stage != Stage::Snapshot;
            gap.stage = Stage::Snapshot;
        }
        if moved {
            self.snapshots.reason = SnapshotReason::Storm;
        }
    }

    fn abandon_if_silent(&mut self, source: usize, since_ns: u64, now_ns: u64) {
        let channel = &mut self.channels[source];
        let is_silent = channel.last_answer_ns.is_none_or(|ns| ns < since_ns);
        if is_silent && channel.abandoned_ns.is_none() {
            channel.counters.abandoned += 1;
        }
        if is_silent {
            channel.abandoned_ns = Some(now_ns);
        }
    }
}
