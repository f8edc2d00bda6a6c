//! A channel fed with any records: books keep their invariants, counts only grow, memory is bounded,
//! and a snapshot taken anywhere gives a channel that goes on the same way.

use tickdeck_book::{Books, Channel, Itch, Record, StreamCounters, Trust, Venue, snapshot};
use tickdeck_wire::record::kind;

use super::book_itch::SMALL;

/// Bytes in front of a record's payload.
const HEAD: usize = 8;
const LOG_ID: [u8; 16] = *b"fuzzed journal  ";

/// What differs between the protocols.
pub(crate) struct Protocol<V> {
    /// A venue that has seen nothing, with small books.
    pub(crate) venue: fn() -> V,
    /// The number of a packet, where packets are numbered.
    pub(crate) number: fn(&[u8]) -> Option<u64>,
    /// Whether a restored channel goes on to the byte as the one that was saved. Where a venue
    /// buffers packets for a suspect book, it is saved without them: then books that both believe
    /// must be equal.
    pub(crate) is_saved_whole: bool,
}

/// ITCH records.
pub(crate) fn run(bytes: &[u8]) {
    follow(
        bytes,
        &Protocol {
            venue: || Itch::new(SMALL),
            number: |_| None,
            is_saved_whole: true,
        },
    );
}

/// Records, each with a head of 8 bytes: kind, flags, step of the record's number, step of the
/// venue's number, length of the payload. Returns the channel behind the last.
pub(crate) fn follow<V: Venue>(bytes: &[u8], protocol: &Protocol<V>) -> Channel<V> {
    let mut channel = Channel::with((protocol.venue)());
    let mut twin: Option<Channel<V>> = None;
    let mut rest = bytes;
    while let Some((head, behind)) = rest.split_first_chunk::<HEAD>() {
        let length = usize::from(u16::from_le_bytes([head[6], head[7]])).min(behind.len());
        let (payload, behind) = behind.split_at(length);
        rest = behind;
        let record = record(&channel, protocol, head, payload);
        let before = *channel.counters();
        let cursor = channel.cursor();
        channel.apply(record);
        if let Some(twin) = &mut twin {
            twin.apply(record);
            assert_eq!(twin.books().check_invariants(), Ok(()));
        }
        check(&channel, &before, cursor);
        // A half-read snapshot of the venue's is not kept: the worker waits for its end.
        if head[1] & 4 != 0 && twin.is_none() && !channel.is_loading() {
            twin = Some(restored(&channel, protocol));
        }
    }
    match twin {
        Some(twin) if protocol.is_saved_whole => {
            let is_alike = saved(&channel) == saved(&twin);
            assert!(is_alike, "a restored channel goes on alike");
        }
        Some(twin) => compare_good(channel.books(), twin.books()),
        None => {}
    }
    channel
}

fn record<'a, V: Venue>(
    channel: &Channel<V>,
    protocol: &Protocol<V>,
    head: &[u8; HEAD],
    payload: &'a [u8],
) -> Record<'a> {
    let [kind, flags, seq_low, seq_high, venue_low, venue_high, ..] = *head;
    let step = |low, high| i64::from(i16::from_le_bytes([low, high]));
    // Every kind and one of a newer version; no record has kind 0.
    let kind = kind % 16 + 1;
    let number = Some(payload).filter(|_| kind == kind::DATA);
    let number = number.and_then(protocol.number);
    let next = number.or(channel.next_sequence()).unwrap_or(1);
    let seq = channel
        .cursor()
        .wrapping_add_signed(step(seq_low, seq_high));
    let venue_seq = next.wrapping_add_signed(step(venue_low, venue_high));
    let far = u64::MAX - 1;
    Record {
        seq: if flags & 1 == 0 { seq } else { far },
        kind,
        venue_seq: if flags & 2 == 0 { venue_seq } else { far },
        rx_ns: 0,
        payload,
    }
}

fn check<V: Venue>(channel: &Channel<V>, before: &StreamCounters, cursor: u64) {
    let books = channel.books();
    assert_eq!(books.check_invariants(), Ok(()));
    assert!(channel.cursor() >= cursor, "the cursor goes forward");
    assert!(books.order_count() <= books.config().max_orders);
    let prices = books.price_books();
    assert_eq!(prices.check_invariants(), Ok(()));
    assert!(books.suspect_count() <= books.len() + prices.len());
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
fn restored<V: Venue>(channel: &Channel<V>, protocol: &Protocol<V>) -> Channel<V> {
    let bytes = saved(channel);
    let restored = snapshot::decode(&bytes, (protocol.venue)()).expect("our own snapshot");
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

/// Books that both believe are equal.
fn compare_good(books: &Books, twin: &Books) {
    for book in books.iter().filter(|book| book.trust() == Trust::Good) {
        let same = twin
            .by_instrument(book.instrument())
            .map(|id| twin.view(id));
        let Some(same) = same.filter(|same| same.trust() == Trust::Good) else {
            continue;
        };
        assert_eq!(book.queue_sha256(), same.queue_sha256());
        assert_eq!(book.state_hash(), same.state_hash());
    }
    let prices = books.price_books().iter();
    for book in prices.filter(|book| books.price_trust(book) == Trust::Good) {
        let same = twin.price_books().get(book.instrument());
        let same = same.filter(|same| twin.price_trust(same) == Trust::Good);
        if let Some(same) = same {
            assert_eq!(book.state_hash(), same.state_hash());
        }
    }
}

fn saved<V: Venue>(channel: &Channel<V>) -> Vec<u8> {
    let mut bytes = Vec::new();
    channel.encode_snapshot(&LOG_ID, 7, &mut bytes);
    snapshot::seal(&mut bytes);
    bytes
}
