//! Which session the lines are in, and the decision about a packet of another one.
//!
//! A stray packet must not end a session, and a new session must not wait for an operator. So
//! another session takes over only when the current one has ended and is complete, or has been
//! silent for the takeover time; for a resumed one that time runs from the start. A session that
//! was left comes back only after such a silence, and one that had ended only with more than it
//! had then. What of the new session was refused until then is not lost: its stream begins
//! before it.

use tickdeck_wire::moldudp64::Session;

use crate::config::Start;
use crate::ranges::Span;
use crate::unit::Reset;

/// Sessions remembered after they were left.
const REMEMBERED_SESSIONS: usize = 8;

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The session of [`Start::Resume`], heard for the first time.
    Resumed,
    /// The first session seen; its stream begins at `start`.
    First { start: u64 },
    /// Another session takes over; its stream begins at `start`. `expected`: the one before had
    /// ended, or the venue announced the reset.
    Takeover { start: u64, expected: bool },
    /// Another session; nothing changes.
    Refused,
}

#[derive(Debug)]
pub(crate) struct Sessions {
    start: Start,
    takeover_ns: u64,
    current: Option<Session>,
    /// The current session's name, once it was heard; else one that no session has.
    heard: Name,
    /// When the current session was last heard, or listening for it began.
    last_heard_ns: Option<u64>,
    ended_ns: Option<u64>,
    /// A refused session and the lowest sequence number it has shown.
    candidate: Option<(Session, u64)>,
    past: Vec<Past>,
}

/// A session's ten bytes as the processor compares them: two loads of the sizes that they were
/// stored with. Loads of other sizes wait until the stores have reached the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    head: u64,
    /// The last two bytes and a bit that no byte of a name sets.
    tail: u32,
}

impl Name {
    const NONE: Self = Self { head: 0, tail: 0 };

    #[inline]
    fn of(session: &Session) -> Self {
        let [a, b, c, d, e, f, g, h, i, j] = session.0;
        Self {
            head: u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            tail: u32::from(u16::from_ne_bytes([i, j])) | 1 << 16,
        }
    }
}

/// A session that was left, so that a return to it repeats nothing.
#[derive(Clone, Copy, Debug)]
struct Past {
    session: Session,
    next: u64,
    ended: bool,
}

impl Sessions {
    pub(crate) fn new(start: Start, takeover_ns: u64) -> Self {
        let current = match start {
            Start::Resume { session, .. } => Some(session),
            Start::FirstSeen | Start::SessionStart => None,
        };
        Self {
            start,
            takeover_ns,
            current,
            heard: Name::NONE,
            last_heard_ns: None,
            ended_ns: None,
            candidate: None,
            past: Vec::with_capacity(REMEMBERED_SESSIONS),
        }
    }

    pub(crate) fn current(&self) -> Option<Session> {
        self.current
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended_ns.is_some()
    }

    /// Notes an end-of-session packet.
    pub(crate) fn end(&mut self, now_ns: u64) {
        self.ended_ns.get_or_insert(now_ns);
    }

    /// The end was none: the session goes on.
    pub(crate) fn reopen(&mut self) {
        self.ended_ns = None;
    }

    /// Begins to listen, if that has not begun: silence counts from here.
    #[inline]
    pub(crate) fn watch(&mut self, now_ns: u64) {
        if self.last_heard_ns.is_none() {
            self.last_heard_ns = Some(now_ns);
        }
    }

    /// Whether a packet from a line belongs to the current session, which it keeps alive.
    #[inline]
    pub(crate) fn is_current(&mut self, session: &Session, now_ns: u64) -> bool {
        let is_current = self.heard == Name::of(session);
        if is_current {
            self.last_heard_ns = Some(now_ns);
        }
        is_current
    }

    /// Makes `session` the current one; `left_at` is where the stream of the old one stands.
    pub(crate) fn enter(&mut self, session: Session, left_at: u64, now_ns: u64) {
        if let Some(old) = self.current.filter(|old| *old != session) {
            self.past.retain(|past| past.session != session);
            if self.past.len() == REMEMBERED_SESSIONS {
                self.past.remove(0);
            }
            self.past.push(Past {
                session: old,
                next: left_at,
                ended: self.has_ended(),
            });
        }
        self.current = Some(session);
        self.heard = Name::of(&session);
        self.last_heard_ns = Some(now_ns);
        self.ended_ns = None;
        self.candidate = None;
    }

    /// Decides about a packet from a line that does not belong to the current session.
    /// `complete`: nothing of the current session is missing.
    pub(crate) fn admit(
        &mut self,
        session: Session,
        span: Span,
        reset: Reset,
        now_ns: u64,
        complete: bool,
    ) -> Admission {
        self.watch(now_ns);
        let Some(current) = self.current else {
            let start = match self.start {
                Start::FirstSeen => span.first,
                Start::SessionStart | Start::Resume { .. } => 1,
            };
            return Admission::First { start };
        };
        if current == session {
            return Admission::Resumed;
        }
        let past = self.past.iter().find(|past| past.session == session);
        if past.is_some_and(|past| past.ended && span.end <= past.next) {
            return Admission::Refused;
        }
        if reset != Reset::Unknown && past.is_none() {
            let expected = reset == Reset::Announced || self.has_ended();
            return Admission::Takeover { start: 1, expected };
        }
        let complete = complete && past.is_none();
        let start = match (past, self.start) {
            (Some(past), _) => past.next,
            (None, Start::FirstSeen) => self.lowest_shown(session, span.first),
            (None, Start::SessionStart | Start::Resume { .. }) => 1,
        };
        if self.may_be_left(now_ns, complete) {
            let expected = self.has_ended();
            Admission::Takeover { start, expected }
        } else {
            Admission::Refused
        }
    }

    fn may_be_left(&self, now_ns: u64, complete: bool) -> bool {
        let since = |then_ns: u64| now_ns.saturating_sub(then_ns) >= self.takeover_ns;
        let over = self
            .ended_ns
            .is_some_and(|ended_ns| complete || since(ended_ns));
        over || self.last_heard_ns.is_some_and(since)
    }

    /// The lowest sequence number that a session other than the current one has shown.
    fn lowest_shown(&mut self, session: Session, first: u64) -> u64 {
        let lowest = match self.candidate {
            Some((known, lowest)) if known == session => lowest.min(first),
            _ => first,
        };
        self.candidate = Some((session, lowest));
        lowest
    }
}
