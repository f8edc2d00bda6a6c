//! `replay` of captures: pcap and pcapng in their variants, and real ones where they are.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::tempdir;
use tickdeck_stats::reader::Reader as StatsReader;
use tickdeck_wire::moldudp64::{PacketBuilder, heartbeat};

use crate::support::*;

/// An Ethernet frame with a UDP datagram to 239.1.2.3:31001.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1, 0, 0x5E, 1, 2, 3, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    bytes.extend((28 + payload.len() as u16).to_be_bytes());
    bytes.extend([
        0, 0, 0x40, 0, 1, 17, 0, 0, 10, 0, 0, 1, 239, 1, 2, 3, 0x12, 0x34, 0x79, 0x19,
    ]);
    bytes.extend((8 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    bytes
}

/// How numbers are written.
#[derive(Clone, Copy)]
struct Order {
    big: bool,
}

impl Order {
    fn u16(self, value: u16) -> [u8; 2] {
        if self.big {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        }
    }

    fn u32(self, value: u32) -> [u8; 4] {
        if self.big {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        }
    }
}

/// A pcap file with the frames 10 ms apart.
fn pcap(order: Order, nanoseconds: bool, link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let magic = if nanoseconds {
        0xA1B2_3C4D
    } else {
        0xA1B2_C3D4
    };
    let mut bytes = order.u32(magic).to_vec();
    bytes.extend([order.u16(2), order.u16(4)].concat());
    bytes.extend(
        [
            order.u32(0),
            order.u32(0),
            order.u32(65_535),
            order.u32(link),
        ]
        .concat(),
    );
    for (index, frame) in (0..).zip(frames) {
        let fraction = index * if nanoseconds { 10_000_000 } else { 10_000 };
        let length = order.u32(frame.len() as u32);
        bytes.extend(
            [
                order.u32(1_700_000_000),
                order.u32(fraction),
                length,
                length,
            ]
            .concat(),
        );
        bytes.extend(frame);
    }
    bytes
}

/// A pcapng file with the frames 10 ms apart, on the second of two interfaces.
fn pcapng(order: Order, frames: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let length = order.u32(12 + body.len() as u32);
        [&order.u32(kind), &length[..], body, &length].concat()
    };
    let section = [
        order.u32(0x1A2B_3C4D).to_vec(),
        [order.u16(1), order.u16(0)].concat(),
        vec![0xFF; 8],
    ];
    let interface = |link: u16, options: &[u8]| {
        [&order.u16(link)[..], &[0; 2], &order.u32(65_535), options].concat()
    };
    // Option 9, one byte: 10^-9 s; padded; end of options.
    let nanoseconds = [&order.u16(9)[..], &order.u16(1), &[9, 0, 0, 0], &[0; 4]].concat();
    let mut bytes = block(0x0A0D_0D0A, &section.concat());
    bytes.extend(block(1, &interface(147, &[])));
    bytes.extend(block(1, &interface(1, &nanoseconds)));
    for (index, frame) in (0_u64..).zip(frames) {
        let ticks = 1_700_000_000_000_000_000 + index * 10_000_000;
        let length = order.u32(frame.len() as u32);
        let mut body = [
            order.u32(1),
            order.u32((ticks >> 32) as u32),
            order.u32(ticks as u32),
            length,
            length,
        ]
        .concat();
        body.extend(frame);
        body.resize(body.len().next_multiple_of(4), 0);
        bytes.extend(block(6, &body));
    }
    bytes
}

fn payloads() -> Vec<Vec<u8>> {
    let mut builder = PacketBuilder::new(FIRST, 1400);
    (0..12_u8)
        .map(|index| {
            builder.begin(1 + 2 * u64::from(index));
            assert!(builder.push(&[index; 30]) && builder.push(b"second"));
            builder.finish().to_vec()
        })
        .chain([
            heartbeat(FIRST, 25).to_vec(),
            b"not MoldUDP64".to_vec(),
            Vec::new(),
        ])
        .collect()
}

struct Outcome {
    received: Vec<Vec<u8>>,
    packets: u64,
    messages: u64,
    skipped: u64,
    position: u64,
}

fn replay(capture: &Path, extra: &[&str]) -> Outcome {
    let listener = Listener::new();
    let target = listener.target.to_string();
    let runtime = tempdir().expect("a directory");
    let mut child = Running::start(
        command(&["replay", "--capture", text(capture), "--target", &target])
            .args(["--runtime-dir", text(runtime.path())])
            .args(extra),
    );
    let received = listener.receive(&mut child);
    assert_eq!(child.code(), Some(0), "{}", capture.display());
    let file = fs::read_dir(runtime.path())
        .expect("lists")
        .map(|entry| entry.expect("lists").path())
        .find(|path| path.extension().is_some_and(|extension| extension == "dat"))
        .expect("a stats file");
    let stats = StatsReader::open(&file).expect("is readable");
    let value = |name| stats.value(name, "").expect("a metric");
    Outcome {
        received,
        packets: value("replay_packets_sent_total"),
        messages: value("replay_messages_sent_total"),
        skipped: value("replay_skipped_total"),
        position: value("replay_position"),
    }
}

