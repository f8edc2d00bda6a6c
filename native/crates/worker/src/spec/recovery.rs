//! The recovery's part of the spec: whom to ask, how often, and what stands in for what is lost.

use std::net::{IpAddr, SocketAddrV4};
use std::path::PathBuf;

use serde::Deserialize;

use super::Protocol;

/// Settings of the recovery.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// How to ask for what is missing.
    pub replay_protocol: ReplayProtocol,
    /// Whom to ask; absent with [`ReplayProtocol::None`]. UDP for MoldUDP64, else TCP.
    pub request_address: Option<SocketAddrV4>,
    /// User of a SoupBinTCP login.
    pub username: Option<String>,
    /// File with the password of that login; read when it is needed, never shown.
    pub password_file: Option<PathBuf>,
    /// Journal of another host, by `len_seq_payload`; asked after `request_address`.
    pub peer_address: Option<SocketAddrV4>,
    /// Least time between two requests.
    pub min_request_interval_ms: u64,
    /// How long an answer may take.
    pub request_timeout_ms: u64,
    /// How long a TCP connection may take to be made.
    pub connect_timeout_ms: u64,
    /// Requests for one gap before the next source is asked, or it is given up.
    pub retry_attempts: u32,
    /// Grows by this with each attempt.
    pub retry_backoff_ms: u64,
    /// And no further than this.
    pub retry_backoff_max_ms: u64,
    /// A gap open for longer violates the objective.
    pub slo_ms: u64,
    /// What to do when a gap cannot be filled.
    pub unrecoverable_policy: UnrecoverablePolicy,
    /// Where a channel without a journal begins.
    pub start_at: StartAt,
    /// With more gaps open than this, the snapshot is taken instead; 0: never.
    pub storm_gaps: usize,
    /// Time between two probes of each source; 0: never.
    pub probe_interval_ms: u64,
    /// What stands in for what nobody brings.
    pub snapshot: Snapshot,
}

/// How to ask for what is missing.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ReplayProtocol {
    /// MoldUDP64 re-requests.
    Moldudp64,
    /// SoupBinTCP: login at the missing number.
    Soupbintcp,
    /// Our own ranges over TCP, as a peer's journal serves them.
    LenSeqPayload,
    /// There is no such source.
    None,
}

/// A source of the venue's whole state.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// How it is had.
    pub protocol: SnapshotProtocol,
    /// Server, for GLIMPSE.
    pub address: Option<SocketAddrV4>,
    /// Multicast group, for a channel.
    pub group: Option<IpAddr>,
    /// UDP port, for a channel.
    pub port: Option<u16>,
    /// Local interface, for a channel.
    pub interface: Option<String>,
    /// Source for a source-specific join.
    pub source: Option<IpAddr>,
    /// How long one snapshot may take.
    pub timeout_ms: u64,
    /// Longest snapshot that is taken, bytes.
    pub max_bytes: usize,
}

/// How a snapshot is had.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotProtocol {
    /// It is not.
    None,
    /// GLIMPSE 5.0 over SoupBinTCP.
    Glimpse,
    /// The snapshot channel of EOBI, product by product.
    Eobi,
    /// The snapshot loop of CME MDP 3.0, instrument by instrument.
    #[serde(rename = "cme_mdp3")]
    CmeMdp3,
}

/// What to do when a gap cannot be filled.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum UnrecoverablePolicy {
    /// Write down the loss and go on behind it.
    DeclareLost,
    /// Write down the loss and end the worker.
    Halt,
}

/// Where a channel without a journal begins.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum StartAt {
    /// At sequence 1: what was missed before the start is a gap.
    SessionStart,
    /// At the first packet seen.
    FirstSeen,
}

impl Recovery {
    /// Whether anybody can be asked, or a snapshot be had.
    pub fn has_source(&self) -> bool {
        self.has_ranges() || self.snapshot.protocol != SnapshotProtocol::None
    }

    /// Whether anybody can be asked for a range.
    pub fn has_ranges(&self) -> bool {
        self.request_address.is_some() || self.peer_address.is_some()
    }

    /// What the types cannot hold: each source has its address, and fits the lines' protocol.
    pub(super) fn check(&self, protocol: Protocol) -> Result<(), String> {
        let needs_server = self.replay_protocol != ReplayProtocol::None;
        if needs_server != self.request_address.is_some() {
            return Err(
                "recovery.request_address must be given, unless replay_protocol is \
                 \"none\", when it must be absent"
                    .to_owned(),
            );
        }
        let is_of_mold = matches!(
            self.replay_protocol,
            ReplayProtocol::Moldudp64 | ReplayProtocol::Soupbintcp
        );
        if is_of_mold && protocol != Protocol::Moldudp64 {
            let text =
                "recovery.replay_protocol asks for messages; the lines' protocol numbers packets";
            return Err(text.to_owned());
        }
        if self.replay_protocol == ReplayProtocol::LenSeqPayload && self.peer_address.is_some() {
            let text = "recovery.peer_address is asked by len_seq_payload too: give one of it and \
                        recovery.request_address";
            return Err(text.to_owned());
        }
        if self.username.is_some() != self.password_file.is_some() {
            let text = "recovery.username and recovery.password_file belong together";
            return Err(text.to_owned());
        }
        self.snapshot.check(protocol)
    }
}

impl Snapshot {
    fn check(&self, protocol: Protocol) -> Result<(), String> {
        let (needs_server, needs_channel, of) = match self.protocol {
            SnapshotProtocol::None => (false, false, protocol),
            SnapshotProtocol::Glimpse => (true, false, Protocol::Moldudp64),
            SnapshotProtocol::Eobi => (false, true, Protocol::Eobi),
            SnapshotProtocol::CmeMdp3 => (false, true, Protocol::CmeMdp3),
        };
        if of != protocol {
            return Err(format!(
                "recovery.snapshot.protocol {:?} is not of the lines' protocol {protocol:?}",
                self.protocol
            ));
        }
        if needs_server != self.address.is_some() {
            return Err("recovery.snapshot.address must be given for \"glimpse\" only".to_owned());
        }
        let channel = [
            self.group.is_some(),
            self.port.is_some(),
            self.interface.is_some(),
        ];
        if channel != [needs_channel; 3] {
            let text = "recovery.snapshot.group, port and interface must be given for a snapshot \
                        channel only";
            return Err(text.to_owned());
        }
        Ok(())
    }
}
