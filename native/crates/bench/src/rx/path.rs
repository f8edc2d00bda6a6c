//! One interface over our receivers and the bare loops. Everything is compiled into the measuring
//! loop, so that the comparison is not one of calls.

use std::os::fd::AsFd;
use std::time::Duration;

use tickdeck_net::bare::{BARE_BATCH, BarePacketRing, BareRecvmmsg, BareXsk};
use tickdeck_net::{Datagram, PathCounters, Receiver, WaitSet};

use super::Error;

/// Takes the packets of a run.
pub(crate) trait Sink {
    /// One packet. `line` and `rx_ns` are 0 where a bare loop does not know them.
    fn take(&mut self, line: u8, payload: &[u8], rx_ns: u64);
    /// A pass over the lines begins.
    fn begin(&mut self) {}
    /// A pass over the lines ended.
    fn end(&mut self) {}
}

/// A way to receive, open.
pub(crate) trait Path {
    /// Takes what is there, at most a batch of each descriptor. Returns how many packets came and
    /// whether more is waiting.
    fn take(&mut self, sink: &mut impl Sink) -> Result<(usize, bool), Error>;
    /// Sleeps until something can be received. Returns whether it can.
    fn wait(&mut self, timeout: Duration) -> Result<bool, Error>;
    /// What was dropped since it was opened.
    fn counters(&mut self) -> Result<PathCounters, Error>;
}

/// Receivers of the plant.
pub(crate) struct Ours<R> {
    name: &'static str,
    receivers: Vec<R>,
    /// The last wait ended because something could be read.
    woken: bool,
}

impl<R: Receiver> Ours<R> {
    pub(crate) fn new(name: &'static str, receivers: Vec<R>) -> Self {
        let woken = false;
        Self {
            name,
            receivers,
            woken,
        }
    }
}

impl<R: Receiver> Path for Ours<R> {
    #[inline]
    fn take(&mut self, sink: &mut impl Sink) -> Result<(usize, bool), Error> {
        let (mut all, mut is_behind) = (0, false);
        for receiver in &mut self.receivers {
            let mut handler = |datagram: Datagram<'_>| {
                sink.take(datagram.line, datagram.payload, datagram.rx_ns);
            };
            let count = match receiver.receive(&mut handler) {
                Ok(count) => count,
                Err(error) => return Err(Error::net(self.name)(error)),
            };
            all += count;
            is_behind |= count >= BARE_BATCH;
        }
        // As the plant does: when no packet of the path ended the wait, one beside it did.
        if std::mem::take(&mut self.woken) && all == 0 {
            for receiver in &mut self.receivers {
                let mut handler = |datagram: Datagram<'_>| {
                    sink.take(datagram.line, datagram.payload, datagram.rx_ns);
                };
                let beside = receiver.receive_beside(&mut handler);
                all += beside.map_err(Error::net(self.name))?;
            }
        }
        Ok((all, is_behind))
    }

    fn wait(&mut self, timeout: Duration) -> Result<bool, Error> {
        let wait = || {
            let mut set = WaitSet::default();
            for receiver in &self.receivers {
                receiver.register(&mut set)?;
            }
            set.wait(timeout)
        };
        self.woken = wait().map_err(Error::net(self.name))?;
        Ok(self.woken)
    }

    fn counters(&mut self) -> Result<PathCounters, Error> {
        let mut sum = PathCounters::default();
        for receiver in &mut self.receivers {
            sum = sum.plus(&receiver.counters().map_err(Error::net(self.name))?);
        }
        Ok(sum)
    }
}

/// Bare loops of one kind, one for each socket.
pub(crate) struct Bare<L> {
    name: &'static str,
    loops: Vec<L>,
    counted: PathCounters,
}

impl<L: BareLoop> Bare<L> {
    pub(crate) fn new(name: &'static str, loops: Vec<L>) -> Self {
        let counted = PathCounters::default();
        Self {
            name,
            loops,
            counted,
        }
    }
}

impl<L: BareLoop> Path for Bare<L> {
    #[inline]
    fn take(&mut self, sink: &mut impl Sink) -> Result<(usize, bool), Error> {
        let (mut all, mut is_behind) = (0, false);
        for bare in &mut self.loops {
            let mut handler = |payload: &[u8], time_ns| sink.take(0, payload, time_ns);
            let count = match bare.receive(&mut handler) {
                Ok(count) => count,
                Err(source) => {
                    let what = self.name;
                    return Err(Error::Bare { what, source });
                }
            };
            all += count;
            is_behind |= count >= BARE_BATCH;
        }
        Ok((all, is_behind))
    }

    fn wait(&mut self, timeout: Duration) -> Result<bool, Error> {
        let mut set = WaitSet::default();
        let added: Result<(), _> = self.loops.iter().try_for_each(|one| set.add(one.as_fd()));
        let waited = added.and_then(|()| set.wait(timeout));
        waited.map_err(Error::net(self.name))
    }

    fn counters(&mut self) -> Result<PathCounters, Error> {
        for bare in &self.loops {
            bare.count(&mut self.counted).map_err(|source| {
                let what = self.name;
                Error::Bare { what, source }
            })?;
        }
        Ok(self.counted)
    }
}

/// What the bare loops have in common.
pub(crate) trait BareLoop: AsFd {
    fn receive(&mut self, handler: &mut impl FnMut(&[u8], u64)) -> std::io::Result<usize>;
    /// Adds what was dropped. Asked once, at the end of a run.
    fn count(&self, counted: &mut PathCounters) -> std::io::Result<()>;
}

impl BareLoop for BareRecvmmsg {
    #[inline]
    fn receive(&mut self, handler: &mut impl FnMut(&[u8], u64)) -> std::io::Result<usize> {
        Self::receive(self, handler)
    }

    fn count(&self, counted: &mut PathCounters) -> std::io::Result<()> {
        counted.socket_drops += self.drops()?;
        Ok(())
    }
}

impl BareLoop for BarePacketRing {
    #[inline]
    fn receive(&mut self, handler: &mut impl FnMut(&[u8], u64)) -> std::io::Result<usize> {
        Self::receive(self, handler)
    }

    fn count(&self, counted: &mut PathCounters) -> std::io::Result<()> {
        counted.packet_ring_drops += self.drops()?;
        Ok(())
    }
}

impl BareLoop for BareXsk {
    #[inline]
    fn receive(&mut self, handler: &mut impl FnMut(&[u8], u64)) -> std::io::Result<usize> {
        Self::receive(self, handler)
    }

    fn count(&self, counted: &mut PathCounters) -> std::io::Result<()> {
        *counted = counted.plus(&self.drops()?);
        Ok(())
    }
}
