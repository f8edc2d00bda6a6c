//! The state machine of the recovery.
//!
//! The lowest gap goes first, because the output stands before it. While the server answers, its
//! answers set the pace: each makes room for the next requests in a bounded window of disjoint
//! ranges, each as long as an answer is. While it does not, one request per least interval is all
//! it gets, and a round of silence counts for every gap that was due in it: were each gap to
//! wait for its own requests, many gaps would hold the output up for ever.

use thiserror::Error;
use tickdeck_wire::moldudp64::{MAX_REQUEST_COUNT, Packet, Request, Session};
use tickdeck_wire::record::LossReason;

use crate::config::Config;
use crate::missing::Missing;
use crate::window::{Flight, Window};

/// Decides what to ask for; see the crate's documentation.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    /// In order of their first missing message.
    gaps: Vec<OpenGap>,
    window: Window,
    /// When the server last sent something that was asked for.
    last_answer_ns: Option<u64>,
    /// The session last asked for, and the lowest and highest number asked for in it.
    asked: Option<(Session, u64, u64)>,
    counters: Counters,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this to the server.
    Request {
        /// Number of the gap it is for.
        id: u64,
        /// Requests made for that gap, with this one.
        requests: u32,
        /// What to ask for.
        request: Request,
    },
    /// Nobody will bring the rest of this gap; it is forgotten here.
    GiveUp {
        /// Number of the gap.
        id: u64,
        /// For the loss record.
        reason: LossReason,
    },
    /// This gap has missed its objective; told once.
    SloMissed {
        /// Number of the gap.
        id: u64,
    },
}

/// What an answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It brings something that was asked for and is missing.
    Wanted,
    /// It brings only what is no longer missing.
    Stale,
    /// It is of another session.
    WrongSession,
    /// It carries no message, or only such as nobody asked for.
    NotAsked,
}

/// A gap that is no longer open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// From its detection until now, ns.
    pub latency_ns: u64,
    /// Requests made for it.
    pub requests: u32,
}

/// A gap cannot be taken now; tell it again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{capacity} gaps are open already")]
pub struct OpenError {
    capacity: usize,
}

/// What was counted; only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests to be sent.
    pub requests: u64,
    /// Gaps that could not be taken, and requests that could not be sent.
    pub requests_dropped: u64,
    /// Requests that repeat an unanswered one.
    pub retries: u64,
    /// Requests that nothing wanted came back for in time.
    pub failures: u64,
    /// Gaps closed with the help of an answer.
    pub fetched_ranges: u64,
    /// Gaps given up.
    pub unrecoverable_gaps: u64,
    /// Answers handed to the merge.
    pub injected_packets: u64,
    /// Answers whose messages were no longer missing.
    pub stale_packets: u64,
    /// Answers of another session.
    pub wrong_session_packets: u64,
    /// Answers that nobody asked for.
    pub not_asked_packets: u64,
    /// Gaps that missed their objective.
    pub slo_violations: u64,
}

#[derive(Debug)]
struct OpenGap {
    id: u64,
    session: Session,
    missing: Missing,
    detected_ns: u64,
    /// When it may be asked for.
    due_ns: u64,
    /// The lowest and the highest number asked for.
    asked: Option<(u64, u64)>,
    /// Rounds in a row in which nothing wanted came back for a request of its own.
    unanswered: u32,
    /// Rounds in a row, besides those, in which the server was silent altogether.
    silent: u32,
    /// When a round was counted last.
    counted_ns: u64,
    requests: u32,
    answers: u32,
    slo_told: bool,
}

