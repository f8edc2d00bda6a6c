use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::ptr;

use socket2::{Domain, Socket, Type};

use crate::error::NetError;
use crate::line::Interface;

/// The interface given by name, or by one of its addresses.
///
/// # Errors
///
/// No such interface; the text lists what the host has. An interface without an IPv4 address is
/// found by its name.
pub fn find_interface(name_or_ip: &str) -> Result<Interface, NetError> {
    let entries = entries().map_err(|error| NetError::io("list the interfaces", error))?;
    // What is no address is a name; an unknown one is refused below with the names there are.
    let wanted: Option<IpAddr> = name_or_ip.parse().ok();
    let found = match wanted {
        Some(address) => entries.iter().find(|entry| entry.address == Some(address)),
        None => entries.iter().find(|entry| entry.name == name_or_ip),
    };
    let Some(entry) = found else {
        return Err(absent(&entries, name_or_ip, wanted));
    };
    let ipv4 = entry.ipv4().or_else(|| {
        let mut same = entries.iter().filter(|other| other.name == entry.name);
        same.find_map(Entry::ipv4)
    });
    Ok(Interface {
        name: entry.name.clone(),
        index: index_of(&entry.name)?,
        ipv4,
    })
}

/// The IPv4 address of an interface given by name, or by one of its addresses.
///
/// # Errors
///
/// As [`find_interface`], or the interface has no IPv4 address.
pub fn interface_address(name_or_ip: &str) -> Result<Ipv4Addr, NetError> {
    let interface = find_interface(name_or_ip)?;
    interface.ipv4.ok_or(NetError::NoAddress {
        name: interface.name,
    })
}

/// Whether the interface is still there, under its number. `socket` may be any.
pub(crate) fn check_present(socket: &impl AsFd, interface: &Interface) -> Result<(), NetError> {
    let name = rustix::net::netdevice::index_to_name_inlined(socket.as_fd(), interface.index);
    match name {
        Ok(_) => Ok(()),
        Err(source) => Err(NetError::Gone {
            interface: interface.name.clone(),
            source: source.into(),
        }),
    }
}

/// One entry of the system's list: an interface appears once per address, also of other families.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    address: Option<IpAddr>,
}

impl Entry {
    fn ipv4(&self) -> Option<Ipv4Addr> {
        match self.address {
            Some(IpAddr::V4(address)) => Some(address),
            _ => None,
        }
    }
}

fn absent(entries: &[Entry], name: &str, address: Option<IpAddr>) -> NetError {
    match address {
        Some(address) => {
            let addresses = entries.iter().filter_map(|entry| entry.address);
            let available = listed(addresses.map(|address| address.to_string()));
            NetError::NotLocal { address, available }
        }
        None => NetError::NoInterface {
            name: name.to_owned(),
            available: listed(entries.iter().map(|entry| entry.name.clone())),
        },
    }
}

fn index_of(name: &str) -> Result<u32, NetError> {
    // A socket of any kind serves to ask.
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)
        .map_err(|error| NetError::io("open a socket to ask for an interface's number", error))?;
    rustix::net::netdevice::name_to_index(&socket, name)
        .map_err(|error| NetError::io("read an interface's number", error))
}

fn listed(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<String> = items.collect();
    items.sort();
    items.dedup();
    items.join(", ")
}

fn entries() -> io::Result<Vec<Entry>> {
    let mut list = ptr::null_mut();
    // The standard library and rustix cannot list interfaces.
    // SAFETY: `list` is a valid place for the result; on success it is a list that is ours until
    // `freeifaddrs`, on failure nothing was stored.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut entries = Vec::new();
    let mut entry = list;
    while !entry.is_null() {
        // SAFETY: `entry` is a non-null element of the list, which is freed only below.
        let current = unsafe { &*entry };
        // SAFETY: getifaddrs(3) gives every entry a NUL-terminated name within the same list.
        let name = unsafe { CStr::from_ptr(current.ifa_name) };
        entries.push(Entry {
            name: name.to_string_lossy().into_owned(),
            address: address_of(current),
        });
        entry = current.ifa_next;
    }
    // SAFETY: `list` came from getifaddrs, is freed once, and no reference into it is left: names
    // and addresses were copied.
    unsafe { libc::freeifaddrs(list) };
    Ok(entries)
}

fn address_of(entry: &libc::ifaddrs) -> Option<IpAddr> {
    if entry.ifa_addr.is_null() {
        return None;
    }
    // SAFETY: a non-null `ifa_addr` points to a socket address of the list that `entry` is part of;
    // every socket address begins with its family.
    let family = unsafe { (*entry.ifa_addr).sa_family };
    match libc::c_int::from(family) {
        libc::AF_INET => {
            // SAFETY: an address of family AF_INET is a sockaddr_in; the read is unaligned because
            // only sockaddr's alignment is promised.
            let address = unsafe { entry.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: an address of family AF_INET6 is a sockaddr_in6; unaligned as above.
            let address = unsafe { entry.ifa_addr.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(Ipv6Addr::from(address.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}
