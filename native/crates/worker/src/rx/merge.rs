//! What the receive thread does with packets, time and answers: everything but the sockets.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rtrb::Consumer;
use tickdeck_arbiter::{
    Arbiter, Arrival, Content, Disposition, Event, Framing, Gap, LossReason, Refused, Source,
};
use tickdeck_net::clock::realtime_ns;
use tickdeck_net::{Datagram, PathCounters, Stamp};
use tickdeck_stats::Counter;
use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::record::stamp;

use super::capture::Tap;
use super::gap_rows::{GapRows, monotonic_of};
use super::ladder::link::Asker;
use super::ladder::own::{MergeCounts, Own, PATH_LAYERS};
use super::link::{Answer, Command, Feedback};
use super::merge_orders::MergeOrder;
use super::metrics::{
    IMPLAUSIBLE_JUMP, LineMetrics, MergeMetrics, OVERSIZE, SEQUENCE_OVERFLOW, WRONG_SESSION,
};
use super::publisher::Publisher;
use super::race::RaceMetrics;
use super::recovery_port::RecoveryPort;
use crate::exit::{Code, Failure};
use crate::spec::UnrecoverablePolicy;

/// Answers taken in one pass, so that lines are not kept waiting.
pub(super) const ANSWERS_PER_PASS: usize = 64;
/// A line whose last packet is older than the other's by this much is silent.
const SILENT_NS: u64 = 2_000_000_000;
/// How often the recovery is told where the output stands.
const POSITION_INTERVAL_NS: u64 = 250_000_000;
/// Least time between two losses in the log.
const LOSS_LOG_INTERVAL_NS: u64 = 1_000_000_000;

pub(super) struct Merge {
    pub(super) framing: Framing,
    pub(super) arbiter: Arbiter,
    pub(super) publisher: Publisher,
    pub(super) rows: GapRows,
    pub(super) asker: Asker,
    /// A SESSION record is wanted at the head of the stream; see [`super::retention`].
    pub(super) session_wanted: Arc<AtomicBool>,
    /// Orders of operators and of the book worker.
    pub(super) orders: Consumer<MergeOrder>,
    /// `None` when there is nobody to ask.
    pub(super) port: Option<RecoveryPort>,
    pub(super) policy: UnrecoverablePolicy,
    pub(super) lines: [LineMetrics; 2],
    /// Losses by layer, one per receiver.
    pub(super) receivers: [[Counter; PATH_LAYERS.len()]; 2],
    pub(super) metrics: MergeMetrics,
    pub(super) race: RaceMetrics,
    pub(super) requests_dropped: Counter,
    /// Where the output is to stop, once the lines have come so far.
    pub(super) stop_target: Option<u64>,
    /// A snapshot's records are going out. A session that takes over ends it: what is still on its
    /// way is of the session before.
    pub(super) is_loading: bool,
    /// When the recovery is told where the output stands, monotonic ns.
    pub(super) position_due_ns: u64,
    /// Gaps to give up after the current call.
    pub(super) hopeless: Vec<(u64, LossReason)>,
    /// When a loss was last written to the log, monotonic ns.
    pub(super) loss_logged_ns: Option<u64>,
    /// Why the worker must end.
    pub(super) failure: Option<Failure>,
    /// `None` when nothing is captured.
    pub(super) tap: Option<Tap>,
}

impl Merge {
    /// A datagram of a line.
    #[inline]
    pub(super) fn on_datagram(&mut self, datagram: &Datagram<'_>, now_ns: u64) {
        let metrics = &self.lines[usize::from(datagram.line)];
        metrics.packets.add(1);
        metrics.bytes.add(datagram.payload.len() as u64);
        self.take(datagram, now_ns);
        // Behind the rest: a gap that this packet opens asks when the one before it came.
        let metrics = &self.lines[usize::from(datagram.line)];
        metrics.last_packet_ns.set(datagram.rx_ns);
    }

