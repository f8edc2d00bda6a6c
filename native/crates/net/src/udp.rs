use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, Socket, Type};

use crate::batch::Batch;
use crate::error::NetError;
use crate::line::LineConfig;
use crate::option::{drop_count, set_int, set_receive_buffer};
use crate::{Datagram, PathCounters, Receiver, Rung, Stamp, WaitSet, clock};

/// How a UDP socket receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketConfig {
    /// Receive buffer of the socket, in bytes as the administrator counts them.
    pub rcvbuf_bytes: usize,
    /// Datagrams taken by one system call, 1 to 1,024 (UIO_MAXIOV).
    pub batch: usize,
    /// Longest payload; more is truncated and flagged.
    pub max_packet_bytes: usize,
}

/// The recvmmsg path: batches from a UDP socket, with kernel timestamps and the kernel's own count
/// of what it dropped.
///
/// The socket is bound to the group's address and port and takes only the groups that it joined
/// itself (IP_MULTICAST_ALL off), on that interface: neither another group on the same port nor
/// another process's memberships reach it. Memberships end when it is dropped.
pub struct UdpReceiver {
    line: u8,
    socket: Socket,
    batch: Batch,
    drops: DropCounter,
}

impl UdpReceiver {
    /// Opens the socket, applies every option, joins the group.
    ///
    /// # Errors
    ///
    /// A value out of range, an option that cannot be applied, a receive buffer that the kernel
    /// capped, an interface that is gone. Nothing stays open then.
    pub fn open(line: &LineConfig, config: &SocketConfig) -> Result<Self, NetError> {
        check(line, config)?;
        let IpAddr::V4(group) = line.group else {
            return Err(NetError::config("group", line.group, "an IPv4 group"));
        };
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))
            .map_err(|error| NetError::io("open a UDP socket", error))?;
        prepare(&socket, config)?;
        let address = SocketAddrV4::new(group, line.port);
        socket.bind(&address.into()).map_err(NetError::option(
            "the bound address",
            address,
            "another socket holds it without SO_REUSEADDR (`ss -lunp`)",
        ))?;
        join(&socket, line, group)?;
        Ok(Self {
            line: line.line,
            socket,
            batch: Batch::new(config.batch, config.max_packet_bytes),
            drops: DropCounter::default(),
        })
    }
}

impl Receiver for UdpReceiver {
    #[inline]
    fn receive(&mut self, handler: &mut impl FnMut(Datagram<'_>)) -> Result<usize, NetError> {
        let count = self
            .batch
            .receive(&self.socket)
            .map_err(|error| NetError::io("receive datagrams", error))?;
        let mut user_ns = None;
        for index in 0..count {
            let message = self.batch.message(index);
            if let Some(reading) = message.drops {
                self.drops.observe(reading);
            }
            let (rx_ns, stamp) = match message.kernel_ns {
                Some(kernel_ns) => (kernel_ns, Stamp::Kernel),
                None => (*user_ns.get_or_insert_with(clock::realtime_ns), Stamp::User),
            };
            handler(Datagram {
                line: self.line,
                payload: message.payload,
                rx_ns,
                stamp,
                truncated: message.is_truncated,
                source: SocketAddr::V4(message.source),
            });
        }
        Ok(count)
    }

    fn register<'a>(&'a self, set: &mut WaitSet<'a>) -> Result<(), NetError> {
        set.add(self.socket.as_fd())
    }

    fn counters(&mut self) -> Result<PathCounters, NetError> {
        let reading = drop_count(&self.socket)
            .map_err(|error| NetError::io("read the drop counter (SO_MEMINFO)", error))?;
        self.drops.observe(reading);
        Ok(PathCounters {
            socket_drops: self.drops.total,
            ..PathCounters::default()
        })
    }

    fn rung(&self) -> Rung {
        Rung::Recvmmsg
    }
}

