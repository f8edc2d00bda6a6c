//! Socket options that socket2 does not have.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use libc::{c_int, c_void, socklen_t};

use crate::error::NetError;

/// Sets an option of level SOL_SOCKET whose value is an int.
pub(crate) fn set_int(socket: &impl AsFd, name: c_int, value: c_int) -> io::Result<()> {
    set_value(socket, libc::SOL_SOCKET, name, &value)
}

/// Sets an option whose value is the C structure `T`.
pub(crate) fn set_value<T>(
    socket: &impl AsFd,
    level: c_int,
    name: c_int,
    value: &T,
) -> io::Result<()> {
    let length = mem::size_of::<T>() as socklen_t;
    // No safe wrapper knows these options.
    // SAFETY: the descriptor is open for the borrow of `socket`; the pointer is to a `T` that lives
    // through the call and `length` is its size; the kernel only reads it.
    let result = unsafe {
        let value = ptr::from_ref(value).cast::<c_void>();
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, value, length)
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Asks for a receive buffer, by force where that is permitted, and verifies what was granted.
pub(crate) fn set_receive_buffer(
    socket: &socket2::Socket,
    requested: usize,
    may_force: bool,
) -> Result<(), NetError> {
    let name = "SO_RCVBUF";
    let value = c_int::try_from(requested)
        .ok()
        .filter(|value| (1..=c_int::MAX / 2).contains(value))
        .ok_or_else(|| NetError::config("rcvbuf_bytes", requested, "1 to 1,073,741,823"))?;
    let forced = may_force && set_int(socket, libc::SO_RCVBUFFORCE, value).is_ok();
    if !forced {
        set_int(socket, libc::SO_RCVBUF, value).map_err(NetError::option(
            name,
            requested,
            "lower rcvbuf_bytes",
        ))?;
    }
    // The kernel doubles the value for its own bookkeeping and reports the double (socket(7)).
    let effective = socket
        .recv_buffer_size()
        .map_err(|error| NetError::io("read SO_RCVBUF", error))?
        / 2;
    if effective < requested {
        return Err(NetError::ReceiveBufferCapped {
            requested,
            effective,
        });
    }
    Ok(())
}

/// The socket's drop counter, from SO_MEMINFO. Minimum kernel: 4.12.
pub(crate) fn drop_count(socket: &impl AsFd) -> io::Result<u32> {
    let mut values = [0u32; MEMINFO_WORDS];
    let mut length = mem::size_of_val(&values) as socklen_t;
    // No safe wrapper knows this option.
    // SAFETY: the descriptor is open for the borrow of `socket`; the pointers are to an array of
    // u32, valid for every bit pattern, and to its size in bytes, both alive through the call; the
    // kernel writes at most `length` bytes and stores how many it wrote.
    let result = unsafe {
        let values = (&raw mut values).cast::<c_void>();
        let descriptor = socket.as_fd().as_raw_fd();
        libc::getsockopt(
            descriptor,
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            values,
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(values[MEMINFO_DROPS])
}

/// Words of SO_MEMINFO and the place of the drop counter (linux/sock_diag.h, SK_MEMINFO_*).
const MEMINFO_WORDS: usize = 9;
const MEMINFO_DROPS: usize = 8;

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket, Type};

    use super::set_receive_buffer;
    use crate::NetError;

    /// Without the right to force, a buffer beyond the kernel's limit is an error that says what was
    /// granted and how to raise the limit; one within it is granted in full.
    #[test]
    fn a_capped_buffer_is_an_error_with_the_remedy() {
        let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
        let limit: usize = limit.trim().parse().unwrap();
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        set_receive_buffer(&socket, limit, false).unwrap();
        let error = set_receive_buffer(&socket, limit + 4_096, false)
            .err()
            .unwrap();
        let NetError::ReceiveBufferCapped {
            requested,
            effective,
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!((requested, effective), (limit + 4_096, limit));
        let remedy = format!("`sysctl -w net.core.rmem_max={requested}`");
        assert!(error.to_string().contains(&remedy), "{error}");
    }
}
