//! From a captured frame to its UDP datagram: Ethernet (VLAN tags too), raw IP, Linux cooked; IPv4,
//! IPv6; UDP. Every length is checked against the bytes that are there; checksums are not, since
//! cards fill them in behind the capture of a sender.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Link layers that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Ethernet II.
    Ethernet,
    /// An IP packet without a header before it.
    Raw,
    /// Linux cooked capture, version 1.
    Cooked,
    /// Anything else.
    Unknown,
}

impl Link {
    /// The link layer with this number in a capture file.
    pub(super) fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Ethernet,
            // 12 and 14: raw IP of BSD systems; 228 and 229: raw IPv4 and IPv6.
            101 | 12 | 14 | 228 | 229 => Self::Raw,
            113 => Self::Cooked,
            _ => Self::Unknown,
        }
    }
}

/// Why a frame holds no datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// The link layer is not understood.
    UnknownLink,
    /// Not IP, or not UDP.
    NotUdp,
    /// A fragment of a datagram.
    Fragment,
    /// Cut by the capture, or lengths that contradict one another.
    Truncated,
}

/// A UDP datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub source: SocketAddr,
    /// Where it was sent to.
    pub destination: SocketAddr,
    /// What it carries.
    pub payload: &'a [u8],
}

/// Finds the UDP datagram of a frame.
pub(super) fn datagram(link: Link, frame: &[u8]) -> Result<Datagram<'_>, Skip> {
    match link {
        Link::Ethernet => ethernet(frame),
        Link::Raw => match frame.first().ok_or(Skip::Truncated)? >> 4 {
            4 => ipv4(frame),
            6 => ipv6(frame),
            _ => Err(Skip::NotUdp),
        },
        Link::Cooked => by_ether_type(frame.get(14..).ok_or(Skip::Truncated)?),
        Link::Unknown => Err(Skip::UnknownLink),
    }
}

fn ethernet(frame: &[u8]) -> Result<Datagram<'_>, Skip> {
    let mut rest = frame.get(12..).ok_or(Skip::Truncated)?;
    while let Some([0x81, 0x00] | [0x88, 0xA8]) = rest.first_chunk() {
        rest = rest.get(4..).ok_or(Skip::Truncated)?;
    }
    by_ether_type(rest)
}

/// What follows the type field that `rest` begins with.
fn by_ether_type(rest: &[u8]) -> Result<Datagram<'_>, Skip> {
    match rest.split_first_chunk() {
        Some(([0x08, 0x00], packet)) => ipv4(packet),
        Some(([0x86, 0xDD], packet)) => ipv6(packet),
        Some(_) => Err(Skip::NotUdp),
        None => Err(Skip::Truncated),
    }
}

fn ipv4(packet: &[u8]) -> Result<Datagram<'_>, Skip> {
    let head: &[u8; 20] = packet.first_chunk().ok_or(Skip::Truncated)?;
    let header_len = usize::from(head[0] & 0x0F) * 4;
    if head[0] >> 4 != 4 || head[9] != PROTOCOL_UDP {
        return Err(Skip::NotUdp);
    }
    let total_len = usize::from(u16::from_be_bytes([head[2], head[3]]));
    // Ethernet pads short frames, so the length of the packet counts, not that of the frame.
    let segment = packet
        .get(header_len.max(20)..total_len)
        .ok_or(Skip::Truncated)?;
    if u16::from_be_bytes([head[6], head[7]]) & FRAGMENT_BITS != 0 {
        return Err(Skip::Fragment);
    }
    let address = |at: usize| Ipv4Addr::new(head[at], head[at + 1], head[at + 2], head[at + 3]);
    udp(address(12).into(), address(16).into(), segment)
}

