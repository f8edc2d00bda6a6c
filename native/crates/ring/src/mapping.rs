//! The only unsafe code of this crate: a mapped file seen as atomic words.

use std::fs::File;
use std::io;
use std::slice;
use std::sync::atomic::AtomicU64;

use memmap2::{MmapOptions, MmapRaw};

/// A mapped file whose length is a multiple of eight. Every access is an atomic load or store, so
/// a process that writes the same bytes is a concurrent thread to the memory model, never a race.
pub(crate) struct Mapping {
    map: MmapRaw,
}

impl Mapping {
    /// Maps `length` bytes for reading and writing, all pages touched.
    pub(crate) fn writable(file: &File, length: usize) -> io::Result<Self> {
        Ok(Self {
            map: MmapOptions::new().len(length).populate().map_raw(file)?,
        })
    }

    /// Maps `length` bytes for reading, all pages touched. Users of it only load.
    pub(crate) fn readable(file: &File, length: usize) -> io::Result<Self> {
        Ok(Self {
            map: MmapOptions::new()
                .len(length)
                .populate()
                .map_raw_read_only(file)?,
        })
    }

    /// Brings the first two cache lines behind `word` near, for writing.
    #[inline]
    pub(crate) fn prefetch(&self, word: usize) {
        #[cfg(target_arch = "x86_64")]
        for line in 0..2 {
            use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
            let address = self
                .map
                .as_ptr()
                .wrapping_add(word * 8 + line * CACHE_LINE_BYTES);
            // The compiler has no safe way to say this.
            // SAFETY: a prefetch does not access memory in the sense of the language and never
            // faults, whatever the address; where the processor does not know it, it does nothing.
            unsafe { _mm_prefetch::<_MM_HINT_ET0>(address.cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = word;
    }

    /// The whole file as atomic words.
    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // Safe code cannot do this: the standard library has no view of shared memory.
        // SAFETY: the pointer is page-aligned, hence aligned for u64; `map.len()` bytes behind it
        // are mapped for as long as `self`, to which the result's lifetime is tied; the file was
        // allocated or checked to be that long and no writer ever shrinks it, so no access faults;
        // `AtomicU64` has the size and bit validity of u64, for which every pattern is valid; all
        // accesses of this process go through this slice and those of other processes are aligned
        // 8-byte accesses too, so there is no data race. On a read-only mapping only loads are
        // made, and an atomic load of 8 bytes writes nothing on 64-bit targets.
        unsafe { slice::from_raw_parts(self.map.as_ptr().cast(), self.map.len() / 8) }
    }
}

#[cfg(target_arch = "x86_64")]
const CACHE_LINE_BYTES: usize = 64;
