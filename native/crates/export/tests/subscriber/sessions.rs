//! A session that goes well: dedupe, gaps, acknowledgement, time.

use tickdeck_export::authenticator::Method;
use tickdeck_export::message::{
    ErrorCode, Gap, GapReason, Goodbye, GoodbyeReason, Message, Refused, Sentence, Start, kind,
};
use tickdeck_export::subscriber::{End, Event, Position, Session};

use crate::provider::{
    LOG, MS, Part, auth_ok, block, events, heartbeat, hello, said, say, session, settings, sub_ok,
    subscribed,
};

const HAVE_10: Position = Position {
    log_id: LOG,
    epoch: 2,
    acked_seq: 10,
};

fn feed(session: &mut Session, parts: &[Part], now_ns: u64) {
    let mut bytes = Vec::new();
    for part in parts {
        part.push(&mut bytes);
    }
    session.on_bytes(&bytes, now_ns);
}

/// A copy is continued behind what it has, under the epoch it has it from; a new one says so.
#[test]
fn asks_for_what_follows_the_copy() {
    for (position, start, epoch, log_id) in [
        (Some(HAVE_10), Start::Seq(11), 2, LOG),
        (None, Start::Earliest, 0, [0; 16]),
    ] {
        let mut session = session(&settings(), position);
        say(&mut session, &Message::Hello(hello(Method::Transport)), 0);
        assert_eq!(said(&mut session).kinds, [(kind::AUTH, 0)]);
        say(&mut session, &auth_ok(), 0);
        let subscribe = said(&mut session).subscribe.expect("SUBSCRIBE");
        assert_eq!(
            (subscribe.start, subscribe.epoch, subscribe.log_id),
            (start, epoch, log_id)
        );
    }
}

/// Blocks come as they are; what the copy has already is dropped or marked.
#[test]
fn what_the_copy_has_is_dropped() {
    let mut session = subscribed(&settings(), Some(HAVE_10), 11);
    let parts = [(5, 8), (9, 12), (12, 12), (13, 20)];
    for (from, to) in parts {
        feed(&mut session, &[Part::Records { from, to }], 0);
    }
    let wanted = [
        Event::Block {
            from_seq: 11,
            block: block(9, 4),
        },
        Event::Block {
            from_seq: 13,
            block: block(13, 8),
        },
    ];
    assert_eq!(events(&mut session), wanted);
}

/// A hole spends the sequences it names: the block with its record comes, and the declaration.
#[test]
fn holes_and_gaps_move_on() {
    let mut session = subscribed(&settings(), None, 1);
    let parts = [
        Part::Records { from: 1, to: 3 },
        Part::Hole { from: 4, to: 9 },
        Part::Gone { from: 10, to: 12 },
        Part::Records { from: 13, to: 13 },
    ];
    feed(&mut session, &parts, 0);
    let gap = |from, to, reason| Event::Gap { from, to, reason };
    let wanted = [
        Event::Block {
            from_seq: 1,
            block: block(1, 3),
        },
        Event::Block {
            from_seq: 4,
            block: block(4, 1),
        },
        gap(4, 9, GapReason::JournalHole),
        gap(10, 12, GapReason::Corrupt),
        Event::Block {
            from_seq: 13,
            block: block(13, 1),
        },
    ];
    assert_eq!(events(&mut session), wanted);
    say(&mut session, &heartbeat(14), 0);
    assert!(matches!(events(&mut session)[..], [Event::Heartbeat(_)]));
}

/// Nothing is acknowledged before the caller says that it is stored; then it is, at once. It is asked
/// for each second.
#[test]
fn ack_follows_the_store() {
    let mut session = subscribed(&settings(), None, 1);
    feed(&mut session, &[Part::Records { from: 1, to: 5 }], MS);
    session.on_time(999 * MS);
    assert_eq!(events(&mut session).len(), 1, "the block alone");
    assert_eq!(session.wake_ns(), 1_000 * MS);
    session.on_time(1_000 * MS);
    let position = Position {
        log_id: LOG,
        epoch: 3,
        acked_seq: 5,
    };
    assert_eq!(events(&mut session), [Event::Store(position)]);
    session.on_time(2_500 * MS);
    assert_eq!(events(&mut session), [], "one store at a time");
    assert_eq!(said(&mut session).kinds, []);
    session.stored(position);
    assert_eq!(said(&mut session).kinds, [(kind::ACK, 5)]);
    // Idle: the same again is the sign of life.
    session.on_time(2_600 * MS);
    assert_eq!(events(&mut session), [Event::Store(position)]);
    session.stored(position);
    assert_eq!(said(&mut session).kinds, [(kind::ACK, 5)]);
}

