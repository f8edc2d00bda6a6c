//! Real EOBI packets, when the folder with them lies beside the repository.

use std::path::PathBuf;

use tickdeck_wire::eobi::{
    Content, ContentError, Execution, InstrumentSummary, Order, Packet, ProductSummary, Release,
    Side,
};

/// TemplateID and BodyLen of each message.
type Lengths = &'static [(u16, usize)];

/// Proves that the real packets of release 6.0 are stepped to their last byte and hold what their
/// names say, also where a message is older than the release: the ExecutionSummary of 2014 has 56
/// bytes where 6.0 has 64, and the execution behind it is reached by its BodyLen.
#[test]
fn real_packets_are_read() {
    let expected: [(&str, i32, Lengths); 10] = [
        ("ExecutionSummary", 675, &[(13_202, 56), (13_105, 56)]),
        ("FullOrderExecution", 689, &[(13_104, 56), (13_100, 48)]),
        ("Heartbeat", 12_399, &[(13_001, 16)]),
        ("InstrumentSummary", 604, &[(13_601, 280)]),
        ("OrderAdd", 589, &[(13_100, 48)]),
        ("OrderDelete.13102.matthewnam", 589, &[(13_102, 56)]),
        ("OrderModify", 688, &[(13_101, 72)]),
        ("PartialOrderExecution", 688, &[(13_202, 56), (13_105, 56)]),
        (
            "ProductSummary",
            603,
            &[
                (13_600, 24),
                (13_601, 280),
                (13_601, 280),
                (13_601, 280),
                (13_601, 280),
            ],
        ),
        (
            "SnapshotOrder",
            589,
            &[(13_602, 32), (13_602, 32), (13_602, 32)],
        ),
    ];
    for (name, product, messages) in expected {
        let Some(capture) = data(&format!("{name}.pcap")) else {
            return;
        };
        let packet = Packet::parse(udp_payload(&capture), Release::V6_0).unwrap();
        assert_eq!(packet.market_segment_id(), product, "{name}");
        let found: Vec<_> = packet
            .messages()
            .map(|message| (message.template_id(), message.body().len()))
            .collect();
        assert_eq!(found, messages, "{name}");
    }
}

/// Proves the values of every field that a real order message has here, in each of its packets.
#[test]
fn real_orders_are_decoded() {
    if data("OrderAdd.pcap").is_none() {
        return;
    }
    let bund = order(1_401_710_400_935_599_672, 1, Side::Buy, 996_150_000_000);
    only(
        "OrderAdd",
        &[Content::OrderAdd {
            security_id: 566_988,
            order: bund,
        }],
    );
    let deleted = Order {
        priority_ns: Some(1_401_710_400_831_004_769),
        ..bund
    };
    only(
        "OrderDelete.13102.matthewnam",
        &[Content::OrderDelete {
            security_id: 566_988,
            order: deleted,
        }],
    );
    only(
        "OrderModify",
        &[Content::OrderModify {
            security_id: 558_044,
            previous_priority_ns: Some(1_401_710_400_922_006_415),
            previous_price: Some(14_692_000_000),
            previous_quantity: 10_000,
            order: order(1_401_710_400_938_397_707, 1, Side::Sell, 14_693_000_000),
        }],
    );
    only(
        "FullOrderExecution",
        &[
            Content::FullOrderExecution(Execution {
                security_id: 558_045,
                side: Side::Sell,
                priority_ns: Some(1_401_710_401_442_488_450),
                price: Some(12_684_000_000),
                last_quantity: 60_000,
                last_price: Some(12_684_000_000),
                match_id: Some(8_479),
            }),
            Content::OrderAdd {
                security_id: 558_045,
                order: order(1_401_710_401_563_711_828, 10, Side::Buy, 12_684_000_000),
            },
        ],
    );
}

