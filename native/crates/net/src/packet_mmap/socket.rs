//! Options of packet sockets; no safe wrapper knows them.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};

use libc::{c_int, c_void, sock_filter, socklen_t, tpacket_req3, tpacket_stats_v3};
use socket2::{Domain, SockFilter, Socket, Type};

use super::{PacketMmapConfig, filter};
use crate::error::NetError;
use crate::line::Interface;
use crate::option::set_int;

/// A packet socket that receives nothing: its protocol is 0 until [`bind`].
pub(super) fn open() -> Result<Socket, NetError> {
    let socket =
        Socket::new(Domain::PACKET, Type::RAW, None).map_err(|source| NetError::Permission {
            doing: "open a packet socket".to_owned(),
            remedy: "give the worker CAP_NET_RAW, or use another receive path",
            source,
        })?;
    attach(&socket, &filter::closed())?;
    Ok(socket)
}

/// Everything that must hold before the ring is made.
pub(super) fn prepare(socket: &Socket) -> Result<(), NetError> {
    const KERNEL: &str = "this kernel must support it (Linux 5.16)";
    let set = |name: c_int, text, value: c_int| {
        set_packet_option(socket, name, &value).map_err(NetError::option(text, value, KERNEL))
    };
    let version = libc::tpacket_versions::TPACKET_V3 as c_int;
    set(libc::PACKET_VERSION, "PACKET_VERSION", version)?;
    // Without it our own frames come too, and on the loopback interface each frame twice.
    set(libc::PACKET_IGNORE_OUTGOING, "PACKET_IGNORE_OUTGOING", 1)?;
    // Asked for always; each frame says whether it has one.
    let hardware = libc::SOF_TIMESTAMPING_RAW_HARDWARE as c_int;
    set(libc::PACKET_TIMESTAMP, "PACKET_TIMESTAMP", hardware)
}

/// Makes the receive ring, not yet mapped.
pub(super) fn make_ring(socket: &Socket, config: &PacketMmapConfig) -> Result<(), NetError> {
    let (bytes, count) = (config.block_bytes as u32, config.block_count as u32);
    let request = tpacket_req3 {
        tp_block_size: bytes,
        tp_block_nr: count,
        // TPACKET_V3 packs frames of any length; these two must only agree with the blocks.
        tp_frame_size: FRAME_BYTES,
        tp_frame_nr: bytes / FRAME_BYTES * count,
        tp_retire_blk_tov: config.retire_ms,
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    };
    let value = format!("{count} blocks of {bytes} bytes");
    let remedy = "lower packet_mmap.block_count or block_bytes: the kernel has no memory for it";
    set_packet_option(socket, libc::PACKET_RX_RING, &request).map_err(NetError::option(
        "PACKET_RX_RING",
        value,
        remedy,
    ))
}

/// Binds to the interface, for frames of every kind. Which get in is the filter's to say.
pub(super) fn bind(socket: &Socket, interface: &Interface) -> Result<(), NetError> {
    let mut address = no_address();
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = interface.index.cast_signed();
    let length = mem::size_of_val(&address) as socklen_t;
    // SAFETY: the descriptor is open for the borrow of `socket`; the pointer is to an address of
    // the socket's family that lives through the call, and `length` is its size.
    let result = unsafe {
        let address = (&raw const address).cast();
        libc::bind(socket.as_fd().as_raw_fd(), address, length)
    };
    checked(result).map_err(NetError::option(
        "the interface of a packet socket",
        &interface.name,
        "the interface must exist in this network namespace (`ip link`)",
    ))
}

/// Replaces the socket's filter by this one, for good.
pub(super) fn attach_and_lock(socket: &Socket, program: &[sock_filter]) -> Result<(), NetError> {
    attach(socket, program)?;
    set_int(socket, libc::SO_LOCK_FILTER, 1).map_err(NetError::option(
        "SO_LOCK_FILTER",
        1,
        "this kernel must support it",
    ))
}

