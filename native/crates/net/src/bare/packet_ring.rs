use std::io;
use std::mem;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Release};

use rustix::net::netdevice::name_to_index;
use socket2::{Domain, Socket, Type};

use super::system::{bind, check, get};
use super::{HEADER_BYTES, payload_of};
use crate::memory::Memory;
use crate::option::set_value;

/// A TPACKET_V3 ring, 128 blocks of 256 KiB, with a filter on the port; a call takes one block.
///
/// Beside it a UDP socket that only holds the membership.
pub struct BarePacketRing {
    socket: Socket,
    _member: Socket,
    ring: Memory,
    block: usize,
    ports: RangeInclusive<u16>,
}

impl BarePacketRing {
    /// A ring for one port of an interface; a block that is not full is handed over after
    /// `retire_ms`.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub fn open(
        interface: &str,
        address: Ipv4Addr,
        group: Ipv4Addr,
        port: u16,
        retire_ms: u32,
    ) -> io::Result<Self> {
        let member = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        member.join_multicast_v4(&group, &address)?;
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        let version = libc::tpacket_versions::TPACKET_V3 as libc::c_int;
        set_value(&socket, libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
        let request = libc::tpacket_req3 {
            tp_block_size: BLOCK_BYTES as u32,
            tp_block_nr: BLOCKS as u32,
            tp_frame_size: FRAME_BYTES,
            tp_frame_nr: (BLOCKS * BLOCK_BYTES) as u32 / FRAME_BYTES,
            tp_retire_blk_tov: retire_ms,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set_value(&socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        let ring = Memory::shared(socket.as_fd(), 0, BLOCKS * BLOCK_BYTES)?;
        attach_filter(&socket, port)?;
        // SAFETY: a plain C structure of integers; all-zero is a valid value.
        let mut packet_address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        packet_address.sll_family = libc::AF_PACKET as u16;
        packet_address.sll_protocol = (libc::ETH_P_IP as u16).to_be();
        packet_address.sll_ifindex = name_to_index(&socket, interface)?.cast_signed();
        bind(&socket, &packet_address)?;
        Ok(Self {
            socket,
            _member: member,
            ring,
            block: 0,
            ports: port..=port,
        })
    }

    /// Takes the next block, if the kernel has handed it over; the number of payloads.
    ///
    /// # Errors
    ///
    /// None; as the other loops.
    #[inline]
    pub fn receive(&mut self, handler: &mut impl FnMut(&[u8], u64)) -> io::Result<usize> {
        let block = self.ring.at(self.block * BLOCK_BYTES);
        let descriptor = block.cast::<libc::tpacket_block_desc>();
        // SAFETY: the descriptor of a block is at its start, aligned to a page; the status is a
        // word that both sides access atomically.
        let status = unsafe { AtomicU32::from_ptr(&raw mut (*descriptor).hdr.bh1.block_status) };
        if status.load(Acquire) & libc::TP_STATUS_USER == 0 {
            return Ok(0);
        }
        // SAFETY: the block is ours until its status is given back, so the kernel does not write.
        let header = unsafe { (*descriptor).hdr.bh1 };
        let (mut offset, mut count) = (header.offset_to_first_pkt as usize, 0);
        for _ in 0..header.num_pkts {
            assert!(
                offset + mem::size_of::<libc::tpacket3_hdr>() <= BLOCK_BYTES,
                "a packet is in its block"
            );
            // SAFETY: the header is inside the block, aligned to 16 (TPACKET_ALIGNMENT).
            let packet = unsafe { *block.add(offset).cast::<libc::tpacket3_hdr>() };
            let first = offset + usize::from(packet.tp_mac);
            let length = packet.tp_snaplen as usize;
            assert!(first + length <= BLOCK_BYTES, "a packet is in its block");
            // SAFETY: `length` bytes from `first` are inside the block, which is ours.
            let frame = unsafe { slice::from_raw_parts(block.add(first), length) };
            if let Some(payload) = payload_of(frame, &self.ports) {
                let time_ns = u64::from(packet.tp_sec) * 1_000_000_000 + u64::from(packet.tp_nsec);
                handler(payload, time_ns);
                count += 1;
            }
            offset += packet.tp_next_offset as usize;
        }
        status.store(libc::TP_STATUS_KERNEL, Release);
        self.block = (self.block + 1) % BLOCKS;
        Ok(count)
    }

    /// Packets that found no free block since the last call.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub fn drops(&self) -> io::Result<u64> {
        let statistics: libc::tpacket_stats_v3 =
            get(&self.socket, libc::SOL_PACKET, libc::PACKET_STATISTICS)?;
        Ok(statistics.tp_drops.into())
    }
}

impl AsFd for BarePacketRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Lets UDP over IPv4 to the port through, whole. Only frames without IPv4 options are looked for,
/// as the loop only knows these.
fn attach_filter(socket: &Socket, port: u16) -> io::Result<()> {
    let step = |code: u32, k, jt, jf| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let load = |size, at| step(libc::BPF_LD | size | libc::BPF_ABS, at, 0, 0);
    let equal = |value, otherwise| {
        let code = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        step(code, value, 0, otherwise)
    };
    let give = |bytes| step(libc::BPF_RET | libc::BPF_K, bytes, 0, 0);
    let mut program = [
        load(libc::BPF_H, 12),
        equal(0x0800, 6),
        load(libc::BPF_H, 14),
        equal(0x4500, 4),
        load(libc::BPF_B, 23),
        equal(17, 2),
        load(libc::BPF_H, HEADER_BYTES as u32 - 6),
        equal(port.into(), 0),
        give(0),
        give(u32::MAX),
    ];
    // The last comparison jumps over the refusal when it holds.
    program[7].jt = 1;
    let filter = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the descriptor is open; the pointer is to a filter of `len` steps; both live through
    // the call and the kernel only reads them.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            mem::size_of_val(&filter) as libc::socklen_t,
        )
    })
}

const BLOCKS: usize = 128;
const BLOCK_BYTES: usize = 256 << 10;
/// Least room of a packet, of which version 3 makes no use but checks it.
const FRAME_BYTES: u32 = 2_048;
