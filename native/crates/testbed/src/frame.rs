use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::checksum::internet;

/// Ethernet II frames of one UDP flow: `[destination MAC 6][source MAC 6][tags 4 each][type 2]`,
/// IPv4 (RFC 791) or IPv6 (RFC 8200), UDP (RFC 768) with its checksum. No FCS: the card adds it.
///
/// The destination MAC follows from a multicast group; set it for unicast. Not padded unless asked.
#[derive(Debug, Clone)]
pub struct FrameBuilder {
    source: SocketAddr,
    destination: SocketAddr,
    source_mac: [u8; 6],
    destination_mac: [u8; 6],
    tags: Vec<[u8; 4]>,
    ttl: u8,
    dont_fragment: bool,
    identification: u16,
    options: Vec<u8>,
    has_checksum: bool,
    padded_bytes: usize,
}

/// What is wrong with a frame, on purpose. All but the last two keep a right IP header checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformation {
    /// IPv4 header length field 4: shorter than the header must be.
    ShortHeaderLength,
    /// IPv4 header length field 15, beyond the end of a short packet.
    LongHeaderLength,
    /// IP length field beyond the end of the frame, by this many bytes.
    IpLengthBeyond(u16),
    /// UDP length field beyond the IP packet, by this many bytes.
    UdpLengthBeyond(u16),
    /// UDP length field of 7: shorter than its own header.
    UdpLengthShort,
    /// Version field 5 in a packet of its Ethernet type.
    WrongVersion,
    /// UDP checksum with one bit wrong.
    UdpChecksum,
    /// IPv4 header checksum with one bit wrong.
    HeaderChecksum,
    /// Only this many first bytes of the frame.
    Truncated(usize),
}

impl FrameBuilder {
    /// Frames from `source` to `destination`: TTL 1, no tags, no options, may be fragmented.
    ///
    /// # Panics
    ///
    /// The two are not of one family.
    pub fn udp(source: SocketAddr, destination: SocketAddr) -> Self {
        assert_eq!(source.is_ipv4(), destination.is_ipv4(), "one family");
        Self {
            source,
            destination,
            source_mac: [0x02, 0x77, 0, 0, 0, 1],
            destination_mac: multicast_mac(destination.ip()),
            tags: Vec::new(),
            ttl: 1,
            dont_fragment: false,
            identification: 0,
            options: Vec::new(),
            has_checksum: true,
            padded_bytes: 0,
        }
    }

    /// Replaces the source MAC, 02:77:00:00:00:01.
    #[must_use]
    pub fn source_mac(self, source_mac: [u8; 6]) -> Self {
        Self { source_mac, ..self }
    }

    /// Replaces the destination MAC.
    #[must_use]
    pub fn destination_mac(self, destination_mac: [u8; 6]) -> Self {
        Self {
            destination_mac,
            ..self
        }
    }

    /// Adds an 802.1Q tag with this VLAN id inside the tags that are there.
    #[must_use]
    pub fn vlan(self, id: u16) -> Self {
        self.tag(TYPE_VLAN, id)
    }

    /// Adds an 802.1ad (outer, provider) tag with this VLAN id inside the tags that are there.
    #[must_use]
    pub fn provider_vlan(self, id: u16) -> Self {
        self.tag(TYPE_VLAN_OUTER, id)
    }

    /// Replaces the TTL (IPv6: hop limit).
    #[must_use]
    pub fn ttl(self, ttl: u8) -> Self {
        Self { ttl, ..self }
    }

    /// Sets IPv4's "don't fragment".
    #[must_use]
    pub fn dont_fragment(self) -> Self {
        Self {
            dont_fragment: true,
            ..self
        }
    }

    /// Sets IPv4's identification, which tells the fragments of one packet from another's.
    #[must_use]
    pub fn identification(self, identification: u16) -> Self {
        Self {
            identification,
            ..self
        }
    }

    /// IPv4 options, padded with "end of options" (0) to whole words.
    ///
    /// # Panics
    ///
    /// More than 40 bytes.
    #[must_use]
    pub fn ipv4_options(mut self, options: &[u8]) -> Self {
        assert!(options.len() <= 40, "an IPv4 header has at most 60 bytes");
        self.options = options.to_vec();
        self.options.resize(options.len().next_multiple_of(4), 0);
        self
    }

    /// UDP checksum 0: none (IPv4 only).
    #[must_use]
    pub fn without_checksum(self) -> Self {
        Self {
            has_checksum: false,
            ..self
        }
    }

