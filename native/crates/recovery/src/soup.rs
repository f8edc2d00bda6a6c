//! The client of a SoupBinTCP server: a session's messages from a wanted number on.
//!
//! It logs in, counts the messages, keeps the connection alive, and after a break logs in again at
//! the number that is missing next. It believes nothing that can be checked: another session than
//! the wanted one, another number, a packet that breaks the protocol or a message that is none of
//! the payload's end the request with the [`Fault`]'s name, and nothing of it is delivered.
//!
//! What no client can see: a server that says the right numbers and sends other, well-formed
//! messages. The merge compares what two sources say of one number.

use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::soupbintcp::{
    CLIENT_HEARTBEAT, Decoder, LOGOUT, Login, Password, ServerPacket, SoupError, Username, kind,
    same_session,
};

use crate::Fault;
use crate::client::{Action, Batch, Link, Pace, Timing, Wrong};

/// Who logs in, what is believed, and how long to wait.
#[derive(Clone, Debug)]
pub struct SoupConfig {
    /// User.
    pub username: Username,
    /// Password.
    pub password: Password,
    /// Longest message; a longer one is [`Fault::Oversize`].
    pub max_message_bytes: usize,
    /// Whether bytes can be a message of the payload: [`any_message`] or [`itch50_message`].
    pub check: fn(&[u8]) -> bool,
    /// A heartbeat goes out when nothing was sent for so long.
    pub heartbeat_ns: u64,
    /// A server that says nothing for so long is dead.
    pub silence_ns: u64,
    /// The other waits.
    pub timing: Timing,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The session; `None` takes the current one.
    pub session: Option<Session>,
    /// The first number, from 1; 0 begins with the newest message.
    pub first_sequence: u64,
    /// How many messages; `None` goes on until the session ends or [`SoupClient::stop`].
    pub count: Option<u64>,
}

/// See the module's documentation; how to drive it: [`crate::client`].
#[derive(Clone, Debug)]
pub struct SoupClient {
    decoder: Decoder,
    core: Core,
}

/// Everything but the decoder, whose packets it takes.
#[derive(Clone, Debug)]
struct Core {
    config: SoupConfig,
    link: Link,
    state: State,
    wanted: Wanted,
    /// The session of the first acceptance, as it is delivered.
    session: Option<Session>,
    next_sequence: u64,
    batch: Batch,
    last_sent_ns: u64,
    last_heard_ns: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Idle,
    /// Wants a connection.
    Connecting,
    LoggingIn {
        until_ns: u64,
    },
    /// With a range: how fast its messages have to come.
    Streaming(Option<Pace>),
}

impl Default for SoupConfig {
    /// Messages of any kind up to 1,400 bytes; heartbeats each second, dead after 15 s.
    fn default() -> Self {
        Self {
            username: Username::default(),
            password: Password::default(),
            max_message_bytes: 1_400,
            check: any_message,
            heartbeat_ns: 1_000_000_000,
            silence_ns: 15_000_000_000,
            timing: Timing::default(),
        }
    }
}

/// Any bytes can be a message.
pub fn any_message(_message: &[u8]) -> bool {
    true
}

/// Whether the bytes are a message of ITCH 5.0.
pub fn itch50_message(message: &[u8]) -> bool {
    tickdeck_wire::itch50::parse(message).is_ok()
}

impl SoupClient {
    /// A client that wants nothing yet.
    pub fn new(config: SoupConfig) -> Self {
        let core = Core {
            link: Link::new(config.timing),
            state: State::Idle,
            wanted: Wanted {
                session: None,
                first_sequence: 1,
                count: None,
            },
            session: None,
            next_sequence: 1,
            batch: Batch::default(),
            last_sent_ns: 0,
            last_heard_ns: 0,
            config,
        };
        Self {
            decoder: Decoder::new(core.config.max_message_bytes.saturating_add(1)),
            core,
        }
    }

    /// Asks for messages, on a new connection. What was asked for before is forgotten without a
    /// further word.
    pub fn ask(&mut self, wanted: Wanted, now_ns: u64) {
        let core = &mut self.core;
        core.wanted = wanted;
        core.session = None;
        core.next_sequence = wanted.first_sequence;
        core.batch = Batch::default();
        if wanted.count == Some(0) {
            core.link.close();
            return core.done();
        }
        core.link.begin();
        core.connect(now_ns);
    }

    /// Wants nothing any more; logs out.
    pub fn stop(&mut self) {
        self.core.leave();
    }

    /// Whether nothing is wanted.
    pub fn is_idle(&self) -> bool {
        matches!(self.core.state, State::Idle)
    }

    /// The number that is wanted next.
    pub fn next_sequence(&self) -> u64 {
        self.core.next_sequence
    }

    /// The connection stands.
    pub fn on_connected(&mut self, now_ns: u64) {
        self.decoder.clear();
        self.core.on_connected(now_ns);
    }

