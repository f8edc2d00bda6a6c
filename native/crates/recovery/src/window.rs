//! What was asked for and is not settled yet: a bounded number of disjoint ranges.
//!
//! A range stays here from its request until the merge has taken what the answer brought, so
//! that nothing is asked for twice at a time, and so that a merge without room for answers slows
//! the requests down.

use tickdeck_wire::moldudp64::Session;

/// Ranges at a time.
pub(crate) const WINDOW: usize = 32;
/// Requests that an answer allows without regard to the least interval: the range that it frees,
/// and one more until the window is full.
const CREDIT_PER_ANSWER: usize = 2;
/// Each n-th request asks for more than an answer brought last, to learn whether it may be more.
const PROBE_EVERY: u32 = 16;

/// A range of one gap, inclusive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub(crate) id: u64,
    pub(crate) session: Session,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) sent_ns: u64,
    /// When it is over: without an answer a failure, with one a loss on the way to the merge.
    pub(crate) until_ns: u64,
    pub(crate) answered: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Window {
    flights: Vec<Flight>,
    credit: usize,
    last_request_ns: Option<u64>,
    /// Messages that an answer brings; `None` before the first.
    stride: Option<u64>,
    requests: u32,
}

impl Window {
    pub(crate) fn new() -> Self {
        Self {
            flights: Vec::with_capacity(WINDOW),
            credit: 0,
            last_request_ns: None,
            stride: None,
            requests: 0,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.flights.len() >= WINDOW
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

    /// An answer brought `first..=last`. What it brought of a range waits for the merge until
    /// `until_ns`; the rest of that range is free to be asked for.
    pub(crate) fn answered(&mut self, session: Session, first: u64, last: u64, until_ns: u64) {
        let mut matched = false;
        for flight in &mut self.flights {
            if flight.answered || flight.session != session {
                continue;
            }
            let (low, high) = (first.max(flight.first), last.min(flight.last));
            if low > high {
                continue;
            }
            matched = true;
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
        if matched {
            self.credit = (self.credit + CREDIT_PER_ANSWER).min(WINDOW);
        }
    }

    /// Removes and returns a range that is over.
    pub(crate) fn expire(&mut self, now_ns: u64) -> Option<Flight> {
        let index = self
            .flights
            .iter()
            .position(|flight| flight.until_ns <= now_ns)?;
        let flight = self.flights.remove(index);
        if !flight.answered {
            self.credit = 0;
        }
        Some(flight)
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&Flight) -> bool) {
        self.flights.retain(keep);
    }

    pub(crate) fn deadline_ns(&self) -> Option<u64> {
        self.flights.iter().map(|flight| flight.until_ns).min()
    }

    /// Whether a request for this gap waits for its answer.
    pub(crate) fn awaits(&self, id: u64) -> bool {
        self.flights
            .iter()
            .any(|flight| flight.id == id && !flight.answered)
    }

    /// The first part of `ranges` that is not in the window.
    pub(crate) fn first_free(&self, id: u64, ranges: &[(u64, u64)]) -> Option<(u64, u64)> {
        ranges.iter().find_map(|&(first, last)| {
            let mut at = first;
            let own = || self.flights.iter().filter(|flight| flight.id == id);
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
