//! Asks the processor for memory that will be read soon.

/// Bytes of a cache line.
pub(crate) const CACHE_LINE_BYTES: usize = 64;

/// Brings the cache line at `address` near. Reads nothing: any address is allowed, also a bad one.
#[inline(always)]
pub(crate) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // The compiler has no safe way to say this.
    // SAFETY: a prefetch does not access memory in the sense of the language and never faults;
    // the instruction is part of every x86-64 processor.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Brings the first cache line of `target` near: for a program that knows what it will read soon.
///
/// Where the processor has no such instruction, nothing happens.
#[inline(always)]
pub fn prefetch_read<T>(target: &T) {
    prefetch(std::ptr::from_ref(target).cast());
}
