//! What the kernel says of one interface: XDP programs on it and its receive queues, by netlink
//! (RTM_GETLINK) and ethtool. Not from /sys, which shows the interfaces of the namespace that it
//! was mounted in.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

use crate::error::NetError;
use crate::line::Interface;

/// What an interface is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Id of the XDP program on it; 0: none.
    pub(crate) xdp_program_id: u32,
    /// Receive queues that it was made with.
    pub(crate) rx_queues: u32,
    /// Longest IP packet that it sends in one frame.
    pub(crate) mtu_bytes: u32,
}

impl Link {
    /// Asks the kernel.
    pub(crate) fn of(index: u32) -> Result<Self, NetError> {
        let answer = ask(index).map_err(|error| NetError::io("ask for an interface", error))?;
        parse(&answer).ok_or_else(|| {
            let error = io::Error::from(io::ErrorKind::InvalidData);
            NetError::io("read what the kernel says of an interface", error)
        })
    }
}

/// How many receive queues are in use: what ethtool says, else how many there can be.
pub(crate) fn queues_in_use(interface: &Interface) -> Result<u32, NetError> {
    match channels(interface) {
        Ok(count) if count > 0 => Ok(count),
        // Drivers without channels (lo) say that they do not support the question.
        _ => Ok(Link::of(interface.index)?.rx_queues.max(1)),
    }
}

fn ask(index: u32) -> io::Result<Vec<u8>> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let mut request = Vec::with_capacity(32);
    // nlmsghdr: length, type, flags, sequence, port; then ifinfomsg with the index.
    request.extend(32u32.to_ne_bytes());
    request.extend(RTM_GETLINK.to_ne_bytes());
    request.extend(NLM_F_REQUEST.to_ne_bytes());
    request.extend([0; 8]);
    request.extend([0; 4]);
    request.extend(index.to_ne_bytes());
    request.extend([0; 8]);
    sendto(
        &socket,
        &request,
        SendFlags::empty(),
        &SocketAddrNetlink::new(0, 0),
    )?;
    let mut answer = vec![0; ANSWER_BYTES];
    let (length, _) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
    answer.truncate(length);
    Ok(answer)
}

fn parse(answer: &[u8]) -> Option<Link> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    if kind != RTM_NEWLINK {
        return None;
    }
    let mut link = Link::default();
    for (kind, value) in attributes(answer.get(LINK_ATTRIBUTES_AT..)?) {
        match kind {
            IFLA_MTU => link.mtu_bytes = word(value)?,
            IFLA_NUM_RX_QUEUES => link.rx_queues = word(value)?,
            IFLA_XDP => {
                for (kind, value) in attributes(value) {
                    if kind == IFLA_XDP_PROG_ID {
                        link.xdp_program_id = word(value)?;
                    }
                }
            }
            _ => {}
        }
    }
    Some(link)
}

/// Types and values of a run of netlink attributes; ends at the first that does not fit.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?);
        let value = bytes.get(4..length)?;
        // The last attribute may come without its padding: nothing is left behind it then.
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        // The top bits say that it is nested, or in network order.
        Some((kind & 0x3FFF, value))
    })
}

fn word(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.get(..4)?.try_into().ok()?))
}

/// Receive and combined channels, from ethtool.
fn channels(interface: &Interface) -> io::Result<u32> {
    let socket: OwnedFd = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let mut channels = EthtoolChannels {
        cmd: ETHTOOL_GCHANNELS,
        ..EthtoolChannels::default()
    };
    // SAFETY: an `ifreq` of zeros is valid: it is of integers, arrays and pointers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request
        .ifr_name
        .iter_mut()
        .zip(interface.name.bytes().take(15))
    {
        *place = byte.cast_signed();
    }
    request.ifr_ifru.ifru_data = (&raw mut channels).cast();
    // rustix has no ethtool.
    // SAFETY: the descriptor is open; `request` names an interface, NUL-terminated (16 bytes, at
    // most 15 used), and points to a structure of the size and command that SIOCETHTOOL expects;
    // both live through the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(channels.rx_count + channels.combined_count)
}

/// `struct ethtool_channels` (uapi/linux/ethtool.h).
#[repr(C)]
#[derive(Default)]
struct EthtoolChannels {
    cmd: u32,
    max: [u32; 4],
    rx_count: u32,
    tx_count: u32,
    other_count: u32,
    combined_count: u32,
}

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const NLM_F_REQUEST: u16 = 1;
/// nlmsghdr and ifinfomsg.
const LINK_ATTRIBUTES_AT: usize = 32;
const IFLA_MTU: u16 = 4;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_PROG_ID: u16 = 4;
const ANSWER_BYTES: usize = 32 * 1024;
const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_GCHANNELS: u32 = 0x3C;

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// The id stands in a nested attribute; unknown ones around it are passed over.
    #[test]
    fn the_program_is_found_in_its_nest() {
        let nest = [attribute(2, &[1]), attribute(4, &77u32.to_ne_bytes())].concat();
        let mut answer = vec![0; LINK_ATTRIBUTES_AT];
        answer[4..6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
        for part in [
            attribute(3, b"eth0\0"),
            attribute(IFLA_MTU, &1_500u32.to_ne_bytes()),
            attribute(IFLA_XDP | 0x8000, &nest),
            attribute(IFLA_NUM_RX_QUEUES, &8u32.to_ne_bytes()),
        ] {
            answer.extend(part);
        }
        let expected = Link {
            xdp_program_id: 77,
            rx_queues: 8,
            mtu_bytes: 1_500,
        };
        assert_eq!(parse(&answer), Some(expected));
        for cut in 0..answer.len() {
            let _ = parse(&answer[..cut]);
        }
    }

    /// The loopback interface exists, without a program, with one queue.
    #[test]
    fn the_loopback_interface_answers() {
        let lo = crate::find_interface("lo").unwrap();
        let link = Link::of(lo.index).unwrap();
        assert_eq!(link.rx_queues, 1);
        assert_eq!(queues_in_use(&lo).unwrap(), 1);
        assert!(Link::of(u32::MAX / 2).is_err());
    }
}
