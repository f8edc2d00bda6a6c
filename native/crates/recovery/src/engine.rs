//! The state machine of the recovery.
//!
//! A gap is either waiting until it may be asked for, or asked for and waiting for an answer.
//! The lowest gap goes first, because the output stands before it. After an answer the next
//! request for the rest waits for a quiet moment, as some servers answer one request with many
//! packets and others with one.

use thiserror::Error;
use tickdeck_wire::moldudp64::{MAX_REQUEST_COUNT, Packet, Request, Session};
use tickdeck_wire::record::LossReason;

use crate::config::Config;
use crate::missing::Missing;

/// Quiet moment after an answer before the rest is asked for: packets of one answer follow one
/// another faster than that.
const QUIET_NS: u64 = 1_000_000;

/// Decides what to ask for; see the crate's documentation.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    /// In order of their first missing message.
    gaps: Vec<OpenGap>,
    last_request_ns: Option<u64>,
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
    state: State,
    /// What the last request covers, inclusive.
    asked: Option<(u64, u64)>,
    /// Requests in a row that nothing wanted came back for.
    unanswered: u32,
    requests: u32,
    answers: u32,
    slo_told: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Waiting { due_ns: u64 },
    Asked { until_ns: u64, answered: bool },
}

impl Engine {
    /// An engine that knows no gap.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            gaps: Vec::with_capacity(config.gap_capacity.min(4096)),
            last_request_ns: None,
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
            state: State::Waiting {
                due_ns: detected_ns,
            },
            asked: None,
            unanswered: 0,
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
            gap.unanswered = 0;
        }
        let complete = gap.missing.is_empty();
        complete.then(|| self.closed(id, now_ns)).flatten()
    }

    /// Nothing of this gap is wanted any more. `None` when it is not known.
    pub fn closed(&mut self, id: u64, now_ns: u64) -> Option<Closed> {
        let index = self.gaps.iter().position(|gap| gap.id == id)?;
        let gap = self.gaps.remove(index);
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
        if let Some(id) = self.expire(now_ns) {
            self.counters.unrecoverable_gaps += 1;
            return Some(Action::GiveUp {
                id,
                reason: LossReason::AttemptsExhausted,
            });
        }
        if now_ns < self.next_request_ns() {
            return None;
        }
        self.ask(now_ns)
    }

    /// Asks again without regard to backoff and past attempts; returns how many gaps that are.
    /// The least interval between requests still holds.
    pub fn retry_now(&mut self, id: Option<u64>, now_ns: u64) -> usize {
        let wanted = self
            .gaps
            .iter_mut()
            .filter(|gap| id.is_none_or(|id| gap.id == id));
        wanted
            .map(|gap| {
                gap.unanswered = 0;
                gap.state = State::Waiting { due_ns: now_ns };
            })
            .count()
    }

    /// The last request could not be sent; its timeout runs as if it had been.
    pub fn send_failed(&mut self) {
        self.counters.requests_dropped += 1;
    }

    /// When [`Engine::poll`] may have something to do, monotonic ns.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        let next_request_ns = self.next_request_ns();
        let deadline = |gap: &OpenGap| {
            let slo_ns = gap.detected_ns.saturating_add(self.config.slo_ns);
            let state_ns = match gap.state {
                State::Waiting { due_ns } => due_ns.max(next_request_ns),
                State::Asked { until_ns, .. } => until_ns,
            };
            if gap.slo_told {
                state_ns
            } else {
                state_ns.min(slo_ns)
            }
        };
        self.gaps.iter().map(deadline).min()
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
        let quiet_ns = self.quiet_ns();
        let mut wanted = false;
        for gap in &mut self.gaps {
            if gap.session == packet.session() && gap.wants(first, last) {
                wanted = true;
                gap.answers += 1;
                // The server works, also when the merge has no room for what it brought yet.
                gap.unanswered = 0;
                gap.state = State::Asked {
                    until_ns: now_ns.saturating_add(quiet_ns),
                    answered: true,
                };
            }
        }
        let was_asked = |(session, low, high): (Session, u64, u64)| {
            session == packet.session() && first <= high && last >= low
        };
        match (wanted, self.asked.is_some_and(was_asked)) {
            (true, _) => Verdict::Wanted,
            (false, true) => Verdict::Stale,
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

    /// Ends the waits for answers that are over; returns a gap that has no attempt left.
    fn expire(&mut self, now_ns: u64) -> Option<u64> {
        for index in 0..self.gaps.len() {
            let gap = &mut self.gaps[index];
            let State::Asked { until_ns, answered } = gap.state else {
                continue;
            };
            if now_ns < until_ns {
                continue;
            }
            if answered {
                gap.state = State::Waiting { due_ns: now_ns };
                continue;
            }
            gap.unanswered += 1;
            self.counters.failures += 1;
            if gap.unanswered >= self.config.retry_attempts {
                return Some(self.gaps.remove(index).id);
            }
            let backoff_ns = self.config.retry_backoff_ns;
            let wait_ns = backoff_ns.saturating_mul(u64::from(gap.unanswered));
            gap.state = State::Waiting {
                due_ns: now_ns.saturating_add(wait_ns),
            };
        }
        None
    }

    /// The request for the lowest gap that is due.
    fn ask(&mut self, now_ns: u64) -> Option<Action> {
        let is_due =
            |gap: &&mut OpenGap| matches!(gap.state, State::Waiting { due_ns } if due_ns <= now_ns);
        let gap = self.gaps.iter_mut().find(is_due)?;
        let (first, last) = gap.missing.first_range()?;
        let most = self
            .config
            .max_messages_per_request
            .clamp(1, MAX_REQUEST_COUNT);
        let count = u64::from(most).min(last - first + 1);
        gap.asked = Some((first, first + count - 1));
        gap.requests += 1;
        gap.state = State::Asked {
            until_ns: now_ns.saturating_add(self.config.request_timeout_ns),
            answered: false,
        };
        self.counters.requests += 1;
        self.counters.retries += u64::from(gap.unanswered > 0);
        self.last_request_ns = Some(now_ns);
        let (id, session, requests) = (gap.id, gap.session, gap.requests);
        let (low, high) = match self.asked {
            Some((known, low, high)) if known == session => (low, high),
            _ => (first, first),
        };
        self.asked = Some((session, low.min(first), high.max(first + count - 1)));
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

    fn next_request_ns(&self) -> u64 {
        let interval_ns = self.config.min_request_interval_ns;
        self.last_request_ns
            .map_or(0, |last_ns| last_ns.saturating_add(interval_ns))
    }

    fn quiet_ns(&self) -> u64 {
        QUIET_NS.min(self.config.request_timeout_ns)
    }
}

impl OpenGap {
    /// Whether `first..=last` has something that was asked for and is missing.
    fn wants(&self, first: u64, last: u64) -> bool {
        self.asked.is_some_and(|(low, high)| {
            let (first, last) = (first.max(low), last.min(high));
            first <= last && self.missing.overlaps(first, last)
        })
    }
}
