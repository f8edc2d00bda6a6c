//! Real captures, when the folder with them lies beside the repository.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tickdeck_wire::cme::{Packet, template};

/// Proves on a real channel of schema version 6 that every packet and every group is read to its
/// last byte, and that RptSeq is continuous for each of its instruments over all templates.
#[test]
fn a_real_channel_of_version_6_is_continuous() {
    let Some(mut frames) = capture("Cme.Mdp3.Sbe.v6.1.pcap") else {
        return;
    };
    frames.retain(|(group, _)| *group == [224, 0, 31, 64]);
    let mut packets = parsed(&frames);
    packets.sort_by_key(Packet::sequence);
    let sequences: Vec<_> = packets.iter().map(Packet::sequence).collect();
    assert_eq!(sequences, (5_615..=10_614).collect::<Vec<_>>());
    let mut last = BTreeMap::new();
    let (mut updates, mut kinds) = (0, BTreeMap::new());
    for message in packets.iter().flat_map(Packet::messages) {
        *kinds.entry(message.template_id()).or_insert(0) += 1;
        for update in message.rpt_seqs().unwrap() {
            updates += 1;
            if let Some(before) = last.insert(update.security_id, update.rpt_seq) {
                assert_eq!(update.rpt_seq, before + 1, "{}", update.security_id);
            }
        }
    }
    assert_eq!(last.len(), 127);
    assert!(updates > 14_574, "{updates}");
    let expected = [(12, 9), (32, 9_569), (35, 307), (37, 194), (42, 194)];
    assert_eq!(kinds, BTreeMap::from(expected));
}

/// Proves on real packets of schema version 9 that every message is consumed exactly and that
/// every order entry belongs to an instrument.
#[test]
fn real_packets_of_version_9_are_read() {
    let single = ["Book", "OrderBook", "TradeSummary", "Volume"];
    let single = single.map(|name| format!("packets_v1.9/MdIncrementalRefresh{name}.pcap"));
    let names = ["Cme.Mdp3.Sbe.v9.1.Example.pcap".to_owned()];
    let mut orders = BTreeMap::new();
    for name in names.iter().chain(&single) {
        let Some(frames) = capture(name) else {
            return;
        };
        for message in parsed(&frames).iter().flat_map(Packet::messages) {
            message.groups().unwrap();
            let count = message.order_updates().unwrap().count();
            *orders.entry(message.template_id()).or_insert(0) += count;
        }
    }
    assert!(orders[&template::BOOK_9] > 0 && orders[&template::ORDER_BOOK_9] > 0);
    assert_eq!(
        orders[&template::TRADE_SUMMARY_9],
        0,
        "trades change no book"
    );
}

fn parsed(frames: &[([u8; 4], Vec<u8>)]) -> Vec<Packet<'_>> {
    frames
        .iter()
        .map(|(_, payload)| Packet::parse(payload).unwrap())
        .collect()
}

/// Destination group and payload of each UDP datagram; `None`, with the reason printed, when the
/// folder is not there.
pub(crate) fn capture(name: &str) -> Option<Vec<([u8; 4], Vec<u8>)>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data/cme");
    if !folder.is_dir() {
        println!("skipped: no real market data at {}", folder.display());
        return None;
    }
    let bytes = std::fs::read(folder.join(name)).unwrap();
    let frames = if bytes[..4] == [0x0A, 0x0D, 0x0D, 0x0A] {
        pcapng_frames(&bytes)
    } else {
        pcap_frames(&bytes)
    };
    Some(frames.into_iter().filter_map(datagram).collect())
}

fn pcap_frames(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut frames, mut rest) = (Vec::new(), &bytes[24..]);
    while let Some((header, after)) = rest.split_first_chunk::<16>() {
        let (frame, after) = after.split_at(number(header, 8));
        frames.push(frame);
        rest = after;
    }
    frames
}

fn pcapng_frames(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut frames, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (block, after) = rest.split_at(number(rest, 4));
        if number(block, 0) == 6 {
            frames.push(&block[28..28 + number(block, 20)]);
        }
        rest = after;
    }
    frames
}

/// The datagram of an Ethernet frame with any VLAN tags.
fn datagram(frame: &[u8]) -> Option<([u8; 4], Vec<u8>)> {
    let mut rest = &frame[12..];
    while rest[..2] == [0x81, 0x00] {
        rest = &rest[4..];
    }
    let ip = rest[2..].to_vec();
    if rest[..2] != [0x08, 0x00] || ip[9] != 17 {
        return None;
    }
    let udp = &ip[usize::from(ip[0] & 0x0F) * 4..];
    let length = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
    Some((ip[16..20].try_into().unwrap(), udp[8..length].to_vec()))
}

fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}
