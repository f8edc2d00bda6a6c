//! Opens the receive paths of the lines.

use tickdeck_net::{
    AnyReceiver, LineConfig, NetError, PacketMmapConfig, PacketMmapReceiver, Receiver,
    SocketConfig, Timestamps, UdpReceiver,
};

use super::failure::net_failure;
use crate::exit::Failure;
use crate::spec::{self, Spec};

/// One receiver and the lines that it serves.
pub(super) struct OpenLines {
    pub(super) receiver: AnyReceiver,
    /// Numbers of its lines in the merge.
    pub(super) numbers: Vec<u8>,
}

/// Opens every line of the exchange, or says what failed for which line.
pub(super) fn open_lines(spec: &Spec) -> Result<Vec<OpenLines>, Failure> {
    let lines = &spec.exchange.lines;
    lines.iter().map(|line| open_line(spec, line)).collect()
}

fn open_line(spec: &Spec, line: &spec::Line) -> Result<OpenLines, Failure> {
    let interface =
        tickdeck_net::find_interface(&line.interface).map_err(|error| in_line(line, &error))?;
    let config = LineConfig {
        line: line.name.index(),
        group: line.group,
        port: line.port,
        interface,
        source: line.source,
    };
    let receiver = match line.receive {
        spec::ReceivePath::Recvmmsg => open_udp(spec, &config).map(AnyReceiver::Udp),
        spec::ReceivePath::PacketMmap => open_ring(spec, &config).map(AnyReceiver::PacketMmap),
    };
    let receiver = receiver.map_err(|error| in_line(line, &error))?;
    tracing::info!(
        line = line.name.label(),
        group = %line.group,
        port = line.port,
        path = receiver.rung().name(),
        "line joined"
    );
    Ok(OpenLines {
        receiver,
        numbers: vec![config.line],
    })
}

fn open_udp(spec: &Spec, line: &LineConfig) -> Result<UdpReceiver, NetError> {
    let receive = &spec.exchange.receive;
    let socket = SocketConfig {
        rcvbuf_bytes: receive.rcvbuf_bytes,
        batch: receive.batch,
        max_packet_bytes: receive.max_packet_bytes,
        busy_poll_us: receive.busy_poll_us,
        busy_poll_budget: receive.busy_poll_budget,
        timestamps: match receive.timestamps {
            spec::Timestamps::HardwareOrKernel => Timestamps::HardwareOrKernel,
            spec::Timestamps::Off => Timestamps::Off,
        },
        ..SocketConfig::default()
    };
    UdpReceiver::open(line, &socket)
}

fn open_ring(spec: &Spec, line: &LineConfig) -> Result<PacketMmapReceiver, NetError> {
    let (receive, ring) = (&spec.exchange.receive, &spec.exchange.packet_mmap);
    let config = PacketMmapConfig {
        queues: ring.queues,
        block_bytes: ring.block_bytes,
        block_count: ring.block_count,
        retire_ms: ring.retire_ms,
        batch: receive.batch,
        max_packet_bytes: receive.max_packet_bytes,
        fanout_group: None,
    };
    PacketMmapReceiver::open(line, &config)
}

fn in_line(line: &spec::Line, error: &NetError) -> Failure {
    let Failure { code, message } = net_failure(error);
    Failure::new(code, format!("line {}: {message}", line.name.label()))
}
