//! One range source: what it may be asked for, what is under way, how it has behaved.

use tickdeck_wire::moldudp64::{MAX_REQUEST_COUNT, Session};

use crate::asked::{RangeLog, RequestLog};
use crate::window::{Window, WindowKind};

/// Ranges remembered as asked for. What was forgotten and comes then is not taken, but asked for
/// again.
const ASKED_RANGES: usize = 512;
/// Requests remembered that were over, or needless, before their answer came.
const PAST_REQUESTS: usize = 64;
/// Longest range that a stream is asked for at once: it brings it at its own pace.
const STREAM_MESSAGES: u64 = 1 << 20;

/// What can bring ranges of missing messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RangeSource {
    /// A re-request server: one datagram asks for a range, and one or more bring a part of it.
    Request,
    /// A stream that is resumed at the first missing number.
    Stream,
    /// The journal of a peer host.
    Peer,
}

/// A source and its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceConfig {
    /// What it is.
    pub kind: RangeSource,
    /// Most messages asked for at once; 0 counts as 1. A re-request server takes at most
    /// [`MAX_REQUEST_COUNT`].
    pub max_messages_per_request: u64,
    /// How long an answer may take before the request counts as failed; of a stream or a peer,
    /// how long it may bring nothing.
    pub request_timeout_ns: u64,
}

/// What was counted of one source; only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCounters {
    /// Requests to be sent.
    pub requests: u64,
    /// Requests that nothing wanted came back for in time, or that were refused.
    pub failures: u64,
    /// Answers handed to the merge.
    pub answers: u64,
    /// Messages in them that were missing or on their way.
    pub messages: u64,
    /// Times that it was given up as a whole because it was silent for all its attempts.
    pub abandoned: u64,
}

/// A source in use.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) kind: RangeSource,
    pub(crate) most: u64,
    pub(crate) timeout_ns: u64,
    pub(crate) window: Window,
    /// What it was asked for, so that nothing else is taken from it.
    pub(crate) asked: RangeLog,
    /// Requests that were over before an answer came.
    pub(crate) overdue: RequestLog,
    /// Requests whose messages came from elsewhere before the answer did.
    pub(crate) needless: RequestLog,
    /// When it last sent something that was asked for.
    pub(crate) last_answer_ns: Option<u64>,
    /// Rounds of its silence were counted since.
    pub(crate) was_silent: bool,
    /// When it was given up as a whole.
    pub(crate) abandoned_ns: Option<u64>,
    pub(crate) counters: SourceCounters,
}

impl RangeSource {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Request, Self::Stream, Self::Peer];

    /// The source as a stable word, for metrics and the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Stream => "stream",
            Self::Peer => "peer",
        }
    }
}

impl SourceConfig {
    /// A re-request server: 2,000 messages at once, 50 ms for an answer.
    pub fn request() -> Self {
        Self {
            kind: RangeSource::Request,
            max_messages_per_request: 2000,
            request_timeout_ns: 50_000_000,
        }
    }

    /// A resumed stream: a million messages at once, 500 ms of silence.
    pub fn stream() -> Self {
        Self {
            kind: RangeSource::Stream,
            max_messages_per_request: STREAM_MESSAGES,
            request_timeout_ns: 500_000_000,
        }
    }

    /// A peer host: a million messages at once, 500 ms of silence.
    pub fn peer() -> Self {
        Self {
            kind: RangeSource::Peer,
            ..Self::stream()
        }
    }
}

impl Channel {
    pub(crate) fn new(config: SourceConfig) -> Self {
        let (kind, limit) = match config.kind {
            RangeSource::Request => (WindowKind::Datagrams, u64::from(MAX_REQUEST_COUNT)),
            RangeSource::Stream | RangeSource::Peer => (WindowKind::Stream, u64::MAX),
        };
        Self {
            kind: config.kind,
            most: config.max_messages_per_request.clamp(1, limit),
            timeout_ns: config.request_timeout_ns,
            window: Window::new(kind),
            asked: RangeLog::new(ASKED_RANGES),
            overdue: RequestLog::new(PAST_REQUESTS),
            needless: RequestLog::new(PAST_REQUESTS),
            last_answer_ns: None,
            was_silent: false,
            abandoned_ns: None,
            counters: SourceCounters::default(),
        }
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.kind != RangeSource::Request
    }

    /// Whether it was given up less than `rest_ns` ago and has not been heard since.
    pub(crate) fn rests(&self, now_ns: u64, rest_ns: u64) -> bool {
        self.abandoned_ns
            .is_some_and(|ns| now_ns.saturating_sub(ns) < rest_ns)
    }

    /// Forgets the requests for `first..=last` of which `is_missing` says that nothing is missing
    /// any more.
    pub(crate) fn release(
        &mut self,
        session: Session,
        first: u64,
        last: u64,
        is_missing: impl Fn(u64, u64) -> bool,
    ) {
        let needless = &mut self.needless;
        self.window.retain(|flight| {
            let is_meant =
                flight.session == session && flight.first <= last && flight.last >= first;
            let stays = !is_meant || is_missing(flight.first, flight.last);
            if !stays && !flight.answered {
                needless.add(session, flight.first, flight.last);
            }
            stays
        });
    }
}