    #[inline]
    fn take(&mut self, datagram: &Datagram<'_>, now_ns: u64) {
        let line = datagram.line;
        let metrics = &self.lines[usize::from(line)];
        if datagram.truncated {
            metrics.rejected.count(OVERSIZE);
            return;
        }
        let unit = match self.framing.frame(line, datagram.payload, now_ns) {
            Ok(unit) => unit,
            Err(Refused { reason }) => {
                metrics.rejected.count(reason);
                return;
            }
        };
        let arrival = Arrival {
            source: Source::Line(line),
            unit,
            rx_ns: datagram.rx_ns,
            stamp: stamp_code(datagram.stamp),
            now_ns,
        };
        match self.arbiter.on_packet(arrival, &mut self.publisher) {
            Disposition::WrongSession => metrics.rejected.count(WRONG_SESSION),
            Disposition::ImplausibleJump => metrics.rejected.count(IMPLAUSIBLE_JUMP),
            Disposition::SequenceOverflow => metrics.rejected.count(SEQUENCE_OVERFLOW),
            Disposition::Control => {
                if matches!(unit.content, Content::Heartbeat) {
                    metrics.heartbeats.add(1);
                }
                if unit.first_sequence == self.arbiter.next_sequence() {
                    self.publisher.last_delivery_ns = datagram.rx_ns;
                }
            }
            _ => {}
        }
        self.settle(now_ns);
    }

    /// Keeps a datagram for the capture.
    #[inline]
    pub(super) fn capture(&mut self, datagram: &Datagram<'_>) {
        if let Some(tap) = &mut self.tap {
            tap.record(datagram);
        }
    }

    /// Makes the recovery's wake-up call unheard.
    pub(super) fn clear_wake(&self) {
        if let Some(port) = &self.port {
            port.wake().clear();
        }
    }

    /// Takes what the recovery has to say; returns how much that was.
    pub(super) fn take_feedback(&mut self, now_ns: u64) -> usize {
        for count in 0..ANSWERS_PER_PASS {
            let Some(feedback) = self.port.as_mut().and_then(RecoveryPort::next_feedback) else {
                return count;
            };
            self.on_feedback(feedback, now_ns);
        }
        ANSWERS_PER_PASS
    }

    /// What time asks for: waits that are over, news for the recovery.
    pub(super) fn poll(&mut self, now_ns: u64) {
        self.arbiter.poll(now_ns, &mut self.publisher);
        self.publish_rows();
        self.settle(now_ns);
        self.stop_if_due(now_ns);
        if let Some(port) = &mut self.port {
            if now_ns >= self.position_due_ns
                && let Some(session) = self.arbiter.session()
            {
                self.position_due_ns = now_ns + POSITION_INTERVAL_NS;
                let next = self.arbiter.next_sequence();
                port.tell(Command::Position { session, next });
            }
            port.flush(&self.arbiter);
        }
    }

    /// Tells the ladder what the paths and the merge have counted by `at_ns`.
    pub(super) fn tell_counts(&mut self, at_ns: u64, paths: PathCounters) {
        let counters = self.arbiter.counters();
        let lines = self.lines.iter();
        let merge = MergeCounts {
            rejected: lines.map(|line| line.rejected.malformed()).sum(),
            wrong_session: counters.wrong_session,
            implausible: counters.implausible_jumps + counters.sequence_overflows,
            hold_dropped: counters.hold_dropped,
            stale: counters.stale,
            oversize: self.publisher.oversize(),
        };
        self.asker.tell(at_ns, Own { paths, merge });
        self.metrics.verdicts_skipped.set(self.asker.skipped);
    }

    /// Takes the ladder's verdicts into the gap table.
    #[inline]
    pub(super) fn take_verdicts(&mut self) {
        while let Some(found) = self.asker.next_found() {
            self.rows.found(found.id, found.layer, found.lost);
        }
    }

    /// When the line that is behind had its last packet, monotonic ns. A line that is silent while
    /// the other is not tells nothing of when a gap was lost.
    fn last_packet_ns(&self) -> u64 {
        let stamps = self.lines.each_ref().map(|line| line.last_packet_ns.get());
        let newest = stamps[0].max(stamps[1]);
        monotonic_of(
            stamps[0]
                .min(stamps[1])
                .max(newest.saturating_sub(SILENT_NS)),
        )
    }

