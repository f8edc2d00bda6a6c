//! The ring of one packet socket: blocks that the kernel fills and we hand back.

use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use socket2::Socket;

use super::PacketMmapConfig;
use super::block::{BLOCK_STATUS_AT, Broken, Cursor, Frame};
use super::socket;
use crate::error::NetError;

/// A packet socket, its ring, and the place where reading goes on.
pub(super) struct Ring {
    // Unmapped before the socket is closed: fields are dropped in order.
    blocks: Blocks,
    socket: Socket,
    /// The block that is read, or will be filled next.
    block: usize,
    cursor: Cursor,
    broken: u64,
    drops: u64,
    freezes: u64,
}

impl Ring {
    /// Makes the ring of a socket and maps it. The kernel inserts all pages at once and they are its
    /// own, never paged out: nothing is left to touch or to lock.
    pub(super) fn new(socket: Socket, config: &PacketMmapConfig) -> Result<Self, NetError> {
        socket::make_ring(&socket, config)?;
        let blocks = Blocks::map(&socket, config.block_bytes, config.block_count)?;
        Ok(Self {
            blocks,
            socket,
            block: 0,
            cursor: Cursor::default(),
            broken: 0,
            drops: 0,
            freezes: 0,
        })
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Takes at most `limit` frames that are there and calls `each` for them in order; returns how
    /// many were taken. A block is handed back when its last frame was handled. What is left of a
    /// block that contradicts itself counts as one frame.
    #[inline]
    pub(super) fn take(&mut self, limit: usize, mut each: impl FnMut(Frame<'_>)) -> usize {
        let mut taken = 0;
        while taken < limit {
            let Some(block) = self.blocks.filled(self.block) else {
                break;
            };
            let mut cursor = self.cursor;
            if cursor.is_at_end() {
                // Between blocks: this one was filled since.
                cursor = Cursor::open(block).unwrap_or_else(|Broken| {
                    taken += 1;
                    self.broken += 1;
                    Cursor::default()
                });
            }
            while !cursor.is_at_end() && taken < limit {
                taken += 1;
                match cursor.next(block) {
                    // The only call, so that it is compiled into the loop.
                    Ok(frame) => each(frame),
                    Err(Broken) => self.broken += 1,
                }
            }
            self.cursor = cursor;
            if cursor.is_at_end() {
                self.blocks.hand_back(self.block);
                self.block = (self.block + 1) % self.blocks.count;
            }
        }
        taken
    }

    /// Blocks that contradicted themselves.
    pub(super) fn broken(&self) -> u64 {
        self.broken
    }

    /// Frames for which no block was free, and how often the queue froze, since it was opened.
    pub(super) fn losses(&mut self) -> Result<(u64, u64), NetError> {
        // The kernel starts again at zero with each reading.
        let statistics = socket::statistics(&self.socket)?;
        self.drops += u64::from(statistics.tp_drops);
        self.freezes += u64::from(statistics.tp_freeze_q_cnt);
        Ok((self.drops, self.freezes))
    }
}

/// The mapped blocks.
struct Blocks {
    first: NonNull<u8>,
    block_bytes: usize,
    count: usize,
}

impl Blocks {
    /// Maps the ring that `socket` was given with this geometry.
    fn map(socket: &Socket, block_bytes: usize, count: usize) -> Result<Self, NetError> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses the place of a new mapping, so nothing that exists is touched.
        // The memory is reached only through this value, by the rules of `filled`.
        let first = unsafe {
            mmap(
                ptr::null_mut(),
                block_bytes * count,
                protection,
                MapFlags::SHARED,
                socket,
                0,
            )
        };
        let first = first.map_err(|source| NetError::Permission {
            doing: "map the packet ring".to_owned(),
            remedy: "raise LimitMEMLOCK if all memory is locked, or lower packet_mmap.block_count",
            source: source.into(),
        })?;
        let first = NonNull::new(first.cast()).expect("a new mapping is not at address 0");
        Ok(Self {
            first,
            block_bytes,
            count,
        })
    }

    /// The bytes of block `index` if the kernel has filled it and not got it back.
    #[inline]
    fn filled(&self, index: usize) -> Option<&[u8]> {
        // Pairs with the kernel's barrier between the frames and the status.
        if self.status(index).load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        let block = self.block(index);
        // SAFETY: `block` is the start of `block_bytes` mapped bytes of a live mapping (`map`), and
        // any byte is a valid u8. The block's status says that it is ours: the kernel writes nothing
        // in it until the status says otherwise, which only `hand_back` makes it say; that needs
        // `&mut self` and so the end of the returned borrow. Nobody else knows the mapping.
        Some(unsafe { slice::from_raw_parts(block, self.block_bytes) })
    }

    /// Gives a block to the kernel, which may write in it from then on.
    #[inline]
    fn hand_back(&mut self, index: usize) {
        // Our reading of the block is over before the kernel sees this.
        let status = self.status(index);
        status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }

    #[inline]
    fn status(&self, index: usize) -> &AtomicU32 {
        let word = self.block(index).wrapping_add(BLOCK_STATUS_AT);
        // SAFETY: the word lies in a mapped block (blocks are at least a page), which lives as long
        // as `self`; blocks begin at multiples of a page, so it is aligned for u32. The kernel's
        // accesses are atomic words; ours are atomic while the kernel may write, and the shared
        // reference of `filled`, which covers the word, exists only while nobody writes it.
        unsafe { AtomicU32::from_ptr(word.cast()) }
    }

    #[inline]
    fn block(&self, index: usize) -> *mut u8 {
        assert!(index < self.count, "a block of the ring");
        self.first.as_ptr().wrapping_add(index * self.block_bytes)
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that `map` made; no reference into it is left, since those
        // borrow `self`. It can only fail for a range that is no mapping.
        let result = unsafe { munmap(self.first.as_ptr().cast(), self.block_bytes * self.count) };
        debug_assert!(result.is_ok(), "the ring was mapped");
    }
}

// SAFETY: the mapping belongs to this value alone and is not bound to a thread.
unsafe impl Send for Blocks {}
