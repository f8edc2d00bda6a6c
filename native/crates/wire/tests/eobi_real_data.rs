//! Real EOBI packets, when the folder with them lies beside the repository.

use std::path::PathBuf;

use tickdeck_wire::eobi::{Packet, Release};

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
