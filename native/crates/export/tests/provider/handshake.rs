//! From a socket to an identity, and every way not to get there.

use tickdeck_export::auth::Mac;
use tickdeck_export::authenticator::{Authenticator, Identity, Method, Refusal};
use tickdeck_export::frame::{self, Decoder, Frame};
use tickdeck_export::message::{
    Ack, Auth, ErrorCode, Hello, Message, Start, Subscribe, kind, without_mac,
};
use tickdeck_export::provider::{Handshake, HandshakeEnd, HandshakeLimits};

use crate::support::*;

/// Takes a MAC of ones for good.
struct Ones;

impl Authenticator for Ones {
    fn method(&self) -> Method {
        Method::Hmac
    }

    fn judge(
        &mut self,
        hello: &[u8],
        signed: &[u8],
        auth: &Auth,
        session: u64,
    ) -> Result<(Identity, Mac), Refusal> {
        assert!(!hello.is_empty() && !signed.is_empty());
        if auth.mac != [1; 32] {
            let reason = "wrong MAC".to_owned();
            return Err(Refusal { reason });
        }
        let name = auth.client.clone();
        Ok((Identity { name }, Mac::new([session as u8; 32])))
    }
}

fn begin(out: &mut Vec<u8>) -> Handshake<Ones> {
    let hello = Hello {
        oldest_version: 1,
        newest_version: 1,
        method: Method::Transport,
        epoch: 3,
        log_id: LOG_ID,
        nonce: [9; 32],
        server: client("XNAS-export"),
    };
    Handshake::begin(SECOND, hello, 5, Ones, HandshakeLimits::default(), out)
}

fn auth() -> Auth {
    Auth {
        version: 1,
        nonce: [2; 32],
        client: Some(client("replica-1")),
        mac: [1; 32],
    }
}

fn kinds(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut decoder = Decoder::new(usize::MAX);
    decoder.feed(bytes);
    let mut all = Vec::new();
    while let Some(Frame { kind, payload, .. }) = decoder.next().expect("a frame") {
        all.push((kind, payload.to_vec()));
    }
    all
}

/// HELLO goes out at once with the authenticator's method; a good AUTH is answered with AUTH_OK,
/// however it is cut.
#[test]
fn a_proof_opens_the_door() {
    for step in [1, 7, 500] {
        let mut out = Vec::new();
        let mut handshake = begin(&mut out);
        let bytes = Message::Auth(auth()).to_frame();
        let mut pieces = bytes.chunks(step).peekable();
        let end = loop {
            let piece = pieces.next().expect("ends with the last piece");
            match handshake.on_bytes(2 * SECOND, piece, &mut out) {
                Some(end) => break end,
                None => assert!(pieces.peek().is_some()),
            }
        };
        let name = Some(client("replica-1"));
        assert_eq!(end, HandshakeEnd::Proved(Identity { name }));
        let sent = kinds(&out);
        let types: Vec<u8> = sent.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(types, [kind::HELLO, kind::AUTH_OK]);
        assert_eq!(sent[0].1[4], Method::Hmac as u8);
        assert_eq!(sent[1].1[sent[1].1.len() - 32..], [5; 32]);
    }
}

