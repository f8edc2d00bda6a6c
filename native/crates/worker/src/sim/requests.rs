//! The re-request server's thread: one UDP socket, at most one answer per request.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use tickdeck_net::clock::monotonic_ns;
use tickdeck_sim::lies::{Lie, Server};
use tickdeck_sim::{History, RequestServer};

use super::STOP_POLL;
use super::args::PlayArgs;
use super::meters::RequestMeters;
use super::player::Published;
use crate::exit::{Code, Failure};
use crate::lifecycle::StopFlag;

/// Longer than a request, so that what is too long is seen to be.
const DATAGRAM_BYTES: usize = 64;
/// Answers that are late at a time; more are lost.
const MAX_LATE: usize = 1_024;

/// A running request server.
pub(super) struct RequestThread {
    address: SocketAddr,
    thread: JoinHandle<Result<(), Failure>>,
}

struct Service {
    socket: UdpSocket,
    server: RequestServer,
    history: Arc<History>,
    published: Arc<Published>,
    meters: Option<RequestMeters>,
    answer: Vec<u8>,
    /// Slow answers, by the time at which they go out. All are late by about as much, so the
    /// first is due first, or nearly.
    late: VecDeque<(u64, SocketAddr, Vec<u8>)>,
}

impl RequestThread {
    /// Binds the address and answers until `stop`, which it sets itself when it fails.
    pub(super) fn start(
        args: &PlayArgs,
        address: SocketAddrV4,
        history: &Arc<History>,
        published: &Arc<Published>,
        meters: Option<RequestMeters>,
        stop: &StopFlag,
    ) -> Result<Self, Failure> {
        let (socket, bound) = bind(address).map_err(|error| {
            let text = format!("listen for re-requests on {address}: {error}");
            Failure::new(Code::Unavailable, text)
        })?;
        let mut service = Service {
            socket,
            server: RequestServer::new(args.session, usize::from(args.max_payload)),
            history: Arc::clone(history),
            published: Arc::clone(published),
            meters,
            answer: Vec::with_capacity(usize::from(args.max_payload)),
            late: VecDeque::new(),
        };
        let stop = stop.clone();
        let thread = thread::Builder::new()
            .name("requests".to_owned())
            .spawn(move || {
                let result = service.serve(&stop);
                stop.set();
                result
            })
            .map_err(|error| Failure::failed(format!("start the request thread: {error}")))?;
        Ok(Self {
            address: bound,
            thread,
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for its end and gives its failure, if any.
    pub(super) fn join(self) -> Result<(), Failure> {
        let panicked = |_| Err(Failure::failed("the request thread panicked"));
        self.thread.join().unwrap_or_else(panicked)
    }
}

impl Service {
    fn serve(&mut self, stop: &StopFlag) -> Result<(), Failure> {
        let mut datagram = [0; DATAGRAM_BYTES];
        while !stop.is_set() {
            self.send_late();
            match self.socket.recv_from(&mut datagram) {
                Ok((length, peer)) => self.answer(&datagram[..length], peer),
                Err(error) if is_pause(&error) => {}
                Err(error) => {
                    return Err(Failure::failed(format!("receive re-requests: {error}")));
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self, datagram: &[u8], peer: SocketAddr) {
        let next_sequence = self.published.next_sequence.load(Ordering::Acquire);
        let stopped = self.published.requests_stopped.load(Ordering::Relaxed);
        let now_ns = monotonic_ns();
        let order = self.published.draw(Server::Request, now_ns);
        let Self {
            server,
            history,
            answer,
            ..
        } = self;
        let result = match order {
            Some(order) if !stopped => server.lie(order, datagram, history, next_sequence, answer),
            _ => server.answer(datagram, history, next_sequence, stopped, answer),
        };
        match (result, order) {
            (Err(refusal), _) => tracing::debug!(%peer, ?refusal, "re-request not answered"),
            (Ok(_), Some(order)) if order.lie == Lie::Slow => {
                let due_ns = now_ns.saturating_add(order.delay_ns);
                if self.late.len() < MAX_LATE {
                    self.late.push_back((due_ns, peer, self.answer.clone()));
                }
            }
            (Ok(_), _) => self.send(&self.answer, peer),
        }
        if let Some(meters) = &self.meters {
            meters.publish(self.server.counters());
        }
    }

    fn send_late(&mut self) {
        let now_ns = monotonic_ns();
        while self
            .late
            .front()
            .is_some_and(|(due_ns, ..)| *due_ns <= now_ns)
            && let Some((_, peer, answer)) = self.late.pop_front()
        {
            self.send(&answer, peer);
        }
    }

    fn send(&self, answer: &[u8], peer: SocketAddr) {
        if let Err(error) = self.socket.send_to(answer, peer) {
            tracing::warn!(%peer, %error, "answer to a re-request not sent");
        }
    }
}

fn bind(address: SocketAddrV4) -> io::Result<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind(address)?;
    socket.set_read_timeout(Some(STOP_POLL))?;
    let bound = socket.local_addr()?;
    Ok((socket, bound))
}

fn is_pause(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}
