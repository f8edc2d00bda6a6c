//! S08, X7: who dials verifies whom it reached before it says a word of the protocol.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::ServerName;

use super::authority::{Authority, Leaf, NOW_S, Purpose, SetClock, leaf, self_signed};
use super::door::{handshake, send};
use crate::export::channel::Channel;
use crate::export::tls::{OwnFiles, TlsAcceptor, TlsDialer};

/// Dials a server with this certificate as `collector.example`; gives what the dialler thinks of it,
/// and what of the protocol the server was sent.
fn dial(server: OwnFiles, ca: &Authority, clock: &Arc<SetClock>) -> (io::Result<()>, Vec<u8>) {
    let acceptor = TlsAcceptor::open(server, None, clock.clone()).expect("opens");
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("an address");
    // An evil collector's own clock suits its certificate.
    let collector = thread::spawn(move || {
        let (socket, _) = listener.accept().expect("accepts");
        let Ok(session) = acceptor.accept() else {
            return Vec::new();
        };
        let mut channel = Channel::tls(socket, session).expect("a channel");
        let mut heard = Vec::new();
        if handshake(&mut channel).is_ok() {
            let mut chunk = [0; 1_024];
            while let Ok(length @ 1..) = super::door::receive(&mut channel, &mut chunk) {
                heard.extend_from_slice(&chunk[..length]);
            }
        }
        heard
    });
    let dialer = TlsDialer::open(ca.ca(), None, clock.clone()).expect("opens");
    let name = ServerName::try_from("collector.example").expect("a name");
    let session = dialer.dial(name).expect("a session");
    let mut channel =
        Channel::tls(TcpStream::connect(address).expect("connects"), session).expect("a channel");
    // As the exporter does: the secret is ready, and given to the channel as soon as it takes it.
    let early = channel.write(b"SECRET");
    assert_eq!(
        early
            .expect_err("nothing goes out before the handshake")
            .kind(),
        io::ErrorKind::WouldBlock
    );
    let outcome = handshake(&mut channel).and_then(|_| {
        send(&mut channel, &mut b"SECRET".to_vec())?;
        channel.close_write()
    });
    drop(channel);
    (outcome, collector.join().expect("joins"))
}

#[test]
fn nothing_is_said_to_an_evil_collector() {
    let dir = tempfile::tempdir().expect("a directory");
    let (good, evil) = (
        Authority::new(dir.path(), "good"),
        Authority::new(dir.path(), "evil"),
    );
    let clock = SetClock::at(NOW_S);
    let honest = leaf(&["collector.example"], Purpose::Server);
    let cases = [
        ("self-signed", self_signed(dir.path(), "self", &honest)),
        ("another authority", evil.issue("foreign", &honest)),
        (
            "another name",
            good.issue("name", &leaf(&["other.example"], Purpose::Server)),
        ),
        (
            "a name below",
            good.issue("below", &leaf(&["a.collector.example"], Purpose::Server)),
        ),
        (
            "for clients",
            good.issue("eku", &leaf(&["collector.example"], Purpose::Client)),
        ),
        (
            "no name",
            good.issue("nameless", &leaf(&[], Purpose::Server)),
        ),
    ];
    for (what, server) in cases {
        let (outcome, heard) = dial(server, &good, &clock);
        outcome.expect_err(what);
        assert_eq!(heard, b"", "{what}");
    }
    let (outcome, heard) = dial(good.issue("honest", &honest), &good, &clock);
    outcome.expect("the honest one is believed");
    assert_eq!(heard, b"SECRET");
}

/// A collector whose certificate has run out, at a clock that says so for the dialler only.
#[test]
fn an_expired_collector_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let good = Authority::new(dir.path(), "good");
    let expired = Leaf {
        to: (2030, 6),
        ..leaf(&["collector.example"], Purpose::Server)
    };
    let server = good.issue("expired", &expired);
    let (past, now) = (SetClock::at(NOW_S - 30 * 86_400), SetClock::at(NOW_S));
    let acceptor = TlsAcceptor::open(server, None, past).expect("opens");
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("an address");
    let collector = thread::spawn(move || {
        let (socket, _) = listener.accept().expect("accepts");
        let session = acceptor.accept().expect("valid by its own clock");
        let mut channel = Channel::tls(socket, session).expect("a channel");
        handshake(&mut channel).is_ok()
    });
    let dialer = TlsDialer::open(good.ca(), None, now).expect("opens");
    let name = ServerName::try_from("collector.example").expect("a name");
    let socket = TcpStream::connect(address).expect("connects");
    let mut channel =
        Channel::tls(socket, dialer.dial(name).expect("a session")).expect("a channel");
    let error = handshake(&mut channel).expect_err("refused");
    assert!(error.to_string().contains("xpired"), "{error}");
    drop(channel);
    assert!(!collector.join().expect("joins"));
}
