//! Datagrams into a pcapng file, with nanoseconds.
//!
//! A socket gives payloads and addresses, no frames. So that every tool reads the file, each
//! payload gets an Ethernet, an IP and a UDP header built from its addresses, with right lengths
//! and checksums; the section's comment says so. What was never seen is a fixed value: MAC
//! addresses are derived from the IP addresses, the TTL is 64.
//!
//! The file (draft-ietf-opsawg-pcapng), little-endian: one section header, one interface
//! description per line (`if_tsresol` 9), one enhanced packet per datagram. A block is type,
//! length, body, length; options are code, length and a value padded to 32 bits.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A line in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Such as `A`.
    pub name: String,
    /// Such as the group and the port.
    pub description: String,
}

/// A datagram to be written.
#[derive(Debug, Clone, Copy)]
pub struct CapturedPacket<'a> {
    /// Index of its interface.
    pub interface: u32,
    /// When it was received, UTC nanoseconds.
    pub at_ns: u64,
    /// Who sent it.
    pub source: SocketAddr,
    /// Where it was sent to; of the source's family.
    pub destination: SocketAddr,
    /// What it carried, or the beginning of that.
    pub payload: &'a [u8],
    /// The payload is only the beginning. How long it really was is not known: the file says one
    /// byte more.
    pub is_truncated: bool,
    /// A remark that belongs to this packet.
    pub comment: Option<&'a str>,
}

/// Writes one section.
#[derive(Debug)]
pub struct PcapngWriter<W> {
    out: W,
    interfaces: u32,
    /// The block under construction, and the frame in it.
    block: Vec<u8>,
    frame: Vec<u8>,
}

impl<W: Write> PcapngWriter<W> {
    /// Writes the section header and the interfaces. `comment` follows the sentence about the
    /// headers.
    ///
    /// # Errors
    ///
    /// `out` does not take it.
    pub fn new(out: W, interfaces: &[Interface], comment: &str) -> io::Result<Self> {
        let mut writer = Self {
            out,
            interfaces: u32::try_from(interfaces.len()).map_err(io::Error::other)?,
            block: Vec::new(),
            frame: Vec::new(),
        };
        writer.section(comment)?;
        for interface in interfaces {
            writer.interface(interface)?;
        }
        Ok(writer)
    }

    /// Writes one datagram.
    ///
    /// # Errors
    ///
    /// `out` does not take it; or [`io::ErrorKind::InvalidInput`], with nothing written, for an
    /// interface that is not there, addresses of two families, or a payload that no datagram holds.
    pub fn packet(&mut self, packet: &CapturedPacket<'_>) -> io::Result<()> {
        if packet.interface >= self.interfaces {
            return Err(invalid("a packet of an interface that was not described"));
        }
        build_frame(&mut self.frame, packet)?;
        let captured = u32::try_from(self.frame.len()).map_err(io::Error::other)?;
        self.begin(ENHANCED_PACKET);
        for word in [
            packet.interface,
            (packet.at_ns >> 32) as u32,
            packet.at_ns as u32,
            captured,
            captured + u32::from(packet.is_truncated),
        ] {
            self.word(word);
        }
        self.block.extend_from_slice(&self.frame);
        self.pad();
        let casting = if packet.destination.ip().is_multicast() {
            MULTICAST
        } else {
            UNICAST
        };
        self.option(EPB_FLAGS, &(INBOUND | casting).to_le_bytes());
        if let Some(comment) = packet.comment {
            self.option(COMMENT, comment.as_bytes());
        }
        self.end_options();
        self.end()
    }

    /// Flushes, and gives the output back.
    ///
    /// # Errors
    ///
    /// `out` does not take it.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn section(&mut self, comment: &str) -> io::Result<()> {
        self.begin(SECTION_HEADER);
        self.word(BYTE_ORDER);
        self.block.extend_from_slice(&[1, 0, 0, 0]);
        // The section's length is not given: it ends with the file.
        self.block.extend_from_slice(&[0xFF; 8]);
        self.option(COMMENT, REBUILT.as_bytes());
        if !comment.is_empty() {
            self.option(COMMENT, comment.as_bytes());
        }
        let application = concat!("tickdeck ", env!("CARGO_PKG_VERSION"));
        self.option(SHB_USERAPPL, application.as_bytes());
        self.end_options();
        self.end()
    }

    fn interface(&mut self, interface: &Interface) -> io::Result<()> {
        self.begin(INTERFACE_DESCRIPTION);
        // Ethernet; two reserved bytes; no limit on the length of a frame.
        self.word(1);
        self.word(0);
        self.option(IF_NAME, interface.name.as_bytes());
        self.option(IF_DESCRIPTION, interface.description.as_bytes());
        self.option(IF_TSRESOL, &[9]);
        self.end_options();
        self.end()
    }

    fn begin(&mut self, kind: u32) {
        self.block.clear();
        self.word(kind);
        // The length, known at the end.
        self.word(0);
    }

    fn word(&mut self, word: u32) {
        self.block.extend_from_slice(&word.to_le_bytes());
    }

    /// An option; a value longer than its length field is cut.
    fn option(&mut self, code: u16, value: &[u8]) {
        let value = &value[..value.len().min(usize::from(u16::MAX))];
        self.block.extend_from_slice(&code.to_le_bytes());
        self.block
            .extend_from_slice(&(value.len() as u16).to_le_bytes());
        self.block.extend_from_slice(value);
        self.pad();
    }

    fn end_options(&mut self) {
        self.word(0);
    }

    fn pad(&mut self) {
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    fn end(&mut self) -> io::Result<()> {
        let length = u32::try_from(self.block.len() + 4).map_err(io::Error::other)?;
        self.word(length);
        self.block[4..8].copy_from_slice(&length.to_le_bytes());
        self.out.write_all(&self.block)
    }
}