fn ipv6(packet: &[u8]) -> Result<Datagram<'_>, Skip> {
    let (head, rest): (&[u8; 40], _) = packet.split_first_chunk().ok_or(Skip::Truncated)?;
    if head[0] >> 4 != 6 {
        return Err(Skip::NotUdp);
    }
    let payload_len = usize::from(u16::from_be_bytes([head[4], head[5]]));
    let mut rest = rest.get(..payload_len).ok_or(Skip::Truncated)?;
    let mut next = head[6];
    while let HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS = next {
        let extension: &[u8; 8] = rest.first_chunk().ok_or(Skip::Truncated)?;
        if next == FRAGMENT {
            return Err(Skip::Fragment);
        }
        let length = (usize::from(extension[1]) + 1) * 8;
        next = extension[0];
        rest = rest.get(length..).ok_or(Skip::Truncated)?;
    }
    if next != PROTOCOL_UDP {
        return Err(Skip::NotUdp);
    }
    let address = |at: usize| {
        let bytes: &[u8; 16] = head[at..]
            .first_chunk()
            .expect("40 bytes hold two addresses");
        Ipv6Addr::from(*bytes)
    };
    udp(address(8).into(), address(24).into(), rest)
}

fn udp(source: IpAddr, destination: IpAddr, segment: &[u8]) -> Result<Datagram<'_>, Skip> {
    let header: &[u8; 8] = segment.first_chunk().ok_or(Skip::Truncated)?;
    let field = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let payload = segment
        .get(8..usize::from(field(4)))
        .ok_or(Skip::Truncated)?;
    Ok(Datagram {
        source: SocketAddr::new(source, field(0)),
        destination: SocketAddr::new(destination, field(2)),
        payload,
    })
}

