//! From a connected socket to an identity: HELLO, AUTH, AUTH_OK.
//!
//! One deadline for all of it, a bound on what is read, and nothing kept for a peer but that. Each
//! way it can fail gives one sentence for the audit and at most one frame for the peer.

use crate::authenticator::{Authenticator, Identity};
use crate::frame::{Decoder, Frame};
use crate::message::{
    Auth, AuthOk, ErrorCode, Hello, MAX_CONTROL_PAYLOAD, Message, VERSION, kind, without_mac,
};
use crate::provider::refusal;

/// Bounds of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// From the first byte to the last, both ways.
    pub deadline_ns: u64,
    /// Most bytes that are read.
    pub max_bytes: usize,
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        Self {
            deadline_ns: 3_000_000_000,
            max_bytes: 512,
        }
    }
}

/// How a handshake ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandshakeEnd {
    /// The peer has proved itself; the frames to send are in the outgoing bytes.
    Proved(Identity),
    /// It is turned away. What there is to say to it is in the outgoing bytes.
    Failed {
        /// One clause for the audit.
        reason: String,
        /// The protocol was broken, and not merely a proof missing.
        is_violation: bool,
    },
}

/// The machine of one connection.
pub struct Handshake<A> {
    authenticator: A,
    hello: Vec<u8>,
    session: u64,
    decoder: Decoder,
    limits: HandshakeLimits,
    received: usize,
    deadline_ns: u64,
}

impl<A: Authenticator> Handshake<A> {
    /// Begins; HELLO goes into `out`. Its method is the authenticator's.
    pub fn begin(
        now_ns: u64,
        mut hello: Hello,
        session: u64,
        authenticator: A,
        limits: HandshakeLimits,
        out: &mut Vec<u8>,
    ) -> Self {
        hello.method = authenticator.method();
        let hello = Message::Hello(hello);
        hello.push(out);
        Self {
            hello: hello.payload(),
            authenticator,
            session,
            decoder: Decoder::new(MAX_CONTROL_PAYLOAD),
            limits,
            received: 0,
            deadline_ns: now_ns + limits.deadline_ns,
        }
    }

    /// When it is over, whatever comes.
    pub fn deadline_ns(&self) -> u64 {
        self.deadline_ns
    }

    /// Time has passed.
    pub fn on_time(&mut self, now_ns: u64) -> Option<HandshakeEnd> {
        (now_ns >= self.deadline_ns).then(|| failed("no proof within the deadline", false))
    }

    /// The peer has closed.
    pub fn on_closed(&mut self) -> HandshakeEnd {
        failed("closed before its proof", false)
    }

    /// The peer sent this.
    pub fn on_bytes(
        &mut self,
        now_ns: u64,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<HandshakeEnd> {
        if let Some(end) = self.on_time(now_ns) {
            return Some(end);
        }
        self.received += bytes.len();
        if self.received > self.limits.max_bytes {
            let text = "too many bytes before a proof";
            return Some(turned_away(ErrorCode::BadFrame, text, true, out));
        }
        self.decoder.feed(bytes);
        let frame = match self.decoder.next() {
            Ok(None) => return None,
            Ok(Some(frame)) => frame,
            Err(error) => {
                out.extend_from_slice(&refusal(ErrorCode::BadFrame, 0, "not a frame"));
                return Some(failed(&error.to_string(), true));
            }
        };
        let (payload, auth) = match read_auth(&frame) {
            Ok(auth) => (frame.payload.to_vec(), auth),
            Err((code, text)) => return Some(turned_away(code, &text, true, out)),
        };
        if self.decoder.pending() > 0 {
            let text = "a frame before AUTH_OK";
            return Some(turned_away(ErrorCode::Violation, text, true, out));
        }
        Some(self.judge(&payload, &auth, out))
    }

    fn judge(&mut self, payload: &[u8], auth: &Auth, out: &mut Vec<u8>) -> HandshakeEnd {
        if auth.version != VERSION {
            let text = format!("version {} is not spoken here", auth.version);
            return turned_away(ErrorCode::Version, &text, false, out);
        }
        let signed = without_mac(payload).expect("a whole AUTH");
        match self
            .authenticator
            .judge(&self.hello, signed, auth, self.session)
        {
            Ok((identity, mac)) => {
                Message::AuthOk(AuthOk {
                    session: self.session,
                    identity: identity.name.clone(),
                    mac: mac.to_bytes(),
                })
                .push(out);
                HandshakeEnd::Proved(identity)
            }
            Err(refused) => {
                // The peer is not told what was wrong.
                out.extend_from_slice(&refusal(ErrorCode::Denied, 0, "denied"));
                failed(&refused.reason, false)
            }
        }
    }
}

fn read_auth(frame: &Frame<'_>) -> Result<Auth, (ErrorCode, String)> {
    if frame.kind != kind::AUTH {
        let text = format!("frame type {} before AUTH_OK", frame.kind);
        return Err((ErrorCode::Violation, text));
    }
    match Message::parse(frame) {
        Ok(Message::Auth(auth)) => Ok(auth),
        Ok(_) => unreachable!("the type says AUTH"),
        Err(error) => Err((ErrorCode::BadFrame, error.to_string())),
    }
}

fn turned_away(code: ErrorCode, text: &str, is_violation: bool, out: &mut Vec<u8>) -> HandshakeEnd {
    out.extend_from_slice(&refusal(code, 0, text));
    failed(text, is_violation)
}

fn failed(reason: &str, is_violation: bool) -> HandshakeEnd {
    HandshakeEnd::Failed {
        reason: reason.to_owned(),
        is_violation,
    }
}