/// What the kernel counted since the last call (PACKET_STATISTICS).
pub(super) fn statistics(socket: &Socket) -> Result<tpacket_stats_v3, NetError> {
    let mut statistics = tpacket_stats_v3 {
        tp_packets: 0,
        tp_drops: 0,
        tp_freeze_q_cnt: 0,
    };
    let mut length = mem::size_of_val(&statistics) as socklen_t;
    // SAFETY: the descriptor is open for the borrow of `socket`; the pointers are to a structure of
    // integers and to its size in bytes, both alive through the call; the kernel writes at most
    // `length` bytes and stores how many it wrote.
    let result = unsafe {
        let value = (&raw mut statistics).cast::<c_void>();
        let descriptor = socket.as_fd().as_raw_fd();
        let name = libc::PACKET_STATISTICS;
        libc::getsockopt(descriptor, libc::SOL_PACKET, name, value, &raw mut length)
    };
    checked(result).map_err(|error| NetError::io("read PACKET_STATISTICS", error))?;
    Ok(statistics)
}

/// Takes the error that is pending on the socket. An interface that is down may come up again, and
/// the socket goes on then; one that is gone does not come back.
pub(super) fn check(socket: &Socket, interface: &Interface) -> Result<(), NetError> {
    const DOING: &str = "receive from the packet ring";
    let pending = socket
        .take_error()
        .map_err(|error| NetError::io(DOING, error))?;
    match pending {
        None => Ok(()),
        Some(error) if error.raw_os_error() == Some(libc::ENETDOWN) => {
            let index = bound_index(socket).map_err(|error| NetError::io(DOING, error))?;
            if index > 0 {
                return Ok(());
            }
            Err(NetError::Gone {
                interface: interface.name.clone(),
                source: error,
            })
        }
        Some(error) => Err(NetError::io(DOING, error)),
    }
}

/// Sets an option of level SOL_PACKET whose value is a plain C structure or integer.
pub(super) fn set_packet_option<T: PacketOption>(
    socket: &Socket,
    name: c_int,
    value: &T,
) -> io::Result<()> {
    let length = mem::size_of::<T>() as socklen_t;
    // SAFETY: the descriptor is open for the borrow of `socket`; the pointer is to a T, plain data
    // without padding (`PacketOption`), that lives through the call, and `length` is its size; the
    // kernel only reads it.
    let result = unsafe {
        let value = ptr_of(value);
        let descriptor = socket.as_fd().as_raw_fd();
        libc::setsockopt(descriptor, libc::SOL_PACKET, name, value, length)
    };
    checked(result)
}

/// Values of packet options: integers, or structures of integers without padding.
pub(super) trait PacketOption {}
impl PacketOption for c_int {}
impl PacketOption for tpacket_req3 {}
impl PacketOption for libc::fanout_args {}

/// Divides every block; a multiple of TPACKET_ALIGNMENT.
const FRAME_BYTES: u32 = 2_048;

fn ptr_of<T>(value: &T) -> *const c_void {
    (&raw const *value).cast()
}

fn attach(socket: &Socket, program: &[sock_filter]) -> Result<(), NetError> {
    let program: Vec<SockFilter> = program
        .iter()
        .map(|step| SockFilter::new(step.code, step.jt, step.jf, step.k))
        .collect();
    socket.attach_filter(&program).map_err(NetError::option(
        "SO_ATTACH_FILTER",
        format!("{} instructions", program.len()),
        "net.core.optmem_max limits filters",
    ))
}

/// Number of the interface that the socket is bound to; below 1 when that is gone.
fn bound_index(socket: &Socket) -> io::Result<c_int> {
    let mut address = no_address();
    let mut length = mem::size_of_val(&address) as socklen_t;
    // SAFETY: the descriptor is open for the borrow of `socket`; the pointers are to an address of
    // the socket's family and to its size, both alive through the call; the kernel writes at most
    // `length` bytes.
    let result = unsafe {
        let address = (&raw mut address).cast();
        libc::getsockname(socket.as_fd().as_raw_fd(), address, &raw mut length)
    };
    checked(result)?;
    Ok(address.sll_ifindex)
}

fn no_address() -> libc::sockaddr_ll {
    // SAFETY: sockaddr_ll is a plain C structure of integers; all-zero is a valid value.
    unsafe { mem::zeroed() }
}

fn checked(result: c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
