use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const SESSION: Session = Session(*b"DEMO01    ");

fn one(bytes: &[u8]) -> Frame<'_> {
    let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    assert_eq!(bytes.len(), LENGTH_LEN + length);
    Frame {
        kind: bytes[2],
        payload: &bytes[3..],
    }
}

fn login() -> Login {
    Login {
        username: "tick".parse().unwrap(),
        password: "Secret1".parse().unwrap(),
        session: Some(SESSION),
        sequence: 1_234,
    }
}

/// Proves the bytes of every packet with fields against the specification's tables.
#[test]
fn golden_bytes() {
    let bytes = login().encode();
    assert_eq!(
        bytes.as_slice(),
        b"\0\x2fLtick  Secret1       DEMO01                1234"
    );
    assert_eq!(
        ClientPacket::parse(one(&bytes)),
        Ok(ClientPacket::Login(login()))
    );
    let blank = Login {
        session: None,
        sequence: 0,
        ..login()
    };
    let bytes = blank.encode();
    assert_eq!(
        bytes.as_slice(),
        b"\0\x2fLtick  Secret1                                0"
    );
    assert_eq!(
        ClientPacket::parse(one(&bytes)),
        Ok(ClientPacket::Login(blank))
    );
    let bytes = accepted(SESSION, u64::MAX);
    assert_eq!(bytes.as_slice(), b"\0\x1fA    DEMO0118446744073709551615");
    let expected = ServerPacket::Accepted {
        session: SESSION,
        sequence: u64::MAX,
    };
    assert_eq!(ServerPacket::parse(one(&bytes)), Ok(expected));
    assert_eq!(rejected(RejectReason::NotAuthorised), *b"\0\x02JA");
    assert_eq!(rejected(RejectReason::SessionNotAvailable), *b"\0\x02JS");
    let control = [SERVER_HEARTBEAT, END_OF_SESSION, CLIENT_HEARTBEAT, LOGOUT];
    assert_eq!(control.concat(), b"\0\x01H\0\x01Z\0\x01R\0\x01O");
    let mut out = Vec::new();
    push_sequenced(&mut out, b"ab").unwrap();
    push_unsequenced(&mut out, b"").unwrap();
    push_debug(&mut out, b"x").unwrap();
    assert_eq!(out, b"\0\x03Sab\0\x01U\0\x02+x");
}

/// Proves that each broken rule has its reason.
#[test]
fn broken_packets_name_the_rule() {
    let server = |kind, payload: &[u8]| ServerPacket::parse(Frame { kind, payload }).unwrap_err();
    let client = |kind, payload: &[u8]| ClientPacket::parse(Frame { kind, payload }).unwrap_err();
    assert_eq!(server(b'A', &[b' '; 29]).reason(), "wrong_length");
    assert_eq!(server(b'A', &[b' '; 30]).reason(), "bad_number");
    assert_eq!(
        server(b'A', b"    DEMO0118446744073709551616").reason(),
        "bad_number"
    );
    assert_eq!(
        server(b'A', b"    DEMO01                  -1").reason(),
        "bad_number"
    );
    assert_eq!(server(b'J', b"X").reason(), "unknown_reason");
    assert_eq!(server(b'H', b"1").reason(), "wrong_length");
    assert_eq!(server(b'L', b"").reason(), "unknown_type");
    assert_eq!(client(b'A', b"").reason(), "unknown_type");
    assert_eq!(client(b'L', b"").reason(), "wrong_length");
    let mut decoder = Decoder::new(10);
    decoder.push(&[0, 0]);
    assert_eq!(decoder.next().unwrap_err().reason(), "empty");
    let mut decoder = Decoder::new(10);
    decoder.push(&[0, 11, b'S']);
    let error = decoder.next().unwrap_err();
    assert_eq!(error.reason(), "too_long");
    assert_eq!(decoder.next(), Err(error));
    let too_long = push_sequenced(&mut Vec::new(), &vec![0; MAX_PACKET_LEN]).unwrap_err();
    assert!(too_long.to_string().contains("at most 65534"));
}

/// Proves that credentials compare without regard to case, and that a password shows itself
/// nowhere.
#[test]
fn credentials_keep_to_themselves() {
    let same: Login = Login {
        username: "TICK".parse().unwrap(),
        password: "sECRET1".parse().unwrap(),
        ..login()
    };
    assert_eq!(same, login());
    assert_ne!("secret2".parse(), Ok(login().password));
    let shown = format!("{:?}", login());
    assert!(!shown.to_lowercase().contains("secret"), "{shown}");
    let error = "secret-that-is-too-long".parse::<Password>().unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
    assert!("seven77".parse::<Username>().is_err());
}

/// Proves that padding on either side does not make another session.
#[test]
fn padding_makes_no_session() {
    assert!(same_session(SESSION, Session(*b"    DEMO01")));
    assert!(!same_session(SESSION, Session(*b"    DEMO02")));
}

proptest! {
    /// Proves that packets come out of the decoder as they went in, whatever the chunks.
    #[test]
    fn chunks_do_not_matter(
        payloads in vec(vec(any::<u8>(), 0..40), 0..20),
        chunks in vec(1usize..50, 1..40),
    ) {
        let mut stream = Vec::new();
        for payload in &payloads {
            push_sequenced(&mut stream, payload).unwrap();
        }
        let mut decoder = Decoder::new(41);
        let mut sizes = chunks.iter().cycle();
        let mut received = Vec::new();
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let (mut chunk, behind) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            rest = behind;
            while !chunk.is_empty() {
                let taken = decoder.push(chunk);
                prop_assert!(taken > 0);
                chunk = &chunk[taken..];
                while let Some(frame) = decoder.next().unwrap() {
                    prop_assert_eq!(frame.kind, kind::SEQUENCED);
                    received.push(frame.payload.to_vec());
                }
            }
        }
        prop_assert!(!decoder.is_inside_packet());
        prop_assert_eq!(received, payloads);
    }

    /// Proves that no bytes make a decoder or a parser panic, and that progress is always made.
    #[test]
    fn any_bytes_are_judged(bytes in vec(any::<u8>(), 0..400), limit in 1usize..60) {
        let mut decoder = Decoder::new(limit);
        let mut rest = &bytes[..];
        'stream: while !rest.is_empty() {
            let taken = decoder.push(rest);
            prop_assert!(taken > 0);
            rest = &rest[taken..];
            loop {
                match decoder.next() {
                    Ok(Some(frame)) => {
                        let _ = (ServerPacket::parse(frame), ClientPacket::parse(frame));
                    }
                    Ok(None) => break,
                    Err(error) => {
                        prop_assert!(!error.reason().is_empty());
                        break 'stream;
                    }
                }
            }
        }
    }

    /// Proves that logins and acceptances come back, for any number.
    #[test]
    fn numbers_come_back(sequence in any::<u64>()) {
        let wanted = Login { sequence, ..login() };
        let bytes = wanted.encode();
        prop_assert_eq!(ClientPacket::parse(one(&bytes)), Ok(ClientPacket::Login(wanted)));
        let bytes = accepted(SESSION, sequence);
        let expected = ServerPacket::Accepted { session: SESSION, sequence };
        prop_assert_eq!(ServerPacket::parse(one(&bytes)), Ok(expected));
    }
}
