//! One connection, from HELLO to its end.

use std::collections::VecDeque;

use super::block::BlockHead;
use super::{End, Event, Position};
use crate::auth::{ClientId, Key, Mac, Transcript};
use crate::authenticator::Method;
use crate::frame::{Decoder, MAX_PAYLOAD};
use crate::message::{
    Ack, Auth, AuthOk, ErrorCode, Gap, GapReason, Goodbye, GoodbyeReason, Guarantee, Hello,
    MAC_LEN, Message, NONCE_LEN, Refused, Sentence, Start, SubOk, Subscribe, VERSION, without_mac,
};

/// What a subscriber wants and who it is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name; none is anonymous.
    pub client: Option<ClientId>,
    /// Its key. With one, a provider that does not prove that it has it too is left.
    pub key: Option<Key>,
    /// How safe a record must be before it is sent.
    pub guarantee: Guarantee,
    /// Where to begin without a position.
    pub start: Start,
    /// Most bytes on the way.
    pub window_bytes: u32,
    /// How long the provider may take until SUB_OK, ms.
    pub handshake_ms: u64,
}

/// One connection of a subscriber.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    position: Option<Position>,
    /// The transport has proved who the provider is.
    is_verified: bool,
    /// The provider has sent the AUTH_OK that its way of proof wants.
    is_proved: bool,
    /// The log, once the provider agreed.
    log_id: Option<[u8; 16]>,
    exporter: Vec<u8>,
    nonce: [u8; NONCE_LEN],
    step: Step,
    decoder: Decoder,
    events: VecDeque<Event>,
    out: Vec<u8>,
    flow: Flow,
    last_heard_ns: u64,
    timeout_ms: u64,
}

/// What the provider is to say next.
#[derive(Debug)]
enum Step {
    Hello,
    AuthOk {
        hello: Vec<u8>,
        auth: Vec<u8>,
        said: Hello,
    },
    SubOk {
        said: Hello,
    },
    Data {
        log_id: [u8; 16],
    },
    Over,
}

/// Where the data stands.
#[derive(Debug, Default)]
struct Flow {
    /// Next sequence to come.
    next_seq: u64,
    /// Newest epoch heard of.
    epoch: u64,
    /// Bytes since the last position was asked to be stored.
    unstored_bytes: u64,
    /// When that was.
    asked_ns: u64,
    /// A store was asked for and is not done yet.
    is_storing: bool,
    /// The last acknowledged sequence.
    acked_seq: u64,
}

impl Session {
    /// Begins to listen. `exporter` is the TLS exporter value (empty without TLS), `is_verified` says
    /// that the transport proved who the provider is, `nonce` is random.
    #[must_use]
    pub fn new(
        settings: Settings,
        position: Option<Position>,
        exporter: &[u8],
        is_verified: bool,
        nonce: [u8; NONCE_LEN],
        now_ns: u64,
    ) -> Self {
        let timeout_ms = settings.handshake_ms;
        Self {
            settings,
            position,
            is_verified,
            is_proved: false,
            log_id: None,
            exporter: exporter.to_vec(),
            nonce,
            step: Step::Hello,
            decoder: Decoder::new(MAX_PAYLOAD),
            events: VecDeque::new(),
            out: Vec::new(),
            flow: Flow::default(),
            last_heard_ns: now_ns,
            timeout_ms,
        }
    }

    /// Takes bytes of the provider.
    pub fn on_bytes(&mut self, bytes: &[u8], now_ns: u64) {
        if matches!(self.step, Step::Data { .. }) {
            self.last_heard_ns = now_ns;
        }
        self.decoder.feed(bytes);
        while !matches!(self.step, Step::Over) {
            let message = match self.decoder.next() {
                Ok(None) => return,
                Ok(Some(frame)) => Message::parse(&frame).map(|message| {
                    let length = frame.payload.len() as u64;
                    (own(message, frame.payload), length)
                }),
                Err(error) => return self.end(End::BadFrame(error)),
            };
            match message {
                Ok((message, length)) => self.on_message(message, length, now_ns),
                Err(error) => self.end(End::BadMessage(error)),
            }
        }
    }

