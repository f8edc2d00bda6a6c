//! Proofs, keys and the key file's text.

use std::collections::HashSet;

use super::{BadKey, ClientId, Key, Keyring, KeyringError, Mac, Transcript, Verdict};

const HELLO: &[u8] = b"hello payload with nonce_s";
const AUTH: &[u8] = b"auth payload with client id and nonce_c";
const SAID: Transcript<'_> = Transcript {
    hello: HELLO,
    auth: AUTH,
    exporter: b"exporter value",
};

fn key(seed: u8) -> Key {
    let mut bytes = [seed; Key::LEN];
    bytes[0] = seed.wrapping_add(1);
    Key::new(bytes)
}

fn hex(seed: u8) -> String {
    let key = key(seed);
    key.expose()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn ring(text: &str) -> Result<Keyring, KeyringError> {
    Keyring::parse(text, key(250))
}

/// The MAC is that of RFC 2104 over the documented bytes: computed here with another implementation
/// (Python's `hmac`).
#[test]
fn mac_is_what_the_documentation_says() {
    let said = Transcript {
        hello: b"abc",
        auth: b"de",
        exporter: b"",
    };
    let hex = |mac: Mac| -> String {
        let bytes = mac.to_bytes();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let key = Key::new(std::array::from_fn(|index| index as u8));
    assert_eq!(
        hex(said.client_mac(&key)),
        "d5ddfa9c5316b0dad8f6e522133c26e15061426f9d47620709ae732e6c3bbd40"
    );
    assert_eq!(
        hex(said.server_mac(&key, 7)),
        "b64010d1e597f59fb5c67c592c338b24e6558eb6593fbd6757e914633a64a6b3"
    );
}

/// Moving one byte between fields, changing any field, the key, the direction or the session gives
/// another MAC.
#[test]
fn every_field_is_bound() {
    let others = [
        Transcript {
            hello: b"hello payload with nonce_",
            auth: b"sauth payload with client id and nonce_c",
            ..SAID
        },
        Transcript {
            hello: b"Hello payload with nonce_s",
            ..SAID
        },
        Transcript {
            auth: b"auth payload with client iD and nonce_c",
            ..SAID
        },
        Transcript { auth: b"", ..SAID },
        Transcript {
            exporter: b"another session",
            ..SAID
        },
        Transcript {
            exporter: b"",
            ..SAID
        },
        SAID,
    ];
    let mut macs = HashSet::new();
    for said in &others {
        assert!(macs.insert(said.client_mac(&key(1)).to_bytes()));
        assert!(macs.insert(said.server_mac(&key(1), 1).to_bytes()));
    }
    assert!(macs.insert(SAID.client_mac(&key(2)).to_bytes()));
    assert!(macs.insert(SAID.server_mac(&key(1), 2).to_bytes()));
    // Reflected: the client's own MAC is not the provider's.
    assert!(
        !SAID
            .client_mac(&key(1))
            .matches(&SAID.server_mac(&key(1), 0))
    );
}

/// Every single-bit change of a MAC is seen.
#[test]
fn a_changed_mac_does_not_match() {
    let mac = SAID.client_mac(&key(1));
    assert!(mac.matches(&SAID.client_mac(&key(1))));
    for bit in 0..8 * Mac::LEN {
        let mut bytes = mac.to_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(!mac.matches(&Mac::new(bytes)), "bit {bit}");
    }
}

/// Both keys of a client are good, nobody else's are, and the key that was used is told.
#[test]
fn current_and_previous_are_accepted() {
    let text = format!("# keys\n\nalpha {} {}\nbeta\t{}\n", hex(1), hex(2), hex(3));
    let ring = ring(&text).expect("a good text");
    let verdict = |client: &str, seed| {
        let client = client.parse().expect("a client id");
        ring.verify(&client, &SAID, &SAID.client_mac(&key(seed)))
    };
    assert!(matches!(verdict("alpha", 1), Verdict::Proved(k) if k.expose() == key(1).expose()));
    assert!(matches!(verdict("alpha", 2), Verdict::Proved(k) if k.expose() == key(2).expose()));
    assert!(matches!(verdict("beta", 3), Verdict::Proved(_)));
    assert!(matches!(verdict("alpha", 3), Verdict::WrongMac));
    assert!(matches!(verdict("beta", 1), Verdict::WrongMac));
    // Not even what an unknown client is compared with.
    assert!(matches!(verdict("beta", 250), Verdict::WrongMac));
    assert!(matches!(verdict("gamma", 250), Verdict::Unknown));
}

/// A bad key file is refused with its line, and never shows what was written there.
#[test]
fn bad_texts_name_their_line() {
    let good = hex(1);
    let cases = [
        ("".to_owned(), KeyringError::Empty),
        ("# nothing".to_owned(), KeyringError::Empty),
        (
            "alpha".to_owned(),
            KeyringError::Words { line: 1, words: 1 },
        ),
        (
            format!("alpha {good} {good} x"),
            KeyringError::Words { line: 1, words: 4 },
        ),
        (
            format!("\n.hidden {good}"),
            KeyringError::Client { line: 2 },
        ),
        (format!("a/b {good}"), KeyringError::Client { line: 1 }),
        (
            format!("{} {good}", "x".repeat(65)),
            KeyringError::Client { line: 1 },
        ),
        (format!("@book {good}"), KeyringError::Client { line: 1 }),
    ];
    for (text, wanted) in cases {
        assert_eq!(ring(&text).expect_err("bad"), wanted);
    }
    let error = ring(&format!("alpha {good}\nalpha {good}")).expect_err("twice");
    assert!(matches!(error, KeyringError::Twice { line: 2, .. }));
    for (text, wanted) in [
        (good[1..].to_owned(), BadKey::Length(63)),
        (format!("{good}0"), BadKey::Length(65)),
        (format!("{}g", &good[1..]), BadKey::Digit(64)),
        (format!("{}é", &good[2..]), BadKey::Digit(63)),
        ("00".repeat(32), BadKey::Placeholder),
    ] {
        for line in [format!("alpha {text}"), format!("alpha {good} {text}")] {
            let error = ring(&line).expect_err("a bad key");
            let shown = format!("{error} {error:?}");
            assert!(
                matches!(error, KeyringError::Key { problem, .. } if problem == wanted),
                "{shown}"
            );
            assert!(!shown.contains(&text[..8]), "{shown}");
        }
    }
}

/// S07: no printed form of anything that holds a key shows a part of it.
#[test]
fn secrets_print_as_nothing() {
    let ring = ring(&format!("alpha {} {}", hex(1), hex(2))).expect("a good text");
    let mac = SAID.client_mac(&key(1));
    let verdict = ring.verify(&"alpha".parse().expect("a client id"), &SAID, &mac);
    for shown in [
        format!("{:?}", key(1)),
        format!("{ring:#?}"),
        format!("{verdict:?}"),
        format!("{mac:?}"),
    ] {
        for secret in [
            "2, 1, 1",
            "0201",
            "3, 2, 2",
            "0302",
            &format!("{:?}", &mac.to_bytes()[..3])[1..6],
        ] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("redacted"), "{shown}");
    }
}

/// Client ids name files: nothing that is a path is one.
#[test]
fn client_ids_are_no_paths() {
    for good in ["a", "desk-7.eu_west", "A", &"x".repeat(64)] {
        assert_eq!(good.parse::<ClientId>().expect("good").as_str(), good);
    }
    for bad in [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a b",
        "a\n",
        "a\0",
        "@book",
        "é",
        &"x".repeat(65),
    ] {
        assert!(bad.parse::<ClientId>().is_err(), "{bad:?}");
    }
}
