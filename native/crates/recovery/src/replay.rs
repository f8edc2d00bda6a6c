//! The client of a `len_seq_payload` server: a range of a session from another tickdeck.
//!
//! The connection stays for the next range. What is not exactly the answer to what was asked ends
//! the request with the [`Fault`]'s name: another session, a frame that breaks the protocol,
//! numbers before the wanted ones, behind them or more than wanted, an answer to nothing.

use tickdeck_wire::cme;
use tickdeck_wire::eobi::{self, Release};
use tickdeck_wire::moldudp64::{Blocks, Session};
use tickdeck_wire::replay::{Frame, FrameDecoder, Request};

use crate::Fault;
use crate::client::{Action, Content, Delivery, Link, Pace, Timing, Wrong};
use crate::soup::any_message;

/// What is believed, and how long to wait.
#[derive(Clone, Debug)]
pub struct ReplayConfig {
    /// Whether bytes can be a message of the payload.
    pub check: fn(&[u8]) -> bool,
    /// Which whole packets are the payload's.
    pub packets: Packets,
    /// The waits.
    pub timing: Timing,
}

/// What a whole packet of an answer has to be. One with a number of its own has to have the number
/// that the answer gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packets {
    /// Anything.
    Any,
    /// There are none: the payload is messages.
    None,
    /// Packets of CME MDP 3.0, and no messages.
    CmeMdp3,
    /// Packets of EOBI, and no messages.
    Eobi(Release),
}

/// See the module's documentation; how to drive it: [`crate::client`].
#[derive(Clone, Debug)]
pub struct ReplayClient {
    decoder: FrameDecoder,
    core: Core,
}

#[derive(Clone, Debug)]
struct Core {
    config: ReplayConfig,
    link: Link,
    state: State,
    /// What is left of the range.
    rest: Request,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing is wanted; the connection may stand.
    Idle,
    /// Wants a connection.
    Connecting,
    /// The request is sent.
    Asked { until_ns: u64 },
    /// The answer has begun.
    Answering(Pace),
}

impl Default for ReplayConfig {
    /// Messages and packets of any kind.
    fn default() -> Self {
        Self {
            check: any_message,
            packets: Packets::Any,
            timing: Timing::default(),
        }
    }
}

impl Packets {
    /// Whether the bytes are a packet of the protocol with this number. What is none has no number;
    /// the caller names both faults garbage.
    fn allow(self, sequence: u64, bytes: &[u8]) -> bool {
        let is_it = |number: u32| u64::from(number) == sequence;
        match self {
            Self::Any => true,
            Self::None => false,
            Self::CmeMdp3 => cme::Packet::parse(bytes).is_ok_and(|it| is_it(it.sequence())),
            Self::Eobi(release) => {
                eobi::Packet::parse(bytes, release).is_ok_and(|it| is_it(it.sequence()))
            }
        }
    }
}

impl ReplayClient {
    /// A client that wants nothing yet.
    pub fn new(config: ReplayConfig) -> Self {
        let core = Core {
            link: Link::new(config.timing),
            state: State::Idle,
            rest: Request {
                session: Session([b' '; 10]),
                first_sequence: 1,
                count: 0,
            },
            config,
        };
        Self {
            decoder: FrameDecoder::new(),
            core,
        }
    }

    /// Asks for a range, on the connection that stands or on a new one. What was asked for before
    /// is forgotten without a further word.
    pub fn ask(&mut self, range: Request, now_ns: u64) {
        let core = &mut self.core;
        let is_free = matches!(core.state, State::Idle) && core.link.is_up();
        core.rest = range;
        core.link.begin();
        if range.count == 0 {
            core.done();
        } else if is_free {
            core.request(now_ns);
        } else {
            core.connect(now_ns);
        }
    }

    /// Wants nothing any more, and no connection.
    pub fn stop(&mut self) {
        self.core.state = State::Idle;
        self.core.link.close();
    }

    /// Whether nothing is wanted.
    pub fn is_idle(&self) -> bool {
        matches!(self.core.state, State::Idle)
    }

    /// The number that is wanted next.
    pub fn next_sequence(&self) -> u64 {
        self.core.rest.first_sequence
    }

    /// The connection stands.
    pub fn on_connected(&mut self, now_ns: u64) {
        self.decoder.clear();
        if self.core.link.connected() {
            self.core.request(now_ns);
        }
    }

