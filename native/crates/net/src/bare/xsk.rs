use std::io;
use std::mem;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Release};

use rustix::net::netdevice::name_to_index;
use socket2::{Domain, Socket, Type};

use super::program::Program;
use super::system::{bind, get};
use super::{BARE_BATCH, payload_of};
use crate::counters::PathCounters;
use crate::memory::Memory;
use crate::option::set_value;

/// Where the program sits that hands frames over; they are copied in either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XskMode {
    /// The kernel's generic hook.
    Generic,
    /// The driver's hook.
    Native,
}

/// AF_XDP on queue 0 in copy mode with need-wakeup: 16,384 frames of 2 KiB, all in the fill ring,
/// an RX ring of as many, batches of 64.
pub struct BareXsk {
    // Fields are dropped in this order: first nothing is handed over any more.
    _program: Program,
    socket: OwnedFd,
    received: Ring,
    fill: Ring,
    frames: Memory,
    ports: RangeInclusive<u16>,
}

impl BareXsk {
    /// A socket that takes all frames of the interface's queue 0 and looks for those of some ports.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub fn open(interface: &str, ports: RangeInclusive<u16>, mode: XskMode) -> io::Result<Self> {
        let frames = Memory::anonymous(MEMORY_BYTES, false)?;
        let socket = open_socket()?;
        let memory = libc::xdp_umem_reg {
            addr: frames.at(0).addr() as u64,
            len: MEMORY_BYTES as u64,
            chunk_size: FRAME_BYTES as u32,
            headroom: 0,
            flags: 0,
            tx_metadata_len: 0,
        };
        set_value(&socket, libc::SOL_XDP, libc::XDP_UMEM_REG, &memory)?;
        for (ring, entries) in [
            (libc::XDP_UMEM_FILL_RING, FRAMES),
            (libc::XDP_UMEM_COMPLETION_RING, FRAMES),
            (libc::XDP_RX_RING, RECEIVED),
        ] {
            set_value(&socket, libc::SOL_XDP, ring, &entries.cast_signed())?;
        }
        let offsets: libc::xdp_mmap_offsets = get(&socket, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS)?;
        let place = libc::XDP_UMEM_PGOFF_FILL_RING;
        let fill = Ring::map(&socket, place, &offsets.fr, FRAMES, mem::size_of::<u64>())?;
        for index in 0..FRAMES {
            let address = u64::from(index) * FRAME_BYTES as u64;
            // SAFETY: entries of the fill ring are addresses; the kernel reads none of them
            // before they are handed over.
            unsafe { fill.entry::<u64>(index).write(address) };
        }
        fill.producer().store(FRAMES, Release);
        let place = libc::XDP_PGOFF_RX_RING as u64;
        let entry_bytes = mem::size_of::<libc::xdp_desc>();
        let received = Ring::map(&socket, place, &offsets.rx, RECEIVED, entry_bytes)?;
        // A socket of this family cannot be asked.
        let any = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        let index = name_to_index(&any, interface)?;
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: libc::XDP_COPY | libc::XDP_USE_NEED_WAKEUP,
            sxdp_ifindex: index,
            sxdp_queue_id: 0,
            sxdp_shared_umem_fd: 0,
        };
        bind(&socket, &address)?;
        Ok(Self {
            _program: Program::attach(index, mode, socket.as_fd())?,
            socket,
            received,
            fill,
            frames,
            ports,
        })
    }

    /// Takes up to 64 frames; the number of payloads. Their kernel time is 0: copy mode has none.
    ///
    /// # Errors
    ///
    /// None; as the other loops.
    #[inline]
    pub fn receive(&mut self, handler: &mut impl FnMut(&[u8], u64)) -> io::Result<usize> {
        let first = self.received.consumer().load(Acquire);
        let ready = self.received.producer().load(Acquire).wrapping_sub(first);
        let taken = ready.min(BARE_BATCH as u32);
        if taken == 0 {
            return Ok(0);
        }
        let filled = self.fill.producer().load(Acquire);
        let mut count = 0;
        for index in 0..taken {
            let entry = self
                .received
                .entry::<libc::xdp_desc>(first.wrapping_add(index));
            // SAFETY: an entry between consumer and producer is ours and holds a descriptor.
            let descriptor = unsafe { entry.read() };
            let (address, length) = (descriptor.addr as usize, descriptor.len as usize);
            assert!(address + length <= MEMORY_BYTES, "a frame is in the memory");
            // SAFETY: `length` bytes from `address` are inside the memory, and the frame is ours
            // until it is in the fill ring again.
            let frame = unsafe { slice::from_raw_parts(self.frames.at(address), length) };
            if let Some(payload) = payload_of(frame, &self.ports) {
                handler(payload, 0);
                count += 1;
            }
            let start = descriptor.addr - descriptor.addr % FRAME_BYTES as u64;
            let place = self.fill.entry::<u64>(filled.wrapping_add(index));
            // SAFETY: there are as many entries as frames, so this one is not in use; the kernel
            // reads it only after the producer has passed it.
            unsafe { place.write(start) };
        }
        self.received
            .consumer()
            .store(first.wrapping_add(taken), Release);
        self.fill
            .producer()
            .store(filled.wrapping_add(taken), Release);
        Ok(count)
    }

    /// What the kernel dropped, by reason.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub fn drops(&self) -> io::Result<PathCounters> {
        let statistics: libc::xdp_statistics =
            get(&self.socket, libc::SOL_XDP, libc::XDP_STATISTICS)?;
        Ok(PathCounters {
            // In copy mode a packet that found no frame is in both counters.
            xsk_dropped: statistics.rx_dropped - statistics.rx_fill_ring_empty_descs,
            xsk_invalid_descs: statistics.rx_invalid_descs,
            xsk_ring_full: statistics.rx_ring_full,
            xsk_fill_ring_empty: statistics.rx_fill_ring_empty_descs,
            ..PathCounters::default()
        })
    }
}

impl AsFd for BareXsk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn open_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: no memory is passed.
    let descriptor = unsafe { libc::socket(libc::AF_XDP, kind, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, which is only here.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// A ring of the socket, mapped.
struct Ring {
    map: Memory,
    producer: usize,
    consumer: usize,
    entries: usize,
    mask: u32,
}

impl Ring {
    fn map(
        socket: &OwnedFd,
        place: u64,
        offsets: &libc::xdp_ring_offset,
        count: u32,
        entry_bytes: usize,
    ) -> io::Result<Self> {
        let length = offsets.desc as usize + count as usize * entry_bytes;
        Ok(Self {
            map: Memory::shared(socket.as_fd(), place, length)?,
            producer: offsets.producer as usize,
            consumer: offsets.consumer as usize,
            entries: offsets.desc as usize,
            mask: count - 1,
        })
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: the kernel gave the offset of an aligned word that both sides access atomically;
        // the mapping lives as long as `self`.
        unsafe { AtomicU32::from_ptr(self.map.at(self.producer).cast()) }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as in `producer`.
        unsafe { AtomicU32::from_ptr(self.map.at(self.consumer).cast()) }
    }

    /// Address of entry `index`, counted on for ever.
    #[inline]
    fn entry<T>(&self, index: u32) -> *mut T {
        let offset = (index & self.mask) as usize * mem::size_of::<T>();
        self.map.at(self.entries + offset).cast()
    }
}

/// As many as the receiver's default, so that both walk through the same amount of memory.
const FRAMES: u32 = 16_384;
const FRAME_BYTES: usize = 2_048;
const RECEIVED: u32 = 16_384;
const MEMORY_BYTES: usize = FRAMES as usize * FRAME_BYTES;
