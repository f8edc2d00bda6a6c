//! The recovery thread: carries out what the engine wants and hands what comes back to the merge.
//!
//! It has its own sockets and its own thread, so nothing here can slow the receive thread. While
//! the merge has not given buffers back, answers stay in the sockets' own buffers.
//!
//! | Part | Does |
//! |---|---|
//! | [`ranges`] | re-request server, stream and peer: what is missing, by number |
//! | [`glimpse`] | a snapshot of the venue's state, where numbers are not to be had |
//! | [`channel`], [`venue`] | the same from a snapshot channel, product by product |
//! | [`probes`], [`readiness`] | whether each of them would answer now |
//! | [`outbox`] | the way to the receive thread |

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rtrb::Consumer;
use tickdeck_arbiter::Source;
use tickdeck_net::clock::{monotonic_ns, realtime_ns};
use tickdeck_net::{NetError, WaitSet};
use tickdeck_recovery::client::{Content, Delivery};
use tickdeck_recovery::{
    self as recovery, Action, Engine, Fault, RangeSource, Verdict, cut_blocks,
};
use tickdeck_wire::moldudp64::{Packet, Session};

use super::failure::net_failure;
use super::link::{About, Command, Feedback};
use super::metrics::{OVERSIZE, RecoveryMetrics, WRONG_SESSION};
use crate::exit::Failure;

mod channel;
mod connection;
mod glimpse;
mod login;
mod orders;
mod outbox;
mod probes;
mod ranges;
mod readiness;
mod setup;
mod tcp;
mod venue;

use channel::SnapshotChannel;
use glimpse::{Glimpse, Outcome};
pub(super) use orders::Order;
use outbox::{Outbox, pieces};
use probes::Probes;
use ranges::{Brought, Ranges, shape};
pub(super) use readiness::ReadinessMetrics;
use readiness::{Readiness, SourceName};
pub(super) use setup::{Place, recovery_thread};

/// Longest sleep, so that a stop is noticed.
const LONGEST_WAIT_NS: u64 = 50_000_000;
/// Sleep while something waits for room, or for a connection to be made.
const CROWDED_WAIT_NS: u64 = 1_000_000;
/// Sleep of a thread that follows the ring: it must not be lapped.
const FOLLOWING_WAIT_NS: u64 = 5_000_000;
/// Least time between two complaints about a source in the log.
const LOG_INTERVAL_NS: u64 = 1_000_000_000;

pub(super) struct RecoveryThread {
    ranges: Ranges,
    glimpse: Option<Glimpse>,
    channel: Option<SnapshotChannel>,
    probes: Probes,
    /// The incarnation before was cut off inside a snapshot.
    owes_snapshot: bool,
    desk: Desk,
    orders: Consumer<Order>,
    stop: Arc<AtomicBool>,
}

/// Everything that what the sources bring goes through.
struct Desk {
    engine: Engine,
    outbox: Outbox,
    readiness: Readiness,
    metrics: RecoveryMetrics,
    /// Session and next number of the output, as last told.
    position: Option<(Session, u64)>,
    complained_ns: Option<u64>,
}

impl RecoveryThread {
    /// Runs until the stop.
    pub(super) fn run(mut self) -> Result<(), Failure> {
        while !self.stop.load(Ordering::Relaxed) {
            let now_ns = monotonic_ns();
            self.desk.outbox.flush();
            self.take_commands(now_ns);
            self.take_orders(now_ns);
            let was_crowded = !self.desk.outbox.has_room();
            let happened = self.take_answers(now_ns);
            self.probe(now_ns);
            self.act(now_ns);
            self.desk.outbox.flush();
            self.desk.show();
            // What a client has read waits in it for room, and no socket tells of that.
            let has_room_again = was_crowded && self.desk.outbox.has_room();
            if !happened && !has_room_again {
                self.idle(now_ns)?;
            }
        }
        Ok(())
    }

    fn take_commands(&mut self, now_ns: u64) {
        while let Ok(command) = self.desk.outbox.end.commands.pop() {
            match command {
                Command::Stopped { sequence } => self.on_stopped(Some(sequence), now_ns),
                Command::NotStopped => self.on_stopped(None, now_ns),
                other => self.desk.on_command(other, now_ns),
            }
        }
    }

