//! Real EOBI packets, when the folder with them lies beside the repository.

use std::path::PathBuf;

use tickdeck_wire::eobi::{Content, ContentError, Message, Order, Packet, Release, Side};

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

/// Proves that the real messages mean what they should: a book's order, a heartbeat, a snapshot with
/// negative prices, and an old ExecutionSummary that is refused while its neighbour is read.
#[test]
fn real_messages_are_decoded() {
    let Some(add) = contents("OrderAdd") else {
        return;
    };
    let order = |priority_ns, quantity, side, price| Order {
        priority_ns: Some(priority_ns),
        quantity,
        side,
        is_market: false,
        price: Some(price),
    };
    let resting = order(
        1_401_710_400_935_599_672,
        10_000,
        Side::Buy,
        996_150_000_000,
    );
    let expected = Content::OrderAdd {
        security_id: 566_988,
        order: resting,
    };
    assert_eq!(add, [Ok(expected)]);
    let heartbeat = contents("Heartbeat").unwrap();
    assert_eq!(
        heartbeat,
        [Ok(Content::Heartbeat {
            last_processed: 348
        })]
    );
    let prices: Vec<_> = contents("SnapshotOrder")
        .unwrap()
        .into_iter()
        .map(|content| match content {
            Ok(Content::SnapshotOrder(order)) => (order.quantity, order.price.unwrap()),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [-1_000_000_000, -1_050_000_000, -1_050_000_000];
    assert_eq!(prices, expected.map(|price| (500_000, price)));
    let old = contents("ExecutionSummary").unwrap();
    let wrong = ContentError::WrongLength {
        name: "ExecutionSummary",
        expected: 64,
        actual: 56,
        release: Release::V6_0,
    };
    assert_eq!(old[0], Err(wrong));
    assert!(matches!(old[1], Ok(Content::PartialOrderExecution(_))));
}

/// Proves that a real product's snapshot says what it is of and that its orders are counted.
#[test]
fn a_real_snapshot_is_decoded() {
    let Some(summary) = contents("ProductSummary") else {
        return;
    };
    assert_eq!(summary.len(), 5);
    assert_eq!(
        summary[0],
        Ok(Content::ProductSummary { last_processed: 26 })
    );
    for instrument in &summary[1..] {
        let is_empty = matches!(instrument, Ok(Content::InstrumentSummary { orders: 0, .. }));
        assert!(is_empty, "{instrument:?}");
    }
}

/// What the messages of a real packet say.
fn contents(name: &str) -> Option<Vec<Result<Content, ContentError>>> {
    let capture = data(&format!("{name}.pcap"))?;
    let packet = Packet::parse(udp_payload(&capture), Release::V6_0).unwrap();
    let content = |message: Message<'_>| message.content(Release::V6_0);
    Some(packet.messages().map(content).collect())
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
