//! Properties of the EOBI codec over any bytes and any values, and golden messages of 14.1.
//!
//! No public capture of release 14.1 is known, so its packets here are from our own encoder; the
//! layouts under it are the exchange's.

use proptest::collection::vec;
use proptest::prelude::*;
use tickdeck_wire::eobi::{
    AuctionBbo, Content, ContentError, Execution, HEADER_LEN, Header, InstrumentSummary, Leg,
    Order, Packet, PacketBuilder, ProductSummary, Release, Side, StateEntry, layout,
};

/// Proves that the table of a release has the ids in order, each once, and lengths that fit a
/// datagram.
#[test]
fn the_tables_are_in_order() {
    for (release, count) in [(Release::V6_0, 23), (Release::V14_1, 27)] {
        let found: Vec<_> = (0..=u16::MAX).filter_map(|id| release.layout(id)).collect();
        assert_eq!(found.len(), count);
        for layout in found {
            assert_eq!(release.layout(layout.template_id), Some(layout));
            assert!(layout.fixed_len <= layout.body_len && layout.body_len % 8 == 0);
            assert!(layout.body_len + HEADER_LEN <= tickdeck_wire::eobi::MAX_DATAGRAM_LEN);
        }
    }
    let group = layout::v14_1::instrument_summary::MD_INSTRUMENT_ENTRY_GRP;
    assert_eq!((group.at, group.entry_len, group.most), (64, 32, 18));
}

/// Proves the bytes of an order of 14.1: quantity and price are eight bytes, in their units.
#[test]
fn a_golden_order_add_is_read() {
    let mut body = [0_u8; 56];
    body[..8].copy_from_slice(&[0x38, 0x00, 0x2C, 0x33, 0x05, 0, 0, 0]);
    body[8..16].copy_from_slice(&[0xFF; 8]); // RequestTime: none
    body[16..24].copy_from_slice(&566_988_i64.to_le_bytes());
    body[24..32].copy_from_slice(&1_700_000_000_000_000_001_u64.to_le_bytes());
    body[32..40].copy_from_slice(&25_000_i64.to_le_bytes()); // 2.5
    body[40] = 2;
    body[41] = 0xFF;
    body[42] = 0x80;
    body[48..56].copy_from_slice(&(-150_000_000_i64).to_le_bytes()); // -1.5
    let mut bytes = built(Release::V14_1, &[Content::Heartbeat { last_processed: 1 }]);
    bytes.truncate(HEADER_LEN);
    bytes.extend_from_slice(&body);
    let packet = Packet::parse(&bytes, Release::V14_1).unwrap();
    let message = packet.messages().next().unwrap();
    assert_eq!(message.msg_seq_num(), Some(5));
    let order = Order {
        priority_ns: Some(1_700_000_000_000_000_001),
        quantity: 25_000,
        side: Side::Sell,
        is_market: false,
        price: Some(-150_000_000),
    };
    let expected = Content::OrderAdd {
        security_id: 566_988,
        order,
    };
    assert_eq!(message.content(Release::V14_1), Ok(expected));
}

proptest! {
    /// Proves that any bytes are refused or a packet that accounts for every byte, and that asking
    /// for its contents never panics.
    #[test]
    fn any_bytes_are_refused_or_read(bytes in vec(any::<u8>(), 0..200)) {
        check(&bytes)?;
    }

    /// Proves the same for bytes that look like a packet: known templates, lengths near theirs,
    /// any fields.
    #[test]
    fn nearly_right_packets_are_refused_or_read(
        messages in vec((0..27_usize, -1_i32..=1, any::<u64>()), 1..6),
        fill: u8,
        cut in 0_usize..3,
    ) {
        let mut bytes = built(Release::V14_1, &[Content::Heartbeat { last_processed: 1 }]);
        bytes.truncate(HEADER_LEN);
        for (row, off, noise) in messages {
            let layout = layout::v14_1::MESSAGES[row];
            let length = layout.fixed_len.saturating_add_signed(off as isize * 8);
            let start = bytes.len();
            bytes.resize(start + length, fill);
            bytes[start..start + 2].copy_from_slice(&(length as u16).to_le_bytes());
            bytes[start + 2..start + 4].copy_from_slice(&layout.template_id.to_le_bytes());
            let noisy = start + 8 + (noise as usize >> 8) % length.saturating_sub(8).max(1);
            if noisy < bytes.len() {
                bytes[noisy] = noise as u8;
            }
        }
        bytes.truncate(bytes.len() - cut);
        check(&bytes)?;
    }

    /// Proves that what the builder wrote is what the reader finds, in both releases.
    #[test]
    fn contents_round_trip(
        release in prop_oneof![Just(Release::V6_0), Just(Release::V14_1)],
        contents in vec(any_content(), 1..8),
    ) {
        let bytes = built(release, &contents);
        let packet = Packet::parse(&bytes, release).unwrap();
        prop_assert_eq!((packet.sequence(), packet.market_segment_id()), (77, -5));
        prop_assert_eq!((packet.partition_id(), packet.transact_time_ns()), (3, 1 << 60));
        prop_assert!(packet.completes() && packet.resets());
        let mut read = 0;
        for (number, (message, content)) in packet.messages().zip(&contents).enumerate() {
            prop_assert_eq!(message.content(release), Ok(*content));
            prop_assert_eq!(message.msg_seq_num(), Some(number as u32));
            read += 1;
        }
        prop_assert_eq!(packet.messages().count(), read);
        prop_assert!(read > 0);
    }
}

