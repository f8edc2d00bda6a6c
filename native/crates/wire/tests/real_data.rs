//! Real captures and files, when the folder with them lies beside the repository.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use tickdeck_wire::binaryfile::{Messages, Truncated};
use tickdeck_wire::itch50::{
    self, AddOrderFields, ImbalanceFields, ItchError, Message, Mpid, OrderDeleteFields,
    OrderExecutedFields, OrderReplaceFields, ParticipantPositionFields, Side, Stock,
    TradingActionFields,
};
use tickdeck_wire::moldudp64::{Packet, Session};

/// Proves that the first messages of a real NASDAQ day are read whole, each of a known type.
#[test]
fn the_opening_of_a_day_is_read() {
    let Some(bytes) = data("day_open_1000.itch") else {
        return;
    };
    let (kinds, cut) = kinds(&bytes);
    let expected = [(b'H', 3), (b'R', 993), (b'S', 1), (b'Y', 3)];
    assert_eq!((kinds, cut), (BTreeMap::from(expected), None));
}

/// Proves that a file that ends in a cut message gives every whole message, then says where.
#[test]
fn a_day_that_ends_in_a_cut_message_says_where() {
    let Some(bytes) = data("day_open_101.itch") else {
        return;
    };
    let (kinds, cut) = kinds(&bytes);
    let expected = [(b'H', 1), (b'R', 98), (b'S', 1), (b'Y', 1)];
    assert_eq!(kinds, BTreeMap::from(expected));
    let cut = cut.unwrap();
    assert_eq!((cut.available, cut.offset), (15, bytes.len() - 15));
}

/// Proves that a real order flow is read whole: every message, nothing refused.
#[test]
fn a_real_order_flow_is_read_whole() {
    let Some(bytes) = unzipped("es_mbo.itch.gz") else {
        return;
    };
    let (kinds, cut) = kinds(&bytes);
    let expected = [
        (b'A', 29_299),
        (b'D', 12_670),
        (b'E', 6_364),
        (b'H', 1),
        (b'R', 1),
        (b'S', 6),
        (b'U', 9_904),
        (b'X', 1_362),
    ];
    assert_eq!((kinds, cut), (BTreeMap::from(expected), None));
}