    /// Looks at the clock: what is overdue, what is to be stored.
    pub fn on_time(&mut self, now_ns: u64) {
        match self.step {
            Step::Over => {}
            Step::Data { log_id } => {
                let is_due = now_ns >= self.flow.asked_ns + ACK_NS;
                if self.is_silent(now_ns) {
                    self.leave(GoodbyeReason::Timeout, End::Silent(self.timeout_ms));
                } else if is_due {
                    self.ask_to_store(log_id, now_ns);
                }
            }
            _ if self.is_silent(now_ns) => self.end(End::Silent(self.timeout_ms)),
            _ => {}
        }
    }

    /// When [`on_time`](Self::on_time) has something to do next.
    #[must_use]
    pub fn wake_ns(&self) -> u64 {
        let silent_ns = self.last_heard_ns + self.timeout_ms * MS;
        match self.step {
            Step::Data { .. } if !self.flow.is_storing => {
                silent_ns.min(self.flow.asked_ns + ACK_NS)
            }
            _ => silent_ns,
        }
    }

    /// The caller has stored what [`Event::Store`] asked for: the provider may forget it.
    pub fn stored(&mut self, position: Position) {
        self.position = Some(position);
        self.flow.is_storing = false;
        if matches!(self.step, Step::Data { .. }) && position.acked_seq >= self.flow.acked_seq {
            self.flow.acked_seq = position.acked_seq;
            let seq = position.acked_seq;
            Message::Ack(Ack { seq }).push(&mut self.out);
        }
    }

    /// The caller wants no more: says goodbye.
    pub fn stop(&mut self) {
        if matches!(self.step, Step::Data { .. }) {
            self.say_goodbye(GoodbyeReason::Done);
        }
        self.step = Step::Over;
    }

    /// What happened, oldest first.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Bytes to send; the caller removes what went.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Whether there is something to send.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// Whether the provider has proved who it is, be the session over or not.
    #[must_use]
    pub fn is_proved(&self) -> bool {
        self.is_proved
    }

    /// The position of everything that came as events, also behind the end of the session; `None`
    /// when the provider never agreed.
    #[must_use]
    pub fn reached(&self) -> Option<Position> {
        Some(self.position_now(self.log_id?))
    }

    fn on_message(&mut self, message: Owned, length: u64, now_ns: u64) {
        match (std::mem::replace(&mut self.step, Step::Over), message) {
            (step, Owned::Err(refused)) => self.on_refused(&step, &refused),
            (_, Owned::Goodbye(goodbye)) => self.end(End::Goodbye {
                reason: goodbye.reason,
                text: goodbye.text.as_str().to_owned(),
            }),
            (Step::Hello, Owned::Hello(said, payload)) => self.on_hello(said, payload),
            (Step::AuthOk { hello, auth, said }, Owned::AuthOk(ok)) => {
                self.on_auth_ok(&hello, &auth, said, &ok);
            }
            (Step::SubOk { said }, Owned::SubOk(ok)) => self.on_sub_ok(&said, ok, now_ns),
            (Step::Data { log_id }, message) => {
                self.step = Step::Data { log_id };
                self.on_data(message, length);
                self.store_when_due(now_ns);
            }
            (step, message) => {
                let text = format!("{} in answer to {}", message.name(), step.name());
                self.end(End::Violation(text));
            }
        }
    }