/// What is not an AUTH, or not a good one, is turned away with a code, and the audit has a reason.
#[test]
fn everything_else_is_turned_away() {
    let subscribe = Message::Subscribe(Subscribe {
        log_id: LOG_ID,
        ..subscribe(Start::Earliest)
    });
    let good = Message::Auth(auth()).to_frame();
    let with = |change: fn(&mut Auth)| {
        let mut auth = auth();
        change(&mut auth);
        Message::Auth(auth).to_frame()
    };
    let mut damaged = good.clone();
    damaged[40] ^= 1;
    let mut zero_length = Vec::new();
    frame::push(&mut zero_length, kind::AUTH, 0, b"");
    let mut path = without_mac(&Message::Auth(auth()).payload())
        .expect("long")
        .to_vec();
    path.truncate(36);
    path.extend_from_slice(b"\x0b../../etc/x");
    path.extend_from_slice(&[1; 32]);
    let mut path_trick = Vec::new();
    frame::push(&mut path_trick, kind::AUTH, 0, &path);
    let cases: Vec<(&str, Vec<u8>, ErrorCode, bool)> = vec![
        (
            "SUBSCRIBE first",
            subscribe.to_frame(),
            ErrorCode::Violation,
            true,
        ),
        (
            "ACK first",
            Message::Ack(Ack { seq: 1 }).to_frame(),
            ErrorCode::Violation,
            true,
        ),
        (
            "DATA first",
            frame_of(kind::DATA, &[0; 100]),
            ErrorCode::Violation,
            true,
        ),
        (
            "HELLO back",
            frame_of(kind::HELLO, &[0; 65]),
            ErrorCode::Violation,
            true,
        ),
        (
            "AUTH and more",
            [&good[..], &good[..1]].concat(),
            ErrorCode::Violation,
            true,
        ),
        (
            "a wrong MAC",
            with(|auth| auth.mac = [2; 32]),
            ErrorCode::Denied,
            false,
        ),
        (
            "version 0",
            with(|auth| auth.version = 0),
            ErrorCode::Version,
            false,
        ),
        (
            "version 2",
            with(|auth| auth.version = 2),
            ErrorCode::Version,
            false,
        ),
        ("a wrong CRC", damaged, ErrorCode::BadFrame, true),
        ("length 0", zero_length, ErrorCode::BadFrame, true),
        ("a path for a name", path_trick, ErrorCode::BadFrame, true),
        (
            "a long frame",
            u32::MAX.to_le_bytes().to_vec(),
            ErrorCode::BadFrame,
            true,
        ),
        (
            "257 bytes",
            257u32.to_le_bytes().to_vec(),
            ErrorCode::BadFrame,
            true,
        ),
        (
            "HTTP",
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            ErrorCode::BadFrame,
            true,
        ),
        ("zeros", vec![0; 20], ErrorCode::BadFrame, true),
        ("513 bytes", vec![0; 513], ErrorCode::BadFrame, true),
    ];
    for (what, bytes, code, violates) in cases {
        let mut out = Vec::new();
        let mut handshake = begin(&mut out);
        let end = handshake.on_bytes(2 * SECOND, &bytes, &mut out);
        let Some(HandshakeEnd::Failed {
            reason,
            is_violation,
        }) = end
        else {
            panic!("{what}: {end:?}");
        };
        assert!(
            !reason.is_empty() && is_violation == violates,
            "{what}: {reason}"
        );
        let sent = kinds(&out);
        let types: Vec<u8> = sent.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(types, [kind::HELLO, kind::ERR], "{what}");
        assert_eq!(sent[1].1[..2], code.code().to_le_bytes(), "{what}");
        assert!(
            code != ErrorCode::Denied || sent[1].1.ends_with(b"denied"),
            "{what}"
        );
    }
}

fn frame_of(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::push(&mut out, kind, 0, payload);
    out
}

/// One deadline for all of it: a byte in time buys nothing.
#[test]
fn dripping_does_not_help() {
    let mut out = Vec::new();
    let mut handshake = begin(&mut out);
    let bytes = Message::Auth(auth()).to_frame();
    let mut ends = Vec::new();
    for (turn, byte) in bytes.iter().enumerate() {
        let now_ns = SECOND + turn as u64 * 900 * MS;
        if let Some(end) = handshake.on_bytes(now_ns, &[*byte], &mut out) {
            ends.push((now_ns, end));
            break;
        }
        assert_eq!(handshake.on_time(now_ns), None);
    }
    let [
        (
            at_ns,
            HandshakeEnd::Failed {
                is_violation: false,
                ..
            },
        ),
    ] = &ends[..]
    else {
        panic!("{ends:?}");
    };
    assert!(*at_ns <= handshake.deadline_ns() + 900 * MS);
    assert_eq!(handshake.deadline_ns(), 4 * SECOND);
    assert!(handshake.on_time(4 * SECOND).is_some());
}
