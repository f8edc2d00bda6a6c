//! Makes the recovery thread from the spec.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rtrb::Consumer;
use tickdeck_net::{LineConfig, find_interface};
use tickdeck_recovery::client::Timing;
use tickdeck_recovery::glimpse::{GlimpseClient, GlimpseConfig};
use tickdeck_recovery::replay::{Packets, ReplayClient, ReplayConfig};
use tickdeck_recovery::soup::{SoupClient, SoupConfig, any_message, itch50_message};
use tickdeck_recovery::{Config, Engine, RangeSource, SourceConfig};
use tickdeck_ring::Reader;
use tickdeck_wire::moldudp64::BLOCK_LEN;

use super::channel::{SnapshotChannel, Stream};
use super::glimpse::Glimpse;
use super::login;
use super::orders::Order;
use super::outbox::Outbox;
use super::probes::{Probes, Target};
use super::ranges::{Ranges, UdpServer};
use super::readiness::{Readiness, ReadinessMetrics, SourceName};
use super::tcp::TcpSource;
use super::venue::Venue;
use super::{Desk, RecoveryThread};
use crate::exit::{Failure, chain};
use crate::rx::failure::net_failure;
use crate::rx::lines::settings;
use crate::rx::link::RecoveryEnd;
use crate::rx::metrics::RecoveryMetrics;
use crate::rx::protocol::Wire;
use crate::rx::threads::GAP_CAPACITY;
use crate::spec::{Decoder, Exchange, Recovery, ReplayProtocol, SnapshotProtocol, Spec};

/// Most messages of one request; an answer is many packets, or the rest is asked for again.
const MESSAGES_PER_REQUEST: u64 = 2000;
const NS_PER_MS: u64 = 1_000_000;

/// Where the stream goes on.
pub(in crate::rx) struct Place {
    /// Number of the ring's first record.
    pub(in crate::rx) next_seq: u64,
    /// The journal ends inside a snapshot.
    pub(in crate::rx) is_snapshot_cut: bool,
}

/// The thread of an exchange that has a source.
///
/// # Errors
/// A socket that cannot be opened, a login that cannot be read.
pub(in crate::rx) fn recovery_thread(
    spec: &Spec,
    end: RecoveryEnd,
    orders: Consumer<Order>,
    metrics: RecoveryMetrics,
    readiness: ReadinessMetrics,
    place: Place,
    stop: &Arc<AtomicBool>,
) -> Result<RecoveryThread, Failure> {
    let exchange = &spec.exchange;
    let recovery = &exchange.recovery;
    let soup = soup_config(exchange)?;
    let replay = ReplayConfig {
        check: soup.check,
        packets: match Wire::of(exchange) {
            Wire::MoldUdp64 => Packets::None,
            Wire::CmeMdp3 => Packets::CmeMdp3,
            Wire::Eobi(release) => Packets::Eobi(release),
        },
        timing: soup.timing,
    };
    let mut readiness = Readiness::new(readiness);
    let connect_timeout_ns = recovery.connect_timeout_ms * NS_PER_MS;
    let mut plan = Plan {
        ranges: Ranges {
            request: None,
            stream: None,
            peer: None,
        },
        sources: Vec::new(),
        targets: Vec::new(),
        readiness: &mut readiness,
    };
    if let Some(address) = recovery.request_address {
        plan.server(exchange, address, &soup, &replay)?;
    }
    if let Some(address) = recovery.peer_address {
        plan.peer(recovery, address, &replay);
    }
    let Plan {
        ranges,
        sources,
        mut targets,
        ..
    } = plan;
    let glimpse = glimpse(recovery, &soup, connect_timeout_ns);
    if let (Some(_), Some(address)) = (&glimpse, recovery.snapshot.address) {
        readiness.add(SourceName::Snapshot, "glimpse", address.to_string());
        let source = SourceName::Snapshot;
        targets.push(Target { source, address });
    }
    let channel = snapshot_channel(spec, place.next_seq)?;
    if let Some(channel) = &channel {
        let address = channel.address();
        readiness.add(SourceName::Snapshot, channel.protocol(), address);
    }
    let has_snapshot = glimpse.is_some() || channel.is_some();
    let probes = Probes::new(
        recovery.probe_interval_ms * NS_PER_MS,
        recovery.request_timeout_ms * NS_PER_MS,
        connect_timeout_ns,
        soup,
        replay,
        targets,
    );
    Ok(RecoveryThread {
        ranges,
        probes,
        desk: Desk {
            engine: Engine::new(engine_config(recovery, sources, has_snapshot)),
            outbox: Outbox::new(end),
            readiness,
            metrics,
            position: None,
            complained_ns: None,
        },
        glimpse,
        channel,
        owes_snapshot: place.is_snapshot_cut,
        orders,
        stop: Arc::clone(stop),
    })
}

/// The range sources as they are added.
struct Plan<'a> {
    ranges: Ranges,
    sources: Vec<SourceConfig>,
    targets: Vec<Target>,
    readiness: &'a mut Readiness,
}

