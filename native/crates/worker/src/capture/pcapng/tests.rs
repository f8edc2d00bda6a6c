use std::process::{Command, Stdio};

use crate::capture::{Reader, Skip};

use super::*;

fn lines() -> [Interface; 2] {
    [("A", "239.1.2.3:31001"), ("B", "[ff15::7]:31002")].map(|(name, description)| Interface {
        name: name.to_owned(),
        description: description.to_owned(),
    })
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn packet(payload: &[u8]) -> CapturedPacket<'_> {
    CapturedPacket {
        interface: 0,
        at_ns: 0x0102_0304_0506_0708,
        source: at("10.0.0.1:4660"),
        destination: at("239.1.2.3:31001"),
        payload,
        is_truncated: false,
        comment: None,
    }
}

fn written(packets: &[CapturedPacket<'_>]) -> Vec<u8> {
    let mut writer = PcapngWriter::new(Vec::new(), &lines(), "a test").expect("writes");
    for packet in packets {
        writer.packet(packet).expect("writes");
    }
    writer.finish().expect("writes")
}

/// The blocks of a file: type and body.
fn blocks(mut file: &[u8]) -> Vec<(u32, &[u8])> {
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().expect("a word"));
    let mut blocks = Vec::new();
    while !file.is_empty() {
        let length = word(&file[4..]) as usize;
        assert_eq!(
            word(&file[length - 4..]) as usize,
            length,
            "both lengths agree"
        );
        assert!(length.is_multiple_of(4));
        blocks.push((word(file), &file[8..length - 4]));
        file = &file[length..];
    }
    blocks
}

/// The bytes of a small file, one by one, as the format's description gives them. The checksums
/// were worked out apart from this code.
#[test]
fn golden_bytes() {
    let file = written(&[CapturedPacket {
        comment: Some("odd"),
        ..packet(b"abc")
    }]);
    let blocks = blocks(&file);
    let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [0x0A0D_0D0A, 1, 1, 6]);
    let section = blocks[0].1;
    assert_eq!(
        section[..16],
        [
            0x4D, 0x3C, 0x2B, 0x1A, 1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF
        ]
    );
    let text = String::from_utf8_lossy(section);
    assert!(
        text.contains("headers were built") && text.contains("a test"),
        "{text}"
    );
    let interface = [
        &[1, 0, 0, 0, 0, 0, 0, 0][..],
        &[2, 0, 1, 0, b'A', 0, 0, 0],
        &[3, 0, 15, 0],
        b"239.1.2.3:31001\0",
        &[9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0],
    ];
    assert_eq!(blocks[1].1, interface.concat());
    let frame = [
        // Ethernet: to the group, from the host, IPv4.
        &[
            0x01, 0x00, 0x5E, 0x01, 0x02, 0x03, 0x02, 0x00, 10, 0, 0, 1, 0x08, 0x00,
        ][..],
        // IPv4 of 31 bytes; checksum of 4500 001f 0000 4000 4011 0000 0a00 0001 ef01 0203.
        &[0x45, 0, 0, 31, 0, 0, 0x40, 0, 64, 17, 0x3F, 0xC9],
        &[10, 0, 0, 1, 239, 1, 2, 3],
        // UDP of 11 bytes; checksum with 0a00 0001 ef01 0203 0011 000b before it.
        &[0x12, 0x34, 0x79, 0x19, 0, 11, 0xB5, 0x22],
        b"abc",
    ]
    .concat();
    let enhanced = [
        &[0, 0, 0, 0, 4, 3, 2, 1, 8, 7, 6, 5, 45, 0, 0, 0, 45, 0, 0, 0][..],
        &frame,
        &[0; 3],
        &[2, 0, 4, 0, 9, 0, 0, 0, 1, 0, 3, 0],
        b"odd\0",
        &[0; 4],
    ];
    assert_eq!(blocks[3].1, enhanced.concat());
}

