//! One connection of a SoupBinTCP server.

use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::soupbintcp::{
    ClientPacket, Decoder, END_OF_SESSION, Login, Password, RejectReason, SERVER_HEARTBEAT,
    Username, accepted, push_sequenced, rejected, same_session,
};

use super::{BURST_BYTES, Draw, Feed, Next, another, snapshot};
use crate::History;
use crate::lies::{Lie, Order};
use crate::random::Random;

/// A heartbeat goes out when nothing was sent for so long.
const HEARTBEAT_NS: u64 = 1_000_000_000;
/// A client that says nothing for so long is dead.
const SILENCE_NS: u64 = 15_000_000_000;
/// A client has so long to log in.
const LOGIN_NS: u64 = 30_000_000_000;
/// Longest packet of a client that is taken.
const MAX_PACKET_LEN: usize = 1_024;
/// True messages in front of a lie that is told in the midst of the stream.
const TRUE_MESSAGES: u64 = 2;
/// By how much a lie misses the wanted number.
const MISS: u64 = 1_000;
/// Bytes of a message that is longer than any may be.
const OVERSIZE: usize = 60_000;

/// What a connection serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The session's messages from the wanted number on.
    Stream,
    /// A snapshot of the state before the next message to be sent.
    Glimpse,
}

/// Who may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User.
    pub username: Username,
    /// Password.
    pub password: Password,
}

/// The server's side of one connection.
#[derive(Clone, Debug)]
pub struct SoupServer {
    service: Service,
    /// Anybody may log in without.
    credentials: Option<Credentials>,
    decoder: Decoder,
    state: State,
    last_heard_ns: u64,
    last_sent_ns: u64,
}

#[derive(Clone, Debug)]
enum State {
    /// Since then.
    AwaitsLogin(u64),
    LoggedIn(Login),
    Sending(Sending),
    /// Says nothing any more, for a lie.
    Mute,
    Over,
}

#[derive(Clone, Debug)]
struct Sending {
    /// A snapshot, which is what is sent then.
    own: Option<History>,
    next: u64,
    /// The first one that is no longer sent truly.
    until: u64,
    lie: Option<Order>,
    not_before_ns: u64,
}

impl SoupServer {
    /// A connection that was just made.
    pub fn new(service: Service, credentials: Option<Credentials>, now_ns: u64) -> Self {
        Self {
            service,
            credentials,
            decoder: Decoder::new(MAX_PACKET_LEN),
            state: State::AwaitsLogin(now_ns),
            last_heard_ns: now_ns,
            last_sent_ns: now_ns,
        }
    }

    /// Takes what the client sent.
    pub fn on_bytes(&mut self, bytes: &[u8], now_ns: u64) {
        self.last_heard_ns = now_ns;
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = &rest[self.decoder.push(rest)..];
            loop {
                let packet = match self.decoder.next() {
                    Ok(None) => break,
                    Ok(Some(frame)) => ClientPacket::parse(frame),
                    Err(error) => Err(error),
                };
                match packet {
                    Ok(ClientPacket::Login(login))
                        if matches!(self.state, State::AwaitsLogin(_)) =>
                    {
                        self.state = State::LoggedIn(login);
                    }
                    Ok(
                        ClientPacket::Heartbeat
                        | ClientPacket::Unsequenced(_)
                        | ClientPacket::Debug(_),
                    ) => {}
                    Ok(ClientPacket::Login(_) | ClientPacket::Logout) | Err(_) => {
                        self.state = State::Over;
                        return;
                    }
                }
            }
        }
    }

    /// Appends what is to be sent now; `draw` is asked once, for the answer to the login.
    pub fn poll(&mut self, feed: Feed<'_>, draw: Draw<'_>, now_ns: u64, out: &mut Vec<u8>) -> Next {
        if self.is_gone(now_ns) {
            self.state = State::Over;
        }
        let before = out.len();
        if let State::LoggedIn(login) = self.state {
            self.state = self.answer(&login, feed, draw(), now_ns, out);
        }
        let next = match &mut self.state {
            State::Sending(sending) => match sending.push(feed, now_ns, out) {
                Some(next) => next,
                None => {
                    self.state = State::Over;
                    Next::Close
                }
            },
            State::AwaitsLogin(_) | State::LoggedIn(_) | State::Mute => {
                Next::Wait { until_ns: u64::MAX }
            }
            State::Over => Next::Close,
        };
        self.keep_alive(next, before, now_ns, out)
    }

    /// Sends a heartbeat when it is time, and says when the next one is.
    fn keep_alive(&mut self, next: Next, before: usize, now_ns: u64, out: &mut Vec<u8>) -> Next {
        let is_sending = matches!(self.state, State::Sending(_));
        if is_sending && out.len() == before && self.last_sent_ns + HEARTBEAT_NS <= now_ns {
            out.extend_from_slice(&SERVER_HEARTBEAT);
        }
        if out.len() > before {
            self.last_sent_ns = now_ns;
        }
        let Next::Wait { until_ns } = next else {
            return next;
        };
        let alive_ns = if is_sending {
            self.last_sent_ns + HEARTBEAT_NS
        } else {
            u64::MAX
        };
        let until_ns = until_ns.min(alive_ns).min(self.gone_ns());
        Next::Wait { until_ns }
    }

    fn is_gone(&self, now_ns: u64) -> bool {
        self.gone_ns() <= now_ns
    }

    fn gone_ns(&self) -> u64 {
        match self.state {
            State::AwaitsLogin(since_ns) => since_ns + LOGIN_NS,
            _ => self.last_heard_ns + SILENCE_NS,
        }
    }

    fn answer(
        &self,
        login: &Login,
        feed: Feed<'_>,
        lie: Option<Order>,
        now_ns: u64,
        out: &mut Vec<u8>,
    ) -> State {
        let told = lie.map(|order| order.lie);
        match told {
            Some(Lie::Silent) => return State::Mute,
            Some(Lie::Disconnected) => return State::Over,
            _ => {}
        }
        let own = match self.service {
            Service::Stream => None,
            Service::Glimpse => Some(snapshot_for(feed, told)),
        };
        let first = match self.judge(login, feed, own.as_ref()) {
            Ok(_) if told == Some(Lie::Refused) => Err(RejectReason::SessionNotAvailable),
            judged => judged,
        };
        let first = match first {
            Ok(first) => first,
            Err(reason) => {
                out.extend_from_slice(&rejected(reason));
                return State::Over;
            }
        };
        let session = match told {
            Some(Lie::WrongSession) => another(feed.session),
            _ => feed.session,
        };
        let said = match told {
            Some(Lie::Stale) if own.is_none() => first.saturating_sub(MISS).max(1),
            Some(Lie::NotAsked) => first.saturating_add(MISS),
            _ => first,
        };
        out.extend_from_slice(&accepted(session, said));
        let next = said.min(end_of(feed, own.as_ref()));
        State::Sending(Sending {
            next,
            until: until(told, next, feed, own.as_ref()),
            own,
            lie,
            not_before_ns: match lie {
                Some(Order {
                    lie: Lie::Slow,
                    delay_ns,
                    ..
                }) => now_ns.saturating_add(delay_ns),
                _ => now_ns,
            },
        })
    }

    /// The number that the client may have next.
    fn judge(
        &self,
        login: &Login,
        feed: Feed<'_>,
        own: Option<&History>,
    ) -> Result<u64, RejectReason> {
        let is_known = self.credentials.is_none_or(|known| {
            // Both are always compared, so that the time tells nothing.
            (known.username == login.username) & (known.password == login.password)
        });
        if !is_known {
            return Err(RejectReason::NotAuthorised);
        }
        let is_ours = |session: Session| same_session(session, feed.session);
        let end = end_of(feed, own);
        let first = match login.sequence {
            0 => end.saturating_sub(1).max(1),
            first => first,
        };
        if login.session.is_none_or(is_ours) && first <= end {
            Ok(first)
        } else {
            Err(RejectReason::SessionNotAvailable)
        }
    }
}

