//! The AF_XDP path: frames of the lines go from the driver's hook, or the kernel's, straight into
//! our memory.
//!
//! One receiver serves all lines of one interface: the kernel allows one such socket to a receive
//! queue. It holds a socket for every queue in use, the steering program ([`steering`]), and for
//! each line a joined kernel socket beside, which has three jobs: the membership that makes the
//! network send the group at all; the datagrams that only the kernel can put together from
//! fragments; and everything, should the program be taken off the interface.
//!
//! What differs from a UDP socket: the program compares group and port, and a line's source is compared
//! here; a VLAN tag of any number is accepted and ignored, so a group and port that exist on the bare
//! interface and on a VLAN of it cannot be told apart; nobody verifies UDP checksums, the card's frame
//! check is what there is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsFd;

use crate::error::NetError;
use crate::frame::{self, PlainUdp, Refusal, UdpFrame, parse_plain};
use crate::line::{Interface, LineConfig};
use crate::link::queues_in_use;
use crate::rung::{NetErrorText, Rung};
use crate::udp::{Control, SocketConfig, Timestamps, UdpReceiver, stamp};
use crate::{Datagram, PathCounters, Receiver, WaitSet, clock};

use socket::XskSocket;
use steering::Steering;

mod ring;
mod socket;
mod stamped;
mod steering;
mod umem;

/// How AF_XDP sockets receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AfXdpConfig {
    /// Frames of 2,048 bytes for each receive queue; a power of two from 64 to 2^20. The fill ring
    /// has as many places.
    pub frame_count: u32,
    /// Places of the RX ring of each receive queue; a power of two from 64 to 2^20.
    pub rx_ring: u32,
    /// Frames on huge pages; the system must have enough of them free.
    pub huge_pages: bool,
    /// How long a call may poll the card, microseconds; 0: interrupts only.
    pub busy_poll_us: u32,
    /// Packets that one poll of the card may take.
    pub busy_poll_budget: u16,
    /// Most packets of one receive call.
    pub batch: usize,
    /// Longest payload; more is truncated and flagged.
    pub max_packet_bytes: usize,
    /// The kernel sockets beside.
    pub beside: SocketConfig,
}

impl Default for AfXdpConfig {
    fn default() -> Self {
        Self {
            frame_count: 16_384,
            rx_ring: 16_384,
            huge_pages: false,
            busy_poll_us: 0,
            busy_poll_budget: 64,
            batch: 64,
            max_packet_bytes: 2_048,
            beside: SocketConfig::default(),
        }
    }
}

impl AfXdpConfig {
    /// The sockets beside say which times are asked for.
    fn wants_stamps(&self) -> bool {
        self.beside.timestamps == Timestamps::HardwareOrKernel
    }
}

/// A receiver for the lines of one interface.
pub struct AfXdpReceiver {
    queues: Vec<XskSocket>,
    /// Behind the sockets, so that it outlives them: a frame on the way finds its socket or the
    /// kernel, not a dead ring.
    steering: Steering,
    lines: Vec<Line>,
    rung: Rung,
    batch: usize,
    max_packet_bytes: usize,
    beside: SocketConfig,
    /// Packets that are still looked at for the card's time; see [`STAMP_TRIALS`].
    stamp_trials: u32,
    /// The queue to begin with, so that a busy one does not starve the others.
    first_queue: usize,
    counted: Counted,
}

/// A line and the socket that has joined its group.
struct Line {
    config: LineConfig,
    destination: SocketAddrV4,
    source: Option<Ipv4Addr>,
    joined: UdpReceiver,
}

/// What this side counts of the frames.
#[derive(Default)]
struct Counted {
    malformed: u64,
    foreign: u64,
    fragments: u64,
    beside: u64,
    beside_drops_of_removed: u64,
    hardware_stamps_refused: u64,
}

impl AfXdpReceiver {
    /// Joins the groups, attaches the program, binds a socket to every receive queue in use, and
    /// then steers the lines to them. `rung` is [`Rung::ZeroCopy`], [`Rung::NativeCopy`] or
    /// [`Rung::Generic`]; the kernel does that or refuses.
    ///
    /// # Errors
    ///
    /// A value out of range, lines of several interfaces or of IPv6, a right that is missing, an
    /// XDP program of somebody else, a driver that cannot do it (EOPNOTSUPP). Nothing stays then.
    pub fn open(lines: &[LineConfig], rung: Rung, config: &AfXdpConfig) -> Result<Self, NetError> {
        check(lines, rung, config)?;
        let interface = &lines[0].interface;
        // The memberships come first: from then on nothing of the group is missed.
        let lines: Vec<Line> = lines
            .iter()
            .map(|line| Line::join(line, &config.beside))
            .collect::<Result<_, _>>()?;
        let mut steering = Steering::attach(interface, rung, config.wants_stamps())?;
        let queues = bind_queues(interface, rung, config)?;
        for (queue, socket) in (0..).zip(&queues) {
            steering.bind_queue(queue, socket)?;
        }
        for line in &lines {
            steering.add_line(&line.config)?;
        }
        Ok(Self {
            queues,
            steering,
            lines,
            rung,
            batch: config.batch,
            max_packet_bytes: config.max_packet_bytes,
            beside: config.beside.clone(),
            stamp_trials: STAMP_TRIALS,
            first_queue: 0,
            counted: Counted::default(),
        })
    }

