//! Sockets of the plant: multicast in and out, and the few other things that only the kernel can do
//! for a receive thread (waiting, pinning, locking memory, clocks).
//!
//! - [`Receiver`]: one trait for every receive path; [`UdpReceiver`] is the recvmmsg path. Other
//!   paths come beside it behind the same trait, and each names itself truthfully.
//! - [`MulticastSender`]: one group, one interface.
//! - [`interface_address`]: a name or address of the configuration, resolved or refused.
//! - [`wait_readable`], [`pin_current_thread`], [`lock_memory`], [`clock`].
//!
//! A requested option that cannot be applied is an error that names the option, the value and the
//! remedy; nothing is quietly left out. Nothing here allocates after a receiver is open.

pub mod clock;

mod batch;
mod error;
mod interface;
mod option;
mod sender;
mod thread;
mod udp;
mod wait;

use std::net::SocketAddrV4;
use std::os::fd::AsFd;

pub use error::NetError;
pub use interface::interface_address;
pub use sender::MulticastSender;
pub use thread::{lock_memory, pin_current_thread};
pub use udp::{ReceiverConfig, UdpReceiver};
pub use wait::{WAIT_CAPACITY, wait_readable};

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
    /// UDP payload; the first `max_packet_bytes` bytes when it was truncated.
    pub payload: &'a [u8],
    /// Receive time, UTC nanoseconds.
    pub rx_ns: u64,
    /// Source of the receive time.
    pub stamp: Stamp,
    /// The datagram was longer than `max_packet_bytes`.
    pub truncated: bool,
    /// Who sent it.
    pub source: SocketAddrV4,
}

/// A receive path for one group and port. The descriptor can be waited for ([`wait_readable`]).
pub trait Receiver: AsFd + Send {
    /// Takes what is there, at most one batch, without waiting; calls `handler` for each datagram in
    /// order of arrival and returns how many there were.
    ///
    /// # Errors
    ///
    /// The system refused to receive; what was handled before stays handled.
    fn receive(&mut self, handler: &mut dyn FnMut(Datagram<'_>)) -> Result<usize, NetError>;

    /// Datagrams that the kernel dropped on this path since it was opened, as far as they were
    /// noticed: news travels with the next datagram that is received.
    fn kernel_drops(&self) -> u64;

    /// As [`Receiver::kernel_drops`], but asks the kernel now: one system call, for idle moments and
    /// the control thread's interval.
    ///
    /// # Errors
    ///
    /// The system cannot tell.
    fn refresh_kernel_drops(&mut self) -> Result<u64, NetError>;

    /// The path's true name: `recvmmsg`.
    fn path(&self) -> &'static str;
}