    /// These bytes came.
    pub fn on_bytes(&mut self, bytes: &[u8], now_ns: u64) {
        let Self { decoder, core } = self;
        core.last_heard_ns = now_ns;
        let mut rest = bytes;
        while !rest.is_empty() && core.listens() {
            rest = &rest[decoder.push(rest)..];
            if let Err(wrong) = take_packets(decoder, core, now_ns) {
                core.fail(wrong);
            }
        }
        core.flush();
    }

    /// The connection is gone, or could not be made.
    pub fn on_closed(&mut self, now_ns: u64) {
        if !self.core.link.closed() || self.is_idle() {
            return;
        }
        let wrong = if self.decoder.is_inside_packet() {
            Wrong::new(Fault::Truncated, "the connection ended inside a packet")
        } else {
            Wrong::new(Fault::Disconnected, "the connection ended")
        };
        self.core.lost(wrong, now_ns);
    }

    /// The next thing to do, or `None` until [`SoupClient::next_deadline_ns`]. Call it until
    /// `None`.
    pub fn poll(&mut self, now_ns: u64) -> Option<Action> {
        self.core.expire(now_ns);
        self.core.link.pop()
    }

    /// When `poll` has something to do although nothing happens.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        let core = &self.core;
        let own = match core.state {
            State::Idle => return None,
            State::Connecting => None,
            State::LoggingIn { until_ns } => Some(until_ns),
            State::Streaming(pace) => {
                let alive_ns = core.heartbeat_due_ns().min(core.dead_ns());
                Some(pace.map_or(alive_ns, |pace| pace.until_ns().min(alive_ns)))
            }
        };
        own.into_iter().chain(core.link.deadline_ns()).min()
    }
}

fn take_packets(decoder: &mut Decoder, core: &mut Core, now_ns: u64) -> Result<(), Wrong> {
    while core.listens()
        && let Some(frame) = decoder.next().map_err(judge)?
    {
        core.on_packet(ServerPacket::parse(frame).map_err(judge)?, now_ns)?;
    }
    Ok(())
}

/// A broken rule as a fault.
fn judge(error: SoupError) -> Wrong {
    let is_message = |kind| kind == kind::SEQUENCED;
    let fault = match error {
        SoupError::TooLong { kind, .. } if is_message(kind) => Fault::Oversize,
        _ => Fault::Garbage,
    };
    Wrong::new(fault, error.to_string())
}

impl Core {
    fn connect(&mut self, now_ns: u64) {
        self.link.connect(now_ns);
        self.state = State::Connecting;
    }

    fn on_connected(&mut self, now_ns: u64) {
        if !self.link.connected() {
            return;
        }
        let login = Login {
            username: self.config.username,
            password: self.config.password,
            session: self.wanted.session.or(self.session),
            sequence: self.next_sequence,
        };
        self.send(login.encode().to_vec(), now_ns);
        self.last_heard_ns = now_ns;
        self.state = State::LoggingIn {
            until_ns: now_ns.saturating_add(self.config.timing.login_timeout_ns),
        };
    }

    /// Whether packets are awaited.
    fn listens(&self) -> bool {
        matches!(self.state, State::LoggingIn { .. } | State::Streaming(_))
    }

    fn on_packet(&mut self, packet: ServerPacket<'_>, now_ns: u64) -> Result<(), Wrong> {
        let logged_in = matches!(self.state, State::Streaming(_));
        match packet {
            ServerPacket::Heartbeat | ServerPacket::Debug(_) | ServerPacket::Unsequenced(_) => {
                Ok(())
            }
            ServerPacket::Accepted { session, sequence } if !logged_in => {
                self.on_accepted(session, sequence, now_ns)
            }
            ServerPacket::Rejected(reason) if !logged_in => {
                let text = format!("login rejected: {}", reason.name());
                Err(Wrong::new(Fault::Refused, text))
            }
            ServerPacket::Sequenced(message) if logged_in => self.on_message(message, now_ns),
            ServerPacket::EndOfSession if !logged_in => {
                Err(Wrong::new(Fault::Refused, "the session has ended"))
            }
            ServerPacket::EndOfSession if self.wanted.count.is_none() => {
                self.done();
                Ok(())
            }
            ServerPacket::EndOfSession => {
                let text = "the session ended before the wanted range";
                Err(Wrong::new(Fault::Partial, text))
            }
            ServerPacket::Sequenced(_) => {
                let text = "a message before the login was answered";
                Err(Wrong::new(Fault::NotAsked, text))
            }
            ServerPacket::Accepted { .. } | ServerPacket::Rejected(_) => {
                let text = "a second answer to the login";
                Err(Wrong::new(Fault::Garbage, text))
            }
        }
    }