    /// Whether [`AfXdpReceiver::open`] could have this rung for the line now. Everything is tried
    /// but steering: no packet goes another way meanwhile, so a plant that receives there is not
    /// disturbed by us. Some drivers restart their queues when a program is attached natively.
    ///
    /// # Errors
    ///
    /// As [`AfXdpReceiver::open`].
    pub fn probe(line: &LineConfig, rung: Rung, config: &AfXdpConfig) -> Result<(), NetError> {
        check(std::slice::from_ref(line), rung, config)?;
        let joined = Line::join(line, &config.beside)?;
        let steering = Steering::attach(&line.interface, rung, config.wants_stamps())?;
        let queues = bind_queues(&line.interface, rung, config)?;
        drop((queues, steering, joined));
        Ok(())
    }

    /// Receives one more line of the same interface from now on. The running lines do not notice.
    ///
    /// # Errors
    ///
    /// As [`AfXdpReceiver::open`]; nothing changes then.
    pub fn add_line(&mut self, line: &LineConfig) -> Result<(), NetError> {
        line.check()?;
        if line.interface.index != self.lines_interface().index {
            let expected = "the interface of the receiver's other lines";
            return Err(NetError::config(
                "interface",
                &line.interface.name,
                expected,
            ));
        }
        if self
            .lines
            .iter()
            .any(|known| known.config.destination() == line.destination())
        {
            let expected = "a group and port that no other line has";
            return Err(NetError::config("line", line.destination(), expected));
        }
        let joined = Line::join(line, &self.beside)?;
        self.steering.add_line(line)?;
        self.lines.push(joined);
        Ok(())
    }

    /// Leaves a line, named by its number; returns whether there was one. The last line stays.
    ///
    /// # Errors
    ///
    /// The kernel refuses to change the map; the line stays then.
    pub fn remove_line(&mut self, number: u8) -> Result<bool, NetError> {
        let Some(index) = self
            .lines
            .iter()
            .position(|line| line.config.line == number)
        else {
            return Ok(false);
        };
        if self.lines.len() == 1 {
            let expected = "another line to be left; drop the receiver instead";
            return Err(NetError::config("line", number, expected));
        }
        let drops = self.lines[index].joined.counters()?.lost();
        self.steering.remove_line(&self.lines[index].config)?;
        self.counted.beside_drops_of_removed += drops;
        self.lines.remove(index);
        Ok(true)
    }

    /// Why the card's receive times are not fetched, where they were asked for.
    pub fn hardware_stamps_refusal(&self) -> Option<&NetErrorText> {
        self.steering.stamps_refusal()
    }

    /// Whether the program fetches the card's receive time; a packet without one is stamped here.
    pub fn has_hardware_stamps(&self) -> bool {
        self.steering.has_stamps()
    }

    /// Frames that the kernel can still fill, of the queue that has fewest; 0: it drops.
    pub fn frames_waiting_min(&self) -> u32 {
        let waiting = self.queues.iter().map(XskSocket::frames_waiting);
        waiting.min().unwrap_or(0)
    }

    fn lines_interface(&self) -> &Interface {
        &self.lines[0].config.interface
    }
}

