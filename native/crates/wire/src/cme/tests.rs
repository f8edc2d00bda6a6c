//! Golden bytes and the reason for each kind of bad packet or message.

use super::layout::{Dimension, LAYOUTS, MAX_GROUPS, layout_of, v6, v9};
use super::*;

/// Packet 258: a heartbeat, then one price entry of instrument 7 with RptSeq 9 and one order
/// behind it.
#[rustfmt::skip]
const GOLDEN: &[u8] = &[
    2, 1, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1,
    // Heartbeat: MsgSize 10, no block, template 12, schema 1, version 9.
    10, 0, 0, 0, 12, 0, 1, 0, 9, 0,
    // Template 46: 10 + 11 + 3 + 32 + 8 + 24 = 88 bytes.
    88, 0, 11, 0, 46, 0, 1, 0, 9, 0,
    1, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0,
    32, 0, 1,
    100, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 1, 0, b'0', 0, 0, 0, 0, 0,
    24, 0, 0, 0, 0, 0, 0, 1,
    11, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0,
];

const PRICE: PriceChange = PriceChange {
    price: 100,
    size: 5,
    security_id: 7,
    rpt_seq: 9,
    orders: 2,
    level: 1,
    action: 0,
    kind: b'0',
};

const ORDER: OrderChange = OrderChange {
    order_id: 11,
    priority: 12,
    price: 100,
    quantity: 5,
    security_id: 7,
    action: 0,
    kind: b'0',
};

const HEAD: SnapshotHead = SnapshotHead {
    last_msg_seq_num_processed: 300,
    total_reports: 2,
    security_id: -7,
};

const LEVEL: SnapshotLevel = SnapshotLevel {
    price: 100,
    size: 5,
    orders: 2,
    level: 1,
    kind: b'1',
};

const SNAPSHOT_ORDER: SnapshotOrder = SnapshotOrder {
    order_id: 11,
    priority: 12,
    price: 100,
    quantity: 5,
    kind: b'1',
};

/// Changes bytes of the golden packet.
fn with(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = GOLDEN.to_vec();
    changes.iter().for_each(|(at, byte)| bytes[*at] = *byte);
    bytes
}

/// The last message of a packet.
fn last(bytes: &[u8]) -> Message<'_> {
    Packet::parse(bytes).unwrap().messages().last().unwrap()
}

/// Instrument, RptSeq and length of the entries by price.
fn updates_of(message: &Message<'_>) -> Vec<(i32, u32, usize)> {
    let updates = message.rpt_seqs().unwrap();
    let parts = |update: Update<'_>| (update.security_id, update.rpt_seq, update.entry.len());
    updates.map(parts).collect()
}

/// Instruments of the entries by order.
fn orders_of(message: &Message<'_>) -> Vec<i32> {
    let orders = message.order_updates().unwrap();
    orders.map(|order| order.security_id).collect()
}

/// Proves that views read every field at its offset.
#[test]
fn a_golden_packet_is_read() {
    let packet = Packet::parse(GOLDEN).unwrap();
    assert_eq!(packet.sequence(), 258);
    assert_eq!(packet.sending_time_ns(), 0x0102_0304_0506_0708);
    assert!(!packet.is_heartbeat() && !packet.resets_channel());
    let ids: Vec<_> = packet
        .messages()
        .map(|message| message.template_id())
        .collect();
    assert_eq!(ids, [12, 46]);
    let book = packet.messages().last().unwrap();
    assert_eq!((book.root().len(), book.version()), (11, 9));
    assert_eq!(updates_of(&book), [(7, 9, 32)]);
    assert_eq!(orders_of(&book), [7]);
}

/// Proves that the builder writes the golden bytes, and again after another packet.
#[test]
fn the_builder_writes_the_golden_packet() {
    let mut builder = PacketBuilder::new(GOLDEN.len());
    builder.begin(9, 9);
    assert!(builder.channel_reset(3));
    builder.begin(258, 0x0102_0304_0506_0708);
    assert!(builder.heartbeat());
    assert!(builder.book(template::BOOK_9, 1, &[PRICE], &[(0, ORDER)]));
    assert!(!builder.heartbeat(), "it is full");
    assert_eq!(builder.finish(), GOLDEN);
}

/// Proves that heartbeat and channel reset are told, and that a packet without messages counts as
/// one that only lives.
#[test]
fn heartbeat_and_reset_are_told() {
    let mut builder = PacketBuilder::new(1_400);
    builder.begin(1, 1);
    assert!(Packet::parse(builder.finish()).unwrap().is_heartbeat());
    assert!(builder.heartbeat());
    assert!(Packet::parse(builder.finish()).unwrap().is_heartbeat());
    assert!(builder.channel_reset(3));
    let packet = Packet::parse(builder.finish()).unwrap();
    assert!(packet.resets_channel() && !packet.is_heartbeat());
    assert_eq!(last(builder.finish()).groups().unwrap().first().len(), 1);
}