    fn on_stopped(&mut self, sequence: Option<u64>, now_ns: u64) {
        if let Some(glimpse) = &mut self.glimpse {
            let outcome = glimpse.on_stopped(sequence, now_ns, &mut self.desk.outbox);
            self.desk.on_snapshot_end(outcome, now_ns);
        }
    }

    fn take_orders(&mut self, now_ns: u64) {
        while let Ok(order) = self.orders.pop() {
            let heard = match order {
                Order::Retry { id, reply } => {
                    reply.send(self.desk.engine.retry_now(id, now_ns)).is_ok()
                }
                Order::Snapshot { id, reply } => {
                    let has_source = self.glimpse.is_some() || self.channel.is_some();
                    let engine = &mut self.desk.engine;
                    let gaps = has_source.then(|| engine.snapshot_now(id, now_ns));
                    reply.send(gaps).is_ok()
                }
                Order::Sources { reply } => reply.send(self.desk.readiness.report()).is_ok(),
            };
            if !heard {
                tracing::warn!("the operator who gave an order did not wait for the answer");
            }
        }
    }

    /// Takes what the sources bring while there is room for it; returns whether anything came.
    fn take_answers(&mut self, now_ns: u64) -> bool {
        let Self {
            ranges,
            glimpse,
            channel,
            probes,
            desk,
            ..
        } = self;
        let mut happened = false;
        if desk.outbox.has_room() {
            if let Some(server) = &mut ranges.request {
                let address = server.address();
                let received = server.receive(|bytes, is_too_long| {
                    desk.on_datagram(bytes, is_too_long, probes, now_ns);
                    desk.outbox.has_room()
                });
                match received {
                    Ok(count) => happened |= count > 0,
                    Err(error) => desk.complain(now_ns, &address, "receive from", &error),
                }
            }
            happened |= ranges.serve(now_ns, |source, brought| {
                desk.on_brought(source, brought, now_ns);
                desk.outbox.has_room()
            });
        }
        if let Some(glimpse) = glimpse {
            let (moved, outcome) = glimpse.serve(now_ns, &mut desk.outbox);
            desk.on_snapshot_end(outcome, now_ns);
            happened |= moved;
        }
        if let Some(channel) = channel {
            happened |= channel.serve(now_ns, &mut desk.outbox, &mut desk.readiness);
        }
        let Desk {
            engine, readiness, ..
        } = desk;
        happened | probes.serve(now_ns, readiness, |source| engine.source_ready(source))
    }

    fn probe(&mut self, now_ns: u64) {
        let Some((session, next)) = self.desk.position else {
            return;
        };
        if std::mem::take(&mut self.owes_snapshot) {
            tracing::warn!("the journal ends inside a snapshot; another one is taken");
            self.desk.engine.snapshot_now(None, now_ns);
        }
        if !self.probes.is_due(now_ns) {
            return;
        }
        let engine = &self.desk.engine;
        let is_loading = self.glimpse.as_ref().is_some_and(|it| !it.is_idle());
        let is_in_use = |source| match source {
            SourceName::Request => engine.awaits(RangeSource::Request),
            SourceName::Stream => engine.awaits(RangeSource::Stream),
            SourceName::Peer => engine.awaits(RangeSource::Peer),
            SourceName::Snapshot => is_loading,
        };
        let request = self.probes.begin(session, next, now_ns, is_in_use);
        if let Some(channel) = &mut self.channel {
            channel.probe(now_ns);
        }
        if let (Some(request), Some(server)) = (request, &self.ranges.request)
            && let Err(error) = server.send(&request)
        {
            let address = server.address();
            self.desk.complain(now_ns, &address, "probe", &error);
        }
    }