    fn on_accepted(&mut self, session: Session, sequence: u64, now_ns: u64) -> Result<(), Wrong> {
        if let Some(wanted) = self.wanted.session.or(self.session)
            && !same_session(wanted, session)
        {
            let text = format!("accepted for session {session}, wanted was {wanted}");
            return Err(Wrong::new(Fault::WrongSession, text));
        }
        let wanted = self.next_sequence;
        if sequence != wanted && wanted != 0 {
            let fault = if sequence < wanted {
                Fault::Stale
            } else {
                Fault::NotAsked
            };
            let text = format!("accepted at number {sequence}, wanted was {wanted}");
            return Err(Wrong::new(fault, text));
        }
        if sequence == 0 {
            let text = "accepted at number 0; sessions count from 1";
            return Err(Wrong::new(Fault::Garbage, text));
        }
        if wanted == 0 {
            self.wanted.first_sequence = sequence;
        }
        self.next_sequence = sequence;
        self.session = Some(self.wanted.session.or(self.session).unwrap_or(session));
        let pace = |left| Pace::begin(&self.config.timing, left, now_ns);
        self.state = State::Streaming(self.left().map(pace));
        Ok(())
    }

    fn on_message(&mut self, message: &[u8], now_ns: u64) -> Result<(), Wrong> {
        let sequence = self.next_sequence;
        if !(self.config.check)(message) {
            let text = format!("message {sequence} is none of the payload's");
            return Err(Wrong::new(Fault::Garbage, text));
        }
        let Some(next_sequence) = sequence.checked_add(1) else {
            let text = "messages beyond the last number";
            return Err(Wrong::new(Fault::Garbage, text));
        };
        if self.batch.is_full_for(message.len()) {
            self.flush();
        }
        self.batch.push(message);
        self.next_sequence = next_sequence;
        self.link.brought();
        let left = self.left();
        if let (State::Streaming(Some(pace)), Some(left)) = (&mut self.state, left) {
            pace.came(1, left, &self.config.timing, now_ns);
        }
        if left == Some(0) {
            self.done();
        }
        Ok(())
    }

    /// Messages that are still wanted; `None` without an end.
    fn left(&self) -> Option<u64> {
        let came = self
            .next_sequence
            .saturating_sub(self.wanted.first_sequence);
        self.wanted.count.map(|count| count.saturating_sub(came))
    }

    fn expire(&mut self, now_ns: u64) {
        if let Some(wrong) = self.link.expire(now_ns) {
            return self.lost(wrong, now_ns);
        }
        match self.state {
            State::LoggingIn { until_ns } if until_ns <= now_ns => {
                let text = "the login was not answered in time";
                self.fail(Wrong::new(Fault::Silent, text));
            }
            State::Streaming(_) if self.dead_ns() <= now_ns => {
                let text = "no heartbeat in time";
                self.lost(Wrong::new(Fault::Silent, text), now_ns);
            }
            State::Streaming(Some(pace)) if pace.until_ns() <= now_ns => {
                let text = "logged in, but too few messages in time";
                self.fail(Wrong::new(Fault::Slow, text));
            }
            State::Streaming(_) if self.heartbeat_due_ns() <= now_ns => {
                self.send(CLIENT_HEARTBEAT.to_vec(), now_ns);
            }
            _ => {}
        }
    }

    fn heartbeat_due_ns(&self) -> u64 {
        self.last_sent_ns.saturating_add(self.config.heartbeat_ns)
    }

    fn dead_ns(&self) -> u64 {
        self.last_heard_ns.saturating_add(self.config.silence_ns)
    }

    fn send(&mut self, bytes: Vec<u8>, now_ns: u64) {
        self.last_sent_ns = now_ns;
        self.link.push(Action::Send(bytes));
    }

    /// The connection is no good: another one, or the end.
    fn lost(&mut self, wrong: Wrong, now_ns: u64) {
        self.flush();
        if self.link.retry(&wrong, now_ns) {
            self.state = State::Connecting;
        } else {
            self.fail(wrong);
        }
    }

    fn fail(&mut self, wrong: Wrong) {
        self.flush();
        self.state = State::Idle;
        self.link.close();
        let Wrong { fault, detail } = wrong;
        let next_sequence = self.next_sequence;
        self.link.push(Action::Failed {
            fault,
            detail,
            next_sequence,
        });
    }

    fn done(&mut self) {
        self.leave();
        let next_sequence = self.next_sequence;
        self.link.push(Action::Done { next_sequence });
    }

    fn leave(&mut self) {
        self.flush();
        self.state = State::Idle;
        if self.link.is_up() {
            self.link.push(Action::Send(LOGOUT.to_vec()));
        }
        self.link.close();
    }

    fn flush(&mut self) {
        let session = self.session.unwrap_or(Session([b' '; 10]));
        if let Some(delivery) = self.batch.take(session, self.next_sequence) {
            self.link.push(Action::Deliver(delivery));
        }
    }
}
