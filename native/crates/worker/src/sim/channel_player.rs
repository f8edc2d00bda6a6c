//! Sends the packets of a channel that numbers packets, and of its snapshot channel, on multicast
//! lines.

use std::collections::VecDeque;
use std::time::Duration;

use clap::Args;
use tickdeck_net::clock::monotonic_ns;
use tickdeck_net::{MulticastSender, NetError, find_interface};
use tickdeck_sim::faults::{FaultEngine, LINE_COUNT};
use tickdeck_sim::{Damage, Planned};
use tickdeck_wire::moldudp64::PacketKind;

use super::STOP_POLL;
use super::args::LineArg;
use super::fault_json::FaultSpec;
use crate::exit::{Code, Failure, chain};
use crate::lifecycle::StopFlag;

/// Packets of a line that faults may still send: more than they hold back.
const RECENT_PACKETS: usize = 1 << 17;

/// Where to send, and what goes wrong there.
#[derive(Args, Debug)]
pub(super) struct OutletArgs {
    /// A line of the incremental channel, such as A=239.81.0.1:31001; A, B or both.
    #[arg(long = "line", required = true, value_name = "NAME=GROUP:PORT")]
    lines: Vec<LineArg>,
    /// A line of the snapshot channel; without one there are no snapshots.
    #[arg(long = "snapshot-line", value_name = "NAME=GROUP:PORT")]
    snapshot_lines: Vec<LineArg>,
    /// Interface to send through: its name or its address.
    #[arg(long, default_value = "127.0.0.1")]
    interface: String,
    /// Routers that the multicast may pass, plus one.
    #[arg(long, default_value_t = 1)]
    ttl: u8,
    /// A fault of the incremental lines, as of `play`. Ranges are of packet numbers, counted on over
    /// restarts.
    #[arg(long = "fault", value_name = "JSON")]
    faults: Vec<FaultSpec>,
}

/// Sends packets; those of the incremental lines through their faults.
pub(super) struct ChannelPlayer {
    engine: FaultEngine,
    lines: [Option<Outlet>; LINE_COUNT],
    snapshots: [Option<Outlet>; LINE_COUNT],
    damage: Damage,
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// The incremental line, through its faults.
    Line,
    /// The same, and faults that name numbers pass it over: it has none.
    Unnumbered,
    /// The snapshot line.
    Snapshot,
}

/// A line: its socket, and the packets that faults may hold back. They are counted from 1, also
/// over restarts, so that a fault hits the same packets on both lines.
struct Outlet {
    sender: MulticastSender,
    recent: VecDeque<Vec<u8>>,
    count: u64,
    /// The last technical heartbeat: it has no number, and one is like the other.
    heartbeat: Vec<u8>,
    failure: Option<NetError>,
}

impl ChannelPlayer {
    /// Opens the lines and arms the faults; `seed` is for those that name none.
    pub(super) fn open(args: &OutletArgs, seed: u64) -> Result<Self, Failure> {
        let mut engine = FaultEngine::new();
        for fault in &args.faults {
            fault
                .arm(&mut engine, seed, monotonic_ns())
                .map_err(|error| Failure::new(Code::Config, format!("--fault: {error}")))?;
        }
        Ok(Self {
            engine,
            lines: open_lines(args, &args.lines)?,
            snapshots: open_lines(args, &args.snapshot_lines)?,
            damage: Damage::None,
        })
    }

    /// From here on each snapshot packet is damaged like this.
    pub(super) fn damage_snapshots(&mut self, damage: Damage) {
        self.damage = damage;
    }

    /// Waits until then; meanwhile sends what was held back. False when it is to stop.
    pub(super) fn wait(&mut self, until_ns: u64, stop: &StopFlag) -> Result<bool, Failure> {
        loop {
            let now_ns = monotonic_ns();
            self.send_held_back(now_ns)?;
            if stop.is_set() {
                return Ok(false);
            }
            if now_ns >= until_ns {
                return Ok(true);
            }
            let due_ns = self.engine.next_deadline_ns().unwrap_or(until_ns);
            let wait_ns = due_ns.min(until_ns).saturating_sub(now_ns);
            std::thread::sleep(STOP_POLL.min(Duration::from_nanos(wait_ns)));
        }
    }