impl AsFd for UdpReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn check(line: &LineConfig, config: &SocketConfig) -> Result<(), NetError> {
    line.check()?;
    if !(1..=BATCH_MAX).contains(&config.batch) {
        return Err(NetError::config("batch", config.batch, "1 to 1,024"));
    }
    if !(1..=PACKET_BYTES_MAX).contains(&config.max_packet_bytes) {
        return Err(NetError::config(
            "max_packet_bytes",
            config.max_packet_bytes,
            "1 to 65,507",
        ));
    }
    Ok(())
}

/// Everything that must hold before the first datagram can arrive.
fn prepare(socket: &Socket, config: &SocketConfig) -> Result<(), NetError> {
    const KERNEL: &str = "this kernel must support it";
    socket
        .set_nonblocking(true)
        .map_err(|error| NetError::io("make the socket non-blocking", error))?;
    socket
        .set_reuse_address(true)
        .map_err(NetError::option("SO_REUSEADDR", 1, KERNEL))?;
    set_receive_buffer(socket, config.rcvbuf_bytes, true)?;
    set_int(socket, libc::SO_TIMESTAMPNS, 1).map_err(NetError::option(
        "SO_TIMESTAMPNS",
        1,
        KERNEL,
    ))?;
    set_int(socket, libc::SO_RXQ_OVFL, 1).map_err(NetError::option("SO_RXQ_OVFL", 1, KERNEL))?;
    socket
        .set_multicast_all_v4(false)
        .map_err(NetError::option("IP_MULTICAST_ALL", 0, KERNEL))
}

fn join(socket: &Socket, line: &LineConfig, group: Ipv4Addr) -> Result<(), NetError> {
    const REMEDY: &str = "the interface must be up and have this address (`ip -4 address`); \
                          net.ipv4.igmp_max_memberships limits the groups of a socket";
    let Some(interface) = line.interface.ipv4 else {
        return Err(NetError::NoAddress {
            name: line.interface.name.clone(),
        });
    };
    let place = format!("{group} on {interface}");
    match line.source {
        Some(IpAddr::V4(source)) => {
            socket
                .join_ssm_v4(&source, &group, &interface)
                .map_err(NetError::option(
                    "IP_ADD_SOURCE_MEMBERSHIP",
                    format!("{place} from {source}"),
                    REMEDY,
                ))
        }
        _ => socket
            .join_multicast_v4(&group, &interface)
            .map_err(NetError::option("IP_ADD_MEMBERSHIP", place, REMEDY)),
    }
}

/// Largest batch: the kernel's UIO_MAXIOV.
const BATCH_MAX: usize = 1_024;
/// Largest UDP payload over IPv4.
const PACKET_BYTES_MAX: usize = 65_507;

/// Makes a growing 64-bit total of the kernel's 32-bit counter.
///
/// Two sources read the same counter: a control message carries the reading of the moment when its
/// datagram was queued, SO_MEMINFO the present one. A reading may therefore be older than the last
/// one; it is recognised by a difference in the upper half of the range, and ignored.
#[derive(Debug, Default)]
struct DropCounter {
    total: u64,
    last: u32,
}

impl DropCounter {
    fn observe(&mut self, reading: u32) {
        let grown = reading.wrapping_sub(self.last);
        if grown <= u32::MAX / 2 {
            self.total += u64::from(grown);
            self.last = reading;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DropCounter;

    /// The total goes on growing when the kernel's 32 bits start again at zero.
    #[test]
    fn the_drop_total_survives_the_wrap_of_the_counter() {
        let mut drops = DropCounter {
            total: u64::from(u32::MAX) - 1,
            last: u32::MAX - 1,
        };
        drops.observe(u32::MAX);
        drops.observe(4);
        assert_eq!(drops.total, u64::from(u32::MAX) + 5);
    }

    /// A reading from before the last one neither lowers nor inflates the total.
    #[test]
    fn an_older_reading_changes_nothing() {
        let mut drops = DropCounter::default();
        drops.observe(100);
        drops.observe(40);
        drops.observe(101);
        assert_eq!(drops.total, 101);
    }
}
