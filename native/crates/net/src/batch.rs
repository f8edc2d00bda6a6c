//! The buffers of recvmmsg: addresses, control messages and payloads of one batch.
//!
//! The headers point into the other arrays for good, so these arrays are owned through raw pointers:
//! nothing in safe code ever holds a reference to memory that the kernel may write.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{self, NonNull};
use std::slice;

/// Buffers for `count` datagrams of at most `packet_bytes` each.
pub(crate) struct Batch {
    headers: Fixed<libc::mmsghdr>,
    /// Only kept alive: the headers point to them.
    _vectors: Fixed<libc::iovec>,
    names: Fixed<libc::sockaddr_in>,
    controls: Fixed<Control>,
    payloads: Fixed<u8>,
    packet_bytes: usize,
    used: usize,
}

/// One datagram of a batch and what the kernel told about it.
pub(crate) struct Message<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) source: SocketAddrV4,
    pub(crate) is_truncated: bool,
    /// SO_TIMESTAMPNS, UTC nanoseconds.
    pub(crate) kernel_ns: Option<u64>,
    /// SO_RXQ_OVFL: the socket's drop counter when this datagram was queued.
    pub(crate) drops: Option<u32>,
}

impl Batch {
    /// Allocates and touches all buffers.
    pub(crate) fn new(count: usize, packet_bytes: usize) -> Self {
        // SAFETY: these are plain C structures of integers and pointers; all-zero is a valid value.
        let (header, vector, name) = unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
        let batch = Self {
            headers: Fixed::filled(count, header),
            _vectors: Fixed::filled(count, vector),
            names: Fixed::filled(count, name),
            controls: Fixed::filled(count, Control([0; CONTROL_BYTES])),
            // Not zero: zeroed memory would be mapped at first use instead of now.
            payloads: Fixed::filled(count * packet_bytes, 0xA5),
            packet_bytes,
            used: count,
        };
        for index in 0..count {
            // SAFETY: `index` is below `count`, the length of every array, so all offsets are
            // inside their allocations; the arrays live as long as the headers (fields of one
            // struct) and never move (heap); no reference to them exists.
            unsafe {
                let vector = batch._vectors.at(index);
                (*vector).iov_base = batch.payloads.at(index * packet_bytes).cast();
                (*vector).iov_len = packet_bytes;
                let header = &mut (*batch.headers.at(index)).msg_hdr;
                header.msg_name = batch.names.at(index).cast();
                header.msg_iov = vector;
                header.msg_iovlen = 1;
                header.msg_control = batch.controls.at(index).cast();
            }
        }
        batch
    }

    /// One recvmmsg call that does not wait. Returns how many datagrams came; 0 when none is there
    /// or a signal came first.
    pub(crate) fn receive(&mut self, socket: &impl AsFd) -> io::Result<usize> {
        self.reset_used();
        let count = self.headers.len as libc::c_uint;
        // rustix has recvmsg for one datagram only; the point of this path is one call for many.
        // SAFETY: the descriptor is open for the borrow of `socket`; `headers` has `count` valid
        // headers whose pointers and lengths describe live buffers of exactly these sizes (set in
        // `new`, lengths restored by `reset_used`); no reference into the buffers exists, because
        // messages borrow `self` and this method borrows it exclusively; a null timeout is allowed.
        let received = unsafe {
            let descriptor = socket.as_fd().as_raw_fd();
            let flags = libc::MSG_DONTWAIT;
            libc::recvmmsg(
                descriptor,
                self.headers.at(0),
                count,
                flags,
                ptr::null_mut(),
            )
        };
        let Ok(received) = usize::try_from(received) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        };
        self.used = received;
        Ok(received)
    }

    /// Datagram `index` of the last receive.
    pub(crate) fn message(&self, index: usize) -> Message<'_> {
        assert!(index < self.used, "only what was received is looked at");
        // SAFETY: `index` is inside every array; the kernel has finished with the buffers (the call
        // returned) and only `receive` lets it write again, for which `self` must be borrowed
        // exclusively, so these shared references are to memory that nobody writes. `msg_len` bytes
        // of the payload were initialised (all of it is since `new`) and `msg_len` is at most
        // `packet_bytes`, since MSG_TRUNC is not among the flags of the call; `min` keeps it so.
        let (header, name, payload) = unsafe {
            let header = &*self.headers.at(index);
            let length = (header.msg_len as usize).min(self.packet_bytes);
            let payload = self.payloads.at(index * self.packet_bytes);
            (
                header,
                &*self.names.at(index),
                slice::from_raw_parts(payload, length),
            )
        };
        let mut message = Message {
            payload,
            source: SocketAddrV4::new(
                Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr)),
                u16::from_be(name.sin_port),
            ),
            is_truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            kernel_ns: None,
            drops: None,
        };
        read_control(&header.msg_hdr, &mut message);
        message
    }

    /// Restores the lengths that the kernel overwrote in the headers of the last receive.
    fn reset_used(&mut self) {
        for index in 0..self.used {
            // SAFETY: `used` is at most the number of headers, and no reference to them exists.
            let header = unsafe { &mut (*self.headers.at(index)).msg_hdr };
            header.msg_namelen = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
            header.msg_controllen = CONTROL_BYTES as _;
            header.msg_flags = 0;
        }
        self.used = 0;
    }
}

