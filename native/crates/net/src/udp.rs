mod config;
mod control;
mod drops;
mod longer;
mod socket;
mod stamp;

use std::os::fd::{AsFd, BorrowedFd};

use socket2::Socket;

pub use self::config::{SocketConfig, Timestamps};
pub(crate) use self::control::Control;
use self::drops::DropCounter;
use self::longer::longer_than;
pub(crate) use self::socket::KERNEL;
use self::socket::{open_joined, prepare_receiving};
pub(crate) use self::stamp::stamp;
use crate::batch::Batch;
use crate::error::NetError;
use crate::interface::check_present;
use crate::line::{Interface, LineConfig};
use crate::option::drop_count;
use crate::{Datagram, PathCounters, Receiver, Rung, WaitSet, clock};

/// The recvmmsg path: batches from a UDP socket, with the times that card and kernel gave and the
/// kernel's own count of what it dropped.
///
/// The socket is bound to the group's address and port and takes only the groups that it joined
/// itself (IP_MULTICAST_ALL, IPV6_MULTICAST_ALL off), on that interface: neither another group on
/// the same port nor another process's memberships reach it. The interface is joined by its number,
/// so it needs no address, and two of one address are told apart. Memberships end when it is dropped.
///
/// Timestamps are switched on in the background: the first datagrams of a host's first socket may
/// have none, and are labelled [`crate::Stamp::User`].
pub struct UdpReceiver {
    line: u8,
    interface: Interface,
    socket: Socket,
    batch: Batch,
    drops: DropCounter,
    hardware_stamps_refused: u64,
}

impl UdpReceiver {
    /// Opens the socket, applies every option, joins the group.
    ///
    /// # Errors
    ///
    /// A value out of range, an option that cannot be applied, a receive buffer that the kernel
    /// capped, an interface that is gone. Nothing stays open then.
    pub fn open(line: &LineConfig, config: &SocketConfig) -> Result<Self, NetError> {
        Self::open_prepared(line, config, |_| Ok(()))
    }

    /// As [`UdpReceiver::open`], but takes only datagrams with more than `payload_bytes` of payload.
    /// Beside a path that takes whole frames before the IP stack: what is longer than a frame came in
    /// fragments, and only the kernel puts those together. The rest is dropped by a filter before it
    /// is queued; the kernel counts it among its InErrors (`nstat`), and it is no loss.
    pub(crate) fn open_longer_than(
        payload_bytes: u32,
        line: &LineConfig,
        config: &SocketConfig,
    ) -> Result<Self, NetError> {
        Self::open_prepared(line, config, |socket| {
            // Before the socket is bound, so that nothing slips in.
            socket
                .attach_filter(&longer_than(payload_bytes))
                .map_err(NetError::option("SO_ATTACH_FILTER", "by length", KERNEL))
        })
    }

    /// The interface that it was joined on.
    pub(crate) fn interface(&self) -> &Interface {
        &self.interface
    }

    fn open_prepared(
        line: &LineConfig,
        config: &SocketConfig,
        prepare: impl FnOnce(&Socket) -> Result<(), NetError>,
    ) -> Result<Self, NetError> {
        line.check()?;
        config.check()?;
        let socket = open_joined(line, |socket| {
            prepare_receiving(socket, config)?;
            prepare(socket)
        })?;
        Ok(Self {
            line: line.line,
            interface: line.interface.clone(),
            socket,
            batch: Batch::new(config.batch, config.max_packet_bytes, config.sources),
            drops: DropCounter::default(),
            hardware_stamps_refused: 0,
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
        let mut now_ns = None;
        for index in 0..count {
            self.batch.prefetch(index + LOOK_AHEAD);
            let message = self.batch.message(index);
            if let Some(reading) = message.control.drops {
                self.drops.observe(reading);
            }
            let user_ns = || *now_ns.get_or_insert_with(clock::realtime_ns);
            let stamped = stamp(&message.control, user_ns);
            self.hardware_stamps_refused += u64::from(stamped.is_hardware_refused);
            handler(Datagram {
                line: self.line,
                payload: message.payload,
                rx_ns: stamped.rx_ns,
                stamp: stamped.stamp,
                truncated: message.is_truncated,
                source: message.source,
            });
        }
        Ok(count)
    }

    fn register<'a>(&'a self, set: &mut WaitSet<'a>) -> Result<(), NetError> {
        set.add(self.socket.as_fd())
    }

    fn counters(&mut self) -> Result<PathCounters, NetError> {
        // A membership ends with its interface, without an error on the socket.
        check_present(&self.socket, &self.interface)?;
        let reading = drop_count(&self.socket)
            .map_err(|error| NetError::io("read the drop counter (SO_MEMINFO)", error))?;
        self.drops.observe(reading);
        Ok(PathCounters {
            socket_drops: self.drops.total(),
            hardware_stamps_refused: self.hardware_stamps_refused,
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

/// How many datagrams ahead memory is fetched.
const LOOK_AHEAD: usize = 2;
