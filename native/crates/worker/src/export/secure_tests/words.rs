//! What is said behind HELLO by those who have no right to come in.

use tickdeck_export::auth::{Key, Transcript};
use tickdeck_export::frame::{self, header};
use tickdeck_export::message::{
    Ack, Auth, AuthOk, Guarantee, Message, Start, Subscribe, kind, without_mac,
};

use super::bypasses::DoorKind;
use super::door::{hello, key};

/// What to say, from HELLO's payload and the exporter value.
pub(super) type Said = Box<dyn Fn(&[u8], &[u8]) -> Vec<u8>>;

/// AUTH as a client would make it.
pub(super) fn auth(client: &str, key: Option<&Key>, hello: &[u8], exporter: &[u8]) -> Vec<u8> {
    let mut auth = Auth {
        version: 1,
        nonce: [4; 32],
        client: client.parse().ok(),
        mac: [0; 32],
    };
    let payload = Message::Auth(auth.clone()).payload();
    let signed = without_mac(&payload).expect("a MAC");
    if let Some(key) = key {
        let said = Transcript {
            hello,
            auth: signed,
            exporter,
        };
        auth.mac = said.client_mac(key).to_bytes();
    }
    Message::Auth(auth).to_frame()
}

/// Bytes of a frame with a checksum that fits.
fn framed(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::push(&mut out, kind, 0, payload);
    out
}

fn subscribe(log_id: [u8; 16]) -> Vec<u8> {
    Message::Subscribe(Subscribe {
        start: Start::Earliest,
        guarantee: Guarantee::Durable,
        window_bytes: 1 << 20,
        epoch: 1,
        log_id,
    })
    .to_frame()
}

