//! Messages to bytes.

use super::{
    Ack, Auth, AuthOk, Data, Gap, Goodbye, Heartbeat, Hello, Message, Refused, Start, SubOk,
    Subscribe, kind,
};
use crate::auth::ClientId;
use crate::frame;

impl Message<'_> {
    /// The type of the frame.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => kind::HELLO,
            Self::Auth(_) => kind::AUTH,
            Self::AuthOk(_) => kind::AUTH_OK,
            Self::Subscribe(_) => kind::SUBSCRIBE,
            Self::SubOk(_) => kind::SUB_OK,
            Self::Err(_) => kind::ERR,
            Self::Data(_) => kind::DATA,
            Self::Heartbeat(_) => kind::HEARTBEAT,
            Self::Gap(_) => kind::GAP,
            Self::Ack(_) => kind::ACK,
            Self::Goodbye(_) => kind::GOODBYE,
        }
    }

    /// The sequence of the frame.
    #[must_use]
    pub fn seq(&self) -> u64 {
        match self {
            Self::Hello(_) | Self::Auth(_) | Self::AuthOk(_) => 0,
            Self::Subscribe(subscribe) => match subscribe.start {
                Start::Seq(seq) => seq,
                Start::Earliest | Start::Live => 0,
            },
            Self::SubOk(ok) => ok.start_seq,
            Self::Err(refused) => refused.seq,
            Self::Data(data) => data.base_seq,
            Self::Heartbeat(heartbeat) => heartbeat.next_seq,
            Self::Gap(gap) => gap.from,
            Self::Ack(ack) => ack.seq,
            Self::Goodbye(goodbye) => goodbye.next_seq,
        }
    }

    /// Appends the whole frame to `out`.
    ///
    /// # Panics
    ///
    /// When a block is longer than a frame may be.
    pub fn push(&self, out: &mut Vec<u8>) {
        frame::push(out, self.kind(), self.seq(), &self.payload());
    }

    /// The whole frame.
    ///
    /// # Panics
    ///
    /// As [`push`](Self::push).
    #[must_use]
    pub fn to_frame(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.push(&mut out);
        out
    }

    /// The payload of the frame.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Hello(message) => hello(message, &mut out),
            Self::Auth(message) => auth(message, &mut out),
            Self::AuthOk(message) => auth_ok(message, &mut out),
            Self::Subscribe(message) => subscribe(message, &mut out),
            Self::SubOk(message) => sub_ok(message, &mut out),
            Self::Err(message) => refused(message, &mut out),
            Self::Data(Data { block, .. }) => out.extend_from_slice(block),
            Self::Heartbeat(message) => heartbeat(message, &mut out),
            Self::Gap(message) => gap(message, &mut out),
            Self::Ack(Ack { .. }) => {}
            Self::Goodbye(message) => goodbye(message, &mut out),
        }
        out
    }
}

fn hello(message: &Hello, out: &mut Vec<u8>) {
    out.extend_from_slice(&message.oldest_version.to_le_bytes());
    out.extend_from_slice(&message.newest_version.to_le_bytes());
    out.extend_from_slice(&[message.method as u8, 0, 0, 0]);
    out.extend_from_slice(&message.epoch.to_le_bytes());
    out.extend_from_slice(&message.log_id);
    out.extend_from_slice(&message.nonce);
    name(Some(&message.server), out);
}

fn auth(message: &Auth, out: &mut Vec<u8>) {
    out.extend_from_slice(&message.version.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&message.nonce);
    name(message.client.as_ref(), out);
    out.extend_from_slice(&message.mac);
}

fn auth_ok(message: &AuthOk, out: &mut Vec<u8>) {
    out.extend_from_slice(&message.session.to_le_bytes());
    name(message.identity.as_ref(), out);
    out.extend_from_slice(&message.mac);
}

fn subscribe(message: &Subscribe, out: &mut Vec<u8>) {
    let start = match message.start {
        Start::Seq(_) => 1,
        Start::Earliest => 2,
        Start::Live => 3,
    };
    out.extend_from_slice(&[start, message.guarantee.code(), 0, 0]);
    out.extend_from_slice(&message.window_bytes.to_le_bytes());
    out.extend_from_slice(&message.epoch.to_le_bytes());
    out.extend_from_slice(&message.log_id);
}

fn sub_ok(message: &SubOk, out: &mut Vec<u8>) {
    let (first, next) = (message.first_available, message.next_seq);
    for value in [message.epoch, first, next, message.durable_seq] {
        out.extend_from_slice(&value.to_le_bytes());
    }
    let (heartbeat, timeout) = (message.heartbeat_ms, message.timeout_ms);
    for value in [message.window_bytes, message.schema_id, heartbeat, timeout] {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn refused(message: &Refused, out: &mut Vec<u8>) {
    out.extend_from_slice(&message.code.code().to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    string(message.text.as_str(), out);
}

fn heartbeat(message: &Heartbeat, out: &mut Vec<u8>) {
    let (written, durable) = (message.written, message.durable);
    for value in [written, durable, message.utc_ns, message.epoch] {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn gap(message: &Gap, out: &mut Vec<u8>) {
    out.extend_from_slice(&message.to.to_le_bytes());
    out.push(message.reason.code());
    out.extend_from_slice(&[0; 7]);
}

fn goodbye(message: &Goodbye, out: &mut Vec<u8>) {
    out.extend_from_slice(&message.reason.code().to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    string(message.text.as_str(), out);
}

fn name(name: Option<&ClientId>, out: &mut Vec<u8>) {
    string(name.map_or("", ClientId::as_str), out);
}

fn string(text: &str, out: &mut Vec<u8>) {
    // Names have at most 64 bytes and sentences 200.
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}
