//! A log of blocks, holes and gaps, and what a provider says of it; a copy that keeps what it is told.

use tickdeck_export::auth::{ClientId, Key};
use tickdeck_export::authenticator::Method;
use tickdeck_export::frame::{Decoder, MAX_PAYLOAD};
use tickdeck_export::message::{
    Auth, AuthOk, Data, Gap, GapReason, Guarantee, Heartbeat, Hello, Message, Start, SubOk,
    Subscribe,
};
use tickdeck_export::subscriber::{Event, Position, Session, Settings};

pub(crate) const LOG: [u8; 16] = [7; 16];
pub(crate) const MS: u64 = 1_000_000;

/// A DATA block of `count` records; the payload tells which one it is.
pub(crate) fn block(base_seq: u64, count: u32) -> Vec<u8> {
    let payload = format!("records {base_seq} and {} more", count - 1);
    let masked = |bytes: &[u8]| {
        crc32c::crc32c(bytes)
            .rotate_right(15)
            .wrapping_add(0xA282_EAD8)
    };
    let mut header = [0; 72];
    header[..8].copy_from_slice(b"TDBK\x01\x00\x48\x00");
    let length = payload.len() as u32;
    header[8..12].copy_from_slice(&length.to_le_bytes());
    header[12..16].copy_from_slice(&length.to_le_bytes());
    header[16..24].copy_from_slice(&base_seq.to_le_bytes());
    header[24..28].copy_from_slice(&count.to_le_bytes());
    header[29] = 1;
    header[64..68].copy_from_slice(&masked(payload.as_bytes()).to_le_bytes());
    let crc = masked(&header[..68]);
    header[68..].copy_from_slice(&crc.to_le_bytes());
    [&header[..], payload.as_bytes()].concat()
}

/// A part of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// Records `from` to `to`.
    Records { from: u64, to: u64 },
    /// A block whose only record is a hole over `from` to `to`.
    Hole { from: u64, to: u64 },
    /// What the provider does not have any more.
    Gone { from: u64, to: u64 },
}

impl Part {
    pub(crate) fn to(self) -> u64 {
        match self {
            Self::Records { to, .. } | Self::Hole { to, .. } | Self::Gone { to, .. } => to,
        }
    }

    pub(crate) fn push(self, out: &mut Vec<u8>) {
        let data = |base_seq, count, out: &mut Vec<u8>| {
            let block = block(base_seq, count);
            Message::Data(Data {
                base_seq,
                block: &block,
            })
            .push(out);
        };
        match self {
            Self::Records { from, to } => data(from, (to - from + 1) as u32, out),
            Self::Hole { from, to } => {
                data(from, 1, out);
                let reason = GapReason::JournalHole;
                Message::Gap(Gap { from, to, reason }).push(out);
            }
            Self::Gone { from, to } => {
                let reason = GapReason::Corrupt;
                Message::Gap(Gap { from, to, reason }).push(out);
            }
        }
    }
}

pub(crate) fn id(text: &str) -> ClientId {
    text.parse().expect("a client id")
}

pub(crate) fn key(seed: u8) -> Key {
    let mut bytes = [seed; 32];
    bytes[0] = !seed;
    Key::new(bytes)
}

pub(crate) fn hello(method: Method) -> Hello {
    Hello {
        oldest_version: 1,
        newest_version: 1,
        method,
        epoch: 3,
        log_id: LOG,
        nonce: [9; 32],
        server: id("XNAS-export"),
    }
}

pub(crate) fn sub_ok(start_seq: u64) -> SubOk {
    SubOk {
        start_seq,
        epoch: 3,
        first_available: 1,
        next_seq: 10_000,
        durable_seq: 9_999,
        window_bytes: 1 << 20,
        schema_id: 1,
        heartbeat_ms: 1_000,
        timeout_ms: 5_000,
    }
}

pub(crate) fn heartbeat(next_seq: u64) -> Message<'static> {
    Message::Heartbeat(Heartbeat {
        next_seq,
        written: 10_000,
        durable: 9_999,
        utc_ns: 1,
        epoch: 3,
    })
}

pub(crate) fn settings() -> Settings {
    Settings {
        client: Some(id("desk-1")),
        key: None,
        guarantee: Guarantee::Durable,
        start: Start::Earliest,
        window_bytes: 1 << 20,
        handshake_ms: 3_000,
    }
}

/// A session over a transport that has proved the provider.
pub(crate) fn session(settings: &Settings, position: Option<Position>) -> Session {
    Session::new(settings.clone(), position, &[], true, [5; 32], 0)
}

pub(crate) fn say(session: &mut Session, message: &Message<'_>, now_ns: u64) {
    session.on_bytes(&message.to_frame(), now_ns);
}

pub(crate) fn events(session: &mut Session) -> Vec<Event> {
    std::iter::from_fn(|| session.next_event()).collect()
}

/// What the session said, as type and sequence, and its AUTH and SUBSCRIBE.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) kinds: Vec<(u8, u64)>,
    pub(crate) auth: Option<Auth>,
    pub(crate) subscribe: Option<Subscribe>,
}

pub(crate) fn said(session: &mut Session) -> Said {
    let mut decoder = Decoder::new(MAX_PAYLOAD);
    decoder.feed(&std::mem::take(session.output()));
    let mut said = Said::default();
    while let Some(frame) = decoder.next().expect("good frames") {
        said.kinds.push((frame.kind, frame.seq));
        match Message::parse(&frame).expect("a good message") {
            Message::Auth(auth) => said.auth = Some(auth),
            Message::Subscribe(subscribe) => said.subscribe = Some(subscribe),
            _ => {}
        }
    }
    said
}

/// Takes a session to its data, over a transport that proves all.
pub(crate) fn subscribed(
    settings: &Settings,
    position: Option<Position>,
    start_seq: u64,
) -> Session {
    let mut session = session(settings, position);
    say(&mut session, &Message::Hello(hello(Method::Transport)), 0);
    say(&mut session, &auth_ok(), 0);
    say(&mut session, &Message::SubOk(sub_ok(start_seq)), 0);
    assert_eq!(events(&mut session), [Event::Subscribed(sub_ok(start_seq))]);
    said(&mut session);
    session
}

pub(crate) fn auth_ok() -> Message<'static> {
    Message::AuthOk(AuthOk {
        session: 1,
        identity: Some(id("desk-1")),
        mac: [0; 32],
    })
}
