//! Subscribers as they should not be. Whoever is thrown out comes again.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tickdeck_export::message::{Ack, Message};

use super::healthy::{Healthy, dial};
use super::{Error, failed};

/// What one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Never reads a byte.
    Silent,
    /// Reads a byte a second.
    Slow,
    /// Ends its side.
    HalfClosed,
    /// Resets, again and again.
    Resetting,
    /// Sends what is no frame.
    Garbage,
    /// Acknowledges the same, very often.
    AckFlood,
    /// Acknowledges what does not exist yet.
    FutureAck,
    /// Proves itself byte by byte.
    Dripping,
}

/// Fifteen of them.
pub(super) const ALL: [Kind; 15] = [
    Kind::Silent,
    Kind::Silent,
    Kind::Silent,
    Kind::Silent,
    Kind::Slow,
    Kind::Slow,
    Kind::HalfClosed,
    Kind::Resetting,
    Kind::Garbage,
    Kind::Garbage,
    Kind::AckFlood,
    Kind::FutureAck,
    Kind::Dripping,
    Kind::Dripping,
    Kind::Dripping,
];

/// One bad subscriber.
pub(super) struct Guest<'a> {
    kind: Kind,
    port: u16,
    host: u16,
    name: String,
    over: &'a AtomicBool,
    connections: &'a AtomicU64,
}

impl<'a> Guest<'a> {
    /// With a name and an address of its own.
    pub(super) fn new(
        kind: Kind,
        port: u16,
        over: &'a AtomicBool,
        connections: &'a AtomicU64,
        number: u16,
    ) -> Self {
        Self {
            kind,
            port,
            host: 0x0500 + number,
            name: format!("bad-{number}"),
            over,
            connections,
        }
    }

    /// Is bad until it is over. To be thrown out is the purpose; what of it there was, the exporter's
    /// counters say, and the run is void if they do not.
    pub(super) fn misbehave(&self) {
        while !self.is_over() {
            self.connections.fetch_add(1, Ordering::Relaxed);
            let begin = Instant::now();
            match self.once() {
                Ok(()) | Err(_) => self.wait(AGAIN.saturating_sub(begin.elapsed())),
            }
        }
    }

    fn once(&self) -> Result<(), Error> {
        if self.kind == Kind::Dripping {
            return self.drip();
        }
        let mut peer = Healthy::connect_as(&self.name, self.port, self.host)?;
        let socket = &mut peer.socket;
        match self.kind {
            Kind::Silent => self.wait(FOREVER),
            Kind::Slow => {
                let mut byte = [0];
                while !self.is_over() && socket.read(&mut byte).map_err(failed("read"))? == 1 {
                    self.wait(Duration::from_secs(1));
                }
            }
            Kind::HalfClosed => {
                socket.shutdown(Shutdown::Write).map_err(failed("shut"))?;
                self.wait(FOREVER);
            }
            Kind::Resetting => {
                let at_once = Some(Duration::ZERO);
                rustix::net::sockopt::set_socket_linger(&*socket, at_once)
                    .map_err(|errno| failed("set linger")(errno.into()))?;
            }
            Kind::Garbage => self.send(socket, &[0xA5; 4_096])?,
            Kind::AckFlood => {
                let flood = Message::Ack(Ack { seq: 1 }).to_frame().repeat(500);
                while !self.is_over() {
                    self.send(socket, &flood)?;
                }
            }
            Kind::FutureAck => {
                let future = Message::Ack(Ack { seq: u64::MAX - 1 });
                self.send(socket, &future.to_frame())?;
            }
            Kind::Dripping => {}
        }
        Ok(())
    }

    /// Sends, and leaves time to be thrown out.
    fn send(&self, socket: &mut impl Write, bytes: &[u8]) -> Result<(), Error> {
        socket.write_all(bytes).map_err(failed("send"))?;
        self.wait(Duration::from_millis(20));
        Ok(())
    }

    /// One byte of a proof at a time.
    fn drip(&self) -> Result<(), Error> {
        let mut socket = dial(self.port, self.host)?;
        for byte in [100u8, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0] {
            socket.write_all(&[byte]).map_err(failed("send"))?;
            self.wait(Duration::from_millis(400));
        }
        Ok(())
    }

    fn wait(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.is_over() && Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            thread::sleep(left.min(Duration::from_millis(20)));
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

/// Least time between two connections of one.
const AGAIN: Duration = Duration::from_millis(50);
const FOREVER: Duration = Duration::from_secs(3_600);
