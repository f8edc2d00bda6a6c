//! The spec file: everything a supervised worker is told, as one JSON document.
//!
//! The daemon writes it with all defaults filled in; here nothing is optional that matters.
//! Unknown keys are errors.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::exit::{Code, Failure};

pub mod export;
pub mod journal;
mod recovery;
mod ticks;

pub use export::TcpExport;
pub use journal::{Journal, SyncPolicy};
pub use recovery::{
    Recovery, ReplayProtocol, Snapshot, SnapshotProtocol, StartAt, UnrecoverablePolicy,
};
pub use ticks::{Band, Tick, rules as tick_rules};

/// The schema that this build reads.
pub const SCHEMA: &str = "tickdeck.spec/v1";

/// A worker's spec.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Must be [`SCHEMA`].
    pub schema: String,
    /// Which worker this is for.
    pub kind: Kind,
    /// Worker id, such as `XNAS-rx`.
    pub worker: String,
    /// UUID of this incarnation.
    pub incarnation: String,
    /// Generation of the configuration.
    pub generation: u64,
    /// Lock, stats file and control socket of this worker; on tmpfs.
    pub runtime_dir: PathBuf,
    /// The ring between rx and its readers.
    pub ring_path: PathBuf,
    /// Where the book worker keeps its snapshots.
    pub snapshot_dir: PathBuf,
    /// The exchange with all defaults filled in.
    pub exchange: Exchange,
}

/// Kind of a supervised worker.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `tickdeck-rx`.
    Rx,
    /// `tickdeck-book`.
    Book,
    /// `tickdeck-journal export`.
    Export,
}

/// One exchange.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// Name, such as `XNAS`.
    pub name: String,
    /// Wire protocol of the lines.
    pub protocol: Protocol,
    /// Decoder of the messages.
    pub decoder: Decoder,
    /// Release of EOBI; of no meaning with another protocol.
    pub eobi_release: EobiRelease,
    /// Channel number in ring and journal records.
    pub channel: u16,
    /// Settings of the whole process.
    pub general: General,
    /// Settings of the receive thread.
    pub receive: Receive,
    /// Settings of the packet rings.
    pub packet_mmap: PacketMmap,
    /// Settings of the AF_XDP path.
    pub afxdp: Afxdp,
    /// Two lines, A and B.
    pub lines: Vec<Line>,
    /// Settings of the merge.
    pub arbiter: Arbiter,
    /// Settings of the ring.
    pub ring: Ring,
    /// Settings of the recovery.
    pub recovery: Recovery,
    /// Settings of the journal.
    pub journal: Journal,
    /// Settings of the exporter.
    pub tcp_export: TcpExport,
    /// Settings of the rolling capture.
    pub capture: Capture,
    /// Settings of the book worker.
    pub book: Book,
}

/// Wire protocols.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// MoldUDP64 1.00.
    Moldudp64,
    /// CME MDP 3.0, incremental feed of one channel.
    #[serde(rename = "cme_mdp3")]
    CmeMdp3,
    /// Eurex and Xetra T7 EOBI, incremental feed of one partition.
    Eobi,
}

/// Releases of EOBI; packets do not tell theirs.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum EobiRelease {
    /// T7 6.0.
    #[serde(rename = "6.0")]
    V6_0,
    /// T7 14.1.
    #[serde(rename = "14.1")]
    V14_1,
}

/// Message decoders.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Decoder {
    /// TotalView-ITCH 5.0.
    Itch50,
    /// Eurex and Xetra T7 EOBI.
    Eobi,
    /// CME MDP 3.0.
    #[serde(rename = "cme_mdp3")]
    CmeMdp3,
    /// No books: received, merged, recovered and journalled only.
    None,
}

/// Settings of the whole process.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct General {
    /// Lock all memory; start fails when that is refused.
    pub mlock_all: bool,
}

