use std::io::{self, Read, Write};

use socket2::{Domain, Protocol, Socket, Type};

use crate::error::NetError;
use crate::link::attributes;

/// Asks the kernel what an interface lost, by rtnetlink (RTM_GETSTATS). Minimum kernel: 4.7.
///
/// The files below `/sys/class/net` tell the same, but of the network namespace in which `/sys` was
/// mounted, which need not be the caller's: another interface may have the name there.
pub struct LinkStats {
    socket: Socket,
    sequence: u32,
}

/// What an interface lost of what it received: the names are those of the kernel
/// (`Documentation/networking/statistics.rst` of Linux).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkLosses {
    /// Dropped by the driver, or by the kernel above it: also what a full backlog dropped, and
    /// frames of protocols that nobody on the host takes.
    pub rx_dropped: u64,
    /// No room in the card.
    pub rx_missed_errors: u64,
    /// The card's FIFO overflowed.
    pub rx_fifo_errors: u64,
    /// The ring overflowed, on cards that say so.
    pub rx_over_errors: u64,
    /// Damaged on the wire.
    pub rx_crc_errors: u64,
}

impl LinkStats {
    /// Opens the socket, in the network namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// The system gives no netlink socket.
    pub fn open() -> Result<Self, NetError> {
        let failed = |error| NetError::io("open a netlink socket", error);
        let (domain, route) = (Domain::from(libc::AF_NETLINK), libc::NETLINK_ROUTE);
        let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(route))).map_err(failed)?;
        // The answer is there when the request has been sent: a read never has to wait.
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// The present counters of the interface with this number.
    ///
    /// # Errors
    ///
    /// There is no such interface, or the kernel answers something else.
    pub fn read(&mut self, interface: u32) -> Result<LinkLosses, NetError> {
        self.ask(interface)
            .map_err(|error| NetError::io("read an interface's counters (RTM_GETSTATS)", error))
    }

    fn ask(&mut self, interface: u32) -> io::Result<LinkLosses> {
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.write_all(&request(self.sequence, interface))?;
        let mut answer = [0; ANSWER_BYTES];
        loop {
            let length = self.socket.read(&mut answer)?;
            match parse(&answer[..length], self.sequence)? {
                Some(losses) => return Ok(losses),
                // The answer to a request that was given up; ours follows, or the read fails.
                None => continue,
            }
        }
    }
}

/// More than the kernel's answer: headers of 28 bytes and one attribute of about 200.
const ANSWER_BYTES: usize = 4_096;
const RTM_NEWSTATS: u16 = 92;
const RTM_GETSTATS: u16 = 94;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
/// IFLA_STATS_LINK_64, and the bit that asks for it.
const LINK_64: u16 = 1;
const LINK_64_FILTER: u32 = 1;
/// Length of `struct nlmsghdr`, and with the `struct if_stats_msg` behind it.
const HEADER: usize = 16;
const ATTRIBUTES_AT: usize = HEADER + 12;

/// `struct nlmsghdr` and `struct if_stats_msg`, in the byte order of the host.
fn request(sequence: u32, interface: u32) -> [u8; ATTRIBUTES_AT] {
    let mut bytes = [0; ATTRIBUTES_AT];
    bytes[0..4].copy_from_slice(&(ATTRIBUTES_AT as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&RTM_GETSTATS.to_ne_bytes());
    bytes[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
    bytes[20..24].copy_from_slice(&interface.to_ne_bytes());
    bytes[24..28].copy_from_slice(&LINK_64_FILTER.to_ne_bytes());
    bytes
}

/// `None` for the answer to another request.
fn parse(answer: &[u8], sequence: u32) -> io::Result<Option<LinkLosses>> {
    let strange = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "the kernel's answer is not understood",
        )
    };
    let kind = u16_at(answer, 4).ok_or_else(strange)?;
    if u32_at(answer, 8).ok_or_else(strange)? != sequence {
        return Ok(None);
    }
    if kind == NLMSG_ERROR {
        // The negative errno.
        let error = u32_at(answer, HEADER).ok_or_else(strange)?.cast_signed();
        return Err(io::Error::from_raw_os_error(error.wrapping_neg()));
    }
    if kind != RTM_NEWSTATS {
        return Err(strange());
    }
    let mut attributes = attributes(answer.get(ATTRIBUTES_AT..).ok_or_else(strange)?);
    let stats = attributes.find(|(kind, _)| *kind == LINK_64);
    let losses = stats.and_then(|(_, stats)| losses(stats));
    losses.map(Some).ok_or_else(strange)
}

/// From `struct rtnl_link_stats64`: words of 64 bits.
fn losses(stats: &[u8]) -> Option<LinkLosses> {
    let word = |index: usize| {
        let bytes = stats.get(index * 8..index * 8 + 8)?;
        Some(u64::from_ne_bytes(bytes.try_into().ok()?))
    };
    Some(LinkLosses {
        rx_dropped: word(6)?,
        rx_over_errors: word(11)?,
        rx_crc_errors: word(12)?,
        rx_fifo_errors: word(14)?,
        rx_missed_errors: word(15)?,
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Word `index` is `100 + index`.
    fn answer(sequence: u32, before: &[u8]) -> Vec<u8> {
        let mut bytes = request(sequence, 1).to_vec();
        bytes[4..6].copy_from_slice(&RTM_NEWSTATS.to_ne_bytes());
        bytes.extend_from_slice(before);
        bytes.extend_from_slice(&(4_u16 + 25 * 8).to_ne_bytes());
        bytes.extend_from_slice(&LINK_64.to_ne_bytes());
        for index in 0..25_u64 {
            bytes.extend_from_slice(&(100 + index).to_ne_bytes());
        }
        bytes
    }

    /// The counters come from their places in the kernel's struct, behind other attributes too, and
    /// only from the answer to the request.
    #[test]
    fn counters_come_from_their_places() {
        let other = [6_u8, 0, 7, 0, 1, 2, 0, 0];
        let other: &[u8] = if cfg!(target_endian = "little") {
            &other
        } else {
            &[]
        };
        for before in [&[], other] {
            let losses = parse(&answer(5, before), 5).unwrap().unwrap();
            let expected = LinkLosses {
                rx_dropped: 106,
                rx_over_errors: 111,
                rx_crc_errors: 112,
                rx_fifo_errors: 114,
                rx_missed_errors: 115,
            };
            assert_eq!(losses, expected);
        }
        assert_eq!(parse(&answer(4, &[]), 5).unwrap(), None);
    }

    /// The loopback interface has counters, again and again; one that is not there is an error of
    /// the system, and the next question is answered.
    #[test]
    fn the_kernel_answers() {
        let mut stats = LinkStats::open().unwrap();
        let loopback = crate::find_interface("lo").unwrap().index;
        stats.read(loopback).unwrap();
        let NetError::Io { source, .. } = stats.read(u32::MAX / 2).err().unwrap() else {
            panic!("an error of the system")
        };
        assert!(source.raw_os_error().is_some(), "{source}");
        stats.read(loopback).unwrap();
    }

    proptest! {
        /// No bytes make it panic or go on for ever.
        #[test]
        fn no_bytes_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..300),
            is_stats in any::<bool>(),
        ) {
            if is_stats && bytes.len() >= 12 {
                bytes[4..6].copy_from_slice(&RTM_NEWSTATS.to_ne_bytes());
                bytes[8..12].copy_from_slice(&7_u32.to_ne_bytes());
            }
            let _ = parse(&bytes, 7);
        }
    }
}
