use socket2::{SockFilter, Socket};

use super::socket::{KERNEL, open_joined};
use crate::error::NetError;
use crate::line::LineConfig;

/// Membership in a line's group for a path that takes frames before the IP stack: this host asks the
/// network for the group (IGMP, MLD), and nobody is told that the port is closed.
///
/// A UDP socket that takes nothing: its filter drops every datagram before it is queued. The kernel
/// counts those among its InErrors (`nstat`), not among RcvbufErrors, and they are no loss. The
/// membership ends when this is dropped.
#[derive(Debug)]
pub struct GroupMembership {
    _socket: Socket,
}

impl GroupMembership {
    /// Joins the line's group on its interface, from its source if it has one.
    ///
    /// # Errors
    ///
    /// A wrong line, or an option that cannot be applied. Nothing stays open then.
    pub fn join(line: &LineConfig) -> Result<Self, NetError> {
        line.check()?;
        let socket = open_joined(line, |socket| {
            // Before the socket is bound, so that nothing slips in.
            socket.attach_filter(&[DROP_ALL]).map_err(NetError::option(
                "SO_ATTACH_FILTER",
                "drop all",
                KERNEL,
            ))
        })?;
        Ok(Self { _socket: socket })
    }
}

/// Classic BPF: return 0, "take no byte of it".
const DROP_ALL: SockFilter = SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0);
