//! Memory mapped from the kernel: given back when dropped.

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

/// A mapping that is readable and writable, reached through its raw address.
pub(crate) struct Memory {
    base: NonNull<u8>,
    length: usize,
}

impl Memory {
    /// Fresh memory of at least `length` bytes, zeroed and touched, on huge pages if asked for: whole
    /// ones, since only those can be given back.
    pub(crate) fn anonymous(length: usize, huge_pages: bool) -> io::Result<Self> {
        let mut flags = MapFlags::PRIVATE | MapFlags::POPULATE;
        let mut length = length;
        if huge_pages {
            flags |= MapFlags::HUGETLB;
            length = length.next_multiple_of(HUGE_PAGE_BYTES);
        }
        // SAFETY: a null hint lets the kernel choose the place, so no existing mapping changes.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), length, READ_WRITE, flags) }?;
        Ok(Self::of(base.cast(), length))
    }

    /// Memory that is shared with the kernel through `descriptor`, touched.
    pub(crate) fn shared(
        descriptor: BorrowedFd<'_>,
        offset: u64,
        length: usize,
    ) -> io::Result<Self> {
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: as above; what the kernel writes there is read through atomics or after it has
        // handed the place over, which is each user's own proof.
        let base = unsafe {
            mmap(
                ptr::null_mut(),
                length,
                READ_WRITE,
                flags,
                descriptor,
                offset,
            )
        }?;
        Ok(Self::of(base.cast(), length))
    }

    /// Address of the byte at `offset`, which is inside or one behind the end.
    #[inline(always)]
    pub(crate) fn at(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset <= self.length, "an offset is inside the mapping");
        self.base.as_ptr().wrapping_add(offset)
    }

    /// Its length in bytes.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    fn of(base: *mut u8, length: usize) -> Self {
        let base = NonNull::new(base).expect("a mapping that succeeded is not at address 0");
        Self { base, length }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the range is the one that was mapped; this value owned it, so nothing uses it.
        let result = unsafe { munmap(self.base.as_ptr().cast(), self.length) };
        debug_assert!(
            result.is_ok(),
            "a mapping of ours can be given back: {result:?}"
        );
    }
}

// SAFETY: the mapping belongs to this value alone and is not bound to a thread; `&Memory` gives out
// raw addresses only.
unsafe impl Send for Memory {}

const READ_WRITE: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);
/// The default huge page of x86-64 and of arm64 with pages of 4 KiB.
const HUGE_PAGE_BYTES: usize = 2 << 20;
