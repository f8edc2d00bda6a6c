//! What a source was asked for and is not settled yet: a bounded number of disjoint ranges.
//!
//! A range stays here from its request until the merge has taken what the answer brought, so
//! that nothing is asked for twice at a time, and so that a merge without room for answers slows
//! the requests down.

use tickdeck_wire::moldudp64::Session;

use crate::missing::Missing;

/// Ranges at a time.
pub(crate) const WINDOW: usize = 32;
/// Requests that an answer allows without regard to the least interval: the range that it frees,
/// and one more until the window is full.
const CREDIT_PER_ANSWER: usize = 2;
/// Each n-th request asks for more than an answer brought last, to learn whether it may be more.
const PROBE_EVERY: u32 = 16;

/// How a source answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WindowKind {
    /// Each request by itself; what a datagram leaves of it is free to be asked for.
    Datagrams,
    /// One request at a time, with as many answers as it takes.
    Stream,
}

/// A range that was asked for, inclusive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub(crate) session: Session,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) sent_ns: u64,
    /// When it is over: without an answer a failure, with one a loss on the way to the merge.
    pub(crate) until_ns: u64,
    pub(crate) answered: bool,
    /// A part of it was brought; of a stream only, else it is answered then.
    pub(crate) begun: bool,
    /// Something wrong came while it was waited for.
    pub(crate) blamed: bool,
}

/// What an answer meant for the requests under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Match {
    /// It answered one of them.
    pub(crate) matched: bool,
    /// It left something of one out that it should have brought.
    pub(crate) partial: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Window {
    kind: WindowKind,
    flights: Vec<Flight>,
    credit: usize,
    last_request_ns: Option<u64>,
    /// Messages that an answer brings; `None` before the first.
    stride: Option<u64>,
    requests: u32,
}

impl Window {
    pub(crate) fn new(kind: WindowKind) -> Self {
        Self {
            kind,
            flights: Vec::with_capacity(WINDOW),
            credit: 0,
            last_request_ns: None,
            stride: None,
            requests: 0,
        }
    }

    /// Whether another request may be under way; `width` at most are.
    pub(crate) fn has_room(&self, width: usize) -> bool {
        match self.kind {
            WindowKind::Datagrams => self.flights.len() < width,
            WindowKind::Stream => {
                self.flights.len() < WINDOW && self.flights.iter().all(|flight| flight.answered)
            }
        }
    }

    /// Whether an answer allows a request at any time.
    pub(crate) fn has_credit(&self) -> bool {
        self.credit > 0
    }

    /// When the next request may be made.
    pub(crate) fn next_request_ns(&self, interval_ns: u64) -> u64 {
        match self.last_request_ns {
            Some(last_ns) if !self.has_credit() => last_ns.saturating_add(interval_ns),
            _ => 0,
        }
    }

    /// How many messages the next request asks for; `most` before anything was learnt.
    pub(crate) fn next_count(&self, most: u64) -> u64 {
        let stride = self.stride.map_or(most, |stride| {
            if self.requests.is_multiple_of(PROBE_EVERY) {
                stride.saturating_mul(2)
            } else {
                stride
            }
        });
        stride.clamp(1, most)
    }

    pub(crate) fn sent(&mut self, flight: Flight, interval_ns: u64) {
        let is_early = self
            .last_request_ns
            .is_some_and(|last_ns| flight.sent_ns < last_ns.saturating_add(interval_ns));
        if is_early {
            self.credit = self.credit.saturating_sub(1);
        }
        self.last_request_ns = Some(flight.sent_ns);
        self.requests = self.requests.wrapping_add(1);
        self.flights.push(flight);
    }

    /// An answer brought `first..=last`, which waits for the merge until `until_ns`. A datagram
    /// frees the rest of its range to be asked for; a stream goes on, and has until
    /// `next_answer_ns` to do so.
    pub(crate) fn answered(
        &mut self,
        session: Session,
        first: u64,
        last: u64,
        until_ns: u64,
        next_answer_ns: u64,
    ) -> Match {
        let found = match self.kind {
            WindowKind::Datagrams => self.datagram(session, first, last, until_ns),
            WindowKind::Stream => self.streamed(session, first, last, until_ns, next_answer_ns),
        };
        if found.matched {
            self.credit = (self.credit + CREDIT_PER_ANSWER).min(WINDOW);
        }
        found
    }

    fn datagram(&mut self, session: Session, first: u64, last: u64, until_ns: u64) -> Match {
        let mut found = Match::default();
        for flight in &mut self.flights {
            if flight.answered || !flight.overlaps(session, first, last) {
                continue;
            }
            let (low, high) = (first.max(flight.first), last.min(flight.last));
            found.matched = true;
            found.partial |= low > flight.first || high < flight.last;
            if first <= flight.first {
                let brought = high - low + 1;
                // A whole answer might have been longer, had more been asked for.
                self.stride = if high < flight.last {
                    Some(brought)
                } else {
                    self.stride.map(|stride| stride.max(brought))
                };
            }
            (flight.first, flight.last) = (low, high);
            flight.until_ns = until_ns;
            flight.answered = true;
        }
        found
    }

