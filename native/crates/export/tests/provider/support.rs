//! A session and what surrounds it.

use tickdeck_export::auth::ClientId;
use tickdeck_export::frame::Decoder;
use tickdeck_export::message::{
    Ack, Gap, Goodbye, Guarantee, Heartbeat, Message, Refused, Start, SubOk, Subscribe,
};
use tickdeck_export::provider::{
    Action, Admission, CloseReason, Event, Head, HeadHistory, LogView, Outbox, Session,
    SessionConfig, SlowLimits, SlowPolicy,
};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MS;
pub(crate) const LOG_ID: [u8; 16] = [7; 16];

pub(crate) fn config() -> SessionConfig {
    SessionConfig {
        heartbeat_ns: SECOND,
        timeout_ns: 5 * SECOND,
        write_timeout_ns: 10 * SECOND,
        max_window_bytes: 8 << 20,
        waits_on_full_window: true,
    }
}

pub(crate) fn limits() -> SlowLimits {
    SlowLimits {
        soft_bytes: 8 << 20,
        soft_ns: 5 * SECOND,
        hard_bytes: 32 << 20,
        hard_ns: 30 * SECOND,
    }
}

pub(crate) fn admission(policy: SlowPolicy) -> Admission {
    Admission {
        name: Some(client("replica-1")),
        allow_written: false,
        policy,
        limits: limits(),
    }
}

pub(crate) fn client(text: &str) -> ClientId {
    text.parse().expect("a client id")
}

/// A log of one epoch with sequences 1 to `durable`, and some more written.
pub(crate) fn log(durable: u64) -> LogView {
    LogView {
        log_id: LOG_ID,
        schema_id: 1,
        first_available: 1,
        written: durable + 5,
        end_is_known: true,
        durable,
        epochs: vec![(3, 1)],
    }
}

pub(crate) fn subscribe(start: Start) -> Subscribe {
    Subscribe {
        start,
        guarantee: Guarantee::Durable,
        window_bytes: 1 << 20,
        epoch: 0,
        log_id: [0; 16],
    }
}

/// What a subscriber reads from the provider's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    SubOk(SubOk),
    Err(Refused),
    Data(u64, usize),
    Heartbeat(Heartbeat),
    Gap(Gap),
    Goodbye(Goodbye),
}

pub(crate) fn heard(bytes: &[u8]) -> Vec<Heard> {
    let mut decoder = Decoder::new(usize::MAX);
    decoder.feed(bytes);
    let mut all = Vec::new();
    while let Some(frame) = decoder.next().expect("a frame") {
        all.push(match Message::parse(&frame).expect("a message") {
            Message::SubOk(ok) => Heard::SubOk(ok),
            Message::Err(refused) => Heard::Err(refused),
            Message::Data(data) => Heard::Data(data.base_seq, data.block.len()),
            Message::Heartbeat(heartbeat) => Heard::Heartbeat(heartbeat),
            Message::Gap(gap) => Heard::Gap(gap),
            Message::Goodbye(goodbye) => Heard::Goodbye(goodbye),
            other => panic!("a subscriber is sent {other:?}"),
        });
    }
    assert_eq!(decoder.pending(), 0);
    all
}

/// A session at a desk: each call is one event, and what came of it.
pub(crate) struct Desk {
    pub(crate) session: Session,
    pub(crate) log: LogView,
    pub(crate) history: HeadHistory,
    pub(crate) now_ns: u64,
    pub(crate) out: Outbox,
}

impl Desk {
    pub(crate) fn new(config: SessionConfig, admission: Admission, durable: u64) -> Self {
        let now_ns = 1_000 * SECOND;
        let mut history = HeadHistory::default();
        let head = Head {
            seq: durable,
            bytes: durable * 100,
        };
        history.note(now_ns, head);
        Self {
            session: Session::new(now_ns, config, admission),
            log: log(durable),
            history,
            now_ns,
            out: Outbox::default(),
        }
    }

    /// One that has subscribed from the end.
    pub(crate) fn live(policy: SlowPolicy, durable: u64) -> Self {
        let mut desk = Self::new(config(), admission(policy), durable);
        desk.send(&Message::Subscribe(subscribe(Start::Live)));
        desk.take();
        desk
    }

    pub(crate) fn step(&mut self, event: Event<'_>) {
        self.session
            .step(self.now_ns, &self.log, &self.history, event, &mut self.out);
    }

    pub(crate) fn send(&mut self, message: &Message<'_>) {
        self.step(Event::Received(&message.to_frame()));
    }

    pub(crate) fn ack(&mut self, seq: u64) {
        self.send(&Message::Ack(Ack { seq }));
    }

    pub(crate) fn tick(&mut self) {
        self.step(Event::Tick { utc_ns: 1 });
    }

    /// Time passes; the subscriber stays alive.
    pub(crate) fn pass(&mut self, ns: u64) {
        self.now_ns += ns;
    }

    /// The log grows by so many records of 100 bytes.
    pub(crate) fn grow(&mut self, records: u64) {
        self.log.durable += records;
        self.log.written = self.log.durable + 5;
        let (seq, bytes) = (self.log.durable, self.log.durable * 100);
        self.history.note(self.now_ns, Head { seq, bytes });
    }

    /// Reads one block, if the session lets it.
    pub(crate) fn read_block(&mut self, base_seq: u64, last_seq: u64, len: usize) -> bool {
        let limit = self.session.read_limit(&self.log, self.out.bytes.len());
        if limit.is_none_or(|limit| last_seq > limit) {
            return false;
        }
        self.step(Event::Block {
            base_seq,
            last_seq,
            epoch_low: 3,
            bytes: &vec![0xB1; len],
            hole: None,
        });
        true
    }

    /// What was sent and ordered since the last call.
    pub(crate) fn take(&mut self) -> (Vec<Heard>, Vec<Action>) {
        let out = std::mem::take(&mut self.out);
        (heard(&out.bytes), out.actions)
    }

    /// Why it was closed.
    pub(crate) fn closed(&mut self) -> Option<CloseReason> {
        let (_, actions) = self.take();
        let closes = actions.into_iter().find_map(|action| match action {
            Action::Close(reason) => Some(reason),
            _ => None,
        });
        assert_eq!(closes.is_some(), self.session.is_closed());
        closes
    }
}
