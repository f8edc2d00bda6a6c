//! Who takes part: for each path the bare loop, our receiver alone, and our receiver with the merge
//! and the ring behind it.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use tickdeck_net::bare::{BarePacketRing, BareRecvmmsg, BareXsk, XskMode};
use tickdeck_net::{
    AfXdpConfig, AfXdpReceiver, LineConfig, NetError, PacketMmapConfig, PacketMmapReceiver, Rung,
    SocketConfig, UdpReceiver, find_interface,
};
use tickdeck_testbed::{RX_ADDRESS, RX_INTERFACE};

use super::Error;
use super::path::{Bare, Ours, Path};

/// Groups of lines A and B.
pub(crate) const GROUPS: [Ipv4Addr; 2] =
    [Ipv4Addr::new(239, 77, 1, 1), Ipv4Addr::new(239, 77, 1, 2)];
/// Ports of lines A and B.
pub(crate) const PORTS: [u16; 2] = [17_077, 17_078];

/// The paths that a veth pair has; AF_XDP copies in both, and is never called zero-copy here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ContenderPath {
    Recvmmsg,
    PacketMmap,
    AfXdpGeneric,
    AfXdpNative,
}

impl ContenderPath {
    pub(crate) const ALL: [Self; 4] = [
        Self::Recvmmsg,
        Self::PacketMmap,
        Self::AfXdpGeneric,
        Self::AfXdpNative,
    ];

    pub(crate) fn rung(self) -> Rung {
        match self {
            Self::Recvmmsg => Rung::Recvmmsg,
            Self::PacketMmap => Rung::PacketMmap,
            Self::AfXdpGeneric => Rung::Generic,
            Self::AfXdpNative => Rung::NativeCopy,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        self.rung().name()
    }
}

/// What stands on a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The bare loop; where there are kernel times, it reads them as ours does.
    Bare,
    /// The bare loop without kernel times.
    BareUntimed,
    /// Our receiver, and a handler that looks at the sequence number.
    Alone,
    /// Our receiver, the merge and the ring.
    Merged,
    /// The same, while the journal follows the ring on the sender's core.
    Journalled,
}

impl Stage {
    /// Whether the merge stands behind the receiver.
    pub(crate) fn is_merged(self) -> bool {
        matches!(self, Self::Merged | Self::Journalled)
    }
}

/// One side of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contender {
    pub(crate) path: ContenderPath,
    pub(crate) stage: Stage,
}

impl Contender {
    /// The contenders of these paths, the bare loop of each first. The bare recvmmsg loop is always
    /// there: it is the common measure.
    pub(crate) fn all(paths: &[ContenderPath], is_journalled: bool) -> Vec<Self> {
        let mut all = Vec::new();
        for path in ContenderPath::ALL {
            let mut add = |stage| all.push(Self { path, stage });
            if paths.contains(&path) || path == ContenderPath::Recvmmsg {
                add(Stage::Bare);
            }
            if paths.contains(&path) {
                if path == ContenderPath::Recvmmsg {
                    add(Stage::BareUntimed);
                }
                add(Stage::Alone);
                add(Stage::Merged);
                if is_journalled {
                    add(Stage::Journalled);
                }
            }
        }
        all
    }

    /// Whether its one-way latency is measured.
    pub(crate) fn has_latency(self) -> bool {
        matches!(self.stage, Stage::Bare | Stage::Alone)
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Bare => "bare loop",
            Stage::BareUntimed => "bare loop, no kernel times",
            Stage::Alone => "alone",
            Stage::Merged => "with merge and ring",
            Stage::Journalled => "with merge, ring and journal",
        };
        write!(formatter, "{}, {stage}", self.path.name())
    }
}

/// Something that is done with an open path.
pub(crate) trait Task {
    type Output;
    fn run(self, path: &mut impl Path) -> Result<Self::Output, Error>;
}

/// Opening alone, to see whether it can be done.
pub(crate) struct Open;

impl Task for Open {
    type Output = ();

    fn run(self, _path: &mut impl Path) -> Result<(), Error> {
        Ok(())
    }
}

/// What contenders are opened with. The receiving namespace is the current one.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    lines: Vec<LineConfig>,
    /// When a packet ring hands over a block that is not full.
    retire_ms: u32,
}

impl Setup {
    /// Both lines.
    pub(crate) fn new() -> Result<Self, Error> {
        let interface = find_interface(RX_INTERFACE).map_err(Error::net("rx"))?;
        let line = |(line, group): (u8, Ipv4Addr)| LineConfig {
            line,
            group: group.into(),
            port: PORTS[usize::from(line)],
            interface: interface.clone(),
            source: None,
        };
        Ok(Self {
            lines: (0..).zip(GROUPS).map(line).collect(),
            retire_ms: 10,
        })
    }

