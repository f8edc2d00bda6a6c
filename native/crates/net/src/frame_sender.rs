use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};

use rustix::net::netdevice::name_to_index;
use socket2::{Domain, Socket, Type};

use crate::batch_send::send_all;
use crate::error::NetError;

/// Sends whole Ethernet frames through one interface (AF_PACKET), byte for byte as given.
///
/// It never receives: its protocol is 0. Needs CAP_NET_RAW.
pub struct FrameSender {
    socket: Socket,
    sent: u64,
    retries: u64,
}

impl FrameSender {
    /// Opens a sender on the interface of this name.
    ///
    /// # Errors
    ///
    /// No such interface, or no CAP_NET_RAW.
    pub fn open(interface: &str) -> Result<Self, NetError> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None).map_err(|source| {
            NetError::Permission {
                doing: "open a packet socket".to_owned(),
                remedy: "give the process CAP_NET_RAW",
                source,
            }
        })?;
        let index = name_to_index(&socket, interface).map_err(|source| NetError::Option {
            option: "the interface of a packet socket",
            value: interface.to_owned(),
            remedy: "use the name of an interface of this network namespace (`ip link`)",
            source: source.into(),
        })?;
        bind(&socket, index).map_err(NetError::option(
            "the interface of a packet socket",
            interface,
            "the interface must be up (`ip link`)",
        ))?;
        Ok(Self {
            socket,
            sent: 0,
            retries: 0,
        })
    }

    /// Goes around the queueing discipline from now on (PACKET_QDISC_BYPASS): faster, and a full
    /// device queue loses frames instead of delaying them.
    ///
    /// # Errors
    ///
    /// The kernel does not know the option.
    pub fn bypass_qdisc(self) -> Result<Self, NetError> {
        set_qdisc_bypass(&self.socket).map_err(NetError::option(
            "PACKET_QDISC_BYPASS",
            1,
            "this kernel must support it",
        ))?;
        Ok(self)
    }

    /// Sends one frame. Waits, at most a second, while the device's queue is full.
    ///
    /// # Errors
    ///
    /// The frame is longer than the interface takes, the interface is down, or its queue stayed
    /// full.
    pub fn send(&mut self, frame: &[u8]) -> Result<(), NetError> {
        self.send_batch(&[frame])
    }

    /// As [`FrameSender::send`], for many frames in order by few system calls and no allocation.
    ///
    /// # Errors
    ///
    /// As there; the frames before the refused one are sent.
    pub fn send_batch(&mut self, frames: &[&[u8]]) -> Result<(), NetError> {
        self.retries += send_all(&self.socket, frames)?;
        self.sent += frames.len() as u64;
        Ok(())
    }

    /// Frames that the kernel took.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// How often the device's queue was full and the kernel was asked again.
    pub fn retries(&self) -> u64 {
        self.retries
    }
}

/// Binds to the interface with this index; protocol 0, so nothing is received.
fn bind(socket: &Socket, index: u32) -> io::Result<()> {
    // No safe wrapper makes packet addresses.
    // SAFETY: sockaddr_ll is a plain C structure of integers; all-zero is a valid value.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = index.cast_signed();
    let length = mem::size_of_val(&address) as libc::socklen_t;
    // SAFETY: the descriptor is open for the borrow of `socket`; the pointer is to an address of
    // the socket's family that lives through the call, and `length` is its size.
    let result = unsafe {
        let address = (&raw const address).cast();
        libc::bind(socket.as_fd().as_raw_fd(), address, length)
    };
    checked(result)
}

fn set_qdisc_bypass(socket: &Socket) -> io::Result<()> {
    let value: libc::c_int = 1;
    let length = mem::size_of_val(&value) as libc::socklen_t;
    // No safe wrapper knows this option.
    // SAFETY: the descriptor is open for the borrow of `socket`; the pointer is to a c_int that
    // lives through the call and `length` is its size; the kernel only reads it.
    let result = unsafe {
        let value = (&raw const value).cast();
        let descriptor = socket.as_fd().as_raw_fd();
        let option = libc::PACKET_QDISC_BYPASS;
        libc::setsockopt(descriptor, libc::SOL_PACKET, option, value, length)
    };
    checked(result)
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
