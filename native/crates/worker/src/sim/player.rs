//! The player: packets at the wanted rate, heartbeats, ends of session, orders.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tickdeck_net::clock::monotonic_ns;
use tickdeck_sim::faults::FaultEngine;
use tickdeck_sim::lies::{Lies, Order as LieOrder, Server};
use tickdeck_sim::{Pacer, Packetizer, Planned, Rate};
use tickdeck_wire::moldudp64::PacketKind;

use super::STOP_POLL;
use super::args::PlayArgs;
use super::commands::{Order, What, fault_error};
use super::fault_json::{self, FaultSpec};
use super::meters::{PlayFacts, PlayMeters};
use super::outlets::Outlets;
use crate::control::ControlError;
use crate::exit::{Code, Failure};
use crate::lifecycle::StopFlag;

/// Packets sent between two looks at orders and clock.
const BATCH_PACKETS: usize = 64;
/// How often numbers are published.
const PUBLISH_NS: u64 = 5_000_000;

/// What the player tells the servers.
#[derive(Debug)]
pub(super) struct Published {
    /// The next sequence number to be sent; everything before may be asked for.
    pub(super) next_sequence: AtomicU64,
    /// Set while requests must not be answered.
    pub(super) requests_stopped: AtomicBool,
    /// The lies in force; the servers count there what they told.
    lies: Mutex<Lies>,
}

impl Published {
    /// The lie for the next answer of a server; `None` is the truth.
    pub(super) fn draw(&self, server: Server, now_ns: u64) -> Option<LieOrder> {
        self.with_lies(|lies| lies.draw(server, now_ns))
    }

    /// Puts the engine's lies in force and tells it which were told.
    pub(super) fn publish_lies(&self, engine: &mut FaultEngine, now_ns: u64) {
        let hits = self.with_lies(|lies| {
            lies.replace(engine.lies(now_ns));
            lies.take_hits()
        });
        hits.into_iter().for_each(|id| engine.note_hit(id));
    }

