//! Who is believed: what a subscriber says before, and only after, the provider proved itself.

use tickdeck_export::auth::Transcript;
use tickdeck_export::authenticator::Method;
use tickdeck_export::message::{AuthOk, Hello, Message, kind, without_mac};
use tickdeck_export::subscriber::{End, Event, Session, Settings};

use crate::provider::{auth_ok, events, hello, id, key, said, say, settings};

fn with_key() -> Settings {
    Settings {
        key: Some(key(1)),
        ..settings()
    }
}

fn session(settings: &Settings, is_verified: bool) -> Session {
    Session::new(settings.clone(), None, b"exporter", is_verified, [5; 32], 0)
}

fn denied(session: &mut Session) -> bool {
    matches!(events(session)[..], [Event::Ended(End::Denied(_))])
}

/// The provider's proof for a session that just sent its AUTH.
pub(crate) fn proof(
    session: &mut Session,
    seed: u8,
    exporter: &[u8],
    number: u64,
) -> Message<'static> {
    let auth = said(session).auth.expect("AUTH");
    let payload = Message::Auth(auth).payload();
    let hello = Message::Hello(hello(Method::Hmac)).payload();
    let signed = without_mac(&payload).expect("a MAC");
    let said = Transcript {
        hello: &hello,
        auth: signed,
        exporter,
    };
    let mac = said.server_mac(&key(seed), number).to_bytes();
    let identity = Some(id("desk-1"));
    Message::AuthOk(AuthOk {
        session: 1,
        identity,
        mac,
    })
}

/// The MAC is over HELLO, AUTH and the exporter value, and SUBSCRIBE follows the right answer only.
#[test]
fn both_sides_are_proved() {
    for (seed, exporter, number, is_good) in [
        (1, &b"exporter"[..], 1, true),
        (2, b"exporter", 1, false),
        (1, b"another", 1, false),
        (1, b"", 1, false),
        (1, b"exporter", 2, false),
    ] {
        let mut session = session(&with_key(), false);
        say(&mut session, &Message::Hello(hello(Method::Hmac)), 0);
        let answer = proof(&mut session, seed, exporter, number);
        say(&mut session, &answer, 0);
        if is_good {
            assert_eq!(said(&mut session).kinds, [(kind::SUBSCRIBE, 0)]);
        } else {
            assert_eq!(said(&mut session).kinds, [], "{seed} {exporter:?} {number}");
            assert!(denied(&mut session));
        }
    }
}

/// A reflected MAC (ours sent back) and no MAC prove nothing.
#[test]
fn a_reflected_mac_proves_nothing() {
    for reflects in [true, false] {
        let mut session = session(&with_key(), false);
        say(&mut session, &Message::Hello(hello(Method::Hmac)), 0);
        let own = said(&mut session).auth.expect("AUTH").mac;
        let mac = if reflects { own } else { [0; 32] };
        let identity = Some(id("desk-1"));
        say(
            &mut session,
            &Message::AuthOk(AuthOk {
                session: 1,
                identity,
                mac,
            }),
            0,
        );
        assert!(denied(&mut session));
    }
}

/// A provider that asks for less proof than we can give is left before AUTH: nobody may talk us down.
#[test]
fn downgrades_are_refused_before_auth() {
    let cases = [
        (with_key(), true, Method::Transport),
        (settings(), false, Method::Transport),
        (settings(), true, Method::Hmac),
        (
            Settings {
                client: None,
                ..with_key()
            },
            true,
            Method::Hmac,
        ),
    ];
    for (settings, is_verified, method) in cases {
        let mut session = session(&settings, is_verified);
        say(&mut session, &Message::Hello(hello(method)), 0);
        assert!(denied(&mut session));
        assert_eq!(said(&mut session).kinds, []);
        say(&mut session, &auth_ok(), 0);
        assert_eq!(said(&mut session).kinds, []);
    }
    for (oldest_version, newest_version) in [(2, 9), (2, 2)] {
        let mut session = session(&settings(), true);
        let hello = Hello {
            oldest_version,
            newest_version,
            ..hello(Method::Transport)
        };
        say(&mut session, &Message::Hello(hello), 0);
        assert!(denied(&mut session));
    }
}

/// The key is in no byte that is sent, and in no printed form.
#[test]
fn the_key_goes_nowhere() {
    let mut session = session(&with_key(), false);
    say(&mut session, &Message::Hello(hello(Method::Hmac)), 0);
    let sent = session.output().clone();
    assert!(!sent.windows(8).any(|bytes| bytes == [1; 8]));
    let shown = format!("{session:?} {:?}", with_key());
    assert!(!shown.contains("1, 1, 1, 1"), "{shown}");
    assert!(shown.contains("redacted"));
}