const PROTOCOL_UDP: u8 = 17;
/// "More fragments" and the offset.
const FRAGMENT_BITS: u16 = 0x3FFF;
/// Extension headers of IPv6 that may stand before UDP.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 packet with a UDP datagram.
    fn packet(payload: &[u8]) -> Vec<u8> {
        let total = (28 + payload.len()) as u16;
        let mut bytes = vec![0x45, 0];
        bytes.extend(total.to_be_bytes());
        bytes.extend([0, 0, 0x40, 0, 1, 17, 0, 0, 10, 0, 0, 1, 239, 1, 2, 3]);
        bytes.extend([0x12, 0x34, 0x79, 0x19]);
        bytes.extend((8 + payload.len() as u16).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(payload);
        bytes
    }

    fn frame(between: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xAA; 12];
        bytes.extend(between);
        bytes.extend([8, 0]);
        bytes.extend(packet(payload));
        bytes
    }

    fn payload_of(link: Link, frame: &[u8]) -> Result<&[u8], Skip> {
        datagram(link, frame).map(|datagram| datagram.payload)
    }

    /// The payload is found behind each kind of link header, and Ethernet's padding is not part of
    /// it.
    #[test]
    fn payload_is_found() {
        let mut padded = frame(&[], b"abc");
        padded.extend([0; 15]);
        for bytes in [
            frame(&[], b"abc"),
            padded,
            frame(&[0x81, 0, 0, 7], b"abc"),
            frame(&[0x88, 0xA8, 0, 1, 0x81, 0, 0, 7], b"abc"),
        ] {
            assert_eq!(payload_of(Link::Ethernet, &bytes), Ok(&b"abc"[..]));
        }
        assert_eq!(payload_of(Link::Raw, &packet(b"")), Ok(&b""[..]));
        let cooked = [&[0; 14][..], &[8, 0], &packet(b"xyz")].concat();
        assert_eq!(payload_of(Link::Cooked, &cooked), Ok(&b"xyz"[..]));
        let bytes = packet(b"");
        let found = datagram(Link::Raw, &bytes).expect("a datagram");
        assert_eq!(found.source.to_string(), "10.0.0.1:4660");
        assert_eq!(found.destination.to_string(), "239.1.2.3:31001");
    }

    /// An IPv6 packet with a UDP datagram behind these extension headers, the first of that kind.
    fn packet6(first: u8, extensions: &[u8], payload: &[u8]) -> Vec<u8> {
        let length = (extensions.len() + 8 + payload.len()) as u16;
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend(length.to_be_bytes());
        bytes.extend([first, 1]);
        bytes.extend(Ipv6Addr::new(0xFE80, 0, 0, 0, 0, 0, 0, 1).octets());
        bytes.extend(Ipv6Addr::new(0xFF15, 0, 0, 0, 0, 0, 0, 7).octets());
        bytes.extend(extensions);
        bytes.extend([0x12, 0x34, 0x79, 0x19]);
        bytes.extend((8 + payload.len() as u16).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(payload);
        bytes
    }

    /// IPv6 datagrams are found behind Ethernet and bare, extension headers are passed over, and
    /// no prefix of one is read beyond its end.
    #[test]
    fn ipv6_is_understood() {
        let bytes = packet6(17, &[], b"abc");
        let found = datagram(Link::Raw, &bytes).expect("a datagram");
        assert_eq!(found.source.to_string(), "[fe80::1]:4660");
        assert_eq!(found.destination.to_string(), "[ff15::7]:31001");
        assert_eq!(found.payload, b"abc");
        let framed = [&[0xAA; 12][..], &[0x86, 0xDD], &bytes, &[0; 9]].concat();
        assert_eq!(payload_of(Link::Ethernet, &framed), Ok(&b"abc"[..]));
        let mut options = vec![DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0];
        options.extend([17, 1]);
        options.extend([0; 14]);
        let bytes = packet6(HOP_BY_HOP, &options, b"xyz");
        assert_eq!(payload_of(Link::Raw, &bytes), Ok(&b"xyz"[..]));
        for len in 0..bytes.len() {
            let skip = payload_of(Link::Raw, &bytes[..len]).expect_err("is cut");
            assert_eq!(skip, Skip::Truncated, "{len} bytes");
        }
        let fragment = packet6(FRAGMENT, &[17, 0, 0, 1, 0, 0, 0, 9], b"abc");
        assert_eq!(payload_of(Link::Raw, &fragment), Err(Skip::Fragment));
        let tcp = packet6(6, &[], b"abc");
        assert_eq!(payload_of(Link::Raw, &tcp), Err(Skip::NotUdp));
        let endless = packet6(HOP_BY_HOP, &[0, 0xFF, 0, 0, 0, 0, 0, 0], b"");
        assert_eq!(payload_of(Link::Raw, &endless), Err(Skip::Truncated));
    }

    /// IP options shift the UDP header.
    #[test]
    fn options_are_passed_over() {
        let mut bytes = packet(b"abc");
        bytes[0] = 0x46;
        bytes[3] += 4;
        bytes.splice(20..20, [1, 1, 1, 1]);
        assert_eq!(payload_of(Link::Raw, &bytes), Ok(&b"abc"[..]));
    }

    /// Whatever is not a whole UDP datagram is named and never read beyond its end.
    #[test]
    fn anything_else_is_skipped() {
        assert_eq!(
            payload_of(Link::Unknown, &packet(b"a")),
            Err(Skip::UnknownLink)
        );
        let whole = frame(&[], b"abcdef");
        for len in 0..whole.len() {
            let skip = payload_of(Link::Ethernet, &whole[..len]).expect_err("is cut");
            assert_eq!(skip, Skip::Truncated, "{len} bytes");
        }
        let with = |at: usize, value: u8| {
            let mut bytes = packet(b"abc");
            bytes[at] = value;
            payload_of(Link::Raw, &bytes).map(<[u8]>::to_vec)
        };
        assert_eq!(with(0, 0x55), Err(Skip::NotUdp), "IP version 5");
        assert_eq!(with(0, 0x65), Err(Skip::Truncated), "no whole IPv6 header");
        assert_eq!(with(9, 6), Err(Skip::NotUdp), "TCP");
        assert_eq!(with(6, 0x20), Err(Skip::Fragment), "more fragments");
        assert_eq!(with(7, 1), Err(Skip::Fragment), "a later fragment");
        assert_eq!(with(3, 200), Err(Skip::Truncated), "longer than the frame");
        assert_eq!(with(3, 10), Err(Skip::Truncated), "shorter than its header");
        assert_eq!(with(25, 200), Err(Skip::Truncated), "UDP longer than IP");
        assert_eq!(
            with(25, 3),
            Err(Skip::Truncated),
            "UDP shorter than its header"
        );
        let mut arp = frame(&[], b"abc");
        arp[13] = 6;
        assert_eq!(payload_of(Link::Ethernet, &arp), Err(Skip::NotUdp));
    }
}