    /// Copies what the merge counted into the stats file.
    pub(super) fn show(&self, now_ns: u64) {
        let counters = self.arbiter.counters();
        for (metrics, line) in self.lines.iter().zip(&counters.lines) {
            metrics.messages.set(line.messages);
            metrics.first.set(line.first);
            metrics.lost.set(line.lost);
            metrics.next_sequence.set(line.next_sequence);
        }
        let metrics = &self.metrics;
        metrics.delivered.set(counters.delivered);
        metrics.duplicates.set(counters.duplicates);
        metrics.stale.set(counters.stale);
        metrics.held_packets.set(counters.held_packets);
        metrics.hold_dropped.set(counters.hold_dropped);
        metrics.next_sequence.set(self.arbiter.next_sequence());
        metrics.gaps_opened.set(counters.gaps_opened);
        metrics.gaps_filled.set(counters.gaps_filled);
        metrics.gaps_unrecovered.set(counters.gaps_unrecovered);
        let closed = counters.gaps_filled + counters.gaps_unrecovered;
        metrics.gaps_open.set(counters.gaps_opened - closed);
        metrics.messages_lost.set(counters.messages_lost);
        metrics.session_changes.set(counters.session_changes);
        if let Some(port) = &self.port {
            self.requests_dropped.set(port.dropped);
        }
        if let Some(tap) = &self.tap {
            metrics.captured.set(tap.packets());
        }
        self.race.show(&self.arbiter, now_ns);
        self.publisher
            .show(metrics, self.arbiter.session_has_ended());
    }

    fn on_feedback(&mut self, feedback: Feedback, now_ns: u64) {
        match feedback {
            Feedback::Answer(answer) => self.take_answer(answer, now_ns),
            Feedback::Requested {
                id,
                requests,
                at_ns,
            } => {
                self.rows.requested(id, requests, at_ns);
            }
            Feedback::SloMissed { id } => self.rows.slo_missed(id),
            Feedback::GiveUp { id, reason } => self.give_up(id, reason, now_ns),
            Feedback::Faulty { id, fault } => self.rows.fault(id, u64::from(fault as u8)),
            Feedback::AwaitsSnapshot { id } => self.rows.snapshot_waited(id),
            Feedback::StopAt { sequence } => self.stop_output(sequence, now_ns),
            Feedback::SnapshotBegin(event) => self.begin_snapshot(&event),
            Feedback::SnapshotPart(part) => self.take_snapshot_part(part),
            Feedback::SnapshotEnd(event) => self.end_snapshot(&event),
            Feedback::Healed { newest } => self.rows.healed_up_to(newest, realtime_ns()),
            Feedback::GoOn => self.let_output_go_on(now_ns),
            Feedback::TellAgain => {
                if let Some(port) = &mut self.port {
                    port.mark_stale();
                }
            }
        }
        self.settle(now_ns);
    }

    fn take_answer(&mut self, answer: Answer, now_ns: u64) {
        let unit = if answer.about.is_whole {
            self.framing.frame_answer(answer.payload()).ok()
        } else {
            answer.unit()
        };
        if let Some(unit) = unit.filter(|unit| answer.about.is_of(unit)) {
            let arrival = Arrival {
                source: answer.about.source,
                unit,
                rx_ns: answer.rx_ns,
                stamp: stamp::USER,
                now_ns,
            };
            let taken = self.arbiter.on_packet(arrival, &mut self.publisher);
            if taken == Disposition::Stale {
                self.rows.stale_answer(answer.about.first);
            }
        } else {
            let about = answer.about;
            self.tell(Command::Refused { about });
        }
        self.give_back(answer);
    }

    pub(super) fn give_back(&mut self, answer: Answer) {
        if let Some(port) = &mut self.port {
            port.give_back(answer);
        }
    }

    /// Publishes rows of the ledger that are due.
    #[inline]
    pub(super) fn publish_rows(&mut self) {
        let publisher = &mut self.publisher;
        self.rows.take_due(|row| publisher.publish_row(row));
    }

    pub(super) fn give_up(&mut self, id: u64, reason: LossReason, now_ns: u64) {
        self.arbiter
            .give_up(id, reason, now_ns, &mut self.publisher);
    }

    /// Works off what the merge told, until it tells nothing more.
    #[inline]
    pub(super) fn settle(&mut self, now_ns: u64) {
        while !self.publisher.pending.is_empty() {
            self.work_off_pending(now_ns);
            while let Some((id, reason)) = self.hopeless.pop() {
                self.give_up(id, reason, now_ns);
            }
        }
        if let Some(error) = self.publisher.take_failure() {
            self.failure.get_or_insert(Failure::failed(format!(
                "a record does not fit the ring: {error}; raise receive.max_packet_bytes"
            )));
        }
    }

