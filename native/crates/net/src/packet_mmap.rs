//! The PACKET_MMAP path: TPACKET_V3 rings of packet sockets, mapped and read in place.
//!
//! The kernel copies each frame into the open block of a ring and hands the block over when it is
//! full or `retire_ms` old; so the median wait for a packet is half of `retire_ms`, and spinning
//! does not shorten it. It is the cheapest reader of all: for throughput, capture and crowded
//! cores, not for latency.
//!
//! What differs from a UDP socket, since frames are taken before the IP stack:
//! - A filter in the kernel ([`filter`]) lets only the line's UDP in; nobody verifies checksums
//!   behind it, the card's frame check is what there is.
//! - A VLAN tag of any number is accepted and ignored, also where no VLAN interface exists. To
//!   receive one VLAN alone, name its interface.
//! - A ring has fragments as they came, and counts them. The kernel's way of putting them together
//!   for rings (PACKET_FANOUT_FLAG_DEFRAG) loses datagrams uncounted when two lines use it ([`fanout`]),
//!   so a joined socket beside takes what the kernel puts together for sockets.
//! - What this host sends itself is not seen, except on the loopback interface.

mod block;
mod fanout;
mod filter;
mod ring;
mod socket;

use std::net::SocketAddr;
use std::os::fd::AsFd;

use block::{BLOCK_HEADER_BYTES, FRAME_OVERHEAD_BYTES, Frame};
use ring::Ring;

use crate::error::NetError;
use crate::frame::{Refusal, parse_cut, parse_plain};
use crate::line::LineConfig;
use crate::link::Link;
use crate::udp::{Control, SocketConfig, UdpReceiver, stamp};
use crate::{Datagram, PathCounters, Receiver, Rung, Stamp, WaitSet, clock};

/// Geometry and limits of a line's rings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketMmapConfig {
    /// Rings, 1 to 4. Each flow (sender and group) has one, which keeps its order; more than one
    /// helps a line of several senders on a card with several queues.
    pub queues: usize,
    /// Bytes of a block: a power of two, at least a page, with room for the longest packet.
    pub block_bytes: usize,
    /// Blocks of a ring, 2 to 65,536; at most 1 GiB per ring.
    pub block_count: usize,
    /// A block that is not full is handed over after so many milliseconds, 1 to 1,000.
    pub retire_ms: u32,
    /// Most datagrams of one receive call, 1 to 1,024.
    pub batch: usize,
    /// Longest payload; more is truncated and flagged.
    pub max_packet_bytes: usize,
    /// Number of the fanout group of several rings; `None`: made of interface, group and port.
    pub fanout_group: Option<u16>,
}

impl Default for PacketMmapConfig {
    /// One ring of 32 MiB, a millisecond to the hand-over.
    fn default() -> Self {
        Self {
            queues: 1,
            block_bytes: 256 << 10,
            block_count: 128,
            retire_ms: 1,
            batch: 64,
            max_packet_bytes: 2_048,
            fanout_group: None,
        }
    }
}

/// The packet rings of one line. Group, rings and memory are given back when it is dropped.
///
/// Needs CAP_NET_RAW and Linux 5.16. Stamps are the kernel's, taken when it wrote the frame into
/// the ring or earlier, or the card's, on cards that are set up for it (`hwstamp_ctl`).
pub struct PacketMmapReceiver {
    rings: Box<[Ring]>,
    /// The ring that is asked first.
    first: usize,
    batch: usize,
    reader: Reader,
    /// Has joined the group, and takes what the kernel puts together from fragments.
    joined: UdpReceiver,
    beside: u64,
}