/// A megabyte is stored before the second is over.
#[test]
fn a_megabyte_is_stored_at_once() {
    let mut session = subscribed(&settings(), None, 1);
    let mut next = 1;
    let mut sent = 0;
    while sent <= 1 << 20 {
        feed(
            &mut session,
            &[Part::Records {
                from: next,
                to: next,
            }],
            MS,
        );
        sent += block(next, 1).len();
        next += 1;
    }
    let stores: Vec<Event> = events(&mut session)
        .into_iter()
        .filter(|event| matches!(event, Event::Store(_)))
        .collect();
    assert!(matches!(stores[..], [Event::Store(position)] if position.acked_seq + 10 > next - 10));
}

/// A provider that is silent is left: before its agreement after the handshake's limit, then after
/// its own; heartbeats keep it.
#[test]
fn silence_ends_the_session() {
    let mut shy = session(&settings(), None);
    say(
        &mut shy,
        &Message::Hello(hello(Method::Transport)),
        2_900 * MS,
    );
    shy.on_time(2_999 * MS);
    assert_eq!(events(&mut shy), []);
    assert_eq!(
        shy.wake_ns(),
        3_000 * MS,
        "the limit is for all of it, not for each byte"
    );
    shy.on_time(3_000 * MS);
    assert_eq!(events(&mut shy), [Event::Ended(End::Silent(3_000))]);

    let mut session = subscribed(&settings(), None, 1);
    say(&mut session, &heartbeat(1), 4_000 * MS);
    events(&mut session);
    session.on_time(8_999 * MS);
    assert!(
        !events(&mut session)
            .iter()
            .any(|event| matches!(event, Event::Ended(_)))
    );
    session.on_time(9_000 * MS);
    assert_eq!(events(&mut session), [Event::Ended(End::Silent(5_000))]);
    assert_eq!(said(&mut session).kinds, [(kind::GOODBYE, 1)]);
}

/// The step that a refusal comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Hello,
    AuthOk,
    SubOk,
    Data,
}

/// What a copy that stands at 10 makes of a refusal.
fn refused_in(when: When, is_verified: bool, code: ErrorCode, seq: u64) -> End {
    let key = crate::provider::key(1);
    let settings = tickdeck_export::subscriber::Settings {
        key: (!is_verified).then_some(key),
        ..settings()
    };
    let position = Some(HAVE_10);
    let mut session = Session::new(settings, position, b"exporter", is_verified, [5; 32], 0);
    let method = if is_verified {
        Method::Transport
    } else {
        Method::Hmac
    };
    if when != When::Hello {
        say(&mut session, &Message::Hello(hello(method)), 0);
    }
    if matches!(when, When::SubOk | When::Data) {
        let answer = if is_verified {
            auth_ok()
        } else {
            crate::proofs::proof(&mut session, 1, b"exporter", 1)
        };
        say(&mut session, &answer, 0);
    }
    if when == When::Data {
        say(&mut session, &Message::SubOk(sub_ok(11)), 0);
        events(&mut session);
    }
    let text = Sentence::new("because");
    say(&mut session, &Message::Err(Refused { code, seq, text }), 0);
    match events(&mut session).pop() {
        Some(Event::Ended(end)) => end,
        other => panic!("{when:?} {code:?}: {other:?}"),
    }
}

