//! Snapshots: what comes back is what was written, and nothing else is believed.

use proptest::prelude::*;
use tickdeck_book::snapshot::{self, Restored, SnapshotError};
use tickdeck_book::{BooksConfig, Channel, Itch, Record};
use tickdeck_wire::binaryfile::{self, Messages};
use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::record::{GapEvent, SessionEvent, SessionEventKind, kind};

use crate::common::data;
use crate::common::messages::{Event, event, system_event};

const LOG_ID: [u8; 16] = *b"0123456789abcdef";
const CREATED_NS: u64 = 1_700_000_000_000_000_000;

/// A channel in the middle of a session, with whatever the events leave behind and an open gap.
fn channel(events: &[Event]) -> Channel {
    let mut channel = Channel::new(config());
    let session = Session(*b"SESSION001");
    let started = SessionEvent {
        kind: SessionEventKind::Started,
        session,
        next_sequence: 1,
    };
    let gap = GapEvent {
        gap_id: 3,
        first: 900,
        last: 905,
        detected_ns: 0,
    };
    let mut payload = Vec::new();
    binaryfile::push(&mut payload, &system_event(b'O')).expect("messages are short");
    for event in events {
        binaryfile::push(&mut payload, &event.encode()).expect("messages are short");
    }
    let records = [
        (kind::SESSION, started.encode().to_vec()),
        (kind::DATA, payload),
        (kind::GAP_OPEN, gap.encode().to_vec()),
    ];
    for (seq, (kind, payload)) in (1..).zip(&records) {
        channel.apply(Record {
            seq,
            kind: *kind,
            venue_seq: 1,
            rx_ns: CREATED_NS + seq,
            payload,
        });
    }
    channel
}

fn config() -> BooksConfig {
    BooksConfig {
        initial_orders: 4,
        ..BooksConfig::default()
    }
}

fn encode(channel: &Channel) -> Vec<u8> {
    let mut bytes = Vec::new();
    channel.encode_snapshot(&LOG_ID, CREATED_NS, &mut bytes);
    let reserved = bytes.capacity();
    snapshot::seal(&mut bytes);
    assert_eq!(bytes.capacity(), reserved, "the reserve covers the digest");
    bytes
}

fn decode(bytes: &[u8]) -> Result<Restored<Itch>, SnapshotError> {
    snapshot::decode(bytes, Itch::new(config()))
}

fn refusal(bytes: &[u8]) -> SnapshotError {
    decode(bytes).err().expect("the snapshot is refused")
}

/// Everything that can be asked of a channel.
fn facts(channel: &Channel) -> String {
    let books: Vec<_> = channel
        .books()
        .iter()
        .map(|book| {
            let queue = book.queue_sha256();
            let listing = (
                book.symbol(),
                book.instrument(),
                book.trading_state(),
                book.trust(),
            );
            (listing, book.orders(), book.state_hash(), queue)
        })
        .collect();
    let place = (
        channel.cursor(),
        channel.last_record(),
        channel.session(),
        channel.session_ended(),
    );
    let totals = (channel.counters(), channel.books().counters());
    let state = (
        channel.channel_hash(),
        channel.books().system_event(),
        channel.books().channel_trust(),
    );
    format!(
        "{place:?} {:?} {totals:?} {state:?} {books:?}",
        channel.next_sequence()
    )
}

proptest! {
    /// A restored channel equals the one that was written, and the two stay equal afterwards.
    #[test]
    fn what_was_written_comes_back(
        before in prop::collection::vec(event(), 0..120),
        after in prop::collection::vec(event(), 0..60),
    ) {
        let mut live = channel(&before);
        let bytes = encode(&live);
        let restored = decode(&bytes).expect("a snapshot just written");
        prop_assert_eq!((restored.log_id, restored.created_ns), (LOG_ID, CREATED_NS));
        let mut restored = restored.channel;
        prop_assert_eq!(facts(&restored), facts(&live));
        prop_assert_eq!(restored.books().check_invariants(), Ok(()));
        prop_assert_eq!(encode(&restored), bytes);

        let mut payload = Vec::new();
        for event in after {
            binaryfile::push(&mut payload, &event.encode()).expect("messages are short");
        }
        let venue_seq = live.next_sequence().expect("the session started");
        let (seq, kind, payload) = (live.cursor(), kind::DATA, &payload);
        let record = Record { seq, kind, venue_seq, rx_ns: 0, payload };
        live.apply(record);
        restored.apply(record);
        prop_assert_eq!(facts(&restored), facts(&live));
        prop_assert_eq!(restored.books().check_invariants(), Ok(()));
    }

    /// One changed byte anywhere is found.
    #[test]
    fn a_changed_byte_is_found(
        events in prop::collection::vec(event(), 0..40),
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let mut bytes = encode(&channel(&events));
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(decode(&bytes).is_err());
    }

    /// Content that a matching digest vouches for is still checked: no panic, and what is accepted
    /// holds all invariants.
    #[test]
    fn wrong_content_under_a_right_digest_is_survived(
        events in prop::collection::vec(event(), 0..40),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = Vec::new();
        channel(&events).encode_snapshot(&LOG_ID, CREATED_NS, &mut bytes);
        for (at, value) in changes {
            let at = 80 + at.index(bytes.len() - 80);
            bytes[at] = value;
        }
        snapshot::seal(&mut bytes);
        if let Ok(restored) = decode(&bytes) {
            prop_assert_eq!(restored.channel.books().check_invariants(), Ok(()));
        }
    }
}

