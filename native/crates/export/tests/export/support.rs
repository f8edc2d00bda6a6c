//! One message of each type, and any message.

use proptest::prelude::*;
use tickdeck_export::auth::ClientId;
use tickdeck_export::authenticator::Method;
use tickdeck_export::message::{
    Ack, Auth, AuthOk, Data, ErrorCode, Gap, GapReason, Goodbye, GoodbyeReason, Guarantee,
    Heartbeat, Hello, Message, Refused, Sentence, Start, SubOk, Subscribe,
};

pub(crate) fn name(text: &str) -> ClientId {
    text.parse().expect("a name")
}

/// Seventy-two bytes and some: what the protocol asks of a block.
pub(crate) const BLOCK: &[u8] = &[0xB1; 80];

pub(crate) fn one_of_each() -> Vec<Message<'static>> {
    vec![
        Message::Hello(Hello {
            oldest_version: 1,
            newest_version: 1,
            method: Method::Hmac,
            epoch: 7,
            log_id: [0x11; 16],
            nonce: [0x22; 32],
            server: name("XNAS-export"),
        }),
        Message::Auth(Auth {
            version: 1,
            nonce: [0x33; 32],
            client: Some(name("replica-1")),
            mac: [0x44; 32],
        }),
        Message::AuthOk(AuthOk {
            session: 0x5555_5555_5555_5555,
            identity: Some(name("replica-1")),
            mac: [0x66; 32],
        }),
        Message::Subscribe(Subscribe {
            start: Start::Seq(1_000),
            guarantee: Guarantee::Durable,
            window_bytes: 8 << 20,
            epoch: 7,
            log_id: [0x11; 16],
        }),
        Message::SubOk(SubOk {
            start_seq: 1_000,
            epoch: 7,
            first_available: 1,
            next_seq: 2_001,
            durable_seq: 1_990,
            window_bytes: 8 << 20,
            schema_id: 1,
            heartbeat_ms: 1_000,
            timeout_ms: 5_000,
        }),
        Message::Err(Refused {
            code: ErrorCode::Pruned,
            seq: 500,
            text: Sentence::new("oldest is 500"),
        }),
        Message::Data(Data {
            base_seq: 1_000,
            block: BLOCK,
        }),
        Message::Heartbeat(Heartbeat {
            next_seq: 1_010,
            written: 1_012,
            durable: 1_009,
            utc_ns: 1_700_000_000_000_000_000,
            epoch: 7,
        }),
        Message::Gap(Gap {
            from: 1_010,
            to: 1_020,
            reason: GapReason::Corrupt,
        }),
        Message::Ack(Ack { seq: 1_009 }),
        Message::Goodbye(Goodbye {
            next_seq: 1_010,
            reason: GoodbyeReason::Stopping,
            text: Sentence::new("bye"),
        }),
    ]
}

fn any_name() -> impl Strategy<Value = ClientId> {
    "[A-Za-z0-9][A-Za-z0-9._-]{0,63}".prop_map(|text| name(&text))
}

fn any_sentence() -> impl Strategy<Value = Sentence> {
    any::<String>().prop_map(|text| Sentence::new(&text))
}

/// Every message but DATA, whose block is borrowed.
pub(crate) fn any_message() -> impl Strategy<Value = Message<'static>> {
    prop_oneof![
        any_hello().prop_map(Message::Hello),
        any_auth().prop_map(Message::Auth),
        (
            any::<u64>(),
            prop::option::of(any_name()),
            any::<[u8; 32]>()
        )
            .prop_map(|(session, identity, mac)| {
                Message::AuthOk(AuthOk {
                    session,
                    identity,
                    mac,
                })
            }),
        any_subscribe().prop_map(Message::Subscribe),
        any_sub_ok().prop_map(Message::SubOk),
        (
            prop::sample::select(ErrorCode::ALL),
            any::<u64>(),
            any_sentence()
        )
            .prop_map(|(code, seq, text)| Message::Err(Refused { code, seq, text })),
        (
            1u64..,
            any::<u64>(),
            any::<u64>(),
            any::<u64>(),
            any::<u64>()
        )
            .prop_map(|(next_seq, written, durable, utc_ns, epoch)| {
                Message::Heartbeat(Heartbeat {
                    next_seq,
                    written,
                    durable,
                    utc_ns,
                    epoch,
                })
            }),
        (
            1..u64::MAX,
            any::<u64>(),
            prop::sample::select(GapReason::ALL)
        )
            .prop_map(|(a, b, reason)| {
                let b = b.clamp(1, u64::MAX - 1);
                let (from, to) = (a.min(b), a.max(b));
                Message::Gap(Gap { from, to, reason })
            }),
        any::<u64>().prop_map(|seq| Message::Ack(Ack { seq })),
        (
            any::<u64>(),
            prop::sample::select(GoodbyeReason::ALL),
            any_sentence()
        )
            .prop_map(|(next_seq, reason, text)| Message::Goodbye(Goodbye {
                next_seq,
                reason,
                text
            })),
    ]
}

fn any_hello() -> impl Strategy<Value = Hello> {
    let method = prop::sample::select(vec![Method::Transport, Method::Hmac]);
    (
        1..9u16,
        0..9u16,
        method,
        any::<u64>(),
        any::<[u8; 16]>(),
        any::<[u8; 32]>(),
        any_name(),
    )
        .prop_map(
            |(oldest_version, more, method, epoch, log_id, nonce, server)| Hello {
                oldest_version,
                newest_version: oldest_version + more,
                method,
                epoch,
                log_id,
                nonce,
                server,
            },
        )
}

fn any_auth() -> impl Strategy<Value = Auth> {
    (
        any::<u16>(),
        any::<[u8; 32]>(),
        prop::option::of(any_name()),
        any::<[u8; 32]>(),
    )
        .prop_map(|(version, nonce, client, mac)| Auth {
            version,
            nonce,
            client,
            mac,
        })
}

fn any_subscribe() -> impl Strategy<Value = Subscribe> {
    let start = prop_oneof![
        (1..=u64::MAX).prop_map(Start::Seq),
        Just(Start::Earliest),
        Just(Start::Live)
    ];
    let guarantee = prop::sample::select(Guarantee::ALL);
    (
        start,
        guarantee,
        any::<u32>(),
        any::<u64>(),
        any::<[u8; 16]>(),
    )
        .prop_map(
            |(start, guarantee, window_bytes, epoch, log_id)| Subscribe {
                start,
                guarantee,
                window_bytes,
                epoch,
                log_id,
            },
        )
}

fn any_sub_ok() -> impl Strategy<Value = SubOk> {
    let sequences = (
        1..=u64::MAX,
        any::<u64>(),
        any::<u64>(),
        any::<u64>(),
        any::<u64>(),
    );
    let sizes = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>());
    (sequences, sizes).prop_map(|(sequences, sizes)| SubOk {
        start_seq: sequences.0,
        epoch: sequences.1,
        first_available: sequences.2,
        next_seq: sequences.3,
        durable_seq: sequences.4,
        window_bytes: sizes.0,
        schema_id: sizes.1,
        heartbeat_ms: sizes.2,
        timeout_ms: sizes.3,
    })
}