/// The UDP payloads of every variant of both formats come out as they went in, at their pace.
#[test]
fn every_variant_is_read() {
    let dir = tempdir().expect("a directory");
    let payloads = payloads();
    let frames: Vec<Vec<u8>> = payloads.iter().map(|payload| frame(payload)).collect();
    let bare: Vec<Vec<u8>> = frames.iter().map(|frame| frame[14..].to_vec()).collect();
    let (little, big) = (Order { big: false }, Order { big: true });
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&pcapng(little, &frames)).expect("packs");
    let variants = [
        ("little.pcap", pcap(little, false, 1, &frames)),
        ("big-nanoseconds.pcap", pcap(big, true, 1, &frames)),
        ("raw.pcap", pcap(little, true, 101, &bare)),
        ("little.pcapng", pcapng(little, &frames)),
        ("big.pcapng", pcapng(big, &frames)),
        ("packed.pcapng.gz", gzip.finish().expect("packs")),
    ];
    for (name, bytes) in variants {
        let path = dir.path().join(name);
        fs::write(&path, bytes).expect("writes");
        let begin = std::time::Instant::now();
        let outcome = replay(&path, &["--speed", "2"]);
        assert_eq!(outcome.received, payloads, "{name}");
        assert_eq!((outcome.packets, outcome.messages), (15, 24), "{name}");
        assert_eq!((outcome.skipped, outcome.position), (0, 15), "{name}");
        // 14 distances of 10 ms, twice as fast.
        assert!(
            begin.elapsed().as_millis() >= 70,
            "{name}: {:?}",
            begin.elapsed()
        );
    }
}

/// A range of frames; what holds no datagram within it is counted.
#[test]
fn a_range_of_frames() {
    let dir = tempdir().expect("a directory");
    let payloads = payloads();
    let mut frames: Vec<Vec<u8>> = payloads.iter().map(|payload| frame(payload)).collect();
    frames[3][13] = 6;
    frames[4].truncate(20);
    let path = dir.path().join("some.pcap");
    fs::write(&path, pcap(Order { big: false }, false, 1, &frames)).expect("writes");
    let outcome = replay(&path, &["--speed", "0", "--from", "3", "--to", "8"]);
    let wanted: Vec<_> = [2, 5, 6, 7]
        .iter()
        .map(|at| payloads[*at].clone())
        .collect();
    assert_eq!(outcome.received, wanted);
    assert_eq!((outcome.skipped, outcome.position), (2, 8));
}

/// Files that are no captures, or end inside a frame, are named; what came before was sent.
#[test]
fn bad_captures_are_refused() {
    let dir = tempdir().expect("a directory");
    let frames: Vec<Vec<u8>> = payloads().iter().map(|payload| frame(payload)).collect();
    let whole = pcap(Order { big: false }, false, 1, &frames);
    let cut = &whole[..whole.len() - 3];
    let mut wild = pcapng(Order { big: false }, &frames);
    let second = 28 + 4;
    wild[second..second + 4].copy_from_slice(&0xFFFF_FFF0_u32.to_le_bytes());
    let cases: [(&str, &[u8], i32, &str); 5] = [
        ("empty.pcap", b"", 76, "not pcap"),
        (
            "text.pcap",
            b"this is not a capture at all, not even nearly",
            76,
            "not pcap",
        ),
        ("cut.pcap", cut, 76, "ends inside a frame"),
        ("wild.pcapng", &wild, 76, "behind frame 0"),
        ("cut.pcap.gz", &[0x1F, 0x8B, 8, 0, 0], 76, "capture"),
    ];
    for (name, bytes, exit_code, words) in cases {
        let path = dir.path().join(name);
        fs::write(&path, bytes).expect("writes");
        let target = Listener::new().target.to_string();
        let output = run(&[
            "replay",
            "--capture",
            text(&path),
            "--target",
            &target,
            "--speed",
            "0",
        ]);
        assert_eq!(code(&output), exit_code, "{name}: {}", errors(&output));
        assert!(
            errors(&output).contains(words),
            "{name}: {}",
            errors(&output)
        );
    }
    let missing = dir.path().join("missing.pcap");
    let output = run(&[
        "replay",
        "--capture",
        text(&missing),
        "--target",
        "239.1.1.1:5000",
    ]);
    assert_eq!(code(&output), 78, "{}", errors(&output));
}

/// Captures of exchanges, where they stand beside the checkout.
#[test]
fn real_captures() {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data");
    if !data.is_dir() {
        println!("skipped: {} is absent", data.display());
        return;
    }
    for (name, packets, messages) in [
        ("cme/Cme.Mdp3.Sbe.v6.1.pcap", 10_000, None),
        ("cme/Cme.Mdp3.Sbe.v9.1.Example.pcap", 99, None),
        (
            "itch50/packets/AddOrderNoMpidAttributionMessage.pcap",
            1,
            Some(1),
        ),
        ("itch50/packets/Multiple.Packets.pcap", 2, None),
    ] {
        let outcome = replay(&data.join(name), &["--speed", "0"]);
        assert_eq!(outcome.packets, packets, "{name}");
        assert!(
            messages.is_none_or(|messages| outcome.messages == messages),
            "{name}"
        );
    }
    let outcome = replay(
        &data.join("itch50/packets/Multiple.Packets.pcap"),
        &["--speed", "0"],
    );
    assert!(outcome.messages >= 39, "{} messages", outcome.messages);
    assert!(
        outcome
            .received
            .iter()
            .all(|packet| &packet[..10] == b"000010059B")
    );
}
