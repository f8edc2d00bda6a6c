//! Opens the receive paths of the lines.

use tickdeck_net::{
    AfXdpConfig, AnyReceiver, LineConfig, NetError, NoPath, Opened, PacketMmapConfig, PathCounters,
    PathSettings, PathWish, Receiver, Rung, RungReport, SocketConfig, Timestamps,
};

use super::failure::net_failure;
use crate::exit::{Failure, chain};
use crate::spec::{self, AfxdpRequire, Line, LineName, ReceivePath, Spec};

/// One receiver, the lines that it serves, and how it was chosen.
pub(super) struct OpenLines {
    pub(super) receiver: AnyReceiver,
    /// Numbers of its lines in the merge.
    pub(super) numbers: Vec<u8>,
    /// The rungs that were tried; the last one runs.
    pub(super) rungs: Vec<RungReport>,
    /// Its interface was removed: nothing comes any more, the other lines go on.
    pub(super) is_gone: bool,
    /// What was counted last; what a receiver that is gone has lost stays lost.
    pub(super) counted: PathCounters,
}

impl OpenLines {
    /// Takes the loss of the interface; any other error is the caller's.
    #[cold]
    pub(super) fn lose(&mut self, error: NetError) -> Result<(), NetError> {
        if !matches!(error, NetError::Gone { .. }) {
            return Err(error);
        }
        self.is_gone = true;
        let (lines, reason) = (&self.numbers, chain(&error));
        tracing::error!(?lines, %reason, "lines lost; the others go on");
        Ok(())
    }
}

/// Opens every line of the exchange, or says what failed for which line.
pub(super) fn open_lines(spec: &Spec) -> Result<Vec<OpenLines>, Failure> {
    let wishes: Vec<_> = spec
        .exchange
        .lines
        .iter()
        .map(wish)
        .collect::<Result<_, _>>()?;
    let opened = tickdeck_net::open_lines(&wishes, &settings(spec));
    let opened = opened.map_err(|error| no_path(&error))?;
    Ok(opened.into_iter().map(announced).collect())
}

/// The settings of every path, from the spec.
pub(super) fn settings(spec: &Spec) -> PathSettings {
    let exchange = &spec.exchange;
    let (receive, afxdp, ring) = (&exchange.receive, &exchange.afxdp, &exchange.packet_mmap);
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
        prefer_busy_poll: true,
        // Only a capture tells who sent a packet.
        sources: exchange.capture.enabled,
    };
    let is_off = |rung: &Rung| match rung {
        Rung::Recvmmsg => false,
        Rung::PacketMmap => ring.enable == Some(false),
        _ => afxdp.enable == Some(false),
    };
    PathSettings {
        af_xdp: AfXdpConfig {
            frame_count: afxdp.frame_count,
            rx_ring: afxdp.rx_ring,
            huge_pages: afxdp.huge_pages,
            busy_poll_us: receive.busy_poll_us,
            busy_poll_budget: receive.busy_poll_budget,
            batch: receive.batch,
            max_packet_bytes: receive.max_packet_bytes,
            beside: socket.clone(),
        },
        packet_mmap: PacketMmapConfig {
            queues: ring.queues,
            block_bytes: ring.block_bytes,
            block_count: ring.block_count,
            retire_ms: ring.retire_ms,
            batch: receive.batch,
            max_packet_bytes: receive.max_packet_bytes,
            fanout_group: None,
        },
        socket,
        worst_af_xdp: match afxdp.require {
            AfxdpRequire::Zerocopy => Rung::ZeroCopy,
            AfxdpRequire::Native => Rung::NativeCopy,
            AfxdpRequire::Any => Rung::Generic,
        },
        disabled: Rung::ALL.into_iter().filter(is_off).collect(),
    }
}

/// A line of the spec as the receivers know it.
pub(super) fn wish(line: &Line) -> Result<(LineConfig, PathWish), Failure> {
    let interface = tickdeck_net::find_interface(&line.interface)
        .map_err(|error| in_line(line.name, &error))?;
    let config = LineConfig {
        line: line.name.index(),
        group: line.group,
        port: line.port,
        interface,
        source: line.source,
    };
    let wish = match line.receive {
        ReceivePath::Recvmmsg => PathWish::Recvmmsg,
        ReceivePath::PacketMmap => PathWish::PacketMmap,
        ReceivePath::AfXdp => PathWish::AfXdp,
        ReceivePath::Auto => PathWish::Auto,
    };
    Ok((config, wish))
}

fn announced(opened: Opened) -> OpenLines {
    let Opened {
        receiver,
        lines,
        rungs,
    } = opened;
    for report in &rungs {
        if let Some(refusal) = &report.refusal {
            let (path, reason) = (report.rung.name(), &refusal.text);
            tracing::info!(?lines, path, errno = refusal.errno, %reason, "receive path refused");
        }
    }
    tracing::info!(?lines, path = receiver.rung().name(), "lines joined");
    if let AnyReceiver::AfXdp(af_xdp) = &receiver
        && let Some(refusal) = af_xdp.hardware_stamps_refusal()
    {
        let reason = &refusal.text;
        tracing::info!(?lines, errno = refusal.errno, %reason, "packets are stamped by this process");
    }
    if receiver.rung() == Rung::PacketMmap {
        tracing::info!(
            ?lines,
            "packet_mmap hands packets over when a block is full or its timer ends: half of \
             packet_mmap.retire_ms is the usual latency"
        );
    }
    OpenLines {
        receiver,
        numbers: lines,
        rungs,
        is_gone: false,
        counted: PathCounters::default(),
    }
}

fn no_path(error: &NoPath) -> Failure {
    let Failure { code, .. } = net_failure(&error.source);
    let names = [LineName::A, LineName::B];
    let is_of = |name: &&LineName| error.lines.contains(&name.index());
    let lines: Vec<_> = names
        .iter()
        .filter(is_of)
        .map(|name| name.label())
        .collect();
    let rungs = error.rungs.iter().map(|report| {
        let refusal = report.refusal.as_ref().map_or("opened", |r| &r.text);
        format!("{}: {refusal}", report.rung.name())
    });
    let rungs = rungs.collect::<Vec<_>>().join("; ");
    Failure::new(code, format!("line {}: {rungs}", lines.join(", ")))
}

fn in_line(name: LineName, error: &NetError) -> Failure {
    let Failure { code, message } = net_failure(error);
    Failure::new(code, format!("line {}: {message}", name.label()))
}
