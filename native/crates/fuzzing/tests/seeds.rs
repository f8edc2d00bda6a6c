//! Seeds are what they claim to be: otherwise every run would start in the first error branch.

use tickdeck_book::{Itch, Trust, snapshot};
use tickdeck_export::frame::{Decoder, Frame, MAX_PAYLOAD};
use tickdeck_export::message::Message;
use tickdeck_fuzzing::inside::{RANKED, SMALL, WIDE, follow_cme, follow_eobi};
use tickdeck_fuzzing::target;
use tickdeck_journal::{
    Codec, Decompressor, Pin, SyncPolicy, Writer, WriterConfig, fuzz, unpack, verify,
};
use tickdeck_wire::eobi::{self, Release};
use tickdeck_wire::{cme, itch50, moldudp64};

fn seeds(name: &str) -> Vec<Vec<u8>> {
    (target(name).expect("a target").seeds)()
}

/// Messages and packets are accepted, every ITCH type is among them, and those of CME down to their
/// groups.
#[test]
fn packets_are_whole() {
    let messages = seeds("itch50");
    assert!(messages.iter().all(|bytes| itch50::parse(bytes).is_ok()));
    let has = |kind: &u8| messages.iter().any(|bytes| bytes[0] == *kind);
    assert!(itch50::LENGTHS.iter().all(|(kind, _)| has(kind)));
    let is_mold = |bytes: &Vec<u8>| {
        moldudp64::Packet::parse(bytes).is_ok() || moldudp64::Request::parse(bytes).is_ok()
    };
    assert!(seeds("moldudp64").iter().all(is_mold));
    let is_eobi = |bytes: &Vec<u8>| {
        let of = |release| eobi::Packet::parse(bytes, release).is_ok();
        Release::ALL.into_iter().any(of) || bytes.starts_with(&eobi::TECHNICAL_HEARTBEAT)
    };
    assert!(seeds("eobi").iter().all(is_eobi));
    for bytes in seeds("cme") {
        let packet = cme::Packet::parse(&bytes).expect("a packet");
        assert!(packet.messages().all(|message| message.groups().is_ok()));
    }
}

/// Runs of the generated day have every kind of change in them.
#[test]
fn the_day_changes_its_books() {
    let blocks = seeds("book_itch").concat();
    let kinds: Vec<u8> = moldudp64::Blocks::new(&blocks)
        .map(|message| message[0])
        .collect();
    assert!(b"ADEXU".iter().all(|kind| kinds.contains(kind)));
}

/// Snapshots have orders in them once their digest is made, the hostile one too.
#[test]
fn snapshots_are_restored() {
    let (configs, orders) = ([SMALL, WIDE, WIDE, RANKED], [12, 12, 3, 0]);
    for ((mut bytes, config), least) in seeds("snapshot").into_iter().zip(configs).zip(orders) {
        snapshot::seal(&mut bytes);
        let Ok(restored) = snapshot::decode(&bytes, Itch::new(config)) else {
            panic!("a snapshot");
        };
        assert!(restored.channel.books().order_count() >= least);
    }
}

/// Channels that lost packets heal: books by order and by price are good again, with orders in
/// them, and nothing was malformed.
#[test]
fn channels_heal() {
    for bytes in seeds("channel_cme") {
        let channel = follow_cme(&bytes);
        let counters = channel.counters();
        assert!(counters.lost_messages > 0 && counters.malformed_records == 0);
        let books = channel.books();
        assert_eq!(books.channel_trust(), Trust::Good);
        assert!(books.order_count() > 0 && !books.price_books().is_empty());
    }
    for bytes in seeds("channel_eobi") {
        let channel = follow_eobi(&bytes).expect("a release");
        let counters = channel.counters();
        assert!(counters.lost_messages > 0 && counters.malformed_records == 0);
        assert_eq!(channel.books().channel_trust(), Trust::Good);
        assert!(channel.books().order_count() > 0);
    }
}

/// Messages of the export protocol are messages, streams are whole frames to their last byte.
#[test]
fn export_seeds_are_whole() {
    for bytes in seeds("export_message") {
        let (kind, seq) = (
            bytes[0],
            u64::from_le_bytes(bytes[1..9].try_into().expect("eight")),
        );
        let payload = &bytes[9..];
        let read = Message::parse(&Frame { kind, seq, payload });
        assert!(read.is_ok(), "{read:?}");
    }
    for bytes in seeds("export_stream") {
        let mut decoder = Decoder::new(MAX_PAYLOAD);
        decoder.feed(&bytes[1..]);
        while decoder.next().expect("a frame").is_some() {}
        assert_eq!(decoder.pending(), 0);
    }
}

/// Segments of the journal are whole and can be written on, the other structures are accepted.
#[test]
fn journal_seeds_are_whole() {
    for bytes in &seeds("journal_log")[..6] {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("STATE"), &bytes[2..1026]).expect("writes");
        let path = dir.path().join("00000000000000000001.seg");
        std::fs::write(path, &bytes[1026..]).expect("writes");
        let report = verify(dir.path(), &mut |_| {}).expect("verifies");
        assert_eq!((report.problems.len(), report.records), (0, 13));
        let config = WriterConfig::new(dir.path(), 1 << 20, SyncPolicy::default(), 1);
        let (_, report) = Writer::open(config).expect("opens");
        assert_eq!(report.next_seq, report.durable_seq + 1);
    }
    for bytes in &seeds("journal_block")[..3] {
        let base_seq = u64::from_le_bytes(bytes[..8].try_into().expect("eight"));
        let count = u32::from_le_bytes(bytes[8..12].try_into().expect("four"));
        unpack(base_seq, count, &bytes[12..]).expect("records");
    }
    let is_seal = |bytes: &Vec<u8>| fuzz::seal(&bytes[72..bytes.len() - 64]).is_some();
    assert!(seeds("journal_seal").iter().all(is_seal));
    let is_state = |bytes: &Vec<u8>| fuzz::state_slot(&bytes[512..]).is_some();
    assert!(seeds("journal_state").iter().all(is_state));
    let is_mark = |bytes: &Vec<u8>| fuzz::retention(bytes).is_some();
    assert!(seeds("journal_retention").iter().all(is_mark));
    let is_pin = |bytes: &Vec<u8>| Pin::parse(bytes).is_ok();
    assert!(seeds("journal_pin").iter().all(is_pin));
    for bytes in seeds("journal_decompress") {
        let codec = Codec::from_code(bytes[0]).expect("a codec");
        let length = u32::from_le_bytes(bytes[1..5].try_into().expect("four"));
        let result = Decompressor::default().decompress(
            codec,
            &bytes[5..],
            length as usize,
            &mut Vec::new(),
        );
        assert_eq!(result, Ok(()));
    }
}