/// Puts Ethernet, IP and UDP headers before the payload.
fn build_frame(frame: &mut Vec<u8>, packet: &CapturedPacket<'_>) -> io::Result<()> {
    let missing = usize::from(packet.is_truncated);
    let udp_len = u16::try_from(UDP_LEN + packet.payload.len() + missing)
        .map_err(|_| invalid("a payload longer than any UDP datagram's"))?;
    let ends = (packet.source.ip(), packet.destination.ip());
    frame.clear();
    frame.extend_from_slice(&destination_mac(ends.1));
    frame.extend_from_slice(&host_mac(ends.0));
    let pseudo = match ends {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let total_len = udp_len
                .checked_add(IPV4_LEN)
                .ok_or_else(|| invalid("a payload longer than any IPv4 datagram's"))?;
            ipv4_header(frame, total_len, source, destination);
            sum(&source.octets()) + sum(&destination.octets())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            ipv6_header(frame, udp_len, source, destination);
            sum(&source.octets()) + sum(&destination.octets())
        }
        _ => return Err(invalid("a packet from one address family to the other")),
    };
    let udp = frame.len();
    for field in [packet.source.port(), packet.destination.port(), udp_len, 0] {
        frame.extend_from_slice(&field.to_be_bytes());
    }
    frame.extend_from_slice(packet.payload);
    if !packet.is_truncated {
        let total = pseudo + u64::from(PROTOCOL_UDP) + u64::from(udp_len) + sum(&frame[udp..]);
        // Zero would say that there is no checksum; in one's complement all ones is the same number.
        let checksum = match fold(total) {
            0 => u16::MAX,
            checksum => checksum,
        };
        frame[udp + 6..udp + 8].copy_from_slice(&checksum.to_be_bytes());
    }
    Ok(())
}

fn ipv4_header(frame: &mut Vec<u8>, total_len: u16, source: Ipv4Addr, destination: Ipv4Addr) {
    frame.extend_from_slice(&[0x08, 0x00]);
    let begin = frame.len();
    let [high, low] = total_len.to_be_bytes();
    // Version and header length, service; length; identification; "don't fragment"; TTL, protocol;
    // checksum.
    frame.extend_from_slice(&[0x45, 0, high, low, 0, 0, 0x40, 0, HOPS, PROTOCOL_UDP, 0, 0]);
    frame.extend_from_slice(&source.octets());
    frame.extend_from_slice(&destination.octets());
    let checksum = fold(sum(&frame[begin..]));
    frame[begin + 10..begin + 12].copy_from_slice(&checksum.to_be_bytes());
}

fn ipv6_header(frame: &mut Vec<u8>, udp_len: u16, source: Ipv6Addr, destination: Ipv6Addr) {
    let [high, low] = udp_len.to_be_bytes();
    frame.extend_from_slice(&[0x86, 0xDD, 0x60, 0, 0, 0, high, low, PROTOCOL_UDP, HOPS]);
    frame.extend_from_slice(&source.octets());
    frame.extend_from_slice(&destination.octets());
}

/// The address that a group is sent to on Ethernet (RFC 1112, RFC 2464), or a host's.
fn destination_mac(address: IpAddr) -> [u8; 6] {
    match address {
        IpAddr::V4(group) if group.is_multicast() => {
            let [_, b, c, d] = group.octets();
            [0x01, 0x00, 0x5E, b & 0x7F, c, d]
        }
        IpAddr::V6(group) if group.is_multicast() => {
            let [.., a, b, c, d] = group.octets();
            [0x33, 0x33, a, b, c, d]
        }
        host => host_mac(host),
    }
}

/// A locally administered address that tells the host's last four bytes.
fn host_mac(address: IpAddr) -> [u8; 6] {
    let [a, b, c, d] = match address {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(address) => {
            let [.., a, b, c, d] = address.octets();
            [a, b, c, d]
        }
    };
    [0x02, 0x00, a, b, c, d]
}

/// Sum of the big-endian 16-bit words (RFC 1071), not folded yet.
fn sum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(2);
    let whole: u64 = words
        .by_ref()
        .map(|word| u64::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    whole
        + words
            .remainder()
            .first()
            .map_or(0, |last| u64::from(*last) << 8)
}

/// The checksum of a sum.
fn fold(mut sum: u64) -> u16 {
    while sum > u64::from(u16::MAX) {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

fn invalid(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}

/// First words of the section.
const REBUILT: &str = "Captured from UDP sockets inside the worker: payloads, addresses and \
                       times are real; the Ethernet, IP and UDP headers were built from the \
                       socket's addresses.";
const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1A2B_3C4D;
const COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;
/// Bits 0 and 1 of the flags: 1 is inbound. Bits 2 to 4: 1 is unicast, 2 is multicast.
const INBOUND: u32 = 1;
const UNICAST: u32 = 1 << 2;
const MULTICAST: u32 = 2 << 2;
const PROTOCOL_UDP: u8 = 17;
const UDP_LEN: usize = 8;
const IPV4_LEN: u16 = 20;
const HOPS: u8 = 64;

#[cfg(test)]
mod tests;
