//! The buffers of recvmmsg: addresses, control messages and payloads of one batch.
//!
//! The headers point into the other arrays for good, so these arrays are owned through raw pointers:
//! nothing in safe code ever holds a reference to memory that the kernel may write.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{self, NonNull};
use std::slice;

use crate::prefetch::{CACHE_LINE_BYTES, prefetch};
use crate::udp::Control;

/// Buffers for `count` datagrams of at most `packet_bytes` each.
pub(crate) struct Batch {
    headers: Fixed<libc::mmsghdr>,
    /// Only kept alive: the headers point to them.
    _vectors: Fixed<libc::iovec>,
    names: Fixed<Name>,
    /// Whether the kernel writes them.
    has_names: bool,
    controls: Fixed<ControlBytes>,
    payloads: Fixed<u8>,
    packet_bytes: usize,
    /// From one payload to the next; see [`stride_of`].
    stride_bytes: usize,
    used: usize,
}

/// One datagram of a batch and what the kernel told about it.
pub(crate) struct Message<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) source: SocketAddr,
    pub(crate) is_truncated: bool,
    pub(crate) control: Control,
}

impl Batch {
    /// Allocates and touches all buffers. Without `has_names` the kernel is not asked for senders.
    pub(crate) fn new(count: usize, packet_bytes: usize, has_names: bool) -> Self {
        // SAFETY: these are plain C structures of integers and pointers; all-zero is a valid value.
        let (header, vector) = unsafe { (mem::zeroed(), mem::zeroed()) };
        let stride_bytes = stride_of(packet_bytes);
        let batch = Self {
            headers: Fixed::filled(count, header),
            _vectors: Fixed::filled(count, vector),
            names: Fixed::filled(count, Name([0; NAME_BYTES])),
            has_names,
            controls: Fixed::filled(count, ControlBytes([0; CONTROL_BYTES])),
            // Not zero: zeroed memory would be mapped at first use instead of now.
            payloads: Fixed::filled(count * stride_bytes, 0xA5),
            packet_bytes,
            stride_bytes,
            used: count,
        };
        for index in 0..count {
            // SAFETY: `index` is below `count`, the length of every array, so all offsets are
            // inside their allocations; the arrays live as long as the headers (fields of one
            // struct) and never move (heap); no reference to them exists.
            unsafe {
                let vector = batch._vectors.at(index);
                (*vector).iov_base = batch.payloads.at(index * stride_bytes).cast();
                (*vector).iov_len = packet_bytes;
                let header = &mut (*batch.headers.at(index)).msg_hdr;
                if has_names {
                    header.msg_name = batch.names.at(index).cast();
                }
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

    /// Fetches datagram `index` into the nearest cache, if there is one; the kernel has left it in a
    /// farther one.
    #[inline]
    pub(crate) fn prefetch(&self, index: usize) {
        if index < self.used {
            prefetch(self.headers.at(index).cast());
            prefetch(self.controls.at(index).cast());
            let payload = self.payloads.at(index * self.stride_bytes);
            prefetch(payload);
            prefetch(payload.wrapping_add(CACHE_LINE_BYTES));
        }
    }

    /// Datagram `index` of the last receive.
    #[inline]
    pub(crate) fn message(&self, index: usize) -> Message<'_> {
        assert!(index < self.used, "only what was received is looked at");
        // SAFETY: `index` is inside every array; the kernel has finished with the buffers (the call
        // returned) and only `receive` lets it write again, for which `self` must be borrowed
        // exclusively, so these shared references are to memory that nobody writes. `msg_len` bytes
        // of the payload were initialised (all of it is since `new`) and `msg_len` is at most
        // `packet_bytes`, since MSG_TRUNC is not among the flags of the call; `min` keeps it so.
        let (header, name, control, payload) = unsafe {
            let header = &*self.headers.at(index);
            let length = (header.msg_len as usize).min(self.packet_bytes);
            let payload = self.payloads.at(index * self.stride_bytes);
            (
                header,
                &*self.names.at(index),
                &*self.controls.at(index),
                slice::from_raw_parts(payload, length),
            )
        };
        let control_bytes = header.msg_hdr.msg_controllen.min(CONTROL_BYTES);
        Message {
            payload,
            source: match self.has_names {
                true => name.address(),
                false => NOBODY,
            },
            is_truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            control: Control::parse(&control.0[..control_bytes]),
        }
    }

    /// Restores the lengths that the kernel overwrote in the headers of the last receive.
    fn reset_used(&mut self) {
        for index in 0..self.used {
            // SAFETY: `used` is at most the number of headers, and no reference to them exists.
            let header = unsafe { &mut (*self.headers.at(index)).msg_hdr };
            header.msg_namelen = NAME_BYTES as libc::socklen_t;
            header.msg_controllen = CONTROL_BYTES as _;
            header.msg_flags = 0;
        }
        self.used = 0;
    }
}

/// The sender where it was not asked for.
const NOBODY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));

/// An odd number of cache lines: with a power of two all payloads of a batch would compete for the
/// same few places of the cache.
fn stride_of(packet_bytes: usize) -> usize {
    (packet_bytes.div_ceil(CACHE_LINE_BYTES) | 1) * CACHE_LINE_BYTES
}

/// Room for the control messages of one datagram: three times and the drop counter, with headers
/// and padding (88 bytes); not tight.
const CONTROL_BYTES: usize = 128;

/// A control buffer, aligned for cmsghdr.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct ControlBytes([u8; CONTROL_BYTES]);

/// Room for the longer of the two address structures.
const NAME_BYTES: usize = mem::size_of::<libc::sockaddr_in6>();

/// The sender's address as the kernel writes it, in the byte order of the network behind the family:
///
/// ```text
/// IPv4: family u16 | port u16 | address 4
/// IPv6: family u16 | port u16 | flow u32 | address 16 | scope u32, of this host's byte order
/// ```
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Name([u8; NAME_BYTES]);

impl Name {
    #[inline]
    fn address(&self) -> SocketAddr {
        let [family_0, family_1, port_0, port_1, a, b, c, d, rest @ ..] = self.0;
        let port = u16::from_be_bytes([port_0, port_1]);
        if u16::from_ne_bytes([family_0, family_1]) == libc::AF_INET as u16 {
            return SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port).into();
        }
        let flow = u32::from_be_bytes([a, b, c, d]);
        let (address, scope) = rest.split_at(16);
        let address: [u8; 16] = address.try_into().expect("sixteen bytes were split off");
        let scope = u32::from_ne_bytes(scope.try_into().expect("four bytes are left"));
        SocketAddrV6::new(Ipv6Addr::from(address), port, flow, scope).into()
    }
}

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