    fn act(&mut self, now_ns: u64) {
        while let Some(action) = self.desk.engine.poll(now_ns) {
            match action {
                Action::Request {
                    id,
                    requests,
                    source,
                    session,
                    first,
                    count,
                } => {
                    let asked = self.ranges.ask(source, session, first, count, now_ns);
                    self.desk.on_asked(id, requests, source);
                    if let Err(error) = asked {
                        self.desk.engine.send_failed();
                        let name = source.name();
                        self.desk.complain(now_ns, &name, "send to", &error);
                    }
                }
                Action::Joined {
                    id,
                    requests,
                    source,
                } => self.desk.on_asked(id, requests, source),
                Action::Snapshot { reason, id, gaps } => {
                    tracing::warn!(
                        reason = reason.name(),
                        gap = id,
                        gaps,
                        "recovery by snapshot"
                    );
                    self.begin_snapshot(id, now_ns);
                }
                Action::GiveUp { id, reason, fault } => {
                    self.desk.tell_fault(id, fault);
                    self.desk.outbox.tell(Feedback::GiveUp { id, reason });
                }
                Action::SloMissed { id } => self.desk.outbox.tell(Feedback::SloMissed { id }),
            }
        }
        self.ranges.release(&self.desk.engine);
    }

    fn begin_snapshot(&mut self, id: u64, now_ns: u64) {
        let desk = &mut self.desk;
        if let Some(channel) = &mut self.channel {
            // Nobody brings these packets, so the stream goes on without them at once.
            channel.heal(desk.engine.awaiting_snapshot().max().unwrap_or(0));
            desk.engine.snapshot_done(u64::MAX, now_ns);
            return;
        }
        let (Some(glimpse), Some((session, _))) = (&mut self.glimpse, desk.position) else {
            desk.engine.snapshot_failed(Fault::Refused, now_ns);
            return;
        };
        for id in desk.engine.awaiting_snapshot() {
            desk.outbox.tell(Feedback::AwaitsSnapshot { id });
        }
        desk.readiness.in_use(SourceName::Snapshot);
        glimpse.begin(id, session, &mut desk.outbox);
    }

    fn idle(&mut self, now_ns: u64) -> Result<(), Failure> {
        let deadlines = [
            self.desk.engine.next_deadline_ns(),
            // Without room they are not served, however late it is.
            (self.ranges.next_deadline_ns()).filter(|_| self.desk.outbox.has_room()),
            self.probes.next_deadline_ns(),
            self.glimpse.as_ref().and_then(Glimpse::next_deadline_ns),
        ];
        let deadline_ns = deadlines.into_iter().flatten().min().unwrap_or(u64::MAX);
        let is_pending = self.ranges.is_pending()
            || self.probes.is_pending()
            || self.glimpse.as_ref().is_some_and(Glimpse::is_pending);
        let most_ns = if is_pending || !self.desk.outbox.is_clear() {
            CROWDED_WAIT_NS
        } else if self.channel.is_some() {
            FOLLOWING_WAIT_NS
        } else {
            LONGEST_WAIT_NS
        };
        let wait = Duration::from_nanos(deadline_ns.saturating_sub(now_ns).min(most_ns));
        let end = &self.desk.outbox.end;
        let waited = || -> Result<bool, NetError> {
            let mut set = WaitSet::default();
            set.add(end.wake.as_fd())?;
            if self.desk.outbox.has_room() {
                for socket in self.ranges.sockets() {
                    set.add(socket)?;
                }
                if let Some(channel) = &self.channel {
                    channel.register(&mut set)?;
                }
            }
            if let Some(socket) = self.glimpse.as_ref().and_then(Glimpse::socket) {
                set.add(socket)?;
            }
            set.wait(wait)
        };
        waited().map_err(|error| net_failure(&error))?;
        end.wake.clear();
        Ok(())
    }
}

impl Desk {
    fn on_command(&mut self, command: Command, now_ns: u64) {
        match command {
            Command::Open {
                id,
                session,
                first,
                last,
                detected_ns,
            } => {
                let opened = self.engine.open(id, session, first, last, detected_ns);
                if let Err(error) = opened {
                    tracing::error!(id, %error, "gap not taken; it is told again");
                    self.outbox.tell(Feedback::TellAgain);
                }
            }
            Command::Narrowed { id, first, last } => {
                let closed = self.engine.narrowed(id, first, last, now_ns);
                self.note_closed(id, closed);
            }
            Command::Closed { id } => {
                let closed = self.engine.closed(id, now_ns);
                self.note_closed(id, closed);
            }
            Command::ForgetAll => self.engine.forget_all(),
            Command::Position { session, next } => self.position = Some((session, next)),
            Command::Refused { about } => self.on_refused(&about, now_ns),
            Command::Stopped { .. } | Command::NotStopped => {}
        }
    }

