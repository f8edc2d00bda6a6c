use proptest::prelude::*;

use super::*;

/// An IPv4 frame with `tags` VLAN tags, `options` words of IP options and `padding` bytes behind.
fn frame(payload: &[u8], tags: usize, options: usize, padding: usize) -> Vec<u8> {
    let mut bytes = vec![0x01, 0, 0x5E, 1, 2, 3, 2, 0, 0, 0, 0, 1];
    for tag in 0..tags {
        let outer = tags == 2 && tag == 0;
        bytes.extend(if outer { [0x88, 0xA8] } else { [0x81, 0x00] });
        bytes.extend([0, 5]);
    }
    bytes.extend([0x08, 0x00]);
    let header = 20 + 4 * options;
    let total = (header + 8 + payload.len()) as u16;
    bytes.push(0x40 | (header / 4) as u8);
    bytes.push(0);
    bytes.extend(total.to_be_bytes());
    bytes.extend([0, 0, 0x40, 0, 16, 17, 0, 0, 10, 0, 0, 1, 239, 1, 2, 3]);
    bytes.resize(bytes.len() + 4 * options, 1);
    bytes.extend(4000u16.to_be_bytes());
    bytes.extend(5000u16.to_be_bytes());
    bytes.extend((8 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    bytes.resize(bytes.len() + padding, 0);
    bytes
}

/// Tags, options and padding do not change the datagram.
#[test]
fn the_datagram_is_found_behind_tags_and_options() {
    for (tags, options, padding) in [(0, 0, 0), (1, 0, 18), (2, 10, 1), (0, 3, 40)] {
        let bytes = frame(b"payload", tags, options, padding);
        let found = parse(&bytes).unwrap();
        assert_eq!(found.payload, b"payload");
        assert_eq!(found.source, "10.0.0.1:4000".parse().unwrap());
        assert_eq!(found.destination, "239.1.2.3:5000".parse().unwrap());
    }
}

/// IPv6 without extension headers is read the same way.
#[test]
fn ipv6_is_read_too() {
    let mut bytes = vec![0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xDD];
    bytes.extend([0x60, 0, 0, 0, 0, 11, 17, 4]);
    bytes.extend("fd00::1".parse::<Ipv6Addr>().unwrap().octets());
    bytes.extend("ff05::9".parse::<Ipv6Addr>().unwrap().octets());
    bytes.extend([0x0F, 0xA0, 0x13, 0x88, 0, 11, 0, 0]);
    bytes.extend(b"abc\0\0");
    let found = parse(&bytes).unwrap();
    assert_eq!(found.payload, b"abc");
    assert_eq!(found.destination, "[ff05::9]:5000".parse().unwrap());
    bytes[20] = 44;
    assert_eq!(parse(&bytes), Err(Refusal::Fragment));
}

/// Each field that lies is refused for its own reason.
#[test]
fn lying_headers_are_refused() {
    let good = frame(b"payload", 0, 0, 0);
    let changed = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    for (what, bytes, refusal) in [
        ("ARP", changed(13, 0x06), Refusal::NotUdp),
        ("TCP", changed(23, 6), Refusal::NotUdp),
        ("more fragments", changed(20, 0x20), Refusal::Fragment),
        ("an offset", changed(21, 1), Refusal::Fragment),
        ("version 5", changed(14, 0x55), Refusal::Malformed),
        ("a short IHL", changed(14, 0x44), Refusal::Malformed),
        (
            "an IHL beyond the total",
            changed(14, 0x4F),
            Refusal::Malformed,
        ),
        (
            "a total beyond the frame",
            changed(16, 1),
            Refusal::Malformed,
        ),
        ("a UDP length below 8", changed(39, 7), Refusal::Malformed),
        ("a UDP length beyond", changed(38, 1), Refusal::Malformed),
        ("no bytes", vec![], Refusal::Malformed),
    ] {
        assert_eq!(parse(&bytes), Err(refusal), "{what}");
    }
    let tags = frame(b"payload", 3, 0, 0);
    assert_eq!(parse(&tags), Err(Refusal::NotUdp), "three tags");
}

proptest! {
    /// The short way finds what the long way finds, or nothing; it finds every frame of its kind.
    #[test]
    fn the_short_way_agrees(
        noise in prop::collection::vec(any::<u8>(), 0..200),
        tags in 0usize..2, options in 0usize..2, padding in 0usize..20,
        cut in 0usize..20, at in 0usize..60, value in any::<u8>(),
    ) {
        let mut bytes = frame(&noise, tags, options, padding);
        let found = parse_plain(&bytes);
        prop_assert_eq!(found.is_some(), tags == 0 && options == 0);
        bytes.truncate(bytes.len() - cut.min(bytes.len()));
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        if let Some(plain) = parse_plain(&bytes) {
            let found = parse(&bytes).unwrap();
            prop_assert_eq!(plain.payload, found.payload);
            prop_assert_eq!(SocketAddr::V4(plain.source), found.source);
            prop_assert_eq!(SocketAddr::V4(plain.destination), found.destination);
        }
    }

    /// Any cut of a good frame, and any bytes at all, are read or refused, never beyond the end.
    #[test]
    fn no_bytes_panic(
        noise in prop::collection::vec(any::<u8>(), 0..200),
        tags in 0usize..3, options in 0usize..11, cut in 0usize..200,
    ) {
        let whole = frame(&noise, tags, options, 0);
        prop_assert_eq!(parse(&whole).unwrap().payload, noise.as_slice());
        let short = &whole[..cut.min(whole.len() - 1)];
        prop_assert!(parse(short).is_err());
        let _ = parse(&noise);
    }
}

/// Of a frame that was cut behind its headers the payload's first part comes, and its true length;
/// a cut inside the headers is malformed, and so are lengths beyond what was on the wire.
#[test]
fn a_cut_frame_gives_what_is_there() {
    let whole = frame(b"payload", 1, 2, 18);
    let headers = 14 + 4 + 28 + 8;
    for cut in 0..=whole.len() {
        let found = parse_cut(&whole[..cut], whole.len());
        if cut < headers {
            assert_eq!(found, Err(Refusal::Malformed), "{cut}");
        } else {
            let (found, payload_bytes) = found.unwrap();
            let there = (cut - headers).min(7);
            assert_eq!(found.payload, &b"payload"[..there], "{cut}");
            assert_eq!(payload_bytes, 7);
        }
    }
    let wire_bytes = headers + 7;
    assert!(parse_cut(&whole[..headers], wire_bytes).is_ok());
    assert_eq!(
        parse_cut(&whole[..headers], wire_bytes - 1),
        Err(Refusal::Malformed)
    );
    assert_eq!(parse_cut(&whole, 10), Err(Refusal::Malformed), "a lie");
}
