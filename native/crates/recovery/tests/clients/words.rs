//! What a client says when, word by word, where a model server would not make the case.

use tickdeck_recovery::Fault;
use tickdeck_recovery::client::{Action, Content, Delivery};
use tickdeck_recovery::replay::{Packets, ReplayClient, ReplayConfig};
use tickdeck_recovery::soup::{SoupClient, SoupConfig, Wanted, itch50_message};
use tickdeck_wire::cme;
use tickdeck_wire::eobi::Release;
use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::replay::{Frame, Request};
use tickdeck_wire::soupbintcp::{
    CLIENT_HEARTBEAT, END_OF_SESSION, LOGOUT, SERVER_HEARTBEAT, accepted, push_sequenced,
};

const SECOND: u64 = 1_000_000_000;
const SESSION: Session = Session(*b"DEMO01    ");

fn actions(client: &mut SoupClient, now_ns: u64) -> Vec<Action> {
    std::iter::from_fn(|| client.poll(now_ns)).collect()
}

/// A client that was accepted for an endless stream at number 7, and its config.
fn streaming(config: SoupConfig) -> SoupClient {
    let mut client = SoupClient::new(config);
    let wanted = Wanted {
        session: None,
        first_sequence: 7,
        count: None,
    };
    client.ask(wanted, 0);
    assert_eq!(actions(&mut client, 0), [Action::Connect]);
    client.on_connected(0);
    assert!(matches!(&actions(&mut client, 0)[..], [Action::Send(login)] if login[2] == b'L'));
    client.on_bytes(&accepted(SESSION, 7), 0);
    client
}

/// Proves that an endless stream sends a heartbeat each second, lives as long as the server sends
/// them, and is resumed in the same session at the next number when the server falls silent.
#[test]
fn heartbeats_keep_a_stream_alive() {
    let mut client = streaming(SoupConfig::default());
    for second in 1..60 {
        assert_eq!(client.next_deadline_ns(), Some(second * SECOND));
        assert_eq!(actions(&mut client, second * SECOND - 1), []);
        let heartbeat = [Action::Send(CLIENT_HEARTBEAT.to_vec())];
        assert_eq!(actions(&mut client, second * SECOND), heartbeat);
        client.on_bytes(&SERVER_HEARTBEAT, second * SECOND);
    }
    let mut message = Vec::new();
    push_sequenced(&mut message, b"seven").unwrap();
    client.on_bytes(&message, 59 * SECOND);
    let mut said = Vec::new();
    for second in 60..=74 {
        said.extend(actions(&mut client, second * SECOND));
    }
    said.retain(|action| !matches!(action, Action::Send(_)));
    let delivery = Delivery {
        session: SESSION,
        first_sequence: 7,
        content: Content::Blocks {
            count: 1,
            blocks: b"\0\x05seven".to_vec(),
        },
    };
    assert_eq!(said[..2], [Action::Deliver(delivery), Action::Close]);
    let silent = |action: &Action| {
        matches!(
            action,
            Action::Noticed {
                fault: Fault::Silent,
                ..
            }
        )
    };
    assert!(silent(&said[2]) && said.len() == 3, "{said:?}");
    assert_eq!(actions(&mut client, 75 * SECOND), [Action::Connect]);
    client.on_connected(75 * SECOND);
    let [Action::Send(login)] = &actions(&mut client, 75 * SECOND)[..] else {
        panic!("a login");
    };
    assert_eq!(&login[19..], b"    DEMO01                   8");
}

/// Proves that an endless stream ends with the session, and that leaving logs out.
#[test]
fn a_stream_ends_with_its_session_or_by_will() {
    let goodbye = [Action::Send(LOGOUT.to_vec()), Action::Close];
    let mut client = streaming(SoupConfig::default());
    client.on_bytes(&END_OF_SESSION, 1);
    let mut expected = goodbye.to_vec();
    expected.push(Action::Done { next_sequence: 7 });
    assert_eq!(actions(&mut client, 1), expected);
    assert!(client.is_idle() && client.next_deadline_ns().is_none());
    let mut client = streaming(SoupConfig::default());
    client.stop();
    assert_eq!(actions(&mut client, 1), goodbye);
}