    /// These bytes came.
    pub fn on_bytes(&mut self, bytes: &[u8], now_ns: u64) {
        let Self { decoder, core } = self;
        let mut rest = bytes;
        while !rest.is_empty() && core.link.is_up() {
            rest = &rest[decoder.push(rest)..];
            if let Err(wrong) = take_frames(decoder, core, now_ns) {
                core.fail(wrong);
            }
        }
    }

    /// The connection is gone, or could not be made.
    pub fn on_closed(&mut self, now_ns: u64) {
        if !self.core.link.closed() || self.is_idle() {
            return;
        }
        let wrong = if self.decoder.is_inside_frame() {
            Wrong::new(Fault::Truncated, "the connection ended inside a frame")
        } else {
            Wrong::new(Fault::Disconnected, "the connection ended")
        };
        self.core.lost(wrong, now_ns);
    }

    /// The next thing to do, or `None` until [`ReplayClient::next_deadline_ns`]. Call it until
    /// `None`.
    pub fn poll(&mut self, now_ns: u64) -> Option<Action> {
        self.core.expire(now_ns);
        self.core.link.pop()
    }

    /// When `poll` has something to do although nothing happens.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        let own = match self.core.state {
            State::Idle => return None,
            State::Connecting => None,
            State::Asked { until_ns } => Some(until_ns),
            State::Answering(pace) => Some(pace.until_ns()),
        };
        own.into_iter().chain(self.core.link.deadline_ns()).min()
    }
}

fn take_frames(decoder: &mut FrameDecoder, core: &mut Core, now_ns: u64) -> Result<(), Wrong> {
    let garbage = |error| Wrong::new(Fault::Garbage, format!("{error}"));
    while core.link.is_up()
        && let Some(frame) = decoder.next().map_err(garbage)?
    {
        core.on_frame(frame, now_ns)?;
    }
    Ok(())
}

impl Core {
    fn connect(&mut self, now_ns: u64) {
        self.link.connect(now_ns);
        self.state = State::Connecting;
    }

    fn request(&mut self, now_ns: u64) {
        self.link.push(Action::Send(self.rest.encode().to_vec()));
        self.state = State::Asked {
            until_ns: now_ns.saturating_add(self.config.timing.login_timeout_ns),
        };
    }

    fn on_frame(&mut self, frame: Frame<'_>, now_ns: u64) -> Result<(), Wrong> {
        match (self.state, frame) {
            (State::Idle | State::Connecting, _) => {
                let text = "an answer to nothing that was asked";
                Err(Wrong::new(Fault::NotAsked, text))
            }
            (_, Frame::Refused { reason, .. }) => {
                let text = format!("refused: {}", reason.name());
                Err(Wrong::new(Fault::Refused, text))
            }
            (State::Asked { .. }, Frame::Begin(answered)) => self.on_begin(answered, now_ns),
            (State::Asked { .. }, _) => {
                let text = "messages before the beginning of an answer";
                Err(Wrong::new(Fault::NotAsked, text))
            }
            (State::Answering(_), Frame::Begin(_)) => {
                let text = "a second beginning within an answer";
                Err(Wrong::new(Fault::Garbage, text))
            }
            (
                State::Answering(_),
                Frame::Messages {
                    first_sequence,
                    count,
                    blocks,
                },
            ) => {
                let check = self.config.check;
                let are_wanted = matches!(self.config.packets, Packets::Any | Packets::None);
                let are_messages = are_wanted && Blocks::new(blocks).all(check);
                self.judge(first_sequence, count, are_messages)?;
                let blocks = blocks.to_vec();
                let content = Content::Blocks { count, blocks };
                self.deliver(content, now_ns);
                Ok(())
            }
            (State::Answering(_), Frame::Packet { sequence, packet }) => {
                self.judge(sequence, 1, self.config.packets.allow(sequence, packet))?;
                self.deliver(Content::Packet(packet.to_vec()), now_ns);
                Ok(())
            }
            (State::Answering(_), Frame::End { next_sequence }) => self.on_end(next_sequence),
        }
    }

