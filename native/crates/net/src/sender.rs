use std::net::{Ipv4Addr, SocketAddrV4};

use socket2::{Domain, Protocol, Socket, Type};

use crate::batch_send::send_all;
use crate::error::NetError;

/// Sends to one multicast group through one interface; its own host hears it too.
pub struct MulticastSender {
    socket: Socket,
}

impl MulticastSender {
    /// Opens a socket for `group:port` that leaves through the interface with address `interface`.
    /// `ttl` is the number of routers it may pass plus one; 0 keeps it on the host.
    ///
    /// # Errors
    ///
    /// `group` is not multicast, or an option cannot be applied.
    pub fn open(
        group: Ipv4Addr,
        port: u16,
        interface: Ipv4Addr,
        ttl: u8,
    ) -> Result<Self, NetError> {
        if !group.is_multicast() {
            return Err(NetError::config(
                "group",
                group,
                "an address of 224.0.0.0/4",
            ));
        }
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))
            .map_err(|error| NetError::io("open a UDP socket", error))?;
        socket
            .set_multicast_if_v4(&interface)
            .map_err(NetError::option(
                "IP_MULTICAST_IF",
                interface,
                "use the address of an interface that is up (`ip -4 address`)",
            ))?;
        socket
            .set_multicast_loop_v4(true)
            .map_err(NetError::option(
                "IP_MULTICAST_LOOP",
                1,
                "this kernel must support it",
            ))?;
        socket
            .set_multicast_ttl_v4(ttl.into())
            .map_err(NetError::option(
                "IP_MULTICAST_TTL",
                ttl,
                "this kernel must support it",
            ))?;
        socket
            .connect(&SocketAddrV4::new(group, port).into())
            .map_err(|error| NetError::io("connect the socket to its multicast group", error))?;
        Ok(Self { socket })
    }

    /// Sends one datagram; waits while the socket's send buffer is full.
    ///
    /// # Errors
    ///
    /// The datagram is too long, or the interface went away.
    pub fn send(&self, payload: &[u8]) -> Result<(), NetError> {
        self.socket
            .send(payload)
            .map_err(|error| NetError::io("send a datagram", error))?;
        Ok(())
    }

    /// Sends many datagrams in order by few system calls and no allocation; waits while the socket's
    /// send buffer is full, and at most a second while the device's queue is. Returns how often the
    /// latter made it ask again.
    ///
    /// # Errors
    ///
    /// As [`MulticastSender::send`]; the datagrams before the refused one are sent.
    pub fn send_batch(&self, payloads: &[&[u8]]) -> Result<u64, NetError> {
        send_all(&self.socket, payloads)
    }

    /// The address that datagrams come from.
    ///
    /// # Errors
    ///
    /// The system cannot tell.
    pub fn local_address(&self) -> Result<SocketAddrV4, NetError> {
        let address = self
            .socket
            .local_addr()
            .map_err(|error| NetError::io("read the local address", error))?;
        Ok(address
            .as_socket_ipv4()
            .expect("an IPv4 socket has an IPv4 address"))
    }
}