impl Engine {
    /// An engine that knows no gap.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            gaps: Vec::with_capacity(config.gap_capacity.min(4096)),
            window: Window::new(),
            last_answer_ns: None,
            asked: None,
            counters: Counters::default(),
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
        if let Some(gap) = self.gaps.iter_mut().find(|gap| gap.id == id) {
            gap.missing.add(first, last);
            return Ok(());
        }
        if self.gaps.len() >= self.config.gap_capacity {
            self.counters.requests_dropped += 1;
            return Err(OpenError {
                capacity: self.config.gap_capacity,
            });
        }
        let mut missing = Missing::default();
        missing.add(first, last);
        let index = self.gaps.partition_point(|gap| gap.id < id);
        let gap = OpenGap {
            id,
            session,
            missing,
            detected_ns,
            due_ns: detected_ns,
            asked: None,
            unanswered: 0,
            silent: 0,
            counted_ns: 0,
            requests: 0,
            answers: 0,
            slo_told: false,
        };
        self.gaps.insert(index, gap);
        Ok(())
    }

    /// The merge has taken the messages `first..=last` of a gap, from whatever source. When
    /// that was the rest, the gap is closed and forgotten.
    pub fn narrowed(&mut self, id: u64, first: u64, last: u64, now_ns: u64) -> Option<Closed> {
        let gap = self.gaps.iter_mut().find(|gap| gap.id == id)?;
        if gap.missing.remove(first, last) {
            (gap.unanswered, gap.silent) = (0, 0);
        }
        let missing = &gap.missing;
        self.window
            .retain(|flight| flight.id != id || missing.overlaps(flight.first, flight.last));
        let complete = gap.missing.is_empty();
        complete.then(|| self.closed(id, now_ns)).flatten()
    }

    /// Nothing of this gap is wanted any more. `None` when it is not known.
    pub fn closed(&mut self, id: u64, now_ns: u64) -> Option<Closed> {
        let index = self.gaps.iter().position(|gap| gap.id == id)?;
        let gap = self.remove(index);
        if gap.answers > 0 {
            self.counters.fetched_ranges += 1;
        }
        Some(Closed {
            latency_ns: now_ns.saturating_sub(gap.detected_ns),
            requests: gap.requests,
        })
    }

    /// Forgets every gap: the caller is about to tell all of them anew.
    pub fn forget_all(&mut self) {
        self.gaps.clear();
        self.window.retain(|_| false);
    }

    /// Judges a packet from the server. Only one that is [`Verdict::Wanted`] may be merged.
    pub fn on_answer(&mut self, packet: &Packet<'_>, now_ns: u64) -> Verdict {
        let verdict = self.judge(packet, now_ns);
        match verdict {
            Verdict::Wanted => self.counters.injected_packets += 1,
            Verdict::Stale => self.counters.stale_packets += 1,
            Verdict::WrongSession => self.counters.wrong_session_packets += 1,
            Verdict::NotAsked => self.counters.not_asked_packets += 1,
        }
        verdict
    }

    /// The next thing to do, or `None` until [`Engine::next_deadline_ns`]. Call it until `None`.
    pub fn poll(&mut self, now_ns: u64) -> Option<Action> {
        if let Some(id) = self.next_slo_miss(now_ns) {
            return Some(Action::SloMissed { id });
        }
        self.expire(now_ns);
        if let Some(id) = self.exhausted() {
            self.counters.unrecoverable_gaps += 1;
            return Some(Action::GiveUp {
                id,
                reason: LossReason::AttemptsExhausted,
            });
        }
        self.ask(now_ns)
    }

    /// Asks again without regard to backoff and past attempts; returns how many gaps that are.
    /// The least interval between requests still holds.
    pub fn retry_now(&mut self, id: Option<u64>, now_ns: u64) -> usize {
        let is_meant = |gap_id: u64| id.is_none_or(|id| gap_id == id);
        self.window
            .retain(|flight| flight.answered || !is_meant(flight.id));
        let wanted = self.gaps.iter_mut().filter(|gap| is_meant(gap.id));
        wanted.map(|gap| gap.renew(now_ns)).count()
    }

    /// The last request could not be sent; its timeout runs as if it had been.
    pub fn send_failed(&mut self) {
        self.counters.requests_dropped += 1;
    }

    /// When [`Engine::poll`] may have something to do, monotonic ns.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        let next_request_ns = self
            .window
            .next_request_ns(self.config.min_request_interval_ns);
        let room = !self.window.is_full();
        let deadline = |gap: &OpenGap| {
            let slo_ns = gap.detected_ns.saturating_add(self.config.slo_ns);
            let slo_ns = Some(slo_ns).filter(|_| !gap.slo_told);
            let ask_ns =
                (room && self.free_of(gap).is_some()).then_some(gap.due_ns.max(next_request_ns));
            slo_ns.into_iter().chain(ask_ns).min()
        };
        let of_gaps = self.gaps.iter().filter_map(deadline).min();
        of_gaps.into_iter().chain(self.window.deadline_ns()).min()
    }

    /// Gaps known now.
    pub fn open_gaps(&self) -> usize {
        self.gaps.len()
    }

    /// What was counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn judge(&mut self, packet: &Packet<'_>, now_ns: u64) -> Verdict {
        if self
            .asked
            .is_none_or(|(session, ..)| session != packet.session())
            && self.gaps.iter().all(|gap| gap.session != packet.session())
        {
            return Verdict::WrongSession;
        }
        if packet.count() == 0 {
            return Verdict::NotAsked;
        }
        let (first, last) = (packet.first_sequence(), packet.next_sequence() - 1);
        let mut wanted = false;
        for gap in &mut self.gaps {
            if gap.session == packet.session() && gap.wants(first, last) {
                wanted = true;
                gap.answers += 1;
                // The server works, also when the merge has no room for what it brought yet.
                gap.renew(now_ns);
            }
        }
        if wanted {
            self.last_answer_ns = Some(now_ns);
            self.gaps.iter_mut().for_each(|gap| gap.silent = 0);
            let until_ns = now_ns.saturating_add(self.config.injection_wait_ns());
            self.window
                .answered(packet.session(), first, last, until_ns);
        }
        let was_asked = |(session, low, high): (Session, u64, u64)| {
            session == packet.session() && first <= high && last >= low
        };
        match (wanted, self.asked.is_some_and(was_asked)) {
            (true, _) => Verdict::Wanted,
            (false, true) => {
                self.last_answer_ns = Some(now_ns);
                Verdict::Stale
            }
            (false, false) => Verdict::NotAsked,
        }
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

    /// Ends the waits that are over and counts those for answers.
    fn expire(&mut self, now_ns: u64) {
        while let Some(flight) = self.window.expire(now_ns) {
            if !flight.answered {
                self.counters.failures += 1;
                self.count_round(&flight, now_ns);
            }
        }
    }

    /// A request was not answered: a round for its gap, and for all that were due with it if the
    /// server has said nothing since. Requests of the same round count once.
    fn count_round(&mut self, flight: &Flight, now_ns: u64) {
        let is_silent = self
            .last_answer_ns
            .is_none_or(|answer_ns| answer_ns < flight.sent_ns);
        for gap in &mut self.gaps {
            let is_own = gap.id == flight.id;
            let was_due = gap.due_ns <= flight.sent_ns && gap.counted_ns <= flight.sent_ns;
            if !was_due || !(is_own || is_silent) {
                continue;
            }
            if is_own {
                gap.unanswered = gap.unanswered.saturating_add(1);
            } else {
                gap.silent = gap.silent.saturating_add(1);
            }
            gap.counted_ns = now_ns;
            let backoff_ns = self.config.retry_backoff_ns;
            let wait_ns = backoff_ns.saturating_mul(u64::from(gap.rounds()));
            gap.due_ns = now_ns.saturating_add(wait_ns);
        }
    }

    /// Forgets and returns a gap that has no attempt left.
    fn exhausted(&mut self) -> Option<u64> {
        let most = self.config.retry_attempts.max(1);
        let index = self.gaps.iter().position(|gap| gap.rounds() >= most)?;
        Some(self.remove(index).id)
    }

    fn remove(&mut self, index: usize) -> OpenGap {
        let gap = self.gaps.remove(index);
        self.window.retain(|flight| flight.id != gap.id);
        gap
    }

    /// What of a gap may be asked for next. Without an answer that allows more, a gap has one
    /// request at a time.
    fn free_of(&self, gap: &OpenGap) -> Option<(u64, u64)> {
        if !self.window.has_credit() && self.window.awaits(gap.id) {
            return None;
        }
        self.window.first_free(gap.id, gap.missing.ranges())
    }

    /// The request for the lowest gap that is due.
    fn ask(&mut self, now_ns: u64) -> Option<Action> {
        let interval_ns = self.config.min_request_interval_ns;
        if self.window.is_full() || now_ns < self.window.next_request_ns(interval_ns) {
            return None;
        }
        let due = (0..)
            .zip(&self.gaps)
            .filter(|(_, gap)| gap.due_ns <= now_ns);
        let (index, (first, last)) = due
            .filter_map(|(index, gap)| Some((index, self.free_of(gap)?)))
            .next()?;
        let most = self
            .config
            .max_messages_per_request
            .clamp(1, MAX_REQUEST_COUNT);
        let count = self
            .window
            .next_count(u64::from(most))
            .min(last - first + 1);
        let last = first + (count - 1);
        let gap: &mut OpenGap = &mut self.gaps[index];
        let (low, high) = gap.asked.unwrap_or((first, last));
        gap.asked = Some((low.min(first), high.max(last)));
        gap.requests = gap.requests.saturating_add(1);
        self.counters.requests += 1;
        self.counters.retries += u64::from(gap.unanswered > 0);
        let (id, session, requests) = (gap.id, gap.session, gap.requests);
        let flight = Flight {
            id,
            session,
            first,
            last,
            sent_ns: now_ns,
            until_ns: now_ns.saturating_add(self.config.request_timeout_ns),
            answered: false,
        };
        self.window.sent(flight, interval_ns);
        let (low, high) = match self.asked {
            Some((known, low, high)) if known == session => (low, high),
            _ => (first, first),
        };
        self.asked = Some((session, low.min(first), high.max(last)));
        Some(Action::Request {
            id,
            requests,
            request: Request {
                session,
                first_sequence: first,
                count: count as u16,
            },
        })
    }
}

impl OpenGap {
    /// Rounds in a row without an answer.
    fn rounds(&self) -> u32 {
        self.unanswered.saturating_add(self.silent)
    }

    /// Begins anew, due now.
    fn renew(&mut self, now_ns: u64) {
        (self.unanswered, self.silent) = (0, 0);
        self.due_ns = self.due_ns.min(now_ns);
    }

    /// Whether `first..=last` has something that was asked for and is missing.
    fn wants(&self, first: u64, last: u64) -> bool {
        self.asked.is_some_and(|(low, high)| {
            let (first, last) = (first.max(low), last.min(high));
            first <= last && self.missing.overlaps(first, last)
        })
    }
}