impl Plan<'_> {
    /// The server of `replay_protocol`.
    fn server(
        &mut self,
        exchange: &Exchange,
        address: SocketAddrV4,
        soup: &SoupConfig,
        replay: &ReplayConfig,
    ) -> Result<(), Failure> {
        let recovery = &exchange.recovery;
        match recovery.replay_protocol {
            ReplayProtocol::Moldudp64 => {
                let most = exchange.receive.max_packet_bytes;
                self.ranges.request = Some(UdpServer::connect(address, most)?);
                self.sources.push(SourceConfig {
                    max_messages_per_request: MESSAGES_PER_REQUEST,
                    request_timeout_ns: recovery.request_timeout_ms * NS_PER_MS,
                    ..SourceConfig::request()
                });
                self.target(SourceName::Request, "moldudp64", address);
            }
            ReplayProtocol::Soupbintcp => {
                let client = SoupClient::new(soup.clone());
                let timeout_ns = recovery.connect_timeout_ms * NS_PER_MS;
                self.ranges.stream = Some(TcpSource::new(client, address, timeout_ns));
                self.sources.push(SourceConfig::stream());
                self.target(SourceName::Stream, "soupbintcp", address);
            }
            ReplayProtocol::LenSeqPayload => self.peer(recovery, address, replay),
            ReplayProtocol::None => {}
        }
        Ok(())
    }

    /// A server of `len_seq_payload`; the first one given is the one that is asked.
    fn peer(&mut self, recovery: &Recovery, address: SocketAddrV4, replay: &ReplayConfig) {
        if self.ranges.peer.is_some() {
            return;
        }
        let client = ReplayClient::new(replay.clone());
        let timeout_ns = recovery.connect_timeout_ms * NS_PER_MS;
        self.ranges.peer = Some(TcpSource::new(client, address, timeout_ns));
        self.sources.push(SourceConfig::peer());
        self.target(SourceName::Peer, "len_seq_payload", address);
    }

    fn target(&mut self, source: SourceName, protocol: &'static str, address: SocketAddrV4) {
        self.readiness.add(source, protocol, address.to_string());
        self.targets.push(Target { source, address });
    }
}

fn glimpse(recovery: &Recovery, soup: &SoupConfig, connect_timeout_ns: u64) -> Option<Glimpse> {
    let snapshot = &recovery.snapshot;
    let address = snapshot
        .address
        .filter(|_| snapshot.protocol == SnapshotProtocol::Glimpse)?;
    let timeout_ns = snapshot.timeout_ms * NS_PER_MS;
    let client = GlimpseClient::new(GlimpseConfig {
        soup: soup.clone(),
        timeout_ns,
        max_bytes: snapshot.max_bytes,
    });
    Some(Glimpse::new(
        TcpSource::new(client, address, connect_timeout_ns),
        timeout_ns,
    ))
}

fn snapshot_channel(spec: &Spec, next_seq: u64) -> Result<Option<SnapshotChannel>, Failure> {
    let exchange = &spec.exchange;
    let snapshot = &exchange.recovery.snapshot;
    let (Some(group), Some(port), Some(interface)) =
        (snapshot.group, snapshot.port, &snapshot.interface)
    else {
        return Ok(None);
    };
    let Some(venue) = Venue::of(Wire::of(exchange), snapshot.max_bytes) else {
        return Ok(None);
    };
    let line = LineConfig {
        line: 0,
        group,
        port,
        interface: find_interface(interface).map_err(|error| net_failure(&error))?,
        source: snapshot.source,
    };
    let ring = Reader::open(&spec.ring_path).map_err(|error| Failure::failed(chain(&error)))?;
    let stream = Stream {
        buffer: vec![0; ring.slot_bytes()],
        ring,
        next_seq,
    };
    let socket = settings(spec).socket;
    let timeout_ns = snapshot.timeout_ms * NS_PER_MS;
    Ok(Some(SnapshotChannel::new(
        venue, stream, line, socket, timeout_ns,
    )))
}

fn soup_config(exchange: &Exchange) -> Result<SoupConfig, Failure> {
    let recovery = &exchange.recovery;
    let (username, password) = login::read(recovery)?;
    Ok(SoupConfig {
        username,
        password,
        max_message_bytes: exchange.receive.max_packet_bytes - BLOCK_LEN,
        check: match exchange.decoder {
            Decoder::Itch50 => itch50_message,
            // SoupBinTCP carries the messages of MoldUDP64 lines, and of no others.
            Decoder::Eobi | Decoder::CmeMdp3 | Decoder::None => any_message,
        },
        timing: Timing {
            connect_timeout_ns: recovery.connect_timeout_ms * NS_PER_MS,
            reconnect_wait_ns: recovery.retry_backoff_ms * NS_PER_MS,
            ..Timing::default()
        },
        ..SoupConfig::default()
    })
}

fn engine_config(recovery: &Recovery, sources: Vec<SourceConfig>, snapshot: bool) -> Config {
    debug_assert!(
        sources
            .iter()
            .filter(|it| it.kind == RangeSource::Peer)
            .count()
            <= 1,
        "one peer"
    );
    Config {
        sources,
        snapshot,
        min_request_interval_ns: recovery.min_request_interval_ms * NS_PER_MS,
        retry_attempts: recovery.retry_attempts,
        retry_backoff_ns: recovery.retry_backoff_ms * NS_PER_MS,
        retry_backoff_max_ns: recovery.retry_backoff_max_ms * NS_PER_MS,
        slo_ns: recovery.slo_ms * NS_PER_MS,
        storm_gaps: recovery.storm_gaps,
        gap_capacity: GAP_CAPACITY,
        ..Config::default()
    }
}