impl Receiver for AfXdpReceiver {
    #[inline]
    fn receive(&mut self, handler: &mut impl FnMut(Datagram<'_>)) -> Result<usize, NetError> {
        let Self {
            queues,
            lines,
            counted,
            ..
        } = self;
        let max_packet_bytes = self.max_packet_bytes;
        let has_stamps = self.steering.has_stamps() && self.stamp_trials > 0;
        let mut has_seen_stamp = false;
        let mut now_ns = 0;
        let (mut taken, count) = (0, queues.len());
        for step in 0..count {
            let queue = &mut queues[(self.first_queue + step) % count];
            let on_frame = |bytes: &[u8], word: Option<u64>| {
                let Some((line, found)) = classify(bytes, lines, counted) else {
                    return;
                };
                if now_ns == 0 {
                    now_ns = clock::realtime_ns();
                }
                let hardware_ns = word.filter(|ns| *ns != 0);
                has_seen_stamp |= hardware_ns.is_some();
                let control = Control {
                    hardware_ns,
                    ..Control::default()
                };
                let stamped = stamp(&control, || now_ns);
                counted.hardware_stamps_refused += u64::from(stamped.is_hardware_refused);
                handler(Datagram {
                    line,
                    payload: &found.payload[..found.payload.len().min(max_packet_bytes)],
                    rx_ns: stamped.rx_ns,
                    stamp: stamped.stamp,
                    truncated: found.payload.len() > max_packet_bytes,
                    source: SocketAddr::V4(found.source),
                });
            };
            taken += queue.receive(self.batch - taken, on_frame, has_stamps)?;
            if taken == self.batch {
                break;
            }
        }
        if has_stamps {
            self.stamp_trials = match has_seen_stamp {
                true => STAMP_TRIALS,
                false => self.stamp_trials.saturating_sub(taken as u32),
            };
        }
        if count > 1 {
            self.first_queue = (self.first_queue + 1) % count;
        }
        Ok(taken)
    }

    fn receive_beside(
        &mut self,
        handler: &mut impl FnMut(Datagram<'_>),
    ) -> Result<usize, NetError> {
        let mut taken = 0;
        for line in &mut self.lines {
            taken += line.joined.receive(handler)?;
        }
        self.counted.beside += taken as u64;
        Ok(taken)
    }

    fn register<'a>(&'a self, set: &mut WaitSet<'a>) -> Result<(), NetError> {
        for queue in &self.queues {
            set.add(queue.as_fd())?;
        }
        for line in &self.lines {
            line.joined.register(set)?;
        }
        Ok(())
    }

    fn counters(&mut self) -> Result<PathCounters, NetError> {
        // The administrator may have switched the card's stamps on since.
        self.stamp_trials = self.stamp_trials.max(STAMP_RETRIALS);
        let program = self.steering.counters()?;
        let mut counters = PathCounters {
            program_redirected: program.redirected,
            program_no_key: program.no_key,
            program_fragments: program.fragments,
            program_malformed: program.malformed,
            program_unbound_queue: program.unbound_queue,
            malformed: self.counted.malformed,
            foreign: self.counted.foreign,
            fragments: self.counted.fragments,
            beside: self.counted.beside,
            socket_drops: self.counted.beside_drops_of_removed,
            hardware_stamps_refused: self.counted.hardware_stamps_refused,
            ..PathCounters::default()
        };
        for queue in &self.queues {
            let statistics = queue.statistics();
            let statistics = statistics.map_err(|e| NetError::io("read XDP_STATISTICS", e))?;
            let fill_ring_empty = statistics.rx_fill_ring_empty_descs.unwrap_or(0);
            // Where the kernel copies, a packet that found no frame is in both counters (measured
            // on 6.18); each drop is counted once here.
            let counted_twice = if self.rung == Rung::ZeroCopy {
                0
            } else {
                fill_ring_empty
            };
            counters.xsk_dropped += statistics.rx_dropped.saturating_sub(counted_twice);
            counters.xsk_invalid_descs += statistics.rx_invalid_descs;
            counters.xsk_ring_full += statistics.rx_ring_full.unwrap_or(0);
            counters.xsk_fill_ring_empty += fill_ring_empty;
        }
        for line in &mut self.lines {
            let joined = line.joined.counters()?;
            counters.socket_drops += joined.socket_drops;
            counters.hardware_stamps_refused += joined.hardware_stamps_refused;
        }
        Ok(counters)
    }

    fn rung(&self) -> Rung {
        self.rung
    }
}

impl Drop for AfXdpReceiver {
    /// First the map entries, so that frames go to the kernel, then (the fields) rings and sockets.
    fn drop(&mut self) {
        let lines = self.lines.iter().map(|line| &line.config);
        let removed = lines.map(|line| self.steering.remove_line(line));
        let failed: Vec<NetError> = removed.filter_map(Result::err).collect();
        let queues = 0..self.queues.len() as u32;
        let unbound = queues.map(|queue| self.steering.unbind_queue(queue));
        let failed = failed.len() + unbound.filter_map(Result::err).count();
        debug_assert_eq!(failed, 0, "entries of our own maps can be removed");
    }
}

impl Line {
    fn join(line: &LineConfig, socket: &SocketConfig) -> Result<Self, NetError> {
        let IpAddr::V4(group) = line.group else {
            return Err(only_ipv4(line));
        };
        let source = match line.source {
            Some(IpAddr::V4(source)) => Some(source),
            _ => None,
        };
        Ok(Self {
            config: line.clone(),
            destination: SocketAddrV4::new(group, line.port),
            source,
            joined: UdpReceiver::open(line, socket)?,
        })
    }
}

/// The line that a frame belongs to and its datagram, or a count of why there is none.
#[inline(always)]
fn classify<'a>(
    bytes: &'a [u8],
    lines: &[Line],
    counted: &mut Counted,
) -> Option<(u8, PlainUdp<'a>)> {
    let found = match parse_plain(bytes) {
        Some(found) => found,
        None => plain_of(bytes, counted)?,
    };
    let line = lines
        .iter()
        .find(|line| line.destination == found.destination);
    match line.filter(|line| {
        line.source
            .is_none_or(|source| source == *found.source.ip())
    }) {
        Some(line) => Some((line.config.line, found)),
        None => {
            counted.foreign += 1;
            None
        }
    }
}