/// Proves that messages of a wrong length cost only themselves: this file's writer put a symbol of
/// ten characters where eight belong, so its R, H, A and P are two bytes too long.
#[test]
fn messages_of_a_wrong_length_are_refused_one_by_one() {
    let Some(bytes) = unzipped("goog_lobster.itch.gz") else {
        return;
    };
    let (mut read, mut refused) = (0, 0);
    for message in Messages::new(&bytes) {
        match itch50::parse(message.unwrap()) {
            Ok(message) => {
                assert!(
                    matches!(message.kind(), b'S' | b'D' | b'E' | b'X'),
                    "{message:?}"
                );
                read += 1;
            }
            Err(ItchError::WrongLength {
                kind,
                expected,
                actual,
            }) => {
                assert!(matches!(kind, b'R' | b'H' | b'A' | b'P') && actual == expected + 2);
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((read, refused), (77_950, 79_132));
}

/// Proves that each real packet of one message holds the message that its file is named after, with
/// the values that another reading of the bytes gave, and that encoding them gives the bytes again.
#[test]
fn real_packets_say_what_their_names_say() {
    let stock = |name: &str| name.parse::<Stock>().unwrap();
    check_packet("AddOrderNoMpidAttributionMessage", 14_757_721, |message| {
        let Message::AddOrder(add) = message else {
            return None;
        };
        let expected = AddOrderFields {
            stock_locate: 5_528,
            tracking_number: 0,
            timestamp_ns: 34_199_999_894_278,
            order_reference: 23_508_286,
            side: Side::Buy,
            shares: 1_600,
            stock: stock("IVOO"),
            price: 873_900,
        };
        Some((add.fields() == expected, expected.encode().to_vec()))
    });
    check_packet("MarketParticipantPositionMessage", 17_861_990, |message| {
        let Message::ParticipantPosition(position) = message else {
            return None;
        };
        let expected = ParticipantPositionFields {
            stock_locate: 3_731,
            tracking_number: 0,
            timestamp_ns: 34_224_494_802_989,
            mpid: Mpid(*b"MAXM"),
            stock: stock("FGMC"),
            primary_market_maker: b'Y',
            market_maker_mode: b'N',
            participant_state: b'A',
        };
        Some((position.fields() == expected, expected.encode().to_vec()))
    });
    check_packet("NetOrderImbalanceIndicatorMessage", 14_757_919, |message| {
        let Message::Imbalance(imbalance) = message else {
            return None;
        };
        let expected = ImbalanceFields {
            stock_locate: 6_462,
            tracking_number: 0,
            timestamp_ns: 34_200_000_268_978,
            paired_shares: 1,
            imbalance_shares: 0,
            imbalance_direction: b'N',
            stock: stock("MDC"),
            far_price: 464_400,
            near_price: 464_400,
            current_reference_price: 464_400,
            cross_type: b'O',
            price_variation_indicator: b'L',
        };
        Some((imbalance.fields() == expected, expected.encode().to_vec()))
    });
    check_packet("OrderDeleteMessage", 14_757_722, |message| {
        let Message::OrderDelete(delete) = message else {
            return None;
        };
        let expected = OrderDeleteFields {
            stock_locate: 3_517,
            tracking_number: 0,
            timestamp_ns: 34_199_999_896_280,
            order_reference: 23_497_686,
        };
        Some((delete.fields() == expected, expected.encode().to_vec()))
    });
}

/// Proves the same for executions, replaces and states of trading.
#[test]
fn more_real_packets_say_what_their_names_say() {
    check_packet("OrderExecutedMessage", 14_757_745, |message| {
        let Message::OrderExecuted(executed) = message else {
            return None;
        };
        let expected = OrderExecutedFields {
            stock_locate: 2_345,
            tracking_number: 2,
            timestamp_ns: 34_199_999_934_561,
            order_reference: 23_499_418,
            executed_shares: 25,
            match_number: 255_547,
        };
        Some((executed.fields() == expected, expected.encode().to_vec()))
    });
    check_packet("OrderReplaceMessage", 14_757_701, |message| {
        let Message::OrderReplace(replace) = message else {
            return None;
        };
        let expected = OrderReplaceFields {
            stock_locate: 7_603,
            tracking_number: 0,
            timestamp_ns: 34_199_999_836_649,
            original_order_reference: 15_108_479,
            new_order_reference: 21_361_351,
            shares: 100,
            price: 1_062_600,
        };
        Some((replace.fields() == expected, expected.encode().to_vec()))
    });
    check_packet("StockTradingActionMessage", 34_147_961, |message| {
        let Message::TradingAction(action) = message else {
            return None;
        };
        let expected = TradingActionFields {
            stock_locate: 464,
            tracking_number: 0,
            timestamp_ns: 34_763_322_465_824,
            stock: "AMC".parse().unwrap(),
            trading_state: b'T',
            reserved: b' ',
            reason: *b"    ",
        };
        Some((action.fields() == expected, expected.encode().to_vec()))
    });
}

/// Proves that real packets of one and of 38 messages are read to their last byte: a delete, and the
/// adds of one stock at one time, with the sums that another reading of the bytes gave.
#[test]
fn packets_of_one_and_of_many_messages_are_read() {
    let Some(capture) = data("packets/Multiple.Packets.pcap") else {
        return;
    };
    let payloads = udp_payloads(&capture);
    let [one, many] = payloads[..] else {
        panic!("two packets");
    };
    let (one, many) = (Packet::parse(one).unwrap(), Packet::parse(many).unwrap());
    assert_eq!((one.first_sequence(), one.count()), (14_764_496, 1));
    let message = itch50::parse(one.messages().next().unwrap()).unwrap();
    assert!(matches!(message, Message::OrderDelete(m) if m.order_reference() == 23_485_802));
    assert_eq!(message.timestamp_ns(), 34_200_007_495_351);

    let numbers = (many.first_sequence(), many.next_sequence(), many.count());
    assert_eq!(numbers, (19_009_117, 19_009_155, 38));
    let adds: Vec<_> = many.messages().map(add_of).collect();
    let named = adds.iter().filter(|add| add.1.is_some()).count();
    let bids = adds.iter().filter(|add| add.0.side == Side::Buy).count();
    let shares: u32 = adds.iter().map(|add| add.0.shares).sum();
    assert_eq!((adds.len(), named, bids, shares), (38, 2, 19, 1_061));
    for (add, _) in &adds {
        let common = (add.stock_locate, add.timestamp_ns, add.stock.to_string());
        assert_eq!(common, (6_514, 34_238_952_381_153, "META".to_owned()));
    }
    let of = |index: usize| {
        let (add, mpid): (AddOrderFields, _) = adds[index];
        (add.order_reference, add.side, add.shares, add.price, mpid)
    };
    assert_eq!(of(0), (7_942_047, Side::Buy, 1, 805_200, None));
    let ubss = Some(Mpid(*b"UBSS"));
    assert_eq!(of(8), (9_752_743, Side::Buy, 5, 801_100, ubss));
    assert_eq!(of(37), (5_325_319, Side::Sell, 1, 3_580_000, None));
}

/// The add in these bytes, and who it is attributed to.
fn add_of(bytes: &[u8]) -> (AddOrderFields, Option<Mpid>) {
    match itch50::parse(bytes).unwrap() {
        Message::AddOrder(add) => (add.fields(), None),
        Message::AddOrderMpid(add) => {
            let fields = AddOrderFields {
                stock_locate: add.stock_locate(),
                tracking_number: add.tracking_number(),
                timestamp_ns: add.timestamp_ns(),
                order_reference: add.order_reference(),
                side: add.side(),
                shares: add.shares(),
                stock: add.stock(),
                price: add.price(),
            };
            (fields, Some(add.attribution()))
        }
        other => panic!("{other:?} is no add"),
    }
}

/// Reads a packet of one message; `compare` gives whether its fields are the expected ones, and
/// their encoding, or `None` for another type.
fn check_packet(
    name: &str,
    sequence: u64,
    compare: impl Fn(Message<'_>) -> Option<(bool, Vec<u8>)>,
) {
    let Some(capture) = data(&format!("packets/{name}.pcap")) else {
        return;
    };
    let payloads = udp_payloads(&capture);
    assert_eq!(payloads.len(), 1, "{name}");
    let packet = Packet::parse(payloads[0]).unwrap();
    let found = (packet.session(), packet.first_sequence(), packet.count());
    assert_eq!(found, (Session(*b"000010059B"), sequence, 1), "{name}");
    let bytes = packet.messages().next().unwrap();
    let message = itch50::parse(bytes).unwrap();
    let (is_equal, encoded) = compare(message).unwrap_or_else(|| panic!("{name}: {message:?}"));
    assert!(is_equal, "{name}: {message:?}");
    assert_eq!(encoded, bytes, "{name}");
}

/// The file's bytes; `None`, with the reason printed, when the folder is not there.
fn data(name: &str) -> Option<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data/itch50");
    if !folder.is_dir() {
        println!("skipped: no real market data at {}", folder.display());
        return None;
    }
    Some(std::fs::read(folder.join(name)).unwrap())
}

/// The bytes of a gzip file.
fn unzipped(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    GzDecoder::new(&data(name)?[..])
        .read_to_end(&mut bytes)
        .unwrap();
    Some(bytes)
}

/// Messages by type, and the cut one at the end.
fn kinds(bytes: &[u8]) -> (BTreeMap<u8, usize>, Option<Truncated>) {
    let (mut kinds, mut cut) = (BTreeMap::new(), None);
    for message in Messages::new(bytes) {
        match message {
            Ok(message) => {
                *kinds
                    .entry(itch50::parse(message).unwrap().kind())
                    .or_default() += 1
            }
            Err(error) => cut = Some(error),
        }
    }
    (kinds, cut)
}

/// UDP payloads of a little-endian pcap of Ethernet frames with at most one VLAN tag.
fn udp_payloads(capture: &[u8]) -> Vec<&[u8]> {
    let mut payloads = Vec::new();
    let mut rest = &capture[24..];
    while let Some((header, frames)) = rest.split_first_chunk::<16>() {
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let (frame, after) = frames.split_at(length);
        let ip = if frame[12..14] == [0x81, 0x00] {
            &frame[18..]
        } else {
            &frame[14..]
        };
        let udp = &ip[usize::from(ip[0] & 0x0f) * 4..];
        payloads.push(&udp[8..usize::from(u16::from_be_bytes([udp[4], udp[5]]))]);
        rest = after;
    }
    payloads
}