/// Proves that a message which is none of the payload's ends the request, and is not delivered.
#[test]
fn what_is_no_itch_is_garbage() {
    let mut client = streaming(SoupConfig {
        check: itch50_message,
        ..SoupConfig::default()
    });
    let mut bytes = Vec::new();
    push_sequenced(&mut bytes, &[b'S'; 12]).unwrap();
    push_sequenced(&mut bytes, &[b'S'; 13]).unwrap();
    client.on_bytes(&bytes, 1);
    let said = actions(&mut client, 1);
    assert!(
        matches!(
            &said[..],
            [
                Action::Deliver(Delivery { first_sequence: 7, content, .. }),
                Action::Close,
                Action::Failed { fault: Fault::Garbage, next_sequence: 8, .. }
            ] if content.count() == 1
        ),
        "{said:?}"
    );
}

/// Proves that a connection which is not made in time, or refused, is tried again a bounded number
/// of times, each time later.
#[test]
fn connecting_is_bounded() {
    let mut client = SoupClient::new(SoupConfig::default());
    let wanted = Wanted {
        session: None,
        first_sequence: 1,
        count: Some(1),
    };
    client.ask(wanted, 0);
    let (mut now_ns, mut connects, mut times) = (0, 0, Vec::new());
    let end = loop {
        match client.poll(now_ns) {
            Some(Action::Connect) => {
                connects += 1;
                times.push(now_ns);
                if connects == 2 {
                    client.on_closed(now_ns);
                }
            }
            Some(Action::Failed { fault, .. }) => break fault,
            Some(_) => {}
            None => now_ns = client.next_deadline_ns().expect("under way"),
        }
    };
    assert_eq!((end, connects), (Fault::Disconnected, 4));
    let ms = times.iter().map(|at_ns| at_ns / 1_000_000);
    assert_eq!(ms.collect::<Vec<_>>(), [0, 1_050, 1_150, 2_300]);
}

/// Proves that a peer's connection serves the next range too, that an answer to nothing is named,
/// and that the connection is closed then.
#[test]
fn a_peer_answers_only_what_was_asked() {
    let mut client = ReplayClient::new(ReplayConfig::default());
    let range = Request {
        session: SESSION,
        first_sequence: 5,
        count: 1,
    };
    let mut answer = Vec::new();
    Frame::Begin(range).encode(&mut answer);
    let messages = Frame::Messages {
        first_sequence: 5,
        count: 1,
        blocks: b"\0\x01x",
    };
    messages.encode(&mut answer);
    Frame::End { next_sequence: 6 }.encode(&mut answer);
    client.ask(range, 0);
    assert_eq!(client.poll(0), Some(Action::Connect));
    client.on_connected(0);
    for _ in 0..2 {
        assert_eq!(client.poll(0), Some(Action::Send(range.encode().to_vec())));
        client.on_bytes(&answer, 0);
        assert!(matches!(client.poll(0), Some(Action::Deliver(_))));
        assert_eq!(client.poll(0), Some(Action::Done { next_sequence: 6 }));
        assert_eq!(client.poll(0), None);
        client.ask(range, 0);
    }
    assert!(matches!(client.poll(0), Some(Action::Send(_))));
    answer.extend_from_slice(&answer.clone());
    client.on_bytes(&answer, 0);
    let said: Vec<_> = std::iter::from_fn(|| client.poll(0)).collect();
    assert!(
        matches!(
            &said[..],
            [
                Action::Deliver(_),
                Action::Done { .. },
                Action::Close,
                Action::Noticed {
                    fault: Fault::NotAsked,
                    ..
                }
            ]
        ),
        "{said:?}"
    );
}

/// Proves that a range is complete with its last message: when the connection breaks before the end
/// of the answer, or the end never comes, nothing is asked for again.
#[test]
fn a_missing_end_misses_nothing() {
    let range = Request {
        session: SESSION,
        first_sequence: 5,
        count: 1,
    };
    let mut answer = Vec::new();
    Frame::Begin(range).encode(&mut answer);
    let messages = Frame::Messages {
        first_sequence: 5,
        count: 1,
        blocks: b"\0\x01x",
    };
    messages.encode(&mut answer);
    for breaks in [true, false] {
        let mut client = ReplayClient::new(ReplayConfig::default());
        client.ask(range, 0);
        client.on_bytes(&answer, 0);
        assert_eq!(client.poll(0), Some(Action::Connect), "nothing came before");
        client.on_connected(0);
        client.on_bytes(&answer, 0);
        assert!(matches!(client.poll(0), Some(Action::Send(_))));
        assert!(matches!(client.poll(0), Some(Action::Deliver(_))));
        assert_eq!(client.poll(0), None);
        if breaks {
            client.on_bytes(&[0, 0, 0], 0);
            client.on_closed(0);
        } else {
            assert_eq!(client.poll(SECOND), Some(Action::Close));
        }
        assert_eq!(client.poll(SECOND), Some(Action::Done { next_sequence: 6 }));
        assert_eq!(
            (client.poll(SECOND), client.next_deadline_ns()),
            (None, None)
        );
    }
}

