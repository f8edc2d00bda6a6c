//! Both directions of TICKDECK/1.

use tickdeck_export::authenticator::Method;
use tickdeck_export::message::{
    Ack, Auth, AuthOk, Data, ErrorCode, Gap, GapReason, Goodbye, GoodbyeReason, Guarantee,
    Heartbeat, Hello, Message, Refused, Sentence, Start, SubOk, Subscribe,
};

/// One conversation, with a first byte that says how it is cut.
pub(crate) fn export_streams() -> Vec<Vec<u8>> {
    let all: Vec<u8> = messages().iter().flat_map(Message::to_frame).collect();
    vec![[&[7], &all[..]].concat(), [&[255], &all[..]].concat()]
}

/// A type, a sequence and a payload.
pub(crate) fn export_messages() -> Vec<Vec<u8>> {
    let split = |message: &Message<'_>| {
        let seq = message.seq().to_le_bytes();
        [&[message.kind()], &seq[..], &message.payload()].concat()
    };
    messages().iter().map(split).collect()
}

fn messages() -> Vec<Message<'static>> {
    let (log_id, epoch) = ([0x11; 16], 3);
    let client = Some("replica-1".parse().expect("a name"));
    vec![
        Message::Hello(Hello {
            oldest_version: 1,
            newest_version: 1,
            method: Method::Hmac,
            epoch,
            log_id,
            nonce: [0x22; 32],
            server: "XNAS-export".parse().expect("a name"),
        }),
        Message::Auth(Auth {
            version: 1,
            nonce: [0x33; 32],
            client,
            mac: [0x44; 32],
        }),
        Message::AuthOk(AuthOk {
            session: 5,
            identity: None,
            mac: [0; 32],
        }),
        Message::Subscribe(Subscribe {
            start: Start::Seq(1_000),
            guarantee: Guarantee::Durable,
            window_bytes: 1 << 20,
            epoch,
            log_id,
        }),
        Message::Subscribe(Subscribe {
            start: Start::Earliest,
            guarantee: Guarantee::Written,
            window_bytes: 0,
            epoch: 0,
            log_id: [0; 16],
        }),
        Message::SubOk(SubOk {
            start_seq: 1_000,
            epoch,
            first_available: 1,
            next_seq: 1_001,
            durable_seq: 1_000,
            window_bytes: 1 << 20,
            schema_id: 1,
            heartbeat_ms: 1_000,
            timeout_ms: 5_000,
        }),
        Message::Err(Refused {
            code: ErrorCode::Forked,
            seq: 900,
            text: Sentence::new("cut your copy"),
        }),
        Message::Data(Data {
            base_seq: 1_000,
            block: &[0xB1; 96],
        }),
        Message::Heartbeat(Heartbeat {
            next_seq: 1_001,
            written: 1_000,
            durable: 1_000,
            utc_ns: 1_700_000_000_000_000_000,
            epoch,
        }),
        Message::Gap(Gap {
            from: 1_001,
            to: 1_010,
            reason: GapReason::Policy,
        }),
        Message::Ack(Ack { seq: 1_010 }),
        Message::Goodbye(Goodbye {
            next_seq: 1_011,
            reason: GoodbyeReason::Done,
            text: Sentence::default(),
        }),
    ]
}
