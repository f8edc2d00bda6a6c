//! The state machine of the recovery: what it knows, and what it is told.
//!
//! The lowest gap goes first, because the output stands before it. While a source answers, its
//! answers set the pace: each makes room for the next requests in a bounded window of disjoint
//! ranges, each as long as an answer is. While it does not, one request per least interval is all
//! it gets, and a round of silence counts for every gap that was due in it: were each gap to
//! wait for its own requests, many gaps would hold the output up for ever.
//!
//! The decisions are in `ask` (the next request), `judge` (what came back), `rounds` (silence,
//! the next source, storms) and `snapshot`.

use std::collections::VecDeque;
use std::ops::Range;

use thiserror::Error;
use tickdeck_wire::moldudp64::Session;

use crate::action::{Action, Closed};
use crate::config::Config;
use crate::counters::Counters;
use crate::fault::Fault;
use crate::gap::{OpenGap, Stage};
use crate::snapshot::Snapshots;
use crate::source::{Channel, RangeSource, SourceCounters};

/// Decides what to ask for; see the crate's documentation.
#[derive(Debug)]
pub struct Engine {
    pub(crate) config: Config,
    /// In order of their first missing message.
    pub(crate) gaps: Vec<OpenGap>,
    /// In order of preference.
    pub(crate) channels: Vec<Channel>,
    pub(crate) snapshots: Snapshots,
    pub(crate) storm: bool,
    /// Decided, and not told yet.
    pub(crate) pending: VecDeque<Action>,
    pub(crate) counters: Counters,
}

/// A gap cannot be taken now; tell it again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{capacity} gaps are open already")]
pub struct OpenError {
    capacity: usize,
}

impl Engine {
    /// An engine that knows no gap.
    pub fn new(config: Config) -> Self {
        let mut channels: Vec<Channel> = Vec::new();
        for source in &config.sources {
            if channels.iter().all(|known| known.kind != source.kind) {
                channels.push(Channel::new(*source));
            }
        }
        Self {
            gaps: Vec::with_capacity(config.gap_capacity.min(4096)),
            channels,
            snapshots: Snapshots::default(),
            storm: false,
            pending: VecDeque::new(),
            counters: Counters::default(),
            config,
        }
    }

    /// Adds the missing messages `first..=last` of a gap, to be asked for at once. A gap with
    /// several holes is told hole by hole; telling one twice changes nothing.
    ///
    /// # Errors
    /// [`OpenError`] when too many gaps are open; the caller tells it again later.
    pub fn open(
        &mut self,
        id: u64,
        session: Session,
        first: u64,
        last: u64,
        detected_ns: u64,
    ) -> Result<(), OpenError> {
        let index = match self.find(id) {
            Ok(index) => {
                self.gaps[index].missing.add(first, last);
                return Ok(());
            }
            Err(index) => index,
        };
        if self.gaps.len() >= self.config.gap_capacity {
            self.counters.requests_dropped += 1;
            return Err(OpenError {
                capacity: self.config.gap_capacity,
            });
        }
        let source = self.next_source(0, detected_ns);
        let stage = source.map_or(Stage::Snapshot, Stage::Asking);
        let mut gap = OpenGap::new(id, session, detected_ns, stage);
        gap.missing.add(first, last);
        self.gaps.insert(index, gap);
        Ok(())
    }

    /// The messages `first..=last` of a gap are not missing any more: the merge has taken them,
    /// from whatever source, or has passed them as lost. When that was the rest, the gap is closed
    /// and forgotten.
    pub fn narrowed(&mut self, id: u64, first: u64, last: u64, now_ns: u64) -> Option<Closed> {
        let index = self.find(id).ok()?;
        let gap = &mut self.gaps[index];
        if gap.missing.remove(first, last) {
            (gap.unanswered, gap.silent, gap.untaken) = (0, 0, 0);
        }
        let (session, complete) = (gap.session, gap.missing.is_empty());
        let closed = complete.then(|| self.closed(id, now_ns)).flatten();
        self.release(session, first, last);
        closed
    }

    /// Nothing of this gap is wanted any more. `None` when it is not known.
    pub fn closed(&mut self, id: u64, now_ns: u64) -> Option<Closed> {
        let index = self.find(id).ok()?;
        let gap = self.remove(index);
        if gap.answers > 0 {
            self.counters.fetched_ranges += 1;
        }
        Some(Closed {
            latency_ns: now_ns.saturating_sub(gap.detected_ns),
            requests: gap.requests,
            fault: gap.fault,
        })
    }

    /// Forgets every gap: the caller is about to tell all of them anew.
    pub fn forget_all(&mut self) {
        self.gaps.clear();
        self.pending.clear();
        for channel in &mut self.channels {
            channel.window.retain(|_| false);
        }
    }

    /// Asks again without regard to backoff, past attempts and exhausted sources; returns how
    /// many gaps that are. The least interval between requests still holds.
    pub fn retry_now(&mut self, id: Option<u64>, now_ns: u64) -> usize {
        let first = self.next_source(0, now_ns);
        let mut count = 0;
        for gap in &mut self.gaps {
            if id.is_some_and(|id| gap.id != id) {
                continue;
            }
            count += 1;
            (gap.tried, gap.untaken) = (0, 0);
            match (gap.stage, first) {
                (Stage::Snapshot, Some(source)) => gap.turn_to(source, now_ns),
                _ => gap.renew(now_ns),
            }
            let (session, missing) = (gap.session, &gap.missing);
            for channel in &mut self.channels {
                channel.window.retain(|flight| {
                    let is_meant =
                        flight.session == session && missing.overlaps(flight.first, flight.last);
                    flight.answered || !is_meant
                });
            }
        }
        count
    }