impl PacketMmapReceiver {
    /// Joins the group, makes the rings, and lets the line's frames in.
    ///
    /// # Errors
    ///
    /// A value out of range, no CAP_NET_RAW, an option or a fanout group that the kernel refuses, no
    /// memory for the ring, an interface that is gone. Nothing stays open then.
    pub fn open(line: &LineConfig, config: &PacketMmapConfig) -> Result<Self, NetError> {
        line.check()?;
        config.check()?;
        let rings: Result<Box<[Ring]>, NetError> = (0..config.queues)
            .map(|_| {
                let socket = socket::open()?;
                socket::prepare(&socket)?;
                Ring::new(socket, config)
            })
            .collect();
        let rings = rings?;
        let joined = join(line, config)?;
        // Bound behind a filter that lets nothing in: until all rings share the frames, each would
        // get them all.
        for ring in &rings {
            socket::bind(ring.socket(), &line.interface)?;
        }
        if rings.len() > 1 {
            let sockets: Vec<_> = rings.iter().map(Ring::socket).collect();
            fanout::join(&sockets, line, config.fanout_group)?;
        }
        let program = filter::of_line(line, config.captured_bytes() as u32);
        for ring in &rings {
            socket::attach_and_lock(ring.socket(), &program)?;
        }
        Ok(Self {
            rings,
            first: 0,
            batch: config.batch,
            reader: Reader {
                line: line.line,
                max_packet_bytes: config.max_packet_bytes,
                malformed: 0,
                fragments: 0,
                hardware_stamps_refused: 0,
                now_ns: None,
            },
            joined,
            beside: 0,
        })
    }
}

impl Receiver for PacketMmapReceiver {
    /// No system call, no copy.
    #[inline]
    fn receive(&mut self, handler: &mut impl FnMut(Datagram<'_>)) -> Result<usize, NetError> {
        let (reader, count) = (&mut self.reader, self.rings.len());
        reader.now_ns = None;
        let mut taken = 0;
        for step in 0..count {
            let index = (self.first + step) % count;
            let room = self.batch - taken;
            taken += self.rings[index].take(room, |frame| reader.read(frame, handler));
            if taken == self.batch {
                // A full ring must not keep the others waiting.
                self.first = (index + 1) % count;
                break;
            }
        }
        Ok(taken)
    }

    /// Datagrams that came in fragments. A wait that no packet ended may also be an interface that
    /// went down.
    fn receive_beside(
        &mut self,
        handler: &mut impl FnMut(Datagram<'_>),
    ) -> Result<usize, NetError> {
        let mut sockets = self.rings.iter().map(Ring::socket);
        sockets.try_for_each(|socket| socket::check(socket, self.joined.interface()))?;
        let taken = self.joined.receive(handler)?;
        self.beside += taken as u64;
        Ok(taken)
    }

    fn register<'a>(&'a self, set: &mut WaitSet<'a>) -> Result<(), NetError> {
        let mut sockets = self.rings.iter().map(Ring::socket);
        sockets.try_for_each(|socket| set.add(socket.as_fd()))?;
        self.joined.register(set)
    }

    fn counters(&mut self) -> Result<PathCounters, NetError> {
        // Notices that the interface is gone: the ring's own error may have been taken when it only
        // went down.
        self.joined.counters()?;
        let mut counters = PathCounters {
            malformed: self.reader.malformed,
            fragments: self.reader.fragments,
            beside: self.beside,
            hardware_stamps_refused: self.reader.hardware_stamps_refused,
            ..PathCounters::default()
        };
        for ring in &mut self.rings {
            let (drops, freezes) = ring.losses()?;
            counters.malformed += ring.broken();
            counters.packet_ring_drops += drops;
            counters.packet_ring_freezes += freezes;
        }
        Ok(counters)
    }

    fn rung(&self) -> Rung {
        Rung::PacketMmap
    }
}

/// The kernel socket beside. Whatever is longer than the interface's frames came in fragments. What is
/// shorter cannot be told from what the ring has too: where this interface takes longer frames than
/// the sender's does, a datagram in fragments may be missed, counted only as fragments. Its own
/// drop counter also counts what its filter drops; what its buffer loses is in the host's
/// RcvbufErrors, which the drop ladder shows.
fn join(line: &LineConfig, config: &PacketMmapConfig) -> Result<UdpReceiver, NetError> {
    let mtu = Link::of(line.interface.index)?.mtu_bytes;
    let headers = if line.group.is_ipv4() { 20 + 8 } else { 40 + 8 };
    let socket = SocketConfig {
        rcvbuf_bytes: BESIDE_RCVBUF_BYTES,
        batch: config.batch,
        max_packet_bytes: config.max_packet_bytes,
        ..SocketConfig::default()
    };
    UdpReceiver::open_longer_than(mtu.saturating_sub(headers), line, &socket)
}

/// Room for fragmented datagrams, of which there are few; within every kernel's default limit.
const BESIDE_RCVBUF_BYTES: usize = 200 << 10;

/// Makes datagrams of frames, and counts what is none.
struct Reader {
    line: u8,
    max_packet_bytes: usize,
    malformed: u64,
    fragments: u64,
    hardware_stamps_refused: u64,
    /// The clock's time in the current call, once it was needed.
    now_ns: Option<u64>,
}

impl Reader {
    /// Group, port and source were the filter's to check.
    #[inline]
    fn read(&mut self, frame: Frame<'_>, handler: &mut impl FnMut(Datagram<'_>)) {
        let found = match parse_plain(frame.bytes) {
            Some(found) => {
                let source = SocketAddr::V4(found.source);
                Some((source, found.payload, found.payload.len()))
            }
            None => self.read_long(frame),
        };
        let Some((source, found, payload_bytes)) = found else {
            return;
        };
        let payload = match found.get(..self.max_packet_bytes) {
            Some(first) => first,
            None => found,
        };
        let (rx_ns, stamp) = if frame.is_hardware_stamp {
            self.hardware_time(frame.rx_ns)
        } else {
            (frame.rx_ns, Stamp::Kernel)
        };
        handler(Datagram {
            line: self.line,
            payload,
            rx_ns,
            stamp,
            truncated: payload.len() < payload_bytes,
            source,
        });
    }

