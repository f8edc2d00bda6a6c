//! The recovery thread: sends the engine's requests and hands what comes back to the merge.
//!
//! It has its own socket and its own thread, so nothing here can slow the receive thread. While
//! the merge has not given buffers back, answers stay in the socket's own buffer.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use rtrb::Consumer;
use tickdeck_net::clock::{monotonic_ns, realtime_ns};
use tickdeck_net::wait_readable;
use tickdeck_recovery::{Action, Engine, Verdict};
use tickdeck_wire::moldudp64::{Packet, Request};

use super::failure::net_failure;
use super::link::{Answer, Command, Feedback, RecoveryEnd};
use super::metrics::{OVERSIZE, RecoveryMetrics, WRONG_SESSION};
use crate::exit::Failure;

mod connection;

/// Longest sleep, so that a stop is noticed.
const LONGEST_WAIT_NS: u64 = 50_000_000;
/// Sleep while feedback waits for room or answers wait for a buffer.
const CROWDED_WAIT_NS: u64 = 1_000_000;
/// Answers taken in one pass.
const ANSWERS_PER_PASS: usize = 64;
/// Room for a burst of answers; the kernel may grant less, then the rest is asked for again.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;
/// Least time between two complaints about the server in the log.
const LOG_INTERVAL_NS: u64 = 1_000_000_000;

/// An operator's order: ask again now, for one gap or for all.
pub(super) struct RetryNow {
    pub(super) id: Option<u64>,
    /// Gets the number of gaps.
    pub(super) reply: SyncSender<usize>,
}

pub(super) struct RecoveryThread {
    engine: Engine,
    socket: UdpSocket,
    server: SocketAddrV4,
    end: RecoveryEnd,
    orders: Consumer<RetryNow>,
    metrics: RecoveryMetrics,
    stop: Arc<AtomicBool>,
    /// Feedback that found no room.
    unsent: VecDeque<Feedback>,
    complained_ns: Option<u64>,
}

/// A socket that takes answers from `server` only.
pub(super) fn connect(server: SocketAddrV4) -> Result<UdpSocket, Failure> {
    let failed =
        |error: io::Error| Failure::failed(format!("re-request socket to {server}: {error}"));
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(failed)?;
    socket.connect(server).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER_BYTES)
        .map_err(|error| failed(error.into()))?;
    Ok(socket)
}

