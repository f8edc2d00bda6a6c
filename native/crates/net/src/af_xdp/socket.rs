//! One AF_XDP socket with its memory and rings, bound to one receive queue of an interface.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::xdp::{
    SocketAddrXdp, SocketAddrXdpFlags, XdpDesc, XdpDescOptions, XdpStatistics, XdpUmemReg,
    XdpUmemRegFlags,
};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

use super::AfXdpConfig;
use super::ring::{FillRing, RxRing};
use super::umem::{Free, Umem};
use crate::error::NetError;
use crate::option::set_int;
use crate::prefetch::{CACHE_LINE_BYTES, prefetch};
use crate::rung::Rung;

/// A bound socket. Dropped in the order of the fields: as long as a ring is mapped, the kernel
/// keeps the queue, and the next bind gets EBUSY.
pub(super) struct XskSocket {
    rx: RxRing,
    fill: FillRing,
    socket: OwnedFd,
    umem: Umem,
    /// Descriptors that named no place in a frame; their frames are lost.
    bad_descriptors: u64,
    /// The kernel must be asked to work in every pass.
    is_busy_polling: bool,
}

impl XskSocket {
    /// Opens a socket for `queue` of interface `index` on `rung`, with every frame given to the
    /// kernel. Waits for up to a second when the queue is busy: after a crash the kernel takes
    /// a moment to free it.
    pub(super) fn open(
        index: u32,
        queue: u32,
        rung: Rung,
        config: &AfXdpConfig,
    ) -> Result<Self, NetError> {
        let give_up = Instant::now() + BUSY_LIMIT;
        loop {
            match Self::try_open(index, queue, rung, config) {
                Err(error) if error.is(Errno::BUSY) && Instant::now() < give_up => {
                    thread::sleep(BUSY_PAUSE);
                }
                result => return result,
            }
        }
    }

    fn try_open(
        index: u32,
        queue: u32,
        rung: Rung,
        config: &AfXdpConfig,
    ) -> Result<Self, NetError> {
        let open = || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            socket_with(AddressFamily::XDP, SocketType::RAW, flags, None)
        };
        let socket = open().map_err(|error| match error {
            Errno::PERM => NetError::Permission {
                doing: "open an AF_XDP socket".to_owned(),
                remedy: "give the worker CAP_NET_RAW and CAP_NET_ADMIN",
                source: error.into(),
            },
            _ => NetError::io("open an AF_XDP socket", error),
        })?;
        let (umem, frames) = Umem::new(config.frame_count, FRAME_BYTES, config.huge_pages)
            .map_err(|error| NetError::io("allocate the frames of an AF_XDP socket", error))?;
        register(socket.as_fd(), &umem)?;
        let rings = config.frame_count;
        let set = |result: rustix::io::Result<()>| {
            result.map_err(|error| NetError::io("set the size of an AF_XDP ring", error))
        };
        set(sockopt::set_xdp_umem_fill_ring_size(&socket, rings))?;
        set(sockopt::set_xdp_umem_completion_ring_size(
            &socket,
            COMPLETION_RING,
        ))?;
        set(sockopt::set_xdp_rx_ring_size(&socket, config.rx_ring))?;
        let offsets = sockopt::xdp_mmap_offsets(&socket)
            .map_err(|error| NetError::io("read the offsets of the AF_XDP rings", error))?;
        let map = |error| NetError::io("map an AF_XDP ring", error);
        let mut xsk = Self {
            rx: RxRing::map(socket.as_fd(), &offsets, config.rx_ring).map_err(map)?,
            fill: FillRing::map(socket.as_fd(), &offsets, rings).map_err(map)?,
            umem,
            bad_descriptors: 0,
            is_busy_polling: config.busy_poll_us > 0,
            socket,
        };
        xsk.give(frames.into_iter());
        if xsk.is_busy_polling {
            set_busy_poll(&xsk.socket, config)?;
        }
        let flags = bind_flags(rung) | SocketAddrXdpFlags::XDP_USE_NEED_WAKEUP;
        bind(&xsk.socket, &SocketAddrXdp::new(flags, index, queue))
            .map_err(|error| NetError::io("bind an AF_XDP socket to its queue", error))?;
        xsk.wake_if_asked()?;
        Ok(xsk)
    }

    /// Takes at most `most` packets; `handler` gets each whole frame and, of a stamping program, the
    /// word in front of it. Returns how many were taken.
    #[inline(always)]
    pub(super) fn receive(
        &mut self,
        most: usize,
        mut handler: impl FnMut(&[u8], Option<u64>),
        is_stamped: bool,
    ) -> Result<usize, NetError> {
        let count = self.rx.available(most as u32);
        if count == 0 {
            if self.is_busy_polling {
                self.wake()?;
            }
            return Ok(0);
        }
        for ahead in 0..count.min(LOOK_AHEAD) {
            self.prefetch(ahead);
        }
        for index in 0..count {
            if index + LOOK_AHEAD < count {
                self.prefetch(index + LOOK_AHEAD);
            }
            let XdpDesc { addr, len, options } = self.rx.descriptor(index);
            let Ok(held) = self.umem.hold(addr, len) else {
                self.bad_descriptors += 1;
                continue;
            };
            // A packet over several frames comes only to sockets that ask for it.
            debug_assert!(!options.contains(XdpDescOptions::XDP_PKT_CONTD));
            let word = if is_stamped {
                self.umem.word_before(&held)
            } else {
                None
            };
            handler(self.umem.packet(&held), word);
            let frame = self.umem.release(held);
            let address = self.umem.fill(frame);
            self.fill.put(address);
        }
        self.rx.release(count);
        self.fill.submit();
        self.wake_if_asked()?;
        Ok(count as usize)
    }

    pub(super) fn statistics(&self) -> io::Result<XdpStatistics> {
        let mut statistics = sockopt::xdp_statistics(&self.socket)?;
        statistics.rx_invalid_descs += self.bad_descriptors;
        Ok(statistics)
    }

    /// Frames that the kernel can still fill; 0: it drops.
    pub(super) fn frames_waiting(&self) -> u32 {
        self.fill.waiting()
    }

    #[inline(always)]
    fn prefetch(&self, index: u32) {
        let packet = self.umem.hint(self.rx.descriptor(index).addr);
        prefetch(packet);
        prefetch(packet.wrapping_add(CACHE_LINE_BYTES));
    }

    fn give(&mut self, frames: impl Iterator<Item = Free>) {
        for frame in frames {
            let address = self.umem.fill(frame);
            self.fill.put(address);
        }
        self.fill.submit();
    }

    #[inline(always)]
    fn wake_if_asked(&self) -> Result<(), NetError> {
        if self.fill.needs_wakeup() {
            self.wake()
        } else {
            Ok(())
        }
    }

    /// Has the kernel look at the fill ring, and poll the card when busy polling is on.
    #[cold]
    fn wake(&self) -> Result<(), NetError> {
        let mut nothing: [u8; 0] = [];
        match recv(&self.socket, &mut nothing[..], RecvFlags::DONTWAIT) {
            Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => Ok(()),
            // BUSY: somebody else polls the card already. NETDOWN: the interface is down, and may
            // come up again; one that is gone is found by `Receiver::counters`.
            Err(Errno::BUSY | Errno::NETDOWN) => Ok(()),
            Err(error) => Err(NetError::io("wake the kernel for an AF_XDP socket", error)),
        }
    }
}