/// Settings of the receive thread.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receive {
    /// Core to pin the receive thread to.
    pub cpu: Option<usize>,
    /// What to do when no packet is there.
    pub wait: Wait,
    /// Wanted socket buffer; start fails when the kernel gives less.
    pub rcvbuf_bytes: usize,
    /// Most packets taken by one system call.
    pub batch: usize,
    /// Longest packet that is taken.
    pub max_packet_bytes: usize,
    /// How long the kernel may poll the card for a socket, in µs; 0: not at all.
    pub busy_poll_us: u32,
    /// Packets that one such poll may take.
    pub busy_poll_budget: u16,
    /// Receive times that are asked of the kernel.
    pub timestamps: Timestamps,
}

/// Receive times that are asked of the kernel.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Timestamps {
    /// The card's where a packet has one, else the kernel's.
    HardwareOrKernel,
    /// None: the time of the call that took the packet.
    Off,
}

/// Settings of the packet rings of a line.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PacketMmap {
    /// False: `auto` passes over the rings. True here and true in [`Afxdp`] exclude each other.
    pub enable: Option<bool>,
    /// Rings of each line.
    pub queues: usize,
    /// Bytes of a block; a power of two.
    pub block_bytes: usize,
    /// Blocks of each ring.
    pub block_count: usize,
    /// A block that is not full is handed over after this time.
    pub retire_ms: u32,
}

/// What the receive thread does when no packet is there.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// Sleep in the kernel until a packet comes.
    Block,
    /// Ask again at once; needs a core of its own.
    Spin,
}

/// Settings of the AF_XDP path.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Afxdp {
    /// False: `auto` passes over it. True here and true in [`PacketMmap`] exclude each other.
    pub enable: Option<bool>,
    /// The worst rung that is taken.
    pub require: AfxdpRequire,
    /// Frames of 2,048 bytes for each receive queue; a power of two.
    pub frame_count: u32,
    /// Places of the RX ring of each receive queue; a power of two.
    pub rx_ring: u32,
    /// Frames on huge pages.
    pub huge_pages: bool,
}

/// The worst rung of AF_XDP that is taken.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum AfxdpRequire {
    /// The driver must write into our memory.
    Zerocopy,
    /// The driver's hook must run the program.
    Native,
    /// Also the kernel's generic hook.
    Any,
}

/// One multicast line.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// `A` or `B`.
    pub name: LineName,
    /// Multicast group.
    pub group: IpAddr,
    /// UDP port.
    pub port: u16,
    /// Local interface, by name or by address.
    pub interface: String,
    /// Source for a source-specific join.
    pub source: Option<IpAddr>,
    /// Receive path.
    pub receive: ReceivePath,
}

/// Name of a line.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum LineName {
    /// The first line.
    A,
    /// The second line.
    B,
}

impl LineName {
    /// The line's number in records and in the arbiter.
    pub fn index(self) -> u8 {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }

    /// The label in metrics and messages.
    pub fn label(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
        }
    }
}

/// Receive paths.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ReceivePath {
    /// Kernel UDP sockets.
    Recvmmsg,
    /// A packet ring.
    PacketMmap,
    /// AF_XDP sockets.
    AfXdp,
    /// The best that the host can.
    Auto,
}

/// Settings of the merge.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arbiter {
    /// How long the other line may be behind before a gap is asked for, at most.
    pub reorder_window_ns: u64,
    /// The same, at least.
    pub reorder_window_min_ns: u64,
    /// Packets that every line brings from behind a gap before it is asked for, at most.
    pub reorder_window_packets: u32,
    /// Packets held behind an open gap.
    pub hold_capacity_packets: usize,
    /// Silence of the current session after which another one is taken over.
    pub session_takeover_ms: u64,
}

/// Settings of the ring.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ring {
    /// Records kept; a power of two.
    pub slot_count: u32,
}

/// Settings of the rolling capture: the packets of both lines, cut into pcapng files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// Keep the packets.
    pub enabled: bool,
    /// Most bytes of the shared memory that keeps them; the newest stay.
    pub ring_bytes: u64,
    /// A cut around a gap begins so long before it was seen.
    pub before_ms: u64,
    /// A cut around a gap ends so long after it was seen.
    pub after_ms: u64,
    /// Cut a file around each gap that both lines missed, at most one a second.
    pub cut_on_gap: bool,
    /// Files kept; the oldest are removed.
    pub max_files: usize,
    /// Directory of the files; made when absent.
    pub data_dir: PathBuf,
}

