//! Streams of the TCP protocols, and payloads of our own records.

use tickdeck_wire::glimpse::SnapshotEnd;
use tickdeck_wire::ledger::{LedgerNote, LedgerRow, WORDS};
use tickdeck_wire::record::{
    Checkpoint, GapEvent, JournalHole, LossReason, LostEvent, SessionEvent, SessionEventKind,
    SnapshotEvent,
};
use tickdeck_wire::replay::{Frame, Refusal, Request};
use tickdeck_wire::soupbintcp::{
    CLIENT_HEARTBEAT, END_OF_SESSION, LOGOUT, Login, RejectReason, SERVER_HEARTBEAT, accepted,
    push_debug, push_sequenced, push_unsequenced, rejected,
};

use super::itch::{SESSION, day, file};

/// Both directions, each with a first byte that says how it is cut.
pub(crate) fn soup_streams() -> Vec<Vec<u8>> {
    let mut server = vec![7];
    server.extend_from_slice(&accepted(SESSION, 1_000));
    for message in day(210, 1).iter().skip(200) {
        push_sequenced(&mut server, message).expect("a short message");
    }
    push_unsequenced(&mut server, b"notice").expect("a short message");
    push_debug(&mut server, b"debug").expect("a short message");
    server.extend_from_slice(&SERVER_HEARTBEAT);
    server.extend_from_slice(&END_OF_SESSION);
    let login = Login {
        username: "USER".parse().expect("a short name"),
        password: "SECRET".parse().expect("a short password"),
        session: Some(SESSION),
        sequence: u64::MAX,
    };
    let mut client = vec![255];
    client.extend_from_slice(&login.encode());
    client.extend_from_slice(&CLIENT_HEARTBEAT);
    client.extend_from_slice(&LOGOUT);
    let refusal = [&[1][..], &rejected(RejectReason::SessionNotAvailable)].concat();
    vec![server, client, refusal]
}

/// The last message of a snapshot, with the edges of its number.
pub(crate) fn glimpse_ends() -> Vec<Vec<u8>> {
    let ends = [1, 19_009_117, u64::MAX].map(|sequence| SnapshotEnd { sequence });
    ends.iter().map(|end| end.encode().to_vec()).collect()
}

/// Answers and requests, each with a first byte that says how it is cut.
pub(crate) fn replay_streams() -> Vec<Vec<u8>> {
    let request = Request {
        session: SESSION,
        first_sequence: 10,
        count: 5,
    };
    let blocks = file(day(205, 1).into_iter().skip(200));
    let mut answer = vec![9];
    for frame in [
        Frame::Begin(request),
        Frame::Messages {
            first_sequence: 10,
            count: 5,
            blocks: &blocks,
        },
        Frame::Packet {
            sequence: 3,
            packet: b"packet",
        },
        Frame::End { next_sequence: 15 },
    ] {
        frame.encode(&mut answer);
    }
    let mut refused = vec![3];
    for reason in Refusal::ALL {
        Frame::Refused {
            first_sequence: 10,
            reason,
        }
        .encode(&mut refused);
    }
    let requests = [&[255][..], &request.encode(), &request.encode()].concat();
    vec![answer, refused, requests]
}

/// One payload of each kind.
pub(crate) fn payloads() -> Vec<Vec<u8>> {
    let gap = GapEvent {
        gap_id: 1,
        first: 10,
        last: 12,
        detected_ns: 1_700_000_000_000_000_000,
    };
    let lost = LostEvent {
        gap,
        reason: LossReason::HoldOverflow,
    };
    let session = SessionEvent {
        kind: SessionEventKind::Started,
        session: SESSION,
        next_sequence: 1,
    };
    let snapshot = SnapshotEvent {
        gap_id: 1,
        scope: SnapshotEvent::WHOLE_CHANNEL,
        resume_sequence: 13,
        records: 2,
        orders: 20,
    };
    let hole = JournalHole {
        from: 5,
        to: 6,
        reason: 1,
    };
    let checkpoint = Checkpoint {
        cursor: 9,
        messages: 1_000_000,
        next_sequence: 1_000_001,
        state_hash: 0x1234_5678_9ABC_DEF0,
        books: 500,
        trust: Checkpoint::GOOD,
    };
    let words = std::array::from_fn::<u64, WORDS, _>(|index| index as u64);
    let row = LedgerRow::from_words([7; 16], SESSION, &words);
    let note = LedgerNote {
        gap_id: 1,
        at_ns: 2,
        actor: "operator",
        note: "seen: é",
    };
    let mut out = [0; LedgerNote::MAX_LEN];
    vec![
        gap.encode().to_vec(),
        lost.encode().to_vec(),
        session.encode().to_vec(),
        snapshot.encode().to_vec(),
        hole.encode().to_vec(),
        checkpoint.encode().to_vec(),
        row.encode().to_vec(),
        note.encode(&mut out).to_vec(),
    ]
}
