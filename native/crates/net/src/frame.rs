//! From an Ethernet frame to its UDP datagram, by the lengths that the headers give: IP total
//! length and UDP length decide where the payload ends, never the length of the frame, which may
//! be padded. Every length is checked against the bytes that are there. Pure.
//!
//! At most two VLAN tags (802.1Q, 802.1ad) are passed over; IPv4 with options; IPv6 without
//! extension headers, which market data does not use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

/// A UDP datagram of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpFrame<'a> {
    /// Who sent it.
    pub source: SocketAddr,
    /// Where to.
    pub destination: SocketAddr,
    /// Its payload, without padding.
    pub payload: &'a [u8],
}

/// Why a frame holds no datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Neither IPv4 nor IPv6, or not UDP.
    NotUdp,
    /// A part of a datagram.
    Fragment,
    /// Headers or lengths that contradict one another or the bytes that are there.
    Malformed,
}

/// A UDP datagram of a plain frame ([`parse_plain`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainUdp<'a> {
    /// Who sent it.
    pub source: SocketAddrV4,
    /// Where to.
    pub destination: SocketAddrV4,
    /// Its payload, without padding.
    pub payload: &'a [u8],
}

/// As [`parse`], for the frames that market data is made of: no tag, IPv4 without options, lengths
/// that agree, all of it there. `None` says only that it is no such frame: ask [`parse_cut`]. A
/// third of its cost.
#[inline]
pub fn parse_plain(frame: &[u8]) -> Option<PlainUdp<'_>> {
    let (header, rest) = frame.split_first_chunk::<PLAIN_HEADER_BYTES>()?;
    let half = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let word = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    // Ethernet type, version and header length; no fragment; UDP.
    let is_plain = word(12) & 0xFFFF_FF00 == 0x0800_4500
        && half(20) & 0x3FFF == 0
        && header[23] == PROTOCOL_UDP;
    let (total, datagram) = (half(16), half(38));
    let payload_bytes = usize::from(datagram).checked_sub(UDP_BYTES)?;
    if !is_plain || usize::from(total) != IPV4_BYTES_MIN + usize::from(datagram) {
        return None;
    }
    Some(PlainUdp {
        source: SocketAddrV4::new(Ipv4Addr::from_bits(word(26)), half(34)),
        destination: SocketAddrV4::new(Ipv4Addr::from_bits(word(30)), half(36)),
        payload: rest.get(..payload_bytes)?,
    })
}

/// Finds the UDP datagram of an Ethernet II frame.
///
/// # Errors
///
/// See [`Refusal`].
#[inline]
pub fn parse(frame: &[u8]) -> Result<UdpFrame<'_>, Refusal> {
    parse_cut(frame, frame.len()).map(|(found, _)| found)
}

/// As [`parse`], for the first bytes of a frame that had `wire_bytes`: the lengths are checked
/// against those, all headers must be there. Returns the part of the payload that is there, and how
/// long it was.
///
/// # Errors
///
/// See [`Refusal`].
#[inline]
pub fn parse_cut(frame: &[u8], wire_bytes: usize) -> Result<(UdpFrame<'_>, usize), Refusal> {
    let missing = wire_bytes
        .checked_sub(frame.len())
        .ok_or(Refusal::Malformed)?;
    let mut at = ETHERNET_TYPE_AT;
    for _ in 0..=VLAN_TAGS_MAX {
        let kind = u16_at(frame, at).ok_or(Refusal::Malformed)?;
        match kind {
            TYPE_IPV4 => return ipv4(&frame[at + 2..], missing),
            TYPE_IPV6 => return ipv6(&frame[at + 2..], missing),
            TYPE_VLAN | TYPE_VLAN_OUTER => at += VLAN_TAG_BYTES,
            _ => return Err(Refusal::NotUdp),
        }
    }
    Err(Refusal::NotUdp)
}