/// Settings of the book worker.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Book {
    /// Whether the exchange has a book worker.
    pub enabled: bool,
    /// Time between two snapshots while something changes.
    pub snapshot_interval_ms: u64,
    /// Orders to make room for at the start.
    pub initial_orders: usize,
    /// Messages between two checkpoints in the journal; 0: none is taken.
    pub checkpoint_messages: u64,
    /// Time between two books that are checked while something changes; 0: none is.
    pub check_interval_ms: u64,
    /// Ticks of the instruments; empty for a receiver.
    pub ticks: Vec<Tick>,
}

impl Decoder {
    /// The protocol that carries its messages; none for [`Self::None`].
    fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Itch50 => Some(Protocol::Moldudp64),
            Self::Eobi => Some(Protocol::Eobi),
            Self::CmeMdp3 => Some(Protocol::CmeMdp3),
            Self::None => None,
        }
    }
}

impl ReceivePath {
    /// As the file writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recvmmsg => "recvmmsg",
            Self::PacketMmap => "packet_mmap",
            Self::AfXdp => "af_xdp",
            Self::Auto => "auto",
        }
    }
}

impl Spec {
    /// Reads and checks a spec for `kind`; errors name the file and the key.
    pub fn load(path: &Path, kind: Kind) -> Result<Self, Failure> {
        let invalid = |text: String| {
            Failure::new(
                Code::Config,
                format!("spec file {}: {text}", path.display()),
            )
        };
        let text = fs::read_to_string(path).map_err(|error| invalid(error.to_string()))?;
        let spec: Self = serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        if spec.schema != SCHEMA {
            return Err(invalid(format!(
                "schema is {:?}, this build reads {SCHEMA:?}",
                spec.schema
            )));
        }
        if spec.kind != kind {
            return Err(invalid(format!(
                "kind is {:?}, this worker is {kind:?}",
                spec.kind
            )));
        }
        spec.exchange.check().map_err(invalid)?;
        Ok(spec)
    }

    /// The incarnation's sixteen bytes; a text that is no UUID gives an error.
    pub fn incarnation_bytes(&self) -> Result<[u8; 16], Failure> {
        tickdeck_stats::parse_incarnation(&self.incarnation).ok_or_else(|| {
            Failure::new(
                Code::Config,
                format!("incarnation {:?} is no UUID", self.incarnation),
            )
        })
    }
}

impl Exchange {
    /// What the types cannot hold: two lines of different names, multicast groups, a ring of a
    /// power of two, a server where one is needed, captures of which one is kept.
    fn check(&self) -> Result<(), String> {
        if self.lines.len() != 2 || self.lines[0].name == self.lines[1].name {
            return Err("exchange.lines must be one line A and one line B".to_owned());
        }
        for line in &self.lines {
            if !line.group.is_multicast() {
                return Err(format!(
                    "line {:?}: {} is no multicast group",
                    line.name, line.group
                ));
            }
        }
        if !self.ring.slot_count.is_power_of_two() {
            return Err(format!(
                "ring.slot_count {} is no power of two",
                self.ring.slot_count
            ));
        }
        if self.capture.max_files == 0 {
            return Err("capture.max_files must be at least 1".to_owned());
        }
        if self
            .decoder
            .protocol()
            .is_some_and(|of| of != self.protocol)
        {
            return Err(format!(
                "decoder {:?} does not read protocol {:?}",
                self.decoder, self.protocol
            ));
        }
        self.book.ticks.iter().try_for_each(Tick::check)?;
        if self.decoder == Decoder::None && self.book.enabled {
            return Err("book.enabled needs a decoder".to_owned());
        }
        self.tcp_export.check()?;
        self.recovery.check(self.protocol)
    }
}

#[cfg(test)]
pub(crate) use tests::WHOLE;
#[cfg(test)]
mod tests;
