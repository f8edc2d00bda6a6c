//! `play-eobi`: a generated EOBI channel on multicast lines, at its own times.

use std::collections::VecDeque;
use std::io::Write as _;
use std::time::Duration;

use serde_json::json;
use tickdeck_net::clock::{monotonic_ns, realtime_ns};
use tickdeck_net::{MulticastSender, NetError, find_interface};
use tickdeck_sim::Planned;
use tickdeck_sim::eobi::{Channel, Session, SnapshotFault, Timed};
use tickdeck_sim::faults::{FaultEngine, LINE_COUNT};
use tickdeck_wire::eobi::TECHNICAL_HEARTBEAT;
use tickdeck_wire::moldudp64::PacketKind;

use super::STOP_POLL;
use super::args::LineArg;
use crate::exit::{Code, Failure, chain};
use crate::lifecycle::StopFlag;

mod args;

pub(super) use args::PlayEobiArgs;

/// Packets of a line that faults may still send: more than they hold back.
const RECENT_PACKETS: usize = 1 << 17;

/// Plays the session to its end, or until stopped.
pub(super) fn play(args: &PlayEobiArgs) -> Result<Code, Failure> {
    let stop = StopFlag::on_signals()?;
    let mut player = Player::open(args)?;
    announce(args)?;
    let mut session = Session::new(args.session(realtime_ns()));
    session.set_snapshot_fault(args.snapshot_fault.0);
    let start_ns = monotonic_ns();
    let mut fault_ends_ns = args
        .snapshot_fault_ms
        .map(|ms| ms.saturating_mul(1_000_000));
    while let Some(timed) = session.next() {
        if fault_ends_ns.is_some_and(|ends_ns| timed.at_ns >= ends_ns) {
            session.set_snapshot_fault(SnapshotFault::None);
            fault_ends_ns = None;
        }
        if !player.wait(start_ns.saturating_add(timed.at_ns), &stop)? {
            return Ok(Code::Clean);
        }
        player.send(timed)?;
    }
    player.finish(&stop)?;
    Ok(Code::Clean)
}

/// Tells whoever started this process that the lines are open: one JSON line.
fn announce(args: &PlayEobiArgs) -> Result<(), Failure> {
    let release = args.release.to_string();
    let line = json!({"ready": true, "release": release, "products": args.products});
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::failed(format!("write to standard output: {error}")))
}

/// Sends packets; those of the incremental lines through their faults.
struct Player {
    engine: FaultEngine,
    lines: [Option<Outlet>; LINE_COUNT],
    snapshots: [Option<Outlet>; LINE_COUNT],
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

impl Player {
    fn open(args: &PlayEobiArgs) -> Result<Self, Failure> {
        let mut engine = FaultEngine::new();
        for fault in &args.faults {
            fault
                .arm(&mut engine, args.seed, monotonic_ns())
                .map_err(|error| Failure::new(Code::Config, format!("--fault: {error}")))?;
        }
        Ok(Self {
            engine,
            lines: open_lines(args, &args.lines)?,
            snapshots: open_lines(args, &args.snapshot_lines)?,
        })
    }

    /// Waits until then; meanwhile sends what was held back. False when it is to stop.
    fn wait(&mut self, until_ns: u64, stop: &StopFlag) -> Result<bool, Failure> {
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

    fn send(&mut self, timed: Timed) -> Result<(), Failure> {
        let line = usize::from(timed.line);
        if timed.channel == Channel::Snapshot {
            let Some(outlet) = &self.snapshots[line] else {
                return Ok(());
            };
            let sent = outlet.sender.send(&timed.bytes);
            return sent.map_err(|error| send_failure(timed.line, &error));
        }
        let Some(outlet) = &mut self.lines[line] else {
            return Ok(());
        };
        let packet = if timed.bytes.starts_with(&TECHNICAL_HEARTBEAT) {
            outlet.keep_heartbeat(timed.bytes)
        } else {
            outlet.keep(timed.bytes)
        };
        let send = &mut |packet: Planned| outlet.send(packet);
        self.engine.offer(timed.line, packet, monotonic_ns(), send);
        outlet.take_failure(timed.line)
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
    fn finish(&mut self, stop: &StopFlag) -> Result<(), Failure> {
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
    args: &PlayEobiArgs,
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