    fn on_hello(&mut self, said: Hello, payload: Vec<u8>) {
        if !(said.oldest_version..=said.newest_version).contains(&VERSION) {
            let (oldest, newest) = (said.oldest_version, said.newest_version);
            let text = format!("it speaks versions {oldest} to {newest}, we {VERSION}");
            return self.end(End::Denied(text));
        }
        if let Err(text) = self.trusts(said.method) {
            return self.end(End::Denied(text));
        }
        let mut auth = Auth {
            version: VERSION,
            nonce: self.nonce,
            client: self.settings.client.clone(),
            mac: [0; MAC_LEN],
        };
        let unsigned = Message::Auth(auth.clone()).payload();
        let signed = without_mac(&unsigned).unwrap_or_default().to_vec();
        if let Some(key) = &self.settings.key {
            auth.mac = self
                .transcript(&payload, &signed)
                .client_mac(key)
                .to_bytes();
        }
        Message::Auth(auth).push(&mut self.out);
        self.step = Step::AuthOk {
            hello: payload,
            auth: signed,
            said,
        };
    }

    /// Whether the way of proof that the provider wants leaves both sides proved.
    fn trusts(&self, method: Method) -> Result<(), String> {
        match (method, &self.settings.key, &self.settings.client) {
            (Method::Hmac, None, _) => Err("it wants a MAC and we have no key: --key".to_owned()),
            (Method::Hmac, Some(_), None) => Err("a key needs a client id: --client".to_owned()),
            (Method::Hmac, Some(_), Some(_)) => Ok(()),
            (Method::Transport, Some(_), _) => {
                Err("we have a key and it does not want to prove that it has it too".to_owned())
            }
            (Method::Transport, None, _) if self.is_verified => Ok(()),
            (Method::Transport, None, _) => {
                Err("nothing proves who it is: no key, and no verified transport".to_owned())
            }
        }
    }

