use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;
use std::slice;

use socket2::{Domain, Protocol, Socket, Type};

use super::BARE_BATCH;
use crate::option::{drop_count, set_int};

/// recvmmsg on one UDP socket, batches of 64 payloads of at most 2 KiB.
pub struct BareRecvmmsg {
    socket: Socket,
    headers: Vec<libc::mmsghdr>,
    /// Only kept alive: the headers point to them.
    _vectors: Vec<libc::iovec>,
    /// Only kept alive when no times are asked for.
    controls: Vec<Control>,
    payloads: Vec<u8>,
    has_times: bool,
}

impl BareRecvmmsg {
    /// A socket bound to the group, joined on the interface with this address; with kernel times
    /// (SO_TIMESTAMPING with the receiver's flags, read from the control message) or without control messages at all.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub fn open(
        group: Ipv4Addr,
        port: u16,
        interface: Ipv4Addr,
        rcvbuf_bytes: usize,
        has_times: bool,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        set_int(&socket, libc::SO_RCVBUFFORCE, rcvbuf_bytes as libc::c_int)?;
        if has_times {
            let times = libc::SOF_TIMESTAMPING_RX_HARDWARE
                | libc::SOF_TIMESTAMPING_RAW_HARDWARE
                | libc::SOF_TIMESTAMPING_RX_SOFTWARE
                | libc::SOF_TIMESTAMPING_SOFTWARE;
            set_int(&socket, libc::SO_TIMESTAMPING, times as libc::c_int)?;
        }
        socket.set_multicast_all_v4(false)?;
        socket.bind(&SocketAddrV4::new(group, port).into())?;
        socket.join_multicast_v4(&group, &interface)?;
        let mut controls = vec![Control([0; CONTROL_WORDS]); BARE_BATCH];
        let mut payloads = vec![0xA5; BARE_BATCH * PAYLOAD_BYTES];
        let payload = payloads.as_mut_ptr();
        let mut vectors: Vec<_> = (0..BARE_BATCH)
            .map(|index| libc::iovec {
                iov_base: payload.wrapping_add(index * PAYLOAD_BYTES).cast(),
                iov_len: PAYLOAD_BYTES,
            })
            .collect();
        let (vector, control) = (vectors.as_mut_ptr(), controls.as_mut_ptr());
        let header = |index| {
            // SAFETY: a plain C structure of integers and pointers; all-zero is a valid value.
            let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
            header.msg_hdr.msg_iov = vector.wrapping_add(index);
            header.msg_hdr.msg_iovlen = 1;
            if has_times {
                header.msg_hdr.msg_control = control.wrapping_add(index).cast();
            }
            header
        };
        Ok(Self {
            headers: (0..BARE_BATCH).map(header).collect(),
            socket,
            _vectors: vectors,
            controls,
            payloads,
            has_times,
        })
    }

    /// One call; the number of payloads.
    ///
    /// # Errors
    ///
    /// What the system said; nothing there is no error.
    #[inline]
    pub fn receive(&mut self, handler: &mut impl FnMut(&[u8], u64)) -> io::Result<usize> {
        if self.has_times {
            for header in &mut self.headers {
                header.msg_hdr.msg_controllen = mem::size_of::<Control>() as _;
            }
        }
        // SAFETY: the descriptor is open; the headers are `BARE_BATCH` valid ones whose pointers
        // and lengths describe heap memory of this value (vectors that are never resized), to
        // which no reference exists during the call; a null timeout is allowed.
        let count = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BARE_BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        };
        for (index, header) in self.headers[..count].iter().enumerate() {
            // SAFETY: payload `index` is inside the vector; `msg_len` is at most its length,
            // since MSG_TRUNC is not among the flags; the kernel has finished with it.
            let payload = unsafe {
                let first = self.payloads.as_ptr().add(index * PAYLOAD_BYTES);
                slice::from_raw_parts(first, header.msg_len as usize)
            };
            let has_time = header.msg_hdr.msg_controllen >= TIME_BYTES as _;
            let time_ns = if self.has_times && has_time {
                let [seconds, nanoseconds] = self.controls[index].0[HEADER_WORDS..][..2] else {
                    unreachable!("a range of two has two")
                };
                seconds * 1_000_000_000 + nanoseconds
            } else {
                0
            };
            handler(payload, time_ns);
        }
        Ok(count)
    }

    /// Datagrams that did not fit into the socket's buffer.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub fn drops(&self) -> io::Result<u64> {
        drop_count(&self.socket).map(u64::from)
    }
}

impl AsFd for BareRecvmmsg {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// One control message: a header (length, level, type) of two words and three timespecs of two, of
/// which the first is the kernel's.
#[derive(Clone, Copy)]
#[repr(C)]
struct Control([u64; CONTROL_WORDS]);

const HEADER_WORDS: usize = 2;
const CONTROL_WORDS: usize = HEADER_WORDS + 3 * 2;
const TIME_BYTES: usize = CONTROL_WORDS * 8;
const PAYLOAD_BYTES: usize = 2_048;

// SAFETY: the pointers in the headers are to heap memory that this value alone owns.
unsafe impl Send for BareRecvmmsg {}