/// A snapshot taken behind a hole still excuses the jump of the sequence that follows it.
#[test]
fn a_hole_before_the_cursor_is_remembered() {
    let mut live = channel(&[]);
    live.skip_to(live.cursor() + 5);
    let mut restored = decode(&encode(&live))
        .expect("a snapshot just written")
        .channel;
    let (seq, kind, rx_ns) = (restored.cursor(), kind::DATA, 0);
    let payload = &[0, 1, b'z'];
    restored.apply(Record {
        seq,
        kind,
        venue_seq: 700,
        rx_ns,
        payload,
    });
    assert_eq!(restored.counters().sequence_errors, 0);
    assert_eq!(restored.counters().lost_messages, 698);
}

/// A snapshot cut anywhere is refused.
#[test]
fn a_cut_snapshot_is_refused() {
    let events = [1, 2, 3].map(|reference| Event::Add {
        locate: 1,
        reference,
        side: tickdeck_book::Side::Bid,
        shares: 5,
        price: 100,
        named: false,
    });
    let bytes = encode(&channel(&events));
    for len in 0..bytes.len() {
        assert!(decode(&bytes[..len]).is_err(), "{len} bytes");
    }
}

/// Something else, another version and a wrong length each have their own error.
#[test]
fn refusals_say_why() {
    let bytes = encode(&channel(&[]));
    assert_eq!(refusal(&[]), SnapshotError::TooShort { actual: 0 });
    let mut other = bytes.clone();
    other[0] = b'X';
    assert_eq!(refusal(&other), SnapshotError::WrongMagic);
    let mut older = bytes.clone();
    older[8] = 1;
    assert_eq!(refusal(&older), SnapshotError::WrongVersion { found: 1 });
    let mut longer = bytes;
    longer.push(0);
    assert_eq!(refusal(&longer), SnapshotError::Damaged);
}

/// The header stands where the format says, so that other programs can read it.
#[test]
fn the_header_is_as_documented() {
    let channel = channel(&[]);
    let bytes = encode(&channel);
    assert_eq!(&bytes[..10], b"TDBOOKS1\x02\x00");
    assert_eq!(bytes[16..32], LOG_ID);
    assert_eq!(bytes[32..40], 4_u64.to_le_bytes());
    assert_eq!(bytes[40..48], 2_u64.to_le_bytes());
    assert_eq!(&bytes[48..64], b"SESSION001\0\0\0\0\0\0");
    assert_eq!(bytes[64..72], CREATED_NS.to_le_bytes());
    assert_eq!(bytes[72..80], (bytes.len() as u64).to_le_bytes());
}

/// A snapshot in the middle of real order flow, restored, ends with the hashes of the whole run.
#[test]
fn real_flow_goes_on_from_a_snapshot() {
    let Some(file) = data::read("es_mbo.itch.gz") else {
        return;
    };
    let mut whole = Channel::new(BooksConfig::default());
    let mut restarted = Channel::new(BooksConfig::default());
    for (sequence, message) in (1..).zip(Messages::new(&file).map_while(Result::ok)) {
        if sequence % 20_000 == 0 {
            let restored = decode(&encode(&restarted)).expect("a snapshot just written");
            restarted = restored.channel;
        }
        let mut payload = Vec::new();
        binaryfile::push(&mut payload, message).expect("it came from such a file");
        let record = Record {
            seq: sequence,
            kind: kind::DATA,
            venue_seq: sequence,
            rx_ns: 0,
            payload: &payload,
        };
        whole.apply(record);
        restarted.apply(record);
    }
    assert_eq!(whole.books().counters().messages, 59_607);
    assert_eq!(facts(&restarted), facts(&whole));
}