    fn transcript<'a>(&'a self, hello: &'a [u8], auth: &'a [u8]) -> Transcript<'a> {
        Transcript {
            hello,
            auth,
            exporter: &self.exporter,
        }
    }

    fn on_auth_ok(&mut self, hello: &[u8], auth: &[u8], said: Hello, ok: &AuthOk) {
        if let Some(key) = &self.settings.key {
            let wanted = self.transcript(hello, auth).server_mac(key, ok.session);
            if !wanted.matches(&Mac::new(ok.mac)) {
                let text = "it did not prove that it has our key: not our provider".to_owned();
                return self.end(End::Denied(text));
            }
        }
        self.is_proved = true;
        let log_id = said.log_id;
        let subscribe = match self.position {
            // Believed only now: whoever has not proved anything must not stop us for good.
            Some(position) if position.log_id != log_id => {
                return self.end(End::WrongLog { log_id });
            }
            Some(position) => Subscribe {
                start: Start::Seq(position.acked_seq.saturating_add(1)),
                guarantee: self.settings.guarantee,
                window_bytes: self.settings.window_bytes,
                epoch: position.epoch,
                log_id: position.log_id,
            },
            None => Subscribe {
                start: self.settings.start,
                guarantee: self.settings.guarantee,
                window_bytes: self.settings.window_bytes,
                epoch: 0,
                log_id: [0; 16],
            },
        };
        Message::Subscribe(subscribe).push(&mut self.out);
        self.step = Step::SubOk { said };
    }

    fn on_sub_ok(&mut self, said: &Hello, ok: SubOk, now_ns: u64) {
        let asked = match (self.position, self.settings.start) {
            (Some(position), _) => Some(position.acked_seq.saturating_add(1)),
            (None, Start::Seq(seq)) => Some(seq),
            (None, Start::Earliest | Start::Live) => None,
        };
        if asked.is_some_and(|seq| seq != ok.start_seq) {
            let text = format!("asked for {asked:?}, it gives {}", ok.start_seq);
            return self.end(End::Violation(text));
        }
        self.flow = Flow {
            next_seq: ok.start_seq,
            epoch: ok.epoch,
            asked_ns: now_ns,
            acked_seq: ok.start_seq - 1,
            ..Flow::default()
        };
        self.last_heard_ns = now_ns;
        self.timeout_ms = u64::from(ok.timeout_ms).clamp(MIN_TIMEOUT_MS, MAX_TIMEOUT_MS);
        self.log_id = Some(said.log_id);
        self.step = Step::Data {
            log_id: said.log_id,
        };
        self.events.push_back(Event::Subscribed(ok));
    }

    fn on_data(&mut self, message: Owned, length: u64) {
        match message {
            Owned::Data(base_seq, block) => self.on_block(base_seq, block, length),
            Owned::Gap(gap) => self.on_gap(gap),
            Owned::Heartbeat(heartbeat) if heartbeat.next_seq == self.flow.next_seq => {
                self.flow.epoch = self.flow.epoch.max(heartbeat.epoch);
                self.events.push_back(Event::Heartbeat(heartbeat));
            }
            Owned::Heartbeat(heartbeat) => {
                let (next, ours) = (heartbeat.next_seq, self.flow.next_seq);
                self.violated(format!(
                    "heartbeat says {next} comes next, we wait for {ours}"
                ));
            }
            message => self.violated(format!("{} among data", message.name())),
        }
    }

    fn on_block(&mut self, base_seq: u64, block: Vec<u8>, length: u64) {
        let head = match BlockHead::parse(&block) {
            Ok(head) => head,
            Err(error) => return self.leave(GoodbyeReason::Violation, End::BadBlock(error)),
        };
        let next_seq = self.flow.next_seq;
        if head.base_seq != base_seq || base_seq > next_seq {
            let in_block = head.base_seq;
            return self.violated(format!(
                "frame {base_seq} with block {in_block}, we wait for {next_seq}"
            ));
        }
        if head.next_seq() <= next_seq {
            return; // We have all of it.
        }
        self.flow.next_seq = head.next_seq();
        self.flow.unstored_bytes += length;
        self.events.push_back(Event::Block {
            from_seq: next_seq,
            block,
        });
    }

    fn on_gap(&mut self, gap: Gap) {
        let Gap { from, to, reason } = gap;
        let next_seq = self.flow.next_seq;
        // A hole's record has the first sequence it spends, and came right before.
        let is_hole = reason == GapReason::JournalHole && from + 1 == next_seq;
        if from != next_seq && !is_hole {
            return self.violated(format!("gap {from} to {to}, we wait for {next_seq}"));
        }
        self.flow.next_seq = to + 1;
        self.events.push_back(Event::Gap { from, to, reason });
    }

    /// What a refusal means hangs on who says it: whoever has proved nothing neither takes a copy back
    /// nor stops us for good.
    fn on_refused(&mut self, step: &Step, refused: &Refused) {
        let text = refused.text.as_str().to_owned();
        let asked = match (step, self.position) {
            (Step::SubOk { said }, Some(position)) => Some((said.epoch, position)),
            _ => None,
        };
        let is_proved = self.is_verified || matches!(step, Step::SubOk { .. } | Step::Data { .. });
        let end = match (refused.code, asked) {
            (ErrorCode::Forked, Some((epoch, position))) if refused.seq > 0 => End::Forked {
                at: refused.seq,
                position: Position {
                    acked_seq: position.acked_seq.min(refused.seq - 1),
                    // What is left is of the log as it is: a newer epoch would fork for ever.
                    epoch: position.epoch.min(epoch),
                    ..position
                },
            },
            (ErrorCode::Pruned, Some((_, position))) if refused.seq > position.acked_seq + 1 => {
                End::Pruned {
                    from: position.acked_seq + 1,
                    position: Position {
                        acked_seq: refused.seq - 1,
                        ..position
                    },
                }
            }
            (ErrorCode::Denied | ErrorCode::Version, _) if is_proved => End::Denied(text),
            (code, _) => End::Refused { code, text },
        };
        self.end(end);
    }

    fn store_when_due(&mut self, now_ns: u64) {
        if let Step::Data { log_id } = self.step
            && self.flow.unstored_bytes >= ACK_BYTES
        {
            self.ask_to_store(log_id, now_ns);
        }
    }

    fn ask_to_store(&mut self, log_id: [u8; 16], now_ns: u64) {
        if self.flow.is_storing {
            return;
        }
        self.flow.is_storing = true;
        self.flow.unstored_bytes = 0;
        self.flow.asked_ns = now_ns;
        let position = self.position_now(log_id);
        self.events.push_back(Event::Store(position));
    }

    fn position_now(&self, log_id: [u8; 16]) -> Position {
        Position {
            log_id,
            epoch: self.flow.epoch,
            acked_seq: self.flow.next_seq - 1,
        }
    }

    fn is_silent(&self, now_ns: u64) -> bool {
        now_ns >= self.last_heard_ns + self.timeout_ms * MS
    }

    fn violated(&mut self, text: String) {
        self.leave(GoodbyeReason::Violation, End::Violation(text));
    }

    fn leave(&mut self, reason: GoodbyeReason, end: End) {
        self.say_goodbye(reason);
        self.end(end);
    }

    fn say_goodbye(&mut self, reason: GoodbyeReason) {
        let next_seq = self.flow.next_seq;
        let text = Sentence::default();
        Message::Goodbye(Goodbye {
            next_seq,
            reason,
            text,
        })
        .push(&mut self.out);
    }

    fn end(&mut self, end: End) {
        self.step = Step::Over;
        self.events.push_back(Event::Ended(end));
    }
}

