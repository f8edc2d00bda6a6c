use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

use socket2::{Domain, Protocol, Socket, Type};

use crate::batch_send::send_all;
use crate::error::NetError;
use crate::line::Interface;
use crate::option::set_value;
use crate::udp::KERNEL;

/// Sends to one multicast group through one interface; its own host hears it too.
pub struct MulticastSender {
    socket: Socket,
}

impl MulticastSender {
    /// Opens a socket for `group:port` that leaves through `interface`, from its IPv4 address or, for
    /// a group of IPv6, from the address that the kernel chooses.
    /// `ttl` is the number of routers it may pass plus one; 0 keeps it on the host.
    ///
    /// # Errors
    ///
    /// `group` is not multicast, the interface has no IPv4 address for a group of IPv4, or an option
    /// cannot be applied.
    pub fn open(
        group: IpAddr,
        port: u16,
        interface: &Interface,
        ttl: u8,
    ) -> Result<Self, NetError> {
        if !group.is_multicast() {
            let expected = "an address of 224.0.0.0/4 or ff00::/8";
            return Err(NetError::config("group", group, expected));
        }
        let (socket, target) = match group {
            IpAddr::V4(_) => (open_v4(interface, ttl)?, SocketAddr::new(group, port)),
            IpAddr::V6(group) => {
                let target = SocketAddrV6::new(group, port, 0, interface.index);
                (open_v6(interface, ttl)?, target.into())
            }
        };
        socket
            .connect(&target.into())
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
    pub fn local_address(&self) -> Result<SocketAddr, NetError> {
        let address = self
            .socket
            .local_addr()
            .map_err(|error| NetError::io("read the local address", error))?;
        Ok(address
            .as_socket()
            .expect("a UDP socket has an address of IP"))
    }
}

fn open_v4(interface: &Interface, ttl: u8) -> Result<Socket, NetError> {
    let Some(address) = interface.ipv4 else {
        let name = interface.name.clone();
        return Err(NetError::NoAddress { name });
    };
    let socket = open(Domain::IPV4)?;
    leave_through(&socket, interface.index, address).map_err(NetError::option(
        "IP_MULTICAST_IF",
        format!("{} (index {}, {address})", interface.name, interface.index),
        "the interface must exist and have this address (`ip -4 address`)",
    ))?;
    socket
        .set_multicast_loop_v4(true)
        .map_err(NetError::option("IP_MULTICAST_LOOP", 1, KERNEL))?;
    socket
        .set_multicast_ttl_v4(ttl.into())
        .map_err(NetError::option("IP_MULTICAST_TTL", ttl, KERNEL))?;
    Ok(socket)
}

fn open_v6(interface: &Interface, ttl: u8) -> Result<Socket, NetError> {
    let socket = open(Domain::IPV6)?;
    socket
        .set_multicast_if_v6(interface.index)
        .map_err(NetError::option(
            "IPV6_MULTICAST_IF",
            format!("{} (index {})", interface.name, interface.index),
            "the interface must exist and be able to do IPv6 (`ip -6 address`)",
        ))?;
    socket
        .set_multicast_loop_v6(true)
        .map_err(NetError::option("IPV6_MULTICAST_LOOP", 1, KERNEL))?;
    socket
        .set_multicast_hops_v6(ttl.into())
        .map_err(NetError::option("IPV6_MULTICAST_HOPS", ttl, KERNEL))?;
    Ok(socket)
}

fn open(domain: Domain) -> Result<Socket, NetError> {
    Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))
        .map_err(|error| NetError::io("open a UDP socket", error))
}

/// IP_MULTICAST_IF by the interface's number, since two may have one address.
fn leave_through(socket: &Socket, index: u32, address: Ipv4Addr) -> io::Result<()> {
    let request = libc::ip_mreqn {
        imr_multiaddr: libc::in_addr { s_addr: 0 },
        imr_address: libc::in_addr {
            s_addr: u32::from(address).to_be(),
        },
        imr_ifindex: index.cast_signed(),
    };
    set_value(socket, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &request)
}
