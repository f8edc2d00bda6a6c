//! Packet rings in a test network: one line, its frames, and what came of them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tickdeck_net::{
    Datagram, FrameSender, LineConfig, PacketMmapConfig, PacketMmapReceiver, Receiver, WaitSet,
    find_interface,
};
use tickdeck_testbed::{FrameBuilder, RX_INTERFACE, TX_ADDRESS, TX_INTERFACE, Testbed};

pub(crate) const GROUP: Ipv4Addr = Ipv4Addr::new(239, 9, 1, 1);
pub(crate) const PORT: u16 = 26_400;

/// A line on the receiving host's end of the wire.
pub(crate) fn line(testbed: &Testbed, group: IpAddr) -> LineConfig {
    line_on(testbed, RX_INTERFACE, group)
}

pub(crate) fn line_on(testbed: &Testbed, interface: &str, group: IpAddr) -> LineConfig {
    LineConfig {
        line: 1,
        group,
        port: PORT,
        interface: testbed.in_rx(|| find_interface(interface).unwrap()),
        source: None,
    }
}

pub(crate) fn open(
    testbed: &Testbed,
    line: &LineConfig,
    config: &PacketMmapConfig,
) -> PacketMmapReceiver {
    testbed.in_rx(|| PacketMmapReceiver::open(line, config).unwrap())
}

pub(crate) fn frame_sender(testbed: &Testbed) -> FrameSender {
    testbed.in_tx(|| FrameSender::open(TX_INTERFACE).unwrap())
}

/// Frames of the line's flow.
pub(crate) fn flow() -> FrameBuilder {
    flow_from(40_000)
}

pub(crate) fn flow_from(port: u16) -> FrameBuilder {
    let to: SocketAddr = (GROUP, PORT).into();
    FrameBuilder::udp((TX_ADDRESS, port).into(), to)
}

/// A datagram that outlives its call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) payload: Vec<u8>,
    pub(crate) truncated: bool,
    pub(crate) source: SocketAddr,
}

/// Receives until `count` packets were taken, also those that were refused, or fails.
pub(crate) fn take(receiver: &mut PacketMmapReceiver, count: usize) -> Vec<Taken> {
    let mut found = Vec::new();
    let mut keep = |datagram: Datagram<'_>| {
        found.push(Taken {
            payload: datagram.payload.to_vec(),
            truncated: datagram.truncated,
            source: datagram.source,
        });
    };
    take_with(receiver, count, &mut keep);
    found
}

pub(crate) fn take_with(
    receiver: &mut PacketMmapReceiver,
    count: usize,
    handler: &mut impl FnMut(Datagram<'_>),
) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut taken = 0;
    while taken < count {
        let is_late = Instant::now() > deadline;
        assert!(!is_late, "{taken} of {count} packets within a minute");
        wait(receiver);
        taken += receiver.receive(handler).unwrap();
    }
    assert_eq!(taken, count);
}

/// Waits until something can be received, at most 100 ms.
pub(crate) fn wait(receiver: &PacketMmapReceiver) -> bool {
    let mut set = WaitSet::default();
    receiver.register(&mut set).unwrap();
    set.wait(Duration::from_millis(100)).unwrap()
}