impl Step {
    fn name(&self) -> &'static str {
        match self {
            Self::Hello => "a connection",
            Self::AuthOk { .. } => "AUTH",
            Self::SubOk { .. } => "SUBSCRIBE",
            Self::Data { .. } => "ACK",
            Self::Over => "nothing",
        }
    }
}

/// A message that owns what it holds; HELLO beside its payload.
#[derive(Debug)]
enum Owned {
    Hello(Hello, Vec<u8>),
    AuthOk(AuthOk),
    SubOk(SubOk),
    Err(Refused),
    Data(u64, Vec<u8>),
    Heartbeat(crate::message::Heartbeat),
    Gap(Gap),
    Goodbye(Goodbye),
    /// What only a subscriber says.
    Other(u8),
}

impl Owned {
    fn name(&self) -> String {
        match self {
            Self::Hello(..) => "HELLO".into(),
            Self::AuthOk(_) => "AUTH_OK".into(),
            Self::SubOk(_) => "SUB_OK".into(),
            Self::Err(_) => "ERR".into(),
            Self::Data(..) => "DATA".into(),
            Self::Heartbeat(_) => "HEARTBEAT".into(),
            Self::Gap(_) => "GAP".into(),
            Self::Goodbye(_) => "GOODBYE".into(),
            Self::Other(kind) => format!("frame type {kind}"),
        }
    }
}

fn own(message: Message<'_>, payload: &[u8]) -> Owned {
    match message {
        Message::Hello(hello) => Owned::Hello(hello, payload.to_vec()),
        Message::AuthOk(ok) => Owned::AuthOk(ok),
        Message::SubOk(ok) => Owned::SubOk(ok),
        Message::Err(refused) => Owned::Err(refused),
        Message::Data(data) => Owned::Data(data.base_seq, data.block.to_vec()),
        Message::Heartbeat(heartbeat) => Owned::Heartbeat(heartbeat),
        Message::Gap(gap) => Owned::Gap(gap),
        Message::Goodbye(goodbye) => Owned::Goodbye(goodbye),
        other => Owned::Other(other.kind()),
    }
}

const MS: u64 = 1_000_000;
/// A position is stored and acknowledged at least so often.
const ACK_NS: u64 = 1_000 * MS;
/// And at least each so many bytes.
const ACK_BYTES: u64 = 1 << 20;
/// What a provider may ask for as its time limit.
const MIN_TIMEOUT_MS: u64 = 100;
const MAX_TIMEOUT_MS: u64 = 60_000;