    fn on_begin(&mut self, answered: Request, now_ns: u64) -> Result<(), Wrong> {
        let asked = self.rest;
        if answered.session != asked.session {
            let text = format!(
                "an answer for session {}, asked was {}",
                answered.session, asked.session
            );
            return Err(Wrong::new(Fault::WrongSession, text));
        }
        if answered != asked {
            let fault = match answered.first_sequence {
                first if first < asked.first_sequence => Fault::Stale,
                first if first == asked.first_sequence && answered.count > asked.count => {
                    Fault::Oversize
                }
                _ => Fault::NotAsked,
            };
            let text = format!(
                "an answer to {} numbers from {}, asked were {} from {}",
                answered.count, answered.first_sequence, asked.count, asked.first_sequence
            );
            return Err(Wrong::new(fault, text));
        }
        let left = u64::from(self.rest.count);
        self.state = State::Answering(Pace::begin(&self.config.timing, left, now_ns));
        Ok(())
    }

    /// Checks that what came is the next of the range, and of the payload at all.
    fn judge(&self, first: u64, count: u16, is_of_payload: bool) -> Result<(), Wrong> {
        let wanted = self.rest.first_sequence;
        let text = || format!("{count} numbers from {first}, wanted is {wanted}");
        if first != wanted {
            let fault = if first < wanted {
                Fault::Stale
            } else {
                Fault::NotAsked
            };
            return Err(Wrong::new(fault, text()));
        }
        if u32::from(count) > self.rest.count {
            return Err(Wrong::new(Fault::Oversize, text()));
        }
        if is_of_payload {
            Ok(())
        } else {
            let text = format!("{count} numbers from {first} hold something else than the payload");
            Err(Wrong::new(Fault::Garbage, text))
        }
    }

    fn deliver(&mut self, content: Content, now_ns: u64) {
        let count = content.count();
        self.link.push(Action::Deliver(Delivery {
            session: self.rest.session,
            first_sequence: self.rest.first_sequence,
            content,
        }));
        self.link.brought();
        self.rest.first_sequence += u64::from(count);
        self.rest.count -= u32::from(count);
        let left = u64::from(self.rest.count);
        if let State::Answering(pace) = &mut self.state {
            pace.came(u64::from(count), left, &self.config.timing, now_ns);
        }
    }

    fn on_end(&mut self, next_sequence: u64) -> Result<(), Wrong> {
        let wanted = self.rest.first_sequence;
        if next_sequence != wanted {
            let text = format!("an end at number {next_sequence}, the next is {wanted}");
            return Err(Wrong::new(Fault::Garbage, text));
        }
        if self.rest.count > 0 {
            let text = format!("the answer ends before number {wanted}");
            // An honest word, and the connection is still in order.
            self.over(Wrong::new(Fault::Partial, text));
        } else {
            self.done();
        }
        Ok(())
    }

    fn expire(&mut self, now_ns: u64) {
        if let Some(wrong) = self.link.expire(now_ns) {
            return self.lost(wrong, now_ns);
        }
        match self.state {
            State::Asked { until_ns } if until_ns <= now_ns => {
                let text = "the request was not answered in time";
                self.fail(Wrong::new(Fault::Silent, text));
            }
            State::Answering(pace) if pace.until_ns() <= now_ns && self.rest.count == 0 => {
                self.finish();
            }
            State::Answering(pace) if pace.until_ns() <= now_ns => {
                let text = "the answer began, but too little came in time";
                self.fail(Wrong::new(Fault::Slow, text));
            }
            _ => {}
        }
    }

    /// The connection is no good: another one, or the end.
    fn lost(&mut self, wrong: Wrong, now_ns: u64) {
        if self.rest.count == 0 {
            return self.finish();
        }
        if self.link.retry(&wrong, now_ns) {
            self.state = State::Connecting;
        } else {
            self.fail(wrong);
        }
    }

    /// The request is over, and so is the connection: nothing behind a lie can be believed.
    fn fail(&mut self, wrong: Wrong) {
        self.link.close();
        if matches!(self.state, State::Idle) {
            let Wrong { fault, detail } = wrong;
            return self.link.push(Action::Noticed { fault, detail });
        }
        self.over(wrong);
    }

    fn over(&mut self, wrong: Wrong) {
        self.state = State::Idle;
        let Wrong { fault, detail } = wrong;
        let next_sequence = self.rest.first_sequence;
        self.link.push(Action::Failed {
            fault,
            detail,
            next_sequence,
        });
    }

    /// All came but the word that it is all; the next answer would not be told from this one.
    fn finish(&mut self) {
        self.link.close();
        self.done();
    }

    fn done(&mut self) {
        self.state = State::Idle;
        let next_sequence = self.rest.first_sequence;
        self.link.push(Action::Done { next_sequence });
    }
}