    /// An operator gives up what is missing of a gap: [`Action::GiveUp`] follows. Returns how
    /// many messages that are; `None` when the gap is not known.
    pub fn accept_loss(&mut self, id: u64) -> Option<u64> {
        let index = self.find(id).ok()?;
        let messages = self.gaps[index].missing.count();
        self.give_up(index, crate::LossReason::Operator);
        Some(messages)
    }

    /// The last request could not be sent; its timeout runs as if it had been.
    pub fn send_failed(&mut self) {
        self.counters.requests_dropped += 1;
    }

    /// The next thing to do, or `None` until [`Engine::next_deadline_ns`]. Call it until `None`.
    pub fn poll(&mut self, now_ns: u64) -> Option<Action> {
        if self.pending.is_empty() {
            if let Some(id) = self.next_slo_miss(now_ns) {
                return Some(Action::SloMissed { id });
            }
            self.expire(now_ns);
            self.weigh_storm();
            self.escalate(now_ns);
        }
        self.pending
            .pop_front()
            .or_else(|| self.next_snapshot(now_ns))
            .or_else(|| self.ask(now_ns))
    }

    /// When [`Engine::poll`] may have something to do, monotonic ns.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        if !self.pending.is_empty() {
            return Some(0);
        }
        let of_gaps = self.gaps.iter().flat_map(|gap| {
            let slo_ns = gap.detected_ns.saturating_add(self.config.slo_ns);
            let slo_ns = Some(slo_ns).filter(|_| !gap.slo_told);
            slo_ns.into_iter().chain(self.ask_deadline_ns(gap))
        });
        let of_windows = self.channels.iter();
        let of_windows = of_windows.filter_map(|channel| channel.window.deadline_ns());
        of_gaps
            .chain(of_windows)
            .chain(self.snapshot_deadline_ns())
            .min()
    }

    /// Gaps known now.
    pub fn open_gaps(&self) -> usize {
        self.gaps.len()
    }

    /// Whether more gaps are open than the configuration calls a storm.
    pub fn storm(&self) -> bool {
        self.storm
    }

    /// The last fault of a source while this gap was open, silence only if there was no other;
    /// `None` when the gap is not known.
    pub fn fault_of(&self, id: u64) -> Option<Fault> {
        let index = self.find(id).ok()?;
        Some(self.gaps[index].fault)
    }

    /// Whether an answer from this source is waited for: a stream that nothing waits for any
    /// more can be closed.
    pub fn awaits(&self, source: RangeSource) -> bool {
        let mut channels = self.channels.iter();
        channels.any(|channel| channel.kind == source && channel.window.is_waiting())
    }

    /// Whether this source was given up as a whole and is passed over for a time.
    pub fn is_abandoned(&self, source: RangeSource, now_ns: u64) -> bool {
        let rest_ns = self.config.source_rest_ns;
        let mut channels = self.channels.iter();
        channels.any(|channel| channel.kind == source && channel.rests(now_ns, rest_ns))
    }

    /// What was counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What was counted of one source; `None` when it is not configured.
    pub fn source_counters(&self, source: RangeSource) -> Option<&SourceCounters> {
        let channel = self
            .channels
            .iter()
            .find(|channel| channel.kind == source)?;
        Some(&channel.counters)
    }

    fn next_slo_miss(&mut self, now_ns: u64) -> Option<u64> {
        let slo_ns = self.config.slo_ns;
        let late =
            |gap: &&mut OpenGap| !gap.slo_told && now_ns.saturating_sub(gap.detected_ns) >= slo_ns;
        let gap = self.gaps.iter_mut().find(late)?;
        gap.slo_told = true;
        self.counters.slo_violations += 1;
        Some(gap.id)
    }

    pub(crate) fn give_up(&mut self, index: usize, reason: crate::LossReason) {
        let gap = self.remove(index);
        self.counters.unrecoverable_gaps += 1;
        self.pending.push_back(Action::GiveUp {
            id: gap.id,
            reason,
            fault: gap.fault,
        });
    }

    fn remove(&mut self, index: usize) -> OpenGap {
        let gap = self.gaps.remove(index);
        if let Some((first, last)) = gap.missing.hull_in(0, u64::MAX) {
            self.release(gap.session, first, last);
        }
        gap
    }

    /// Forgets the requests for numbers in `first..=last` that no gap wants any more.
    fn release(&mut self, session: Session, first: u64, last: u64) {
        let gaps = &self.gaps;
        let is_missing = |low, high| {
            let near = near(gaps, session, low, high);
            gaps[near]
                .iter()
                .any(|gap| gap.overlaps(session, low, high))
        };
        for channel in &mut self.channels {
            channel.release(session, first, last, is_missing);
        }
    }

    /// Where a gap is, or would be.
    fn find(&self, id: u64) -> Result<usize, usize> {
        self.gaps.binary_search_by_key(&id, |gap| gap.id)
    }
}

/// The indices of the gaps that may have something in `first..=last`: all, unless every gap is of
/// this session, as nearly always.
pub(crate) fn near(gaps: &[OpenGap], session: Session, first: u64, last: u64) -> Range<usize> {
    let of_session = |gap: Option<&OpenGap>| gap.is_some_and(|gap| gap.session == session);
    if !of_session(gaps.first()) || !of_session(gaps.last()) {
        return 0..gaps.len();
    }
    let start = gaps.partition_point(|gap| gap.missing.last() < first);
    let end = gaps.partition_point(|gap| gap.missing.first() <= last);
    start..end.max(start)
}