impl Sending {
    /// Appends messages, or the lie behind them; `None` ends the connection.
    fn push(&mut self, feed: Feed<'_>, now_ns: u64, out: &mut Vec<u8>) -> Option<Next> {
        if now_ns < self.not_before_ns {
            let until_ns = self.not_before_ns;
            return Some(Next::Wait { until_ns });
        }
        let end = end_of(feed, self.own.as_ref()).min(self.until);
        let history = self.own.as_ref().unwrap_or(feed.history);
        let limit = out.len() + BURST_BYTES;
        while self.next < end && out.len() < limit {
            let message = history.message(self.next)?;
            push_sequenced(out, message).ok()?;
            self.next += 1;
        }
        if self.next < end {
            return Some(Next::More);
        }
        if self.next < self.until {
            return Some(Next::Wait { until_ns: u64::MAX });
        }
        let Order { lie, seed, .. } = self.lie?;
        match lie {
            Lie::Garbage => {
                push_garbage(seed, out);
                self.until = u64::MAX;
                self.lie = None;
                return Some(Next::More);
            }
            Lie::Oversize => push_sequenced(out, &[b'S'; OVERSIZE]).ok()?,
            // A length that promises more than comes.
            Lie::Truncated => out.extend_from_slice(&[0, 40, b'S', b'A', 0, 1]),
            _ => out.extend_from_slice(&END_OF_SESSION),
        }
        None
    }
}

/// The number behind the last message that may be sent.
fn end_of(feed: Feed<'_>, own: Option<&History>) -> u64 {
    own.map_or_else(
        || feed.next_sequence.min(feed.history.next_sequence()),
        History::next_sequence,
    )
}

/// The first message that the lie does not let through.
fn until(told: Option<Lie>, next: u64, feed: Feed<'_>, own: Option<&History>) -> u64 {
    let end = end_of(feed, own);
    match told {
        Some(Lie::Partial) if own.is_some() => next + (end - next) / 2,
        Some(Lie::Garbage | Lie::Oversize | Lie::Truncated | Lie::Partial) => {
            next.saturating_add(TRUE_MESSAGES).min(end)
        }
        _ => u64::MAX,
    }
}

fn snapshot_for(feed: Feed<'_>, told: Option<Lie>) -> History {
    let next = feed.next_sequence.min(feed.history.next_sequence());
    snapshot(
        feed.history,
        match told {
            Some(Lie::Stale) => next.div_ceil(2),
            _ => next,
        },
    )
}

/// A packet of a type that no server sends, with random bytes.
fn push_garbage(seed: u64, out: &mut Vec<u8>) {
    let mut random = Random::new(seed);
    let length = 1 + random.below(60) as u16;
    out.extend_from_slice(&length.to_be_bytes());
    out.push(0x80 | random.next_u64() as u8);
    out.extend((1..length).map(|_| random.next_u64() as u8));
}