/// Each refusal says what comes next: cut the copy, declare the gap, ask people, try again. Only a
/// provider that has proved itself, asked for data, takes anything back.
#[test]
fn refusals_say_what_is_next() {
    use When::{AuthOk, Data, Hello, SubOk};
    let at = |acked_seq| Position {
        acked_seq,
        ..HAVE_10
    };
    let text = "because".to_owned();
    let again = |code| End::Refused {
        code,
        text: text.clone(),
    };
    let forked = |seq, acked_seq| End::Forked {
        at: seq,
        position: at(acked_seq),
    };
    let pruned = End::Pruned {
        from: 11,
        position: at(49),
    };
    let cases = [
        (ErrorCode::Forked, 1, forked(1, 0)),
        (ErrorCode::Forked, 8, forked(8, 7)),
        (ErrorCode::Forked, 11, forked(11, 10)),
        (ErrorCode::Forked, 0, again(ErrorCode::Forked)),
        (ErrorCode::Pruned, 50, pruned),
        (ErrorCode::Pruned, 11, again(ErrorCode::Pruned)),
        (ErrorCode::WrongLog, 0, again(ErrorCode::WrongLog)),
        (ErrorCode::Busy, 0, again(ErrorCode::Busy)),
        (ErrorCode::Internal, 0, again(ErrorCode::Internal)),
        (ErrorCode::Denied, 0, End::Denied(text.clone())),
        (ErrorCode::Version, 0, End::Denied(text.clone())),
    ];
    for (code, seq, asked) in cases {
        for is_verified in [true, false] {
            for when in [Hello, AuthOk, SubOk, Data] {
                let wanted = match (&asked, when) {
                    (_, SubOk) => asked.clone(),
                    (End::Denied(_), _) if is_verified || when == Data => asked.clone(),
                    _ => again(code),
                };
                assert_eq!(
                    refused_in(when, is_verified, code, seq),
                    wanted,
                    "{when:?} {code:?} {seq} {is_verified}"
                );
            }
        }
    }
}

/// A copy whose epoch is newer than the log's asks under the log's once it is cut: the fork ends.
#[test]
fn a_fork_lowers_the_epoch() {
    for (epoch, wanted) in [(2, 2), (3, 3), (9, 3)] {
        let position = Position { epoch, ..HAVE_10 };
        let mut session = session(&settings(), Some(position));
        say(&mut session, &Message::Hello(hello(Method::Transport)), 0);
        say(&mut session, &auth_ok(), 0);
        let refused = Refused {
            code: ErrorCode::Forked,
            seq: 8,
            text: Sentence::default(),
        };
        say(&mut session, &Message::Err(refused), 0);
        let end = End::Forked {
            at: 8,
            position: Position {
                epoch: wanted,
                acked_seq: 7,
                ..HAVE_10
            },
        };
        assert_eq!(events(&mut session), [Event::Ended(end)]);
    }
}

/// Another log than that of the copy is never mixed in, and it is not even asked for.
#[test]
fn another_log_is_not_mixed_in() {
    let mut session = session(
        &settings(),
        Some(Position {
            log_id: [8; 16],
            ..HAVE_10
        }),
    );
    say(&mut session, &Message::Hello(hello(Method::Transport)), 0);
    assert_eq!(events(&mut session), [], "not believed before the proof");
    say(&mut session, &auth_ok(), 0);
    assert_eq!(
        events(&mut session),
        [Event::Ended(End::WrongLog { log_id: LOG })]
    );
    assert_eq!(said(&mut session).subscribe, None);
}

/// Either side leaves with a word.
#[test]
fn goodbyes() {
    let mut session = subscribed(&settings(), None, 1);
    let goodbye = Goodbye {
        next_seq: 1,
        reason: GoodbyeReason::Slow,
        text: Sentence::new("8 MiB"),
    };
    say(&mut session, &Message::Goodbye(goodbye), 0);
    let end = End::Goodbye {
        reason: GoodbyeReason::Slow,
        text: "8 MiB".into(),
    };
    assert_eq!(events(&mut session), [Event::Ended(end)]);

    let mut session = subscribed(&settings(), None, 1);
    feed(&mut session, &[Part::Records { from: 1, to: 5 }], MS);
    session.stop();
    assert_eq!(said(&mut session).kinds, [(kind::GOODBYE, 6)]);
}

/// What was asked for is what must begin.
#[test]
fn another_beginning_is_refused() {
    let mut session = session(&settings(), Some(HAVE_10));
    say(&mut session, &Message::Hello(hello(Method::Transport)), 0);
    say(&mut session, &auth_ok(), 0);
    say(&mut session, &Message::SubOk(sub_ok(12)), 0);
    assert!(matches!(
        events(&mut session)[..],
        [Event::Ended(End::Violation(_))]
    ));
    let gap = Gap {
        from: 1,
        to: 2,
        reason: GapReason::Policy,
    };
    say(&mut session, &Message::Gap(gap), 0);
    assert_eq!(events(&mut session), [], "nothing counts after the end");
}