    /// Line A alone, set up for latency.
    pub(crate) fn one_line(&self) -> Self {
        Self {
            lines: self.lines[..1].to_vec(),
            retire_ms: 1,
        }
    }

    /// Opens the contender, does the task, closes it.
    pub(crate) fn with<T: Task>(&self, contender: Contender, task: T) -> Result<T::Output, Error> {
        let name = contender.path.name();
        let is_bare = matches!(contender.stage, Stage::Bare | Stage::BareUntimed);
        let is_timed = contender.stage == Stage::Bare;
        let bare = |source| Error::Bare { what: name, source };
        match (contender.path, is_bare) {
            (ContenderPath::Recvmmsg, true) => {
                let loops = patiently(|| self.bare_sockets(is_timed).map_err(bare))?;
                task.run(&mut Bare::new(name, loops))
            }
            (ContenderPath::PacketMmap, true) => {
                let loops = patiently(|| self.bare_rings().map_err(bare))?;
                task.run(&mut Bare::new(name, loops))
            }
            (path @ (ContenderPath::AfXdpGeneric | ContenderPath::AfXdpNative), true) => {
                let mode = match path {
                    ContenderPath::AfXdpNative => XskMode::Native,
                    _ => XskMode::Generic,
                };
                let ports = || PORTS[0]..=PORTS[1];
                let open = || BareXsk::open(RX_INTERFACE, ports(), mode).map_err(bare);
                task.run(&mut Bare::new(name, vec![patiently(open)?]))
            }
            (ContenderPath::Recvmmsg, false) => {
                let receivers = patiently(|| self.sockets().map_err(Error::net(name)))?;
                task.run(&mut Ours::new(name, receivers))
            }
            (ContenderPath::PacketMmap, false) => {
                let receivers = patiently(|| self.rings().map_err(Error::net(name)))?;
                task.run(&mut Ours::new(name, receivers))
            }
            (path @ (ContenderPath::AfXdpGeneric | ContenderPath::AfXdpNative), false) => {
                let config = AfXdpConfig::default();
                let open = || {
                    let receiver = AfXdpReceiver::open(&self.lines, path.rung(), &config);
                    receiver.map_err(Error::net(name))
                };
                task.run(&mut Ours::new(name, vec![patiently(open)?]))
            }
        }
    }

    fn sockets(&self) -> Result<Vec<UdpReceiver>, NetError> {
        let config = SocketConfig {
            rcvbuf_bytes: RCVBUF_BYTES,
            // As the plant, which asks only when it captures.
            sources: false,
            ..SocketConfig::default()
        };
        let lines = self.lines.iter();
        lines.map(|line| UdpReceiver::open(line, &config)).collect()
    }

    fn rings(&self) -> Result<Vec<PacketMmapReceiver>, NetError> {
        let config = PacketMmapConfig {
            retire_ms: self.retire_ms,
            ..PacketMmapConfig::default()
        };
        let lines = self.lines.iter();
        lines
            .map(|line| PacketMmapReceiver::open(line, &config))
            .collect()
    }

    fn bare_sockets(&self, has_times: bool) -> io::Result<Vec<BareRecvmmsg>> {
        let open =
            |(group, port)| BareRecvmmsg::open(group, port, RX_ADDRESS, RCVBUF_BYTES, has_times);
        self.groups().map(open).collect()
    }

    fn bare_rings(&self) -> io::Result<Vec<BarePacketRing>> {
        let open = |(group, port)| {
            BarePacketRing::open(RX_INTERFACE, RX_ADDRESS, group, port, self.retire_ms)
        };
        self.groups().map(open).collect()
    }

    /// Group and port of each line.
    fn groups(&self) -> impl Iterator<Item = (Ipv4Addr, u16)> {
        GROUPS.into_iter().zip(PORTS).take(self.lines.len())
    }
}

/// Opens again while the kernel says "busy": it gives a queue back some time after the socket that
/// had it is closed.
fn patiently<T>(open: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    let start = Instant::now();
    loop {
        match open() {
            Err(error) if error.is_busy() && start.elapsed() < BUSY_LIMIT => {
                thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}

/// How long a queue may stay busy.
const BUSY_LIMIT: Duration = Duration::from_secs(10);
/// Receive buffer of each UDP socket.
const RCVBUF_BYTES: usize = 16 << 20;