    /// Zeros behind the packet up to this frame length; 60 is what an Ethernet card sends at least.
    #[must_use]
    pub fn padded_to(self, padded_bytes: usize) -> Self {
        Self {
            padded_bytes,
            ..self
        }
    }

    /// The frame of one whole datagram.
    ///
    /// # Panics
    ///
    /// The payload does not fit into an IP packet.
    pub fn build(&self, payload: &[u8]) -> Vec<u8> {
        let datagram = self.datagram(payload);
        let packet = match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let flags = if self.dont_fragment { DONT_FRAGMENT } else { 0 };
                self.ipv4(source, destination, flags, &datagram)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                self.ipv6(source, destination, &datagram)
            }
            _ => unreachable!("the constructor holds one family"),
        };
        self.ethernet(&packet)
    }

    /// The frames of one datagram in IPv4 fragments, in order; each but the last carries
    /// `fragment_bytes` of it, UDP header included.
    ///
    /// # Panics
    ///
    /// IPv6, or `fragment_bytes` is not a multiple of 8.
    pub fn fragments(&self, payload: &[u8], fragment_bytes: usize) -> Vec<Vec<u8>> {
        assert!(
            fragment_bytes > 0 && fragment_bytes.is_multiple_of(8),
            "fragments are counted in units of 8 bytes"
        );
        let (IpAddr::V4(source), IpAddr::V4(destination)) =
            (self.source.ip(), self.destination.ip())
        else {
            panic!("only IPv4 is fragmented here");
        };
        let datagram = self.datagram(payload);
        let count = datagram.len().div_ceil(fragment_bytes);
        let fragment = |(index, piece): (usize, &[u8])| {
            let offset_words = (index * fragment_bytes / 8) as u16;
            let more = if index + 1 < count { MORE_FRAGMENTS } else { 0 };
            self.ethernet(&self.ipv4(source, destination, more | offset_words, piece))
        };
        datagram
            .chunks(fragment_bytes)
            .enumerate()
            .map(fragment)
            .collect()
    }

    /// The frame of [`FrameBuilder::build`] with one thing wrong.
    ///
    /// # Panics
    ///
    /// The malformation is one of IPv4 and the flow is IPv6.
    pub fn malformed(&self, payload: &[u8], malformation: Malformation) -> Vec<u8> {
        let mut frame = self.build(payload);
        let ip = 14 + 4 * self.tags.len();
        let is_ipv4 = self.source.is_ipv4();
        let header_bytes = if is_ipv4 {
            IPV4_BYTES + self.options.len()
        } else {
            IPV6_BYTES
        };
        let udp = ip + header_bytes;
        let add = |frame: &mut [u8], at: usize, more: u16| {
            let value = u16::from_be_bytes([frame[at], frame[at + 1]]).wrapping_add(more);
            frame[at..at + 2].copy_from_slice(&value.to_be_bytes());
        };
        let ipv4_only = || assert!(is_ipv4, "{malformation:?} is one of IPv4");
        match malformation {
            Malformation::ShortHeaderLength => {
                ipv4_only();
                frame[ip] = 0x44;
            }
            Malformation::LongHeaderLength => {
                ipv4_only();
                frame[ip] = 0x4F;
            }
            Malformation::IpLengthBeyond(more) => {
                add(&mut frame, ip + if is_ipv4 { 2 } else { 4 }, more);
            }
            Malformation::UdpLengthBeyond(more) => add(&mut frame, udp + 4, more),
            Malformation::UdpLengthShort => frame[udp + 4..udp + 6].copy_from_slice(&[0, 7]),
            Malformation::WrongVersion => frame[ip] = 0x50 | frame[ip] & 0x0F,
            Malformation::UdpChecksum => frame[udp + 7] ^= 1,
            Malformation::HeaderChecksum => ipv4_only(),
            Malformation::Truncated(bytes) => frame.truncate(bytes),
        }
        if is_ipv4 && frame.len() >= udp {
            frame[ip + 10..ip + 12].fill(0);
            let mut sum = internet(&[&frame[ip..udp]]);
            if malformation == Malformation::HeaderChecksum {
                sum ^= 1;
            }
            frame[ip + 10..ip + 12].copy_from_slice(&sum.to_be_bytes());
        }
        frame
    }

    fn tag(mut self, kind: u16, id: u16) -> Self {
        assert!(id < 4_096, "a VLAN id has 12 bits");
        let ([a, b], [c, d]) = (kind.to_be_bytes(), id.to_be_bytes());
        self.tags.push([a, b, c, d]);
        self
    }

    /// UDP header and payload.
    fn datagram(&self, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(8 + payload.len()).expect("a payload fits into an IP packet");
        let mut header = [0; 8];
        header[0..2].copy_from_slice(&self.source.port().to_be_bytes());
        header[2..4].copy_from_slice(&self.destination.port().to_be_bytes());
        header[4..6].copy_from_slice(&length.to_be_bytes());
        if self.has_checksum {
            // Zero means "none", so a sum of zero is sent as all ones.
            let sum = match internet(&[&self.pseudo_header(length), &header, payload]) {
                0 => 0xFFFF,
                sum => sum,
            };
            header[6..8].copy_from_slice(&sum.to_be_bytes());
        }
        [&header, payload].concat()
    }

    /// What the UDP checksum covers of the IP header.
    fn pseudo_header(&self, length: u16) -> Vec<u8> {
        let length = length.to_be_bytes();
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => [
                &source.octets()[..],
                &destination.octets(),
                &[0, PROTOCOL_UDP],
                &length,
            ]
            .concat(),
            (IpAddr::V6(source), IpAddr::V6(destination)) => [
                &source.octets()[..],
                &destination.octets(),
                &[0, 0],
                &length,
                &[0, 0, 0, PROTOCOL_UDP],
            ]
            .concat(),
            _ => unreachable!("the constructor holds one family"),
        }
    }

    fn ipv4(&self, source: Ipv4Addr, destination: Ipv4Addr, flags: u16, rest: &[u8]) -> Vec<u8> {
        let header_bytes = IPV4_BYTES + self.options.len();
        let total =
            u16::try_from(header_bytes + rest.len()).expect("a payload fits into an IP packet");
        let mut header = vec![0; IPV4_BYTES];
        header[0] = 0x40 | (header_bytes / 4) as u8;
        header[2..4].copy_from_slice(&total.to_be_bytes());
        header[4..6].copy_from_slice(&self.identification.to_be_bytes());
        header[6..8].copy_from_slice(&flags.to_be_bytes());
        header[8] = self.ttl;
        header[9] = PROTOCOL_UDP;
        header[12..16].copy_from_slice(&source.octets());
        header[16..20].copy_from_slice(&destination.octets());
        header.extend_from_slice(&self.options);
        let sum = internet(&[&header]);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header.extend_from_slice(rest);
        header
    }

    fn ipv6(&self, source: Ipv6Addr, destination: Ipv6Addr, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("a payload fits into an IP packet");
        let mut header = vec![0; IPV6_BYTES];
        header[0] = 0x60;
        header[4..6].copy_from_slice(&length.to_be_bytes());
        header[6] = PROTOCOL_UDP;
        header[7] = self.ttl;
        header[8..24].copy_from_slice(&source.octets());
        header[24..40].copy_from_slice(&destination.octets());
        header.extend_from_slice(rest);
        header
    }

    fn ethernet(&self, packet: &[u8]) -> Vec<u8> {
        let kind = if self.source.is_ipv4() {
            TYPE_IPV4
        } else {
            TYPE_IPV6
        };
        let mut frame = [self.destination_mac, self.source_mac].concat();
        frame.extend(self.tags.iter().flatten());
        frame.extend_from_slice(&kind.to_be_bytes());
        frame.extend_from_slice(packet);
        frame.resize(frame.len().max(self.padded_bytes), 0);
        frame
    }
}

/// The MAC of a multicast group (RFC 1112, section 6.4; RFC 2464, section 7); broadcast for any
/// other address.
pub fn multicast_mac(group: IpAddr) -> [u8; 6] {
    match group {
        IpAddr::V4(group) if group.is_multicast() => {
            let [_, b, c, d] = group.octets();
            [0x01, 0x00, 0x5E, b & 0x7F, c, d]
        }
        IpAddr::V6(group) if group.is_multicast() => {
            let [.., a, b, c, d] = group.octets();
            [0x33, 0x33, a, b, c, d]
        }
        _ => [0xFF; 6],
    }
}

const TYPE_IPV4: u16 = 0x0800;
const TYPE_IPV6: u16 = 0x86DD;
const TYPE_VLAN: u16 = 0x8100;
const TYPE_VLAN_OUTER: u16 = 0x88A8;
const PROTOCOL_UDP: u8 = 17;
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const IPV4_BYTES: usize = 20;
const IPV6_BYTES: usize = 40;
