//! S05: everything that was thought of to get in without the right. One table; nobody may be let in,
//! nothing but HELLO and ERR may be sent to them, and each leaves a sentence for the audit.

use std::io::{self, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tickdeck_export::message::{Message, kind};

use super::authority::{Authority, DAY_S, Leaf, NOW_S, Purpose, SetClock, leaf, self_signed};
use super::door::{
    Door, INSIDE, Rules, handshake, hear, hear_hello, hello, key, key_hex, keyring, send,
};
use super::words::{auth, words};
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
    try_it: Try,
}

type Try = Box<dyn Fn(&Scene, &Door) -> io::Result<Option<Channel>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum DoorKind {
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
    all.push(Attempt {
        name: "a good certificate, and no name in AUTH".to_owned(),
        door: DoorKind::Mutual,
        try_it: Box::new(|scene, opened| {
            let mut channel = scene.connect(opened, DoorKind::Mutual)?;
            let hello = hear_hello(&mut channel)?;
            let exporter = exporter_of(&channel);
            send(&mut channel, &mut auth("", None, &hello, &exporter))?;
            Ok(Some(channel))
        }),
    });
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