/// Attempts that consist of what is sent behind HELLO.
pub(super) fn words(door: DoorKind) -> Vec<(&'static str, Said)> {
    let changed = |at: usize, bit: u8| -> Said {
        Box::new(move |hello, exporter| {
            let good = auth("alpha", Some(&key(1)), hello, exporter);
            let mut payload = good[20..].to_vec();
            payload[at] ^= bit;
            framed(kind::AUTH, &payload)
        })
    };
    let mut all: Vec<(&'static str, Said)> = vec![
        (
            "no auth: SUBSCRIBE at once",
            Box::new(|_, _| subscribe([0; 16])),
        ),
        (
            "ACK before AUTH",
            Box::new(|_, _| Message::Ack(Ack { seq: 1 }).to_frame()),
        ),
        (
            "DATA before AUTH",
            Box::new(|_, _| framed(kind::DATA, &[0; 80])),
        ),
        (
            "AUTH_OK in place of AUTH",
            Box::new(|_, _| {
                let ok = AuthOk {
                    session: 9,
                    identity: None,
                    mac: [0; 32],
                };
                Message::AuthOk(ok).to_frame()
            }),
        ),
        (
            "HELLO sent back",
            Box::new(|hello, _| framed(kind::HELLO, hello)),
        ),
        (
            "GOODBYE before AUTH",
            Box::new(|_, _| framed(kind::GOODBYE, &[1, 0, 0, 0, 0])),
        ),
        ("unknown frame type", Box::new(|_, _| framed(99, &[]))),
        ("empty AUTH", Box::new(|_, _| framed(kind::AUTH, &[]))),
        (
            "AUTH without its MAC",
            Box::new(|hello, exporter| {
                let good = auth("alpha", Some(&key(1)), hello, exporter);
                framed(kind::AUTH, &good[20..good.len() - 32])
            }),
        ),
        (
            "truncated MAC",
            Box::new(|hello, exporter| {
                let good = auth("alpha", Some(&key(1)), hello, exporter);
                framed(kind::AUTH, &good[20..good.len() - 16])
            }),
        ),
        (
            "MAC of 33 bytes",
            Box::new(|hello, exporter| {
                let good = auth("alpha", Some(&key(1)), hello, exporter);
                framed(kind::AUTH, &[&good[20..], &[0]].concat())
            }),
        ),
        (
            "wrong CRC",
            Box::new(|hello, exporter| {
                let mut good = auth("alpha", Some(&key(1)), hello, exporter);
                good[16] ^= 1;
                good
            }),
        ),
        (
            "length 0xFFFFFFFF",
            Box::new(|_, _| [&[0xFF; 4][..], &[0; 16]].concat()),
        ),
        (
            "frame of 257 bytes",
            Box::new(|_, _| framed(kind::AUTH, &[0; 257])),
        ),
        ("513 bytes of nothing", Box::new(|_, _| vec![0xFF; 513])),
        (
            "two AUTHs at once",
            Box::new(|hello, exporter| {
                let wrong = auth("alpha", Some(&key(9)), hello, exporter);
                [wrong, auth("alpha", Some(&key(1)), hello, exporter)].concat()
            }),
        ),
        (
            "good AUTH and SUBSCRIBE in one breath",
            Box::new(|hello, exporter| {
                [
                    auth("alpha", Some(&key(1)), hello, exporter),
                    subscribe([0; 16]),
                ]
                .concat()
            }),
        ),
        (
            "frame type 0",
            Box::new(|_, _| {
                let mut bytes = framed(kind::AUTH, &[0; 69]);
                bytes[4] = 0;
                bytes
            }),
        ),
        (
            "flags set",
            Box::new(|hello, exporter| {
                let mut good = auth("alpha", Some(&key(1)), hello, exporter);
                good[5] = 1;
                good
            }),
        ),
        (
            "sequence in AUTH",
            Box::new(|hello, exporter| {
                let good = auth("alpha", Some(&key(1)), hello, exporter);
                let payload = &good[20..];
                [&header(kind::AUTH, 5, payload)[..], payload].concat()
            }),
        ),
        (
            "HTTP",
            Box::new(|_, _| b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ),
        (
            "the old token line",
            Box::new(|_, _| b"FCWAL-AUTH/1 secret\n".to_vec()),
        ),
        ("version 0", changed(0, 1)),
        ("version 3", changed(0, 2)),
        ("reserved bytes set", changed(2, 1)),
        ("id with a path", Box::new(|_, _| named(b"../../key"))),
        ("id with a NUL", Box::new(|_, _| named(b"alpha\0"))),
        (
            "id with a line break",
            Box::new(|_, _| named(b"alpha\nbeta")),
        ),
        ("id that is not UTF-8", Box::new(|_, _| named(b"\xFF\xFE"))),
        ("id of 65 bytes", Box::new(|_, _| named(&[b'a'; 65]))),
        (
            "id longer than its frame",
            Box::new(|_, _| {
                let mut payload = named(b"alpha")[20..].to_vec();
                payload[36] = 200;
                framed(kind::AUTH, &payload)
            }),
        ),
    ];
    if door != DoorKind::Mutual {
        let with = |client: &'static str, seed: u8| -> Said {
            Box::new(move |hello, exporter| auth(client, Some(&key(seed)), hello, exporter))
        };
        all.extend([
            (
                "no MAC",
                Box::new(|hello: &[u8], exporter: &[u8]| auth("alpha", None, hello, exporter))
                    as Said,
            ),
            ("wrong key", with("alpha", 9)),
            ("another's id with the own key", with("beta", 1)),
            ("another's key", with("alpha", 3)),
            ("an unknown client", with("gamma", 1)),
            ("the decoy key", with("gamma", 251)),
            ("an id in other letters", with("Alpha", 1)),
            ("the reserved id of the books", with("@book", 1)),
            ("no id with a good key", with("", 1)),
            ("a changed nonce", changed(4, 1)),
            ("a changed id", changed(37, 1)),
            ("one bit of the MAC", changed(42, 0x80)),
            ("the last bit of the MAC", changed(73, 1)),
            ("reflected nonce: MAC over HELLO twice", Box::new(reflected)),
            (
                "replayed transcript: MAC of another HELLO",
                Box::new(|_, exporter| {
                    let other = Message::Hello(hello([1; 32])).payload();
                    auth("alpha", Some(&key(1)), &other, exporter)
                }),
            ),
            (
                "MAC of the provider's side",
                Box::new(|hello, exporter| {
                    let good = auth("alpha", Some(&key(1)), hello, exporter);
                    let signed = &good[20..good.len() - 32];
                    let said = Transcript {
                        hello,
                        auth: signed,
                        exporter,
                    };
                    let mac = said.server_mac(&key(1), 9).to_bytes();
                    framed(kind::AUTH, &[signed, &mac].concat())
                }),
            ),
            (
                "HELLO changed on the way: another epoch",
                Box::new(|hello, exporter| {
                    let mut seen = hello.to_vec();
                    seen[8] ^= 1;
                    auth("alpha", Some(&key(1)), &seen, exporter)
                }),
            ),
            (
                "HELLO changed on the way: another log",
                Box::new(|hello, exporter| {
                    let mut seen = hello.to_vec();
                    seen[16] ^= 1;
                    auth("alpha", Some(&key(1)), &seen, exporter)
                }),
            ),
            (
                "downgrade: HELLO changed to proof by transport",
                Box::new(|hello, exporter| {
                    let mut seen = hello.to_vec();
                    seen[4] = 1;
                    auth("alpha", Some(&key(1)), &seen, exporter)
                }),
            ),
        ]);
    }
    if matches!(door, DoorKind::TlsKeys | DoorKind::MutualKeys) {
        all.extend([
            (
                "MAC not bound to the session",
                Box::new(|hello: &[u8], _: &[u8]| auth("alpha", Some(&key(1)), hello, &[])) as Said,
            ),
            (
                "relayed: MAC of another TLS session",
                Box::new(|hello, _| auth("alpha", Some(&key(1)), hello, &[5; 32])),
            ),
        ]);
    }
    all
}

fn named(id: &[u8]) -> Vec<u8> {
    let payload = [&[1, 0, 0, 0][..], &[4; 32], &[id.len() as u8], id, &[0; 32]].concat();
    framed(kind::AUTH, &payload)
}

fn reflected(hello: &[u8], exporter: &[u8]) -> Vec<u8> {
    let nonce: [u8; 32] = hello[32..64].try_into().expect("a nonce");
    let payload = Message::Auth(Auth {
        version: 1,
        nonce,
        client: "alpha".parse().ok(),
        mac: [0; 32],
    })
    .payload();
    let signed = without_mac(&payload).expect("a MAC");
    let said = Transcript {
        hello,
        auth: hello,
        exporter,
    };
    framed(
        kind::AUTH,
        &[signed, &said.client_mac(&key(1)).to_bytes()].concat(),
    )
}
