//! Opens the receive paths of the lines.

use tickdeck_net::{
    AnyReceiver, LineConfig, NetError, Receiver, SocketConfig, Timestamps, UdpReceiver,
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
    let receive = &spec.exchange.receive;
    let spec::ReceivePath::Recvmmsg = line.receive;
    let interface =
        tickdeck_net::find_interface(&line.interface).map_err(|error| in_line(line, &error))?;
    let config = LineConfig {
        line: line.name.index(),
        group: line.group,
        port: line.port,
        interface,
        source: line.source,
    };
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
    let receiver = UdpReceiver::open(&config, &socket).map_err(|error| in_line(line, &error))?;
    tracing::info!(
        line = line.name.label(),
        group = %line.group,
        port = line.port,
        path = receiver.rung().name(),
        "line joined"
    );
    Ok(OpenLines {
        receiver: AnyReceiver::Udp(receiver),
        numbers: vec![config.line],
    })
}

fn in_line(line: &spec::Line, error: &NetError) -> Failure {
    let Failure { code, message } = net_failure(error);
    Failure::new(code, format!("line {}: {message}", line.name.label()))
}