/// Proves the trap of the samples: their ExecutionSummary is older than 6.0 and has 56 bytes where
/// 6.0 has 64. It is refused by its length, and the execution behind it in the same datagram is
/// reached by BodyLen and read.
#[test]
fn an_older_execution_summary_is_skipped_by_its_length() {
    let executions = [
        (
            "ExecutionSummary",
            Execution {
                security_id: 567_008,
                side: Side::Buy,
                priority_ns: Some(1_401_704_372_623_550_414),
                price: Some(324_700_000_000),
                last_quantity: 10_000,
                last_price: Some(324_700_000_000),
                match_id: Some(11_711),
            },
        ),
        (
            "PartialOrderExecution",
            Execution {
                security_id: 558_044,
                side: Side::Buy,
                priority_ns: Some(1_401_710_402_720_407_013),
                price: Some(14_691_000_000),
                last_quantity: 10_000,
                last_price: Some(14_691_000_000),
                match_id: Some(14_766),
            },
        ),
    ];
    for (name, execution) in executions {
        let wrong = ContentError::WrongLength {
            name: "ExecutionSummary",
            expected: 64,
            actual: 56,
            release: Release::V6_0,
        };
        let is_there = with_contents(name, |contents| {
            assert_eq!(
                contents,
                [Err(wrong), Ok(Content::PartialOrderExecution(execution))]
            );
        });
        if !is_there {
            return;
        }
    }
}

/// Proves the values of a real heartbeat and of real snapshots: a product, its instruments without
/// orders, statistics that are none, and orders with negative prices.
#[test]
fn real_snapshots_are_decoded() {
    if data("Heartbeat.pcap").is_none() {
        return;
    }
    only(
        "Heartbeat",
        &[Content::Heartbeat {
            last_processed: 348,
        }],
    );
    only(
        "SnapshotOrder",
        &[
            Content::SnapshotOrder(order(
                1_399_559_577_503_089_708,
                50,
                Side::Buy,
                -1_000_000_000,
            )),
            Content::SnapshotOrder(order(
                1_397_740_132_434_524_298,
                50,
                Side::Buy,
                -1_050_000_000,
            )),
            Content::SnapshotOrder(order(
                1_397_740_164_872_851_926,
                50,
                Side::Buy,
                -1_050_000_000,
            )),
        ],
    );
    let summary = |security_id, last_update_time_ns| {
        Content::InstrumentSummary(InstrumentSummary {
            security_id,
            last_update_time_ns: Some(last_update_time_ns),
            trading_status: Some(203),
            security_status: Some(1),
            market_condition: Some(0),
            fast_market: Some(0),
            ..InstrumentSummary::default()
        })
    };
    only(
        "InstrumentSummary",
        &[summary(0x0100_025C_0000_0026, 1_512_371_100_015_095_236)],
    );
    let product = Content::ProductSummary(ProductSummary {
        last_processed: 26,
        session: Some(1),
        sub_session: Some(3),
        session_status: Some(2),
        market_condition: None,
        fast_market: Some(0),
        tes_session_status: None,
    });
    let instruments = [272_687, 661_036, 1_062_766, 1_548_096];
    let instruments = instruments.map(|id| summary(id, 1_512_372_600_104_055_833));
    only("ProductSummary", &[&[product][..], &instruments].concat());
}

/// An order of whole lots, as it is in the book.
fn order(priority_ns: u64, lots: i64, side: Side, price: i64) -> Order {
    Order {
        priority_ns: Some(priority_ns),
        quantity: lots * 10_000,
        side,
        is_market: false,
        price: Some(price),
    }
}

/// Requires that a packet says exactly this.
fn only(name: &str, expected: &[Content<'_>]) {
    with_contents(name, |contents| {
        let expected: Vec<_> = expected.iter().copied().map(Ok).collect();
        assert_eq!(contents, expected, "{name}");
    });
}

/// Hands what the messages of a real packet say to `check`; false when the folder is not there.
fn with_contents(name: &str, check: impl FnOnce(&[Result<Content<'_>, ContentError>])) -> bool {
    let Some(capture) = data(&format!("{name}.pcap")) else {
        return false;
    };
    let packet = Packet::parse(udp_payload(&capture), Release::V6_0).unwrap();
    let messages = packet.messages();
    let contents: Vec<_> = messages
        .map(|message| message.content(Release::V6_0))
        .collect();
    check(&contents);
    true
}

/// The file's bytes; `None`, with the reason printed, when the folder is not there.
fn data(name: &str) -> Option<Vec<u8>> {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folder = manifest.join("../../../../shared/data/eobi/packets_v6.0");
    if !folder.is_dir() {
        println!("skipped: no real EOBI packets at {}", folder.display());
        return None;
    }
    Some(std::fs::read(folder.join(name)).unwrap())
}

/// The payload of the first frame of a little-endian pcap: Ethernet without tags, IPv4, UDP.
fn udp_payload(capture: &[u8]) -> &[u8] {
    let ip = &capture[24 + 16 + 14..];
    let udp = &ip[usize::from(ip[0] & 0x0f) * 4..];
    &udp[8..usize::from(u16::from_be_bytes([udp[4], udp[5]]))]
}