/// Proves that volume and a book by order are written where they are read.
#[test]
fn volume_and_orders_are_read() {
    let mut builder = PacketBuilder::new(1_400);
    builder.begin(1, 1);
    assert!(builder.volume(3, -7, 41, 1_000));
    assert_eq!(updates_of(&last(builder.finish())), [(-7, 41, 16)]);
    assert!(builder.order_book(3, &[ORDER, ORDER]));
    assert_eq!(orders_of(&last(builder.finish())), [7, 7]);
    assert_eq!(updates_of(&last(builder.finish())), []);
}

/// Proves that both kinds of snapshot come back with every number, and only from their templates.
#[test]
fn snapshots_are_read() {
    let mut builder = PacketBuilder::new(1_400);
    builder.begin(1, 1);
    assert!(builder.snapshot(HEAD, 40, 3, &[LEVEL, LEVEL]));
    assert!(builder.order_snapshot(HEAD, (2, 3), 3, &[SNAPSHOT_ORDER]));
    let packet = Packet::parse(builder.finish()).unwrap();
    let messages: Vec<_> = packet.messages().collect();
    let by_price = PriceSnapshot::read(&messages[0]).unwrap().unwrap();
    assert_eq!(
        (by_price.last_msg_seq_num_processed, by_price.total_reports),
        (300, 2)
    );
    assert_eq!((by_price.security_id, by_price.rpt_seq), (-7, 40));
    assert_eq!(by_price.entries.len(), 2);
    let by_order = OrderSnapshot::read(&messages[1]).unwrap().unwrap();
    assert_eq!(
        (by_order.last_msg_seq_num_processed, by_order.total_reports),
        (300, 2)
    );
    assert_eq!((by_order.chunk, by_order.chunks), (2, 3));
    assert_eq!((by_order.security_id, by_order.entries.len()), (-7, 1));
    assert!(PriceSnapshot::read(&messages[1]).unwrap().is_none());
    assert!(OrderSnapshot::read(&messages[0]).unwrap().is_none());
    builder.begin(2, 2);
    assert!(builder.order_snapshot(HEAD, (4, 3), 3, &[]));
    let error = OrderSnapshot::read(&last(builder.finish())).unwrap_err();
    assert_eq!(error.reason(), "contradiction");
}

/// Proves that a packet cut at any byte is refused, except between two messages.
#[test]
fn a_packet_cut_anywhere_is_refused() {
    for end in 0..GOLDEN.len() {
        let error = Packet::parse(&GOLDEN[..end]).err();
        let reason = match end {
            0..12 => Some("truncated"),
            12 | 22 => None,
            13..22 | 23..32 => Some("trailing_bytes"),
            _ => Some("message_beyond_end"),
        };
        assert_eq!(error.map(|error| error.reason()), reason, "cut at {end}");
    }
}

/// Proves that each broken rule of the packet has its reason.
#[test]
fn each_broken_rule_of_a_packet_has_its_reason() {
    let refused = |changes: &[(usize, u8)]| Packet::parse(&with(changes)).unwrap_err();
    assert_eq!(refused(&[(0, 0), (1, 0)]), PacketError::ZeroSequence);
    let error = PacketError::WrongSchema {
        offset: 22,
        schema_id: 2,
    };
    assert_eq!(refused(&[(28, 2)]), error);
    let error = PacketError::BlockBeyondMessage {
        offset: 12,
        size: 10,
        needed: 11,
    };
    assert_eq!(refused(&[(14, 1)]), error);
    // A MsgSize of 0 must not stop the walk for ever.
    let error = PacketError::BlockBeyondMessage {
        offset: 12,
        size: 0,
        needed: 10,
    };
    assert_eq!(refused(&[(12, 0)]), error);
    let error = PacketError::MessageBeyondEnd {
        offset: 22,
        needed: 89,
        available: 88,
    };
    assert_eq!(refused(&[(22, 89)]), error);
    let error = PacketError::TrailingBytes {
        offset: 109,
        extra: 1,
    };
    assert_eq!(refused(&[(22, 87)]), error);
}