/// Walks the control messages of one datagram.
fn read_control(header: &libc::msghdr, message: &mut Message<'_>) {
    // SAFETY: `msg_control` and `msg_controllen` describe the control messages that the kernel
    // wrote for this datagram into a buffer aligned for cmsghdr; the macros stay inside it.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !control.is_null() {
        // SAFETY: a non-null result of the macros is a whole header inside the buffer.
        let (level, kind) = unsafe { ((*control).cmsg_level, (*control).cmsg_type) };
        // SAFETY: as above; data follows the header.
        let data = unsafe { libc::CMSG_DATA(control) };
        match (level, kind) {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                // SAFETY: a message of this type carries one timespec (socket(7)); unaligned read
                // because only the header's alignment is promised.
                let time = unsafe { data.cast::<libc::timespec>().read_unaligned() };
                let seconds = time.tv_sec.cast_unsigned() * 1_000_000_000;
                message.kernel_ns = Some(seconds + time.tv_nsec.cast_unsigned());
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                // SAFETY: a message of this type carries one u32.
                message.drops = Some(unsafe { data.cast::<u32>().read_unaligned() });
            }
            _ => {}
        }
        // SAFETY: `control` is a header inside the buffer that `header` describes.
        control = unsafe { libc::CMSG_NXTHDR(header, control) };
    }
}

/// Room for the control messages of one datagram: a timestamp (up to three timespecs, when hardware
/// stamps are asked for) and the drop counter, with headers and padding.
const CONTROL_BYTES: usize = 128;

/// A control buffer, aligned for cmsghdr.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// An array on the heap that is reached only through raw pointers.
struct Fixed<T> {
    first: NonNull<T>,
    len: usize,
}

impl<T: Clone> Fixed<T> {
    fn filled(len: usize, value: T) -> Self {
        let boxed: Box<[T]> = vec![value; len].into_boxed_slice();
        Self {
            first: NonNull::from(Box::leak(boxed)).cast(),
            len,
        }
    }
}

impl<T> Fixed<T> {
    /// Address of element `index`; within the array when `index` is.
    fn at(&self, index: usize) -> *mut T {
        debug_assert!(index < self.len, "an index is within the array");
        self.first.as_ptr().wrapping_add(index)
    }
}

impl<T> Drop for Fixed<T> {
    fn drop(&mut self) {
        let all = ptr::slice_from_raw_parts_mut(self.first.as_ptr(), self.len);
        // SAFETY: the parts are those of the boxed slice that `filled` leaked; it is given back
        // once, and the kernel holds no pointer to it outside of a call.
        drop(unsafe { Box::from_raw(all) });
    }
}

// SAFETY: the pointers are to memory that this value alone owns, of types that may change threads;
// `Batch` has no interior mutability that a shared reference could use.
unsafe impl Send for Batch {}
