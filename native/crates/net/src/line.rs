use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::error::NetError;

/// One multicast line to receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineConfig {
    /// Number of the line, as it comes back in [`crate::Datagram::line`].
    pub line: u8,
    /// Multicast group.
    pub group: IpAddr,
    /// UDP port.
    pub port: u16,
    /// Interface to receive on.
    pub interface: Interface,
    /// Only datagrams from this sender (source-specific multicast), or from any.
    pub source: Option<IpAddr>,
}

/// An interface of this host ([`crate::find_interface`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number in the kernel.
    pub index: u32,
    /// The address that was asked for, or its first IPv4 address, if it has one.
    pub ipv4: Option<Ipv4Addr>,
}

impl LineConfig {
    /// Group and port.
    pub fn destination(&self) -> SocketAddr {
        SocketAddr::new(self.group, self.port)
    }

    /// Refuses what no path can receive.
    ///
    /// # Errors
    ///
    /// The group is not multicast, the port is 0, or source and group are of two families.
    pub fn check(&self) -> Result<(), NetError> {
        if !self.group.is_multicast() {
            let expected = "an address of 224.0.0.0/4 or ff00::/8";
            return Err(NetError::config("group", self.group, expected));
        }
        if self.port == 0 {
            return Err(NetError::config("port", 0, "1 to 65535"));
        }
        match self.source {
            Some(source) if source.is_ipv4() != self.group.is_ipv4() => Err(NetError::config(
                "source",
                source,
                "an address of the group's family",
            )),
            _ => Ok(()),
        }
    }
}