    #[cold]
    fn work_off_pending(&mut self, now_ns: u64) {
        for index in 0..self.publisher.pending.len() {
            let event = self.publisher.pending[index];
            self.work_off(event, now_ns);
        }
        self.publisher.pending.clear();
        self.publish_rows();
    }

    fn work_off(&mut self, event: Event, now_ns: u64) {
        match event {
            Event::Session { kind, .. } => self.on_session(kind),
            Event::Stopped { sequence } => self.tell(Command::Stopped { sequence }),
            Event::GapOpened { gap } => {
                // A gap has a session; a new one has told its begin before.
                let session = self.arbiter.session().unwrap_or(Session([b' '; 10]));
                self.rows.opened(&gap, session);
                let since_ns = self.last_packet_ns();
                let hold_dropped = self.arbiter.counters().hold_dropped;
                self.asker.opened(gap.id, since_ns, hold_dropped);
            }
            Event::GapWaitOver { gap } => {
                self.asker.missed(gap.id);
                if let Some(tap) = &mut self.tap {
                    tap.gap(&gap);
                }
                self.rows
                    .waited(gap.id, self.arbiter.lines_that_missed(gap.first, gap.last));
                match &mut self.port {
                    Some(port) => port.open(&self.arbiter, gap.id, gap.opened_ns),
                    None => self.hopeless.push((gap.id, LossReason::NoRecoverySource)),
                }
            }
            Event::GapProgress {
                id,
                first,
                last,
                missing,
                source,
                wait_over,
            } => {
                self.rows.progressed(id, last - first + 1, missing, source);
                if !matches!(source, Source::Line(_)) {
                    self.rows.injected(id, 1);
                }
                if wait_over {
                    self.tell(Command::Narrowed { id, first, last });
                }
            }
            Event::GapFilled {
                gap,
                sources,
                wait_over,
            } => {
                self.rows
                    .missed_by(gap.id, self.arbiter.lines_that_missed(gap.first, gap.last));
                self.rows.filled(gap.id, sources);
                if wait_over {
                    self.tell(Command::Closed { id: gap.id });
                }
            }
            Event::GapLost { gap, reason } => self.on_loss(&gap, reason, now_ns),
            Event::GapUnrecovered {
                gap,
                lost,
                sources,
                wait_over,
                reason,
            } => {
                self.rows
                    .missed_by(gap.id, self.arbiter.lines_that_missed(gap.first, gap.last));
                self.rows.unrecovered(gap.id, lost, sources, reason);
                if wait_over {
                    self.tell(Command::Closed { id: gap.id });
                }
            }
        }
    }

    pub(super) fn tell(&mut self, command: Command) {
        if let Some(port) = &mut self.port {
            port.tell(command);
        }
    }

    fn on_loss(&mut self, hole: &Gap, reason: LossReason, now_ns: u64) {
        let (first, last) = (hole.first, hole.last);
        // Of a gap that goes on behind a snapshot this part is wanted no more.
        self.tell(Command::Narrowed {
            id: hole.id,
            first,
            last,
        });
        let is_due = |at_ns| now_ns.saturating_sub(at_ns) >= LOSS_LOG_INTERVAL_NS;
        if self.loss_logged_ns.is_none_or(is_due) {
            self.loss_logged_ns = Some(now_ns);
            tracing::error!(
                first,
                last,
                reason = reason.name(),
                "messages lost; further losses of this second are only counted"
            );
        }
        // What an operator has given up, or a snapshot stands in for, is no reason to halt.
        let is_meant = matches!(reason, LossReason::Operator | LossReason::Snapshot);
        if self.policy == UnrecoverablePolicy::Halt && !is_meant {
            let message = format!(
                "messages {first}..={last} could not be recovered ({}) and \
                 recovery.unrecoverable_policy is \"halt\"; the loss is in the journal: start the \
                 worker again to go on behind it",
                reason.name()
            );
            self.failure
                .get_or_insert(Failure::new(Code::Unavailable, message));
        }
    }
}

pub(super) fn stamp_code(stamp: Stamp) -> u8 {
    match stamp {
        Stamp::Hardware => stamp::HARDWARE,
        Stamp::Kernel => stamp::KERNEL,
        Stamp::User => stamp::USER,
    }
}
