//! The fill and the RX ring of an AF_XDP socket: memory shared with the kernel, one producer and
//! one consumer each, positions that only grow (modulo 2^32).
//!
//! | Ring | Producer | Consumer | Entries |
//! |---|---|---|---|
//! | fill | we: frames to write into | kernel | u64, address in the UMEM |
//! | RX | kernel: frames with a packet | we | `xdp_desc` |
//!
//! A position of the other side is read with Acquire, since what it covers was written before; our
//! own is stored with Release, after we have written or read what it covers (uapi/linux/if_xdp.h
//! and Documentation/networking/af_xdp.rst). The completion ring belongs to sending, which we do
//! not do: the kernel demands that it has a size, and it stays empty and unmapped.

use std::io;
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use rustix::net::xdp::{
    XDP_PGOFF_RX_RING, XDP_UMEM_PGOFF_FILL_RING, XdpDesc, XdpMmapOffsets, XdpRingFlags,
    XdpRingOffset,
};

use crate::memory::Memory;

/// Frames for the kernel to write into.
pub(crate) struct FillRing {
    ring: Ring<u64>,
    /// Where the next address goes; ours alone.
    producer: u32,
}

/// Frames with a packet in them.
pub(crate) struct RxRing {
    ring: Ring<XdpDesc>,
    /// The next descriptor to read; ours alone.
    consumer: u32,
    /// The last position of the kernel that was seen.
    producer_seen: u32,
}

impl FillRing {
    /// Maps the fill ring of `socket`, whose size was set to `size`, a power of two.
    pub(crate) fn map(
        socket: BorrowedFd<'_>,
        offsets: &XdpMmapOffsets,
        size: u32,
    ) -> io::Result<Self> {
        let ring = Ring::map(socket, XDP_UMEM_PGOFF_FILL_RING, &offsets.fr, size)?;
        Ok(Self { ring, producer: 0 })
    }

    /// Writes an address behind the last one; the kernel does not see it before [`Self::submit`].
    /// The caller never has more frames than the ring has places.
    #[inline(always)]
    pub(crate) fn put(&mut self, address: u64) {
        // SAFETY: the place is inside the ring (`at` masks the position). The kernel reads only
        // places below the position that `submit` stores, and this one is not below it yet; nor
        // does it still read an older entry there: there are at most as many frames as places, and
        // this frame is not in the ring.
        unsafe { self.ring.at(self.producer).write(address) };
        self.producer = self.producer.wrapping_add(1);
    }

    /// Hands what was put to the kernel.
    #[inline(always)]
    pub(crate) fn submit(&mut self) {
        self.ring.producer().store(self.producer, Release);
    }

    /// The kernel waits to be told of new frames.
    #[inline(always)]
    pub(crate) fn needs_wakeup(&self) -> bool {
        self.ring.flags().load(Relaxed) & XdpRingFlags::XDP_RING_NEED_WAKEUP.bits() != 0
    }

    /// Frames that the kernel has not taken yet.
    pub(crate) fn waiting(&self) -> u32 {
        self.producer
            .wrapping_sub(self.ring.consumer().load(Acquire))
    }
}

impl RxRing {
    /// Maps the RX ring of `socket`, whose size was set to `size`, a power of two.
    pub(crate) fn map(
        socket: BorrowedFd<'_>,
        offsets: &XdpMmapOffsets,
        size: u32,
    ) -> io::Result<Self> {
        let ring = Ring::map(socket, XDP_PGOFF_RX_RING, &offsets.rx, size)?;
        Ok(Self {
            ring,
            consumer: 0,
            producer_seen: 0,
        })
    }

    /// How many descriptors can be read, at most `most`. The kernel's position is looked up only
    /// when what was seen of it is not enough.
    #[inline(always)]
    pub(crate) fn available(&mut self, most: u32) -> u32 {
        let mut count = self.producer_seen.wrapping_sub(self.consumer);
        if count < most {
            self.producer_seen = self.ring.producer().load(Acquire);
            count = self.producer_seen.wrapping_sub(self.consumer);
        }
        count.min(most)
    }

    /// Descriptor `index` of those that are available.
    #[inline(always)]
    pub(crate) fn descriptor(&self, index: u32) -> XdpDesc {
        debug_assert!(
            index < self.producer_seen.wrapping_sub(self.consumer),
            "only what is available is read"
        );
        // SAFETY: the place is inside the ring (`at` masks the position) and below the kernel's
        // position that was loaded with Acquire, so the kernel has written it, and does not write
        // it again before `release` moves our position past it. Any bits are a valid `xdp_desc`:
        // it is of integers.
        unsafe { self.ring.at(self.consumer.wrapping_add(index)).read() }
    }

    /// Gives the first `count` places back to the kernel.
    #[inline(always)]
    pub(crate) fn release(&mut self, count: u32) {
        self.consumer = self.consumer.wrapping_add(count);
        self.ring.consumer().store(self.consumer, Release);
    }
}

/// What both rings have.
struct Ring<T> {
    memory: Memory,
    producer_at: usize,
    consumer_at: usize,
    flags_at: usize,
    entries_at: usize,
    mask: u32,
    entries: PhantomData<T>,
}

impl<T: Copy> Ring<T> {
    fn map(
        socket: BorrowedFd<'_>,
        page_offset: u64,
        offsets: &XdpRingOffset,
        size: u32,
    ) -> io::Result<Self> {
        assert!(
            size.is_power_of_two(),
            "the size of a ring is a power of two"
        );
        // Without flags the kernel is older than 5.4 and knows no need-wakeup.
        let Some(flags) = offsets.flags else {
            return Err(io::Error::from(io::ErrorKind::Unsupported));
        };
        let entries_at = offsets.desc as usize;
        let length = entries_at + size as usize * size_of::<T>();
        let memory = Memory::shared(socket, page_offset, length)?;
        let places = [offsets.producer, offsets.consumer, flags].map(|offset| offset as usize);
        let is_sound = places.iter().all(|at| at % 4 == 0 && at + 4 <= length)
            && entries_at.is_multiple_of(align_of::<T>());
        assert!(
            is_sound,
            "the kernel's offsets are aligned and inside the ring"
        );
        let [producer_at, consumer_at, flags_at] = places;
        Ok(Self {
            memory,
            producer_at,
            consumer_at,
            flags_at,
            entries_at,
            mask: size - 1,
            entries: PhantomData,
        })
    }

    #[inline(always)]
    fn producer(&self) -> &AtomicU32 {
        self.word(self.producer_at)
    }

    #[inline(always)]
    fn consumer(&self) -> &AtomicU32 {
        self.word(self.consumer_at)
    }

    #[inline(always)]
    fn flags(&self) -> &AtomicU32 {
        self.word(self.flags_at)
    }

    #[inline(always)]
    fn word(&self, at: usize) -> &AtomicU32 {
        // SAFETY: `at` is one of the three places that `map` has found aligned and inside the
        // mapping, which lives as long as `self`; both sides access them as 32-bit atomics only.
        unsafe { AtomicU32::from_ptr(self.memory.at(at).cast()) }
    }

    /// Place of the entry at `position`, inside the ring whatever the position is.
    #[inline(always)]
    fn at(&self, position: u32) -> *mut T {
        let index = (position & self.mask) as usize;
        self.memory
            .at(self.entries_at + index * size_of::<T>())
            .cast()
    }
}
