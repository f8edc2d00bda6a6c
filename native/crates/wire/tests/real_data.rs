//! Real captures and files, when the folder with them lies beside the repository.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use tickdeck_wire::binaryfile::{Messages, Truncated};
use tickdeck_wire::itch50::{self, ItchError};
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

/// Proves that real MoldUDP64 packets are read, each with the message its file is named after.
#[test]
fn real_packets_are_read() {
    let single = [
        ("AddOrderNoMpidAttributionMessage", b'A'),
        ("MarketParticipantPositionMessage", b'L'),
        ("NetOrderImbalanceIndicatorMessage", b'I'),
        ("OrderDeleteMessage", b'D'),
        ("OrderExecutedMessage", b'E'),
        ("OrderReplaceMessage", b'U'),
        ("StockTradingActionMessage", b'H'),
    ];
    for (name, kind) in single {
        let Some(capture) = data(&format!("packets/{name}.pcap")) else {
            return;
        };
        let payloads = udp_payloads(&capture);
        assert_eq!(payloads.len(), 1, "{name}");
        let packet = Packet::parse(payloads[0]).unwrap();
        assert_eq!(
            (packet.session(), packet.count()),
            (Session(*b"000010059B"), 1),
            "{name}"
        );
        let message = itch50::parse(packet.messages().next().unwrap()).unwrap();
        assert_eq!(message.kind(), kind, "{name}");
    }
}

/// Proves that a real packet of 38 messages is read to its last byte.
#[test]
fn a_packet_of_many_messages_is_read() {
    let Some(capture) = data("packets/Multiple.Packets.pcap") else {
        return;
    };
    let payloads = udp_payloads(&capture);
    let packets: Vec<_> = payloads
        .iter()
        .map(|bytes| Packet::parse(bytes).unwrap())
        .collect();
    assert_eq!(packets.len(), 2);
    let many = packets.iter().find(|packet| packet.count() == 38).unwrap();
    assert_eq!(
        (many.first_sequence(), many.next_sequence()),
        (19_009_117, 19_009_155)
    );
    let kinds: Vec<_> = many
        .messages()
        .map(|bytes| itch50::parse(bytes).unwrap().kind())
        .collect();
    let of = |kind| kinds.iter().filter(|found| **found == kind).count();
    assert_eq!((of(b'A'), of(b'F')), (36, 2));
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