    fn streamed(
        &mut self,
        session: Session,
        first: u64,
        last: u64,
        until_ns: u64,
        next_answer_ns: u64,
    ) -> Match {
        let waits = |flight: &Flight| !flight.answered && flight.overlaps(session, first, last);
        let Some(index) = self.flights.iter().position(waits) else {
            return Match::default();
        };
        let flight = &mut self.flights[index];
        let (low, high) = (first.max(flight.first), last.min(flight.last));
        let partial = low > flight.first;
        let part = Flight {
            first: low,
            last: high,
            until_ns,
            answered: true,
            ..*flight
        };
        flight.begun = true;
        flight.until_ns = next_answer_ns;
        if high == flight.last {
            self.flights.remove(index);
        } else {
            flight.first = high + 1;
        }
        let before = self.flights.iter_mut().find(|flight| {
            flight.answered && flight.session == session && flight.last.checked_add(1) == Some(low)
        });
        match before {
            Some(before) => (before.last, before.until_ns) = (high, until_ns),
            None => self.flights.push(part),
        }
        Match {
            matched: true,
            partial,
        }
    }

    /// A stream has come to `last` with something that is not missing, and goes on until
    /// `next_answer_ns`.
    pub(crate) fn passed(&mut self, session: Session, last: u64, next_answer_ns: u64) {
        if self.kind == WindowKind::Datagrams {
            return;
        }
        for flight in &mut self.flights {
            if !flight.answered && flight.overlaps(session, 0, last) {
                flight.begun = true;
                flight.until_ns = next_answer_ns;
                flight.first = last.saturating_add(1);
            }
        }
        self.flights.retain(|flight| flight.first <= flight.last);
    }

    /// Removes and returns a range that is over.
    pub(crate) fn expire(&mut self, now_ns: u64) -> Option<Flight> {
        let is_over = |flight: &Flight| flight.until_ns <= now_ns;
        let index = self.flights.iter().position(is_over)?;
        Some(self.take(index))
    }

    /// Removes and returns a range that no answer has come for.
    pub(crate) fn fail(&mut self) -> Option<Flight> {
        let index = self.flights.iter().position(|flight| !flight.answered)?;
        Some(self.take(index))
    }

    fn take(&mut self, index: usize) -> Flight {
        let flight = self.flights.remove(index);
        if !flight.answered {
            self.credit = 0;
        }
        flight
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&Flight) -> bool) {
        self.flights.retain(keep);
    }

    pub(crate) fn deadline_ns(&self) -> Option<u64> {
        self.flights.iter().map(|flight| flight.until_ns).min()
    }

    /// The requests that wait for an answer.
    pub(crate) fn waiting(&mut self) -> impl Iterator<Item = &mut Flight> {
        self.flights.iter_mut().filter(|flight| !flight.answered)
    }

    /// Whether any request waits for an answer.
    pub(crate) fn is_waiting(&self) -> bool {
        self.flights.iter().any(|flight| !flight.answered)
    }

    /// Whether a request for some of `first..=last` waits for its answer.
    pub(crate) fn is_waiting_for(&self, session: Session, first: u64, last: u64) -> bool {
        let mut flights = self.flights.iter();
        flights.any(|flight| !flight.answered && flight.overlaps(session, first, last))
    }

    /// Whether a request for some of this waits for its answer.
    pub(crate) fn awaits(&self, session: Session, missing: &Missing) -> bool {
        self.flights.iter().any(|flight| {
            !flight.answered
                && flight.session == session
                && missing.overlaps(flight.first, flight.last)
        })
    }

    /// The first part of `ranges` that is not in the window.
    pub(crate) fn first_free(&self, session: Session, ranges: &[(u64, u64)]) -> Option<(u64, u64)> {
        ranges.iter().find_map(|&(first, last)| {
            let mut at = first;
            let own = || {
                self.flights
                    .iter()
                    .filter(|flight| flight.session == session)
            };
            while let Some(flight) = own().find(|flight| (flight.first..=flight.last).contains(&at))
            {
                at = flight.last.checked_add(1)?;
            }
            let behind = own().filter(|flight| flight.first > at);
            let end = behind.map(|flight| flight.first - 1).min();
            (at <= last).then(|| (at, end.map_or(last, |end| end.min(last))))
        })
    }
}

impl Flight {
    pub(crate) fn overlaps(&self, session: Session, first: u64, last: u64) -> bool {
        self.session == session && self.first <= last && self.last >= first
    }
}