/// Proves for every template of both releases that whatever its bytes are it is refused or read, and
/// that what was read is what is read again after the builder wrote it; with every length from
/// nothing to beyond the longest.
#[test]
fn every_template_survives_any_bytes() {
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    for release in Release::ALL {
        for template_id in (0..u16::MAX).filter(|id| release.layout(*id).is_some()) {
            let layout = release.layout(template_id).expect("it was just found");
            let mut read = 0;
            for round in 0..400 {
                let body = noise.body(template_id, layout.body_len, round);
                read += u32::from(reads_again(release, &body));
            }
            // Sides and counters are seldom right by chance, but often enough.
            assert!(read > 10, "{release} {template_id}: {read}");
            for len in 8..layout.body_len + 9 {
                let body = noise.body(template_id, len, len);
                reads_again(release, &body);
            }
        }
    }
}

/// Proves that a group's counter above what the group, or the message, may hold is an error of its
/// message, that fewer entries than the group's least are read, and that none behind the counted
/// ones is.
#[test]
fn counters_are_not_believed() {
    let legs = [1, 2, 3].map(|security_id| Leg {
        security_id,
        side: Some(Side::Sell),
        ..Leg::default()
    });
    let complex = tickdeck_wire::eobi::AddComplexInstrument {
        security_id: 9,
        description: b"FDAX calendar",
        legs: tickdeck_wire::eobi::Entries::of(&legs),
        ..tickdeck_wire::eobi::AddComplexInstrument::default()
    };
    for (release, counter) in [(Release::V6_0, 30), (Release::V14_1, 76)] {
        let mut bytes = built(release, &[Content::AddComplexInstrument(complex)]);
        for (count, expected) in [
            (3, Some(3)),
            (1, Some(1)),
            (0, Some(0)),
            (21, None),
            (255, None),
        ] {
            bytes[HEADER_LEN + counter] = count;
            let packet = Packet::parse(&bytes, release).unwrap();
            match packet.messages().next().unwrap().content(release) {
                Ok(Content::AddComplexInstrument(read)) => {
                    assert_eq!(Some(read.legs.len()), expected);
                    let ids = read.legs.iter().map(|leg| leg.security_id);
                    assert!(ids.eq(1..=i64::from(count)), "{read:?}");
                    let has_text = release == Release::V14_1;
                    assert_eq!(read.description.len(), if has_text { 13 } else { 0 });
                }
                Err(ContentError::NoValue { field, .. }) => {
                    assert_eq!((expected, field), (None, "INSTRMT_LEG_GRP"));
                }
                other => panic!("{other:?}"),
            }
        }
        // A message that ends within its counted entries.
        let cut = HEADER_LEN + release.layout(13_400).unwrap().fixed_len + 8;
        bytes.truncate(cut);
        bytes[HEADER_LEN..HEADER_LEN + 2]
            .copy_from_slice(&((cut - HEADER_LEN) as u16).to_le_bytes());
        bytes[HEADER_LEN + counter] = 1;
        let packet = Packet::parse(&bytes, release).unwrap();
        let content = packet.messages().next().unwrap().content(release);
        assert_eq!(content.unwrap_err().reason(), "no_value");
    }
    assert_eq!(StateEntry::default().security_id, 0);
}