impl AsFd for XskSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn register(socket: BorrowedFd<'_>, umem: &Umem) -> Result<(), NetError> {
    let (addr, len) = umem.range();
    let region = XdpUmemReg {
        addr,
        len,
        chunk_size: FRAME_BYTES,
        headroom: 0,
        flags: XdpUmemRegFlags::empty(),
        tx_metadata_len: 0,
    };
    sockopt::set_xdp_umem_reg(socket, region).map_err(|error| match error {
        Errno::NOBUFS | Errno::NOMEM | Errno::PERM => NetError::Permission {
            doing: format!("pin {len} bytes of memory for an AF_XDP socket"),
            remedy: "raise RLIMIT_MEMLOCK (LimitMEMLOCK=infinity in the unit), give CAP_IPC_LOCK, \
                     or lower afxdp.frame_count",
            source: error.into(),
        },
        _ => NetError::io("register the memory of an AF_XDP socket", error),
    })
}

fn bind_flags(rung: Rung) -> SocketAddrXdpFlags {
    match rung {
        Rung::ZeroCopy => SocketAddrXdpFlags::XDP_ZEROCOPY,
        _ => SocketAddrXdpFlags::XDP_COPY,
    }
}

/// Has the socket's calls poll the card themselves. Minimum kernel: 5.11.
fn set_busy_poll(socket: &OwnedFd, config: &AfXdpConfig) -> Result<(), NetError> {
    const REMEDY: &str = "give the worker CAP_NET_ADMIN, or set receive.busy_poll_us = 0; the \
                          kernel must be 5.11 or newer";
    let options = [
        ("SO_PREFER_BUSY_POLL", libc::SO_PREFER_BUSY_POLL, 1),
        ("SO_BUSY_POLL", libc::SO_BUSY_POLL, config.busy_poll_us),
        (
            "SO_BUSY_POLL_BUDGET",
            libc::SO_BUSY_POLL_BUDGET,
            config.busy_poll_budget.into(),
        ),
    ];
    for (name, option, value) in options {
        let value = i32::try_from(value).unwrap_or(i32::MAX);
        set_int(socket, option, value).map_err(NetError::option(name, value, REMEDY))?;
    }
    Ok(())
}

/// A frame: the smallest size that holds any packet of a network with an MTU of 1,500.
pub(super) const FRAME_BYTES: u32 = 2_048;
/// Entries of the completion ring, which is never used but must exist.
const COMPLETION_RING: u32 = 1;
/// How many packets ahead the memory is fetched.
const LOOK_AHEAD: u32 = 4;
/// How long a busy queue is waited for.
const BUSY_LIMIT: Duration = Duration::from_secs(1);
const BUSY_PAUSE: Duration = Duration::from_millis(5);