    /// Sends a packet on line A (0) or B (1), if there is such a line.
    pub(super) fn send(
        &mut self,
        line: u8,
        route: Route,
        mut bytes: Vec<u8>,
    ) -> Result<(), Failure> {
        let index = usize::from(line);
        if route == Route::Snapshot {
            let Some(outlet) = &self.snapshots[index] else {
                return Ok(());
            };
            self.damage.apply(&mut bytes);
            let sent = outlet.sender.send(&bytes);
            return sent.map_err(|error| send_failure(line, &error));
        }
        let Some(outlet) = &mut self.lines[index] else {
            return Ok(());
        };
        let packet = match route {
            Route::Unnumbered => outlet.keep_heartbeat(bytes),
            Route::Line | Route::Snapshot => outlet.keep(bytes),
        };
        let send = &mut |packet: Planned| outlet.send(packet);
        self.engine.offer(line, packet, monotonic_ns(), send);
        outlet.take_failure(line)
    }

    fn send_held_back(&mut self, now_ns: u64) -> Result<(), Failure> {
        for (line, outlet) in (0..).zip(&mut self.lines) {
            let Some(outlet) = outlet else { continue };
            let send = &mut |packet: Planned| outlet.send(packet);
            self.engine.poll(line, now_ns, send);
            outlet.take_failure(line)?;
        }
        Ok(())
    }

    /// Sends what is still held back.
    pub(super) fn finish(&mut self, stop: &StopFlag) -> Result<(), Failure> {
        while let Some(due_ns) = self.engine.next_deadline_ns() {
            if !self.wait(due_ns, stop)? {
                break;
            }
        }
        Ok(())
    }
}

impl Outlet {
    /// Keeps a packet for the faults, under its number.
    fn keep(&mut self, bytes: Vec<u8>) -> Planned {
        if self.recent.len() == RECENT_PACKETS {
            self.recent.pop_front();
        }
        self.recent.push_back(bytes);
        self.count += 1;
        Planned::data(self.count, 1)
    }

    fn keep_heartbeat(&mut self, bytes: Vec<u8>) -> Planned {
        self.heartbeat = bytes;
        Planned {
            first_sequence: self.count + 1,
            kind: PacketKind::Heartbeat,
        }
    }

    /// Sends a kept packet. A failure is kept for [`Outlet::take_failure`].
    fn send(&mut self, packet: Planned) {
        let Some(bytes) = self.bytes(packet) else {
            let number = packet.first_sequence;
            tracing::warn!(number, "a packet was held back for too long and is lost");
            return;
        };
        if let Err(error) = self.sender.send(bytes) {
            self.failure.get_or_insert(error);
        }
    }

    fn bytes(&self, packet: Planned) -> Option<&[u8]> {
        if packet.kind == PacketKind::Heartbeat {
            return Some(&self.heartbeat);
        }
        let first = self.count + 1 - self.recent.len() as u64;
        let index = packet.first_sequence.checked_sub(first)?;
        self.recent.get(index as usize).map(Vec::as_slice)
    }

    fn take_failure(&mut self, line: u8) -> Result<(), Failure> {
        self.failure
            .take()
            .map_or(Ok(()), |error| Err(send_failure(line, &error)))
    }
}

fn open_lines(
    args: &OutletArgs,
    lines: &[LineArg],
) -> Result<[Option<Outlet>; LINE_COUNT], Failure> {
    let interface = find_interface(&args.interface)
        .map_err(|error| Failure::new(Code::Unavailable, chain(&error)))?;
    let mut outlets = [const { None }; LINE_COUNT];
    for line in lines {
        let (group, port) = ((*line.target.ip()).into(), line.target.port());
        let sender = MulticastSender::open(group, port, &interface, args.ttl)
            .map_err(|error| Failure::new(Code::Config, chain(&error)))?;
        let outlet = Outlet {
            sender,
            recent: VecDeque::new(),
            count: 0,
            heartbeat: Vec::new(),
            failure: None,
        };
        if outlets[usize::from(line.code)].replace(outlet).is_some() {
            let text = "a line is named twice; wanted A, B or both";
            return Err(Failure::new(Code::Config, text));
        }
    }
    Ok(outlets)
}

fn send_failure(line: u8, error: &NetError) -> Failure {
    let name = tickdeck_wire::record::line::name(line);
    let text = format!("line {name}: {}; is the interface up?", chain(error));
    Failure::new(Code::Failed, text)
}
