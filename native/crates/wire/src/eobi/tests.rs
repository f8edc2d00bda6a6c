//! Golden packets, and every rule of the packet broken once.

use super::*;

/// Header of ApplSeqNum 7, product 688, partition 4, complete; then a functional heartbeat.
const GOLDEN: [u8; 48] = [
    0x20, 0x00, 0xCA, 0x32, 0xFF, 0xFF, 0xFF, 0xFF, // 32 bytes, 13002, unused
    0x07, 0x00, 0x00, 0x00, 0xB0, 0x02, 0x00, 0x00, // ApplSeqNum, MarketSegmentID
    0x04, 0x01, 0x00, 0x38, 0x00, 0x00, 0x00, 0x00, // partition, complete, no reset, DSCP
    0x15, 0xCD, 0x5B, 0x07, 0x00, 0x00, 0x00, 0x00, // TransactTime
    0x10, 0x00, 0xC9, 0x32, 0xFF, 0xFF, 0xFF, 0xFF, // 16 bytes, 13001, unused
    0x2A, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // LastMsgSeqNumProcessed
];

/// Proves that each accessor reads its own bytes.
#[test]
fn a_golden_packet_is_read() {
    for release in Release::ALL {
        let packet = Packet::parse(&GOLDEN, release).unwrap();
        assert_eq!((packet.sequence(), packet.market_segment_id()), (7, 688));
        assert_eq!(packet.partition_id(), 4);
        assert!(packet.completes() && !packet.resets());
        assert_eq!(packet.transact_time_ns(), 123_456_789);
        assert_eq!(packet.release(), release);
        let messages: Vec<_> = packet.messages().collect();
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].template_id(), 13_001);
        assert_eq!(messages[0].msg_seq_num(), None);
        assert_eq!(messages[0].body(), &GOLDEN[32..]);
    }
}

/// Proves that a header is known by length, id and unused number, with any of its releases' ids.
#[test]
fn headers_are_known_by_three_marks() {
    for template_id in HEADER_TEMPLATES {
        let bytes = with(&[(2, &template_id.to_le_bytes())]);
        assert!(
            Packet::parse(&bytes, Release::V14_1).is_ok(),
            "{template_id}"
        );
    }
    for change in [(0, &[31, 0][..]), (2, &[0xC9, 0x32]), (4, &[1, 0, 0, 0])] {
        assert_eq!(reason(&with(&[change])), "not_a_packet_header");
    }
    for sequence in [[0; 4], [0xFF; 4]] {
        assert_eq!(reason(&with(&[(8, &sequence)])), "no_sequence");
    }
}

/// Proves that a technical heartbeat of any length is told from a fault.
#[test]
fn technical_heartbeats_are_of_their_own() {
    let long = [&TECHNICAL_HEARTBEAT[..], &[7; 900]].concat();
    for bytes in [&TECHNICAL_HEARTBEAT[..], &long] {
        assert_eq!(reason(bytes), "technical_heartbeat");
    }
}

/// Proves that messages fill the datagram exactly and that each length is checked.
#[test]
fn every_length_is_checked() {
    for cut in 0..HEADER_LEN {
        assert_eq!(reason(&GOLDEN[..cut]), "truncated", "{cut}");
    }
    assert_eq!(reason(&GOLDEN[..HEADER_LEN]), "no_message");
    for cut in HEADER_LEN + 1..HEADER_LEN + MESSAGE_HEADER_LEN {
        assert_eq!(reason(&GOLDEN[..cut]), "trailing_bytes", "{cut}");
    }
    for cut in HEADER_LEN + MESSAGE_HEADER_LEN..GOLDEN.len() {
        assert_eq!(reason(&GOLDEN[..cut]), "message_beyond_end", "{cut}");
    }
    assert_eq!(reason(&with(&[(32, &[7, 0])])), "body_too_short");
    assert_eq!(reason(&[&GOLDEN[..], &[0; 3]].concat()), "trailing_bytes");
}

/// Proves that the other release's OrderAdd is refused, and any other odd length is not: such a
/// message is skipped by whoever decodes it.
#[test]
fn order_add_tells_the_release() {
    for (release, right, wrong) in [(Release::V6_0, 48, 56), (Release::V14_1, 56, 48)] {
        let add = |length: u16| {
            let mut bytes = GOLDEN[..HEADER_LEN].to_vec();
            bytes.resize(HEADER_LEN + usize::from(length), 0);
            bytes[32..34].copy_from_slice(&length.to_le_bytes());
            bytes[34..36].copy_from_slice(&13_100_u16.to_le_bytes());
            bytes
        };
        assert!(Packet::parse(&add(right), release).is_ok());
        assert!(Packet::parse(&add(24), release).is_ok());
        let error = Packet::parse(&add(wrong), release).unwrap_err();
        assert_eq!(error.reason(), "wrong_release");
    }
}

/// Proves that releases are known by name, and that an unknown name says what to use.
#[test]
fn releases_have_names() {
    for release in Release::ALL {
        assert_eq!(release.to_string().parse(), Ok(release));
    }
    let error = "14.0".parse::<Release>().unwrap_err();
    assert!(error.to_string().contains("\"14.1\""), "{error}");
}

fn with(changes: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = GOLDEN.to_vec();
    for (at, change) in changes {
        bytes[*at..*at + change.len()].copy_from_slice(change);
    }
    bytes
}

fn reason(bytes: &[u8]) -> &'static str {
    Packet::parse(bytes, Release::V14_1).unwrap_err().reason()
}
