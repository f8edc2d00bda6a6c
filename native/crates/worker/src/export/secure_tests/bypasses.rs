//! S05: everything that was thought of to get in without the right. One table; nobody may be let in,
//! nothing but HELLO and ERR may be sent to them, and each leaves a sentence for the audit.

use std::io::{self, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tickdeck_export::auth::{Key, Transcript};
use tickdeck_export::frame::{self, header};
use tickdeck_export::message::{
    Ack, Auth, AuthOk, Guarantee, Message, Start, Subscribe, kind, without_mac,
};

use super::authority::{Authority, DAY_S, Leaf, NOW_S, Purpose, SetClock, leaf, self_signed};
use super::door::{
    Door, INSIDE, Rules, handshake, hear, hear_hello, hello, key, key_hex, keyring, send,
};
use crate::export::channel::Channel;
use crate::export::tls::{OwnFiles, TlsAcceptor, TlsDialer};

/// Everything that the attempts need.
struct Scene {
    good: Authority,
    other: Authority,
    dir: tempfile::TempDir,
    clock: Arc<SetClock>,
}

/// One attempt: how it is called, and what is tried against which door.
struct Attempt {
    name: String,
    door: DoorKind,
    try_it: Box<dyn Fn(&Scene, &Door) -> io::Result<Option<Channel>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum DoorKind {
    /// Loopback, keys of alpha (current 1, previous 2) and beta (3).
    Keys,
    /// TLS with a server certificate, the same keys.
    TlsKeys,
    /// TLS that demands a certificate; `mallory` is revoked.
    Mutual,
    /// Both.
    MutualKeys,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self {
            good: Authority::new(dir.path(), "good"),
            other: Authority::new(dir.path(), "other"),
            clock: SetClock::at(NOW_S),
            dir,
        }
    }

    fn open(&self, kind: DoorKind) -> Door {
        let server = || {
            self.good
                .issue("server", &leaf(&["localhost"], Purpose::Server))
        };
        let ca = matches!(kind, DoorKind::Mutual | DoorKind::MutualKeys).then(|| self.good.ca());
        let acceptor = (kind != DoorKind::Keys).then(|| {
            let acceptor = TlsAcceptor::open(server(), ca, self.clock.clone());
            Arc::new(acceptor.expect("opens"))
        });
        let keys = (kind != DoorKind::Mutual).then(|| {
            keyring(&format!(
                "alpha {} {}\nbeta {}\n",
                key_hex(1),
                key_hex(2),
                key_hex(3)
            ))
        });
        let revoked = vec!["mallory".to_owned()];
        Door::open(Rules {
            tls: acceptor,
            keys,
            revoked,
        })
    }

    /// A TLS client with this certificate, its handshake done as far as we can tell.
    fn tls(&self, door: &Door, own: Option<OwnFiles>) -> io::Result<Channel> {
        // Whose certificate has run out sets its own clock back.
        let session = [NOW_S, NOW_S - 40 * DAY_S, NOW_S + 40 * DAY_S]
            .into_iter()
            .find_map(|own_now_s| {
                let clock = SetClock::at(own_now_s);
                let dialer = TlsDialer::open(self.good.ca(), own.clone(), clock).expect("opens");
                let name = ServerName::try_from("localhost").expect("a name");
                dialer.dial(name).ok()
            });
        let session = session.expect("one of the clocks suits");
        let mut channel = Channel::tls(TcpStream::connect(door.address)?, session)?;
        handshake(&mut channel)?;
        Ok(channel)
    }

    fn connect(&self, door: &Door, kind: DoorKind) -> io::Result<Channel> {
        match kind {
            DoorKind::Keys => Channel::tcp(TcpStream::connect(door.address)?),
            DoorKind::TlsKeys => self.tls(door, None),
            DoorKind::Mutual | DoorKind::MutualKeys => {
                let own = self.good.issue("alpha", &leaf(&["alpha"], Purpose::Client));
                self.tls(door, Some(own))
            }
        }
    }
}

fn exporter_of(channel: &Channel) -> Vec<u8> {
    let transport = channel.transport().expect("a socket").expect("a session");
    transport.exporter().to_vec()
}

/// AUTH as a client would make it.
fn auth(client: &str, key: Option<&Key>, hello: &[u8], exporter: &[u8]) -> Vec<u8> {
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
fn words(door: DoorKind) -> Vec<(&'static str, Box<dyn Fn(&[u8], &[u8]) -> Vec<u8>>)> {
    type Said = Box<dyn Fn(&[u8], &[u8]) -> Vec<u8>>;
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
            (
                "reflected nonce: MAC over HELLO twice",
                Box::new(|hello, exporter| reflected(hello, exporter)),
            ),
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

/// Attempts with certificates; all know the keys, too, where there are any.
fn certificates() -> Vec<(&'static str, DoorKind, OwnCertificate)> {
    let mut all: Vec<(&'static str, DoorKind, OwnCertificate)> = Vec::new();
    for door in [DoorKind::Mutual, DoorKind::MutualKeys] {
        all.extend([
            ("no certificate", door, (|_: &Scene| None) as OwnCertificate),
            ("self-signed", door, |scene| {
                let leaf = leaf(&["alpha"], Purpose::Client);
                Some(self_signed(scene.dir.path(), "self", &leaf))
            }),
            ("of another authority", door, |scene| {
                Some(
                    scene
                        .other
                        .issue("foreign", &leaf(&["alpha"], Purpose::Client)),
                )
            }),
            ("expired", door, |scene| {
                let leaf = Leaf {
                    to: (2030, 6),
                    ..leaf(&["alpha"], Purpose::Client)
                };
                Some(scene.good.issue("expired", &leaf))
            }),
            ("not yet valid", door, |scene| {
                let leaf = Leaf {
                    from: (2030, 7),
                    ..leaf(&["alpha"], Purpose::Client)
                };
                Some(scene.good.issue("early", &leaf))
            }),
            ("for servers (EKU)", door, |scene| {
                Some(
                    scene
                        .good
                        .issue("server-eku", &leaf(&["alpha"], Purpose::Server)),
                )
            }),
            ("of another client (SAN)", door, |scene| {
                Some(scene.good.issue("beta", &leaf(&["beta"], Purpose::Client)))
            }),
            ("with the id as a part of a name", door, |scene| {
                Some(
                    scene
                        .good
                        .issue("sub", &leaf(&["alpha.example"], Purpose::Client)),
                )
            }),
            ("wildcard", door, |scene| {
                Some(scene.good.issue("wild", &leaf(&["*"], Purpose::Client)))
            }),
            ("without a name", door, |scene| {
                Some(scene.good.issue("nameless", &leaf(&[], Purpose::Client)))
            }),
            ("revoked", door, |scene| {
                Some(
                    scene
                        .good
                        .issue("mallory", &leaf(&["mallory", "alpha"], Purpose::Client)),
                )
            }),
        ]);
    }
    all
}

type OwnCertificate = fn(&Scene) -> Option<OwnFiles>;

/// Attempts below TLS or beside it.
fn transports() -> Vec<Attempt> {
    let raw = |name: &str, door, bytes: Vec<u8>| Attempt {
        name: name.to_owned(),
        door,
        try_it: Box::new(move |_, door| {
            let mut socket = TcpStream::connect(door.address)?;
            socket.write_all(&bytes)?;
            socket.shutdown(Shutdown::Write)?;
            Channel::tcp(socket).map(Some)
        }),
    };
    let clear = |hello: &[u8]| auth("alpha", Some(&key(1)), hello, &[]);
    let greeting = Message::Hello(hello([1; 32])).payload();
    vec![
        raw("nothing at all", DoorKind::Keys, Vec::new()),
        raw(
            "a part of an AUTH",
            DoorKind::Keys,
            clear(&greeting)[..30].to_vec(),
        ),
        raw(
            "clear text at a TLS door",
            DoorKind::TlsKeys,
            clear(&greeting),
        ),
        raw(
            "clear text at a mutual door",
            DoorKind::Mutual,
            clear(&greeting),
        ),
        raw("TLS 1.2", DoorKind::TlsKeys, client_hello_12()),
        raw(
            "TLS 1.2 at a mutual door",
            DoorKind::Mutual,
            client_hello_12(),
        ),
        raw(
            "SSL 3.0",
            DoorKind::TlsKeys,
            vec![0x16, 3, 0, 0, 5, 1, 0, 0, 1, 3],
        ),
        raw(
            "a TLS record that is too long",
            DoorKind::TlsKeys,
            vec![0x16, 3, 1, 0xFF, 0xFF, 1],
        ),
        raw(
            "application data before the handshake",
            DoorKind::TlsKeys,
            vec![0x17, 3, 3, 0, 1, 0],
        ),
    ]
}

/// A ClientHello of TLS 1.2: no supported_versions, RSA and ECDHE suites of that version.
fn client_hello_12() -> Vec<u8> {
    let extensions = [&[0, 10, 0, 4, 0, 2, 0, 23][..], &[0, 13, 0, 4, 0, 2, 4, 3]].concat();
    let suites = [0xC0, 0x2B, 0xC0, 0x2F, 0x00, 0x9C];
    let mut body = [
        &[3, 3][..],
        &[7; 32],
        &[0, 0, suites.len() as u8],
        &suites,
        &[1, 0],
    ]
    .concat();
    body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    body.extend_from_slice(&extensions);
    let handshake = [&[1, 0, 0, body.len() as u8][..], &body].concat();
    let length = (handshake.len() as u16).to_be_bytes();
    [&[0x16, 3, 1][..], &length, &handshake].concat()
}

fn attempts() -> Vec<Attempt> {
    let mut all = transports();
    for door in [
        DoorKind::Keys,
        DoorKind::TlsKeys,
        DoorKind::Mutual,
        DoorKind::MutualKeys,
    ] {
        for (name, say) in words(door) {
            // With a certificate of the client's own and no keys, a right AUTH has no MAC.
            let is_good_there = door == DoorKind::Mutual && name == "two AUTHs at once";
            if is_good_there {
                continue;
            }
            all.push(Attempt {
                name: name.to_owned(),
                door,
                try_it: Box::new(move |scene, opened| {
                    let mut channel = scene.connect(opened, door)?;
                    let hello = hear_hello(&mut channel)?;
                    let exporter = exporter_of(&channel);
                    send(&mut channel, &mut say(&hello, &exporter))?;
                    Ok(Some(channel))
                }),
            });
        }
    }
    for (name, door, own) in certificates() {
        all.push(Attempt {
            name: format!("certificate {name}"),
            door,
            try_it: Box::new(move |scene, opened| {
                let mut channel = scene.tls(opened, own(scene))?;
                let hello = hear_hello(&mut channel)?;
                let exporter = exporter_of(&channel);
                let key = key(1);
                let key = (door == DoorKind::MutualKeys).then_some(&key);
                send(&mut channel, &mut auth("alpha", key, &hello, &exporter))?;
                Ok(Some(channel))
            }),
        });
    }
    all
}

/// S05, X5, X8, X9.
#[test]
fn nobody_gets_in_without_the_right() {
    let scene = Scene::new();
    let attempts = attempts();
    assert!(attempts.len() >= 60, "{} attempts", attempts.len());
    let kinds = [
        DoorKind::Keys,
        DoorKind::TlsKeys,
        DoorKind::Mutual,
        DoorKind::MutualKeys,
    ];
    for kind in kinds {
        let door = scene.open(kind);
        for attempt in attempts.iter().filter(|attempt| attempt.door == kind) {
            let heard = match (attempt.try_it)(&scene, &door) {
                Ok(Some(mut channel)) => hear(&mut channel),
                Ok(None) | Err(_) => Vec::new(),
            };
            let what = format!("{kind:?}: {}", attempt.name);
            let verdict = door.verdict_on(&what);
            let reason = verdict.expect_err(&what);
            assert!(
                reason.len() > 5,
                "{what}: {reason:?} is no sentence for an audit"
            );
            assert!(!reason.contains(&key_hex(1)[2..10]), "{what}: {reason}");
            for (found, _) in &heard {
                assert!(
                    [kind::HELLO, kind::ERR].contains(found),
                    "{what}: was sent frame {found}"
                );
            }
        }
    }
    println!("{} attempts", attempts.len());
}

/// The doors do open: the same tools with the right proof get in. Without this the table above could
/// pass because nothing works.
#[test]
fn the_right_proof_gets_in() {
    let scene = Scene::new();
    for (kind, seed) in [
        (DoorKind::Keys, Some(1)),
        (DoorKind::Keys, Some(2)),
        (DoorKind::TlsKeys, Some(1)),
        (DoorKind::TlsKeys, Some(2)),
        (DoorKind::Mutual, None),
        (DoorKind::MutualKeys, Some(1)),
    ] {
        let door = scene.open(kind);
        let mut channel = scene.connect(&door, kind).expect("connects");
        let hello = hear_hello(&mut channel).expect("HELLO");
        let exporter = exporter_of(&channel);
        let key = seed.map(key);
        send(
            &mut channel,
            &mut auth("alpha", key.as_ref(), &hello, &exporter),
        )
        .expect("sends");
        let heard: Vec<u8> = hear(&mut channel)
            .into_iter()
            .map(|(kind, _)| kind)
            .collect();
        assert_eq!(door.verdict().as_deref(), Ok("alpha"), "{kind:?}");
        assert_eq!(heard, [kind::AUTH_OK, INSIDE], "{kind:?}");
    }
}

/// After a rotation the old key is refused, and who is inside stays.
#[test]
fn an_old_key_is_refused_after_the_rotation() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("keys");
    let write = |text: String| super::secrets::write_secret(&path, &text);
    write(format!("alpha {}\n", key_hex(1)));
    let file = crate::export::keys::KeyFile::open(&path).expect("opens");
    let knock = |seed: u8| {
        let rules = Rules {
            tls: None,
            keys: Some(file.keys()),
            revoked: Vec::new(),
        };
        let door = Door::open(rules);
        let mut channel = Channel::tcp(TcpStream::connect(door.address).expect("connects"));
        let channel = channel.as_mut().expect("a channel");
        let hello = hear_hello(channel).expect("HELLO");
        send(channel, &mut auth("alpha", Some(&key(seed)), &hello, &[])).expect("sends");
        door.verdict().is_ok()
    };
    assert_eq!([knock(1), knock(2)], [true, false]);
    write(format!("alpha {} {}\n", key_hex(2), key_hex(1)));
    file.reload().expect("reloads");
    assert_eq!([knock(1), knock(2)], [true, true]);
    write(format!("alpha {}\n", key_hex(2)));
    file.reload().expect("reloads");
    assert_eq!([knock(1), knock(2)], [false, true]);
    // A file that cannot be used changes nothing.
    write("alpha\n".to_owned());
    file.reload().expect_err("refused");
    assert_eq!([knock(1), knock(2)], [false, true]);
    assert!(Path::new(&path).exists());
}