impl RecoveryThread {
    pub(super) fn new(
        engine: Engine,
        socket: UdpSocket,
        server: SocketAddrV4,
        end: RecoveryEnd,
        orders: Consumer<RetryNow>,
        metrics: RecoveryMetrics,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            engine,
            socket,
            server,
            end,
            orders,
            metrics,
            stop,
            unsent: VecDeque::new(),
            complained_ns: None,
        }
    }

    /// Runs until the stop.
    pub(super) fn run(mut self) -> Result<(), Failure> {
        while !self.stop.load(Ordering::Relaxed) {
            let now_ns = monotonic_ns();
            self.take_commands(now_ns);
            self.take_orders(now_ns);
            let answers = self.take_answers(now_ns);
            self.act(now_ns);
            self.send_feedback();
            self.show();
            if answers == 0 {
                self.idle(now_ns)?;
            }
        }
        Ok(())
    }

    fn take_commands(&mut self, now_ns: u64) {
        while let Ok(command) = self.end.commands.pop() {
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
                        self.unsent.push_back(Feedback::TellAgain);
                    }
                }
                Command::Narrowed { id, first, last } => {
                    let closed = self.engine.narrowed(id, first, last, now_ns);
                    self.note_closed(closed);
                }
                Command::Closed { id } => {
                    let closed = self.engine.closed(id, now_ns);
                    self.note_closed(closed);
                }
                Command::ForgetAll => self.engine.forget_all(),
            }
        }
    }

    fn note_closed(&mut self, closed: Option<tickdeck_recovery::Closed>) {
        if let Some(closed) = closed.filter(|closed| closed.requests > 0) {
            self.metrics.range_latency_ns.record(closed.latency_ns);
        }
    }

    fn take_orders(&mut self, now_ns: u64) {
        while let Ok(order) = self.orders.pop() {
            let gaps = self.engine.retry_now(order.id, now_ns);
            if order.reply.send(gaps).is_err() {
                tracing::warn!("the operator who asked for a retry did not wait for the answer");
            }
        }
    }

    /// Takes answers from the socket; returns how many.
    fn take_answers(&mut self, now_ns: u64) -> usize {
        while let Ok(answer) = self.end.returns.pop() {
            self.end.free.push(answer);
        }
        for count in 0..ANSWERS_PER_PASS {
            let Some(mut answer) = self.end.free.pop() else {
                return count;
            };
            match self.socket.recv(&mut answer.bytes) {
                Ok(length) => {
                    answer.length = length;
                    answer.rx_ns = realtime_ns();
                    self.judge(answer, now_ns);
                }
                Err(error) => {
                    self.end.free.push(answer);
                    if error.kind() != io::ErrorKind::WouldBlock {
                        self.complain(now_ns, "receive from", &error);
                    }
                    return count;
                }
            }
        }
        ANSWERS_PER_PASS
    }

    fn judge(&mut self, answer: Answer, now_ns: u64) {
        let refused = if answer.length == answer.bytes.len() {
            Some(OVERSIZE)
        } else {
            match Packet::parse(&answer.bytes[..answer.length]) {
                Err(error) => Some(error.reason()),
                Ok(packet) => match self.engine.on_answer(&packet, now_ns) {
                    Verdict::Wanted => {
                        self.unsent.push_back(Feedback::Answer(answer));
                        return;
                    }
                    Verdict::WrongSession => Some(WRONG_SESSION),
                    Verdict::Stale | Verdict::NotAsked => None,
                },
            }
        };
        if let Some(reason) = refused {
            self.metrics.rejected.count(reason);
        }
        self.end.free.push(answer);
    }

    fn act(&mut self, now_ns: u64) {
        while let Some(action) = self.engine.poll(now_ns) {
            match action {
                Action::Request {
                    id,
                    requests,
                    request,
                } => {
                    self.send(&request, now_ns);
                    let at_ns = realtime_ns();
                    self.unsent.push_back(Feedback::Requested {
                        id,
                        requests,
                        at_ns,
                    });
                }
                Action::GiveUp { id, reason } => {
                    self.unsent.push_back(Feedback::GiveUp { id, reason });
                }
                Action::SloMissed { id } => self.unsent.push_back(Feedback::SloMissed { id }),
            }
        }
    }

    fn send(&mut self, request: &Request, now_ns: u64) {
        if let Err(error) = self.socket.send(&request.encode()) {
            self.engine.send_failed();
            self.complain(now_ns, "send to", &error);
        }
    }

    /// Moves feedback into its queue as far as there is room, and wakes the receive thread.
    fn send_feedback(&mut self) {
        let mut sent = false;
        while let Some(feedback) = self.unsent.pop_front() {
            match self.end.feedback.push(feedback) {
                Ok(()) => sent = true,
                Err(rtrb::PushError::Full(feedback)) => {
                    self.unsent.push_front(feedback);
                    break;
                }
            }
        }
        if sent {
            self.end.wake_receive.wake();
        }
    }

    fn show(&self) {
        let (metrics, counters) = (&self.metrics, self.engine.counters());
        metrics.requests.set(counters.requests);
        metrics.requests_dropped.set(counters.requests_dropped);
        metrics.retries.set(counters.retries);
        metrics.failures.set(counters.failures);
        metrics.fetched_ranges.set(counters.fetched_ranges);
        metrics.unrecoverable_gaps.set(counters.unrecoverable_gaps);
        metrics.injected_packets.set(counters.injected_packets);
        metrics.stale_packets.set(counters.stale_packets);
        metrics.slo_violations.set(counters.slo_violations);
    }

    fn idle(&mut self, now_ns: u64) -> Result<(), Failure> {
        let deadline_ns = self.engine.next_deadline_ns().unwrap_or(u64::MAX);
        let is_crowded = !self.unsent.is_empty() || self.end.free.is_empty();
        let most_ns = if is_crowded {
            CROWDED_WAIT_NS
        } else {
            LONGEST_WAIT_NS
        };
        let wait = Duration::from_nanos(deadline_ns.saturating_sub(now_ns).min(most_ns));
        let (wake, socket) = (self.end.wake.as_fd(), self.socket.as_fd());
        let both = [wake, socket];
        let waited_for = if self.end.free.is_empty() {
            &both[..1]
        } else {
            &both[..]
        };
        wait_readable(waited_for, wait).map_err(|error| net_failure(&error))?;
        self.end.wake.clear();
        Ok(())
    }

    /// One line per second at most: a dead server answers every request with an error.
    fn complain(&mut self, now_ns: u64, doing: &str, error: &io::Error) {
        let is_due = |at_ns| now_ns.saturating_sub(at_ns) >= LOG_INTERVAL_NS;
        if self.complained_ns.is_none_or(is_due) {
            self.complained_ns = Some(now_ns);
            tracing::warn!(server = %self.server, %error, "cannot {doing} the re-request server");
        }
    }
}