/// A frame with a tag, with options, or of another kind.
#[cold]
fn plain_of<'a>(bytes: &'a [u8], counted: &mut Counted) -> Option<PlainUdp<'a>> {
    match frame::parse(bytes) {
        Ok(UdpFrame {
            source: SocketAddr::V4(source),
            destination: SocketAddr::V4(destination),
            payload,
        }) => Some(PlainUdp {
            source,
            destination,
            payload,
        }),
        Ok(_) => {
            counted.foreign += 1;
            None
        }
        Err(refusal) => {
            count_refusal(refusal, counted);
            None
        }
    }
}

fn count_refusal(refusal: Refusal, counted: &mut Counted) {
    match refusal {
        Refusal::NotUdp => counted.foreign += 1,
        Refusal::Fragment => counted.fragments += 1,
        Refusal::Malformed => counted.malformed += 1,
    }
}

fn check(lines: &[LineConfig], rung: Rung, config: &AfXdpConfig) -> Result<(), NetError> {
    let is_double = |(at, line): (usize, &LineConfig)| {
        let before = &lines[..at];
        before
            .iter()
            .any(|other| other.destination() == line.destination())
    };
    if let Some(double) = lines.iter().enumerate().position(is_double) {
        let expected = "a group and port that no other line has";
        return Err(NetError::config(
            "line",
            lines[double].destination(),
            expected,
        ));
    }
    let Some(first) = lines.first() else {
        return Err(NetError::config("lines", 0, "at least one line"));
    };
    for line in lines {
        line.check()?;
        if !matches!(line.group, IpAddr::V4(_)) {
            return Err(only_ipv4(line));
        }
        if line.interface.index != first.interface.index {
            let expected = "the interface of the receiver's other lines";
            return Err(NetError::config(
                "interface",
                &line.interface.name,
                expected,
            ));
        }
    }
    if !rung.is_af_xdp() {
        return Err(NetError::config("rung", rung, "a rung of AF_XDP"));
    }
    for (name, size) in [
        ("frame_count", config.frame_count),
        ("rx_ring", config.rx_ring),
    ] {
        if !size.is_power_of_two() || !(64..=1 << 20).contains(&size) {
            return Err(NetError::config(
                name,
                size,
                "a power of two from 64 to 1,048,576",
            ));
        }
    }
    if !(1..=1_024).contains(&config.batch) {
        return Err(NetError::config("batch", config.batch, "1 to 1,024"));
    }
    Ok(())
}

/// A socket for every receive queue in use: a frame that comes to a queue without one is not lost,
/// but it takes the kernel's way.
fn bind_queues(
    interface: &Interface,
    rung: Rung,
    config: &AfXdpConfig,
) -> Result<Vec<XskSocket>, NetError> {
    let count = queues_in_use(interface)?;
    if count > QUEUES_MAX {
        let expected = "at most 48 receive queues: run `ethtool -L INTERFACE combined 1` (or rx 1)";
        return Err(NetError::config("queues", count, expected));
    }
    (0..count)
        .map(|queue| XskSocket::open(interface.index, queue, rung, config))
        .collect()
}

/// AF_XDP is steered by IPv4 only.
fn only_ipv4(line: &LineConfig) -> NetError {
    let expected = "an IPv4 group: AF_XDP takes no IPv6; use packet_mmap or recvmmsg";
    NetError::config("group", line.group, expected)
}

/// Receive queues that one receiver takes: those of two interfaces fit one wait.
const QUEUES_MAX: u32 = 48;

/// Packets in a row without a time of the card after which its place is no longer looked at: it is
/// in another cache line than the packet, which costs a fifth of it.
const STAMP_TRIALS: u32 = 1_024;
/// Packets that are looked at anew each time the counters are asked for.
const STAMP_RETRIALS: u32 = 8;