    fn with_lies<T>(&self, look: impl FnOnce(&mut Lies) -> T) -> T {
        look(&mut self.lies.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Published {
    fn default() -> Self {
        Self {
            next_sequence: AtomicU64::new(1),
            requests_stopped: AtomicBool::new(false),
            lies: Mutex::new(Lies::default()),
        }
    }
}

/// Plays one session.
pub(super) struct Player {
    packetizer: Packetizer,
    /// The packet that waits for its messages to come due.
    pending: Option<Planned>,
    engine: FaultEngine,
    outlets: Outlets,
    published: Arc<Published>,
    meters: Option<PlayMeters>,
    phase: Phase,
    rate: Rate,
    seed: u64,
    next_sequence: u64,
    heartbeat_ns: u64,
    next_heartbeat_ns: u64,
    next_publish_ns: u64,
    exit_after_end_ns: Option<u64>,
}

enum Phase {
    Waiting,
    Playing(Pacer),
    Ended { since_ns: u64 },
}

impl Player {
    pub(super) fn new(
        args: &PlayArgs,
        packetizer: Packetizer,
        engine: FaultEngine,
        outlets: Outlets,
        published: Arc<Published>,
        meters: Option<PlayMeters>,
    ) -> Self {
        let playing = || Phase::Playing(Pacer::new(args.rate, monotonic_ns()));
        Self {
            packetizer,
            pending: None,
            engine,
            outlets,
            published,
            meters,
            phase: if args.wait { Phase::Waiting } else { playing() },
            rate: args.rate,
            seed: args.seed,
            next_sequence: 1,
            heartbeat_ns: args.heartbeat_ms * 1_000_000,
            next_heartbeat_ns: 0,
            next_publish_ns: 0,
            exit_after_end_ns: args
                .exit_after_end_ms
                .map(|ms| ms.saturating_mul(1_000_000)),
        }
    }

    /// Plays until told to stop, or until the wanted time after the end.
    pub(super) fn run(
        mut self,
        orders: &Receiver<Order>,
        stop: &StopFlag,
    ) -> Result<Code, Failure> {
        while !stop.is_set() {
            let now_ns = monotonic_ns();
            if self.is_over(now_ns) {
                break;
            }
            let sent = self.send_due(now_ns);
            self.send_held_back(now_ns);
            self.send_heartbeat(now_ns);
            self.outlets.take_failure()?;
            self.publish(now_ns);
            let wait = if sent == BATCH_PACKETS {
                Duration::ZERO
            } else {
                self.wait(now_ns)
            };
            self.take_orders(orders, wait);
        }
        self.next_publish_ns = 0;
        self.publish(monotonic_ns());
        Ok(Code::Clean)
    }

    fn is_over(&self, now_ns: u64) -> bool {
        match (&self.phase, self.exit_after_end_ns) {
            (Phase::Ended { since_ns }, Some(after_ns)) => now_ns - since_ns >= after_ns,
            _ => false,
        }
    }

    /// Sends the packets whose messages are all due, one batch at most; returns how many.
    fn send_due(&mut self, now_ns: u64) -> usize {
        let Phase::Playing(pacer) = &mut self.phase else {
            return 0;
        };
        let mut due = pacer.due(now_ns);
        for sent in 0..BATCH_PACKETS {
            if self.pending.is_none() {
                self.pending = self.packetizer.next(self.outlets.history());
            }
            let Some(packet) = self.pending else {
                self.phase = Phase::Ended { since_ns: now_ns };
                // The first end of session follows the last message at once.
                self.next_heartbeat_ns = now_ns;
                return sent;
            };
            let count = u64::from(packet.count());
            if count > due {
                return sent;
            }
            due -= count;
            pacer.sent(count);
            self.pending = None;
            self.next_sequence = packet.next_sequence();
            self.next_heartbeat_ns = now_ns + self.heartbeat_ns;
            offer(&mut self.engine, &mut self.outlets, packet, now_ns);
            // Whoever saw the packet may ask for its messages from now on.
            self.published
                .next_sequence
                .store(self.next_sequence, Ordering::Release);
        }
        BATCH_PACKETS
    }

    /// Sends what the faults held back until now.
    fn send_held_back(&mut self, now_ns: u64) {
        for line in self.outlets.lines() {
            self.engine
                .poll(line, now_ns, &mut |packet| self.outlets.send(line, packet));
        }
    }

    /// Sends a heartbeat, or an end of session after the last message, when it is time.
    fn send_heartbeat(&mut self, now_ns: u64) {
        if now_ns < self.next_heartbeat_ns {
            return;
        }
        self.next_heartbeat_ns = now_ns + self.heartbeat_ns;
        let kind = match self.phase {
            Phase::Ended { .. } => PacketKind::EndOfSession,
            Phase::Waiting | Phase::Playing(_) => PacketKind::Heartbeat,
        };
        let packet = Planned {
            first_sequence: self.next_sequence,
            kind,
        };
        offer(&mut self.engine, &mut self.outlets, packet, now_ns);
    }

    fn publish(&mut self, now_ns: u64) {
        if now_ns < self.next_publish_ns {
            return;
        }
        self.next_publish_ns = now_ns + PUBLISH_NS;
        let stopped = self.engine.requests_stopped(now_ns);
        self.published
            .requests_stopped
            .store(stopped, Ordering::Relaxed);
        self.published.publish_lies(&mut self.engine, now_ns);
        let faults_active = self.engine.armed(now_ns).len() as u64;
        let Some(meters) = &self.meters else { return };
        meters.publish(&PlayFacts {
            next_sequence: self.next_sequence,
            faults_active,
            state: self.phase.code(),
            packets_sent: self.outlets.sent(),
            lines: [self.engine.counters(0), self.engine.counters(1)],
        });
    }

    /// How long nothing is to be done.
    fn wait(&self, now_ns: u64) -> Duration {
        let mut wait_ns = self.next_heartbeat_ns.saturating_sub(now_ns);
        if let Some(deadline_ns) = self.engine.next_deadline_ns() {
            wait_ns = wait_ns.min(deadline_ns.saturating_sub(now_ns));
        }
        if let (Phase::Playing(pacer), Some(packet)) = (&self.phase, self.pending) {
            wait_ns = wait_ns.min(pacer.wait_ns(u64::from(packet.count()), now_ns));
        }
        STOP_POLL.min(Duration::from_nanos(wait_ns))
    }

    /// Carries out one order; waits for it as long as there is nothing else to do.
    fn take_orders(&mut self, orders: &Receiver<Order>, wait: Duration) {
        let order = if wait.is_zero() {
            orders.try_recv().map_err(|_| RecvTimeoutError::Timeout)
        } else {
            orders.recv_timeout(wait)
        };
        match order {
            Ok(Order { what, reply }) => {
                let answer = self.carry_out(what);
                self.next_publish_ns = 0;
                self.publish(monotonic_ns());
                if reply.send(answer).is_err() {
                    tracing::warn!("the caller of a control op did not wait for its answer");
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            // Nobody can give orders any more; then this is only a pause.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(wait),
        }
    }

    fn carry_out(&mut self, what: What) -> Result<Value, ControlError> {
        let now_ns = monotonic_ns();
        match what {
            What::Play => self.start_playing(now_ns),
            What::Status => Ok(json!({
                "state": self.phase.name(),
                "messages": self.outlets.history().messages(),
                "next_sequence": self.next_sequence,
                "faults": self.faults(now_ns),
            })),
            What::Arm(fault) => self.arm(&fault, now_ns),
            What::Renew { fault_id, lease_ms } => {
                let lease_ns = lease_ms.saturating_mul(1_000_000);
                let renewed = self.engine.renew(fault_id, lease_ns, now_ns);
                renewed
                    .map(|()| json!({}))
                    .map_err(|error| fault_error(&error))
            }
            What::Clear { fault_id: None } => Ok(json!({"cleared": self.engine.clear_all()})),
            What::Clear { fault_id: Some(id) } => {
                let cleared = self.engine.clear(id);
                cleared
                    .map(|()| json!({"cleared": 1}))
                    .map_err(|error| fault_error(&error))
            }
            What::List => {
                self.published.publish_lies(&mut self.engine, now_ns);
                Ok(json!({"faults": self.faults(now_ns)}))
            }
        }
    }

    fn start_playing(&mut self, now_ns: u64) -> Result<Value, ControlError> {
        let Phase::Waiting = self.phase else {
            let text = format!("the sim is {}, not waiting", self.phase.name());
            return Err(ControlError::new("WRONG_STATE", text));
        };
        self.phase = Phase::Playing(Pacer::new(self.rate, now_ns));
        Ok(json!({"state": self.phase.name()}))
    }

    fn arm(&mut self, fault: &FaultSpec, now_ns: u64) -> Result<Value, ControlError> {
        let id = fault.arm(&mut self.engine, self.seed, now_ns);
        let id = id.map_err(|error| fault_error(&error))?;
        tracing::info!(fault_id = id, ?fault, "fault armed");
        Ok(json!({"fault_id": id}))
    }

    fn faults(&mut self, now_ns: u64) -> Vec<Value> {
        self.engine
            .armed(now_ns)
            .map(|armed| fault_json::view(&armed))
            .collect()
    }
}

impl Phase {
    fn code(&self) -> u64 {
        match self {
            Self::Waiting => 0,
            Self::Playing(_) => 1,
            Self::Ended { .. } => 2,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Playing(_) => "playing",
            Self::Ended { .. } => "ended",
        }
    }
}

/// Gives a packet to both lines, through their faults.
fn offer(engine: &mut FaultEngine, outlets: &mut Outlets, packet: Planned, now_ns: u64) {
    for line in outlets.lines() {
        engine.offer(line, packet, now_ns, &mut |packet| {
            outlets.send(line, packet)
        });
    }
}
