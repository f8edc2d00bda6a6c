//! Properties of the EOBI codec over any bytes and any values, and golden messages of 14.1.
//!
//! No public capture of release 14.1 is known, so its packets here are from our own encoder; the
//! layouts under it are the exchange's.

use proptest::collection::vec;
use proptest::prelude::*;
use tickdeck_wire::eobi::{
    Content, Execution, HEADER_LEN, Header, Order, Packet, PacketBuilder, Release, Side, layout,
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

/// Contents in a packet, as many as fit.
fn built(release: Release, contents: &[Content]) -> Vec<u8> {
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

fn any_content() -> impl Strategy<Value = Content> {
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
                8 => Content::AuctionBbo {
                    security_id,
                    bid: price.map(|price| (price, order.quantity)),
                    offer: order.price.map(|price| (price, order.quantity)),
                },
                9 => Content::ProductSummary { last_processed },
                10 => Content::InstrumentSummary {
                    security_id,
                    orders: (number as u16).min(u16::MAX - 1),
                },
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
