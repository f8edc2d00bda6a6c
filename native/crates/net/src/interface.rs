use std::ffi::CStr;
use std::io;
use std::net::Ipv4Addr;
use std::ptr;

use crate::error::NetError;

/// The IPv4 address of an interface given by name, or by one of its addresses.
///
/// # Errors
///
/// No such interface, no IPv4 address on it, or no interface with that address; the text lists what
/// the host has.
pub fn interface_address(name_or_ip: &str) -> Result<Ipv4Addr, NetError> {
    let interfaces = interfaces().map_err(|error| NetError::io("list the interfaces", error))?;
    if let Ok(address) = name_or_ip.parse() {
        return with_address(&interfaces, address);
    }
    let mut named = interfaces
        .iter()
        .filter(|interface| interface.name == name_or_ip)
        .peekable();
    if named.peek().is_none() {
        let available = listed(interfaces.iter().map(|interface| interface.name.clone()));
        return Err(NetError::NoInterface {
            name: name_or_ip.to_owned(),
            available,
        });
    }
    named
        .find_map(|interface| interface.address)
        .ok_or_else(|| NetError::NoAddress {
            name: name_or_ip.to_owned(),
        })
}

/// One entry of the system's list: an interface appears once per address, also of other families.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Interface {
    name: String,
    address: Option<Ipv4Addr>,
}

fn with_address(interfaces: &[Interface], address: Ipv4Addr) -> Result<Ipv4Addr, NetError> {
    if interfaces
        .iter()
        .any(|interface| interface.address == Some(address))
    {
        return Ok(address);
    }
    let available = listed(
        interfaces
            .iter()
            .filter_map(|i| i.address)
            .map(|a| a.to_string()),
    );
    Err(NetError::NotLocal { address, available })
}

fn listed(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<String> = items.collect();
    items.sort();
    items.dedup();
    items.join(", ")
}

fn interfaces() -> io::Result<Vec<Interface>> {
    let mut list = ptr::null_mut();
    // The standard library and rustix cannot list interfaces.
    // SAFETY: `list` is a valid place for the result; on success it is a list that is ours until
    // `freeifaddrs`, on failure nothing was stored.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut interfaces = Vec::new();
    let mut entry = list;
    while !entry.is_null() {
        // SAFETY: `entry` is a non-null element of the list, which is freed only below.
        let current = unsafe { &*entry };
        // SAFETY: getifaddrs(3) gives every entry a NUL-terminated name within the same list.
        let name = unsafe { CStr::from_ptr(current.ifa_name) };
        interfaces.push(Interface {
            name: name.to_string_lossy().into_owned(),
            address: ipv4_of(current),
        });
        entry = current.ifa_next;
    }
    // SAFETY: `list` came from getifaddrs, is freed once, and no reference into it is left: names
    // and addresses were copied.
    unsafe { libc::freeifaddrs(list) };
    Ok(interfaces)
}

fn ipv4_of(entry: &libc::ifaddrs) -> Option<Ipv4Addr> {
    if entry.ifa_addr.is_null() {
        return None;
    }
    // SAFETY: a non-null `ifa_addr` points to a socket address of the list that `entry` is part of;
    // every socket address begins with its family.
    let family = unsafe { (*entry.ifa_addr).sa_family };
    if libc::c_int::from(family) != libc::AF_INET {
        return None;
    }
    // SAFETY: an address of family AF_INET is a sockaddr_in; the read is unaligned because only
    // sockaddr's alignment is promised.
    let address = unsafe { entry.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned() };
    Some(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)))
}
