use libc::c_int;

use crate::error::NetError;

/// How a UDP socket receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketConfig {
    /// Receive buffer of the socket, in bytes as the administrator counts them.
    pub rcvbuf_bytes: usize,
    /// Datagrams taken by one system call, 1 to 1,024 (UIO_MAXIOV).
    pub batch: usize,
    /// Longest payload; more is truncated and flagged.
    pub max_packet_bytes: usize,
    /// How long the kernel may poll the card's queue for this socket, 0 to 1,000,000 µs; 0 is off.
    /// A receive call that finds nothing polls once. The wait polls only if net.core.busy_poll is
    /// set too. Most kernels want CAP_NET_ADMIN beyond net.core.busy_read.
    pub busy_poll_us: u32,
    /// Packets that one poll of the queue may take, 1 to 65,535; used while `busy_poll_us` is not 0.
    /// Needs CAP_NET_ADMIN. Minimum kernel: 5.11.
    pub busy_poll_budget: u16,
    /// Let busy polling keep the card's interrupts deferred (napi_defer_hard_irqs and
    /// gro_flush_timeout of the interface); used while `busy_poll_us` is not 0. Needs CAP_NET_ADMIN.
    /// Minimum kernel: 5.11.
    pub prefer_busy_poll: bool,
    /// Receive times that are asked of the kernel.
    pub timestamps: Timestamps,
    /// Ask who sent each datagram ([`crate::Datagram::source`]); costs a tenth of receiving it.
    pub sources: bool,
}

/// Receive times that are asked of the kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Timestamps {
    /// The card's time where a packet has one, else the kernel's. The card stamps only when the
    /// administrator has switched that on (`hwstamp_ctl -i DEVICE -r 1`); a receiver changes no card.
    #[default]
    HardwareOrKernel,
    /// None: every packet gets the time of the call that took it.
    Off,
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            rcvbuf_bytes: 8 << 20,
            batch: 64,
            max_packet_bytes: 2_048,
            busy_poll_us: 0,
            busy_poll_budget: 64,
            prefer_busy_poll: true,
            timestamps: Timestamps::default(),
            sources: true,
        }
    }
}

impl SocketConfig {
    /// Refuses values out of range. The receive buffer's is known to the kernel alone.
    pub(crate) fn check(&self) -> Result<(), NetError> {
        if !(1..=BATCH_MAX).contains(&self.batch) {
            return Err(NetError::config("batch", self.batch, "1 to 1,024"));
        }
        if !(1..=PACKET_BYTES_MAX).contains(&self.max_packet_bytes) {
            let value = self.max_packet_bytes;
            return Err(NetError::config("max_packet_bytes", value, "1 to 65,507"));
        }
        if self.busy_poll_us > BUSY_POLL_US_MAX {
            let value = self.busy_poll_us;
            return Err(NetError::config("busy_poll_us", value, "0 to 1,000,000"));
        }
        if self.busy_poll_budget == 0 {
            return Err(NetError::config("busy_poll_budget", 0, "1 to 65,535"));
        }
        Ok(())
    }
}

/// Largest batch: the kernel's UIO_MAXIOV.
const BATCH_MAX: usize = 1_024;
/// Largest UDP payload over IPv4.
const PACKET_BYTES_MAX: usize = 65_507;
/// A second: far more than any sensible time, and a safe `int`.
const BUSY_POLL_US_MAX: u32 = 1_000_000;
const _: () = assert!(BUSY_POLL_US_MAX <= c_int::MAX as u32);
