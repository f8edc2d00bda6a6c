//! The only unsafe code of this crate: a mapped file seen as atomic words.

use std::fs::File;
use std::io;
use std::slice;
use std::sync::atomic::AtomicU64;

use memmap2::{MmapOptions, MmapRaw};

/// A mapped file whose length is a multiple of eight.
///
/// Every access is an atomic load or store, so that another process that writes the same bytes is
/// a concurrent thread to the memory model and never a data race.
pub(crate) struct Mapping {
    map: MmapRaw,
}

impl Mapping {
    /// Maps `length` bytes for reading and writing, all pages touched.
    pub(crate) fn writable(file: &File, length: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(length).populate().map_raw(file)?;
        Ok(Self { map })
    }

    /// Maps `length` bytes for reading. Stores through [`Self::words`] would fault: callers of a
    /// read-only mapping only load.
    pub(crate) fn readable(file: &File, length: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(length).map_raw_read_only(file)?;
        Ok(Self { map })
    }

    /// The whole file as atomic words.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // Safe code cannot do this: the standard library has no view of shared memory.
        // SAFETY: the pointer is page-aligned, hence aligned for u64; `map.len()` bytes behind it
        // are mapped for as long as `self`, which the lifetime of the result is tied to; the file
        // was checked to be at least that long and no writer ever shrinks it, so no access faults;
        // `AtomicU64` has the size and bit validity of u64, for which every bit pattern is valid;
        // all accesses of this process to the mapping go through this slice and are atomic, also
        // those of other processes (aligned 8-byte stores), so there is no data race. On a
        // read-only mapping only loads are made, and an atomic load of 8 bytes does not write on
        // any 64-bit target.
        unsafe { slice::from_raw_parts(self.map.as_ptr().cast(), self.map.len() / 8) }
    }
}