    fn on_refused(&mut self, about: &About, now_ns: u64) {
        let source = match about.source {
            Source::Line(_) => return,
            Source::Retransmit => RangeSource::Request,
            Source::Stream => RangeSource::Stream,
            Source::Peer => RangeSource::Peer,
        };
        let (session, first) = (about.session, about.first);
        if self.engine.on_refused(source, session, first, now_ns) {
            let text = "its packets are of another epoch than those of the lines";
            self.readiness
                .failed(name_of(source), text.to_owned(), realtime_ns());
        }
    }

    fn note_closed(&mut self, id: u64, closed: Option<recovery::Closed>) {
        let Some(closed) = closed else { return };
        self.tell_fault(id, closed.fault);
        if closed.requests > 0 {
            self.metrics.range_latency_ns.record(closed.latency_ns);
        }
    }

    fn tell_fault(&mut self, id: u64, fault: Fault) {
        if fault != Fault::None {
            self.outbox.tell(Feedback::Faulty { id, fault });
        }
    }

    fn on_asked(&mut self, id: u64, requests: u32, source: RangeSource) {
        self.readiness.in_use(name_of(source));
        if let Some(fault) = self.engine.fault_of(id) {
            self.tell_fault(id, fault);
        }
        self.outbox.tell(Feedback::Requested {
            id,
            requests,
            at_ns: realtime_ns(),
        });
    }

    /// A datagram of the re-request server.
    fn on_datagram(&mut self, bytes: &[u8], is_too_long: bool, probes: &mut Probes, now_ns: u64) {
        let packet = match Packet::parse(bytes) {
            _ if is_too_long => return self.refuse(OVERSIZE, Fault::Oversize, now_ns),
            Err(error) => {
                return self.refuse(error.reason(), fault_of(error.reason()), now_ns);
            }
            Ok(packet) => packet,
        };
        if probes.takes(&packet, now_ns, &mut self.readiness) {
            self.engine.source_ready(RangeSource::Request);
            return;
        }
        let about = About {
            source: Source::Retransmit,
            session: packet.session(),
            first: packet.first_sequence(),
            count: packet.count(),
            is_whole: false,
        };
        let answer = recovery::Answer::from(&packet);
        self.on_answer(RangeSource::Request, about, answer, packet.blocks(), now_ns);
    }

    fn refuse(&mut self, reason: &str, fault: Fault, now_ns: u64) {
        self.metrics.rejected.count(reason);
        self.engine.on_fault(RangeSource::Request, fault, now_ns);
    }

    fn on_brought(&mut self, source: RangeSource, brought: Brought, now_ns: u64) {
        match brought {
            Brought::Delivery(delivery) => self.on_delivery(source, &delivery, now_ns),
            Brought::Fault {
                fault,
                detail,
                is_over,
            } => {
                if is_over {
                    self.engine.on_failed(source, fault, now_ns);
                } else {
                    self.engine.on_fault(source, fault, now_ns);
                }
                let text = format!("{}: {detail}", fault.name());
                self.readiness.failed(name_of(source), text, realtime_ns());
            }
        }
    }

    fn on_delivery(&mut self, source: RangeSource, delivery: &Delivery, now_ns: u64) {
        let (count, is_whole) = shape(&delivery.content);
        let payload = match &delivery.content {
            Content::Blocks { blocks, .. } => blocks,
            Content::Packet(packet) => packet,
        };
        if !fits(payload, is_whole, self.outbox.buffer_bytes()) {
            return self.engine.on_fault(source, Fault::Oversize, now_ns);
        }
        let about = About {
            source: match source {
                RangeSource::Request => Source::Retransmit,
                RangeSource::Stream => Source::Stream,
                RangeSource::Peer => Source::Peer,
            },
            session: delivery.session,
            first: delivery.first_sequence,
            count,
            is_whole,
        };
        let answer = recovery::Answer {
            session: about.session,
            first: about.first,
            count: u64::from(count),
            bytes: payload.len(),
        };
        self.on_answer(source, about, answer, payload, now_ns);
    }

