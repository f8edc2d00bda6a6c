//! Sockets of the plant: multicast in and out, and the few other things that only the kernel can do
//! for a receive thread (waiting, pinning, locking memory, clocks).
//!
//! - [`Receiver`]: one trait for every receive path; [`UdpReceiver`] is the recvmmsg path,
//!   [`PacketMmapReceiver`] the packet ring, [`AfXdpReceiver`] goes around the kernel's stack.
//!   [`AnyReceiver`] is one of them, chosen at run time; each names itself truthfully ([`Rung`]).
//! - [`frame`]: from an Ethernet frame to its UDP datagram.
//! - [`MulticastSender`]: one group, one interface. [`FrameSender`]: whole Ethernet frames.
//! - [`find_interface`]: a name or address of the configuration, resolved or refused.
//! - [`WaitSet`], [`wait_readable`], [`pin_current_thread`], [`lock_memory`], [`prefetch_read`],
//!   [`clock`].
//!
//! A requested option that cannot be applied is an error that names the option, the value and the
//! remedy; nothing is quietly left out. Taking packets and waiting for them never allocates after a
//! receiver is open; asking for counters may.

#[cfg(feature = "bare")]
pub mod bare;
pub mod clock;
pub mod frame;

mod af_xdp;
mod any;
mod batch;
mod batch_send;
mod counters;
mod error;
mod frame_sender;
mod interface;
mod line;
mod link;
mod link_stats;
mod memory;
mod open;
mod option;
mod packet_mmap;
mod prefetch;
mod rung;
mod sender;
mod thread;
mod udp;
mod wait;

use std::net::SocketAddr;

pub use af_xdp::{AfXdpConfig, AfXdpReceiver};
pub use any::AnyReceiver;
pub use counters::PathCounters;
pub use error::NetError;
pub use frame_sender::FrameSender;
pub use interface::{find_interface, interface_address};
pub use line::{Interface, LineConfig};
pub use link_stats::{LinkLosses, LinkStats};
pub use open::{NoPath, Opened, PathSettings, PathWish, open_lines, probe, rungs_of};
pub use packet_mmap::{PacketMmapConfig, PacketMmapReceiver};
pub use prefetch::prefetch_read;
pub use rung::{NetErrorText, Rung, RungReport};
pub use sender::MulticastSender;
pub use thread::{lock_memory, pin_current_thread};
pub use udp::{SocketConfig, Timestamps, UdpReceiver};
pub use wait::{WAIT_CAPACITY, WaitSet, wait_readable};

/// Where a receive time comes from. A stamp is labelled by what was really present on its packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stamp {
    /// The network card's clock.
    Hardware,
    /// The kernel, when the packet entered the stack.
    Kernel,
    /// This process, when it took the packet.
    User,
}

/// One received datagram; valid during the handler's call.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// The line it belongs to ([`LineConfig::line`]).
    pub line: u8,
    /// UDP payload; the first `max_packet_bytes` bytes when it was truncated.
    pub payload: &'a [u8],
    /// Receive time, UTC nanoseconds.
    pub rx_ns: u64,
    /// Source of the receive time.
    pub stamp: Stamp,
    /// The datagram was longer than `max_packet_bytes`.
    pub truncated: bool,
    /// Who sent it; 0.0.0.0:0 where the path was told not to ask ([`SocketConfig::sources`]).
    pub source: SocketAddr,
}

/// A receive path for one line, or for the lines of one interface.
///
/// The handler is a type parameter, not an object: it is compiled into each path, since a call
/// through a pointer costs a tenth of the cheapest path's packet.
pub trait Receiver: Send {
    /// Takes what is there, at most one batch, without waiting; calls `handler` for each datagram
    /// in order of arrival and returns how many packets were taken, also those that were refused.
    ///
    /// # Errors
    ///
    /// The system refused to receive; what was handled before stays handled.
    fn receive(&mut self, handler: &mut impl FnMut(Datagram<'_>)) -> Result<usize, NetError>;

    /// Takes what came through a kernel socket held beside a bypass path: datagrams that were
    /// fragmented, or all of them while the bypass cannot take them. A system call, so for a wait
    /// that was ended by no packet, and for idle moments. Paths without such a socket take nothing.
    ///
    /// # Errors
    ///
    /// As [`Receiver::receive`].
    fn receive_beside(
        &mut self,
        _handler: &mut impl FnMut(Datagram<'_>),
    ) -> Result<usize, NetError> {
        Ok(0)
    }

    /// Adds the descriptors that become readable when something can be received.
    ///
    /// # Errors
    ///
    /// The set is full.
    fn register<'a>(&'a self, set: &mut WaitSet<'a>) -> Result<(), NetError>;

    /// What was counted since the path was opened. Asks the kernel: system calls, for idle moments
    /// and the interval of whoever shows the numbers.
    ///
    /// # Errors
    ///
    /// The system cannot tell.
    fn counters(&mut self) -> Result<PathCounters, NetError>;

    /// The path's true name.
    fn rung(&self) -> Rung;
}
