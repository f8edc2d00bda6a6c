//! S09, D31: the life of a certificate, at a clock that is set.

use std::fs;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;

use super::authority::{Authority, DAY_S, Leaf, NOW_S, Purpose, SetClock, leaf};
use super::door::{Door, Rules, handshake, hear_hello, key_hex, keyring, receive, send};
use crate::export::channel::Channel;
use crate::export::tls::expiry::ExpiryWarning;
use crate::export::tls::{ExpiryWatch, TlsAcceptor, TlsDialer, TlsError};

/// A session that was begun goes on over a reload and an expiry; a new one is begun with the new
/// certificate, and none with one that expired. There is no way to go on without.
#[test]
fn a_reload_drops_nobody_and_expiry_refuses_the_next() {
    let dir = tempfile::tempdir().expect("a directory");
    let good = Authority::new(dir.path(), "good");
    let clock = SetClock::at(NOW_S);
    let june = Leaf {
        to: (2030, 7),
        ..leaf(&["localhost"], Purpose::Server)
    };
    let files = good.issue("server", &june);
    let acceptor = Arc::new(TlsAcceptor::open(files, None, clock.clone()).expect("opens"));
    let dialer = TlsDialer::open(good.ca(), None, clock.clone()).expect("opens");
    let connect = || {
        let rules = Rules {
            tls: Some(Arc::clone(&acceptor)),
            keys: Some(keyring(&format!("alpha {}", key_hex(1)))),
            revoked: Vec::new(),
        };
        let door = Door::open(rules);
        let name = ServerName::try_from("localhost").expect("a name");
        let socket = TcpStream::connect(door.address).expect("connects");
        let mut channel =
            Channel::tls(socket, dialer.dial(name).expect("a session")).expect("a channel");
        let begun = handshake(&mut channel).map(|_| channel);
        (door, begun)
    };
    let (first_door, first) = connect();
    let mut first = first.expect("a session");
    hear_hello(&mut first).expect("HELLO");

    // It expires: the next one is refused, with a sentence that says what to do.
    clock.set(NOW_S + 20 * DAY_S);
    assert!(acceptor.expires_s() < 0);
    let error = acceptor.accept().expect_err("expired");
    assert!(matches!(error, TlsError::NotValid { .. }), "{error}");
    assert!(error.to_string().contains("reload"), "{error}");
    let (second_door, second) = connect();
    second.expect_err("refused");
    assert!(
        second_door
            .verdict()
            .expect_err("refused")
            .contains("expired")
    );

    // A file that cannot be used heals nothing and breaks nothing; a good one heals.
    let cert = dir.path().join("server.pem");
    fs::write(&cert, "nonsense").expect("writes");
    acceptor.reload().expect_err("no certificate in it");
    acceptor.accept().expect_err("still the old one");
    good.issue("server", &leaf(&["localhost"], Purpose::Server));
    acceptor.reload().expect("reloads");
    assert!(acceptor.expires_s() > 150 * DAY_S as i64);
    let (_third_door, third) = connect();
    hear_hello(&mut third.expect("a session")).expect("HELLO");

    // And the first one is still there.
    send(&mut first, &mut vec![0xFF; 600]).expect("sends");
    let mut answer = [0; 64];
    assert!(receive(&mut first, &mut answer).expect("an answer") > 20);
    first_door.verdict().expect_err("600 bytes of nothing");
}

/// A certificate of the future begins nothing either, in both roles.
#[test]
fn not_yet_valid_begins_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let good = Authority::new(dir.path(), "good");
    let clock = SetClock::at(NOW_S);
    let july = Leaf {
        from: (2030, 7),
        ..leaf(&["localhost"], Purpose::Client)
    };
    let files = good.issue("early", &july);
    let acceptor = TlsAcceptor::open(files.clone(), None, clock.clone()).expect("opens");
    let error = acceptor.accept().expect_err("early");
    assert!(error.to_string().contains("not valid before"), "{error}");
    let dialer = TlsDialer::open(good.ca(), Some(files), clock.clone()).expect("opens");
    let name = || ServerName::try_from("localhost").expect("a name");
    dialer.dial(name()).expect_err("early");
    clock.set(NOW_S + 30 * DAY_S);
    acceptor.accept().expect("valid now");
    dialer.dial(name()).expect("valid now");
}

/// Warnings come once each: 30, 7 and 1 days before, and when it has expired. Another certificate
/// begins anew.
#[test]
fn warnings_come_once_each() {
    let day = DAY_S as i64;
    let mut watch = ExpiryWatch::default();
    let within = |days| Some(ExpiryWarning::Within { days });
    for (expires_s, wanted) in [
        (31 * day, None),
        (30 * day + 1, None),
        (30 * day, within(30)),
        (29 * day, None),
        (7 * day + 1, None),
        (7 * day, within(7)),
        (day + 1, None),
        (day, within(1)),
        (0, None),
        (-1, Some(ExpiryWarning::Expired)),
        (-day, None),
        (90 * day, None),
        (3 * day, within(7)),
        (365 * day, None),
        (3 * day, within(7)),
    ] {
        assert_eq!(watch.look(expires_s), wanted, "{expires_s} s left");
    }
}
