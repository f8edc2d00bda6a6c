//! A channel fed with any records: books keep their invariants, counts only grow, memory is bounded,
//! and a snapshot taken anywhere gives a channel that goes on the same way.

use tickdeck_book::{Channel, Itch, Record, StreamCounters, snapshot};

use super::book_itch::SMALL;

/// Bytes in front of a record's payload.
const HEAD: usize = 8;
const LOG_ID: [u8; 16] = *b"fuzzed journal  ";

/// Records, each with a head of 8 bytes: kind, flags, step of the record's number, step of the
/// venue's number, length of the payload.
pub(crate) fn run(bytes: &[u8]) {
    let mut channel = Channel::new(SMALL);
    let mut twin: Option<Channel<Itch>> = None;
    let mut rest = bytes;
    while let Some((head, behind)) = rest.split_first_chunk::<HEAD>() {
        let length = usize::from(u16::from_le_bytes([head[6], head[7]])).min(behind.len());
        let (payload, behind) = behind.split_at(length);
        rest = behind;
        let record = record(&channel, head, payload);
        let before = *channel.counters();
        let cursor = channel.cursor();
        channel.apply(record);
        if let Some(twin) = &mut twin {
            twin.apply(record);
        }
        check(&channel, &before, cursor);
        // A half-read snapshot of the venue's is not kept: the worker waits for its end.
        if head[1] & 4 != 0 && twin.is_none() && !channel.is_loading() {
            twin = Some(restored(&channel));
        }
    }
    if let Some(twin) = twin {
        assert!(
            saved(&channel) == saved(&twin),
            "a restored channel goes on alike"
        );
    }
}

fn record<'a>(channel: &Channel, head: &[u8; HEAD], payload: &'a [u8]) -> Record<'a> {
    let [kind, flags, seq_low, seq_high, venue_low, venue_high, ..] = *head;
    let step = |low, high| i64::from(i16::from_le_bytes([low, high]));
    let next = channel.next_sequence().unwrap_or(1);
    let seq = channel
        .cursor()
        .wrapping_add_signed(step(seq_low, seq_high));
    let venue_seq = next.wrapping_add_signed(step(venue_low, venue_high));
    Record {
        seq: if flags & 1 == 0 { seq } else { u64::MAX - 1 },
        // Every kind and one of a newer version; no record has kind 0.
        kind: kind % 16 + 1,
        venue_seq: if flags & 2 == 0 {
            venue_seq
        } else {
            u64::MAX - 1
        },
        rx_ns: 0,
        payload,
    }
}

fn check(channel: &Channel, before: &StreamCounters, cursor: u64) {
    let books = channel.books();
    assert_eq!(books.check_invariants(), Ok(()));
    assert!(channel.cursor() >= cursor, "the cursor goes forward");
    assert!(books.order_count() <= SMALL.max_orders);
    assert!(books.suspect_count() <= books.len());
    let after = channel.counters();
    assert_eq!(
        after.records + after.repeated_records,
        before.records + before.repeated_records + 1
    );
    for (before, after) in [
        (before.missing_records, after.missing_records),
        (before.malformed_records, after.malformed_records),
        (before.sequence_errors, after.sequence_errors),
        (before.lost_messages, after.lost_messages),
        (before.sessions, after.sessions),
    ] {
        assert!(before <= after);
    }
}

/// The channel after a stop and a start.
fn restored(channel: &Channel) -> Channel<Itch> {
    let bytes = saved(channel);
    let restored = snapshot::decode(&bytes, Itch::new(SMALL)).expect("our own snapshot");
    assert_eq!((restored.log_id, restored.created_ns), (LOG_ID, 7));
    let restored = restored.channel;
    assert_eq!(restored.books().check_invariants(), Ok(()));
    assert!(saved(&restored) == bytes, "a snapshot writes itself again");
    assert_eq!(
        restored.books().channel_trust(),
        channel.books().channel_trust()
    );
    restored
}

fn saved(channel: &Channel) -> Vec<u8> {
    let mut bytes = Vec::new();
    channel.encode_snapshot(&LOG_ID, 7, &mut bytes);
    snapshot::seal(&mut bytes);
    bytes
}