/// Whether a message of these bytes is read; it must then be read again from what the builder makes
/// of it, and never panic otherwise.
fn reads_again(release: Release, body: &[u8]) -> bool {
    let mut bytes = built(release, &[]);
    bytes.extend_from_slice(body);
    let Ok(packet) = Packet::parse(&bytes, release) else {
        return false;
    };
    let message = packet.messages().next().expect("a message");
    let Ok(content) = message.content(release) else {
        return false;
    };
    let again = built(release, &[content]);
    let packet = Packet::parse(&again, release).expect("a packet of our own");
    let message = packet.messages().next().expect("a message");
    assert_eq!(message.content(release), Ok(content));
    true
}

/// Bytes that nobody chose, the same each time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A message whose bytes are small, none, or anything.
    fn body(&mut self, template_id: u16, len: usize, round: usize) -> Vec<u8> {
        let mut body: Vec<u8> = (0..len)
            .map(|_| match (self.next() % 8, round % 3) {
                (0..6, 0 | 1) => 1 + (self.next() % 2) as u8,
                (6, 1) => 0xFF,
                (_, 2) => self.next() as u8,
                _ => 0,
            })
            .collect();
        body[..2].copy_from_slice(&(len as u16).to_le_bytes());
        body[2..4].copy_from_slice(&template_id.to_le_bytes());
        body
    }
}

/// Contents in a packet, as many as fit.
fn built(release: Release, contents: &[Content<'_>]) -> Vec<u8> {
    let mut builder = PacketBuilder::new(release);
    builder.begin(Header {
        sequence: 77,
        market_segment_id: -5,
        partition_id: 3,
        completes: true,
        resets: true,
        transact_time_ns: 1 << 60,
    });
    for (number, content) in contents.iter().enumerate() {
        if !builder.push(content, Some(number as u32)) {
            break;
        }
    }
    builder.finish().to_vec()
}

fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    for release in Release::ALL {
        let Ok(packet) = Packet::parse(bytes, release) else {
            continue;
        };
        let held: usize = packet.messages().map(|message| message.body().len()).sum();
        prop_assert_eq!(HEADER_LEN + held, bytes.len());
        for message in packet.messages() {
            let known = release.layout(message.template_id());
            match message.content(release) {
                Ok(_) => prop_assert!(known.unwrap().fits(message.body().len())),
                Err(error) => prop_assert!(!error.reason().is_empty()),
            }
        }
    }
    Ok(())
}

fn any_content() -> impl Strategy<Value = Content<'static>> {
    let order = (
        any_time(),
        0..=i64::from(i32::MAX),
        any::<bool>(),
        any_price(),
    )
        .prop_map(|(priority_ns, quantity, is_buy, price)| Order {
            priority_ns,
            quantity: quantity * layout::QUANTITY_SCALE,
            side: if is_buy { Side::Buy } else { Side::Sell },
            is_market: price.is_none(),
            price,
        });
    (
        0..12,
        -9_i64..i64::MAX,
        order,
        any_time(),
        any_price(),
        any::<u32>(),
    )
        .prop_map(|(kind, security_id, order, time, price, number)| {
            let execution = Execution {
                security_id,
                side: order.side,
                priority_ns: time,
                price,
                last_quantity: order.quantity,
                last_price: order.price,
                match_id: (number < u32::MAX).then_some(number),
            };
            let last_processed = number.min(u32::MAX - 1);
            match kind {
                0 => Content::Heartbeat { last_processed },
                1 => Content::OrderAdd { security_id, order },
                2 => Content::OrderModify {
                    security_id,
                    previous_priority_ns: time,
                    previous_price: price,
                    previous_quantity: order.quantity,
                    order,
                },
                3 => Content::OrderModifySamePriority {
                    security_id,
                    previous_quantity: order.quantity,
                    order,
                },
                4 => Content::OrderDelete { security_id, order },
                5 => Content::OrderMassDelete { security_id },
                6 => Content::FullOrderExecution(execution),
                7 => Content::PartialOrderExecution(execution),
                8 => Content::AuctionBbo(AuctionBbo {
                    security_id,
                    bid_price: price,
                    bid_quantity: Some(order.quantity),
                    ..AuctionBbo::default()
                }),
                9 => Content::ProductSummary(ProductSummary {
                    last_processed,
                    ..ProductSummary::default()
                }),
                10 => Content::InstrumentSummary(InstrumentSummary {
                    security_id,
                    orders: (number as u16).min(u16::MAX - 1),
                    ..InstrumentSummary::default()
                }),
                _ => Content::SnapshotOrder(order),
            }
        })
}

fn any_time() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![Just(None), (0..u64::MAX).prop_map(Some)]
}

fn any_price() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![Just(None), (i64::MIN + 1..=i64::MAX).prop_map(Some)]
}
