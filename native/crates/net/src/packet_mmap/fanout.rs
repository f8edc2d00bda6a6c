//! The fanout group of a line with several rings (PACKET_FANOUT): they share its frames.
//!
//! The group's number is made of interface, group and port, the same at each start. The group takes
//! as many members as the line has rings: a foreign socket cannot take a share, and two lines whose
//! numbers collide do not mix. The second then takes one of the next free numbers.
//!
//! Not PACKET_FANOUT_FLAG_DEFRAG: all groups of a network namespace put fragments together in one
//! place. With two groups on one interface the first to see the last fragment gets the datagram,
//! whosever it is; the other loses it uncounted, and what it leaves there is mixed with the next
//! datagram of that number.

use std::io;

use libc::{c_int, fanout_args};
use socket2::Socket;

use super::socket::set_packet_option;
use crate::error::NetError;
use crate::line::LineConfig;

/// Makes one group of all sockets, which are bound to the line's interface.
pub(super) fn join(
    sockets: &[&Socket],
    line: &LineConfig,
    number: Option<u16>,
) -> Result<(), NetError> {
    let [first, others @ ..] = sockets else {
        return Ok(());
    };
    let (wanted, attempts) = match number {
        Some(number) => (number, 1),
        None => (number_of(line), ATTEMPTS),
    };
    let members = sockets.len() as u32;
    let mut number = wanted;
    let mut result = add(first, number, members);
    for next in 1..attempts {
        if !result.as_ref().is_err_and(is_taken) {
            break;
        }
        number = wanted.wrapping_add(next);
        result = add(first, number, members);
    }
    for socket in others {
        result = result.and_then(|()| add(socket, number, members));
    }
    result.map_err(NetError::option("PACKET_FANOUT", number, REMEDY))
}

/// The same number for the same line at each start: FNV-1a, folded to 16 bits.
pub(super) fn number_of(line: &LineConfig) -> u16 {
    let text = format!("{} {}", line.interface.name, line.destination());
    let hash = text.bytes().fold(0x811C_9DC5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    (hash ^ (hash >> 16)) as u16
}

/// Numbers that are tried.
const ATTEMPTS: u16 = 8;
const REMEDY: &str = "another program's packet sockets hold this fanout group: stop it, or set \
                      another fanout_group; needs Linux 5.16";

/// A group of another line, interface, kind or size has the number, or the group is full.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSPC))
}

/// Adds a socket to a group of `members` sockets; the first one makes it.
fn add(socket: &Socket, number: u16, members: u32) -> io::Result<()> {
    // One flow is one ring, so its order is kept.
    let (mode, flags) = (
        libc::PACKET_FANOUT_HASH,
        libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING,
    );
    let arguments = fanout_args {
        id: number,
        type_flags: (mode | flags) as u16,
        max_num_members: members,
    };
    const NAME: c_int = libc::PACKET_FANOUT;
    set_packet_option(socket, NAME, &arguments)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::number_of;
    use crate::line::{Interface, LineConfig};

    /// The number depends on nothing but the line, so that it is the same in each process; lines
    /// that differ in one thing have different ones.
    #[test]
    fn the_number_is_stable_and_of_the_line() {
        let line = |name: &str, group: [u8; 4], port| LineConfig {
            line: 0,
            group: Ipv4Addr::from(group).into(),
            port,
            interface: Interface {
                name: name.to_owned(),
                index: 1,
                ipv4: None,
            },
            source: None,
        };
        let first = line("eth0", [239, 1, 1, 1], 5_000);
        let other_index = LineConfig {
            interface: Interface {
                index: 7,
                ..first.interface.clone()
            },
            ..first.clone()
        };
        assert_eq!(number_of(&first), number_of(&other_index));
        for other in [
            line("eth1", [239, 1, 1, 1], 5_000),
            line("eth0", [239, 1, 1, 2], 5_000),
            line("eth0", [239, 1, 1, 1], 5_001),
        ] {
            assert_ne!(number_of(&first), number_of(&other), "{other:?}");
        }
    }
}