/// Proves that a source which drips is slow, however long it goes on: fewer than 64 messages within
/// the time are too few, 64 are enough, and so is the rest of a range.
#[test]
fn a_drip_is_slow() {
    const HALF_SECOND: u64 = SECOND / 2;
    for (per_answer, end) in [(63, Err(Fault::Slow)), (64, Ok(201))] {
        let mut client = SoupClient::new(SoupConfig::default());
        let wanted = Wanted {
            session: None,
            first_sequence: 1,
            count: Some(200),
        };
        client.ask(wanted, 0);
        client.on_connected(0);
        client.on_bytes(&accepted(SESSION, 1), 0);
        let mut messages = Vec::new();
        for _ in 0..per_answer {
            push_sequenced(&mut messages, b"drip").unwrap();
        }
        let mut said = None;
        for answer in 1..=4 {
            client.on_bytes(&messages, answer * (HALF_SECOND - 1));
            for action in actions(&mut client, answer * HALF_SECOND) {
                match action {
                    Action::Done { next_sequence } => said = Some(Ok(next_sequence)),
                    Action::Failed { fault, .. } => said = Some(Err(fault)),
                    _ => {}
                }
            }
        }
        assert_eq!(said, Some(end), "{per_answer}");
    }
}

/// Proves that an end which does not follow the last message is garbage.
#[test]
fn an_end_must_follow() {
    let mut client = ReplayClient::new(ReplayConfig::default());
    let range = Request {
        session: SESSION,
        first_sequence: 5,
        count: 2,
    };
    let mut answer = Vec::new();
    Frame::Begin(range).encode(&mut answer);
    Frame::End { next_sequence: 7 }.encode(&mut answer);
    client.ask(range, 0);
    client.on_connected(0);
    client.on_bytes(&answer, 0);
    let last = std::iter::from_fn(|| client.poll(0)).last();
    assert!(
        matches!(
            last,
            Some(Action::Failed {
                fault: Fault::Garbage,
                next_sequence: 5,
                ..
            })
        ),
        "{last:?}"
    );
}

/// Proves that a whole packet is delivered only to a channel that has such, and only when it is one
/// and has the number that the answer gives it; messages instead of packets are garbage too.
#[test]
fn a_packet_must_be_one() {
    let mut builder = cme::PacketBuilder::new(100);
    builder.begin(5, 1);
    assert!(builder.heartbeat());
    let packet = builder.finish();
    let is_delivered = |packets, sequence, frame: Frame<'_>| {
        let mut client = ReplayClient::new(ReplayConfig {
            packets,
            ..ReplayConfig::default()
        });
        let range = Request {
            session: SESSION,
            first_sequence: sequence,
            count: 1,
        };
        let mut answer = Vec::new();
        Frame::Begin(range).encode(&mut answer);
        frame.encode(&mut answer);
        client.ask(range, 0);
        client.on_connected(0);
        client.on_bytes(&answer, 0);
        let said: Vec<_> = std::iter::from_fn(|| client.poll(0)).collect();
        let is_garbage = |action: &Action| {
            matches!(
                action,
                Action::Failed {
                    fault: Fault::Garbage,
                    ..
                }
            )
        };
        let delivered = said
            .iter()
            .any(|action| matches!(action, Action::Deliver(_)));
        assert_ne!(delivered, said.iter().any(is_garbage), "{said:?}");
        delivered
    };
    let whole = |sequence, packet| Frame::Packet { sequence, packet };
    assert!(is_delivered(Packets::CmeMdp3, 5, whole(5, packet)));
    assert!(is_delivered(Packets::Any, 6, whole(6, packet)));
    assert!(!is_delivered(Packets::CmeMdp3, 6, whole(6, packet)));
    assert!(!is_delivered(Packets::CmeMdp3, 5, whole(5, &packet[..20])));
    assert!(!is_delivered(Packets::None, 5, whole(5, packet)));
    let eobi = Packets::Eobi(Release::V14_1);
    assert!(!is_delivered(eobi, 5, whole(5, packet)));
    let messages = Frame::Messages {
        first_sequence: 5,
        count: 1,
        blocks: b"\0\x01x",
    };
    assert!(is_delivered(Packets::None, 5, messages));
    assert!(!is_delivered(Packets::CmeMdp3, 5, messages));
}