/// Proves that each broken rule of a message has its reason, and costs only that message.
#[test]
fn each_broken_rule_of_a_message_has_its_reason() {
    let reason = |changes: &[(usize, u8)]| {
        let bytes = with(changes);
        last(&bytes).groups().err().map(|error| error.reason())
    };
    assert_eq!(reason(&[]), None);
    assert_eq!(reason(&[(26, 99)]), Some("unknown_template"));
    assert_eq!(reason(&[(24, 10)]), Some("short_block"), "root block");
    assert_eq!(reason(&[(43, 31)]), Some("short_block"), "price entry");
    assert_eq!(reason(&[(45, 3)]), Some("group_beyond_message"), "prices");
    assert_eq!(reason(&[(85, 2)]), Some("group_beyond_message"), "orders");
    assert_eq!(reason(&[(85, 0)]), Some("trailing_bytes"));
    assert_eq!(
        reason(&[(85, 0), (30, 10)]),
        None,
        "a newer version may add"
    );
    let bytes = with(&[(106, 2)]);
    let error = last(&bytes)
        .order_updates()
        .err()
        .map(|error| error.reason());
    assert_eq!(error, Some("contradiction"), "a reference to entry 2 of 1");
    let bytes = with(&[(106, 255)]);
    assert_eq!(last(&bytes).order_updates().unwrap().count(), 0, "null");
    let bytes = with(&[(26, 99)]);
    assert_eq!(last(&bytes).rpt_seqs().unwrap().count(), 0);
    assert_eq!(last(&bytes).order_updates().unwrap().count(), 0);
}

/// Proves that blocks that are longer than known are stepped over by the wire's lengths.
#[test]
fn longer_blocks_are_stepped_over() {
    // A root block of 13 and a price entry of 35 bytes.
    let mut bytes = GOLDEN.to_vec();
    bytes.splice(78..78, [0xEE; 3]);
    bytes[43] = 35;
    bytes.splice(43..43, [0xEE; 2]);
    (bytes[24], bytes[22]) = (13, 93);
    let book = last(&bytes);
    assert_eq!(updates_of(&book), [(7, 9, 35)]);
    assert_eq!(orders_of(&book), [7]);
}

/// Proves that a message of version 6, which has no second group, is read.
#[test]
fn a_missing_last_group_is_no_error() {
    let mut bytes = GOLDEN[..78].to_vec();
    (bytes[22], bytes[30], bytes[26]) = (56, 6, 32);
    let book = last(&bytes);
    assert_eq!(book.rpt_seqs().unwrap().count(), 1);
    assert_eq!(book.order_updates().unwrap().count(), 0);
}

/// Proves that what does not fit a packet or a group's count is refused and changes nothing.
#[test]
fn the_builder_refuses_what_does_not_fit() {
    let mut builder = PacketBuilder::new(60_000);
    builder.begin(258, 1);
    assert!(!builder.order_book(1, &[ORDER; 256]));
    assert_eq!(builder.finish().len(), HEADER_LEN);
    assert!(builder.order_book(1, &[ORDER; 255]));
    assert_eq!(last(builder.finish()).order_updates().unwrap().count(), 255);
    let len = builder.finish().len();
    let mut small = PacketBuilder::new(len - 1);
    small.begin(258, 1);
    assert!(!small.order_book(1, &[ORDER; 255]));
}

/// Proves that the table of layouts is in order and finds each, and that no more groups are named
/// than a message can have here.
#[test]
fn every_template_is_found() {
    assert!(LAYOUTS.is_sorted_by_key(|layout| layout.template_id));
    for template_id in 0..=u16::MAX {
        let row = LAYOUTS.iter().find(|row| row.template_id == template_id);
        assert_eq!(layout_of(template_id), row, "{template_id}");
        assert!(row.is_none_or(|row| row.groups.len() <= MAX_GROUPS));
    }
}

/// Proves that version 9 only appends to version 6, so that its layouts read both.
#[test]
fn the_newer_version_only_appends() {
    let mut dropped = Vec::new();
    for older in v6::MESSAGES {
        let newer = v9::MESSAGES
            .iter()
            .find(|m| m.template_id == older.template_id);
        let Some(newer) = newer else {
            dropped.push(older.template_id);
            continue;
        };
        assert_eq!(
            (older.name, older.root_len),
            (newer.name, newer.root_len),
            "{newer:?}"
        );
        for (old, new) in older.groups.iter().zip(newer.groups) {
            let of = |group: &layout::Group| (group.name, group.dimension, group.entry_len);
            assert_eq!(of(old), of(new), "{newer:?}");
        }
        assert!(older.groups.len() <= newer.groups.len());
    }
    assert_eq!(dropped, [template::TRADE]);
}

/// Proves that every place named by a layout lies in its block.
#[test]
fn layouts_are_within_their_blocks() {
    for layout in LAYOUTS {
        let entry = |index: usize| layout.groups.get(index).map_or(0, |group| group.entry_len);
        let first = [layout.rpt_seq, layout.order_security];
        assert!(first.iter().flatten().all(|offset| offset + 4 <= entry(0)));
        assert!(
            layout
                .order_reference
                .is_none_or(|offset| offset < entry(1))
        );
    }
    assert_eq!(
        (Dimension::Short.bytes(), Dimension::Aligned.bytes()),
        (3, 8)
    );
}
