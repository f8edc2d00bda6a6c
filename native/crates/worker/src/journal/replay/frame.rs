//! From a captured frame to its UDP payload: Ethernet (VLAN tags too), raw IP, Linux cooked; IPv4;
//! UDP. Every length is checked against the bytes that are there.

use std::net::Ipv4Addr;

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
            // 12 and 14: raw IP of BSD systems.
            101 | 12 | 14 => Self::Raw,
            113 => Self::Cooked,
            _ => Self::Unknown,
        }
    }
}

/// Why a frame holds nothing to replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skip {
    /// The link layer is not understood.
    UnknownLink,
    /// Not IPv4, or not UDP.
    NotUdp,
    /// A fragment of a datagram.
    Fragment,
    /// Cut by the capture, or lengths that contradict one another.
    Truncated,
}

/// A UDP datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Datagram<'a> {
    pub(super) destination: (Ipv4Addr, u16),
    pub(super) payload: &'a [u8],
}

/// Finds the UDP datagram of a frame.
pub(super) fn datagram(link: Link, frame: &[u8]) -> Result<Datagram<'_>, Skip> {
    let packet = match link {
        Link::Ethernet => ethernet(frame)?,
        Link::Raw => frame,
        Link::Cooked => by_ether_type(frame.get(14..).ok_or(Skip::Truncated)?)?,
        Link::Unknown => return Err(Skip::UnknownLink),
    };
    ipv4(packet)
}

fn ethernet(frame: &[u8]) -> Result<&[u8], Skip> {
    let mut rest = frame.get(12..).ok_or(Skip::Truncated)?;
    while let Some([0x81, 0x00] | [0x88, 0xA8]) = rest.first_chunk() {
        rest = rest.get(4..).ok_or(Skip::Truncated)?;
    }
    by_ether_type(rest)
}

/// What follows the type field that `rest` begins with.
fn by_ether_type(rest: &[u8]) -> Result<&[u8], Skip> {
    match rest.split_first_chunk() {
        Some(([0x08, 0x00], packet)) => Ok(packet),
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
    let udp = packet
        .get(header_len.max(20)..total_len)
        .ok_or(Skip::Truncated)?;
    if u16::from_be_bytes([head[6], head[7]]) & FRAGMENT_BITS != 0 {
        return Err(Skip::Fragment);
    }
    let group = Ipv4Addr::new(head[16], head[17], head[18], head[19]);
    let (header, _): (&[u8; 8], _) = udp.split_first_chunk().ok_or(Skip::Truncated)?;
    let port = u16::from_be_bytes([header[2], header[3]]);
    let udp_len = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let payload = udp.get(8..udp_len).ok_or(Skip::Truncated)?;
    Ok(Datagram {
        destination: (group, port),
        payload,
    })
}

const PROTOCOL_UDP: u8 = 17;
/// "More fragments" and the offset.
const FRAGMENT_BITS: u16 = 0x3FFF;

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
        let to = datagram(Link::Raw, &packet(b""))
            .expect("a datagram")
            .destination;
        assert_eq!(to, (Ipv4Addr::new(239, 1, 2, 3), 31001));
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
        assert_eq!(with(0, 0x65), Err(Skip::NotUdp), "IPv6");
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
