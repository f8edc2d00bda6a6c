use crate::af_xdp::AfXdpReceiver;
use crate::error::NetError;
use crate::{Datagram, PacketMmapReceiver, PathCounters, Receiver, Rung, UdpReceiver, WaitSet};

/// A receive path that was chosen at run time.
#[non_exhaustive]
pub enum AnyReceiver {
    /// Kernel UDP sockets.
    Udp(UdpReceiver),
    /// AF_XDP sockets.
    AfXdp(Box<AfXdpReceiver>),
    /// A packet ring.
    PacketMmap(PacketMmapReceiver),
}

/// The same call on whichever path it is.
macro_rules! each {
    ($any:expr, $receiver:ident => $call:expr) => {
        match $any {
            AnyReceiver::Udp($receiver) => $call,
            AnyReceiver::AfXdp($receiver) => $call,
            AnyReceiver::PacketMmap($receiver) => $call,
        }
    };
}

impl Receiver for AnyReceiver {
    #[inline]
    fn receive(&mut self, handler: &mut impl FnMut(Datagram<'_>)) -> Result<usize, NetError> {
        each!(self, receiver => receiver.receive(handler))
    }

    fn receive_beside(
        &mut self,
        handler: &mut impl FnMut(Datagram<'_>),
    ) -> Result<usize, NetError> {
        each!(self, receiver => receiver.receive_beside(handler))
    }

    fn register<'a>(&'a self, set: &mut WaitSet<'a>) -> Result<(), NetError> {
        each!(self, receiver => receiver.register(set))
    }

    fn counters(&mut self) -> Result<PathCounters, NetError> {
        each!(self, receiver => receiver.counters())
    }

    fn rung(&self) -> Rung {
        each!(self, receiver => receiver.rung())
    }
}