/// The sum over header (with the pseudo header for UDP) and checksum is all ones, for both families
/// and for even, odd and empty payloads: the receiver's own test.
#[test]
fn checksums_hold() {
    let ones = |sum: u64| fold(sum) == 0;
    for payload in [&b""[..], b"x", b"xy", &[0xFF; 1399]] {
        let mut frame = Vec::new();
        build_frame(&mut frame, &packet(payload)).expect("a frame");
        assert!(ones(sum(&frame[14..34])), "IPv4 header");
        let udp_len = (frame.len() - 34) as u64;
        assert!(ones(sum(&frame[26..]) + 17 + udp_len), "UDP over IPv4");
        let six = CapturedPacket {
            source: at("[fe80::1]:5"),
            destination: at("[ff15::7]:31002"),
            ..packet(payload)
        };
        build_frame(&mut frame, &six).expect("a frame");
        assert!(ones(sum(&frame[22..]) + 17 + udp_len), "UDP over IPv6");
    }
    // A datagram whose sum is zero is sent with all ones.
    let mut frame = Vec::new();
    let (mut high, mut found) = (0_u32, false);
    while high <= 0xFFFF && !found {
        build_frame(&mut frame, &packet(&(high as u16).to_be_bytes())).expect("a frame");
        found = frame[40..42] == [0xFF, 0xFF];
        assert_ne!(frame[40..42], [0, 0], "zero says that there is no checksum");
        high += 1;
    }
    assert!(found, "one of these payloads sums up to zero");
}

/// What was written is read back: times, addresses, payloads, of both families; a truncated one is
/// skipped as such.
#[test]
fn round_trip() {
    let payloads = [b"".to_vec(), b"abc".to_vec(), vec![7; 65_507]];
    let mut packets: Vec<CapturedPacket<'_>> = payloads.iter().map(|p| packet(p)).collect();
    packets.push(CapturedPacket {
        interface: 1,
        at_ns: 1_700_000_000_123_456_789,
        source: at("[fe80::1]:5"),
        destination: at("[ff15::7]:31002"),
        ..packet(b"six")
    });
    packets.push(CapturedPacket {
        destination: at("127.0.0.1:9"),
        is_truncated: true,
        ..packet(b"cut")
    });
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    std::fs::write(file.path(), written(&packets)).expect("writes");
    let mut reader = Reader::open(file.path()).expect("a capture");
    for (number, packet) in (1..).zip(&packets) {
        let frame = reader.next_frame().expect("whole").expect("a frame");
        assert_eq!((frame.number, frame.at_ns), (number, packet.at_ns));
        match frame.datagram {
            Err(skip) => assert_eq!((skip, packet.is_truncated), (Skip::Truncated, true)),
            Ok(datagram) => {
                assert_eq!(datagram.source, packet.source);
                assert_eq!(datagram.destination, packet.destination);
                assert_eq!(datagram.payload, packet.payload);
            }
        }
    }
    assert!(reader.next_frame().expect("whole").is_none());
    assert_eq!(reader.skips().truncated, 1);
    check_with_wireshark(file.path());
}

/// What cannot be written is refused, and the file is as if it had not been asked for.
#[test]
fn impossible_packets_are_refused() {
    let mut writer = PcapngWriter::new(Vec::new(), &lines(), "").expect("writes");
    let before = writer.out.len();
    let long = vec![0; 65_508];
    for packet in [
        CapturedPacket {
            interface: 2,
            ..packet(b"")
        },
        CapturedPacket {
            destination: at("[ff15::7]:1"),
            ..packet(b"")
        },
        packet(&long),
        CapturedPacket {
            is_truncated: true,
            ..packet(&long[1..])
        },
    ] {
        let error = writer.packet(&packet).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
    assert_eq!(writer.out.len(), before);
}

/// Wireshark's own reader takes the file, where it is installed.
fn check_with_wireshark(path: &std::path::Path) {
    let run = Command::new("capinfos")
        .arg(path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match run {
        Ok(status) => assert!(status.success(), "capinfos refuses the file"),
        Err(error) => println!("skipped: capinfos: {error}"),
    }
}
