//! The line's group, held by a UDP socket: a packet socket sees what the card lets in, and card and
//! switch let in what a host has joined.

use std::net::IpAddr;

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use crate::error::NetError;
use crate::line::LineConfig;

/// A joined group; left on drop. Bound to no port, the socket receives nothing itself.
pub(super) struct Membership {
    _socket: Socket,
}

impl Membership {
    pub(super) fn join(line: &LineConfig) -> Result<Self, NetError> {
        let domain = match line.group {
            IpAddr::V4(_) => Domain::IPV4,
            IpAddr::V6(_) => Domain::IPV6,
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))
            .map_err(|error| NetError::io("open a UDP socket", error))?;
        let index = line.interface.index;
        let place = format!("{} on {}", line.group, line.interface.name);
        match (line.group, line.source) {
            (IpAddr::V4(group), Some(IpAddr::V4(source))) => {
                let name = line.interface.name.clone();
                let interface = line.interface.ipv4.ok_or(NetError::NoAddress { name })?;
                let value = format!("{place} from {source}");
                socket
                    .join_ssm_v4(&source, &group, &interface)
                    .map_err(NetError::option("IP_ADD_SOURCE_MEMBERSHIP", value, REMEDY))?;
            }
            (IpAddr::V4(group), _) => socket
                .join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index))
                .map_err(NetError::option("IP_ADD_MEMBERSHIP", place, REMEDY))?,
            // Of any source; the ring's filter refuses the others.
            (IpAddr::V6(group), _) => socket
                .join_multicast_v6(&group, index)
                .map_err(NetError::option("IPV6_ADD_MEMBERSHIP", place, REMEDY))?,
        }
        Ok(Self { _socket: socket })
    }
}

const REMEDY: &str = "the interface must be up and support multicast (`ip link`); \
                      net.ipv4.igmp_max_memberships limits the groups of a socket";