    /// Judges an answer and hands on what of it is wanted.
    fn on_answer(
        &mut self,
        source: RangeSource,
        about: About,
        answer: recovery::Answer,
        payload: &[u8],
        now_ns: u64,
    ) {
        match self.engine.on_answer(source, answer, now_ns) {
            Verdict::Wanted { first, last } => {
                let at_ns = realtime_ns();
                self.readiness.answered(name_of(source), at_ns);
                let wanted = if about.is_whole {
                    payload
                } else {
                    cut_blocks(payload, about.first, first, last)
                };
                let about = About {
                    first: about.first.max(first),
                    ..about
                };
                self.outbox.answer(about, wanted, at_ns);
            }
            Verdict::WrongSession => self.metrics.rejected.count(WRONG_SESSION),
            Verdict::Stale | Verdict::NotAsked => {}
        }
    }

    fn on_snapshot_end(&mut self, outcome: Option<Outcome>, now_ns: u64) {
        match outcome {
            None => {}
            Some(Outcome::Done { resume_sequence }) => {
                self.readiness.answered(SourceName::Snapshot, realtime_ns());
                self.engine.snapshot_done(resume_sequence, now_ns);
            }
            Some(Outcome::Failed(fault, detail)) => {
                tracing::error!(fault = fault.name(), %detail, "snapshot failed");
                let text = format!("{}: {detail}", fault.name());
                self.readiness
                    .failed(SourceName::Snapshot, text, realtime_ns());
                for id in self.engine.awaiting_snapshot() {
                    self.outbox.tell(Feedback::Faulty { id, fault });
                }
                self.engine.snapshot_failed(fault, now_ns);
            }
        }
    }

    fn show(&self) {
        self.metrics.show(&self.engine);
    }

    /// One line per second at most: a dead server answers every request with an error.
    fn complain(
        &mut self,
        now_ns: u64,
        source: &dyn std::fmt::Display,
        doing: &str,
        error: &io::Error,
    ) {
        let is_due = |at_ns| now_ns.saturating_sub(at_ns) >= LOG_INTERVAL_NS;
        if self.complained_ns.is_none_or(is_due) {
            self.complained_ns = Some(now_ns);
            tracing::warn!(%source, %error, "cannot {doing} the recovery source");
        }
    }
}

fn name_of(source: RangeSource) -> SourceName {
    match source {
        RangeSource::Request => SourceName::Request,
        RangeSource::Stream => SourceName::Stream,
        RangeSource::Peer => SourceName::Peer,
    }
}

/// Whether a packet, or each of some message blocks, goes into a buffer.
fn fits(payload: &[u8], is_whole: bool, most: usize) -> bool {
    let fitting = || pieces(payload, most).map(|(_, piece)| piece.len());
    payload.len() <= most || (!is_whole && payload.len() == fitting().sum::<usize>())
}

/// The ledger's word for a datagram that is no packet.
fn fault_of(reason: &str) -> Fault {
    match reason {
        "truncated" | "block_beyond_end" => Fault::Truncated,
        _ => Fault::Garbage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks go in several buffers, each message in one; a packet goes in one. One message that
    /// is too long, wherever it stands, is seen.
    #[test]
    fn what_fits_a_buffer() {
        let short = [0, 3, b'a', b'b', b'c'];
        let long = [0, 4, b'a', b'b', b'c', b'd'];
        for (payload, is_whole, expected) in [
            (short.repeat(3), false, true),
            (short.repeat(3), true, false),
            (short.to_vec(), true, true),
            ([&short[..], &long].concat(), false, false),
            ([&long[..], &short].concat(), false, false),
        ] {
            assert_eq!(fits(&payload, is_whole, 5), expected, "{payload:?}");
        }
    }
}