    /// A frame that is not a plain one: sender, what is there of the payload, and its whole length.
    #[cold]
    fn read_long<'a>(&mut self, frame: Frame<'a>) -> Option<(SocketAddr, &'a [u8], usize)> {
        match parse_cut(frame.bytes, frame.wire_bytes) {
            Ok((found, payload_bytes)) => Some((found.source, found.payload, payload_bytes)),
            Err(Refusal::Fragment) => {
                self.fragments += 1;
                None
            }
            Err(Refusal::Malformed | Refusal::NotUdp) => {
                self.malformed += 1;
                None
            }
        }
    }

    /// The card's time where it is UTC, by the rule of [`stamp`], else the time of this call.
    fn hardware_time(&mut self, hardware_ns: u64) -> (u64, Stamp) {
        let control = Control {
            hardware_ns: Some(hardware_ns),
            ..Control::default()
        };
        let now_ns = *self.now_ns.get_or_insert_with(clock::realtime_ns);
        let stamped = stamp(&control, || now_ns);
        self.hardware_stamps_refused += u64::from(stamped.is_hardware_refused);
        (stamped.rx_ns, stamped.stamp)
    }
}

impl PacketMmapConfig {
    /// Bytes of a frame that are captured: the longest headers and the longest payload.
    fn captured_bytes(&self) -> usize {
        HEADER_BYTES_MAX + self.max_packet_bytes
    }

    fn check(&self) -> Result<(), NetError> {
        let page_bytes = rustix::param::page_size();
        within("packet_mmap.queues", self.queues, 1, 4, "1 to 4")?;
        within("batch", self.batch, 1, 1_024, "1 to 1,024")?;
        let packet = self.max_packet_bytes;
        within("max_packet_bytes", packet, 1, 65_507, "1 to 65,507")?;
        let retire = self.retire_ms as usize;
        within("packet_mmap.retire_ms", retire, 1, 1_000, "1 to 1,000")?;
        let (field, bytes) = ("packet_mmap.block_bytes", self.block_bytes);
        within(field, bytes, page_bytes, 1 << 24, "a page to 16 MiB")?;
        if !bytes.is_power_of_two() {
            return Err(NetError::config(field, bytes, "a power of two"));
        }
        if bytes < BLOCK_HEADER_BYTES + FRAME_OVERHEAD_BYTES + self.captured_bytes() {
            let expected = "a block must have room for max_packet_bytes and 226 more";
            return Err(NetError::config(field, bytes, expected));
        }
        let (field, count) = ("packet_mmap.block_count", self.block_count);
        within(field, count, 2, 65_536, "2 to 65,536")?;
        if count > RING_BYTES_MAX / bytes {
            let expected = "blocks of block_bytes that make at most 1 GiB";
            return Err(NetError::config(field, count, expected));
        }
        Ok(())
    }
}

/// Ethernet, IPv4 with all options, UDP.
const HEADER_BYTES_MAX: usize = 14 + 60 + 8;
const RING_BYTES_MAX: usize = 1 << 30;

fn within(
    field: &'static str,
    value: usize,
    least: usize,
    most: usize,
    expected: &'static str,
) -> Result<(), NetError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(NetError::config(field, value, expected))
    }
}
