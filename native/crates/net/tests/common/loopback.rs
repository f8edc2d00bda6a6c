//! Traffic on the loopback interface.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use tickdeck_net::{Datagram, LineConfig, MulticastSender, Receiver, UdpReceiver, wait_readable};

pub(crate) fn sender(line: &LineConfig) -> MulticastSender {
    MulticastSender::open(line.group, line.port, &line.interface, 1).unwrap()
}

/// Receives batch by batch until `count` datagrams came, or fails after some seconds.
pub(crate) fn receive(
    receiver: &mut UdpReceiver,
    count: usize,
    handler: &mut impl FnMut(Datagram<'_>),
) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut received = 0;
    while received < count {
        assert!(
            Instant::now() < deadline,
            "{received} of {count} datagrams within a minute"
        );
        wait_readable(&[receiver.as_fd()], Duration::from_millis(100)).unwrap();
        received += receiver.receive(handler).unwrap();
    }
    assert_eq!(received, count);
}