#[inline]
fn ipv4(packet: &[u8], missing: usize) -> Result<(UdpFrame<'_>, usize), Refusal> {
    let header: &[u8; IPV4_BYTES_MIN] = packet.first_chunk().ok_or(Refusal::Malformed)?;
    let header_bytes = usize::from(header[0] & 0x0F) * 4;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[0] >> 4 != 4 || header_bytes < IPV4_BYTES_MIN {
        return Err(Refusal::Malformed);
    }
    if header[9] != PROTOCOL_UDP {
        return Err(Refusal::NotUdp);
    }
    // More fragments follow, or this is not the first.
    if u16::from_be_bytes([header[6], header[7]]) & 0x3FFF != 0 {
        return Err(Refusal::Fragment);
    }
    let body = part(packet, header_bytes, total, missing)?;
    let body_bytes = total - header_bytes;
    let address = |at: usize| {
        let octets = [header[at], header[at + 1], header[at + 2], header[at + 3]];
        IpAddr::V4(Ipv4Addr::from(octets))
    };
    udp(body, body_bytes, address(12), address(16))
}

#[inline]
fn ipv6(packet: &[u8], missing: usize) -> Result<(UdpFrame<'_>, usize), Refusal> {
    let header: &[u8; IPV6_BYTES] = packet.first_chunk().ok_or(Refusal::Malformed)?;
    if header[0] >> 4 != 6 {
        return Err(Refusal::Malformed);
    }
    match header[6] {
        PROTOCOL_UDP => {}
        NEXT_HEADER_FRAGMENT => return Err(Refusal::Fragment),
        _ => return Err(Refusal::NotUdp),
    }
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let body = part(packet, IPV6_BYTES, IPV6_BYTES + length, missing)?;
    let address = |at: usize| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&header[at..at + 16]);
        IpAddr::V6(Ipv6Addr::from(octets))
    };
    udp(body, length, address(8), address(24))
}

/// Reads a UDP datagram of `body_bytes`, of which `body` is there.
#[inline]
fn udp(
    body: &[u8],
    body_bytes: usize,
    source: IpAddr,
    destination: IpAddr,
) -> Result<(UdpFrame<'_>, usize), Refusal> {
    let header: &[u8; UDP_BYTES] = body.first_chunk().ok_or(Refusal::Malformed)?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let payload = part(body, UDP_BYTES, length, body_bytes - body.len())?;
    let port = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let found = UdpFrame {
        source: SocketAddr::new(source, port(0)),
        destination: SocketAddr::new(destination, port(2)),
        payload,
    };
    Ok((found, length - UDP_BYTES))
}

/// The bytes from `start` to `end`, or those of them that are there when the last `missing` bytes
/// are not.
#[inline]
fn part(bytes: &[u8], start: usize, end: usize, missing: usize) -> Result<&[u8], Refusal> {
    if end > bytes.len() + missing {
        return Err(Refusal::Malformed);
    }
    bytes
        .get(start..end.min(bytes.len()))
        .filter(|_| start <= end)
        .ok_or(Refusal::Malformed)
}

#[inline]
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

const PLAIN_HEADER_BYTES: usize = 14 + IPV4_BYTES_MIN + UDP_BYTES;
const ETHERNET_TYPE_AT: usize = 12;
const TYPE_IPV4: u16 = 0x0800;
const TYPE_IPV6: u16 = 0x86DD;
const TYPE_VLAN: u16 = 0x8100;
const TYPE_VLAN_OUTER: u16 = 0x88A8;
const VLAN_TAG_BYTES: usize = 4;
const VLAN_TAGS_MAX: usize = 2;
const IPV4_BYTES_MIN: usize = 20;
const IPV6_BYTES: usize = 40;
const UDP_BYTES: usize = 8;
const PROTOCOL_UDP: u8 = 17;
const NEXT_HEADER_FRAGMENT: u8 = 44;

#[cfg(test)]
mod tests;
