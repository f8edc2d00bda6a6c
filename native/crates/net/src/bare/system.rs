//! Socket options and addresses of any type, for the bare loops.

use std::ffi::c_int;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

/// A structure that the kernel fills as a socket option.
///
/// # Safety
///
/// A plain C structure of integers, valid for every bit pattern.
pub(super) unsafe trait Plain: Copy {}

// SAFETY: all fields are integers, as in linux/if_packet.h.
unsafe impl Plain for libc::tpacket_stats_v3 {}
// SAFETY: all fields are integers, as in linux/if_xdp.h.
unsafe impl Plain for libc::xdp_mmap_offsets {}
// SAFETY: as above.
unsafe impl Plain for libc::xdp_statistics {}

pub(super) fn get<T: Plain>(socket: &impl AsFd, level: c_int, name: c_int) -> io::Result<T> {
    let mut length = mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: `T` is valid for every bit pattern, all-zero included.
    let mut value: T = unsafe { mem::zeroed() };
    // SAFETY: the descriptor is open for the borrow; the pointers are to a value that is valid for
    // every bit pattern and to its size, both alive through the call; the kernel writes no more.
    check(unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (&raw mut value).cast(),
            &raw mut length,
        )
    })?;
    Ok(value)
}

/// Binds to an address of the socket's family.
pub(super) fn bind<T: Copy>(socket: &impl AsFd, address: &T) -> io::Result<()> {
    // SAFETY: the descriptor is open for the borrow; the pointer is to an address that lives
    // through the call, and the length is its size.
    check(unsafe {
        libc::bind(
            socket.as_fd().as_raw_fd(),
            ptr::from_ref(address).cast(),
            mem::size_of::<T>() as libc::socklen_t,
        )
    })
}

pub(super) fn check(result: c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
