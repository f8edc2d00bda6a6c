//! The re-request server's thread: one UDP socket, one answer per request.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use tickdeck_sim::{History, RequestServer};

use super::STOP_POLL;
use super::args::PlayArgs;
use super::meters::RequestMeters;
use super::player::Published;
use crate::exit::{Code, Failure};
use crate::lifecycle::StopFlag;

/// Longer than a request, so that what is too long is seen to be.
const DATAGRAM_BYTES: usize = 64;

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
        let Self {
            server,
            history,
            answer,
            ..
        } = self;
        match server.answer(datagram, history, next_sequence, stopped, answer) {
            Ok(_) => {
                if let Err(error) = self.socket.send_to(&self.answer, peer) {
                    tracing::warn!(%peer, %error, "answer to a re-request not sent");
                }
            }
            Err(refusal) => tracing::debug!(%peer, ?refusal, "re-request not answered"),
        }
        if let Some(meters) = &self.meters {
            meters.publish(self.server.counters());
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
